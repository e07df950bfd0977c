"""From aiohttp's connection, whose server has agreed to the upgrade, to one of ours.

The transport gets our protocol object. Bytes that aiohttp has read behind the answer are fed in
first; the end of the connection is told to aiohttp, whose session would otherwise wait for it for
ever.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from typing import cast

import aiohttp
from aiohttp.client_proto import ResponseHandler
from yarl import URL

from ..connection import Opening, WebSocketClientConnection
from ..errors import HandshakeError
from ..options.connection import ConnectionOptions
from ..protocol.handshake import Agreement, join_headers
from ..protocol.opcodes import CloseCode
from ..tls.info import TLSInfo
from ..tls.watch import RotationWatch
from ..urls import shown_url
from ..wire.drain import Drain
from ..wire.released import released
from ..wire.shutdown import LoopWatch
from ..wire.wire import Wire
from .handler import Handler, keep_connection
from .security import Security

__all__ = ["take_over"]


def take_over(
    response: aiohttp.ClientResponse,
    url: URL,
    agreement: Agreement,
    options: ConnectionOptions,
    security: Security,
    watch: LoopWatch,
    *,
    lent: bool,
) -> WebSocketClientConnection:
    """Make a connection of ours out of one of aiohttp's.

    Args:
        response: the answer, with status 101.
        url: what was opened in the end.
        agreement: what the answer agreed to.
        options: what the application asked for.
        security: of the attempt.
        watch: drops the connection when its loop ends.
        lent: whether the answer came by a session of the caller.

    Raises:
        HandshakeError: the server has closed the connection already.
    """
    handler, transport = _parts(response)
    # With a session of our own, nothing of aiohttp need live as long as the connection.
    ours = isinstance(handler, Handler) and handler.keeps is None
    farewell = _Farewell(watch)
    loop = asyncio.get_running_loop()
    wire = Wire(
        loop,
        options,
        deflate=agreement.deflate,
        label=shown_url(url),
        on_lost=farewell.say,
        closed_here=released if ours else lambda: handler.transport is None,
    )
    # With ws:// through an https proxy, the TLS of the transport is the proxy's.
    tls = security.info(transport) if url.scheme == "wss" else None
    opening = _opening(url, agreement, response, transport, tls)
    farewell.open(wire)
    wire.start(transport)
    handler.set_parser(Drain(wire), None)
    callback = options.on_message_callback is not None
    connection = WebSocketClientConnection(wire, opening, loop, callback=callback)
    renew = partial(wire.close, CloseCode.GOING_AWAY, "new certificate", rotated=True)
    farewell.rotation = security.watch(renew)
    # Last of all: whoever gives up before has the answer, and closes it with its connection.
    if ours:
        cast(Handler, handler).let_go()
        response.close()
    else:
        close = keep_connection(response) if lent else response.close
        farewell.tell_aiohttp = _teller(handler, close)
    return connection


class _Farewell:
    """Who has to learn that a connection has ended.

    Attributes:
        rotation: watches for a newer identity; ``None`` for nobody.
        tell_aiohttp: called with what `connection_lost` got.

    Args:
        watch: drops what is open when the loop ends.
    """

    __slots__ = ("_watch", "_wire", "rotation", "tell_aiohttp")

    def __init__(self, watch: LoopWatch) -> None:
        self.tell_aiohttp: Callable[[BaseException | None], object] = released
        self._watch = watch
        self._wire: Wire | None = None
        self.rotation: RotationWatch | None = None

    def open(self, wire: Wire) -> None:
        """Note which connection is open."""
        self._wire = wire
        self._watch.open.add(wire)

    def say(self, exc: BaseException | None) -> None:
        """Tell everybody."""
        if self.rotation is not None:
            self.rotation.stop()
        if self._wire is not None:
            self._watch.open.discard(self._wire)
        self.tell_aiohttp(exc)


def _parts(response: aiohttp.ClientResponse) -> tuple[ResponseHandler, asyncio.Transport]:
    connection = response.connection
    handler = None if connection is None else connection.protocol
    transport = None if connection is None else connection.transport
    if handler is None or transport is None:
        raise HandshakeError(
            "the server closed the connection right after the upgrade.",
            status=response.status,
            headers=join_headers(response.headers.items()),
        )
    return handler, transport


def _teller(
    handler: ResponseHandler, close: Callable[[], object]
) -> Callable[[BaseException | None], object]:
    """Return what tells aiohttp that the connection has ended."""

    def tell(exc: BaseException | None) -> None:
        handler.connection_lost(exc)
        close()

    return tell


def _opening(
    url: URL,
    agreement: Agreement,
    response: aiohttp.ClientResponse,
    transport: asyncio.Transport,
    tls: TLSInfo | None,
) -> Opening:
    return Opening(
        url=url,
        subprotocol=agreement.subprotocol,
        extensions=response.headers.get("Sec-WebSocket-Extensions", ""),
        request_headers=response.request_info.headers,
        response_headers=response.headers,
        local_address=transport.get_extra_info("sockname"),
        remote_address=transport.get_extra_info("peername"),
        tls=tls,
    )
