"""Whole clients instead of a driver of raw frames, against Tornado's handler and ours."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
import tornado.httpclient
import tornado.websocket
import websockets.asyncio.client

import wsclient
from handler.driver import Calls, Client
from handler.scenario import same

MESSAGES: list[str | bytes] = ["short", "long " * 1000, b"\x00\x01", b"\xff" * 70_000, ""]


def make(base: Any, calls: Calls) -> Any:
    """Make a handler that echoes, compresses, selects a subprotocol and closes when asked to."""

    class Handler(base):
        def select_subprotocol(self, subprotocols: list[str]) -> str | None:
            return "chat.v1" if "chat.v1" in subprotocols else None

        def get_compression_options(self) -> dict[str, Any] | None:
            return {}

        async def on_message(self, message: str | bytes) -> None:
            calls("on_message", type(message).__name__, len(message))
            if message == "close":
                self.close(4000, "enough")
            else:
                await self.write_message(message, binary=isinstance(message, bytes))

    return Handler


async def talk_wsclient(url: str, client: Client) -> None:
    async with wsclient.websocket_connect(
        url, subprotocols=["chat.v2", "chat.v1"], compression_options={}
    ) as conn:
        client.notes.append(conn.selected_subprotocol)
        for message in MESSAGES:
            await conn.write_message(message, binary=isinstance(message, bytes))
            client.notes.append(await conn.read_message())
        await conn.write_message("close")
        client.notes.append(await conn.read_message())
        client.notes.append((conn.close_code, conn.close_reason))


async def talk_tornado(url: str, client: Client) -> None:
    conn = await tornado.websocket.websocket_connect(
        url, subprotocols=["chat.v2", "chat.v1"], compression_options={}
    )
    client.notes.append(conn.selected_subprotocol)
    for message in MESSAGES:
        await conn.write_message(message, binary=isinstance(message, bytes))
        client.notes.append(await conn.read_message())
    await conn.write_message("close")
    client.notes.append(await conn.read_message())
    client.notes.append((conn.close_code, conn.close_reason))
    conn.close()  # It warns of connections that only the server has closed.


async def talk_websockets(url: str, client: Client) -> None:
    subprotocols = [websockets.Subprotocol(name) for name in ("chat.v2", "chat.v1")]
    async with websockets.asyncio.client.connect(url, subprotocols=subprotocols) as conn:
        client.notes.append(conn.subprotocol)
        for message in MESSAGES:
            await conn.send(message)
            client.notes.append(await conn.recv())
        await (await conn.ping(b"x"))
        await conn.send("close")
        try:
            await conn.recv()
        except websockets.ConnectionClosed:
            client.notes.append(None)
        client.notes.append((conn.close_code, conn.close_reason))


@pytest.mark.parametrize("talk", [talk_wsclient, talk_tornado, talk_websockets])
async def test_a_conversation(talk: Callable[[str, Client], Awaitable[None]]) -> None:
    async def drive(client: Client) -> None:
        await talk(f"ws://127.0.0.1:{client.port}/", client)

    seen = await same(make, drive)
    assert seen.notes == ["chat.v1", *MESSAGES, None, (4000, "enough")]
    # Tornado's client answers without the reason.
    reason = None if talk is talk_tornado else "enough"
    assert seen.calls[-1] == ("on_close", 4000, reason)
    lengths = [("on_message", type(each).__name__, len(each)) for each in [*MESSAGES, "close"]]
    assert [note for note in seen.calls if note[0] == "on_message"] == lengths


@pytest.mark.parametrize(
    ("path", "headers", "status"),
    [("/", {"Origin": "http://elsewhere.test"}, 403), ("/missing", {}, 404)],
)
async def test_what_our_client_makes_of_a_refusal(
    path: str, headers: dict[str, str], status: int
) -> None:
    async def drive(client: Client) -> None:
        with pytest.raises(wsclient.HandshakeError) as caught:
            await wsclient.websocket_connect(
                f"ws://127.0.0.1:{client.port}{path}", headers=headers
            )
        client.notes.append(caught.value.status)

    seen = await same(make, drive, route="/", closes=0)
    assert seen.notes == [status]
