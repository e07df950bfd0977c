"""Runs cases in batches, several at once, and keeps the account of it."""

from __future__ import annotations

import asyncio
import time
from asyncio.subprocess import Process
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

from conformance.cases import Batch, plan
from conformance.processes import ProcessError
from conformance.results import Results

__all__ = ["STARTS_CASE", "Run", "Tester", "agents", "run_batches"]

STARTS_CASE = b"Running test case ID "
"""Begins the line that says which case is started; of the suite, and of our client."""
_PROGRESS_INTERVAL = 5.0  # seconds


@dataclass
class Run:
    """What comes of a run, while it goes on and at its end."""

    total: int
    """How many cases are to be started, repetitions included."""
    stall_timeout: float
    """Seconds without a new case after which a process is given up."""
    results: Results = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    """What went wrong besides the cases, one line each."""
    _started: int = 0
    _begin: float = field(default_factory=time.monotonic)
    _last_line: float = 0.0

    @property
    def seconds(self) -> float:
        """How long it has taken so far."""
        return time.monotonic() - self._begin

    async def follow(self, process: Process) -> str:
        """Count the cases as a process prints that they start; return the last one.

        Raises:
            ProcessError: there was no new one for too long.
        """
        assert process.stdout is not None
        last = "none"
        while True:
            try:
                async with asyncio.timeout(self.stall_timeout):
                    line = await process.stdout.readline()
            except TimeoutError:
                raise ProcessError(
                    f"case {last} had not ended after {self.stall_timeout:g} s"
                ) from None
            if not line:
                return last
            if line.startswith(STARTS_CASE):
                last = line[len(STARTS_CASE) :].split()[0].decode()
                self._started += 1
                self._tell()

    def _tell(self) -> None:
        seconds = self.seconds
        if self._started == self.total or seconds - self._last_line >= _PROGRESS_INTERVAL:
            self._last_line = seconds
            print(f"[{seconds:4.0f} s] case {self._started} of {self.total}", flush=True)


def agents(repeat: int) -> list[str]:
    """Return the names by which the fuzzing server tells repetitions from each other."""
    return [f"client-{number}" for number in range(1, repeat + 1)]


class Tester(Protocol):
    """One side of the suite, at work on one program of ours."""

    async def run_batch(self, batch: Batch, run: Run) -> Results:
        """Run a batch and return the results of the cases that have one.

        Cancelling it ends its processes.

        Raises:
            ProcessError: a process did not do what it was started for.
            OSError: a process cannot be started, or its report cannot be read.
            ValueError: the report makes no sense.
        """


async def run_batches(tester: Tester, cases: Sequence[str], run: Run, *, jobs: int) -> None:
    """Run cases, and note in `run` what comes of it; cancelling it ends all processes.

    Args:
        tester: runs each batch.
        cases: their ids.
        run: the account.
        jobs: how many batches may keep the machine busy at once.
    """
    phases = plan(cases)
    for phase in phases:
        # The first of two waits rather than works, so all of it runs at once.
        slots = asyncio.Semaphore(jobs if phase is phases[-1] else len(phase))
        async with asyncio.TaskGroup() as group:
            for batch in phase:
                group.create_task(_take_turn(slots, tester, batch, run))


async def _take_turn(slots: asyncio.Semaphore, tester: Tester, batch: Batch, run: Run) -> None:
    async with slots:
        try:
            run.results |= await tester.run_batch(batch, run)
        except (OSError, ValueError, ProcessError) as error:
            run.problems.append(f"batch {batch.name}: {error}")
