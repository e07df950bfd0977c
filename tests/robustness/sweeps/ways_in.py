"""The ways to a server that sweeps over connecting take: what is opened, and through what."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

from behaviour.servers import Resolver, echo_frames
from support.proxies import connect_proxy
from wsclient import TLSConfig, WebSocketClientConnection, websocket_connect
from wsclient.protocol.opcodes import Opcode
from wsclient.testing.certificates import CertificateAuthority
from wsclient.testing.frames import encode_frame
from wsclient.testing.raw import RawConnection, RawServer

__all__ = ["GREETING", "WAYS_IN", "Connect", "WayIn"]

Connect = Callable[..., Coroutine[Any, Any, WebSocketClientConnection]]
"""Make one attempt, with more arguments for `websocket_connect`."""

WayIn = Callable[[CertificateAuthority, Path], AbstractAsyncContextManager[Connect]]

GREETING = "right behind the answer"


async def serve(wire: RawConnection) -> None:
    """Lead ``/old`` to ``/new``, accept everything else, greet, and echo."""
    request = await wire.read_request()
    while request.target == "/old":
        await wire.respond("302 Found", {"Location": "/new", "Content-Length": "0"})
        request = await wire.read_request()
    await wire.accept(extra=encode_frame(Opcode.TEXT, GREETING.encode()))
    await echo_frames(wire)


@asynccontextmanager
async def over_tcp(ca: CertificateAuthority, folder: Path) -> AsyncIterator[Connect]:
    """Connect to a name, without TLS."""
    async with RawServer(serve) as server:
        url = f"ws://name.test:{server.port}/"
        resolver = Resolver()
        yield lambda **more: websocket_connect(url, proxy=None, resolver=resolver, **more)


@asynccontextmanager
async def with_redirect(ca: CertificateAuthority, folder: Path) -> AsyncIterator[Connect]:
    """Be led to another path."""
    async with RawServer(serve) as server:
        url = f"{server.url}old"
        yield lambda **more: websocket_connect(url, proxy=None, **more)


@asynccontextmanager
async def over_tls(ca: CertificateAuthority, folder: Path) -> AsyncIterator[Connect]:
    """Connect with a context that is ready from the second time on."""
    context = ca.server_certificate("127.0.0.1").server_context()
    tls = TLSConfig(cadata=ca.certificate_pem)
    async with RawServer(serve, tls=context) as server:
        url = server.url
        yield lambda **more: websocket_connect(url, proxy=None, tls=tls, **more)


@asynccontextmanager
async def with_certificate(ca: CertificateAuthority, folder: Path) -> AsyncIterator[Connect]:
    """Show a client certificate that is read from its files each time."""
    context = ca.server_certificate("127.0.0.1").server_context(client_ca=ca)
    files = ca.client_certificate("sweep").write(folder)

    async with RawServer(serve, tls=context) as server:
        url = server.url

        def connect(**more: Any) -> Coroutine[Any, Any, WebSocketClientConnection]:
            tls = TLSConfig(cert=(files.cert_file, files.key_file), cafile=files.ca_file)
            return websocket_connect(url, proxy=None, tls=tls, **more)

        yield connect


@asynccontextmanager
async def through_proxy(ca: CertificateAuthority, folder: Path) -> AsyncIterator[Connect]:
    """Have a proxy open a tunnel for ``ws://``."""
    async with RawServer(serve) as server, connect_proxy() as proxy:
        url, way = server.url, proxy.url
        yield lambda **more: websocket_connect(url, proxy=way, **more)


@asynccontextmanager
async def over_tls_through_proxy(ca: CertificateAuthority, folder: Path) -> AsyncIterator[Connect]:
    """Do TLS in a tunnel that a proxy opened."""
    context = ca.server_certificate("127.0.0.1").server_context()
    tls = TLSConfig(cadata=ca.certificate_pem)
    async with RawServer(serve, tls=context) as server, connect_proxy() as proxy:
        url, way = server.url, proxy.url
        yield lambda **more: websocket_connect(url, proxy=way, tls=tls, **more)


WAYS_IN: dict[str, WayIn] = {
    "tcp": over_tcp,
    "redirect": with_redirect,
    "tls": over_tls,
    "certificate": with_certificate,
    "proxy": through_proxy,
    "tls-proxy": over_tls_through_proxy,
}
