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
    class. Each call from there into Python takes time, so there is one only. Waiting may end
    for no reason, too: who has waited looks again.

    Attributes:
        done: whether the task has been told to go on.

    Args:
        loop: the loop of the task.
    """

    __slots__ = (
        "_asyncio_future_blocking",
        "_callback",
        "_context",
        "_loop",
        "_more",
        "done",
    )

    # All that asyncio wants of a result is that there is one.
    result = ().__len__

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._callback: Callable[[Any], object] | None = None
        self._context: Context | None = None
        self._more: tuple[tuple[Callable[[Any], object], Context | None], ...] = ()
        self.done = False

    def __await__(self) -> Generator[Any, None, None]:
        self.done = False
        self._asyncio_future_blocking = True
        # An iterator that gives one item is what a coroutine with one `yield` comes down to.
        return iter((self,))  # type: ignore[return-value]  # an iterator is enough for `await`

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
        """Have the task go on; tell it that it has to raise the error itself, as it does then."""
        if not self.done:
            self._run_soon()
        return False

    def wake(self, *, at_once: bool = True) -> None:
        """End the waiting, and run the task now.

        A task cannot run inside another one: then it runs in the next turn of the loop. So does
        everybody when there are several.

        Args:
            at_once: ``False`` leaves it to the next turn in any case.
        """
        if self.done:
            return
        callback, context = self._callback, self._context
        if (
            callback is None
            or context is None
            or self._more
            or not at_once
            or _current_task(self._loop) is not None
        ):
            self._run_soon()
            return
        self.done = True
        # The task should not be kept in memory until somebody waits again.
        self._callback = self._context = None
        try:
            context.run(callback, self)
        except (KeyboardInterrupt, SystemExit) as exc:
            # For the loop, which stops. Whoever has received the message cannot do anything.
            self._loop.call_soon(_raise, exc)

    def _run_soon(self) -> None:
        self.done = True
        if self._callback is not None:
            callbacks = ((self._callback, self._context), *self._more)
            self.forget()
            for callback, context in callbacks:
                self._loop.call_soon(callback, self, context=context)

    def forget(self) -> None:
        """Forget whom to run: nobody waits any more."""
        self._callback = self._context = None
        self._more = ()


def _raise(exc: BaseException) -> None:
    raise exc
