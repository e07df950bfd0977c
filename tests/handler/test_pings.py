"""Pings and pongs, asked for and automatic, on Tornado's handler and ours."""

from __future__ import annotations

from typing import Any

import pytest

from handler.driver import Calls, Client, close, ping, pong, text
from handler.scenario import both, plain, same
from wsclient.protocol.opcodes import Opcode

INTERVAL = 0.05
"""Seconds between automatic pings."""


@pytest.mark.parametrize("payload", [b"", b"now", b"\xff" * 125], ids=["empty", "text", "longest"])
async def test_a_ping_is_answered_and_seen(payload: bytes) -> None:
    async def drive(client: Client) -> None:
        await client.open()
        await client.send(Opcode.PING, payload)
        await client.leave()

    seen = await same(plain, drive)
    assert seen.frames == [pong(payload), close(1000)]
    assert seen.calls[1:-1] == [("on_ping", payload)]


async def test_pings_keep_their_place_among_messages() -> None:
    def make(base: Any, calls: Calls) -> Any:
        class Handler(base):
            def on_message(self, message: str) -> None:
                calls("on_message", message)
                self.write_message(message)

        return Handler

    async def drive(client: Client) -> None:
        await client.open()
        await client.send_text("a")
        await client.send(Opcode.PING, b"1")
        await client.send_text("b")
        await client.send(Opcode.PONG, b"2")
        await client.send_text("c")
        await client.leave()

    tornado, ours = await both(make, drive)
    messages = [text("a"), text("b"), text("c"), close(1000)]
    assert tornado.frames == [text("a"), pong(b"1"), *messages[1:]]
    # Ours answers a ping when it comes in, if the messages before it wait to be handled.
    assert pong(b"1") in ours.frames
    assert [each for each in ours.frames if each.opcode != Opcode.PONG] == messages
    assert tornado.calls == ours.calls
    assert ours.calls[1:-1] == [
        ("on_message", "a"),
        ("on_ping", b"1"),
        ("on_message", "b"),
        ("on_pong", b"2"),
        ("on_message", "c"),
    ]


@pytest.mark.parametrize(
    ("arguments", "payload"),
    [((b"x",), b"x"), (("é",), "é".encode()), ((b"\xff" * 125,), b"\xff" * 125)],
    ids=["bytes", "str", "longest"],
)
async def test_the_handler_pings(arguments: tuple[Any, ...], payload: bytes) -> None:
    def make(base: Any, calls: Calls) -> Any:
        class Handler(base):
            def open(self) -> None:
                self.ping(*arguments)

        return Handler

    async def drive(client: Client) -> None:
        await client.open()
        frame = await client.receive()
        await client.send(Opcode.PONG, frame.payload)
        await client.leave()

    seen = await same(make, drive)
    assert seen.frames == [ping(payload), close(1000)]
    assert seen.calls[:-1] == [("on_pong", payload)]


async def test_the_handler_pings_without_a_payload() -> None:
    """Tornado's ping is empty; ours has a payload by which its pong is known."""

    def make(base: Any, calls: Calls) -> Any:
        class Handler(base):
            def open(self) -> None:
                self.ping()

        return Handler

    async def drive(client: Client) -> None:
        await client.open()
        frame = await client.receive()
        await client.send(Opcode.PONG, frame.payload)
        await client.leave()

    tornado, ours = await both(make, drive)
    assert tornado.frames[0] == ping()
    for seen in (tornado, ours):
        assert seen.calls[:-1] == [("on_pong", seen.frames[0].payload)]


async def test_a_ping_that_is_too_long() -> None:
    def make(base: Any, calls: Calls) -> Any:
        class Handler(base):
            def open(self) -> None:
                try:
                    self.ping(b"x" * 126)
                except ValueError:
                    calls("ValueError")

        return Handler

    async def drive(client: Client) -> None:
        await client.open()
        await client.leave()

    seen = await same(make, drive)
    assert (seen.calls[0], seen.frames) == (("ValueError",), [close(1000)])


async def test_a_pong_that_nobody_asked_for() -> None:
    async def drive(client: Client) -> None:
        await client.open()
        await client.send(Opcode.PONG, b"x")
        await client.leave()

    seen = await same(plain, drive)
    assert seen.calls[1:-1] == [("on_pong", b"x")]


async def test_on_pong_is_awaited_before_the_next_message() -> None:
    def make(base: Any, calls: Calls) -> Any:
        class Handler(base):
            async def on_pong(self, data: bytes) -> None:
                calls("begin")
                await calls.gate.wait()
                calls("end")

        return Handler

    async def drive(client: Client) -> None:
        await client.open()
        await client.send(Opcode.PONG)
        await client.send_text("a")
        await client.calls.until("begin")
        await client.settle()
        client.calls("go on")
        client.calls.gate.set()
        await client.leave()

    seen = await same(make, drive)
    assert seen.calls[1:-1] == [("begin",), ("go on",), ("end",), ("on_message", "a")]


async def test_a_ping_while_on_message_runs() -> None:
    """`on_ping` does not overtake a message that is at work.

    With Tornado, the pong does not either; ours answers at once, so that a handler that takes
    its time is not taken for a dead peer (RFC 6455, section 5.5.2: "as soon as is practical").
    """

    def make(base: Any, calls: Calls) -> Any:
        class Handler(base):
            async def on_message(self, message: str) -> None:
                calls("begin")
                await calls.gate.wait()
                calls("end")
                self.write_message("done")

        return Handler

    async def drive(client: Client) -> None:
        await client.open()
        await client.send_text("a")
        await client.send(Opcode.PING, b"x")
        await client.calls.until("begin")
        await client.settle()
        client.calls.gate.set()
        await client.leave()

    tornado, ours = await both(make, drive)
    assert tornado.frames == [text("done"), pong(b"x"), close(1000)]
    assert ours.frames == [pong(b"x"), text("done"), close(1000)]
    assert tornado.calls == ours.calls
    assert ours.calls[1:-1] == [("begin",), ("end",), ("on_ping", b"x")]


async def test_automatic_pings() -> None:
    """They come again and again while they are answered, and the handler sees the pongs."""

    async def drive(client: Client) -> None:
        await client.open()
        for _ in range(4):
            frame = await client.receive()
            assert frame.opcode == Opcode.PING
            await client.send(Opcode.PONG, frame.payload)
        await client.calls.until("on_pong", 4)
        await client.leave()

    tornado, ours = await both(plain, drive, websocket_ping_interval=INTERVAL)
    for seen in (tornado, ours):
        payloads = [each.payload for each in seen.frames[:4]]
        assert [note[1] for note in seen.calls[1:5]] == payloads
        assert seen.calls[-1] == ("on_close", 1000, None)


@pytest.mark.parametrize("interval", [None, 0])
async def test_no_automatic_pings(interval: float | None) -> None:
    async def drive(client: Client) -> None:
        await client.open()
        await client.settle()
        await client.leave()

    seen = await same(plain, drive, websocket_ping_interval=interval, websocket_ping_timeout=0.01)
    assert seen.frames == [close(1000)]


async def test_a_timeout_of_0_waits_for_no_pong() -> None:
    async def drive(client: Client) -> None:
        await client.open()
        for _ in range(4):
            assert (await client.receive()).opcode == Opcode.PING
        await client.leave()

    tornado, ours = await both(
        plain, drive, websocket_ping_interval=INTERVAL, websocket_ping_timeout=0
    )
    for seen in (tornado, ours):
        assert seen.calls == [("open", (), {}), ("on_close", 1000, None)]


async def test_a_ping_that_is_not_answered() -> None:
    """Tornado says 1000 then, as if all were well; ours says 1011."""

    async def drive(client: Client) -> None:
        await client.open()
        assert (await client.receive()).opcode == Opcode.PING
        await client.until_end()

    tornado, ours = await both(plain, drive, websocket_ping_interval=INTERVAL)
    assert tornado.frames[-1] == close(1000, "ping timed out")
    assert tornado.calls[-1] == ("on_close", 1000, "ping timed out")
    assert (ours.frames[-1].opcode, ours.close_code) == (Opcode.CLOSE, 1011)
    assert ours.calls[0] == ("open", (), {})
    assert ours.calls[-1][0] == "on_close"
    assert len(ours.calls) == 2
    assert tornado.ended and ours.ended


async def test_the_timeout_may_be_shorter_than_the_interval() -> None:
    """The first ping comes after the interval, and its timeout runs out long before the next."""

    async def drive(client: Client) -> None:
        await client.open()
        await client.until_end()

    tornado, ours = await both(
        plain, drive, websocket_ping_interval=4 * INTERVAL, websocket_ping_timeout=0.01
    )
    for seen in (tornado, ours):
        assert [each.opcode for each in seen.frames] == [Opcode.PING, Opcode.CLOSE]


async def test_another_pong_does_for_the_one_asked_for() -> None:
    """Tornado takes any pong for an answer; RFC 6455, section 5.5.3, is silent on it."""

    async def drive(client: Client) -> None:
        await client.open()
        for _ in range(3):
            assert (await client.receive()).opcode == Opcode.PING
            await client.send(Opcode.PONG, b"something else")
        await client.leave()

    tornado, ours = await both(plain, drive, websocket_ping_interval=INTERVAL)
    assert tornado.calls[-1] == ours.calls[-1] == ("on_close", 1000, None)
