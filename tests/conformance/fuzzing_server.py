"""Tests our client with the suite's fuzzing server."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from conformance.batches import Run, agents
from conformance.cases import HEAVY, Batch
from conformance.install import Suite
from conformance.processes import ProcessError, own_environment, read_port, running
from conformance.results import Results, combine, read_reports

__all__ = ["FuzzingServer"]

_PARALLEL = 4
"""Cases at once of those that mostly wait; the others follow each other."""

# The server would bind every interface, at a port that must be known before. Its output goes to
# its log, where it cannot block anything.
_SERVE_ON_LOOPBACK = """
import sys
first, sys.stdout = sys.stdout, sys.stderr
from autobahntestsuite import fuzzing, wstest
from twisted.internet import reactor
def listen(factory, context):
    port = reactor.listenTCP(0, factory, interface="127.0.0.1").getHost().port
    factory.externalPort = port
    first.write("%d\\n" % port)
    first.flush()
fuzzing.listenWS = listen
wstest.run()
"""


class FuzzingServer:
    """Tests our client in one way of using it; see `Tester`.

    Args:
        suite: the installed suite.
        options: of `echo_client`, which tell it how to use the client.
        environment: variables of `echo_client`, which tell the client what to be made of.
        folder: where reports and logs go; a folder for each batch.
        repeat: how many times each case runs. The worst of its results counts.
    """

    def __init__(
        self,
        suite: Suite,
        options: Sequence[str],
        environment: Mapping[str, str],
        folder: Path,
        *,
        repeat: int = 1,
    ) -> None:
        self._suite = suite
        self._options = tuple(options)
        self._environment = {**own_environment(), **environment}
        self._folder = folder
        self._repeat = repeat

    async def run_batch(self, batch: Batch, run: Run) -> Results:
        """Run a batch with a server and a client of its own."""
        folder = self._folder / batch.name
        folder.mkdir()
        specification = {
            "outdir": str(folder),
            "url": "ws://127.0.0.1",
            "cases": batch.cases,
        }
        path = folder / "specification.json"
        path.write_text(json.dumps(specification, indent=2), encoding="utf-8")
        arguments = ("--mode", "fuzzingserver", "--spec", str(path), "--webport", "0")
        command = self._suite.command(*arguments, script=_SERVE_ON_LOOPBACK)
        environment = self._suite.environment()
        log = folder / "server.log"
        async with running(command, env=environment, log=log) as server:
            port = await read_port(server, log)
            await self._run_client(f"ws://127.0.0.1:{port}", batch, run)
            if server.returncode is not None:
                raise ProcessError(f"the fuzzing server ended early; see {log}")
        return combine([read_reports(folder).get(each, {}) for each in agents(self._repeat)])

    async def _run_client(self, url: str, batch: Batch, run: Run) -> None:
        parallel = 1 if batch.cases[0].split(".")[0] in HEAVY else _PARALLEL
        command = [sys.executable, "-m", "conformance.echo_client", *self._options]
        command += ["--parallel", str(parallel), "--repeat", str(self._repeat), url, *batch.cases]
        log = self._folder / batch.name / "client.log"
        async with running(command, env=self._environment, log=log) as client:
            last = await run.follow(client)
            code = await client.wait()
        if code != 0:
            # The suite has its results, and they may say more.
            run.problems.append(
                f"batch {batch.name}: the client ended with {code} after case {last}; see {log}"
            )
