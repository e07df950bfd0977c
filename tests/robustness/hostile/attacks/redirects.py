"""Attacks by redirects."""

from __future__ import annotations

from wsclient.testing import RawConnection

from ..case import Attack

__all__ = [
    "away",
    "downgrade",
    "empty_location",
    "endless",
    "endless_and_long",
    "line_break",
    "line_break_in_percent",
    "loop",
    "not_a_text",
    "other_origin",
    "userinfo",
]


async def _redirect(conn: RawConnection, location: str) -> None:
    await conn.respond("302 Found", {"Location": location})


def away(location: str) -> Attack:
    """Return an attack that redirects to `location`."""

    async def attack(conn: RawConnection) -> None:
        await conn.read_request()
        await _redirect(conn, location)

    return attack


async def endless(conn: RawConnection) -> None:
    """Redirect to another path each time."""
    request = await conn.read_request()
    await _redirect(conn, request.target + "x")


async def loop(conn: RawConnection) -> None:
    """Redirect back and forth."""
    request = await conn.read_request()
    await _redirect(conn, "/b" if request.target == "/a" else "/a")


async def empty_location(conn: RawConnection) -> None:
    """Redirect to the same address by saying nothing."""
    await conn.read_request()
    await _redirect(conn, "")


async def endless_and_long(conn: RawConnection) -> None:
    """Redirect to paths as long as aiohttp takes."""
    await conn.read_request()
    await _redirect(conn, "/" + "x" * 8000)


async def not_a_text(conn: RawConnection) -> None:
    """Redirect to bytes that are no text in any encoding of URLs."""
    await conn.read_request()
    await conn.send(b"HTTP/1.1 302 Found\r\nLocation: /\xff\xfe\x1b[2J\r\n\r\n")


async def line_break(conn: RawConnection) -> None:
    """Redirect with a bare line feed in the address, to smuggle a header into our request."""
    request = await conn.read_request()
    assert "x-smuggled" not in request.headers
    await conn.send(b"HTTP/1.1 302 Found\r\nLocation: /a\nX-Smuggled: yes\r\n\r\n")


async def line_break_in_percent(conn: RawConnection) -> None:
    """Do the same with the line break in percent signs."""
    request = await conn.read_request()
    assert "x-smuggled" not in request.headers
    if request.target == "/":
        return await _redirect(conn, "/a%0d%0aX-Smuggled:%20yes")
    assert "\n" not in request.target
    await conn.respond("403 Forbidden")


async def userinfo(conn: RawConnection) -> None:
    """Redirect with a name and a password, to see whether we log in elsewhere with them."""
    request = await conn.read_request()
    assert "authorization" not in request.headers
    if request.target == "/":
        return await _redirect(conn, f"http://ann:secret@{request.headers['host']}/in")
    await conn.respond("403 Forbidden")


async def other_origin(conn: RawConnection) -> None:
    """Redirect to another name of this server, to be given what was meant for the first."""
    request = await conn.read_request()
    host, _, port = request.headers["host"].rpartition(":")
    if host == "127.0.0.1":
        assert request.headers["authorization"] == "Bearer token"
        assert request.headers["cookie"] == "session=token"
        return await _redirect(conn, f"https://localhost:{port}/there")
    assert "token" not in str(request.headers), "the other origin was given a secret"
    await conn.respond("403 Forbidden")


async def downgrade(conn: RawConnection) -> None:
    """Redirect from ``wss://`` to ``ws://`` of the same server."""
    request = await conn.read_request()
    await _redirect(conn, f"ws://{request.headers['host']}/")
