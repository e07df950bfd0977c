"""Event loops that are right, but not as most are."""

from __future__ import annotations

import asyncio
from typing import Any

__all__ = ["with_plain_handles"]


class _PlainHandle(asyncio.Handle):
    """A handle of a timer that does not know its time."""

    def __init__(self, timer: asyncio.TimerHandle, loop: Any) -> None:
        super().__init__(lambda: None, (), loop)
        self._timer = timer

    def cancel(self) -> None:
        """Cancel the timer."""
        super().cancel()
        self._timer.cancel()


def with_plain_handles(kind: Any) -> Any:
    """Return a class of loops whose timers are plain handles without ``when``, as those of Qt are.

    Args:
        kind: the class of loops to derive it from.
    """

    class PlainHandlesLoop(kind):
        def call_at(self, when: float, callback: Any, *args: Any, context: Any = None) -> Any:
            timer = super().call_at(when, callback, *args, context=context)
            return _PlainHandle(timer, self)

        def call_later(self, delay: float, callback: Any, *args: Any, context: Any = None) -> Any:
            return self.call_at(self.time() + delay, callback, *args, context=context)

    return PlainHandlesLoop
