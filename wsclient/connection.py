"""The open connection, as its user sees it."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from dataclasses import dataclass
from functools import partial
from types import TracebackType
from typing import Any, Self, overload

from multidict import CIMultiDictProxy
from yarl import URL

from .protocol.closing import CloseCause, CloseInfo, build_close_payload
from .protocol.opcodes import CloseCode, Opcode
from .tls.info import TLSInfo
from .urls import shown_url
from .wire.awaitables import DONE, Completion, Lazy
from .wire.payloads import Buffer, check_ping_payload, encode_message
from .wire.threads import check_thread, this_thread
from .wire.wire import Wire

__all__ = [
    "ConnectionStats",
    "Opening",
    "WebSocketClientConnection",
    "WebSocketConnection",
    "drop_unused",
]

_BINARY = Opcode.BINARY

_CANCELLED_CLOSE_TIMEOUT = 1.0
"""Seconds for the closing handshake when a cancelled task leaves ``async with``."""


@dataclass(frozen=True, slots=True, repr=False)
class Opening:
    """What the opening handshake found out.

    Attributes:
        url: the URL in the end, after redirects, without credentials.
        subprotocol: the server's choice, ``None`` for none.
        extensions: value of the server's Sec-WebSocket-Extensions, empty for none.
        request_headers: what was sent.
        response_headers: what came back.
        local_address: address of our socket, as `socket.socket.getsockname` gives it.
        remote_address: address of the other end: the server's, or the proxy's.
        tls: about TLS, ``None`` without.
    """

    url: URL
    subprotocol: str | None
    extensions: str
    request_headers: CIMultiDictProxy[str]
    response_headers: CIMultiDictProxy[str]
    local_address: Any
    remote_address: Any
    tls: TLSInfo | None


@dataclass(frozen=True, slots=True)
class ConnectionStats:
    """Counters of one connection, as they were when `stats` was called.

    Attributes:
        messages_received: messages that came in, read or not.
        messages_sent: messages written.
        bytes_received: bytes of frames that came in, compressed ones as they came.
        bytes_sent: bytes of frames handed to the transport.
        queued_messages: messages received and not read.
        queued_size: their size: bytes of binary messages, characters of text.
        write_buffer_size: bytes that the transport has not handed to the kernel yet.
        reading_paused: whether the queue is full and the peer is held back.
        latency: last round trip of a ping in seconds, ``None`` before the first.
        seconds_since_last_byte: how long the peer has been silent.
    """

    messages_received: int
    messages_sent: int
    bytes_received: int
    bytes_sent: int
    queued_messages: int
    queued_size: int
    write_buffer_size: int
    reading_paused: bool
    latency: float | None
    seconds_since_last_byte: float


def _refuse_reading() -> Coroutine[Any, Any, str | bytes]:
    raise RuntimeError(
        "on_message_callback receives the messages of this connection, so nothing is left for "
        "read_message(); use one of the two"
    )


class WebSocketConnection:
    """One end of an open WebSocket connection.

    All methods belong to the event loop and the thread in which the connection was made.
    From another thread they raise ``RuntimeError``, at the latest when they would wait; go through
    ``loop.call_soon_threadsafe(conn.write_message, ...)``.

    Any number of tasks may read, write, ping and close at the same time. Leaving
    ``async with conn`` closes the connection: with 1000, with 1011 if the block raised, with
    1001 if it was cancelled. It waits for the end, the callback's last call included, for
    `close_timeout` at most, and for one second if it was cancelled; then the connection is
    dropped, and a callback that still runs is cancelled.
    """

    def __init__(
        self, wire: Wire, opening: Opening, loop: asyncio.AbstractEventLoop, *, callback: bool
    ) -> None:
        self._wire = wire
        self._inbox = wire.inbox
        self._opening = opening
        self._loop = loop
        self._read = _refuse_reading if callback else wire.inbox.get
        self._iterate = _refuse_reading if callback else wire.inbox.get_or_stop
        self._thread = this_thread()

    def __repr__(self) -> str:
        info = self.close_info
        state = self._wire.ending.handshake.state.value if info is None else str(info)
        return f"<{type(self).__name__} {shown_url(self._opening.url)} {state}>"

    def _check_thread(self, method: str) -> None:
        check_thread(self._thread, method)

    # Receiving

    @overload
    def read_message(self, callback: None = None) -> Coroutine[Any, Any, str | bytes | None]: ...

    @overload
    def read_message(
        self, callback: Callable[[asyncio.Future[str | bytes | None]], object]
    ) -> Completion[str | bytes | None]: ...

    def read_message(
        self, callback: Callable[[asyncio.Future[str | bytes | None]], object] | None = None
    ) -> Coroutine[Any, Any, str | bytes | None]:
        """Return the next message.

        Concurrent readers are served first come, first served. Cancelling a read loses no
        message. Messages that came before the end can still be read after it.

        Args:
            callback: called with a finished future that has the message, as in Tornado; the
                read then starts at once and need not be awaited.

        Returns:
            ``str`` for a text message, ``bytes`` for a binary one, ``None`` once the
            connection is closed, and again on every later call. `close_info` says why.

        Raises:
            RuntimeError: the messages go to `on_message_callback`; or this is another thread,
                and there is no message already.

        Source: `tornado.websocket.WebSocketClientConnection.read_message`.
        """
        # A flood of messages is read by this: what can be checked later is checked later.
        if callback is None:
            return self._read()
        self._check_thread("read_message")
        task = self._loop.create_task(self._read())
        task.add_done_callback(callback)
        return Lazy(partial(_result_of, task))

    def __aiter__(self) -> Self:
        return self

    def __anext__(self) -> Coroutine[Any, Any, str | bytes]:
        return self._iterate()

    # Sending

    def write_message(
        self,
        message: str | Buffer | Mapping[str, Any],
        binary: bool = False,
        *,
        compress: bool = True,
    ) -> Completion[None]:
        """Send a message.

        It is queued at once, in the order of the calls, from any number of tasks. Awaiting is
        for flow control: it waits while the transport's buffer is above its high-water mark.
        Cancelling the wait does not take the message back. A message that cannot be sent
        raises at the call; nothing of it is sent, and the connection goes on.

        Args:
            message: ``str``; ``bytes``, ``bytearray`` or ``memoryview``, copied at the call; or
                ``dict``, sent as JSON.
            binary: ``True`` sends a binary frame. ``False`` sends a text frame, and bytes must
                then be UTF-8.
            compress: ``False`` sends this message uncompressed; without agreed compression it
                has no effect.

        Returns:
            an awaitable for flow control that need not be awaited. It raises
            `WebSocketClosedError` if the connection is lost while it waits.

        Raises:
            WebSocketClosedError: the connection is closed or closing.
            TypeError: the message is of another type, or JSON cannot encode it.
            ValueError: a lone surrogate, bytes that are not UTF-8 with ``binary=False``, or
                a number that JSON does not have.
            RuntimeError: this is another thread.

        Source: RFC 6455, sections 5.6 and 6.1.
        """
        if this_thread() != self._thread:
            self._check_thread("write_message")
        wire = self._wire
        sender = wire.sender
        transport = sender.transport
        if not sender.open or transport is None or transport.is_closing():
            raise wire.ending.error()
        opcode: Opcode
        payload: Buffer
        if binary and type(message) is bytes:
            opcode, payload = _BINARY, message
        else:
            opcode, payload = encode_message(message, binary=binary)
        sender.send_message(opcode, payload, compress=compress)
        return Lazy(wire.drain) if sender.paused else DONE

    def ping(self, data: str | Buffer = b"") -> Completion[float]:
        """Send a ping.

        It is sent at once. Cancelling the wait for the pong has no other effect. The pong comes
        behind the messages sent before it: who waits for it in an async callback, or reads
        nothing meanwhile, may wait for himself while the queue is full.

        Args:
            data: at most 125 bytes; empty sends 8 bytes that are unique in this connection, so
                that the pong can be told from others.

        Returns:
            an awaitable with the round trip in seconds that need not be awaited. It raises
            `WebSocketClosedError` if the connection is lost before the pong comes.

        Raises:
            WebSocketClosedError: the connection is closed or closing.
            TypeError: `data` is neither ``str`` nor bytes-like.
            ValueError: it is longer than 125 bytes.
            RuntimeError: this is another thread.

        Source: RFC 6455, section 5.5.2.
        """
        self._check_thread("ping")
        self._wire.check_open()
        ping = self._wire.send_ping(check_ping_payload(data))
        return Lazy(partial(self._wire.round_trip, ping))

    # Closing

    def close(self, code: int | None = None, reason: str | None = None) -> Completion[CloseInfo]:
        """Start the closing handshake.

        The Close frame is sent at once, behind everything written before. Nothing more can be
        sent; messages that still come in can be read. Calling it again has no effect. If the
        peer does not agree within `close_timeout`, the connection is dropped. Cancelling the
        wait does not stop the closing.

        Args:
            code: 1000..1003, 1007..1014 or 3000..4999; ``None`` sends 1000.
            reason: at most 123 bytes of UTF-8; ``None`` sends none.

        Returns:
            an awaitable with the `CloseInfo` that need not be awaited. It waits until TCP is
            closed, `close_timeout` at most, and in callback mode for the rest of that time
            until the callback had its last call, unless it is awaited in the callback itself.

        Raises:
            ValueError: code or reason may not be sent.
            TypeError: they are of another type.
            RuntimeError: this is another thread.

        Source: RFC 6455, sections 5.5.1 and 7.1.2.
        """
        self._check_thread("close")
        code, text = _check_close(code, reason)
        self._wire.close(code, text)
        return Lazy(partial(self._wire.wait_ended, self._wire.close_deadline()))

    async def wait_closed(self) -> CloseInfo:
        """Wait until the connection is closed.

        In callback mode this includes the callback's last call, unless it is awaited in the
        callback itself. Cancelling it has no effect on the connection.

        Returns:
            the account of the end.

        Raises:
            Exception: whatever a callback raised, if one did.
            RuntimeError: this is another thread.
        """
        self._check_thread("wait_closed")
        info = await self._wire.wait_ended()
        error = self._wire.callback_error
        if error is not None and not isinstance(error, asyncio.CancelledError):
            raise error
        return info

    async def __aenter__(self) -> Self:
        self._check_thread("async with")
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._check_thread("async with")
        wire = self._wire
        deadline = wire.close_deadline()
        cause = CloseCause.CLOSE_TIMEOUT
        if exc is None:
            code = CloseCode.NORMAL_CLOSURE
        elif isinstance(exc, Exception):
            code = CloseCode.INTERNAL_ERROR
        else:
            code, cause = CloseCode.GOING_AWAY, CloseCause.CANCELLED
            deadline = min(deadline, self._loop.time() + _CANCELLED_CLOSE_TIMEOUT)
        try:
            wire.close(code, "")
            async with asyncio.timeout_at(deadline):
                await wire.wait_ended()
        except TimeoutError:
            # The connection has a timer of its own, which may come some milliseconds later.
            wire.drop(cause)
            await wire.wait_ended()
        except BaseException:
            wire.drop()
            raise
        error = self._wire.callback_error
        if exc is None and isinstance(error, Exception):
            raise error

    @property
    def close_code(self) -> int | None:
        """The close code received from the peer; ``None`` while the connection is open.

        1005 if the peer's Close frame had no code, 1006 if none came (RFC 6455, section
        7.1.5).
        """
        info = self._wire.ending.info
        return self._wire.ending.handshake.received if info is None else info.code

    @property
    def close_reason(self) -> str | None:
        """The close reason received from the peer; ``None`` while the connection is open."""
        handshake = self._wire.ending.handshake
        if self._wire.ending.info is None and handshake.received is None:
            return None
        return handshake.reason

    @property
    def close_info(self) -> CloseInfo | None:
        """The account of the end; ``None`` until TCP is closed."""
        return self._wire.ending.info

    @property
    def closed(self) -> bool:
        """Whether the connection has ended and TCP is closed."""
        return self._wire.ending.info is not None

    # About the connection

    @property
    def selected_subprotocol(self) -> str | None:
        """The subprotocol that the server chose; ``None`` for none (RFC 6455, section 1.9)."""
        return self._opening.subprotocol

    @property
    def extensions(self) -> str:
        """The server's Sec-WebSocket-Extensions; empty for none (RFC 6455, section 9.1)."""
        return self._opening.extensions

    @property
    def request_headers(self) -> CIMultiDictProxy[str]:
        """The headers of the upgrade request, as sent."""
        return self._opening.request_headers

    @property
    def response_headers(self) -> CIMultiDictProxy[str]:
        """The headers of the server's answer."""
        return self._opening.response_headers

    @property
    def url(self) -> URL:
        """The URL that was opened in the end, after redirects, without credentials."""
        return self._opening.url

    @property
    def local_address(self) -> Any:
        """The address of our socket, such as ``("127.0.0.1", 50112)``."""
        return self._opening.local_address

    @property
    def remote_address(self) -> Any:
        """The address of the other end of the socket: the peer's, or a proxy's."""
        return self._opening.remote_address

    @property
    def tls(self) -> TLSInfo | None:
        """About TLS with the peer; ``None`` for ``ws://``."""
        return self._opening.tls

    @property
    def latency(self) -> float | None:
        """The last round trip of a ping in seconds; ``None`` before the first pong."""
        return self._wire.latency

    def stats(self) -> ConnectionStats:
        """Return the counters of this connection."""
        wire = self._wire
        return ConnectionStats(
            messages_received=self._inbox.received,
            messages_sent=wire.sender.messages_sent,
            bytes_received=wire.receiver.bytes_received,
            bytes_sent=wire.sender.bytes_sent,
            queued_messages=len(self._inbox.queue),
            queued_size=self._inbox.size,
            write_buffer_size=wire.sender.buffered,
            reading_paused=self._inbox.paused,
            latency=wire.latency,
            seconds_since_last_byte=wire.receiver.silence,
        )

    def set_nodelay(self, value: bool) -> None:
        """Send small messages at once (the default) or let TCP gather them.

        It has no effect on a closed connection, nor on one that is not TCP.

        Args:
            value: ``True`` switches Nagle's algorithm off.

        Source: `tornado.websocket.WebSocketHandler.set_nodelay`.
        """
        self._check_thread("set_nodelay")
        transport = self._wire.sender.transport
        sock = None if transport is None else transport.get_extra_info("socket")
        if sock is not None and sock.family in (socket.AF_INET, socket.AF_INET6):
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, int(bool(value)))


class WebSocketClientConnection(WebSocketConnection):
    """An open WebSocket connection; `websocket_connect` makes it."""


def drop_unused(connection: WebSocketConnection) -> None:
    """Drop a connection that its caller never got, at once."""
    connection._wire.abort()


def _check_close(code: object, reason: object) -> tuple[int, str]:
    if code is None:
        code = int(CloseCode.NORMAL_CLOSURE)
    if isinstance(code, bool) or not isinstance(code, int):
        raise TypeError(f"a close code must be int, not {type(code).__name__}")
    if reason is None:
        reason = ""
    if not isinstance(reason, str):
        raise TypeError(f"a close reason must be str, not {type(reason).__name__}")
    build_close_payload(code, reason)
    return int(code), reason


async def _result_of(future: Awaitable[str | bytes | None]) -> str | bytes | None:
    return await future
