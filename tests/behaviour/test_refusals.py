"""Connections that cannot be opened: each failure is one of ours and says what it was."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import aiohttp
import pytest
from aiohttp.abc import ResolveResult

from behaviour.servers import Resolver, agree, check_failure, echo, expect_info, failure
from support.proxies import connect_proxy
from wsclient import HandshakeError, TLSError, websocket_connect
from wsclient.testing.certificates import IssuedCertificate
from wsclient.testing.raw import RawConnection, RawServer

SECRET = "s3cret"


async def test_connection_refused(closed_port: int) -> None:
    url = f"ws://127.0.0.1:{closed_port}/"
    check_failure(await failure(url), "tcp", url, "refused", "Nothing listens")


async def test_name_that_cannot_be_resolved() -> None:
    class NoNames(Resolver):
        async def resolve(self, host: str, *_: object, **__: object) -> list[ResolveResult]:
            raise OSError(None, "no such name")

    error = await failure("ws://nowhere.test/", resolver=NoNames())
    check_failure(error, "dns", "nowhere.test", "cannot be resolved", "no such name")


async def test_name_that_the_system_cannot_resolve() -> None:
    # RFC 6761, section 6.4: the name never exists, wherever the test runs.
    error = await failure("ws://nowhere.invalid/")
    check_failure(error, "dns", "nowhere.invalid", "cannot be resolved")


UPGRADE = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"


async def no_http(wire: RawConnection) -> None:
    await wire.read_request()
    await wire.send(b"500 unrecognized command\r\n")
    await wire.read_to_end()


async def greeting(wire: RawConnection) -> None:
    await wire.send(b"220 mail.test ESMTP ready\r\n")
    await wire.read_to_end()


async def binary_noise(wire: RawConnection) -> None:
    await wire.read_request()
    await wire.send(bytes(range(256)) * 4)


async def endless_header(wire: RawConnection) -> None:
    await wire.read_request()
    await wire.send(b"HTTP/1.1 101 Switching Protocols\r\nX-Long: " + b"x" * 100_000)


async def close_at_once(wire: RawConnection) -> None:
    wire.close()


async def close_after_the_request(wire: RawConnection) -> None:
    await wire.read_request()


async def close_in_the_headers(wire: RawConnection) -> None:
    await wire.read_request()
    await wire.send(UPGRADE)


@pytest.mark.parametrize(
    ("serve", "words"),
    [
        (no_http, ["valid HTTP"]),
        (greeting, []),
        (binary_noise, ["valid HTTP"]),
        (endless_header, ["the field X-Long with more than 65536 bytes"]),
        (close_at_once, ["closed the connection", "wss://"]),
        (close_after_the_request, ["closed the connection", "wss://"]),
        (close_in_the_headers, []),
    ],
)
async def test_server_that_is_none(
    serve: Callable[[RawConnection], Awaitable[None]], words: list[str]
) -> None:
    served = []

    async def count(wire: RawConnection) -> None:
        served.append(wire)
        await serve(wire)

    async with RawServer(count) as server:
        url = server.url
        check_failure(await failure(url), "http", url, *words)
    assert len(served) == 1, "a failed request must not be repeated"


async def test_plain_http_for_wss() -> None:
    async def serve(wire: RawConnection) -> None:
        await wire.reader.read(100)
        await wire.send(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    async with RawServer(serve) as server:
        error = await failure(f"wss://127.0.0.1:{server.port}/")
    check_failure(error, "tls", "ws:// instead of wss://")
    assert isinstance(error, TLSError)
    assert (error.reason, error.openssl_reason) == ("not_tls", "WRONG_VERSION_NUMBER")


async def test_certificate_of_an_unknown_authority(certificates: IssuedCertificate) -> None:
    async with RawServer(echo, tls=certificates.server_context()) as server:
        error = await failure(server.url)
    check_failure(error, "tls", "certificate", "cafile")
    assert isinstance(error.__cause__, Exception)
    assert isinstance(error, TLSError)
    assert error.verify_code in {18, 19, 20, 21}


async def test_certificate_of_another_host(certificates: IssuedCertificate) -> None:
    async with RawServer(echo, tls=certificates.server_context()) as server:
        error = await failure(
            f"wss://elsewhere.test:{server.port}/",
            ssl=certificates.trust_context(),
            resolver=Resolver(),
        )
    check_failure(error, "tls", "elsewhere.test")


@pytest.mark.parametrize(
    ("status", "headers", "words"),
    [
        ("200 OK", {}, ["200", "no WebSocket"]),
        ("400 Bad Request", {}, ["400", "body"]),
        ("401 Unauthorized", {"WWW-Authenticate": "Basic"}, ["401", "auth="]),
        ("404 Not Found", {}, ["404", "path"]),
        ("407 Proxy Authentication Required", {}, ["407", "proxy"]),
        ("426 Upgrade Required", {"Sec-WebSocket-Version": "8"}, ["426", "version"]),
        ("429 Too Many Requests", {"Retry-After": "30"}, ["429", "Retry-After is 30"]),
        ("429 Too Many Requests", {}, ["429", "wait"]),
        ("503 Service Unavailable", {"Retry-After": "5"}, ["503", "Retry-After is 5"]),
        ("502 Bad Gateway", {}, ["502", "gateway"]),
        ("302 Found", {}, ["302"]),
    ],
)
async def test_refusal_has_a_hint(status: str, headers: dict[str, str], words: list[str]) -> None:
    async def serve(wire: RawConnection) -> None:
        await wire.read_request()
        await wire.respond(status, headers, b"said so")

    async with RawServer(serve) as server:
        error = await failure(f"ws://127.0.0.1:{server.port}/?token=secret")
    assert isinstance(error, HandshakeError)
    assert error.status == int(status[:3])
    assert error.body == b"said so"
    assert all(word in str(error) for word in words), str(error)
    assert "secret" not in str(error)


@pytest.mark.parametrize(
    ("headers", "word"),
    [
        ({"Upgrade": "h2c"}, "Upgrade"),
        ({"Upgrade": None}, "Upgrade"),
        ({"Connection": "close"}, "Connection"),
        ({"Connection": None}, "Connection"),
        ({"Sec-WebSocket-Protocol": "other"}, "other"),
        ({"Sec-WebSocket-Extensions": "permessage-deflate"}, "permessage-deflate"),
    ],
    ids=str,
)
async def test_faulty_upgrade(headers: dict[str, str | None], word: str) -> None:
    async def serve(wire: RawConnection) -> None:
        await wire.accept(headers)
        await wire.read_to_end()

    async with RawServer(serve) as server:
        error = await failure(server.url, subprotocols=["chat"])
    assert isinstance(error, HandshakeError), repr(error)
    assert word in str(error)
    assert error.status == 101


async def test_connection_header_with_more_in_it() -> None:
    async def serve(wire: RawConnection) -> None:
        await wire.accept({"Connection": "keep-alive, UPGRADE", "Upgrade": "WebSocket"})
        await agree(wire)

    async with RawServer(serve) as server:
        expect_info(await (await websocket_connect(server.url)).close(), clean=True)


async def test_status_is_told_though_the_body_never_ends() -> None:
    async def serve(wire: RawConnection) -> None:
        await wire.read_request()
        await wire.send(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 100\r\n\r\nbecause")
        await wire.read_to_end()

    async with RawServer(serve) as server:
        with pytest.raises(HandshakeError) as caught:
            await websocket_connect(server.url, connect_timeout=0.2)
    assert (caught.value.status, caught.value.body) == (403, b"because")


async def test_body_is_given_as_it_was_sent() -> None:
    async def serve(wire: RawConnection) -> None:
        await wire.read_request()
        fields = {"Content-Encoding": "br", "Connection": "close"}
        await wire.respond("403 Forbidden", fields, b"not asked for")

    async with RawServer(serve) as server:
        with pytest.raises(HandshakeError) as caught:
            await websocket_connect(server.url)
    assert (caught.value.status, caught.value.body) == (403, b"not asked for")


# Long heads


@pytest.mark.parametrize(
    "fields",
    [
        pytest.param({"Set-Cookie": "sso=" + "x" * 9000}, id="9 KiB"),
        pytest.param({"Content-Security-Policy": "x" * 60_000}, id="60 KiB"),
        pytest.param({f"X-{number}": "y" for number in range(400)}, id="400 fields"),
        pytest.param({f"X-{number}": "y" * 50_000 for number in range(4)}, id="200 KiB"),
    ],
)
@pytest.mark.parametrize("way", ["direct", "proxy", "redirect", "refusal"])
async def test_long_heads_are_taken(way: str, fields: dict[str, str]) -> None:
    async def serve(wire: RawConnection) -> None:
        if way == "refusal":
            await wire.read_request()
            return await wire.respond("403 Forbidden", {**fields, "Connection": "close"})
        request = await wire.read_request()
        if way == "redirect" and request.target == "/":
            location = {"Location": "/here", "Connection": "close"}
            return await wire.respond("302 Found", {**fields, **location})
        await wire.accept(fields)
        await agree(wire)

    async with RawServer(serve) as server, connect_proxy() as proxy:
        options: dict[str, Any] = {"proxy": proxy.url if way == "proxy" else None}
        if way == "refusal":
            error = await failure(server.url, **options)
            assert isinstance(error, HandshakeError)
            assert (error.status, len(error.headers) > len(fields)) == (403, True)
            return
        async with websocket_connect(server.url, **options) as conn:
            wanted = next(iter(fields))
            assert way == "redirect" or conn.response_headers[wanted] == fields[wanted]


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"X-Token": SECRET * 20_000}, "the field X-Token with more than 65536 bytes"),
        ({f"X-{number}": "y" for number in range(600)}, "more than 512 header fields"),
        (
            {f"X-{number}": SECRET * 8000 for number in range(6)},
            "a head of more than 262144 bytes",
        ),
    ],
    ids=["field", "fields", "head"],
)
async def test_longer_heads_are_told(fields: dict[str, str], says: str) -> None:
    async def serve(wire: RawConnection) -> None:
        await wire.accept(fields)
        await wire.read_to_end()

    async with RawServer(serve) as server:
        error = await failure(server.url)
    assert isinstance(error, HandshakeError)
    assert (error.status, error.phase) == (101, "http")
    assert says in str(error) and "gateway" in error.hint
    assert SECRET not in str(error)


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"X-Token": SECRET * 1500}, "longer than the session allows, 8190 bytes"),
        ({f"X-{number}": "y" for number in range(200)}, "max_headers= of aiohttp.ClientSession"),
    ],
    ids=["field", "fields"],
)
async def test_a_session_has_limits_of_its_own(fields: dict[str, str], says: str) -> None:
    async def serve(wire: RawConnection) -> None:
        await wire.accept(fields)
        await wire.read_to_end()

    async with RawServer(serve) as server:
        async with aiohttp.ClientSession() as session:
            error = await failure(server.url, session=session)
        assert says in str(error)
        assert SECRET not in str(error)
        async with (
            aiohttp.ClientSession(max_field_size=20_000, max_headers=300) as session,
            websocket_connect(server.url, session=session, close_timeout=0.1),
        ):
            pass
