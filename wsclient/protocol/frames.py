"""From bytes to frames, and what is wrong with them (RFC 6455, section 5).

`FrameParser.feed` takes a chunk of any size. Messages that lie whole in it, each in one plain
frame, leave it in the loop of `codec.take_messages`, which may be compiled. Everything else
(control frames, fragments, compressed frames, frames that the chunk cuts in two) is taken frame
by frame, here, and goes piece by piece to a `FrameSink`.

The parser checks what a single frame and the order of frames can get wrong; the sink checks
what the content of a message can get wrong.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import ModuleType
from typing import Any, Final, Protocol

from ..errors import ProtocolError
from .codec import apply_mask, build_frame, codec
from .opcodes import Opcode
from .roles import Role

__all__ = [
    "MOST_REFUSED",
    "READ_DIRECTLY",
    "FrameParser",
    "FrameSink",
    "apply_mask",
    "build_frame",
]

_BINARY_FRAME: Final = 0x82
_FIN: Final = 0x80
_RSV1: Final = 0x40
_RSV23: Final = 0x30
_MASKED: Final = 0x80
_LONG_LENGTH: Final = 0x80
_KEY_SIZE: Final = 4
_CONTROL: Final = 0x8
_MAX_CONTROL_PAYLOAD: Final = 125
_OPCODES: Final = frozenset(Opcode)

MOST_REFUSED: Final = 256
"""Bytes that are kept of what cannot be a frame."""

READ_DIRECTLY: Final = 64 * 1024
"""Bytes still to come of a message from which a read into its own memory is worth it.

With less, a read that also takes what stands behind the message saves a system call.
"""

_LARGEST_AT_ONCE: Final = 256 * 1024 * 1024
"""Bytes of the largest message that gets all its memory on the word of its header."""


class FrameSink(Protocol):
    """Where the parser hands over what is not a whole, plain message."""

    def begin(self, opcode: int, *, fin: bool, compressed: bool, length: int) -> None:
        """Begin a data frame of `length` payload bytes."""

    def piece(self, data: bytes) -> None:
        """Take the next bytes of the payload of the frame begun last."""

    def end(self) -> None:
        """End the frame begun last."""

    def whole(self, message: bytes) -> None:
        """Take a whole binary message, which was too large for one chunk."""

    def control(self, opcode: int, payload: bytes) -> None:
        """Take a whole control frame."""


class FrameParser:
    """Parse the frames that the other end sends.

    After an error, and after a Close frame, the parser ignores all further bytes: nothing
    that follows may be processed (RFC 6455, sections 5.5.1 and 7.1.7).

    Attributes:
        refused: the first bytes of what cannot be a frame by its first byte, 256 at most.
        room: where the next bytes may be received directly, which `filled` is then told; ``None``
            while nothing large is underway. It changes with each call.

    Args:
        deliver: called with each message that lies whole in a chunk, in order: ``str`` for text,
            else ``bytes``.
        sink: takes everything else, in order with the calls of `deliver`.
        max_message_size: bytes; a longer frame is refused by its header alone. 0 is no limit.
        compression: whether permessage-deflate was agreed, so that RSV1 may be set.
        role: which end we are: a client takes unmasked frames only, a server masked ones only.
        inner: the inner loops, `codec_pure` or its compiled twin.
    """

    __slots__ = (
        "_compression",
        "_deliver",
        "_ended",
        "_fragmented",
        "_key",
        "_limit",
        "_make_memory",
        "_masked",
        "_memory",
        "_peer",
        "_plain",
        "_remaining",
        "_rest",
        "_sink",
        "_take",
        "refused",
        "room",
    )

    def __init__(
        self,
        deliver: Callable[[str | bytes], object],
        sink: FrameSink,
        *,
        max_message_size: int,
        compression: bool = False,
        role: Role = Role.CLIENT,
        inner: ModuleType = codec,
    ) -> None:
        self._deliver = deliver
        self._sink = sink
        # The compiled loop counts in the machine's numbers.
        self._limit = min(max_message_size or sys.maxsize, sys.maxsize)
        self._compression = compression
        self._peer = role.peer
        self._masked = role is Role.SERVER
        self._take = inner.take_messages
        self._make_memory = inner.MessageMemory
        self._memory: Any = None
        self.room: memoryview | None = None
        self.refused = b""
        self._key = b""
        self._rest = b""
        self._remaining = 0
        self._fragmented = False
        self._ended = False
        self._plain = not self._masked

    def feed(self, data: bytes | memoryview, size: int | None = None) -> None:
        """Parse the next bytes, in chunks of any size.

        Messages before a faulty frame in the same chunk are delivered before the error.

        Args:
            data: is not needed any more afterwards.
            size: how many bytes of it count, from the start; ``None`` if all do.

        Raises:
            ProtocolError: a frame breaks RFC 6455 or RFC 7692.
            MessageTooBigError: a message is longer than `max_message_size`.
        """
        if size is None:
            size = len(data)
        try:
            position = 0
            if self._plain:
                position = self._take(data, 0, self._limit, self._deliver, size)
                if position == size:
                    return
            self._feed_all_kinds(data[:size], position)
        except UnicodeDecodeError as exc:
            self._ended, self._plain = True, False
            raise self._not_utf8(exc) from exc
        except BaseException:
            self._ended, self._plain = True, False
            raise

    def filled(self, count: int) -> None:
        """Take note of so many bytes received into `room`."""
        assert self.room is not None
        self._remaining -= count
        self.room = self.room[count:]
        self._plain = not self._remaining
        self._end_piece()

    def _feed_all_kinds(self, data: bytes | memoryview, position: int) -> None:
        if self._ended:
            if self.refused:
                self.refused += bytes(data[: MOST_REFUSED - len(self.refused)])
            return
        if self._make_memory is None:
            data = bytes(data)  # Which the loops in Python would do for each frame.
        if self._remaining:
            position = self._feed_payload(data, position)
        elif self._rest:
            data = self._rest + data
        self._rest = b""
        if self._masked:
            self._parse_masked(data, position)
            return
        self._parse(data, position)
        self._plain = not (self._ended or self._remaining or self._rest or self._fragmented)

    def _parse(self, data: bytes | memoryview, position: int) -> None:
        size = len(data)
        while not self._ended:
            if not self._fragmented:
                position = self._take(data, position, self._limit, self._deliver)
            if size - position < 2:
                break
            length = data[position + 1]
            start = position + 2
            if length > 125:
                if length & _MASKED:
                    raise self._wrong_masking()
                start += 2 if length == 126 else 8
                if start > size:
                    break
                length = self._long_length(data, position + 2, start)
            position = self._parse_other(data, position, start, length)
            if self._rest:
                return
        if position < size:
            self._rest = bytes(data[position:])

    def _parse_masked(self, data: bytes | memoryview, position: int) -> None:
        # The loop of a server, which has no fast path: all goes to the sink.
        size = len(data)
        while size - position >= 2 and not self._ended:
            length = data[position + 1] ^ _MASKED
            if length & _MASKED:
                raise self._wrong_masking()
            start = position + 2 + (0 if length < 126 else 2 if length == 126 else 8)
            if start + _KEY_SIZE > size:
                break
            if length > 125:
                length = self._long_length(data, position + 2, start)
            position = self._parse_other(data, position, start + _KEY_SIZE, length)
            if self._rest:
                return
        if position < size:
            self._rest = bytes(data[position:])

    def _wrong_masking(self) -> ProtocolError:
        wrong = "frame without a mask" if self._masked else "masked frame"
        return ProtocolError(f"The {self._peer} sent a {wrong}", section="RFC 6455, section 5.1")

    def _long_length(self, data: bytes | memoryview, start: int, stop: int) -> int:
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

    def _parse_other(
        self, data: bytes | memoryview, position: int, start: int, length: int
    ) -> int:
        """Take a frame of any kind; return where the next one starts."""
        head = data[position]
        opcode = head & 0x0F
        try:
            self._check_head(head, opcode)
        except ProtocolError:
            self.refused = bytes(data[position : position + MOST_REFUSED])
            raise
        if opcode & _CONTROL:
            return self._parse_control(data, position, start, length)
        self._remaining = length
        if head == _BINARY_FRAME and not self._masked and self._may_have_memory(length):
            self._memory = self._make_memory(length)
            self.room = memoryview(self._memory)
            return self._feed_payload(data, start)
        fin = bool(head & _FIN)
        self._fragmented = not fin
        self._sink.begin(opcode, fin=fin, compressed=bool(head & _RSV1), length=length)
        self._key = bytes(data[start - _KEY_SIZE : start]) if self._masked else b""
        if length == 0:
            self._sink.end()
            return start
        return self._feed_payload(data, start)

    def _may_have_memory(self, length: int) -> bool:
        most = min(self._limit, _LARGEST_AT_ONCE)
        return self._make_memory is not None and 2 <= length <= most

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
                f"The {self._peer} began a {_name(opcode)} message inside another one",
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
                f"The {self._peer} set RSV1 on a {_name(opcode)} frame; it belongs "
                "on the first frame of a message only",
                section="RFC 7692, section 6",
            )

    def _parse_control(
        self, data: bytes | memoryview, position: int, start: int, length: int
    ) -> int:
        # RFC 6455, section 5.5: not fragmented, 125 bytes at most.
        opcode = data[position] & 0x0F
        if not data[position] & _FIN:
            raise ProtocolError(
                f"The {self._peer} sent a fragmented {_name(opcode)} frame",
                section="RFC 6455, section 5.5",
            )
        if length > _MAX_CONTROL_PAYLOAD:
            raise ProtocolError(
                f"The {self._peer} sent a {_name(opcode)} frame of {length} bytes; "
                "125 is the limit",
                section="RFC 6455, section 5.5",
            )
        stop = start + length
        if stop > len(data):
            self._rest = bytes(data[position:])
            return position
        if opcode == Opcode.CLOSE:
            self._ended = True
        payload = bytes(data[start:stop])
        if self._masked:
            payload = apply_mask(payload, bytes(data[start - _KEY_SIZE : start]))
        self._sink.control(opcode, payload)
        return stop

    def _feed_payload(self, data: bytes | memoryview, start: int) -> int:
        """Take payload bytes of the frame begun last; return where they stop."""
        piece = data[start : start + self._remaining]
        count = len(piece)
        self._remaining -= count
        if self.room is not None:
            self.room[:count] = piece
            self.room = self.room[count:]
        elif count:
            piece = bytes(piece)
            self._sink.piece(self._unmask(piece) if self._masked else piece)
        self._end_piece()
        return start + count

    def _end_piece(self) -> None:
        if self._remaining:
            return
        if self._memory is None:
            self._sink.end()
            return
        memory, self._memory, self.room = self._memory, None, None
        self._sink.whole(memory.finish())

    def _unmask(self, piece: bytes) -> bytes:
        key = self._key
        # The next piece begins with the byte of the key that follows here.
        turn = len(piece) % 4
        self._key = key[turn:] + key[:turn]
        return apply_mask(piece, key)

    def _not_utf8(self, exc: UnicodeDecodeError) -> ProtocolError:
        return ProtocolError(
            f"The {self._peer} sent a text message that is not UTF-8 at byte {exc.start}",
            section="RFC 6455, section 8.1",
            close_code=1007,
        )


def _name(opcode: int) -> str:
    """Return what errors call a frame."""
    return Opcode(opcode).name.lower()
