"""The frame codec: server frames cut anywhere, and our own frames (RFC 6455, section 5)."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wsclient.errors import MessageTooBigError, ProtocolError
from wsclient.protocol.frames import FrameParser, apply_mask, build_frame
from wsclient.protocol.messages import MessageAssembler
from wsclient.protocol.opcodes import Opcode
from wsclient.testing.frames import encode_frame as server_frame

CONTINUATION, TEXT, BINARY = Opcode.CONTINUATION, Opcode.TEXT, Opcode.BINARY
CLOSE, PING, PONG = Opcode.CLOSE, Opcode.PING, Opcode.PONG

Event = tuple[Any, ...]
Chunks = Iterable[bytes]


@dataclass
class Log:
    """A sink that writes frames down, the same whether they came whole or in pieces."""

    events: list[Event] = field(default_factory=list)
    head: tuple[int, bool, bool, int] | None = None
    payload: bytes = b""

    def deliver(self, message: str | bytes) -> None:
        assert self.head is None
        opcode = TEXT if isinstance(message, str) else BINARY
        payload = message.encode() if isinstance(message, str) else message
        self.events.append(("data", opcode, True, False, payload))

    def begin(self, opcode: int, *, fin: bool, compressed: bool, length: int) -> None:
        assert self.head is None
        self.head = opcode, fin, compressed, length
        self.payload = b""

    def piece(self, data: bytes) -> None:
        assert self.head is not None
        assert data
        assert type(data) is bytes
        self.payload += data

    def end(self) -> None:
        assert self.head is not None
        *head, length = self.head
        assert len(self.payload) == length
        self.events.append(("data", *head, self.payload))
        self.head = None

    def whole(self, message: bytes) -> None:
        assert type(message) is bytes
        self.deliver(message)

    def control(self, opcode: int, payload: bytes) -> None:
        assert self.head is None
        assert type(payload) is bytes
        self.events.append(("control", opcode, payload))


def parse(
    chunks: Chunks, *, compression: bool = False
) -> tuple[list[Event], tuple[type, int, str] | None]:
    """Return all frames and the first error; bytes behind the error are fed too."""
    log = Log()
    parser = FrameParser(log.deliver, log, max_message_size=0, compression=compression)
    return log.events, feed_all(parser, chunks)


def feed_all(parser: FrameParser, chunks: Chunks) -> tuple[type, int, str] | None:
    error = None
    for chunk in chunks:
        try:
            parser.feed(chunk)
        except (ProtocolError, MessageTooBigError) as exc:
            assert error is None, "only the first error is raised"
            assert str(exc).endswith(f"({exc.section})")
            error = type(exc), exc.close_code, exc.section
    return error


def data(opcode: int, payload: bytes, *, fin: bool = True, compressed: bool = False) -> Event:
    return "data", opcode, fin, compressed, payload


def control(opcode: int, payload: bytes = b"") -> Event:
    return "control", opcode, payload


# --- ways to cut ----------------------------------------------------------------------------

TRAILER = server_frame(TEXT, b"never seen") + server_frame(PING, b"neither")


def whole(wire: bytes) -> list[Chunks]:
    return [[wire]]


def byte_by_byte(wire: bytes) -> list[Chunks]:
    return [[wire[i : i + 1] for i in range(len(wire))]]


def in_two_pieces(wire: bytes) -> list[Chunks]:
    return [[wire[:cut], wire[cut:]] for cut in range(len(wire) + 1)]


def with_empty_chunks(wire: bytes) -> list[Chunks]:
    return [[b"", *[c for i in range(len(wire)) for c in (wire[i : i + 1], b"")]]]


CUTS = pytest.mark.parametrize("cuts", [whole, byte_by_byte, in_two_pieces, with_empty_chunks])
Cuts = Callable[[bytes], list[Chunks]]


# --- what is forbidden ----------------------------------------------------------------------


def raw(text: str) -> bytes:
    return bytes.fromhex(text)


SECTION = "RFC 6455, section "
HELLO = server_frame(TEXT, b"Hello")
SAW_HELLO = data(TEXT, b"Hello")
BEGUN = server_frame(TEXT, b"He", fin=False)
SAW_BEGUN = data(TEXT, b"He", fin=False)
ENDED = server_frame(CONTINUATION, b"llo")
SAW_ENDED = data(CONTINUATION, b"llo")

# Name, bytes, what is seen before the error, section, whether compression was agreed. All are
# errors with close code 1002.
FORBIDDEN: list[tuple[str, bytes, list[Event], str, bool]] = [
    # RFC 6455, section 5.2: RSV1, RSV2, RSV3
    ("rsv1-text", raw("c1 00"), [], SECTION + "5.2", False),
    ("rsv1-binary", raw("c2 05"), [], SECTION + "5.2", False),
    ("rsv1-behind-a-message", HELLO + raw("c1 00"), [SAW_HELLO], SECTION + "5.2", False),
    ("rsv1-first-fragment", raw("41 02"), [], SECTION + "5.2", False),
    ("rsv1-ping", raw("c9 00"), [], SECTION + "5.2", False),
    ("rsv1-close", raw("c8 00"), [], SECTION + "5.2", False),
    ("rsv2", raw("a1 00"), [], SECTION + "5.2", False),
    ("rsv3", raw("92 00"), [], SECTION + "5.2", False),
    ("rsv2-ping", raw("a9 00"), [], SECTION + "5.2", False),
    ("rsv3-pong", raw("9a 00"), [], SECTION + "5.2", False),
    ("rsv3-close", raw("98 02 03 e8"), [], SECTION + "5.2", False),
    ("rsv2-continuation", BEGUN + raw("a0 00"), [SAW_BEGUN], SECTION + "5.2", False),
    ("rsv-all", raw("f1 00"), [], SECTION + "5.2", False),
    ("rsv2-with-compression", raw("a1 00"), [], SECTION + "5.2", True),
    ("rsv3-with-compression", raw("91 00"), [], SECTION + "5.2", True),
    ("rsv1-and-2-with-compression", raw("e1 00"), [], SECTION + "5.2", True),
    # RFC 7692, section 6: RSV1 on the first frame of a data message only
    ("rsv1-ping-with-compression", raw("c9 00"), [], "RFC 7692, section 6", True),
    ("rsv1-pong-with-compression", raw("ca 00"), [], "RFC 7692, section 6", True),
    ("rsv1-close-with-compression", raw("c8 00"), [], "RFC 7692, section 6", True),
    (
        "rsv1-continuation-with-compression",
        BEGUN + raw("c0 00"),
        [SAW_BEGUN],
        "RFC 7692, section 6",
        True,
    ),
    (
        "rsv1-continuation-of-compressed",
        raw("41 01 00 c0 00"),
        [data(TEXT, b"\0", fin=False, compressed=True)],
        "RFC 7692, section 6",
        True,
    ),
    # RFC 6455, section 5.2: opcodes
    *[
        (f"opcode-{opcode:x}", bytes([0x80 | opcode, 0]), [], SECTION + "5.2", False)
        for opcode in (3, 4, 5, 6, 7, 11, 12, 13, 14, 15)
    ],
    ("opcode-3-fragment", raw("03 00"), [], SECTION + "5.2", False),
    ("opcode-b-fragment", raw("0b 00"), [], SECTION + "5.2", False),
    ("opcode-f-with-payload", raw("8f 05"), [], SECTION + "5.2", False),
    ("opcode-7-in-a-message", BEGUN + raw("87 00"), [SAW_BEGUN], SECTION + "5.2", False),
    ("opcode-3-with-compression", raw("c3 00"), [], SECTION + "5.2", True),
    # RFC 6455, section 5.5: control frames
    ("fragmented-ping", raw("09 00"), [], SECTION + "5.5", False),
    ("fragmented-pong", raw("0a 01"), [], SECTION + "5.5", False),
    ("fragmented-close", raw("08 02"), [], SECTION + "5.5", False),
    ("fragmented-ping-in-a-message", BEGUN + raw("09 00"), [SAW_BEGUN], SECTION + "5.5", False),
    ("ping-of-126", raw("89 7e 00 7e"), [], SECTION + "5.5", False),
    ("pong-of-65535", raw("8a 7e ff ff"), [], SECTION + "5.5", False),
    ("close-of-126", raw("88 7e 00 7e"), [], SECTION + "5.5", False),
    ("ping-of-65536", raw("89 7f 0000000000010000"), [], SECTION + "5.5", False),
    ("close-of-2**63-1", raw("88 7f 7fffffffffffffff"), [], SECTION + "5.5", False),
    (
        "long-ping-behind-a-message",
        HELLO + raw("89 7e 00 80"),
        [SAW_HELLO],
        SECTION + "5.5",
        False,
    ),
    # RFC 6455, section 5.4: fragmentation
    ("continuation-first", raw("80 00"), [], SECTION + "5.4", False),
    ("continuation-first-not-last", raw("00 05"), [], SECTION + "5.4", False),
    ("continuation-of-a-message", HELLO + raw("80 01"), [SAW_HELLO], SECTION + "5.4", False),
    (
        "continuation-of-an-ended-message",
        BEGUN + ENDED + raw("00 01"),
        [SAW_BEGUN, SAW_ENDED],
        SECTION + "5.4",
        False,
    ),
    (
        "continuation-behind-a-ping",
        server_frame(PING) + raw("80 00"),
        [control(PING)],
        SECTION + "5.4",
        False,
    ),
    ("text-in-text", BEGUN + HELLO, [SAW_BEGUN], SECTION + "5.4", False),
    ("binary-in-text", BEGUN + raw("82 00"), [SAW_BEGUN], SECTION + "5.4", False),
    ("fragment-in-text", BEGUN + raw("01 00"), [SAW_BEGUN], SECTION + "5.4", False),
    (
        "text-in-binary",
        raw("02 00 81 00"),
        [data(BINARY, b"", fin=False)],
        SECTION + "5.4",
        False,
    ),
    (
        "text-behind-a-ping-in-text",
        BEGUN + server_frame(PING, b"p") + raw("81 00"),
        [SAW_BEGUN, control(PING, b"p")],
        SECTION + "5.4",
        False,
    ),
    (
        "compressed-in-text",
        BEGUN + raw("c1 00"),
        [SAW_BEGUN],
        SECTION + "5.4",
        True,
    ),
    # RFC 6455, section 5.1: a server must not mask
    ("masked-empty", raw("82 80 01020304"), [], SECTION + "5.1", False),
    (
        "masked-text",
        server_frame(TEXT, b"Hello", masking_key=b"\0\0\0\0"),
        [],
        SECTION + "5.1",
        False,
    ),
    ("masked-125", raw("81 fd"), [], SECTION + "5.1", False),
    ("masked-16-bit", raw("82 fe 00 7e"), [], SECTION + "5.1", False),
    ("masked-64-bit", raw("82 ff 0000000000010000"), [], SECTION + "5.1", False),
    ("masked-ping", raw("89 80"), [], SECTION + "5.1", False),
    ("masked-close", raw("88 82"), [], SECTION + "5.1", False),
    ("masked-continuation", BEGUN + raw("80 81"), [SAW_BEGUN], SECTION + "5.1", False),
    # RFC 6455, section 5.2: the shortest form of the length
    ("16-bit-0", raw("82 7e 0000"), [], SECTION + "5.2", False),
    ("16-bit-125", raw("81 7e 007d"), [], SECTION + "5.2", False),
    ("16-bit-ping", raw("89 7e 0005"), [], SECTION + "5.2", False),
    ("64-bit-0", raw("82 7f 0000000000000000"), [], SECTION + "5.2", False),
    ("64-bit-125", raw("82 7f 000000000000007d"), [], SECTION + "5.2", False),
    ("64-bit-126", raw("82 7f 000000000000007e"), [], SECTION + "5.2", False),
    ("64-bit-65535", raw("81 7f 000000000000ffff"), [], SECTION + "5.2", False),
    (
        "64-bit-continuation",
        BEGUN + raw("80 7f 0000000000000003"),
        [SAW_BEGUN],
        SECTION + "5.2",
        False,
    ),
    # RFC 6455, section 5.2: the most significant bit of the length
    ("64-bit-high-bit", raw("82 7f 8000000000000000"), [], SECTION + "5.2", False),
    ("64-bit-high-bit-and-more", raw("82 7f 8000000000010000"), [], SECTION + "5.2", False),
    ("64-bit-all-bits", raw("81 7f ffffffffffffffff"), [], SECTION + "5.2", False),
]


@CUTS
@pytest.mark.parametrize(
    ("wire", "events", "section", "compression"),
    [pytest.param(*row[1:], id=row[0]) for row in FORBIDDEN],
)
def test_forbidden(
    wire: bytes,
    events: list[Event],
    section: str,
    compression: bool,
    cuts: Cuts,
) -> None:
    for chunks in [*cuts(wire), *cuts(wire + TRAILER)]:
        assert parse(chunks, compression=compression) == (events, (ProtocolError, 1002, section))


@CUTS
@pytest.mark.parametrize("payload", [b"", b"\x03\xe8", b"\x03\xe8" + b"r" * 123], ids=len)
@pytest.mark.parametrize("before", [b"", HELLO, BEGUN], ids=["alone", "message", "in-a-message"])
@pytest.mark.parametrize(
    "trailer",
    [b"", TRAILER, raw("ff ff ff"), raw("88 00")],
    ids=["", "frames", "rubbish", "close"],
)
def test_what_follows_a_close_frame_is_ignored(
    payload: bytes, before: bytes, trailer: bytes, cuts: Cuts
) -> None:
    wire = before + server_frame(CLOSE, payload) + trailer
    seen = {b"": [], HELLO: [SAW_HELLO], BEGUN: [SAW_BEGUN]}[before]
    for chunks in cuts(wire):
        assert parse(chunks) == ([*seen, control(CLOSE, payload)], None)


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_an_error_of_the_sink_ends_the_parser_too(error: type[BaseException]) -> None:
    calls: list[str | bytes] = []

    def deliver(message: str | bytes) -> None:
        calls.append(message)
        raise error

    parser = FrameParser(deliver, Log(), max_message_size=0)
    with pytest.raises(error):
        parser.feed(HELLO + HELLO)
    parser.feed(HELLO)
    assert calls == ["Hello"]


# --- what is allowed ------------------------------------------------------------------------

SIZES = [0, 1, 125, 126, 127, 65535, 65536, 65537, 300_000]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("opcode", [TEXT, BINARY], ids=["text", "binary"])
def test_sizes(opcode: int, size: int) -> None:
    payload = bytes(random.Random(size).choices(range(32, 127), k=size))
    wire = server_frame(opcode, payload) + HELLO
    expected = [data(opcode, payload), SAW_HELLO]
    head = len(wire) - len(HELLO) - size
    assert parse([wire]) == (expected, None)
    for cut in {*range(head + 3), *range(head + size - 2, len(wire))}:
        assert parse([wire[:cut], wire[cut:]]) == (expected, None)
    assert parse([wire[i : i + 1000] for i in range(0, len(wire), 1000)]) == (expected, None)
    if size in {125, 126, 65536}:
        [chunks] = byte_by_byte(wire)
        assert parse(chunks) == (expected, None)


@pytest.mark.parametrize(("opcode", "kind"), [(TEXT, str), (BINARY, bytes)])
def test_whole_messages_are_delivered_in_one_step(opcode: int, kind: type) -> None:
    messages: list[Any] = []
    log = Log()
    parser = FrameParser(messages.append, log, max_message_size=0)
    parser.feed(b"".join(server_frame(opcode, b"a" * size) for size in SIZES))
    assert [type(message) for message in messages] == [kind] * len(SIZES)
    assert [len(message) for message in messages] == SIZES
    assert log.events == []


def test_a_frame_cut_in_two_is_handed_over_as_it_comes() -> None:
    """A long message is not held back until all of it is there."""
    log = Log()
    parser = FrameParser(log.deliver, log, max_message_size=0)
    parser.feed(server_frame(TEXT, bytes(1000))[:500])
    assert log.head == (TEXT, True, False, 1000)
    assert len(log.payload) == 500 - 4
    parser.feed(bytes(100))
    assert len(log.payload) == 600 - 4


@pytest.mark.parametrize("length", [2**31, 2**32, 2**63 - 1])
def test_huge_lengths_are_told_exactly(length: int) -> None:
    log = Log()
    parser = FrameParser(log.deliver, log, max_message_size=0)
    parser.feed(b"\x82\x7f" + length.to_bytes(8, "big") + b"abc")
    assert log.head == (BINARY, True, False, length)
    assert log.payload == b"abc"


@CUTS
@pytest.mark.parametrize(
    "text", ["", "aé€\U0001f600z", "\r\n\r\0\ufeff", "\u2028" * 40], ids=ascii
)
def test_text_cut_anywhere(text: str, cuts: Cuts) -> None:
    payload = text.encode()
    wire = server_frame(TEXT, payload) + server_frame(TEXT, payload)
    for chunks in cuts(wire):
        assert parse(chunks) == ([data(TEXT, payload)] * 2, None)


@CUTS
def test_control_frames_stand_between_fragments(cuts: Cuts) -> None:
    wire = b"".join(
        [
            server_frame(PING, b"1"),
            server_frame(BINARY, b"a" * 10, fin=False),
            server_frame(PING, b"p" * 125),
            server_frame(PONG),
            server_frame(CONTINUATION, b"", fin=False),
            server_frame(PONG, b"2"),
            server_frame(CONTINUATION, b"b" * 130),
            server_frame(PING, b""),
            server_frame(TEXT, b"next"),
        ]
    )
    expected = [
        control(PING, b"1"),
        data(BINARY, b"a" * 10, fin=False),
        control(PING, b"p" * 125),
        control(PONG),
        data(CONTINUATION, b"", fin=False),
        control(PONG, b"2"),
        data(CONTINUATION, b"b" * 130),
        control(PING),
        data(TEXT, b"next"),
    ]
    for chunks in cuts(wire):
        assert parse(chunks) == (expected, None)


@CUTS
def test_compressed_frames_go_to_the_sink(cuts: Cuts) -> None:
    wire = b"".join(
        [
            server_frame(TEXT, b"\xff1", rsv=4),
            server_frame(BINARY, b"", rsv=4),
            server_frame(BINARY, b"2", rsv=4, fin=False),
            server_frame(CONTINUATION, b"3"),
            server_frame(TEXT, b"plain"),
        ]
    )
    expected = [
        data(TEXT, b"\xff1", compressed=True),
        data(BINARY, b"", compressed=True),
        data(BINARY, b"2", fin=False, compressed=True),
        data(CONTINUATION, b"3"),
        data(TEXT, b"plain"),
    ]
    for chunks in cuts(wire):
        assert parse(chunks, compression=True) == (expected, None)


@pytest.mark.parametrize(
    ("payload", "at"), [(b"\xff", 0), (b"abc\x80", 3), (b"\xed\xa0\x80", 0), (b"ab\xe2\x82", 2)]
)
def test_text_that_is_not_utf8(payload: bytes, at: int) -> None:
    messages: list[Any] = []
    parser = FrameParser(messages.append, Log(), max_message_size=0)
    with pytest.raises(ProtocolError, match=f"at byte {at} ") as caught:
        parser.feed(HELLO + server_frame(TEXT, payload) + HELLO)
    assert (caught.value.close_code, caught.value.section) == (1007, "RFC 6455, section 8.1")
    assert isinstance(caught.value.__cause__, UnicodeDecodeError)
    assert messages == ["Hello"]
    parser.feed(HELLO)
    assert messages == ["Hello"]


def test_frames_above_the_limit_go_to_the_sink() -> None:
    """The sink refuses them by their header alone."""
    messages: list[Any] = []
    log = Log()
    parser = FrameParser(messages.append, log, max_message_size=4)
    parser.feed(server_frame(BINARY, b"1234") + server_frame(BINARY, b"12345"))
    assert messages == [b"1234"]
    assert log.events == [data(BINARY, b"12345")]


# --- laws -----------------------------------------------------------------------------------

PIECE = st.binary(max_size=12) | st.sampled_from([b"x" * n for n in (125, 126, 127)])
CONTROLS = st.tuples(st.sampled_from([PING, PONG]), st.binary(max_size=125))


@st.composite
def messages(draw: st.DrawFn) -> tuple[bytes, list[Event]]:
    """Draw one message, fragmented anyhow, with control frames inside and before it."""
    opcode = draw(st.sampled_from([TEXT, BINARY]))
    if opcode == TEXT and draw(st.booleans()):
        # Cut between the bytes of characters, too.
        payload = draw(st.text(max_size=20)).encode()
        size = draw(st.integers(1, 7))
        fragments = [payload[i : i + size] for i in range(0, len(payload), size)] or [b""]
    elif opcode == TEXT:
        fragments = [draw(st.text(max_size=20)).encode()]
    else:
        fragments = draw(st.lists(PIECE, min_size=1, max_size=5))
    wire = b""
    events: list[Event] = []
    for number, fragment in enumerate(fragments):
        for code, content in draw(st.lists(CONTROLS, max_size=2)):
            wire += server_frame(code, content)
            events.append(control(code, content))
        code = CONTINUATION if number else opcode
        fin = number == len(fragments) - 1
        wire += server_frame(code, fragment, fin=fin)
        events.append(data(code, fragment, fin=fin))
    return wire, events


CHUNK_SIZES = st.lists(st.integers(1, 40), min_size=1, max_size=8)


def cut(wire: bytes, sizes: list[int]) -> list[bytes]:
    """Cut into chunks of these sizes, over and over."""
    chunks: list[bytes] = []
    position = 0
    while position < len(wire):
        size = sizes[len(chunks) % len(sizes)]
        chunks.append(wire[position : position + size])
        position += size
    return chunks


@settings(max_examples=150, deadline=None)
@given(st.lists(messages(), max_size=6), CHUNK_SIZES)
def test_what_is_sent_is_seen_in_any_chunks(
    traffic: list[tuple[bytes, list[Event]]], sizes: list[int]
) -> None:
    wire = b"".join(part for part, _ in traffic)
    expected = [event for _, events in traffic for event in events]
    assert parse([wire]) == (expected, None)
    assert parse(cut(wire, sizes)) == (expected, None)


def assemble(chunks: Chunks, limit: int) -> tuple[list[Any], tuple[type, int, str] | None]:
    """Run parser and assembler together, as a connection does."""
    events: list[Any] = []
    assembler = MessageAssembler(
        events.append, lambda *frame: events.append(frame), max_message_size=limit
    )
    parser = FrameParser(events.append, assembler, max_message_size=limit)
    return events, feed_all(parser, chunks)


# Bytes that begin frames are likelier than others, or all examples would end at the first.
HEADS = [0x80, 0x00, 0x81, 0x01, 0x82, 0x02, 0x88, 0x89, 0x8A]
RUBBISH = st.lists(
    st.one_of(
        st.binary(min_size=1, max_size=4),
        st.builds(
            lambda head, payload: bytes([head, len(payload)]) + payload,
            st.sampled_from(HEADS),
            st.binary(max_size=6) | st.text(max_size=6).map(str.encode),
        ),
        st.builds(
            server_frame,
            st.sampled_from([TEXT, BINARY, CONTINUATION, PING]),
            st.binary(max_size=130),
            fin=st.booleans(),
        ),
    ),
    max_size=8,
).map(b"".join)


@settings(max_examples=300, deadline=None)
@given(RUBBISH, CHUNK_SIZES, st.sampled_from([0, 4, 100]))
def test_anything_is_the_same_in_any_chunks(wire: bytes, sizes: list[int], limit: int) -> None:
    expected = assemble([wire], limit)
    assert assemble(cut(wire, sizes), limit) == expected
    assert assemble([wire[i : i + 1] for i in range(len(wire))], limit) == expected


# --- frames of ours -------------------------------------------------------------------------


def unmask(frame: bytes) -> tuple[int, bytes, bytes]:
    """Return first byte, key and payload of a client's frame, decoded byte by byte."""
    assert frame[1] & 0x80, "a client must mask"
    size, start = frame[1] & 0x7F, 2
    if size == 126:
        size, start = int.from_bytes(frame[2:4], "big"), 4
        assert size > 125
    elif size == 127:
        size, start = int.from_bytes(frame[2:10], "big"), 10
        assert size > 65535
    key, masked = frame[start : start + 4], frame[start + 4 :]
    assert len(masked) == size
    return frame[0], key, bytes(byte ^ key[i % 4] for i, byte in enumerate(masked))


@pytest.mark.parametrize("size", [*SIZES, 2, 3, 4, 5, 6, 7, 8])
@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_build_frame(size: int, kind: type) -> None:
    payload = random.Random(size).randbytes(size)
    frame = build_frame(BINARY, kind(payload))
    assert type(frame) is bytes
    assert unmask(frame)[0::2] == (0x82, payload)


@pytest.mark.parametrize(
    ("arguments", "head"),
    [
        pytest.param({"opcode": TEXT}, 0x81, id="text"),
        pytest.param({"opcode": BINARY}, 0x82, id="binary"),
        pytest.param({"opcode": CLOSE}, 0x88, id="close"),
        pytest.param({"opcode": PING}, 0x89, id="ping"),
        pytest.param({"opcode": PONG}, 0x8A, id="pong"),
        pytest.param({"opcode": TEXT, "fin": False}, 0x01, id="first-fragment"),
        pytest.param({"opcode": CONTINUATION, "fin": False}, 0x00, id="fragment"),
        pytest.param({"opcode": CONTINUATION}, 0x80, id="last-fragment"),
        pytest.param({"opcode": TEXT, "compressed": True}, 0xC1, id="compressed"),
        pytest.param(
            {"opcode": BINARY, "fin": False, "compressed": True}, 0x42, id="compressed-fragment"
        ),
    ],
)
def test_build_frame_head(arguments: dict[str, Any], head: int) -> None:
    assert unmask(build_frame(payload=b"abc", **arguments))[0::2] == (head, b"abc")


def test_build_frame_example_of_the_rfc() -> None:
    # RFC 6455, section 5.7: a single-frame masked text message.
    frame = build_frame(TEXT, b"Hello", masking_key=raw("37fa213d"))
    assert frame == raw("81 85 37fa213d 7f9f4d5158")


@given(st.binary(max_size=200), st.binary(min_size=4, max_size=4))
def test_masking_is_its_own_inverse(payload: bytes, key: bytes) -> None:
    masked = apply_mask(payload, key)
    assert masked == bytes(byte ^ key[i % 4] for i, byte in enumerate(payload))
    assert apply_mask(masked, key) == payload
    assert unmask(build_frame(BINARY, payload, masking_key=key)) == (0x82, key, payload)


def test_build_frame_of_a_big_payload() -> None:
    payload = bytes(range(256)) * 32768  # 8 MiB
    key = b"\x00\x0f\xf0\xff"
    frame = build_frame(BINARY, payload, masking_key=key)
    assert frame[:14] == raw("82 ff 0000000000800000") + key
    assert len(frame) == len(payload) + 14
    assert apply_mask(memoryview(frame)[14:], key) == payload


def test_the_payload_is_not_changed() -> None:
    payload = bytearray(b"abc" * 100)
    build_frame(BINARY, payload)
    build_frame(BINARY, memoryview(payload)[10:20])
    assert payload == b"abc" * 100


def keys(number: int) -> list[bytes]:
    return [build_frame(PING, b"")[2:] for _ in range(number)]


def test_each_frame_has_a_fresh_key() -> None:
    # Of 5000 random keys two are equal once in 300 runs; three pairs are hardly ever.
    assert len(set(keys(5000))) > 4996


def test_keys_come_from_the_operating_system(monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.urandom
    blocks: list[bytes] = []

    def urandom(size: int) -> bytes:
        blocks.append(real(size))
        return blocks[-1]

    monkeypatch.setattr(os, "urandom", urandom)
    used = keys(4000)
    known = {block[i : i + 4] for block in blocks for i in range(0, len(block), 4)}
    # The first may still be from an earlier block.
    first = next(number for number, key in enumerate(used) if key in known)
    assert set(used[first:]) <= known
    assert len(used) - first > 1000


def test_threads_share_no_key() -> None:
    found: list[list[bytes]] = []
    threads = [threading.Thread(target=lambda: found.append(keys(4000))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    everything = [key for part in found for key in part]
    assert len(everything) == 16_000
    assert len(set(everything)) > 15_990


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the system cannot fork")
def test_a_forked_child_has_keys_of_its_own() -> None:
    # In a fresh process, because forking one with threads is another matter.
    script = """
import os, sys
from wsclient.protocol.frames import build_frame
keys = lambda: b"".join(build_frame(9, b"")[2:] for _ in range(50)).hex()
build_frame(9, b"")
child = os.fork()
os.write(1, (keys() + "\\n").encode())
if child:
    os.waitpid(child, 0)
"""
    result = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, check=True, text=True, timeout=20
    )
    parent, child = [{line[i : i + 8] for i in range(0, 400, 8)} for line in result.stdout.split()]
    assert len(parent) == len(child) == 50
    assert not parent & child
