"""Open connections that something in between resets, refuses, or lets through in part."""

from __future__ import annotations

import asyncio
from typing import Any, Final

import pytest

from robustness.network.loops import TWO_LOOPS
from robustness.network.network import TO_CLIENT, TO_SERVER, Network
from robustness.network.outcomes import OPEN, Seen, connect, see_end
from robustness.network.report import Checker
from robustness.network.serving import serve
from robustness.network.traffic import exchange, message
from wsclient import CloseInfo, WebSocketClosedError

KEEPALIVE: Final = {"ping_interval": 0.2, "ping_timeout": 0.4}

RST: Final = "reject with tcp reset"
UNREACHABLE: Final = "reject with icmp host-unreachable"
LARGE: Final = "meta length > 1200 drop"

BIG: Final = 8_000_000
"""Characters of a message that takes thousands of packets."""


def now() -> float:
    return asyncio.get_running_loop().time()


# Resets


async def test_reset_while_idle(network: Network, check: Checker) -> None:
    async with serve(network) as server:
        conn = await connect(server.url, ping_interval=0.2)
        check("RST by a middlebox, idle", await see_end(conn, lambda: network.rule(RST)))
        assert network.hits


async def test_reset_while_a_message_is_sent(network: Network, check: Checker) -> None:
    async with serve(network) as server:
        conn = await connect(server.url)
        network.rule(f"{TO_SERVER} quota over 300 kbytes {RST}")
        waiting = conn.write_message("x" * BIG)
        seen = await see_end(conn)
        with pytest.raises(WebSocketClosedError):
            await waiting
        check("RST by a middlebox in mid message, sending", seen)
        assert network.hits
        (served,) = server.connections
        assert served.received == []


async def test_reset_while_a_message_is_received(network: Network, check: Checker) -> None:
    async def talk(conn: Any) -> None:
        await conn.read_message()
        conn.write_message("x" * BIG)
        await conn.wait_closed()

    async with serve(network, talk) as server:
        conn = await connect(server.url)
        # What the client sends are acknowledgements: the first twenty pass.
        network.rule(f"{TO_SERVER} quota over 1 kbytes {RST}")
        conn.write_message("go on")
        seen = await see_end(conn)
        assert 0 < conn.stats().bytes_received < BIG
        assert conn.stats().messages_received == 0
        check("RST by a middlebox in mid message, receiving", seen)
        assert network.hits


# ICMP on an open connection is a hint to TCP, no more


@TWO_LOOPS
async def test_unreachable_for_a_while(network: Network, check: Checker) -> None:
    async with serve(network) as server:
        conn = await connect(server.url, ping_interval=0.2, ping_timeout=10)
        network.rule(f"{TO_SERVER} {UNREACHABLE}")
        begun = now()
        for number in range(100):
            conn.write_message(message(number))
        await asyncio.sleep(0.5)
        assert network.hits
        network.heal()
        assert [await conn.read_message() for _ in range(100)] == [message(n) for n in range(100)]
        check("ICMP host-unreachable, for a while", Seen(OPEN, now() - begun))
        assert (await conn.close()).clean


@TWO_LOOPS
async def test_unreachable_with_keepalive(network: Network, check: Checker) -> None:
    async with serve(network) as server:
        conn = await connect(server.url, **KEEPALIVE)
        seen = await see_end(conn, lambda: network.rule(f"{TO_SERVER} {UNREACHABLE}"))
        check("ICMP host-unreachable, keepalive", seen)
        assert network.hits


@TWO_LOOPS
async def test_unreachable_until_tcp_gives_up(network: Network, check: Checker) -> None:
    # See `test_black_holes.test_tcp_gives_up`; here TCP knows why.
    network.client.set("ipv4/tcp_retries2", 2)
    async with serve(network) as server:
        conn = await connect(server.url)
        network.rule(f"{TO_SERVER} {UNREACHABLE}")
        conn.write_message("is anybody there?")
        check("ICMP host-unreachable, no keepalive: TCP gives up", await see_end(conn))


# One way only, as when a translator of addresses has forgotten a connection


@TWO_LOOPS
async def test_nothing_comes_from_the_server(network: Network, check: Checker) -> None:
    ends: asyncio.Queue[CloseInfo] = asyncio.Queue()

    async def listen(conn: Any) -> None:
        ends.put_nowait(await conn.wait_closed())

    async with serve(network, listen) as server:
        conn = await connect(server.url, **KEEPALIVE)
        seen = await see_end(conn, lambda: network.rule(f"{TO_CLIENT} drop"))
        check("nothing comes from the server", seen)
        assert network.hits
        # The client has said why, but TCP holds new data back while it repeats old data. When
        # the way is free again, the server learns at least that the client has gone.
        network.heal()
        info = await ends.get()
        assert info.code in (1006, 1011)


@TWO_LOOPS
async def test_nothing_reaches_the_server(network: Network, check: Checker) -> None:
    async def tick(conn: Any) -> None:
        while True:
            await conn.write_message("tick")
            await asyncio.sleep(0.02)

    async with serve(network, tick) as server:
        conn = await connect(server.url, **KEEPALIVE)
        assert await conn.read_message() == "tick"
        # Messages come for a while; then TCP of the server waits for acknowledgements.
        seen = await see_end(conn, lambda: network.rule(f"{TO_SERVER} drop"))
        check("nothing reaches the server", seen, f"{conn.stats().messages_received} messages")
        assert network.hits


# Large packets vanish, and so does what would say so (RFC 2923, section 2.1)


@TWO_LOOPS
async def test_large_packets_are_dropped_on_the_way_out(network: Network, check: Checker) -> None:
    async with serve(network) as server:
        network.rule(LARGE)
        conn = await connect(server.url, **KEEPALIVE)
        conn.write_message("small")
        assert await conn.read_message() == "small"
        assert not network.hits
        seen = await see_end(conn, lambda: conn.write_message("x" * 5000))
        check("large packets dropped, sending", seen)
        assert network.hits


@TWO_LOOPS
async def test_large_packets_are_dropped_on_the_way_in(network: Network, check: Checker) -> None:
    async def talk(conn: Any) -> None:
        await conn.read_message()
        conn.write_message("x" * 5000)
        await conn.wait_closed()

    async with serve(network, talk) as server:
        network.rule(LARGE)
        conn = await connect(server.url, **KEEPALIVE)
        seen = await see_end(conn, lambda: conn.write_message("go on"))
        # What came of the message is not shown to anybody.
        assert conn.stats().messages_received == 0
        check("large packets dropped, receiving", seen)
        assert network.hits


@TWO_LOOPS
async def test_large_packets_are_dropped_and_the_system_finds_out(
    network: Network, check: Checker
) -> None:
    for end in (network.client, network.server):
        end.set("ipv4/tcp_mtu_probing", 1)
        end.set("ipv4/tcp_retries1", 1)  # Linux repeats three times before it wonders.
    async with serve(network) as server:
        network.rule(LARGE)
        conn = await connect(server.url, ping_interval=0.2, ping_timeout=10)
        begun = now()
        await exchange(conn, 50)
        check("large packets dropped, the system probes", Seen(OPEN, now() - begun))
        assert network.hits
        assert (await conn.close()).clean
