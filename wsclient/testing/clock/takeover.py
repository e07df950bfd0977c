"""What the virtual clock knows of asyncio's inside: the one place to look when that changes.

A loop's time can be virtual with public methods alone (`VirtualClockLoop`). There is no public
way, though, to change the clock of a loop that runs already, nor to make timers exact to the
last digit.
"""

from __future__ import annotations

import asyncio
import functools
import heapq
import math
import selectors
from collections.abc import Callable
from typing import Any, cast

__all__ = ["Moment", "NextFloat", "Takeover", "make_exact", "replace_attribute"]


class Moment(float):
    """The time of a timer; among equals, the one that was set first is the smaller one.

    asyncio keeps timers in a heap, which alone forgets in which order equal ones came.
    """

    __slots__ = ("_order",)

    _order: int

    def __new__(cls, when: float, order: int) -> Moment:
        moment = super().__new__(cls, when)
        moment._order = order
        return moment

    def __lt__(self, other: float) -> bool:
        if isinstance(other, Moment) and float(self) == float(other):
            return self._order < other._order
        return super().__lt__(other)


class NextFloat(float):
    """A clock resolution; a time plus this is the next larger float.

    asyncio fires the timers that are due before its time plus its resolution. With the real
    resolution, 1 ns, it fires some early; and after 97 days it fires none, because the sum is
    the time itself. (Python 3.15 adds the last digit of the time if that is more.)
    """

    def __radd__(self, time: float) -> float:
        return math.nextafter(time, math.inf)


def make_exact(loop: asyncio.AbstractEventLoop) -> None:
    """Let timers fire at exactly their time; where this does nothing, they fire 1 ns early."""
    replace_attribute(loop, "_clock_resolution", NextFloat())


class Takeover:
    """A loop that was taken over while it ran, and all that we know of asyncio's inside.

    There is no public way to change the clock of a running loop, so that this class reads and
    writes what asyncio (3.11 to 3.14) keeps in private. It refuses a loop that lacks any of it.

    Args:
        loop: the loop.
        replacements: what replaces its public methods, and ``select`` of its selector.
        task: the task whose time limits go on in real time.

    Raises:
        RuntimeError: this asyncio is not the one we know.
    """

    def __init__(
        self,
        loop: asyncio.SelectorEventLoop,
        replacements: dict[str, Callable[..., Any]],
        task: asyncio.Task[Any] | None,
    ) -> None:
        self._loop = cast("Any", loop)
        self._check()
        self._real_time = loop.time
        self._limits = [timer for timer in self._loop._scheduled if _is_limit(timer, task)]
        for timer in self._limits:
            self._take_out(timer)
        selector = self._loop._selector
        select = functools.partial(replacements.pop("select"), selector.select)
        self._restore = [replace_attribute(selector, "select", select)]
        self._restore += [replace_attribute(loop, name, new) for name, new in replacements.items()]
        self._restore.append(replace_attribute(loop, "_clock_resolution", NextFloat()))

    def _check(self) -> None:
        loop = self._loop
        known = (
            isinstance(getattr(loop, "_selector", None), selectors.BaseSelector)
            and isinstance(getattr(loop, "_scheduled", None), list)
            and isinstance(getattr(loop, "_clock_resolution", None), float)
            and {"_when", "_callback", "_scheduled"} <= set(dir(asyncio.TimerHandle))
        )
        if not known:
            raise RuntimeError(
                "VirtualClock cannot take over this loop, because this Python keeps the loop's"
                " selector and timers elsewhere: make the loop with VirtualClockLoop instead."
            )

    def timers(self) -> list[asyncio.TimerHandle]:
        """Return the timers of the loop, but for the limits in real time."""
        return list(self._loop._scheduled)

    def next_limit(self) -> float:
        """Return how many real seconds are left until the first limit in real time."""
        first: float = min((timer.when() for timer in self._limits), default=math.inf)
        return max(first - self._real_time(), 0.0)

    def run_limits(self, now: float) -> bool:
        """Let the limits whose real time has come fire; tell whether there are any.

        Args:
            now: the virtual time.
        """
        if not self._limits:
            return False
        real_now = self._real_time()
        due = [timer for timer in self._limits if timer.when() <= real_now]
        for timer in due:
            self._limits.remove(timer)
            self._put_back(timer, now)
        return bool(due)

    def undo(self, now: float) -> None:
        """Give the loop back as it was, each timer with the delay that it has left.

        Args:
            now: the virtual time.
        """
        for restore in self._restore:
            restore()
        shift = self._real_time() - now
        for timer in self._loop._scheduled:
            timer._when = float(timer._when) + shift
        heapq.heapify(self._loop._scheduled)
        for timer in self._limits:
            self._put_back(timer, timer.when())

    def _take_out(self, timer: Any) -> None:
        self._loop._scheduled.remove(timer)
        heapq.heapify(self._loop._scheduled)
        timer._scheduled = False

    def _put_back(self, timer: Any, when: float) -> None:
        if not timer.cancelled():
            timer._when = when
            timer._scheduled = True
            heapq.heappush(self._loop._scheduled, timer)


def _is_limit(timer: Any, task: asyncio.Task[Any] | None) -> bool:
    """Tell whether a timer is that of a time limit in a task, asyncio's or anyio's."""
    limit = getattr(timer._callback, "__self__", None)
    if task is None or limit is None:
        return False
    if isinstance(limit, asyncio.Timeout):
        return getattr(limit, "_task", None) is task
    return getattr(limit, "_host_task", None) is task


def replace_attribute(target: object, name: str, value: object) -> Callable[[], None]:
    """Set an attribute of one object alone; return what sets it back, or takes it away."""
    attributes = vars(target)
    if name in attributes:
        undo = functools.partial(attributes.__setitem__, name, attributes[name])
    else:
        undo = functools.partial(attributes.pop, name, None)
    attributes[name] = value
    return undo
