"""Laws of encoding: what is built is read back, and other implementations read it, too."""

from __future__ import annotations

import random
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.streams import (
    SIZES,
    Codec,
    Setting,
    cut,
    each_codec,
    each_codec_and_zlib,
    law,
    receive,
)
from wsclient.protocol.deflate import Deflater, Inflater
from wsclient.protocol.opcodes import Opcode
from wsclient.protocol.roles import Role
from wsclient.testing.frames import FrameDecoder, encode_frame

TRAILER = b"\x00\x00\xff\xff"

EDGES = [0, 1, 2, 3, 4, 5, 124, 125, 126, 127, 128, 1023, 1024, 1025, 65535, 65536, 65537]
"""Of the length encodings, of the masking key, and of the two ways to mask."""

LENGTHS = st.sampled_from(EDGES) | st.integers(0, 70_000)
DATA = st.sampled_from([Opcode.TEXT, Opcode.BINARY])
CONTROL = st.sampled_from([Opcode.PING, Opcode.PONG, Opcode.CLOSE])
KEYS = st.none() | st.binary(min_size=4, max_size=4)
KINDS = st.sampled_from([bytes, bytearray, memoryview])


def chunks_of(wire: bytes, sizes: list[int]) -> list[bytes]:
    """Cut into some hundred chunks at most, however long it is."""
    scale = 1 + len(wire) // 2000
    return cut(wire, [size * scale for size in sizes])


@each_codec
@law(100)
@given(DATA, LENGTHS, st.integers(), st.sampled_from(list(Role)), KEYS, KINDS, SIZES)
def test_a_message_comes_back(
    codec: Codec,
    opcode: Opcode,
    length: int,
    seed: int,
    sender: Role,
    key: bytes | None,
    kind: type,
    sizes: list[int],
) -> None:
    """For every size, built by either end, read by the other one, in any chunks."""
    payload = random.Random(seed).randbytes(length)
    if opcode is Opcode.TEXT:
        payload = payload.decode("latin-1").encode()
    masked = sender is Role.CLIENT
    frame = codec.build(opcode, kind(payload), masked=masked, masking_key=key)
    expected = payload.decode() if opcode is Opcode.TEXT else payload
    setting = Setting(sender.other)
    assert receive([frame], setting, codec) == ([expected], None)
    assert receive(chunks_of(frame, sizes), setting, codec) == ([expected], None)
    assert receive([frame, frame], setting, codec) == ([expected] * 2, None)
    # The kit's decoder checks nothing and shares nothing with the parser.
    [seen] = FrameDecoder().feed(frame)
    assert (seen.opcode, seen.payload, seen.masked) == (opcode, payload, masked)
    assert (seen.fin, seen.rsv) == (True, 0)
    if not masked or key is not None:
        assert frame == encode_frame(opcode, payload, masking_key=key if masked else None)


@each_codec
@law(80)
@given(CONTROL, st.integers(0, 125), st.integers(), st.sampled_from(list(Role)), SIZES)
def test_a_control_frame_comes_back(
    codec: Codec, opcode: Opcode, length: int, seed: int, sender: Role, sizes: list[int]
) -> None:
    payload = random.Random(seed).randbytes(length)
    frame = codec.build(opcode, payload, masked=sender is Role.CLIENT)
    expected = ([(int(opcode), payload)], None)
    assert receive([frame], Setting(sender.other), codec) == expected
    assert receive(cut(frame, sizes), Setting(sender.other), codec) == expected


@each_codec
@law(100)
@given(
    st.sampled_from([125, 126, 65535, 65536]) | LENGTHS,
    st.sampled_from([0, 2, 8]),
    st.sampled_from(list(Role)),
    SIZES,
)
def test_only_the_shortest_form_of_a_length_is_read(
    codec: Codec, length: int, size: int, role: Role, sizes: list[int]
) -> None:
    """RFC 6455, section 5.2: the minimal number of bytes MUST be used."""
    if size == 0:
        length %= 126
    elif size == 2:
        length %= 65536
    mask_bit = 0x80 if role is Role.SERVER else 0
    form = {0: length, 2: 126, 8: 127}[size]
    header = bytes([0x82, mask_bit | form]) + (length.to_bytes(size, "big") if size else b"")
    wire = header + (bytes(4) if mask_bit else b"") + bytes(length)
    minimal = size == (0 if length < 126 else 2 if length < 65536 else 8)
    for chunks in ([wire], chunks_of(wire, sizes), cut(wire[:20], [1])):
        events, fault = receive(chunks, Setting(role), codec)
        assert (fault is None) is minimal
        assert events in ([], [bytes(length)] if minimal else [])


@each_codec
@law(80)
@given(
    st.lists(st.integers(0, 300) | st.sampled_from(EDGES), min_size=1, max_size=5),
    st.integers(),
    st.sampled_from(list(Role)),
    SIZES,
)
def test_a_fragmented_message_comes_back(
    codec: Codec, lengths: list[int], seed: int, sender: Role, sizes: list[int]
) -> None:
    source = random.Random(seed)
    fragments = [source.randbytes(length) for length in lengths]
    wire = b"".join(
        codec.build(
            Opcode.CONTINUATION if number else Opcode.BINARY,
            fragment,
            fin=number == len(fragments) - 1,
            masked=sender is Role.CLIENT,
        )
        for number, fragment in enumerate(fragments)
    )
    expected = ([b"".join(fragments)], None)
    assert receive([wire], Setting(sender.other), codec) == expected
    assert receive(chunks_of(wire, sizes), Setting(sender.other), codec) == expected


@st.composite
def conversations(draw: st.DrawFn) -> list[bytes]:
    """Draw messages that have much in common, so that later ones refer to earlier ones."""
    source = random.Random(draw(st.integers()))
    phrases = [source.randbytes(draw(st.integers(1, 60))) for _ in range(3)]
    # Behind this much, a small window has forgotten the phrases.
    phrases += [source.randbytes(size) for size in (300, 1000)]
    picks = st.lists(st.integers(0, len(phrases) - 1), max_size=12)
    messages = [b"".join(phrases[i] for i in draw(picks)) for _ in range(draw(st.integers(1, 6)))]
    if draw(st.booleans()):
        messages.append(source.randbytes(40_000) * 2)  # beyond the largest window
    return messages


WINDOWS = st.integers(8, 15)
LEVELS = st.integers(-1, 9)
MEMORY = st.integers(1, 9)


def raw_inflate(stream: zlib._Decompress, data: bytes) -> bytes:
    """Inflate a message, as RFC 7692, section 7.2.2, says it."""
    return stream.decompress(data + TRAILER)


@pytest.mark.usefixtures("each_zlib")
@law(80)
@given(conversations(), WINDOWS, st.booleans(), LEVELS, MEMORY, SIZES)
def test_what_is_deflated_comes_back(
    messages: list[bytes],
    bits: int,
    no_takeover: bool,
    level: int,
    mem_level: int,
    sizes: list[int],
) -> None:
    """With every parameter, through our inflater and through zlib's own, with that window."""
    deflater = Deflater(
        window_bits=bits, no_context_takeover=no_takeover, level=level, mem_level=mem_level
    )
    inflater = Inflater(window_bits=bits, no_context_takeover=no_takeover)
    reference = zlib.decompressobj(-bits)
    for message in messages:
        data = deflater.compress(message)
        assert not data.endswith(TRAILER), "RFC 7692, section 7.2.1: the last four bytes are gone"
        pieces = [inflater.feed(piece, None) for piece in chunks_of(data, sizes)]
        assert b"".join(pieces) == message
        inflater.finish()
        if no_takeover:
            reference = zlib.decompressobj(-bits)
        assert raw_inflate(reference, data) == message


@pytest.mark.usefixtures("each_zlib")
@law(60)
@given(
    conversations(),
    WINDOWS,
    st.booleans(),
    LEVELS,
    MEMORY,
    st.lists(st.sampled_from([zlib.Z_SYNC_FLUSH, zlib.Z_FULL_FLUSH, zlib.Z_FINISH]), min_size=6),
    SIZES,
)
def test_what_zlib_deflates_is_read(
    messages: list[bytes],
    bits: int,
    no_takeover: bool,
    level: int,
    mem_level: int,
    flushes: list[int],
    sizes: list[int],
) -> None:
    """A message may end with any kind of block (RFC 7692, sections 7.2.1 and 7.2.3)."""
    inflater = Inflater(window_bits=bits, no_context_takeover=no_takeover)
    stream = None
    for number, message in enumerate(messages):
        if stream is None or no_takeover:
            stream = zlib.compressobj(level, zlib.DEFLATED, -max(bits, 9), mem_level)
        flush = flushes[number % len(flushes)]
        data = stream.compress(message) + stream.flush(flush)
        if flush == zlib.Z_FINISH:
            stream = None
            data += b"\x00"
        else:
            data = data.removesuffix(TRAILER)
        pieces = [inflater.feed(piece, len(message)) for piece in chunks_of(data, sizes)]
        assert b"".join(pieces) == message
        inflater.finish()


@pytest.mark.usefixtures("each_zlib")
@each_codec_and_zlib
@pytest.mark.parametrize("sender", list(Role), ids=lambda role: role.value)
@law(40)
@given(conversations(), WINDOWS, st.booleans(), SIZES)
def test_compressed_frames_come_back(
    codec: Codec,
    sender: Role,
    messages: list[bytes],
    bits: int,
    no_takeover: bool,
    sizes: list[int],
) -> None:
    deflater = Deflater(window_bits=bits, no_context_takeover=no_takeover)
    wire = b"".join(
        codec.build(
            Opcode.BINARY,
            deflater.compress(message),
            compressed=True,
            masked=sender is Role.CLIENT,
        )
        for message in messages
    )
    setting = Setting(sender.other, bits, no_takeover)
    assert receive([wire], setting, codec) == (messages, None)
    assert receive(chunks_of(wire, sizes), setting, codec) == (messages, None)
