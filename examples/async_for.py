"""``async with`` and ``async for``: the block closes the connection, however it is left.

    python examples/async_for.py [URL]

Without a URL it starts an echo server of its own. With one, the server must echo as well.
"""

from __future__ import annotations

import asyncio
import sys

from aiohttp import WSMsgType, web
from aiohttp.test_utils import TestServer

from wsclient import websocket_connect


async def main(url: str) -> None:
    async with websocket_connect(url) as conn:
        await conn.write_message("3")
        async for message in conn:
            print("received", repr(message))
            if message == "0":
                break
            await conn.write_message(str(int(message) - 1))
    print("closed:", conn.close_info)


# The server to try it with.


async def echo(request: web.Request) -> web.WebSocketResponse:
    websocket = web.WebSocketResponse()
    await websocket.prepare(request)
    async for message in websocket:
        if message.type is WSMsgType.TEXT:
            await websocket.send_str(message.data)
    return websocket


async def with_server() -> None:
    app = web.Application()
    app.router.add_get("/", echo)
    async with TestServer(app) as server:
        await main(f"ws://127.0.0.1:{server.port}/")


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]) if sys.argv[1:] else with_server())
