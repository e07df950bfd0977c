"""Routes, request heads and what stands before the upgrade, on Tornado's handler and ours."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from handler.driver import KEY, Calls, Client
from handler.scenario import both, plain, same
from wsclient.protocol.handshake import accept_token


async def upgrade_and_leave(client: Client) -> None:
    await client.open()
    await client.leave()


async def test_the_answer_to_a_right_request() -> None:
    seen = await same(plain, upgrade_and_leave)
    assert (seen.status, seen.ended) == (101, True)
    assert seen.headers["sec-websocket-accept"] == accept_token(KEY)
    assert seen.headers.keys() == {"upgrade", "connection", "sec-websocket-accept"}
    assert seen.calls == [("open", (), {}), ("on_close", 1000, None)]


@pytest.mark.parametrize(
    ("route", "target", "args", "kwargs"),
    [
        pytest.param(r"/chat/(\w+)", "/chat/red", ("red",), {}, id="one group"),
        pytest.param(r"/(\w+)/(\d+)", "/chat/7", ("chat", "7"), {}, id="two groups"),
        pytest.param(
            r"/(?P<room>\w+)/(?P<seat>\d+)", "/red/7", (), {"room": "red", "seat": "7"}, id="names"
        ),
        pytest.param(r"/chat/(.+)", "/chat/caf%C3%A9", ("café",), {}, id="quoted UTF-8"),
        pytest.param(r"/chat/([^/]+)", "/chat/a%2Fb%20c", ("a/b c",), {}, id="quoted slash"),
        pytest.param(r"/chat/(.+)", "/chat/a+b", ("a+b",), {}, id="plus"),
        pytest.param(r"/chat(?:/(\w+))?", "/chat", (None,), {}, id="group without match"),
        pytest.param(r"/chat/(\w*)", "/chat/", ("",), {}, id="empty group"),
        pytest.param(r"/chat/(\w+)", "/chat/red?x=/y", ("red",), {}, id="query is no path"),
        pytest.param(r"/chat/\w+", "/chat/red", (), {}, id="no group"),
    ],
)
async def test_open_gets_the_groups_of_the_route(
    route: str, target: str, args: tuple[Any, ...], kwargs: dict[str, str]
) -> None:
    async def drive(client: Client) -> None:
        await client.open(target)
        await client.leave()

    seen = await same(plain, drive, route=route)
    assert seen.calls[0] == ("open", args, kwargs)


@pytest.mark.parametrize(
    ("target", "chosen"),
    [
        ("/chat", "first"),
        ("/chat/red", "third"),
        ("/chat/7", "second"),
        ("/Chat", None),
        ("/xchat", None),
        ("/", None),
    ],
)
async def test_the_first_route_that_matches_whole(target: str, chosen: str | None) -> None:
    def make(base: Any, calls: Calls) -> Any:
        class Handler(base):
            def initialize(self, name: str) -> None:
                calls("initialize", name)

        return Handler

    async def drive(client: Client) -> None:
        if await client.request(target) == 101:
            await client.leave()

    seen = await same(
        make,
        drive,
        routes=lambda handler: [
            (r"/chat", handler, {"name": "first"}),
            (r"/chat/\d+", handler, {"name": "second"}),
            (r"/chat/\w+$", handler, {"name": "third"}),
        ],
        closes=1 if chosen else 0,
    )
    assert seen.calls[:1] == ([("initialize", chosen)] if chosen else [])
    assert seen.status == (101 if chosen else 404)


async def test_every_connection_has_a_handler_of_its_own() -> None:
    def make(base: Any, calls: Calls) -> Any:
        class Handler(base):
            def initialize(self, greeting: str) -> None:
                self.count = 0
                self.greeting = greeting

            def on_message(self, message: str) -> None:
                self.count += 1
                calls(f"{self.greeting} {message}", self.count)

        return Handler

    async def drive(client: Client) -> None:
        other = client.another()
        for each in (client, other):
            await each.open()
            await each.send_text("you")
            await client.calls.until("hello you", 1 if each is client else 2)
        await other.leave()
        await other.drop()
        await client.leave()

    seen = await same(
        make, drive, routes=lambda handler: [("/", handler, {"greeting": "hello"})], closes=2
    )
    assert seen.calls.count(("hello you", 1)) == 2


async def test_query_arguments() -> None:
    def make(base: Any, calls: Calls) -> Any:
        class Handler(base):
            def open(self) -> None:
                calls("a", self.get_argument("a"))
                calls("b", self.get_argument("b"), self.get_arguments("b"))
                calls("c", self.get_argument("c", None), self.get_argument("c", "none"))
                calls("empty", self.get_argument("empty", "none"))
                calls("space", self.get_argument("space"))

        return Handler

    async def drive(client: Client) -> None:
        await client.open("/?a=1&b=2&b=%C3%A9+x&empty=&space=%20x%20")
        await client.leave()

    seen = await same(make, drive)
    assert seen.calls[:-1] == [
        ("a", "1"),
        ("b", "é x", ["2", "é x"]),
        ("c", None, "none"),
        ("empty", ""),
        ("space", "x"),
    ]


async def test_an_argument_that_is_missing_in_prepare() -> None:
    def make(base: Any, calls: Calls) -> Any:
        class Handler(base):
            def prepare(self) -> None:
                self.get_argument("token")

        return Handler

    async def drive(client: Client) -> None:
        await client.request("/")

    seen = await same(make, drive, closes=0)
    assert (seen.status, seen.calls) == (400, [])


async def test_the_request_seen_by_the_handler() -> None:
    """This much is the same; otherwise, our request is one of aiohttp."""

    def make(base: Any, calls: Calls) -> Any:
        class Handler(base):
            def open(self, *args: str) -> None:
                request = self.request
                calls("line", request.method, request.path, request.host)
                calls("headers", request.headers["x-one"], request.headers.get("X-NONE"))
                calls("path", list(self.path_args), dict(self.path_kwargs))
                calls("settings", self.settings["answer"], self.settings.get("nothing"))

        return Handler

    async def drive(client: Client) -> None:
        await client.open("/a/b?c=d%20e", {"X-One": "1", "Host": "example.test:81"})
        await client.leave()

    seen = await same(make, drive, route=r"/([^/]+)/(\w)", answer=42)
    assert seen.calls[:-1] == [
        ("line", "GET", "/a/b", "example.test:81"),
        ("headers", "1", None),
        ("path", ["a", "b"], {}),
        ("settings", 42, None),
    ]


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "HEAD", "PATCH"])
async def test_other_methods_are_refused(method: str) -> None:
    async def drive(client: Client) -> None:
        await client.request(method=method, headers={"Content-Length": "0"})

    seen = await same(plain, drive, closes=0)
    assert (seen.status, seen.calls) == (405, [])


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        pytest.param({"Upgrade": None}, 400, id="no Upgrade"),
        pytest.param({"Upgrade": "h2c"}, 400, id="another Upgrade"),
        pytest.param({"Upgrade": "WebSocket"}, 101, id="Upgrade in mixed case"),
        pytest.param({"Connection": None}, 400, id="no Connection"),
        pytest.param({"Connection": "keep-alive"}, 400, id="another Connection"),
        pytest.param({"Connection": "keep-alive, Upgrade"}, 101, id="two in Connection"),
        pytest.param({"Connection": "keep-alive,UPGRADE"}, 101, id="Connection in upper case"),
        pytest.param({"Connection": ["keep-alive", "upgrade"]}, 101, id="Connection twice"),
        pytest.param({"Sec-WebSocket-Version": None}, 426, id="no version"),
        pytest.param({"Sec-WebSocket-Version": "8"}, 426, id="version 8"),
        pytest.param({"Sec-WebSocket-Version": "14"}, 426, id="version 14"),
        pytest.param({"Sec-WebSocket-Key": None}, 400, id="no key"),
        pytest.param({"Sec-WebSocket-Key": ""}, 400, id="empty key"),
        pytest.param({"Host": None}, 400, id="no Host"),
    ],
)
async def test_request_heads(headers: dict[str, str | list[str] | None], status: int) -> None:
    async def drive(client: Client) -> None:
        if await client.request(headers=headers) == 101:
            await client.leave()

    seen = await same(plain, drive, closes=1 if status == 101 else 0)
    assert seen.status == status
    assert ("open", (), {}) not in seen.calls or status == 101
    assert (seen.headers.get("sec-websocket-version") == "13") is (status == 426)


@pytest.mark.parametrize(
    "key", ["dG9vIHNob3J0", "no base64 at all", KEY + "AA=="], ids=["short", "text", "long"]
)
async def test_a_key_that_is_not_16_bytes(key: str) -> None:
    """Tornado takes any key; RFC 6455, section 4.2.1, asks for 16 bytes in base64."""

    async def drive(client: Client) -> None:
        await client.request(headers={"Sec-WebSocket-Key": key})

    tornado, ours = await both(plain, drive, closes=(1, 0))
    assert tornado.status == 101
    assert (ours.status, ours.calls) == (400, [])


async def test_http_1_0() -> None:
    """Tornado answers 101 and hangs up; RFC 6455, section 4.2.1, asks for HTTP/1.1 or higher."""

    async def drive(client: Client) -> None:
        if await client.request(version="HTTP/1.0") == 101:
            await client.leave()

    tornado, ours = await both(plain, drive, closes=(1, 0))
    assert (tornado.status, tornado.frames) == (101, [])
    assert (ours.status, ours.calls) == (400, [])


async def test_a_path_that_is_no_utf_8() -> None:
    """Tornado refuses it; ours puts U+FFFD in the place of what cannot be read."""

    async def drive(client: Client) -> None:
        if await client.request("/chat/a%FF") == 101:
            await client.leave()

    tornado, ours = await both(plain, drive, route=r"/chat/(.+)", closes=(0, 1))
    assert (tornado.status, tornado.calls) == (400, [])
    assert (ours.status, ours.calls[0]) == (101, ("open", ("a\ufffd",), {}))


@pytest.mark.parametrize("asynchronous", [False, True], ids=["plain", "async"])
async def test_prepare_runs_first(asynchronous: bool) -> None:
    def make(base: Any, calls: Calls) -> Any:
        class Handler(base):
            def initialize(self) -> None:
                calls("initialize")

            def check_origin(self, origin: str) -> bool:
                calls("check_origin")
                return True

            def select_subprotocol(self, subprotocols: list[str]) -> None:
                calls("select_subprotocol")

            def prepare(self) -> Any:
                calls("prepare", list(self.path_args), dict(self.path_kwargs))
                return self.go_on() if asynchronous else calls("prepared")

            async def go_on(self) -> None:
                asyncio.get_running_loop().call_soon(calls.gate.set)
                await calls.gate.wait()
                calls("prepared")

        return Handler

    async def drive(client: Client) -> None:
        await client.open("/red", {"Origin": "https://elsewhere.test"})
        await client.leave()

    seen = await same(make, drive, route=r"/(\w+)")
    assert seen.calls == [
        ("initialize",),
        ("prepare", ["red"], {}),
        ("prepared",),
        ("check_origin",),
        ("select_subprotocol",),
        ("open", ("red",), {}),
        ("on_close", 1000, None),
    ]


@pytest.mark.parametrize(
    ("chunk", "body"),
    [("no entry", b"no entry"), (b"\xff", b"\xff"), ({"a": 1}, b'{"a": 1}'), (None, b"")],
    ids=["str", "bytes", "dict", "none"],
)
async def test_prepare_may_answer_the_request(chunk: object, body: bytes) -> None:
    def make(base: Any, calls: Calls) -> Any:
        class Handler(base):
            def prepare(self) -> None:
                self.set_status(403)
                self.set_header("X-Why", "closed")
                self.finish(chunk)

        return Handler

    async def drive(client: Client) -> None:
        await client.request()
        client.notes.append(client.body)
        if isinstance(chunk, dict):
            client.notes.append(client.headers["content-type"].split(";")[0])

    seen = await same(make, drive, closes=0)
    assert (seen.status, seen.headers) == (403, {"x-why": "closed"})
    assert seen.notes == [body, *["application/json"] * isinstance(chunk, dict)]
    assert seen.calls == []


def failing_in(method: str) -> Any:
    def make(base: Any, calls: Calls) -> Any:
        def fail(self: Any, *args: Any) -> None:
            calls("fail")
            raise RuntimeError("on purpose")

        return type("Handler", (base,), {method: fail})

    return make


@pytest.mark.parametrize(
    ("method", "origin"),
    [
        ("prepare", None),
        ("check_origin", "https://elsewhere.test"),
        ("get_compression_options", None),
        ("select_subprotocol", None),
    ],
)
async def test_an_error_before_the_upgrade_is_500(method: str, origin: str | None) -> None:
    async def drive(client: Client) -> None:
        await client.request(headers={"Origin": origin})

    seen = await same(failing_in(method), drive, closes=0)
    assert (seen.status, seen.calls) == (500, [("fail",)])


async def test_an_error_in_initialize() -> None:
    """Tornado ends the connection without a response, for there is no handler to send one."""

    async def drive(client: Client) -> None:
        await client.request()

    tornado, ours = await both(failing_in("initialize"), drive, closes=0)
    assert (tornado.status, tornado.ended) == (0, True)
    assert ours.status == 500
    assert tornado.calls == ours.calls == [("fail",)]


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        pytest.param({}, 101, id="101"),
        pytest.param({"Upgrade": None}, 400, id="400"),
        pytest.param({"Origin": "https://elsewhere.test"}, 403, id="403"),
        pytest.param({"Sec-WebSocket-Version": "8"}, 426, id="426"),
    ],
)
async def test_default_headers(headers: dict[str, str | None], status: int) -> None:
    def make(base: Any, calls: Calls) -> Any:
        class Handler(base):
            def set_default_headers(self) -> None:
                self.set_header("X-Default", "1")
                self.set_header("X-Twice", "default")

            def prepare(self) -> None:
                self.set_header("X-Twice", "prepare")

        return Handler

    async def drive(client: Client) -> None:
        if await client.request(headers=headers) == 101:
            await client.leave()

    seen = await same(make, drive, closes=1 if status == 101 else 0)
    assert seen.status == status
    assert (seen.headers["x-default"], seen.headers["x-twice"]) == ("1", "prepare")


async def test_headers_in_an_error_response() -> None:
    """The response to an error has the default headers and not those of `prepare`."""

    def make(base: Any, calls: Calls) -> Any:
        class Handler(base):
            def set_default_headers(self) -> None:
                self.set_header("X-Default", "1")

            def prepare(self) -> None:
                self.set_header("X-Prepare", "1")
                raise RuntimeError("on purpose")

        return Handler

    async def drive(client: Client) -> None:
        await client.request()

    seen = await same(make, drive, closes=0)
    assert (seen.status, seen.headers) == (500, {"x-default": "1"})


async def test_headers_set_in_select_subprotocol() -> None:
    def make(base: Any, calls: Calls) -> Any:
        class Handler(base):
            def select_subprotocol(self, subprotocols: list[str]) -> None:
                self.set_header("X-Late", "1")

        return Handler

    seen = await same(make, upgrade_and_leave)
    assert seen.headers["x-late"] == "1"


@pytest.mark.parametrize(
    ("method", "arguments"),
    [("set_header", ("X-Late", "1")), ("set_status", (500,)), ("finish", ()), ("write", ("x",))],
)
async def test_http_methods_after_the_upgrade(method: str, arguments: tuple[Any, ...]) -> None:
    def make(base: Any, calls: Calls) -> Any:
        class Handler(base):
            def open(self) -> None:
                try:
                    getattr(self, method)(*arguments)
                except RuntimeError:
                    calls("RuntimeError")

        return Handler

    seen = await same(make, upgrade_and_leave)
    assert seen.calls == [("RuntimeError",), ("on_close", 1000, None)]
