"""The server's end on the wire: how it closes, how it fails, and in which order it sees things."""

from __future__ import annotations

import asyncio
import socket
import ssl
import time
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from testing.raw_client import KEY, MASK, WAIT, RawClient, raw_client, request_head
from wsclient import CloseCause, CloseInfo, CloseInitiator, websocket_connect
from wsclient.protocol.opcodes import Opcode
from wsclient.testing import (
    IssuedCertificate,
    RecorderHandler,
    ServedConnection,
    WebSocketHandler,
    WebSocketServerConnection,
    WebSocketTestServer,
    encode_frame,
)


@pytest.fixture(params=["ws", "wss"])
def contexts(
    request: pytest.FixtureRequest, certificates: IssuedCertificate
) -> tuple[ssl.SSLContext | None, ssl.SSLContext | None]:
    """The server's context and the client's: none without TLS."""
    if request.param == "ws":
        return None, None
    return certificates.server_context(), certificates.trust_context()


@asynccontextmanager
async def both_ends(
    target: Any = RecorderHandler, contexts: Any = (None, None), **settings: Any
) -> AsyncIterator[tuple[RawClient, ServedConnection]]:
    """Give a raw client, and what the server knows of it."""
    async with (
        WebSocketTestServer(target, tls=contexts[0], **settings) as server,
        raw_client(server.port, tls=contexts[1]) as client,
    ):
        yield client, await server.wait_for_connection()


async def until_paused(served: ServedConnection) -> None:
    """Wait until the server reads no more, because its queue is full."""
    async with asyncio.timeout(WAIT):
        # Nothing tells of it.
        while not served.connection.stats().reading_paused:  # noqa: ASYNC110
            await asyncio.sleep(0.001)


def expect(info: CloseInfo, **expected: object) -> None:
    found = {name: getattr(info, name) for name in expected}
    assert found == expected, str(info)


# --- closing --------------------------------------------------------------------------------


async def test_the_server_closes_tcp_first(contexts: Any) -> None:
    """RFC 6455, section 7.1.1: after both Close frames the client waits for our FIN."""
    async with both_ends(contexts=contexts) as (client, served):
        client.send_close(1000, "bye")
        begun = time.monotonic()
        frame = await client.read_frame()
        assert frame is not None
        assert (frame.masked, frame.close_code, frame.close_reason) == (False, 1000, "bye")
        assert await client.read_frame() is None
        assert time.monotonic() - begun < 1.0
        client.writer.close()
        info = await served.wait_closed()
    expect(info, code=1000, reason="bye", clean=True, initiator=CloseInitiator.REMOTE)
    expect(info, cause=CloseCause.CLOSING_HANDSHAKE, received_first=True, sent=1000)


async def test_the_server_begins_to_close_and_closes_tcp_first_too(contexts: Any) -> None:
    async with both_ends(contexts=contexts) as (client, served):
        served.connection.close(3000, "enough")
        frame = await client.read_frame()
        assert frame is not None
        assert (frame.close_code, frame.close_reason) == (3000, "enough")
        # It waits for the client's Close frame; till then messages may come.
        client.send(Opcode.TEXT, b"late")
        client.send_close(3000)
        assert await client.read_frame() is None
        client.writer.close()
        info = await served.wait_closed()
        assert served.received == ["late"]
    expect(info, code=3000, clean=True, initiator=CloseInitiator.LOCAL, received_first=False)


@pytest.mark.parametrize(
    ("payload", "code", "reason", "answer"),
    [
        (b"", 1005, "", b""),
        (b"\x03\xe9", 1001, "", b"\x03\xe9"),
        (b"\x0f\xa0" + b"r" * 123, 4000, "r" * 123, b"\x0f\xa0" + b"r" * 123),
    ],
    ids=["no-code", "1001", "longest"],
)
async def test_a_close_frame_is_answered_with_the_same(
    payload: bytes, code: int, reason: str, answer: bytes
) -> None:
    async with both_ends() as (client, served):
        client.send(Opcode.CLOSE, payload)
        [frame] = await client.read_to_end()
        assert (frame.opcode, frame.payload) == (Opcode.CLOSE, answer)
        client.writer.close()
        expect(await served.wait_closed(), code=code, reason=reason, clean=True)


async def test_a_client_that_never_closes_tcp_is_dropped_after_the_linger(contexts: Any) -> None:
    async with both_ends(contexts=contexts, websocket_close_timeout=0.3) as (client, served):
        begun = time.monotonic()
        client.send_close(1000)
        # It does not read either: over TLS, it answers no close_notify.
        client.writer.transport.pause_reading()  # type: ignore[attr-defined]  # it has it
        info = await served.wait_closed()
        assert 0.2 < time.monotonic() - begun < 1.5
        client.writer.transport.abort()
    expect(info, code=1000, clean=True, cause=CloseCause.CLOSING_HANDSHAKE)


async def test_a_client_that_never_answers_our_close_is_dropped() -> None:
    async with both_ends(websocket_close_timeout=0.2) as (client, served):
        begun = time.monotonic()
        info = await served.connection.close(1000)
        assert 0.15 < time.monotonic() - begun < 1.5
        assert [each.close_code for each in await client.read_to_end()] == [1000]
    expect(info, code=1006, cause=CloseCause.CLOSE_TIMEOUT, sent=1000, received=None)


async def test_closing_at_once_from_both_ends() -> None:
    async with both_ends() as (client, served):
        served.connection.close(3001)
        client.send_close(3002)
        [frame] = await client.read_to_end()
        assert frame.close_code == 3001
        client.writer.close()
        expect(await served.wait_closed(), code=3002, sent=3001, received=3002, clean=True)


async def test_the_client_ends_tcp_without_a_close_frame(contexts: Any) -> None:
    async with both_ends(contexts=contexts) as (client, served):
        client.send(Opcode.TEXT, b"last")
        client.writer.close()
        info = await served.wait_closed()
        assert served.received == ["last"]
    expect(info, code=1006, cause=CloseCause.EOF, sent=None, clean=False)
    assert "The client ended the TCP connection" in info.hint


async def test_messages_before_the_close_frame_are_answered_before_it() -> None:
    async with WebSocketTestServer() as server:
        close = encode_frame(Opcode.CLOSE, b"\x03\xe8", masking_key=MASK)
        hello = encode_frame(Opcode.TEXT, b"hello", masking_key=MASK)
        async with raw_client(server.port, behind=hello * 3 + close) as client:
            frames = await client.read_to_end()
    assert [each.payload for each in frames] == [b"hello"] * 3 + [b"\x03\xe8"]


async def test_nothing_goes_out_behind_the_close_frame() -> None:
    async with both_ends() as (client, served):
        served.connection.close(1000)
        client.send(Opcode.PING, b"late")
        client.send_close(1000)
        frames = await client.read_to_end()
        assert [each.opcode for each in frames] == [Opcode.CLOSE]


# --- failing --------------------------------------------------------------------------------

FAULTS: list[tuple[bytes, int]] = [
    (encode_frame(Opcode.TEXT, b"unmasked"), 1002),
    (encode_frame(3, masking_key=MASK), 1002),
    (encode_frame(Opcode.CLOSE, b"\x03", masking_key=MASK), 1002),
    (encode_frame(Opcode.TEXT, b"\xff", masking_key=MASK), 1007),
    (encode_frame(Opcode.CLOSE, b"\x03\xe8\xff", masking_key=MASK), 1007),
    (encode_frame(Opcode.BINARY, bytes(2000), masking_key=MASK), 1009),
]


@pytest.mark.parametrize(
    ("wire", "code"), FAULTS, ids=["unmasked", "opcode", "close", "utf-8", "reason", "too-big"]
)
async def test_a_fault_is_told_the_client(wire: bytes, code: int, contexts: Any) -> None:
    """RFC 6455, section 7.1.7: the Close frame says why, then TCP ends."""
    async with both_ends(contexts=contexts, websocket_max_message_size=1000) as (client, served):
        client.send(Opcode.TEXT, b"good")
        client.writer.write(wire)
        begun = time.monotonic()
        frames = await client.read_to_end()
        assert time.monotonic() - begun < 1.0
        assert [(each.opcode, each.close_code) for each in frames] == [(Opcode.CLOSE, code)]
        assert frames[0].close_reason.startswith("The client ")
        client.writer.close()
        info = await served.wait_closed()
        assert served.received[0] == "good"
    too_big = code == 1009
    expect(info, cause=CloseCause.MESSAGE_TOO_BIG if too_big else CloseCause.PROTOCOL_ERROR)
    expect(info, code=1006, sent=code, received=None, clean=False)
    assert "client" in info.hint


async def test_the_close_frame_arrives_though_the_client_goes_on_sending(contexts: Any) -> None:
    """Unread bytes would turn our FIN into a reset, and the Close frame could be lost."""
    async with both_ends(contexts=contexts, websocket_max_message_size=1000) as (client, served):
        for _ in range(40):
            client.send(Opcode.BINARY, bytes(100_000))
            await client.writer.drain()
            await asyncio.sleep(0.001)
        frames = await client.read_to_end()
        assert [each.close_code for each in frames] == [1009]
        client.writer.close()
        expect(await served.wait_closed(), sent=1009)


async def test_the_close_frame_arrives_though_reading_was_paused(contexts: Any) -> None:
    leave = asyncio.Event()

    class Slow(WebSocketHandler):
        async def on_message(self, message: str | bytes) -> None:
            await leave.wait()

    async with both_ends(Slow, contexts) as (client, served):
        for _ in range(30):  # more than the queue takes
            client.send(Opcode.BINARY, bytes(500_000))
        await until_paused(served)
        client.writer.write(encode_frame(3, masking_key=MASK))
        leave.set()
        frames = await client.read_to_end()
        assert [each.close_code for each in frames] == [1002]
        client.writer.close()
        expect(await served.wait_closed(), cause=CloseCause.PROTOCOL_ERROR)


async def test_a_client_that_ignores_a_failure_is_dropped(contexts: Any) -> None:
    async with both_ends(contexts=contexts, websocket_close_timeout=0.4) as (client, served):
        begun = time.monotonic()
        client.writer.write(encode_frame(3, masking_key=MASK))
        try:
            while served.close_info is None:
                client.send(Opcode.TEXT, b"and on it goes")
                await client.writer.drain()
                await asyncio.sleep(0.02)
        except ConnectionError:
            pass
        expect(await served.wait_closed(), sent=1002, cause=CloseCause.PROTOCOL_ERROR)
        assert time.monotonic() - begun < 2.0


async def test_our_client_is_told_the_reason_over_tls(certificates: IssuedCertificate) -> None:
    async with WebSocketTestServer(
        RecorderHandler, tls=certificates.server_context(), websocket_max_message_size=1000
    ) as server:
        conn = await websocket_connect(server.url, ssl=certificates.trust_context())
        conn.write_message(bytes(8_000_000), binary=True)
        info = await conn.wait_closed()
    assert (info.code, info.clean) == (1009, True)
    assert "max_message_size is 1000" in info.reason


# --- order ----------------------------------------------------------------------------------


class Ordered(WebSocketHandler):
    """Notes messages, pings and pongs in the order in which it sees them."""

    def initialize(self) -> None:
        self.seen: list[object] = []
        self.ended = asyncio.Event()

    async def on_message(self, message: str | bytes) -> None:
        await asyncio.sleep(0)
        self.seen.append(message)

    def on_ping(self, data: bytes) -> None:
        assert type(data) is bytes
        self.seen.append(("ping", data))

    async def on_pong(self, data: bytes) -> None:
        assert type(data) is bytes
        self.seen.append(("pong", data))

    def on_close(self) -> None:
        self.ended.set()


TRAFFIC: list[tuple[int, bytes, object]] = [
    (Opcode.PING, b"1", ("ping", b"1")),
    (Opcode.TEXT, b"2", "2"),
    (Opcode.PING, b"", ("ping", b"")),
    (Opcode.PONG, b"4", ("pong", b"4")),
    (Opcode.BINARY, b"5", b"5"),
    (Opcode.PONG, b"", ("pong", b"")),
    (Opcode.TEXT, b"", ""),
    (Opcode.PING, b"8" * 125, ("ping", b"8" * 125)),
]


@pytest.mark.parametrize("size", [1, 3, 10_000])
async def test_pings_and_pongs_keep_their_place_between_messages(size: int) -> None:
    wire = b"".join(encode_frame(kind, data, masking_key=MASK) for kind, data, _ in TRAFFIC)
    async with both_ends(Ordered) as (client, served):
        for start in range(0, len(wire), size):
            client.writer.write(wire[start : start + size])
            await asyncio.sleep(0)
        client.send_close(1000)
        frames = await client.read_to_end()
        client.writer.close()
        handler = served.handler
        assert isinstance(handler, Ordered)
        await asyncio.wait_for(handler.ended.wait(), WAIT)
        assert handler.seen == [event for _, _, event in TRAFFIC]
    pongs = [each.payload for each in frames if each.opcode == Opcode.PONG]
    assert pongs == [b"1", b"", b"8" * 125]


async def test_a_ping_is_answered_while_the_handler_is_busy() -> None:
    leave = asyncio.Event()

    class Busy(Ordered):
        async def on_message(self, message: str | bytes) -> None:
            await leave.wait()
            self.seen.append(message)

    async with both_ends(Busy) as (client, served):
        client.send(Opcode.TEXT, b"work")
        client.send(Opcode.PING, b"alive?")
        frame = await client.read_frame()
        assert frame is not None
        assert (frame.opcode, frame.payload) == (Opcode.PONG, b"alive?")
        handler = served.handler
        assert isinstance(handler, Busy)
        assert handler.seen == []
        leave.set()
        client.writer.close()
        await asyncio.wait_for(handler.ended.wait(), WAIT)
        assert handler.seen == ["work", ("ping", b"alive?")]


async def test_a_function_gets_messages_alone() -> None:
    got: list[object] = []

    async def serve(conn: WebSocketServerConnection) -> None:
        async for message in conn:
            got.append(message)

    wire = b"".join(encode_frame(kind, data, masking_key=MASK) for kind, data, _ in TRAFFIC)
    async with both_ends(serve) as (client, served):
        client.writer.write(wire)
        client.send_close(1000)
        await client.read_to_end()
        client.writer.close()
        await served.wait_closed()
    assert got == ["2", b"5", ""]


async def test_frames_in_the_packet_of_the_request_are_not_lost() -> None:
    wire = b"".join(
        encode_frame(Opcode.TEXT, str(number).encode(), masking_key=MASK) for number in range(100)
    )
    async with WebSocketTestServer() as server, raw_client(server.port, behind=wire) as client:
        for number in range(100):
            frame = await client.read_frame()
            assert frame is not None
            assert frame.payload == str(number).encode()


@pytest.mark.parametrize("size", [70_000, 5_000_000])
async def test_much_in_the_packet_of_the_request_is_not_lost(size: int) -> None:
    """More than aiohttp takes before it pauses, and more than our queue takes."""
    half = encode_frame(Opcode.BINARY, bytes(size), masking_key=MASK)
    entered, leave = asyncio.Event(), asyncio.Event()

    class Slow(WebSocketHandler):
        async def prepare(self) -> None:
            entered.set()
            await leave.wait()

        def on_message(self, message: str | bytes) -> Awaitable[None]:
            return self.write_message(str(len(message)))

    async with WebSocketTestServer(Slow) as server:

        async def talk() -> None:
            async with raw_client(server.port, behind=half * 2) as client:
                client.send(Opcode.TEXT, b"x")
                for expected in (size, size, 1):
                    frame = await client.read_frame()
                    assert frame is not None
                    assert frame.payload == str(expected).encode()

        talking = asyncio.create_task(talk())
        await asyncio.wait_for(entered.wait(), WAIT)
        await asyncio.sleep(0.05)
        leave.set()
        await talking


# --- back-pressure and keepalive ------------------------------------------------------------


async def test_a_client_that_sends_too_much_is_held_back() -> None:
    leave = asyncio.Event()
    got: list[int] = []

    class Slow(WebSocketHandler):
        async def on_message(self, message: str | bytes) -> None:
            await leave.wait()
            got.append(len(message))

    async with WebSocketTestServer(Slow, record=False) as server:
        async with websocket_connect(server.url) as conn:
            served = await server.wait_for_connection()
            for _ in range(200):
                conn.write_message(bytes(200_000), binary=True)
            await until_paused(served)
            await asyncio.sleep(0.05)
            assert conn.stats().write_buffer_size > 10_000_000
            assert served.connection.stats().queued_size < 6_000_000
            leave.set()
            assert (await conn.close()).clean
        await served.wait_closed()
    assert got == [200_000] * 200


async def test_a_server_notices_a_client_that_is_gone() -> None:
    async with both_ends(websocket_ping_interval=0.05, websocket_ping_timeout=0.1) as (
        client,
        served,
    ):
        info = await served.wait_closed()
        frames = await client.read_to_end()
    expect(info, cause=CloseCause.PING_TIMEOUT, code=1006, sent=1011)
    assert "The client was silent" in info.hint
    assert Opcode.PING in [each.opcode for each in frames]
    assert frames[-1].close_code == 1011


async def test_the_key_of_these_tests_is_that_of_the_rfc() -> None:
    async with WebSocketTestServer() as server, raw_client(server.port):
        served = await server.wait_for_connection()
        assert served.handshake.request_headers["Sec-WebSocket-Key"] == KEY
        accept = served.handshake.response_headers["Sec-WebSocket-Accept"]
        assert accept == "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="


@pytest.mark.parametrize("turns", range(5))
async def test_a_client_that_closes_its_socket_with_its_close_frame(turns: int) -> None:
    """Our answer brings a reset; after it TCP cannot be half-closed any more."""
    sockets: list[socket.socket] = []

    class Closing(WebSocketHandler):
        async def on_message(self, message: str | bytes) -> None:
            # The Close frame has been read. Close just before it is answered, so that our end
            # does not see the FIN first.
            for _ in range(turns):
                await asyncio.sleep(0)
            sockets[0].close()

    async with WebSocketTestServer(Closing) as server:
        client = socket.create_connection(("127.0.0.1", server.port))
        sockets.append(client)
        client.sendall(request_head())
        served = await server.wait_for_connection()
        assert b" 101 " in client.recv(65536)  # what is unread would bring the reset too early
        hello = encode_frame(Opcode.TEXT, b"x", masking_key=MASK)
        client.sendall(hello + encode_frame(Opcode.CLOSE, b"\x03\xe8", masking_key=MASK))
        info = await served.wait_closed()
    assert (info.cause, info.received) == (CloseCause.CLOSING_HANDSHAKE, 1000)
