"""A peer made with `aiohttp.web`."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from aiohttp import WSMsgType, web

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
redirect unauthorized drop deflate deflate-flags""".split()


class AiohttpSession:
    """Adapts an `aiohttp.web.WebSocketResponse`, with pings in our own hands."""

    def __init__(self, request: web.Request, response: web.WebSocketResponse) -> None:
        self._request = request
        self._response = response

    async def receive(self) -> str | bytes:
        while True:
            message = await self._response.receive()
            if message.type is WSMsgType.PING:
                await self._response.pong(message.data)
            elif message.type is WSMsgType.TEXT or message.type is WSMsgType.BINARY:
                data: str | bytes = message.data
                return data
            elif message.type is not WSMsgType.PONG:
                raise GoneError

    async def send(self, message: str | bytes) -> None:
        try:
            if isinstance(message, str):
                await self._response.send_str(message)
            else:
                await self._response.send_bytes(message)
        except (ConnectionError, RuntimeError) as error:
            raise GoneError from error

    async def send_fragments(self, parts: Sequence[str] | Sequence[bytes]) -> None:
        raise NotImplementedError("aiohttp sends no fragments")

    async def ping(self, data: bytes) -> bytes:
        await self._response.ping(data)
        message = await self._response.receive()
        while message.type is not WSMsgType.PONG:
            if message.type is not WSMsgType.PING:
                raise GoneError
            message = await self._response.receive()
        return bytes(message.data)

    async def close(self, code: int, reason: str) -> None:
        await self._response.close(code=code, message=reason.encode())

    def abort(self) -> None:
        reset(self._request.transport)


async def _handle(request: web.Request) -> web.StreamResponse:
    resource = Resource.parse(request.path_qs)
    if resource.name == "drop":
        assert request.transport is not None
        request.transport.abort()
        return web.Response()
    answer = http_answer(resource, request.headers)
    if answer is not None:
        return web.Response(status=answer.status, headers=answer.headers, body=answer.body)
    response = web.WebSocketResponse(protocols=SUBPROTOCOLS, max_msg_size=MAX_SIZE, autoping=False)
    await response.prepare(request)
    headers = {name.lower(): value for name, value in request.headers.items()}
    facts = {"headers": headers, "subprotocol": response.ws_protocol}
    await converse(AiohttpSession(request, response), resource, facts)
    return response


async def main() -> None:
    """Serve until stdin is closed."""
    context = tls_context(options())
    application = web.Application()
    application.router.add_get("/{path:.*}", _handle)
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    for tls in [None] if context is None else [None, context]:
        await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls).start()
    ports = [address[1] for address in runner.addresses]
    announce(ports[0], ports[1] if context else None, ABILITIES)
    await quit_with_stdin()


if __name__ == "__main__":
    asyncio.run(main())
