"""The driver of the conformance suite: the client under test, against a pretended suite."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

from conformance.batches import Run, run_batches
from conformance.fuzzing_server import FuzzingServer
from conformance.install import Suite
from conformance.results import Result

# Pretends to be the suite: each case sends two messages and wants them back. The name of the
# case says what else it does.
PRETENDER = """
import asyncio, json, os, sys
from wsclient.testing import WebSocketTestServer

specification = json.load(open(sys.argv[1]))
found = {}

async def run_case(conn, case, agent):
    behavior = "OK"
    for message in ["text", b"binary"]:
        await conn.write_message(message, isinstance(message, bytes))
        if await conn.read_message() != message:
            behavior = "FAILED"
    if case == "1.3":
        os._exit(3)
    if case == "1.5" and agent == "client-2":
        behavior = "NON-STRICT"
    await conn.close()
    if case != "1.6":
        entry = {"behavior": behavior, "behaviorClose": "OK", "duration": 5, "reportfile": "x"}
        found.setdefault(agent, {})[case] = entry

async def talk(conn):
    query, case = conn.url.query, conn.url.query.get("casetuple")
    if conn.url.path == "/runCase":
        if "permessage-deflate" not in conn.response_headers["Sec-WebSocket-Extensions"]:
            raise ValueError("the client does not compress")
        await run_case(conn, case, query["agent"])
    elif conn.url.path == "/getCaseStatus":
        await conn.write_message(found.get(query["agent"], {}).get(case, {}))
    else:
        json.dump(found, open(specification["outdir"] + "/index.json", "w"))
        report = {"result": "Why.", "resultClose": ""}
        json.dump(report, open(specification["outdir"] + "/x", "w"))

async def main():
    async with WebSocketTestServer(talk, compression_options={}) as server:
        print(server.port, flush=True)
        await asyncio.Event().wait()

asyncio.run(main())
"""

_STALL_TIMEOUT = 40.0  # seconds


class Pretender(Suite):
    """A suite that needs no Python 2.7."""

    def command(self, *arguments: str, script: str = "") -> list[str]:
        path = arguments[arguments.index("--spec") + 1]
        return [sys.executable, "-c", PRETENDER, path]

    @staticmethod
    def environment() -> dict[str, str]:
        return dict(os.environ)


def pretend(folder: Path, *cases: str, repeat: int = 1, style: str = "read") -> Run:
    """Run cases with our client."""
    suite = Pretender(Path(sys.executable))
    server = FuzzingServer(
        suite, ["--style", style, "--patience", "0.05"], {}, folder, repeat=repeat
    )
    run = Run(len(cases) * repeat, _STALL_TIMEOUT)
    asyncio.run(run_batches(server, cases, run, jobs=2))
    return run


def test_the_worst_repetition_counts(tmp_path: Path) -> None:
    # The first phase has a batch for each.
    run = pretend(tmp_path, "1.1", "1.5", repeat=3)
    assert run.results == {"1.1": Result("OK", "OK"), "1.5": Result("NON-STRICT", "OK")}
    assert run.results["1.5"].details[:2] == ("It came out so 1 times of 3.", "Why.")
    assert run.problems == []


def test_callbacks_and_a_case_of_the_second_phase(tmp_path: Path) -> None:
    run = pretend(tmp_path, "13.1.1", style="callback")
    assert run.results == {"13.1.1": Result("OK", "OK")}
    assert run.problems == []


def test_a_server_that_dies_and_a_case_without_result(tmp_path: Path) -> None:
    run = pretend(tmp_path, "1.3", "1.6", "9.1.1")
    assert run.results == {"9.1.1": Result("OK", "OK")}
    names = ("quick-1/client.log", "quick-1/server.log", "quick-2/client.log")
    logs = [tmp_path / name for name in names]
    assert sorted(run.problems) == [
        f"batch quick-1: the client ended with 1 after case 1.3; see {logs[0]}",
        f"batch quick-1: the fuzzing server ended early; see {logs[1]}",
        f"batch quick-2: the client ended with 1 after case 1.6; see {logs[2]}",
    ]
    assert "Case 1.6:" in logs[2].read_text()
