"""What a run of libFuzzer says about itself, read from its log."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

__all__ = ["Outcome", "excerpt", "read_log", "table"]

_STATISTIC: Final = re.compile(r"^stat::(\w+):\s+(\d+)", re.MULTILINE)
_STATE: Final = re.compile(r"\bcov: (\d+) ft: (\d+) corp: (\d+)/")
_PROGRESS: Final = re.compile(r"#\d+\s|INFO: ")
_HEADINGS: Final = ("target", "runs", "runs/s", "edges", "features", "corpus", "new", "MB", "")
_UNITS: Final = ("crash-", "timeout-", "oom-", "leak-")
"""How libFuzzer calls the files of inputs that ended it."""
_EXCERPT: Final = 30
_WIDTH: Final = 400
"""Lines and characters of what is shown of a log."""


@dataclass
class Outcome:
    """What came of one target.

    Attributes:
        target: its name.
        runs: how many inputs were run.
        runs_per_second: of them, on average.
        edges: branches of the library that were reached.
        features: edges with how often they were taken, roughly.
        corpus: inputs that are worth keeping.
        new: of them, found by this run.
        peak_mb: memory at most, in MB.
        crashes: files with inputs that broke a promise, took too long or too much memory.
        problem: what went wrong otherwise; empty if nothing did.
    """

    target: str
    runs: int = 0
    runs_per_second: int = 0
    edges: int = 0
    features: int = 0
    corpus: int = 0
    new: int = 0
    peak_mb: int = 0
    crashes: Sequence[Path] = ()
    problem: str = ""

    @property
    def good(self) -> bool:
        """Whether every promise was kept, as far as the run got."""
        return not self.crashes and not self.problem


def read_log(target: str, log: str, crashes: Sequence[Path] = ()) -> Outcome:
    """Read what libFuzzer wrote.

    Args:
        target: its name.
        log: all of it.
        crashes: files that the run has written where crashes go; those that it only found slow
            do not count.
    """
    statistics = {name: int(value) for name, value in _STATISTIC.findall(log)}
    states = _STATE.findall(log)
    edges, features, corpus = map(int, states[-1]) if states else (0, 0, 0)
    return Outcome(
        target,
        runs=statistics.get("number_of_executed_units", 0),
        runs_per_second=statistics.get("average_exec_per_sec", 0),
        edges=edges,
        features=features,
        corpus=corpus,
        new=statistics.get("new_units_added", 0),
        peak_mb=statistics.get("peak_rss_mb", 0),
        crashes=[path for path in crashes if path.name.startswith(_UNITS)],
    )


def table(outcomes: Sequence[Outcome]) -> str:
    """Return a table of what came of targets."""
    rows = [_HEADINGS, *map(_row, outcomes)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(_HEADINGS))]
    lines = []
    for row in rows:
        name, *numbers, word = row
        cells = [each.rjust(width) for each, width in zip(numbers, widths[1:-1], strict=True)]
        lines.append("  ".join([name.ljust(widths[0]), *cells, word]).rstrip())
    return "\n".join(lines)


def _row(outcome: Outcome) -> tuple[str, ...]:
    numbers = (
        outcome.runs,
        outcome.runs_per_second,
        outcome.edges,
        outcome.features,
        outcome.corpus,
        outcome.new,
        outcome.peak_mb,
    )
    word = "ok" if outcome.good else "CRASH" if outcome.crashes else "FAILED"
    return (outcome.target, *(f"{number:,}" for number in numbers), word)


def excerpt(log: str) -> str:
    """Return what a log says of the fault that ended it: the traceback, or else its end."""
    lines = [line for line in log.splitlines() if not _PROGRESS.match(line)]
    starts = [at for at, line in enumerate(lines) if "Uncaught Python exception" in line]
    start = starts[-1] if starts else max(0, len(lines) - _EXCERPT)
    return "\n".join(line[:_WIDTH] for line in lines[start : start + _EXCERPT])
