"""How connections are closed: by whom, with what, how long it takes, and what is told of it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

import pytest

from behaviour.servers import (
    WAIT,
    Log,
    agree,
    connected,
    expect_info,
    frame_of_kind,
    numbered_frame,
    pile_up,
    say_goodbye,
    until_received,
)
from wsclient import CloseInfo, WebSocketClosedError
from wsclient.protocol.opcodes import Opcode
from wsclient.testing.frames import close_frame, encode_frame

CLEAN = {"clean": True, "cause": "closing_handshake", "exception": None}


# The closing handshake


@pytest.mark.parametrize(
    ("arguments", "payload", "code"),
    [
        pytest.param((), b"\x03\xe8", 1000, id="nothing"),
        pytest.param((1001,), b"\x03\xe9", 1001, id="code"),
        pytest.param((None, "bye"), b"\x03\xe8bye", 1000, id="reason"),
        pytest.param((4999, "x" * 123), b"\x13\x87" + b"x" * 123, 4999, id="longest"),
    ],
)
async def test_we_close_first(arguments: tuple[int, str], payload: bytes, code: int) -> None:
    async with connected() as (conn, server):
        closing = conn.close(*arguments)
        assert not conn.closed
        assert conn.close_info is None
        frame = await agree(server)
        assert (frame.payload, frame.masked) == (payload, True)
        info = await closing
        expect_info(
            info,
            **CLEAN,
            code=code,
            reason=payload[2:].decode(),
            initiator="local",
            sent=code,
            received=code,
            received_first=False,
        )
        assert conn.close_info is info
        assert (conn.close_code, conn.close_reason, conn.closed) == (code, info.reason, True)
        assert await conn.wait_closed() is info


@pytest.mark.parametrize(
    ("payload", "code", "reason"),
    [
        pytest.param(b"\x03\xe8", 1000, "", id="1000"),
        pytest.param(b"\x03\xe9going", 1001, "going", id="1001"),
        pytest.param(
            "\x0f\xa1grüß".encode("latin-1")[:2] + "grüß".encode(), 4001, "grüß", id="4001"
        ),
        pytest.param(b"\x03\xf6", 1014, "", id="1014"),
        pytest.param(b"", 1005, "", id="no code"),
    ],
)
async def test_server_closes_first(payload: bytes, code: int, reason: str) -> None:
    async with connected() as (conn, server):
        await server.send_frame(Opcode.CLOSE, payload)
        # RFC 6455, section 5.5.1: the answer has the code that was received.
        assert (await frame_of_kind(server, Opcode.CLOSE)).payload == payload
        server.close()
        assert await conn.read_message() is None
        expect_info(
            await conn.wait_closed(),
            **CLEAN,
            code=code,
            reason=reason,
            initiator="remote",
            sent=code,
            received=code,
            received_first=True,
        )
        assert (conn.close_code, conn.close_reason) == (code, reason)


async def test_close_code_is_known_before_tcp_is_closed() -> None:
    async with connected() as (conn, server):
        await server.send_close(4000, "soon")
        await frame_of_kind(server, Opcode.CLOSE)
        assert (conn.close_code, conn.close_reason, conn.close_info) == (4000, "soon", None)
        assert not conn.closed
        with pytest.raises(WebSocketClosedError):
            conn.write_message("too late")
        server.close()
        await conn.wait_closed()


async def test_both_close_at_the_same_time() -> None:
    async with connected() as (conn, server):
        closing = conn.close(4001, "ours")
        await server.send_close(4002, "theirs")
        assert (await frame_of_kind(server, Opcode.CLOSE)).close_code == 4001
        server.close()
        info = await closing
        expect_info(info, **CLEAN, sent=4001, received=4002, code=4002, reason="theirs")
        assert conn.close_code == 4002


async def test_nothing_is_sent_behind_our_close() -> None:
    async with connected(ping_interval=0.02) as (conn, server):
        conn.close()
        for _ in range(3):
            await server.send_frame(Opcode.PING, b"still there?")
        with pytest.raises(WebSocketClosedError):
            conn.write_message("too late")
        with pytest.raises(WebSocketClosedError):
            conn.ping()
        await asyncio.sleep(0.1)
        await agree(server)
        rest = await server.read_to_end()
        assert (await conn.wait_closed()).clean
        assert rest == b""


async def test_frames_behind_the_servers_close_are_ignored() -> None:
    async with connected() as (conn, server):
        await server.send(
            close_frame(1000) + encode_frame(Opcode.TEXT, b"too late") + b"\xff" * 20
        )
        await frame_of_kind(server, Opcode.CLOSE)
        server.close()
        assert await conn.read_message() is None
        expect_info(await conn.wait_closed(), **CLEAN, code=1000)


# Once more, un-awaited, and in other places


async def test_close_twice_is_close_once() -> None:
    async with connected() as (conn, server):
        first, second = conn.close(4001, "first"), conn.close(4002, "second")
        frame = await agree(server)
        assert frame.close_code == 4001
        assert await second is await first
        assert await conn.close(1000) is await first
        assert await server.read_to_end() == b""


async def test_close_that_is_not_awaited_closes() -> None:
    async with connected() as (conn, server):
        conn.close(4001)
        assert (await agree(server)).close_code == 4001
        assert await conn.read_message() is None
        expect_info(await conn.wait_closed(), **CLEAN, sent=4001)


async def test_close_whose_wait_is_cancelled_closes() -> None:
    async with connected() as (conn, server):
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(conn.close(4001), 0.02)
        assert not conn.closed
        await agree(server)
        expect_info(await conn.wait_closed(), **CLEAN, sent=4001)


async def test_wait_closed_serves_several_tasks() -> None:
    async with connected() as (conn, server):
        waiting = [asyncio.create_task(conn.wait_closed()) for _ in range(5)]
        readers = [asyncio.create_task(conn.read_message()) for _ in range(5)]
        await asyncio.sleep(0)
        waiting[0].cancel()
        await say_goodbye(server, 4001)
        results = await asyncio.gather(*waiting, return_exceptions=True)
        assert await asyncio.gather(*readers) == [None] * 5
    assert isinstance(results[0], asyncio.CancelledError)
    assert all(result is conn.close_info for result in results[1:])


async def not_at_all(closing: Coroutine[Any, Any, CloseInfo]) -> None:
    """Leave the closing to itself."""


async def directly(closing: Coroutine[Any, Any, CloseInfo]) -> None:
    await closing


async def in_a_task(closing: Coroutine[Any, Any, CloseInfo]) -> None:
    await asyncio.create_task(closing)


async def with_a_limit(closing: Coroutine[Any, Any, CloseInfo]) -> None:
    await asyncio.wait_for(closing, 60)


@pytest.mark.parametrize("wait", [not_at_all, directly, in_a_task, with_a_limit])
async def test_close_from_an_async_callback(
    wait: Callable[[Coroutine[Any, Any, CloseInfo]], Awaitable[None]],
) -> None:
    log: list[object] = []

    async def on_message(message: str | bytes | None) -> None:
        log.append(message)
        if message is not None:
            # Waiting for the connection within its callback does not wait for the callback.
            async with asyncio.timeout(WAIT):
                await wait(conn.close(4001))

    async with connected(on_message_callback=on_message) as (conn, server):
        await server.send_frame(Opcode.TEXT, b"now")
        await agree(server)
        expect_info(await conn.wait_closed(), **CLEAN, sent=4001)
    assert log == ["now", None]


async def test_plain_callback_that_returns_the_closing() -> None:
    log: list[object] = []

    def on_message(message: str | bytes | None) -> Any:
        log.append(message)
        return conn.close(4001)

    async with connected(on_message_callback=on_message) as (conn, server):
        await server.send_frame(Opcode.TEXT, b"now")
        await agree(server)
        expect_info(await asyncio.wait_for(conn.wait_closed(), WAIT), **CLEAN, sent=4001)
    assert log == ["now", None]


async def test_close_from_a_plain_callback() -> None:
    log = Log()

    def on_message(message: str | bytes | None) -> None:
        log(message)
        conn.close(4001)

    async with connected(on_message_callback=on_message) as (conn, server):
        await server.send_frame(Opcode.TEXT, b"now")
        await agree(server)
        expect_info(await conn.wait_closed(), **CLEAN, sent=4001)
    assert log == ["now", None]


async def test_close_from_on_ping() -> None:
    def on_ping(data: bytes) -> None:
        conn.close(4001)

    async with connected(on_ping=on_ping) as (conn, server):
        await server.send_frame(Opcode.PING, b"x")
        assert (await server.read_frame()).opcode == Opcode.PONG
        await agree(server)
        expect_info(await conn.wait_closed(), **CLEAN, sent=4001)


# What is on the way when a connection closes


async def test_messages_before_the_end_can_be_read_after_it() -> None:
    async with connected() as (conn, server):
        await server.send(
            b"".join(encode_frame(Opcode.TEXT, b"%d" % number) for number in range(50))
        )
        await say_goodbye(server)
        await conn.wait_closed()
        assert conn.stats().queued_messages == 50
        assert [message async for message in conn] == [str(number) for number in range(50)]
        assert await conn.read_message() is None


async def test_messages_queued_before_our_close_can_be_read_after_it() -> None:
    async with connected() as (conn, server):
        await server.send(
            b"".join(encode_frame(Opcode.TEXT, b"%d" % number) for number in range(50))
        )
        await until_received(conn, 50)
        closing = conn.close()
        await frame_of_kind(server, Opcode.CLOSE)
        await server.send(encode_frame(Opcode.TEXT, b"late"))
        await server.send(close_frame(1000))
        server.close()
        expect_info(await closing, **CLEAN, discarded_messages=0)
        expected = [*(str(number) for number in range(50)), "late"]
        assert [message async for message in conn] == expected


async def test_full_queue_keeps_its_messages_when_we_close() -> None:
    # One packet brings more than the queue should hold: it is held all the same.
    count = 8
    async with connected(max_queue_messages=2) as (conn, server):
        await server.send(
            b"".join(encode_frame(Opcode.TEXT, b"%d" % number) for number in range(count))
        )
        await until_received(conn, count)
        closing = conn.close()
        await frame_of_kind(server, Opcode.CLOSE)
        await server.send(encode_frame(Opcode.TEXT, b"late"))
        await until_received(conn, count + 1)
        await server.send(close_frame(1000))
        server.close()
        expect_info(await closing, **CLEAN, discarded_messages=1)
        assert [message async for message in conn] == [str(number) for number in range(count)]


async def test_message_larger_than_the_queue_is_read_after_our_close() -> None:
    async with connected(max_queue_size=1000) as (conn, server):
        reading = asyncio.create_task(conn.read_message())
        await asyncio.sleep(0)
        closing = conn.close()
        await frame_of_kind(server, Opcode.CLOSE)
        await server.send(encode_frame(Opcode.TEXT, b"x" * 5000))
        assert await asyncio.wait_for(reading, WAIT) == "x" * 5000, conn.close_info
        await server.send(close_frame(1000))
        server.close()
        expect_info(await closing, **CLEAN, discarded_messages=0)


async def test_close_stands_behind_large_writes() -> None:
    size, count = 256 * 1024, 16
    async with connected() as (conn, server):
        for number in range(count):
            conn.write_message(number.to_bytes(4, "big").ljust(size, b"."), binary=True)
        closing = conn.close(4001)
        assert conn.stats().write_buffer_size > 0
        frames = await asyncio.wait_for(server.read_until_close(), WAIT)
        await server.send_frame(Opcode.CLOSE, frames[-1].payload)
        server.close()
        assert [int.from_bytes(f.payload[:4], "big") for f in frames[:-1]] == list(range(count))
        assert {len(frame.payload) for frame in frames[:-1]} == {size}
        expect_info(await closing, **CLEAN, sent=4001)


# Servers that do not do their part


async def test_server_that_never_answers_our_close() -> None:
    loop = asyncio.get_running_loop()
    async with connected(close_timeout=0.1) as (conn, _):
        begun = loop.time()
        info = await conn.close(4001, "bye")
        assert 0.08 <= loop.time() - begun < 1
        expect_info(
            info,
            cause="close_timeout",
            clean=False,
            code=1006,
            reason="",
            initiator="local",
            sent=4001,
            received=None,
            received_first=None,
        )
        assert "close_timeout" in info.hint
        assert await conn.read_message() is None


async def test_server_that_never_answers_our_close_but_talks_on() -> None:
    async with connected(close_timeout=0.2) as (conn, server):
        closing = asyncio.create_task(conn.close())
        while not closing.done():
            server.writer.write(encode_frame(Opcode.TEXT, b"bla"))
            await asyncio.sleep(0.01)
        expect_info(await closing, cause="close_timeout", clean=False)
        assert await conn.read_message() == "bla"


async def test_server_that_reads_nothing_when_we_close() -> None:
    async with connected(close_timeout=0.1) as (conn, _):
        while not conn.stats().write_buffer_size:
            conn.write_message(bytes(1024 * 1024), binary=True)
        expect_info(await conn.close(), cause="close_timeout", clean=False)


async def test_flood_before_the_answer_to_our_close_is_counted() -> None:
    async with connected(max_queue_messages=4, close_timeout=WAIT) as (conn, server):
        sent = await pile_up(conn, server)
        closing = asyncio.create_task(conn.close(4001))
        for number in range(sent, sent + 200):
            await server.send(numbered_frame(number, 65536))
        await agree(server)
        info = await closing
        expect_info(info, **CLEAN, sent=4001, received=4001)
        messages = [message async for message in conn]
        assert info.discarded_messages > 0
        assert len(messages) + info.discarded_messages == sent + 200
        numbers = [int.from_bytes(message[:4], "big") for message in messages]  # type: ignore[arg-type]
        assert numbers == list(range(len(messages)))


async def test_server_that_does_not_close_tcp() -> None:
    async with connected(close_timeout=0.1) as (conn, server):
        closing = conn.close()
        frame = await frame_of_kind(server, Opcode.CLOSE)
        await server.send_frame(Opcode.CLOSE, frame.payload)
        # The handshake is complete, so this is a clean end all the same.
        expect_info(await asyncio.wait_for(closing, WAIT), **CLEAN, code=1000)


async def test_server_that_closes_first_but_not_tcp() -> None:
    async with connected(close_timeout=0.1) as (conn, server):
        await server.send_close(1001)
        await frame_of_kind(server, Opcode.CLOSE)
        assert await asyncio.wait_for(conn.read_message(), WAIT) is None
        expect_info(await conn.wait_closed(), **CLEAN, code=1001, initiator="remote")


# TCP alone


BROKEN = {"clean": False, "code": 1006, "reason": "", "initiator": "none", "received": None}


async def test_end_of_tcp_without_close() -> None:
    async with connected() as (conn, server):
        await server.send_frame(Opcode.TEXT, b"last")
        server.close()
        assert [message async for message in conn] == ["last"]
        info = await conn.wait_closed()
        expect_info(info, **BROKEN, cause="eof", sent=None, received_first=None)
        assert "Close frame" in info.hint
        assert info.seconds_since_last_byte < WAIT


async def test_reset_of_tcp() -> None:
    async with connected() as (conn, server):
        server.abort()
        assert await conn.read_message() is None
        info = await conn.wait_closed()
        expect_info(info, **BROKEN, cause="reset", sent=None)
        assert isinstance(info.exception, ConnectionResetError)


async def test_end_of_tcp_instead_of_an_answer_to_our_close() -> None:
    async with connected() as (conn, server):
        closing = conn.close(4001)
        await frame_of_kind(server, Opcode.CLOSE)
        server.close()
        info = await closing
        expect_info(info, cause="eof", clean=False, code=1006, sent=4001, received=None)
        assert info.initiator.value == "local"


async def test_end_of_tcp_in_the_middle_of_a_message() -> None:
    async with connected() as (conn, server):
        await server.send(
            encode_frame(Opcode.TEXT, b"first") + encode_frame(Opcode.TEXT, b"half a message")[:8]
        )
        server.close()
        assert [message async for message in conn] == ["first"]
        expect_info(await conn.wait_closed(), **BROKEN, cause="eof")


@pytest.mark.parametrize("end", ["wait", "close"])
async def test_half_closed_server_that_reads_nothing_does_not_hold_us(end: str) -> None:
    async with connected(close_timeout=0.2) as (conn, server):
        while conn.stats().write_buffer_size < 1024 * 1024:
            conn.write_message(bytes(1024 * 1024), binary=True)
        server.writer.write_eof()
        if end == "wait":
            assert await asyncio.wait_for(conn.read_message(), WAIT) is None
        else:
            await asyncio.sleep(0.05)
            await asyncio.wait_for(conn.close(), WAIT)
        expect_info(await asyncio.wait_for(conn.wait_closed(), WAIT), clean=False, code=1006)


async def test_close_waits_for_a_stuck_callback_for_close_timeout_only() -> None:
    stuck = asyncio.Event()

    async def on_message(message: str | bytes | None) -> None:
        await stuck.wait()

    async with connected(on_message_callback=on_message, close_timeout=0.1) as (conn, server):
        await server.send_frame(Opcode.TEXT, b"now")
        await say_goodbye(server)
        expect_info(await asyncio.wait_for(conn.close(), WAIT), **CLEAN, received=1000)
        stuck.set()
        await conn.wait_closed()
