"""Each hostile server gets the outcome that the table has, within its memory and its time."""

from __future__ import annotations

import importlib.util

import pytest

from robustness.hostile.case import MIB, Case
from robustness.hostile.identities import Identities
from robustness.hostile.launching import Result, Victims
from robustness.hostile.report import Results
from robustness.hostile.staging import stage
from robustness.hostile.table import CASES

LONGEST_TEXT = 4096
"""Characters of one error, hint or log line: more is no help to anybody, and fills logs."""

LONGEST_BODY = 64 * 1024
"""Bytes of the body in a `HandshakeError`."""


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_hostile_server(
    case: Case, loop: str, victims: Victims, identities: Identities, results: Results
) -> None:
    if importlib.util.find_spec(loop) is None:
        pytest.skip(f"{loop} is not installed")
    result = stage(case, loop, victims, identities)
    results.add(case, loop, result)
    assert result.outcome == case.outcome, result.lines
    assert case.messages in (None, result.messages)
    assert result.left == []
    assert result.size <= LONGEST_BODY or result.messages
    assert unfit_texts(result) == []
    assert result.seconds <= case.seconds
    assert result.peak <= case.memory * MIB, f"{result.peak / MIB:.1f} MiB, {case.bound}"


def unfit_texts(result: Result) -> list[str]:
    """Return what would write log lines of its own, steer a terminal, or fill a disk."""
    unfit = [line for line in result.lines if not line.isprintable() or len(line) > LONGEST_TEXT]
    return unfit + [text for text in result.tracebacks if not text.replace("\n", "").isprintable()]


def test_the_names_of_attacks_differ() -> None:
    names = [case.name for case in CASES]
    assert len(set(names)) == len(names)
