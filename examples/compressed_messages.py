"""Compression: permessage-deflate (RFC 7692), and what it saves.

    python examples/compressed_messages.py [URL]

Without a URL it starts an echo server of its own. With one, the server must echo as well.
"""

from __future__ import annotations

import asyncio
import sys

from wsclient import CompressionOptions, websocket_connect
from wsclient.testing import WebSocketTestServer

# ``{}`` would switch it on with all defaults. It is off unless asked for.
OPTIONS = CompressionOptions(
    compression_level=9,  # 0 to 9: work hard for small messages
    threshold=64,  # bytes: shorter messages are sent as they are
    client_no_context_takeover=True,  # less memory for a connection that sends seldom
)


async def main(url: str) -> None:
    message = "All work and no play makes Jack a dull boy. " * 100
    async with websocket_connect(url, compression_options=OPTIONS) as conn:
        print("the server agreed to:", conn.extensions or "no compression")
        for compress in (True, False):
            before = conn.stats()
            await conn.write_message(message, compress=compress)
            assert await conn.read_message() == message
            after = conn.stats()
            print(
                f"compress={compress}: {len(message)} bytes of text,",
                f"{after.bytes_sent - before.bytes_sent} bytes sent,",
                f"{after.bytes_received - before.bytes_received} received",
            )


# The server to try it with: an echo, which compresses its own messages whatever we do with ours.


async def with_server() -> None:
    async with WebSocketTestServer(compression_options={}) as server:
        await main(server.url)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]) if sys.argv[1:] else with_server())
