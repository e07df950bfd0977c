"""A peer made with `picows`, its core interface: no compression, no queue."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from typing import cast

from picows import (
    WSCloseCode,
    WSFrame,
    WSListener,
    WSMsgType,
    WSTransport,
    WSUpgradeRequest,
    WSUpgradeResponse,
    WSUpgradeResponseWithListener,
    ws_create_server,
)

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
redirect unauthorized fragments returns-code returns-reason""".split()


class PicowsSession(WSListener):
    """Adapts a `picows` connection."""

    def __init__(self, request: WSUpgradeRequest, subprotocol: str | None) -> None:
        self._request = request
        self._subprotocol = subprotocol
        self._messages: asyncio.Queue[str | bytes | None] = asyncio.Queue()
        self._pongs: asyncio.Queue[bytes] = asyncio.Queue()
        self._parts: list[bytes] = []
        self._text = False
        self._writable = asyncio.Event()
        self._writable.set()

    def on_ws_connected(self, transport: WSTransport) -> None:
        self._transport = transport
        headers = {name.lower(): value for name, value in self._request.headers.items()}
        facts = {"headers": headers, "subprotocol": self._subprotocol}
        resource = Resource.parse(self._request.path.decode())
        self._talk = asyncio.get_running_loop().create_task(converse(self, resource, facts))

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        if frame.msg_type == WSMsgType.CLOSE:
            transport.send_close(frame.get_close_code(), frame.get_close_message())
            transport.disconnect()
        elif frame.msg_type == WSMsgType.PONG:
            self._pongs.put_nowait(frame.get_payload_as_bytes())
        elif frame.msg_type != WSMsgType.PING:
            self._take(frame)

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        self._messages.put_nowait(None)
        self._writable.set()

    def pause_writing(self) -> None:
        self._writable.clear()

    def resume_writing(self) -> None:
        self._writable.set()

    async def receive(self) -> str | bytes:
        message = await self._messages.get()
        if message is None:
            raise GoneError
        return message

    async def send(self, message: str | bytes) -> None:
        await self._send_frame(_opcode(message), message, fin=True)

    async def send_fragments(self, parts: Sequence[str] | Sequence[bytes]) -> None:
        opcode = _opcode(parts[0])
        for part in parts[:-1]:
            await self._send_frame(opcode, part, fin=False)
            opcode = WSMsgType.CONTINUATION
        await self._send_frame(opcode, parts[-1], fin=True)

    async def ping(self, data: bytes) -> bytes:
        self._transport.send_ping(data)
        return await self._pongs.get()

    async def close(self, code: int, reason: str) -> None:
        # The type is an enum without the private codes; what is sent is any number.
        self._transport.send_close(cast(WSCloseCode, code), reason.encode())

    def abort(self) -> None:
        reset(self._transport.underlying_transport)

    async def _send_frame(self, opcode: WSMsgType, data: str | bytes, *, fin: bool) -> None:
        if self._transport.is_disconnected or self._transport.is_close_frame_sent:
            raise GoneError
        self._transport.send(opcode, data, fin)
        await self._writable.wait()

    def _take(self, frame: WSFrame) -> None:
        if frame.msg_type != WSMsgType.CONTINUATION:
            self._parts.clear()
            self._text = frame.msg_type == WSMsgType.TEXT
        self._parts.append(frame.get_payload_as_bytes())
        if frame.fin:
            data = b"".join(self._parts)
            self._messages.put_nowait(data.decode() if self._text else data)


def _opcode(message: str | bytes) -> WSMsgType:
    return WSMsgType.TEXT if isinstance(message, str) else WSMsgType.BINARY


def _route(request: WSUpgradeRequest) -> WSUpgradeResponseWithListener:
    answer = http_answer(Resource.parse(request.path.decode()), request.headers)
    if answer is not None and answer.status < 400:
        target = answer.headers["Location"]
        response = WSUpgradeResponse.create_redirect_response(answer.status, target)
        return WSUpgradeResponseWithListener(response, None)
    if answer is not None:
        response = WSUpgradeResponse.create_error_response(
            answer.status, answer.body, answer.headers
        )
        return WSUpgradeResponseWithListener(response, None)
    offered = [
        each.strip() for each in request.headers.get("Sec-WebSocket-Protocol", "").split(",")
    ]
    chosen = next((name for name in SUBPROTOCOLS if name in offered), None)
    fields = {"Sec-WebSocket-Protocol": chosen} if chosen else {}
    response = WSUpgradeResponse.create_101_response(fields)
    return WSUpgradeResponseWithListener(response, PicowsSession(request, chosen))


async def main() -> None:
    """Serve until stdin is closed."""
    logging.getLogger("picows").disabled = True
    context = tls_context(options())
    servers = [
        await ws_create_server(_route, "127.0.0.1", 0, ssl=tls, max_frame_size=MAX_SIZE)
        for tls in ([None] if context is None else [None, context])
    ]
    ports = [server.sockets[0].getsockname()[1] for server in servers]
    announce(ports[0], ports[1] if context else None, ABILITIES)
    await quit_with_stdin()


if __name__ == "__main__":
    asyncio.run(main())
