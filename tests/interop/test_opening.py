"""The opening handshake: what the server sees of us and what we make of its answer."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from support.process import PeerProcess
from support.proxies import connect_proxy, socks5_proxy
from wsclient import (
    HandshakeError,
    ProxyError,
    RedirectError,
    TLSError,
    WebSocketClientConnection,
    WebSocketError,
    websocket_connect,
)
from wsclient.protocol.opcodes import Opcode
from wsclient.testing.certificates import IssuedCertificate
from wsclient.testing.frames import encode_frame
from wsclient.testing.raw import RawConnection, RawServer


async def headers_seen(conn: WebSocketClientConnection) -> dict[str, str]:
    """Read the request headers that a peer at /headers sends; names in lower case."""
    message = await conn.read_message()
    assert isinstance(message, str)
    seen: dict[str, str] = json.loads(message)
    return seen


@pytest.mark.parametrize(
    ("offered", "chosen"),
    [
        pytest.param(["mqtt", "chat"], "chat", id="second"),
        pytest.param(["superchat"], "superchat", id="only"),
        pytest.param(None, None, id="not-offered"),
    ],
)
async def test_subprotocol(
    peer: PeerProcess, offered: list[str] | None, chosen: str | None
) -> None:
    async with websocket_connect(peer.url("/subprotocol"), subprotocols=offered) as conn:
        assert conn.selected_subprotocol == chosen
        assert await conn.read_message() == (chosen or "")


async def test_subprotocol_that_the_server_does_not_know_is_none(peer: PeerProcess) -> None:
    async with websocket_connect(peer.url("/subprotocol"), subprotocols=["mqtt"]) as conn:
        assert conn.selected_subprotocol is None
        assert await conn.read_message() == ""


async def test_headers_origin_agent_and_cookies_reach_the_server(peer: PeerProcess) -> None:
    async with websocket_connect(
        peer.url("/headers"),
        headers={"X-Trace": "abc 1"},
        origin="https://example.org",
        user_agent="tester/1",
        cookies={"flavour": "oat"},
    ) as conn:
        seen = await headers_seen(conn)
    assert seen["x-trace"] == "abc 1"
    assert seen["origin"] == "https://example.org"
    assert seen["user-agent"] == "tester/1"
    assert "flavour=oat" in seen["cookie"]
    assert seen["sec-websocket-version"] == "13"


@pytest.mark.parametrize("way", ["auth", "url"])
async def test_basic_auth(peer: PeerProcess, way: str) -> None:
    url, auth = peer.url("/unauthorized"), None
    if way == "url":
        url = url.replace("://", "://user:secret@")
    else:
        auth = ("user", "secret")
    async with websocket_connect(url, auth=auth) as conn:
        seen = await headers_seen(conn)
        assert seen["authorization"] == "Basic dXNlcjpzZWNyZXQ="
        assert "secret" not in repr(conn)


async def test_missing_password_is_a_handshake_error(peer: PeerProcess) -> None:
    with pytest.raises(HandshakeError) as caught:
        await websocket_connect(peer.url("/unauthorized"))
    assert (caught.value.status, caught.value.body) == (401, b"who?")
    assert caught.value.headers["www-authenticate"] == 'Basic realm="peer"'


async def test_rejection_shows_status_headers_and_body(peer: PeerProcess) -> None:
    with pytest.raises(HandshakeError) as caught:
        await websocket_connect(peer.url("/reject"))
    error = caught.value
    assert (error.status, error.phase) == (403, "http")
    assert error.headers["retry-after"] == "7"
    assert json.loads(error.body) == {"error": "forbidden"}


@pytest.mark.abilities("drop")
async def test_no_answer_at_all_is_an_error_of_ours(peer: PeerProcess) -> None:
    with pytest.raises(WebSocketError):
        await websocket_connect(peer.url("/drop"))


@pytest.mark.parametrize("status", [301, 302, 307, 308])
async def test_redirect_is_followed(peer: PeerProcess, status: int) -> None:
    target = peer.url("/subprotocol")
    async with websocket_connect(
        peer.url("/redirect", to=target, status=status), subprotocols=["chat"]
    ) as conn:
        assert await conn.read_message() == "chat"
        assert str(conn.url) == target


async def test_redirect_to_a_path_is_followed(peer: PeerProcess) -> None:
    async with websocket_connect(peer.url("/redirect", to="/subprotocol")) as conn:
        assert await conn.read_message() == ""


async def test_redirects_without_end_are_given_up(peer: PeerProcess) -> None:
    inner = peer.url("/redirect", to=peer.url("/redirect", to="/echo"))
    with pytest.raises(RedirectError) as caught:
        await websocket_connect(peer.url("/redirect", to=inner), max_redirects=2)
    assert len(caught.value.history) >= 3


async def test_redirect_away_from_tls_is_refused(
    peer: PeerProcess, certificates: IssuedCertificate
) -> None:
    url = peer.url("/redirect", tls=True, to=peer.url("/echo"))
    with pytest.raises(RedirectError):
        await websocket_connect(url, ssl=certificates.trust_context())


async def test_redirect_to_another_origin_drops_the_secrets(
    peer: PeerProcess, certificates: IssuedCertificate
) -> None:
    elsewhere = peer.url("/headers").replace("127.0.0.1", "localhost")
    async with websocket_connect(
        peer.url("/redirect", to=elsewhere),
        headers={
            "Authorization": "Bearer hidden",
            "Cookie": "session=hidden",
            "X-Api-Key": "hidden",
            "Accept-Language": "de",
        },
    ) as conn:
        seen = await headers_seen(conn)
    assert "hidden" not in json.dumps(seen)
    assert seen["accept-language"] == "de"


async def test_tls_with_a_private_authority(
    peer: PeerProcess, certificates: IssuedCertificate
) -> None:
    async with websocket_connect(
        peer.url("/echo", tls=True), ssl=certificates.trust_context()
    ) as conn:
        for message in ("hello", b"\x00" * 300_000):
            await conn.write_message(message, binary=isinstance(message, bytes))
            assert await conn.read_message() == message
        assert conn.tls is not None
    assert conn.close_info is not None
    assert conn.close_info.clean


async def test_tls_with_an_unknown_authority_is_refused(peer: PeerProcess) -> None:
    with pytest.raises(TLSError) as caught:
        await websocket_connect(peer.url("/echo", tls=True))
    assert caught.value.phase == "tls"


@pytest.mark.parametrize("tls", [False, True], ids=["ws", "wss"])
@pytest.mark.parametrize("auth", [None, ("user", "secret")], ids=["open", "password"])
async def test_connect_proxy(
    peer: PeerProcess,
    certificates: IssuedCertificate,
    tls: bool,
    auth: tuple[str, str] | None,
) -> None:
    context = certificates.trust_context() if tls else None
    async with connect_proxy(auth=auth) as proxy:
        url = proxy.url.replace("://", "://user:secret@") if auth else proxy.url
        async with websocket_connect(peer.url("/echo", tls=tls), proxy=url, ssl=context) as conn:
            await conn.write_message("through")
            assert await conn.read_message() == "through"
    port = peer.tls_port if tls else peer.port
    # A tunnel is asked for with ws too (RFC 6455, section 4.1, step 3).
    assert proxy.requests[-1] == ("CONNECT", f"127.0.0.1:{port}")


@pytest.mark.parametrize("peer", ["websockets"], indirect=True)
@pytest.mark.parametrize("tls", [False, True], ids=["ws", "wss"])
async def test_proxy_that_asks_for_a_password_is_a_proxy_error(
    peer: PeerProcess, certificates: IssuedCertificate, tls: bool
) -> None:
    async with connect_proxy(auth=("user", "secret")) as proxy:
        with pytest.raises(ProxyError) as caught:
            await websocket_connect(
                peer.url("/echo", tls=tls),
                proxy=proxy.url,
                ssl=certificates.trust_context() if tls else None,
            )
    assert caught.value.status == 407


@pytest.mark.parametrize("peer", ["websockets"], indirect=True)
@pytest.mark.parametrize("tls", [False, True], ids=["ws", "wss"])
async def test_socks5_proxy(peer: PeerProcess, certificates: IssuedCertificate, tls: bool) -> None:
    pytest.importorskip("aiohttp_socks", reason="the extra `socks` is not installed")
    context = certificates.trust_context() if tls else None
    async with (
        socks5_proxy() as proxy,
        websocket_connect(peer.url("/echo", tls=tls), proxy=proxy.url, ssl=context) as conn,
    ):
        await conn.write_message("through")
        assert await conn.read_message() == "through"
    assert proxy.requests == [("CONNECT", f"127.0.0.1:{peer.tls_port if tls else peer.port}")]


@pytest.mark.parametrize(
    "headers",
    [
        pytest.param({"Connection": "keep-alive, Upgrade"}, id="list"),
        pytest.param({"Connection": "Keep-Alive,UPGRADE"}, id="list-upper-case"),
        pytest.param({"Connection": "upgrade", "Upgrade": "WebSocket"}, id="case"),
        pytest.param({"Server": "x", "Date": "now", "X-Long": "y" * 4000}, id="more-headers"),
    ],
)
async def test_right_answers_in_other_words_are_taken(headers: dict[str, str]) -> None:
    async def serve(wire: RawConnection) -> None:
        # The first message comes in the same packet as the response head.
        await wire.accept(headers, extra=encode_frame(Opcode.TEXT, b"first"))
        await wire.send_close((await wire.read_until_close())[-1].close_code or 1000)

    async with RawServer(serve) as server, websocket_connect(server.url) as conn:
        assert await conn.read_message() == "first"


@pytest.mark.parametrize(
    "headers",
    [
        pytest.param({"Sec-WebSocket-Accept": "AAAAAAAAAAAAAAAAAAAAAAAAAAA="}, id="accept"),
        pytest.param({"Sec-WebSocket-Accept": None}, id="no-accept"),
        pytest.param({"Upgrade": "h2c"}, id="upgrade"),
        pytest.param({"Connection": "close"}, id="connection"),
        pytest.param({"Sec-WebSocket-Protocol": "chat"}, id="subprotocol-not-offered"),
        pytest.param({"Sec-WebSocket-Extensions": "permessage-deflate"}, id="extension"),
    ],
)
async def test_wrong_answers_are_refused(headers: dict[str, str | None]) -> None:
    async def serve(wire: RawConnection) -> None:
        await wire.accept(headers)
        await wire.read_to_end()

    async with RawServer(serve) as server:
        with pytest.raises(HandshakeError) as caught:
            await websocket_connect(server.url)
        assert caught.value.status == 101


async def test_connection_describes_itself(peer: PeerProcess) -> None:
    conn: Any = await websocket_connect(peer.url("/echo"))
    try:
        assert str(conn.url) == peer.url("/echo")
        assert conn.remote_address[1] == peer.port
        assert conn.local_address[0] == "127.0.0.1"
        assert conn.request_headers["Sec-WebSocket-Version"] == "13"
        assert conn.response_headers["Upgrade"].lower() == "websocket"
        assert (conn.tls, conn.closed, conn.close_code, conn.close_reason) == (
            None,
            False,
            None,
            None,
        )
    finally:
        await conn.close()


async def test_many_at_once(peer: PeerProcess) -> None:
    async def talk(number: int) -> None:
        async with websocket_connect(peer.url("/echo")) as conn:
            await conn.write_message(str(number))
            assert await conn.read_message() == str(number)

    async with asyncio.TaskGroup() as group:
        for number in range(20):
            group.create_task(talk(number))
