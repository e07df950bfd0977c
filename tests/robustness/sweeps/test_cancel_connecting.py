"""Connecting is cancelled at each of its suspensions: it says so, and nothing is left."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import pytest

from robustness.sweeps.stepping import WAYS, Stepper, end_at, quiet, sweep
from robustness.sweeps.ways_in import GREETING, WAYS_IN, Connect
from wsclient import ConnectError, ConnectTimeoutError, HandshakeError, websocket_connect
from wsclient.testing import VirtualClock
from wsclient.testing.certificates import CertificateAuthority
from wsclient.testing.raw import RawConnection, RawServer

FEWEST_STEPS = {
    "tcp": 3,
    "redirect": 3,
    "tls": 3,
    "certificate": 5,
    "proxy": 4,
    "tls-proxy": 5,
}
"""A sweep with fewer would not have gone over the whole way."""

TIMEOUT = 20.0


@pytest.fixture(scope="module")
def authority() -> CertificateAuthority:
    """The authority of servers and clients."""
    return CertificateAuthority()


async def use(attempt: Coroutine[Any, Any, Any]) -> None:
    """Connect, exchange a message and close."""
    conn = await attempt
    assert await conn.read_message() == GREETING
    await conn.write_message("hello")
    assert await conn.read_message() == "hello"
    assert (await conn.close()).clean


def is_expected(error: BaseException | None, way: str) -> bool:
    """Tell whether this is how the cancelled task has to end."""
    return type(error) is (TimeoutError if way == "timeout" else asyncio.CancelledError)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("way_in", WAYS_IN)
async def test_connecting_is_cancelled(
    way_in: str, way: str, authority: CertificateAuthority, tmp_path: Path
) -> None:
    async with WAYS_IN[way_in](authority, tmp_path) as connect, quiet() as watch:

        async def trial(step: int) -> bool:
            ended = await end_at(connect(), step, way)
            if ended.result is None:
                assert is_expected(ended.error, way), repr(ended.error)
            else:
                # Only a time limit may be too late.
                assert not ended.hit or way == "timeout"
                await ended.result.close()
            await watch.restored()
            return ended.hit

        assert await sweep(trial) >= FEWEST_STEPS[way_in]
        await use(connect())


@pytest.mark.parametrize("way", ["cancel", "race"])
@pytest.mark.parametrize("way_in", ["tcp", "tls"])
async def test_block_is_cancelled(
    way_in: str, way: str, authority: CertificateAuthority, tmp_path: Path
) -> None:
    """From connecting to the end of ``async with``, whatever is under way is ended."""

    async def whole(connect: Connect) -> None:
        async with connect() as conn:  # type: ignore[attr-defined]  # it is an attempt of ours
            assert await conn.read_message() == GREETING
            await conn.write_message("hello")
            assert await conn.read_message() == "hello"
            assert await conn.ping() > 0

    async with WAYS_IN[way_in](authority, tmp_path) as connect, quiet() as watch:

        async def trial(step: int) -> bool:
            ended = await end_at(whole(connect), step, way)
            assert not ended.hit or is_expected(ended.error, way), repr(ended.error)
            await watch.restored()
            return ended.hit

        assert await sweep(trial) >= FEWEST_STEPS[way_in] + 3


@pytest.mark.parametrize("way", ["cancel", "race"])
async def test_refusal_is_cancelled(way: str) -> None:
    """The answer is no WebSocket, and its body comes in parts."""

    async def refuse(wire: RawConnection) -> None:
        await wire.read_request()
        await wire.respond("403 Forbidden", {"Content-Length": "30"}, b"not here, ")
        for _ in range(2):
            await asyncio.sleep(0)
            await wire.send(b"not there,")
        await wire.read_to_end()

    async with RawServer(refuse) as server, quiet() as watch:
        url = server.url

        async def trial(step: int) -> bool:
            ended = await end_at(websocket_connect(url, proxy=None), step, way)
            expected = asyncio.CancelledError if ended.hit else HandshakeError
            assert type(ended.error) is expected
            if isinstance(ended.error, HandshakeError):
                assert len(ended.error.body) == 30
            await watch.restored()
            return ended.hit

        assert await sweep(trial) >= 3


class TestTimeLimit:
    """`connect_timeout` runs out at each suspension."""

    @pytest.fixture
    def loop_factory(self) -> object:
        """The virtual clock is for the stock loop."""
        return asyncio.new_event_loop

    @pytest.mark.parametrize("way_in", WAYS_IN)
    async def test_connect_timeout_runs_out(
        self, way_in: str, authority: CertificateAuthority, tmp_path: Path
    ) -> None:
        with VirtualClock() as clock:
            async with WAYS_IN[way_in](authority, tmp_path) as connect, quiet() as watch:

                async def trial(step: int) -> bool:
                    hit = False

                    def stall(_: object) -> None:
                        nonlocal hit
                        hit = True
                        clock.stall(TIMEOUT)

                    stepper = Stepper(connect(connect_timeout=TIMEOUT), step, stall)
                    try:
                        conn = await asyncio.create_task(stepper)
                    except ConnectError as exc:
                        assert hit
                        assert type(exc) is ConnectTimeoutError, repr(exc)
                    else:
                        await conn.close()
                    await watch.restored()
                    return hit

                assert await sweep(trial) >= FEWEST_STEPS[way_in]
