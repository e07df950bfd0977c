"""When a connection that ends is dropped, whatever else happens."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable

__all__ = ["Deadline"]


class Deadline:
    """A moment that can only come nearer.

    Args:
        loop: its timers are used.
    """

    __slots__ = ("_loop", "_timer", "_when")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._timer: asyncio.Handle | None = None
        # Kept here: not every loop's handles know their time.
        self._when = math.inf

    def within(self, seconds: float, action: Callable[[], object]) -> None:
        """Do something in so many seconds, unless something is to be done earlier anyway."""
        when = self._loop.time() + seconds
        if self._timer is not None:
            if self._when <= when:
                return
            self._timer.cancel()
        self._when = when
        self._timer = self._loop.call_at(when, action)

    def cancel(self) -> None:
        """Do nothing any more."""
        if self._timer is not None:
            self._timer.cancel()
