"""Draws a curve as SVG, by hand: axes with units, the points, and the line that fits best."""

from __future__ import annotations

import html
import math
from collections.abc import Iterator

from soak.measures import slope
from soak.report import Curve

__all__ = ["svg", "ticks"]

_WIDTH, _HEIGHT = 800, 400
_LEFT, _RIGHT, _TOP, _BOTTOM = 70, 20, 46, 56


def ticks(low: float, high: float, about: int = 6) -> list[float]:
    """Return round numbers from `low` or below to `high` or above.

    Args:
        low: the smallest value shown.
        high: the largest value shown, more than `low`.
        about: how many are wanted.
    """
    raw = (high - low) / about
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= raw)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [index * step for index in range(first, last + 1)]


def svg(curve: Curve) -> str:
    """Return a picture of a curve.

    Args:
        curve: at least two points, of which two count.
    """
    across = ticks(0.0, max(x for x, _ in curve.points))
    # From 0, or else chance would look like growth.
    upright = ticks(0.0, max(y for _, y in curve.points))
    return "\n".join([*_Picture(curve, across, upright).lines(), "</svg>", ""])


class _Picture:
    """One picture, with its scales."""

    def __init__(self, curve: Curve, across: list[float], upright: list[float]) -> None:
        self._curve = curve
        self._across = across
        self._upright = upright

    def _x(self, value: float) -> float:
        low, high = self._across[0], self._across[-1]
        return _LEFT + (value - low) / (high - low) * (_WIDTH - _LEFT - _RIGHT)

    def _y(self, value: float) -> float:
        low, high = self._upright[0], self._upright[-1]
        return _HEIGHT - _BOTTOM - (value - low) / (high - low) * (_HEIGHT - _TOP - _BOTTOM)

    def lines(self) -> Iterator[str]:
        yield (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" '
            f'width="{_WIDTH}" height="{_HEIGHT}" font-family="sans-serif" font-size="13" '
            f'fill="#222" role="img">'
        )
        yield f"<title>{html.escape(self._curve.title)}</title>"
        # A page may be dark; the picture brings its own ground.
        yield f'<rect width="{_WIDTH}" height="{_HEIGHT}" fill="#fff"/>'
        yield self._text(_WIDTH / 2, 26, self._curve.title, size=15)
        yield from self._axes()
        yield from self._warm_up()
        yield from self._points()
        yield from self._fit()

    def _axes(self) -> Iterator[str]:
        bottom, right = _HEIGHT - _BOTTOM, _WIDTH - _RIGHT
        for value in self._upright:
            y = self._y(value)
            yield f'<path d="M{_LEFT} {y:.1f}H{right}" stroke="#ddd"/>'
            yield self._text(_LEFT - 8, y + 4, f"{value:g}", anchor="end")
        for value in self._across:
            x = self._x(value)
            yield f'<path d="M{x:.1f} {bottom}v5" stroke="#222"/>'
            yield self._text(x, bottom + 20, f"{value:g}")
        yield f'<path d="M{_LEFT} {_TOP}V{bottom}H{right}" stroke="#222" fill="none"/>'
        yield self._text((_LEFT + right) / 2, _HEIGHT - 12, self._curve.x)
        middle = (_TOP + bottom) / 2
        yield self._text(18, middle, self._curve.y, turn=True)

    def _warm_up(self) -> Iterator[str]:
        if self._curve.settled:
            x = self._x(self._curve.points[self._curve.settled][0])
            bottom = _HEIGHT - _BOTTOM
            yield f'<rect x="{_LEFT}" y="{_TOP}" width="{x - _LEFT:.1f}" ' + (
                f'height="{bottom - _TOP}" fill="#888" opacity="0.12"/>'
            )
            yield self._text(_LEFT + 6, bottom - 8, "warming up", anchor="start")

    def _points(self) -> Iterator[str]:
        places = [(self._x(x), self._y(y)) for x, y in self._curve.points]
        way = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
        yield f'<polyline points="{way}" fill="none" stroke="#1f6feb" stroke-width="1.5"/>'
        for x, y in places:
            yield f'<circle cx="{x:.1f}" cy="{y:.1f}" r="2.5" fill="#1f6feb"/>'

    def _fit(self) -> Iterator[str]:
        settled = self._curve.points[self._curve.settled :]
        rise = slope(settled)
        mean_x = sum(x for x, _ in settled) / len(settled)
        mean_y = sum(y for _, y in settled) / len(settled)
        ends = [(x, mean_y + rise * (x - mean_x)) for x in (settled[0][0], settled[-1][0])]
        (x1, y1), (x2, y2) = [(self._x(x), self._y(y)) for x, y in ends]
        yield (
            f'<path d="M{x1:.1f} {y1:.1f}L{x2:.1f} {y2:.1f}" stroke="#cf222e" '
            f'stroke-width="1.5" stroke-dasharray="6 4"/>'
        )
        grown = rise * (settled[-1][0] - settled[0][0])
        words = f"best line: {grown:+.2f} from its first point to its last"
        yield self._text(_WIDTH - _RIGHT - 6, _TOP + 16, words, anchor="end")

    def _text(
        self,
        x: float,
        y: float,
        words: str,
        *,
        anchor: str = "middle",
        size: int | None = None,
        turn: bool = False,
    ) -> str:
        more = f' font-size="{size}"' if size else ""
        if turn:
            more += f' transform="rotate(-90 {x:.1f} {y:.1f})"'
        return (
            f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"{more}>'
            f"{html.escape(words)}</text>"
        )
