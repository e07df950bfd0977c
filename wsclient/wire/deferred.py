"""What is done a few turns of the loop later, so that others can act first."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

__all__ = ["Deferred"]


class Deferred:
    """At most one action that waits for some turns of the loop, or until it is wanted at once.

    Args:
        loop: the loop.
        turns: how many turns it waits.
    """

    __slots__ = ("_action", "_loop", "_turns")

    def __init__(self, loop: asyncio.AbstractEventLoop, *, turns: int) -> None:
        self._loop = loop
        self._turns = turns
        self._action: Callable[[], None] | None = None

    def set(self, action: Callable[[], None]) -> None:
        """Let an action wait, in the place of one that waits already."""
        self._action = action
        self._wait(self._turns)

    def _wait(self, turns: int) -> None:
        if turns:
            self._loop.call_soon(self._wait, turns - 1)
        else:
            self.run()

    def run(self) -> None:
        """Do it now, if something waits."""
        action, self._action = self._action, None
        if action is not None:
            action()
