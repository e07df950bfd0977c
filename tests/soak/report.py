"""What a part of the soak found: bounds with their reasons, figures, tables and curves."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from soak.measures import Sample, growth

__all__ = [
    "MIB",
    "Bound",
    "Curve",
    "Result",
    "Table",
    "markdown",
    "not_kept",
    "read",
    "steady",
    "write",
]

MIB = 1024 * 1024


@dataclass(frozen=True)
class Bound:
    """Something that must not be exceeded.

    Attributes:
        name: what it is.
        value: what was measured.
        limit: the largest value allowed.
        unit: of both.
        reason: why the limit is where it is.
    """

    name: str
    value: float
    limit: float
    unit: str
    reason: str

    @property
    def kept(self) -> bool:
        """Whether it was not exceeded."""
        return self.value <= self.limit

    def __str__(self) -> str:
        relation = "within" if self.kept else "NOT within"
        return f"{self.name}: {_short(self.value)}, {relation} {_short(self.limit)} {self.unit}"


@dataclass(frozen=True)
class Table:
    """Rows of text or numbers under one heading."""

    heading: str
    columns: tuple[str, ...]
    rows: list[tuple[Any, ...]]


@dataclass(frozen=True)
class Curve:
    """A quantity over how much had been done.

    Attributes:
        title: what it shows.
        x: name and unit of the first number of each point.
        y: name and unit of the second one.
        points: in the order in which they were measured.
        settled: from which point on they count.
    """

    title: str
    x: str
    y: str
    points: list[tuple[float, float]]
    settled: int = 0


@dataclass
class Result:
    """What one part found.

    Attributes:
        part: its name.
        title: its name for people.
        facts: figures that nothing depends on.
        bounds: what must hold.
        tables: more figures.
        curves: to be drawn.
        problems: what went wrong besides.
        seconds: how long it took.
    """

    part: str
    title: str
    facts: dict[str, str] = field(default_factory=dict)
    bounds: list[Bound] = field(default_factory=list)
    tables: list[Table] = field(default_factory=list)
    curves: list[Curve] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def broken(self) -> list[str]:
        """What did not hold."""
        return [str(bound) for bound in self.bounds if not bound.kept] + self.problems


def steady(
    samples: Sequence[Sample], *, warm: int, unit: str, large: float = 0, timers: int = 0
) -> list[Bound]:
    """Return the bounds that hold for whatever goes on and on.

    Args:
        samples: in the order in which they were taken.
        warm: how many of them belong to warming up.
        unit: what is done, such as ``"connects"``.
        large: MiB of large messages that are in memory at times, and may leave holes.
        timers: how many timers there are at times.
    """
    settled = samples[warm:]
    first = settled[0]
    span = settled[-1].at - first.at
    blocks = [(sample.at, float(sample.blocks)) for sample in settled]
    memory = [(sample.at, sample.resident / MIB) for sample in settled]
    bounds = [
        Bound(
            f"growth of memory over {span:,.0f} {unit}",
            growth(memory),
            2.0 + large,
            "MiB",
            f"A line through {len(settled)} samples of RSS. Python takes memory 1 MiB at a time: "
            "two such steps are chance"
            + (f", and so are {large:g} MiB of large messages, now freed." if large else "."),
        ),
        Bound(
            f"growth of allocated blocks over {span:,.0f} {unit}",
            growth(blocks),
            1500,
            "blocks",
            "Whatever leaks consists of blocks. The loop keeps up to 100 cancelled timers, each "
            "with a dozen of them, and there are caches.",
        ),
    ]
    same = "At each sample nothing is underway, so it is the same number."
    for name in ("descriptors", "threads", "timers", "ready", "tasks"):
        allowed = timers if name == "timers" else 0
        bounds.append(
            Bound(
                f"more {_NAMES[name]} than after warming up",
                max(getattr(sample, name) for sample in settled) - getattr(first, name),
                allowed,
                "",
                "Each connection has a timer for the next ping, and at times one for a deadline."
                if allowed
                else same,
            )
        )
    return bounds


def not_kept(before: int, after: int) -> Bound:
    """Return the bound for memory that is in use when everything free has been given back.

    Args:
        before: bytes after warming up, see `trimmed`.
        after: bytes in the end.
    """
    return Bound(
        "more memory in use in the end than after warming up",
        (after - before) / MIB,
        2.0,
        "MiB",
        "RSS when the C library has given back what is free. Python takes memory 1 MiB at a time: "
        "two such steps are chance.",
    )


_NAMES = {
    "descriptors": "descriptors",
    "threads": "threads",
    "timers": "pending timers",
    "ready": "waiting callbacks",
    "tasks": "tasks",
}


def write(results: Sequence[Result], path: Path) -> None:
    """Write results as JSON."""
    path.write_text(json.dumps([asdict(each) for each in results], indent=1), encoding="utf-8")


def read(path: Path) -> list[Result]:
    """Read what `write` has written."""
    results = []
    for plain in json.loads(path.read_text(encoding="utf-8")):
        plain["bounds"] = [Bound(**each) for each in plain["bounds"]]
        plain["tables"] = [
            Table(each["heading"], tuple(each["columns"]), [tuple(row) for row in each["rows"]])
            for each in plain["tables"]
        ]
        plain["curves"] = [Curve(**each) for each in plain["curves"]]
        results.append(Result(**plain))
    return results


def markdown(results: Sequence[Result], heading: str) -> str:
    """Return a page about the results.

    Args:
        results: of all parts.
        heading: what was run, and on what.
    """
    lines = ["# Soak", "", heading, ""]
    for result in results:
        lines += [f"## {result.title}", "", f"It took {result.seconds:.0f} s.", ""]
        lines += [f"- {name}: {value}" for name, value in result.facts.items()]
        lines += [f"- **{problem}**" for problem in result.problems]
        lines.append("")
        if result.bounds:
            lines += _rows(
                ("", "measured", "bound", "unit", "why"),
                [
                    (
                        bound.name if bound.kept else f"**{bound.name}: BROKEN**",
                        _short(bound.value),
                        _short(bound.limit),
                        bound.unit,
                        bound.reason,
                    )
                    for bound in result.bounds
                ],
            )
        for table in result.tables:
            lines += [f"### {table.heading}", "", *_rows(table.columns, table.rows)]
    return "\n".join(lines).rstrip() + "\n"


def _rows(columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> list[str]:
    lines = ["| " + " | ".join(columns) + " |", "|" + "---|" * len(columns)]
    for row in rows:
        lines.append("| " + " | ".join(map(_cell, row)) + " |")
    return [*lines, ""]


def _cell(value: Any) -> str:
    return _short(value) if isinstance(value, int | float) else str(value).replace("|", r"\|")


def _short(value: float) -> str:
    if value == int(value):
        return f"{int(value):,}"
    return f"{value:,.1f}" if abs(value) >= 100 else f"{value:.3g}"
