"""The closing handshake from both ends, on Tornado's handler and ours."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from handler.driver import Calls, Client, close, text
from handler.scenario import both, plain, same
from wsclient.protocol.opcodes import Opcode
from wsclient.testing.frames import encode_frame
from wsclient.testing.reset import reset


def closing(*arguments: Any) -> Any:
    """Make a handler that closes when it gets a message."""

    def make(base: Any, calls: Calls) -> Any:
        class Handler(base):
            def on_message(self, message: str) -> None:
                try:
                    self.close(*arguments)
                    calls("close")
                except Exception as error:
                    kind = ValueError if isinstance(error, ValueError) else type(error)
                    calls(kind.__name__)

        return Handler

    return make


async def ask_for_close(client: Client) -> None:
    await client.open()
    await client.send_text("close, please")
    await client.until_end()


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        pytest.param(1000, "", id="1000"),
        pytest.param(1001, "bye", id="code and reason"),
        pytest.param(None, "", id="no code"),
        pytest.param(4999, "é" * 61, id="longest reason"),
        pytest.param(3000, "", id="3000"),
        pytest.param(1011, "", id="1011"),
    ],
)
async def test_the_client_closes(code: int | None, reason: str) -> None:
    """The server answers with the same code; ours with the same reason, too.

    RFC 6455, section 5.5.1, says that the code is typically echoed.
    """

    async def drive(client: Client) -> None:
        await client.open()
        await client.leave(code, reason)

    tornado, ours = await both(plain, drive)
    assert (tornado.frames, ours.frames) == ([close(code)], [close(code, reason)])
    for seen in (tornado, ours):
        assert seen.calls[1:] == [("on_close", code, reason or None)]
        assert seen.ended


@pytest.mark.parametrize(
    ("arguments", "code", "reason"),
    [
        pytest.param((1000,), 1000, "", id="code"),
        pytest.param((4000, "enough"), 4000, "enough", id="code and reason"),
        pytest.param((None, "enough"), 1000, "enough", id="reason"),
        pytest.param((1001, "é" * 61), 1001, "é" * 61, id="longest reason"),
        pytest.param((1012, ""), 1012, "", id="empty reason"),
    ],
)
async def test_the_handler_closes(
    arguments: tuple[Any, ...], code: int | None, reason: str
) -> None:
    """The client answers with the same payload, and that is what `on_close` is told."""
    seen = await same(closing(*arguments), ask_for_close)
    assert (seen.frames, seen.ended) == ([close(code, reason)], True)
    assert seen.calls[1:] == [("close",), ("on_close", code, reason or None)]


async def test_the_handler_closes_without_a_code() -> None:
    """Tornado sends no code then, which RFC 6455, section 7.1.5, makes 1005; ours sends 1000."""
    tornado, ours = await both(closing(), ask_for_close)
    assert (tornado.frames, ours.frames) == ([close()], [close(1000)])
    assert tornado.calls[1:] == [("close",), ("on_close", None, None)]
    assert ours.calls[1:] == [("close",), ("on_close", 1000, None)]


async def test_a_reason_that_is_too_long() -> None:
    async def drive(client: Client) -> None:
        await client.open()
        await client.send_text("close, please")
        await client.calls.until("ValueError")
        await client.drop()

    seen = await same(closing(1000, "x" * 124), drive)
    assert seen.calls[1] == ("ValueError",)


@pytest.mark.parametrize("code", [999, 1005, 1006, 1015, 5000])
async def test_codes_that_may_not_be_sent(code: int) -> None:
    """Tornado sends any number; RFC 6455, section 7.4, forbids these."""

    async def drive(client: Client) -> None:
        await client.open()
        await client.send_text("close, please")
        await client.calls.until("close" if client.side == "tornado" else "ValueError")
        await client.leave()

    tornado, ours = await both(closing(code), drive)
    assert tornado.close_code == code
    assert ours.calls[1:] == [("ValueError",), ("on_close", 1000, None)]
    assert ours.frames == [close(1000)]


async def test_the_client_answers_with_another_code() -> None:
    async def drive(client: Client) -> None:
        await client.open()
        await client.send_text("close, please")
        await client.receive()
        await client.leave(1001, "going")

    seen = await same(closing(4000, "enough"), drive)
    assert seen.frames == [close(4000, "enough")]
    assert seen.calls[-1] == ("on_close", 1001, "going")


async def test_the_handler_closes_after_the_client() -> None:
    """Tornado reads no frame while `open` runs; ours has answered meanwhile."""

    def make(base: Any, calls: Calls) -> Any:
        class Handler(base):
            async def open(self) -> None:
                calls("open")
                await calls.gate.wait()
                self.close(4000, "enough")

        return Handler

    async def drive(client: Client) -> None:
        await client.open()
        await client.send_close(4001)
        await client.settle()
        client.calls.gate.set()
        await client.until_end()

    tornado, ours = await both(make, drive)
    assert (tornado.frames, ours.frames) == ([close(4000, "enough")], [close(4001)])
    assert tornado.calls == ours.calls == [("open",), ("on_close", 4001, None)]


async def test_open_may_close() -> None:
    def make(base: Any, calls: Calls) -> Any:
        class Handler(base):
            def open(self) -> None:
                self.write_message("no")
                self.close(4003, "no entry")
                calls("open")

        return Handler

    async def drive(client: Client) -> None:
        await client.open()
        await client.until_end()

    seen = await same(make, drive)
    assert (seen.status, seen.frames) == (101, [text("no"), close(4003, "no entry")])
    assert seen.calls == [("open",), ("on_close", 4003, "no entry")]


async def test_messages_before_close_are_sent() -> None:
    def make(base: Any, calls: Calls) -> Any:
        class Handler(base):
            def on_message(self, message: str) -> None:
                for number in range(100):
                    self.write_message(str(number) * 1000)
                self.close(1000)

        return Handler

    seen = await same(make, ask_for_close)
    assert seen.frames == [*(text(str(number) * 1000) for number in range(100)), close(1000)]


async def test_messages_in_flight_when_the_handler_closes() -> None:
    """They were sent before the client knew, and they are delivered."""

    def make(base: Any, calls: Calls) -> Any:
        class Handler(base):
            def on_message(self, message: str) -> None:
                calls("on_message", message)
                self.close(4000)

        return Handler

    async def drive(client: Client) -> None:
        await client.open()
        await client.send_raw(
            b"".join(
                encode_frame(Opcode.TEXT, each, masking_key=bytes(4)) for each in (b"a", b"b")
            )
        )
        await client.until_end()

    seen = await same(make, drive)
    assert seen.calls[1:] == [("on_message", "a"), ("on_message", "b"), ("on_close", 4000, None)]


async def test_nothing_is_delivered_after_the_clients_close() -> None:
    async def drive(client: Client) -> None:
        await client.open()
        late = [
            encode_frame(Opcode.TEXT, b"late", masking_key=bytes(4)),
            encode_frame(Opcode.PING, masking_key=bytes(4)),
        ]
        await client.send_raw(
            encode_frame(Opcode.CLOSE, close(1000).payload, masking_key=bytes(4)) + b"".join(late)
        )
        await client.until_end(answer=False)

    seen = await same(plain, drive)
    assert seen.calls == [("open", (), {}), ("on_close", 1000, None)]
    assert seen.frames == [close(1000)]


@pytest.mark.parametrize(
    ("method", "arguments"), [("write_message", ("late",)), ("ping", ()), ("ping", (b"late",))]
)
async def test_nothing_may_be_sent_after_close(method: str, arguments: tuple[Any, ...]) -> None:
    def make(base: Any, calls: Calls) -> Any:
        class Handler(base):
            def on_message(self, message: str) -> None:
                self.close(1000)
                self.try_it("after close")

            def on_close(self) -> None:
                self.try_it("in on_close")
                calls("on_close")

            def try_it(self, when: str) -> None:
                try:
                    getattr(self, method)(*arguments)
                except Exception as error:
                    calls(when, type(error).__name__)

        return Handler

    seen = await same(make, ask_for_close)
    assert seen.frames == [close(1000)]
    assert seen.calls[1:] == [
        ("after close", "WebSocketClosedError"),
        ("in on_close", "WebSocketClosedError"),
        ("on_close",),
    ]


async def test_closing_twice_changes_nothing() -> None:
    def make(base: Any, calls: Calls) -> Any:
        class Handler(base):
            def on_message(self, message: str) -> None:
                self.close(4000, "first")
                self.close(4001, "second")

            def on_close(self) -> None:
                self.close(4002, "third")
                calls("on_close", self.close_code, self.close_reason)

        return Handler

    seen = await same(make, ask_for_close)
    assert seen.frames == [close(4000, "first")]
    assert seen.calls[1:] == [("on_close", 4000, "first")]


async def test_what_is_known_before_and_in_on_close() -> None:
    def make(base: Any, calls: Calls) -> Any:
        class Handler(base):
            def open(self, room: str) -> None:
                self.room = room
                calls("open", self.close_code, self.close_reason)

            def on_close(self) -> None:
                calls("on_close", self.close_code, self.close_reason, self.room)
                calls("request", self.request.path, list(self.path_args))

        return Handler

    async def drive(client: Client) -> None:
        await client.open("/red")
        await client.leave(4000)
        await client.drop()
        await client.calls.until("request")

    seen = await same(make, drive, route=r"/(\w+)")
    assert seen.calls == [
        ("open", None, None),
        ("on_close", 4000, None, "red"),
        ("request", "/red", ["red"]),
    ]


@pytest.mark.parametrize("how", ["end", "reset"])
async def test_the_client_vanishes(how: str) -> None:
    async def drive(client: Client) -> None:
        await client.open()
        await client.send_text("a")
        await client.calls.until("on_message")
        if how == "reset":
            reset(client.wire.writer.transport)
        await client.drop()

    seen = await same(plain, drive)
    assert seen.calls[1:] == [("on_message", "a"), ("on_close", None, None)]


async def test_the_client_vanishes_while_open_runs() -> None:
    def make(base: Any, calls: Calls) -> Any:
        class Handler(base):
            async def open(self) -> None:
                calls("open")
                await calls.gate.wait()
                calls("opened")

        return Handler

    async def drive(client: Client) -> None:
        await client.open()
        await client.calls.until("open")
        await client.drop()
        await client.settle()
        client.calls("go on")
        client.calls.gate.set()

    seen = await same(make, drive)
    assert seen.calls == [("open",), ("go on",), ("opened",), ("on_close", None, None)]


async def test_the_client_vanishes_after_the_handlers_close() -> None:
    async def drive(client: Client) -> None:
        await client.open()
        await client.send_text("close, please")
        await client.receive()
        await client.drop()

    seen = await same(closing(4000), drive)
    assert seen.frames == [close(4000)]
    assert seen.calls[1:] == [("close",), ("on_close", None, None)]


async def test_another_task_closes() -> None:
    """A handler is closed from outside of its own calls."""

    def make(base: Any, calls: Calls) -> Any:
        class Handler(base):
            def open(self) -> None:
                loop = asyncio.get_running_loop()
                loop.call_soon(loop.call_soon, self.close, 1001, "restart")

        return Handler

    async def drive(client: Client) -> None:
        await client.open()
        await client.until_end()

    seen = await same(make, drive)
    assert seen.frames == [close(1001, "restart")]
    assert seen.calls == [("on_close", 1001, "restart")]
