"""The test server: where it runs, what it remembers, and how it ends."""

from __future__ import annotations

import asyncio
import gc
import socket
import ssl
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest
from aiohttp import web

from testing.raw_client import WAIT, raw_client
from wsclient import (
    CloseCause,
    ConnectError,
    HandshakeError,
    WebSocketClientConnection,
    WebSocketClosedError,
    websocket_connect,
)
from wsclient.protocol.opcodes import Opcode
from wsclient.testing import (
    Dialogue,
    EchoHandler,
    IssuedCertificate,
    RecorderHandler,
    ServedConnection,
    WebSocketHandler,
    WebSocketServerConnection,
    WebSocketTestServer,
    encode_frame,
    in_turn,
    make_application,
    websocket_handler,
)


class Boom(Exception):
    """What handlers of these tests raise."""


class Quiet(WebSocketHandler):
    """Does not log what it raises, so that the output of the tests stays short."""

    def log_exception(self, exc: BaseException) -> None:
        """Say nothing."""

    def on_message(self, message: str | bytes) -> Any:
        """Take no note."""


async def exchange(server: WebSocketTestServer, message: str = "x", **options: Any) -> object:
    """Send one message, return the answer, close."""
    async with websocket_connect(server.url, **options) as conn:
        await conn.write_message(message)
        return await conn.read_message()


async def refusal(server: WebSocketTestServer, path: str = "", **options: Any) -> HandshakeError:
    with pytest.raises(HandshakeError) as caught:
        await websocket_connect(server.url + path, **options)
    return caught.value


# --- where it runs --------------------------------------------------------------------------


async def test_it_is_an_echo_by_default() -> None:
    async with WebSocketTestServer() as server:
        assert server.url == f"ws://127.0.0.1:{server.port}/"
        async with websocket_connect(server.url) as conn:
            for message in ("text", b"\xff binary", "", b""):
                await conn.write_message(message, isinstance(message, bytes))
                assert await conn.read_message() == message


async def test_over_tls(certificates: IssuedCertificate) -> None:
    async with WebSocketTestServer(tls=certificates.server_context()) as server:
        assert server.url == f"wss://127.0.0.1:{server.port}/"
        assert await exchange(server, ssl=certificates.trust_context()) == "x"
        served = await server.wait_for_connection()
        assert served.connection.tls is not None
        assert str(served.connection.url) == server.url


async def test_on_ipv6() -> None:
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
    except OSError:
        pytest.skip("this machine has no IPv6 loopback")
    async with WebSocketTestServer(host="::1") as server:
        assert server.url == f"ws://[::1]:{server.port}/"
        assert await exchange(server) == "x"


async def test_a_port_of_ones_choice() -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    server = WebSocketTestServer(port=port)
    assert server.port == port
    async with server:
        assert server.url == f"ws://127.0.0.1:{port}/"
        assert await exchange(server) == "x"


async def test_a_port_in_use() -> None:
    async with WebSocketTestServer() as first:
        second = WebSocketTestServer(port=first.port)
        with pytest.raises(OSError, match="in use"):
            await second.__aenter__()
        with pytest.raises(OSError, match="in use"), second:
            pass
    # Nothing of the attempts is in the way.
    async with second:
        assert await exchange(second) == "x"


async def test_its_repr_says_whether_it_runs() -> None:
    server = WebSocketTestServer()
    assert repr(server) == "<WebSocketTestServer not running>"
    async with server:
        assert repr(server) == f"<WebSocketTestServer {server.url}>"
    assert repr(server) == "<WebSocketTestServer not running>"


async def test_it_can_be_started_again_on_the_same_port() -> None:
    server = WebSocketTestServer()
    async with server:
        url = server.url
        assert await exchange(server) == "x"
    async with server:
        assert server.url == url
        assert await exchange(server) == "x"
    assert len(server.connections) == 2


async def test_it_cannot_be_started_twice_at_once() -> None:
    async with WebSocketTestServer() as server:
        with pytest.raises(RuntimeError, match="runs already"):
            await server.__aenter__()
        with pytest.raises(RuntimeError, match="runs already"):
            server.__enter__()
        assert await exchange(server) == "x"


# --- in a thread ----------------------------------------------------------------------------


def test_in_a_thread_for_plain_tests() -> None:
    """A client that blocks: here a loop that runs for one call at a time."""
    with WebSocketTestServer() as server:
        assert asyncio.run(exchange(server)) == "x"
        served = server.call(server.wait_for_connection)
        server.call(lambda: served.wait_closed())
        assert served.received == ["x"]
        assert served.sent == ["x"]
    assert not [each for each in threading.enumerate() if each.name == "WebSocketTestServer"]


async def test_in_a_thread_for_async_tests() -> None:
    with WebSocketTestServer() as server:
        assert await exchange(server) == "x"
        served = await server.wait_for_connection()
        info = await served.wait_closed()
        assert (info.code, info.clean) == (1000, True)


async def test_in_a_thread_a_connection_is_used_with_run() -> None:
    with WebSocketTestServer(RecorderHandler) as server:
        async with websocket_connect(server.url) as conn:
            served = await server.wait_for_connection()
            with pytest.raises(RuntimeError, match="another thread"):
                served.connection.write_message("x")
            with pytest.raises(RuntimeError, match=r"await server.run"):
                server.call(served.connection.write_message, "from the test")
            await server.run(served.connection.write_message, "from the test")
            assert await conn.read_message() == "from the test"
            handler = served.handler
            assert isinstance(handler, RecorderHandler)
            await server.run(handler.write_message, {"a": 1})
            assert await conn.read_message() == '{"a": 1}'
            assert await server.run(served.connection.ping) > 0
            info = await server.run(served.connection.close, 3000, "enough")
            assert info.clean
            assert (await conn.wait_closed()).code == 3000


def test_call_gives_what_the_function_gives() -> None:
    async def later(a: int, b: int) -> int:
        await asyncio.sleep(0)
        return a + b

    def fail() -> None:
        raise Boom

    async def fail_later() -> None:
        raise Boom

    with WebSocketTestServer() as server:
        assert server.call(lambda a: a * 2, 3) == 6
        assert server.call(later, 1, 2) == 3
        assert server.call(threading.get_ident) != threading.get_ident()
        for function in (fail, fail_later):
            with pytest.raises(Boom):
                server.call(function)


async def test_call_is_for_a_thread_that_runs() -> None:
    server = WebSocketTestServer()
    with pytest.raises(RuntimeError, match="no thread of its own"):
        server.call(print)
    async with server:
        with pytest.raises(RuntimeError, match="no thread of its own"):
            server.call(print)
    with server:
        pass
    with pytest.raises(RuntimeError, match="no thread of its own"):
        server.call(print)


def test_call_in_the_servers_own_thread_would_wait_for_itself() -> None:
    with WebSocketTestServer() as server, pytest.raises(RuntimeError, match="own thread"):
        server.call(lambda: server.call(print))


def test_leaving_the_block_of_a_thread_that_has_ended_says_why() -> None:
    def end() -> None:
        raise SystemExit("of the test")

    server = WebSocketTestServer()
    with pytest.raises(SystemExit, match="of the test"), server:
        loop = server.call(asyncio.get_running_loop)
        loop.call_soon_threadsafe(end)
        assert server._thread is not None
        server._thread._thread.join(WAIT)
        with pytest.raises(RuntimeError):
            server.call(print)
    gc.collect()  # A coroutine that was never awaited would show here.


def test_a_client_whose_loop_stands_still_is_dropped() -> None:
    """As a plain test's is that leaves the block with its connection open."""

    async def connect(url: str) -> WebSocketClientConnection:
        return await websocket_connect(url)

    with asyncio.Runner() as runner:
        with WebSocketTestServer() as server:
            conn = runner.run(connect(server.url))
            begun = time.monotonic()
        assert 0.5 < time.monotonic() - begun < 3
        info = runner.run(conn.wait_closed())
        assert info.received == 1001


# --- what it knows --------------------------------------------------------------------------


async def test_messages_and_frames_are_recorded() -> None:
    async with WebSocketTestServer() as server:
        async with websocket_connect(server.url) as conn:
            await conn.write_message("é")
            await conn.write_message(b"\x00", binary=True)
            await conn.read_message()
            await conn.read_message()
            await conn.ping(b"p")
        served = await server.wait_for_connection()
        await served.wait_closed()
    assert served.received == served.sent == ["é", b"\x00"]
    kinds = [(each.direction, each.opcode, each.masked, each.payload) for each in served.frames]
    both = [("received", True), ("sent", False)]
    for opcode, payload in ((Opcode.TEXT, "é".encode()), (Opcode.BINARY, b"\x00")):
        for direction, masked in both:
            assert (direction, opcode, masked, payload) in kinds
    assert ("received", Opcode.PING, True, b"p") in kinds
    assert ("sent", Opcode.PONG, False, b"p") in kinds
    assert [each.close_code for each in served.frames[-2:]] == [1000, 1000]
    assert [each.direction for each in served.frames[-2:]] == ["received", "sent"]
    times = [each.time for each in served.frames]
    assert times == sorted(times)
    assert times[0] >= 0
    assert times[-1] < WAIT


async def test_fragments_are_recorded_as_frames_and_as_a_message() -> None:
    async with WebSocketTestServer(RecorderHandler) as server:
        async with raw_client(server.port) as client:
            client.send(Opcode.TEXT, b"a", fin=False)
            client.send(Opcode.PING, b"between")
            client.send(Opcode.CONTINUATION, b"b", fin=False)
            client.send(Opcode.CONTINUATION, b"c")
            served = await server.wait_for_connection()
            await served.wait_for(lambda each: each.received)
        received = [each for each in served.frames if each.direction == "received"]
        assert [(each.fin, each.opcode) for each in received] == [
            (False, Opcode.TEXT),
            (True, Opcode.PING),
            (False, Opcode.CONTINUATION),
            (True, Opcode.CONTINUATION),
        ]
        assert served.received == ["abc"]


async def test_compressed_messages_are_recorded_as_they_were_and_as_they_are() -> None:
    text = "the same again and again " * 50
    async with WebSocketTestServer(compression_options={}) as server:
        async with websocket_connect(server.url, compression_options={}) as conn:
            for _ in range(2):
                await conn.write_message(text)
                assert await conn.read_message() == text
            await conn.write_message("plain", compress=False)
            assert await conn.read_message() == "plain"
        served = await server.wait_for_connection()
        await served.wait_closed()
    assert served.received == served.sent == [text, text, "plain"]
    frames = [each for each in served.frames if each.opcode == Opcode.TEXT]
    compressed = [each for each in frames if each.rsv == 4]
    assert len(compressed) == 5, "all but the one that the client sent plain"
    assert all(len(each.payload) < 100 for each in compressed)


async def test_faulty_frames_are_recorded_too() -> None:
    async with WebSocketTestServer(RecorderHandler) as server:
        async with raw_client(server.port) as client:
            client.send(Opcode.TEXT, b"good")
            client.writer.write(encode_frame(3, b"bad", rsv=5))
            client.send(Opcode.TEXT, b"too late")
            frames = await client.read_to_end()
        served = await server.wait_for_connection()
        info = await served.wait_closed()
    assert [each.close_code for each in frames] == [1002]
    assert (info.cause, info.sent) == (CloseCause.PROTOCOL_ERROR, 1002)
    assert served.received == ["good"]
    bad = served.frames[1]
    assert (bad.opcode, bad.rsv, bad.masked, bad.payload) == (3, 5, False, b"bad")
    assert server.errors == [], "a client's fault is no error of a handler"


async def test_what_the_server_sends_wrong_is_recorded() -> None:
    async def serve(conn: WebSocketServerConnection) -> None:
        await conn.write_message("good")
        conn.send_bytes(encode_frame(Opcode.TEXT, b"\xff"))
        await conn.wait_closed()

    async with WebSocketTestServer(serve) as server:
        conn = await websocket_connect(server.url)
        assert (await conn.wait_closed()).cause is CloseCause.PROTOCOL_ERROR
        served = await server.wait_for_connection()
        info = await served.wait_closed()
    assert info.received == 1007
    assert served.sent == ["good"]
    assert [each.payload for each in served.frames[:2]] == [b"good", b"\xff"]


async def test_nothing_is_recorded_if_not_wanted() -> None:
    async with WebSocketTestServer(record=False) as server:
        assert await exchange(server) == "x"
        served = await server.wait_for_connection()
        assert (await served.wait_closed()).clean
        for name in ("frames", "received", "sent"):
            with pytest.raises(AttributeError, match="record=False"):
                getattr(served, name)
        assert served.handshake.status == 101


async def test_handshakes_are_recorded() -> None:
    async with WebSocketTestServer(subprotocols=["b", "a"]) as server:
        url = f"{server.url}chat/%C3%A9?token=secret"
        headers = {"X-Id": "7", "Authorization": "Bearer secret"}
        async with websocket_connect(url, subprotocols=["a", "b"], headers=headers) as conn:
            assert conn.selected_subprotocol == "a"
        served = await server.wait_for_connection()
        handshake = served.handshake
    assert (handshake.method, handshake.target) == ("GET", "/chat/%C3%A9?token=secret")
    assert handshake.request_headers["x-id"] == "7"
    assert handshake.status == 101
    assert handshake.response_headers["Sec-WebSocket-Protocol"] == "a"
    assert "Sec-WebSocket-Accept" in handshake.response_headers
    assert "secret" not in repr(handshake) + repr(server)
    assert served.connection.selected_subprotocol == "a"


async def test_refused_handshakes_are_recorded() -> None:
    class Picky(Quiet):
        def prepare(self) -> None:
            if self.request.query_string == "teapot":
                self.set_header("X-Why", "tea")
                self.set_status(418)
                self.finish("short and stout")
            if self.request.query_string == "raise":
                raise web.HTTPForbidden(text="no", headers={"X-Why": "raised"})

    async with WebSocketTestServer([("/", Picky)]) as server:
        assert (await refusal(server, "?teapot")).status == 418
        assert (await refusal(server, "?raise")).status == 403
        assert (await refusal(server, "elsewhere")).status == 404
        assert (await refusal(server, origin="http://evil.test")).status == 403
        handshakes = [each.handshake for each in server.requests]
        assert [each.status for each in handshakes] == [418, 403, 404, 403]
        assert [each.response_headers.get("X-Why") for each in handshakes[:2]] == ["tea", "raised"]
        assert server.connections == []
        served = server.requests[0]
        assert (served.opened, served.close_info) == (False, None)
        with pytest.raises(AttributeError, match="no WebSocket came of this request"):
            served.connection  # noqa: B018  # it raises


async def test_before_the_answer() -> None:
    entered, leave = asyncio.Event(), asyncio.Event()

    class Slow(Quiet):
        async def prepare(self) -> None:
            entered.set()
            await leave.wait()

    async with WebSocketTestServer(Slow) as server:
        connecting = asyncio.ensure_future(websocket_connect(server.url))
        await asyncio.wait_for(entered.wait(), WAIT)
        [served] = server.requests
        assert repr(served) == "<ServedConnection before the answer>"
        assert isinstance(served.handler, Slow)
        with pytest.raises(AttributeError, match="not been answered yet"):
            served.handshake  # noqa: B018  # it raises
        leave.set()
        await (await connecting).close()
        assert repr(served).startswith("<ServedConnection <WebSocketServerConnection ")


async def test_what_both_ends_know_of_a_connection() -> None:
    async with WebSocketTestServer() as server:
        async with websocket_connect(server.url, headers={"X-A": "1"}) as conn:
            served = await server.wait_for_connection()
            end = served.connection
            assert end.remote_address == conn.local_address
            assert end.local_address == conn.remote_address
            assert end.request_headers["X-A"] == "1"
            assert str(end.url) == server.url
            assert end.tls is None
            assert end.response_headers["Upgrade"] == conn.response_headers["Upgrade"]
            assert (end.closing, end.closed) == (False, False)
        await served.wait_closed()
        assert (end.closing, end.closed) == (True, True)


# --- waiting --------------------------------------------------------------------------------


async def test_waiting_for_what_a_server_sees() -> None:
    async with WebSocketTestServer(RecorderHandler) as server:
        async with websocket_connect(server.url) as one, websocket_connect(server.url) as two:
            second = await server.wait_for_connection(2)
            assert second is server.connections[1]
            waiting = asyncio.create_task(
                server.wait_for(lambda each: sum(len(c.received) for c in each.connections) == 3)
            )
            for conn in (one, two, two):
                assert not waiting.done()
                await conn.write_message("x")
            await waiting
        assert sorted(len(each.received) for each in server.connections) == [1, 2]


async def test_waiting_in_vain() -> None:
    async with WebSocketTestServer() as server:
        with pytest.raises(TimeoutError, match=r"connection 1 did not happen within 0\.05"):
            await server.wait_for_connection(timeout=0.05)
        with pytest.raises(TimeoutError, match="on the server did not happen"):
            await server.wait_for(lambda each: each.errors, timeout=0.05)
        async with websocket_connect(server.url):
            served = await server.wait_for_connection()
            with pytest.raises(TimeoutError, match="end of the connection did not happen"):
                await served.wait_closed(timeout=0.05)
            with pytest.raises(TimeoutError, match="on the connection did not happen"):
                await served.wait_for(lambda each: each.received, timeout=0.05)


async def test_the_end_is_seen_while_a_handler_is_busy() -> None:
    leave = asyncio.Event()

    class Busy(Quiet):
        async def on_message(self, message: str | bytes) -> None:
            await leave.wait()

    async with WebSocketTestServer(Busy) as server:
        async with websocket_connect(server.url) as conn:
            await conn.write_message("x")
            served = await server.wait_for_connection()
            await served.wait_for(lambda each: each.received)
        assert (await served.wait_closed(timeout=1.0)).clean
        leave.set()


# --- errors of handlers ---------------------------------------------------------------------


def failing(where: str, error: type[BaseException] = Boom) -> type[WebSocketHandler]:
    """Return a handler that raises in one of its methods."""

    def fail(*args: Any, **kwargs: Any) -> Any:
        raise error(where)

    async def fail_later(*args: Any, **kwargs: Any) -> Any:
        await asyncio.sleep(0)
        raise error(where)

    name, _, kind = where.partition(" ")
    return type("Failing", (Quiet,), {name: fail_later if kind == "later" else fail})


BEFORE = ["__init__", "initialize", "set_default_headers", "prepare", "prepare later"]
BEFORE += ["check_origin", "select_subprotocol", "get_compression_options"]
AFTER = ["open", "open later", "on_message", "on_message later", "on_ping", "on_ping later"]


@pytest.mark.parametrize("where", BEFORE)
async def test_an_error_before_the_answer_is_a_500_and_fails_the_test(where: str) -> None:
    with pytest.raises(Boom, match=where):
        async with WebSocketTestServer(failing(where)) as server:
            error = await refusal(server, origin=server.url.replace("ws", "http").rstrip("/"))
            assert error.status == 500
            assert [each.handshake.status for each in server.requests] == [500]
            assert [str(each) for each in server.errors] == [where]


@pytest.mark.parametrize("where", AFTER)
async def test_an_error_on_the_connection_is_1011_and_fails_the_test(where: str) -> None:
    with pytest.raises(Boom, match=where):
        async with WebSocketTestServer(failing(where)) as server:
            conn = await websocket_connect(server.url)
            conn.ping(b"p")
            conn.write_message("x")
            assert (await conn.wait_closed()).code == 1011


@pytest.mark.parametrize("where", ["on_close", "on_close later"])
async def test_an_error_at_the_end_fails_the_test(where: str) -> None:
    with pytest.raises(Boom, match=where):
        async with WebSocketTestServer(failing(where)) as server:
            async with websocket_connect(server.url):
                pass
            await server.wait_for(lambda each: each.errors)


async def test_an_error_of_a_function_fails_the_test() -> None:
    async def serve(conn: WebSocketServerConnection) -> None:
        await conn.read_message()
        raise Boom("function")

    with pytest.raises(Boom, match="function"):
        async with WebSocketTestServer(serve) as server:
            conn = await websocket_connect(server.url)
            await conn.write_message("x")
            assert (await conn.wait_closed()).code == 1011


async def test_in_a_thread_errors_fail_the_test_too() -> None:
    with pytest.raises(Boom, match="open"), WebSocketTestServer(failing("open")) as server:
        conn = await websocket_connect(server.url)
        assert (await conn.wait_closed()).code == 1011


@pytest.mark.parametrize("where", ["prepare", "prepare later", "open", "on_message later"])
async def test_an_error_of_a_connection_of_the_handlers_own(where: str) -> None:
    """A handler may be a client itself: its ConnectionError is not the end of our client."""
    with pytest.raises(ConnectionRefusedError, match=where):
        async with WebSocketTestServer(failing(where, ConnectionRefusedError)) as server:
            try:
                conn = await websocket_connect(server.url)
            except HandshakeError as exc:
                assert exc.status == 500
            else:
                conn.write_message("x")
                assert (await conn.wait_closed()).code == 1011


@pytest.mark.parametrize("where", ["open later", "on_message later"])
async def test_a_cancelled_error_that_nobody_asked_for_fails_the_test(where: str) -> None:
    with pytest.raises(RuntimeError, match="nobody had cancelled it"):
        async with WebSocketTestServer(failing(where, asyncio.CancelledError)) as server:
            conn = await websocket_connect(server.url)
            conn.write_message("x")
            assert (await conn.wait_closed()).code == 1011


async def test_several_errors_are_a_group() -> None:
    with pytest.raises(ExceptionGroup) as caught:
        async with WebSocketTestServer(failing("on_message")) as server:
            for _ in range(3):
                conn = await websocket_connect(server.url)
                conn.write_message("x")
                await conn.wait_closed()
    assert [type(each) for each in caught.value.exceptions] == [Boom] * 3
    assert "handlers of the test server raised" in str(caught.value)


async def test_errors_are_noted_on_what_the_block_raised() -> None:
    with pytest.raises(ZeroDivisionError) as caught:
        async with WebSocketTestServer(failing("open")) as server:
            conn = await websocket_connect(server.url)
            await conn.wait_closed()
            raise ZeroDivisionError
    assert caught.value.__notes__ == ["A handler of the test server had raised Boom('open')"]


async def test_errors_can_be_expected() -> None:
    async with WebSocketTestServer(failing("open"), raise_errors=False) as server:
        conn = await websocket_connect(server.url)
        await conn.wait_closed()
        assert [str(each) for each in server.errors] == ["open"]
        assert server.connections[0].errors == server.errors


async def test_writing_too_late_is_no_error() -> None:
    class Late(Quiet):
        async def on_message(self, message: str | bytes) -> None:
            assert self.ws_connection is not None
            await self.ws_connection.wait_closed()
            await self.write_message("too late")

    async with WebSocketTestServer(Late) as server:
        async with websocket_connect(server.url) as conn:
            await conn.write_message("x")
        served = await server.wait_for_connection()
        await served.wait_closed()
    assert server.errors == []


async def test_a_subprotocol_that_was_not_offered() -> None:
    class Wrong(Quiet):
        def select_subprotocol(self, subprotocols: list[str]) -> str | None:
            return "mine"

    with pytest.raises(RuntimeError, match="'mine', which the client did not offer"):
        async with WebSocketTestServer(Wrong) as server:
            assert (await refusal(server, subprotocols=["yours"])).status == 500


@pytest.mark.parametrize(
    "settings",
    [
        {"websocket_ping_interval": -1},
        {"websocket_max_message_size": "big"},
        {"compression_options": {"level": 3}},
    ],
    ids=str,
)
async def test_settings_that_cannot_be_used(settings: dict[str, Any]) -> None:
    with pytest.raises((ValueError, TypeError)):
        async with WebSocketTestServer(**settings) as server:
            assert (await refusal(server)).status == 500


# --- how it ends ----------------------------------------------------------------------------


async def test_stopping_closes_open_connections_with_1001() -> None:
    async with WebSocketTestServer() as server:
        conns = [await websocket_connect(server.url) for _ in range(3)]
        begun = time.monotonic()
    assert time.monotonic() - begun < 0.9, "clients that answer are not waited for"
    for conn in conns:
        info = await conn.wait_closed()
        assert (info.code, info.reason, info.clean) == (1001, "the test server stops", True)
    assert all(each.close_info is not None for each in server.connections)


async def test_stopping_hears_a_client_that_answers_late() -> None:
    server = await WebSocketTestServer().__aenter__()
    async with raw_client(server.port) as client:
        served = await server.wait_for_connection()
        stopping = asyncio.create_task(server.__aexit__(None, None, None))
        frame = await client.read_frame()
        assert frame is not None
        assert frame.close_code == 1001
        await asyncio.sleep(0.2)
        assert not stopping.done()
        client.send_close(1001)
        await stopping
    assert served.close_info is not None
    assert served.close_info.clean


async def test_stopping_drops_a_client_that_never_answers() -> None:
    server = await WebSocketTestServer().__aenter__()
    async with raw_client(server.port):
        served = await server.wait_for_connection()
        begun = time.monotonic()
        await server.__aexit__(None, None, None)
        assert 0.9 < time.monotonic() - begun < 2.0
    assert served.close_info is not None
    assert served.close_info.cause is CloseCause.CANCELLED


async def test_stopping_with_a_client_that_has_not_asked_yet() -> None:
    async with WebSocketTestServer() as server:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        begun = time.monotonic()
    assert time.monotonic() - begun < 1.5
    assert await reader.read() == b""
    writer.close()
    await writer.wait_closed()


@pytest.mark.parametrize("where", ["prepare", "open", "on_message", "on_close", "function"])
async def test_stopping_cancels_a_handler_that_hangs(where: str) -> None:
    entered = asyncio.Event()
    ended: list[str] = []

    async def hang(*args: Any) -> None:
        entered.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            ended.append("cancelled")
            raise

    target: Any = hang if where == "function" else type("Hanging", (Quiet,), {where: hang})
    async with WebSocketTestServer(target) as server:
        connecting = asyncio.ensure_future(websocket_connect(server.url))
        if where != "prepare":
            conn = await connecting
            conn.write_message("x")
            if where == "on_close":
                await conn.close()
        await asyncio.wait_for(entered.wait(), WAIT)
        begun = time.monotonic()
    assert time.monotonic() - begun < 3.0
    assert ended == ["cancelled"]
    if where == "prepare":
        with pytest.raises(ConnectError):
            await connecting
    else:
        await conn.wait_closed()
    assert server.errors == []


async def test_on_close_of_a_cancelled_handler_has_a_second() -> None:
    calls: list[object] = []

    class Hanging(Quiet):
        async def open(self, *args: Any, **kwargs: Any) -> None:
            await asyncio.Event().wait()

        async def on_close(self) -> None:
            calls.append(self.close_code)
            await asyncio.Event().wait()

    async with WebSocketTestServer(Hanging) as server:
        conn = await websocket_connect(server.url)
        begun = time.monotonic()
    assert 1.0 < time.monotonic() - begun < 2.5
    assert calls == [1001]
    assert (await conn.wait_closed()).code == 1001
    assert server.errors == []


async def test_in_a_thread_a_handler_that_hangs_is_cancelled() -> None:
    async def hang(conn: WebSocketServerConnection) -> None:
        await asyncio.Event().wait()

    with WebSocketTestServer(hang) as server:
        conn = await websocket_connect(server.url)
        await conn.close()
        begun = time.monotonic()
    assert time.monotonic() - begun < 1.5


async def test_cancelling_the_block() -> None:
    entered = asyncio.Event()
    conns: list[WebSocketClientConnection] = []

    async def block() -> None:
        async with WebSocketTestServer() as server:
            conns.append(await websocket_connect(server.url))
            entered.set()
            await asyncio.Event().wait()

    task = asyncio.create_task(block())
    await asyncio.wait_for(entered.wait(), WAIT)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert (await conns[0].wait_closed()).code == 1001


@pytest.mark.parametrize("hanging", ["client", "handler"])
async def test_cancelling_the_end_drops_everything(hanging: str) -> None:
    async def hang(conn: WebSocketServerConnection) -> None:
        await asyncio.Event().wait()

    server = WebSocketTestServer(hang if hanging == "handler" else EchoHandler)
    await server.__aenter__()
    async with raw_client(server.port) as client:
        stopping = asyncio.create_task(server.__aexit__(None, None, None))
        assert await client.read_frame() is not None
        if hanging == "handler":
            client.send_close(1001)
        begun = time.monotonic()
        stopping.cancel()
        with pytest.raises(asyncio.CancelledError):
            await stopping
        assert time.monotonic() - begun < 0.9
    assert repr(server) == "<WebSocketTestServer not running>"


async def test_an_error_of_the_block_gets_out_as_it_is() -> None:
    with pytest.raises(Boom):
        async with WebSocketTestServer() as server:
            conn = await websocket_connect(server.url)
            raise Boom
    assert (await conn.wait_closed()).code == 1001


async def test_many_clients_at_once() -> None:
    async with WebSocketTestServer() as server:
        answers = await asyncio.gather(*(exchange(server, str(i)) for i in range(50)))
        assert answers == [str(i) for i in range(50)]
        await server.wait_for(lambda each: all(c.close_info for c in each.connections))
        assert len(server.connections) == 50
        assert sorted(int(str(c.received[0])) for c in server.connections) == list(range(50))


# --- crashing on purpose --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("crash", "cause"),
    [
        (WebSocketServerConnection.abort, CloseCause.EOF),
        (WebSocketServerConnection.reset, CloseCause.RESET),
    ],
    ids=["abort", "reset"],
)
async def test_a_server_that_crashes(
    crash: Callable[[WebSocketServerConnection], None], cause: CloseCause
) -> None:
    async def serve(conn: WebSocketServerConnection) -> None:
        await conn.read_message()
        crash(conn)
        assert conn.closing
        with pytest.raises(WebSocketClosedError):
            conn.write_message("x")
        with pytest.raises(WebSocketClosedError):
            conn.send_bytes(b"x")
        crash(conn)

    async with WebSocketTestServer(serve) as server:
        conn = await websocket_connect(server.url)
        await conn.write_message("x")
        assert (await conn.wait_closed()).cause is cause
        served: ServedConnection = await server.wait_for_connection()
        await served.wait_closed()
        with pytest.raises(WebSocketClosedError):
            served.connection.send_bytes(b"x")


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"ping_interval": 1}, "websocket_ping_interval"),
        ({"max_message_size": 1}, "websocket_max_message_size"),
        ({"websocket_max_message_size": "3"}, "max_message_size"),
        ({"websocket_ping_interval": "1"}, "ping_interval"),
        ({"compression_options": True}, "compression_options"),
        ({"subprotocols": "chat"}, r"\['chat'\]"),
        ({"tls": "certificate.pem"}, "SSLContext"),
    ],
    ids=str,
)
def test_settings_are_checked_at_once(settings: dict[str, Any], says: str) -> None:
    with pytest.raises(TypeError, match=says):
        WebSocketTestServer(**settings)
    if "tls" not in settings:
        with pytest.raises(TypeError, match=says):
            make_application(EchoHandler, **settings)
        with pytest.raises(TypeError, match=says):
            websocket_handler(EchoHandler, **settings)


def test_a_context_for_clients_is_refused() -> None:
    with pytest.raises(ValueError, match="for clients"):
        WebSocketTestServer(tls=ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT))


async def test_every_connection_has_its_turn() -> None:
    async def second(conn: WebSocketServerConnection) -> None:
        await conn.write_message("second")

    target = in_turn(Dialogue().send("first"), second, Dialogue().send("all others"))
    async with WebSocketTestServer(target) as server:
        heard = []
        for _ in range(4):
            async with websocket_connect(server.url) as conn:
                heard.append(await conn.read_message())
    assert heard == ["first", "second", "all others", "all others"]
    with pytest.raises(ValueError, match="at least one"):
        in_turn()
