"""Attacks by frames."""

from __future__ import annotations

import asyncio

from wsclient.testing import RawConnection, encode_frame

from .pouring import drip, frame_head, pour, stop_reading

__all__ = [
    "announce_2_to_the_63",
    "announce_more_than_the_limit",
    "announce_most",
    "announce_ten_gibibytes",
    "ansi_in_close_reason",
    "bad_utf8_close_reason",
    "close_again_and_again",
    "data_after_close",
    "dripping_frame",
    "empty_fragments",
    "empty_messages",
    "half_close",
    "never_read",
    "one_byte_fragments",
    "ping_flood",
    "ping_flood_without_reading",
    "pong_flood",
    "small_messages",
    "two_byte_messages",
    "unanswered_close",
    "wide_text",
]


async def announce_2_to_the_63(conn: RawConnection) -> None:
    """Announce a length with the highest bit set."""
    await conn.accept(extra=frame_head(0x82, 2**63))
    await pour(conn, b"x")


async def announce_most(conn: RawConnection) -> None:
    """Announce the largest length there is."""
    await conn.accept(extra=frame_head(0x82, 2**63 - 1))
    await pour(conn, b"x")


async def announce_ten_gibibytes(conn: RawConnection) -> None:
    """Announce 10 GiB, send 4 MiB of them, and hang up."""
    await conn.accept(extra=frame_head(0x82, 10 * 2**30))
    await pour(conn, b"x", total=4 * 2**20)


async def announce_more_than_the_limit(conn: RawConnection) -> None:
    """Announce 10 GiB and send as much as is taken."""
    await conn.accept(extra=frame_head(0x81, 10 * 2**30))
    await pour(conn, b"x")


async def one_byte_fragments(conn: RawConnection) -> None:
    """Send a message in fragments of one byte, without end."""
    await conn.accept(extra=encode_frame(2, b"x", fin=False))
    await pour(conn, encode_frame(0, b"x", fin=False))


async def empty_fragments(conn: RawConnection) -> None:
    """Send a message in fragments of nothing, without end."""
    await conn.accept(extra=encode_frame(1, b"", fin=False))
    await pour(conn, encode_frame(0, b"", fin=False))


async def wide_text(conn: RawConnection) -> None:
    """Send texts just below the limit that Python stores with 4 bytes for each character."""
    await conn.accept()
    text = b"x" * (10 * 2**20 - 4) + "\N{ROLLING ON THE FLOOR LAUGHING}".encode()
    for _ in range(3):
        await conn.send(encode_frame(1, text))
    await conn.send_close(1000)
    await conn.read_until_close()


# Floods of messages


async def empty_messages(conn: RawConnection) -> None:
    """Send messages of two bytes in all."""
    await conn.accept()
    await pour(conn, encode_frame(2, b""))


async def two_byte_messages(conn: RawConnection) -> None:
    """Send messages that take thirty times as much memory as they have bytes."""
    await conn.accept()
    await pour(conn, encode_frame(2, b"ab") + encode_frame(1, b"cd"))


async def small_messages(conn: RawConnection) -> None:
    """Send messages of 1,000 bytes."""
    await conn.accept()
    await pour(conn, encode_frame(2, bytes(1000)))


# Control frames


async def ping_flood(conn: RawConnection) -> None:
    """Send the longest pings there are, and read the pongs."""
    await conn.accept()
    await pour(conn, encode_frame(9, bytes(125)))


async def ping_flood_without_reading(conn: RawConnection) -> None:
    """Send the longest pings there are, and read no pong."""
    await conn.accept()
    stop_reading(conn)
    await pour(conn, encode_frame(9, bytes(125)))


async def pong_flood(conn: RawConnection) -> None:
    """Send pongs that nobody has asked for."""
    await conn.accept()
    await pour(conn, encode_frame(10, bytes(125)))


async def never_read(conn: RawConnection) -> None:
    """Take nothing of what the client sends."""
    await conn.accept()
    stop_reading(conn)
    await asyncio.sleep(60)


async def dripping_frame(conn: RawConnection) -> None:
    """Send a message at one byte each 20 ms: always alive, never of use."""
    await conn.accept(extra=frame_head(0x82, 2**20))
    await drip(conn, b"x")


# The end


async def unanswered_close(conn: RawConnection) -> None:
    """Read everything, and never answer the Close."""
    await conn.accept()
    await conn.read_to_end()


async def data_after_close(conn: RawConnection) -> None:
    """Send Close, and then messages without end."""
    await conn.accept()
    await conn.send_close(1000)
    await pour(conn, encode_frame(2, bytes(1000)))


async def close_again_and_again(conn: RawConnection) -> None:
    """Send Close frames without end."""
    await conn.accept()
    await pour(conn, encode_frame(8, b"\x03\xe8bye"))


async def half_close(conn: RawConnection) -> None:
    """End one half of TCP, and never the other one."""
    await conn.accept()
    conn.writer.write_eof()
    stop_reading(conn)
    await asyncio.sleep(60)


async def bad_utf8_close_reason(conn: RawConnection) -> None:
    """Close with a reason that is not UTF-8."""
    await conn.accept()
    await conn.send_frame(8, b"\x03\xe8\xff\xfe")
    await conn.read_to_end()


async def ansi_in_close_reason(conn: RawConnection) -> None:
    """Close with a reason that would write a log line of its own and clear a terminal."""
    await conn.accept()
    await conn.send_close(1008, "bye\r\nERROR root: owned\x1b[2J\x9b2J\N{RIGHT-TO-LEFT OVERRIDE}")
    await conn.read_until_close()
