"""From a request of aiohttp's server to an open WebSocket: the upgrade, as a server does it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable

from aiohttp import web
from multidict import CIMultiDict, CIMultiDictProxy
from yarl import URL

from ...connection import Opening
from ...options.connection import ConnectionOptions
from ...protocol.accepting import UpgradeRequest, accept_deflate, accept_headers
from ...tls.info import TLSInfo
from ...wire.drain import Drain
from .connection import TappedWire, WebSocketServerConnection
from .recorder import FrameRecorder

__all__ = ["accept"]


async def accept(
    request: web.BaseRequest,
    upgrade: UpgradeRequest,
    options: ConnectionOptions,
    *,
    subprotocol: str | None = None,
    headers: Iterable[tuple[str, str]] = (),
    tap: FrameRecorder | None = None,
    queue_control: bool = False,
    on_lost: Callable[[], object] | None = None,
) -> tuple[WebSocketServerConnection, web.StreamResponse]:
    """Answer 101 and take the transport over.

    When the connection has ended, the caller returns the response to aiohttp, which then has
    nothing left to do. If it is cancelled or raises, aiohttp drops the TCP connection.

    Args:
        request: asks for the upgrade.
        upgrade: what `check_request` read in it.
        options: of the connection; its callbacks are not called.
        subprotocol: the choice, ``None`` for none.
        headers: more headers for the answer.
        tap: takes notes of all frames; ``None`` for nobody.
        queue_control: put the payloads of pings and pongs into the inbox, between the messages.
        on_lost: called once when TCP is closed and `close_info` is there; ``None`` for nobody.

    Raises:
        aiohttp.web.HTTPBadRequest: there is no reading the request's Host; nothing was sent.
        ConnectionResetError: the client has gone meanwhile.
    """
    url = _websocket_url(request)
    agreed = None
    if options.compression is not None:
        agreed = accept_deflate(upgrade.deflate_offers, options.compression.offer)
    deflate, extensions = agreed or (None, "")
    answer = CIMultiDict(headers)
    answer.extend(accept_headers(upgrade, subprotocol=subprotocol, extensions=extensions))
    response = web.StreamResponse(status=101, headers=answer)
    response.force_close()
    await response.prepare(request)
    await response.write_eof()
    protocol, transport = request.protocol, request.transport
    if transport is None:
        raise ConnectionResetError("the client went away before the upgrade was complete")
    if tap is not None:
        tap.begin(deflate)
    loop = asyncio.get_running_loop()
    opening = Opening(
        url=url,
        subprotocol=subprotocol,
        extensions=extensions,
        request_headers=request.headers,
        response_headers=CIMultiDictProxy(response.headers),
        local_address=transport.get_extra_info("sockname"),
        remote_address=transport.get_extra_info("peername"),
        tls=TLSInfo.of(transport, server_side=True),
    )

    def lost(exc: BaseException | None) -> None:
        protocol.connection_lost(exc)
        if on_lost is not None:
            on_lost()

    wire = TappedWire(
        loop,
        options,
        tap=tap,
        deflate=deflate,
        label=f"client {opening.remote_address}",
        on_lost=lost,
        closed_here=lambda: protocol.transport is None,
        queue_control=queue_control,
    )
    wire.start(transport)
    protocol.set_parser(Drain(wire))  # type: ignore[arg-type]  # it feeds bytes and asks no more
    return WebSocketServerConnection(wire, opening, loop), response


def _websocket_url(request: web.BaseRequest) -> URL:
    try:
        return request.url.with_scheme("wss" if request.scheme == "https" else "ws")
    except ValueError as exc:
        raise web.HTTPBadRequest(text=f"The header Host cannot be read: {exc}") from exc
