"""Pages talk over TLS, and show a client certificate where the server wants one."""

from __future__ import annotations

import ssl

from browser.chromium import Chromium
from browser.conftest import CLIENT_NAME
from browser.devtools import open_page
from browser.site import Hello, serving, talk
from wsclient.testing import CertificateAuthority, WebSocketTestServer


class Host(Hello):
    """Welcomes the client by the name in its certificate, from whatever page it comes."""

    def check_origin(self, origin: str) -> bool:
        return True

    def open(self) -> None:
        assert self.request.transport is not None
        subject = self.request.transport.get_extra_info("peercert")["subject"]
        self.write_message("Welcome, " + dict(pair for (pair,) in subject)["commonName"])


WELCOME = f"Welcome, {CLIENT_NAME}"


def mutual_tls(authority: CertificateAuthority) -> ssl.SSLContext:
    return authority.server_certificate().server_context(client_ca=authority)


async def test_wss(chromium: Chromium, authority: CertificateAuthority) -> None:
    tls = authority.server_certificate().server_context()
    async with (
        serving(Hello, tls=tls) as site,
        open_page(chromium.devtools_url, site.origin) as page,
    ):
        assert site.websocket_url.startswith("wss://")
        seen = await talk(page, site.websocket_url, send=["Hello, world"], closeAfter=1)
    assert seen.messages == ["You said: Hello, world"]
    assert seen.clean


async def test_a_client_certificate_of_the_profile(
    chromium: Chromium, authority: CertificateAuthority
) -> None:
    async with (
        serving(Host, tls=mutual_tls(authority)) as site,
        open_page(chromium.devtools_url, site.origin) as page,
    ):
        seen = await talk(page, site.websocket_url, send=["Hello, world"], closeAfter=2)
    assert seen.messages == [WELCOME, "You said: Hello, world"]
    assert seen.clean


async def test_a_client_certificate_for_the_test_server(
    chromium: Chromium, authority: CertificateAuthority
) -> None:
    """Chromium chooses a certificate for HTTP only; its WebSockets use what was chosen then."""
    async with (
        serving(Hello) as site,
        WebSocketTestServer(Host, tls=mutual_tls(authority)) as server,
        open_page(chromium.devtools_url, site.origin) as page,
    ):
        seen = await talk(page, server.url, closeAfter=1)
        assert (seen.opened, seen.code) == (False, 1006)
        assert not server.requests

        # The server refuses to be a web site, and that is good enough.
        await page.call("fetchAnything", server.url.replace("wss:", "https:"))
        assert [each.opened for each in server.requests] == [False]
        seen = await talk(page, server.url, closeAfter=1)
        assert seen.messages == [WELCOME]


async def test_a_server_of_an_unknown_authority(chromium: Chromium) -> None:
    tls = CertificateAuthority("nobody trusts it").server_certificate().server_context()
    async with (
        serving(Hello) as site,
        WebSocketTestServer(Hello, tls=tls) as server,
        open_page(chromium.devtools_url, site.origin) as page,
    ):
        seen = await talk(page, server.url, closeAfter=1)
        assert (seen.opened, seen.code) == (False, 1006)
        assert "ERR_CERT_AUTHORITY_INVALID" in await page.next_error()
        assert not server.requests
