"""Which cases run, and in which processes."""

from __future__ import annotations

import fnmatch
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from conformance.results import case_key

__all__ = ["HEAVY", "Batch", "choose", "is_compressed", "is_default", "plan", "share"]

_QUICK_PROCESSES = 4
_LONG = ("12", "13")
"""Compression; each case echoes a thousand messages."""
_LONG_BY_DEFAULT = frozenset("1 2 3 4 5 6 11".split())
"""Of these, messages of 16 to 8192 bytes and one of the fragmented ones; the others only have
larger messages, and take nine tenths of the time."""
HEAVY = ("9", *_LONG)
"""Chapters that take all that the machine gives."""


@dataclass(frozen=True)
class Batch:
    """Cases that one process runs one after the other."""

    name: str
    """Names a folder, such as ``"12.1"``."""
    cases: tuple[str, ...]


def is_default(case: str) -> bool:
    """Tell whether a case is run unless everything is."""
    return not is_compressed(case) or case.split(".")[-1] in _LONG_BY_DEFAULT


def is_compressed(case: str) -> bool:
    """Tell whether a case is about compression, in which the frame codec has little part."""
    return case.split(".")[0] in _LONG


def choose(every: Iterable[str], patterns: Sequence[str]) -> list[str]:
    """Return the cases that match one of the patterns, in their order.

    Args:
        every: the ids of all cases.
        patterns: ids, or shell patterns such as ``"9.*"``; without any, the default cases.

    Raises:
        ValueError: a pattern matches no case.
    """
    ordered = sorted(every, key=case_key)
    if not patterns:
        return [case for case in ordered if is_default(case)]
    for pattern in patterns:
        if not fnmatch.filter(ordered, pattern):
            raise ValueError(f"no case matches {pattern!r}; try '9.*', or '*' for all")
    return [case for case in ordered if any(fnmatch.fnmatchcase(case, each) for each in patterns)]


def share(every: Iterable[str], number: int, of: int) -> list[str]:
    """Return what one of several runs has to do for every case to be run at least once.

    Args:
        every: the ids of all cases.
        number: 0 for the first run.
        of: how many runs there are. All have the default cases; the others are dealt out.
    """
    ordered = sorted(every, key=case_key)
    dealt = set([case for case in ordered if not is_default(case)][number::of])
    return [case for case in ordered if is_default(case) or case in dealt]


def plan(cases: Iterable[str]) -> list[list[Batch]]:
    """Return the batches in two phases: those that run first, and those that run after them.

    The cases of the first phase wait, and some are judged by time: they run while the machine
    has nothing else to do, several at once. Those of the second take all the machine gives.
    """
    quick: dict[str, list[str]] = {}
    heavy: dict[str, list[str]] = {}
    for number, case in enumerate(sorted(cases, key=case_key)):
        parts = case.split(".")
        if parts[0] in HEAVY:
            heavy.setdefault(".".join(parts[:2]) if parts[0] in _LONG else "9", []).append(case)
        else:
            quick.setdefault(f"quick-{number % _QUICK_PROCESSES + 1}", []).append(case)
    return [
        [Batch(name, tuple(found)) for name, found in phase.items()]
        for phase in (quick, heavy)
        if phase
    ]
