"""Which handler serves which path."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from wsclient import HandshakeError, websocket_connect
from wsclient.testing import (
    Dialogue,
    EchoHandler,
    WebSocketHandler,
    WebSocketServerConnection,
    WebSocketTestServer,
    make_application,
    websocket_handler,
)
from wsclient.testing.serving.routes import Routes


class Said(WebSocketHandler):
    """Says what `open` was given, and by which route."""

    def initialize(self, name: str = "") -> None:  # type: ignore[override]  # as routes do
        self.name = name

    async def open(self, *args: Any, **kwargs: Any) -> None:
        await self.write_message({"name": self.name, "args": list(args), "kwargs": kwargs})
        self.close()


async def said(server: WebSocketTestServer, path: str) -> Any:
    """Return what `open` got, or the status of a refusal."""
    try:
        async with websocket_connect(server.url + path.removeprefix("/")) as conn:
            message = await conn.read_message()
    except HandshakeError as exc:
        return exc.status
    assert isinstance(message, str)
    return json.loads(message)


def opened(*args: str | None, name: str = "", **kwargs: str | None) -> dict[str, Any]:
    return {"name": name, "args": list(args), "kwargs": kwargs}


# --- patterns -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("pattern", "path", "expected"),
    [
        pytest.param(r"/chat", "/chat", opened(), id="plain"),
        pytest.param(r"/chat", "/chat?x=1", opened(), id="query"),
        pytest.param(r"/chat", "/chat/", 404, id="whole-path-only"),
        pytest.param(r"/chat", "/x/chat", 404, id="from-its-beginning"),
        pytest.param(r"/chat/?$", "/chat/", opened(), id="anchored"),
        pytest.param(r"/(\w+)/(\d+)", "/room/17", opened("room", "17"), id="groups"),
        pytest.param(r"/(\w+)(/\d+)?", "/room", opened("room", None), id="optional-group"),
        pytest.param(r"/(?P<a>\w+)/(?P<b>\d+)", "/x/1", opened(a="x", b="1"), id="named"),
        pytest.param(r"/(\w+)/(?P<b>\d+)", "/x/1", opened(b="1"), id="named-win"),
        pytest.param("/{room}", "/blue", opened(room="blue"), id="placeholder"),
        pytest.param("/{room}", "/blue/red", 404, id="placeholder-is-one-segment"),
        pytest.param("/{room}/{id:\\d+}", "/b/17", opened(room="b", id="17"), id="expression"),
        pytest.param("/{id:\\d{2}}", "/17", opened(id="17"), id="braces-in-an-expression"),
        pytest.param("/{id:\\d{2}}", "/123", 404, id="expression-does-not-match"),
        pytest.param("/{rest:.*}", "/a/b/c", opened(rest="a/b/c"), id="rest"),
        pytest.param(r"/a{2}", "/aa", opened(), id="quantifier"),
        pytest.param(r"/(.+)", "/a%20b%2Fc", opened("a b/c"), id="percent"),
        pytest.param("/{who}", "/%C3%A9%20x", opened(who="é x"), id="percent-utf-8"),
        pytest.param("/{who}", "/a%2Fb", opened(who="a/b"), id="slash-in-a-segment"),
        pytest.param(re.compile(r"/CHAT/(\w+)", re.I), "/chat/x", opened("x"), id="compiled"),
    ],
)
async def test_patterns(pattern: str, path: str, expected: Any) -> None:
    async with WebSocketTestServer([(pattern, Said)]) as server:
        assert await said(server, path) == expected


async def test_the_first_route_that_matches_serves() -> None:
    routes = [
        (r"/a", Said, {"name": "one"}),
        (r"/(a|b)", Said, {"name": "two"}),
        (r"/.*", Said),
    ]
    async with WebSocketTestServer(routes) as server:
        assert await said(server, "/a") == opened(name="one")
        assert await said(server, "/b") == opened("b", name="two")
        assert await said(server, "/c") == opened()


async def test_each_connection_has_a_handler_of_its_own() -> None:
    async with WebSocketTestServer(Said) as server:
        await said(server, "/")
        await said(server, "/")
        one, two = server.connections
        assert isinstance(one.handler, Said)
        assert one.handler is not two.handler


async def test_no_route_at_all() -> None:
    async with WebSocketTestServer([]) as server:
        assert await said(server, "/") == 404
        [request] = server.requests
        assert (request.handshake.status, request.opened) == (404, False)


# --- targets --------------------------------------------------------------------------------


async def test_targets_of_each_kind() -> None:
    async def shout(conn: WebSocketServerConnection) -> None:
        async for message in conn:
            assert isinstance(message, str)
            await conn.write_message(message.upper())

    routes = [
        ("/echo", EchoHandler),
        ("/shout", shout),
        ("/dialogue", Dialogue().expect("x").send("y")),
    ]
    async with WebSocketTestServer(routes) as server:
        for path, answer in (("echo", "x"), ("shout", "X"), ("dialogue", "y")):
            async with websocket_connect(server.url + path) as conn:
                await conn.write_message("x")
                assert await conn.read_message() == answer


class NoHandler:
    """Not a handler."""


@pytest.mark.parametrize("target", [NoHandler, int, "chat", 5, None, object()])
def test_what_is_no_target(target: Any) -> None:
    with pytest.raises(TypeError, match="needs a WebSocketHandler class"):
        Routes([("/", target)])
    with pytest.raises(TypeError, match="WebSocketHandler class"):
        WebSocketTestServer([("/", target)])
    with pytest.raises(TypeError, match="WebSocketHandler class"):
        websocket_handler(target)


@pytest.mark.parametrize("routes", [5, None, "chat", b"chat", NoHandler])
def test_what_are_no_routes(routes: Any) -> None:
    with pytest.raises(TypeError, match="WebSocketHandler class"):
        Routes(routes)
    with pytest.raises(TypeError, match="WebSocketHandler class"):
        make_application(routes)


@pytest.mark.parametrize("route", [(), ("/",), ("/", EchoHandler, {}, 1), ["/", EchoHandler], 5])
def test_a_route_is_a_tuple_of_two_or_three(route: Any) -> None:
    with pytest.raises(ValueError, match="a route is a tuple"):
        Routes([route])


@pytest.mark.parametrize("pattern", [5, None, b"/", re.compile(b"/")])
def test_what_is_no_pattern(pattern: Any) -> None:
    with pytest.raises(TypeError, match="the pattern of a route is a str"):
        Routes([(pattern, EchoHandler)])


@pytest.mark.parametrize("pattern", ["/(", "/{a:(}", "/(?P<a>x)(?P<a>y)", "/[", "/{a}/{a}"])
def test_what_is_no_regular_expression(pattern: str) -> None:
    with pytest.raises(ValueError, match=re.escape(repr(pattern))):
        Routes([(pattern, EchoHandler)])


@pytest.mark.parametrize("kwargs", [None, 5, "ab", [("name", "x")]])
def test_what_are_no_keywords(kwargs: Any) -> None:
    with pytest.raises(TypeError, match="a dict for the handler's initialize"):
        Routes([("/", EchoHandler, kwargs)])


async def test_keywords_are_taken_as_they_were() -> None:
    keywords = {"name": "before"}
    async with WebSocketTestServer([("/", Said, keywords)]) as server:
        keywords["name"] = "after"
        assert await said(server, "/") == opened(name="before")


# --- in an application of aiohttp -----------------------------------------------------------


async def test_an_application_answers_404_where_no_route_matches() -> None:
    async with TestServer(make_application([("/chat", EchoHandler)])) as server:
        url = f"ws://127.0.0.1:{server.port}"
        async with websocket_connect(f"{url}/chat") as conn:
            await conn.write_message("x")
            assert await conn.read_message() == "x"
        with pytest.raises(HandshakeError) as caught:
            await websocket_connect(f"{url}/other")
        assert caught.value.status == 404


async def test_a_route_of_an_application_of_ones_own() -> None:
    app = web.Application()
    app.router.add_get("/rooms/{room}", websocket_handler(Said, {"name": "mine"}))
    async with (
        TestServer(app) as server,
        websocket_connect(f"ws://127.0.0.1:{server.port}/rooms/a%20b") as conn,
    ):
        message = await conn.read_message()
    assert message == '{"name": "mine", "args": [], "kwargs": {"room": "a b"}}'
