"""A client and a server joined in memory: no socket, no port, no HTTP, always the same order."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from typing import Any

from multidict import CIMultiDict, CIMultiDictProxy
from yarl import URL

from ..connection import Opening, WebSocketClientConnection
from ..options.connection import ConnectionOptions
from ..protocol.accepting import UpgradeRequest, accept_deflate, accept_headers, check_request
from ..protocol.deflate import DeflateParameters
from ..protocol.handshake import check_response, check_subprotocols, make_key, upgrade_headers
from ..wire.wire import Wire
from .memory import MemoryTransport, joined_transports
from .serving.connection import TappedWire, WebSocketServerConnection

__all__ = ["connection_pair"]

_URL = URL("ws://in.memory/")


@asynccontextmanager
async def connection_pair(
    *,
    subprotocols: Iterable[str] | None = None,
    server_options: Mapping[str, Any] | None = None,
    **options: Any,
) -> AsyncIterator[tuple[WebSocketClientConnection, WebSocketServerConnection]]:
    """Open a client connection and its server's end, joined in memory.

    ``async with connection_pair() as (client, server)``. Bytes arrive in the next turn of the
    event loop, in the order in which they were written; with a `VirtualClock` time is exact, too.
    The handshake is a real one, but for HTTP. Leaving the block closes the connection with 1000,
    and drops it when that does not end it within the client's `close_timeout`. A cancelled block
    drops it at once.

    Args:
        subprotocols: what the client offers; the server takes the first one.
        server_options: options of the server's end; ``None`` for the defaults, which agree to
            what compression the client offers. The names are those of `options`.
        options: options of the client, as for `websocket_connect`: on_message_callback,
            compression_options, ping_interval, ping_timeout, max_message_size, close_timeout,
            max_queue_messages, max_queue_size, on_ping, on_pong.

    Yields:
        both ends, open.

    Raises:
        TypeError: an option is unknown, or of the wrong type.
        ValueError: an option cannot be used.
        Exception: what the client's callback raised, when the block is left.
    """
    client_options = _connection_options(options)
    server = {"compression_options": {}, **(server_options or {})}
    client, end = _open(client_options, _connection_options(server), subprotocols)
    try:
        yield client, end
    except BaseException:
        end.abort()
        raise
    finally:
        await _end(client, end)


async def _end(client: WebSocketClientConnection, server: WebSocketServerConnection) -> None:
    try:
        await client.close()
        await client.wait_closed()  # raises what a callback raised
    finally:
        if not server.closing:
            server.abort()
        await server.wait_closed()


def _connection_options(options: Mapping[str, Any]) -> ConnectionOptions:
    given = dict(options)
    if "compression_options" in given:
        given["compression"] = given.pop("compression_options")
    return ConnectionOptions(**given)


def _open(
    client_options: ConnectionOptions,
    server_options: ConnectionOptions,
    subprotocols: Iterable[str] | None,
) -> tuple[WebSocketClientConnection, WebSocketServerConnection]:
    loop = asyncio.get_running_loop()
    offered = check_subprotocols(subprotocols)
    offer = None if client_options.compression is None else client_options.compression.offer
    key = make_key()
    request_headers = upgrade_headers(key=key, subprotocols=offered, deflate=offer)
    request = check_request("GET", request_headers)
    assert isinstance(request, UpgradeRequest)
    agreed = None
    if server_options.compression is not None:
        agreed = accept_deflate(request.deflate_offers, server_options.compression.offer)
    deflate, extensions = agreed or (None, "")
    response_headers = accept_headers(
        request, subprotocol=offered[0] if offered else None, extensions=extensions
    )
    agreement = check_response(response_headers, key=key, subprotocols=offered, deflate=offer)
    near, far = joined_transports(loop)

    def opening(transport: MemoryTransport) -> Opening:
        return Opening(
            url=_URL,
            subprotocol=agreement.subprotocol,
            extensions=extensions,
            request_headers=CIMultiDictProxy(CIMultiDict(request_headers)),
            response_headers=CIMultiDictProxy(CIMultiDict(response_headers)),
            local_address=transport.get_extra_info("sockname"),
            remote_address=transport.get_extra_info("peername"),
            tls=None,
        )

    server_wire = TappedWire(loop, server_options, tap=None, **_arguments(deflate, "client"))
    client_wire = Wire(loop, client_options, **_arguments(agreement.deflate, "server"))
    server_wire.start(far)
    client_wire.start(near)
    callback = client_options.on_message_callback is not None
    return (
        WebSocketClientConnection(client_wire, opening(near), loop, callback=callback),
        WebSocketServerConnection(server_wire, opening(far), loop),
    )


def _arguments(deflate: DeflateParameters | None, other: str) -> dict[str, Any]:
    return {
        "deflate": deflate,
        "label": f"{other} in memory",
        "on_lost": lambda exc: None,
        "closed_here": lambda: False,
    }
