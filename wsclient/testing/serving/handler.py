"""The server's half of `tornado.websocket`: a class of yours handles each connection."""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import Any
from urllib.parse import urlsplit

from aiohttp import web

from ...errors import WebSocketClosedError
from ...options.connection import CompressionOptions, ConnectionOptions
from ...protocol.accepting import Refusal, UpgradeRequest, check_request
from ...protocol.closing import CloseInfo
from ...protocol.opcodes import CloseCode
from ...wire.awaitables import Completion
from ...wire.callbacks import own_cancellation
from ...wire.inbox import PingPayload, PongPayload
from ...wire.payloads import Buffer
from .accept import accept
from .connection import WebSocketServerConnection
from .requests import RequestHandler
from .served import ServedConnection

__all__ = ["WebSocketHandler", "settled"]

logger = logging.getLogger("wsclient.testing")

_ON_CLOSE_TIMEOUT = 1.0
"""Seconds for `on_close` when the server is being stopped."""


class WebSocketHandler(RequestHandler):
    """Handle one connection; subclass it.

    `open`, `on_message`, `on_ping`, `on_pong`, `on_close` and `prepare` may be plain or coroutine
    functions. They are called one at a time, in the order in which things happened: nothing is
    delivered before `open` has returned, and while `on_message` runs the next message waits. An
    exception in one of them is logged and closes the connection with 1011.

    Settings, of the application or server:

    - ``websocket_ping_interval``: seconds between pings; ``None`` or 0 sends none.
    - ``websocket_ping_timeout``: seconds of silence after a ping; ``None`` is the interval.
    - ``websocket_max_message_size``: bytes; 10 MiB by default, ``None`` or 0 for no limit.
    - ``websocket_close_timeout``: seconds that the client has to answer a Close frame; 10.
    - ``subprotocols``: what `select_subprotocol` may choose from.
    - ``compression_options``: what `get_compression_options` returns.

    Attributes:
        ws_connection: the open connection; ``None`` before, and still there after its end.

    Source: `tornado.websocket.WebSocketHandler`.
    """

    _queue_control = True

    def __init__(
        self, settings: Mapping[str, Any], request: web.BaseRequest, **kwargs: Any
    ) -> None:
        self.ws_connection: WebSocketServerConnection | None = None
        super().__init__(settings, request, **kwargs)

    # To override

    def open(self, *args: Any, **kwargs: Any) -> Awaitable[None] | None:
        """Take note that the connection is open.

        Args:
            args: what the unnamed groups of the route matched.
            kwargs: what its named groups matched.
        """
        return None

    def on_message(self, message: str | bytes) -> Awaitable[None] | None:
        """Take a message: ``str`` for text, ``bytes`` for binary."""
        raise NotImplementedError("override on_message to receive messages")

    def on_ping(self, data: bytes) -> Awaitable[None] | None:
        """Take note of a ping; it has been answered already."""
        return None

    def on_pong(self, data: bytes) -> Awaitable[None] | None:
        """Take note of a pong."""
        return None

    def on_close(self) -> Awaitable[None] | None:
        """Take note that the connection has ended; see `close_code` and `close_reason`."""
        return None

    def select_subprotocol(self, subprotocols: list[str]) -> str | None:
        """Choose a subprotocol; the first one that the setting ``subprotocols`` has.

        Args:
            subprotocols: what the client offers, in its order; empty if it offers none.

        Returns:
            one of them, or ``None`` (RFC 6455, section 4.2.2).
        """
        known = self.settings.get("subprotocols") or ()
        return next((name for name in subprotocols if name in known), None)

    def get_compression_options(self) -> CompressionOptions | Mapping[str, Any] | None:
        """Return the options of compression: ``None`` for none, ``{}`` for the defaults.

        Otherwise a mapping such as ``{"compression_level": 6, "mem_level": 8}``, or
        `CompressionOptions`. By default, what the setting ``compression_options`` has.
        """
        options: CompressionOptions | Mapping[str, Any] | None
        options = self.settings.get("compression_options")
        return options

    def check_origin(self, origin: str) -> bool:
        """Tell whether pages of an origin may connect; only those of this server by default.

        Scripts of any page can open WebSockets to any server, with the user's cookies. It is
        not called for clients that send no Origin, as programs do (RFC 6455, section 10.2).

        Args:
            origin: value of the header, such as ``"https://example.com"``.
        """
        try:
            host = urlsplit(origin).netloc.lower()
        except ValueError:
            return False
        return host != "" and host == self.request.headers.get("Host", "").lower()

    def log_exception(self, exc: BaseException) -> None:
        """Log an exception that a method of this handler raised."""
        logger.error("a handler of %s raised", self.request.path, exc_info=exc)

    @property
    def ping_interval(self) -> float | None:
        """Seconds between pings; the setting ``websocket_ping_interval``."""
        return self.settings.get("websocket_ping_interval")

    @property
    def ping_timeout(self) -> float | None:
        """Seconds of silence after a ping; the setting ``websocket_ping_timeout``."""
        return self.settings.get("websocket_ping_timeout")

    @property
    def max_message_size(self) -> int | None:
        """Largest message to receive, in bytes; ``websocket_max_message_size``, or 10 MiB."""
        size: int | None = self.settings.get("websocket_max_message_size", 10 * 1024 * 1024)
        return size

    # To call

    def write_message(
        self, message: str | Buffer | Mapping[str, Any], binary: bool = False
    ) -> Completion[None]:
        """Send a message, as `WebSocketClientConnection.write_message` does.

        Raises:
            WebSocketClosedError: the connection is not open yet, closing, or closed.
            TypeError: the message is of another type, or JSON cannot encode it.
            ValueError: it cannot be sent.
        """
        return self._connection().write_message(message, binary)

    def ping(self, data: str | Buffer = b"") -> Completion[float]:
        """Send a ping, as `WebSocketClientConnection.ping` does.

        Raises:
            WebSocketClosedError: the connection is not open yet, closing, or closed.
            TypeError: `data` is neither ``str`` nor bytes-like.
            ValueError: it is longer than 125 bytes.
        """
        return self._connection().ping(data)

    def close(self, code: int | None = None, reason: str | None = None) -> Completion[CloseInfo]:
        """Start the closing handshake, as `WebSocketClientConnection.close` does.

        Raises:
            WebSocketClosedError: the connection is not open yet.
            ValueError: code or reason may not be sent.
            TypeError: they are of another type.
        """
        return self._connection().close(code, reason)

    def set_nodelay(self, value: bool) -> None:
        """Send small messages at once (the default) or let TCP gather them.

        Raises:
            WebSocketClosedError: the connection is not open yet.
        """
        self._connection().set_nodelay(value)

    def _connection(self) -> WebSocketServerConnection:
        if self.ws_connection is None:
            raise WebSocketClosedError("the connection is not open yet")
        return self.ws_connection

    @property
    def selected_subprotocol(self) -> str | None:
        """The subprotocol that was chosen; ``None`` for none."""
        return None if self.ws_connection is None else self.ws_connection.selected_subprotocol

    @property
    def close_code(self) -> int | None:
        """The code of the client's Close frame; ``None`` if it had none, or if none came."""
        code = None if self.ws_connection is None else self.ws_connection.close_code
        unsaid = (CloseCode.NO_STATUS_RECEIVED, CloseCode.ABNORMAL_CLOSURE)
        return None if code in unsaid else code

    @property
    def close_reason(self) -> str | None:
        """The reason in the client's Close frame; ``None`` if there was none."""
        reason = None if self.ws_connection is None else self.ws_connection.close_reason
        return reason or None

    @property
    def close_info(self) -> CloseInfo | None:
        """The whole account of the end; ``None`` until TCP is closed."""
        return None if self.ws_connection is None else self.ws_connection.close_info

    # How it runs

    async def run(self, served: ServedConnection | None = None) -> web.StreamResponse:
        """Answer the request, and handle the connection until it ends.

        Cancelling it sends 1001 if TCP is still there, drops the connection, and gives `on_close`
        one second.

        Args:
            served: takes notes; ``None`` for nobody.

        Raises:
            aiohttp.web.HTTPException: a method of yours raised it, to refuse the request.
            ConnectionResetError: the client went away before it had the answer.
        """
        try:
            await settled(self.prepare)
            upgrade = None if self._finished else self._check()
            if upgrade is not None:
                return await self._upgrade(upgrade, served)
        except web.HTTPException:
            raise
        except Exception as exc:
            if isinstance(exc, ConnectionError) and self._client_gone:
                raise
            self._note(exc, served)
            self._finished = False
            self.send_error(500)
        return self.answer

    @property
    def _client_gone(self) -> bool:
        transport = self.request.transport
        return transport is None or transport.is_closing()

    def _check(self) -> UpgradeRequest | None:
        """Return what is asked for; ``None`` when the answer is finished with a refusal."""
        request = self.request
        upgrade = check_request(request.method, request.headers.items(), version=request.version)
        origin = request.headers.get("Origin")
        if isinstance(upgrade, Refusal):
            self.set_status(upgrade.status)
            for name, value in upgrade.headers.items():
                self.set_header(name, value)
            self.finish(upgrade.reason)
            return None
        if origin is not None and not self.check_origin(origin):
            self.set_status(403)
            self.finish("Cross origin websockets not allowed")
            return None
        return upgrade

    async def _upgrade(
        self, upgrade: UpgradeRequest, served: ServedConnection | None
    ) -> web.StreamResponse:
        subprotocol = self._choose(upgrade)
        connection, response = await accept(
            self.request,
            upgrade,
            self._options(),
            subprotocol=subprotocol,
            headers=self._headers.items(),
            tap=None if served is None else served.tap,
            queue_control=self._queue_control,
            on_lost=None if served is None else served.ended,
        )
        self.ws_connection = connection
        self._sent = True
        if served is not None:
            served.open(connection)
        await self._converse(connection, served)
        return response

    def _choose(self, upgrade: UpgradeRequest) -> str | None:
        offered = list(upgrade.subprotocols)
        chosen = self.select_subprotocol(offered)
        if chosen and chosen not in offered:
            raise RuntimeError(
                f"select_subprotocol returned {chosen!r}, which the client did not offer"
            )
        return chosen

    def _options(self) -> ConnectionOptions:
        return ConnectionOptions(
            ping_interval=self.ping_interval,
            ping_timeout=self.ping_timeout,
            max_message_size=self.max_message_size,
            close_timeout=self.settings.get("websocket_close_timeout", 10.0),
            compression=self.get_compression_options(),
        )

    async def _converse(
        self, connection: WebSocketServerConnection, served: ServedConnection | None
    ) -> None:
        try:
            try:
                await settled(self.open, *self.path_args, **self.path_kwargs)
                await self._receive(connection)
            except Exception as exc:
                self._failed(exc, connection, served)
            await connection.wait_closed()
        except asyncio.CancelledError:
            connection.close(CloseCode.GOING_AWAY)
            connection.abort()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_ON_CLOSE_TIMEOUT):
                    await self._end(connection, served)
            raise
        await self._end(connection, served)

    async def _receive(self, connection: WebSocketServerConnection) -> None:
        while (message := await connection.inbox.get()) is not None:
            if isinstance(message, PingPayload):
                await settled(self.on_ping, bytes(message))
            elif isinstance(message, PongPayload):
                await settled(self.on_pong, bytes(message))
            else:
                await settled(self.on_message, message)

    def _failed(
        self,
        exc: Exception,
        connection: WebSocketServerConnection,
        served: ServedConnection | None,
    ) -> None:
        if isinstance(exc, WebSocketClosedError) and connection.closing:
            logger.debug("a handler was too late to send: %s", exc)
            return
        self._note(exc, served)
        connection.close(CloseCode.INTERNAL_ERROR)

    async def _end(
        self, connection: WebSocketServerConnection, served: ServedConnection | None
    ) -> None:
        await connection.wait_closed()
        try:
            await settled(self.on_close)
        except Exception as exc:
            self._note(exc, served)

    def _note(self, exc: Exception, served: ServedConnection | None) -> None:
        if served is not None:
            served.failed(exc)
        self.log_exception(exc)


async def settled(function: Callable[..., object], *args: Any, **kwargs: Any) -> None:
    """Call a function, and await what it returns if that can be awaited.

    Args:
        function: plain or coroutine function.
        args: its arguments.
        kwargs: its keyword arguments.

    Raises:
        RuntimeError: it ended with `asyncio.CancelledError`, but nobody had cancelled us.
        Exception: whatever it raised.
    """
    try:
        result = function(*args, **kwargs)
        if inspect.isawaitable(result):
            await result
    except asyncio.CancelledError as exc:
        task = asyncio.current_task()
        if task is None or task.cancelling():
            raise
        raise own_cancellation(exc) from exc
