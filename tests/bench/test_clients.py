"""Each client does each of its works: so many messages, no more and no less. Nothing is timed."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from benchmarks.client import measured
from benchmarks.clients.contract import Client, WrongCountError, check_size
from benchmarks.clients.wsclient_read import ReadingClient
from benchmarks.entrants import ENTRANTS, LoopFactory
from benchmarks.job import Job, Outcome
from benchmarks.measure import MeasuringError, Server, job_of, measure_once, serving
from benchmarks.messages import END
from benchmarks.works import WORKS, Work
from support.running import run_checked
from wsclient import WebSocketClientConnection

COUNT = 20
LARGEST = 64 * 1024


def cases() -> Iterator[Any]:
    """Make a case of each client in each kind of work, and one of each entrant.

    Works that differ in size alone are the same here.
    """
    clients = set()
    entrants = set()
    for work in WORKS.values():
        options = {**work.options, "size": work.options.get("size", 0) > LARGEST}
        options["connections"] = work.options.get("connections", 1) > 1
        for name in work.entrants:
            client = (ENTRANTS[name].kind, work.kind, *sorted(options.items()))
            if client not in clients or name not in entrants:
                yield pytest.param(work, name, id=f"{work.name}-{name}")
            clients.add(client)
            entrants.add(name)


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with serving(None) as running:
        yield running


def few(work: Work, server: Server) -> Job:
    """Return a work's job with few messages, and none that is large."""
    job = job_of(work, server, seconds=0.001, count=COUNT)
    return replace(job, size=min(job.size, LARGEST), connections=min(job.connections, COUNT))


def run(name: str, job: Job) -> Outcome:
    """Do a job in this process."""
    entrant = ENTRANTS[name]
    if missing := entrant.missing:
        pytest.skip(f"{', '.join(missing)} is not installed")
    return run_client(entrant.client_class(), job, entrant.loop_factory())


def run_client(
    kind: type[Client], job: Job, factory: LoopFactory = asyncio.new_event_loop
) -> Outcome:
    context = ssl.create_default_context(cafile=job.ca_file) if job.secure else None
    outcomes = []

    async def main() -> None:
        outcomes.append(await measured(kind(job, context)))

    # libuv opens a pipe with its first loop, and keeps it.
    factory().close()
    # Other clients' connections take turns of the loop to end after they were closed.
    run_checked(main, factory)
    return outcomes[0]


@pytest.mark.parametrize(("work", "name"), list(cases()))
def test_each_work_of_each_entrant(work: Work, name: str, server: Server) -> None:
    outcome = run(name, few(work, server))
    assert outcome.count == COUNT
    assert outcome.cost >= 0


class Hasty(ReadingClient):
    """Counts one message too few."""

    async def receive(self, conn: WebSocketClientConnection, count: int) -> None:
        await super().receive(conn, count)
        await conn.write_message(str(count))
        for _ in range(count - 1):
            message = await conn.read_message()
        check_size(message, len(END))


def test_a_wrong_count_does_not_pass(server: Server) -> None:
    with pytest.raises(WrongCountError):
        run_client(Hasty, few(WORKS["flood-32"], server))


def test_a_client_that_fails_is_told(server: Server) -> None:
    bad = replace(WORKS["deflate-1"], options={**WORKS["deflate-1"].options, "level": 5})
    with pytest.raises(MeasuringError, match="aiohttp has no other level"):
        measure_once(bad, ENTRANTS["aiohttp"], server, count=1)
