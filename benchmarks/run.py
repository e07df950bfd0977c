"""Measures: ``python -m benchmarks.run``; ``--help`` for what else.

It takes about half an hour, on one CPU that should have nothing else to do, and longer where
others slow it down.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Iterable, Sequence
from dataclasses import replace
from fnmatch import fnmatchcase
from pathlib import Path

import wsclient
from benchmarks.entrants import ENTRANTS
from benchmarks.machine import COMPARABLE, describe
from benchmarks.measure import MeasuringError, Server, rounds, serving
from benchmarks.report import leave, shown
from benchmarks.results import Result, Series, read, write
from benchmarks.speed import full_speed
from benchmarks.works import CURVES, MAIN, WORKS, Work

__all__ = ["main"]

_ROUNDS = 7
_FEW_ROUNDS = 3
_QUICK_SECONDS = 0.03


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what the command line asks for; return the exit code."""
    given = _parser().parse_args(arguments)
    if given.report:
        leave(*read(given.report))
        return 0
    about = describe()
    results = _earlier(given.add, about) if given.add else {}
    for name, value in about.items():
        _say(f"{name}: {value}")
    _say(f"wsclient from: {Path(wsclient.__file__).parent}")
    broken = []
    with serving(given.core) as listening:
        server = replace(listening, spin=full_speed(given.core))
        for work in given.works:
            try:
                measured = _measured(work, given, server)
            except MeasuringError as error:
                broken.append(str(error))
                _say(f"==> {error}")
                continue
            result = results.setdefault(work.name, Result(work.name))
            result.add(measured)
            print(shown(work, result), flush=True)
            if given.json:
                write(_in_order(results), about, given.json)
    if given.docs:
        leave(_in_order(results), about)
    return int(bool(broken))


def _earlier(path: Path, about: dict[str, str]) -> dict[str, Result]:
    """Read the figures that others are added to; end here if they were measured elsewhere."""
    results, then = read(path)
    for name in COMPARABLE:
        if then.get(name) != about[name]:
            sys.exit(f"{path}: {name} was {then.get(name)}, and is {about[name]}")
    return {each.work: each for each in results}


def _in_order(results: dict[str, Result]) -> list[Result]:
    """Return the results as the page has them, whatever was measured first."""
    return [results[name] for name in WORKS if name in results]


def _measured(work: Work, given: argparse.Namespace, server: Server) -> Result:
    names = [name for name in work.entrants if name in given.peers]
    for name in list(names):
        if missing := ENTRANTS[name].missing:
            _say(f"{work.name}: without {name}, {', '.join(missing)} is not installed")
            names.remove(name)
    result = Result(work.name, {name: Series() for name in names})
    # Memory is the same each time.
    few = work.curve or work.kind == "idle"
    number = given.rounds or (_FEW_ROUNDS if few else _ROUNDS)
    begin = time.monotonic()
    seconds = _QUICK_SECONDS if given.quick else 0.0
    measured = rounds(work, names, server, number, seconds=seconds)
    for done, (name, outcome) in enumerate(measured, start=1):
        result.series[name].costs.append(outcome.cost)
        result.series[name].walls.append(outcome.wall)
        if not outcome.full_speed:
            _say(f"{name}: the CPU was slow all the time")
        if done % len(names) == 0:
            took = time.monotonic() - begin
            _say(f"[{work.name} {took:4.0f} s] round {done // len(names)} of {number}")
    return result


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.run",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog=_names(),
    )
    parser.add_argument(
        "--works",
        type=_works,
        default=[*MAIN, *CURVES],
        help="names separated by commas, with * for any; or main, or curves",
    )
    parser.add_argument(
        "--peers",
        type=_peers,
        default=frozenset(ENTRANTS),
        help="names separated by commas, with * for any",
    )
    parser.add_argument(
        "--rounds",
        type=int,
        help=f"{_ROUNDS} by default, {_FEW_ROUNDS} for curves and memory",
    )
    parser.add_argument(
        "--core",
        type=int,
        default=(os.cpu_count() or 1) - 1,
        help="the CPU for server and clients, the last one by default",
    )
    parser.add_argument("--json", type=Path, help="a file for all figures")
    parser.add_argument(
        "--add", type=Path, help="a file of --json, to whose figures more rounds are added"
    )
    parser.add_argument("--quick", action="store_true", help="a third of the messages")
    parser.add_argument("--docs", action="store_true", help="write docs/performance.md")
    parser.add_argument("--report", type=Path, help="measure nothing; read a file of --json")
    return parser


def _names() -> str:
    lines = ["works:", *(f"  {work.name:26}{work.title}" for work in WORKS.values())]
    lines += ["", "clients:", *(f"  {each.name:26}{each.about}" for each in ENTRANTS.values())]
    return "\n".join(lines)


def _works(text: str) -> list[Work]:
    if text in ("main", "curves"):
        return [*(MAIN if text == "main" else CURVES)]
    return [WORKS[name] for name in _chosen(text, WORKS)]


def _peers(text: str) -> frozenset[str]:
    return frozenset(_chosen(text, ENTRANTS))


def _chosen(text: str, names: Iterable[str]) -> list[str]:
    """Return the names that the patterns match, in the names' order."""
    patterns = text.split(",")
    known = list(names)
    for pattern in patterns:
        if not any(fnmatchcase(name, pattern) for name in known):
            raise argparse.ArgumentTypeError(f"there is no {pattern}")
    return [name for name in known if any(fnmatchcase(name, each) for each in patterns)]


if __name__ == "__main__":
    sys.exit(main())
