"""Open connections of which nothing passes any more, and nobody says so."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, Final

import pytest

from robustness.network.network import BLACK_HOLE, Network
from robustness.network.outcomes import OPEN, Seen, connect, ended, no_socket_left, see_end
from robustness.network.report import Checker
from robustness.network.serving import serve
from robustness.network.traffic import message
from wsclient import TLSConfig, WebSocketClientConnection, WebSocketClosedError
from wsclient.testing.certificates import IssuedCertificate

KEEPALIVE: Final = {"ping_interval": 0.2, "ping_timeout": 0.4}
WHILE: Final = 0.6
"""Seconds in which nothing happens, where nothing shall."""


def now() -> float:
    return asyncio.get_running_loop().time()


# With keepalive


async def test_idle(network: Network, check: Checker) -> None:
    async with serve(network) as server:
        conn = await connect(server.url, **KEEPALIVE)
        check("black hole, idle", await see_end(conn, lambda: network.rule(BLACK_HOLE)))
        assert network.hits


async def test_idle_with_tls(
    network: Network, certificate: IssuedCertificate, trust: TLSConfig, check: Checker
) -> None:
    async with serve(network, tls=certificate.server_context()) as server:
        conn = await connect(server.url, tls=trust, **KEEPALIVE)
        check("black hole, idle, wss", await see_end(conn, lambda: network.rule(BLACK_HOLE)))
        assert network.hits


async def test_writing(network: Network, check: Checker) -> None:
    async with serve(network) as server:
        conn = await connect(server.url, **KEEPALIVE)

        async def write_for_ever() -> None:
            while True:
                await conn.write_message("x" * 100_000)

        async with asyncio.TaskGroup() as group:
            writing = group.create_task(_until_closed(write_for_ever()))
            waiting = group.create_task(_until_closed(_ping_for_ever(conn)))
            seen = await see_end(conn, lambda: network.rule(BLACK_HOLE))
        # Whoever waited for room or for a pong has been told.
        assert writing.done()
        assert waiting.done()
        check("black hole, writing", seen)


async def _ping_for_ever(conn: WebSocketClientConnection) -> None:
    while True:
        await conn.ping()


async def _until_closed(work: Coroutine[Any, Any, None]) -> None:
    with pytest.raises(WebSocketClosedError):
        await work


async def test_a_hole_that_heals_in_time(network: Network, check: Checker) -> None:
    async with serve(network) as server:
        conn = await connect(server.url, ping_interval=0.2, ping_timeout=10)
        network.rule(BLACK_HOLE)
        begun = now()
        for number in range(100):
            conn.write_message(message(number))
        await _nothing_happens(conn)
        assert network.hits
        network.heal()
        assert [await conn.read_message() for _ in range(100)] == [message(n) for n in range(100)]
        took = now() - begun
        assert not conn.closed
        assert (await conn.close()).clean
        check("black hole that heals in time", Seen(OPEN, took), f"{WHILE:g} s of it silent")


# Without keepalive


async def test_waiting(network: Network, check: Checker) -> None:
    async with serve(network) as server:
        conn = await connect(server.url, close_timeout=0.5)
        network.rule(BLACK_HOLE)
        begun = now()
        await _nothing_happens(conn)
        check("black hole, no keepalive: waiting", Seen(OPEN, now() - begun))
        # Whoever asks, waits; and may stop waiting.
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(conn.ping(), 0.1)
        assert not conn.closed
        check("black hole, no keepalive: close", await see_end(conn, conn.close))
        assert network.hits


async def test_close_with_tls(
    network: Network, certificate: IssuedCertificate, trust: TLSConfig, check: Checker
) -> None:
    async with serve(network, tls=certificate.server_context()) as server:
        conn = await connect(server.url, tls=trust, close_timeout=0.5)
        network.rule(BLACK_HOLE)
        check("black hole, no keepalive: close, wss", await see_end(conn, conn.close))
        assert network.hits
        # TLS asks for an answer to its goodbye, which never comes: nobody may wait for it.
        await no_socket_left(network)


async def test_leaving_the_block(network: Network, check: Checker) -> None:
    async with serve(network) as server:
        async with await connect(server.url, close_timeout=0.5) as conn:
            network.rule(BLACK_HOLE)
            begun = now()
        assert conn.close_info is not None
        outcome = ended(conn.close_info.cause.value, conn.close_info.code)
        check("black hole, no keepalive: leaving the block", Seen(outcome, now() - begun))


async def test_writing_waits_and_can_be_cancelled(network: Network, check: Checker) -> None:
    async with serve(network) as server:
        conn = await connect(server.url)
        network.rule(BLACK_HOLE)
        begun = now()
        count = 0
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(WHILE):
                for count in range(10_000):
                    await conn.write_message(message(count))
        assert not conn.closed
        held = conn.stats().write_buffer_size
        assert held > 0
        # Nothing of what was queued is lost, the message whose wait was cancelled included.
        network.heal()
        for number in range(count + 1):
            assert await conn.read_message() == message(number)
        assert (await conn.close()).clean
        figures = f"{count + 1} messages taken before it waits"
        check("black hole, no keepalive: writing", Seen(OPEN, now() - begun), figures)


async def test_tcp_gives_up(network: Network, check: Checker) -> None:
    async with serve(network) as server:
        # Linux repeats 15 times, which is a quarter of an hour. Here it is done after a few.
        network.client.set("ipv4/tcp_retries2", 2)
        conn = await connect(server.url)
        network.rule(BLACK_HOLE)
        conn.write_message("is anybody there?")
        check("black hole, no keepalive: TCP gives up", await see_end(conn))
        assert conn.close_info is not None
        assert isinstance(conn.close_info.exception, TimeoutError)


async def _nothing_happens(conn: WebSocketClientConnection) -> None:
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(conn.wait_closed(), WHILE)
    assert not conn.closed
