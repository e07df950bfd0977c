"""The session of aiohttp that makes one request, with what a WebSocket needs of it."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from collections.abc import AsyncIterator
from typing import Any, Final

import aiohttp
from aiohttp.abc import AbstractResolver
from yarl import URL

from ..options.connect import ConnectOptions
from ..options.proxies import SOCKS_SCHEMES
from ..protocol.handshake import RESERVED_HEADERS
from .addresses import MostAddresses
from .handler import use_handlers
from .internals import Use, refuse_unknown
from .read_first import ReadFirstSocket, read_first_socket
from .step import Step
from .tunnel import TunnelConnector, TunnelRequest

__all__ = [
    "HARMLESS_HEADERS",
    "BrokenError",
    "private_session",
    "request_once",
    "without_secrets_of_session",
]

HARMLESS_HEADERS: Final = frozenset(
    {"accept-language", "cache-control", "origin", "pragma", "user-agent"}
)
"""What the caller's headers are cut to when a redirect leads to another origin."""

_OWN_HEADERS: Final = RESERVED_HEADERS | {"host", "cookie"}
"""What stays besides: the handshake's headers, and the cookies of the new origin."""


class BrokenError(aiohttp.ClientConnectionError):
    """The connection broke before the answer; the cause says how."""


@contextlib.asynccontextmanager
async def private_session(
    connect: ConnectOptions,
    *,
    proxy: URL | None,
    proxy_ssl: ssl.SSLContext | None,
    jar: aiohttp.CookieJar | None,
    step: Step,
) -> AsyncIterator[aiohttp.ClientSession]:
    """Lend a session for one request, which leaves nothing behind.

    Args:
        connect: resolver and local address are taken from it.
        proxy: the proxy on the way, ``None`` without.
        proxy_ssl: context for an https proxy.
        jar: the cookies of all requests of an attempt.
        step: is told what is being done.

    Raises:
        ConnectError: the installed aiohttp or aiohttp_socks is not as we know it.
    """
    refuse_unknown(Use.CONNECTION)
    if proxy is not None:
        socks = proxy.scheme in SOCKS_SCHEMES
        refuse_unknown(Use.SOCKS_PROXY if socks else Use.HTTP_PROXY)
    resolver = connect.resolver or aiohttp.DefaultResolver()
    sockets: list[ReadFirstSocket] = []
    addresses = MostAddresses(resolver, step)
    connector = _make_connector(proxy, proxy_ssl, connect.local_addr, addresses, sockets, step)
    drop = use_handlers(connector)
    session = aiohttp.ClientSession(
        connector=connector, request_class=TunnelRequest, cookie_jar=jar
    )
    try:
        yield session
    finally:
        for each in sockets:
            each.let_go_if_closed()
        sockets.clear()
        await session.close()
        drop()
        if connect.resolver is None:
            await resolver.close()


def _make_connector(
    proxy: URL | None,
    proxy_ssl: ssl.SSLContext | None,
    local_addr: tuple[str, int] | None,
    resolver: AbstractResolver,
    sockets: list[ReadFirstSocket],
    step: Step,
) -> aiohttp.TCPConnector:
    closes_by_number = not isinstance(asyncio.get_running_loop(), asyncio.BaseEventLoop)

    def make_socket(addr_info: tuple[Any, ...]) -> socket.socket:
        made = read_first_socket(addr_info)
        if closes_by_number:
            made.remember()
            sockets.append(made)
        return made

    kwargs: dict[str, Any] = {"force_close": True, "local_addr": local_addr, "step": step}
    if proxy is None or proxy.scheme not in SOCKS_SCHEMES:
        return TunnelConnector(
            proxy_ssl=proxy_ssl, resolver=resolver, socket_factory=make_socket, **kwargs
        )
    from aiohttp_socks import ProxyType

    from .socks import SocksConnector

    return SocksConnector(
        host=proxy.host or "",
        port=proxy.port or 1080,
        proxy_type=ProxyType.SOCKS4 if proxy.scheme == "socks4" else ProxyType.SOCKS5,
        username=proxy.user,
        password=proxy.password,
        rdns=proxy.scheme == "socks5h",
        **kwargs,
    )


async def without_secrets_of_session(
    request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
) -> aiohttp.ClientResponse:
    """Drop what a caller's session adds to every request, on the way to another origin."""
    for name in tuple(request.headers):
        if name.lower() not in HARMLESS_HEADERS | _OWN_HEADERS:
            request.headers.popall(name, None)
    return await handler(request)


async def request_once(
    request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
) -> aiohttp.ClientResponse:
    """Keep aiohttp from repeating a request whose connection broke.

    Repeating is for connections from a pool that the server has closed meanwhile. On a new
    connection it would only knock twice at a server that does not want us.
    """
    try:
        return await handler(request)
    except aiohttp.ClientConnectorError:
        raise
    except (aiohttp.ClientOSError, aiohttp.ServerDisconnectedError) as exc:
        raise BrokenError from exc
