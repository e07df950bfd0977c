"""Runs Autobahn's fuzzing client against the test kit's server: ``python -m conformance.run``.

It exits with 0 when every case came out as ``expected_server.txt`` says: neither worse nor better.
It does so, too, when the suite cannot be installed here and CI does not insist on it. Reports,
logs and the actual results are left in ``build/conformance/server``.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import shutil
import signal
import sys
from asyncio.subprocess import Process
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from conformance.cases import choose
from conformance.fuzzing_client import FuzzingClient
from conformance.install import ROOT, Suite, install
from conformance.processes import ProcessError, running
from conformance.results import Result, Results, differences, dump, load, named, table
from support.unavailable import UnavailableError

TESTS = ROOT / "tests"
EXPECTED = Path(__file__).with_name("expected_server.txt")
FOLDER = ROOT / "build" / "conformance" / "server"
ACTUAL = FOLDER / "actual.txt"
SERVER_LOG = FOLDER / "server.log"

START_TIMEOUT = 20.0  # seconds
STALL_TIMEOUT = 500.0  # seconds; the suite itself gives its longest cases 480
LOOPBACK = ("127.0.0.1", "::1", "localhost")
INTERRUPTED = 130
HEADING = """What the cases of Autobahn's fuzzing client come out as against WebSocketTestServer.
Each line: the case, the verdict on the messages, the verdict on the closing handshake.
Written by: make conformance FULL=1 ARGS=--update"""


@dataclass
class Run:
    """What came of a run."""

    results: Results = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    """What went wrong besides the cases."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what the command line asks for; return the exit code."""
    parser = make_parser()
    given = parser.parse_args(arguments)
    try:
        suite = install()
        every = suite.case_ids()
    except UnavailableError as error:
        print(f"==> Conformance is {'not tested' if error.required else 'skipped'}: {error}")
        return int(error.required)
    try:
        cases = choose(every, ["*"] if given.all else given.cases)
    except ValueError as error:
        parser.error(str(error))
    shutil.rmtree(FOLDER, ignore_errors=True)
    FOLDER.mkdir(parents=True)
    try:
        run = asyncio.run(test(suite, cases, given))
    except (KeyboardInterrupt, asyncio.CancelledError):
        print("interrupted; every process has ended", file=sys.stderr)
        return INTERRUPTED
    return conclude(run, every, cases, given)


def make_parser() -> argparse.ArgumentParser:
    """Make the parser of the command line."""
    first = (__doc__ or "").partition(":")[0]
    parser = argparse.ArgumentParser(prog="python -m conformance.run", description=first)
    chosen = parser.add_mutually_exclusive_group()
    chosen.add_argument("cases", nargs="*", default=[], help="ids, or patterns such as '9.*'")
    chosen.add_argument("--all", action="store_true", help="run every case; takes minutes")
    target = parser.add_mutually_exclusive_group()
    target.add_argument("--url", type=loopback, help="test this server; all should be OK")
    target.add_argument("--update", action="store_true", help="make what comes out expected")
    parser.add_argument("--loop", choices=["asyncio", "uvloop"], default="asyncio")
    parser.add_argument("--jobs", type=positive, default=os.cpu_count() or 1, help="processes")
    return parser


def positive(text: str) -> int:
    """Read a number of at least 1."""
    if int(text) < 1:
        raise ValueError
    return int(text)


def loopback(text: str) -> str:
    """Read a URL of this machine."""
    parts = urlsplit(text)
    if parts.scheme != "ws" or parts.hostname not in LOOPBACK:
        raise argparse.ArgumentTypeError("give ws:// and an address of the loopback interface")
    return text


# Running.


async def test(suite: Suite, cases: Sequence[str], given: argparse.Namespace) -> Run:
    """Run the cases against the server that the command line names."""
    task = asyncio.current_task()
    assert task is not None
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    run = Run()
    try:
        if given.url:
            await fuzz(suite, given.url, cases, given.jobs, run)
        else:
            async with echo_server(given.loop) as url:
                await fuzz(suite, url, cases, given.jobs, run)
    except ProcessError as error:
        run.problems.append(str(error))
    return run


async def fuzz(suite: Suite, url: str, cases: Sequence[str], jobs: int, run: Run) -> None:
    """Run the cases against the server at `url`, and note in `run` what comes of it."""
    print(f"==> {len(cases)} cases against {url}", flush=True)
    client = FuzzingClient(suite, url, FOLDER, jobs=jobs, stall_timeout=STALL_TIMEOUT)
    run.results = await client.run(cases)
    run.problems += client.problems


@asynccontextmanager
async def echo_server(loop: str) -> AsyncIterator[str]:
    """Run the server under test; give its URL.

    Raises:
        ProcessError: it did not start, ended early, or ended with an error.
    """
    command = [sys.executable, "-m", "conformance.echo_server", "--loop", loop]
    path = os.pathsep.join(filter(None, [str(TESTS), os.environ.get("PYTHONPATH")]))
    environment = {**os.environ, "PYTHONPATH": path}
    async with running(command, env=environment, log=SERVER_LOG, stdin=True) as process:
        yield f"ws://127.0.0.1:{await read_port(process)}/"
        if process.returncode is not None:
            raise ProcessError(f"the server ended early; see {SERVER_LOG}")
    # What its handlers raised is raised at its end.
    if process.returncode != 0:
        raise ProcessError(f"the server ended with {process.returncode}; see {SERVER_LOG}")


async def read_port(process: Process) -> int:
    """Read the line that the server prints when it listens."""
    assert process.stdout is not None
    try:
        async with asyncio.timeout(START_TIMEOUT):
            return int(await process.stdout.readline())
    except (TimeoutError, ValueError):
        raise ProcessError(f"the server did not start; see {SERVER_LOG}") from None


# Reporting.


def conclude(
    run: Run, every: Sequence[str], cases: Sequence[str], given: argparse.Namespace
) -> int:
    """Print what came out and how it differs from what was expected; return the exit code."""
    ACTUAL.write_text(dump(run.results, HEADING), encoding="utf-8")
    results = {case: run.results.get(case) for case in cases}
    print(table(results))
    problems = run.problems
    if given.url:
        expected = ideal(run.results)
    else:
        if given.update and not problems and len(run.results) == len(cases):
            update(run.results, every)
        expected, complaints = read_expected(every)
        problems = problems + complaints
    differing = differences(expected, results)
    for line in [*differing, *problems]:
        print(line)
    as_expected = not problems and not differing
    print(f"==> {'As' if as_expected else 'NOT as'} expected. Reports and logs: {FOLDER}")
    return int(not as_expected)


def ideal(results: Results) -> Results:
    """Return what every server should reach: all OK, but for what only informs."""
    return {
        case: result if result.behavior == "INFORMATIONAL" else Result("OK", "OK")
        for case, result in results.items()
    }


def read_expected(every: Sequence[str]) -> tuple[Results, list[str]]:
    """Read what is expected; give it, and what is wrong with the file."""
    try:
        expected = load(EXPECTED)
    except (OSError, ValueError) as error:
        return {}, [f"the expected results cannot be read: {error}"]
    complaints = named(f"{EXPECTED.name} lacks", set(every) - set(expected))
    complaints += named("the suite does not know", set(expected) - set(every))
    return expected, complaints


def update(results: Results, every: Sequence[str]) -> None:
    """Make results the expected ones; those of cases that did not run stay as they are."""
    before = load(EXPECTED) if EXPECTED.exists() else {}
    known = {case: result for case, result in before.items() if case in every}
    EXPECTED.write_text(dump(known | results, HEADING), encoding="utf-8")
    print(f"==> Written: {EXPECTED}")


if __name__ == "__main__":
    sys.exit(main())
