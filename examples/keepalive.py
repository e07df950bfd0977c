"""Keepalive: find out that a server has gone silent, and never mistake our own delay for it.

    python examples/keepalive.py [URL]

Without a URL it starts a server of its own, which answers pings for a while and then hangs.
"""

from __future__ import annotations

import asyncio
import sys

from wsclient import websocket_connect
from wsclient.testing import Opcode, RawConnection, RawServer


async def main(url: str) -> None:
    # Seconds. Both are short to keep this example short; 20 and 20 suit most services.
    conn = await websocket_connect(url, ping_interval=0.1, ping_timeout=0.3)
    print(f"a ping of our own took {await conn.ping() * 1000:.1f} ms")
    while (message := await conn.read_message()) is not None:
        print("received", repr(message))
    print("the end:", conn.close_info)


# The server to try it with.


async def hang(conn: RawConnection) -> None:
    await conn.accept()
    await conn.send_frame(Opcode.TEXT, b"I answer three pings.")
    for _ in range(3):
        ping = await conn.read_frame()
        await conn.send_frame(Opcode.PONG, ping.payload)
    await conn.send_frame(Opcode.TEXT, b"Now I hang.")
    await conn.read_to_end()


async def with_server() -> None:
    async with RawServer(hang) as server:
        await main(server.url)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]) if sys.argv[1:] else with_server())
