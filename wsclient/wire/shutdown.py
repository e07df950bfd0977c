"""Drop the connections that are still open when their event loop ends.

A script that forgets to close a connection should leave no socket behind, and its peer should
learn of the end. `asyncio.run` and its like close all asynchronous generators last of all
(``loop.shutdown_asyncgens``); one generator per loop, which waits for nothing else, is told so.
"""

from __future__ import annotations

import asyncio
import warnings
import weakref
from collections.abc import AsyncGenerator
from typing import Protocol

__all__ = ["Abandonable", "LoopWatch", "watch_loop"]


class Abandonable(Protocol):
    """What can be dropped when the loop ends."""

    def abandon(self) -> None:
        """Drop the connection; nothing may be started any more."""


class LoopWatch:
    """The open connections of one loop.

    Attributes:
        open: the connections that will be dropped with the loop.
        begun: whether `begin` has been called.
    """

    def __init__(self) -> None:
        self.open: set[Abandonable] = set()
        self._generator: AsyncGenerator[None, None] | None = None
        self.begun = False

    async def begin(self) -> None:
        """Ask the running loop to tell us of its end; once is enough."""
        self.begun = True
        self._generator = self._until_shutdown()
        await anext(self._generator)

    async def _until_shutdown(self) -> AsyncGenerator[None, None]:
        try:
            yield
        finally:
            # The generator knows the loop: held on to, the loop would stay in memory with it.
            self._generator = None
            forgotten = tuple(self.open)
            for connection in forgotten:
                connection.abandon()
            # Afterwards, because a warning may be an error.
            for connection in forgotten:
                warnings.warn(
                    f"unclosed {connection!r}: its event loop ends; close it, or use async with",
                    ResourceWarning,
                    source=connection,
                    stacklevel=1,
                )


_watches: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, LoopWatch] = (
    weakref.WeakKeyDictionary()
)


async def watch_loop() -> LoopWatch:
    """Return the watch of the running loop."""
    loop = asyncio.get_running_loop()
    watch = _watches.get(loop)
    if watch is None:
        watch = _watches[loop] = LoopWatch()
    if not watch.begun:
        await watch.begin()
    return watch
