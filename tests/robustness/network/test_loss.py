"""Packets lost at random, both ways: TCP repeats them, and nobody notices but by the clock."""

from __future__ import annotations

from time import perf_counter

import pytest

from robustness.network.loops import TWO_LOOPS
from robustness.network.network import Network
from robustness.network.outcomes import OPEN, Seen, connect
from robustness.network.report import Checker
from robustness.network.serving import serve
from robustness.network.traffic import exchange, message, quantiles

_COUNT = {1: 1000, 5: 500, 20: 150}
"""Messages by percentage: enough to lose some packets, few enough to take seconds."""


@pytest.mark.parametrize("percent", list(_COUNT))
async def test_messages_arrive_once_and_in_order(
    percent: int, network: Network, check: Checker
) -> None:
    async with serve(network) as server:
        conn = await connect(server.url, ping_interval=0.1, ping_timeout=5)
        network.rule(f"numgen random mod 100 < {percent} drop")
        begun = perf_counter()
        took = await exchange(conn, _COUNT[percent])
        seconds = perf_counter() - begun
        lost = network.hits
        assert lost
        assert not conn.closed
        # What is repeated makes its way behind the loss, too.
        assert (await conn.ping()) > 0
        network.heal()
        assert (await conn.close()).clean
        (served,) = server.connections
        assert served.received == [message(number) for number in range(_COUNT[percent])]
        figures = f"{len(took)} messages, {lost} packets lost, {quantiles(took)}"
        check(f"{percent} % of packets lost", Seen(OPEN, seconds), figures)


@TWO_LOOPS
async def test_keepalive_spares_a_connection_that_limps(network: Network, check: Checker) -> None:
    async with serve(network) as server:
        conn = await connect(server.url, ping_interval=0.1, ping_timeout=1.5)
        network.rule("numgen random mod 100 < 5 drop")
        begun = perf_counter()
        while perf_counter() - begun < 2.5:
            await exchange(conn, 50, in_flight=1)
        assert network.hits
        network.heal()
        assert (await conn.close()).clean
        figures = f"{conn.stats().messages_received} messages"
        check("5 % of packets lost, keepalive", Seen(OPEN, perf_counter() - begun), figures)
