"""Single frames, right or wrong: what is encoded is decoded, cut anywhere."""

from __future__ import annotations

import random
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wsclient.protocol.frames import build_frame
from wsclient.protocol.opcodes import Opcode
from wsclient.testing import Frame, FrameDecoder, RecordedFrame, close_frame, encode_frame
from wsclient.testing.frames import frame_end

SIZES = [0, 1, 125, 126, 127, 65535, 65536]
KEYS = st.none() | st.binary(min_size=4, max_size=4)

FRAMES = st.builds(
    Frame,
    st.booleans(),
    st.integers(0, 7),
    st.integers(0, 15),
    st.booleans(),
    st.binary(max_size=20) | st.sampled_from([bytes(n) for n in (125, 126, 127)]),
)


def encoded(frame: Frame, key: bytes = b"\x00\xff\x5a\x01") -> bytes:
    return encode_frame(
        frame.opcode,
        frame.payload,
        fin=frame.fin,
        rsv=frame.rsv,
        masking_key=key if frame.masked else None,
    )


# --- encoding -------------------------------------------------------------------------------


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("key", [None, b"\x01\x02\x03\x04"], ids=["plain", "masked"])
def test_a_right_frame_is_as_the_package_builds_it(size: int, key: bytes | None) -> None:
    """RFC 6455, section 5.2."""
    payload = random.Random(size).randbytes(size)
    built = build_frame(Opcode.BINARY, payload, masked=key is not None, masking_key=key)
    assert encode_frame(Opcode.BINARY, payload, masking_key=key) == built


@pytest.mark.parametrize(
    ("frame", "wire"),
    [
        (encode_frame(Opcode.TEXT, b"Hello"), "81 05 48656c6c6f"),
        (encode_frame(Opcode.TEXT, b"Hel", fin=False), "01 03 48656c"),
        (
            encode_frame(Opcode.TEXT, b"Hello", masking_key=bytes.fromhex("37fa213d")),
            "81 85 37fa213d 7f9f4d5158",
        ),
        (encode_frame(0xF, rsv=7, fin=False), "7f 00"),
        (encode_frame(Opcode.BINARY, rsv=4), "c2 00"),
        (encode_frame(Opcode.BINARY, rsv=1), "92 00"),
        (close_frame(1000), "88 02 03e8"),
        (close_frame(1005, "é"), "88 04 03ed c3a9"),
        (close_frame(0), "88 02 0000"),
        (close_frame(65535, "x" * 130)[:6], "88 7e 0084 ffff"),
    ],
)
def test_on_the_wire(frame: bytes, wire: str) -> None:
    assert frame == bytes.fromhex(wire)


@pytest.mark.parametrize("opcode", [-1, 16, 0x81])
def test_an_opcode_must_fit(opcode: int) -> None:
    with pytest.raises(ValueError, match=rf"0\.\.15; {opcode} does not fit"):
        encode_frame(opcode)


@pytest.mark.parametrize("rsv", [-1, 8])
def test_reserved_bits_must_fit(rsv: int) -> None:
    with pytest.raises(ValueError, match=rf"0\.\.7; {rsv} does not fit"):
        encode_frame(1, rsv=rsv)


@pytest.mark.parametrize("key", [b"", b"abc", b"abcde"])
def test_a_key_has_four_bytes(key: bytes) -> None:
    with pytest.raises(ValueError, match=f"4 bytes, not {len(key)}"):
        encode_frame(1, b"x", masking_key=key)


@pytest.mark.parametrize("code", [-1, 65536])
def test_a_close_code_must_fit(code: int) -> None:
    with pytest.raises(ValueError, match=rf"0\.\.65535; {code} does not fit"):
        close_frame(code)


# --- decoding -------------------------------------------------------------------------------


@settings(max_examples=150, deadline=None)
@given(st.lists(FRAMES, max_size=6), st.lists(st.integers(1, 30), min_size=1, max_size=5))
def test_what_is_encoded_is_decoded_in_any_chunks(frames: list[Frame], sizes: list[int]) -> None:
    wire = b"".join(encoded(frame) for frame in frames)
    assert FrameDecoder().feed(wire) == frames
    decoder = FrameDecoder()
    found: list[Frame] = []
    position = turn = 0
    while position < len(wire):
        size = sizes[turn % len(sizes)]
        found += decoder.feed(wire[position : position + size])
        position, turn = position + size, turn + 1
    assert found == frames
    assert decoder.rest == b""


@pytest.mark.parametrize("size", SIZES)
def test_a_frame_comes_with_its_last_byte(size: int) -> None:
    frame = Frame(True, 0, 2, True, bytes(size))
    wire = encoded(frame)
    decoder = FrameDecoder()
    assert decoder.feed(wire[:-1]) == []
    assert decoder.rest == wire[:-1]
    assert decoder.feed(wire[-1:] + wire[:3]) == [frame]
    assert decoder.rest == wire[:3]
    assert decoder.feed(b"") == []


@given(FRAMES, st.binary(max_size=5))
def test_where_a_frame_ends(frame: Frame, before: bytes) -> None:
    wire = encoded(frame)
    end = len(before) + len(wire)
    assert frame_end(before + wire + b"more", len(before)) == end
    ends = [frame_end(before + wire[:size], len(before)) for size in range(len(wire))]
    # First nothing is known, then the end.
    assert set(ends) <= {None, end}
    assert ends == sorted(ends, key=lambda each: each is not None)


def test_a_length_in_a_longer_form_is_taken() -> None:
    assert FrameDecoder().feed(b"\x82\x7e\x00\x01x") == [Frame(True, 0, 2, False, b"x")]
    assert FrameDecoder().feed(b"\x82\x7f" + bytes(7) + b"\x01x")[0].payload == b"x"


def test_a_large_frame_in_many_pieces_takes_linear_time() -> None:
    piece = bytes(4096)
    head = encode_frame(2, b"").replace(b"\x82\x00", b"\x82\x7f") + (4096 * 8192).to_bytes(
        8, "big"
    )
    decoder = FrameDecoder()
    decoder.feed(head)
    begun = time.process_time()
    for _ in range(8191):
        assert decoder.feed(piece) == []
    # Joining 32 MiB at each of the pieces would take minutes.
    assert time.process_time() - begun < 2.0
    [frame] = decoder.feed(piece)
    assert len(frame.payload) == 4096 * 8192


# --- frames ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("payload", "code", "reason"),
    [
        (b"", None, ""),
        (b"\x03", None, ""),
        (b"\x03\xe8", 1000, ""),
        (b"\x03\xe8bye", 1000, "bye"),
        (b"\xff\xff\xff", 65535, "\ufffd"),
    ],
)
def test_what_a_close_frame_says(payload: bytes, code: int | None, reason: str) -> None:
    frame = Frame(True, 0, Opcode.CLOSE, False, payload)
    assert (frame.close_code, frame.close_reason) == (code, reason)


def test_frames_compare_by_value_and_stay_as_they_are() -> None:
    frame = RecordedFrame(True, 0, 1, False, b"x", "sent", 0.5)
    assert frame == RecordedFrame(True, 0, 1, False, b"x", "sent", 0.5)
    assert frame != Frame(True, 0, 1, False, b"x")
    assert len({frame, frame}) == 1
    with pytest.raises(AttributeError):
        frame.fin = False  # type: ignore[misc]  # that is the point
