"""Handlers: what is called when, what they can do, and how they live in an aiohttp application."""

from __future__ import annotations

import asyncio
import logging
import socket
import time
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import ClientSession, web
from aiohttp.test_utils import TestServer

from testing.raw_client import MASK, WAIT, RawClient, raw_client, request_head
from wsclient import (
    CloseCause,
    CompressionOptions,
    ConnectError,
    HandshakeError,
    WebSocketClosedError,
    websocket_connect,
)
from wsclient.protocol.opcodes import Opcode
from wsclient.testing import (
    EchoHandler,
    IssuedCertificate,
    RecorderHandler,
    WebSocketHandler,
    WebSocketServerConnection,
    WebSocketTestServer,
    encode_frame,
    make_application,
    websocket_handler,
)
from wsclient.testing.serving.handler import settled
from wsclient.testing.serving.routes import close_websockets


class Log(WebSocketHandler):
    """Notes all calls; each kind of method as it is in the class."""

    def initialize(self) -> None:
        self.calls: list[tuple[object, ...]] = []
        self.ended = asyncio.Event()

    def open(self, *args: Any, **kwargs: Any) -> Any:
        self.calls.append(("open", args, kwargs))

    def on_message(self, message: str | bytes) -> Any:
        self.calls.append(("on_message", message))

    def on_ping(self, data: bytes) -> Any:
        self.calls.append(("on_ping", data))

    def on_pong(self, data: bytes) -> Any:
        self.calls.append(("on_pong", data))

    def on_close(self) -> Any:
        self.calls.append(("on_close", self.close_code, self.close_reason))
        self.ended.set()

    def log_exception(self, exc: BaseException) -> None:
        self.calls.append(("log_exception", str(exc)))


class SlowLog(Log):
    """The same with coroutines, which take a while."""

    async def prepare(self) -> None:
        await asyncio.sleep(0.002)
        self.calls.append(("prepare",))

    async def open(self, *args: Any, **kwargs: Any) -> None:
        await asyncio.sleep(0.02)
        super().open(*args, **kwargs)

    async def on_message(self, message: str | bytes) -> None:
        await asyncio.sleep(0.002)
        super().on_message(message)

    async def on_ping(self, data: bytes) -> None:
        await asyncio.sleep(0.002)
        super().on_ping(data)

    async def on_pong(self, data: bytes) -> None:
        await asyncio.sleep(0.002)
        super().on_pong(data)

    async def on_close(self) -> None:
        await asyncio.sleep(0.002)
        super().on_close()


async def finished(server: WebSocketTestServer) -> Any:
    """Wait until the handler of the only connection has done all; return it."""
    handler: Any = (await server.wait_for_connection()).handler
    await asyncio.wait_for(handler.ended.wait(), WAIT)
    return handler


# --- what is called -------------------------------------------------------------------------


@pytest.mark.parametrize("handler_class", [Log, SlowLog])
async def test_calls_come_in_order_and_one_at_a_time(handler_class: type[Log]) -> None:
    async with WebSocketTestServer([("/(.*)", handler_class)]) as server:
        async with websocket_connect(f"{server.url}room") as conn:
            # Behind the handshake, so that they come while `open` runs.
            conn.write_message("1")
            conn.ping(b"2")
            conn.write_message(b"3", binary=True)
            await conn.close(3000, "done")
        handler = await finished(server)
    expected: list[tuple[object, ...]] = [
        ("open", ("room",), {}),
        ("on_message", "1"),
        ("on_ping", b"2"),
        ("on_message", b"3"),
        ("on_close", 3000, "done"),
    ]
    if handler_class is SlowLog:
        expected.insert(0, ("prepare",))
    assert handler.calls == expected


async def test_pongs_are_told() -> None:
    class Pinging(Log):
        async def open(self, *args: Any, **kwargs: Any) -> None:
            assert await self.ping(b"there?") >= 0

    async with WebSocketTestServer(Pinging) as server:
        async with websocket_connect(server.url):
            served = await server.wait_for_connection()
            await served.wait_for(lambda each: any(f.opcode == Opcode.PONG for f in each.frames))
        handler = await finished(server)
    assert handler.calls == [("on_pong", b"there?"), ("on_close", 1000, None)]


async def test_defaults_do_nothing_but_for_messages() -> None:
    class Bare(WebSocketHandler):
        def log_exception(self, exc: BaseException) -> None:
            """Say nothing."""

    async with WebSocketTestServer(Bare, raise_errors=False) as server:
        async with websocket_connect(server.url) as conn:
            await conn.ping(b"x")
            await conn.write_message("x")
            assert (await conn.wait_closed()).code == 1011
        assert isinstance(server.errors[0], NotImplementedError)
        assert "override on_message" in str(server.errors[0])


async def test_the_ready_made_handlers() -> None:
    async with WebSocketTestServer([("/echo", EchoHandler), ("/", RecorderHandler)]) as server:
        async with websocket_connect(server.url) as conn:
            await conn.write_message("x")
            await conn.ping()
        served = await server.wait_for_connection()
        await served.wait_closed()
        assert (served.received, served.sent) == (["x"], [])


async def test_echo_waits_for_a_client_that_does_not_read() -> None:
    async with (
        WebSocketTestServer(EchoHandler, record=False) as server,
        raw_client(server.port) as client,
    ):
        client.writer.transport.pause_reading()  # type: ignore[attr-defined]  # it has it
        end = (await server.wait_for_connection()).connection
        for _ in range(150):
            client.send(Opcode.BINARY, bytes(200_000))
        async with asyncio.timeout(WAIT):
            # Nothing tells of it.
            while not end.stats().reading_paused:  # noqa: ASYNC110
                await asyncio.sleep(0.001)
        await asyncio.sleep(0.05)
        assert end.stats().write_buffer_size < 1_000_000
        client.writer.transport.abort()


@pytest.mark.parametrize(
    ("code", "reason", "expected"),
    [
        (1000, "", (1000, None)),
        (4999, "why", (4999, "why")),
        (None, "", (None, None)),
    ],
)
async def test_how_the_client_closed(
    code: int | None, reason: str, expected: tuple[int | None, str | None]
) -> None:
    async with WebSocketTestServer(Log) as server:
        async with raw_client(server.port) as client:
            payload = b"" if code is None else code.to_bytes(2, "big") + reason.encode()
            client.send(Opcode.CLOSE, payload)
            await client.read_to_end()
        handler = await finished(server)
    assert handler.calls[-1] == ("on_close", *expected)
    assert (handler.close_code, handler.close_reason) == expected
    assert handler.close_info.received == (code or 1005)


async def test_a_client_that_just_goes() -> None:
    async with WebSocketTestServer(Log) as server:
        async with raw_client(server.port):
            await server.wait_for_connection()
        handler = await finished(server)
    assert handler.calls[-1] == ("on_close", None, None)
    assert handler.close_info.code == 1006


@pytest.mark.parametrize("where", ["open", "on_message", "on_ping", "on_close"])
async def test_what_is_raised_is_logged(where: str, caplog: pytest.LogCaptureFixture) -> None:
    def fail(*args: Any, **kwargs: Any) -> None:
        raise ZeroDivisionError(where)

    handler = type("Failing", (EchoHandler,), {where: fail})
    with caplog.at_level(logging.ERROR, "wsclient.testing"):
        async with WebSocketTestServer(handler, raise_errors=False) as server:
            async with websocket_connect(f"{server.url}path?secret=1") as conn:
                conn.ping(b"x")
                if where == "on_message":
                    conn.write_message("x")
            await server.wait_for(lambda each: each.errors)
    [record] = [each for each in caplog.records if each.name == "wsclient.testing"]
    assert record.message == "a handler of /path raised"
    assert record.exc_info is not None
    assert str(record.exc_info[1]) == where
    assert "secret" not in record.message


async def test_an_error_of_log_exception_does_not_hide_the_first_one() -> None:
    class Worse(EchoHandler):
        def on_message(self, message: str | bytes) -> Any:
            raise ZeroDivisionError

        def log_exception(self, exc: BaseException) -> None:
            raise KeyError("worse")

    async with WebSocketTestServer(Worse, raise_errors=False) as server:
        conn = await websocket_connect(server.url)
        await conn.write_message("x")
        await server.wait_for(lambda each: each.errors)
        await conn.close()
        assert isinstance(server.errors[0], ZeroDivisionError)


# --- what a handler can do ------------------------------------------------------------------


async def test_before_the_connection_is_open() -> None:
    seen: list[object] = []

    class Early(EchoHandler):
        def prepare(self) -> None:
            seen.extend([self.close_code, self.close_reason, self.close_info])
            seen.extend([self.selected_subprotocol, self.ws_connection])
            for call in (
                lambda: self.write_message("x"),
                lambda: self.ping(),
                lambda: self.close(),
                lambda: self.set_nodelay(True),
            ):
                with pytest.raises(WebSocketClosedError, match="not open yet"):
                    call()

    async with WebSocketTestServer(Early) as server, websocket_connect(server.url) as conn:
        await conn.write_message("x")
        assert await conn.read_message() == "x"
    assert seen == [None] * 5


async def test_closing_from_every_method() -> None:
    class Closing(Log):
        def open(self, *args: Any, **kwargs: Any) -> Any:
            if self.request.path == "/open":
                self.close(3001, "open")

        def on_message(self, message: str | bytes) -> Any:
            self.close(3002, str(message))

        def on_ping(self, data: bytes) -> Any:
            self.close(3003, data.decode())

    async with WebSocketTestServer(Closing) as server:
        conn = await websocket_connect(f"{server.url}open")
        info = await conn.wait_closed()
        assert (info.code, info.reason, info.clean) == (3001, "open", True)
        conn = await websocket_connect(server.url)
        await conn.write_message("message")
        info = await conn.wait_closed()
        assert (info.code, info.reason) == (3002, "message")
        conn = await websocket_connect(server.url)
        conn.ping(b"ping")
        info = await conn.wait_closed()
        assert (info.code, info.reason) == (3003, "ping")


async def test_a_method_may_wait_for_the_end() -> None:
    class Waiting(Log):
        async def on_message(self, message: str | bytes) -> None:
            info = await self.close(1000)
            self.calls.append(("closed", info.clean))

    async with WebSocketTestServer(Waiting) as server:
        async with websocket_connect(server.url) as conn:
            await conn.write_message("x")
            await conn.wait_closed()
        handler = await finished(server)
    assert handler.calls[1:] == [("closed", True), ("on_close", 1000, None)]


async def test_messages_of_every_kind_go_out() -> None:
    class Talkative(WebSocketHandler):
        async def open(self, *args: Any, **kwargs: Any) -> None:
            self.set_nodelay(True)
            await self.write_message("text")
            self.write_message({"a": [1, None]})
            self.write_message(b"utf-8")
            self.write_message(bytearray(b"\xff"), binary=True)
            for wrong, error in ((5, TypeError), (b"\xff", ValueError)):
                with pytest.raises(error):
                    self.write_message(wrong)  # type: ignore[arg-type]  # that is the point
            with pytest.raises(ValueError, match="1006"):
                self.close(1006)
            self.close()

    async with WebSocketTestServer(Talkative) as server, websocket_connect(server.url) as conn:
        got = [message async for message in conn]
    assert got == ["text", '{"a": [1, null]}', "utf-8", b"\xff"]


async def test_headers_for_every_answer() -> None:
    class Marked(EchoHandler):
        def set_default_headers(self) -> None:
            self.set_header("X-Kit", "yes")
            self.add_header("X-Many", "1")
            self.add_header("X-Many", "2")
            self.set_header("X-Gone", "never seen")
            self.clear_header("X-Gone")
            self.clear_header("X-Never-There")

    async with WebSocketTestServer(Marked) as server:
        async with websocket_connect(server.url) as conn:
            headers = conn.response_headers
        with pytest.raises(HandshakeError) as caught:
            await websocket_connect(server.url, origin="http://evil.test")
    assert headers["X-Kit"] == caught.value.headers["x-kit"] == "yes"
    assert headers.getall("X-Many") == ["1", "2"]
    assert "X-Gone" not in headers


@pytest.mark.parametrize(
    ("name", "value"), [("X Y", "1"), ("X", "a\r\nInjected: 1"), ("", "1"), ("X", "\u20ac")]
)
async def test_headers_that_cannot_be_sent(name: str, value: str) -> None:
    class Wrong(EchoHandler):
        def set_default_headers(self) -> None:
            for method in (self.set_header, self.add_header):
                with pytest.raises(ValueError):
                    method(name, value)

    async with WebSocketTestServer(Wrong) as server:
        await (await websocket_connect(server.url)).close()


async def test_answering_without_a_websocket() -> None:
    class Page(EchoHandler):
        async def prepare(self) -> None:
            match self.request.path:
                case "/write":
                    assert self.get_status() == 200
                    self.write("one ")
                    self.write(b"two ")
                    self.finish("three")
                    with pytest.raises(RuntimeError, match="finished"):
                        self.write("four")
                    with pytest.raises(RuntimeError, match="finished"):
                        self.finish()
                    with pytest.raises(RuntimeError, match="finished"):
                        self.send_error()
                case "/error":
                    self.set_header("X-Forgotten", "1")
                    self.write("forgotten")
                    self.send_error(503, "Not now")
                case "/usual":
                    self.send_error(404)
                case "/json":
                    with pytest.raises(ValueError, match="JSON compliant"):
                        self.write({"a": float("nan")})
                    self.finish({"a": [1]})
                case "/status":
                    self.set_status(299, "Odd")
                    self.finish()

    async with WebSocketTestServer(Page) as server, ClientSession() as session:
        url = server.url.replace("ws:", "http:")
        for path, expected in {
            "write": (200, "OK", "one two three"),
            "error": (503, "Not now", "503: Not now"),
            "json": (200, "OK", '{"a": [1]}'),
            "usual": (404, "Not Found", "404: Not Found"),
            "status": (299, "Odd", ""),
            "else": (400, "Bad Request", "The request lacks the header 'Upgrade: websocket'."),
        }.items():
            async with session.get(url + path) as response:
                assert (response.status, response.reason, await response.text()) == expected
                assert "X-Forgotten" not in response.headers
                assert response.content_type.endswith("json") is (path == "json")
        async with session.post(url) as response:
            assert (response.status, response.headers["Allow"]) == (405, "GET")


async def test_the_answer_cannot_be_changed_once_it_is_sent() -> None:
    refused: list[str] = []

    class Late(Log):
        def open(self, *args: Any, **kwargs: Any) -> Any:
            for name, arguments in {
                "clear": (),
                "set_status": (500,),
                "set_header": ("X", "1"),
                "add_header": ("X", "1"),
                "clear_header": ("X",),
                "write": ("x",),
                "finish": (),
                "send_error": (),
            }.items():
                with pytest.raises(RuntimeError, match="its answer has been sent"):
                    getattr(self, name)(*arguments)
                refused.append(name)

    async with WebSocketTestServer(Late) as server:
        await (await websocket_connect(server.url)).close()
    assert len(refused) == 8


async def test_arguments_of_the_query() -> None:
    class Asking(EchoHandler):
        def prepare(self) -> None:
            assert self.get_argument("a") == "2"
            assert self.get_query_argument("a", strip=False) == " 2 "
            assert self.get_arguments("a") == ["1", "2"]
            assert self.get_query_arguments("none") == []
            assert self.get_argument("none", None) is None
            assert self.get_argument("none", "x") == "x"
            self.get_argument("needed")

    async with WebSocketTestServer(Asking) as server:
        await (await websocket_connect(f"{server.url}?a=1&a=+2+&needed=")).close()
        with pytest.raises(HandshakeError) as caught:
            await websocket_connect(f"{server.url}?a=1&a=%202%20")
    assert (caught.value.status, caught.value.body) == (400, b"Missing argument needed")


# --- what is agreed -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("known", "offered", "chosen"),
    [
        (["a", "b"], ["b", "a"], "b"),
        (["a"], ["b", "a"], "a"),
        (["a"], ["b"], None),
        ([], ["b"], None),
        (["a"], [], None),
    ],
)
async def test_subprotocols(known: list[str], offered: list[str], chosen: str | None) -> None:
    async with WebSocketTestServer(Log, subprotocols=known) as server:
        async with websocket_connect(server.url, subprotocols=offered) as conn:
            assert conn.selected_subprotocol == chosen
        handler = await finished(server)
        assert handler.selected_subprotocol == chosen


async def test_choosing_a_subprotocol_oneself() -> None:
    asked: list[list[str]] = []

    class Choosing(Log):
        def select_subprotocol(self, subprotocols: list[str]) -> str | None:
            asked.append(list(subprotocols))
            return subprotocols[-1] if subprotocols else ""  # as good as None

    async with WebSocketTestServer(Choosing) as server:
        for offered in ([], ["a", "b"]):
            async with websocket_connect(server.url, subprotocols=offered) as conn:
                assert conn.selected_subprotocol == (offered[-1] if offered else None)
    assert asked == [[], ["a", "b"]]


OPTIONS = [
    {},
    {"compression_level": 1, "mem_level": 1},
    {"server_no_context_takeover": True, "client_max_window_bits": 9},
    CompressionOptions(server_max_window_bits=8, threshold=10),
]


@pytest.mark.parametrize("options", OPTIONS, ids=str)
@pytest.mark.parametrize("of", ["setting", "method"])
async def test_compression(options: Any, of: str) -> None:
    class Compressing(EchoHandler):
        def get_compression_options(self) -> Any:
            return options

    settings = {"compression_options": options} if of == "setting" else {}
    handler = EchoHandler if of == "setting" else Compressing
    async with WebSocketTestServer(handler, **settings) as server:
        async with websocket_connect(server.url, compression_options={}) as conn:
            assert conn.extensions.startswith("permessage-deflate")
            for message in ("x" * 5000, "y", "x" * 5000):
                await conn.write_message(message)
                assert await conn.read_message() == message
        async with websocket_connect(server.url) as conn:
            assert conn.extensions == ""
            await conn.write_message("x")
            assert await conn.read_message() == "x"


async def test_no_compression_by_default() -> None:
    async with (
        WebSocketTestServer() as server,
        websocket_connect(server.url, compression_options={}) as conn,
    ):
        assert conn.extensions == ""


@pytest.mark.parametrize(
    ("origin", "status"),
    [
        ("http://{host}", 101),
        ("https://{host}", 101),
        ("HTTP://{host}", 101),
        ("http://{HOST}", 101),
        ("http://other.test", 403),
        ("http://127.0.0.1", 403),
        ("http://user@{host}", 403),
        ("null", 403),
        ("", 403),
        ("http://[", 403),
        ("{host}", 403),
    ],
)
async def test_origins(origin: str, status: int) -> None:
    async with WebSocketTestServer() as server:
        host = f"LocalHost:{server.port}"
        origin = origin.replace("{HOST}", host.upper())
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(request_head("/", {"Host": host, "Origin": origin.format(host=host)}))
        assert (await RawClient(reader, writer).read_head())[0] == status
        writer.close()
        await writer.wait_closed()
        assert server.errors == []


async def test_the_maximum_size_of_a_message() -> None:
    async with (
        WebSocketTestServer(websocket_max_message_size=10) as server,
        websocket_connect(server.url) as conn,
    ):
        await conn.write_message("x" * 10)
        assert await conn.read_message() == "x" * 10
        await conn.write_message("x" * 11)
        assert (await conn.wait_closed()).code == 1009


@pytest.mark.parametrize("limit", [None, 0])
async def test_no_maximum_size(limit: int | None) -> None:
    size = 11 * 1024 * 1024
    async with WebSocketTestServer(
        RecorderHandler, record=False, websocket_max_message_size=limit
    ) as server:
        async with websocket_connect(server.url) as conn:
            await conn.write_message(bytes(size), binary=True)
            assert (await conn.close()).code == 1000
        served = await server.wait_for_connection()
        await served.wait_closed()
        assert served.connection.stats().messages_received == 1


async def test_pings_of_the_server() -> None:
    pings: list[bytes] = []
    came = asyncio.Event()

    def on_ping(data: bytes) -> None:
        pings.append(data)
        came.set()

    async with (
        WebSocketTestServer(websocket_ping_interval=0.02) as server,
        websocket_connect(server.url, on_ping=on_ping),
    ):
        await asyncio.wait_for(came.wait(), WAIT)
    assert pings


# --- odd requests ---------------------------------------------------------------------------


async def status_of(port: int, head: bytes) -> int:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(head)
    try:
        return (await RawClient(reader, writer).read_head())[0]
    finally:
        writer.close()
        await writer.wait_closed()


@pytest.mark.parametrize("host", ["a:99999999", "a:b", "a:-1"])
async def test_a_host_that_cannot_be_read(host: str) -> None:
    """It shows before the 101 is sent, not behind it."""
    async with WebSocketTestServer() as server:
        assert await status_of(server.port, request_head("/", {"Host": host})) == 400
        assert server.errors == []
        assert [each.handshake.status for each in server.requests] == [400]


async def test_http_1_0_opens_no_websocket() -> None:
    """RFC 6455, section 4.2.1, requirement 1."""
    async with WebSocketTestServer() as server:
        assert await status_of(server.port, request_head(version="1.0")) == 400


async def test_a_request_behind_others_on_the_same_connection() -> None:
    async with WebSocketTestServer() as server:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        client = RawClient(reader, writer)
        plain = b"GET /page HTTP/1.1\r\nHost: x\r\n\r\n"
        hello = encode_frame(Opcode.TEXT, b"hello", masking_key=MASK)
        writer.write(plain + request_head("/", {"Sec-WebSocket-Version": "8"}))
        for expected in (400, 426):
            status, headers = await client.read_head()
            assert status == expected
            await reader.readexactly(int(headers["content-length"]))
        writer.write(request_head() + hello)
        assert (await client.read_head())[0] == 101
        frame = await client.read_frame()
        assert frame is not None
        assert frame.payload == b"hello"
        writer.close()
        await writer.wait_closed()
        assert [each.handshake.status for each in server.requests] == [400, 426, 101]


async def test_a_client_that_goes_before_the_answer() -> None:
    entered, leave = asyncio.Event(), asyncio.Event()

    class Slow(EchoHandler):
        async def prepare(self) -> None:
            entered.set()
            await leave.wait()

    async with WebSocketTestServer(Slow) as server:
        _, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(request_head())
        await asyncio.wait_for(entered.wait(), WAIT)
        sock = writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        writer.transport.abort()
        await asyncio.sleep(0.02)
        leave.set()
        await asyncio.sleep(0.02)
        assert server.errors == []
        assert server.connections == []


# --- in an application of aiohttp -----------------------------------------------------------


@asynccontextmanager
async def running(
    application: web.Application, **options: Any
) -> AsyncIterator[tuple[str, web.AppRunner]]:
    """Serve an application; give the URL and the runner."""
    runner = web.AppRunner(application, **options)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield f"ws://127.0.0.1:{runner.addresses[0][1]}", runner
    finally:
        await runner.cleanup()


def plain_application(target: Any = EchoHandler, **settings: Any) -> web.Application:
    application = web.Application()
    application.router.add_get("/ws", websocket_handler(target, **settings))
    return application


async def test_a_handler_among_pages() -> None:
    async def page(request: web.Request) -> web.Response:
        return web.Response(text="a page")

    application = plain_application(subprotocols=["chat"])
    application.router.add_get("/", page)
    async with TestServer(application) as server, ClientSession() as session:
        async with websocket_connect(
            f"ws://127.0.0.1:{server.port}/ws", subprotocols=["chat"]
        ) as conn:
            await conn.write_message("x")
            assert await conn.read_message() == "x"
            assert conn.selected_subprotocol == "chat"
        async with session.get(server.make_url("/")) as response:
            assert await response.text() == "a page"
        async with session.get(server.make_url("/ws")) as response:
            assert response.status == 400


async def test_a_function_in_an_application() -> None:
    async def shout(conn: WebSocketServerConnection) -> None:
        async for message in conn:
            await conn.write_message(str(message).upper())

    async with (
        TestServer(plain_application(shout)) as server,
        websocket_connect(f"ws://127.0.0.1:{server.port}/ws") as conn,
    ):
        await conn.write_message("x")
        assert await conn.read_message() == "X"


async def test_an_application_over_tls(certificates: IssuedCertificate) -> None:
    server = TestServer(plain_application(), scheme="https")
    await server.start_server(ssl=certificates.server_context())
    try:
        async with websocket_connect(
            f"wss://127.0.0.1:{server.port}/ws", ssl=certificates.trust_context()
        ) as conn:
            await conn.write_message("x")
            assert await conn.read_message() == "x"
    finally:
        await server.close()


async def test_frames_behind_the_request_are_not_lost_in_an_application() -> None:
    hello = encode_frame(Opcode.TEXT, b"hello", masking_key=MASK)
    async with TestServer(plain_application()) as server:
        assert server.port is not None
        async with raw_client(server.port, "/ws", behind=hello * 3) as client:
            for _ in range(3):
                frame = await client.read_frame()
                assert frame is not None
                assert frame.payload == b"hello"


async def test_an_application_that_shuts_down_closes_with_1001() -> None:
    async with running(make_application(EchoHandler)) as (url, runner):
        conns = [await websocket_connect(url) for _ in range(3)]
        begun = time.monotonic()
        await runner.cleanup()
        assert time.monotonic() - begun < 0.9
        for conn in conns:
            info = await conn.wait_closed()
            assert (info.code, info.reason, info.clean) == (1001, "the server shuts down", True)


async def test_a_test_server_of_aiohttp_shuts_down_as_fast() -> None:
    async with TestServer(make_application(EchoHandler)) as server:
        conn = await websocket_connect(f"ws://127.0.0.1:{server.port}")
        begun = time.monotonic()
    assert time.monotonic() - begun < 0.9
    assert (await conn.wait_closed()).code == 1001


async def test_an_application_of_ones_own_can_close_its_websockets_too() -> None:
    inner, outer, other = plain_application(), web.Application(), plain_application()
    outer.add_subapp("/inner", inner)
    outer.on_shutdown.append(close_websockets)
    async with running(outer) as (url, runner), running(other) as (other_url, _):
        conn = await websocket_connect(f"{url}/inner/ws")
        untouched = await websocket_connect(f"{other_url}/ws")
        await runner.cleanup()
        assert (await conn.wait_closed()).code == 1001
        await untouched.write_message("x")
        assert await untouched.read_message() == "x"
        await untouched.close()


async def test_without_that_aiohttp_drops_the_connections() -> None:
    handlers: list[Log] = []

    class Kept(Log):
        def open(self, *args: Any, **kwargs: Any) -> Any:
            handlers.append(self)

    async with running(plain_application(Kept), shutdown_timeout=0.05) as (url, runner):
        conn = await websocket_connect(f"{url}/ws")
        await runner.cleanup()
        assert (await conn.wait_closed()).cause is CloseCause.EOF
    await asyncio.wait_for(handlers[0].ended.wait(), WAIT)
    assert [each[0] for each in handlers[0].calls] == ["on_close"]


async def test_a_client_that_does_not_answer_is_dropped_when_an_application_shuts_down() -> None:
    async with (
        running(make_application(EchoHandler)) as (url, runner),
        raw_client(int(url.rpartition(":")[2])) as client,
    ):
        begun = time.monotonic()
        await runner.cleanup()
        assert 0.9 < time.monotonic() - begun < 2.0
        assert [each.close_code for each in await client.read_to_end()] == [1001]


async def test_aiohttps_own_cancellation_of_handlers() -> None:
    """With ``handler_cancellation`` aiohttp cancels a handler when its client goes."""
    handlers: list[SlowLog] = []
    entered = asyncio.Event()

    class Kept(SlowLog):
        def initialize(self) -> None:
            super().initialize()
            handlers.append(self)

        async def on_message(self, message: str | bytes) -> None:
            self.calls.append(("on_message", message))
            entered.set()
            await asyncio.Event().wait()

    async with running(make_application(Kept), handler_cancellation=True) as (url, _):
        async with websocket_connect(url) as conn:
            await conn.write_message("x")
            await asyncio.wait_for(entered.wait(), WAIT)
            await conn.close(3000)
        await asyncio.wait_for(handlers[0].ended.wait(), WAIT)
    assert [each[0] for each in handlers[0].calls] == ["prepare", "open", "on_message", "on_close"]
    assert handlers[0].calls[-1] == ("on_close", 3000, None)


async def test_an_error_in_an_application_is_a_500() -> None:
    class Failing(EchoHandler):
        def prepare(self) -> None:
            raise ZeroDivisionError

        def log_exception(self, exc: BaseException) -> None:
            """Say nothing."""

    async with TestServer(plain_application(Failing)) as server:
        with pytest.raises(HandshakeError) as caught:
            await websocket_connect(f"ws://127.0.0.1:{server.port}/ws")
    assert (caught.value.status, caught.value.body) == (500, b"500: Internal Server Error")


async def test_an_http_exception_is_the_answer() -> None:
    class Moved(EchoHandler):
        def prepare(self) -> None:
            if self.request.path == "/old":
                raise web.HTTPFound("/new")

    async with (
        TestServer(make_application(Moved)) as server,
        websocket_connect(f"ws://127.0.0.1:{server.port}/old") as conn,
    ):
        assert conn.url.path == "/new"


async def test_nothing_listens_any_more_when_a_server_has_stopped() -> None:
    async with WebSocketTestServer() as server:
        url = server.url
    with pytest.raises(ConnectError):
        await websocket_connect(url)


# --- awaiting what may be awaited -----------------------------------------------------------


async def test_settled_takes_every_form() -> None:
    seen: list[object] = []

    async def coroutine(value: int) -> None:
        await asyncio.sleep(0)
        seen.append(value)

    def future(value: int) -> Awaitable[None]:
        result: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        result.set_result(None)
        seen.append(value)
        return result

    await settled(seen.append, 1)
    await settled(coroutine, 2)
    await settled(future, value=3)
    assert seen == [1, 2, 3]


@pytest.mark.parametrize("form", ["plain", "coroutine"])
async def test_settled_makes_an_error_of_a_cancellation_of_nobody(form: str) -> None:
    def plain() -> None:
        raise asyncio.CancelledError

    async def coroutine() -> None:
        raise asyncio.CancelledError

    with pytest.raises(RuntimeError, match="nobody had cancelled it"):
        await settled(plain if form == "plain" else coroutine)


async def test_settled_passes_a_real_cancellation_on() -> None:
    task = asyncio.create_task(settled(asyncio.Event().wait))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
