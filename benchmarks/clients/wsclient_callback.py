"""wsclient, with a callback."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from itertools import cycle

from benchmarks.clients.contract import check_size
from benchmarks.clients.wsclient_read import ReadingClient
from benchmarks.messages import END
from wsclient import WebSocketClientConnection, websocket_connect

__all__ = ["CallbackClient"]


class _Handler:
    """One connection, and what its callback is busy with."""

    def __init__(self, size: int) -> None:
        self.connection: WebSocketClientConnection
        self.messages: Iterator[str | bytes] = iter(())
        self.binary = True
        self.left = 0
        self._size = size
        self._done: asyncio.Future[None]

    def counted(self, message: str | bytes | None) -> None:
        """Count a message."""
        self.left -= 1
        if not self.left:
            self._finish(message)

    def answered(self, message: str | bytes | None) -> None:
        """Send the next one, if any is left."""
        self.left -= 1
        if self.left > 0:
            self.connection.write_message(next(self.messages), self.binary)
        elif not self.left:
            self._finish(message)

    def _finish(self, message: str | bytes | None) -> None:
        check_size(message, self._size)
        self._done.set_result(None)

    async def expect(self, count: int, begin: Callable[[], object]) -> None:
        """Begin, and wait for so many messages."""
        self.left = count
        self._done = asyncio.get_running_loop().create_future()
        begin()
        await self._done


class CallbackClient(ReadingClient):
    """Receives with `on_message_callback`."""

    async def open(self) -> _Handler:  # type: ignore[override]  # what the other methods are given
        """Connect."""
        is_flood = self.job.kind == "flood"
        handler = _Handler(len(END) if is_flood else self.job.size)
        callback = handler.counted if is_flood else handler.answered
        handler.connection = await websocket_connect(
            self.job.url, on_message_callback=callback, **self.options()
        )
        return handler

    async def close(self, conn: _Handler) -> None:  # type: ignore[override]  # see `open`
        """Close."""
        conn.left = 0
        await conn.connection.close()

    async def receive(self, conn: _Handler, count: int) -> None:
        """Count messages."""
        await conn.expect(count, lambda: conn.connection.write_message(str(count)))

    async def echo(self, conn: _Handler, messages: Sequence[str | bytes], count: int) -> None:
        """Write the first one, and let the callback go on."""
        conn.binary = isinstance(messages[0], bytes)
        conn.messages = cycle(messages)
        await conn.expect(
            count, lambda: conn.connection.write_message(next(conn.messages), conn.binary)
        )
