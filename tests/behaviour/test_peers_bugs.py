"""Bugs of other clients that this one does not have: rows E1 to E15 of the comparison."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
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
    say_goodbye,
)
from support.process import PeerProcess, Peers
from wsclient import (
    MessageTooBigError,
    WebSocketClosedError,
    websocket_connect,
)
from wsclient.protocol.opcodes import Opcode
from wsclient.testing.faults import FaultProxy, Line
from wsclient.testing.frames import close_frame, encode_frame
from wsclient.testing.raw import RawConnection, RawServer

INTERVAL = 0.05
"""Seconds between pings where a test waits for many of them."""


# E1: a slow consumer


async def test_e1_slow_consumer_survives_keepalive() -> None:
    count, size = 320, 65536

    async def flood(wire: RawConnection) -> None:
        for number in range(count):
            await wire.send(numbered_frame(number, size))

    async def answer(wire: RawConnection) -> None:
        while (frame := await wire.read_frame()).opcode != Opcode.CLOSE:
            if frame.opcode == Opcode.PING:
                await wire.send_frame(Opcode.PONG, frame.payload)
        await wire.send_frame(Opcode.CLOSE, frame.payload)

    async def serve(wire: RawConnection) -> None:
        await wire.accept()
        await asyncio.gather(flood(wire), answer(wire))

    options: dict[str, Any] = {"ping_interval": INTERVAL, "ping_timeout": INTERVAL}
    async with RawServer(serve) as server:
        conn = await websocket_connect(server.url, **options)
        await asyncio.sleep(15 * INTERVAL)
        assert conn.close_info is None
        assert conn.stats().reading_paused
        for number in range(count):
            message = await conn.read_message()
            assert isinstance(message, bytes)
            assert (int.from_bytes(message[:4], "big"), len(message)) == (number, size)
        # The keepalive is at work again, and the peer still answers.
        await asyncio.sleep(3 * INTERVAL)
        expect_info(await conn.close(), cause="closing_handshake", clean=True, code=1000)


async def test_e1_reader_slower_than_the_flood_survives_too() -> None:
    count, size = 24, 65536

    async def serve(wire: RawConnection) -> None:
        await wire.accept()
        for number in range(count):
            await wire.send(numbered_frame(number, size))
        # Its pongs come behind the flood, and late.
        while (frame := await wire.read_frame()).opcode != Opcode.CLOSE:
            await wire.send_frame(Opcode.PONG, frame.payload)
        await wire.send_frame(Opcode.CLOSE, frame.payload)

    keepalive = {"ping_interval": 0.05, "ping_timeout": 0.05}
    options: dict[str, Any] = {**keepalive, "max_queue_messages": 2}
    async with (
        RawServer(serve) as server,
        websocket_connect(server.url, **options) as conn,
    ):
        for number in range(count):
            await asyncio.sleep(0.03)
            message = await conn.read_message()
            assert isinstance(message, bytes), conn.close_info
            assert int.from_bytes(message[:4], "big") == number


# E2: a blocked loop


@pytest.fixture
def far_peer(peers: Peers) -> PeerProcess:
    """A server that goes on while the loop of the test stands still."""
    return peers.get("websockets")


async def test_e2_blocked_loop_survives_keepalive(far_peer: PeerProcess) -> None:
    ponged = asyncio.Event()
    far = Line(latency=0.05)
    with FaultProxy(far_peer.url("/echo"), to_client=far, to_server=far) as proxy:
        conn = await websocket_connect(
            proxy.url,
            ping_interval=0.2,
            ping_timeout=0.3,
            on_pong=lambda _: ponged.set(),
        )
        for _ in range(2):
            ponged.clear()
            await asyncio.wait_for(ponged.wait(), WAIT)
            # A ping leaves 0.1 s after the pong to the last one; its pong comes during the sleep,
            # and is overdue at its end.
            await asyncio.sleep(0.15)
            time.sleep(0.5)  # noqa: ASYNC251 - a program that blocks its loop is the case
        await asyncio.sleep(0.35)
        assert conn.close_info is None
        await conn.write_message("still there")
        assert await asyncio.wait_for(conn.read_message(), WAIT) == "still there"
        expect_info(await conn.close(), cause="closing_handshake", clean=True)


# E3: accepted and closed at once


async def test_e3_accept_then_close_says_to_come_back_later() -> None:
    async def serve(wire: RawConnection) -> None:
        await wire.accept(extra=close_frame(1013, "try later"))

    async with RawServer(serve) as server:
        for _ in range(20):
            conn = await websocket_connect(server.url)
            assert await conn.read_message() is None
            info = await conn.wait_closed()
            expect_info(
                info,
                code=1013,
                reason="try later",
                initiator="remote",
                cause="closing_handshake",
                clean=True,
                received=1013,
                received_first=True,
            )
            assert "later" in info.hint.replace('"try later"', "")


# E4: a client that does not receive


async def test_e4_ping_is_answered_outside_of_a_receive_call() -> None:
    loop = asyncio.get_running_loop()
    async with connected() as (conn, server):
        begun = loop.time()
        await server.send_frame(Opcode.PING, b"are you there")
        frame = await frame_of_kind(server, Opcode.PONG)
        assert loop.time() - begun < 0.5
        assert (frame.payload, frame.masked) == (b"are you there", True)
        await say_goodbye(server, 1000)
        await conn.wait_closed()


# E5: TCP abort


async def test_e5_abort_while_iterating_is_explained(caplog: pytest.LogCaptureFixture) -> None:
    received = []
    async with connected() as (conn, server):
        await server.send_frame(Opcode.TEXT, b"one")
        caplog.set_level(logging.WARNING, "wsclient")
        async for message in conn:
            received.append(message)
            server.abort()
        info = conn.close_info
        assert info is not None
        expect_info(
            info, code=1006, reason="", clean=False, initiator="none", sent=None, received=None
        )
        assert info.cause.value in {"reset", "eof"}
        assert info.hint.endswith((".", "peer"))
        assert len(info.hint) > 30
        assert (conn.close_code, conn.close_reason, conn.closed) == (1006, "", True)
    assert received == ["one"]
    warnings = [r for r in caplog.records if r.name == "wsclient" and r.levelname == "WARNING"]
    assert len(warnings) == 1
    assert info.hint in warnings[0].getMessage()


async def test_e5_clean_close_is_no_warning(caplog: pytest.LogCaptureFixture) -> None:
    async with connected() as (conn, server):
        await say_goodbye(server, 1000)
        expect_info(await conn.wait_closed(), clean=True)
    assert not [r for r in caplog.records if r.levelno >= logging.WARNING]


# E6: a read that times out


async def test_e6_read_that_times_out_harms_nothing() -> None:
    async with connected() as (conn, server):
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(conn.read_message(), 0.02)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.02):
                await conn.read_message()
        assert (conn.close_code, conn.close_reason, conn.close_info) == (None, None, None)
        assert not conn.closed
        for number in range(5):
            await server.send_frame(Opcode.TEXT, b"%d" % number)
        assert [await conn.read_message() for _ in range(5)] == list("01234")
        closing = conn.close(1000, "done")
        frame = await agree(server)
        assert (frame.close_code, frame.close_reason) == (1000, "done")
        expect_info(await closing, clean=True, received=1000, cause="closing_handshake")


# E7: async callbacks


async def test_e7_async_callbacks_are_awaited_in_order() -> None:
    events: list[str] = []
    ended = asyncio.Event()

    async def on_message(message: str | bytes | None) -> None:
        events.append(f"begin {message!r}")
        # The later ones would overtake, if they ran at the same time.
        await asyncio.sleep(0.02 if message == "0" else 0)
        events.append(f"end {message!r}")
        if message is None:
            ended.set()

    async with connected(on_message_callback=on_message) as (conn, server):
        await server.send(
            b"".join(encode_frame(Opcode.TEXT, b"%d" % number) for number in range(3))
        )
        await say_goodbye(server, 1000)
        await asyncio.wait_for(ended.wait(), WAIT)
        await conn.wait_closed()
    expected = [f"{part} {m!r}" for m in ("0", "1", "2", None) for part in ("begin", "end")]
    assert events == expected


# E8: a callback raises


class MineError(Exception):
    pass


def plain_callback(log: Log) -> Callable[[str | bytes | None], object]:
    def on_message(message: str | bytes | None) -> None:
        log(message)
        if message == "bad":
            raise MineError("in the callback")

    return on_message


def async_callback(log: Log) -> Callable[[str | bytes | None], object]:
    async def on_message(message: str | bytes | None) -> None:
        log(message)
        await asyncio.sleep(0)
        if message == "bad":
            raise MineError("in the callback")

    return on_message


@pytest.mark.parametrize("kind", [plain_callback, async_callback], ids=["plain", "async"])
async def test_e8_callback_that_raises(
    kind: Callable[[Log], Callable[[str | bytes | None], None]], caplog: pytest.LogCaptureFixture
) -> None:
    log = Log()
    async with connected(on_message_callback=kind(log)) as (conn, server):
        frames = [encode_frame(Opcode.TEXT, text) for text in (b"good", b"bad", b"never seen")]
        await server.send(b"".join(frames))
        assert (await agree(server)).close_code == 1011
        for _ in range(2):
            with pytest.raises(MineError, match="in the callback"):
                await conn.wait_closed()
        assert conn.close_info is not None
        expect_info(conn.close_info, cause="callback_error", initiator="local", sent=1011)
        assert isinstance(conn.close_info.exception, MineError)
        assert conn.close_info.discarded_messages == 1
    assert log == ["good", "bad", None]
    errors = [r for r in caplog.records if r.levelno >= logging.ERROR]
    assert [(r.name, r.exc_info[0] if r.exc_info else None) for r in errors] == [
        ("wsclient", MineError)
    ]


@pytest.mark.parametrize("kind", [plain_callback, async_callback], ids=["plain", "async"])
async def test_e8_last_call_is_none_exactly_once(
    kind: Callable[[Log], Callable[[str | bytes | None], None]],
) -> None:
    log = Log()
    async with connected(on_message_callback=kind(log)) as (conn, server):
        await server.send_frame(Opcode.TEXT, b"good")
        await say_goodbye(server, 1000)
        await conn.wait_closed()
        await conn.close()
        await asyncio.sleep(0.01)
    assert log == ["good", None]


# E9: reading behind the end


async def test_e9_read_behind_the_end_gives_none_again() -> None:
    async with connected() as (conn, server):
        await server.send_frame(Opcode.TEXT, b"last")
        await say_goodbye(server, 1000)
        assert await conn.read_message() == "last"
        for _ in range(3):
            assert await asyncio.wait_for(conn.read_message(), WAIT) is None
        assert [message async for message in conn] == []


# E13: the size limit


def whole(size: int) -> bytes:
    return encode_frame(Opcode.BINARY, b"x" * size)


def in_fragments(size: int) -> bytes:
    first = encode_frame(Opcode.BINARY, b"x" * 600, fin=False)
    return first + encode_frame(Opcode.CONTINUATION, b"x" * (size - 600))


@pytest.mark.parametrize("build", [whole, in_fragments])
async def test_e13_message_of_the_limit_is_delivered(build: Callable[[int], bytes]) -> None:
    async with connected(max_message_size=1000) as (conn, server):
        await server.send(build(1000))
        assert await conn.read_message() == b"x" * 1000
        await server.send(build(1001))
        frame = await frame_of_kind(server, Opcode.CLOSE)
        assert frame.close_code == 1009
        assert "1000" in frame.close_reason
        server.close()
        info = await conn.wait_closed()
        expect_info(info, cause="message_too_big", sent=1009, initiator="local", clean=False)
        assert isinstance(info.exception, MessageTooBigError)
        assert info.exception.limit == 1000
        assert await conn.read_message() is None


@pytest.mark.parametrize("size", [1001, 2**31, 2**62])
async def test_e13_header_of_a_too_big_message_is_enough(size: int) -> None:
    async with connected(max_message_size=1000) as (conn, server):
        # Not a byte of the payload ever comes.
        await server.send(
            b"\x82\x7f" + size.to_bytes(8, "big") if size > 65535 else whole(1001)[:4]
        )
        assert (await frame_of_kind(server, Opcode.CLOSE)).close_code == 1009
        server.close()
        expect_info(await conn.wait_closed(), cause="message_too_big")


@pytest.mark.parametrize("limit", [0, None])
async def test_e13_no_limit(limit: int | None) -> None:
    size = 12 * 1024 * 1024
    async with connected(max_message_size=limit) as (conn, server):
        sending = asyncio.create_task(server.send(whole(size)))
        message = await conn.read_message()
        assert message is not None
        assert len(message) == size
        await sending
        await say_goodbye(server, 1000)
        await conn.wait_closed()


# E14: asking after the end


async def test_e14_everything_can_be_asked_after_the_end() -> None:
    async def serve(wire: RawConnection) -> None:
        await wire.accept({"Sec-WebSocket-Protocol": "chat", "X-Mine": "yes"})
        await agree(wire)

    async with RawServer(serve) as server:
        conn = await websocket_connect(server.url, subprotocols=["chat"])
        for _ in range(2):
            assert conn.selected_subprotocol == "chat"
            assert conn.request_headers["sec-websocket-protocol"] == "chat"
            assert conn.response_headers["x-mine"] == "yes"
            assert str(conn.url) == server.url
            assert conn.local_address[0] == "127.0.0.1"
            assert conn.remote_address == ("127.0.0.1", server.port)
            assert conn.tls is None
            assert conn.latency is None
            assert conn.stats().messages_received == 0
            conn.set_nodelay(True)
            assert "127.0.0.1" in repr(conn)
            await conn.close()
        with pytest.raises(WebSocketClosedError, match="1000"):
            conn.write_message("too late")
        with pytest.raises(WebSocketClosedError):
            conn.ping()


# E15: reads that are not awaited


async def test_e15_read_that_is_not_awaited_takes_no_message() -> None:
    async with connected() as (conn, server):
        dropped = conn.read_message()
        for number in range(4):
            await server.send_frame(Opcode.TEXT, b"%d" % number)
        dropped.close()
        assert [await conn.read_message() for _ in range(4)] == list("0123")
        await say_goodbye(server, 1000)
        assert await conn.read_message() is None


async def test_e15_read_with_a_callback_need_not_be_awaited() -> None:
    futures: list[asyncio.Future[str | bytes | None]] = []
    async with connected() as (conn, server):
        first = conn.read_message(callback=futures.append)
        awaited = conn.read_message(callback=futures.append)
        await server.send_frame(Opcode.TEXT, b"0")
        await server.send_frame(Opcode.TEXT, b"1")
        assert await awaited == "1"
        await server.send_frame(Opcode.TEXT, b"2")
        assert await conn.read_message() == "2"
        await say_goodbye(server, 1000)
        last = conn.read_message(callback=futures.append)
        assert await last is None
        # Awaiting one later is as good as not at all.
        assert await first == "0"
        await asyncio.sleep(0)
    assert [future.result() for future in futures] == ["0", "1", None]
