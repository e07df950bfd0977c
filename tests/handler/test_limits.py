"""Messages that are too big, on Tornado's handler and ours."""

from __future__ import annotations

import struct
import zlib

import pytest

from handler.driver import Client, close, pong
from handler.scenario import both, plain, same
from handler.test_compression import compressing, deflate
from wsclient.protocol.opcodes import Opcode

LIMIT = 100

COMPRESSED = {"Sec-WebSocket-Extensions": "permessage-deflate"}


@pytest.mark.parametrize("fragments", [1, 4])
async def test_a_message_of_just_the_limit(fragments: int) -> None:
    async def drive(client: Client) -> None:
        await client.open()
        part = "x" * (LIMIT // fragments)
        for number in range(fragments):
            opcode = Opcode.CONTINUATION if number else Opcode.TEXT
            await client.send(opcode, part, fin=number == fragments - 1)
        await client.leave()

    seen = await same(plain, drive, websocket_max_message_size=LIMIT)
    assert seen.calls[1:] == [("on_message", "x" * LIMIT), ("on_close", 1000, None)]


@pytest.mark.parametrize("text", ["x" * (LIMIT + 1), "é" * (LIMIT // 2 + 1)], ids=["x", "é"])
async def test_a_message_that_is_too_big(text: str) -> None:
    """The size counts in bytes; both end the connection without waiting for an answer."""

    async def drive(client: Client) -> None:
        await client.open()
        await client.send_text("a")
        await client.send_text(text)
        await client.until_end()

    tornado, ours = await both(plain, drive, websocket_max_message_size=LIMIT)
    assert tornado.frames == [close(1009, "message too big")]
    assert tornado.calls[1:] == [("on_message", "a"), ("on_close", None, None)]
    assert ours.close_code == 1009
    assert ours.names == ["open", "on_message", "on_close"]
    assert tornado.ended and ours.ended


async def test_fragments_that_are_too_big_together() -> None:
    async def drive(client: Client) -> None:
        await client.open()
        await client.send(Opcode.BINARY, b"x" * LIMIT, fin=False)
        await client.send(Opcode.CONTINUATION, b"x", fin=False)
        await client.until_end()

    tornado, ours = await both(plain, drive, websocket_max_message_size=LIMIT)
    for seen in (tornado, ours):
        assert (seen.close_code, seen.ended, len(seen.frames)) == (1009, True, 1)
        assert seen.names == ["open", "on_close"]


async def test_a_length_that_is_too_big_is_enough() -> None:
    """Nothing of the payload need come."""

    async def drive(client: Client) -> None:
        await client.open()
        await client.send_raw(b"\x82\xff" + struct.pack("!Q", 1 << 40) + bytes(4))
        await client.until_end()

    tornado, ours = await both(plain, drive)
    for seen in (tornado, ours):
        assert (seen.close_code, seen.ended, len(seen.frames)) == (1009, True, 1)


async def test_the_limit_holds_for_inflated_messages() -> None:
    async def drive(client: Client) -> None:
        await client.open(headers=COMPRESSED)
        payload = deflate(zlib.compressobj(wbits=-15), b"x" * (LIMIT + 1))
        assert len(payload) < LIMIT
        await client.send(Opcode.BINARY, payload, rsv=4)
        await client.until_end()

    tornado, ours = await both(compressing({}), drive, websocket_max_message_size=LIMIT)
    assert tornado.frames == [close(1009, "message too big after decompression")]
    assert (ours.close_code, ours.ended) == (1009, True)
    for seen in (tornado, ours):
        assert seen.names == ["open", "on_close"]


async def test_an_inflated_message_of_just_the_limit() -> None:
    async def drive(client: Client) -> None:
        await client.open(headers=COMPRESSED)
        await client.send(Opcode.BINARY, deflate(zlib.compressobj(wbits=-15), b"x" * LIMIT), rsv=4)
        await client.leave()

    seen = await same(compressing({}), drive, websocket_max_message_size=LIMIT)
    assert seen.calls[1:] == [("on_message", b"x" * LIMIT), ("on_close", 1000, None)]


async def test_control_frames_are_no_messages() -> None:
    """Tornado holds pings to the limit too; it is about messages, so ours does not."""

    async def drive(client: Client) -> None:
        await client.open()
        await client.send(Opcode.PING, b"x" * 20)
        await client.leave()

    tornado, ours = await both(plain, drive, websocket_max_message_size=10)
    assert tornado.close_code == 1009
    assert ours.frames == [pong(b"x" * 20), close(1000)]
    assert ours.calls[1:] == [("on_ping", b"x" * 20), ("on_close", 1000, None)]


async def test_a_ping_between_fragments_is_no_part_of_the_message() -> None:
    """Tornado adds its size to that of the fragments."""

    async def drive(client: Client) -> None:
        await client.open()
        await client.send(Opcode.TEXT, "x" * 90, fin=False)
        await client.send(Opcode.PING, b"y" * 20)
        await client.send(Opcode.CONTINUATION, "x" * 10)
        await client.leave()

    tornado, ours = await both(plain, drive, websocket_max_message_size=LIMIT)
    assert tornado.close_code == 1009
    assert ours.frames == [pong(b"y" * 20), close(1000)]
    assert ours.calls[2] == ("on_message", "x" * LIMIT)


async def test_the_default_limit_is_10_mib() -> None:
    async def drive(client: Client) -> None:
        await client.open()
        # Only the head: the answer does not wait for the rest.
        await client.send_raw(b"\x82\xff" + struct.pack("!Q", (10 << 20) + 1) + bytes(4))
        await client.until_end()
        other = client.another()
        await other.open()
        await other.send(Opcode.BINARY, bytes(10 << 20))
        await other.leave()
        await other.drop()

    tornado, ours = await both(plain, drive, closes=2)
    for seen in (tornado, ours):
        assert seen.close_code == 1009
        assert [len(note[1]) for note in seen.calls if note[0] == "on_message"] == [10 << 20]
