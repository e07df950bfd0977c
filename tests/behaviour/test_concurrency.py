"""Many tasks, full buffers, callbacks that do what they like, and other threads."""

from __future__ import annotations

import asyncio
import random
import threading
from collections.abc import Callable

import pytest

from behaviour.servers import (
    WAIT,
    Log,
    agree,
    connected,
    echo,
    expect_info,
    frame_of_kind,
    numbered_frame,
    pile_up,
    say_goodbye,
    until_received,
)
from wsclient import WebSocketClientConnection, WebSocketClosedError, websocket_connect
from wsclient.protocol.opcodes import Opcode
from wsclient.testing.frames import Frame, encode_frame
from wsclient.testing.raw import RawConnection, RawServer

# Readers


async def test_readers_are_served_first_come_first_served() -> None:
    async with connected() as (conn, server):
        readers = [asyncio.create_task(conn.read_message()) for _ in range(20)]
        await asyncio.sleep(0)
        await server.send(
            b"".join(encode_frame(Opcode.TEXT, b"%d" % number) for number in range(20))
        )
        assert await asyncio.gather(*readers) == [str(number) for number in range(20)]
        await say_goodbye(server)


async def test_late_reader_does_not_overtake_those_who_wait() -> None:
    async with connected() as (conn, server):
        order: list[tuple[str, object]] = []

        async def read(name: str) -> None:
            order.append((name, await conn.read_message()))

        async with asyncio.TaskGroup() as group:
            for name in "abc":
                group.create_task(read(name))
            await asyncio.sleep(0)
            await server.send(
                b"".join(encode_frame(Opcode.TEXT, b"%d" % number) for number in range(4))
            )
            await until_received(conn, 4)
            await read("d")
        assert sorted(order) == [("a", "0"), ("b", "1"), ("c", "2"), ("d", "3")]
        await say_goodbye(server)


async def test_cancelled_readers_lose_nothing() -> None:
    readers, each = 20, 1000
    count = readers * each
    chance = random.Random(6455)
    received: list[int] = []

    async def read_many(conn: WebSocketClientConnection) -> None:
        while True:
            reading = asyncio.create_task(conn.read_message())
            if chance.random() < 0.2:
                for _ in range(chance.randrange(3)):
                    await asyncio.sleep(0)
                reading.cancel()
            try:
                message = await reading
            except asyncio.CancelledError:
                continue
            if message is None:
                return
            received.append(int(message))

    async def send(server: RawConnection) -> None:
        number = 0
        while number < count:
            some = range(number, min(number + chance.randrange(1, 60), count))
            number = some.stop
            await server.send(b"".join(encode_frame(Opcode.TEXT, b"%d" % each) for each in some))
            await asyncio.sleep(0)
        await say_goodbye(server)

    async with connected() as (conn, server), asyncio.TaskGroup() as group:
        for _ in range(readers):
            group.create_task(read_many(conn))
        group.create_task(send(server))
    # Each message once; tasks may note what they took one or two steps out of order.
    assert sorted(received) == list(range(count))
    assert max(abs(number - place) for place, number in enumerate(received)) <= readers


# Writers


async def test_order_of_each_writer_is_kept() -> None:
    writers, each = 50, 40
    frames: list[Frame] = []

    async def write_many(conn: WebSocketClientConnection, writer: int) -> None:
        for number in range(each):
            writing = conn.write_message(f"{writer} {number}")
            if number % 3:
                await writing
            if number % 7 == writer % 7:
                await asyncio.sleep(0)

    async with connected() as (conn, server):
        async with asyncio.TaskGroup() as group:
            for writer in range(writers):
                group.create_task(write_many(conn, writer))
        conn.close()
        frames = await server.read_until_close()
        await server.send_frame(Opcode.CLOSE, frames[-1].payload)
        server.close()
        await conn.wait_closed()
    seen: dict[int, list[int]] = {}
    for frame in frames[:-1]:
        writer, number = map(int, frame.payload.split())
        seen.setdefault(writer, []).append(number)
    assert seen == {writer: list(range(each)) for writer in range(writers)}


async def fill(conn: WebSocketClientConnection) -> int:
    """Write until awaiting would block; return the messages written."""
    written = 0
    while not conn.stats().write_buffer_size > 256 * 1024:
        conn.write_message(written.to_bytes(4, "big").ljust(100_000, b"."), binary=True)
        written += 1
    return written


async def read_numbers(server: RawConnection, count: int) -> list[int]:
    """Read messages of `fill` at the server's end."""
    frames = [await server.read_frame() for _ in range(count)]
    assert {(frame.opcode, frame.fin, len(frame.payload)) for frame in frames} == {
        (Opcode.BINARY, True, 100_000)
    }
    return [int.from_bytes(frame.payload[:4], "big") for frame in frames]


async def test_write_waits_while_the_server_does_not_read() -> None:
    async with connected() as (conn, server):
        written = await fill(conn)
        writing = asyncio.ensure_future(conn.write_message("behind"))
        done, _ = await asyncio.wait([writing], timeout=0.1)
        assert not done, "the write should wait for room"
        assert await read_numbers(server, written) == list(range(written))
        assert (await server.read_frame()).payload == b"behind"
        await asyncio.wait_for(writing, WAIT)
        # Now there is room, so a write does not give way at all.
        assert list(conn.write_message("at once").__await__()) == []
        await say_goodbye(server)


async def test_cancelled_write_leaves_whole_frames() -> None:
    async with connected() as (conn, server):
        written = await fill(conn)
        for number in range(written, written + 5):
            data = number.to_bytes(4, "big").ljust(100_000, b".")
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(conn.write_message(data, binary=True), 0.01)
        # Cancelling the wait did not take the message back.
        assert await read_numbers(server, written + 5) == list(range(written + 5))
        conn.close()
        await agree(server)
        expect_info(await conn.wait_closed(), clean=True)


async def test_write_that_waits_fails_when_the_connection_is_lost() -> None:
    async with connected() as (conn, server):
        await fill(conn)
        writing = asyncio.gather(
            *(conn.write_message("behind") for _ in range(3)), return_exceptions=True
        )
        await asyncio.sleep(0)
        server.writer.transport.abort()
        results = await asyncio.wait_for(writing, WAIT)
        assert [type(result) for result in results] == [WebSocketClosedError] * 3


async def test_buffers_may_be_changed_after_the_call() -> None:
    async with connected() as (conn, server):
        await fill(conn)
        data = bytearray(b"as it was")
        conn.write_message(data, binary=True)
        conn.write_message(memoryview(data)[3:], binary=True)
        data[:] = b"something"
        conn.close()
        frames = await server.read_until_close()
        assert [frame.payload for frame in frames[-3:-1]] == [b"as it was", b"it was"]
        server.close()
        await conn.wait_closed()


# Pings


async def test_pings_of_many_tasks_have_their_own_round_trips() -> None:
    async with RawServer(echo) as server, websocket_connect(server.url) as conn:
        waits = [conn.ping() for _ in range(20)] + [conn.ping(b"same"), conn.ping(b"same")]
        assert all(0 < seconds < WAIT for seconds in await asyncio.gather(*waits))


async def test_ping_fails_when_the_connection_is_lost() -> None:
    async with connected() as (conn, server):
        pinging = asyncio.gather(conn.ping(), conn.ping(b"x"), return_exceptions=True)
        await asyncio.sleep(0)
        server.writer.transport.abort()
        results = await asyncio.wait_for(pinging, WAIT)
        assert [type(result) for result in results] == [WebSocketClosedError] * 2


# Back-pressure


async def test_reading_pauses_and_resumes() -> None:
    async with connected(max_queue_messages=10, max_queue_size=10**9) as (conn, server):
        sent = await pile_up(conn, server)
        assert conn.stats().queued_messages >= 10
        before = conn.stats().messages_received
        await asyncio.sleep(0.05)
        assert conn.stats().messages_received == before
        for number in range(sent):
            message = await conn.read_message()
            assert isinstance(message, bytes)
            assert int.from_bytes(message[:4], "big") == number
        assert not conn.stats().reading_paused
        await say_goodbye(server)
        expect_info(await conn.wait_closed(), clean=True, discarded_messages=0)


async def test_size_of_the_queue_pauses_reading() -> None:
    async with connected(max_queue_messages=10**6, max_queue_size=100_000) as (conn, server):
        await pile_up(conn, server, size=30_000)
        assert conn.stats().queued_size >= 100_000
        while conn.stats().reading_paused:
            await conn.read_message()
        assert conn.stats().queued_size <= 50_000
        conn.close()
        await agree(server)
        await conn.wait_closed()


async def test_backlog_of_an_async_callback_is_bounded() -> None:
    gate = asyncio.Event()
    numbers: list[int] = []

    async def on_message(message: str | bytes | None) -> None:
        await gate.wait()
        if message is not None:
            numbers.append(int.from_bytes(message[:4], "big"))  # type: ignore[arg-type]

    async with connected(on_message_callback=on_message, max_queue_messages=8) as (conn, server):
        sent = await pile_up(conn, server)
        # The server is held back: what it sends stays on its side.
        for number in range(sent, sent + 400):
            server.writer.write(numbered_frame(number, 65536))
        await asyncio.sleep(0.05)
        assert conn.stats().reading_paused
        assert conn.stats().queued_messages < 50
        assert server.writer.transport.get_write_buffer_size() > 65536
        gate.set()
        await say_goodbye(server)
        expect_info(await conn.wait_closed(), clean=True, discarded_messages=0)
    assert numbers == list(range(sent + 400))


# Callbacks that do what they like


async def test_callback_that_writes() -> None:
    log = Log()
    enough = asyncio.Event()

    def on_message(message: str | bytes | None) -> None:
        log(message)
        if isinstance(message, str) and int(message) < 500:
            conn.write_message(str(int(message) + 1))
        else:
            enough.set()

    async with RawServer(echo) as server:
        url = server.url
        async with websocket_connect(url, on_message_callback=on_message) as conn:
            conn.write_message("0")
            await asyncio.wait_for(enough.wait(), WAIT)
    assert log == [*(str(number) for number in range(501)), None]


async def test_callback_that_writes_at_the_end_is_no_fault() -> None:
    def on_message(message: str | bytes | None) -> None:
        conn.write_message("too late")

    async with connected(on_message_callback=on_message) as (conn, server):
        await say_goodbye(server)
        expect_info(await conn.wait_closed(), clean=True, cause="closing_handshake")


async def test_callback_that_opens_a_connection() -> None:
    opened: list[WebSocketClientConnection] = []
    ended = asyncio.Event()

    async def on_message(message: str | bytes | None) -> None:
        if message is None:
            ended.set()
        else:
            opened.append(await websocket_connect(str(message)))

    async with RawServer(echo) as other:
        async with connected(on_message_callback=on_message) as (conn, server):
            await server.send_frame(Opcode.TEXT, other.url.encode())
            await say_goodbye(server)
            await asyncio.wait_for(ended.wait(), WAIT)
        await opened[0].write_message("hello")
        assert await opened[0].read_message() == "hello"
        await opened[0].close()
    assert conn.closed


@pytest.mark.parametrize("name", ["on_ping", "on_pong"])
async def test_control_callback_that_raises(name: str) -> None:
    def fail(data: bytes) -> None:
        raise KeyError(name)

    async with connected(**{name: fail}) as (conn, server):
        await server.send_frame(Opcode.TEXT, b"before")
        await server.send_frame(9 if name == "on_ping" else 10, b"x")
        assert (await agree(server)).close_code == 1011
        with pytest.raises(KeyError, match=name):
            await conn.wait_closed()
        assert conn.close_info is not None
        expect_info(conn.close_info, cause="callback_error", sent=1011)


async def test_messages_before_a_failed_control_callback_can_be_read() -> None:
    def fail(data: bytes) -> None:
        raise KeyError("on_ping")

    async with connected(on_ping=fail) as (conn, server):
        await server.send(encode_frame(Opcode.TEXT, b"before") + encode_frame(9))
        await agree(server)
        with pytest.raises(KeyError):
            await conn.wait_closed()
        assert conn.close_info is not None
        found = [message async for message in conn]
        assert len(found) + conn.close_info.discarded_messages == 1


async def test_callback_is_not_called_before_the_caller_has_its_connection() -> None:
    log: list[object] = []

    async def serve(wire: RawConnection) -> None:
        await wire.accept(extra=encode_frame(Opcode.TEXT, b"early"))
        await agree(wire)

    async with RawServer(serve) as server:
        conn = await websocket_connect(server.url, on_message_callback=log.append)
        assert log == []
        await conn.close()
    assert log == ["early", None]


# Threads


def in_thread(function: Callable[[], object]) -> BaseException | None:
    """Run a function in another thread to its end; return what it raised."""
    raised: list[BaseException] = []

    def run() -> None:
        try:
            function()
        except BaseException as exc:
            raised.append(exc)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    return raised[0] if raised else None


async def leave_block(conn: WebSocketClientConnection) -> None:
    async with conn:
        pass


async def fail_in_block(conn: WebSocketClientConnection) -> None:
    async with conn:
        raise KeyError("mine")


THREAD_CALLS: dict[str, Callable[[WebSocketClientConnection], object]] = {
    "write_message": lambda c: c.write_message("from elsewhere"),
    "ping": lambda c: c.ping(),
    "close": lambda c: c.close(),
    "read_message": lambda c: asyncio.run(c.read_message()),  # type: ignore[arg-type]
    "read with callback": lambda c: c.read_message(print),
    "wait_closed": lambda c: asyncio.run(c.wait_closed()),
    "set_nodelay": lambda c: c.set_nodelay(True),
    "iterate": lambda c: asyncio.run(anext(c)),  # type: ignore[arg-type]
    "async with": lambda c: asyncio.run(leave_block(c)),
    "async with and exception": lambda c: asyncio.run(fail_in_block(c)),
}


RUN = "asyncio.run_coroutine_threadsafe"
SOON = "loop.call_soon_threadsafe"

# What the error says to do instead, by the beginning of the call's name above.
THREAD_ADVICE = {
    "write_message": [f"{SOON}(conn.write_message, message)", "await conn.write_message(message)"],
    "ping": [f"{SOON}(conn.ping)", "await conn.ping() into an async def", f"{RUN}(that(), loop)"],
    "close": [f"{SOON}(conn.close)", "await conn.close() into an async def"],
    "read": [f"{RUN}(conn.read_message(), loop).result()"],
    "wait_closed": [f"{RUN}(conn.wait_closed(), loop).result()"],
    "set_nodelay": [f"{SOON}(conn.set_nodelay, value)"],
    "iterate": [f"{RUN}(conn.read_message(), loop).result()"],
    "async with": ["async with was used", f"{RUN}(main(), loop)"],
}


@pytest.mark.parametrize(("name", "call"), THREAD_CALLS.items(), ids=THREAD_CALLS)
async def test_other_thread_gets_a_clear_error(
    name: str, call: Callable[[WebSocketClientConnection], object]
) -> None:
    [advice] = [each for key, each in THREAD_ADVICE.items() if name.startswith(key)]
    async with RawServer(echo) as server:
        async with websocket_connect(server.url) as conn:
            error = in_thread(lambda: call(conn))
            assert isinstance(error, RuntimeError), repr(error)
            assert all(each in str(error) for each in advice), str(error)
            assert name.startswith("write") or "write_message" not in str(error)
            assert conn.stats().bytes_sent == 0
            await conn.write_message("still there")
            assert await asyncio.wait_for(conn.read_message(), WAIT) == "still there"
        assert conn.close_info is not None
        expect_info(conn.close_info, clean=True)


async def test_other_thread_may_ask() -> None:
    async with RawServer(echo) as server, websocket_connect(server.url) as conn:
        for ask in (
            lambda: conn.closed or conn.close_code or conn.close_reason or conn.close_info,
            lambda: conn.stats(),
            lambda: repr(conn),
            lambda: conn.latency or conn.url,
        ):
            assert in_thread(ask) is None


async def test_other_thread_writes_through_the_loop() -> None:
    loop = asyncio.get_running_loop()
    async with RawServer(echo) as server, websocket_connect(server.url) as conn:
        call = loop.call_soon_threadsafe
        assert in_thread(lambda: call(conn.write_message, "from elsewhere")) is None
        assert await asyncio.wait_for(conn.read_message(), WAIT) == "from elsewhere"


async def test_other_thread_gets_results_as_the_error_says() -> None:
    """A ping is called on the loop; a read is a coroutine already."""
    loop = asyncio.get_running_loop()
    async with RawServer(echo) as server, websocket_connect(server.url) as conn:

        async def that() -> float:
            return await conn.ping()

        def elsewhere() -> tuple[float, object]:
            loop.call_soon_threadsafe(conn.write_message, "from elsewhere")
            read = asyncio.run_coroutine_threadsafe(conn.read_message(), loop)
            ping = asyncio.run_coroutine_threadsafe(that(), loop)
            return ping.result(WAIT), read.result(WAIT)

        round_trip, message = await asyncio.to_thread(elsewhere)
        assert round_trip > 0 and message == "from elsewhere"


async def test_awaitables_are_coroutines_for_tasks() -> None:
    async with connected() as (conn, server):
        writing = asyncio.create_task(conn.write_message("in a task"))
        assert (await frame_of_kind(server, Opcode.TEXT)).payload == b"in a task"
        assert await asyncio.gather(writing, conn.write_message("x")) == [None, None]
        closing = asyncio.create_task(conn.close())
        await agree(server)
        assert (await asyncio.wait_for(closing, WAIT)).clean
