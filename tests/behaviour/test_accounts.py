"""What happened is what is told: each message delivered once or counted, each end explained."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from behaviour.servers import WAIT, agree, connected, expect_info, frame_of_kind
from wsclient import websocket_connect
from wsclient.protocol.opcodes import Opcode
from wsclient.testing import VirtualClockLoop
from wsclient.testing.frames import close_frame, encode_frame
from wsclient.testing.raw import RawConnection, RawServer

Message = str | bytes | None


def numbered(count: int) -> bytes:
    return b"".join(encode_frame(Opcode.TEXT, b"%d" % number) for number in range(count))


async def test_callback_that_writes_too_late_still_gets_the_rest() -> None:
    seen: list[Message] = []

    def echo(message: Message) -> None:
        seen.append(message)
        if message is not None:
            conn.write_message(message)

    async with connected(on_message_callback=echo) as (conn, server):
        conn.close()
        await frame_of_kind(server, Opcode.CLOSE)
        await server.send(numbered(5) + close_frame(1000))
        server.close()
        expect_info(await conn.wait_closed(), clean=True, discarded_messages=0)
    assert seen == ["0", "1", "2", "3", "4", None]


async def test_messages_dropped_after_the_end_are_counted() -> None:
    ended = asyncio.Event()

    async def fail(message: Message) -> None:
        if message is not None:
            await ended.wait()
            raise ZeroDivisionError

    async with connected(on_message_callback=fail, close_timeout=0.1) as (conn, server):
        await server.send(numbered(10) + close_frame(1000))
        await frame_of_kind(server, Opcode.CLOSE)
        server.close()
        await conn.close()  # waits for TCP, and for the stuck callback no longer than 0.1 s
        ended.set()
        with pytest.raises(ZeroDivisionError):
            await conn.wait_closed()
        assert conn.close_info is not None
        expect_info(conn.close_info, clean=True, discarded_messages=9)


async def stuck_block() -> None:
    """Leave a block whose callback waits for room in a queue, which never comes."""
    queue: asyncio.Queue[Message] = asyncio.Queue(1)
    async with (
        asyncio.timeout(WAIT),
        connected(on_message_callback=queue.put, close_timeout=0.1) as (conn, server),
    ):
        await server.send(numbered(5))

        async def agree_late() -> None:
            await frame_of_kind(server, Opcode.CLOSE)
            await server.send(close_frame(1000))
            server.close()

        agreeing = asyncio.create_task(agree_late())
        async with conn:
            await queue.get()
        await agreeing
        assert conn.close_info is not None
        delivered = 2 + queue.qsize()
        assert delivered + conn.close_info.discarded_messages >= 5


async def test_block_with_a_stuck_callback_ends_within_close_timeout(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("wsclient.wire.callbacks._LAST_CALL_TIMEOUT", 0.1)
    await stuck_block()


@pytest.mark.parametrize("loop_factory", [VirtualClockLoop])
async def test_the_last_call_of_a_stuck_callback_takes_a_second_at_most() -> None:
    begun = asyncio.get_running_loop().time()
    await stuck_block()
    elapsed = asyncio.get_running_loop().time() - begun
    assert elapsed == pytest.approx(0.1 + 1.0, abs=0.01)


@pytest.mark.parametrize("how", ["close", "block"])
async def test_close_behind_the_servers_close(how: str) -> None:
    async with connected() as (conn, server):

        async def end_tcp() -> None:
            await frame_of_kind(server, Opcode.CLOSE)
            server.close()

        ending = asyncio.create_task(end_tcp())
        await server.send(encode_frame(Opcode.TEXT, b"last") + close_frame(1001, "shutdown"))
        if how == "close":
            assert await conn.read_message() == "last"
            conn.close()
        else:
            async with conn:
                assert await conn.read_message() == "last"
        await ending
        info = await conn.wait_closed()
        expect_info(info, initiator="remote", received=1001, sent=1001, received_first=True)
        assert "shutdown" in info.hint


class Later:
    """Collects what is to be done when the callback is called."""

    def __init__(self) -> None:
        self.calls: list[Any] = []

    def raise_cancelled(self, what: object) -> None:
        self.calls.append(what)
        if what is not None:
            raise asyncio.CancelledError


@pytest.mark.parametrize("option", ["on_message_callback", "on_ping"])
async def test_cancelled_error_in_a_callback_is_its_fault(option: str) -> None:
    later = Later()
    options: dict[str, Any] = {option: later.raise_cancelled}
    async with connected(**options) as (conn, server):
        await server.send(
            encode_frame(Opcode.TEXT if option == "on_message_callback" else Opcode.PING, b"x")
        )
        frame = await frame_of_kind(server, Opcode.CLOSE)
        assert frame.close_code == 1011
        server.close()
        with pytest.raises(RuntimeError, match="CancelledError"):
            await conn.wait_closed()
        assert conn.close_info is not None
        expect_info(conn.close_info, cause="callback_error", initiator="local")


async def test_end_behind_a_full_queue_is_seen_at_once() -> None:
    async with connected(max_queue_messages=5) as (conn, server):
        await server.send(numbered(20) + close_frame(1000))
        await frame_of_kind(server, Opcode.CLOSE)
        server.close()
        async with asyncio.timeout(1):
            expect_info(await conn.wait_closed(), clean=True)
        assert [message async for message in conn] == [str(number) for number in range(20)]


async def test_ping_behind_the_answer_waits_until_the_caller_has_its_connection() -> None:
    order: list[str] = []
    pinged = asyncio.Event()

    def on_ping(payload: bytes) -> None:
        order.append("ping")
        pinged.set()

    async def serve(wire: RawConnection) -> None:
        await wire.accept(extra=encode_frame(Opcode.PING, b"x"))
        await agree(wire)

    async with RawServer(serve) as server:
        url = server.url
        async with websocket_connect(url, on_ping=on_ping):
            order.append("connected")
            await asyncio.wait_for(pinged.wait(), WAIT)
    assert order == ["connected", "ping"]
