"""A peer made with `tornado`."""

from __future__ import annotations

import asyncio
import logging
import socket
import struct
from collections.abc import Sequence
from typing import Any

from tornado.httpserver import HTTPServer
from tornado.iostream import StreamClosedError
from tornado.netutil import bind_sockets
from tornado.web import Application
from tornado.websocket import WebSocketClosedError, WebSocketHandler

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
    tls_context,
)

ABILITIES = """echo subprotocol headers close close-on-message abort push flood ping reject
redirect unauthorized drop deflate returns-code""".split()


class PeerHandler(WebSocketHandler):
    """Adapts a `tornado` connection; it is request handler and session in one."""

    def initialize(self) -> None:
        self._messages: asyncio.Queue[str | bytes | None] = asyncio.Queue()
        self._pongs: asyncio.Queue[bytes] = asyncio.Queue()
        self._talk: asyncio.Task[None] | None = None

    async def get(self, *args: Any, **kwargs: Any) -> None:
        resource = Resource.parse(self.request.uri or "")
        if resource.name == "drop":
            return self.detach().close()
        answer = http_answer(resource, self.request.headers)
        if answer is None:
            return await super().get(*args, **kwargs)
        self.set_status(answer.status)
        for name, value in answer.headers.items():
            self.set_header(name, value)
        await self.finish(answer.body)

    def check_origin(self, origin: str) -> bool:
        return True

    def get_compression_options(self) -> dict[str, Any] | None:
        return {}

    def select_subprotocol(self, subprotocols: list[str]) -> str | None:
        return next((name for name in SUBPROTOCOLS if name in subprotocols), None)

    def open(self, *args: str, **kwargs: str) -> None:
        headers = {name.lower(): value for name, value in self.request.headers.items()}
        facts = {"headers": headers, "subprotocol": self.selected_subprotocol}
        session = TornadoSession(self)
        resource = Resource.parse(self.request.uri or "")
        self._talk = asyncio.get_running_loop().create_task(converse(session, resource, facts))

    def on_message(self, message: str | bytes) -> None:
        self._messages.put_nowait(message)

    def on_pong(self, data: bytes) -> None:
        self._pongs.put_nowait(data)

    def on_close(self) -> None:
        self._messages.put_nowait(None)

    async def next_message(self) -> str | bytes:
        """Wait for the next message."""
        message = await self._messages.get()
        if message is None:
            raise GoneError
        return message

    async def next_pong(self) -> bytes:
        """Wait for the next pong's payload."""
        return await self._pongs.get()


class TornadoSession:
    """Adapts `PeerHandler`, whose own method names are Tornado's."""

    def __init__(self, handler: PeerHandler) -> None:
        self._handler = handler

    async def receive(self) -> str | bytes:
        return await self._handler.next_message()

    async def send(self, message: str | bytes) -> None:
        try:
            await self._handler.write_message(message, binary=isinstance(message, bytes))
        except (WebSocketClosedError, StreamClosedError) as error:
            raise GoneError from error

    async def send_fragments(self, parts: Sequence[str] | Sequence[bytes]) -> None:
        raise NotImplementedError("tornado sends no fragments")

    async def ping(self, data: bytes) -> bytes:
        self._handler.ping(data)
        return await self._handler.next_pong()

    async def close(self, code: int, reason: str) -> None:
        self._handler.close(code, reason)

    def abort(self) -> None:
        connection: Any = self._handler.ws_connection
        sock = connection.stream.socket
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        connection.stream.close()


async def main() -> None:
    """Serve until stdin is closed."""
    logging.getLogger("tornado").disabled = True
    logging.getLogger("tornado.access").disabled = True
    context = tls_context(options())
    application = Application(
        [(r"/.*", PeerHandler)], websocket_max_message_size=MAX_SIZE, log_function=lambda _: None
    )
    ports = []
    for tls in [None] if context is None else [None, context]:
        sockets = bind_sockets(0, "127.0.0.1")
        HTTPServer(application, ssl_options=tls).add_sockets(sockets)
        ports.append(sockets[0].getsockname()[1])
    announce(ports[0], ports[1] if context else None, ABILITIES)
    await quit_with_stdin()


if __name__ == "__main__":
    asyncio.run(main())
