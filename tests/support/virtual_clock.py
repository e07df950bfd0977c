"""An event loop whose time jumps to the next timer as soon as nothing else is left to do."""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Awaitable, Callable
from contextvars import Context
from typing import TypeVarTuple

from support.running import run_checked

__all__ = ["VirtualClockLoop", "run_virtual"]

Ts = TypeVarTuple("Ts")

_FOREVER = 1e9
"""Seconds, in virtual time, that a test may take."""


class _JumpingSelector(selectors.SelectSelector):
    """A selector that moves a clock where another one would wait."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        events = super().select(0)
        if not events:
            if timeout is None:
                raise RuntimeError("the loop would wait for ever: no timer and nothing ready")
            self.now += max(timeout, 0.0)
        return events


class VirtualClockLoop(asyncio.SelectorEventLoop):
    """The stock loop on a clock that starts at 0 and never waits.

    Attributes:
        timers: every timer ever set, in order.
    """

    def __init__(self) -> None:
        self._clock = _JumpingSelector()
        self.timers: list[asyncio.TimerHandle] = []
        super().__init__(self._clock)

    def time(self) -> float:
        """Return the virtual time in seconds."""
        return self._clock.now

    def stall(self, seconds: float) -> None:
        """Let time pass while the loop stands still, as a blocking call does."""
        self._clock.now += seconds

    def call_at(
        self,
        when: float,
        callback: Callable[[*Ts], object],
        *args: *Ts,
        context: Context | None = None,
    ) -> asyncio.TimerHandle:
        """Set a timer, and remember it."""
        timer = super().call_at(when, callback, *args, context=context)
        self.timers.append(timer)
        return timer

    def pending_timers(self) -> list[asyncio.TimerHandle]:
        """List the timers that are still to come."""
        return [t for t in self.timers if not t.cancelled() and t.when() > self.time()]


def run_virtual(main: Callable[[VirtualClockLoop], Awaitable[None]]) -> None:
    """Run `main` on a virtual clock, and check that it leaves nothing behind."""

    async def run() -> None:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, VirtualClockLoop)
        await main(loop)

    run_checked(run, VirtualClockLoop, timeout=_FOREVER)
