"""Pings both ways, and the two keepalive promises: find the dead, spare the healthy."""

from __future__ import annotations

import asyncio

import pytest

from support.process import PeerProcess
from wsclient import websocket_connect
from wsclient.testing.faults import FaultProxy, Line


@pytest.mark.parametrize("data", [b"", b"hello", b"\x00" * 125], ids=["empty", "short", "125"])
async def test_our_ping_gives_the_round_trip(peer: PeerProcess, data: bytes) -> None:
    async with websocket_connect(peer.url("/echo")) as conn:
        seconds = await conn.ping(data)
        assert isinstance(seconds, float)
        assert 0 < seconds < 5


async def test_round_trip_is_measured(peer: PeerProcess) -> None:
    far = Line(latency=0.02)
    with FaultProxy(peer.url("/echo"), to_client=far, to_server=far) as proxy:
        async with websocket_connect(proxy.url) as conn:
            assert 0.04 <= await conn.ping(b"far") < 2
            assert conn.latency is not None


async def test_pings_in_flight_together_each_get_their_answer(peer: PeerProcess) -> None:
    async with websocket_connect(peer.url("/echo")) as conn:
        seconds = await asyncio.gather(*(conn.ping(str(number).encode()) for number in range(5)))
        assert all(each > 0 for each in seconds)


async def test_ping_of_the_server_is_answered(peer: PeerProcess) -> None:
    pinged: list[bytes] = []
    url = peer.url("/ping", data="are you there")
    async with websocket_connect(url, on_ping=pinged.append) as conn:
        assert await conn.read_message() == "are you there"
    assert pinged == [b"are you there"]


async def test_ping_is_answered_while_no_one_reads(peer: PeerProcess) -> None:
    async with websocket_connect(peer.url("/ping", data="x")) as conn:
        # Our ping comes back only after the server had our pong and sent its text.
        await asyncio.sleep(0.1)
        await conn.ping()
        assert await asyncio.wait_for(conn.read_message(), 1) == "x"


async def test_idle_connection_is_kept(peer: PeerProcess) -> None:
    pongs: list[bytes] = []
    enough = asyncio.Event()

    def on_pong(data: bytes) -> None:
        pongs.append(data)
        if len(pongs) == 3:
            enough.set()

    async with websocket_connect(
        peer.url("/echo"), ping_interval=0.04, ping_timeout=0.5, on_pong=on_pong
    ) as conn:
        async with asyncio.timeout(5):
            await enough.wait()
        await conn.write_message("still here")
        assert await conn.read_message() == "still here"


async def test_slow_reader_of_a_flood_is_not_cut_off(peer: PeerProcess) -> None:
    # The pongs wait behind unread messages, by our own choice: ten intervals long.
    async with websocket_connect(
        peer.url("/flood", size=65536), ping_interval=0.04, ping_timeout=0.04
    ) as conn:
        await asyncio.sleep(0.4)
        assert not conn.closed
        for number in range(200):
            message = await conn.read_message()
            assert isinstance(message, str)
            assert int(message[:8]) == number
        assert not conn.closed


async def test_peer_that_goes_silent_is_found(peer: PeerProcess) -> None:
    interval, timeout, slack = 0.1, 0.2, 0.5
    loop = asyncio.get_running_loop()
    conn = await websocket_connect(
        peer.url("/echo"), ping_interval=interval, ping_timeout=timeout, close_timeout=0.05
    )
    conn.write_message("there")
    assert await conn.read_message() == "there"
    with peer.silenced():
        begun = loop.time()
        assert await conn.read_message() is None
        took = loop.time() - begun
        info = await conn.wait_closed()
    assert timeout - 0.05 <= took <= interval + timeout + slack
    assert (info.cause.value, info.clean) == ("ping_timeout", False)
    assert info.seconds_since_last_byte >= timeout - 0.05
    assert info.hint
