"""Conversations on event loops that are right, but not as most are."""

from __future__ import annotations

import asyncio

import pytest

from support.loops import with_plain_handles
from wsclient import websocket_connect
from wsclient.testing import EchoHandler, WebSocketTestServer


@pytest.fixture
def loop_factory() -> object:
    """The loop of these tests."""
    factory: object = with_plain_handles(asyncio.SelectorEventLoop)
    return factory


@pytest.mark.parametrize("compression", [None, {"idle_timeout": 0.01}], ids=["plain", "deflate"])
async def test_timers_that_do_not_know_their_time(compression: dict[str, float] | None) -> None:
    pongs: asyncio.Queue[bytes] = asyncio.Queue()
    async with WebSocketTestServer(EchoHandler, compression_options={}) as server:
        conn = await websocket_connect(
            server.url,
            ping_interval=0.01,
            compression_options=compression,
            on_pong=pongs.put_nowait,
            close_timeout=5.0,
        )
        for _ in range(3):
            await conn.write_message("hello")
            assert await conn.read_message() == "hello"
            await pongs.get()
        assert (await conn.close()).clean
        # One that nobody closes is closed by its server.
        conn = await websocket_connect(server.url)
    assert await conn.read_message() is None
    assert (await conn.wait_closed()).code == 1001
