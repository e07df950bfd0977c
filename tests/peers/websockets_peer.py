"""A peer made with `websockets`."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence

from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.datastructures import Headers
from websockets.exceptions import ConnectionClosed
from websockets.extensions.permessage_deflate import ServerPerMessageDeflateFactory
from websockets.http11 import Request, Response
from websockets.typing import Subprotocol

from peers.vocabulary import (
    MAX_SIZE,
    SUBPROTOCOLS,
    GoneError,
    Resource,
    announce,
    converse,
    http_answer,
    options,
    quit_with_stdin,
    reset,
    tls_context,
)

ABILITIES = """echo subprotocol headers close close-on-message abort push flood ping reject
redirect unauthorized drop fragments deflate deflate-flags deflate-query returns-code
returns-reason""".split()


class WebsocketsSession:
    """Adapts a `websockets` connection."""

    def __init__(self, connection: ServerConnection) -> None:
        self._connection = connection

    async def receive(self) -> str | bytes:
        try:
            return await self._connection.recv()
        except ConnectionClosed as error:
            raise GoneError from error

    async def send(self, message: str | bytes) -> None:
        try:
            await self._connection.send(message)
        except ConnectionClosed as error:
            raise GoneError from error

    async def send_fragments(self, parts: Sequence[str] | Sequence[bytes]) -> None:
        await self._connection.send(parts)

    async def ping(self, data: bytes) -> bytes:
        try:
            await (await self._connection.ping(data))
        except ConnectionClosed as error:
            raise GoneError from error
        return data

    async def close(self, code: int, reason: str) -> None:
        await self._connection.close(code, reason)

    def abort(self) -> None:
        reset(self._connection.transport)


def _deflate(query: dict[str, str]) -> ServerPerMessageDeflateFactory:
    def bits(name: str) -> int | None:
        return int(query[name]) if name in query else None

    return ServerPerMessageDeflateFactory(
        server_no_context_takeover="server_no_context_takeover" in query,
        client_no_context_takeover="client_no_context_takeover" in query,
        server_max_window_bits=bits("server_max_window_bits"),
        client_max_window_bits=bits("client_max_window_bits"),
    )


def _process_request(connection: ServerConnection, request: Request) -> Response | None:
    resource = Resource.parse(request.path)
    if resource.name == "drop":
        connection.transport.abort()
        return None
    answer = http_answer(resource, request.headers)
    if answer is None:
        connection.protocol.available_extensions = [_deflate(resource.query)]
        return None
    headers = Headers(answer.headers)
    headers["Content-Length"] = str(len(answer.body))
    return Response(answer.status, "", headers, answer.body)


async def _handle(connection: ServerConnection) -> None:
    request = connection.request
    assert request is not None
    headers = {name.lower(): value for name, value in request.headers.raw_items()}
    facts = {"headers": headers, "subprotocol": connection.subprotocol}
    await converse(WebsocketsSession(connection), Resource.parse(request.path), facts)


def _select(connection: ServerConnection, offered: Sequence[Subprotocol]) -> Subprotocol | None:
    return next((name for name in map(Subprotocol, SUBPROTOCOLS) if name in offered), None)


async def main() -> None:
    """Serve until stdin is closed."""
    logging.getLogger("websockets").disabled = True
    logger = logging.getLogger("peer")
    logger.disabled = True
    context = tls_context(options())
    servers: list[Server] = []
    for tls in [None] if context is None else [None, context]:
        server = await serve(
            _handle,
            "127.0.0.1",
            0,
            ssl=tls,
            process_request=_process_request,
            select_subprotocol=_select,
            compression=None,
            extensions=[ServerPerMessageDeflateFactory()],
            max_size=MAX_SIZE,
            ping_interval=None,
            logger=logger,
        )
        servers.append(server)
    ports = [server.sockets[0].getsockname()[1] for server in servers]
    announce(ports[0], ports[1] if context else None, ABILITIES)
    await quit_with_stdin()


if __name__ == "__main__":
    asyncio.run(main())
