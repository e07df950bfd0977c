"""What a page and the server tell each other: messages, extensions, and how it ends."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from browser.chromium import Chromium
from browser.devtools import open_page
from browser.site import Talk, serving, talk
from wsclient.testing import EchoHandler, WebSocketHandler, WebSocketTestServer

MIB = 1024 * 1024
COMPRESSED = 4
"""RSV1 (RFC 7692, section 6)."""


class Public(EchoHandler):
    """Echoes to pages of every origin."""

    def check_origin(self, origin: str) -> bool:
        return True


async def test_a_mebibyte_of_bytes(chromium: Chromium) -> None:
    async with serving(EchoHandler) as site, open_page(chromium.devtools_url, site.origin) as page:
        assert await page.call("echoBytes", site.websocket_url, MIB) is True


async def test_text_of_every_plane(chromium: Chromium) -> None:
    texts = ["", "\0", "Grüße", "世界", "\N{GRINNING FACE}" * 1000]
    async with serving(EchoHandler) as site, open_page(chromium.devtools_url, site.origin) as page:
        seen = await talk(page, site.websocket_url, send=texts, closeAfter=len(texts))
    assert seen.messages == texts


async def test_the_browser_answers_pings(chromium: Chromium) -> None:
    pongs: list[bytes] = []

    class Pinging(WebSocketHandler):
        def open(self) -> None:
            self.ping(b"are you there?")

        def on_pong(self, data: bytes) -> None:
            pongs.append(data)
            self.close(1000, "you are")

    async with serving(Pinging) as site, open_page(chromium.devtools_url, site.origin) as page:
        seen = await talk(page, site.websocket_url)
    assert (seen.code, seen.reason) == (1000, "you are")
    assert pongs == [b"are you there?"]


# Extensions and subprotocols.


@pytest.mark.parametrize(
    ("options", "agreed"),
    [
        ({}, set()),
        ({"server_no_context_takeover": True}, {"server_no_context_takeover"}),
        ({"client_no_context_takeover": True}, {"client_no_context_takeover"}),
        ({"client_max_window_bits": 10}, {"client_max_window_bits=10"}),
    ],
    ids=["by default", "server forgets", "client forgets", "small window"],
)
async def test_compression(chromium: Chromium, options: dict[str, Any], agreed: set[str]) -> None:
    texts = ["a" * MIB, "b", "a" * MIB]
    async with (
        serving(EchoHandler) as site,
        WebSocketTestServer(Public, compression_options=options) as server,
        open_page(chromium.devtools_url, site.origin) as page,
    ):
        seen = await talk(page, server.url, send=texts, closeAfter=len(texts))
        assert await page.call("echoBytes", server.url, MIB) is True
        frames = server.connections[0].frames
    assert seen.messages == texts
    name, *parameters = seen.extensions.split("; ")
    assert name == "permessage-deflate"
    assert agreed <= set(parameters)
    for direction in ("received", "sent"):
        large = next(frame for frame in frames if frame.direction == direction)
        assert large.rsv == COMPRESSED
        assert len(large.payload) < MIB / 100


async def test_no_compression_by_default(chromium: Chromium) -> None:
    async with (
        serving(EchoHandler) as site,
        WebSocketTestServer(Public) as server,
        open_page(chromium.devtools_url, site.origin) as page,
    ):
        seen = await talk(page, server.url, send=["a" * MIB], closeAfter=1)
        (connection,) = server.connections
    assert seen.extensions == ""
    assert seen.messages == ["a" * MIB]
    assert not any(frame.rsv for frame in connection.frames)


async def test_a_subprotocol_is_chosen(chromium: Chromium) -> None:
    offered: list[list[str]] = []

    class Choosing(WebSocketHandler):
        def select_subprotocol(self, subprotocols: list[str]) -> str | None:
            offered.append(subprotocols)
            return "chat.v1"

        def open(self) -> None:
            self.close()

    async with serving(Choosing) as site, open_page(chromium.devtools_url, site.origin) as page:
        seen = await talk(page, site.websocket_url, protocols=["chat.v2", "chat.v1"])
    assert offered == [["chat.v2", "chat.v1"]]
    assert (seen.opened, seen.protocol) == (True, "chat.v1")


async def test_a_browser_insists_on_a_subprotocol(chromium: Chromium) -> None:
    """The server may choose none; a page that offers some does without a connection then."""
    async with serving(EchoHandler) as site, open_page(chromium.devtools_url, site.origin) as page:
        seen = await talk(page, site.websocket_url, protocols=["chat.v2"])
        assert (seen.opened, seen.code) == (False, 1006)
        assert "'Sec-WebSocket-Protocol'" in await page.next_error()


# The end.


@pytest.mark.parametrize(
    ("arguments", "code", "reason"),
    [((), 1000, ""), ((4001, "genug für heute"), 4001, "genug für heute")],
    ids=["by default", "with a reason"],
)
async def test_the_server_closes(
    chromium: Chromium, arguments: tuple[int, str] | tuple[()], code: int, reason: str
) -> None:
    class Closing(WebSocketHandler):
        def open(self) -> None:
            self.write_message("one last word")
            self.close(*arguments)

    async with serving(Closing) as site, open_page(chromium.devtools_url, site.origin) as page:
        seen = await talk(page, site.websocket_url)
    assert seen == Talk(True, "", "", ["one last word"], code, reason, True)


@pytest.mark.parametrize(
    ("arguments", "code", "reason", "page_code"),
    [([], None, None, 1005), ([3001, "genug für heute"], 3001, "genug für heute", 3001)],
    ids=["without a code", "with a reason"],
)
async def test_the_page_closes(
    chromium: Chromium,
    arguments: list[object],
    code: int | None,
    reason: str | None,
    page_code: int,
) -> None:
    ends: asyncio.Queue[tuple[int | None, str | None]] = asyncio.Queue()

    class Noting(WebSocketHandler):
        def open(self) -> None:
            self.write_message("hello")

        def on_close(self) -> None:
            ends.put_nowait((self.close_code, self.close_reason))

    async with serving(Noting) as site, open_page(chromium.devtools_url, site.origin) as page:
        seen = await talk(page, site.websocket_url, closeAfter=1, close=arguments)
        assert await ends.get() == (code, reason)
    assert (seen.code, seen.reason, seen.clean) == (page_code, reason or "", True)


async def test_the_page_goes_away(chromium: Chromium) -> None:
    ends: asyncio.Queue[int | None] = asyncio.Queue()

    class Noting(WebSocketHandler):
        def on_close(self) -> None:
            ends.put_nowait(self.close_code)

    async with serving(Noting) as site, open_page(chromium.devtools_url, site.origin) as page:
        opened = "new Promise(resolve => new WebSocket(%r).onopen = () => resolve(true))"
        assert await page.run(opened % site.websocket_url)
        await page.load(site.origin)
        assert await ends.get() == 1001


async def test_the_server_drops_the_connection(chromium: Chromium) -> None:
    class Dropping(WebSocketHandler):
        def open(self) -> None:
            assert self.ws_connection is not None
            self.ws_connection.abort()

    async with serving(Dropping) as site, open_page(chromium.devtools_url, site.origin) as page:
        seen = await talk(page, site.websocket_url)
    assert (seen.opened, seen.code, seen.clean) == (True, 1006, False)


async def test_a_handler_that_fails(chromium: Chromium) -> None:
    class Failing(WebSocketHandler):
        def on_message(self, message: str | bytes) -> None:
            raise LookupError(message)

        def log_exception(self, exc: BaseException) -> None:
            assert isinstance(exc, LookupError)

    async with serving(Failing) as site, open_page(chromium.devtools_url, site.origin) as page:
        seen = await talk(page, site.websocket_url, send=["anything"])
    assert (seen.opened, seen.code, seen.clean) == (True, 1011, True)
