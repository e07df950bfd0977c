"""Attacks by a proxy on the way."""

from __future__ import annotations

from wsclient.testing import RawConnection

from .pouring import drip, pour

__all__ = [
    "ansi_in_reason",
    "body_behind_tunnel",
    "dripping_head",
    "dripping_socks",
    "endless_407",
    "endless_headers",
    "endless_informational",
    "endless_status_line",
    "flood_behind_tunnel",
    "junk",
    "redirect",
    "silence",
    "socks_junk",
]


async def endless_headers(conn: RawConnection) -> None:
    """Answer CONNECT with headers without end."""
    await conn.read_request()
    await conn.send(b"HTTP/1.1 200 OK\r\n")
    await pour(conn, b"X-Header: value\r\n")


async def endless_status_line(conn: RawConnection) -> None:
    """Never end the status line."""
    await conn.read_request()
    await conn.send(b"HTTP/1.1 200 ")
    await pour(conn, b"Connection established ")


async def endless_informational(conn: RawConnection) -> None:
    """Send 100 Continue for ever."""
    await conn.read_request()
    await pour(conn, b"HTTP/1.1 100 Continue\r\n\r\n")


async def endless_407(conn: RawConnection) -> None:
    """Ask for credentials, with a body that does not end."""
    await conn.read_request()
    await conn.send(b'HTTP/1.1 407 Who?\r\nProxy-Authenticate: Basic realm="x"\r\n\r\n')
    await pour(conn, b"x")


async def redirect(conn: RawConnection) -> None:
    """Redirect the tunnel to somewhere else."""
    await conn.read_request()
    await conn.respond("302 Found", {"Location": "http://127.0.0.1:1/"})


async def body_behind_tunnel(conn: RawConnection) -> None:
    """Open the tunnel, and send bytes before the client has said anything in it."""
    await conn.read_request()
    await conn.send(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello")
    await conn.read_to_end()


async def flood_behind_tunnel(conn: RawConnection) -> None:
    """Open the tunnel, and send bytes without end."""
    await conn.read_request()
    await conn.send(b"HTTP/1.1 200 OK\r\n\r\n")
    await pour(conn, b"x")


async def ansi_in_reason(conn: RawConnection) -> None:
    """Refuse, with escape sequences in the reason phrase."""
    await conn.read_request()
    await conn.respond("403 \x1b[2Jowned\x9b2J")


async def dripping_head(conn: RawConnection) -> None:
    """Answer at one byte each 20 ms."""
    await conn.read_request()
    await conn.send(b"HTTP/1.1 200 OK\r\nX-Slow: ")
    await drip(conn, b"x")


async def silence(conn: RawConnection) -> None:
    """Say nothing at all."""
    await conn.read_to_end()


async def junk(conn: RawConnection) -> None:
    """Send what is no HTTP, without end."""
    await conn.read_request()
    await pour(conn, bytes(range(256)))


async def dripping_socks(conn: RawConnection) -> None:
    """Agree to no authentication, and answer the request at one byte each 20 ms."""
    await conn.reader.readexactly(3)
    await conn.send(b"\x05\x00")
    # Of a name of 255 bytes, which takes more than 5 seconds.
    await drip(conn, b"\x05\x00\x00\x03\xff" + b"x" * 260)


async def socks_junk(conn: RawConnection) -> None:
    """Answer what is no SOCKS, without end."""
    await pour(conn, bytes(range(256)))
