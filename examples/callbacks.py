"""The callback style: a function is called with each message, and at the end with None.

    python examples/callbacks.py [URL]

Calls come strictly in order and one at a time. An ``async def`` function is awaited before the
next call; if it is slow, reading pauses, and the server is held back.

Without a URL it starts a server of its own, which sends three messages and closes.
"""

from __future__ import annotations

import asyncio
import sys

from wsclient import websocket_connect
from wsclient.testing import Dialogue, WebSocketTestServer


def plain(message: str | bytes | None) -> None:
    if message is None:
        print("plain: the end")
    else:
        print("plain:", repr(message))


async def slow(message: str | bytes | None) -> None:
    await asyncio.sleep(0.05)  # such as a write to a database
    print("async:", "the end" if message is None else repr(message))


async def main(url: str) -> None:
    for callback in (plain, slow):
        conn = await websocket_connect(url, on_message_callback=callback)
        # Whatever a callback raises closes the connection and is raised here again.
        info = await conn.wait_closed()
        print("closed:", info)


# The server to try it with.


async def with_server() -> None:
    ticks = Dialogue().send("1").send("2").send("3").close()
    async with WebSocketTestServer(ticks) as server:
        await main(server.url)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]) if sys.argv[1:] else with_server())
