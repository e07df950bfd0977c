"""Options of connecting: defaults, meanings, refusals, and that no secret is shown."""

from __future__ import annotations

import ssl
from http.cookies import SimpleCookie
from typing import Any

import aiohttp
import pytest
from multidict import CIMultiDict
from yarl import URL

import wsclient.options.proxies
from support.ids import steady_repr
from wsclient.errors import InvalidURLError
from wsclient.options.connect import DEFAULT_USER_AGENT, ConnectOptions
from wsclient.options.credentials import BasicCredentials
from wsclient.tls import TLSConfig

CONTEXT = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


def options(**values: Any) -> ConnectOptions:
    """Make options for some URL."""
    return ConnectOptions(values.pop("url", "ws://host/"), **values)


def test_defaults() -> None:
    made = options()
    assert made.url == URL("ws://host/")
    assert (made.connect_timeout, made.max_redirects, made.proxy) == (20.0, 10, True)
    assert (made.subprotocols, made.headers, made.proxy_headers) == ((), (), ())
    assert made.user_agent == DEFAULT_USER_AGENT
    assert DEFAULT_USER_AGENT.startswith("wsclient")
    assert dict(made.cookies) == {}
    for name in ("origin", "auth", "session", "local_addr", "resolver", "tls", "ssl", "proxy_tls"):
        assert getattr(made, name) is None


@pytest.mark.parametrize(
    ("name", "value", "kept"),
    [
        pytest.param("connect_timeout", None, None, id="no-limit"),
        pytest.param("connect_timeout", 3, 3.0, id="timeout"),
        pytest.param("subprotocols", ["b", "a"], ("b", "a"), id="subprotocols"),
        pytest.param("headers", {"A": "1"}, (("A", "1"),), id="headers-dict"),
        pytest.param("headers", [["A", "1"], ("A", "2")], (("A", "1"), ("A", "2")), id="pairs"),
        pytest.param(
            "headers",
            CIMultiDict([("A", "1"), ("a", "2")]),
            (("A", "1"), ("a", "2")),
            id="headers-multidict",
        ),
        pytest.param("headers", iter([("A", "1")]), (("A", "1"),), id="headers-iterator"),
        pytest.param("origin", "https://example.com", "https://example.com", id="origin"),
        pytest.param("user_agent", None, None, id="no-user-agent"),
        pytest.param("auth", ("u", "p"), BasicCredentials("u", "p"), id="auth-pair"),
        pytest.param("cookies", {"a": "1"}, {"a": "1"}, id="cookies"),
        pytest.param("cookies", SimpleCookie("a=1; b=2"), {"a": "1", "b": "2"}, id="morsels"),
        pytest.param("proxy", None, None, id="direct"),
        pytest.param("proxy", "https://p:1", URL("https://p:1"), id="proxy"),
        pytest.param("proxy", "p:3128", URL("http://p:3128"), id="proxy-without-scheme"),
        pytest.param("proxy", URL("socks5h://p"), URL("socks5h://p:1080"), id="socks"),
        pytest.param("max_redirects", 0, 0, id="no-redirects"),
        pytest.param("local_addr", ["127.0.0.1", 0], ("127.0.0.1", 0), id="local-addr"),
        pytest.param("ssl", CONTEXT, CONTEXT, id="ssl"),
        pytest.param("tls", TLSConfig(), TLSConfig(), id="tls"),
    ],
)
def test_meanings(name: str, value: Any, kept: Any) -> None:
    assert getattr(options(**{name: value}), name) == kept


def test_credentials_leave_the_url() -> None:
    made = options(url="wss://us%40er:p%3Ass@host:1/x?y=z")
    assert made.auth == BasicCredentials("us@er", "p:ss")
    assert made.url == URL("wss://host:1/x?y=z")


def test_explicit_credentials_win_over_the_url() -> None:
    made = options(url="ws://u:p@host/", auth=("other", "word"))
    assert made.auth == BasicCredentials("other", "word")
    assert made.url == URL("ws://host/")


def test_basic_credentials_are_sent_as_utf8() -> None:
    assert BasicCredentials("Aladdin", "open sesame").header_value == (
        "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="
    )
    assert BasicCredentials("test", "123£").header_value == "Basic dGVzdDoxMjPCow=="


def test_basic_auth_of_aiohttp_keeps_its_encoding() -> None:
    with pytest.warns(DeprecationWarning):
        auth = aiohttp.BasicAuth("u", "ü")
    made = options(auth=auth)
    assert made.auth == BasicCredentials("u", "ü", "latin1")
    assert made.auth.header_value == auth.encode()


def test_a_middleware_is_kept() -> None:
    digest = aiohttp.DigestAuthMiddleware("u", "p")
    assert options(auth=digest).auth is digest


def test_user_agent_in_headers_replaces_the_default() -> None:
    made = options(headers={"User-agent": "mine"})
    assert made.user_agent is None
    assert made.headers == (("User-agent", "mine"),)


BAD: list[Any] = [
    ("url", "http://host/", InvalidURLError, "write ws://"),
    ("url", "ws://a%3Ab:x@host/", InvalidURLError, "':'"),
    ("connect_timeout", 0, ValueError, "write None for no limit"),
    ("connect_timeout", -1, ValueError, "negative"),
    ("connect_timeout", float("nan"), ValueError, "NaN"),
    ("connect_timeout", float("inf"), ValueError, "write None for no limit"),
    ("connect_timeout", True, TypeError, "not bool"),
    ("connect_timeout", "20", TypeError, "not str"),
    ("subprotocols", "chat", TypeError, "['chat']"),
    ("subprotocols", ["a", "a"], ValueError, "repeats"),
    ("subprotocols", ["a b"], ValueError, "' '"),
    ("subprotocols", ["a\r\n"], ValueError, "'\\r'"),
    ("headers", "A: 1", TypeError, "not str"),
    ("headers", 1, TypeError, "not int"),
    ("headers", ["A"], TypeError, "pairs"),
    ("headers", [("A", "1", "2")], TypeError, "pairs"),
    ("headers", {"A": "1\r\nB: 2"}, ValueError, "remove the line break"),
    ("headers", {"A\n": "1"}, ValueError, "header name"),
    ("headers", {"A B": "1"}, ValueError, "header name"),
    ("headers", {"A:": "1"}, ValueError, "header name"),
    ("headers", {"A": "\ud800"}, ValueError, "Latin-1"),
    ("headers", {"A": 1}, TypeError, "give a str"),
    ("headers", {"A": b"1"}, TypeError, "give a str"),
    ("headers", {"upgrade": "x"}, ValueError, "upgrade"),
    ("headers", {"Sec-WebSocket-Protocol": "x"}, ValueError, "subprotocols="),
    ("headers", {"Content-Length": "5"}, ValueError, "has none"),
    ("headers", {"Transfer-Encoding": "chunked"}, ValueError, "has none"),
    ("proxy_headers", {"A": "1\n"}, ValueError, "line break"),
    ("origin", "https://x\r\n", ValueError, "Origin"),
    ("origin", "", ValueError, "None to send none"),
    ("origin", 1, TypeError, "Origin"),
    ("user_agent", "a\nb", ValueError, "User-Agent"),
    ("user_agent", " ", ValueError, "None to send none"),
    ("auth", "user:password", TypeError, "(login, password)"),
    ("auth", ("user",), TypeError, "(login, password)"),
    ("auth", ("user", None), TypeError, "password in auth must be a str"),
    ("auth", ("us:er", "x"), ValueError, "':'"),
    ("auth", ("user", "x\n"), ValueError, "control character"),
    ("auth", ("user", "\ud800"), ValueError, "cannot encode"),
    ("auth", aiohttp.DigestAuthMiddleware, TypeError, "give an instance"),
    ("cookies", "a=1", TypeError, "mapping"),
    ("cookies", {"a b": "1"}, ValueError, "name of a cookie"),
    ("cookies", {"a": "1; b=2"}, ValueError, "write %3B"),
    ("cookies", {"a": "1\r\n"}, ValueError, "line break"),
    ("cookies", {"a": 1}, TypeError, "give a str"),
    ("proxy", False, TypeError, "None for a direct connection"),
    ("proxy", 3128, TypeError, "not int"),
    ("proxy", "", ValueError, "is empty"),
    ("proxy", "ftp://p", ValueError, "socks5h"),
    ("proxy", "http://", ValueError, "no host"),
    ("proxy", "http://p:x", ValueError, "bad port"),
    ("proxy", "http://p/path", ValueError, "only scheme, host and port"),
    ("max_redirects", -1, ValueError, "0..1000"),
    ("max_redirects", True, TypeError, "not bool"),
    ("max_redirects", 1.0, TypeError, "not float"),
    ("session", object(), TypeError, "ClientSession"),
    ("local_addr", "127.0.0.1", TypeError, "(host, port)"),
    ("local_addr", ("127.0.0.1", 65536), ValueError, "0..65535"),
    ("local_addr", (1, 0), TypeError, "host must be a str"),
    ("local_addr", ("", 0), ValueError, "IP address"),
    ("resolver", object(), TypeError, "AbstractResolver"),
    ("tls", True, TypeError, "TLSConfig"),
    ("tls", CONTEXT, TypeError, "TLSConfig"),
    ("ssl", True, TypeError, "SSLContext"),
    ("ssl", False, TypeError, "tls=TLSConfig"),
    ("proxy_tls", CONTEXT, TypeError, "TLSConfig"),
]


@pytest.mark.parametrize(
    ("name", "value", "error", "says"),
    [pytest.param(*row, id=f"{row[0]}-{steady_repr(row[1])}"[:60]) for row in BAD],
)
def test_bad_values(name: str, value: Any, error: type[Exception], says: str) -> None:
    with pytest.raises(error) as caught:
        options(**{name: value})
    assert says in str(caught.value)


@pytest.mark.parametrize(
    ("values", "says"),
    [
        pytest.param({"tls": TLSConfig(), "ssl": CONTEXT}, "exclude each other", id="tls-ssl"),
        pytest.param({"headers": {"origin": "x"}, "origin": "y"}, "Origin is", id="origin"),
        pytest.param(
            {"headers": {"USER-AGENT": "x"}, "user_agent": "y"}, "User-Agent is", id="user-agent"
        ),
        pytest.param(
            {"headers": {"authorization": "Bearer x"}, "auth": ("u", "p")},
            "Authorization is",
            id="authorization",
        ),
        pytest.param(
            {"headers": {"Authorization": "Bearer x"}, "url": "ws://u:p@host/"},
            "Authorization is",
            id="authorization-url",
        ),
        pytest.param(
            {"proxy": "socks5://p", "proxy_headers": {"A": "1"}}, "SOCKS", id="socks-headers"
        ),
    ],
)
def test_values_that_exclude_each_other(values: dict[str, Any], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        options(**values)


async def test_a_session_excludes_what_its_connector_does() -> None:
    session = aiohttp.ClientSession()
    resolver = aiohttp.ThreadedResolver()
    excluded: dict[str, Any] = {
        "resolver": resolver,
        "local_addr": ("127.0.0.1", 0),
        "proxy_tls": TLSConfig(),
        "proxy": "socks5://p",
    }
    try:
        assert options(session=session).session is session
        for name, value in excluded.items():
            with pytest.raises(ValueError, match="session's connector"):
                options(session=session, **{name: value})
        assert options(resolver=resolver).resolver is resolver
    finally:
        await session.close()
    with pytest.raises(ValueError, match="closed already"):
        options(session=session)


def test_socks_without_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wsclient.options.proxies.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ValueError, match=r"pip install 'wsclient-asyncio\[socks\]'"):
        options(proxy="socks5://p")
    assert options(proxy="http://p").proxy == URL("http://p")


def test_repr_shows_no_secret() -> None:
    secret = "hunter2"
    made = options(
        url=f"ws://user:{secret}@host/?token={secret}",
        subprotocols=[secret],
        headers={"X-Token": secret},
        cookies={"sid": secret},
        proxy=f"http://{secret}:{secret}@p:1",
        proxy_headers={"X-Proxy": secret},
        tls=TLSConfig(cert=("c.pem", "k.pem", secret)),
    )
    assert secret not in repr(made)
    assert secret not in repr(made.auth)
    for shown in ("ws://host/", "X-Token", "sid", "X-Proxy", "c.pem", "http://***@p:1"):
        assert shown in repr(made)


@pytest.mark.parametrize(
    "values",
    [
        {"headers": {"X": "hunter2\n"}},
        {"auth": ("hunter2:", "x")},
        {"auth": ("x", "hunter2\ud800")},
        {"cookies": {"a": "hunter2;"}},
        {"proxy": "http://u:hunter2@p/path"},
        {"proxy": "http://u:hunter2@p:port"},
        {"proxy": "u:hunter2@p:port"},
        {"url": "ws://u:hunter2@host:port/"},
    ],
    ids=repr,
)
def test_errors_show_no_secret(values: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"\w") as caught:
        options(**values)
    assert "hunter2" not in str(caught.value)
    assert caught.value.__cause__ is None
