"""Traffic and connects once more, shorter, with every allocation of Python traced.

Tracing is slow, but has no chance in it: what grows is named, by the line that allocated it.
"""

from __future__ import annotations

import gc
import tracemalloc
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import replace
from typing import Final

import aiohttp

from soak.bench import Progress, Settings, bench
from soak.connects import KINDS, Connects, settle
from soak.messages import CYCLE
from soak.report import Bound, Result, Table
from soak.traffic import STREAMS, close_flows, open_flows, run_round
from support.running import open_descriptors

__all__ = ["run"]

_FRAMES: Final = 1
_WARM: Final = 2
"""Passes before it counts."""

_STREAMS: Final = tuple(replace(stream, cycles=1) for stream in STREAMS)
"""Every kind alike: tracing makes each message several times as slow."""

_ROWS: Final = 12


async def run(settings: Settings) -> Result:
    """Run the part."""
    rounds = 4 if settings.short else 10
    result = Result("tracing", "Traced allocations")
    tracemalloc.start(_FRAMES)
    try:
        async with AsyncExitStack() as stack:
            server = stack.enter_context(bench())
            session = await stack.enter_async_context(aiohttp.ClientSession())
            progress = stack.enter_context(Progress("tracing", 2 * rounds, "passes"))
            flows = await open_flows(server, _STREAMS)
            before = open_descriptors()
            connects = Connects(server, session)

            async def exchange() -> None:
                await run_round(flows, 1)
                progress.done += 1

            async def connect() -> None:
                for index in range(10):
                    for kind in KINDS:
                        await connects.make(kind, index)
                await settle(before)
                progress.done += 1

            messages = CYCLE * len(_STREAMS)
            await _watch(result, exchange, rounds, f"{messages:,} messages")
            await _watch(result, connect, rounds, f"{10 * len(KINDS)} connects")
            await close_flows(flows)
    finally:
        tracemalloc.stop()
    return result


async def _watch(
    result: Result, work: Callable[[], Awaitable[None]], times: int, unit: str
) -> None:
    for _ in range(_WARM):
        await work()
    before = _snapshot()
    for _ in range(times - _WARM):
        await work()
    after = _snapshot()
    passes = times - _WARM
    changes = after.compare_to(before, "lineno")
    grown = sum(change.size_diff for change in changes)
    ours = [c for c in changes if "/wsclient/" in c.traceback[0].filename]
    result.bounds += [
        Bound(
            f"growth of all traced memory in {passes} times {unit}",
            grown / 1024,
            128,
            "KiB",
            "Caches of others fill, and the loop keeps up to 100 cancelled timers with what they "
            "hold. A message or connect that leaks its object would be far more.",
        ),
        Bound(
            f"growth of what the package allocated in {passes} times {unit}",
            sum(change.size_diff for change in ours) / 1024,
            64,
            "KiB",
            "The pool of masking keys takes 45 KiB when it is full. What is open is the same.",
        ),
    ]
    result.tables.append(_table(f"What grew most in {passes} times {unit}", changes))


def _snapshot() -> tracemalloc.Snapshot:
    gc.collect()
    ignored = (tracemalloc.Filter(False, tracemalloc.__file__),)
    return tracemalloc.take_snapshot().filter_traces(ignored)


def _table(heading: str, changes: Sequence[tracemalloc.StatisticDiff]) -> Table:
    rows = [
        (_place(change), change.size_diff, change.count_diff)
        for change in sorted(changes, key=lambda change: -change.size_diff)[:_ROWS]
        if change.size_diff > 0
    ]
    return Table(heading, ("line", "bytes", "blocks"), list(rows))


def _place(change: tracemalloc.StatisticDiff) -> str:
    """Return the file, by its last two names, and the line."""
    frame = change.traceback[0]
    return "/".join(frame.filename.split("/")[-2:]) + f":{frame.lineno}"
