"""Attacks within TLS, and in its place."""

from __future__ import annotations

import asyncio

from wsclient.testing import RawConnection, encode_frame

from .pouring import drip, pour

__all__ = ["dripping_handshake", "endless_handshake", "junk", "one_byte_records"]

_SERVER_HELLO = bytes.fromhex("16 03 03 3f ff 02 00 3f fb 03 03")
"""A record of 16 KiB that begins a ServerHello of the same length."""


async def dripping_handshake(conn: RawConnection) -> None:
    """Send a ServerHello at one byte each 20 ms."""
    await drip(conn, _SERVER_HELLO + bytes(16384))


async def endless_handshake(conn: RawConnection) -> None:
    """Send a handshake message that announces 16 MiB, and as many of its bytes as are taken."""
    await conn.send(bytes.fromhex("16 03 03 40 00 02 ff ff ff") + bytes(16380))
    await pour(conn, bytes.fromhex("16 03 03 40 00") + bytes(16384))


async def junk(conn: RawConnection) -> None:
    """Send what is no TLS, without end."""
    await pour(conn, b"this is no TLS ")


async def one_byte_records(conn: RawConnection) -> None:
    """Send a message of 10,000 bytes, each in a record of its own."""
    await conn.accept()
    frame = encode_frame(2, bytes(10_000))
    for at in range(len(frame)):
        conn.writer.write(frame[at : at + 1])
        if at % 1000 == 0:
            await asyncio.sleep(0)
    await conn.send_close(1000)
    await conn.read_until_close()
