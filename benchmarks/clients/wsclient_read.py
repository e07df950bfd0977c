"""wsclient, with the read loop."""

from __future__ import annotations

from typing import Any

import aiohttp

from benchmarks.clients.read_write import ReadWriteClient
from benchmarks.job import LARGEST
from wsclient import WebSocketClientConnection, websocket_connect

__all__ = ["ReadingClient"]


class ReadingClient(ReadWriteClient):
    """The read loop.

    Attributes:
        fast: what `use_fast_transport` is.
        private: connect without a shared session.
    """

    fast: bool | None = False
    private = False

    async def start(self) -> None:
        """Make the session, for those who connect more than once."""
        # A session has its own transports, so that fast ones need private ones.
        shared = self.job.kind in ("connect", "idle") and not self.private and not self.fast
        connector = aiohttp.TCPConnector(limit=0) if shared else None
        self._session = aiohttp.ClientSession(connector=connector) if connector else None

    async def stop(self) -> None:
        """Close the session."""
        if self._session is not None:
            await self._session.close()

    def options(self) -> dict[str, Any]:
        """Return the arguments of `websocket_connect`."""
        job = self.job
        options: dict[str, Any] = {
            "ssl": self.context,
            "session": self._session,
            "proxy": None,
            "max_message_size": LARGEST,
            "use_fast_transport": self.fast,
        }
        if job.level:
            options["compression_options"] = {"compression_level": job.level, "mem_level": 8}
        return options

    async def open(self) -> WebSocketClientConnection:
        """Connect."""
        return await websocket_connect(self.job.url, **self.options())

    async def close(self, conn: WebSocketClientConnection) -> None:
        """Close."""
        await conn.close()
