"""A clock for tests: time jumps to the next timer as soon as nothing else is left to do.

An hour of keepalive, timeouts or reconnecting runs in milliseconds, and with the same times in
every run. `VirtualClock` takes over a loop that runs already, and `VirtualClockLoop` is a loop
with such a clock from the start, for those who make the loop themselves.

Time stands still while anything is ready, so that code takes no time at all. When nothing is:

- if a call of `run_in_executor`, `to_thread` or `getaddrinfo` is under way, or `paused()` says
  that something outside is awaited, the loop waits for it in real time;
- otherwise the clock jumps to the next timer, which fires at exactly its time;
- if there is no timer either, the loop waits `patience` real seconds for input, and then the
  test is told that it would wait for ever (`StuckLoopError`).

What this process writes to a socket of 127.0.0.1 can be read there at once, so that servers on
the same loop need nothing special, with TLS or without. What other threads and processes do
takes real time, and nothing tells the clock of it: await it inside `paused()`. So it is with
anyio's ``to_thread.run_sync``, whose threads belong to no executor.

Only the loop's time is virtual. `time.monotonic`, `time.perf_counter` and the time of day stay
real, and so does everything that is measured with them.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import heapq
import itertools
import math
import selectors
import sys
from collections.abc import Callable, Coroutine, Iterator
from contextvars import Context
from pathlib import Path
from types import TracebackType
from typing import Any, Final, TypeVar, TypeVarTuple

from .takeover import Moment, Takeover, make_exact, replace_attribute

__all__ = ["StuckLoopError", "VirtualClock", "VirtualClockLoop", "run_virtual"]

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

_Poll = Callable[[float | None], list[tuple[selectors.SelectorKey, int]]]

_PATIENCE: Final = 1.0

_DELIVERY: Final = 0.0 if sys.platform == "linux" else 0.001
"""Real seconds that bytes may take to arrive on the loopback; on Linux `send` delivers them."""

_LONGEST_WAIT: Final = 3600.0
"""Real seconds: more than a test lasts, and less than what a selector refuses as too long."""

_DAY: Final = 86400.0
"""The longest that asyncio lets its selector wait, however far the next timer is."""

_TICK: Final = 1024
"""Parts of a second; times that are multiples of such a part add up without rounding."""

_FEW_TIMERS: Final = 64
_NAMED_TASKS: Final = 10


class StuckLoopError(RuntimeError):
    """The loop would wait for ever: no timer is set, and nothing comes from outside."""


class VirtualClock:
    """Make the time of the running loop virtual, for the length of a ``with`` block.

    ::

        with VirtualClock() as clock:
            await asyncio.sleep(3600)  # returns at once
        assert clock.elapsed == 3600

    The loop is any stock one on a selector, whoever made it: `asyncio.run`, pytest-asyncio or
    anyio. Its time goes on from what it was, rounded up to 1/1024 s, so that differences of
    whole seconds are exact.

    The clock is the loop's, not the task's: all tasks live in virtual time, and timers set
    before the block are virtual in it too, such as those of a connection opened earlier. The
    exception is a time limit around the block: `asyncio.timeout` or anyio's ``fail_after`` in
    the task that enters. It goes on in real time, so that the limit of a test neither ends it
    early nor is lost. (Under Python 3.11 `asyncio.wait_for` runs what it limits in another
    task, and is not known as a limit.) What an executor was given before the block is not
    waited for.

    When the block ends, the loop's time is real again, as if it had never been otherwise, and
    each pending timer fires after the delay that it had left. Code that outlives the block and
    compares the loop's time with an earlier reading sees it go back: close inside the block
    what shall not outlive it.

    Blocks cannot be nested, and the object can be used again after its block. All methods are
    for the thread of the loop.

    Args:
        patience: real seconds. When there is neither a timer nor an executor's work, the loop
            waits so long for input from outside; then the task that entered is cancelled, and
            `StuckLoopError` comes out of its block. It is also how long a timer is held
            back, at least, by what is awaited in real time.

    Raises:
        TypeError: `patience` is not a number.
        ValueError: `patience` is negative or not finite.
    """

    def __init__(self, *, patience: float = _PATIENCE) -> None:
        self._patience = _seconds("patience", patience)
        self._now = 0.0
        self._start = 0.0
        self._timers: list[asyncio.TimerHandle] = []
        self._most_timers = _FEW_TIMERS
        self._calls: set[asyncio.Future[Any]] = set()
        self._pauses = 0
        self._order = itertools.count()
        self._takeover: Takeover | None = None
        self._own_loop = False
        self._task: asyncio.Task[Any] | None = None
        self._stuck = ""

    def __repr__(self) -> str:
        state = "running" if self._running else "not running"
        return f"<VirtualClock time={self._now!r} {state}>"

    @property
    def time(self) -> float:
        """The virtual time in seconds, as the loop's `time()` gives it.

        After the block it is the time at which the block ended, and 0 before the first one.
        """
        return self._now

    @property
    def elapsed(self) -> float:
        """How many virtual seconds have passed since the block began, or the loop was made."""
        return self._now - self._start

    def stall(self, seconds: float) -> None:
        """Let time pass while the loop stands still, as a blocking call does.

        Timers that come due meanwhile fire late, in one turn of the loop. To let time pass with
        every timer at its time, await `asyncio.sleep`.

        Args:
            seconds: how long.

        Raises:
            TypeError: `seconds` is not a number.
            ValueError: `seconds` is negative or not finite.
            RuntimeError: the clock is not in charge of a loop.
        """
        self._check_running()
        self._now += _seconds("seconds", seconds)

    @contextlib.contextmanager
    def paused(self) -> Iterator[None]:
        """Let the loop wait in real time, for what other threads or processes do.

        ::

            with clock.paused():
                await process.wait()

        Time does not jump in the block: it stands still, and timers are held back. If nothing
        at all happens for `patience` real seconds, and for as long as the next timer has to go,
        that timer fires: it would have in reality. Without a timer the wait has no end.

        It counts for the whole loop. Blocks may be nested, and overlap in several tasks.

        Raises:
            RuntimeError: the clock is not in charge of a loop.
        """
        self._check_running()
        self._pauses += 1
        try:
            yield
        finally:
            self._pauses -= 1

    def pending_timers(self) -> list[asyncio.TimerHandle]:
        """Return the timers that are still to come, in the order in which they will fire.

        Cancelled ones are not among them, nor those that are due by now, or never.
        """
        return sorted(timer for timer in self._timers if self._is_pending(timer))

    def __enter__(self) -> VirtualClock:
        """Take over the running loop.

        Raises:
            RuntimeError: no loop runs, it is not asyncio's own selector loop, its time is
                virtual already, this clock is in charge of another one, or this version of
                Python keeps the loop's state where it is not known.
        """
        if self._running:
            raise RuntimeError(
                "This VirtualClock is in charge of a loop already: leave its block first, or"
                " make another VirtualClock for another loop."
            )
        loop = _running_loop()
        self._begin(loop.time())
        self._task = asyncio.current_task()
        self._takeover = Takeover(loop, self._replacements(loop), self._task)
        self._timers = self._takeover.timers()
        heapq.heapify(self._timers)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Give the loop its real time back.

        Raises:
            StuckLoopError: the loop would have waited for ever inside the block.
        """
        takeover, self._takeover = self._takeover, None
        task, self._task = self._task, None
        assert takeover is not None
        takeover.undo(self._now)
        self._timers = []
        stuck, self._stuck = self._stuck, ""
        if stuck:
            assert task is not None
            task.uncancel()
            if error is None or isinstance(error, asyncio.CancelledError):
                raise StuckLoopError(stuck) from error

    def _begin(self, real_time: float) -> None:
        self._now = self._start = math.ceil(real_time * _TICK) / _TICK
        # What a former block left behind counts for nothing.
        self._calls = set()
        self._pauses = 0
        self._most_timers = _FEW_TIMERS

    def _replacements(self, loop: asyncio.SelectorEventLoop) -> dict[str, Callable[..., Any]]:
        """Return what stands in for the public methods of a loop that was taken over."""
        return {
            "time": self._read,
            "call_at": functools.partial(self._call_at, loop.call_at),
            "run_in_executor": functools.partial(self._run_in_executor, loop.run_in_executor),
            "select": self._select,
        }

    @property
    def _running(self) -> bool:
        return self._own_loop or self._takeover is not None

    def _check_running(self) -> None:
        if not self._running:
            raise RuntimeError("Use the clock inside its block: with VirtualClock() as clock: ...")

    # --- in place of the loop's methods -------------------------------------------------------

    def _read(self) -> float:
        return self._now

    def _call_at(
        self,
        call_at: Callable[..., asyncio.TimerHandle],
        when: float,
        callback: Callable[..., object],
        *args: Any,
        context: Context | None = None,
    ) -> asyncio.TimerHandle:
        # asyncio's own complaint about None is better than one about what is made of it.
        moment = when if when is None else Moment(when, next(self._order))
        timer = call_at(moment, callback, *args, context=context)
        heapq.heappush(self._timers, timer)
        if len(self._timers) > self._most_timers:
            self._timers = self.pending_timers()
            self._most_timers = max(_FEW_TIMERS, 2 * len(self._timers))
        return timer

    def _run_in_executor(
        self,
        run_in_executor: Callable[..., asyncio.Future[T]],
        executor: Any,
        func: Callable[..., T],
        *args: Any,
    ) -> asyncio.Future[T]:
        call = run_in_executor(executor, func, *args)
        self._calls.add(call)
        call.add_done_callback(self._calls.discard)
        return call

    def _select(
        self, poll: _Poll, timeout: float | None
    ) -> list[tuple[selectors.SelectorKey, int]]:
        """Return what is ready; if nothing is, wait for it or move the clock."""
        events = poll(0)
        limit_due = self._takeover is not None and self._takeover.run_limits(self._now)
        if events or limit_due or (timeout is not None and timeout <= 0):
            return events
        target = self._target(timeout)
        held = bool(self._pauses or self._calls)
        if held:
            wait = max(target - self._now, self._patience)
        else:
            wait = self._patience if target == math.inf else _DELIVERY
        events, waited = self._wait(poll, wait)
        if waited and target < math.inf:
            self._now = target
        elif waited and not held:
            self._end_stuck()
        return events

    # --- the rules of jumping -----------------------------------------------------------------

    def _is_pending(self, timer: asyncio.TimerHandle) -> bool:
        return not timer.cancelled() and self._now < timer.when() < math.inf

    def _target(self, timeout: float | None) -> float:
        """Return when the next timer is due; infinity if there is none.

        Args:
            timeout: seconds until then, as asyncio computed it.
        """
        while self._timers and not self._is_pending(self._timers[0]):
            heapq.heappop(self._timers)
        due = float(self._timers[0].when()) if self._timers else math.inf
        if timeout is None or timeout >= _DAY:
            return due
        # Both are the same but for rounding. If the sum is too early, the next turn starts so
        # close to the timer that what is left of the time is exact.
        return min(due, self._now + timeout)

    def _wait(
        self, poll: _Poll, seconds: float
    ) -> tuple[list[tuple[selectors.SelectorKey, int]], bool]:
        """Wait for input in real time; tell whether all of the time went by without any."""
        if seconds == 0:
            return [], True
        limit = math.inf if self._takeover is None else self._takeover.next_limit()
        allowed = min(seconds, limit, _LONGEST_WAIT)
        events = poll(allowed)
        return events, not events and allowed == seconds

    def _end_stuck(self) -> None:
        """Tell the test: through its task, or else through whoever runs the loop."""
        told, self._stuck = self._stuck, self._explain_stuck()
        if self._task is None or told or not self._task.cancel():
            message, self._stuck = self._stuck, ""
            raise StuckLoopError(message)

    def _explain_stuck(self) -> str:
        tasks = sorted(asyncio.all_tasks(), key=lambda task: task.get_name())
        named = [_describe(task) for task in tasks[:_NAMED_TASKS]]
        if len(tasks) > _NAMED_TASKS:
            named.append(f"and {len(tasks) - _NAMED_TASKS} more")
        return (
            f"The loop would wait for ever: nothing is ready, no timer is set, and nothing came"
            f" in {self._patience:g} s of real time. Waiting: {'; '.join(named) or 'no task'}."
            f" If it waits for another thread or process, await that in clock.paused()."
        )


class VirtualClockLoop(asyncio.SelectorEventLoop):
    """The stock loop on a virtual clock that starts at 0, for those who make the loop themselves.

    It is for `asyncio.Runner`'s ``loop_factory``, for that of anyone else, and for `run_virtual`.
    It replaces public methods alone. A subclass may do so, too; if its `time` is another one,
    it must reach the time of each timer to the last digit, or the timer never fires.

    All time limits on it are virtual, those of the test as well: a test that may hang needs a
    limit by a signal or a thread. A loop that would wait for ever raises `StuckLoopError` out of
    `run_forever`, and so out of `asyncio.Runner.run`.

    Attributes:
        clock: its clock, for `stall`, `paused` and `pending_timers`; it is always in charge.

    Args:
        patience: real seconds, as in `VirtualClock`.

    Raises:
        TypeError: `patience` is not a number.
        ValueError: `patience` is negative or not finite.
    """

    def __init__(self, *, patience: float = _PATIENCE) -> None:
        selector = selectors.DefaultSelector()
        super().__init__(selector)
        try:
            self.clock = VirtualClock(patience=patience)
        except (TypeError, ValueError):
            super().close()
            raise
        self.clock._own_loop = True
        select = functools.partial(self.clock._select, selector.select)
        replace_attribute(selector, "select", select)
        make_exact(self)

    def time(self) -> float:
        """Return the virtual time in seconds."""
        return self.clock.time

    def call_at(
        self,
        when: float,
        callback: Callable[[*Ts], object],
        *args: *Ts,
        context: Context | None = None,
    ) -> asyncio.TimerHandle:
        """Set a timer; timers of the same time fire in the order of the calls."""
        return self.clock._call_at(super().call_at, when, callback, *args, context=context)

    def run_in_executor(
        self, executor: Any, func: Callable[[*Ts], T], *args: *Ts
    ) -> asyncio.Future[T]:
        """Run `func` in an executor; the clock stands still until it is done or cancelled."""
        return self.clock._run_in_executor(super().run_in_executor, executor, func, *args)

    async def shutdown_default_executor(self, *args: Any, **kwargs: Any) -> None:
        """Wait for the threads of the default executor, in real time."""
        with self.clock.paused():
            await super().shutdown_default_executor(*args, **kwargs)

    def close(self) -> None:
        """Close the loop, and forget its timers."""
        super().close()
        self.clock._timers = []


def run_virtual(
    main: Coroutine[Any, Any, T], *, patience: float = _PATIENCE, debug: bool | None = None
) -> T:
    """Run a coroutine as `asyncio.run` does, on a `VirtualClockLoop` of its own.

    Args:
        main: the coroutine.
        patience: real seconds, as in `VirtualClock`.
        debug: asyncio's debug mode; ``None`` leaves it to the environment, as in `asyncio.run`.

    Returns:
        what the coroutine returns.

    Raises:
        StuckLoopError: the loop would wait for ever; all tasks have been cancelled.
        RuntimeError: a loop runs in this thread already; `main` has been closed.
        TypeError: `main` is not a coroutine, or `patience` is not a number.
        ValueError: `patience` is negative or not finite.
    """
    if not asyncio.iscoroutine(main):
        raise TypeError("main must be a coroutine: call the function, as in run_virtual(main()).")
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        factory = functools.partial(VirtualClockLoop, patience=patience)
    else:
        main.close()
        raise RuntimeError("A loop runs here already: use VirtualClock in it, not run_virtual.")
    with asyncio.Runner(loop_factory=factory, debug=debug) as runner:
        return runner.run(main)


def _running_loop() -> asyncio.SelectorEventLoop:
    """Return the running loop, if its time can be made virtual."""
    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:
        raise RuntimeError(
            "No event loop runs here: enter VirtualClock inside a coroutine, or use run_virtual."
        ) from None
    if not isinstance(loop, asyncio.SelectorEventLoop):
        kind = f"{type(loop).__module__}.{type(loop).__qualname__}"
        raise RuntimeError(
            f"VirtualClock needs asyncio's own selector loop, and this is a {kind}: run the test"
            f" on asyncio.SelectorEventLoop."
        )
    if isinstance(loop, VirtualClockLoop):
        raise RuntimeError("This loop has a virtual clock of its own: use its attribute clock.")
    if isinstance(getattr(loop.time, "__self__", None), VirtualClock):
        raise RuntimeError(
            "The time of this loop is virtual already: use the clock of the outer block."
        )
    return loop


def _seconds(name: str, value: float) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"{name} must be a number of seconds, not {type(value).__name__}.")
    if not 0 <= value < math.inf:
        raise ValueError(f"{name} must be 0 or more seconds, and finite: {value!r} is not.")
    return float(value)


def _describe(task: asyncio.Task[Any]) -> str:
    """Return a task's name, and where it waits."""
    coroutine = task.get_coro()
    name = f"{task.get_name()} ({getattr(coroutine, '__qualname__', coroutine)})"
    frames = task.get_stack(limit=1)
    if not frames:
        return name
    return f"{name} at {Path(frames[0].f_code.co_filename).name}:{frames[0].f_lineno}"
