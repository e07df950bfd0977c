"""Attacks by compressed messages (RFC 7692)."""

from __future__ import annotations

import functools
import zlib

from wsclient.testing import RawConnection, encode_frame

from .pouring import pour

__all__ = [
    "bomb_in_fragments",
    "bomb_in_one_frame",
    "bomb_with_takeover",
    "bombs_below_the_limit",
    "empty_blocks",
    "final_blocks",
    "final_blocks_bomb",
    "text_bombs_below_the_limit",
]

_MIB = 1024 * 1024
_ACCEPT = {"Sec-WebSocket-Extensions": "permessage-deflate"}


@functools.cache
def _zeros(mebibytes: int) -> bytes:
    """Return the payload of a message of zeros, a thousandth of its size."""
    stream = zlib.compressobj(9, wbits=-15)
    block = stream.compress(bytes(_MIB)) + stream.flush(zlib.Z_FULL_FLUSH)
    payload = block * mebibytes
    assert len(payload) * 900 < mebibytes * _MIB
    return payload.removesuffix(b"\x00\x00\xff\xff")


@functools.cache
def _below_the_limit() -> bytes:
    """Return a message that inflates to 64 bytes less than 10 MiB."""
    stream = zlib.compressobj(9, wbits=-15)
    payload = stream.compress(bytes(10 * _MIB - 64)) + stream.flush(zlib.Z_FULL_FLUSH)
    return payload.removesuffix(b"\x00\x00\xff\xff")


@functools.cache
def _with_takeover() -> list[bytes]:
    stream = zlib.compressobj(9, wbits=-15)
    payloads = []
    for _ in range(20):
        payload = stream.compress(bytes(8 * _MIB)) + stream.flush(zlib.Z_SYNC_FLUSH)
        payloads.append(payload.removesuffix(b"\x00\x00\xff\xff"))
    return payloads


async def bomb_in_one_frame(conn: RawConnection) -> None:
    """Send 1 MB that inflates to 1 GiB."""
    await conn.accept(_ACCEPT)
    await conn.send_frame(2, _zeros(1024), rsv=4)
    await conn.read_to_end()


async def bomb_in_fragments(conn: RawConnection) -> None:
    """Send the same in fragments of 100 bytes."""
    await conn.accept(_ACCEPT)
    payload = _zeros(1024)
    pieces = [payload[at : at + 100] for at in range(0, len(payload), 100)]
    frames = [encode_frame(0, piece, fin=False) for piece in pieces[1:]]
    await conn.send(encode_frame(1, pieces[0], fin=False, rsv=4) + b"".join(frames))
    await conn.read_to_end()


async def empty_blocks(conn: RawConnection) -> None:
    """Send blocks of nothing, one message without end: it never gets any longer."""
    await conn.accept(_ACCEPT)
    await conn.send_frame(2, b"\x00", fin=False, rsv=4)
    await pour(conn, encode_frame(0, b"\x00\x00\xff\xff\x00" * 10_000, fin=False))


async def final_blocks(conn: RawConnection) -> None:
    """Send final blocks, each of which makes a receiver begin a new stream."""
    await conn.accept(_ACCEPT)
    await conn.send_frame(2, b"\x03\x00", fin=False, rsv=4)
    await pour(conn, encode_frame(0, b"\x03\x00" * 20_000, fin=False))


async def final_blocks_bomb(conn: RawConnection) -> None:
    """Send final blocks of 1 MiB each, in one frame."""
    await conn.accept(_ACCEPT)
    await conn.send_frame(2, zlib.compress(bytes(_MIB), 9, wbits=-15) * 900, rsv=4)
    await conn.read_to_end()


async def bomb_with_takeover(conn: RawConnection) -> None:
    """Send 20 messages of 8 MiB, each of which continues the window of the one before."""
    await conn.accept(_ACCEPT)
    for payload in _with_takeover():
        await conn.send_frame(2, payload, rsv=4)
    await conn.send_close(1000)
    await conn.read_until_close()


async def bombs_below_the_limit(conn: RawConnection) -> None:
    """Send messages of 10 KB that inflate to just below the limit, without end."""
    await conn.accept(_ACCEPT)
    await pour(conn, encode_frame(2, _below_the_limit(), rsv=4))


async def text_bombs_below_the_limit(conn: RawConnection) -> None:
    """Do the same with texts."""
    await conn.accept(_ACCEPT)
    await pour(conn, encode_frame(1, _below_the_limit(), rsv=4))
