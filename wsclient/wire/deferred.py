"""What is done a few turns of the loop later, so that others can act first."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

__all__ = ["Deferred"]


class Deferred:
    """At most one action that waits for some turns of the loop, or until it is wanted at once.

    Args:
        loop: the loop.
    """

    __slots__ = ("_action", "_loop")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._action: Callable[[], None] | None = None

    def set(self, action: Callable[[], None], *, turns: int) -> None:
        """Let an action wait for so many turns, in the place of one that waits already."""
        self._action = action
        self._wait(turns)

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
