"""Which pages may talk to a server: those of its own origin, unless `check_origin` says else."""

from __future__ import annotations

from browser.chromium import Chromium
from browser.devtools import Page, open_page
from browser.site import Hello, Talk, serving, talk
from wsclient.testing import WebSocketTestServer

GREETED = Talk(True, "", "", ["You said: Hello, world"], 1000, "", True)
REFUSED = Talk(False, "", "", [], 1006, "", False)


async def say_hello(page: Page, url: str) -> Talk:
    return await talk(page, url, send=["Hello, world"], closeAfter=1)


async def expect_refusal(page: Page, url: str) -> None:
    """Expect 403: the page sees only that nothing was opened, and the console says why."""
    assert await say_hello(page, url) == REFUSED
    assert "Unexpected response code: 403" in await page.next_error()


async def test_a_page_talks_to_its_own_server(chromium: Chromium) -> None:
    async with serving(Hello) as site, open_page(chromium.devtools_url, site.origin) as page:
        assert await say_hello(page, site.websocket_url) == GREETED
    assert site.origins == [site.origin]


async def test_another_port_is_refused(chromium: Chromium) -> None:
    async with serving(Hello) as site, open_page(chromium.devtools_url, site.other_origin) as page:
        await expect_refusal(page, site.websocket_url)
    assert site.origins == [site.other_origin]


async def test_another_host_name_is_refused(chromium: Chromium) -> None:
    async with serving(Hello) as site:
        named = site.origin.replace("127.0.0.1", "localhost")
        async with open_page(chromium.devtools_url, named) as page:
            await expect_refusal(page, site.websocket_url)
            # The same server, by the name that the page has it from.
            url = site.websocket_url.replace("127.0.0.1", "localhost")
            assert await say_hello(page, url) == GREETED
    assert site.origins == [named, named]


async def test_a_page_of_no_origin_is_refused(chromium: Chromium) -> None:
    async with (
        serving(Hello) as site,
        open_page(chromium.devtools_url, f"{site.origin}/sandboxed") as page,
    ):
        await expect_refusal(page, site.websocket_url)
    assert site.origins == ["null"]


async def test_check_origin_decides(chromium: Chromium) -> None:
    friends: set[str] = set()

    class Friendly(Hello):
        def check_origin(self, origin: str) -> bool:
            return origin in friends

    async with serving(Friendly) as site:
        friends.add(site.other_origin)
        async with open_page(chromium.devtools_url, site.other_origin) as page:
            assert await say_hello(page, site.websocket_url) == GREETED
        # It is asked about pages of the server's own origin, too.
        async with open_page(chromium.devtools_url, site.origin) as page:
            await expect_refusal(page, site.websocket_url)


async def test_the_test_server_takes_notes_of_both(chromium: Chromium) -> None:
    class Friendly(Hello):
        def check_origin(self, origin: str) -> bool:
            return origin == site.origin

    async with serving(Hello) as site, WebSocketTestServer(Friendly) as server:
        async with open_page(chromium.devtools_url, site.origin) as page:
            assert await say_hello(page, server.url) == GREETED
        async with open_page(chromium.devtools_url, site.other_origin) as page:
            await expect_refusal(page, server.url)
        greeted, refused = (request.handshake for request in server.requests)
        (conversation,) = server.connections
    assert (greeted.status, refused.status) == (101, 403)
    assert greeted.request_headers["Origin"] == site.origin
    assert refused.request_headers["Origin"] == site.other_origin
    assert conversation.received == ["Hello, world"]
    assert conversation.sent == ["You said: Hello, world"]
