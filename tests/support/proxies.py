"""Small proxies on the test's own loop: HTTP CONNECT and SOCKS5."""

from __future__ import annotations

import asyncio
import base64
import ipaddress
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from wsclient.testing.raw import RawConnection, RawServer

__all__ = ["Proxy", "connect_proxy", "socks5_proxy"]


@dataclass
class Proxy:
    """What a running proxy saw.

    Attributes:
        port: where it listens on 127.0.0.1.
        scheme: ``"http"``, ``"https"`` or ``"socks5"``.
        requests: ``(method, target)`` of each request; for SOCKS5 the method is ``"CONNECT"``.
        headers: the headers of each HTTP request.
    """

    port: int
    scheme: str
    requests: list[tuple[str, str]] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)

    @property
    def url(self) -> str:
        """The proxy's URL, without a user."""
        return f"{self.scheme}://127.0.0.1:{self.port}"


@asynccontextmanager
async def connect_proxy(
    *, auth: tuple[str, str] | None = None, ssl: ssl.SSLContext | None = None
) -> AsyncIterator[Proxy]:
    """Run an HTTP proxy that opens tunnels (RFC 9110, section 9.3.6) and does nothing else.

    Args:
        auth: the user and password that it asks for with 407; ``None`` asks for none.
        ssl: context with which it speaks TLS to its clients; ``None`` speaks plain HTTP.
    """
    proxy = Proxy(0, "https" if ssl else "http")
    wanted = auth and "Basic " + base64.b64encode(":".join(auth).encode()).decode()

    async def serve(wire: RawConnection) -> None:
        request = await wire.read_request()
        proxy.requests.append((request.method, request.target))
        proxy.headers.append(request.headers)
        if request.method != "CONNECT":
            return await wire.respond("405 Method Not Allowed", {"Connection": "close"})
        if wanted and request.headers.get("proxy-authorization") != wanted:
            fields = {"Proxy-Authenticate": 'Basic realm="proxy"', "Connection": "close"}
            return await wire.respond("407 Proxy Authentication Required", fields, b"who?")
        host, _, port = request.target.rpartition(":")
        try:
            far = await asyncio.open_connection(host.strip("[]"), int(port))
        except OSError:
            return await wire.respond("502 Bad Gateway", {"Connection": "close"})
        await wire.send(b"HTTP/1.1 200 Connection established\r\n\r\n")
        await _tunnel(wire, *far)

    async with RawServer(serve, tls=ssl) as server:
        proxy.port = server.port
        yield proxy


@asynccontextmanager
async def socks5_proxy() -> AsyncIterator[Proxy]:
    """Run a SOCKS5 proxy without authentication (RFC 1928)."""
    proxy = Proxy(0, "socks5")

    async def serve(wire: RawConnection) -> None:
        _, count = await wire.reader.readexactly(2)
        await wire.reader.readexactly(count)
        await wire.send(b"\x05\x00")
        _, _, _, kind = await wire.reader.readexactly(4)
        if kind == 3:
            host = (await wire.reader.readexactly((await wire.reader.readexactly(1))[0])).decode()
        else:
            host = str(ipaddress.ip_address(await wire.reader.readexactly(4 if kind == 1 else 16)))
        port = int.from_bytes(await wire.reader.readexactly(2), "big")
        proxy.requests.append(("CONNECT", f"{host}:{port}"))
        try:
            far = await asyncio.open_connection(host, port)
        except OSError:
            return await wire.send(b"\x05\x05\x00\x01" + bytes(6))
        await wire.send(b"\x05\x00\x00\x01" + bytes(6))
        await _tunnel(wire, *far)

    async with RawServer(serve) as server:
        proxy.port = server.port
        yield proxy


async def _tunnel(
    wire: RawConnection, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> None:
    """Pass bytes both ways until one side ends."""

    async def pump(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        try:
            while chunk := await source.read(65536):
                sink.write(chunk)
                await sink.drain()
        finally:
            sink.close()

    try:
        await asyncio.gather(
            pump(wire.reader, writer), pump(reader, wire.writer), return_exceptions=True
        )
    finally:
        writer.close()
        try:
            await writer.wait_closed()
        except OSError:
            pass
