"""What happens within one turn of the loop: frames leave together, and readers run at once."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import weakref
from collections.abc import Callable
from typing import Any

import pytest

from connection.far_end import FarEnd, open_near, turns
from support.running import LoopFactory
from wsclient.connection import WebSocketConnection
from wsclient.protocol.codec import why_pure
from wsclient.protocol.codec_pure import build_frame
from wsclient.protocol.opcodes import Opcode
from wsclient.protocol.roles import Role
from wsclient.wire import sender
from wsclient.wire.wire import Wire


def chunks_of(far: FarEnd) -> list[bytes]:
    """Return a list that gets what each call of the transport brings."""
    chunks: list[bytes] = []

    def data_received(data: bytes) -> None:
        chunks.append(data)
        far.received += data

    far.data_received = data_received  # type: ignore[method-assign]  # overheard, not replaced
    return chunks


def wire_of(conn: WebSocketConnection) -> Wire:
    return conn._wire


def receive(wire: Wire, data: bytes) -> None:
    """Do what a loop does when bytes have come."""
    while data:
        buffer = wire.get_buffer(-1)
        count = min(len(data), len(buffer))
        buffer[:count] = data[:count]
        wire.buffer_updated(count)
        data = data[count:]


async def outside_tasks(action: Callable[[], Any]) -> Any:
    """Call it as the loop calls a transport: in no task."""
    done = asyncio.get_running_loop().create_future()
    asyncio.get_running_loop().call_soon(lambda: done.set_result(action()))
    return await done


def message(text: str) -> bytes:
    return build_frame(Opcode.TEXT, text.encode(), masked=False)


# Sending


async def test_the_first_frame_leaves_at_once_and_the_others_together() -> None:
    conn, far = open_near()
    chunks = chunks_of(far)
    for number in range(5):
        conn.write_message(str(number))
    # The transport in memory has what was written, before any turn of the loop.
    assert wire_of(conn).sender.transport.get_write_buffer_size() == 7  # type: ignore[union-attr]
    await turns()
    assert [len(chunk) for chunk in chunks] == [7, 4 * 7]
    assert [frame.payload for frame in far.frames()] == [b"0", b"1", b"2", b"3", b"4"]
    conn.write_message("next turn")
    await turns()
    assert len(chunks) == 3


async def test_no_more_than_64_kib_wait() -> None:
    conn, far = open_near()
    chunks = chunks_of(far)
    for _ in range(9):
        conn.write_message(bytes(20_000), binary=True)
    assert wire_of(conn).sender.buffered == conn.stats().write_buffer_size == 9 * 20_008
    await far_has_all(far, 9 * 20_008)
    assert [len(chunk) // 20_008 for chunk in chunks] == [1, 4, 4]


async def test_a_large_message_is_not_copied_into_the_others() -> None:
    conn, far = open_near()
    chunks = chunks_of(far)
    for size in (1, 2, 3, 200_000, 4, 5):
        conn.write_message(bytes(size), binary=True)
    await far_has_all(far, 200_014 + 5 * 6 + 1 + 2 + 3 + 4 + 5)
    assert [len(frame.payload) for frame in far.frames()] == [1, 2, 3, 200_000, 4, 5]
    assert [len(chunk) for chunk in chunks] == [7, 8 + 9, 200_014, 10 + 11]


async def far_has_all(far: FarEnd, size: int) -> None:
    for _ in range(1000):
        if len(far.received) >= size:
            break
        await asyncio.sleep(0)
    assert len(far.received) == size


async def test_what_was_gathered_leaves_before_the_end_of_tcp(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    build = sender.build_frame

    def without_memory(opcode: Opcode, *arguments: Any, **options: Any) -> bytes:
        if opcode is Opcode.CLOSE:
            raise MemoryError
        return build(opcode, *arguments, **options)

    def on_message(_: object) -> None:
        for text in ("a", "b", "c"):
            conn.write_message(text)
        raise ValueError("no more")

    conn, far = open_near(role=Role.SERVER, on_message_callback=on_message)
    await turns()
    # Else a Close frame takes all with it.
    monkeypatch.setattr(sender, "build_frame", without_memory)
    with pytest.raises(MemoryError):
        receive(wire_of(conn), build_frame(Opcode.TEXT, b"now", masked=True))
    await turns()
    assert [frame.payload for frame in far.frames()] == [b"a", b"b", b"c"]
    far.end()
    with pytest.raises(ValueError, match="no more"):
        await conn.wait_closed()


async def test_a_close_frame_takes_all_with_it() -> None:
    conn, far = open_near()
    conn.write_message("a")
    conn.write_message("b")
    conn.ping(b"c")
    conn.write_message("d")
    conn.close(1001, "bye")
    assert wire_of(conn).sender.buffered == 7 + 7 + 7 + 7 + 11
    assert wire_of(conn).sender.transport.get_write_buffer_size() == 39  # type: ignore[union-attr]
    await turns()
    assert [(frame.opcode, frame.payload[-1:]) for frame in far.frames()] == [
        (Opcode.TEXT, b"a"),
        (Opcode.TEXT, b"b"),
        (Opcode.PING, b"c"),
        (Opcode.TEXT, b"d"),
        (Opcode.CLOSE, b"e"),
    ]


async def test_answers_leave_before_the_transport_gets_its_turn_back() -> None:
    conn, far = open_near()
    chunks = chunks_of(far)

    async def echo() -> None:
        async for text in conn:
            conn.write_message(text)

    task = asyncio.create_task(echo())
    await turns()
    wire = wire_of(conn)
    await outside_tasks(lambda: receive(wire, message("1") + message("2") + message("3")))
    assert wire.sender.buffered == wire.sender.transport.get_write_buffer_size()  # type: ignore[union-attr]
    await turns()
    assert [len(chunk) for chunk in chunks] == [7, 14]
    assert [frame.payload for frame in far.frames()] == [b"1", b"2", b"3"]
    task.cancel()


async def test_pongs_of_one_read_leave_together() -> None:
    conn, far = open_near()
    chunks = chunks_of(far)
    pings = [build_frame(Opcode.PING, b"%d" % number, masked=False) for number in range(10)]
    await outside_tasks(lambda: receive(wire_of(conn), b"".join(pings)))
    await turns()
    assert [frame.payload for frame in far.frames()] == [b"%d" % n for n in range(10)]
    assert len(chunks) == 2


async def test_a_callback_that_raises_leaves_no_frame_behind() -> None:
    def callback(text: str | bytes | None) -> None:
        conn.write_message("1")
        conn.write_message("2")
        raise RuntimeError("of the test")

    conn, far = open_near(on_message_callback=callback)
    await turns()
    await outside_tasks(lambda: receive(wire_of(conn), message("go")))
    await turns()
    assert [frame.opcode for frame in far.frames()] == [Opcode.TEXT, Opcode.TEXT, Opcode.CLOSE]


async def test_what_was_written_before_dropping_the_connection_has_left() -> None:
    conn, _ = open_near()
    conn.write_message("a")
    conn.write_message("b")
    wire_of(conn).abort()
    assert wire_of(conn).sender.gathered == []
    assert (await conn.wait_closed()).clean is False


# Receiving


async def test_a_reader_runs_before_the_transport_gets_its_turn_back() -> None:
    conn, _ = open_near()
    read: list[str | bytes | None] = []

    async def reader() -> None:
        while True:
            read.append(await conn.read_message())

    task = asyncio.create_task(reader())
    await turns()

    def received() -> list[str | bytes | None]:
        receive(wire_of(conn), message("a") + message("b"))
        return list(read)

    assert await outside_tasks(received) == ["a", "b"]
    task.cancel()


async def test_a_reader_runs_in_its_own_context_and_task() -> None:
    conn, _ = open_near()
    variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable", default="wrong")
    seen: list[object] = []

    async def reader() -> None:
        variable.set("right")
        await conn.read_message()
        seen.append((variable.get(), asyncio.current_task()))

    task = asyncio.create_task(reader())
    await turns()
    await outside_tasks(lambda: receive(wire_of(conn), message("a")))
    assert seen == [("right", task)]


@pytest.mark.parametrize("at_once", [True, False])
async def test_a_reader_that_has_read_is_not_kept(at_once: bool) -> None:
    conn, _ = open_near()
    read = asyncio.create_task(conn.read_message())  # type: ignore[arg-type]  # a coroutine is made
    seen = weakref.ref(read)
    await turns()
    if at_once:
        await outside_tasks(lambda: receive(wire_of(conn), message("a")))
    else:
        receive(wire_of(conn), message("a"))
    assert await read == "a"
    gc.disable()
    try:
        del read
        await turns()
        assert seen() is None
    finally:
        gc.enable()


async def test_a_task_does_not_run_within_another_one() -> None:
    conn, _ = open_near()
    read = asyncio.create_task(conn.read_message())  # type: ignore[arg-type]  # a coroutine is made
    await turns()
    receive(wire_of(conn), message("a"))
    assert not read.done()
    assert await read == "a"


async def test_waiting_readers_are_served_in_their_order() -> None:
    conn, _ = open_near()
    order: list[tuple[int, str | bytes | None]] = []

    async def reader(number: int) -> None:
        for _ in range(2):
            order.append((number, await conn.read_message()))

    tasks = [asyncio.create_task(reader(number)) for number in range(3)]
    await turns()
    await outside_tasks(lambda: receive(wire_of(conn), b"".join(map(message, "abcdef"))))
    await asyncio.gather(*tasks)
    assert order == [(0, "a"), (1, "b"), (2, "c"), (0, "d"), (1, "e"), (2, "f")]


async def test_a_reader_that_was_cancelled_takes_nothing() -> None:
    conn, _ = open_near()
    first = asyncio.create_task(conn.read_message())  # type: ignore[arg-type]  # a coroutine is made
    second = asyncio.create_task(conn.read_message())  # type: ignore[arg-type]  # a coroutine is made
    await turns()

    def cancel_and_receive() -> None:
        first.cancel()
        receive(wire_of(conn), message("a"))

    await outside_tasks(cancel_and_receive)
    assert await second == "a"
    with pytest.raises(asyncio.CancelledError):
        await first


@pytest.mark.parametrize("kind", [KeyboardInterrupt, SystemExit])
def test_what_ends_the_program_does(loop_factory: LoopFactory, kind: type[BaseException]) -> None:
    """A reader is run by the transport's call, which must not swallow this."""
    seen: list[str | bytes | None] = []

    async def main() -> None:
        conn, _ = open_near()

        async def reader() -> None:
            seen.append(await conn.read_message())
            raise kind

        task = asyncio.create_task(reader())
        await turns()
        await outside_tasks(lambda: receive(wire_of(conn), message("a")))
        await task

    with asyncio.Runner(loop_factory=loop_factory) as runner, pytest.raises(kind):
        runner.run(main())
    assert seen == ["a"]


def large_frame(size: int) -> tuple[bytes, bytes]:
    payload = bytes(range(256)) * (size // 256 + 1)
    payload = payload[:size]
    return build_frame(Opcode.BINARY, payload, masked=False), payload


@pytest.mark.parametrize("pieces", [1000, 65_536, 262_144, 1_000_000])
async def test_large_messages_of_two_connections_are_not_mixed_up(pieces: int) -> None:
    """They share one buffer, but for what is large."""
    one, two = open_near()[0], open_near()[0]
    frame, payload = large_frame(700_001)
    other, expected = frame[:-1] + b"!", payload[:-1] + b"!"
    for start in range(0, len(frame), pieces):
        receive(wire_of(one), frame[start : start + pieces])
        receive(wire_of(two), other[start : start + pieces])
    receive(wire_of(one), message("behind it"))
    assert await one.read_message() == payload
    assert await two.read_message() == expected
    assert await one.read_message() == "behind it"
    assert one.stats().bytes_received == len(frame) + len(message("behind it"))
    assert (one.stats().messages_received, one.stats().queued_size) == (2, 0)


@pytest.mark.skipif(bool(why_pure), reason=f"the compiled codec is not in use: {why_pure}")
async def test_a_large_message_is_received_into_its_own_memory() -> None:
    conn, _ = open_near()
    wire = wire_of(conn)
    shared = wire.get_buffer(-1)
    frame, payload = large_frame(300_000)
    receive(wire, frame[:1000])
    assert len(wire.get_buffer(-1)) == len(frame) - 1000
    receive(wire, frame[1000:250_000])
    # With so little to come, the next read may as well take what follows.
    assert wire.get_buffer(-1) is shared
    receive(wire, frame[250_000:] + message("behind it"))
    assert await conn.read_message() == payload
    assert await conn.read_message() == "behind it"
