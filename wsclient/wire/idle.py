"""Compression that costs an idle connection no memory."""

from __future__ import annotations

import asyncio

from ..protocol.deflate import Deflater

__all__ = ["IdleDeflater"]


class IdleDeflater(Deflater):
    """A `Deflater` that lets go of its memory when nothing was compressed for some time.

    The next message is then compressed without reference to earlier ones. While messages
    follow each other there is one timer for all that come within `timeout`.

    Args:
        loop: the loop of the connection.
        timeout: seconds, above 0. The memory is gone after twice that time at the latest.
        window_bits: as for `Deflater`.
        level: as for `Deflater`.
        mem_level: as for `Deflater`.

    Raises:
        ValueError: a number is out of its range.
    """

    __slots__ = ("_loop", "_timeout", "_timer", "_used")

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        timeout: float,
        *,
        window_bits: int,
        level: int,
        mem_level: int,
    ) -> None:
        super().__init__(
            window_bits=window_bits, no_context_takeover=False, level=level, mem_level=mem_level
        )
        self._loop = loop
        self._timeout = timeout
        self._timer: asyncio.Handle | None = None
        self._used = False

    def compress(self, payload: bytes | bytearray | memoryview) -> bytes:
        """Return a whole message compressed, as `Deflater.compress` does.

        Raises:
            BufferError: `payload` is a memoryview that is not contiguous.
        """
        self._used = True
        if self._timer is None:
            self._wait()
        return super().compress(payload)

    def _wait(self) -> None:
        self._used = False
        self._timer = self._loop.call_later(self._timeout, self._look)

    def _look(self) -> None:
        if self._used:
            self._wait()
        else:
            self.forget()

    def forget(self) -> None:
        """Refer to no earlier message in the next one, and let go of memory and timer."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        super().forget()
