"""Single frames as they are on the wire, right or wrong (RFC 6455, section 5.2).

Unlike the codec of the package, nothing here is checked: tests need frames that no peer should
send, and recordings hold whatever came.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Literal

from ..protocol.frames import apply_mask
from ..protocol.opcodes import Opcode

__all__ = [
    "Direction",
    "Frame",
    "FrameDecoder",
    "RecordedFrame",
    "close_frame",
    "encode_frame",
    "frame_end",
]

Direction = Literal["received", "sent"]
"""Which way a frame went, as the end that recorded it sees it."""


@dataclass(frozen=True, slots=True)
class Frame:
    """One frame, unmasked.

    Attributes:
        fin: whether it is the last one of its message.
        rsv: its three reserved bits as a number, 0..7; 4 is RSV1.
        opcode: what it carries, 0..15.
        masked: whether it was masked.
        payload: its bytes.
    """

    fin: bool
    rsv: int
    opcode: int
    masked: bool
    payload: bytes

    @property
    def close_code(self) -> int | None:
        """The code in the payload of a Close frame; ``None`` when there is none."""
        return int.from_bytes(self.payload[:2], "big") if len(self.payload) >= 2 else None

    @property
    def close_reason(self) -> str:
        """The reason in the payload of a Close frame; what is not UTF-8 is replaced."""
        return self.payload[2:].decode(errors="replace")


@dataclass(frozen=True, slots=True)
class RecordedFrame(Frame):
    """A frame in a recording.

    Attributes:
        direction: ``"received"`` or ``"sent"``, as the end that recorded it sees it.
        time: seconds since the connection was opened.
    """

    direction: Direction
    time: float


def encode_frame(
    opcode: int,
    payload: bytes = b"",
    *,
    fin: bool = True,
    rsv: int = 0,
    masking_key: bytes | None = None,
) -> bytes:
    """Encode a frame; wrong ones can be made, too.

    Args:
        opcode: 0..15.
        payload: bytes of any length, also where a control frame may have 125 only.
        fin: whether it is the last one of its message.
        rsv: the three reserved bits as a number, 0..7; 4 is RSV1.
        masking_key: 4 bytes; ``None`` leaves the frame unmasked, as a server sends it.

    Raises:
        ValueError: opcode, reserved bits or key do not fit into their fields.
    """
    if not 0 <= opcode <= 15:
        raise ValueError(f"an opcode has four bits, 0..15; {opcode} does not fit")
    if not 0 <= rsv <= 7:
        raise ValueError(f"there are three reserved bits, 0..7; {rsv} does not fit")
    if masking_key is not None and len(masking_key) != 4:
        raise ValueError(f"a masking key has 4 bytes, not {len(masking_key)}")
    size = len(payload)
    mask_bit = 0 if masking_key is None else 0x80
    head = bytes([(0x80 if fin else 0) | rsv << 4 | opcode])
    if size < 126:
        head += bytes([mask_bit | size])
    elif size < 65536:
        head += struct.pack("!BH", mask_bit | 126, size)
    else:
        head += struct.pack("!BQ", mask_bit | 127, size)
    if masking_key is None:
        return head + payload
    return head + masking_key + apply_mask(payload, masking_key)


def close_frame(code: int, reason: str = "") -> bytes:
    """Encode an unmasked Close frame, also with what may not be sent.

    Args:
        code: 0..65535.
        reason: of any length.

    Raises:
        ValueError: the code has more than 16 bits, or the reason a lone surrogate.
    """
    if not 0 <= code <= 0xFFFF:
        raise ValueError(f"a close code has two bytes, 0..65535; {code} does not fit")
    return encode_frame(Opcode.CLOSE, code.to_bytes(2, "big") + reason.encode())


class FrameDecoder:
    """Cut a stream into frames; whatever comes is a frame, valid or not."""

    __slots__ = ("_needed", "_parts", "_size")

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self._size = 0
        self._needed = 0

    @property
    def rest(self) -> bytes:
        """The bytes of a frame that is not complete."""
        return b"".join(self._parts)

    def feed(self, data: bytes) -> list[Frame]:
        """Take the next bytes, cut anywhere; return the frames that they complete."""
        # A large frame comes in many pieces: they are joined once, when all are there.
        self._parts.append(bytes(data))
        self._size += len(data)
        if self._size < self._needed:
            return []
        data = self.rest
        frames: list[Frame] = []
        position = 0
        while (end := frame_end(data, position)) is not None and end <= len(data):
            frames.append(_decode(data[position:end]))
            position = end
        self._parts = [data[position:]]
        self._size = len(data) - position
        self._needed = 0 if end is None else end - position
        return frames


def frame_end(data: bytes, position: int = 0) -> int | None:
    """Return where the frame that begins at `position` ends, as its header says.

    ``None`` while the header is not there whole.
    """
    if len(data) - position < 2:
        return None
    size = data[position + 1] & 0x7F
    extra = {126: 2, 127: 8}.get(size, 0)
    start = position + 2 + extra
    if len(data) < start:
        return None
    if extra:
        size = int.from_bytes(data[position + 2 : start], "big")
    return start + (4 if data[position + 1] & 0x80 else 0) + size


def _decode(data: bytes) -> Frame:
    masked = bool(data[1] & 0x80)
    start = 2 + {126: 2, 127: 8}.get(data[1] & 0x7F, 0)
    payload = data[start:]
    if masked:
        payload = bytes(apply_mask(payload[4:], payload[:4]))
    return Frame(bool(data[0] & 0x80), data[0] >> 4 & 7, data[0] & 15, masked, payload)
