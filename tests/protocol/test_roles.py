"""The core as a server's end: masked frames in, unmasked frames out (RFC 6455, section 5.1)."""

from __future__ import annotations

import random
from collections.abc import Iterable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wsclient.errors import MessageTooBigError, ProtocolError
from wsclient.protocol.closing import ClosingHandshake, parse_close_payload
from wsclient.protocol.deflate import Deflater, Inflater
from wsclient.protocol.frames import FrameParser, build_frame
from wsclient.protocol.messages import MessageAssembler
from wsclient.protocol.opcodes import Opcode
from wsclient.protocol.roles import Role
from wsclient.testing.frames import encode_frame

Outcome = tuple[list[Any], tuple[type, int, str] | None]

CONTINUATION, TEXT, BINARY = Opcode.CONTINUATION, Opcode.TEXT, Opcode.BINARY
CLOSE, PING, PONG = Opcode.CLOSE, Opcode.PING, Opcode.PONG

SIZES = [0, 1, 2, 3, 4, 5, 125, 126, 127, 1023, 1024, 1025, 65535, 65536, 65537]
"""The edges of the length encodings, of the key, and of the two ways to mask."""

KEYS = st.binary(min_size=4, max_size=4)
CHUNK_SIZES = st.lists(st.integers(1, 40), min_size=1, max_size=8)


def receive(
    chunks: Iterable[bytes],
    *,
    role: Role = Role.SERVER,
    limit: int = 0,
    window_bits: int | None = None,
) -> Outcome:
    """Return what one end gets: messages, control frames as tuples, and the first error.

    Bytes behind the error are fed too.
    """
    events: list[Any] = []
    inflater = None
    if window_bits is not None:
        inflater = Inflater(window_bits=window_bits, no_context_takeover=False, role=role)
    assembler = MessageAssembler(
        events.append,
        lambda *frame: events.append(frame),
        max_message_size=limit,
        inflater=inflater,
        role=role,
    )
    parser = FrameParser(
        events.append,
        assembler,
        max_message_size=limit,
        compression=inflater is not None,
        role=role,
    )
    error = None
    for chunk in chunks:
        try:
            parser.feed(chunk)
        except (ProtocolError, MessageTooBigError) as exc:
            assert error is None, "only the first error is raised"
            error = type(exc), exc.close_code, str(exc)
    return events, error


def cut(wire: bytes, sizes: list[int]) -> list[bytes]:
    """Cut into chunks of these sizes, over and over."""
    chunks: list[bytes] = []
    position = 0
    while position < len(wire):
        size = sizes[len(chunks) % len(sizes)]
        chunks.append(wire[position : position + size])
        position += size
    return chunks


def singly(wire: bytes) -> list[bytes]:
    return [wire[i : i + 1] for i in range(len(wire))]


# --- the roles ------------------------------------------------------------------------------


def test_each_role_has_the_other_as_its_peer() -> None:
    assert Role.CLIENT.other is Role.SERVER
    assert Role.SERVER.other is Role.CLIENT
    assert (Role.CLIENT.peer, Role.SERVER.peer) == ("server", "client")


# --- masked frames --------------------------------------------------------------------------


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("key", [b"\x00\x00\x00\x00", b"\xff\x00\xa5\x01"], ids=bytes.hex)
def test_sizes(size: int, key: bytes) -> None:
    payload = random.Random(size).randbytes(size)
    text = "x" * size
    wire = encode_frame(BINARY, payload, masking_key=key)
    head = len(wire) - size
    wire += encode_frame(TEXT, text.encode(), masking_key=key[::-1])
    expected: Outcome = ([payload, text], None)
    assert receive([wire]) == expected
    for position in {*range(head + 6), head + size - 1, head + size, head + size + 1}:
        assert receive([wire[:position], wire[position:]]) == expected
    assert receive(cut(wire, [1009])) == expected
    if size <= 1025:
        assert receive(singly(wire)) == expected


FRAGMENT = st.binary(max_size=12) | st.sampled_from([b"x" * n for n in (125, 126, 127, 1024)])
CONTROLS = st.tuples(st.sampled_from([PING, PONG]), st.binary(max_size=125), KEYS)


@st.composite
def messages(draw: st.DrawFn) -> tuple[bytes, list[Any]]:
    """Draw a message of a client, fragmented anyhow, with control frames before and inside."""
    if draw(st.booleans()):
        text = draw(st.text(max_size=20))
        encoded = text.encode()
        # Between the bytes of a character, too.
        size = draw(st.integers(1, 7))
        fragments = [encoded[i : i + size] for i in range(0, len(encoded), size)] or [b""]
        opcode, message = TEXT, text
    else:
        fragments = draw(st.lists(FRAGMENT, min_size=1, max_size=5))
        opcode, message = BINARY, b"".join(fragments)  # type: ignore[assignment]  # a union
    wire = b""
    events: list[Any] = []
    for number, fragment in enumerate(fragments):
        for code, content, key in draw(st.lists(CONTROLS, max_size=2)):
            wire += encode_frame(code, content, masking_key=key)
            events.append((code, content))
        wire += encode_frame(
            CONTINUATION if number else opcode,
            fragment,
            fin=number == len(fragments) - 1,
            masking_key=draw(KEYS),
        )
    return wire, [*events, message]


@settings(max_examples=200, deadline=None)
@given(st.lists(messages(), max_size=5), CHUNK_SIZES)
def test_what_a_client_sends_is_seen_in_any_chunks(
    traffic: list[tuple[bytes, list[Any]]], sizes: list[int]
) -> None:
    wire = b"".join(part for part, _ in traffic)
    expected = [event for _, events in traffic for event in events]
    assert receive([wire]) == (expected, None)
    assert receive(cut(wire, sizes)) == (expected, None)


# Bytes that begin frames are likelier than others, or all examples would end at the first.
RUBBISH = st.lists(
    st.one_of(
        st.binary(min_size=1, max_size=4),
        st.builds(
            encode_frame,
            st.sampled_from([CONTINUATION, TEXT, BINARY, CLOSE, PING, 3]),
            st.binary(max_size=6) | st.text(max_size=6).map(str.encode) | st.binary(max_size=130),
            fin=st.booleans(),
            rsv=st.sampled_from([0, 0, 0, 4, 1]),
            masking_key=st.sampled_from([None, b"\0\0\0\0", b"\x01\x80\xff\x7f"]),
        ),
    ),
    max_size=8,
).map(b"".join)


@settings(max_examples=300, deadline=None)
@given(RUBBISH, CHUNK_SIZES, st.sampled_from([0, 4, 100]), st.sampled_from([None, 9]))
def test_anything_is_the_same_in_any_chunks(
    wire: bytes, sizes: list[int], limit: int, window_bits: int | None
) -> None:
    def what(outcome: Outcome) -> Outcome:
        # A text in one piece is decoded in one step, which words its fault differently.
        events, error = outcome
        return events, error and (*error[:2], "" if error[1] == 1007 else error[2])

    expected = what(receive([wire], limit=limit, window_bits=window_bits))
    for chunks in (cut(wire, sizes), singly(wire)):
        assert what(receive(chunks, limit=limit, window_bits=window_bits)) == expected


# --- what a client must not do --------------------------------------------------------------

MASK = b"\x12\x34\x56\x78"
HELLO = encode_frame(TEXT, b"Hello", masking_key=MASK)
BEGUN = encode_frame(TEXT, b"He", fin=False, masking_key=MASK)

UNMASKED = [
    pytest.param(encode_frame(TEXT, b"Hello"), id="text"),
    pytest.param(encode_frame(BINARY), id="empty"),
    pytest.param(b"\x81\x7d", id="text-of-125"),
    pytest.param(b"\x82\x7e", id="16-bit-length"),
    pytest.param(b"\x82\x7f", id="64-bit-length"),
    pytest.param(encode_frame(PING, b"p"), id="ping"),
    pytest.param(encode_frame(PONG), id="pong"),
    pytest.param(encode_frame(CLOSE, b"\x03\xe8"), id="close"),
]


@pytest.mark.parametrize("frame", UNMASKED)
@pytest.mark.parametrize("before", [b"", HELLO, BEGUN], ids=["first", "behind", "inside"])
def test_a_frame_without_a_mask_fails_the_connection(frame: bytes, before: bytes) -> None:
    if before == BEGUN:
        frame = encode_frame(CONTINUATION, frame)
    seen = ["Hello"] if before == HELLO else []
    said = "The client sent a frame without a mask (RFC 6455, section 5.1)"
    expected: Outcome = (seen, (ProtocolError, 1002, said))
    wire = before + frame
    # Two bytes tell; nobody waits for the rest of the frame.
    assert receive([wire[: len(before) + 2]]) == expected
    assert receive([wire + HELLO]) == expected
    assert receive(singly(wire + HELLO)) == expected


def test_a_masked_frame_of_a_server_fails_the_connection() -> None:
    events, error = receive([HELLO], role=Role.CLIENT)
    assert events == []
    said = "The server sent a masked frame (RFC 6455, section 5.1)"
    assert error == (ProtocolError, 1002, said)


@pytest.mark.parametrize(
    ("payload", "bad"),
    [
        (b"abc\xffdefghijk", 3),
        (b"\xc3\xa9\xc0\x80rest", 2),
        (b"four\xed\xa0\x80rest", 5),
        (b"\xf4\x90rest and more", 1),
    ],
    ids=["stray", "overlong", "surrogate", "beyond"],
)
def test_bad_utf8_fails_at_the_byte_that_shows_it(payload: bytes, bad: int) -> None:
    """Also in the middle of a masked frame whose end has not come (RFC 6455, section 8.1)."""
    wire = encode_frame(TEXT, payload.ljust(200, b"."), fin=False, masking_key=MASK)
    head = len(wire) - 200
    events, error = receive(singly(wire[: head + bad]))
    assert (events, error) == ([], None)
    events, error = receive(singly(wire[: head + bad + 1]))
    assert events == []
    assert error is not None
    assert error[:2] == (ProtocolError, 1007)
    assert error[2].startswith("The client sent a text message that is not UTF-8")


FAULTS = [
    pytest.param(encode_frame(3, masking_key=MASK), 1002, id="reserved-opcode"),
    pytest.param(encode_frame(TEXT, rsv=2, masking_key=MASK), 1002, id="rsv2"),
    pytest.param(encode_frame(TEXT, rsv=4, masking_key=MASK), 1002, id="rsv1"),
    pytest.param(encode_frame(PING, fin=False, masking_key=MASK), 1002, id="fragmented-ping"),
    pytest.param(encode_frame(PING, b"p" * 126, masking_key=MASK), 1002, id="long-ping"),
    pytest.param(encode_frame(CONTINUATION, masking_key=MASK), 1002, id="nothing-to-continue"),
    pytest.param(BEGUN + HELLO, 1002, id="message-in-a-message"),
    pytest.param(b"\x82\xfe\x00\x7d" + MASK, 1002, id="long-form-of-the-length"),
    pytest.param(b"\x82\xff\x80" + bytes(7) + MASK, 1002, id="top-bit-of-the-length"),
    pytest.param(encode_frame(TEXT, b"\xff", masking_key=MASK), 1007, id="not-utf-8"),
    pytest.param(encode_frame(BINARY, bytes(101), masking_key=MASK), 1009, id="too-big"),
]


@pytest.mark.parametrize(("wire", "code"), FAULTS)
def test_errors_say_client(wire: bytes, code: int) -> None:
    _, error = receive([wire], limit=100)
    assert error is not None
    assert error[1] == code
    assert error[2].startswith("The client ")
    assert "server" not in error[2].lower()


@pytest.mark.parametrize(
    ("payload", "limit"),
    [
        pytest.param(b"\xff\xff", 100, id="not-deflate"),
        pytest.param(b"\x4a", 100, id="cut-short"),
        pytest.param(Deflater(window_bits=15, no_context_takeover=True).compress(bytes(101)), 100),
        pytest.param(b"\x03\x00" * 1100, 0, id="many-final-blocks"),
    ],
)
def test_errors_of_compression_say_client(payload: bytes, limit: int) -> None:
    wire = encode_frame(BINARY, payload, rsv=4, masking_key=MASK)
    _, error = receive([wire], limit=limit, window_bits=15)
    assert error is not None
    assert error[2].startswith("The client sent a ")
    assert "server" not in error[2].lower()


def test_rsv1_on_a_control_frame_says_client() -> None:
    _, error = receive([encode_frame(PING, rsv=4, masking_key=MASK)], window_bits=15)
    assert error is not None
    assert error[2].startswith("The client set RSV1 on a ping frame")


def test_too_many_fragments_say_client() -> None:
    fragment = encode_frame(CONTINUATION, fin=False, masking_key=MASK)
    _, error = receive([BEGUN + fragment * 5000], limit=100)
    assert error is not None
    assert error[0] is MessageTooBigError
    assert error[2].startswith("The client sent a message in more than ")


@pytest.mark.parametrize(
    ("payload", "code"),
    [(b"\x03", 1002), (b"\x03\xed", 1002), (b"\x0b\xb7", 1002), (b"\x03\xe8\xff", 1007)],
    ids=["half", "1005", "2999", "reason"],
)
def test_faults_of_a_close_frame_say_client(payload: bytes, code: int) -> None:
    with pytest.raises(ProtocolError, match="The client sent a ") as caught:
        parse_close_payload(payload, Role.SERVER)
    assert caught.value.close_code == code
    handshake = ClosingHandshake(Role.SERVER)
    handshake.opened()
    with pytest.raises(ProtocolError, match="The client sent a "):
        handshake.receive(payload)
    assert handshake.can_send, "the state is as before"


@pytest.mark.parametrize("trailer", [b"", HELLO, b"\xff" * 9, encode_frame(TEXT, b"unmasked")])
def test_what_follows_a_close_frame_is_ignored(trailer: bytes) -> None:
    wire = HELLO + encode_frame(CLOSE, b"\x03\xe8bye", masking_key=MASK) + trailer
    expected: Outcome = (["Hello", (CLOSE, b"\x03\xe8bye")], None)
    assert receive([wire]) == expected
    assert receive(singly(wire)) == expected


# --- what a server sends --------------------------------------------------------------------


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_an_unmasked_frame_is_what_a_client_reads(size: int, kind: type) -> None:
    payload = random.Random(size).randbytes(size)
    frame = build_frame(BINARY, kind(payload), masked=False)
    assert type(frame) is bytes
    assert frame == encode_frame(BINARY, payload)
    assert receive([frame], role=Role.CLIENT) == ([payload], None)


@settings(max_examples=100, deadline=None)
@given(
    st.sampled_from([TEXT, BINARY, PING, PONG]),
    st.text(max_size=31).map(str.encode),
    st.sampled_from(list(Role)),
    CHUNK_SIZES,
)
def test_what_one_role_builds_the_other_reads(
    opcode: Opcode, payload: bytes, sender: Role, sizes: list[int]
) -> None:
    frame = build_frame(opcode, payload, masked=sender is Role.CLIENT)
    events, error = receive(cut(frame, sizes), role=sender.other)
    assert error is None
    [event] = events
    if opcode in (PING, PONG):
        assert event == (opcode, payload)
    else:
        assert event == (payload.decode() if opcode is TEXT else payload)
    # Its own role does not take it, for the mask.
    assert receive([frame], role=sender)[1] is not None


def test_a_masking_key_is_of_no_use_unmasked() -> None:
    assert build_frame(TEXT, b"Hello", masked=False, masking_key=MASK) == b"\x81\x05Hello"


@pytest.mark.parametrize("window_bits", [8, 9, 15])
@settings(max_examples=30, deadline=None)
@given(st.lists(st.binary(max_size=200), min_size=1, max_size=5), CHUNK_SIZES)
def test_compressed_messages_pass_masked(
    window_bits: int, payloads: list[bytes], sizes: list[int]
) -> None:
    deflater = Deflater(window_bits=window_bits, no_context_takeover=False)
    wire = b"".join(
        build_frame(BINARY, deflater.compress(payload), compressed=True) for payload in payloads
    )
    assert receive(cut(wire, sizes), window_bits=window_bits) == (payloads, None)
