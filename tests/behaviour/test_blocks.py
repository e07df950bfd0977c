"""`async with`: how the end of the block closes the connection."""

from __future__ import annotations

import asyncio

import pytest

from behaviour.servers import WAIT, agree, connected, echo, expect_info
from wsclient import websocket_connect
from wsclient.protocol.opcodes import Opcode
from wsclient.testing import VirtualClockLoop
from wsclient.testing.raw import RawServer

# Seconds that nobody can choose, and that only a clock which jumps is let wait for.
CANCELLED_CLOSE_TIMEOUT = "wsclient.connection._CANCELLED_CLOSE_TIMEOUT"
LAST_CALL_TIMEOUT = "wsclient.wire.callbacks._LAST_CALL_TIMEOUT"

CLEAN = {"clean": True, "cause": "closing_handshake", "exception": None}


async def test_leaving_the_block_closes_with_1000() -> None:
    async with connected() as (conn, server):
        async with asyncio.TaskGroup() as group:
            agreed = group.create_task(agree(server))
            async with conn as same:
                assert same is conn
        assert agreed.result().close_code == 1000
        assert conn.closed


async def test_exception_in_the_block_closes_with_1011() -> None:
    async with connected() as (conn, server):
        agreed = asyncio.create_task(agree(server))
        with pytest.raises(KeyError, match="mine"):
            async with conn:
                raise KeyError("mine")
        assert (await agreed).close_code == 1011
        assert conn.close_info is not None
        expect_info(conn.close_info, clean=True, sent=1011, initiator="local")


async def test_cancelling_the_block_closes_with_1001() -> None:
    async def use() -> None:
        async with conn:
            await conn.read_message()

    async with connected() as (conn, server):
        using = asyncio.create_task(use())
        await asyncio.sleep(0.01)
        using.cancel()
        assert (await agree(server)).close_code == 1001
        with pytest.raises(asyncio.CancelledError):
            await using
        assert conn.close_info is not None
        expect_info(conn.close_info, clean=True, sent=1001, initiator="local")


async def test_cancelling_the_block_does_not_wait_long_for_the_server(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(CANCELLED_CLOSE_TIMEOUT, 0.1)

    async def use() -> None:
        async with conn:
            await conn.read_message()

    loop = asyncio.get_running_loop()
    async with connected(close_timeout=60) as (conn, _):
        using = asyncio.create_task(use())
        await asyncio.sleep(0.01)
        begun = loop.time()
        using.cancel()
        with pytest.raises(asyncio.CancelledError):
            await using
        assert loop.time() - begun < 2
        assert conn.close_info is not None
        expect_info(conn.close_info, cause="cancelled", clean=False, sent=1001)


@pytest.mark.parametrize("loop_factory", [VirtualClockLoop])
async def test_cancelling_the_block_takes_a_second_at_most() -> None:
    async def use() -> None:
        async with conn:
            await conn.read_message()

    loop = asyncio.get_running_loop()
    async with connected(close_timeout=60) as (conn, _):
        using = asyncio.create_task(use())
        await asyncio.sleep(0.01)
        begun = loop.time()
        using.cancel()
        with pytest.raises(asyncio.CancelledError):
            await using
        assert loop.time() - begun == pytest.approx(1.0, abs=0.01)


async def test_cancelling_the_block_ends_a_callback_that_never_returns(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(CANCELLED_CLOSE_TIMEOUT, 0.1)
    monkeypatch.setattr(LAST_CALL_TIMEOUT, 0.1)
    begun = asyncio.Event()

    async def on_message(message: str | bytes | None) -> None:
        if message is not None:
            begun.set()
            await asyncio.Event().wait()

    async def use() -> None:
        async with conn:
            await asyncio.Event().wait()

    async with connected(on_message_callback=on_message) as (conn, server):
        using = asyncio.create_task(use())
        await server.send_frame(Opcode.TEXT, b"for ever")
        await begun.wait()
        using.cancel()
        await agree(server)
        done, _ = await asyncio.wait([using], timeout=WAIT)
        if not done:
            for task in asyncio.all_tasks() - {asyncio.current_task()}:
                task.cancel()
        assert done, "leaving the block waits for ever"


async def test_leaving_the_block_after_the_end_is_no_error() -> None:
    async with RawServer(echo) as server:
        async with websocket_connect(server.url) as conn:
            await conn.close(4001)
        assert conn.close_info is not None
        expect_info(conn.close_info, **CLEAN, sent=4001)
