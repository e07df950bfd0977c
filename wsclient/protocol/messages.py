"""From frames to messages: fragments, compression, UTF-8 and size limits.

The `MessageAssembler` takes what leaves `FrameParser` in pieces. It inflates and decodes
bytes as they come, so that a message that is too big or not UTF-8 fails at the first byte
that shows it (RFC 6455, section 8.1), and never more than the limit is held. A message of one
frame that comes in one piece is inflated and decoded in one step, without being collected.
"""

from __future__ import annotations

import codecs
from collections.abc import Callable
from io import BytesIO, StringIO

from ..errors import MessageTooBigError, ProtocolError
from .deflate import Inflater
from .opcodes import Opcode
from .roles import Role

__all__ = ["MessageAssembler"]

_new_decoder = codecs.getincrementaldecoder("utf-8")

_MIN_FRAGMENTS = 4096
_BYTES_PER_FRAGMENT = 16
_UNLIMITED_FRAGMENTS = 16 * 1024 * 1024


class MessageAssembler:
    """Join the pieces of messages.

    Args:
        deliver: called with each whole message: ``str`` for text, else ``bytes``.
        on_control: called with each control frame's opcode and payload.
        max_message_size: bytes after decompression; 0 is no limit. It also bounds the number
            of fragments of one message: one for each 16 bytes of the limit, 4096 at least.
        inflater: the agreed decompression, ``None`` without.
        role: which end we are; it only names the other one in errors.
    """

    __slots__ = (
        "_buffer",
        "_compressed",
        "_decoder",
        "_deliver",
        "_fin",
        "_fragments",
        "_inflater",
        "_max_fragments",
        "_max_message_size",
        "_message",
        "_on_control",
        "_opcode",
        "_peer",
        "_size",
        "_text",
        "_whole",
        "_wire_size",
    )

    def __init__(
        self,
        deliver: Callable[[str | bytes], object],
        on_control: Callable[[int, bytes], object],
        *,
        max_message_size: int,
        inflater: Inflater | None = None,
        role: Role = Role.CLIENT,
    ) -> None:
        self._deliver = deliver
        self._on_control = on_control
        self._max_message_size = max_message_size
        self._max_fragments = (
            max(_MIN_FRAGMENTS, max_message_size // _BYTES_PER_FRAGMENT)
            if max_message_size
            else _UNLIMITED_FRAGMENTS
        )
        self._inflater = inflater
        self._peer = role.peer
        self._decoder: codecs.IncrementalDecoder | None = None
        self._start(Opcode.BINARY, compressed=False)
        self._fin = True

    def _start(self, opcode: int, *, compressed: bool) -> None:
        self._opcode = opcode
        self._message: str | bytes | None = None
        self._text: StringIO | None = None
        self._buffer: BytesIO | None = None
        self._compressed = compressed
        self._whole = 0
        self._size = 0
        self._wire_size = 0
        self._fragments = 0

    def begin(self, opcode: int, *, fin: bool, compressed: bool, length: int) -> None:
        """Begin a data frame of `length` payload bytes.

        Raises:
            MessageTooBigError: the frame would make the message longer than the limit, or the
                message has too many fragments.
        """
        if opcode != Opcode.CONTINUATION:
            self._start(opcode, compressed=compressed)
            if fin:
                self._whole = length
        self._fin = fin
        self._fragments += 1
        self._wire_size += length
        if self._fragments > self._max_fragments:
            raise MessageTooBigError(
                f"The {self._peer} sent a message in more than {self._max_fragments} fragments",
                limit=self._max_fragments,
            )
        limit = self._max_message_size
        if limit and self._wire_size > limit and self._wire_size > self._wire_limit(limit):
            raise MessageTooBigError(
                f"The {self._peer} sent a message of at least {self._wire_size} bytes; "
                f"max_message_size is {limit}",
                limit=limit,
            )

    def _wire_limit(self, limit: int) -> int:
        # Deflate can make a message longer, most of all where the compressor has little memory
        # or flushes after each fragment (RFC 1951, section 3.2.4). What comes out is limited
        # byte by byte, so this bound only keeps a peer from sending empty blocks for ever.
        return 2 * limit + 8 * self._fragments + 1024 if self._compressed else limit

    def piece(self, data: bytes) -> None:
        """Take the next bytes of the payload of the frame begun last.

        Raises:
            ProtocolError: the message is not valid UTF-8 or not valid deflate data.
            MessageTooBigError: it inflates to more than the limit.
        """
        whole = len(data) == self._whole
        if self._compressed:
            data = self._inflate(data)
        if not (whole and self._take_whole(data)):
            self._write(data)

    def end(self) -> None:
        """End the frame begun last; with its last frame the message is delivered.

        Raises:
            ProtocolError: the message is not valid UTF-8 or not valid deflate data.
        """
        if not self._fin:
            return
        if self._compressed:
            assert self._inflater is not None
            self._inflater.finish()
        message = self._joined() if self._message is None else self._message
        self._message = self._text = self._buffer = None
        self._deliver(message)

    def whole(self, message: bytes) -> None:
        """Pass a whole message on."""
        self._deliver(message)

    def control(self, opcode: int, payload: bytes) -> None:
        """Pass a control frame on; it may stand between the fragments of a message."""
        self._on_control(opcode, payload)

    def _inflate(self, data: bytes) -> bytes:
        inflater = self._inflater
        assert inflater is not None
        limit = self._max_message_size
        room = limit - self._size if limit else None
        try:
            return inflater.feed(data, room)
        except (ProtocolError, MessageTooBigError):
            # The first fault counts, however the bytes were cut.
            self._write(inflater.before_error)
            raise

    def _take_whole(self, data: bytes) -> bool:
        if self._opcode != Opcode.TEXT:
            self._message = data
            return True
        try:
            self._message = data.decode()
        except UnicodeDecodeError:
            # What is wrong, and whether the compression is wrong before it, is told as it is
            # for any other message.
            return False
        return True

    def _write(self, data: bytes) -> None:
        self._size += len(data)
        if self._opcode == Opcode.TEXT:
            self._decode(data)
            return
        if self._buffer is None:
            self._buffer = BytesIO()
        self._buffer.write(data)

    def _joined(self) -> str | bytes:
        if self._opcode == Opcode.TEXT:
            self._decode(b"", final=True)
            assert self._text is not None
            return self._text.getvalue()
        return b"" if self._buffer is None else self._buffer.getvalue()

    def _decode(self, data: bytes, *, final: bool = False) -> None:
        if self._text is None:
            self._text = StringIO(newline="\n")
        # Few connections need one: most messages come whole.
        decoder = self._decoder = self._decoder or _new_decoder()
        try:
            self._text.write(decoder.decode(data, final))
            _check_surrogate(decoder)
        except UnicodeDecodeError as exc:
            raise ProtocolError(
                f"The {self._peer} sent a text message that is not UTF-8: {exc.reason}",
                section="RFC 6455, section 8.1",
                close_code=1007,
            ) from exc


def _check_surrogate(decoder: codecs.IncrementalDecoder) -> None:
    # The decoder waits for the third byte of a surrogate, but the second is wrong already.
    rest = decoder.getstate()[0]
    if len(rest) == 2 and rest[0] == 0xED and rest[1] >= 0xA0:
        raise UnicodeDecodeError("utf-8", rest, 0, 2, "invalid continuation byte")
