"""websockets, and picows.websockets, which has the same names."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import cycle, islice
from typing import Any

from benchmarks.clients.contract import Client, check_size
from benchmarks.job import LARGEST
from benchmarks.messages import DONE, END

__all__ = ["PicowsWebsocketsClient", "WebsocketsClient"]


class _RecvSendClient(Client):
    """Receives with `recv`."""

    def connect(self, **options: Any) -> Any:
        """Call the package's `connect`."""
        raise NotImplementedError

    def compression(self) -> dict[str, Any]:
        """Return the arguments that switch compression on."""
        raise NotImplementedError

    async def open(self) -> Any:
        """Connect."""
        options = self.compression() if self.job.level else {"compression": None}
        return await self.connect(
            ssl=self.context, proxy=None, ping_interval=None, max_size=LARGEST, **options
        )

    async def close(self, conn: Any) -> None:
        """Close."""
        await conn.close()

    async def receive(self, conn: Any, count: int) -> None:
        """Receive messages."""
        message: str | bytes | None = None
        await conn.send(str(count))
        for _ in range(count):
            message = await conn.recv()
        check_size(message, len(END))

    async def echo(self, conn: Any, messages: Sequence[str | bytes], count: int) -> None:
        """Send and receive in turn."""
        received: str | bytes | None = None
        for message in islice(cycle(messages), count):
            await conn.send(message)
            received = await conn.recv()
        check_size(received, self.job.size)

    async def send(self, conn: Any, message: str | bytes, count: int) -> None:
        """Send messages."""
        await conn.send(str(count))
        for _ in range(count):
            await conn.send(message)
        check_size(await conn.recv(), len(DONE))


class WebsocketsClient(_RecvSendClient):
    """websockets, the implementation on asyncio."""

    def connect(self, **options: Any) -> Any:
        """Connect."""
        from websockets.asyncio.client import connect

        return connect(self.job.url, **options)

    def compression(self) -> dict[str, Any]:
        """Offer permessage-deflate without parameters."""
        from websockets.extensions.permessage_deflate import ClientPerMessageDeflateFactory

        settings = {"level": self.job.level, "memLevel": 8}
        factory = ClientPerMessageDeflateFactory(compress_settings=settings)
        return {"compression": None, "extensions": [factory]}


class PicowsWebsocketsClient(_RecvSendClient):
    """picows.websockets."""

    def connect(self, **options: Any) -> Any:
        """Connect."""
        from picows.websockets import connect

        return connect(self.job.url, **options)

    def compression(self) -> dict[str, Any]:
        """Offer permessage-deflate; the level is always 6."""
        if self.job.level != 6:
            raise ValueError("picows.websockets has no other level than 6")
        return {"compression": "deflate"}
