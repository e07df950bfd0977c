"""Which URLs are accepted, which are refused and why, and how they are shown."""

from __future__ import annotations

import traceback

import pytest
from hypothesis import given
from hypothesis import strategies as st
from yarl import URL

from wsclient.errors import ConnectError, InvalidURLError
from wsclient.urls import check_url, shown_url


@pytest.mark.parametrize(
    ("url", "host", "port"),
    [
        pytest.param("ws://example.com", "example.com", 80, id="ws"),
        pytest.param("wss://example.com/chat?room=1", "example.com", 443, id="wss"),
        pytest.param("WS://Example.com:8080/", "example.com", 8080, id="upper-case"),
        pytest.param("ws://127.0.0.1:1/", "127.0.0.1", 1, id="ipv4"),
        pytest.param("ws://[::1]:65535/", "::1", 65535, id="ipv6"),
        pytest.param("ws://[fe80::1%25eth0]/", "fe80::1%eth0", 80, id="ipv6-zone"),
        pytest.param("ws://[fe80::1%eth0.25]/", "fe80::1%eth0.25", 80, id="zone-not-escaped"),
        pytest.param("ws://[fe80::1%252]/", "fe80::1%2", 80, id="zone-number"),
        pytest.param("ws://host:/", "host", 80, id="empty-port"),
        pytest.param("ws://user:secret@host/", "host", 80, id="credentials"),
        pytest.param("ws://bücher.example/", "bücher.example", 80, id="international"),
        pytest.param("ws://my_service.internal./", "my_service.internal.", 80, id="underscore"),
        pytest.param("ws://host/a%20b/%23", "host", 80, id="escapes"),
        pytest.param(URL("ws://host:81/x"), "host", 81, id="yarl"),
    ],
)
def test_usable_urls(url: str | URL, host: str, port: int) -> None:
    checked = check_url(url)
    assert (checked.host, checked.port) == (host, port)


@pytest.mark.parametrize(
    ("url", "says"),
    [
        pytest.param("http://host/", "write ws:// instead", id="http"),
        pytest.param("https://host/", "write wss:// instead", id="https"),
        pytest.param("ftp://host/", "must be ws or wss, not 'ftp'", id="ftp"),
        pytest.param("host:8080/path", "has no scheme", id="no-scheme"),
        pytest.param("//host/path", "has no scheme", id="no-scheme-slashes"),
        pytest.param("ws:host", "has no scheme", id="no-slashes"),
        pytest.param("", "is empty", id="empty"),
        pytest.param("ws://", "no host", id="no-host"),
        pytest.param("ws:///path", "no host", id="no-host-path"),
        pytest.param("ws://:80/", "no host", id="no-host-port"),
        pytest.param("ws://host#part", "Remove it, or write %23", id="fragment"),
        pytest.param("ws://host/#", "fragment", id="empty-fragment"),
        pytest.param(URL("ws://host/#part"), "fragment", id="fragment-yarl"),
        pytest.param("ws://host:0/", "1 to 65535", id="port-0"),
        pytest.param("ws://host:65536/", "1 to 65535", id="port-65536"),
        pytest.param("ws://host:-1/", "bad port", id="port-negative"),
        pytest.param("ws://host:+1/", "bad port", id="port-sign"),
        pytest.param("ws://host:٣/", "bad port", id="port-arabic"),
        pytest.param("ws://host:http/", "bad port", id="port-word"),
        pytest.param("ws://[::1]:x/", "bad port", id="port-ipv6"),
        pytest.param("ws://host/a b", "write %20", id="space"),
        pytest.param(" ws://host/", "white space", id="leading-space"),
        pytest.param("ws://host/\n", "white space", id="trailing-newline"),
        pytest.param("ws://ho\r\nst/", "U+000D", id="crlf"),
        pytest.param("ws://host/\x00", "U+0000", id="nul"),
        pytest.param("ws://host/\x7f", "U+007F", id="delete"),
        pytest.param("ws://host/\ud800", "lone surrogate", id="surrogate"),
        pytest.param(
            URL.build(scheme="ws", host="host", path="/\r\nX:y", encoded=True),
            "U+000D",
            id="crlf-yarl",
        ),
        pytest.param("ws://[::1/", "like [::1]", id="open-bracket"),
        pytest.param("ws://[::1]x/", "like [::1]", id="after-bracket"),
        pytest.param("ws://[zz]/", "cannot be parsed", id="no-address"),
        pytest.param("ws://a..b/", "bad host", id="empty-label"),
        pytest.param(f"ws://{'a' * 64}.example/", "bad host", id="long-label"),
        pytest.param("ws://h<>/", "bad host", id="brackets"),
        pytest.param("ws://h%0aq/", "bad host", id="escape-in-host"),
        pytest.param("ws://[fe80::1%25]/", "as in [fe80::1%25eth0]", id="zone-empty"),
        pytest.param("ws://[fe80::1%]/", "as in [fe80::1%25eth0]", id="zone-empty-not-escaped"),
        pytest.param("ws://[fe80::1%25\u2028eth0]/", "bad host", id="zone-line-separator"),
        pytest.param("ws://[fe80::1%25é]/", "bad host", id="zone-not-ascii"),
        pytest.param("ws://[fe80::1%25a%41]/", "bad host", id="zone-escaped-letter"),
        pytest.param("ws://10.0.0.1%25eth0/", "bad host", id="zone-ipv4"),
    ],
)
def test_bad_urls(url: str | URL, says: str) -> None:
    with pytest.raises(InvalidURLError) as caught:
        check_url(url)
    assert says in str(caught.value)
    assert isinstance(caught.value, ValueError)
    assert isinstance(caught.value, ConnectError)
    assert caught.value.phase == "url"


@pytest.mark.parametrize("url", [None, 1, b"ws://host/", ["ws://host/"]], ids=repr)
def test_wrong_types(url: object) -> None:
    with pytest.raises(TypeError, match=r"must be a str or a yarl\.URL"):
        check_url(url)  # type: ignore[arg-type]  # that is the test


@pytest.mark.parametrize(
    "url",
    [
        "http://user:hunter2@host/",
        "ws://user:hunter2@host/#x",
        "ws://user:hunter2/x@host/",
        "ws://user:hunter2#x@host/",
        "ws://user:hunter2@:80/",
        "ws://user:hunter2@ho st/",
        "ws://user:hunter2@host:port/",
        "ws://hunter2@[::1/",
        "user:hunter2@host/",
        "user:hunter2@host://x",
    ],
)
def test_no_error_shows_a_password(url: str) -> None:
    with pytest.raises(InvalidURLError) as caught:
        check_url(url)
    assert "hunter2" not in "".join(traceback.format_exception_only(caught.value))
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None or caught.value.__suppress_context__


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("ws://host:81/path", "ws://host:81/path"),
        ("ws://user:hunter2@host/path", "ws://***@host/path"),
        ("wss://hunter2@[::1]:1/", "wss://***@[::1]:1/"),
        ("ws://host/?token=hunter2", "ws://host/?***"),
        ("ws://user:1/hunter2@host/", "ws://user:1/***"),
    ],
)
def test_shown_url(url: str, shown: str) -> None:
    assert shown_url(URL(url)) == shown


@given(st.text(max_size=30))
def test_any_text_is_accepted_or_refused_as_documented(text: str) -> None:
    for url in (text, f"ws://{text}", f"ws://host/{text}", f"ws://host:{text}"):
        try:
            checked = check_url(url)
        except InvalidURLError:
            continue
        assert checked.scheme in ("ws", "wss")
        assert checked.host
        assert str(checked).isprintable()
