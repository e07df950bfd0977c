"""What a reader awaits: something that can run it at once when its message is there.

A future would have its task run in the next turn of the loop. Of the time that an answer takes,
that turn is a fifth.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Generator
from contextvars import Context
from typing import Any

__all__ = ["Waiter"]

_current_task = asyncio.current_task


class Waiter:
    """What one task awaits; it serves again when that is over.

    To `asyncio.Task` it is a future: asyncio asks for attributes and methods, and not for the
    class. Each call from there into Python takes time, so there is one only.

    Args:
        loop: the loop of the task.
    """

    __slots__ = (
        "_asyncio_future_blocking",
        "_callback",
        "_cancelled",
        "_context",
        "_loop",
        "_message",
        "_more",
        "done",
    )

    # All that asyncio wants of a result is that there is one: `__await__` has its own account.
    result = ().__len__

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._callback: Callable[[Any], object] | None = None
        self._context: Context | None = None
        self._message: Any = None
        self._more: tuple[tuple[Callable[[Any], object], Context | None], ...] = ()
        self._cancelled = self.done = False

    def __await__(self) -> Generator[Any, None, None]:
        self.done = self._cancelled = False
        self._asyncio_future_blocking = True
        try:
            yield self
        finally:
            self._callback = self._context = None
            self._more = ()
        if self._cancelled:
            message, self._message = self._message, None
            raise asyncio.CancelledError if message is None else asyncio.CancelledError(message)

    def add_done_callback(
        self, callback: Callable[[Any], object], *, context: Context | None = None
    ) -> None:
        """Note what runs the task; asyncio adds just that, but others may add more."""
        if self._callback is None:
            self._callback = callback
            self._context = context
        else:
            self._more = (*self._more, (callback, context))

    def cancel(self, msg: Any = None) -> bool:
        """Cancel the waiting, unless it is over; tell whether it was not."""
        if self.done:
            return False
        self.done = self._cancelled = True
        self._message = msg
        self._run_soon()
        return True

    def wake(self, *, at_once: bool = True) -> None:
        """End the waiting, and run the task now.

        A task cannot run inside another one: then it runs in the next turn of the loop. So does
        everybody when there are several.

        Args:
            at_once: ``False`` leaves it to the next turn in any case.
        """
        if self.done:
            return
        self.done = True
        callback, context = self._callback, self._context
        if callback is None or context is None or self._more or not at_once:
            self._run_soon()
            return
        if _current_task(self._loop) is not None:
            self._run_soon()
            return
        try:
            context.run(callback, self)
        except (KeyboardInterrupt, SystemExit) as exc:
            # For the loop, which stops. Whoever has received the message cannot do anything.
            self._loop.call_soon(_raise, exc)

    def _run_soon(self) -> None:
        if self._callback is not None:
            for callback, context in ((self._callback, self._context), *self._more):
                self._loop.call_soon(callback, self, context=context)


def _raise(exc: BaseException) -> None:
    raise exc
