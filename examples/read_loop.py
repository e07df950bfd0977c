"""The read loop: ask for the next message until there is none.

    python examples/read_loop.py [URL]

Without a URL it starts a server of its own, which sends three messages and closes.
"""

from __future__ import annotations

import asyncio
import sys

from aiohttp import web
from aiohttp.test_utils import TestServer

from wsclient import websocket_connect


async def main(url: str) -> None:
    conn = await websocket_connect(url)
    while True:
        message = await conn.read_message()
        if message is None:
            break
        print("received", repr(message))
    print("the end:", conn.close_info)


# The server to try it with.


async def ticks(request: web.Request) -> web.WebSocketResponse:
    websocket = web.WebSocketResponse()
    await websocket.prepare(request)
    for tick in ("1", "2", "3"):
        await websocket.send_str(tick)
    await websocket.close()
    return websocket


async def with_server() -> None:
    app = web.Application()
    app.router.add_get("/", ticks)
    async with TestServer(app) as server:
        await main(f"ws://127.0.0.1:{server.port}/")


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]) if sys.argv[1:] else with_server())
