"""Conversations written down: what is expected of the client, and what it hears."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from testing.raw_client import raw_client
from wsclient import (
    CloseCause,
    CloseInfo,
    WebSocketClientConnection,
    WebSocketClosedError,
    websocket_connect,
)
from wsclient.protocol.opcodes import Opcode
from wsclient.testing import (
    Dialogue,
    DialogueError,
    WebSocketServerConnection,
    WebSocketTestServer,
    close_frame,
    encode_frame,
)

Talk = Callable[[WebSocketClientConnection], Awaitable[None]]


async def silence(conn: WebSocketClientConnection) -> None:
    """Say nothing until the server closes."""
    async for _ in conn:
        pass


def say(*messages: str | bytes) -> Talk:
    """Say all of this, whatever the server does, and then hear it out."""

    async def talk(conn: WebSocketClientConnection) -> None:
        for message in messages:
            await conn.write_message(message, isinstance(message, bytes))
        await silence(conn)

    return talk


async def play(dialogue: Dialogue, talk: Talk = silence, **options: Any) -> CloseInfo:
    """Play a dialogue with one client to its end; return how the client saw it end.

    What the server found wrong is raised.
    """
    async with WebSocketTestServer(dialogue) as server:
        conn = await websocket_connect(server.url, **options)
        async with conn:
            await talk(conn)
            info = await conn.wait_closed()
        await (await server.wait_for_connection()).wait_closed()
    return info


async def fault(dialogue: Dialogue, talk: Talk = silence) -> DialogueError:
    """Return what the server found wrong."""
    with pytest.raises(DialogueError) as caught:
        await play(dialogue, talk)
    return caught.value


# --- the steps ------------------------------------------------------------------------------


async def test_a_conversation() -> None:
    heard: list[object] = []

    async def talk(conn: WebSocketClientConnection) -> None:
        await conn.write_message("hello")
        heard.append(await conn.read_message())
        await conn.write_message(b"\x00", binary=True)
        heard.append(await conn.read_message())
        heard.append(json.loads(str(await conn.read_message())))
        heard.append(await conn.read_message())

    dialogue = (
        Dialogue()
        .expect("hello")
        .send("welcome")
        .expect(b"\x00")
        .send(b"\x01")
        .send({"done": True})
        .close(3001, "bye")
    )
    info = await play(dialogue, talk)
    assert heard == ["welcome", b"\x01", {"done": True}, None]
    assert (info.code, info.reason, info.clean) == (3001, "bye", True)


async def test_after_the_last_step_it_closes_with_1000() -> None:
    info = await play(Dialogue())
    assert (info.code, info.clean, info.received_first) == (1000, True, True)


async def test_a_step_makes_a_new_dialogue() -> None:
    hello = Dialogue().expect("hello")
    polite, rude = hello.send("welcome"), hello.close(1008)
    assert (await play(polite, say("hello"))).code == 1000
    assert (await play(rude, say("hello"))).code == 1008
    assert repr(hello) == "<Dialogue expect>"
    assert repr(polite) == "<Dialogue expect send>"


async def test_each_connection_begins_anew() -> None:
    async with WebSocketTestServer(Dialogue().expect("1").send("a").expect("2")) as server:
        conns = [await websocket_connect(server.url) for _ in range(3)]
        for conn in conns:
            await conn.write_message("1")
        for conn in reversed(conns):
            assert await conn.read_message() == "a"
            await conn.write_message("2")
        assert [(await conn.wait_closed()).code for conn in conns] == [1000] * 3


@pytest.mark.parametrize(
    ("expected", "message"),
    [
        pytest.param("x", "x", id="text"),
        pytest.param(b"x", b"x", id="binary"),
        pytest.param("", "", id="empty"),
        pytest.param(re.compile(r"\w+ \d+"), "a 1", id="pattern"),
        pytest.param(re.compile(rb"\x00.+"), b"\x00ab", id="pattern-of-bytes"),
        pytest.param({"a": [1]}, '{ "a": [1] }', id="json"),
        pytest.param(lambda message: len(message) == 3, "abc", id="function"),
        pytest.param(None, "anything", id="anything"),
        pytest.param(None, b"", id="anything-binary"),
    ],
)
async def test_what_is_expected(expected: Any, message: str | bytes) -> None:
    assert (await play(Dialogue().expect(expected), say(message))).code == 1000


@pytest.mark.parametrize(
    ("expected", "message"),
    [
        pytest.param("x", "y", id="another-text"),
        pytest.param("x", b"x", id="binary"),
        pytest.param(b"x", "x", id="text"),
        pytest.param(re.compile("a"), "ab", id="not-the-whole-text"),
        pytest.param(re.compile("a"), b"a", id="pattern-of-text"),
        pytest.param(re.compile(b"a"), "a", id="pattern-of-bytes"),
        pytest.param({"a": 1}, '{"a": 2}', id="other-json"),
        pytest.param({"a": 1}, "no json", id="no-json"),
        pytest.param({"a": 1}, b'{"a": 1}', id="binary-json"),
    ],
)
async def test_what_is_not_expected(expected: Any, message: str | bytes) -> None:
    error = await fault(Dialogue().send("first").expect(expected), say(message))
    assert error.step == 2
    assert str(error) == f"step 2 of the dialogue: expected {expected!r}, but {message!r} came"


async def test_a_function_is_shown_by_its_name() -> None:
    def even(message: str | bytes) -> bool:
        return len(message) % 2 == 0

    error = await fault(Dialogue().expect(even), say("abc"))
    assert str(error) == "step 1 of the dialogue: expected what even takes, but 'abc' came"


async def test_a_coroutine_function_cannot_be_expected() -> None:
    async def always(message: str | bytes) -> bool:
        return True

    with pytest.raises(TypeError, match="plain function"):
        Dialogue().expect(always)


async def test_a_long_message_is_not_shown_whole() -> None:
    error = await fault(Dialogue().expect("x"), say("y" * 100_000))
    assert "'... (of length 100000) came" in str(error)
    assert len(str(error)) < 400


async def test_the_client_sees_1011_when_it_says_something_else() -> None:
    async with WebSocketTestServer(Dialogue().expect("x"), raise_errors=False) as server:
        async with websocket_connect(server.url) as conn:
            await conn.write_message("y")
            assert (await conn.wait_closed()).code == 1011
        assert isinstance(server.errors[0], DialogueError)


async def test_silence_is_an_error_after_the_timeout() -> None:
    error = await fault(Dialogue(timeout=0.05).expect("x"))
    assert error.step == 1
    assert str(error).endswith("expected 'x', but nothing came for 0.05 seconds")
    error = await fault(Dialogue(timeout=0.05).expect())
    assert str(error).endswith("expected a message, but nothing came for 0.05 seconds")


async def test_without_a_timeout_it_waits() -> None:
    async def talk(conn: WebSocketClientConnection) -> None:
        await asyncio.sleep(0.1)
        await say("x")(conn)

    assert (await play(Dialogue(timeout=None).expect("x"), talk)).code == 1000


async def test_the_client_leaves_too_early() -> None:
    async def leave(conn: WebSocketClientConnection) -> None:
        await conn.close(3000, "no time")

    error = await fault(Dialogue().expect("x"), leave)
    assert "expected 'x', but the connection ended: 3000 closing_handshake" in str(error)
    error = await fault(Dialogue().expect_close().send("x"), leave)
    assert (error.step, "expected to send, but the connection is closed" in str(error)) == (
        2,
        True,
    )


async def test_expecting_the_end() -> None:
    async def leave(conn: WebSocketClientConnection) -> None:
        await conn.close(3000)

    await play(Dialogue().expect_close(), leave)
    await play(Dialogue().expect_close(3000), leave)
    error = await fault(Dialogue().expect_close(3001), leave)
    assert "expected the end with code 3001, but it was: 3000 closing_handshake" in str(error)
    error = await fault(Dialogue().expect_close(), say("not yet"))
    assert str(error).endswith("expected the end, but 'not yet' came")


async def test_any_end_will_do_where_no_code_is_expected() -> None:
    async with WebSocketTestServer(Dialogue().expect_close()) as server:
        async with raw_client(server.port):
            pass  # TCP ends without a Close frame.
        info = await (await server.wait_for_connection()).wait_closed()
    assert info.cause is CloseCause.EOF


async def test_bytes_as_they_are() -> None:
    heard: list[Any] = []

    async def talk(conn: WebSocketClientConnection) -> None:
        heard.append(await conn.read_message())
        await silence(conn)

    wire = encode_frame(Opcode.TEXT, b"a", fin=False) + encode_frame(Opcode.CONTINUATION, b"b")
    info = await play(Dialogue().send_bytes(wire).send_bytes(close_frame(1005)), talk)
    assert heard == ["ab"]
    assert info.cause is CloseCause.PROTOCOL_ERROR
    assert "1005" in str(info.exception)


async def test_a_ping_waits_for_its_pong() -> None:
    pings: list[bytes] = []
    await play(Dialogue().ping(b"are you there?").ping(), on_ping=pings.append)
    assert pings[0] == b"are you there?"
    assert len(pings) == 2


async def test_a_pong_that_never_comes() -> None:
    async with (
        WebSocketTestServer(Dialogue(timeout=0.05).ping(b"x"), raise_errors=False) as server,
        raw_client(server.port) as client,
    ):
        frame = await client.read_frame()
        assert frame is not None
        assert frame.opcode == Opcode.PING
        last = await client.read_frame()
        assert last is not None
        assert last.close_code == 1011
        client.send_close(1011)
    assert str(server.errors[0]).endswith("expected a pong, but nothing came for 0.05 seconds")


async def test_a_delay() -> None:
    loop = asyncio.get_running_loop()
    begun = loop.time()
    await play(Dialogue().delay(0.1))
    assert loop.time() - begun >= 0.1


async def test_an_abort_is_a_reset() -> None:
    info = await play(Dialogue().send("x").abort())
    assert info.cause is CloseCause.RESET


async def test_closing_waits_for_the_client() -> None:
    infos: list[CloseInfo | None] = []

    async def look(conn: WebSocketServerConnection) -> None:
        infos.append(conn.close_info)

    info = await play(Dialogue().close(1000, "done").call(look).expect_close(1000))
    assert (info.code, info.reason) == (1000, "done")
    assert infos[0] is not None
    assert infos[0].clean


async def test_a_function_of_ones_own() -> None:
    async def shout(conn: WebSocketServerConnection) -> None:
        await conn.write_message(str(await conn.read_message()).upper())

    heard: list[object] = []

    async def talk(conn: WebSocketClientConnection) -> None:
        await conn.write_message("a")
        heard.append(await conn.read_message())

    await play(Dialogue().call(shout), talk)
    assert heard == ["A"]


@pytest.mark.parametrize("error", [TimeoutError, ZeroDivisionError])
@pytest.mark.parametrize("timeout", [5.0, None])
@pytest.mark.parametrize("step", ["call", "expect"])
async def test_what_a_function_raises_is_raised_as_it_is(
    error: type[Exception], timeout: float | None, step: str
) -> None:
    def check(message: str | bytes) -> bool:
        raise error("mine")

    async def act(conn: WebSocketServerConnection) -> None:
        raise error("mine")

    dialogue = Dialogue(timeout=timeout)
    dialogue = dialogue.call(act) if step == "call" else dialogue.expect(check)
    with pytest.raises(error, match="mine"):
        await play(dialogue, say("x"))


async def test_it_can_be_run_by_hand() -> None:
    async def serve(conn: WebSocketServerConnection) -> None:
        assert await conn.read_message() == "first"
        with pytest.raises(DialogueError):
            await Dialogue().expect("second").run(conn)
        await conn.write_message("went on")

    async with (
        WebSocketTestServer(serve) as server,
        websocket_connect(server.url) as conn,
    ):
        await conn.write_message("first")
        await conn.write_message("third")
        assert await conn.read_message() == "went on"


async def test_a_dialogue_that_is_not_over_when_the_server_stops() -> None:
    with pytest.raises(DialogueError, match="expected 'x', but the connection ended"):
        async with WebSocketTestServer(Dialogue().expect("x")) as server:
            conn = await websocket_connect(server.url)
    assert (await conn.wait_closed()).code == 1001
    with pytest.raises(WebSocketClosedError):
        conn.write_message("x")


# --- arguments ------------------------------------------------------------------------------


@pytest.mark.parametrize("timeout", [-1, float("nan"), float("inf")])
def test_a_timeout_is_a_number_of_seconds(timeout: float) -> None:
    with pytest.raises(ValueError, match="timeout"):
        Dialogue(timeout=timeout)
    with pytest.raises(ValueError, match="delay"):
        Dialogue().delay(timeout)


@pytest.mark.parametrize("value", ["1", True, object()])
def test_seconds_are_a_number(value: Any) -> None:
    with pytest.raises(TypeError):
        Dialogue(timeout=value)
    with pytest.raises(TypeError):
        Dialogue().delay(value)


@pytest.mark.parametrize("expected", [5, ["a"], object()])
def test_what_cannot_be_expected(expected: Any) -> None:
    with pytest.raises(TypeError, match="expect a str, bytes, a compiled pattern"):
        Dialogue().expect(expected)


@pytest.mark.parametrize(
    ("message", "error"),
    [(5, TypeError), (None, TypeError), ("\ud800", ValueError), ({"a": float("nan")}, ValueError)],
)
def test_what_cannot_be_sent(message: Any, error: type[Exception]) -> None:
    with pytest.raises(error):
        Dialogue().send(message)


def test_what_cannot_be_closed_or_pinged_with() -> None:
    with pytest.raises(ValueError, match="1005"):
        Dialogue().close(1005)
    with pytest.raises(ValueError, match="123"):
        Dialogue().close(1000, "x" * 124)
    with pytest.raises(ValueError, match="125"):
        Dialogue().ping(bytes(126))


async def test_bytes_like_objects_are_sent_as_binary() -> None:
    heard: list[object] = []

    async def talk(conn: WebSocketClientConnection) -> None:
        heard.append(await conn.read_message())

    data: Any = bytearray(b"\xff")
    await play(Dialogue().send(data), talk)
    assert heard == [b"\xff"]
