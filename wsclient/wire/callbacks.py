"""Callback mode: each message once, strictly in order, one at a time, and then ``None``.

A plain callback runs at once, as the bytes come in. When a callback returns an awaitable, a
task waits for it and goes on with the queue; meanwhile new messages stay in the queue, whose
limits pause the socket.
"""

from __future__ import annotations

import asyncio
import contextlib
import inspect
from collections import deque
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from typing import Any

from .inbox import Inbox
from .released import released

__all__ = ["CallbackRunner", "make_runner", "own_cancellation"]

_LAST_CALL_TIMEOUT = 1.0
"""Seconds for the call with ``None`` after the callback has been cancelled."""


_running: ContextVar[CallbackRunner | None] = ContextVar("_running", default=None)


class CallbackRunner:
    """Feed one callback from one inbox.

    Attributes:
        finished: whether the callback has had its ``None`` and nothing of it runs any more.

    Args:
        loop: the loop of the connection.
        callback: plain or async; called with ``str``, ``bytes``, and ``None`` at the end.
        inbox: where the messages come from.
        on_error: called with what the callback raised; tells whether the callback has failed,
            so that no message is delivered any more.
        on_finished: called once, when all is done.
    """

    __slots__ = (
        "_abandoned",
        "_busy",
        "_callback",
        "_inbox",
        "_last_call",
        "_loop",
        "_on_error",
        "_on_finished",
        "_pending",
        "_queue",
        "_task",
        "finished",
    )

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        callback: Callable[[str | bytes | None], Any],
        inbox: Inbox,
        *,
        on_error: Callable[[BaseException], bool],
        on_finished: Callable[[], None],
    ) -> None:
        self._loop = loop
        self._callback = callback
        self._inbox = inbox
        # What is to be delivered: another queue, with nothing in it, when the callback has failed.
        self._queue = inbox.queue
        self._on_error = on_error
        self._on_finished = on_finished
        self._task: asyncio.Task[None] | None = None
        self._pending: Awaitable[Any] | None = None
        self._abandoned = False
        self._busy = False
        self._last_call = False
        self.finished = False

    @property
    def current(self) -> bool:
        """Whether this runs within the callback, or in a task that was started by it."""
        return _running.get() is self

    def run(self) -> None:
        """Deliver what there is; called whenever messages have come in, and at the end."""
        if self._busy or self.finished:
            return
        self._busy = True
        pending: Awaitable[Any] | None = None
        try:
            pending = self._deliver()
        finally:
            self._busy = pending is not None
        if pending is None:
            if self._last_call:
                self._finish()
        elif self._abandoned:
            # No task may be started: the loop ends.
            _discard(pending)
        else:
            self._pending = pending
            self._task = self._loop.create_task(self._drive())
            self._task.add_done_callback(self._task_done)

    def cancel(self) -> None:
        """Cancel the callback that is being awaited."""
        if self._task is not None:
            self._task.cancel()

    def abandon(self) -> None:
        """Start no task any more: the loop ends."""
        self._abandoned = True

    def _deliver(self) -> Awaitable[Any] | None:
        """Call the callback until it returns an awaitable or nothing is left."""
        inbox = self._inbox
        queue, callback = self._queue, self._callback
        take = queue.popleft
        try:
            while queue:
                try:
                    result = callback(take())
                except BaseException as exc:
                    self._raised(exc)
                    queue = self._queue
                    continue
                if result is not None and inspect.isawaitable(result):
                    return result
        finally:
            # Once is enough: nothing can be read before this returns.
            if inbox.paused:
                inbox.taken()
        if inbox.ended and not self._last_call:
            self._last_call = True
            return self._call_last()
        return None

    def _call_last(self) -> Awaitable[Any] | None:
        try:
            result = self._callback(None)
        except BaseException as exc:
            self._raised(exc)
            return None
        return result if result is not None and inspect.isawaitable(result) else None

    def _raised(self, exc: BaseException) -> None:
        if isinstance(exc, asyncio.CancelledError):
            self._fail(own_cancellation(exc))
        elif isinstance(exc, Exception):
            self._fail(exc)
        else:
            raise exc

    async def _drive(self) -> None:
        pending, self._pending = self._pending, None
        _running.set(self)
        try:
            await self._await_in_turn(pending)
        except GeneratorExit:
            # The loop is gone: nothing can be awaited any more.
            raise
        except BaseException as exc:
            # Cancelled from outside, or the interpreter is going down: the connection cannot
            # go on, and the callback gets its last call now, while this task still may run.
            self._fail(exc)
            if not self._last_call:
                self._last_call = True
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(_LAST_CALL_TIMEOUT):
                        await self._await_in_turn(self._call_last())
            raise

    def _task_done(self, task: asyncio.Task[None]) -> None:
        self._task = None
        self._busy = False
        pending, self._pending = self._pending, None
        if pending is not None:
            # Cancelled before its first step.
            _discard(pending)
            self._fail(asyncio.CancelledError())
        self.run()
        if not task.cancelled():
            task.exception()  # taken note of: it has been handed to `on_error`

    async def _await_in_turn(self, pending: Awaitable[Any] | None) -> None:
        while pending is not None:
            try:
                await pending
            except asyncio.CancelledError as exc:
                task = asyncio.current_task()
                if task is None or task.cancelling():
                    raise
                self._fail(own_cancellation(exc))
            except Exception as exc:
                self._fail(exc)
            pending = self._deliver()

    def _fail(self, exc: BaseException) -> None:
        if self._on_error(exc):
            self._queue = deque()

    def _finish(self) -> None:
        if not self.finished:
            self.finished = True
            self._callback = self._on_error = released
            self._on_finished()


def make_runner(
    loop: asyncio.AbstractEventLoop,
    callback: Callable[[str | bytes | None], Any] | None,
    inbox: Inbox,
    *,
    on_error: Callable[[BaseException], bool],
    on_finished: Callable[[], None],
) -> CallbackRunner | None:
    """Return a runner, as `CallbackRunner`; ``None`` if there is nothing to call."""
    if callback is None:
        return None
    return CallbackRunner(loop, callback, inbox, on_error=on_error, on_finished=on_finished)


def own_cancellation(exc: asyncio.CancelledError) -> RuntimeError:
    """Return an error to report instead, which nobody takes for a cancellation of his own."""
    error = RuntimeError("the callback raised CancelledError, but nobody had cancelled it")
    error.__cause__ = exc
    return error


def _discard(pending: Awaitable[Any]) -> None:
    if inspect.iscoroutine(pending):
        pending.close()
