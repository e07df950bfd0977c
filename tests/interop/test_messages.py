"""Messages of every size and kind, to and from servers made with other libraries."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping

import pytest

from peers.vocabulary import pattern
from support.process import PeerProcess
from wsclient import websocket_connect

MIB = 1024 * 1024

SIZES = [0, 1, 125, 126, 65535, 65536, MIB, 16 * MIB]
"""The edges of the three length encodings (RFC 6455, section 5.2), and two large ones."""


def text_of(size: int) -> str:
    """Return `size` bytes of text in which every character but the last few takes two bytes."""
    return "é" * (size // 2) + "x" * (size % 2)


@pytest.mark.parametrize("binary", [False, True], ids=["text", "binary"])
async def test_messages_of_all_sizes_come_back(peer: PeerProcess, binary: bool) -> None:
    async with websocket_connect(peer.url("/echo"), max_message_size=20 * MIB) as conn:
        for size in SIZES:
            message: str | bytes = text_of(size)
            if binary:
                message = bytes(range(256)) * (size // 256) + b"\xff" * (size % 256)
            await conn.write_message(message, binary=binary)
            assert await conn.read_message() == message


async def test_bytes_of_utf8_go_out_as_text(peer: PeerProcess) -> None:
    async with websocket_connect(peer.url("/echo")) as conn:
        await conn.write_message("grüß".encode())
        assert await conn.read_message() == "grüß"


async def test_dict_goes_out_as_json(peer: PeerProcess) -> None:
    async with websocket_connect(peer.url("/echo")) as conn:
        await conn.write_message({"a": [1, None, "é"]})
        answer = await conn.read_message()
        assert isinstance(answer, str)
        assert json.loads(answer) == {"a": [1, None, "é"]}


@pytest.mark.abilities("fragments")
@pytest.mark.parametrize("compression", [None, {}], ids=["plain", "compressed"])
@pytest.mark.parametrize("binary", [{}, {"binary": True}], ids=["text", "binary"])
async def test_fragments_arrive_as_one_message(
    peer: PeerProcess, compression: Mapping[str, object] | None, binary: dict[str, bool]
) -> None:
    url = peer.url("/fragments", count=5, size=70_000, **binary)
    async with websocket_connect(url, compression_options=compression) as conn:
        whole = "".join(pattern(number, 70_000) for number in range(5))
        assert await conn.read_message() == (whole.encode() if binary else whole)
        # The connection is in step afterwards.
        await conn.write_message("next")
        assert await conn.read_message() == "next"


async def test_written_at_once_is_read_in_order(peer: PeerProcess) -> None:
    async with websocket_connect(peer.url("/echo")) as conn:
        sent = [pattern(number, 100) for number in range(500)]
        for message in sent:
            conn.write_message(message)
        assert [await conn.read_message() for _ in sent] == sent


async def test_iteration_ends_with_the_connection(peer: PeerProcess) -> None:
    async with websocket_connect(peer.url("/push", count=100, size=50)) as conn:
        received = [message async for message in conn]
    assert received == [pattern(number, 50) for number in range(100)]
    assert (conn.close_code, conn.close_reason) == (1000, "done")


@pytest.mark.parametrize("kind", ["plain", "async"])
async def test_callback_gets_all_in_order_then_none_once(peer: PeerProcess, kind: str) -> None:
    got: list[str | bytes | None] = []
    running = 0

    def plain(message: str | bytes | None) -> None:
        got.append(message)

    async def slow(message: str | bytes | None) -> None:
        nonlocal running
        running += 1
        assert running == 1, "callbacks overlap"
        await asyncio.sleep(0)
        got.append(message)
        running -= 1

    conn = await websocket_connect(
        peer.url("/push", count=1000, size=40),
        on_message_callback=plain if kind == "plain" else slow,
    )
    info = await conn.wait_closed()
    assert got == [*(pattern(number, 40) for number in range(1000)), None]
    assert (info.code, info.reason, info.clean) == (1000, "done", True)


async def test_callback_may_write_and_close(peer: PeerProcess) -> None:
    got: list[str | bytes | None] = []

    def answer(message: str | bytes | None) -> None:
        got.append(message)
        if message == "1":
            conn.write_message("2")
        elif message == "2":
            conn.close(4000, "enough")

    conn = await websocket_connect(peer.url("/echo"), on_message_callback=answer)
    conn.write_message("1")
    info = await conn.wait_closed()
    assert got == ["1", "2", None]
    assert (info.sent, info.initiator.value) == (4000, "local")


async def test_cancelled_read_loses_nothing(peer: PeerProcess) -> None:
    async with websocket_connect(peer.url("/echo")) as conn:
        for number in range(5):
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(conn.read_message(), 0.01)
            assert not conn.closed
            conn.write_message(str(number))
            assert await conn.read_message() == str(number)
