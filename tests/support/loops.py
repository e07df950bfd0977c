"""Event loops that are right, but not as most are."""

from __future__ import annotations

import asyncio
from typing import Any

__all__ = ["PlainHandles", "PlainHandlesLoop"]


class _PlainHandle(asyncio.Handle):
    """A handle of a timer that does not know its time."""

    def __init__(self, timer: asyncio.TimerHandle, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(lambda: None, (), loop)
        self._timer = timer

    def cancel(self) -> None:
        """Cancel the timer."""
        super().cancel()
        self._timer.cancel()


class PlainHandles(asyncio.BaseEventLoop):
    """Makes a loop's timers plain handles without ``when``, as those of Qt's loops are."""

    def call_at(self, when: float, callback: Any, *args: Any, context: Any = None) -> Any:
        """Set a timer."""
        timer = super().call_at(when, callback, *args, context=context)
        return _PlainHandle(timer, self)

    def call_later(self, delay: float, callback: Any, *args: Any, context: Any = None) -> Any:
        """Set a timer."""
        return self.call_at(self.time() + delay, callback, *args, context=context)


class PlainHandlesLoop(PlainHandles, asyncio.SelectorEventLoop):
    """The stock loop, with such timers."""
