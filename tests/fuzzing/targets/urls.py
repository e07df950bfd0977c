"""URLs: what is taken can be connected to, what is refused is refused as documented.

An input is one byte that says what the text is for, then the text. `_MARKER` in it stands for a
password.
"""

from __future__ import annotations

import os
from typing import Final

from yarl import URL

from fuzzing.promises import check_text, shown
from wsclient.errors import InvalidURLError, ProxyError
from wsclient.opening.upgrade import _websocket_url
from wsclient.options.proxies import SOCKS_SCHEMES, check_proxy_url, environment_proxy
from wsclient.urls import check_url, shown_url

__all__ = ["fuzz"]

_MARKER: Final = "PASSWORD-MARKER"
_BASE: Final = URL("wss://example.org:8443/chat/room?token=1")
_HOSTS: Final = (
    URL("ws://example.org/"),
    URL("wss://a.b.example.org:444/"),
    URL("ws://10.1.2.3:8080/"),
    URL("wss://[fe80::1]/"),
    URL("ws://bücher.example/"),
)


def fuzz(data: bytes) -> None:
    """Feed one input.

    Raises:
        AssertionError: a URL is not usable, or an error shows a password.
    """
    text = data[1:].decode("utf-8", "surrogateescape")
    kind = data[0] % 4 if data else 0
    if kind == 0:
        _check_url(text)
    elif kind == 1:
        _check_proxy(text)
    elif kind == 2:
        _check_environment(text)
    else:
        _check_redirect(text)


def _check_hidden(texts: list[str], given: str) -> None:
    """Check that a password stays out of texts, if it stood where passwords stand."""
    rest = given.partition("://")[2] or given
    user, at, _ = rest.partition("/")[0].partition("?")[0].partition("#")[0].rpartition("@")
    if at and _MARKER in user and given.count(_MARKER) == user.count(_MARKER):
        assert not any(_MARKER in text for text in texts), f"a password is shown in {texts}"


def _check_url(text: str) -> None:
    try:
        url = check_url(text)
    except InvalidURLError as exc:
        check_text(str(exc))
        assert exc.phase == "url"
        _check_hidden(list(shown(exc)), text)
        return
    _check_usable(url)
    # As text a URL loses a port that its scheme implies.
    assert check_url(url) == url and str(check_url(str(url))) == str(url)
    check_text(shown_url(url))
    _check_hidden([shown_url(url)], text)
    assert (
        url.raw_query_string == ""
        or url.raw_query_string not in shown_url(url)
        or (len(url.raw_query_string) < 8)
    )


def _check_usable(url: URL) -> None:
    assert url.scheme in ("ws", "wss")
    assert url.host and url.raw_host and url.raw_host.isascii()
    assert url.port is not None and 1 <= url.port <= 65535
    assert url.raw_path.startswith("/") and url.raw_fragment == ""
    # What gets onto the wire must not end a line of the request.
    assert url.raw_path_qs.isascii() and url.raw_path_qs.isprintable()
    assert " " not in url.raw_path_qs


def _check_proxy(text: str) -> None:
    try:
        url = check_proxy_url(text)
    except ValueError as exc:
        check_text(str(exc))
        _check_hidden(list(shown(exc)), text)
        return
    assert url.scheme in {"http", "https"} | SOCKS_SCHEMES
    assert url.host and url.port is not None and 1 <= url.port <= 65535
    assert check_proxy_url(url) == url


def _check_environment(text: str) -> None:
    """Take the first line as the proxy and the rest as exceptions."""
    proxy, _, exceptions = text.replace("\0", "").partition("\n")
    names = ("http_proxy", "https_proxy", "no_proxy")
    before = {name: os.environ.get(name) for name in names}
    os.environ.update(http_proxy=proxy, https_proxy=proxy, no_proxy=exceptions)
    try:
        found = [_environment(url, proxy) for url in _HOSTS]
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
    rules = exceptions.replace(",", " ").split()
    if "*" in rules:
        assert found == [None] * len(found)
    if "example.org" in rules:
        assert found[:2] == [None, None]


def _environment(url: URL, proxy: str) -> URL | None:
    try:
        return environment_proxy(url)
    except ProxyError as exc:
        check_text(str(exc))
        _check_hidden(list(shown(exc)), proxy)
        return None


def _check_redirect(location: str) -> None:
    """Follow a Location header as far as its URL."""
    try:
        url = _websocket_url(_BASE, location)
    except ValueError:
        return
    _check_usable(url)
    assert url.raw_user is None and url.raw_password is None
    check_text(shown_url(url))
    assert check_url(url) == url
    # It is compared with where it came from.
    assert url.origin()
