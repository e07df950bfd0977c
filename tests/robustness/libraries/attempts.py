"""Attempts to connect in a process whose libraries may have other names: prints what came of one.

``python attempts.py ATTEMPT`` prints JSON: the error's class and text, or ``null``; which of our
certificates a proxy was shown; and the requests that a server has seen.
"""

from __future__ import annotations

import asyncio
import importlib
import json
import sys
from typing import Any

import aiohttp

from support.proxies import socks5_proxy
from wsclient import ClientIdentity, TLSConfig, WebSocketError, websocket_connect
from wsclient.testing import CertificateAuthority, ThreadedTLSServer, WebSocketTestServer

CA = CertificateAuthority()
SERVER = CA.server_certificate("localhost", "127.0.0.1")


def config(name: str) -> TLSConfig:
    """Return the configuration of a client that has a certificate with this name."""
    issued = CA.client_certificate(name)
    identity = ClientIdentity.from_cryptography(issued.private_key, issued.certificate)
    return TLSConfig(identity=identity, cadata=CA.certificate_pem)


async def outcome(url: str, **options: Any) -> dict[str, Any]:
    """Connect, exchange a message, and tell how it went."""
    try:
        async with websocket_connect(url, **options) as conn:
            await conn.write_message("hello")
            assert await conn.read_message() == "hello"
    except WebSocketError as exc:
        return {"error": type(exc).__name__, "text": str(exc)}
    return {"error": None}


async def by_proxy() -> dict[str, Any]:
    """Go through an https proxy that asks for certificates."""
    with ThreadedTLSServer(SERVER.server_context(client_ca=CA)) as proxy:
        found = await outcome(
            "wss://localhost:9/",
            proxy=f"https://localhost:{proxy.port}",
            tls=config("for the server"),
            proxy_tls=config("for the proxy"),
        )
        return found | {"shown": certificates(proxy)}


async def by_session() -> dict[str, Any]:
    """Use a session that has an https proxy of its own."""
    with ThreadedTLSServer(SERVER.server_context(client_ca=CA)) as proxy:
        own = f"https://localhost:{proxy.port}"
        async with aiohttp.ClientSession(proxy=own) as session:
            tls = config("for the server")
            found = await outcome("wss://localhost:9/", proxy=None, session=session, tls=tls)
        return found | {"shown": certificates(proxy)}


def certificates(proxy: ThreadedTLSServer) -> list[str | None]:
    """Return whom the certificates were for that a server was shown."""
    shown = [each.peer_certificate for each in proxy.connections]
    return [None if each is None else each.subject.rfc4514_string() for each in shown]


async def directly(**options: Any) -> dict[str, Any]:
    """Connect without TLS."""
    async with WebSocketTestServer() as server:
        found = await outcome(server.url, proxy=None, **options)
        return found | {"requests": len(server.requests)}


async def insisting() -> dict[str, Any]:
    """Connect by fast transports, or not at all."""
    return await directly(use_fast_transport=True)


async def by_socks() -> dict[str, Any]:
    """Go through a SOCKS proxy, with TLS behind it."""
    async with (
        socks5_proxy() as proxy,
        WebSocketTestServer(tls=SERVER.server_context()) as server,
    ):
        url = f"wss://localhost:{server.port}/"
        tls = TLSConfig(cadata=CA.certificate_pem)
        return await outcome(url, proxy=f"socks5://127.0.0.1:{proxy.port}", tls=tls)


def rename_nothing() -> None:
    """Leave compiled classes as they are."""


def move_transport() -> None:
    """Have aiofastnet's transport somewhere else."""
    module: Any = importlib.import_module("aiofastnet.selector_transport")
    del module.SelectorSocketTransport


def rename_argument() -> None:
    """Have aiofastnet's transport take its arguments by other names."""
    module: Any = importlib.import_module("aiofastnet.selector_transport")

    class Renamed(module.SelectorSocketTransport):
        def __init__(self, loop: Any, sock: Any, protocol: Any, ready: Any = None) -> None:
            super().__init__(loop, sock, protocol, waiter=ready)

    module.SelectorSocketTransport = Renamed


ATTEMPTS = {each.__name__: each for each in (by_proxy, by_session, directly, insisting, by_socks)}
CHANGES = {each.__name__: each for each in (rename_nothing, move_transport, rename_argument)}

if __name__ == "__main__":
    CHANGES[sys.argv[2]]()
    print(json.dumps(asyncio.run(ATTEMPTS[sys.argv[1]]())))
