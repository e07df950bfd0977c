"""Frames that RFC 6455 forbids, on Tornado's handler and ours.

Tornado ends the TCP connection without a Close frame; ours says what was wrong by a close code
(RFC 6455, section 7.1.7). Both tell the handler nothing but that the connection has ended.
"""

from __future__ import annotations

import pytest

from handler.driver import Client, close, text
from handler.scenario import Seen, both, plain, same
from handler.test_messages import echo
from wsclient.protocol.opcodes import Opcode
from wsclient.testing.frames import encode_frame

MASK = b"\x01\x02\x03\x04"


def frames(*frames: tuple[int, bytes, bool, int]) -> bytes:
    """Build masked frames of opcode, payload, fin and rsv."""
    return b"".join(
        encode_frame(opcode, payload, fin=fin, rsv=rsv, masking_key=MASK)
        for opcode, payload, fin, rsv in frames
    )


async def send_bad(data: bytes) -> tuple[Seen, Seen]:
    async def drive(client: Client) -> None:
        await client.open()
        await client.send_text("good")
        await client.send_raw(data)
        await client.until_end()

    return await both(plain, drive)


@pytest.mark.parametrize(
    ("data", "code"),
    [
        pytest.param(frames((Opcode.TEXT, b"x", True, 4)), 1002, id="RSV1"),
        pytest.param(frames((Opcode.TEXT, b"x", True, 2)), 1002, id="RSV2"),
        pytest.param(frames((Opcode.TEXT, b"x", True, 1)), 1002, id="RSV3"),
        pytest.param(frames((Opcode.PING, b"x", True, 4)), 1002, id="RSV1 in a ping"),
        pytest.param(frames((3, b"x", True, 0)), 1002, id="opcode 3"),
        pytest.param(frames((11, b"x", True, 0)), 1002, id="opcode 11"),
        pytest.param(frames((Opcode.PING, b"x", False, 0)), 1002, id="fragmented ping"),
        pytest.param(frames((Opcode.CLOSE, b"", False, 0)), 1002, id="fragmented close"),
        pytest.param(frames((Opcode.PING, b"x" * 126, True, 0)), 1002, id="ping of 126 bytes"),
        pytest.param(frames((Opcode.CONTINUATION, b"x", True, 0)), 1002, id="nothing to continue"),
        pytest.param(
            frames((Opcode.TEXT, b"x", False, 0), (Opcode.TEXT, b"y", True, 0)),
            1002,
            id="message in a message",
        ),
        pytest.param(frames((Opcode.TEXT, b"\xff", True, 0)), 1007, id="no UTF-8"),
        pytest.param(frames((Opcode.TEXT, b"\xed\xa0\x80", True, 0)), 1007, id="surrogate"),
        pytest.param(frames((Opcode.TEXT, b"\xc3", True, 0)), 1007, id="half a character"),
        pytest.param(
            frames((Opcode.TEXT, b"a", False, 0), (Opcode.CONTINUATION, b"\xff", True, 0)),
            1007,
            id="no UTF-8 in a fragment",
        ),
        pytest.param(
            frames((Opcode.CLOSE, b"\x03\xe8\xff", True, 0)), 1007, id="no UTF-8 in a reason"
        ),
    ],
)
async def test_what_both_refuse(data: bytes, code: int) -> None:
    tornado, ours = await send_bad(data)
    assert (tornado.frames, tornado.ended) == ([], True)
    assert tornado.names == ["open", "on_message", "on_close"]
    assert ([each.opcode for each in ours.frames], ours.close_code) == ([Opcode.CLOSE], code)
    assert ours.ended
    assert ours.names == ["open", "on_message", "on_close"]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        pytest.param(encode_frame(Opcode.TEXT, b"x"), "x", id="no mask"),
        pytest.param(b"\x81\xfe\x00\x01" + bytes(4) + b"x", "x", id="length in 16 bits"),
        pytest.param(b"\x81\xff" + bytes(7) + b"\x01" + bytes(4) + b"x", "x", id="in 64 bits"),
    ],
)
async def test_messages_that_only_tornado_takes(data: bytes, message: str) -> None:
    """RFC 6455 forbids them: no mask in section 5.1, a longer length in section 5.2."""

    async def drive(client: Client) -> None:
        await client.open()
        await client.send_raw(data)
        await client.send_close(1000)
        await client.until_end()

    tornado, ours = await both(plain, drive)
    assert tornado.calls[1:] == [("on_message", message), ("on_close", 1000, None)]
    assert (ours.close_code, ours.ended) == (1002, True)
    assert ours.names == ["open", "on_close"]


@pytest.mark.parametrize(
    ("payload", "told"),
    [
        pytest.param(b"\x03", None, id="one byte"),
        pytest.param(b"\x03\xe7", 999, id="999"),
        pytest.param(b"\x03\xed", 1005, id="1005"),
        pytest.param(b"\x03\xee", 1006, id="1006"),
        pytest.param(b"\x03\xf7", 1015, id="1015"),
        pytest.param(b"\x13\x88", 5000, id="5000"),
    ],
)
async def test_close_frames_that_only_tornado_takes(payload: bytes, told: int | None) -> None:
    """RFC 6455 forbids them in sections 5.5.1 and 7.4; Tornado echoes the number."""

    async def drive(client: Client) -> None:
        await client.open()
        await client.send(Opcode.CLOSE, payload)
        await client.until_end()

    tornado, ours = await both(plain, drive)
    assert tornado.frames == [close(told)]
    assert tornado.calls[1:] == [("on_close", told, None)]
    assert (ours.close_code, ours.ended) == (1002, True)
    assert ours.names == ["open", "on_close"]


async def test_bytes_that_are_no_text_may_be_binary() -> None:
    async def drive(client: Client) -> None:
        await client.open()
        await client.send(Opcode.BINARY, b"\xff")
        await client.leave()

    seen = await same(plain, drive)
    assert seen.calls[1:-1] == [("on_message", b"\xff")]


async def test_one_bad_client_does_no_harm_to_another() -> None:
    async def drive(client: Client) -> None:
        other = client.another()
        await client.open()
        await other.open()
        await other.send(Opcode.TEXT, b"\xff")
        await other.until_end()
        await other.drop()
        await client.send_text("still here")
        await client.leave()

    seen = await same(echo, drive, closes=2)
    assert seen.frames == [text("still here"), close(1000)]
