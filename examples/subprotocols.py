"""Subprotocols: offer some in order of preference, and do as the server chooses.

    python examples/subprotocols.py [URL]

Without a URL it starts a server of its own, which knows only ``chat.v1``.
"""

from __future__ import annotations

import asyncio
import sys

from aiohttp import web
from aiohttp.test_utils import TestServer

from wsclient import websocket_connect


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


async def chat(request: web.Request) -> web.WebSocketResponse:
    websocket = web.WebSocketResponse(protocols=["chat.v1"])
    await websocket.prepare(request)
    async for _ in websocket:
        pass
    return websocket


async def with_server() -> None:
    app = web.Application()
    app.router.add_get("/", chat)
    async with TestServer(app) as server:
        await main(f"ws://127.0.0.1:{server.port}/")


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]) if sys.argv[1:] else with_server())
