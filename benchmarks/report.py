"""What was measured, for a terminal, and for the generated part of docs/performance.md."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import Final

from benchmarks.charts import Curves, Panel, bars, curves, figure
from benchmarks.entrants import ENTRANTS
from benchmarks.results import Result, Verdict, judged
from benchmarks.works import WORKS, Work

__all__ = ["BEGIN", "END", "DocumentError", "leave", "page", "pictures", "shown"]

DOCS: Final = Path(__file__).resolve().parents[1] / "docs"

BEGIN: Final = "<!-- measured: the part up to the next comment is written by `make bench` -->"
END: Final = "<!-- measured, end -->"

_DRAWN: Final = (
    *("flood-128", "flood-1024", "echo-256", "tls-echo-256", "echo-20k", "echo-1m"),
    *("send-128", "deflate-6", "connect", "idle-tls"),
)
"""The works with bars."""


class DocumentError(Exception):
    """The page lacks the comments between which the figures belong."""


# For a terminal


def shown(work: Work, result: Result) -> str:
    """Return a work's figures: medians, extremes, and our cost over each one's."""
    ours = [name for name in result.series if ENTRANTS[name].ours]
    heads = ["", "median", "min", "max", "wall"]
    heads += [name.removeprefix("wsclient") or "wsclient" for name in ours]
    rows = [heads]
    for name, series in result.series.items():
        row = [name, *map(figure, (series.cost, min(series.costs), max(series.costs)))]
        row.append(figure(series.wall) if series.wall else "")
        row += [f"{result.series[our].cost / series.cost:.2f}" for our in ours]
        rows.append(row)
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [f"{work.name}: {work.title}, {work.unit}; then our cost / theirs"]
    for row in rows:
        first, *rest = (cell.rjust(width) for cell, width in zip(row, widths, strict=True))
        lines.append("  ".join([row[0].ljust(len(first)), *rest]))
    lines += [_said(verdict) for verdict in judged(work, result)]
    return "\n".join([*lines, ""])


def _said(verdict: Verdict) -> str:
    word = "met" if verdict.met else "NOT MET"
    what = verdict.ours + (f" / {verdict.theirs}" if verdict.theirs else "")
    return f"  {word}: {what}: {figure(verdict.value)} (target {verdict.target.most:g})"


# For the page


def leave(results: Sequence[Result], about: Mapping[str, str], docs: Path = DOCS) -> None:
    """Write the generated part of performance.md, and the pictures beside it.

    Args:
        results: of all works.
        about: the machine, versions and the like.
        docs: the folder.

    Raises:
        DocumentError: the page lacks the comments between which it belongs.
    """
    file = docs / "performance.md"
    text = file.read_text(encoding="utf-8")
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise DocumentError(f"{file} lacks {END if begin else BEGIN!r}")
    drawn = pictures(results)
    for name, picture in drawn.items():
        (docs / name).write_text(picture, encoding="utf-8")
    generated = page(results, about, list(drawn))
    file.write_text(f"{before}{BEGIN}\n\n{generated}\n{END}{after}", encoding="utf-8")


def pictures(results: Sequence[Result]) -> dict[str, str]:
    """Return the pictures by the names of their files."""
    found = {}
    panels = [
        _panel(WORKS[result.work], result)
        for name in _DRAWN
        for result in results
        if result.work == name and result.series
    ]
    if panels:
        found["performance.svg"] = bars("Shorter is better", panels)
    for curve, title, x in (
        ("sizes", "Echo of messages of any size", "bytes of a message"),
        ("connections", "Echo of 256 B by many connections at once", "connections"),
    ):
        points = _points(curve, results)
        if points:
            drawn = Curves(f"{title}: lower is better", x, "µs of CPU per message", points)
            found[f"performance-{curve}.svg"] = curves(drawn)
    return found


def _panel(work: Work, result: Result) -> Panel:
    values = {name: s.cost for name, s in result.series.items() if not ENTRANTS[name].limit}
    # uvloop is for those who choose it, and for them the order is the same.
    stock = {name: value for name, value in values.items() if "uvloop" not in name} or values
    ordered = dict(sorted(stock.items(), key=lambda each: each[1]))
    ours = frozenset(name for name in ordered if ENTRANTS[name].ours)
    return Panel(f"{work.title}, {work.unit}", ordered, ours)


def _points(curve: str, results: Sequence[Result]) -> dict[str, list[tuple[float, float]]]:
    points: dict[str, list[tuple[float, float]]] = {}
    for result in results:
        work = WORKS[result.work]
        if work.curve == curve:
            for name, series in result.series.items():
                points.setdefault(name, []).append((work.at, series.cost))
    return points


def page(results: Sequence[Result], about: Mapping[str, str], files: Sequence[str]) -> str:
    """Return the generated part of the page.

    Args:
        results: of all works.
        about: the machine, versions and the like.
        files: of pictures to show.
    """
    main = [result for result in results if not WORKS[result.work].curve]
    lines = [f"- {name}: {value}" for name, value in about.items()]
    lines += ["", *(f"![{_alt(name)}]({name})" for name in files)]
    for heading, part in (
        ("CPU of the client", [each for each in main if WORKS[each.work].kind != "idle"]),
        ("Memory", [each for each in main if WORKS[each.work].kind == "idle"]),
    ):
        if part:
            lines += ["", f"### {heading}", "", *_costs(part)]
    lines += ["", "### Where another client is ahead", "", *_behind(main)]
    lines += ["", "### What was wanted", "", *_verdicts(main)]
    if limits := list(_limits(main)):
        lines += ["", "### The server is not what is measured", "", *limits]
    for curve, group in groupby(results, key=lambda each: WORKS[each.work].curve):
        if curve:
            lines += ["", f"### {_HEADINGS[curve]}", "", *_costs(list(group))]
    return "\n".join([*lines, ""])


_HEADINGS: Final = {"sizes": "Sizes", "connections": "Connections"}


def _alt(file: str) -> str:
    return {
        "performance.svg": "Bars: the cost of each work with each client.",
        "performance-sizes.svg": "Curves: the cost of an echo over the size of the message.",
        "performance-connections.svg": "Curves: the cost of an echo over many connections.",
    }[file]


def _costs(results: Sequence[Result]) -> Iterator[str]:
    """Yield a table of medians with one column for each work, the best client's in bold."""
    yield "| | " + " | ".join(WORKS[each.work].title for each in results) + " |"
    yield "|---|" + "---:|" * len(results)
    best = [min(_clients(each).values(), default=0.0) for each in results]
    for name in ENTRANTS:
        if not any(name in each.series for each in results):
            continue
        cells = []
        for each, least in zip(results, best, strict=True):
            series = each.series.get(name)
            text = figure(series.cost) if series else ""
            is_best = series is not None and series.cost == least
            cells.append(f"**{text}**" if is_best else text)
        yield f"| {name} | " + " | ".join(cells) + " |"
    yield ""
    yield f"In {', '.join(dict.fromkeys(WORKS[each.work].unit for each in results))}."


def _clients(result: Result) -> dict[str, float]:
    return {n: series.cost for n, series in result.series.items() if not ENTRANTS[n].limit}


def _behind(results: Sequence[Result]) -> Iterator[str]:
    """Yield where the best of the others beats the best of ours."""
    nowhere = True
    for result in results:
        work = WORKS[result.work]
        clients = _clients(result)
        ours = {name: cost for name, cost in clients.items() if ENTRANTS[name].ours}
        if not ours or len(ours) == len(clients):
            continue
        first = min(clients, key=clients.__getitem__)
        if not ENTRANTS[first].ours:
            nowhere = False
            mine = min(ours, key=ours.__getitem__)
            yield (
                f"- {work.title}: {first} {figure(clients[first])}, {mine} "
                f"{figure(ours[mine])} {work.unit}"
            )
    if nowhere:
        yield "Nowhere in these tables."


def _verdicts(results: Sequence[Result]) -> Iterator[str]:
    yield "| work | compared | ratio | at most | |"
    yield "|---|---|---:|---:|---|"
    for result in results:
        work = WORKS[result.work]
        for verdict in judged(work, result):
            what = verdict.ours + (f" / {verdict.theirs}" if verdict.theirs else "")
            value = figure(verdict.value) + ("" if verdict.theirs else f" {work.unit}")
            word = "met" if verdict.met else "**not met**"
            yield f"| {work.title} | {what} | {value} | {verdict.target.most:g} | {word} |"


def _limits(results: Sequence[Result]) -> Iterator[str]:
    """Yield a table of what a blocking socket takes, whose time is mostly the server's."""
    rows = []
    for result in results:
        raw = result.series.get("raw-socket")
        clients = {n: s.wall for n, s in result.series.items() if not ENTRANTS[n].limit}
        if raw is not None and clients:
            first = min(clients, key=clients.__getitem__)
            rows.append(
                f"| {WORKS[result.work].title} | {figure(raw.wall)} | {figure(raw.cost)} "
                f"| {figure(clients[first])} | {first} |"
            )
    if rows:
        yield "| µs that pass per message or connect | socket | its CPU | quickest client | |"
        yield "|---|---:|---:|---:|---|"
        yield from rows
