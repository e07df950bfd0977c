"""Tornado."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import cycle, islice

from tornado.httpclient import HTTPRequest
from tornado.websocket import WebSocketClientConnection, websocket_connect

from benchmarks.clients.contract import Client, check_size
from benchmarks.job import LARGEST
from benchmarks.messages import DONE, END

__all__ = ["TornadoClient"]


class TornadoClient(Client):
    """Receives with `read_message`."""

    async def open(self) -> WebSocketClientConnection:
        """Connect."""
        if self.job.level not in (0, 6):
            raise ValueError("tornado's client has no other level than 6, whatever it is told")
        return await websocket_connect(
            HTTPRequest(self.job.url, ssl_options=self.context),
            compression_options={} if self.job.level else None,
            max_message_size=LARGEST,
        )

    async def close(self, conn: WebSocketClientConnection) -> None:
        """Close; to wait for the end, there is reading alone."""
        conn.close()
        while await conn.read_message() is not None:
            pass

    async def receive(self, conn: WebSocketClientConnection, count: int) -> None:
        """Read messages."""
        message: str | bytes | None = None
        await conn.write_message(str(count))
        for _ in range(count):
            message = await conn.read_message()
        check_size(message, len(END))

    async def echo(
        self, conn: WebSocketClientConnection, messages: Sequence[str | bytes], count: int
    ) -> None:
        """Write and read in turn."""
        binary = isinstance(messages[0], bytes)
        received: str | bytes | None = None
        for message in islice(cycle(messages), count):
            await conn.write_message(message, binary)
            received = await conn.read_message()
        check_size(received, self.job.size)

    async def send(
        self, conn: WebSocketClientConnection, message: str | bytes, count: int
    ) -> None:
        """Write messages."""
        binary = isinstance(message, bytes)
        await conn.write_message(str(count))
        for _ in range(count):
            await conn.write_message(message, binary)
        check_size(await conn.read_message(), len(DONE))
