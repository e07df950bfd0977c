"""Testing a client: a server that follows a script, a crash, and an hour that takes no time.

    python examples/testing_a_client.py

It needs no pytest; with pytest there are fixtures. See docs/testing.md.
"""

from __future__ import annotations

import asyncio

from wsclient import CloseCause, CloseInfo, websocket_connect
from wsclient.testing import Dialogue, VirtualClock, WebSocketTestServer, connection_pair


async def listen(url: str, name: str) -> tuple[list[str | bytes], CloseInfo]:
    """The program under test: join a room, and give back what is said there."""
    heard = []
    conn = await websocket_connect(url)
    await conn.write_message({"join": name})
    async for message in conn:
        heard.append(message)
    return heard, await conn.wait_closed()


async def test_it_joins_and_listens() -> None:
    dialogue = Dialogue().expect({"join": "ann"}).send("hello, ann").close(1000, "bye")
    async with WebSocketTestServer(dialogue) as server:
        heard, info = await listen(server.url, "ann")
    assert heard == ["hello, ann"]
    assert info.clean and info.reason == "bye"


async def test_the_server_crashes() -> None:
    async with WebSocketTestServer(Dialogue().expect().send("hello").abort()) as server:
        _, info = await listen(server.url, "ann")
    assert info.cause in (CloseCause.RESET, CloseCause.EOF)


async def test_keepalive_finds_a_server_that_hangs() -> None:
    with VirtualClock() as clock:
        async with connection_pair(ping_interval=20) as (client, server):
            await asyncio.sleep(3600)
            assert not client.closed
            server.pause_reading()
            info = await client.wait_closed()
    assert info.cause is CloseCause.PING_TIMEOUT
    print(f"  {clock.elapsed:.0f} seconds of the loop's time")


async def main() -> None:
    for test in (
        test_it_joins_and_listens,
        test_the_server_crashes,
        test_keepalive_finds_a_server_that_hangs,
    ):
        await test()
        print("passed:", test.__name__)


if __name__ == "__main__":
    asyncio.run(main())
