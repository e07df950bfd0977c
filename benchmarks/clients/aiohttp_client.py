"""aiohttp."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from itertools import cycle, islice
from typing import Any

import aiohttp

from benchmarks.clients.contract import Client, check_size
from benchmarks.job import LARGEST
from benchmarks.messages import DONE, END

__all__ = ["AiohttpClient"]


class AiohttpClient(Client):
    """Receives with `receive`.

    Attributes:
        fast: compress with zlib-ng.
    """

    fast = False

    async def start(self) -> None:
        """Make the session."""
        if self.fast:
            aiohttp.set_zlib_backend(import_module("zlib_ng.zlib_ng"))
        self._session = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0))

    async def stop(self) -> None:
        """Close the session."""
        await self._session.close()

    async def open(self) -> aiohttp.ClientWebSocketResponse:
        """Connect."""
        if self.job.level not in (0, 1):
            raise ValueError("aiohttp has no other level than 1")
        return await self._session.ws_connect(
            self.job.url,
            ssl=True if self.context is None else self.context,
            max_msg_size=LARGEST,
            compress=15 if self.job.level else 0,
        )

    async def close(self, conn: aiohttp.ClientWebSocketResponse) -> None:
        """Close."""
        await conn.close()

    async def receive(self, conn: aiohttp.ClientWebSocketResponse, count: int) -> None:
        """Receive messages."""
        message: Any = None
        await conn.send_str(str(count))
        for _ in range(count):
            message = await conn.receive()
        check_size(message.data, len(END))

    async def echo(
        self, conn: aiohttp.ClientWebSocketResponse, messages: Sequence[Any], count: int
    ) -> None:
        """Send and receive in turn."""
        send: Any = conn.send_bytes if isinstance(messages[0], bytes) else conn.send_str
        received: Any = None
        for message in islice(cycle(messages), count):
            await send(message)
            received = await conn.receive()
        check_size(received.data, self.job.size)

    async def send(
        self, conn: aiohttp.ClientWebSocketResponse, message: str | bytes, count: int
    ) -> None:
        """Send messages."""
        send: Any = conn.send_bytes if isinstance(message, bytes) else conn.send_str
        await conn.send_str(str(count))
        for _ in range(count):
            await send(message)
        check_size((await conn.receive()).data, len(DONE))
