"""Act on a task at its k-th suspension, and see that nothing is left of it.

A sweep runs one scenario again and again and ends it at its first suspension, then at its second,
and so on, until it comes to its own end. Nothing depends on the clock: the steps of a task are
counted, not timed.
"""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Generator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from support.running import open_descriptors

__all__ = ["MOST_STEPS", "WAYS", "Ended", "Quiet", "Stepper", "end_at", "quiet", "sweep"]

T = TypeVar("T")

MOST_STEPS = 500
"""A scenario with more suspensions than this one does not end."""

_SETTLE_TIMEOUT = 5.0
"""Seconds after which what is still there will stay."""

WAYS = ("cancel", "twice", "race", "timeout", "wait_for")
"""How a task is ended.

``cancel`` while it waits; ``twice`` the same, and again when it next waits, which is while it
cleans up; ``race`` when what it waits for is done already, but it has not run since; ``timeout``
by `asyncio.timeout` around it; ``wait_for`` by cancelling who waits for it in
`asyncio.wait_for`.
"""


class Stepper(Coroutine[Any, Any, T]):
    """A coroutine whose suspensions are counted.

    Attributes:
        steps: how often it has suspended.

    Args:
        coroutine: what is run.
        at: at which suspension to act, from 1; 0 never.
        act: called then with what was yielded: a future, or ``None`` from ``sleep(0)``.
        times: at how many suspensions in a row to act.
    """

    def __init__(
        self,
        coroutine: Coroutine[Any, Any, T],
        at: int,
        act: Callable[[Any], object],
        *,
        times: int = 1,
    ) -> None:
        self._coroutine = coroutine
        self._acting = range(at, at + times if at else 0)
        self._act = act
        self.steps = 0

    def send(self, value: Any) -> Any:
        """Resume it."""
        return self._count(self._coroutine.send(value))

    def throw(self, *error: Any) -> Any:
        """Raise inside."""
        return self._count(self._coroutine.throw(*error))

    def close(self) -> None:
        """End it."""
        self._coroutine.close()

    def _count(self, yielded: Any) -> Any:
        self.steps += 1
        if self.steps in self._acting:
            self._act(yielded)
        return yielded

    def __await__(self) -> Generator[Any, Any, T]:
        step: Callable[[], Any] = lambda: self.send(None)  # noqa: E731 - it is replaced below
        while True:
            try:
                yielded = step()
            except StopIteration as stop:
                result: T = stop.value
                return result
            try:
                value = yield yielded
            except GeneratorExit:
                self.close()
                raise
            except BaseException as exc:
                step = lambda exc=exc: self.throw(exc)  # type: ignore[misc]  # noqa: E731
            else:
                step = lambda value=value: self.send(value)  # type: ignore[misc]  # noqa: E731


@dataclass(frozen=True)
class Ended(Generic[T]):
    """How a coroutine came out.

    Attributes:
        hit: whether it got to the suspension at which it was to be ended.
        result: what it returned.
        error: what it raised instead, ``None`` if it returned.
    """

    hit: bool
    result: T | None
    error: BaseException | None


async def end_at(coroutine: Coroutine[Any, Any, T], step: int, way: str) -> Ended[T]:
    """Run a coroutine in a task of its own, and end it at one of its suspensions.

    Args:
        coroutine: what is run.
        step: the suspension, from 1; 0 lets it come to its own end.
        way: one of `WAYS`.
    """
    limit = asyncio.timeout(None)
    loop = asyncio.get_running_loop()

    def act(yielded: Any) -> None:
        if way == "timeout":
            limit.reschedule(loop.time())
        elif way == "race" and asyncio.isfuture(yielded):
            # Ours comes before the task's own callback: it is cancelled behind the result.
            yielded.add_done_callback(lambda _: task.cancel())
        else:
            task.cancel()

    async def limited() -> T:
        async with limit:
            return await stepper

    stepper = Stepper(coroutine, step, act, times=2 if way == "twice" else 1)
    running: Coroutine[Any, Any, T] = stepper
    if way == "timeout":
        running = limited()
    elif way == "wait_for":
        running = asyncio.wait_for(stepper, 3600)
    task = loop.create_task(running)
    await asyncio.wait([task])
    if task.cancelled():
        return Ended(stepper.steps >= step, None, asyncio.CancelledError())
    error = task.exception()
    return Ended(stepper.steps >= step, None if error else task.result(), error)


async def sweep(trial: Callable[[int], Awaitable[bool]]) -> int:
    """Make trials with 1, 2, and so on, until one says that it came to its own end.

    Returns:
        how many trials there were before that one.
    """
    for step in range(1, MOST_STEPS):
        try:
            hit = await trial(step)
        except BaseException as exc:
            exc.add_note(f"at step {step}")
            raise
        if not hit:
            return step - 1
    raise AssertionError(f"not at its end after {MOST_STEPS} steps")


class Quiet:
    """What exists besides the trials: tasks, sockets, timers; and the errors of the loop.

    Attributes:
        errors: what the loop was told of and should not have been.
        expected: the exceptions that it was told of and had to be.
    """

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._before = self._present()
        self.errors: list[dict[str, Any]] = []
        self.expected: list[BaseException] = []

    def _present(self) -> set[object]:
        # The stock loop alone lets its timers be seen.
        timers = getattr(self._loop, "_scheduled", ())
        return {
            *asyncio.all_tasks(),
            *(each for each in open_descriptors() if "socket:" in each),
            *(timer for timer in timers if not timer.cancelled()),
        }

    async def restored(self) -> None:
        """Wait until nothing exists but what existed before, and no error came up."""
        deadline = self._loop.time() + _SETTLE_TIMEOUT
        # Nothing tells when the last callback of a transport has run.
        while left := self._present() - self._before:
            if self._loop.time() > deadline:
                break
            await asyncio.sleep(0.001)
        assert not left, f"left behind: {left}"
        gc.collect()
        assert not self.errors, f"the loop was told of errors: {self.errors}"


@asynccontextmanager
async def quiet(*expected: type[BaseException]) -> AsyncIterator[Quiet]:
    """Watch what trials leave behind; errors go on to the handler that was there before.

    Args:
        expected: exceptions that the loop may be told of.
    """
    loop = asyncio.get_running_loop()
    watch = Quiet()
    before = loop.get_exception_handler()

    def note(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        error = context.get("exception")
        if error is not None and isinstance(error, expected):
            watch.expected.append(error)
            return
        watch.errors.append(context)
        if before is not None:
            before(loop, context)

    loop.set_exception_handler(note)
    try:
        yield watch
    finally:
        loop.set_exception_handler(before)
