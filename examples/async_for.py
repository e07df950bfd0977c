"""``async with`` and ``async for``: the block closes the connection, however it is left.

    python examples/async_for.py [URL]

Without a URL it starts an echo server of its own. With one, the server must echo as well.
"""

from __future__ import annotations

import asyncio
import sys

from wsclient import websocket_connect
from wsclient.testing import WebSocketTestServer


async def main(url: str) -> None:
    async with websocket_connect(url) as conn:
        await conn.write_message("3")
        async for message in conn:
            print("received", repr(message))
            if message == "0":
                break
            await conn.write_message(str(int(message) - 1))
    print("closed:", conn.close_info)


# The server to try it with. It is an echo, if nothing else is said.


async def with_server() -> None:
    async with WebSocketTestServer() as server:
        await main(server.url)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]) if sys.argv[1:] else with_server())
