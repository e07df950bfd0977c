"""Which origins may connect (RFC 6455, section 10.2), on Tornado's handler and ours."""

from __future__ import annotations

from typing import Any

import pytest

from handler.driver import Calls, Client
from handler.scenario import both, plain, same
from wsclient.testing.certificates import IssuedCertificate


def drive_from(headers: dict[str, str | None]) -> Any:
    async def drive(client: Client) -> None:
        if await client.request(headers=headers) == 101:
            await client.leave()

    return drive


@pytest.mark.parametrize(
    ("host", "origin", "status"),
    [
        pytest.param("example.test", None, 101, id="no origin"),
        pytest.param("example.test", "http://example.test", 101, id="same"),
        pytest.param("example.test", "http://example.test/page", 101, id="with a path"),
        pytest.param("example.test:8080", "http://example.test:8080", 101, id="same port"),
        pytest.param("example.test:8080", "http://example.test:8081", 403, id="other port"),
        pytest.param("example.test:8080", "http://example.test", 403, id="port only in Host"),
        pytest.param("example.test", "http://example.test:8080", 403, id="port only in Origin"),
        pytest.param("example.test", "http://EXAMPLE.test", 101, id="origin in mixed case"),
        pytest.param("Example.TEST:8080", "http://example.test:8080", 101, id="host mixed case"),
        pytest.param("example.test", "HTTP://example.test", 101, id="scheme in upper case"),
        pytest.param("example.test", "http://sub.example.test", 403, id="subdomain"),
        pytest.param("sub.example.test", "http://example.test", 403, id="parent domain"),
        pytest.param("example.test", "http://example.test.evil.test", 403, id="longer name"),
        pytest.param("example.test", "http://evilexample.test", 403, id="name as ending"),
        pytest.param("example.test", "http://example.test@evil.test", 403, id="user info"),
        pytest.param("example.test", "null", 403, id="null"),
        pytest.param("example.test", "", 403, id="empty"),
        pytest.param("example.test", "example.test", 403, id="no scheme"),
        pytest.param("example.test", "example.test:80", 403, id="no scheme but a port"),
        pytest.param("example.test", "http://", 403, id="no host"),
        pytest.param("127.0.0.1", "http://localhost", 403, id="address and name"),
        pytest.param("[::1]:8080", "http://[::1]:8080", 101, id="IPv6"),
    ],
)
async def test_only_the_same_origin_by_default(host: str, origin: str | None, status: int) -> None:
    drive = drive_from({"Host": host, "Origin": origin})
    seen = await same(plain, drive, closes=1 if status == 101 else 0)
    assert seen.status == status
    assert len(seen.calls) == (2 if status == 101 else 0)


@pytest.mark.parametrize(
    ("origin", "status"),
    [("https://elsewhere.test", 101), ("http://elsewhere.test:81", 403), ("null", 403)],
)
async def test_check_origin_decides(origin: str, status: int) -> None:
    def make(base: Any, calls: Calls) -> Any:
        class Handler(base):
            def check_origin(self, origin: str) -> bool:
                calls("check_origin", origin)
                return origin == "https://elsewhere.test"

        return Handler

    seen = await same(make, drive_from({"Origin": origin}), closes=1 if status == 101 else 0)
    assert seen.status == status
    assert seen.calls[0] == ("check_origin", origin)
    assert len(seen.calls) == (3 if status == 101 else 1)


async def test_check_origin_is_not_called_without_an_origin() -> None:
    def make(base: Any, calls: Calls) -> Any:
        class Handler(base):
            def check_origin(self, origin: str) -> bool:
                calls("check_origin", origin)
                return False

        return Handler

    seen = await same(make, drive_from({}))
    assert seen.status == 101
    assert seen.names == ["open", "on_close"]


async def test_check_origin_comes_after_a_bad_upgrade() -> None:
    """A request that is no upgrade is 400 whatever its origin is."""
    drive = drive_from({"Origin": "https://elsewhere.test", "Upgrade": None})
    seen = await same(plain, drive, closes=0)
    assert seen.status == 400


async def test_a_bad_version_from_a_bad_origin() -> None:
    """Both faults are refused; Tornado looks at the origin first, ours at the version."""
    drive = drive_from({"Origin": "https://elsewhere.test", "Sec-WebSocket-Version": "8"})
    tornado, ours = await both(plain, drive, closes=0)
    assert (tornado.status, ours.status) == (403, 426)


async def test_an_origin_that_is_no_url() -> None:
    """Tornado breaks at it; ours refuses it."""
    tornado, ours = await both(plain, drive_from({"Origin": "http://[evil"}), closes=0)
    assert (tornado.status, ours.status) == (500, 403)


@pytest.mark.parametrize("scheme", ["http", "https", "ws"])
async def test_the_scheme_of_the_origin_does_not_matter(scheme: str) -> None:
    """A proxy in front may do the TLS, and the server does not know its own scheme."""
    drive = drive_from({"Host": "example.test", "Origin": f"{scheme}://example.test"})
    seen = await same(plain, drive)
    assert seen.status == 101


async def test_whether_check_origin_is_asked_about_the_same_origin() -> None:
    """Tornado is not; ours is, as Tornado was before 6.6."""

    def make(base: Any, calls: Calls) -> Any:
        class Handler(base):
            def check_origin(self, origin: str) -> bool:
                calls("check_origin", origin)
                return False

        return Handler

    drive = drive_from({"Host": "example.test", "Origin": "http://example.test"})
    tornado, ours = await both(make, drive, closes=(1, 0))
    assert (tornado.status, tornado.names) == (101, ["open", "on_close"])
    assert (ours.status, ours.calls) == (403, [("check_origin", "http://example.test")])


@pytest.mark.parametrize(
    ("headers", "theirs", "our"),
    [
        pytest.param({"Sec-Fetch-Site": "cross-site"}, 403, 101, id="cross-site, no origin"),
        pytest.param(
            {"Sec-Fetch-Site": "same-origin", "Origin": "http://elsewhere.test"},
            101,
            403,
            id="same-origin",
        ),
    ],
)
async def test_sec_fetch_site(headers: dict[str, str | None], theirs: int, our: int) -> None:
    """Tornado believes this header of browsers more than Origin; ours knows Origin alone."""
    closes = (1 if theirs == 101 else 0, 1 if our == 101 else 0)
    tornado, ours = await both(plain, drive_from(headers), closes=closes)
    assert (tornado.status, ours.status) == (theirs, our)


async def test_the_same_origin_over_tls(certificates: IssuedCertificate) -> None:
    contexts = (certificates.server_context(), certificates.trust_context())
    drive = drive_from({"Host": "localhost:443", "Origin": "https://LOCALHOST:443"})
    seen = await same(plain, drive, tls=contexts)
    assert (seen.status, seen.names, seen.ended) == (101, ["open", "on_close"], True)
