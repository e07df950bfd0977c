"""The driver of the conformance suite: its processes end, whatever they do."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from asyncio.subprocess import Process
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import pytest

from conformance import processes
from conformance.batches import Run, run_batches
from conformance.fuzzing_client import FuzzingClient
from conformance.install import Suite
from conformance.processes import running
from conformance.results import Result, Results

# Pretends to be the suite: what each case does is the name of its case.
PRETENDER = """
import json, os, signal, sys, time
spec = json.load(open(sys.argv[1]))
print("Autobahn", flush=True)
agent = {}
for case in spec["cases"]:
    print("Running test case ID %s for agent x from peer y" % case, flush=True)
    if case == "1.2":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        print(os.getpid(), file=open(spec["outdir"] + "/pid", "w"), flush=True)
        time.sleep(60)
    if case == "1.3":
        sys.exit(3)
    agent[case] = {"behavior": "OK", "behaviorClose": "OK", "duration": 5, "reportfile": "-"}
if "1.4" not in agent:
    json.dump({"server": agent}, open(spec["outdir"] + "/index.json", "w"))
"""


class Pretender(Suite):
    """A suite that needs no Python 2.7."""

    def command(self, *arguments: str, script: str = "") -> list[str]:
        return [sys.executable, "-c", PRETENDER, arguments[-1]]


def pretend(folder: Path, *cases: str, stall_timeout: float = 10.0) -> tuple[Results, list[str]]:
    """Run cases, one after the other; give the results and the problems."""
    suite = Pretender(Path(sys.executable))
    run = Run(len(cases), stall_timeout)
    client = FuzzingClient(suite, "ws://x", folder)
    asyncio.run(run_batches(client, cases, run, jobs=1))
    return run.results, run.problems


def has_ended(pid: int) -> bool:
    """Tell whether a process has ended, and been waited for."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


def test_results_of_all_batches(tmp_path: Path) -> None:
    cases = ["1.1", "2.1", "9.1", "12.1.1", "12.1.2", "13.1.1"]
    results, problems = pretend(tmp_path, *cases)
    assert results == dict.fromkeys(cases, Result("OK", "OK"))
    assert problems == []


def test_a_case_that_hangs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "_END_TIMEOUT", 0.1)
    # One batch has 1.2 and the other does not.
    results, problems = pretend(tmp_path, "1.1", "1.2", stall_timeout=1.0)
    assert list(results) == ["1.1"]
    assert problems == ["batch quick-2: case 1.2 had not ended after 1 s"]
    # It ignored SIGTERM.
    assert has_ended(int((tmp_path / "quick-2" / "pid").read_text()))


def test_a_suite_that_fails(tmp_path: Path) -> None:
    results, problems = pretend(tmp_path, "1.1", "1.3")
    assert list(results) == ["1.1"]
    (problem,) = problems
    assert problem.startswith("batch quick-2: exit code 3 after case 1.3; see ")


def test_a_suite_that_writes_no_report(tmp_path: Path) -> None:
    results, problems = pretend(tmp_path, "1.1", "1.4")
    assert list(results) == ["1.1"]
    assert "index.json" in problems[0]


def start(code: str, log: Path, *, stdin: bool = False) -> AbstractAsyncContextManager[Process]:
    """Start a process that runs Python code."""
    command = [sys.executable, "-c", code]
    return running(command, env=dict(os.environ), log=log, stdin=stdin)


async def greeting(process: Process) -> bytes:
    """Read the line by which a process says that it is ready."""
    assert process.stdout is not None
    return await process.stdout.readline()


def test_a_closed_stdin_asks_first(tmp_path: Path) -> None:
    async def main() -> int | None:
        code = "import sys; print('ready', flush=True); sys.stdin.read(); sys.exit(7)"
        async with start(code, tmp_path / "log", stdin=True) as process:
            assert await greeting(process) == b"ready\n"
        return process.returncode

    assert asyncio.run(main()) == 7


@pytest.mark.parametrize("stdin", [True, False])
@pytest.mark.parametrize("stubborn", [True, False])
def test_cancelling_ends_the_process(
    stdin: bool, stubborn: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Only the stubborn one may be killed before it has had time to end.
    monkeypatch.setattr(processes, "_END_TIMEOUT", 0.1 if stubborn else 0.3)

    async def hold(ready: asyncio.Future[Process]) -> None:
        action = "signal.SIG_IGN" if stubborn else "signal.SIG_DFL"
        code = f"import signal, time; signal.signal(signal.SIGTERM, {action})\n"
        code += "print('ready', flush=True); time.sleep(60)"
        async with start(code, tmp_path / "log", stdin=stdin) as process:
            await greeting(process)
            ready.set_result(process)
            await asyncio.Event().wait()

    async def main() -> Process:
        ready = asyncio.get_running_loop().create_future()
        task = asyncio.create_task(hold(ready))
        process: Process = await ready
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        return process

    process = asyncio.run(main())
    assert process.returncode == -(signal.SIGKILL if stubborn else signal.SIGTERM)
    assert has_ended(process.pid)
