"""Connections through proxies."""

from __future__ import annotations

import asyncio
import base64
import inspect
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from behaviour.servers import WAIT, Resolver, agree, echo, failure
from support.proxies import connect_proxy, socks5_proxy
from wsclient import (
    ConnectTimeoutError,
    ProxyError,
    TLSConfig,
    TLSError,
    websocket_connect,
)
from wsclient.opening.tunnel import TunnelConnector, TunnelRequest
from wsclient.testing.certificates import IssuedCertificate
from wsclient.testing.raw import RawConnection, RawRequest, RawServer


@pytest.fixture(autouse=True)
def no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take the machine's own proxy settings out of the way."""
    for name in ("ws", "wss", "http", "https", "all", "no"):
        for variable in (f"{name}_proxy", f"{name}_proxy".upper()):
            monkeypatch.delenv(variable, raising=False)


async def visit(url: str, **options: Any) -> Any:
    """Connect, say hello, close; return the address of the other end."""
    async with websocket_connect(url, **options) as conn:
        await conn.write_message("hello")
        assert await asyncio.wait_for(conn.read_message(), WAIT) == "hello"
        return conn.remote_address


# HTTP proxies


async def test_ws_goes_through_a_tunnel() -> None:
    async with RawServer(echo) as server, connect_proxy() as proxy:
        address = await visit(server.url, proxy=proxy.url)
        assert address == ("127.0.0.1", proxy.port)
        # RFC 6455, section 4.1: CONNECT for ws:// too.
        assert proxy.requests == [("CONNECT", f"127.0.0.1:{server.port}")]


async def test_wss_goes_through_a_tunnel(certificates: IssuedCertificate) -> None:
    context = certificates.trust_context()
    async with (
        RawServer(echo, tls=certificates.server_context()) as server,
        connect_proxy() as proxy,
    ):
        await visit(server.url, proxy=proxy.url, ssl=context)
        assert proxy.requests == [("CONNECT", f"127.0.0.1:{server.port}")]


async def test_proxy_resolves_the_host_name() -> None:
    async with RawServer(echo) as server, connect_proxy() as proxy:
        await visit(f"ws://localhost:{server.port}/", proxy=proxy.url)
        assert proxy.requests == [("CONNECT", f"localhost:{server.port}")]


async def test_headers_for_the_proxy_and_for_the_server() -> None:
    requests: list[RawRequest] = []

    async def serve(wire: RawConnection) -> None:
        requests.append(await wire.accept())
        await agree(wire)

    async with (
        RawServer(serve) as server,
        connect_proxy() as proxy,
        websocket_connect(
            server.url,
            proxy=proxy.url,
            proxy_headers={"X-Proxy": "a"},
            headers={"X-Server": "b"},
            auth=("user", "secret"),
            cookies={"id": "123"},
        ),
    ):
        pass
    [seen] = proxy.headers
    assert seen["x-proxy"] == "a"
    assert not {"x-server", "authorization", "cookie", "sec-websocket-key"} & set(seen)
    assert requests[0].headers["x-server"] == "b"
    assert "x-proxy" not in requests[0].headers


@pytest.mark.parametrize("scheme", ["ws", "wss"])
async def test_proxy_with_login(scheme: str, certificates: IssuedCertificate) -> None:
    secure = scheme == "wss"
    server_ssl = certificates.server_context() if secure else None
    context = certificates.trust_context() if secure else None
    async with (
        RawServer(echo, tls=server_ssl) as server,
        connect_proxy(auth=("us@er", "se:cret")) as proxy,
    ):
        url = f"{scheme}://127.0.0.1:{server.port}/"
        login = proxy.url.replace("//", "//us%40er:se%3Acret@")
        await visit(url, proxy=login, ssl=context)
        sent = proxy.headers[0]["proxy-authorization"]
        assert base64.b64decode(sent.removeprefix("Basic ")) == b"us@er:se:cret"
        for wrong in (proxy.url, proxy.url.replace("//", "//us%40er:wrong@")):
            error = await failure(url, proxy=wrong, ssl=context)
            assert isinstance(error, ProxyError)
            assert (error.phase, error.status) == ("proxy", 407)
            assert f"127.0.0.1:{proxy.port}" in str(error)
            assert "credentials" in error.hint
            assert "wrong" not in str(error)
            assert error.__cause__ is not None


async def test_proxy_that_cannot_reach_the_server() -> None:
    async with connect_proxy() as proxy:
        error = await failure("ws://127.0.0.1:1/", proxy=proxy.url)
    assert isinstance(error, ProxyError)
    assert error.status == 502


async def test_proxy_that_is_not_there() -> None:
    error = await failure("ws://127.0.0.1:9/", proxy="http://127.0.0.1:1")
    assert isinstance(error, ProxyError)
    assert (error.phase, error.status) == ("proxy", None)
    assert "127.0.0.1:1" in str(error)
    assert "refused" in str(error)


async def test_proxy_whose_name_is_unknown() -> None:
    error = await failure("ws://127.0.0.1:9/", proxy="http://nowhere.invalid:1")
    assert isinstance(error, ProxyError)
    assert "nowhere.invalid" in str(error)


async def hangs_up(wire: RawConnection) -> None:
    await wire.read_request()


async def babbles(wire: RawConnection) -> None:
    await wire.read_request()
    await wire.send(b"what?\r\n\r\n")


@pytest.mark.parametrize("serve", [hangs_up, babbles])
async def test_proxy_that_is_none(serve: Any) -> None:
    async with RawServer(serve) as server:
        error = await failure("ws://127.0.0.1:9/", proxy=f"http://127.0.0.1:{server.port}")
    assert isinstance(error, ProxyError), repr(error)
    assert f"127.0.0.1:{server.port}" in str(error)


async def test_budget_covers_the_proxy() -> None:
    async def serve(wire: RawConnection) -> None:
        await wire.read_to_end()

    async with RawServer(serve) as server:
        proxy = f"http://127.0.0.1:{server.port}"
        error = await failure("ws://127.0.0.1:9/", proxy=proxy, connect_timeout=0.1)
    assert isinstance(error, ConnectTimeoutError)


async def test_cancel_while_the_proxy_thinks() -> None:
    begun = asyncio.Event()

    async def serve(wire: RawConnection) -> None:
        await wire.read_request()
        begun.set()
        assert await wire.read_to_end() == b""

    async with RawServer(serve) as server:
        attempt = websocket_connect("ws://127.0.0.1:9/", proxy=f"http://127.0.0.1:{server.port}")
        task = asyncio.create_task(attempt)
        await asyncio.wait_for(begun.wait(), WAIT)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task


async def test_session_of_the_caller_with_a_proxy(certificates: IssuedCertificate) -> None:
    context = certificates.trust_context()
    async with (
        RawServer(echo, tls=certificates.server_context()) as server,
        connect_proxy() as proxy,
        aiohttp.ClientSession() as session,
    ):
        url = server.url
        await visit(url, proxy=proxy.url, session=session, ssl=context)
        assert len(proxy.requests) == 1


# The environment


async def test_proxy_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    async with RawServer(echo) as server, connect_proxy() as proxy:
        url = server.url
        monkeypatch.setenv("http_proxy", proxy.url)
        assert (await visit(url))[1] == proxy.port
        assert (await visit(url, proxy=None))[1] == server.port
        assert len(proxy.requests) == 1


@pytest.mark.parametrize(
    ("variables", "proxied"),
    [
        ({"ws_proxy": "P"}, True),
        ({"WS_PROXY": "P"}, True),
        ({"all_proxy": "P"}, True),
        ({"https_proxy": "P"}, False),
        ({"wss_proxy": "P"}, False),
        ({"http_proxy": "P", "no_proxy": "127.0.0.1"}, False),
        ({"http_proxy": "P", "NO_PROXY": "10.0.0.0/8, 127.0.0.0/8"}, False),
        ({"http_proxy": "P", "no_proxy": "*"}, False),
        ({"http_proxy": "P", "no_proxy": "localhost"}, True),
    ],
    ids=str,
)
async def test_variables_of_the_environment(
    variables: dict[str, str], proxied: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with RawServer(echo) as server, connect_proxy() as proxy:
        for name, value in variables.items():
            monkeypatch.setenv(name, value.replace("P", proxy.url) if value == "P" else value)
        address = await visit(server.url)
        assert address[1] == (proxy.port if proxied else server.port)
        assert len(proxy.requests) == proxied


async def test_variables_for_wss(
    monkeypatch: pytest.MonkeyPatch, certificates: IssuedCertificate
) -> None:
    context = certificates.trust_context()
    async with (
        RawServer(echo, tls=certificates.server_context()) as server,
        connect_proxy() as proxy,
    ):
        monkeypatch.setenv("https_proxy", proxy.url)
        monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
        assert (await visit(server.url, ssl=context))[1] == proxy.port


async def test_environment_is_asked_for_each_hop(monkeypatch: pytest.MonkeyPatch) -> None:
    async with RawServer(echo) as server, connect_proxy() as proxy:

        async def serve(wire: RawConnection) -> None:
            await wire.read_request()
            await wire.respond("302 Found", {"Location": f"ws://localhost:{server.port}/"})

        async with RawServer(serve) as first:
            monkeypatch.setenv("http_proxy", proxy.url)
            monkeypatch.setenv("no_proxy", "127.0.0.1")
            assert (await visit(first.url))[1] == proxy.port
        assert proxy.requests == [("CONNECT", f"localhost:{server.port}")]


async def test_useless_variable_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "ftp://user:hunter2@proxy.test")
    error = await failure("ws://127.0.0.1:9/")
    assert isinstance(error, ProxyError)
    assert "http_proxy" in str(error)
    assert "hunter2" not in str(error)


# Proxies that speak TLS


@pytest.mark.parametrize("scheme", ["ws", "wss"])
async def test_https_proxy(scheme: str, certificates: IssuedCertificate) -> None:
    trust = TLSConfig(cadata=certificates.root_pem)
    server_ssl = certificates.server_context() if scheme == "wss" else None
    async with (
        RawServer(echo, tls=server_ssl) as server,
        connect_proxy(ssl=certificates.server_context()) as proxy,
    ):
        options: dict[str, Any] = {"tls": trust} if scheme == "wss" else {}
        url = f"{scheme}://127.0.0.1:{server.port}/"
        address = await visit(url, proxy=proxy.url, proxy_tls=trust, **options)
        assert address == ("127.0.0.1", proxy.port)
        assert proxy.requests == [("CONNECT", f"127.0.0.1:{server.port}")]
        async with websocket_connect(url, proxy=proxy.url, proxy_tls=trust, **options) as conn:
            # About TLS with the server, not with the proxy.
            assert (conn.tls is not None) == (scheme == "wss")


@pytest.mark.parametrize("scheme", ["ws", "wss"])
async def test_trust_in_the_server_is_no_trust_in_the_proxy(
    scheme: str, certificates: IssuedCertificate
) -> None:
    trust = TLSConfig(cadata=certificates.root_pem)
    async with connect_proxy(ssl=certificates.server_context()) as proxy:
        error = await failure(f"{scheme}://127.0.0.1:9/", proxy=proxy.url, tls=trust)
        assert proxy.requests == []
    assert isinstance(error, TLSError | ProxyError)
    assert "certificate" in str(error)
    assert f"127.0.0.1:{proxy.port}" in str(error)


@pytest.mark.parametrize("scheme", ["ws", "wss"])
async def test_proxy_is_not_shown_the_certificate_for_the_server(
    scheme: str, certificates: IssuedCertificate, tmp_path: Path
) -> None:
    shown: list[object] = []

    async def serve(wire: RawConnection) -> None:
        await wire.read_request()
        shown.append(wire.writer.get_extra_info("ssl_object").getpeercert())
        await wire.respond("403 Forbidden", {"Connection": "close"})

    asking = certificates.server_context(client_ca=certificates, require=False)
    files = certificates.write(tmp_path)
    mine = (files.cert_file, files.key_file)
    async with RawServer(serve, tls=asking) as server:
        error = await failure(
            f"{scheme}://127.0.0.1:9/",
            proxy=f"https://127.0.0.1:{server.port}",
            tls=TLSConfig(cadata=certificates.root_pem, cert=mine),
            proxy_tls=TLSConfig(cadata=certificates.root_pem),
        )
    assert isinstance(error, ProxyError)
    assert error.status == 403
    assert shown in ([None], [{}])


@pytest.mark.parametrize("given", [None, True])
@pytest.mark.parametrize("variable", ["wss_proxy", "https_proxy"])
async def test_session_that_trusts_the_environment_shows_no_proxy_the_certificate(
    given: bool | None,
    variable: str,
    certificates: IssuedCertificate,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asking = certificates.server_context(client_ca=certificates, require=False)
    files = certificates.write(tmp_path)
    tls = TLSConfig(cadata=certificates.root_pem, cert=(files.cert_file, files.key_file))
    async with (
        RawServer(echo, tls=certificates.server_context()) as server,
        connect_proxy(ssl=asking) as proxy,
        aiohttp.ClientSession(trust_env=True) as session,
    ):
        monkeypatch.setenv(variable, proxy.url)
        error = await failure(server.url, proxy=given, session=session, tls=tls)
        assert proxy.requests == []
    assert isinstance(error, ProxyError)
    assert proxy.url in str(error)
    assert "session=" in str(error)


async def test_aiohttp_ignores_https_proxies_of_the_environment(
    certificates: IssuedCertificate, monkeypatch: pytest.MonkeyPatch
) -> None:
    connector = aiohttp.TCPConnector(ssl=certificates.trust_context())
    async with (
        RawServer(echo, tls=certificates.server_context()) as server,
        connect_proxy(ssl=certificates.server_context()) as proxy,
        aiohttp.ClientSession(connector=connector, trust_env=True) as session,
    ):
        monkeypatch.setenv("wss_proxy", proxy.url)
        address = await visit(server.url, proxy=None, session=session)
        assert address == ("127.0.0.1", server.port)
        assert proxy.requests == []


# SOCKS


@pytest.mark.parametrize(("scheme", "asked"), [("socks5", "127.0.0.1"), ("socks5h", "localhost")])
async def test_socks_proxy(scheme: str, asked: str) -> None:
    pytest.importorskip("aiohttp_socks")
    async with RawServer(echo) as server, socks5_proxy() as proxy:
        await visit(
            f"ws://localhost:{server.port}/",
            proxy=f"{scheme}://127.0.0.1:{proxy.port}",
            resolver=Resolver(),
        )
        assert proxy.requests == [("CONNECT", f"{asked}:{server.port}")]


async def test_wss_through_a_socks_proxy(certificates: IssuedCertificate) -> None:
    pytest.importorskip("aiohttp_socks")
    context = certificates.trust_context()
    async with (
        RawServer(echo, tls=certificates.server_context()) as server,
        socks5_proxy() as proxy,
    ):
        await visit(server.url, proxy=proxy.url, ssl=context)
        assert proxy.requests == [("CONNECT", f"127.0.0.1:{server.port}")]


async def test_socks_proxy_that_cannot_reach_the_server() -> None:
    pytest.importorskip("aiohttp_socks")
    async with socks5_proxy() as proxy:
        error = await failure("ws://127.0.0.1:1/", proxy=proxy.url)
    assert isinstance(error, ProxyError), repr(error)
    assert error.phase == "proxy"


async def test_socks_proxy_that_is_not_there() -> None:
    pytest.importorskip("aiohttp_socks")
    error = await failure("ws://127.0.0.1:9/", proxy="socks5://127.0.0.1:1")
    assert isinstance(error, ProxyError), repr(error)
    assert "127.0.0.1:1" in str(error)


# What of aiohttp is overridden


@pytest.mark.parametrize(
    ("ours", "theirs", "name"),
    [
        (TunnelConnector, aiohttp.TCPConnector, "_get_ssl_context"),
        (TunnelConnector, aiohttp.TCPConnector, "_start_tls_connection"),
        (TunnelRequest, aiohttp.ClientRequest, "is_ssl"),
    ],
)
def test_overridden_methods_are_as_they_were(ours: type, theirs: type, name: str) -> None:
    mine, original = (inspect.signature(getattr(each, name)) for each in (ours, theirs))
    assert list(mine.parameters) == list(original.parameters)
    assert inspect.iscoroutinefunction(getattr(ours, name)) == inspect.iscoroutinefunction(
        getattr(theirs, name)
    )


async def test_overridden_methods_are_called(monkeypatch: pytest.MonkeyPatch) -> None:
    called = set()

    def spy(owner: type, name: str) -> None:
        original = getattr(owner, name)

        def wrapper(*args: Any, **kwargs: Any) -> Any:
            called.add(name)
            return original(*args, **kwargs)

        monkeypatch.setattr(owner, name, wrapper)

    spy(TunnelConnector, "_get_ssl_context")
    spy(TunnelConnector, "_start_tls_connection")
    spy(TunnelRequest, "is_ssl")
    async with RawServer(echo) as server, connect_proxy() as proxy:
        await visit(server.url, proxy=proxy.url)
    assert called == {"_get_ssl_context", "_start_tls_connection", "is_ssl"}


# What is told of a proxy that is in the way


@asynccontextmanager
async def refusing(status: str, *challenges: str) -> AsyncIterator[RawServer]:
    """Run a proxy that refuses every tunnel."""

    async def serve(wire: RawConnection) -> None:
        await wire.read_request()
        lines = [f"HTTP/1.1 {status}", *(f"Proxy-Authenticate: {each}" for each in challenges)]
        await wire.send("\r\n".join([*lines, "Connection: close", "", ""]).encode())

    async with RawServer(serve) as server:
        yield server


REFUSED = "407 Proxy Authentication Required"


@pytest.mark.parametrize(
    ("challenges", "login", "says", "not_says"),
    [
        (
            ['Basic realm="a, b"'],
            "",
            "put them into the proxy's URL. It asks for Basic.",
            "accept",
        ),
        ([], "", "put them into the proxy's URL.", "asks for"),
        (['Digest realm="a, Basic b"'], "", "asks for Digest, and wsclient", "Basic b"),
        (['Basic realm="x"'], "me:wrong@", "was sent credentials, and did not accept", "put them"),
        (["Negotiate", "NTLM", 'basic realm="x"'], "me:wrong@", "Negotiate, NTLM, basic", "alone"),
        (["Negotiate, NTLM"], "me:wrong@", "asks for Negotiate, NTLM, and wsclient", "was sent"),
        (['Digest realm="x", nonce="Basic y", qop=auth'], "", "asks for Digest, and", "Basic y"),
        (["\x1b[31mred"], "", "put them into the proxy's URL.", "asks for"),
    ],
)
async def test_407_is_told_as_what_it_is(
    challenges: list[str], login: str, says: str, not_says: str
) -> None:
    async with refusing(REFUSED, *challenges) as proxy:
        url = f"http://{login}127.0.0.1:{proxy.port}"
        error = await failure("ws://127.0.0.1:9/", proxy=url)
    assert isinstance(error, ProxyError)
    assert error.status == 407
    assert says in error.hint
    assert not_says not in error.hint
    assert "wrong" not in str(error) and "\x1b" not in str(error)


async def test_credentials_in_proxy_headers_are_credentials() -> None:
    async with refusing(REFUSED, 'Basic realm="x"') as proxy:
        error = await failure(
            "ws://127.0.0.1:9/",
            proxy=f"http://127.0.0.1:{proxy.port}",
            proxy_headers={"Proxy-Authorization": "Basic d3Jvbmc="},
        )
    assert isinstance(error, ProxyError)
    assert "was sent credentials, and did not accept" in error.hint
    assert "d3Jvbmc" not in str(error)


async def test_another_status_is_no_matter_of_credentials() -> None:
    async with refusing("403 Forbidden", 'Basic realm="x"') as proxy:
        error = await failure("ws://127.0.0.1:9/", proxy=f"http://127.0.0.1:{proxy.port}")
    assert isinstance(error, ProxyError)
    assert (error.hint, error.status) == ("", 403)


async def test_a_socks_proxy_that_speaks_http() -> None:
    pytest.importorskip("aiohttp_socks", reason="aiohttp_socks is not installed")

    async def wait(wire: RawConnection) -> None:
        await wire.read_to_end()

    async def refuse(wire: RawConnection) -> None:
        await wire.reader.read(1)
        await wire.send(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    async with RawServer(wait) as waiting, RawServer(refuse) as refusing_http:
        late = await failure(
            "ws://127.0.0.1:9/", proxy=f"socks5://127.0.0.1:{waiting.port}", connect_timeout=0.3
        )
        told = await failure("ws://127.0.0.1:9/", proxy=f"socks5://127.0.0.1:{refusing_http.port}")
    assert isinstance(late, ConnectTimeoutError)
    assert "while connecting through the SOCKS proxy" in str(late)
    assert "may speak no SOCKS" in late.hint and "Nothing answers" not in late.hint
    assert isinstance(told, ProxyError)
    assert "may be no SOCKS proxy" in told.hint


async def test_a_socks_proxy_that_says_no_is_one() -> None:
    pytest.importorskip("aiohttp_socks", reason="aiohttp_socks is not installed")
    async with socks5_proxy() as proxy:
        error = await failure("ws://127.0.0.1:1/", proxy=proxy.url)
    assert isinstance(error, ProxyError)
    assert "no SOCKS" not in error.hint
