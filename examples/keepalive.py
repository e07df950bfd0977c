"""Keepalive: find out that a server has gone silent, and never mistake our own delay for it.

    python examples/keepalive.py [URL]

Without a URL it starts a server of its own, which answers pings for a while and then hangs.
"""

from __future__ import annotations

import asyncio
import sys

from aiohttp import WSMsgType, web
from aiohttp.test_utils import TestServer

from wsclient import websocket_connect


async def main(url: str) -> None:
    # Seconds. Both are short to keep this example short; 20 and 20 suit most services.
    conn = await websocket_connect(url, ping_interval=0.1, ping_timeout=0.3)
    print(f"a ping of our own took {await conn.ping() * 1000:.1f} ms")
    while (message := await conn.read_message()) is not None:
        print("received", repr(message))
    print("the end:", conn.close_info)


# The server to try it with.


async def hang(request: web.Request) -> web.WebSocketResponse:
    websocket = web.WebSocketResponse(autoping=False)
    await websocket.prepare(request)
    await websocket.send_str("I answer three pings.")
    for _ in range(3):
        message = await websocket.receive()
        if message.type is WSMsgType.PING:
            await websocket.pong(message.data)
    await websocket.send_str("Now I hang.")
    await asyncio.sleep(1)
    return websocket


async def with_server() -> None:
    app = web.Application()
    app.router.add_get("/", hang)
    async with TestServer(app) as server:
        await main(f"ws://127.0.0.1:{server.port}/")


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]) if sys.argv[1:] else with_server())
