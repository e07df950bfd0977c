"""Laws of the way in: any bytes in any chunks are the same messages and the same fault.

From frame parser, inflater and message assembler together, for both roles.
"""

from __future__ import annotations

import zlib
from dataclasses import replace

import pytest
from hypothesis import event, given
from hypothesis import strategies as st

from protocol.streams import (
    DAMAGES,
    SETTINGS,
    SIZES,
    Codec,
    Damage,
    Setting,
    each_codec_and_zlib,
    junk,
    law,
    messages_in,
    receive,
    receive_in_one_way,
    streams,
)
from wsclient.errors import MessageTooBigError, ProtocolError
from wsclient.protocol.roles import Role
from wsclient.testing.frames import encode_frame

pytestmark = pytest.mark.usefixtures("each_zlib")

TRAILER = b"\x00\x00\xff\xff"


@each_codec_and_zlib
@law(100)
@given(st.data(), SETTINGS, SIZES)
def test_what_is_sent_is_seen(
    codec: Codec, data: st.DataObject, setting: Setting, sizes: list[int]
) -> None:
    stream = data.draw(streams(setting))
    assert receive_in_one_way(stream.wire, sizes, setting, codec) == (stream.events, None)


@each_codec_and_zlib
@law(100)
@given(st.data(), SETTINGS, SIZES, st.integers(0, 0xFFFF))
def test_each_event_is_seen_with_its_last_byte(
    codec: Codec, data: st.DataObject, setting: Setting, sizes: list[int], place: int
) -> None:
    """Of a stream that breaks off all is seen that had come whole, and no fault."""
    stream = data.draw(streams(setting))
    # At its edges most can go wrong: just before, and just behind, the end of something.
    edges = sorted({0, *stream.ends, *(end - 1 for end in stream.ends), len(stream.wire)})
    for position in (place * len(stream.wire) >> 16, edges[place % len(edges)]):
        outcome = receive_in_one_way(stream.wire[:position], sizes, setting, codec)
        assert outcome == (stream.seen_by(position), None)


@each_codec_and_zlib
@law(200)
@given(st.data(), SETTINGS, SIZES, DAMAGES, st.sampled_from([0, 0, 4, 100]))
def test_one_damaged_place(
    codec: Codec,
    data: st.DataObject,
    setting: Setting,
    sizes: list[int],
    damage: Damage,
    limit: int,
) -> None:
    """It is the same in any chunks, and what stands before it is seen."""
    stream = data.draw(streams(setting))
    wire, sound = damage.do(stream.wire)
    events, fault = receive_in_one_way(wire, sizes, replace(setting, limit=limit), codec)
    event("fault" if fault else "no fault")
    if not limit:
        before = stream.seen_by(sound)
        assert events[: len(before)] == before
    if fault is not None:
        assert (fault.kind, fault.close_code) in (
            (ProtocolError, 1002),
            (ProtocolError, 1007),
            (MessageTooBigError, 1009),
        )


@each_codec_and_zlib
@law(180)
@given(st.data(), SETTINGS, SIZES, st.sampled_from([0, 0, 4, 100]))
def test_anything(
    codec: Codec, data: st.DataObject, setting: Setting, sizes: list[int], limit: int
) -> None:
    setting = replace(setting, limit=limit)
    wire = data.draw(junk(setting))
    events, fault = receive_in_one_way(wire, sizes, setting, codec)
    event(str(fault.close_code) if fault else "no fault")
    for message in messages_in(events) if limit else ():
        size = len(message.encode()) if isinstance(message, str) else len(message)
        assert size <= limit


@each_codec_and_zlib
@law(100)
@given(st.data(), SETTINGS, SIZES, st.sampled_from([1, 5, 11, 100, 125, 126, 127]))
def test_limits_are_exact(
    codec: Codec, data: st.DataObject, setting: Setting, sizes: list[int], limit: int
) -> None:
    """All messages before the first one that is too big are seen, and that one is the fault."""
    stream = data.draw(streams(setting))
    expected = messages_in(stream.events)
    measured = [len(m.encode()) if isinstance(m, str) else len(m) for m in expected]
    too_big = next((i for i, size in enumerate(measured) if size > limit), None)
    event("too big" if too_big is not None else "within the limit")
    events, fault = receive_in_one_way(stream.wire, sizes, replace(setting, limit=limit), codec)
    if too_big is None:
        assert (events, fault) == (stream.events, None)
        return
    assert messages_in(events) == expected[:too_big]
    assert events == stream.events[: len(events)]
    assert fault is not None
    assert (fault.kind, fault.close_code, fault.limit) == (MessageTooBigError, 1009, limit)


_TAILS = [
    bytes.fromhex(tail)
    for tail in ("", "80", "8080", "808080", "a0", "a080", "90", "9080", "908080")
]


def may_begin_a_text(data: bytes) -> bool:
    """Tell whether something can follow that makes it UTF-8."""
    for tail in _TAILS:
        try:
            (data + tail).decode()
        except UnicodeDecodeError:
            continue
        return True
    return False


def of_a_text(fragments: list[bytes], limit: int, *, compressed: bool) -> str | int:
    """Return the message, or the close code of the first fault in the order of the bytes."""
    seen = b""
    for fragment in fragments:
        # The header tells the size; what comes out of compressed data must come out first.
        if not compressed and limit and len(seen + fragment) > limit:
            return 1009
        seen += fragment
        if not may_begin_a_text(seen[:limit] if limit else seen):
            return 1007
    if limit and len(seen) > limit:
        return 1009
    try:
        return seen.decode()
    except UnicodeDecodeError:
        return 1007


_TEXT_BYTES = st.lists(
    st.binary(max_size=3)
    | st.text(max_size=5).map(str.encode)
    | st.sampled_from(
        [b"\xe2\x82", b"\xac", b"\xed\xa0", b"\xf4\x90", b"\xf0\x90\x80", b"y" * 50]
    ),
    max_size=5,
)


@each_codec_and_zlib
@pytest.mark.parametrize("compressed", [False, True], ids=["plain", "compressed"])
@law(120)
@given(
    _TEXT_BYTES,
    st.sampled_from(list(Role)),
    st.sampled_from([zlib.Z_NO_FLUSH, zlib.Z_SYNC_FLUSH]),
    SIZES,
    st.sampled_from([0, 1, 3, 8, 60]),
)
def test_a_text_of_any_bytes(
    codec: Codec,
    compressed: bool,
    fragments: list[bytes],
    role: Role,
    flush: int,
    sizes: list[int],
    limit: int,
) -> None:
    """UTF-8 fails early; in smaller chunks it may fail earlier, but always for the same."""
    expected = of_a_text(fragments or [b""], limit, compressed=compressed)
    setting = Setting(role, 15 if compressed else None, limit=limit)
    parts = fragments or [b""]
    if compressed and b"".join(parts):
        stream = zlib.compressobj(wbits=-15)
        parts = [stream.compress(part) + stream.flush(flush) for part in parts]
        parts = [*parts[:-1], (parts[-1] + stream.flush(zlib.Z_SYNC_FLUSH)).removesuffix(TRAILER)]
    elif compressed:
        parts = [b"\x00"]
    wire = b"".join(
        encode_frame(
            0 if number else 1,
            part,
            fin=number == len(parts) - 1,
            rsv=4 if compressed and not number else 0,
            masking_key=b"\x12\x34\x56\x78" if role is Role.SERVER else None,
        )
        for number, part in enumerate(parts)
    )
    events, fault = receive_in_one_way(wire, sizes, setting, codec)
    assert (fault.close_code if fault else events[0]) == expected
    assert len(events) == (fault is None)


@each_codec_and_zlib
@law(100)
@given(st.data(), SETTINGS, st.binary(max_size=40), SIZES)
def test_nothing_is_seen_behind_a_fault(
    codec: Codec, data: st.DataObject, setting: Setting, behind: bytes, sizes: list[int]
) -> None:
    """RFC 6455, sections 5.5.1 and 7.1.7: nor behind a Close frame."""
    wire = data.draw(junk(setting))
    outcome = receive([wire], setting, codec)
    if outcome[1] is not None or any(isinstance(e, tuple) and e[0] == 8 for e in outcome[0]):
        assert receive_in_one_way(wire + behind, sizes, setting, codec) == outcome


@each_codec_and_zlib
@law(150)
@given(
    # The last one gets a code of its own, whose description is long.
    st.sampled_from([b"Hello", b"ab" * 30, bytes(i * i % 97 for i in range(500))]),
    st.integers(0, 0xFFFF),
    st.integers(0, 9),
    st.booleans(),
    SIZES,
)
def test_a_message_cut_short_does_not_spoil_the_next(
    codec: Codec, payload: bytes, place: int, level: int, alone: bool, sizes: list[int]
) -> None:
    """It is a fault (RFC 7692, section 7.2.1), and not a shorter message and a wrong one."""
    stream = zlib.compressobj(level, wbits=-15)
    data = stream.compress(payload) + stream.flush(zlib.Z_SYNC_FLUSH)
    kept = data[: 1 + (place * (len(data) - 5) >> 16)]
    probe = zlib.compressobj(wbits=-15)
    behind = probe.compress(b"probe") + probe.flush(zlib.Z_SYNC_FLUSH)
    wire = encode_frame(2, kept, rsv=4) + encode_frame(2, behind[:-4], rsv=4)
    events, fault = receive_in_one_way(wire, sizes, Setting(Role.CLIENT, 15, alone), codec)
    if fault is not None:
        assert (events, fault.close_code) == ([], 1007)
    else:
        # It ended between two blocks.
        first, second = events
        assert isinstance(first, bytes)
        assert payload.startswith(first)
        assert second == b"probe"
