"""Redirects: which are followed, and what goes along."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import pytest

from behaviour.servers import WAIT, echo_frames
from wsclient import HandshakeError, InvalidURLError, RedirectError, websocket_connect
from wsclient.testing.certificates import IssuedCertificate
from wsclient.testing.raw import RawConnection, RawRequest, RawServer


@dataclass
class Site:
    """A server with redirects on it.

    Attributes:
        targets: what a path redirects to, as a Location header, with more header lines.
        requests: what was asked for.
    """

    targets: dict[str, tuple[str, dict[str, str]]] = field(default_factory=dict)
    requests: list[RawRequest] = field(default_factory=list)
    port: int = 0
    status: str = "302 Found"

    def url(self, path: str, *, host: str = "127.0.0.1", scheme: str = "ws") -> str:
        return f"{scheme}://{host}:{self.port}{path}"

    def redirect(self, path: str, location: str, **fields: str) -> None:
        self.targets[path] = (location, {k.replace("_", "-"): v for k, v in fields.items()})

    async def serve(self, wire: RawConnection) -> None:
        request = await wire.read_request()
        self.requests.append(request)
        if request.target in self.targets:
            location, fields = self.targets[request.target]
            return await wire.respond(self.status, {"Location": location, **fields}, b"moved")
        await wire.accept()
        await echo_frames(wire)


@asynccontextmanager
async def site(ssl: Any = None) -> AsyncIterator[Site]:
    """Run a site."""
    running = Site()
    async with RawServer(running.serve, tls=ssl) as server:
        running.port = server.port
        yield running


async def visit(url: str, **options: Any) -> str:
    """Connect, say hello, close; return the URL in the end."""
    async with websocket_connect(url, **options) as conn:
        await conn.write_message("hello")
        assert await asyncio.wait_for(conn.read_message(), WAIT) == "hello"
        return str(conn.url)


async def refused(url: str, **options: Any) -> RedirectError:
    with pytest.raises(RedirectError) as caught:
        await websocket_connect(url, **options)
    return caught.value


@pytest.mark.parametrize(
    "status", ["301 Moved", "302 Found", "303 See Other", "307 Temporary", "308 Permanent"]
)
async def test_redirect_is_followed(status: str) -> None:
    async with site() as here:
        here.status = status
        here.redirect("/old", "/new?a=b")
        assert await visit(here.url("/old")) == here.url("/new?a=b")
        assert [(r.method, r.target) for r in here.requests] == [
            ("GET", "/old"),
            ("GET", "/new?a=b"),
        ]


@pytest.mark.parametrize("scheme", ["ws", "http"])
async def test_redirect_to_another_server(scheme: str) -> None:
    async with site() as here, site() as there:
        here.redirect("/", there.url("/x#part", scheme=scheme))
        # The fragment of a Location header is none of the server's business.
        assert await visit(here.url("/")) == there.url("/x")


async def test_query_is_not_sent_on() -> None:
    async with site() as here:
        here.redirect("/old?token=abc", "new")
        assert await visit(here.url("/old?token=abc")) == here.url("/new")


@pytest.mark.parametrize("limit", [0, 1, 3])
async def test_limit_of_redirects(limit: int) -> None:
    async with site() as here:
        for number in range(6):
            here.redirect(f"/{number}", f"/{number + 1}")
        error = await refused(here.url("/0"), max_redirects=limit)
        assert len(here.requests) == limit + 1
        assert f"max_redirects, {limit}" in str(error)
        assert error.history == tuple(here.url(f"/{n}") for n in range(limit + 2))
        assert await visit(here.url(f"/{6 - limit}"), max_redirects=limit) == here.url("/6")


async def test_endless_redirects_end() -> None:
    async with site() as here:
        here.redirect("/", "/")
        await refused(here.url("/"))
        assert len(here.requests) == 11


async def test_no_way_from_wss_to_ws(certificates: IssuedCertificate) -> None:
    async with site(certificates.server_context()) as here, site() as there:
        here.redirect("/", there.url("/", scheme="http"))
        error = await refused(here.url("/", scheme="wss"), ssl=certificates.trust_context())
        assert "wss:// to ws://" in str(error)
        assert error.history == (here.url("/", scheme="wss"), there.url("/"))
        assert there.requests == []


async def test_way_from_ws_to_wss(certificates: IssuedCertificate) -> None:
    async with site() as here, site(certificates.server_context()) as there:
        here.redirect("/", there.url("/", scheme="wss"))
        options = {"ssl": certificates.trust_context()}
        assert await visit(here.url("/"), **options) == there.url("/", scheme="wss")


@pytest.mark.parametrize("location", ["ftp://h/", "mailto:me@h", "ws://[bad/", "http://"])
async def test_redirect_to_something_else(location: str) -> None:
    async with site() as here:
        here.redirect("/", location)
        error = await refused(here.url("/"))
        assert "no WebSocket URL" in str(error)
        assert isinstance(error.__cause__, InvalidURLError | ValueError)


async def test_passwords_of_a_redirect_are_not_shown() -> None:
    async with site() as here:
        here.redirect("/", f"http://user:hunter2@127.0.0.1:{here.port}/?token=abc")
        error = await refused(here.url("/"), max_redirects=0)
        assert "hunter2" not in str(error) + repr(error.history)
        assert "abc" not in str(error) + repr(error.history)


# What goes along


SECRETS = ("authorization", "cookie", "x-api-key")
OPTIONS: dict[str, Any] = {
    "auth": ("user", "secret"),
    "cookies": {"id": "123"},
    "headers": {"X-Api-Key": "key"},
}


async def test_secrets_go_along_within_the_origin() -> None:
    async with site() as here:
        here.redirect("/", "/x")
        await visit(here.url("/"), **OPTIONS)
        for request in here.requests:
            assert [request.headers.get(name) for name in SECRETS] == [
                "Basic dXNlcjpzZWNyZXQ=",
                "id=123",
                "key",
            ]


@pytest.mark.parametrize("given", ["options", "headers", "url"])
async def test_secrets_stay_behind_when_the_origin_changes(given: str) -> None:
    fields = {"Authorization": "Bearer x", "Cookie": "id=123", "X-Api-Key": "key"}
    options = {"options": OPTIONS, "headers": {"headers": fields}, "url": {}}[given]
    async with site() as here, site() as there:
        here.redirect("/", there.url("/"))
        url = here.url("/", host="user:secret@127.0.0.1" if given == "url" else "127.0.0.1")
        await visit(url, origin="http://mine.test", user_agent="me", **options)
        [first], [second] = here.requests, there.requests
        assert "authorization" in first.headers
        assert not set(SECRETS) & set(second.headers), second.headers
        assert "secret" not in str(second)
        # What is no secret goes along.
        assert second.headers["origin"] == "http://mine.test"
        assert second.headers["user-agent"] == "me"
        assert second.headers["host"] == f"127.0.0.1:{there.port}"


async def test_secrets_do_not_come_back_on_a_way_back() -> None:
    async with site() as here, site() as there:
        here.redirect("/", there.url("/"))
        there.redirect("/", here.url("/end"))
        await visit(here.url("/"), **OPTIONS)
        assert not set(SECRETS) & set(here.requests[-1].headers)


async def test_digest_stays_behind_when_the_origin_changes() -> None:
    async def challenge(wire: RawConnection) -> None:
        requests.append(await wire.read_request())
        fields = {"WWW-Authenticate": 'Digest realm="r", nonce="n", qop="auth", algorithm=MD5'}
        await wire.respond("401 Unauthorized", {**fields, "Connection": "close"})

    requests: list[RawRequest] = []
    async with site() as here, RawServer(challenge) as server:
        here.redirect("/", server.url)
        with pytest.raises(HandshakeError):
            await websocket_connect(
                here.url("/"), auth=aiohttp.DigestAuthMiddleware("user", "secret")
            )
    assert ["authorization" in request.headers for request in requests] == [False]


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1"])
async def test_cookies_of_a_redirect_go_along(host: str) -> None:
    async with site() as here:
        here.redirect("/", "/x", Set_Cookie="session=456; Path=/")
        await visit(here.url("/", host=host), cookies={"id": "123"})
        sent = here.requests[-1].headers.get("cookie", "")
        assert sorted(sent.split("; ")) == ["id=123", "session=456"]


async def test_cookies_of_a_redirect_stay_on_their_host() -> None:
    async with site() as here, site() as there:
        here.redirect("/", there.url("/", host="127.0.0.1"), Set_Cookie="session=456; Path=/")
        await visit(here.url("/", host="localhost"))
        assert "cookie" not in there.requests[-1].headers


async def test_each_attempt_starts_without_cookies() -> None:
    async with site() as here:
        here.redirect("/", "/x", Set_Cookie="session=456; Path=/")
        for _ in range(2):
            await visit(here.url("/", host="localhost"))
        assert "cookie" not in here.requests[2].headers


async def test_key_is_new_for_each_request() -> None:
    async with site() as here:
        here.redirect("/", "/x")
        await visit(here.url("/"))
        keys = [request.headers["sec-websocket-key"] for request in here.requests]
        assert len(set(keys)) == 2


async def test_secrets_of_a_session_stay_with_the_first_origin() -> None:
    async def add_token(
        request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
    ) -> aiohttp.ClientResponse:
        request.headers["X-Token"] = "from a middleware"
        return await handler(request)

    secrets = {"Authorization": "Bearer x", "X-Api-Key": "y", "Accept-Language": "en"}
    async with (
        site() as here,
        site() as there,
        aiohttp.ClientSession(headers=secrets, middlewares=[add_token]) as session,
    ):
        here.redirect("/", there.url("/x"))
        await visit(here.url("/"), session=session)
        first, second = here.requests[0].headers, there.requests[0].headers
        assert {"authorization", "x-api-key", "x-token"} <= set(first)
        assert not {"authorization", "x-api-key", "x-token"} & set(second)
        assert second["accept-language"] == "en"
