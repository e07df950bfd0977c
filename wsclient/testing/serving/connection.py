"""The server's end of an open connection: the package's own core in its other role."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection
from typing import Any, cast

from ...connection import Opening, WebSocketConnection
from ...options.connection import ConnectionOptions
from ...protocol.deflate import DeflateParameters
from ...protocol.opcodes import CloseCode
from ...protocol.roles import Role
from ...wire.inbox import Inbox
from ...wire.wire import Wire
from ..frames import Direction
from ..reset import reset_on_close

__all__ = ["TappedWire", "WebSocketServerConnection", "close_all"]

_GRACE = 1.0
"""Seconds that clients have to answer the Close frame when their server stops."""

Tap = Callable[[Direction, bytes], object]
"""Called with all bytes of frames, as they come in and go out."""


class WebSocketServerConnection(WebSocketConnection):
    """The server's end of an open WebSocket connection.

    It has the methods of `WebSocketClientConnection`, and differs in its role alone: it sends
    unmasked frames, takes masked ones only, and closes TCP first (RFC 6455, sections 5.1 and
    7.1.1). `request_headers` are the client's, `response_headers` ours.
    """

    def __init__(self, wire: Wire, opening: Opening, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(wire, opening, loop, callback=False)

    @property
    def closing(self) -> bool:
        """Whether the connection is closing or closed, so that nothing can be sent."""
        return self._wire.ending.begun

    @property
    def inbox(self) -> Inbox:
        """Messages received and not read, with pings and pongs where those are queued."""
        return self._inbox

    def abort(self) -> None:
        """Drop the connection at once, without a Close frame; it does not reset TCP."""
        self._check_thread("abort")
        self._wire.abort()

    def reset(self) -> None:
        """End TCP with RST, as a crashed server's kernel does; without TCP, just drop it."""
        self._check_thread("reset")
        transport = self._wire.sender.transport
        if transport is not None:
            reset_on_close(transport)
        self._wire.abort()

    def pause_reading(self) -> None:
        """Hang: read nothing any more, so that no ping and no Close frame is answered."""
        self._check_thread("pause_reading")
        transport = self._wire.sender.transport
        if transport is not None and not transport.is_closing():
            transport.pause_reading()

    def resume_reading(self) -> None:
        """Read again after `pause_reading`."""
        self._check_thread("resume_reading")
        transport = self._wire.sender.transport
        if transport is not None and not transport.is_closing():
            transport.resume_reading()

    def send_bytes(self, data: bytes) -> None:
        """Put bytes on the wire as they are, for frames that a server must not send.

        Raises:
            WebSocketClosedError: the connection is closed or closing.
        """
        self._check_thread("send_bytes")
        self._wire.check_open()
        assert self._wire.sender.transport is not None
        self._wire.sender.transport.write(data)


async def close_all(connections: Collection[WebSocketServerConnection], reason: str) -> None:
    """Close connections with 1001, and drop those that have not ended after a second.

    Cancelling it drops them at once.

    Args:
        connections: open, closing or closed.
        reason: for the Close frame.
    """
    try:
        for connection in connections:
            connection.close(CloseCode.GOING_AWAY, reason)
        async with asyncio.timeout(_GRACE):
            for connection in connections:
                await connection.wait_closed()
    except TimeoutError:
        pass
    finally:
        for connection in connections:
            connection.abort()


class TappedWire(Wire):
    """A wire that shows all its bytes to a tap.

    Args:
        loop: the loop of the connection.
        options: what the application asked for.
        tap: called with ``"received"`` or ``"sent"``, and the bytes; ``None`` for nobody.
        deflate: the agreed compression, ``None`` without.
        kwargs: as for `Wire`.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        options: ConnectionOptions,
        *,
        tap: Tap | None,
        deflate: DeflateParameters | None,
        **kwargs: Any,
    ) -> None:
        super().__init__(loop, options, deflate=deflate, role=Role.SERVER, **kwargs)
        self._tap = tap

    def start(self, transport: asyncio.Transport) -> None:
        """Take over an upgraded transport."""
        super().start(transport)
        if self._tap is not None:
            self.sender.transport = cast(asyncio.Transport, _Tapped(transport, self._tap))

    def buffer_updated(self, nbytes: int) -> None:
        """Take what has been received."""
        if self._tap is not None:
            self._tap("received", bytes(self.get_buffer(-1)[:nbytes]))
        super().buffer_updated(nbytes)

    def feed(self, data: bytes) -> None:
        """Take received bytes."""
        if self._tap is not None:
            self._tap("received", data)
        super().feed(data)


class _Tapped:
    """A transport whose `write` is overheard."""

    def __init__(self, transport: asyncio.Transport, tap: Tap) -> None:
        self._transport = transport
        self._tap = tap

    def write(self, data: bytes) -> None:
        self._tap("sent", data)
        self._transport.write(data)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)
