"""What a stream of frames means, written down once more and plainly (RFC 6455, section 5).

It knows nothing of chunks and is slow. The codec of the library has to agree with it.
"""

from __future__ import annotations

from typing import NamedTuple

from wsclient.testing.frames import FrameDecoder, frame_end

__all__ = ["DataFrame", "Meaning", "meaning"]

_CONTINUATION, _TEXT, _CLOSE = 0x0, 0x1, 0x8
_DATA = (0x0, 0x1, 0x2)
_CONTROL = (0x8, 0x9, 0xA)


class DataFrame(NamedTuple):
    """A frame as its receiver sees it, whole or as far as it has come."""

    opcode: int
    fin: bool
    compressed: bool
    payload: bytes


class Meaning(NamedTuple):
    """What a stream means.

    Attributes:
        frames: the whole ones, control frames too, up to the end or the first fault.
        partial: the data frame that the end cuts in two; ``None`` if there is none.
        code: the close code of the fault; ``None`` without one.
    """

    frames: list[DataFrame]
    partial: DataFrame | None
    code: int | None


def meaning(wire: bytes, *, masked: bool, compression: bool, limit: int) -> Meaning:
    """Return what a stream means.

    Args:
        wire: what came in.
        masked: whether frames must be masked, as a server's peer masks them.
        compression: whether RSV1 may be set.
        limit: bytes of the longest data frame, 0 for none.
    """
    frames: list[DataFrame] = []
    place = 0
    continues = False
    while len(wire) - place >= 2:
        if bool(wire[place + 1] & 0x80) != masked:
            return Meaning(frames, None, 1002)
        end = frame_end(wire, place)
        start = _payload_start(wire, place)
        if end is None or start > len(wire):
            break
        code = _fault(wire, place, end - start, continues=continues, compression=compression)
        head = wire[place]
        opcode, fin, compressed = head & 15, bool(head & 0x80), bool(head & 0x40)
        if code is None and opcode in _DATA and limit and end - start > limit:
            code = 1009
        if code is not None:
            return Meaning(frames, None, code)
        if opcode in _DATA:
            continues = not fin
        if end > len(wire):
            cut = DataFrame(opcode, fin, compressed, _payload(wire, place, len(wire)))
            return Meaning(frames, cut if opcode in _DATA else None, None)
        frame = DataFrame(opcode, fin, compressed, _payload(wire, place, end))
        if opcode == _TEXT and fin and not compressed and not _is_utf8(frame.payload):
            return Meaning(frames, None, 1007)
        frames.append(frame)
        if opcode == _CLOSE:
            break
        place = end
    return Meaning(frames, None, None)


def _payload_start(wire: bytes, place: int) -> int:
    extra = {126: 2, 127: 8}.get(wire[place + 1] & 0x7F, 0)
    return place + 2 + extra + (4 if wire[place + 1] & 0x80 else 0)


def _payload(wire: bytes, place: int, end: int) -> bytes:
    """Return the payload as far as it has come, unmasked by the test kit's own decoder."""
    size = end - _payload_start(wire, place)
    # A header that says just this much, whatever the frame's own one says.
    mask = wire[place + 1] & 0x80
    key = wire[end - size - 4 : end - size] if mask else b""
    header = bytes([wire[place], mask | 127]) + size.to_bytes(8, "big")
    (frame,) = FrameDecoder().feed(header + key + wire[end - size : end])
    return frame.payload


def _fault(
    wire: bytes, place: int, length: int, *, continues: bool, compression: bool
) -> int | None:
    """Return the close code for a header that must not be; ``None`` for a good one."""
    head, form = wire[place], wire[place + 1] & 0x7F
    opcode, fin, rsv = head & 15, bool(head & 0x80), head >> 4 & 7
    if (form == 126 and length < 126) or (form == 127 and not 65536 <= length < 1 << 63):
        return 1002
    if opcode not in _DATA + _CONTROL or rsv & 3:
        return 1002
    if rsv & 4 and not (compression and opcode in _DATA and opcode != _CONTINUATION):
        return 1002
    if opcode in _CONTROL:
        return 1002 if not fin or length > 125 else None
    return 1002 if (opcode == _CONTINUATION) != continues else None


def _is_utf8(payload: bytes) -> bool:
    try:
        payload.decode()
    except UnicodeDecodeError:
        return False
    return True
