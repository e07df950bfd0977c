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
from .read_first import ReadFirstSocket, read_first_socket
from .tunnel import TunnelConnector, TunnelRequest

__all__ = [
    "CONNECTING",
    "HARMLESS_HEADERS",
    "RESOLVING",
    "WAITING",
    "BrokenError",
    "Step",
    "private_session",
    "request_once",
    "without_secrets_of_session",
]

RESOLVING: Final = "resolving the host name"
CONNECTING: Final = "connecting"
WAITING: Final = "waiting for the server's answer"
"""What an attempt is doing once the way to the server is open."""

HARMLESS_HEADERS: Final = frozenset(
    {"accept-language", "cache-control", "origin", "pragma", "user-agent"}
)
"""What the caller's headers are cut to when a redirect leads to another origin."""

_OWN_HEADERS: Final = RESERVED_HEADERS | {"host", "cookie"}
"""What stays besides: the handshake's headers, and the cookies of the new origin."""


class Step:
    """The step of an attempt that is underway; what `private_session` wants of each request.

    It goes into the argument `trace_request_ctx` of a request. Objects of aiohttp's trace refer
    to each other, and live on until a collection: the attempt, and the secrets in it, should not
    be kept by them.

    Attributes:
        doing: what is being done.
    """

    __slots__ = ("doing",)

    def __init__(self) -> None:
        self.doing = "preparing"


def _noting(doing: str) -> Any:
    """Return a callback for aiohttp's trace that notes down what is being done."""

    async def note(_: aiohttp.ClientSession, context: Any, __: object) -> None:
        context.trace_request_ctx.doing = doing

    return note


def _make_trace() -> aiohttp.TraceConfig:
    trace = aiohttp.TraceConfig()
    trace.on_dns_resolvehost_start.append(_noting(RESOLVING))
    trace.on_dns_resolvehost_end.append(_noting(CONNECTING))
    trace.on_connection_create_end.append(_noting(WAITING))
    trace.freeze()
    return trace


_TRACES: Final = [_make_trace()]
"""One for all sessions: making it costs more than all that a session is made of else."""


class BrokenError(aiohttp.ClientConnectionError):
    """The connection broke before the answer; the cause says how."""


@contextlib.asynccontextmanager
async def private_session(
    connect: ConnectOptions,
    *,
    proxy: URL | None,
    proxy_ssl: ssl.SSLContext | None,
    jar: aiohttp.CookieJar | None,
) -> AsyncIterator[aiohttp.ClientSession]:
    """Lend a session for one request, which leaves nothing behind.

    Args:
        connect: resolver and local address are taken from it.
        proxy: the proxy on the way, ``None`` without.
        proxy_ssl: context for an https proxy.
        jar: the cookies of all requests of an attempt.
    """
    resolver = connect.resolver or aiohttp.DefaultResolver()
    sockets: list[ReadFirstSocket] = []
    connector = _make_connector(
        proxy, proxy_ssl, connect.local_addr, MostAddresses(resolver), sockets
    )
    drop = use_handlers(connector)
    session = aiohttp.ClientSession(
        connector=connector,
        request_class=TunnelRequest,
        cookie_jar=jar,
        trace_configs=_TRACES,
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
) -> aiohttp.TCPConnector:
    closes_by_number = not isinstance(asyncio.get_running_loop(), asyncio.BaseEventLoop)

    def make_socket(addr_info: tuple[Any, ...]) -> socket.socket:
        made = read_first_socket(addr_info)
        if closes_by_number:
            made.remember()
            sockets.append(made)
        return made

    kwargs: dict[str, Any] = {"force_close": True, "local_addr": local_addr}
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
