"""A scripted server on bare streams, for servers that do what no library would do."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import socket
import ssl
import struct
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import cast

__all__ = [
    "BINARY",
    "CLOSE",
    "CONTINUATION",
    "PING",
    "PONG",
    "TEXT",
    "Frame",
    "Request",
    "Wire",
    "accept_key",
    "build_frame",
    "close_frame",
    "raw_server",
    "reset",
]

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0x0, 0x1, 0x2, 0x8, 0x9, 0xA

_GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


@dataclass(frozen=True)
class Request:
    """An HTTP request head. Header names are in lower case, repeated ones joined by a comma."""

    method: str
    target: str
    headers: dict[str, str]


@dataclass(frozen=True)
class Frame:
    """One frame as it was on the wire, unmasked."""

    fin: bool
    rsv: int
    opcode: int
    masked: bool
    payload: bytes

    @property
    def close_code(self) -> int | None:
        """The code of a Close frame, ``None`` when it has none."""
        return int.from_bytes(self.payload[:2], "big") if len(self.payload) >= 2 else None

    @property
    def close_reason(self) -> str:
        """The reason of a Close frame."""
        return self.payload[2:].decode()


def accept_key(key: str) -> str:
    """Return the Sec-WebSocket-Accept that answers `key` (RFC 6455, section 4.2.2)."""
    return base64.b64encode(hashlib.sha1((key + _GUID).encode()).digest()).decode()


def build_frame(
    opcode: int, payload: bytes = b"", *, fin: bool = True, rsv: int = 0, mask: bytes | None = None
) -> bytes:
    """Build a frame (RFC 6455, section 5.2); nothing is checked, so wrong ones can be built."""
    size = len(payload)
    masked = 0x80 if mask is not None else 0
    head = bytes([(0x80 if fin else 0) | rsv << 4 | opcode])
    if size < 126:
        head += bytes([masked | size])
    elif size < 65536:
        head += struct.pack("!BH", masked | 126, size)
    else:
        head += struct.pack("!BQ", masked | 127, size)
    if mask is None:
        return head + payload
    return head + mask + _apply_mask(payload, mask)


def close_frame(code: int, reason: str = "") -> bytes:
    """Build an unmasked Close frame."""
    return build_frame(CLOSE, struct.pack("!H", code) + reason.encode())


def reset(transport: asyncio.BaseTransport) -> None:
    """End the TCP connection with RST."""
    sock = transport.get_extra_info("socket")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    # uvloop's transports are not of asyncio's class.
    cast(asyncio.WriteTransport, transport).abort()


@dataclass
class Wire:
    """The server's end of one connection."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    request: Request | None = field(default=None, init=False)

    async def read_request(self) -> Request:
        """Read the request head; it is kept in `request` too."""
        head = (await self.reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        first, *lines = head.rstrip("\r\n").split("\r\n")
        headers: dict[str, str] = {}
        for line in lines:
            name, _, value = line.partition(":")
            name, value = name.strip().lower(), value.strip()
            headers[name] = f"{headers[name]}, {value}" if name in headers else value
        method, target, _ = first.split(" ", 2)
        self.request = Request(method, target, headers)
        return self.request

    async def respond(
        self, status: str, headers: Mapping[str, str] | None = None, body: bytes = b""
    ) -> None:
        """Send an HTTP response; `status` is such as ``"403 Forbidden"``."""
        fields = {"Content-Length": str(len(body)), **(headers or {})}
        head = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
        await self.send(f"HTTP/1.1 {status}\r\n{head}\r\n".encode() + body)

    async def accept(
        self, headers: Mapping[str, str | None] | None = None, *, extra: bytes = b""
    ) -> Request:
        """Read the request if that is not done, and answer 101.

        Args:
            headers: added to the right ones or put in their place; ``None`` leaves one out.
            extra: bytes to send in the same packet, behind the response head.
        """
        request = self.request or await self.read_request()
        fields: dict[str, str | None] = {
            "Upgrade": "websocket",
            "Connection": "Upgrade",
            "Sec-WebSocket-Accept": accept_key(request.headers.get("sec-websocket-key", "")),
            **(headers or {}),
        }
        lines = [f"{name}: {value}\r\n" for name, value in fields.items() if value is not None]
        head = "HTTP/1.1 101 Switching Protocols\r\n" + "".join(lines) + "\r\n"
        await self.send(head.encode() + extra)
        return request

    async def send(self, data: bytes) -> None:
        """Send bytes as they are."""
        self.writer.write(data)
        await self.writer.drain()

    async def send_frame(
        self,
        opcode: int,
        payload: bytes = b"",
        *,
        fin: bool = True,
        rsv: int = 0,
        mask: bytes | None = None,
    ) -> None:
        """Send one frame, see `build_frame`."""
        await self.send(build_frame(opcode, payload, fin=fin, rsv=rsv, mask=mask))

    async def send_close(self, code: int, reason: str = "") -> None:
        """Send a Close frame."""
        await self.send(close_frame(code, reason))

    async def read_frame(self) -> Frame:
        """Read one frame.

        Raises:
            asyncio.IncompleteReadError: the connection ended.
        """
        first, second = await self.reader.readexactly(2)
        size = second & 0x7F
        if size == 126:
            size = int.from_bytes(await self.reader.readexactly(2), "big")
        elif size == 127:
            size = int.from_bytes(await self.reader.readexactly(8), "big")
        masked = bool(second & 0x80)
        mask = await self.reader.readexactly(4) if masked else bytes(4)
        payload = _apply_mask(await self.reader.readexactly(size), mask)
        return Frame(bool(first & 0x80), first >> 4 & 7, first & 15, masked, payload)

    async def read_until_close(self) -> list[Frame]:
        """Read frames up to and including the Close frame."""
        frames = [await self.read_frame()]
        while frames[-1].opcode != CLOSE:
            frames.append(await self.read_frame())
        return frames

    async def read_to_end(self) -> bytes:
        """Read all bytes until the client ends the TCP connection."""
        return await self.reader.read()

    def abort(self) -> None:
        """End the TCP connection with RST."""
        reset(self.writer.transport)


@asynccontextmanager
async def raw_server(
    handler: Callable[[Wire], Awaitable[None]], *, ssl: ssl.SSLContext | None = None
) -> AsyncIterator[int]:
    """Serve each connection with `handler` and give the port.

    The connection is closed when the handler returns. That the client went away is no error;
    any other exception of a handler is raised when the block is left.
    """
    tasks: set[asyncio.Task[None]] = set()

    async def run(wire: Wire) -> None:
        try:
            await handler(wire)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            wire.writer.close()
            try:
                await wire.writer.wait_closed()
            except OSError:
                pass

    def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        tasks.add(asyncio.get_running_loop().create_task(run(Wire(reader, writer))))

    server = await asyncio.start_server(connected, "127.0.0.1", 0, ssl=ssl)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        if tasks:
            await asyncio.wait(tasks, timeout=0.2)
        for task in tasks:
            task.cancel()
        results = await asyncio.gather(*tasks, return_exceptions=True)
        await server.wait_closed()
    for result in results:
        if isinstance(result, BaseException) and not isinstance(result, asyncio.CancelledError):
            raise result


def _apply_mask(payload: bytes, mask: bytes) -> bytes:
    size = len(payload)
    key = (mask * (size // 4 + 1))[:size]
    return (int.from_bytes(payload, "big") ^ int.from_bytes(key, "big")).to_bytes(size, "big")
