"""Waiting for what happens in another task or in another thread."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable

__all__ = ["Changes"]


class Changes:
    """Tell whoever waits that something has changed; from any thread to any thread.

    `notify` calls the listeners in its own thread; each carries the news to its own.
    """

    def __init__(self) -> None:
        self._listeners: list[Callable[[], object]] = []
        self._lock = threading.Lock()

    def notify(self) -> None:
        """Tell everybody."""
        with self._lock:
            listeners = tuple(self._listeners)
        for listener in listeners:
            listener()

    async def wait_for(
        self, condition: Callable[[], object], what: str, *, timeout: float | None
    ) -> None:
        """Wait in a coroutine until a condition holds; cancelling it has no effect.

        Args:
            condition: looked at now and after each change, in this coroutine.
            what: what is waited for, for the error.
            timeout: seconds; ``None`` for no limit.

        Raises:
            TimeoutError: it did not come to hold in time.
            Exception: whatever the condition raises.
        """
        loop = asyncio.get_running_loop()
        changed = asyncio.Event()

        def listener() -> None:
            try:
                loop.call_soon_threadsafe(changed.set)
            except RuntimeError:
                pass  # The loop of whoever waited has been closed under it.

        self._add(listener)
        try:
            async with asyncio.timeout(timeout) as limit:
                while not condition():
                    await changed.wait()
                    changed.clear()
        except TimeoutError:
            if not limit.expired():
                raise  # The condition itself raised it.
            raise TimeoutError(f"{what} did not happen within {timeout:g} seconds") from None
        finally:
            self._remove(listener)

    def _add(self, listener: Callable[[], object]) -> None:
        with self._lock:
            self._listeners.append(listener)

    def _remove(self, listener: Callable[[], object]) -> None:
        with self._lock:
            self._listeners.remove(listener)
