"""The read loop: ask for the next message until there is none.

    python examples/read_loop.py [URL]

Without a URL it starts a server of its own, which sends three messages and closes.
"""

from __future__ import annotations

import asyncio
import sys

from wsclient import websocket_connect
from wsclient.testing import Dialogue, WebSocketTestServer


async def main(url: str) -> None:
    conn = await websocket_connect(url)
    while True:
        message = await conn.read_message()
        if message is None:
            break
        print("received", repr(message))
    print("the end:", conn.close_info)


# The server to try it with.


async def with_server() -> None:
    ticks = Dialogue().send("1").send("2").send("3").close()
    async with WebSocketTestServer(ticks) as server:
        await main(server.url)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]) if sys.argv[1:] else with_server())
