"""Draws bars and curves as SVG, by hand."""

from __future__ import annotations

import html
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

__all__ = ["Curves", "Panel", "bars", "curves", "figure"]

_WIDTH = 860
_COLOURS = ("#1f6feb", "#79b8ff", "#d29922", "#8957e5", "#cf222e", "#2da44e", "#6e7781", "#bf3989")
_OTHERS = "#9ea7b3"
_OURS = _COLOURS[0]

_CUT = 6.0
"""A bar that is so many times as long as the shortest is cut, so that short ones can be seen."""


@dataclass(frozen=True)
class Panel:
    """Bars under one heading.

    Attributes:
        title: the heading, with the unit.
        values: by name, in the order in which they are drawn.
        ours: the names to be marked.
    """

    title: str
    values: Mapping[str, float]
    ours: frozenset[str]


@dataclass(frozen=True)
class Curves:
    """Several quantities over the same one, both on logarithmic scales.

    Attributes:
        title: what it shows.
        x: name and unit of what goes across.
        y: name and unit of what goes up.
        points: by name, at least one for each, all above 0.
    """

    title: str
    x: str
    y: str
    points: Mapping[str, Sequence[tuple[float, float]]]


def figure(value: float) -> str:
    """Return a figure with as many digits as matter."""
    for least, digits in ((100, 0), (10, 1), (1, 2)):
        if abs(value) >= least:
            return f"{value:,.{digits}f}"
    return f"{value:.3f}"


def _document(height: float, title: str, body: Sequence[str]) -> str:
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height:.0f}" '
            f'width="{_WIDTH}" height="{height:.0f}" font-family="sans-serif" font-size="12" '
            f'fill="#222" role="img">',
            f"<title>{html.escape(title)}</title>",
            # A page may be dark; the picture brings its own ground.
            f'<rect width="{_WIDTH}" height="{height:.0f}" fill="#fff"/>',
            *body,
            "</svg>",
            "",
        ]
    )


def _text(
    x: float, y: float, words: str, anchor: str = "middle", size: int = 12, turn: bool = False
) -> str:
    more = f' transform="rotate(-90 {x:.1f} {y:.1f})"' if turn else ""
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-size="{size}"{more}>'
        f"{html.escape(words)}</text>"
    )


# Bars

_COLUMNS = 2
_BAR = 15
_NAME = 150
_FIGURE = 56


def bars(title: str, panels: Sequence[Panel]) -> str:
    """Return a picture of panels, two in a row; shorter bars are better.

    Args:
        title: of all of them.
        panels: at least one, each with at least one value above 0.
    """
    body = [_text(_WIDTH / 2, 24, title, size=15)]
    top = 40.0
    for start in range(0, len(panels), _COLUMNS):
        row = panels[start : start + _COLUMNS]
        for column, panel in enumerate(row):
            body += _panel(panel, column * _WIDTH / _COLUMNS, top)
        top += 40 + _BAR * max(len(panel.values) for panel in row)
    return _document(top, title, body)


def _panel(panel: Panel, left: float, top: float) -> Iterator[str]:
    yield _text(left + 12, top + 16, panel.title, "start", 13)
    room = _WIDTH / _COLUMNS - _NAME - _FIGURE - 16
    longest = min(max(panel.values.values()), _CUT * min(panel.values.values()))
    for index, (name, value) in enumerate(panel.values.items()):
        y = top + 24 + index * _BAR
        x = left + _NAME
        width = room * min(value, longest) / longest
        colour = _OURS if name in panel.ours else _OTHERS
        yield _text(x - 6, y + 11, name, "end", 11)
        yield f'<rect x="{x}" y="{y:.1f}" width="{width:.1f}" height="11" fill="{colour}"/>'
        if value > longest:
            cut = x + width - 12
            yield f'<path d="M{cut:.1f} {y + 13:.1f}l5 -15h4l-5 15z" fill="#fff"/>'
        yield _text(x + width + 5, y + 10, figure(value), "start", 11)


# Curves

_HEIGHT = 440
_LEFT, _RIGHT, _TOP, _BOTTOM = 70, 170, 40, 52


def curves(drawn: Curves) -> str:
    """Return a picture of curves; lower is better.

    Args:
        drawn: the curves.
    """
    points = [point for each in drawn.points.values() for point in each]
    across = _Scale([x for x, _ in points], _LEFT, _WIDTH - _RIGHT)
    upright = _Scale([y for _, y in points], _HEIGHT - _BOTTOM, _TOP)
    body = [_text((_LEFT + _WIDTH - _RIGHT) / 2, 24, drawn.title, size=15)]
    body += _axes(drawn, across, upright)
    # Names stand where the curves end, moved apart where they end together.
    ends = sorted((upright.place(each[-1][1]), name) for name, each in drawn.points.items())
    places: dict[str, float] = {}
    y = 0.0
    for wanted, name in ends:
        y = max(wanted, y + 15)
        places[name] = y
    for index, (name, each) in enumerate(drawn.points.items()):
        colour = _COLOURS[index % len(_COLOURS)]
        way = " ".join(f"{across.place(x):.1f},{upright.place(y):.1f}" for x, y in each)
        width = 2.5 if index == 0 else 1.5
        body.append(
            f'<polyline points="{way}" fill="none" stroke="{colour}" stroke-width="{width}"/>'
        )
        end = across.place(each[-1][0])
        body.append(
            f'<path d="M{end + 3:.1f} {upright.place(each[-1][1]):.1f}L{end + 14:.1f} '
            f'{places[name]:.1f}" stroke="{colour}" fill="none"/>'
        )
        body.append(_text(end + 18, places[name] + 4, name, "start"))
    return _document(_HEIGHT, drawn.title, body)


class _Scale:
    """A logarithmic scale, from the smallest value to the largest."""

    def __init__(self, values: Sequence[float], start: float, end: float) -> None:
        self._low = math.log(min(values))
        self._span = math.log(max(values)) - self._low or 1.0
        self._start, self._end = start, end
        self.lowest, self.highest = min(values), max(values)

    def place(self, value: float) -> float:
        """Return where a value lies."""
        part = (math.log(value) - self._low) / self._span
        return self._start + part * (self._end - self._start)

    def marks(self) -> Iterator[float]:
        """Yield round values that lie within: powers of 10, and more of them on a short scale."""
        steps = (1,) if self.highest > 1000 * self.lowest else (1, 2, 5)
        for exponent in range(math.floor(math.log10(self.lowest)), 20):
            for step in steps:
                value = step * 10.0**exponent
                if value > self.highest:
                    return
                if value >= self.lowest:
                    yield value


def _axes(drawn: Curves, across: _Scale, upright: _Scale) -> Iterator[str]:
    bottom, right = _HEIGHT - _BOTTOM, _WIDTH - _RIGHT
    for value in upright.marks():
        y = upright.place(value)
        yield f'<path d="M{_LEFT} {y:.1f}H{right}" stroke="#ddd"/>'
        yield _text(_LEFT - 8, y + 4, f"{value:,g}", "end")
    for value in sorted({x for each in drawn.points.values() for x, _ in each}):
        x = across.place(value)
        yield f'<path d="M{x:.1f} {bottom}v5" stroke="#222"/>'
        yield _text(x, bottom + 20, _round(value))
    yield f'<path d="M{_LEFT} {_TOP}V{bottom}H{right}" stroke="#222" fill="none"/>'
    yield _text((_LEFT + right) / 2, _HEIGHT - 10, drawn.x)
    yield _text(18, (_TOP + bottom) / 2, drawn.y, turn=True)


def _round(value: float) -> str:
    """Return a size or number as people write it: 4096 as 4K."""
    for unit, letter in ((1024 * 1024, "M"), (1024, "K")):
        if value >= unit and value % unit == 0:
            return f"{value / unit:g}{letter}"
    return f"{value:,g}"
