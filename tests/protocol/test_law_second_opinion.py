"""Another implementation reads the same bytes: the messages and the failing must be the same.

It is the protocol without I/O of the library `websockets`. Where the two differ, the difference
stands here with the rule that it goes by.
"""

from __future__ import annotations

import codecs
import logging
from typing import Any, NamedTuple

import pytest
from hypothesis import event, given
from hypothesis import strategies as st
from websockets.extensions.permessage_deflate import PerMessageDeflate
from websockets.protocol import Protocol, Side, State

from protocol.streams import (
    DAMAGES,
    SETTINGS,
    Codec,
    Damage,
    Setting,
    each_codec,
    each_codec_and_zlib,
    junk,
    law,
    receive,
    streams,
)
from wsclient.errors import ProtocolError
from wsclient.protocol.closing import parse_close_payload
from wsclient.protocol.deflate import Deflater
from wsclient.protocol.opcodes import Opcode
from wsclient.protocol.roles import Role
from wsclient.testing.frames import encode_frame

_QUIET = logging.Logger("websockets", level=logging.CRITICAL + 1)

_PADDING = {
    Role.CLIENT: encode_frame(Opcode.PING, bytes(14)),
    Role.SERVER: encode_frame(Opcode.PING, bytes(14), masking_key=bytes(4)),
}
"""Longer than any header, so that none is left that one of the two waits for.

As a frame of its own it is seen by both, or else by the one that misses a fault before it.
"""

PLAIN = st.builds(Setting, st.sampled_from(list(Role)))


class Verdict(NamedTuple):
    """What one implementation makes of a stream.

    Attributes:
        events: messages and control frames, a faulty Close frame not among them.
        code: the close code that it fails with, ``None`` when it does not.
        text: what it says, or where it stands at the end.
    """

    events: list[Any]
    code: int | None
    text: str


def ours(wire: bytes, setting: Setting, codec: Codec) -> Verdict:
    events, fault = receive([wire], setting, codec)
    if fault is not None:
        return Verdict(events, fault.close_code, fault.text)
    last = events[-1] if events else None
    if isinstance(last, tuple) and last[0] == Opcode.CLOSE:
        try:
            parse_close_payload(last[1], setting.role)
        except ProtocolError as error:
            return Verdict(events[:-1], error.close_code, str(error))
    return Verdict(events, None, "")


def theirs(wire: bytes, setting: Setting) -> Verdict:
    side = Side.CLIENT if setting.role is Role.CLIENT else Side.SERVER
    protocol = Protocol(side, state=State.OPEN, max_size=None, logger=_QUIET)
    if setting.window_bits is not None:
        protocol.extensions = [
            PerMessageDeflate(setting.no_context_takeover, False, setting.window_bits, 15)
        ]
    protocol.receive_data(wire)
    protocol.receive_eof()
    events: list[Any] = []
    parts: list[Any] = []
    decoder: codecs.IncrementalDecoder | None = None
    for frame in protocol.events_received():
        data = bytes(frame.data)  # type: ignore[union-attr]  # no handshake is read here
        opcode, fin = int(frame.opcode), frame.fin  # type: ignore[union-attr]  # as above
        if opcode & 8:
            events.append((opcode, data))
            continue
        if opcode:
            parts = []
            decoder = codecs.getincrementaldecoder("utf-8")() if opcode == Opcode.TEXT else None
        try:
            parts.append(decoder.decode(data, fin) if decoder else data)
        except UnicodeDecodeError as wrong:
            return Verdict(events, 1007, str(wrong))
        if fin:
            events.append("".join(parts) if decoder else b"".join(parts))
    error = protocol.parser_exc
    if error is None or isinstance(error, EOFError):
        return Verdict(events, None, str(error or ""))
    assert protocol.close_sent is not None
    return Verdict(events, int(protocol.close_sent.code), str(error))


def known_difference(mine: Verdict, other: Verdict) -> str | None:
    """Return why they may differ, and say which is right; ``None`` when nothing allows it."""
    if mine.code == 1002 and ("longer than needed" in mine.text or "significant" in mine.text):
        # RFC 6455, section 5.2: the minimal number of bytes MUST be used. We are right.
        return "the form of a length"
    failed = mine.code is not None and other.code is not None
    if failed and mine.events == other.events:
        # RFC 6455, section 7.4.1, has no order for two faults of one frame. A Close frame may
        # have a bad code and a reason that is not UTF-8.
        return "two faults in a Close frame" if "Close frame" in mine.text else None
    if mine.code is not None and "stream ends after" in other.text:
        # A fault that shows before the frame is whole (RFC 6455, sections 5.2 and 8.1).
        return "we fail early" if mine.events == other.events else None
    if "incomplete fragmented message" in other.text:
        # RFC 6455, section 5.4: control frames MAY be injected in the middle of a fragmented
        # message, and a Close frame is one. We are right.
        return "a Close frame inside a message"
    return None


def compare(wire: bytes, setting: Setting, codec: Codec) -> None:
    wire += _PADDING[setting.role]
    mine, other = ours(wire, setting, codec), theirs(wire, setting)
    if mine[:2] != other[:2]:
        known = known_difference(mine, other)
        assert known, (mine, other)
        event(known)
    event("failed" if mine.code else "read")


@each_codec
@law(100)
@given(st.data(), PLAIN, DAMAGES)
def test_one_damaged_place(
    codec: Codec, data: st.DataObject, setting: Setting, damage: Damage
) -> None:
    wire, _ = damage.do(data.draw(streams(setting)).wire)
    compare(wire, setting, codec)


@each_codec
@law(120)
@given(st.data(), PLAIN)
def test_anything(codec: Codec, data: st.DataObject, setting: Setting) -> None:
    compare(data.draw(junk(setting)), setting, codec)


@pytest.mark.usefixtures("each_zlib")
@each_codec_and_zlib
@law(100)
@given(st.data(), SETTINGS)
def test_without_a_fault(codec: Codec, data: st.DataObject, setting: Setting) -> None:
    """Compressed messages, too, but none with a final block.

    The other library returns nothing but empty messages behind one (RFC 7692, section 7.2.3.4,
    allows them). Nor does it notice a message that ends within a block (section 7.2.1).
    """
    stream = data.draw(streams(setting, final=False))
    compare(stream.wire, setting, codec)


@pytest.mark.usefixtures("each_zlib")
@each_codec_and_zlib
@law(60)
@given(
    st.lists(st.text(max_size=30) | st.just("ab€" * 200), max_size=5),
    st.integers(9, 15),
    st.booleans(),
    st.integers(-1, 9),
    st.integers(1, 9),
    st.sampled_from(list(Role)),
)
def test_it_reads_what_we_compress(
    codec: Codec,
    texts: list[str],
    bits: int,
    no_takeover: bool,
    level: int,
    mem_level: int,
    sender: Role,
) -> None:
    deflater = Deflater(
        window_bits=bits, no_context_takeover=no_takeover, level=level, mem_level=mem_level
    )
    masked = sender is Role.CLIENT
    wire = b"".join(
        codec.build(Opcode.TEXT, deflater.compress(text.encode()), compressed=True, masked=masked)
        for text in texts
    )
    verdict = theirs(wire, Setting(sender.other, bits, no_takeover))
    assert verdict == (texts, None, "unexpected end of stream")
