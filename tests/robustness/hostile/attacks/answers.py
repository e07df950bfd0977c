"""Attacks in the answer to the upgrade request."""

from __future__ import annotations

import functools
import gzip

from wsclient.testing import RawConnection, encode_frame

from .pouring import drip, pour

__all__ = [
    "accept_with_body",
    "accept_with_chunks",
    "accept_with_deflate_parameters",
    "accept_with_frames",
    "accept_without_connection",
    "ansi_in_accept",
    "ansi_in_reason",
    "ansi_in_retry_after",
    "cookie_flood",
    "csi_in_retry_after",
    "double_extension",
    "dripping_body",
    "dripping_head",
    "early_hints_flood",
    "endless_body",
    "endless_chunk_extension",
    "endless_header_line",
    "endless_informational",
    "endless_status_line",
    "endless_trailers",
    "extension_of_a_megabyte",
    "flood_behind_accept",
    "gzip_bomb",
    "header_flood",
    "huge_chunk_extensions",
    "huge_header",
    "junk",
    "polite",
    "redirect_with_endless_body",
    "repeated_headers",
    "silence",
    "two_accepts",
    "two_subprotocols",
    "unasked_subprotocol",
    "unknown_extension",
    "wrong_accept",
    "wrong_upgrade",
]

_ESCAPES = "\x1b[2J\x1b]0;owned\x07"
"""What clears a terminal and sets its title."""


async def polite(conn: RawConnection) -> None:
    """Do nothing evil: what the measurement itself shows."""
    await conn.accept()
    await conn.send_frame(1, b"hello")
    await conn.send_close(1000)
    await conn.read_until_close()


# Heads without end


async def header_flood(conn: RawConnection) -> None:
    """Send 100,000 headers."""
    await conn.read_request()
    await conn.send(b"HTTP/1.1 101 Switching Protocols\r\n")
    for start in range(0, 100_000, 1000):
        lines = [b"X-Header-%d: value %d\r\n" % (n, n) for n in range(start, start + 1000)]
        await conn.send(b"".join(lines))
    await conn.send(b"\r\n")


async def repeated_headers(conn: RawConnection) -> None:
    """Repeat one header as often as aiohttp takes, each time as long as it takes."""
    await conn.read_request()
    await conn.send(b"HTTP/1.1 101 Switching Protocols\r\n" + _repeated(b"Connection"))


def _repeated(name: bytes) -> bytes:
    return (name + b": " + b"x," * 4000 + b"\r\n") * 100 + b"\r\n"


async def huge_header(conn: RawConnection) -> None:
    """Send one header of 100 MB."""
    await conn.read_request()
    await conn.send(b"HTTP/1.1 101 Switching Protocols\r\nX-Header: ")
    await pour(conn, b"x" * 65536, total=100_000_000)
    await conn.send(b"\r\n\r\n")


async def endless_status_line(conn: RawConnection) -> None:
    """Never end the reason phrase."""
    await conn.read_request()
    await conn.send(b"HTTP/1.1 101 ")
    await pour(conn, b"Switching ")


async def endless_header_line(conn: RawConnection) -> None:
    """Never end the name of a header."""
    await conn.read_request()
    await conn.send(b"HTTP/1.1 101 Switching Protocols\r\n")
    await pour(conn, b"Header-")


async def junk(conn: RawConnection) -> None:
    """Send what is no HTTP, without end."""
    await conn.read_request()
    await pour(conn, bytes(range(256)))


async def cookie_flood(conn: RawConnection) -> None:
    """Set as many and as large cookies as are taken, and redirect to have them back."""
    await redirect_with_cookies(conn, 31)


async def too_many_cookies(conn: RawConnection) -> None:
    """Set more than that."""
    await redirect_with_cookies(conn, 100)


async def redirect_with_cookies(conn: RawConnection, count: int) -> None:
    request = await conn.read_request()
    hop = int(request.target.strip("/") or 0) + 1
    value = "v" * 8000
    cookies = "".join(f"Set-Cookie: c{hop}-{n}={value}; Path=/\r\n" for n in range(count))
    head = f"HTTP/1.1 302 Found\r\nLocation: /{hop}\r\nContent-Length: 0\r\n{cookies}\r\n"
    await conn.send(head.encode())


async def endless_informational(conn: RawConnection) -> None:
    """Send 100 Continue for ever."""
    await conn.read_request()
    await pour(conn, b"HTTP/1.1 100 Continue\r\n\r\n")


async def early_hints_flood(conn: RawConnection) -> None:
    """Send 103 Early Hints with large headers for ever."""
    await conn.read_request()
    link = b"Link: </" + b"x" * 7000 + b">\r\n"
    await pour(conn, b"HTTP/1.1 103 Early Hints\r\n" + link * 10 + b"\r\n")


async def silence(conn: RawConnection) -> None:
    """Say nothing at all."""
    await conn.read_to_end()


async def dripping_head(conn: RawConnection) -> None:
    """Send a good answer at one byte each 20 ms, with a header that does not end."""
    await conn.read_request()
    await conn.send(b"HTTP/1.1 101 Switching Protocols\r\nX-Slow: ")
    await drip(conn, b"x")


# Bodies without end


async def endless_body(conn: RawConnection) -> None:
    """Refuse, with a body that does not end."""
    await conn.read_request()
    await conn.send(b"HTTP/1.1 403 Forbidden\r\n\r\n")
    await pour(conn, b"no")


async def dripping_body(conn: RawConnection) -> None:
    """Refuse, with a body of one byte each 20 ms."""
    await conn.read_request()
    await conn.send(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 1000000\r\n\r\n")
    await drip(conn, b"x")


async def redirect_with_endless_body(conn: RawConnection) -> None:
    """Redirect for ever, each time with a body that does not end."""
    await conn.read_request()
    await conn.send(b"HTTP/1.1 302 Found\r\nLocation: /\r\n\r\n")
    await pour(conn, b"x")


_CHUNKED_REFUSAL = b"HTTP/1.1 403 Forbidden\r\nTransfer-Encoding: chunked\r\n\r\n"


async def huge_chunk_extensions(conn: RawConnection) -> None:
    """Refuse, with chunks of one byte whose extensions have 64 KiB."""
    await conn.read_request()
    await conn.send(_CHUNKED_REFUSAL)
    await pour(conn, b"1;" + b"x" * 65536 + b"\r\nx\r\n")


async def endless_chunk_extension(conn: RawConnection) -> None:
    """Refuse, with a chunk whose extension does not end."""
    await conn.read_request()
    await conn.send(_CHUNKED_REFUSAL + b"1;")
    await pour(conn, b"x=y;")


async def endless_trailers(conn: RawConnection) -> None:
    """Refuse, with trailers that do not end."""
    await conn.read_request()
    trailer = b"X-Trailer: value\r\n"
    await conn.send(_CHUNKED_REFUSAL + b"0\r\n" + trailer * 1000)
    await pour(conn, trailer)


@functools.cache
def _gzip_of_zeros() -> bytes:
    return gzip.compress(bytes(32 * 1024 * 1024))


async def gzip_bomb(conn: RawConnection) -> None:
    """Refuse, with a body of 32 KiB that gunzips to 32 MiB."""
    await conn.read_request()
    body = _gzip_of_zeros()
    assert len(body) < 64 * 1024
    await conn.respond("403 Forbidden", {"Content-Encoding": "gzip"}, body)


# Answers that are not quite the right one


async def accept_with_frames(conn: RawConnection) -> None:
    """Send 101, a message and Close in one segment, which is allowed."""
    await conn.accept(extra=encode_frame(1, b"hello") + encode_frame(8, b"\x03\xe8"))
    await conn.read_until_close()


async def accept_with_body(conn: RawConnection) -> None:
    """Announce a body behind 101, where there is none (RFC 9110, section 6.4.1)."""
    await conn.accept({"Content-Length": "5"}, extra=encode_frame(1, b"hello"))
    await conn.send_close(1000)
    await conn.read_until_close()


async def accept_with_chunks(conn: RawConnection) -> None:
    """Announce chunks behind 101, and send some."""
    await conn.accept({"Transfer-Encoding": "chunked"}, extra=b"5\r\nhello\r\n0\r\n\r\n")
    await conn.read_to_end()


async def two_accepts(conn: RawConnection) -> None:
    """Send 101 twice."""
    await conn.accept()
    await conn.accept()
    await conn.read_to_end()


async def flood_behind_accept(conn: RawConnection) -> None:
    """Send messages without end in the segment of the 101 and behind it."""
    block = encode_frame(2, bytes(1000)) * 60
    await conn.accept(extra=block)
    await pour(conn, block)


async def wrong_accept(conn: RawConnection) -> None:
    """Answer another request than ours."""
    await conn.accept({"Sec-WebSocket-Accept": "nonsense"})
    await conn.read_to_end()


async def wrong_upgrade(conn: RawConnection) -> None:
    """Upgrade to something else."""
    await conn.accept({"Upgrade": "h2c"})
    await conn.read_to_end()


async def accept_without_connection(conn: RawConnection) -> None:
    """Leave out the header Connection."""
    await conn.accept({"Connection": None})
    await conn.read_to_end()


async def unasked_subprotocol(conn: RawConnection) -> None:
    """Choose a subprotocol that was not offered, with control characters in it."""
    await conn.accept({"Sec-WebSocket-Protocol": "evil" + _ESCAPES})
    await conn.read_to_end()


async def two_subprotocols(conn: RawConnection) -> None:
    """Choose two of the subprotocols offered."""
    await conn.accept({"Sec-WebSocket-Protocol": "chat, superchat"})
    await conn.read_to_end()


async def unknown_extension(conn: RawConnection) -> None:
    """Choose an extension that does not exist."""
    await conn.accept({"Sec-WebSocket-Extensions": "permessage-evil; x" + _ESCAPES})
    await conn.read_to_end()


async def double_extension(conn: RawConnection) -> None:
    """Choose permessage-deflate twice."""
    await conn.accept({"Sec-WebSocket-Extensions": "permessage-deflate, permessage-deflate"})
    await conn.read_to_end()


async def accept_with_deflate_parameters(conn: RawConnection) -> None:
    """Give permessage-deflate as many parameters as aiohttp takes in its lines."""
    line = "Sec-WebSocket-Extensions: permessage-deflate" + '; x="y"' * 1150 + "\r\n"
    await conn.read_request()
    await conn.accept({"X-First": "x\r\n" + line * 100 + "X-Last: x"})
    await conn.read_to_end()


async def extension_of_a_megabyte(conn: RawConnection) -> None:
    """Give permessage-deflate parameters of 1 MB."""
    await conn.accept({"Sec-WebSocket-Extensions": "permessage-deflate" + "; x" * 350_000})
    await conn.read_to_end()


# Text that is meant for a terminal


async def ansi_in_reason(conn: RawConnection) -> None:
    """Refuse, with escape sequences in the reason phrase and in the body."""
    await conn.read_request()
    await conn.respond("403 " + _ESCAPES, {"X-Evil": _ESCAPES}, _ESCAPES.encode())


async def ansi_in_retry_after(conn: RawConnection) -> None:
    """Refuse, with escape sequences in the one header that our hint shows."""
    await conn.read_request()
    await conn.respond("503 Busy", {"Retry-After": "5" + _ESCAPES})


async def csi_in_retry_after(conn: RawConnection) -> None:
    """Do the same with a control character of eight bits, and with 8,000 more characters."""
    await conn.read_request()
    await conn.respond("503 Busy", {"Retry-After": "\x9b2J" + "x" * 8000})


async def ansi_in_accept(conn: RawConnection) -> None:
    """Accept, with escape sequences in Sec-WebSocket-Accept."""
    await conn.accept({"Sec-WebSocket-Accept": _ESCAPES})
    await conn.read_to_end()
