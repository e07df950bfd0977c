"""The frame codec: bytes to whole messages, and payloads to frames (RFC 6455, section 5).

`FrameParser.feed` takes a chunk of any size. A data frame that is a whole, uncompressed
message and lies whole in the chunk leaves it in one step, through `deliver`. Everything else
(control frames, fragments, compressed frames, frames that the chunk cuts in two) goes piece
by piece to a `FrameSink`. Together with `build_frame` this is the interface that a compiled
twin can take over.

The parser checks what a single frame and the order of frames can get wrong; the sink checks
what the content of a message can get wrong.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Callable
from typing import Protocol

from ..errors import ProtocolError
from .opcodes import Opcode
from .roles import Role

__all__ = ["FrameParser", "FrameSink", "apply_mask", "build_frame"]

_TEXT_FRAME = 0x81
_BINARY_FRAME = 0x82
_FIN = 0x80
_RSV1 = 0x40
_RSV23 = 0x30
_MASKED = 0x80
_LONG_LENGTH = 0x80
_KEY_SIZE = 4
_CONTROL = 0x8
_MAX_CONTROL_PAYLOAD = 125
_OPCODES = frozenset(Opcode)

_KEY_POOL_SIZE = 4096

_TABLES_PAY_OFF = 1024
"""Payload bytes from which masking by tables is faster than by integers."""


class FrameSink(Protocol):
    """Where the parser hands over what is not a whole, plain message."""

    def begin(self, opcode: int, *, fin: bool, compressed: bool, length: int) -> None:
        """Begin a data frame of `length` payload bytes."""

    def piece(self, data: bytes) -> None:
        """Take the next bytes of the payload of the frame begun last."""

    def end(self) -> None:
        """End the frame begun last."""

    def control(self, opcode: int, payload: bytes) -> None:
        """Take a whole control frame."""


class FrameParser:
    """Parse the frames that the other end sends.

    After an error, and after a Close frame, the parser ignores all further bytes: nothing
    that follows may be processed (RFC 6455, sections 5.5.1 and 7.1.7).

    Args:
        deliver: called with each whole message, in order: ``str`` for text, else ``bytes``.
        sink: takes everything else, in order with the calls of `deliver`.
        max_message_size: bytes; a longer frame is refused by its header alone. 0 is no limit.
        compression: whether permessage-deflate was agreed, so that RSV1 may be set.
        role: which end we are: a client takes unmasked frames only, a server masked ones only.
    """

    __slots__ = (
        "_compression",
        "_deliver",
        "_ended",
        "_fragmented",
        "_key",
        "_masked",
        "_max_message_size",
        "_peer",
        "_remaining",
        "_rest",
        "_sink",
    )

    def __init__(
        self,
        deliver: Callable[[str | bytes], object],
        sink: FrameSink,
        *,
        max_message_size: int,
        compression: bool = False,
        role: Role = Role.CLIENT,
    ) -> None:
        self._deliver = deliver
        self._sink = sink
        self._max_message_size = max_message_size
        self._compression = compression
        self._peer = role.peer
        self._masked = role is Role.SERVER
        self._key = b""
        self._rest = b""
        self._remaining = 0
        self._fragmented = False
        self._ended = False

    def feed(self, data: bytes) -> None:
        """Parse the next bytes, in chunks of any size.

        Messages before a faulty frame in the same chunk are delivered before the error.

        Raises:
            ProtocolError: a frame breaks RFC 6455 or RFC 7692.
            MessageTooBigError: a message is longer than `max_message_size`.
        """
        if self._ended:
            return
        try:
            position = 0
            if self._remaining:
                position = self._feed_payload(data, 0)
            elif self._rest:
                data = self._rest + data
            self._rest = b""
            if self._masked:
                self._parse_masked(data, position)
            else:
                self._parse(data, position)
        except BaseException:
            self._ended = True
            raise

    def _parse(self, data: bytes, position: int) -> None:
        # The hot loop: it stays one function so that a message costs one deliver call.
        size = len(data)
        deliver = self._deliver
        limit = self._max_message_size
        while size - position >= 2:
            head = data[position]
            length = data[position + 1]
            start = position + 2
            if length > 125:
                if length & _MASKED:
                    raise self._wrong_masking()
                start += 2 if length == 126 else 8
                if start > size:
                    break
                length = self._long_length(data, position + 2, start)
            stop = start + length
            if stop <= size and not self._fragmented and not (limit and length > limit):
                if head == _BINARY_FRAME:
                    deliver(data[start:stop])
                    position = stop
                    continue
                if head == _TEXT_FRAME:
                    deliver(self._decode(data[start:stop]))
                    position = stop
                    continue
            position = self._parse_other(data, position, start, length)
            if self._ended:
                return
            if self._rest:
                return
        if position < size:
            self._rest = data[position:]

    def _parse_masked(self, data: bytes, position: int) -> None:
        # The loop of a server, which has no fast path: all goes to the sink.
        size = len(data)
        while size - position >= 2:
            length = data[position + 1] ^ _MASKED
            if length & _MASKED:
                raise self._wrong_masking()
            start = position + 2 + (0 if length < 126 else 2 if length == 126 else 8)
            if start + _KEY_SIZE > size:
                break
            if length > 125:
                length = self._long_length(data, position + 2, start)
            position = self._parse_other(data, position, start + _KEY_SIZE, length)
            if self._ended or self._rest:
                return
        if position < size:
            self._rest = data[position:]

    def _wrong_masking(self) -> ProtocolError:
        wrong = "frame without a mask" if self._masked else "masked frame"
        return ProtocolError(f"The {self._peer} sent a {wrong}", section="RFC 6455, section 5.1")

    def _long_length(self, data: bytes, start: int, stop: int) -> int:
        # RFC 6455, section 5.2: the minimal number of bytes must be used, and the most
        # significant bit of the 64-bit form must be 0.
        length = int.from_bytes(data[start:stop], "big")
        if stop - start == 8 and data[start] & _LONG_LENGTH:
            raise ProtocolError(
                f"The {self._peer} sent a frame length with the most significant bit set",
                section="RFC 6455, section 5.2",
            )
        if length < (126 if stop - start == 2 else 65536):
            raise ProtocolError(
                f"The {self._peer} sent length {length} in a form longer than needed",
                section="RFC 6455, section 5.2",
            )
        return length

    def _parse_other(self, data: bytes, position: int, start: int, length: int) -> int:
        """Take a frame off the fast path; return where the next one starts."""
        head = data[position]
        opcode = head & 0x0F
        self._check_head(head, opcode)
        if opcode & _CONTROL:
            return self._parse_control(data, position, start, length)
        fin = bool(head & _FIN)
        self._fragmented = not fin
        self._sink.begin(opcode, fin=fin, compressed=bool(head & _RSV1), length=length)
        self._remaining = length
        self._key = data[start - _KEY_SIZE : start] if self._masked else b""
        if length == 0:
            self._sink.end()
            return start
        return self._feed_payload(data, start)

    def _check_head(self, head: int, opcode: int) -> None:
        if opcode not in _OPCODES:
            raise ProtocolError(
                f"The {self._peer} sent a frame with reserved opcode {opcode:#x}",
                section="RFC 6455, section 5.2",
            )
        if head & _RSV23:
            raise ProtocolError(
                f"The {self._peer} sent a frame with RSV2 or RSV3 set, but no extension that "
                "defines them was agreed",
                section="RFC 6455, section 5.2",
            )
        if head & _RSV1:
            self._check_rsv1(opcode)
        if opcode == Opcode.CONTINUATION and not self._fragmented:
            raise ProtocolError(
                f"The {self._peer} sent a continuation frame, but no message to continue",
                section="RFC 6455, section 5.4",
            )
        if self._fragmented and opcode in (Opcode.TEXT, Opcode.BINARY):
            raise ProtocolError(
                f"The {self._peer} began a {Opcode(opcode).name.lower()} message inside another "
                "one",
                section="RFC 6455, section 5.4",
            )

    def _check_rsv1(self, opcode: int) -> None:
        if not self._compression:
            raise ProtocolError(
                f"The {self._peer} sent a frame with RSV1 set, but compression was not agreed",
                section="RFC 6455, section 5.2",
            )
        if opcode not in (Opcode.TEXT, Opcode.BINARY):
            raise ProtocolError(
                f"The {self._peer} set RSV1 on a {Opcode(opcode).name.lower()} frame; it belongs "
                "on the first frame of a message only",
                section="RFC 7692, section 6",
            )

    def _parse_control(self, data: bytes, position: int, start: int, length: int) -> int:
        # RFC 6455, section 5.5: not fragmented, 125 bytes at most.
        opcode = data[position] & 0x0F
        name = Opcode(opcode).name.lower()
        if not data[position] & _FIN:
            raise ProtocolError(
                f"The {self._peer} sent a fragmented {name} frame", section="RFC 6455, section 5.5"
            )
        if length > _MAX_CONTROL_PAYLOAD:
            raise ProtocolError(
                f"The {self._peer} sent a {name} frame of {length} bytes; 125 is the limit",
                section="RFC 6455, section 5.5",
            )
        stop = start + length
        if stop > len(data):
            self._rest = data[position:]
            return position
        if opcode == Opcode.CLOSE:
            self._ended = True
        payload = data[start:stop]
        if self._masked:
            payload = bytes(apply_mask(payload, data[start - _KEY_SIZE : start]))
        self._sink.control(opcode, payload)
        return stop

    def _feed_payload(self, data: bytes, start: int) -> int:
        """Hand over payload bytes of the frame begun last; return where they stop."""
        stop = start + self._remaining
        piece = data[start:stop]
        self._remaining -= len(piece)
        if piece:
            self._sink.piece(self._unmask(piece) if self._masked else piece)
        if not self._remaining:
            self._sink.end()
        return start + len(piece)

    def _unmask(self, piece: bytes) -> bytes:
        key = self._key
        # The next piece begins with the byte of the key that follows here.
        turn = len(piece) % 4
        self._key = key[turn:] + key[:turn]
        return bytes(apply_mask(piece, key))

    def _decode(self, payload: bytes) -> str:
        try:
            return payload.decode()
        except UnicodeDecodeError as exc:
            raise ProtocolError(
                f"The {self._peer} sent a text message that is not UTF-8 at byte {exc.start}",
                section="RFC 6455, section 8.1",
                close_code=1007,
            ) from exc


def build_frame(
    opcode: int,
    payload: bytes | bytearray | memoryview,
    *,
    fin: bool = True,
    compressed: bool = False,
    masked: bool = True,
    masking_key: bytes | None = None,
) -> bytes:
    """Build one frame, masked as a client sends it (RFC 6455, sections 5.2 and 5.3).

    Args:
        opcode: what the frame carries.
        payload: at most 2**63 - 1 bytes; a memoryview must be of single bytes.
        fin: whether this is the last frame of its message.
        compressed: whether to set RSV1 (RFC 7692, section 6).
        masked: ``False`` builds it as a server sends it.
        masking_key: 4 bytes; ``None`` takes a fresh key from the operating system's random
            source.

    Returns:
        header, masking key and masked payload; or header and payload.
    """
    head = opcode | (_FIN if fin else 0) | (_RSV1 if compressed else 0)
    mask_bit = _MASKED if masked else 0
    length = len(payload)
    if length < 126:
        header = bytes((head, mask_bit | length))
    elif length < 65536:
        header = bytes((head, mask_bit | 126)) + length.to_bytes(2, "big")
    else:
        header = bytes((head, mask_bit | 127)) + length.to_bytes(8, "big")
    if not masked:
        return header + payload
    key = _next_key() if masking_key is None else masking_key
    return b"".join((header, key, apply_mask(payload, key)))


def apply_mask(payload: bytes | bytearray | memoryview, key: bytes) -> bytes | bytearray:
    """Mask or unmask a payload with a 4-byte key (RFC 6455, section 5.3)."""
    length = len(payload)
    if length < _TABLES_PAY_OFF:
        # One exclusive-or of two huge integers: few steps, but slow ones.
        repeated = (key * (length // 4 + 1))[:length]
        masked = int.from_bytes(payload, "little") ^ int.from_bytes(repeated, "little")
        return masked.to_bytes(length, "little")
    # Each of the four interleaved slices has one byte of the key, and so one table.
    result = bytearray(payload)
    for offset in range(4):
        result[offset::4] = result[offset::4].translate(_exclusive_or_table(key[offset]))
    return result


@functools.cache
def _exclusive_or_table(byte: int) -> bytes:
    return bytes(value ^ byte for value in range(256))


class _KeyPool:
    """Masking keys from the operating system, fetched many at a time.

    A system call per frame would cost more than the frame (RFC 6455, section 10.3, asks for a
    strong source of entropy, not for one call each).
    """

    __slots__ = ("_keys",)

    def __init__(self) -> None:
        self._keys: list[bytes] = []

    def next(self) -> bytes:
        # pop() is atomic, so that connections in several threads never share a key.
        try:
            return self._keys.pop()
        except IndexError:
            block = os.urandom(_KEY_POOL_SIZE)
            keys = [block[i : i + 4] for i in range(0, _KEY_POOL_SIZE, 4)]
            key = keys.pop()
            self._keys = keys
            return key

    def clear(self) -> None:
        self._keys = []


_key_pool = _KeyPool()
_next_key = _key_pool.next
if hasattr(os, "register_at_fork"):
    # A forked child must not send the keys that its parent sends.
    os.register_at_fork(after_in_child=_key_pool.clear)
