"""Connections joined in memory: as over TCP, but in the same order each time."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from wsclient import CloseCause, CloseInitiator, MessageTooBigError, WebSocketClosedError
from wsclient.testing import connection_pair, run_virtual
from wsclient.testing.memory import joined_transports


async def test_messages_pass_both_ways() -> None:
    async with connection_pair() as (client, server):
        client.write_message("to the server")
        client.write_message(b"\x00\x01", binary=True)
        server.write_message({"to": "the client"})
        assert await server.read_message() == "to the server"
        assert await server.read_message() == b"\x00\x01"
        assert await client.read_message() == '{"to": "the client"}'
    assert client.close_info is not None and client.close_info.clean
    assert server.close_info is not None and server.close_info.clean
    assert server.close_info.initiator is CloseInitiator.REMOTE


async def test_the_handshake_is_a_real_one() -> None:
    options = {"client_max_window_bits": 9}
    async with connection_pair(
        subprotocols=["a", "b"],
        compression_options={},
        server_options={"compression_options": options},
    ) as (client, server):
        assert client.selected_subprotocol == server.selected_subprotocol == "a"
        assert client.extensions == "permessage-deflate; client_max_window_bits=9"
        assert server.request_headers["Sec-WebSocket-Protocol"] == "a, b"
        client.write_message("hello " * 1000)
        assert await server.read_message() == "hello " * 1000
        assert server.stats().bytes_received < 200


async def test_no_compression_where_the_server_wants_none() -> None:
    async with connection_pair(
        compression_options={}, server_options={"compression_options": None}
    ) as (client, _):
        assert client.extensions == ""


async def test_callback_mode() -> None:
    got: list[str | bytes | None] = []
    async with connection_pair(on_message_callback=got.append) as (client, server):
        server.write_message("1")
        server.write_message("2")
        await server.close(1012, "restart")
        await client.wait_closed()
    assert got == ["1", "2", None]


async def test_what_a_callback_raised_is_raised() -> None:
    def fail(message: str | bytes | None) -> None:
        if message is not None:
            raise KeyError(message)

    with pytest.raises(KeyError, match="boom"):
        async with connection_pair(on_message_callback=fail) as (_, server):
            server.write_message("boom")
            await server.wait_closed()


async def test_the_order_is_the_same_every_time() -> None:
    async def run() -> list[str]:
        order: list[str] = []
        async with connection_pair(
            on_message_callback=lambda m: order.append(f"client {m!r}"),
            on_ping=lambda p: order.append(f"ping {p!r}"),
        ) as (client, server):

            async def serve() -> None:
                async for message in server:
                    order.append(f"server {message!r}")
                    server.write_message(f"re {message!r}")
                    server.ping(b"p")

            task = asyncio.create_task(serve())
            for number in range(20):
                client.write_message(str(number))
                if number % 3 == 0:
                    await asyncio.sleep(0)
            await client.ping()
            await client.close()
            await task
        return order

    first = await run()
    assert len(first) == 20 * 3 + 1
    assert await run() == first == await run()


async def test_a_reset_and_an_abort() -> None:
    async with connection_pair() as (client, server):
        server.reset()
        assert (await client.wait_closed()).cause is CloseCause.RESET
    async with connection_pair() as (client, server):
        server.write_message("lost")
        server.abort()
        assert (await client.wait_closed()).cause is CloseCause.EOF
        assert await client.read_message() is None


async def test_a_faulty_frame_fails_the_connection() -> None:
    async with connection_pair() as (client, server):
        server.send_bytes(b"\x83\x00")
        assert (await client.wait_closed()).cause is CloseCause.PROTOCOL_ERROR
        info = await server.wait_closed()
        assert info.code == 1002 and info.clean


async def test_limits_hold() -> None:
    async with connection_pair(max_message_size=10) as (client, server):
        server.write_message("x" * 11)
        info = await client.wait_closed()
        assert isinstance(info.exception, MessageTooBigError)
        assert (await server.wait_closed()).code == 1009


async def test_back_pressure_reaches_the_writer() -> None:
    payload = b"z" * 50_000
    async with connection_pair(max_queue_messages=4) as (client, server):
        written = 0
        while not server._wire.sender.paused:
            server.write_message(payload, binary=True)
            written += 1
            await asyncio.sleep(0)
        waiting = asyncio.create_task(_await(server.write_message(payload, binary=True)))
        for _ in range(20):
            await asyncio.sleep(0)
        assert not waiting.done()
        assert client.stats().reading_paused
        for _ in range(written + 1):
            assert await client.read_message() == payload
        await waiting


async def _await(awaitable: Any) -> None:
    await awaitable


async def test_nothing_can_be_sent_afterwards() -> None:
    async with connection_pair() as (client, server):
        pass
    for end in (client, server):
        with pytest.raises(WebSocketClosedError):
            end.write_message("too late")


async def test_a_block_that_raises_drops_the_connection() -> None:
    with pytest.raises(ZeroDivisionError):
        async with connection_pair() as (client, server):
            raise ZeroDivisionError
    assert client.closed and server.closed


async def test_a_cancelled_block_leaves_nothing() -> None:
    async def block() -> None:
        async with connection_pair() as (client, server):
            ends.extend((client, server))
            await client.read_message()

    ends: list[Any] = []
    task = asyncio.create_task(block())
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert all(end.closed for end in ends)


async def test_unknown_options_are_refused() -> None:
    with pytest.raises(TypeError, match="colour"):
        async with connection_pair(colour="red"):
            pass


def test_a_peer_that_hangs_is_found_in_virtual_time() -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        async with connection_pair(ping_interval=20, ping_timeout=10) as (client, server):
            await asyncio.sleep(1000)
            assert not client.closed
            server.pause_reading()
            before = loop.time()
            info = await client.wait_closed()
            assert info.cause is CloseCause.PING_TIMEOUT
            assert 10 <= loop.time() - before <= 31

    run_virtual(main())


class Collector(asyncio.Protocol):
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.events: list[Any] = []

    def data_received(self, data: bytes) -> None:
        self.events.append(data)

    def eof_received(self) -> bool:
        self.events.append("eof")
        return True

    def connection_lost(self, exc: Exception | None) -> None:
        self.events.append(("lost", type(exc)))

    def pause_writing(self) -> None:
        self.events.append("pause")

    def resume_writing(self) -> None:
        self.events.append("resume")


async def turns(number: int = 10) -> None:
    for _ in range(number):
        await asyncio.sleep(0)


async def test_transports_half_close() -> None:
    near, far = joined_transports(asyncio.get_running_loop())
    left, right = Collector(), Collector()
    near.set_protocol(left)
    far.set_protocol(right)
    near.write(b"last words")
    near.write_eof()
    await turns()
    assert right.events == [b"last words", "eof"]
    far.write(b"answer")
    far.close()
    await turns()
    assert left.events == [b"answer", "eof"]
    near.close()
    await turns()
    assert left.events[-1] == right.events[-1] == ("lost", type(None))


async def test_transports_hold_back_the_writer() -> None:
    near, far = joined_transports(asyncio.get_running_loop())
    left, right = Collector(), Collector()
    near.set_protocol(left)
    far.set_protocol(right)
    far.pause_reading()
    near.set_write_buffer_limits(high=10, low=5)
    near.write(b"x" * 8)
    assert left.events == []
    near.write(b"x" * 8)
    assert left.events == ["pause"]
    assert near.get_write_buffer_size() == 16
    await turns()
    assert right.events == []
    far.resume_reading()
    await turns()
    assert left.events == ["pause", "resume"]
    assert b"".join(right.events) == b"x" * 16
    near.abort()
    await turns()


async def test_a_closing_transport_waits_until_all_is_taken() -> None:
    near, far = joined_transports(asyncio.get_running_loop())
    left, right = Collector(), Collector()
    near.set_protocol(left)
    far.set_protocol(right)
    far.pause_reading()
    near.write(b"x")
    near.close()
    near.write(b"not sent")
    await turns()
    assert left.events == []
    far.resume_reading()
    await turns()
    assert right.events == [b"x", "eof"]
    assert left.events == [("lost", type(None))]
    far.close()
    await turns()
