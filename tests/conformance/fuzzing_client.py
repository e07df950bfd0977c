"""Runs the suite's fuzzing client, which tests a server, in several processes at once."""

from __future__ import annotations

import asyncio
import json
import time
from asyncio.subprocess import Process
from collections.abc import Sequence
from pathlib import Path

from conformance.cases import Batch, plan
from conformance.install import Suite
from conformance.processes import ProcessError, running
from conformance.results import Results, read_report

__all__ = ["FuzzingClient"]

_STARTS_CASE = b"Running test case ID "
_PROGRESS_INTERVAL = 5.0  # seconds


class FuzzingClient:
    """Tests one server.

    Attributes:
        problems: what went wrong besides the cases, one line each.

    Args:
        suite: the installed suite.
        url: of the server, which echoes messages.
        folder: where reports and logs go; a folder for each batch.
        jobs: how many processes may keep the machine busy at once.
        stall_timeout: seconds without a new case after which a process is ended.
    """

    def __init__(
        self, suite: Suite, url: str, folder: Path, *, jobs: int, stall_timeout: float
    ) -> None:
        self._suite = suite
        self._url = url
        self._folder = folder
        self._jobs = jobs
        self._stall_timeout = stall_timeout
        self._started = 0
        self._total = 0
        self._begin = 0.0
        self._last_line = 0.0
        self.problems: list[str] = []

    async def run(self, cases: Sequence[str]) -> Results:
        """Run cases; return the results of those that have one.

        Cancelling it ends the processes.
        """
        self._total = len(cases)
        self._begin = time.monotonic()
        results: Results = {}
        phases = plan(cases)
        for phase in phases:
            # The first of two waits rather than works, so all of it runs at once.
            jobs = self._jobs if phase is phases[-1] else len(phase)
            slots = asyncio.Semaphore(jobs)
            async with asyncio.TaskGroup() as group:
                for batch in phase:
                    group.create_task(self._take_turn(slots, batch, results))
        return results

    async def _take_turn(self, slots: asyncio.Semaphore, batch: Batch, results: Results) -> None:
        async with slots:
            try:
                results |= await self._run_batch(batch)
            except (OSError, ValueError, ProcessError) as error:
                self.problems.append(f"batch {batch.name}: {error}")

    async def _run_batch(self, batch: Batch) -> Results:
        folder = self._folder / batch.name
        folder.mkdir()
        specification = {
            "outdir": str(folder),
            "servers": [{"agent": "server", "url": self._url}],
            "cases": batch.cases,
        }
        path = folder / "specification.json"
        path.write_text(json.dumps(specification, indent=2), encoding="utf-8")
        command = self._suite.command("--mode", "fuzzingclient", "--spec", str(path))
        environment = self._suite.environment()
        log = folder / "errors.log"
        async with running(command, env=environment, log=log) as process:
            last = await self._follow(process)
            code = await process.wait()
        if code != 0:
            raise ProcessError(f"exit code {code} after case {last}; see {log}")
        return read_report(folder)

    async def _follow(self, process: Process) -> str:
        """Count the cases as they start; return the last one."""
        assert process.stdout is not None
        last = "none"
        while True:
            try:
                async with asyncio.timeout(self._stall_timeout):
                    line = await process.stdout.readline()
            except TimeoutError:
                raise ProcessError(
                    f"case {last} had not ended after {self._stall_timeout:g} s"
                ) from None
            if not line:
                return last
            if line.startswith(_STARTS_CASE):
                last = line[len(_STARTS_CASE) :].split()[0].decode()
                self._started += 1
                self._tell()

    def _tell(self) -> None:
        now = time.monotonic()
        if self._started == self._total or now - self._last_line >= _PROGRESS_INTERVAL:
            self._last_line = now
            print(
                f"[{now - self._begin:4.0f} s] case {self._started} of {self._total}", flush=True
            )
