"""With the garbage collector switched off: which objects live on, because they hold each other.

A connection that has ended is gone when the last reference to it is. If the package made cycles,
memory would grow until a collection, and with it the time that each takes.
"""

from __future__ import annotations

import gc
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass
from typing import Any, Final

import aiohttp

from soak.bench import Bench, Progress, Settings, bench
from soak.connects import KINDS, Connects, settle
from soak.cycles import cycles
from soak.report import Bound, Result, Table
from soak.traffic import STREAMS, close_flows, open_flows, run_round
from support.running import open_descriptors

__all__ = ["run"]

_WARM: Final = 3
"""Connects of each kind before it counts: what is made once is made."""

_TRACEBACKS: Final = frozenset({"refused by TLS"})
"""Kinds where asyncio makes a cycle of its own error, with the frames of all who called it."""


@dataclass(frozen=True)
class _Left:
    """What a number of connects of a kind left for the collector, by type.

    Attributes:
        kind: one of `KINDS`.
        ours: objects of the package in cycles.
        hanging: objects of the package that cycles of others hold.
        others: objects of others.
    """

    kind: str
    ours: Counter[str]
    hanging: Counter[str]
    others: Counter[str]


async def run(settings: Settings) -> Result:
    """Run the part."""
    times = 12 if settings.short else 48
    result = Result("garbage", "Without the garbage collector")
    found: list[_Left] = []
    async with AsyncExitStack() as stack:
        server = stack.enter_context(bench())
        session = await stack.enter_async_context(aiohttp.ClientSession())
        connects = Connects(server, session)
        total = len(KINDS) * times
        progress = stack.enter_context(Progress("garbage", total, "connects"))
        for kind in KINDS:
            found.append(await _of_kind(connects, kind, times))
            progress.done += times
        result.bounds.append(await _of_traffic(server))
    _conclude(result, found, times)
    return result


def _conclude(result: Result, found: list[_Left], times: int) -> None:
    for left in found:
        if left.ours:
            result.problems.append(f"{left.kind}: {_shown(left.ours, times)}")
    plain = [left for left in found if left.kind not in _TRACEBACKS]
    result.bounds += [
        Bound(
            "objects of the package in cycles",
            max(left.ours.total() / times for left in found),
            0,
            "per connect",
            "What has ended is gone with the last reference to it, whatever the kind.",
        ),
        Bound(
            "objects of the package that cycles of others hold",
            max(left.hanging.total() / times for left in plain),
            2,
            "per connect",
            "The objects of aiohttp's trace hold each other, and what they note the progress in. "
            "asyncio's transport of a broken connection holds itself, and the closed socket. "
            "Refusals by TLS are not counted: asyncio makes a cycle of the error.",
        ),
    ]
    rows = [
        (
            left.kind,
            left.ours.total() / times,
            left.hanging.total() / times,
            left.others.total() / times,
            _shown(left.hanging + left.others, times),
        )
        for left in found
    ]
    columns = ("kind", "ours in cycles", "ours that hang from others'", "others'", "mostly")
    result.tables.append(Table("Objects left to the collector, per connect", columns, rows))


def _shown(counts: Counter[str], times: int) -> str:
    return ", ".join(f"{name} {count / times:.3g}" for name, count in counts.most_common(4))


async def _of_kind(connects: Connects, kind: str, times: int) -> _Left:
    before = open_descriptors()
    for index in range(_WARM):
        await connects.make(kind, index)
    await settle(before)
    with _switched_off():
        for index in range(times):
            await connects.make(kind, index)
        await settle(before)
        objects = _unreachable()
    ours = {id(each) for group in cycles(objects) for each in group if _is_ours(each)}
    left = _Left(
        kind,
        ours=_types(each for each in objects if id(each) in ours),
        hanging=_types(each for each in objects if _is_ours(each) and id(each) not in ours),
        others=_types(each for each in objects if not _is_ours(each)),
    )
    objects.clear()
    gc.collect()
    return left


async def _of_traffic(server: Bench) -> Bound:
    flows = await open_flows(server)
    await run_round(flows, 1)
    with _switched_off():
        await run_round(flows, 1)
        found = len(_unreachable())
    await close_flows(flows)
    return Bound(
        f"objects in cycles after a round of messages over {len(STREAMS)} streams",
        found,
        0,
        "objects",
        "Messages go their way without cycles: 100,000 of them leave none.",
    )


def _unreachable() -> list[Any]:
    """Return what a collection would free."""
    gc.set_debug(gc.DEBUG_SAVEALL)
    try:
        gc.collect()
    finally:
        gc.set_debug(0)
    objects = list(gc.garbage)
    gc.garbage.clear()
    return objects


def _types(objects: Iterable[Any]) -> Counter[str]:
    return Counter(f"{type(each).__module__}.{type(each).__qualname__}" for each in objects)


def _is_ours(each: Any) -> bool:
    return type(each).__module__.startswith("wsclient.")


@contextmanager
def _switched_off() -> Iterator[None]:
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
