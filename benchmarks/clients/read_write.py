"""What wsclient and Tornado have in common, whose connections have the same names."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import cycle, islice
from typing import Any

from benchmarks.clients.contract import Client, check_size
from benchmarks.messages import DONE, END

__all__ = ["ReadWriteClient"]


class ReadWriteClient(Client):
    """Receives with `read_message`, and sends with `write_message`."""

    async def receive(self, conn: Any, count: int) -> None:
        """Read messages."""
        message: str | bytes | None = None
        await conn.write_message(str(count))
        for _ in range(count):
            message = await conn.read_message()
        check_size(message, len(END))

    async def echo(self, conn: Any, messages: Sequence[str | bytes], count: int) -> None:
        """Write and read in turn."""
        binary = isinstance(messages[0], bytes)
        received: str | bytes | None = None
        for message in islice(cycle(messages), count):
            await conn.write_message(message, binary)
            received = await conn.read_message()
        check_size(received, self.job.size)

    async def send(self, conn: Any, message: str | bytes, count: int) -> None:
        """Write messages."""
        binary = isinstance(message, bytes)
        await conn.write_message(str(count))
        for _ in range(count):
            await conn.write_message(message, binary)
        check_size(await conn.read_message(), len(DONE))
