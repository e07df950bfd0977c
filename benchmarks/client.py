"""One measurement, in a process of its own: ``python -m benchmarks.client ENTRANT JOB``.

What it found stands on stdout, as JSON.
"""

from __future__ import annotations

import asyncio
import gc
import ssl
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.clients.contract import Client
from benchmarks.entrants import ENTRANTS
from benchmarks.job import Job, Outcome
from benchmarks.pinning import pin
from benchmarks.speed import is_full

__all__ = ["measured"]

_SETTLED = 0.05
"""Seconds of CPU after which a rate is believed, and the interpreter has specialized the code."""

_SLICE = 0.04
"""Seconds of CPU that one slice of the measurement takes: less than a CPU keeps its speed."""

_PATIENCE = 5.0
"""Seconds that one measurement may take: a CPU may be slow for as long."""

_MOST = 5_000_000
_MOST_CONNECTS = 1_000

_PAGE = 4096


async def measured(client: Client) -> Outcome:
    """Do the client's job, and measure it."""
    await client.start()
    try:
        if client.job.kind == "idle":
            return await _idle(client)
        if client.job.kind == "connect":
            return await _timed(client.job, lambda count: _connects(client, count))
        conns = [await client.open() for _ in range(client.job.connections)]
        outcome = await _timed(client.job, _work(client, conns))
        for conn in conns:
            await client.close(conn)
        return outcome
    finally:
        await client.stop()


def _work(client: Client, conns: Sequence[Any]) -> Callable[[int], Awaitable[object]]:
    job = client.job
    messages = job.messages
    if len(conns) > 1:
        each = len(conns)
        return lambda count: asyncio.gather(
            *(client.echo(conn, messages, count // each) for conn in conns)
        )
    (conn,) = conns
    if job.kind == "flood":
        return lambda count: client.receive(conn, count)
    if job.kind == "send":
        return lambda count: client.send(conn, messages[0], count)
    return lambda count: client.echo(conn, messages, count)


async def _connects(client: Client, count: int) -> None:
    for _ in range(count):
        await client.close(await client.open())


@dataclass(frozen=True)
class _Slice:
    """A part of the measurement, in seconds."""

    used: float
    wall: float


async def _timed(job: Job, work: Callable[[int], Awaitable[object]]) -> Outcome:
    """Warm up, find out how many messages a slice needs, and measure slices.

    Args:
        job: how much is wanted.
        work: does so many.
    """
    if job.count:
        await work(job.count)
        count, slices, full = job.count, [await _slice(work, job.count)], True
    else:
        count = await _size(job, work)
        slices, full = await _slices(job, work, count)
    return Outcome(
        cost=median(each.used for each in slices) / count * 1e6,
        wall=median(each.wall for each in slices) / count * 1e6,
        count=count * len(slices),
        full_speed=full,
    )


async def _size(job: Job, work: Callable[[int], Awaitable[object]]) -> int:
    """Warm up; return how many a slice has."""
    count = least = job.connections
    # The first time is no measure: modules are imported.
    await work(count)
    while (used := (await _slice(work, count)).used) < _SETTLED:
        count *= 2
    return max(1, int(count * _SLICE / used) // least) * least


async def _slices(
    job: Job, work: Callable[[int], Awaitable[object]], count: int
) -> tuple[list[_Slice], bool]:
    """Measure slices while the CPU runs at full speed, until they are enough.

    Returns:
        the slices, and whether they are of full speed: when that does not come, others have to do.
    """
    most = _MOST_CONNECTS if job.kind == "connect" else _MOST
    quick: list[_Slice] = []
    slow: list[_Slice] = []
    end = time.perf_counter() + _PATIENCE
    while sum(each.used for each in quick) < job.seconds and time.perf_counter() < end:
        if (len(quick) + len(slow) + 1) * count > most:
            break
        if is_full(job.spin):
            each = await _slice(work, count)
            (quick if is_full(job.spin) else slow).append(each)
    return quick or slow or [await _slice(work, count)], bool(quick)


async def _slice(work: Callable[[int], Awaitable[object]], count: int) -> _Slice:
    clock, begin = time.perf_counter(), time.process_time()
    await work(count)
    return _Slice(time.process_time() - begin, time.perf_counter() - clock)


async def _idle(client: Client) -> Outcome:
    """Open connections, and see how much memory they take."""
    count = client.job.count
    # What is made once is made with the first ones.
    for conn in [await client.open() for _ in range(10)]:
        await client.close(conn)
    gc.collect()
    before = _resident()
    conns = [await client.open() for _ in range(count)]
    # Opening is over, and so is what it needed for a while.
    await asyncio.sleep(client.job.seconds)
    gc.collect()
    occupied = _resident() - before
    for conn in conns:
        await client.close(conn)
    return Outcome(cost=occupied / count / 1024, wall=0.0, count=count)


def _resident() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * _PAGE


def main(arguments: Sequence[str] = sys.argv[1:]) -> None:
    """Do a job, and print what came of it."""
    name, described = arguments
    job = Job.from_json(described)
    pin(job.core)
    context = None
    if job.secure:
        context = ssl.create_default_context(cafile=job.ca_file)
    entrant = ENTRANTS[name]
    client = entrant.client_class()(job, context)
    with asyncio.Runner(loop_factory=entrant.loop_factory()) as runner:
        outcome = runner.run(measured(client))
    print(outcome.to_json())


if __name__ == "__main__":
    main()
