"""Exceptions in a handler after the upgrade, on Tornado's handler and ours.

Tornado ends the TCP connection at once; ours closes with 1011 (RFC 6455, section 7.4.1), so that
a client that is tested against it can tell an error of the server from a lost connection.
"""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from handler.driver import Calls, Client, close, ping, pong
from handler.scenario import both, same
from wsclient.protocol.opcodes import Opcode


def failing_in(method: str, error: BaseException, *, asynchronous: bool = False) -> Any:
    """Make a handler whose `method` raises."""

    def make(base: Any, calls: Calls) -> Any:
        def fail(self: Any, *args: Any) -> None:
            calls("fail")
            raise error

        async def fail_later(self: Any, *args: Any) -> None:
            fail(self, *args)

        return type("Handler", (base,), {method: fail_later if asynchronous else fail})

    return make


@pytest.mark.parametrize("asynchronous", [False, True], ids=["plain", "async"])
async def test_an_error_in_open(asynchronous: bool) -> None:
    """Tornado does not call `on_close` then."""

    async def drive(client: Client) -> None:
        await client.open()
        await client.until_end()

    make = failing_in("open", RuntimeError("on purpose"), asynchronous=asynchronous)
    tornado, ours = await both(make, drive, closes=(0, 1))
    assert (tornado.frames, tornado.ended, tornado.calls) == ([], True, [("fail",)])
    assert (ours.close_code, ours.ended) == (1011, True)
    assert ours.names == ["fail", "on_close"]


@pytest.mark.parametrize("asynchronous", [False, True], ids=["plain", "async"])
@pytest.mark.parametrize(
    ("method", "opcode"),
    [("on_message", Opcode.TEXT), ("on_ping", Opcode.PING), ("on_pong", Opcode.PONG)],
)
async def test_an_error_in_a_call(method: str, opcode: int, asynchronous: bool) -> None:
    async def drive(client: Client) -> None:
        await client.open()
        await client.send(opcode, "x")
        await client.until_end()

    make = failing_in(method, RuntimeError("on purpose"), asynchronous=asynchronous)
    tornado, ours = await both(make, drive)
    pongs = [pong(b"x")] if opcode == Opcode.PING else []
    assert (tornado.frames, tornado.ended) == (pongs, True)
    assert tornado.calls[1:] == [("fail",), ("on_close", None, None)]
    assert (ours.frames[:-1], ours.close_code, ours.ended) == (pongs, 1011, True)
    assert ours.names == ["open", "fail", "on_close"]


async def test_nothing_is_delivered_after_an_error() -> None:
    async def drive(client: Client) -> None:
        await client.open()
        for _ in range(3):
            await client.send_text("x")
        await client.until_end()

    tornado, ours = await both(failing_in("on_message", RuntimeError("on purpose")), drive)
    for seen in (tornado, ours):
        assert seen.names == ["open", "fail", "on_close"]


@pytest.mark.parametrize("asynchronous", [False, True], ids=["plain", "async"])
async def test_a_call_that_is_cancelled(asynchronous: bool) -> None:
    """It is an error like others: it ends the connection and nothing of the server."""

    async def drive(client: Client) -> None:
        await client.open()
        await client.send_text("x")
        await client.until_end()
        await client.drop()
        await client.calls.until("on_close")
        other = client.another()
        await other.open()
        await other.leave()
        await other.drop()

    make = failing_in("on_message", asyncio.CancelledError(), asynchronous=asynchronous)
    tornado, ours = await both(make, drive, closes=2)
    assert (tornado.frames, tornado.ended) == ([], True)
    assert (ours.close_code, ours.ended) == (1011, True)
    for seen in (tornado, ours):
        assert seen.names == ["open", "fail", "on_close", "open", "on_close"]


async def test_an_error_in_on_close_changes_nothing_for_the_client() -> None:
    async def drive(client: Client) -> None:
        await client.open()
        await client.leave(4000)
        await client.drop()
        await client.calls.until("fail")

    seen = await same(failing_in("on_close", RuntimeError("on purpose")), drive, closes=0)
    assert (seen.frames, seen.ended) == ([close(4000)], True)
    assert seen.calls == [("open", (), {}), ("fail",)]


async def test_a_handler_without_on_message() -> None:
    """`on_message` must be defined: the one of the base class raises."""

    def make(base: Any, calls: Calls) -> Any:
        class Handler(base):
            def on_message(self, message: str) -> Any:
                return super(base, self).on_message(message)

        return Handler

    async def drive(client: Client) -> None:
        await client.open()
        await client.send_text("x")
        await client.until_end()

    tornado, ours = await both(make, drive)
    assert (tornado.frames, tornado.ended) == ([], True)
    assert (ours.close_code, ours.ended) == (1011, True)


async def test_a_handler_with_nothing_else() -> None:
    """Every other method has a default that does nothing."""

    def make(base: Any, calls: Calls) -> Any:
        class Handler(base):
            def open(self) -> None:
                calls("open", super(base, self).open())
                self.ping(b"x")

            def on_ping(self, data: bytes) -> None:
                calls("on_ping", super(base, self).on_ping(data))

            def on_pong(self, data: bytes) -> None:
                calls("on_pong", super(base, self).on_pong(data))

            def on_close(self) -> None:
                calls("on_close", super(base, self).on_close())

            def prepare(self) -> None:
                calls("prepare", super().prepare(), super().set_default_headers())

            def select_subprotocol(self, subprotocols: list[str]) -> str | None:
                chosen: str | None = super().select_subprotocol(subprotocols)
                calls("select_subprotocol", chosen, super().get_compression_options())
                return chosen

        return Handler

    async def drive(client: Client) -> None:
        await client.open()
        await client.receive()
        await client.send(Opcode.PONG, b"x")
        await client.send(Opcode.PING)
        await client.leave()

    seen = await same(make, drive)
    assert seen.calls == [
        ("prepare", None, None),
        ("select_subprotocol", None, None),
        ("open", None),
        ("on_pong", None),
        ("on_ping", None),
        ("on_close", None),
    ]
    assert seen.frames == [ping(b"x"), pong(), close(1000)]
