"""How attackers send much, and little."""

from __future__ import annotations

import asyncio
import struct

from wsclient.testing import RawConnection

__all__ = ["drip", "frame_head", "pour", "stop_reading"]

_MOST = 256 * 1024 * 1024
"""Bytes after which even an endless attack ends, so that a broken client is found and not fed."""


async def pour(conn: RawConnection, block: bytes, *, total: int = _MOST) -> None:
    """Send a block again and again, as fast as the client takes it."""
    block *= max(1, 65536 // len(block))
    for _ in range(total // len(block)):
        await conn.send(block)


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
