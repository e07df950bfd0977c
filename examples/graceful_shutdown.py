"""Graceful shutdown: on SIGTERM or Ctrl-C tell the server that we go, then end.

    python examples/graceful_shutdown.py [URL]

Without a URL it starts a server of its own, and sends SIGTERM to itself after a moment.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys

from wsclient import websocket_connect
from wsclient.testing import Dialogue, WebSocketTestServer


async def main(url: str) -> None:
    conn = await websocket_connect(url, close_timeout=3)

    def say_goodbye(name: str) -> None:
        print(f"{name}: closing")
        # It starts at once and need not be awaited: the loop below ends when it is done.
        conn.close(1001, "shutting down")

    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, say_goodbye, number.name)  # not on Windows

    # Whatever the server still sends before it agrees is not lost.
    while (message := await conn.read_message()) is not None:
        print("received", repr(message))
    print("closed:", conn.close_info)


# The server to try it with.


async def with_server() -> None:
    ticks = Dialogue().send("1").send("2").send("3").expect_close(1001)
    async with WebSocketTestServer(ticks) as server:
        asyncio.get_running_loop().call_later(0.3, os.kill, os.getpid(), signal.SIGTERM)
        await main(server.url)
        info = await server.connections[0].wait_closed()
    print("the server was told:", info.received)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]) if sys.argv[1:] else with_server())
