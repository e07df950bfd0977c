"""From Tornado: the loop stays as it is, only the import changes.

    python examples/from_tornado.py [URL]

With Tornado the first import is ``from tornado.websocket import websocket_connect``. The table
in the README lists what is different.

Without a URL it starts an echo server of its own. With one, the server must echo as well.
"""

from __future__ import annotations

import asyncio
import sys

from wsclient import websocket_connect
from wsclient.testing import WebSocketTestServer


async def main(url: str) -> None:
    conn = await websocket_connect(url, ping_interval=20, compression_options={})
    conn.write_message("hello")
    conn.write_message({"id": 7})
    while True:
        msg = await conn.read_message()
        if msg is None:
            break
        print("received", repr(msg))
        if msg == '{"id": 7}':
            conn.close()
    print("closed with", conn.close_code)


# The server to try it with: an echo, which compresses if it is asked to.


async def with_server() -> None:
    async with WebSocketTestServer(compression_options={}) as server:
        await main(server.url)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]) if sys.argv[1:] else with_server())
