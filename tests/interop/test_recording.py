"""Sessions with real servers are recorded, and replayed without them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from support.process import PeerProcess
from wsclient import WebSocketClientConnection, websocket_connect
from wsclient.testing import IssuedCertificate, Recording, RecordingProxy, replay_server


async def hear_all(conn: WebSocketClientConnection) -> list[str | bytes]:
    """Read until the end."""
    return [message async for message in conn]


@pytest.mark.parametrize("tls", [False, True], ids=["ws", "wss"])
async def test_what_a_server_pushes(
    peer: PeerProcess, tmp_path: Path, tls: bool, certificates: IssuedCertificate
) -> None:
    path = tmp_path / "push.jsonl"
    trust: dict[str, Any] = {"ssl": certificates.trust_context()} if tls else {}
    url = peer.url("/push", tls=tls, count=20, size=50)
    async with RecordingProxy(url, path, **trust) as proxy, websocket_connect(proxy.url) as conn:
        heard = await hear_all(conn)
        original = conn.close_code, conn.close_reason
    assert len(heard) == 20
    assert Recording.load(path).messages("server") == heard
    async with replay_server(path, speed=None) as server:
        async with websocket_connect(server.url) as conn:
            assert await hear_all(conn) == heard
        assert (conn.close_code, conn.close_reason) == original


async def test_a_conversation(peer: PeerProcess, tmp_path: Path) -> None:
    path = tmp_path / "echo.jsonl"

    async def converse(url: str) -> list[str | bytes | None]:
        heard = []
        async with websocket_connect(url) as conn:
            for message in ("text", b"\x00\xff", "ü" * 1000, "x" * 100_000):
                await conn.write_message(message, isinstance(message, bytes))
                heard.append(await conn.read_message())
        return heard

    async with RecordingProxy(peer.url("/echo"), path) as proxy:
        heard = await converse(proxy.url)
    assert heard == ["text", b"\x00\xff", "ü" * 1000, "x" * 100_000]
    async with replay_server(path, speed=None) as server:
        assert await converse(server.url) == heard


@pytest.mark.abilities("subprotocol")
async def test_a_subprotocol(peer: PeerProcess, tmp_path: Path) -> None:
    path = tmp_path / "subprotocol.jsonl"

    async def ask(url: str) -> tuple[str | bytes | None, str | None]:
        async with websocket_connect(url, subprotocols=["other", "chat"]) as conn:
            return await conn.read_message(), conn.selected_subprotocol

    async with RecordingProxy(peer.url("/subprotocol"), path) as proxy:
        assert await ask(proxy.url) == ("chat", "chat")
    async with replay_server(path, speed=None) as server:
        assert await ask(server.url) == ("chat", "chat")
