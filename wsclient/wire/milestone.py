"""Something that happens once in the life of a connection."""

from __future__ import annotations

import asyncio

__all__ = ["Milestone"]


class Milestone:
    """An event that costs next to nothing until somebody waits for it.

    Attributes:
        reached: whether it has happened.
    """

    __slots__ = ("_event", "reached")

    def __init__(self) -> None:
        self.reached = False
        self._event: asyncio.Event | None = None

    def reach(self) -> None:
        """Let it happen, and wake whoever waits."""
        self.reached = True
        if self._event is not None:
            self._event.set()

    async def wait(self) -> None:
        """Wait until it has happened; cancelling has no effect on others."""
        if not self.reached:
            if self._event is None:
                self._event = asyncio.Event()
            await self._event.wait()
