"""Cutting bytes into chunks as a plan says that is part of the input."""

from __future__ import annotations

from collections.abc import Iterator

__all__ = ["PLAN_SIZE", "cut"]

PLAN_SIZE = 4
"""Bytes of a plan."""


def cut(data: bytes, plan: bytes) -> Iterator[bytes]:
    """Yield `data` in chunks whose sizes are the bytes of `plan`, 1..256 each, again and again.

    Args:
        data: what to cut.
        plan: sizes less one; an empty one cuts into single bytes.
    """
    sizes = [each + 1 for each in plan] or [1]
    place = 0
    turn = 0
    while place < len(data):
        size = sizes[turn % len(sizes)]
        yield data[place : place + size]
        place += size
        turn += 1
