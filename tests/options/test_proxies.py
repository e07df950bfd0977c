"""Which proxy the environment asks for."""

from __future__ import annotations

import os

import pytest
from yarl import URL

import wsclient.options.proxies
from wsclient.errors import ProxyError
from wsclient.options.proxies import environment_proxy

HTTP, HTTPS, OWN, ALL = "http://h:1", "http://s:2", "http://w:3", "http://a:4"


@pytest.fixture(autouse=True)
def _no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    """Begin without any proxy in the environment."""
    for name in list(os.environ):
        if name.lower().endswith("_proxy") or name == "REQUEST_METHOD":
            monkeypatch.delenv(name)


@pytest.mark.parametrize(
    ("variables", "url", "proxy"),
    [
        pytest.param({}, "ws://x/", None, id="none"),
        pytest.param({"http_proxy": HTTP}, "ws://x/", HTTP, id="ws-http"),
        pytest.param({"http_proxy": HTTP}, "wss://x/", None, id="wss-not-http"),
        pytest.param({"https_proxy": HTTPS}, "wss://x/", HTTPS, id="wss-https"),
        pytest.param({"https_proxy": HTTPS}, "ws://x/", None, id="ws-not-https"),
        pytest.param({"http_proxy": HTTP, "ws_proxy": OWN}, "ws://x/", OWN, id="ws-first"),
        pytest.param({"https_proxy": HTTPS, "wss_proxy": OWN}, "wss://x/", OWN, id="wss-first"),
        pytest.param({"all_proxy": ALL}, "ws://x/", ALL, id="ws-all"),
        pytest.param({"all_proxy": ALL}, "wss://x/", ALL, id="wss-all"),
        pytest.param({"all_proxy": ALL, "http_proxy": HTTP}, "ws://x/", HTTP, id="all-last"),
        pytest.param({"HTTPS_PROXY": HTTPS}, "wss://x/", HTTPS, id="upper-case"),
        pytest.param({"HTTP_PROXY": OWN, "http_proxy": HTTP}, "ws://x/", HTTP, id="lower-first"),
        pytest.param({"HTTP_PROXY": HTTP, "REQUEST_METHOD": "GET"}, "ws://x/", None, id="cgi"),
        pytest.param(
            {"http_proxy": HTTP, "REQUEST_METHOD": "GET"}, "ws://x/", HTTP, id="cgi-lower"
        ),
        pytest.param({"http_proxy": ""}, "ws://x/", None, id="empty"),
        pytest.param({"http_proxy": "p:3128"}, "ws://x/", "http://p:3128", id="no-scheme"),
        pytest.param({"http_proxy": "p"}, "ws://x/", "http://p", id="host-alone"),
        pytest.param({"http_proxy": "u:s@p:1"}, "ws://x/", "http://u:s@p:1", id="credentials"),
        pytest.param({"all_proxy": "socks5h://p"}, "ws://x/", "socks5h://p:1080", id="socks"),
        pytest.param({"http_proxy": HTTP}, "ws://localhost/", HTTP, id="localhost"),
    ],
)
def test_variables(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], url: str, proxy: str | None
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert environment_proxy(URL(url)) == (None if proxy is None else URL(proxy))


@pytest.mark.parametrize(
    ("rules", "url", "direct"),
    [
        pytest.param("*", "ws://x/", True, id="all"),
        pytest.param("a, *", "ws://x/", True, id="all-in-list"),
        pytest.param("example.com", "ws://example.com/", True, id="host"),
        pytest.param("EXAMPLE.com", "ws://Example.COM/", True, id="case"),
        pytest.param("example.com", "ws://a.b.example.com/", True, id="subdomain"),
        pytest.param("example.com", "ws://badexample.com/", False, id="not-a-suffix"),
        pytest.param("example.com", "ws://example.com.evil/", False, id="not-a-prefix"),
        pytest.param(".example.com", "ws://a.example.com/", True, id="dot"),
        pytest.param(".example.com", "ws://example.com/", True, id="dot-itself"),
        pytest.param("*.example.com", "ws://a.example.com/", True, id="star-dot"),
        pytest.param("example.com", "ws://example.com./", True, id="root-dot"),
        pytest.param("bücher.example", "ws://bücher.example/", True, id="international"),
        pytest.param("xn--bcher-kva.example", "ws://bücher.example/", True, id="punycode"),
        pytest.param("a,example.com", "ws://example.com/", True, id="comma"),
        pytest.param("a  example.com", "ws://example.com/", True, id="spaces"),
        pytest.param(",,", "ws://example.com/", False, id="nothing"),
        pytest.param(".", "ws://example.com/", False, id="dot-alone"),
        pytest.param("host:80", "ws://host/", True, id="default-port"),
        pytest.param("host:80", "wss://host/", False, id="other-default-port"),
        pytest.param("host:81", "ws://host:81/", True, id="port"),
        pytest.param("host:81", "ws://host:82/", False, id="other-port"),
        pytest.param("host", "ws://host:82/", True, id="any-port"),
        pytest.param("127.0.0.1", "ws://127.0.0.1:9/", True, id="ipv4"),
        pytest.param("127.0.0.1:9", "ws://127.0.0.1:9/", True, id="ipv4-port"),
        pytest.param("127.0.0.1:8", "ws://127.0.0.1:9/", False, id="ipv4-other-port"),
        pytest.param("0.0.1", "ws://127.0.0.1/", False, id="ipv4-suffix"),
        pytest.param("10.0.0.0/8", "ws://10.1.2.3/", True, id="network"),
        pytest.param("10.0.0.1/8", "ws://10.1.2.3/", True, id="network-host-bits"),
        pytest.param("10.0.0.0/8", "ws://11.1.2.3/", False, id="other-network"),
        pytest.param("10.0.0.0/8", "ws://[::1]/", False, id="network-other-family"),
        pytest.param("10.0.0.0/8", "ws://ten.example/", False, id="network-name"),
        pytest.param("10.0.0.0/99", "ws://10.1.2.3/", False, id="no-network"),
        pytest.param("::1", "ws://[::1]:9/", True, id="ipv6"),
        pytest.param("0:0:0:0:0:0:0:1", "ws://[::1]/", True, id="ipv6-spelling"),
        pytest.param("[::1]:9", "ws://[::1]:9/", True, id="ipv6-port"),
        pytest.param("[::1]:8", "ws://[::1]:9/", False, id="ipv6-other-port"),
        pytest.param("fe80::/10", "ws://[fe80::1%25eth0]/", True, id="ipv6-zone"),
        pytest.param("localhost", "ws://127.0.0.1/", False, id="no-lookup"),
    ],
)
def test_exceptions(monkeypatch: pytest.MonkeyPatch, rules: str, url: str, direct: bool) -> None:
    monkeypatch.setenv("all_proxy", ALL)
    monkeypatch.setenv("NO_PROXY", rules)
    assert environment_proxy(URL(url)) == (None if direct else URL(ALL))


@pytest.mark.parametrize(
    ("variable", "value", "says"),
    [
        pytest.param("http_proxy", "ftp://u:hunter2@p", "socks5h", id="scheme"),
        pytest.param("HTTP_PROXY", "http://u:hunter2@", "no host", id="host"),
        pytest.param("ws_proxy", "http://u:hunter2@p:x", "bad port", id="port"),
        pytest.param("all_proxy", "u:hunter2@p:x", "bad port", id="port-no-scheme"),
        pytest.param("ALL_PROXY", "http://u:hunter2/x@p", "bad port", id="slash"),
        pytest.param("all_proxy", "http://p/hunter2", "path", id="path"),
        pytest.param("all_proxy", "http://p\r\nhunter2", "U+000D", id="crlf"),
    ],
)
def test_bad_variables(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str, says: str
) -> None:
    monkeypatch.setenv(variable, value)
    with pytest.raises(ProxyError) as caught:
        environment_proxy(URL("ws://x/"))
    assert f"variable {variable} " in str(caught.value)
    assert says in str(caught.value)
    assert caught.value.phase == "proxy"
    assert "hunter2" not in f"{caught.value} {caught.value.__cause__}"


def test_socks_without_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wsclient.options.proxies.importlib.util, "find_spec", lambda name: None)
    monkeypatch.setenv("all_proxy", "socks5://p")
    with pytest.raises(ProxyError, match=r"all_proxy .*pip install 'wsclient-asyncio\[socks\]'"):
        environment_proxy(URL("ws://x/"))


def test_an_exception_hides_a_bad_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("all_proxy", "nonsense://")
    monkeypatch.setenv("no_proxy", "x")
    assert environment_proxy(URL("ws://x/")) is None


def test_the_system_decides_without_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def bypass(host: str) -> bool:
        asked.append(host)
        return host == "intranet"

    monkeypatch.setattr(wsclient.options.proxies, "getproxies", lambda: {"http": HTTP})
    monkeypatch.setattr(wsclient.options.proxies, "proxy_bypass", bypass)
    assert environment_proxy(URL("ws://intranet/")) is None
    assert environment_proxy(URL("ws://x/")) == URL(HTTP)
    assert asked == ["intranet", "x"]
