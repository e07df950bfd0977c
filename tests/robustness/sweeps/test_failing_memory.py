"""The N-th operation of a transport fails, for every N of a connection's life.

All time is virtual: whoever would have waited for a time limit has let it pass, which is seen.
"""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from robustness.sweeps.conversation import OPTIONS, Conversation
from robustness.sweeps.faulty_memory import LOSSES, FaultyTransport, Plan, lose_at, raise_at
from robustness.sweeps.stepping import quiet, sweep
from wsclient import CloseCause, WebSocketClientConnection, WebSocketClosedError
from wsclient.testing import VirtualClockLoop, connection_pair

COMPRESSION = pytest.mark.parametrize("compression", [None, {}], ids=["plain", "compressed"])

FEWEST_OPERATIONS = 60
"""A sweep over fewer would not have gone over the whole life."""

INSTANT = 0.5
"""Virtual seconds; every time limit of a connection is longer."""


@pytest.fixture
def loop_factory() -> object:
    """The loop of these tests."""
    return VirtualClockLoop


async def converse(
    compression: dict[str, Any] | None, plan: Plan
) -> tuple[WebSocketClientConnection, Conversation]:
    """Run a conversation to its end, which no time limit brings about."""
    clock = asyncio.get_running_loop().time
    start = clock()
    async with connection_pair(compression_options=compression, **OPTIONS) as ends:
        conversation = Conversation(*ends)
        await conversation.run()
        took = clock() - start
    where = f"{plan.failed}: {conversation}"
    assert took < INSTANT, f"only a time limit ended it after {took} s: {where}"
    return ends[0], conversation


@COMPRESSION
@pytest.mark.parametrize("kind", LOSSES)
async def test_transport_is_lost(
    kind: str, compression: dict[str, Any] | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    loss = LOSSES[kind]
    failed: set[str | None] = set()
    async with quiet() as watch:

        async def trial(number: int) -> bool:
            plan = lose_at(number, loss)
            FaultyTransport.install(monkeypatch, plan)
            client, conversation = await converse(compression, plan)
            failed.add(plan.failed)
            where = f"{plan.failed}: {conversation}"
            info = conversation.check()
            if plan.failed is None:
                assert info.clean and not conversation.refused and not conversation.errors
            elif info.cause is not CloseCause.CLOSING_HANDSHAKE:
                assert info.cause is loss.cause, where
                assert info.exception is plan.error, where
                assert info.received is None and not info.clean and info.code == 1006
            assert await client.read_message() is None
            with pytest.raises(WebSocketClosedError):
                client.write_message("too late")
            await watch.restored()
            return plan.failed is not None

        assert await sweep(trial) >= FEWEST_OPERATIONS
    assert failed >= {"receive", "write", "pause_reading", "resume_reading", None}


@COMPRESSION
@pytest.mark.parametrize("error", [RuntimeError("no"), MemoryError(), OSError(105, "no room")])
@pytest.mark.parametrize("name", ["write", "pause_reading", "resume_reading"])
async def test_operation_raises(
    name: str,
    error: Exception,
    compression: dict[str, Any] | None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Transports report what fails by `connection_lost`; one that raises is given up, too.

    Nobody knows how much of a frame has left when its writing raised, so nothing may follow it.
    """
    async with quiet() as watch:

        async def trial(number: int) -> bool:
            plan = raise_at(number, error, frozenset({name}))
            FaultyTransport.install(monkeypatch, plan)
            _, conversation = await converse(compression, plan)
            where = f"{plan.failed}: {conversation}"
            info = conversation.check()
            if plan.failed is None:
                assert info.clean
            elif info.cause is not CloseCause.CLOSING_HANDSHAKE:
                assert info.cause is CloseCause.NETWORK_ERROR, where
                assert info.exception is error, where
                assert "write" not in plan.later, where
            await watch.restored()
            return plan.failed is not None

        assert await sweep(trial) >= 1
