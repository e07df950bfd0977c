"""`websocket_connect`: from a URL to an open connection."""

from __future__ import annotations

import inspect
import ssl as ssl_module
from collections.abc import Coroutine, Generator, Iterable, Mapping
from dataclasses import fields
from types import TracebackType
from typing import Any

from aiohttp import ClientSession
from aiohttp.abc import AbstractResolver
from yarl import URL

from .connection import WebSocketClientConnection
from .opening.upgrade import open_connection
from .options.connect import DEFAULT_USER_AGENT, ConnectOptions, HeadersLike
from .options.connection import (
    CompressionOptions,
    ConnectionOptions,
    ControlCallback,
    MessageCallback,
)
from .options.credentials import AuthLike
from .options.request import HTTPRequest, request_values
from .tls.config import TLSConfig

__all__ = ["ConnectAttempt", "websocket_connect"]

_CONNECT_ARGUMENTS = tuple(field.name for field in fields(ConnectOptions))


class ConnectAttempt(Coroutine[Any, Any, WebSocketClientConnection]):
    """What `websocket_connect` returns: await it, or use it in ``async with``.

    It is a coroutine to `asyncio.create_task`, `asyncio.gather` and `asyncio.wait_for` too.
    Nothing happens before it is awaited; it can be awaited once.
    """

    __slots__ = ("_connection", "_coroutine")

    def __init__(self, coroutine: Coroutine[Any, Any, WebSocketClientConnection]) -> None:
        self._coroutine = coroutine
        self._connection: WebSocketClientConnection | None = None

    def __await__(self) -> Generator[Any, Any, WebSocketClientConnection]:
        return self._coroutine.__await__()

    def send(self, value: Any) -> Any:
        """Resume, as `asyncio.Task` does."""
        return self._coroutine.send(value)

    def throw(self, *error: Any) -> Any:
        """Raise inside, as `asyncio.Task` does to cancel."""
        try:
            return self._coroutine.throw(*error)
        finally:
            # The traceback has this frame: a cycle would keep all that the attempt knew of.
            del error

    def close(self) -> None:
        """Give up an attempt that was never awaited."""
        self._coroutine.close()

    async def __aenter__(self) -> WebSocketClientConnection:
        self._connection = await self._coroutine
        return await self._connection.__aenter__()

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        assert self._connection is not None
        await self._connection.__aexit__(kind, exc, traceback)


def websocket_connect(
    url: str | URL | HTTPRequest | Any,
    *,
    connect_timeout: float | None = 20.0,
    on_message_callback: MessageCallback | None = None,
    compression_options: CompressionOptions | Mapping[str, Any] | None = None,
    ping_interval: float | None = None,
    ping_timeout: float | None = None,
    max_message_size: int | None = 10 * 1024 * 1024,
    subprotocols: Iterable[str] | None = None,
    resolver: AbstractResolver | None = None,
    headers: HeadersLike | None = None,
    origin: str | None = None,
    user_agent: str | None = DEFAULT_USER_AGENT,
    auth: AuthLike | None = None,
    cookies: Mapping[str, str] | None = None,
    proxy: str | URL | bool | None = True,
    proxy_headers: HeadersLike | None = None,
    max_redirects: int = 10,
    session: ClientSession | None = None,
    local_addr: tuple[str, int] | None = None,
    tls: TLSConfig | None = None,
    ssl: ssl_module.SSLContext | None = None,
    proxy_tls: TLSConfig | None = None,
    use_fast_transport: bool | None = None,
    close_timeout: float = 10.0,
    max_queue_messages: int = 1024,
    max_queue_size: int = 4 * 1024 * 1024,
    on_ping: ControlCallback | None = None,
    on_pong: ControlCallback | None = None,
) -> ConnectAttempt:
    """Open a WebSocket connection.

    Wrong arguments raise at the call; everything else when the result is awaited. Cancelling
    leaves no socket, task or session behind, and so does every error.

    Args:
        url: ``ws://`` or ``wss://``; or an `HTTPRequest`, ours, Tornado's, or any object with
            its attribute names. An argument that differs from its default wins over the same
            field of the request.
        connect_timeout: seconds for everything up to the open connection: DNS, TCP, proxy,
            TLS, redirects and the upgrade; ``None`` for no limit.
        on_message_callback: called with each message, strictly in order and one at a time, and
            then once with ``None``. A plain function is called as the bytes come in; an async
            one is awaited before the next call. An exception is logged, closes the connection
            with 1011, and is raised again by `wait_closed`.
        compression_options: ``None`` is off, ``{}`` is on; see `CompressionOptions`.
        ping_interval: seconds between pings; ``None`` or 0 sends none.
        ping_timeout: seconds of silence after a ping until the connection is given up;
            ``None`` is `ping_interval`; 0 is never. It does not run while we have paused
            reading, and is extended when our own loop stood still.
        max_message_size: bytes after decompression; ``None`` or 0 for no limit.
        subprotocols: offered in this order; the choice is `selected_subprotocol`.
        resolver: resolves host names; ``None`` is aiohttp's default.
        headers: more headers for the request.
        origin: value of Origin; ``None`` sends none.
        user_agent: value of User-Agent; ``None`` sends none.
        auth: ``(user, password)`` for basic authentication, or a client middleware such as
            `aiohttp.DigestAuthMiddleware`; ``None`` takes user and password from the URL.
        cookies: names and values to send.
        proxy: ``True`` asks the environment (``wss_proxy``, ``https_proxy``, ``all_proxy``, for
            ``ws://`` ``ws_proxy``, ``http_proxy``, ``all_proxy``; ``no_proxy``); ``None`` is
            none; or a URL with scheme http, https, or with the extra ``socks`` a SOCKS scheme.
        proxy_headers: more headers for an HTTP proxy.
        max_redirects: 0 follows none. Redirects from wss to ws are never followed. When the
            origin changes, credentials, cookies, the caller's headers and the client
            certificate of `tls` stay behind.
        session: use this session of aiohttp, and never close it; ``None`` uses a private one.
        local_addr: host and port to connect from; ``None`` leaves it to the system.
        tls: certificates and checks for ``wss://``; ``None`` is ``TLSConfig()``, or what the
            connector of `session` does.
        ssl: a context to use as it is; excludes `tls`.
        proxy_tls: certificates and checks for an https proxy; never the server's.
        use_fast_transport: whether to use the transports of the extra ``fast``, for this
            connection alone: nothing is changed in the event loop. ``None`` takes them for
            ``ws://`` where they are installed; ``True`` raises where they are not, and takes them
            for ``wss://``, too, if OpenSSL alone can do that TLS; ``False`` takes the loop's own.
            A `session` of the caller is left as it is, and SOCKS proxies have their own
            connections. The loop's own serve, whatever is said here: behind an https proxy; on
            uvloop, for ``ws://``; and for TLS with a client certificate, pins, SPIFFE ids,
            `authorize_server`, a key log or resumed sessions, or with an `ssl` that has a class
            or a callback of its own, a key log, authentication after the handshake, or no
            verification. Where fast transports do TLS, a message costs about a third less, and
            less is told of failures: `TLSInfo.certificate_requested` is ``None``, no server can
            ask for a certificate after the handshake, one that breaks it off is asked once more,
            watched, to explain it, and a connection that breaks in the handshake is told to the
            exception handler of the loop. Connecting takes some tenths of a millisecond longer.
        close_timeout: seconds that closing may take.
        max_queue_messages: messages that may wait to be read before reading pauses.
        max_queue_size: their total size before reading pauses.
        on_ping: plain function, called with the payload of each ping received.
        on_pong: plain function, called with the payload of each pong received.

    Returns:
        what can be awaited, or used in ``async with``, for a `WebSocketClientConnection`.

    Raises:
        InvalidURLError: the URL cannot be opened (at the call).
        ValueError: an argument cannot be used (at the call).
        TypeError: an argument has the wrong type (at the call).
        IdentityError: the client certificate or its key cannot be used; nothing was sent.
        TrustError: trusted roots or revocation lists cannot be used; nothing was sent.
        ConnectTimeoutError: `connect_timeout` ran out.
        ProxyError: the proxy cannot be reached or refuses.
        ServerCertificateError: we refused the server's certificate.
        ClientCertificateRejected: the server wants a client certificate, and got none or not one
            that it accepts. It is tried once more, at once, if there is a newer one by then.
        TLSProtocolError: the two sides could not agree on TLS.
        TLSConnectionClosed: the server ended the connection in the TLS handshake.
        TLSError: root of these TLS errors.
        RedirectError: a redirect cannot be followed.
        HandshakeError: the server's answer does not open a WebSocket.
        ConnectError: root of all these; raised itself for DNS and TCP failures.

    Source: `tornado.websocket.websocket_connect`; RFC 6455, section 4.1.
    """
    given = locals()
    options = ConnectionOptions(
        on_message_callback=on_message_callback,
        on_ping=on_ping,
        on_pong=on_pong,
        ping_interval=ping_interval,
        ping_timeout=ping_timeout,
        max_message_size=max_message_size,
        close_timeout=close_timeout,
        max_queue_messages=max_queue_messages,
        max_queue_size=max_queue_size,
        compression=compression_options,
    )
    arguments = {name: given[name] for name in _CONNECT_ARGUMENTS}
    if not isinstance(url, str | URL):
        arguments = _merge(request_values(url), arguments)
    connect = ConnectOptions(**arguments)
    coroutine = open_connection(connect, options)
    # The name that Python warns with when nobody awaits it.
    setattr(coroutine, "__qualname__", "websocket_connect")  # noqa: B010 - not in the ABC
    return ConnectAttempt(coroutine)


_PARAMETERS = inspect.signature(websocket_connect).parameters


def _merge(request: dict[str, Any], arguments: dict[str, Any]) -> dict[str, Any]:
    """Put the arguments that differ from their defaults on top of a request's fields."""
    explicit = {name for name, value in arguments.items() if _is_explicit(name, value)}
    if explicit & {"tls", "ssl"}:
        # Two ways to say the same thing: an argument replaces both fields.
        explicit |= {"tls", "ssl"}
    return arguments | {name: request[name] for name in request.keys() - explicit}


def _is_explicit(name: str, value: object) -> bool:
    # The URL has no default: here it is the request itself.
    default = _PARAMETERS[name].default
    return name != "url" and value is not default and value != default
