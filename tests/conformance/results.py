"""What the cases came out as: the file of expected results, and how the actual ones differ."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

__all__ = [
    "Result",
    "Results",
    "case_key",
    "combine",
    "differences",
    "dump",
    "load",
    "named",
    "read_report",
    "read_reports",
    "table",
]

_BEHAVIORS = ("OK", "NON-STRICT", "FAILED", "UNIMPLEMENTED", "INFORMATIONAL")
_CLOSES = ("OK", "FAILED", "WRONG CODE", "UNCLEAN", "FAILED BY CLIENT", "INFORMATIONAL")
_BY_SEVERITY = ("OK", "INFORMATIONAL", "NON-STRICT", "UNIMPLEMENTED", "FAILED")
_MOST_SHOWN = 20


@dataclass(frozen=True)
class Result:
    """What one case came out as."""

    behavior: str
    """The suite's verdict on the messages."""
    close: str
    """The suite's verdict on the closing handshake."""
    seconds: float = field(default=0.0, compare=False)
    """How long it took."""
    details: tuple[str, ...] = field(default=(), compare=False)
    """Why, in the suite's words, and where its report is."""

    def __str__(self) -> str:
        return f"{self.behavior} {self.close}"


Results = dict[str, Result]
"""Results by the id of the case, such as ``"9.3.1"``."""


def case_key(case: str) -> tuple[int, ...]:
    """Return what sorts ids as a person would: 1.2.10 behind 1.2.9."""
    return tuple(int(part) for part in case.split("."))


def load(path: Path) -> Results:
    """Read a file of results: a line for each case, empty lines and comments apart.

    Raises:
        OSError: the file cannot be read.
        ValueError: a line is not a result, a case comes twice, or the order is wrong.
    """
    found: Results = {}
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        if not line or line.startswith("#"):
            continue
        case, _, rest = line.partition(" ")
        behavior, _, close = rest.partition(" ")
        if behavior not in _BEHAVIORS or close not in _CLOSES:
            raise ValueError(f"{path.name}:{number}: this is not a result: {line!r}")
        if case in found:
            raise ValueError(f"{path.name}:{number}: case {case} stands there twice")
        found[case] = Result(behavior, close)
    if list(found) != sorted(found, key=case_key):
        raise ValueError(f"{path.name}: the cases are not in order; run with --update")
    return found


def dump(results: Mapping[str, Result], heading: str) -> str:
    """Return the text of a file of results, in the order of the cases."""
    lines = [f"# {line}" for line in heading.splitlines()]
    lines += [f"{case} {results[case]}" for case in sorted(results, key=case_key)]
    return "\n".join(lines) + "\n"


def read_report(folder: Path) -> Results:
    """Read what the suite wrote into `folder` about one agent, the tested server.

    Raises:
        OSError: there is no report, or not all of it.
        ValueError: the report cannot be read, or is not about one agent.
    """
    agents = read_reports(folder)
    if len(agents) != 1:
        raise ValueError(f"the report is about {len(agents)} servers and not one: {folder}")
    (results,) = agents.values()
    return results


def read_reports(folder: Path) -> dict[str, Results]:
    """Read what the suite wrote into `folder`: the results of each agent by its name.

    Raises:
        OSError: there is no report, or not all of it.
        ValueError: the report cannot be read.
    """
    agents = json.loads((folder / "index.json").read_text(encoding="utf-8"))
    return {
        agent: {case: _read_case(folder, found) for case, found in cases.items()}
        for agent, cases in agents.items()
    }


def combine(repetitions: Sequence[Results]) -> Results:
    """Return the worst result of each case, with the time of all its repetitions.

    A case that has no result in one of them has none.
    """
    combined: Results = {}
    for case in set.intersection(*map(set, repetitions)):
        found = [results[case] for results in repetitions]
        worst = max(found, key=_severity)
        details = worst.details
        alike = found.count(worst)
        if alike < len(found):
            details = (f"It came out so {alike} times of {len(found)}.", *details)
        seconds = sum(each.seconds for each in found)
        combined[case] = Result(worst.behavior, worst.close, seconds, details)
    return combined


def _severity(result: Result) -> tuple[int, int]:
    return _BY_SEVERITY.index(_verdict(result)), _CLOSES.index(result.close)


def _read_case(folder: Path, found: Mapping[str, str | float]) -> Result:
    details: tuple[str, ...] = ()
    if (found["behavior"], found["behaviorClose"]) != ("OK", "OK"):
        path = folder / str(found["reportfile"])
        report = json.loads(path.read_text(encoding="utf-8"))
        details = (report["result"], report["resultClose"], f"{path.with_suffix('.html')}")
    return Result(
        behavior=str(found["behavior"]),
        close=str(found["behaviorClose"]),
        seconds=float(found["duration"]) / 1000,
        details=details,
    )


def differences(expected: Mapping[str, Result], actual: Mapping[str, Result | None]) -> list[str]:
    """Say where `actual` is not as expected, for better or for worse; empty when nowhere.

    Args:
        expected: the expected results, also of cases that did not run.
        actual: a result of each case that was to run; ``None`` where there is none.
    """
    found: list[str] = []
    for case in sorted(actual, key=case_key):
        wanted, got = expected.get(case), actual[case]
        if wanted and got and wanted != got:
            found.append(f"{case}: {got}; expected: {wanted}")
            found += [f"    {line}" for line in got.details]
    unknown = [case for case, got in actual.items() if got and case not in expected]
    found += named("nothing is expected of", unknown)
    found += named("there is no result of", [case for case, got in actual.items() if not got])
    return found


def named(what: str, cases: Collection[str]) -> list[str]:
    """Return a line about cases, with the names of the first; none when there are none."""
    if not cases:
        return []
    shown = sorted(cases, key=case_key)[:_MOST_SHOWN]
    more = ", ..." if len(cases) > len(shown) else ""
    return [f"{what} {len(cases)} of the cases: {', '.join(shown)}{more}"]


def table(results: Mapping[str, Result | None]) -> str:
    """Return one row for each section and one for all: how many cases came out as what.

    A case counts as OK only when its closing handshake is OK as well.
    """
    rows = [["section", "cases", *_BEHAVIORS, "no result", "seconds"]]
    sections: dict[str, list[Result | None]] = {}
    for case in sorted(results, key=case_key):
        sections.setdefault(_section(case), []).append(results[case])
    rows += [_row(name, found) for name, found in sections.items()]
    rows.append(_row("all", results.values()))
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return "\n".join(
        "  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True))
        for row in rows
    )


def _row(name: str, results: Iterable[Result | None]) -> list[str]:
    every = list(results)
    counts = Counter(_verdict(each) for each in every)
    seconds = sum(each.seconds for each in every if each)
    numbers = [len(every), *(counts[name] for name in _BEHAVIORS), counts[""]]
    return [name, *(str(number or "-") for number in numbers), f"{seconds:.1f}"]


def _verdict(result: Result | None) -> str:
    """Return the worse of the two verdicts, as one of the behaviors; empty without a result."""
    if result is None:
        return ""
    if result.behavior == "OK" and result.close not in ("OK", "INFORMATIONAL"):
        return "FAILED"
    return result.behavior


def _section(case: str) -> str:
    """Return the chapter of a case, and of the long chapters the part: 9, but 12.1."""
    parts = case.split(".")
    return ".".join(parts[:2]) if parts[0] in ("12", "13") else parts[0]
