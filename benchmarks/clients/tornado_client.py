"""Tornado."""

from __future__ import annotations

from tornado.httpclient import HTTPRequest
from tornado.websocket import WebSocketClientConnection, websocket_connect

from benchmarks.clients.read_write import ReadWriteClient
from benchmarks.job import LARGEST

__all__ = ["TornadoClient"]


class TornadoClient(ReadWriteClient):
    """Tornado's client, with its own HTTP."""

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
