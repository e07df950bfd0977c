"""Servers that break the protocol: what they are told, and what the caller is told."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from behaviour.servers import connected, expect_info, frame_of_kind
from wsclient import MessageTooBigError, ProtocolError
from wsclient.protocol.opcodes import Opcode
from wsclient.testing.frames import encode_frame

FAULTS: dict[str, tuple[bytes, int, str]] = {
    "RSV1": (encode_frame(Opcode.TEXT, b"x", rsv=4), 1002, "RFC 6455, section 5.2"),
    "RSV2": (encode_frame(Opcode.TEXT, b"x", rsv=2), 1002, "RFC 6455, section 5.2"),
    "RSV3": (encode_frame(Opcode.PING, b"x", rsv=1), 1002, "RFC 6455, section 5.2"),
    "opcode 3": (encode_frame(3), 1002, "RFC 6455, section 5.2"),
    "opcode 15": (encode_frame(15, b"x"), 1002, "RFC 6455, section 5.2"),
    "masked": (
        encode_frame(Opcode.TEXT, b"x", masking_key=b"1234"),
        1002,
        "RFC 6455, section 5.1",
    ),
    "long ping": (encode_frame(Opcode.PING, b"x" * 126), 1002, "RFC 6455, section 5.5"),
    "half a ping": (encode_frame(Opcode.PING, b"x", fin=False), 1002, "RFC 6455, section 5.5"),
    "half a close": (encode_frame(Opcode.CLOSE, b"", fin=False), 1002, "RFC 6455, section 5.5"),
    "nothing to continue": (
        encode_frame(Opcode.CONTINUATION, b"x"),
        1002,
        "RFC 6455, section 5.4",
    ),
    "message within a message": (
        encode_frame(Opcode.TEXT, b"x", fin=False) + encode_frame(Opcode.TEXT, b"y"),
        1002,
        "RFC 6455, section 5.4",
    ),
    "length in 3 bytes": (b"\x82\x7e\x00\x7dx", 1002, "RFC 6455, section 5.2"),
    "length in 9 bytes": (b"\x82\x7f" + (65535).to_bytes(8, "big"), 1002, "section 5.2"),
    "length of 64 bits": (b"\x82\x7f" + b"\xff" * 8, 1002, "RFC 6455, section 5.2"),
    "close with one byte": (encode_frame(Opcode.CLOSE, b"\x03"), 1002, "RFC 6455, section 5.5.1"),
    "close with 1005": (encode_frame(Opcode.CLOSE, b"\x03\xed"), 1002, "RFC 6455, section 7.4"),
    "close with 1006": (encode_frame(Opcode.CLOSE, b"\x03\xee"), 1002, "RFC 6455, section 7.4"),
    "close with 999": (encode_frame(Opcode.CLOSE, b"\x03\xe7"), 1002, "RFC 6455, section 7.4"),
    "close with 65535": (encode_frame(Opcode.CLOSE, b"\xff\xff"), 1002, "RFC 6455, section 7.4"),
    "close reason": (encode_frame(Opcode.CLOSE, b"\x03\xe8\xff"), 1007, "RFC 6455, section 5.5.1"),
    "text": (encode_frame(Opcode.TEXT, b"ok \xff"), 1007, "RFC 6455, section 8.1"),
    "text cut short": (encode_frame(Opcode.TEXT, "€".encode()[:2]), 1007, "RFC 6455, section 8.1"),
    "surrogate": (encode_frame(Opcode.TEXT, b"\xed\xa0\x80"), 1007, "RFC 6455, section 8.1"),
    "text in fragments": (
        encode_frame(Opcode.TEXT, b"ok", fin=False)
        + encode_frame(Opcode.CONTINUATION, b"\xff", fin=False),
        1007,
        "RFC 6455, section 8.1",
    ),
}


def at_once(data: bytes) -> list[bytes]:
    return [data]


def byte_by_byte(data: bytes) -> list[bytes]:
    return [data[i : i + 1] for i in range(len(data))]


@pytest.mark.parametrize("cut", [at_once, byte_by_byte])
@pytest.mark.parametrize(
    ("fault", "code", "section"), [pytest.param(*row, id=name) for name, row in FAULTS.items()]
)
async def test_fault_is_named_to_both_sides(
    fault: bytes, code: int, section: str, cut: Callable[[bytes], list[bytes]]
) -> None:
    async with connected() as (conn, server):
        valid = encode_frame(Opcode.TEXT, b"before") + encode_frame(Opcode.BINARY, b"it")
        for chunk in cut(valid + fault):
            await server.send(chunk)
            await asyncio.sleep(0)
        frame = await frame_of_kind(server, Opcode.CLOSE)
        assert frame.close_code == code
        assert len(frame.close_reason) > 10
        server.close()
        # What came before the fault is delivered before the end.
        assert [message async for message in conn] == ["before", b"it"]
        info = await conn.wait_closed()
        expect_info(
            info,
            cause="protocol_error",
            clean=False,
            code=1006,
            initiator="local",
            sent=code,
            received=None,
        )
        error = info.exception
        assert isinstance(error, ProtocolError)
        assert error.close_code == code
        assert section in error.section
        assert error.section in str(error)
        assert str(error) in info.hint
        assert str(error).startswith(frame.close_reason[:60])


async def test_text_fails_at_its_first_bad_byte() -> None:
    async with connected() as (conn, server):
        # The frame says that more is to come, but it never does.
        await server.send(encode_frame(Opcode.TEXT, b"ok\xff" + bytes(1000))[:7])
        assert (await frame_of_kind(server, Opcode.CLOSE)).close_code == 1007
        server.close()
        expect_info(await conn.wait_closed(), cause="protocol_error")


async def test_too_big_message_behind_valid_ones() -> None:
    async with connected(max_message_size=100) as (conn, server):
        await server.send(
            encode_frame(Opcode.TEXT, b"before") + encode_frame(Opcode.BINARY, bytes(101))
        )
        frame = await frame_of_kind(server, Opcode.CLOSE)
        assert frame.close_code == 1009
        server.close()
        assert [message async for message in conn] == ["before"]
        info = await conn.wait_closed()
        expect_info(info, cause="message_too_big", sent=1009, clean=False)
        assert isinstance(info.exception, MessageTooBigError)
        assert "max_message_size" in info.hint


async def test_garbage_in_callback_mode() -> None:
    messages: list[object] = []
    async with connected(on_message_callback=messages.append) as (conn, server):
        await server.send(encode_frame(Opcode.TEXT, b"before") + b"\xff\xff")
        assert (await frame_of_kind(server, Opcode.CLOSE)).close_code == 1002
        server.close()
        expect_info(await conn.wait_closed(), cause="protocol_error")
    assert messages == ["before", None]


async def test_our_close_frame_survives_a_server_that_sends_on() -> None:
    # Closing TCP at once would turn into a reset, and the server would never read the reason.
    async with connected() as (conn, server):
        await server.send(b"\xff\xff")
        for _ in range(50):
            await server.send(encode_frame(Opcode.BINARY, bytes(65536)))
        assert (await frame_of_kind(server, Opcode.CLOSE)).close_code == 1002
        server.close()
        expect_info(await conn.wait_closed(), cause="protocol_error", sent=1002)


async def test_server_that_does_not_hear_of_its_fault() -> None:
    async with connected(close_timeout=0.1) as (conn, server):
        await server.send(b"\xff\xff")
        assert await asyncio.wait_for(conn.read_message(), 5) is None
        expect_info(await conn.wait_closed(), cause="protocol_error", clean=False)


async def test_fault_while_we_are_closing() -> None:
    async with connected() as (conn, server):
        closing = conn.close(4001)
        assert (await frame_of_kind(server, Opcode.CLOSE)).close_code == 4001
        await server.send(b"\xff\xff")
        server.close()
        expect_info(await closing, cause="protocol_error", clean=False, sent=4001)


async def test_fault_behind_a_full_queue_drops_none_of_it() -> None:
    count = 8
    async with connected(max_queue_messages=2) as (conn, server):
        valid = b"".join(encode_frame(Opcode.TEXT, b"%d" % number) for number in range(count))
        await server.send(valid + FAULTS["opcode 3"][0])
        await frame_of_kind(server, Opcode.CLOSE)
        await server.send(encode_frame(Opcode.TEXT, b"ignored") * 3)
        server.close()
        info = await conn.wait_closed()
        assert info.discarded_messages == 0
        assert [message async for message in conn] == [str(number) for number in range(count)]


@pytest.mark.parametrize("before", [b"", encode_frame(Opcode.TEXT, b"first")], ids=["", "later"])
@pytest.mark.parametrize("compression", [None, {}], ids=["plain", "deflate"])
@pytest.mark.parametrize("pieces", [False, True], ids=["whole", "in pieces"])
async def test_text_in_place_of_frames_is_told(
    before: bytes, compression: dict[str, int] | None, pieces: bool
) -> None:
    answer = b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\nUnsupported version"
    async with connected(compression_options=compression) as (conn, server):
        whole = before + answer
        for piece in [bytes([each]) for each in whole] if pieces else [whole]:
            await server.send(piece)
        assert await conn.read_message() == ("first" if before else None)
        if before:
            assert await conn.read_message() is None
        assert (await frame_of_kind(server, Opcode.CLOSE)).close_code == 1002
        server.close()
        info = await conn.wait_closed()
    expect_info(info, cause="protocol_error", initiator="local", sent=1002)
    assert isinstance(info.exception, ProtocolError)
    told = (
        'it sent an HTTP answer in place of frames, which begins with "HTTP/1.1 400 Bad Request"'
    )
    assert told in info.hint
    assert "RSV1" not in info.hint


async def test_a_frame_with_a_reserved_bit_is_no_text() -> None:
    async with connected() as (conn, server):
        await server.send(encode_frame(Opcode.TEXT, b"x" * 30, rsv=4))
        assert await conn.read_message() is None
        server.close()
        info = await conn.wait_closed()
    assert "RSV1" in info.hint and "in place of frames" not in info.hint
