"""Subprotocols: offer some in order of preference, and do as the server chooses.

    python examples/subprotocols.py [URL]

Without a URL it starts a server of its own, which knows only ``chat.v1``.
"""

from __future__ import annotations

import asyncio
import sys

from wsclient import websocket_connect
from wsclient.testing import WebSocketTestServer


async def main(url: str) -> None:
    async with websocket_connect(url, subprotocols=["chat.v2", "chat.v1"]) as conn:
        match conn.selected_subprotocol:
            case "chat.v2" | "chat.v1" as chosen:
                print("the server speaks", chosen)
            case None:
                # It connects all the same. Close if you cannot go on without a subprotocol.
                await conn.close(4000, "chat.v1 or chat.v2 is needed")
                print("the server speaks none of them")


# The server to try it with.


async def with_server() -> None:
    async with WebSocketTestServer(subprotocols=["chat.v1"]) as server:
        await main(server.url)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]) if sys.argv[1:] else with_server())
