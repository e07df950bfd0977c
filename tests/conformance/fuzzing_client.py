"""Tests a server of ours with the suite's fuzzing client."""

from __future__ import annotations

import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from conformance.batches import Run
from conformance.cases import Batch
from conformance.install import Suite
from conformance.processes import ProcessError, own_environment, read_port, running
from conformance.results import Results, read_report

__all__ = ["FuzzingClient", "echo_server"]


class FuzzingClient:
    """Tests one server; see `Tester`.

    Args:
        suite: the installed suite.
        url: of the server, which echoes messages.
        folder: where reports and logs go; a folder for each batch.
    """

    def __init__(self, suite: Suite, url: str, folder: Path) -> None:
        self._suite = suite
        self._url = url
        self._folder = folder

    async def run_batch(self, batch: Batch, run: Run) -> Results:
        """Run a batch in a process of its own."""
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
            last = await run.follow(process)
            code = await process.wait()
        if code != 0:
            raise ProcessError(f"exit code {code} after case {last}; see {log}")
        return read_report(folder)


@asynccontextmanager
async def echo_server(loop: str, log: Path) -> AsyncIterator[str]:
    """Run the server under test; give its URL.

    Args:
        loop: ``"asyncio"`` or ``"uvloop"``.
        log: the file that its stderr goes to.

    Raises:
        ProcessError: it did not start, ended early, or ended with an error.
    """
    command = [sys.executable, "-m", "conformance.echo_server", "--loop", loop]
    async with running(command, env=own_environment(), log=log, stdin=True) as process:
        yield f"ws://127.0.0.1:{await read_port(process, log)}/"
        if process.returncode is not None:
            raise ProcessError(f"the server ended early; see {log}")
    # What its handlers raised is raised at its end.
    if process.returncode != 0:
        raise ProcessError(f"the server ended with {process.returncode}; see {log}")
