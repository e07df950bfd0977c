"""The client's own link fails: cable, interface, address."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

import pytest

from robustness.network.loops import TWO_LOOPS
from robustness.network.network import Network
from robustness.network.outcomes import OPEN, Seen, connect, see_end
from robustness.network.report import Checker
from robustness.network.serving import serve
from robustness.network.traffic import message

pytestmark = TWO_LOOPS

KEEPALIVE: Final = {"ping_interval": 0.2, "ping_timeout": 0.4}


def now() -> float:
    return asyncio.get_running_loop().time()


@pytest.mark.parametrize(
    ("scenario", "down", "up"),
    [
        ("cable out, for a while", Network.cable_out, Network.cable_in),
        ("interface down, for a while", Network.interface_down, Network.interface_up),
    ],
)
async def test_the_link_comes_back(
    scenario: str,
    down: Callable[[Network], None],
    up: Callable[[Network], None],
    network: Network,
    check: Checker,
) -> None:
    async with serve(network) as server:
        conn = await connect(server.url, ping_interval=0.2, ping_timeout=10)
        down(network)
        begun = now()
        for number in range(100):
            conn.write_message(message(number))
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(conn.read_message(), 0.5)
        up(network)
        assert [await conn.read_message() for _ in range(100)] == [message(n) for n in range(100)]
        check(scenario, Seen(OPEN, now() - begun), "0.5 s of it without a link")
        assert (await conn.close()).clean


@pytest.mark.parametrize(
    ("scenario", "change"),
    [
        ("interface down", Network.interface_down),
        ("client has another address", Network.move_client),
    ],
)
async def test_the_link_does_not_come_back(
    scenario: str, change: Callable[[Network], None], network: Network, check: Checker
) -> None:
    async with serve(network) as server:
        conn = await connect(server.url, **KEEPALIVE)
        check(scenario, await see_end(conn, lambda: change(network)))
        if change == Network.move_client:
            # A new connection has the new address.
            async with await connect(server.url) as again:
                again.write_message("hello")
                assert await again.read_message() == "hello"
