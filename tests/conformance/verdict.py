"""Tells whether a run came out as expected, and updates what is expected."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from conformance.results import Result, Results, differences, dump, load, named, table

__all__ = ["conclude", "headings", "ideal", "read_expected", "update"]

_SUBJECTS = {
    "client": "What the cases of Autobahn's fuzzing server come out as for websocket_connect().",
    "server": "What the cases of Autobahn's fuzzing client come out as against"
    " WebSocketTestServer.",
}


def headings(side: str) -> str:
    """Return the text at the top of a file of results."""
    return f"""{_SUBJECTS[side]}
Each line: the case, the verdict on the messages, the verdict on the closing handshake.
Written by: make conformance FULL=1 ARGS="--side {side} --update\""""


def conclude(
    expected: Mapping[str, Result], actual: Mapping[str, Result | None], problems: Sequence[str]
) -> bool:
    """Print what came out and how it differs from what was expected; tell whether it does not.

    Args:
        expected: the expected results, also of cases that did not run.
        actual: a result of each case that was to run; ``None`` where there is none.
        problems: what went wrong besides the cases.
    """
    print(table(actual))
    differing = differences(expected, actual)
    for line in [*differing, *problems]:
        print(line)
    return not differing and not problems


def ideal(results: Results) -> Results:
    """Return what every program should reach: all OK, but for what only informs."""
    return {
        case: result if result.behavior == "INFORMATIONAL" else Result("OK", "OK")
        for case, result in results.items()
    }


def read_expected(path: Path, every: Sequence[str]) -> tuple[Results, list[str]]:
    """Read what is expected; give it, and what is wrong with the file."""
    try:
        expected = load(path)
    except (OSError, ValueError) as error:
        return {}, [f"the expected results cannot be read: {error}"]
    complaints = named(f"{path.name} lacks", set(every) - set(expected))
    complaints += named("the suite does not know", set(expected) - set(every))
    return expected, complaints


def update(path: Path, results: Results, every: Sequence[str], heading: str) -> None:
    """Make results the expected ones; those of cases that did not run stay as they are."""
    before = load(path) if path.exists() else {}
    known = {case: result for case, result in before.items() if case in every}
    path.write_text(dump(known | results, heading), encoding="utf-8")
    print(f"==> Written: {path}")
