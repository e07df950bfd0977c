"""From frames to messages: fragments, UTF-8, compression and limits."""

from __future__ import annotations

import itertools
import random
import tracemalloc
import zlib
from collections.abc import Callable, Iterable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wsclient.errors import MessageTooBigError, ProtocolError
from wsclient.protocol.deflate import Inflater
from wsclient.protocol.frames import FrameParser
from wsclient.protocol.messages import MessageAssembler
from wsclient.protocol.opcodes import Opcode
from wsclient.testing.frames import encode_frame as frame

pytestmark = pytest.mark.usefixtures("each_zlib")

CONTINUATION, TEXT, BINARY = Opcode.CONTINUATION, Opcode.TEXT, Opcode.BINARY
PING, PONG = Opcode.PING, Opcode.PONG

RSV1 = 4


class Receiver:
    """A parser and an assembler, joined as in a connection.

    Attributes:
        events: messages, and control frames as tuples.
    """

    def __init__(
        self, limit: int = 0, *, compression: bool = True, no_context_takeover: bool = False
    ) -> None:
        self.events: list[Any] = []
        inflater = Inflater(window_bits=15, no_context_takeover=no_context_takeover)
        assembler = MessageAssembler(
            self.events.append,
            lambda *control: self.events.append(control),
            max_message_size=limit,
            inflater=inflater if compression else None,
        )
        self._parser = FrameParser(
            self.events.append, assembler, max_message_size=limit, compression=compression
        )

    def feed(self, *chunks: bytes) -> None:
        for chunk in chunks:
            self._parser.feed(chunk)


def receive(*chunks: bytes, limit: int = 0) -> list[Any]:
    """Return what is seen of these chunks."""
    receiver = Receiver(limit)
    receiver.feed(*chunks)
    return receiver.events


def singly(wire: bytes) -> Iterable[bytes]:
    return (wire[i : i + 1] for i in range(len(wire)))


def fragments(opcode: int, *payloads: bytes, compressed: bool = False) -> list[bytes]:
    """Build the frames of one message."""
    last = len(payloads) - 1
    return [
        frame(
            CONTINUATION if number else opcode,
            payload,
            fin=number == last,
            rsv=RSV1 if compressed and not number else 0,
        )
        for number, payload in enumerate(payloads)
    ]


def deflate(payload: bytes, *, level: int = 6, mem_level: int = 8) -> bytes:
    """Compress one message on its own (RFC 7692, section 7.2.1)."""
    stream = zlib.compressobj(level, zlib.DEFLATED, -15, mem_level)
    return (stream.compress(payload) + stream.flush(zlib.Z_SYNC_FLUSH))[:-4]


def split(payload: bytes, size: int) -> list[bytes]:
    return [payload[i : i + size] for i in range(0, len(payload), size)]


# --- UTF-8 ----------------------------------------------------------------------------------


def first_bad_byte(payload: bytes) -> int | None:
    """Return where a byte can no longer belong to UTF-8, by the table of RFC 3629, section 4."""
    allowed = [(0x80, 0xBF)]
    left: list[tuple[int, int]] = []
    for index, byte in enumerate(payload):
        if left:
            low, high = left.pop(0)
            if not low <= byte <= high:
                return index
        elif byte >= 0x80:
            match byte:
                case 0xE0:
                    left = [(0xA0, 0xBF), *allowed]
                case 0xED:
                    left = [(0x80, 0x9F), *allowed]
                case 0xF0:
                    left = [(0x90, 0xBF), *allowed * 2]
                case 0xF4:
                    left = [(0x80, 0x8F), *allowed * 2]
                case _ if 0xC2 <= byte <= 0xDF:
                    left = allowed.copy()
                case _ if 0xE1 <= byte <= 0xEF:
                    left = allowed * 2
                case _ if 0xF1 <= byte <= 0xF3:
                    left = allowed * 3
                case _:
                    return index
    return None


def accepted_bytes(receiver: Receiver, payload: bytes) -> int | None:
    """Feed byte by byte; return at which one it fails, ``None`` if at none."""
    for index, byte in enumerate(singly(payload)):
        try:
            receiver.feed(byte)
        except ProtocolError as error:
            assert (error.close_code, error.section) == (1007, "RFC 6455, section 8.1")
            assert isinstance(error.__cause__, UnicodeDecodeError)
            return index
    return None


BAD_UTF8 = [
    pytest.param(b"\x80", 0, id="continuation-byte"),
    pytest.param(b"abc\xff", 3, id="no-byte-of-utf8"),
    pytest.param(b"\xc0\xaf", 0, id="overlong-2"),
    pytest.param(b"\xc1\xbf", 0, id="overlong-2-last"),
    pytest.param(b"\xe0\x80\xaf", 1, id="overlong-3"),
    pytest.param(b"\xe0\x9f\xbf", 1, id="overlong-3-last"),
    pytest.param(b"\xf0\x80\x80\xaf", 1, id="overlong-4"),
    pytest.param(b"\xf0\x8f\xbf\xbf", 1, id="overlong-4-last"),
    pytest.param(b"\xf8\x88\x80\x80\x80", 0, id="five-bytes"),
    pytest.param(b"\xed\xa0\x80", 1, id="surrogate-first"),
    pytest.param(b"\xed\xbf\xbf", 1, id="surrogate-last"),
    pytest.param(b"\xf4\x90\x80\x80", 1, id="above-10ffff"),
    pytest.param(b"\xf5\x80\x80\x80", 0, id="above-10ffff-by-far"),
    pytest.param(b"\xc3a", 1, id="cut-2"),
    pytest.param(b"\xe2\x82a", 2, id="cut-3"),
    pytest.param(b"\xf0\x9f\x98\xf0", 3, id="cut-4"),
    # Autobahn 6.4: the first half is valid, and the fault comes long before the end.
    pytest.param("κόσμε".encode() + b"\xf4\x90\x80\x80edited", 11, id="autobahn-6.4"),
]


@pytest.mark.parametrize(("payload", "at"), BAD_UTF8)
def test_bad_utf8_fails_at_the_first_bad_byte_of_an_unfinished_frame(
    payload: bytes, at: int
) -> None:
    receiver = Receiver()
    receiver.feed(frame(TEXT, bytes(5000))[:4])
    assert accepted_bytes(receiver, payload) == at
    assert receiver.events == []


@pytest.mark.parametrize(("payload", "at"), BAD_UTF8)
def test_bad_utf8_fails_at_the_first_bad_byte_of_an_unfinished_message(
    payload: bytes, at: int
) -> None:
    receiver = Receiver()
    receiver.feed(frame(TEXT, b"ok", fin=False))
    frames = [frame(CONTINUATION, byte, fin=False) for byte in singly(payload)]
    receiver.feed(*frames[:at])
    with pytest.raises(ProtocolError) as caught:
        receiver.feed(frames[at])
    assert caught.value.close_code == 1007


@pytest.mark.parametrize(("payload", "at"), BAD_UTF8)
def test_bad_utf8_in_a_compressed_message(payload: bytes, at: int) -> None:
    receiver = Receiver()
    with pytest.raises(ProtocolError) as caught:
        receiver.feed(frame(TEXT, deflate(payload), rsv=RSV1))
    assert (caught.value.close_code, caught.value.section) == (1007, "RFC 6455, section 8.1")
    assert receiver.events == []


@pytest.mark.parametrize("cut", [b"\xc3", b"\xe2\x82", b"\xf0\x9f\x98"], ids=["2", "3", "4"])
@pytest.mark.parametrize("compressed", [False, True], ids=["plain", "compressed"])
def test_text_that_ends_inside_a_character(cut: bytes, compressed: bool) -> None:
    payload = b"abc" + cut
    wire = deflate(payload) if compressed else payload
    receiver = Receiver()
    receiver.feed(*fragments(TEXT, wire[:2], wire[2:], b"", compressed=compressed)[:-1])
    with pytest.raises(ProtocolError) as caught:
        receiver.feed(frame(CONTINUATION))
    assert caught.value.close_code == 1007


# The ends of all ranges of RFC 3629, and pairs that look right until the second byte.
EDGES = bytes.fromhex("00 41 7f 80 8f 90 9f a0 bf c0 c1 c2 df e0 e1 ec ed ee ef f0 f1 f3 f4 f5 ff")
PAIRS = [bytes.fromhex(pair) for pair in "e09f e0a0 ed9f eda0 edbf f08f f090 f48f f490".split()]
RESTS = st.lists(
    st.sampled_from(PAIRS) | st.sampled_from(EDGES).map(lambda byte: bytes([byte])), max_size=5
).map(b"".join)


@settings(max_examples=150, deadline=None)
@given(st.text(max_size=8), RESTS)
def test_law_of_utf8(text: str, rest: bytes) -> None:
    payload = text.encode() + rest
    receiver = Receiver()
    receiver.feed(frame(TEXT, bytes(5000))[:4])
    assert accepted_bytes(receiver, payload) == first_bad_byte(payload)


def test_every_pair_of_bytes() -> None:
    """The reference above agrees with Python's own decoder, and we with both."""
    tail = {2: b"\x80", 3: b"\x80\x80"}
    for lead, second in itertools.product(range(0xC0, 0x100), (0x7F, 0x80, 0x90, 0xA0, 0xC0)):
        payload = bytes([lead, second]) + tail.get((lead >= 0xE0) + (lead >= 0xF0) + 1, b"")
        try:
            expected = [payload.decode()]
        except UnicodeDecodeError:
            expected = []
        assert (first_bad_byte(payload) is None) is bool(expected)
        receiver = Receiver()
        try:
            receiver.feed(*singly(frame(TEXT, payload)))
        except ProtocolError:
            assert not expected
        assert receiver.events == expected


# --- fragments ------------------------------------------------------------------------------

TEXTS = ["", "plain", "aé€\U0001f600z", "a\r\nb\rc\n\n\x00\x85\u2028", "\ufeffwith a mark"]


@pytest.mark.parametrize("text", TEXTS, ids=ascii)
@pytest.mark.parametrize("compressed", [False, True], ids=["plain", "compressed"])
def test_text_in_fragments_cut_anywhere(text: str, compressed: bool) -> None:
    payload = deflate(text.encode()) if compressed else text.encode()
    for size in range(1, len(payload) + 2):
        parts = split(payload, size) or [b""]
        wire = b"".join(fragments(TEXT, *parts, compressed=compressed))
        assert receive(wire) == [text]
        assert receive(*singly(wire)) == [text]


@pytest.mark.parametrize("compressed", [False, True], ids=["plain", "compressed"])
@pytest.mark.parametrize("opcode", [TEXT, BINARY], ids=["text", "binary"])
def test_empty_fragments(opcode: int, compressed: bool) -> None:
    content = b"content" * 20
    payload = deflate(content) if compressed else content
    parts = [b"", b"", payload[:4], b"", payload[4:], b""]
    wire = b"".join(fragments(opcode, *parts, compressed=compressed))
    expected = [content.decode() if opcode == TEXT else content]
    assert receive(wire) == expected
    assert receive(*singly(wire)) == expected


@pytest.mark.parametrize("opcode", [TEXT, BINARY], ids=["text", "binary"])
def test_empty_messages(opcode: int) -> None:
    empty = "" if opcode == TEXT else b""
    wire = b"".join(
        [
            frame(opcode),
            *fragments(opcode, b"", b"", b""),
            frame(opcode, b"\x00", rsv=RSV1),
            *fragments(opcode, b"", b"\x00", b"", compressed=True),
        ]
    )
    assert receive(wire) == [empty] * 4
    assert receive(*singly(wire)) == [empty] * 4


@pytest.mark.parametrize("compressed", [False, True], ids=["plain", "compressed"])
def test_control_frames_between_fragments(compressed: bool) -> None:
    content = bytes(range(256)) * 4
    payload = deflate(content) if compressed else content
    frames = fragments(BINARY, *split(payload, 100), compressed=compressed)
    wire = b"".join(part + frame(PING, b"%d" % number) for number, part in enumerate(frames))
    pings = [(PING, b"%d" % number) for number in range(len(frames))]
    expected = [*pings[:-1], content, pings[-1]]
    assert receive(wire) == expected
    assert receive(*singly(wire)) == expected


def test_control_frames_pass_at_once() -> None:
    receiver = Receiver()
    receiver.feed(frame(TEXT, b"be", fin=False), frame(PONG, b"now"))
    assert receiver.events == [(PONG, b"now")]


def test_nothing_is_left_from_one_message_to_the_next() -> None:
    pairs: list[tuple[Any, list[bytes]]] = [
        ("text", [frame(TEXT, b"text")]),
        ("frag€", fragments(TEXT, b"fr", b"ag\xe2\x82", b"\xac")),
        (b"\xff\xfe", fragments(BINARY, b"\xff", b"\xfe")),
        (b"binary", [frame(BINARY, b"binary")]),
        ("small" * 99, [frame(TEXT, deflate(b"small" * 99), rsv=RSV1)]),
        (b"\xc3" * 99, fragments(BINARY, *split(deflate(b"\xc3" * 99), 2), compressed=True)),
        ("", [frame(TEXT)]),
        ("", fragments(TEXT, b"", b"")),
    ]
    for order in itertools.permutations(pairs, 3):
        wire = b"".join(part for _, frames in order for part in frames)
        expected = [message for message, _ in order]
        for chunks in ([wire], singly(wire)):
            # Each message is compressed on its own.
            receiver = Receiver(no_context_takeover=True)
            receiver.feed(*chunks)
            assert receiver.events == expected
            assert list(map(type, receiver.events)) == list(map(type, expected))


def test_a_message_is_delivered_when_the_assembler_is_ready_for_the_next() -> None:
    """Whoever takes a message may feed the next one in the same call."""
    seen: list[str | bytes] = []

    def deliver(message: str | bytes) -> None:
        seen.append(message)
        if message == "first":
            assembler.begin(TEXT, fin=False, compressed=False, length=3)
            assembler.piece(b"sec")
            assembler.end()

    assembler = MessageAssembler(deliver, lambda *_: None, max_message_size=0)
    for opcode, payload in [(TEXT, b"first"), (CONTINUATION, b"ond")]:
        assembler.begin(opcode, fin=True, compressed=False, length=len(payload))
        assembler.piece(payload)
        assembler.end()
    assert seen == ["first", "second"]


# --- compression ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "payload",
    [
        pytest.param(b"\x07\x00", id="reserved-block-type"),
        pytest.param(b"\x01\x05\x00\x00\x00hello", id="wrong-stored-length"),
        pytest.param(deflate(b"x" * 500)[:-3], id="cut-in-a-block"),
        pytest.param(b"\xff" * 50, id="rubbish"),
        pytest.param(b"plain text", id="not-compressed"),
    ],
)
@pytest.mark.parametrize("size", [1, 1000], ids=["singly", "whole"])
def test_invalid_deflate_data(payload: bytes, size: int) -> None:
    receiver = Receiver()
    receiver.feed(frame(TEXT, b"before"))
    with pytest.raises(ProtocolError) as caught:
        receiver.feed(*split(frame(BINARY, payload, rsv=RSV1), size), frame(TEXT, b"behind"))
    assert caught.value.close_code == 1007
    assert caught.value.section.startswith("RFC 7692")
    receiver.feed(frame(TEXT, b"behind"))
    assert receiver.events == ["before"]


def test_context_takeover_over_fragments_and_plain_messages() -> None:
    stream = zlib.compressobj(wbits=-15)

    def compress(text: bytes) -> bytes:
        return (stream.compress(text) + stream.flush(zlib.Z_SYNC_FLUSH))[:-4]

    first, second = compress(b"the same words " * 9), compress(b"the same words " * 9)
    assert len(second) < len(first), "the second message refers to the first"
    wire = b"".join(
        [
            *fragments(TEXT, first[:5], first[5:], compressed=True),
            frame(TEXT, b"plain in between"),
            *fragments(TEXT, second[:2], second[2:], compressed=True),
        ]
    )
    expected = ["the same words " * 9, "plain in between", "the same words " * 9]
    assert receive(wire) == expected
    assert receive(*singly(wire)) == expected


# --- sizes ----------------------------------------------------------------------------------

LIMIT = 1000

Build = Callable[[bytes], list[bytes]]


def plain(payload: bytes) -> list[bytes]:
    return [frame(BINARY, payload)]


def fragmented(payload: bytes) -> list[bytes]:
    return fragments(BINARY, *split(payload, 333))


def fragmented_with_an_empty_end(payload: bytes) -> list[bytes]:
    return fragments(BINARY, b"", *split(payload, 100), b"")


def compressed(payload: bytes) -> list[bytes]:
    return [frame(BINARY, deflate(payload), rsv=RSV1)]


def stored(payload: bytes) -> list[bytes]:
    return [frame(BINARY, deflate(payload, level=0), rsv=RSV1)]


def compressed_fragments(payload: bytes) -> list[bytes]:
    return fragments(BINARY, *split(deflate(payload), 3), compressed=True)


BUILDERS = pytest.mark.parametrize(
    "build",
    [
        plain,
        fragmented,
        fragmented_with_an_empty_end,
        compressed,
        stored,
        compressed_fragments,
    ],
)
CONTENTS = pytest.mark.parametrize(
    "content", [bytes, random.Random(1009).randbytes], ids=["zeros", "noise"]
)
Content = Callable[[int], bytes]


@BUILDERS
@CONTENTS
def test_the_limit_itself_is_allowed(build: Build, content: Content) -> None:
    payload = content(LIMIT)
    wire = b"".join(build(payload))
    for chunks in ([wire], singly(wire), [wire[:7], wire[7:]]):
        assert receive(*chunks, limit=LIMIT) == [payload]
    # And again, as the limit is that of one message.
    assert receive(b"".join(plain(payload)) * 3, limit=LIMIT) == [payload] * 3


@BUILDERS
@CONTENTS
def test_one_byte_more_is_refused(build: Build, content: Content) -> None:
    wire = b"".join(build(content(LIMIT + 1)))
    for chunks in ([wire], singly(wire), [wire[:7], wire[7:]]):
        receiver = Receiver(LIMIT)
        with pytest.raises(MessageTooBigError, match="max_message_size is 1000") as caught:
            receiver.feed(*chunks)
        assert (caught.value.limit, caught.value.close_code) == (LIMIT, 1009)
        receiver.feed(frame(TEXT, b"behind"))
        assert receiver.events == []


@pytest.mark.parametrize("opcode", [TEXT, BINARY], ids=["text", "binary"])
@pytest.mark.parametrize("size", [LIMIT + 1, 65536, 2**31, 2**63 - 1])
def test_the_header_alone_is_enough(opcode: int, size: int) -> None:
    length = (
        b"\x7e" + size.to_bytes(2, "big") if size < 65536 else b"\x7f" + size.to_bytes(8, "big")
    )
    head = bytes([0x80 | opcode]) + length
    receiver = Receiver(LIMIT)
    receiver.feed(head[:-1])
    with pytest.raises(MessageTooBigError, match=f"at least {size} bytes"):
        receiver.feed(head[-1:])


def test_the_header_of_the_last_fragment_is_enough() -> None:
    receiver = Receiver(LIMIT)
    receiver.feed(*fragments(BINARY, bytes(400), bytes(600), b"")[:-1])
    with pytest.raises(MessageTooBigError):
        receiver.feed(b"\x80\x01")
    assert receiver.events == []


def test_a_compressed_frame_far_above_the_limit_is_refused_by_its_header() -> None:
    receiver = Receiver(LIMIT)
    with pytest.raises(MessageTooBigError):
        receiver.feed(b"\xc2\x7f" + (LIMIT * 100).to_bytes(8, "big"))


def test_text_is_measured_in_bytes() -> None:
    assert receive(frame(TEXT, "é".encode() * 500), limit=LIMIT) == ["é" * 500]
    assert receive(*singly(frame(TEXT, "é".encode() * 500)), limit=LIMIT) == ["é" * 500]
    with pytest.raises(MessageTooBigError):
        receive(frame(TEXT, "é".encode() * 501), limit=LIMIT)


def test_control_frames_do_not_count() -> None:
    frames = fragments(BINARY, *split(bytes(LIMIT), 10))
    wire = b"".join(part + frame(PING, bytes(125)) for part in frames)
    assert bytes(LIMIT) in receive(wire, limit=LIMIT)


def test_no_limit() -> None:
    payload = bytes(3_000_000)
    for build in (plain, compressed, compressed_fragments):
        assert receive(*build(payload)) == [payload]


@pytest.mark.parametrize("mem_level", range(1, 10))
@pytest.mark.parametrize("level", [0, 1, 6])
def test_noise_that_deflate_makes_longer_is_within_the_limit(mem_level: int, level: int) -> None:
    """What counts is the size after decompression, whatever the server's compressor adds."""
    payload = random.Random(7692).randbytes(100_000)
    wire = frame(BINARY, deflate(payload, level=level, mem_level=mem_level), rsv=RSV1)
    assert receive(wire, limit=len(payload)) == [payload]


@pytest.mark.parametrize("size", [1, 10, 100])
def test_a_server_that_flushes_each_fragment(size: int) -> None:
    """A message that is made piece by piece is compressed piece by piece."""
    payload = random.Random(size).randbytes(10_000)
    stream = zlib.compressobj(wbits=-15)
    parts = [
        stream.compress(part) + stream.flush(zlib.Z_SYNC_FLUSH) for part in split(payload, size)
    ]
    parts = parts[:4000]
    expected = payload[: 4000 * size]
    parts[-1] = parts[-1][:-4]
    assert receive(*fragments(BINARY, *parts, compressed=True), limit=10_000) == [expected]


@pytest.mark.parametrize("opcode", [TEXT, BINARY], ids=["text", "binary"])
@pytest.mark.parametrize("size", [1 << 14, 1 << 20], ids=["fragments", "whole"])
def test_a_bomb_is_not_inflated(opcode: int, size: int) -> None:
    limit = 1 << 17
    bomb = deflate(bytes(1 << 24), level=9)
    assert (1 << 24) / len(bomb) > 1000
    wire = b"".join(fragments(opcode, *split(bomb, size), compressed=True))
    receiver = Receiver(limit)
    tracemalloc.start()
    try:
        with pytest.raises(MessageTooBigError) as caught:
            receiver.feed(wire)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert caught.value.limit == limit
    assert peak < 8 * limit


@pytest.mark.parametrize("size", [1, 1000], ids=["singly", "whole"])
@pytest.mark.parametrize("final", [False, True], ids=["one-stream", "final-blocks"])
def test_of_two_faults_the_first_one_counts(size: int, final: bool) -> None:
    """Bad UTF-8 before the limit is told as such, however the bytes are cut."""
    first = zlib.compressobj(wbits=-15)
    wire = first.compress(b"\xffabc") + first.flush(zlib.Z_FINISH if final else zlib.Z_SYNC_FLUSH)
    wire += deflate(b"y" * 50)
    receiver = Receiver(20)
    with pytest.raises(ProtocolError) as caught:
        receiver.feed(*split(frame(TEXT, wire, rsv=RSV1), size))
    assert caught.value.close_code == 1007


def test_a_long_message_needs_little_more_than_itself() -> None:
    size = 1 << 20
    wire = frame(BINARY, bytes(size))
    chunks = split(wire, 1 << 14)
    receiver = Receiver(2 * size)
    tracemalloc.start()
    try:
        receiver.feed(*chunks)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert receiver.events == [bytes(size)]
    assert peak < 3 * size


# --- number of fragments --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("limit", "allowed"), [(1, 4096), (1000, 4096), (65536, 4096), (65552, 4097), (80_000, 5000)]
)
def test_number_of_fragments(limit: int, allowed: int) -> None:
    many = fragments(BINARY, *[b""] * (allowed - 1), b"x")
    assert receive(*many, *many, limit=limit) == [b"x"] * 2
    receiver = Receiver(limit)
    receiver.feed(*fragments(BINARY, *[b""] * (allowed + 1))[:-1])
    with pytest.raises(MessageTooBigError, match=f"more than {allowed} fragments") as caught:
        receiver.feed(frame(CONTINUATION))
    assert caught.value.limit == allowed


def test_without_a_limit_many_fragments_are_allowed() -> None:
    assert receive(*fragments(BINARY, *[b"x"] * 10_000)) == [b"x" * 10_000]


# --- laws -----------------------------------------------------------------------------------

MESSAGES = st.lists(
    st.tuples(
        st.text(max_size=30) | st.binary(max_size=30) | st.just(b"ab" * 400),
        st.booleans(),
        st.integers(1, 20),
    ),
    max_size=6,
)


@settings(max_examples=100, deadline=None)
@given(MESSAGES, st.lists(st.integers(1, 50), min_size=1, max_size=6))
def test_what_is_sent_is_received(
    messages: list[tuple[str | bytes, bool, int]], sizes: list[int]
) -> None:
    stream = zlib.compressobj(wbits=-15)
    wire = b""
    for message, compress, size in messages:
        payload = message.encode() if isinstance(message, str) else message
        if compress and payload:
            payload = (stream.compress(payload) + stream.flush(zlib.Z_SYNC_FLUSH))[:-4]
        opcode = TEXT if isinstance(message, str) else BINARY
        parts = split(payload, size) or [b""]
        wire += b"".join(fragments(opcode, *parts, compressed=compress and bool(payload)))
    expected = [message for message, _, _ in messages]
    assert receive(wire) == expected
    receiver = Receiver(800)
    position = 0
    for size in itertools.cycle(sizes):
        if position >= len(wire):
            break
        receiver.feed(wire[position : position + size])
        position += size
    assert receiver.events == expected
