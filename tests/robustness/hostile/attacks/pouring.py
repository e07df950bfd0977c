"""How attackers send much, and little."""

from __future__ import annotations

import asyncio
import struct

from wsclient.testing import RawConnection

__all__ = ["drip", "frame_head", "pour", "stop_reading"]

_ENDLESS = 256 * 1024 * 1024
_LONG = 3.0
"""Bytes and seconds after both of which even an endless attack ends, so that a broken client is
found and not fed. A quick machine sends so many bytes in the time that a client has to close."""


async def pour(conn: RawConnection, block: bytes, *, total: int | None = None) -> None:
    """Send a block again and again, as fast as the client takes it.

    Args:
        total: bytes to send, at most; ``None`` for as good as without end.
    """
    loop = asyncio.get_running_loop()
    block *= max(1, 65536 // len(block))
    until = loop.time() + _LONG if total is None else 0.0
    left = (_ENDLESS if total is None else total) // len(block)
    while left > 0 or loop.time() < until:
        await conn.send(block)
        left -= 1


async def drip(conn: RawConnection, data: bytes, interval: float = 0.02) -> None:
    """Send one byte each so many seconds, for ever."""
    position = 0
    while True:
        await conn.send(data[position : position + 1])
        position = (position + 1) % len(data)
        await asyncio.sleep(interval)


def frame_head(head: int, length: int) -> bytes:
    """Return the start of a frame that announces `length` bytes in the 64-bit form."""
    return bytes((head, 127)) + struct.pack(">Q", length)


def stop_reading(conn: RawConnection) -> None:
    """Take no byte from the client any more."""
    transport = conn.writer.transport
    assert isinstance(transport, asyncio.Transport)
    transport.pause_reading()
