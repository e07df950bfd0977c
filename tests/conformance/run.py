"""Runs Autobahn's suite on our client and on the test kit's server: ``conformance.run``.

The suite's fuzzing server tests the client, its fuzzing client the server. The exit code is 0
when every case came out as ``expected_client.txt`` and ``expected_server.txt`` say: neither worse
nor better. It is 0, too, when the suite cannot be installed here and CI does not insist on it.
Reports, logs and the actual results are left in ``build/conformance``.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import shutil
import signal
import sys
from collections.abc import Sequence
from urllib.parse import urlsplit

from conformance.batches import Run, run_batches
from conformance.cases import choose, is_compressed, share
from conformance.configurations import (
    CONFIGURATIONS,
    LOOPS,
    SIDES,
    STYLES,
    Configuration,
    select,
)
from conformance.fuzzing_client import FuzzingClient, echo_server
from conformance.fuzzing_server import FuzzingServer
from conformance.install import Suite, install
from conformance.processes import ProcessError
from conformance.results import dump
from conformance.verdict import conclude, headings, ideal, read_expected, update
from support.unavailable import UnavailableError

STALL_TIMEOUT = 500.0  # seconds; the suite itself gives its longest cases 480
LOOPBACK = ("127.0.0.1", "::1", "localhost")
INTERRUPTED = 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what the command line asks for; return the exit code."""
    parser = make_parser()
    given = parser.parse_args(arguments)
    if given.url and given.side == "client":
        parser.error("--url names a server to test")
    side = None if given.side == "both" else given.side
    chosen = select("server" if given.url else side, given.loop, given.style)
    if not chosen:
        names = ", ".join(each.name for each in CONFIGURATIONS)
        parser.error(f"there is no such configuration; there are {names}")
    try:
        suite = install()
        every = suite.case_ids()
    except UnavailableError as error:
        return missing("Conformance", error)
    try:
        cases = choose(every, ["*"] if given.all else given.cases)
    except ValueError as error:
        parser.error(str(error))
    code = 0
    try:
        for configuration in chosen:
            if given.spread:
                cases = spread(every, configuration, chosen, one_in=given.spread)
            code |= test(configuration, suite, cases, every, given)
    except (KeyboardInterrupt, asyncio.CancelledError):
        print("interrupted; every process has ended", file=sys.stderr)
        return INTERRUPTED
    return code


def spread(
    every: Sequence[str],
    configuration: Configuration,
    chosen: Sequence[Configuration],
    *,
    one_in: int = 1,
) -> list[str]:
    """Return what one of several configurations has to do for every case to be run once.

    Args:
        every: the ids of all cases.
        configuration: the one that is asked for.
        chosen: all that run.
        one_in: with 2, every second of the long cases is run once, and so on.
    """
    if configuration.pure:
        return [case for case in choose(every, []) if not is_compressed(case)]
    same = [each for each in chosen if each.side == configuration.side and not each.pure]
    return share(every, same.index(configuration), len(same) * one_in)


def make_parser() -> argparse.ArgumentParser:
    """Make the parser of the command line."""
    first = (__doc__ or "").partition(":")[0]
    parser = argparse.ArgumentParser(prog="python -m conformance.run", description=first)
    chosen = parser.add_mutually_exclusive_group()
    chosen.add_argument("cases", nargs="*", default=[], help="ids, or patterns such as '9.*'")
    chosen.add_argument("--all", action="store_true", help="run every case; takes minutes")
    chosen.add_argument(
        "--spread",
        type=positive,
        nargs="?",
        const=1,
        metavar="N",
        help="run the quick cases on every configuration of a side, and one in N of the long ones "
        "(all without N) on one",
    )
    target = parser.add_mutually_exclusive_group()
    target.add_argument("--url", type=loopback, help="test this server; all should be OK")
    target.add_argument("--update", action="store_true", help="make what comes out expected")
    parser.add_argument("--side", choices=[*SIDES, "both"], default="both", help="which of ours")
    parser.add_argument("--loop", choices=LOOPS, help="on this event loop, in every style")
    parser.add_argument("--style", choices=STYLES, help="in this style, on every event loop")
    parser.add_argument(
        "--jobs", type=positive, default=os.cpu_count() or 1, help="batches at once"
    )
    repeat = "run each case so many times; of the client only"
    parser.add_argument("--repeat", type=positive, default=1, help=repeat)
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


def missing(what: str, error: UnavailableError) -> int:
    """Say what is not tested and why; return the exit code."""
    print(f"==> {what} is {'not tested' if error.required else 'skipped'}: {error}")
    return int(error.required)


def test(
    configuration: Configuration,
    suite: Suite,
    cases: Sequence[str],
    every: Sequence[str],
    given: argparse.Namespace,
) -> int:
    """Test one configuration, print what came of it, and return the exit code."""
    try:
        configuration.check()
    except UnavailableError as error:
        return missing(configuration.name, error)
    shutil.rmtree(configuration.folder, ignore_errors=True)
    configuration.folder.mkdir(parents=True)
    print(f"==> {configuration.name}: {len(cases)} cases", flush=True)
    run = asyncio.run(fuzz(configuration, suite, cases, given))
    heading = headings(configuration.side)
    configuration.actual.write_text(dump(run.results, heading), encoding="utf-8")
    problems = run.problems
    if given.url:
        expected = ideal(run.results)
    else:
        if given.update and not problems and len(run.results) == len(cases):
            update(configuration.expected, run.results, every, heading)
        expected, complaints = read_expected(configuration.expected, every)
        problems = problems + complaints
    good = conclude(expected, {case: run.results.get(case) for case in cases}, problems)
    print(
        f"==> {configuration.name}: {'as' if good else 'NOT as'} expected,"
        f" in {run.seconds:.0f} s. Reports and logs: {configuration.folder}"
    )
    return int(not good)


async def fuzz(
    configuration: Configuration, suite: Suite, cases: Sequence[str], given: argparse.Namespace
) -> Run:
    """Run the cases on one configuration."""
    task = asyncio.current_task()
    assert task is not None
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    folder = configuration.folder
    repeat = given.repeat if configuration.side == "client" else 1
    run = Run(len(cases) * repeat, STALL_TIMEOUT)
    try:
        if configuration.side == "client":
            options = ("--loop", configuration.loop, "--style", configuration.style)
            environment = configuration.environment
            server = FuzzingServer(suite, options, environment, folder, repeat=repeat)
            await run_batches(server, cases, run, jobs=given.jobs)
        elif given.url:
            client = FuzzingClient(suite, given.url, folder)
            await run_batches(client, cases, run, jobs=given.jobs)
        else:
            async with echo_server(configuration.loop, folder / "server.log") as url:
                client = FuzzingClient(suite, url, folder)
                await run_batches(client, cases, run, jobs=given.jobs)
    except ProcessError as error:
        run.problems.append(str(error))
    return run


if __name__ == "__main__":
    sys.exit(main())
