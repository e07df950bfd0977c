"""How connections end, by either side, and what is told about it."""

from __future__ import annotations

import asyncio

import pytest

from support.process import PeerProcess
from wsclient import WebSocketClosedError, websocket_connect
from wsclient.testing.certificates import IssuedCertificate
from wsclient.testing.faults import FaultProxy


async def test_we_close_first(peer: PeerProcess) -> None:
    conn = await websocket_connect(peer.url("/echo"))
    info = await conn.close()
    assert (info.initiator.value, info.cause.value) == ("local", "closing_handshake")
    assert info.clean
    assert info.received_first is False
    assert conn.closed
    assert conn.close_info == info
    assert await conn.wait_closed() == info
    assert await conn.close(1001, "again") == info
    assert await conn.read_message() is None


@pytest.mark.abilities("returns-code")
@pytest.mark.parametrize("code", [1000, 1001, 3000, 4321])
async def test_our_close_code_reaches_the_server(peer: PeerProcess, code: int) -> None:
    conn = await websocket_connect(peer.url("/echo"))
    info = await conn.close(code)
    assert (info.sent, info.received, info.code, conn.close_code) == (code, code, code, code)


@pytest.mark.abilities("returns-reason")
@pytest.mark.parametrize("reason", ["leaving", "grüß", "x" * 123], ids=["short", "utf8", "123"])
async def test_our_close_reason_reaches_the_server(peer: PeerProcess, reason: str) -> None:
    conn = await websocket_connect(peer.url("/echo"))
    info = await conn.close(4000, reason)
    assert (info.code, info.reason, conn.close_reason) == (4000, reason, reason)


async def test_what_we_wrote_before_closing_arrives(peer: PeerProcess) -> None:
    conn = await websocket_connect(peer.url("/echo"))
    for number in range(50):
        conn.write_message(str(number))
    closing = conn.close(1000, "done")
    with pytest.raises(WebSocketClosedError):
        conn.write_message("too late")
    received = [message async for message in conn]
    info = await closing
    # The server may stop answering when it sees our Close, but what came is in order.
    assert received == [str(number) for number in range(len(received))]
    assert info.clean


@pytest.mark.parametrize("path", ["/close", "/close-on-message"])
async def test_server_closes_first(peer: PeerProcess, path: str) -> None:
    conn = await websocket_connect(peer.url(path, code=4001, reason="bye"))
    if path == "/close-on-message":
        conn.write_message("now")
    for _ in range(3):
        assert await conn.read_message() is None
    info = await conn.wait_closed()
    assert (conn.close_code, conn.close_reason, conn.closed) == (4001, "bye", True)
    assert (info.code, info.reason, info.initiator.value) == (4001, "bye", "remote")
    assert (info.cause.value, info.clean) == ("closing_handshake", True)
    assert (info.received, info.received_first) == (4001, True)
    with pytest.raises(WebSocketClosedError) as caught:
        conn.write_message("too late")
    assert caught.value.code == 4001


async def test_server_closes_first_over_tls(
    peer: PeerProcess, certificates: IssuedCertificate
) -> None:
    url = peer.url("/close-on-message", tls=True, code=4001, reason="bye")
    async with websocket_connect(url, ssl=certificates.trust_context()) as conn:
        conn.write_message("now")
        assert await conn.read_message() is None
        info = await conn.wait_closed()
    assert (info.code, info.reason, info.clean) == (4001, "bye", True)


async def test_messages_before_the_close_are_all_read(peer: PeerProcess) -> None:
    conn = await websocket_connect(peer.url("/push", count=20))
    info = await conn.wait_closed()
    assert info.clean
    received = [message async for message in conn]
    assert len(received) == 20


async def test_abort_by_the_server(peer: PeerProcess) -> None:
    conn = await websocket_connect(peer.url("/abort"))
    conn.write_message("now")
    assert await conn.read_message() is None
    info = await conn.wait_closed()
    assert (info.code, info.clean) == (1006, False)
    assert info.cause.value in {"reset", "eof"}
    assert (info.sent, info.received) == (None, None)
    assert info.hint
    assert await conn.read_message() is None


async def test_cut_on_the_way(peer: PeerProcess) -> None:
    with FaultProxy(peer.url("/echo")) as proxy:
        conn = await websocket_connect(proxy.url)
        conn.write_message("there")
        assert await conn.read_message() == "there"
        waiting = asyncio.create_task(conn.read_message())
        await asyncio.sleep(0)
        proxy.cut()
        assert await waiting is None
        info = await conn.wait_closed()
    assert (info.cause.value, info.clean, info.code) == ("reset", False, 1006)


async def test_server_that_never_answers_our_close(peer: PeerProcess) -> None:
    loop = asyncio.get_running_loop()
    conn = await websocket_connect(peer.url("/echo"), close_timeout=0.2)
    with peer.silenced():
        begun = loop.time()
        info = await conn.close(1000)
        assert 0.15 <= loop.time() - begun < 1.5
    assert (info.cause.value, info.clean) == ("close_timeout", False)


async def test_leaving_the_block_closes(peer: PeerProcess) -> None:
    with pytest.raises(KeyError, match="mine"):
        async with websocket_connect(peer.url("/echo")) as conn:
            raise KeyError("mine")
    assert conn.closed
    assert conn.close_info is not None
    assert conn.close_info.initiator.value == "local"


async def test_close_during_a_flood(peer: PeerProcess) -> None:
    conn = await websocket_connect(peer.url("/flood", size=4096))
    assert await conn.read_message() is not None
    # Far sooner than `close_timeout`, although the server's Close comes behind its messages.
    async with asyncio.timeout(5):
        info = await conn.close(1000, "enough")
    assert conn.closed
    assert (info.initiator.value, info.clean) == ("local", True)
