"""Servers that flood, that never read, and that never agree: what it costs and when it ends."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from robustness.faults.expected import SLACK
from robustness.faults.observing import HANG, see_it_closed
from robustness.faults.outcomes import Outcome, closed
from robustness.faults.report import Results
from wsclient import CloseInfo, WebSocketClientConnection, WebSocketClosedError, websocket_connect
from wsclient.protocol.opcodes import Opcode
from wsclient.testing import connection_pair, run_virtual
from wsclient.testing.frames import encode_frame
from wsclient.testing.raw import RawConnection, RawServer

CLOSE_TIMEOUT = 0.4
KIB = 1024
FLOOD = 200_000  # frames

Script = Callable[[RawConnection], Awaitable[object]]

WE_GIVE_UP = closed("close_timeout", initiator="local")
TOO_BIG = closed("message_too_big", initiator="local")


async def ended(
    results: Results, fault: str, begun: float, info: CloseInfo, outcome: Outcome, bound: float
) -> None:
    took = asyncio.get_running_loop().time() - begun
    results.expect(fault, Outcome.of_end(info), took, among=[outcome], bound=bound + SLACK)


async def accept_only(wire: RawConnection) -> None:
    """Accept, and never read again: what is in the kernel's buffers stays there."""
    await wire.accept()
    wire.reader._transport.pause_reading()  # type: ignore[attr-defined]  # no public way
    await asyncio.Event().wait()


async def read_and_say_nothing(wire: RawConnection) -> None:
    await wire.accept()
    await wire.read_to_end()


def flood_of(frame: bytes, *, reads: bool) -> Script:
    """Return a server that sends a frame again and again, as fast as we take it."""
    burst = frame * (65536 // len(frame) + 1)

    async def flood(wire: RawConnection) -> None:
        await wire.accept()
        if not reads:
            wire.reader._transport.pause_reading()  # type: ignore[attr-defined]  # no public way
        reading = asyncio.create_task(wire.reader.read(-1)) if reads else None
        try:
            while True:
                await wire.send(burst)
                await asyncio.sleep(0)
        finally:
            if reading is not None:
                reading.cancel()

    return flood


async def close_in_time(
    conn: WebSocketClientConnection, results: Results, fault: str, outcome: Outcome
) -> None:
    begun = asyncio.get_running_loop().time()
    async with asyncio.timeout(HANG):
        info = await conn.close(1000)
    await ended(results, fault, begun, info, outcome, CLOSE_TIMEOUT)
    await see_it_closed(conn, info)


# Servers that do not read, or do not agree


@pytest.mark.parametrize("full", [False, True], ids=["idle", "buffer full"])
@pytest.mark.parametrize("serve", [accept_only, read_and_say_nothing])
async def test_close_is_never_answered(serve: Script, full: bool, results: Results) -> None:
    async with RawServer(serve) as server:
        conn = await websocket_connect(server.url, close_timeout=CLOSE_TIMEOUT)
        if full and serve is accept_only:
            while conn.stats().write_buffer_size < 512 * KIB:
                conn.write_message(bytes(64 * KIB), binary=True)
                await asyncio.sleep(0)
        fault = f"never answers our Close: {serve.__name__.replace('_', ' ')}"
        await close_in_time(conn, results, fault, WE_GIVE_UP)


async def test_server_that_reads_nothing_holds_no_pings_back(results: Results) -> None:
    async with RawServer(accept_only) as server:
        conn = await websocket_connect(server.url, ping_interval=0.1, ping_timeout=0.3)
        begun = asyncio.get_running_loop().time()
        info = await asyncio.wait_for(conn.wait_closed(), HANG)
        outcome = closed("ping_timeout", initiator="local")
        await ended(results, "never reads, with pings", begun, info, outcome, 0.4)


def test_keepalive_pings_do_not_pile_up() -> None:
    async def main() -> None:
        async with connection_pair(ping_interval=20, ping_timeout=10) as (client, server):
            server.pause_reading()
            while client.stats().write_buffer_size < 256 * KIB:
                client.write_message(bytes(16 * KIB), binary=True)
                await asyncio.sleep(0)
            before = client.stats().write_buffer_size
            for _ in range(3600):
                # It lives: it sends. But it reads nothing, for ten hours.
                server.write_message("still here")
                await client.read_message()
                await asyncio.sleep(10)
            grown = client.stats().write_buffer_size - before
            assert not client.closed
            assert grown < KIB, f"{grown} bytes of pings"
            server.resume_reading()

    run_virtual(main())


# Floods


@pytest.mark.parametrize(("size", "reads"), [(0, True), (125, True), (125, False)])
async def test_flood_of_pings(size: int, reads: bool, results: Results) -> None:
    ping = encode_frame(Opcode.PING, b"p" * size)
    seen = 0

    def count(payload: bytes) -> None:
        nonlocal seen
        seen += 1

    async with RawServer(flood_of(ping, reads=reads)) as server:
        conn = await websocket_connect(server.url, close_timeout=CLOSE_TIMEOUT, on_ping=count)
        largest = 0
        loop = asyncio.get_running_loop()
        longest, last = 0.0, loop.time()
        async with asyncio.timeout(HANG):
            while seen < FLOOD // 4:
                largest = max(largest, conn.stats().write_buffer_size)
                await asyncio.sleep(0)
                longest, last = max(longest, loop.time() - last), loop.time()
        assert not conn.closed
        name = f"flood of pings of {size} bytes, server {'reads' if reads else 'never reads'}"
        results.figure(
            name,
            f"{seen} pings, {largest / KIB:.0f} KiB of pongs held at most, longest turn of the "
            f"loop {longest * 1000:.0f} ms",
        )
        # One mark of the transport, and what one read may add before it is noticed.
        assert largest < 512 * KIB
        await close_in_time(conn, results, name, WE_GIVE_UP)


async def test_flood_of_pongs(results: Results) -> None:
    pong = encode_frame(Opcode.PONG, b"nobody asked")
    async with RawServer(flood_of(pong, reads=True)) as server:
        conn = await websocket_connect(server.url, close_timeout=CLOSE_TIMEOUT)
        ping = asyncio.ensure_future(conn.ping())
        async with asyncio.timeout(HANG):
            # Nothing tells of a pong that nobody asked for.
            while conn.stats().bytes_received < FLOOD * len(pong) // 4:  # noqa: ASYNC110
                await asyncio.sleep(0)
        assert conn.latency is None
        assert not ping.done()
        await close_in_time(conn, results, "flood of pongs", WE_GIVE_UP)
        with pytest.raises(WebSocketClosedError):
            await ping


async def test_flood_of_pings_between_messages_delays_no_message(results: Results) -> None:
    pings = encode_frame(Opcode.PING, b"p" * 20) * 100

    async def serve(wire: RawConnection) -> None:
        await wire.accept()
        reading = asyncio.create_task(wire.read_until_close())
        for number in range(200):
            await wire.send(pings + encode_frame(Opcode.TEXT, b"%d" % number))
        await wire.send_close(1000)
        await reading

    async with RawServer(serve) as server:
        conn = await websocket_connect(server.url)
        begun = asyncio.get_running_loop().time()
        async with asyncio.timeout(HANG):
            assert [message async for message in conn] == [str(n) for n in range(200)]
            info = await conn.wait_closed()
        outcome = closed("closing_handshake", code=1000, clean=True, initiator="remote")
        await ended(results, "100 pings before each message", begun, info, outcome, 0)


# Messages without an end


EMPTY_BLOCK = b"\x00\x00\x00\xff\xff"  # of deflate, not compressed (RFC 1951, section 3.2.4)


def endless(first: bytes, more: bytes) -> Script:
    flood = more * (16 * KIB // len(more))

    async def serve(wire: RawConnection) -> None:
        await wire.accept(
            {"Sec-WebSocket-Extensions": "permessage-deflate"} if first[0] & 0x40 else None
        )
        objection = asyncio.create_task(wire.read_until_close())
        await wire.send(first)
        while not objection.done():
            await wire.send(flood)
            await asyncio.sleep(0)
        await objection

    return serve


ENDLESS = {
    "one byte each, text": endless(
        encode_frame(Opcode.TEXT, b"x", fin=False), encode_frame(0, b"x", fin=False)
    ),
    "one byte each, binary": endless(
        encode_frame(Opcode.BINARY, b"x", fin=False), encode_frame(0, b"x", fin=False)
    ),
    "empty": endless(encode_frame(Opcode.TEXT, b"", fin=False), encode_frame(0, b"", fin=False)),
    "empty, with pings between them": endless(
        encode_frame(Opcode.TEXT, b"", fin=False),
        encode_frame(0, b"", fin=False) + encode_frame(Opcode.PING, b""),
    ),
    "one byte each, deflated to nothing": endless(
        encode_frame(Opcode.BINARY, EMPTY_BLOCK, fin=False, rsv=4),
        encode_frame(0, EMPTY_BLOCK, fin=False),
    ),
    "of a 64-bit length": endless(b"\x82\x7f" + bytes([0x40]) + bytes(7), bytes(KIB)),
}


DEFAULT_LIMIT = 10 * KIB * KIB


@pytest.mark.parametrize(
    ("name", "limit"),
    [(name, 64 * KIB) for name in ENDLESS]
    + [("one byte each, text", DEFAULT_LIMIT), ("empty", DEFAULT_LIMIT)],
)
async def test_endless_message(name: str, limit: int, results: Results) -> None:
    async with RawServer(ENDLESS[name]) as server:
        conn = await websocket_connect(
            server.url,
            max_message_size=limit,
            close_timeout=CLOSE_TIMEOUT,
            compression_options={} if "deflated" in name else None,
        )
        begun = asyncio.get_running_loop().time()
        info = await asyncio.wait_for(conn.wait_closed(), 20 + SLACK)
        fault = f"endless fragments: {name}"
        await ended(results, fault, begun, info, TOO_BIG, 20)
        assert info.sent == 1009
        received = conn.stats().bytes_received
        results.figure(f"{fault}, limit {limit // KIB} KiB", f"given up after {received} bytes")
        assert await conn.read_message() is None


# Ends without an end


async def test_server_that_closes_again_and_again(results: Results) -> None:
    async def serve(wire: RawConnection) -> None:
        await wire.accept()
        for code in (1001, 1000, 1002, 4000):
            await wire.send_close(code)
        await wire.send(encode_frame(Opcode.TEXT, b"late") * 1000)
        await wire.read_to_end()

    async with RawServer(serve) as server:
        conn = await websocket_connect(server.url, close_timeout=CLOSE_TIMEOUT)
        begun = asyncio.get_running_loop().time()
        assert await asyncio.wait_for(conn.read_message(), HANG) is None
        info = await conn.wait_closed()
        outcome = closed("closing_handshake", code=1001, clean=True, initiator="remote")
        await ended(results, "closes four times, TCP never", begun, info, outcome, CLOSE_TIMEOUT)


async def test_server_that_floods_behind_our_close(results: Results) -> None:
    async def serve(wire: RawConnection) -> None:
        await wire.accept()
        await wire.read_until_close()
        await flood_frames(wire)

    async def flood_frames(wire: RawConnection) -> None:
        while True:
            await wire.send(encode_frame(Opcode.BINARY, bytes(KIB)) * 64)
            await asyncio.sleep(0)

    async with RawServer(serve) as server:
        conn = await websocket_connect(
            server.url, close_timeout=CLOSE_TIMEOUT, max_queue_size=64 * KIB
        )
        await close_in_time(conn, results, "answers our Close with a flood", WE_GIVE_UP)
        assert conn.stats().queued_size <= 65 * KIB
