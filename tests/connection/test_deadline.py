"""When a connection that ends is dropped: the earliest moment that was asked for."""

from __future__ import annotations

import asyncio
from itertools import permutations

import pytest

from connection.far_end import open_near
from support.loops import with_plain_handles
from wsclient import CloseCause
from wsclient.testing import VirtualClockLoop
from wsclient.wire.deadline import Deadline


@pytest.fixture(params=[VirtualClockLoop, with_plain_handles(VirtualClockLoop)])
def loop_factory(request: pytest.FixtureRequest) -> object:
    """The loop of these tests."""
    return request.param


@pytest.mark.parametrize("seconds", list(permutations([1.0, 2.0, 3.0])))
async def test_it_can_only_come_nearer(seconds: tuple[float, ...]) -> None:
    loop = asyncio.get_running_loop()
    begin, calls = loop.time(), []
    deadline = Deadline(loop)
    for each in seconds:
        deadline.within(each, lambda: calls.append(loop.time() - begin))
    await asyncio.sleep(10)
    assert calls == [pytest.approx(1.0, abs=0.01)]


async def test_what_is_asked_for_later_is_no_earlier_moment() -> None:
    loop = asyncio.get_running_loop()
    begin, calls = loop.time(), []
    deadline = Deadline(loop)
    deadline.within(3.0, lambda: calls.append(loop.time() - begin))
    await asyncio.sleep(2)
    deadline.within(2.0, lambda: calls.append(0.0))
    await asyncio.sleep(10)
    assert calls == [pytest.approx(3.0, abs=0.01)]


async def test_a_cancelled_one_never_comes() -> None:
    calls: list[None] = []
    deadline = Deadline(asyncio.get_running_loop())
    deadline.cancel()
    deadline.within(1.0, lambda: calls.append(None))
    deadline.cancel()
    await asyncio.sleep(10)
    assert calls == []


async def test_leaving_the_block_has_a_limit_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """Some loops round: either timer may be the first, and the account must not depend on it."""
    monkeypatch.setattr(Deadline, "within", lambda *_: None)
    conn, _ = open_near(close_timeout=5.0)
    async with conn:
        pass
    assert conn.close_info is not None
    assert conn.close_info.cause is CloseCause.CLOSE_TIMEOUT
