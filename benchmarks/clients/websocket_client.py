"""websocket-client, which blocks."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import cycle, islice
from typing import Any

import websocket

from benchmarks.clients.contract import Client, check_size
from benchmarks.messages import DONE, END

__all__ = ["BlockingClient"]


class BlockingClient(Client):
    """Receives with `recv`."""

    async def open(self) -> Any:
        """Connect."""
        options: dict[str, Any] = (
            {} if self.context is None else {"sslopt": {"context": self.context}}
        )
        return websocket.create_connection(self.job.url, **options)

    async def close(self, conn: Any) -> None:
        """Close."""
        conn.close()

    async def receive(self, conn: Any, count: int) -> None:
        """Receive messages."""
        message: str | bytes | None = None
        conn.send(str(count))
        for _ in range(count):
            message = conn.recv()
        check_size(message, len(END))

    async def echo(self, conn: Any, messages: Sequence[Any], count: int) -> None:
        """Send and receive in turn."""
        send = conn.send_binary if isinstance(messages[0], bytes) else conn.send
        received: str | bytes | None = None
        for message in islice(cycle(messages), count):
            send(message)
            received = conn.recv()
        check_size(received, self.job.size)

    async def send(self, conn: Any, message: Any, count: int) -> None:
        """Send messages."""
        send = conn.send_binary if isinstance(message, bytes) else conn.send
        conn.send(str(count))
        for _ in range(count):
            send(message)
        check_size(conn.recv(), len(DONE))
