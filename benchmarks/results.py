"""What was measured, its medians, and what came of the targets."""

from __future__ import annotations

import json
import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from benchmarks.works import Target, Work

__all__ = ["Result", "Series", "Verdict", "judged", "read", "write"]


@dataclass
class Series:
    """All measurements of one entrant in one work.

    Attributes:
        costs: in the work's unit, one for each round.
        walls: µs that passed, one for each round.
    """

    costs: list[float] = field(default_factory=list)
    walls: list[float] = field(default_factory=list)

    @property
    def cost(self) -> float:
        """The median."""
        return statistics.median(self.costs)

    @property
    def wall(self) -> float:
        """The median."""
        return statistics.median(self.walls)


@dataclass
class Result:
    """All measurements of one work.

    Attributes:
        work: its name.
        series: by entrant, in the order in which they take turns.
    """

    work: str
    series: dict[str, Series] = field(default_factory=dict)

    def add(self, other: Result) -> None:
        """Add the rounds of another run of the same work."""
        for name, series in other.series.items():
            mine = self.series.setdefault(name, Series())
            mine.costs += series.costs
            mine.walls += series.walls


@dataclass(frozen=True)
class Verdict:
    """What came of a target.

    Attributes:
        target: the target.
        ours: the best of ours.
        theirs: the best of theirs, ``None`` for a bound of its own.
        value: how many times the other's cost ours is; or our cost.
    """

    target: Target
    ours: str
    theirs: str | None
    value: float

    @property
    def met(self) -> bool:
        """Whether the target is met."""
        return self.value <= self.target.most


def judged(work: Work, result: Result) -> list[Verdict]:
    """Compare with the targets, but for those of which nothing was measured."""
    verdicts = []
    for target in work.targets:
        ours = _best(target.ours, result)
        theirs = _best(target.theirs, result)
        if ours is None or (theirs is None and target.theirs):
            continue
        cost = result.series[ours].cost
        value = cost if theirs is None else cost / result.series[theirs].cost
        verdicts.append(Verdict(target, ours, theirs, value))
    return verdicts


def _best(names: Sequence[str], result: Result) -> str | None:
    there = [name for name in names if name in result.series]
    return min(there, key=lambda name: result.series[name].cost, default=None)


def write(results: Sequence[Result], about: dict[str, str], path: Path) -> None:
    """Write results as JSON.

    Args:
        results: of all works.
        about: the machine, versions and the like.
        path: of the file.
    """
    plain = {"about": about, "results": [asdict(each) for each in results]}
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(plain, indent=1), encoding="utf-8")


def read(path: Path) -> tuple[list[Result], dict[str, str]]:
    """Read what `write` has written."""
    plain = json.loads(path.read_text(encoding="utf-8"))
    results = [
        Result(each["work"], {name: Series(**series) for name, series in each["series"].items()})
        for each in plain["results"]
    ]
    return results, plain["about"]
