"""The request itself: sessions, resolvers, addresses, credentials, `HTTPRequest`."""

from __future__ import annotations

import asyncio
import base64
import gc
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import aiohttp
import pytest
from aiohttp.http import HttpResponseParser

from behaviour.servers import WAIT, Resolver, agree, echo, expect_info
from wsclient import (
    ConnectError,
    ConnectTimeoutError,
    HandshakeError,
    HTTPRequest,
    WebSocketClosedError,
    websocket_connect,
)
from wsclient.options.connect import DEFAULT_USER_AGENT
from wsclient.testing import EchoHandler, WebSocketTestServer
from wsclient.testing.certificates import IssuedCertificate
from wsclient.testing.raw import RawConnection, RawRequest, RawServer


@asynccontextmanager
async def recording() -> AsyncIterator[tuple[str, list[RawRequest]]]:
    """Run a server; give its URL and the requests it gets."""
    requests: list[RawRequest] = []

    async def serve(wire: RawConnection) -> None:
        requests.append(await wire.accept())
        await agree(wire)

    async with RawServer(serve) as server:
        yield server.url, requests


async def request_of(**options: Any) -> RawRequest:
    """Connect with options and return the request that the server got."""
    async with recording() as (base, requests), websocket_connect(base, **options):
        pass
    return requests[0]


async def test_request_of_the_rfc() -> None:
    # RFC 6455, section 4.1
    request = await request_of()
    assert (request.method, request.target) == ("GET", "/")
    assert request.headers["host"].startswith("127.0.0.1:")
    assert request.headers["upgrade"].lower() == "websocket"
    assert request.headers["connection"].lower() == "upgrade"
    assert request.headers["sec-websocket-version"] == "13"
    assert len(base64.b64decode(request.headers["sec-websocket-key"])) == 16
    assert request.headers["user-agent"].startswith("wsclient")
    absent = {"origin", "cookie", "authorization", "sec-websocket-protocol", "accept-encoding"}
    assert not absent & set(request.headers)
    assert "sec-websocket-extensions" not in request.headers


async def test_options_of_the_request() -> None:
    request = await request_of(
        subprotocols=["chat", "superchat"],
        headers=[("X-Mine", "a"), ("X-Mine", "b")],
        origin="https://mine.test",
        user_agent=None,
        cookies={"a": "1", "b": "2"},
        compression_options={},
    )
    headers = request.headers
    assert headers["sec-websocket-protocol"] == "chat, superchat"
    assert headers["x-mine"] == "a, b"
    assert headers["origin"] == "https://mine.test"
    assert "user-agent" not in headers
    assert sorted(headers["cookie"].split("; ")) == ["a=1", "b=2"]
    assert headers["sec-websocket-extensions"].startswith("permessage-deflate")


async def test_host_header_of_the_caller() -> None:
    assert (await request_of(headers={"Host": "other.test"})).headers["host"] == "other.test"


# Credentials


@pytest.mark.parametrize(
    ("user", "options"),
    [
        ("us%40er:se%3Acret@", {}),
        ("", {"auth": ("us@er", "se:cret")}),
        ("", {"auth": SimpleNamespace(login="us@er", password="se:cret")}),
        ("somebody:else@", {"auth": ("us@er", "se:cret")}),
    ],
    ids=["url", "pair", "object", "argument wins"],
)
async def test_basic_auth(user: str, options: dict[str, Any]) -> None:
    async with recording() as (url, requests):
        url = url.replace("//", f"//{user}")
        async with websocket_connect(url, **options) as conn:
            assert "cret" not in str(conn.url) + repr(conn)
            assert conn.url.user is None
    assert requests[0].headers["authorization"] == "Basic dXNAZXI6c2U6Y3JldA=="


class Guarded(EchoHandler):
    """Wants digest authentication."""

    def prepare(self) -> None:
        if 'username="user"' not in self.request.headers.get("Authorization", ""):
            challenge = 'Digest realm="r", nonce="n0nce", qop="auth", algorithm=SHA-256'
            self.set_status(401)
            self.set_header("WWW-Authenticate", challenge)
            self.finish("who?")


async def test_digest_auth() -> None:
    async with WebSocketTestServer(Guarded) as server:
        auth = aiohttp.DigestAuthMiddleware("user", "secret")
        async with websocket_connect(server.url, auth=auth) as conn:
            await conn.write_message("hello")
            assert await asyncio.wait_for(conn.read_message(), WAIT) == "hello"
        first, second = (each.handshake.request_headers for each in server.requests)
        assert "Authorization" not in first
        assert second["Authorization"].startswith("Digest ")
        assert "secret" not in second["Authorization"]


async def test_digest_auth_that_is_refused() -> None:
    async with WebSocketTestServer(Guarded) as server:
        auth = aiohttp.DigestAuthMiddleware("wrong", "secret")
        with pytest.raises(HandshakeError) as caught:
            await websocket_connect(server.url, auth=auth)
        assert (caught.value.status, caught.value.body) == (401, b"who?")
        assert len(server.requests) == 2


# Sessions of the caller


async def test_session_of_the_caller_stays_open() -> None:
    async with RawServer(echo) as server, aiohttp.ClientSession() as session:
        for _ in range(2):
            async with websocket_connect(server.url, session=session) as conn:
                await conn.write_message("hello")
                assert await conn.read_message() == "hello"
            assert not session.closed


async def test_session_of_the_caller_survives_failures() -> None:
    async def refuse(wire: RawConnection) -> None:
        await wire.read_request()
        await wire.respond("403 Forbidden", {"Connection": "close"})

    async with RawServer(refuse) as server, aiohttp.ClientSession() as session:
        with pytest.raises(HandshakeError):
            await websocket_connect(server.url, session=session)
        assert not session.closed
    async with aiohttp.ClientSession() as session:
        with pytest.raises(ConnectError):
            await websocket_connect("ws://127.0.0.1:1/", session=session)
        assert not session.closed


async def test_session_gives_cookies_and_headers() -> None:
    jar = aiohttp.CookieJar(unsafe=True)
    async with (
        recording() as (url, requests),
        aiohttp.ClientSession(cookie_jar=jar, headers={"X-Session": "yes"}) as session,
    ):
        jar.update_cookies({"kept": "1"})
        async with websocket_connect(url, session=session, cookies={"mine": "2"}):
            pass
    assert requests[0].headers["x-session"] == "yes"
    assert sorted(requests[0].headers["cookie"].split("; ")) == ["kept=1", "mine=2"]


async def test_session_closed_under_a_connection() -> None:
    async with RawServer(echo) as server:
        session = aiohttp.ClientSession()
        conn = await websocket_connect(server.url, session=session)
        await session.close()
        assert await asyncio.wait_for(conn.read_message(), WAIT) is None
        info = await asyncio.wait_for(conn.wait_closed(), WAIT)
        expect_info(info, cause="cancelled", clean=False, code=1006, initiator="local")
        assert "session" in info.hint
        with pytest.raises(WebSocketClosedError):
            conn.write_message("too late")


async def test_session_can_be_closed_after_its_connection() -> None:
    async with RawServer(echo) as server:
        session = aiohttp.ClientSession()
        conn = await websocket_connect(server.url, session=session)
        await conn.close()
        await asyncio.wait_for(session.close(), WAIT)


@pytest.mark.parametrize("end", ["by us", "by the server", "without a word"])
async def test_a_connection_has_its_place_in_the_session_until_it_ends(end: str) -> None:
    wires = []

    async def serve(wire: RawConnection) -> None:
        await wire.accept()
        wires.append(wire)
        await wire.read_until_close()

    connector = aiohttp.TCPConnector(limit=1)
    async with RawServer(serve) as server, aiohttp.ClientSession(connector=connector) as session:
        first = await websocket_connect(server.url, session=session, close_timeout=WAIT)
        with pytest.raises(ConnectTimeoutError) as caught:
            await websocket_connect(server.url, session=session, connect_timeout=0.1)
        assert "connector holds 1 of at most 1 connections" in caught.value.hint
        if end == "by us":
            first.close()
        elif end == "by the server":
            await wires[0].send_close(1000)
        else:
            wires[0].abort()
        second = await websocket_connect(server.url, session=session, connect_timeout=WAIT)
        assert first.closed
        wires[1].abort()
        await second.wait_closed()


async def test_nothing_of_an_answer_is_kept_for_a_connection() -> None:
    """Not with a session of the caller either, which has to be told of the end."""

    def alive() -> set[int]:
        gc.collect()
        kinds = (aiohttp.ClientResponse, aiohttp.ClientRequest, HttpResponseParser)
        return {id(thing) for thing in gc.get_objects() if isinstance(thing, kinds)}

    before = alive()
    async with (
        RawServer(echo) as server,
        aiohttp.ClientSession() as session,
        websocket_connect(server.url, session=session) as conn,
    ):
        await conn.write_message("hello")
        assert await conn.read_message() == "hello"
        assert alive() <= before


async def test_time_limits_of_the_session_do_not_end_the_connection() -> None:
    limits = aiohttp.ClientTimeout(total=0.1, sock_read=0.1)
    async with (
        RawServer(echo) as server,
        aiohttp.ClientSession(timeout=limits) as session,
        websocket_connect(server.url, session=session) as conn,
    ):
        await asyncio.sleep(0.2)
        await conn.write_message("still there")
        assert await conn.read_message() == "still there"


async def test_unix_socket(tmp_path: Path) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await echo(RawConnection(reader, writer))
        finally:
            writer.close()

    path = str(tmp_path / "s")
    async with (
        await asyncio.start_unix_server(serve, path),
        aiohttp.ClientSession(connector=aiohttp.UnixConnector(path)) as session,
        websocket_connect("ws://localhost/", session=session) as conn,
    ):
        conn.set_nodelay(True)
        await conn.write_message("hello")
        assert await conn.read_message() == "hello"


# Where from, and whom to ask


async def test_local_address() -> None:
    peers = []

    async def serve(wire: RawConnection) -> None:
        peers.append(wire.writer.get_extra_info("peername"))
        await echo(wire)

    async with RawServer(serve) as server:
        url = server.url
        async with websocket_connect(url, local_addr=("127.0.0.7", 0)) as conn:
            assert conn.local_address == peers[0]
    assert peers[0][0] == "127.0.0.7"


async def test_resolver_of_the_caller() -> None:
    resolver = Resolver()
    async with (
        RawServer(echo) as server,
        websocket_connect(f"ws://far.test:{server.port}/", resolver=resolver) as conn,
    ):
        assert conn.remote_address == ("127.0.0.1", server.port)
    assert resolver.asked == ["far.test"]


async def test_resolver_of_the_caller_is_not_closed() -> None:
    class Closable(Resolver):
        closed = False

        async def close(self) -> None:
            self.closed = True

    resolver = Closable()
    async with RawServer(echo) as server:
        for _ in range(2):
            async with websocket_connect(f"ws://far.test:{server.port}/", resolver=resolver):
                pass
    assert not resolver.closed


# HTTPRequest


def tornado_request(*args: Any, **fields: Any) -> Any:
    httpclient = pytest.importorskip("tornado.httpclient")
    return httpclient.HTTPRequest(*args, **fields)


@pytest.mark.parametrize("make", [HTTPRequest, tornado_request], ids=["ours", "tornado"])
async def test_http_request(make: Callable[..., Any]) -> None:
    fields = {
        "headers": {"X-Mine": "a"},
        "auth_username": "user",
        "auth_password": "secret",
        "connect_timeout": 5.0,
        "request_timeout": 4.0,
        "user_agent": "me",
        "network_interface": "127.0.0.7",
        "follow_redirects": False,
    }
    async with recording() as (url, requests):
        async with websocket_connect(make(url, **fields)) as conn:
            assert conn.local_address[0] == "127.0.0.7"
            assert str(conn.url) == url
        async with websocket_connect(make(url, **fields), user_agent="you"):
            pass
    headers = requests[0].headers
    assert (headers["x-mine"], headers["user-agent"]) == ("a", "me")
    assert headers["authorization"] == "Basic dXNlcjpzZWNyZXQ="
    # An explicit argument wins.
    assert requests[1].headers["user-agent"] == "you"


async def test_an_argument_that_equals_its_default_is_none() -> None:
    equal = "".join(DEFAULT_USER_AGENT)
    assert equal is not DEFAULT_USER_AGENT
    async with recording() as (url, requests):
        request = HTTPRequest(url, user_agent="me", follow_redirects=False)
        async with websocket_connect(request, user_agent=equal, connect_timeout=20):
            pass
    assert requests[0].headers["user-agent"] == "me"


@pytest.mark.parametrize("make", [HTTPRequest, tornado_request], ids=["ours", "tornado"])
async def test_http_request_with_tls(
    make: Callable[..., Any], certificates: IssuedCertificate, tmp_path: Path
) -> None:
    ca_file = certificates.write(tmp_path).ca_file
    async with RawServer(echo, tls=certificates.server_context()) as server:
        url = server.url
        for fields in ({"ca_certs": str(ca_file)}, {"validate_cert": False}):
            async with websocket_connect(make(url, **fields)) as conn:
                await conn.write_message("hello")
                assert await conn.read_message() == "hello"
        with pytest.raises(ConnectError):
            await websocket_connect(make(url))


async def test_tornados_defaults_are_no_demands() -> None:
    async with recording() as (url, requests), websocket_connect(tornado_request(url)):
        pass
    assert requests[0].target == "/"


async def test_session_with_a_context_of_its_own(certificates: IssuedCertificate) -> None:
    connector = aiohttp.TCPConnector(ssl=certificates.trust_context())
    async with (
        RawServer(echo, tls=certificates.server_context()) as server,
        aiohttp.ClientSession(connector=connector) as session,
        websocket_connect(f"wss://localhost:{server.port}/", session=session) as conn,
    ):
        await conn.write_message("hello")
        assert await conn.read_message() == "hello"
