"""Messages in both directions, on Tornado's handler and ours."""

from __future__ import annotations

from typing import Any

import pytest

from handler.driver import Calls, Client, binary, close, pong, text
from handler.scenario import both, plain, same
from wsclient.protocol.opcodes import Opcode


def echo(base: Any, calls: Calls) -> Any:
    class Echo(base):
        def on_message(self, message: str | bytes) -> None:
            calls("on_message", type(message).__name__, len(message))
            self.write_message(message, binary=isinstance(message, bytes))

    return Echo


@pytest.mark.parametrize("size", [0, 1, 125, 126, 127, 65535, 65536, 200_000])
async def test_messages_of_all_sizes(size: int) -> None:
    async def drive(client: Client) -> None:
        await client.open()
        await client.send(Opcode.TEXT, "x" * size)
        await client.send(Opcode.BINARY, b"\x00" * size)
        await client.leave()

    seen = await same(echo, drive)
    assert seen.frames == [text("x" * size), binary(b"\x00" * size), close(1000)]
    assert seen.calls[1:3] == [("on_message", "str", size), ("on_message", "bytes", size)]


@pytest.mark.parametrize("payload", ["é", "日本", "\U0001f40d", "\x00", "a\u0301", "\ufeff"])
async def test_text_of_all_kinds(payload: str) -> None:
    async def drive(client: Client) -> None:
        await client.open()
        await client.send_text(payload)
        await client.leave()

    seen = await same(echo, drive)
    assert seen.frames == [text(payload), close(1000)]


async def test_fragments_make_one_message() -> None:
    snake = "\U0001f40d".encode()

    async def drive(client: Client) -> None:
        await client.open()
        await client.send(Opcode.TEXT, b"one " + snake[:2], fin=False)
        await client.send(Opcode.CONTINUATION, snake[2:], fin=False)
        await client.send(Opcode.CONTINUATION, b"", fin=False)
        await client.send(Opcode.CONTINUATION, b" two")
        await client.send(Opcode.BINARY, b"\x01", fin=False)
        await client.send(Opcode.CONTINUATION, b"\x02")
        await client.leave()

    seen = await same(plain, drive)
    assert seen.calls[1:-1] == [("on_message", "one \U0001f40d two"), ("on_message", b"\x01\x02")]


async def test_a_ping_between_fragments() -> None:
    async def drive(client: Client) -> None:
        await client.open()
        await client.send(Opcode.TEXT, "a", fin=False)
        await client.send(Opcode.PING, "now")
        assert (await client.receive()) == pong(b"now")
        await client.send(Opcode.CONTINUATION, "b")
        await client.leave()

    seen = await same(plain, drive)
    assert seen.calls[1:-1] == [("on_ping", b"now"), ("on_message", "ab")]


@pytest.mark.parametrize(
    ("message", "as_binary", "frame"),
    [
        pytest.param("é", False, text("é"), id="str"),
        pytest.param("é", True, binary("é".encode()), id="str as binary"),
        pytest.param(b"abc", False, text("abc"), id="bytes as text"),
        pytest.param(b"\xff", True, binary(b"\xff"), id="bytes"),
        pytest.param({"a": [1, None]}, False, text('{"a": [1, null]}'), id="dict"),
        pytest.param({"a": "é"}, False, text('{"a": "\\u00e9"}'), id="dict with non-ASCII"),
        pytest.param({}, True, binary(b"{}"), id="dict as binary"),
        pytest.param("", False, text(""), id="empty"),
    ],
)
async def test_what_write_message_sends(message: Any, as_binary: bool, frame: object) -> None:
    def make(base: Any, calls: Calls) -> Any:
        class Handler(base):
            def open(self) -> None:
                self.write_message(message, binary=as_binary)

        return Handler

    async def drive(client: Client) -> None:
        await client.open()
        await client.leave()

    seen = await same(make, drive)
    assert seen.frames == [frame, close(1000)]


async def test_a_dict_with_markup() -> None:
    """Tornado escapes ``</`` for scripts in pages; it is the same JSON."""

    def make(base: Any, calls: Calls) -> Any:
        class Handler(base):
            def open(self) -> None:
                self.write_message({"a": "</b>"})

        return Handler

    tornado, ours = await both(make, open_and_leave)
    assert tornado.frames[0] == text('{"a": "<\\/b>"}')
    assert ours.frames[0] == text('{"a": "</b>"}')


def writing(message: Any) -> Any:
    """Make a handler that notes what class of error writing `message` raises."""

    def make(base: Any, calls: Calls) -> Any:
        class Handler(base):
            def open(self) -> None:
                try:
                    self.write_message(message)
                except (TypeError, ValueError, AssertionError) as error:
                    kinds = (TypeError, ValueError, AssertionError)
                    calls(next(kind.__name__ for kind in kinds if isinstance(error, kind)))

        return Handler

    return make


async def open_and_leave(client: Client) -> None:
    await client.open()
    await client.leave()


@pytest.mark.parametrize(
    ("message", "error"),
    [
        pytest.param(5, "TypeError", id="int"),
        pytest.param(["a"], "TypeError", id="list"),
        pytest.param({"a": object()}, "TypeError", id="dict that is no JSON"),
        pytest.param("\ud800", "ValueError", id="lone surrogate"),
    ],
)
async def test_what_cannot_be_written(message: Any, error: str) -> None:
    seen = await same(writing(message), open_and_leave)
    assert seen.calls == [(error,), ("on_close", 1000, None)]
    assert seen.frames == [close(1000)]


async def test_none_cannot_be_written() -> None:
    """Tornado's conversion lets ``None`` through, and an assertion finds it."""
    tornado, ours = await both(writing(None), open_and_leave)
    assert (tornado.calls[0], ours.calls[0]) == (("AssertionError",), ("TypeError",))
    assert tornado.frames == ours.frames == [close(1000)]


async def test_open_may_write_and_so_may_a_later_call() -> None:
    def make(base: Any, calls: Calls) -> Any:
        class Handler(base):
            async def open(self) -> None:
                await self.write_message("hello")

            async def on_message(self, message: str) -> None:
                await self.write_message(f"1 {message}")
                calls("written", await self.write_message(f"2 {message}"))

        return Handler

    async def drive(client: Client) -> None:
        await client.open()
        await client.send_text("a")
        await client.send_text("b")
        await client.leave()

    seen = await same(make, drive)
    assert seen.frames == [*map(text, ["hello", "1 a", "2 a", "1 b", "2 b"]), close(1000)]
    assert seen.calls == [("written", None), ("written", None), ("on_close", 1000, None)]


async def test_no_message_is_delivered_before_open_has_returned() -> None:
    def make(base: Any, calls: Calls) -> Any:
        class Handler(base):
            async def open(self) -> None:
                calls("open")
                self.write_message("hello")
                await calls.gate.wait()
                calls("opened")

        return Handler

    async def drive(client: Client) -> None:
        await client.open()
        await client.send_text("a")
        await client.send_text("b")
        assert await client.receive() == text("hello")
        await client.settle()
        client.calls("go on")
        client.calls.gate.set()
        await client.leave()

    seen = await same(make, drive)
    assert seen.names == [
        "open",
        "go on",
        "opened",
        "on_message",
        "on_message",
        "on_close",
    ]


async def test_messages_in_the_packet_of_the_request() -> None:
    early = b"\x81\x81\x00\x00\x00\x00a" + b"\x81\x81\x00\x00\x00\x00b"

    async def drive(client: Client) -> None:
        await client.open(early=early)
        await client.leave()

    seen = await same(plain, drive)
    assert seen.calls[:-1] == [("open", (), {}), ("on_message", "a"), ("on_message", "b")]


async def test_frames_that_arrive_byte_by_byte() -> None:
    async def drive(client: Client) -> None:
        await client.open()
        for byte in b"\x81\x83\x00\x00\x00\x00abc":
            await client.send_raw(bytes([byte]))
            await client.settle()
        await client.leave()

    seen = await same(plain, drive)
    assert seen.calls[1:] == [("on_message", "abc"), ("on_close", 1000, None)]


async def test_on_message_is_awaited_before_the_next_message() -> None:
    def make(base: Any, calls: Calls) -> Any:
        class Handler(base):
            async def on_message(self, message: str) -> None:
                calls("begin", message)
                await calls.gate.wait()
                calls("end", message)

        return Handler

    async def drive(client: Client) -> None:
        await client.open()
        for message in "abc":
            await client.send_text(message)
        await client.calls.until("begin")
        await client.settle()
        client.calls("go on")
        client.calls.gate.set()
        await client.leave()

    seen = await same(make, drive)
    assert seen.calls[1:-1] == [
        ("begin", "a"),
        ("go on",),
        ("end", "a"),
        ("begin", "b"),
        ("end", "b"),
        ("begin", "c"),
        ("end", "c"),
    ]


async def test_on_close_waits_for_on_message() -> None:
    """The client is gone, but its last message is still at work."""

    def make(base: Any, calls: Calls) -> Any:
        class Handler(base):
            async def on_message(self, message: str) -> None:
                calls("begin")
                await calls.gate.wait()
                calls("end")

        return Handler

    async def drive(client: Client) -> None:
        await client.open()
        await client.send_text("a")
        await client.calls.until("begin")
        await client.send_close(4000)
        await client.settle()
        client.calls("go on")
        client.calls.gate.set()
        await client.until_end()

    seen = await same(make, drive)
    assert seen.calls[1:] == [("begin",), ("go on",), ("end",), ("on_close", 4000, None)]


async def test_many_messages_keep_their_order() -> None:
    async def drive(client: Client) -> None:
        await client.open()
        for number in range(500):
            await client.send_text(str(number))
        await client.leave()

    seen = await same(echo, drive)
    assert seen.frames == [*(text(str(number)) for number in range(500)), close(1000)]


@pytest.mark.parametrize("value", [True, False])
async def test_set_nodelay(value: bool) -> None:
    def make(base: Any, calls: Calls) -> Any:
        class Handler(base):
            def open(self) -> None:
                self.set_nodelay(value)
                calls("set_nodelay")

        return Handler

    seen = await same(make, open_and_leave)
    assert seen.calls == [("set_nodelay",), ("on_close", 1000, None)]
