"""No clients but limits: what a message costs without any protocol, with and without a loop.

They count bytes, and parse nothing.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Sequence
from typing import Any, cast
from urllib.parse import urlsplit

from benchmarks.clients.contract import Client
from benchmarks.frames import BINARY, CLOSE, TEXT, frame, masked_frame
from benchmarks.messages import DONE, END

__all__ = ["BareProtocolClient", "RawSocketClient"]

_BUFFER = 256 * 1024
_BATCH = 512
"""Messages that leave in one system call."""

_CLOSING = masked_frame(CLOSE, b"\x03\xe8")


def _request(path: str) -> bytes:
    return (
        f"GET {path} HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n"
        "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
        "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
    ).encode()


def _number(count: int) -> bytes:
    return masked_frame(TEXT, str(count).encode())


def _encoded(message: str | bytes) -> bytes:
    if isinstance(message, str):
        return masked_frame(TEXT, message.encode())
    return masked_frame(BINARY, message)


def _flood_size(count: int, size: int) -> int:
    one = len(frame(BINARY, bytes(size)))
    return (count - 1) * one + len(frame(BINARY, END.encode()))


class RawSocketClient(Client):
    """A socket that blocks."""

    async def open(self) -> socket.socket:
        """Connect."""
        parts = urlsplit(self.job.url)
        sock = socket.create_connection((parts.hostname, cast("int", parts.port)))
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if self.context is not None:
            sock = self.context.wrap_socket(sock, server_hostname=parts.hostname)
        sock.sendall(_request(self.job.path))
        answer = b""
        while not answer.endswith(b"\r\n\r\n"):
            answer += sock.recv(4096)
        self._buffer = bytearray(_BUFFER)
        return sock

    async def close(self, conn: socket.socket) -> None:
        """Close."""
        conn.sendall(_CLOSING)
        while conn.recv_into(self._buffer):
            pass
        conn.close()

    def _take(self, conn: socket.socket, size: int) -> None:
        buffer = self._buffer
        while size > 0:
            received = conn.recv_into(buffer)
            if not received:
                raise EOFError
            size -= received

    async def receive(self, conn: socket.socket, count: int) -> None:
        """Count bytes."""
        conn.sendall(_number(count))
        self._take(conn, _flood_size(count, self.job.size))

    async def echo(self, conn: socket.socket, messages: Sequence[Any], count: int) -> None:
        """Send, and count bytes."""
        data = _encoded(messages[0])
        for _ in range(count):
            conn.sendall(data)
            self._take(conn, len(data) - 4)

    async def send(self, conn: socket.socket, message: Any, count: int) -> None:
        """Send many at a time."""
        data = _encoded(message)
        block = memoryview(data * _BATCH)
        conn.sendall(_number(count))
        for _ in range(count // _BATCH):
            conn.sendall(block)
        conn.sendall(block[: count % _BATCH * len(data)])
        self._take(conn, len(frame(TEXT, DONE.encode())))


class _BareProtocol(asyncio.BufferedProtocol):
    """Counts bytes, and sends when enough have come."""

    def __init__(self) -> None:
        self.transport: asyncio.Transport
        self.data = b""
        self.size = 0
        self.rounds = 0
        self._have = 0
        self._buffer = memoryview(bytearray(_BUFFER))
        self._done: asyncio.Future[None]
        self._ended = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)

    def connection_lost(self, error: Exception | None) -> None:
        if not self._ended.done():
            self._ended.set_result(None)

    def get_buffer(self, sizehint: int) -> memoryview:
        return self._buffer

    def buffer_updated(self, nbytes: int) -> None:
        self._have += nbytes
        if not self.size:
            # The upgrade, whose answer is one read.
            if bytes(self._buffer[: self._have]).endswith(b"\r\n\r\n"):
                self._done.set_result(None)
        elif self._have >= self.size:
            self._have = 0
            self.rounds -= 1
            if self.rounds > 0:
                self.transport.write(self.data)
            elif not self.rounds:
                self._done.set_result(None)

    async def run(self, data: bytes, size: int, rounds: int) -> None:
        """Send, and wait for `size` bytes, `rounds` times over."""
        self.data, self.size, self.rounds = data, size, rounds
        self._have = 0
        self._done = asyncio.get_running_loop().create_future()
        self.transport.write(data)
        await self._done

    async def end(self) -> None:
        """Close, and wait for the end."""
        self.size, self.rounds = 1, 0
        self.transport.write(_CLOSING)
        await self._ended


class BareProtocolClient(Client):
    """A protocol of asyncio, and nothing on it."""

    async def open(self) -> _BareProtocol:
        """Connect."""
        parts = urlsplit(self.job.url)
        _, protocol = await asyncio.get_running_loop().create_connection(
            _BareProtocol,
            cast("str", parts.hostname),
            cast("int", parts.port),
            ssl=self.context,
        )
        await protocol.run(_request(self.job.path), 0, 0)
        return protocol

    async def close(self, conn: _BareProtocol) -> None:
        """Close."""
        await conn.end()

    async def receive(self, conn: _BareProtocol, count: int) -> None:
        """Count bytes."""
        await conn.run(_number(count), _flood_size(count, self.job.size), 1)

    async def echo(self, conn: _BareProtocol, messages: Sequence[Any], count: int) -> None:
        """Send, and count bytes."""
        data = _encoded(messages[0])
        await conn.run(data, len(data) - 4, count)
