"""The frame codec: bytes in any chunking mean what the model says, and nothing else is raised.

That holds for its inner loops in Python and, where they are there, for the compiled ones; and for
bytes that stand in a buffer which is used again.

An input is one byte of options, a plan of chunks, and what comes over the wire.
"""

from __future__ import annotations

from collections.abc import Iterable
from types import ModuleType

from fuzzing.chunks import PLAN_SIZE, cut
from fuzzing.frame_model import DataFrame, Meaning, meaning
from fuzzing.promises import check_failure
from wsclient.errors import MessageTooBigError, ProtocolError
from wsclient.protocol import codec_pure
from wsclient.protocol.codec import codec
from wsclient.protocol.frames import FrameParser
from wsclient.protocol.opcodes import Opcode
from wsclient.protocol.roles import Role
from wsclient.testing.frames import encode_frame

__all__ = ["fuzz"]

_LIMITS = (0, 1, 125, 1000)
_KEY = b"\x12\xff\x00\xa5"
_BYTE_BY_BYTE = 200
_BUILT = 16
_TWINS: tuple[ModuleType, ...] = tuple(dict.fromkeys([codec_pure, codec]))


def fuzz(data: bytes) -> None:
    """Feed one input.

    Raises:
        AssertionError: the codec does not keep to the model, or not to itself.
    """
    if len(data) < 1 + PLAN_SIZE:
        return
    options, plan, wire = data[0], data[1 : 1 + PLAN_SIZE], data[1 + PLAN_SIZE :]
    server, compression = bool(options & 1), bool(options & 2)
    limit = _LIMITS[options >> 2 & 3]
    expected = meaning(wire, masked=server, compression=compression, limit=limit)
    failures = set()
    for twin in _TWINS:

        def receive(chunks: Iterable[bytes], twin: ModuleType = twin, **how: bool) -> None:
            receiver = _Receiver(twin, server=server, compression=compression, limit=limit)
            receiver.feed(chunks, **how)
            receiver.check(expected)
            failures.add(_key_of(receiver.failure))

        receive([wire])
        receive(cut(wire, plan), from_buffer=True)
        if len(wire) <= _BYTE_BY_BYTE:
            receive(cut(wire, b""))
        for frame in expected.frames[:_BUILT]:
            _check_building(frame, twin)
    assert len(failures) == 1, failures


def _key_of(failure: ProtocolError | MessageTooBigError | None) -> object:
    # The text may say where in the chunk the fault is.
    return failure and (type(failure), failure.section, failure.close_code)


def _check_building(frame: DataFrame, twin: ModuleType) -> None:
    """Check that `build_frame` writes what the test kit's own encoder writes."""
    for key in (None, _KEY):
        built = twin.build_frame(
            frame.opcode,
            frame.payload,
            fin=frame.fin,
            compressed=frame.compressed,
            masked=key is not None,
            masking_key=key,
        )
        rsv = 4 if frame.compressed else 0
        known = encode_frame(frame.opcode, frame.payload, fin=frame.fin, rsv=rsv, masking_key=key)
        assert built == known
    assert twin.apply_mask(twin.apply_mask(frame.payload, _KEY), _KEY) == frame.payload


class _Receiver:
    """Takes down what a parser makes of the bytes; it is the parser's sink, too."""

    def __init__(self, twin: ModuleType, *, server: bool, compression: bool, limit: int) -> None:
        self.frames: list[DataFrame] = []
        self.partial: DataFrame | None = None
        self.failure: ProtocolError | MessageTooBigError | None = None
        self._length = 0
        self._limit = limit
        self._parser = FrameParser(
            self._deliver,
            self,
            max_message_size=limit,
            compression=compression,
            role=Role.SERVER if server else Role.CLIENT,
            inner=twin,
        )

    def feed(self, chunks: Iterable[bytes], *, from_buffer: bool = False) -> None:
        """Feed chunks until one fails, and one more that must not matter then.

        Args:
            chunks: what has come.
            from_buffer: feed as a connection does: from memory that is used again, and what
                belongs to a large message right into its place.
        """
        take = self._feed_from_buffer if from_buffer else self._parser.feed
        try:
            for chunk in chunks:
                take(chunk)
        except (ProtocolError, MessageTooBigError) as exc:
            check_failure(exc)
            self.failure = exc
        if self.failure or (self.frames and self.frames[-1].opcode == Opcode.CLOSE):
            before = len(self.frames), self.partial
            self._parser.feed(b"\x81\x01a\x81\x81aaaaa\xff\xff")
            assert before == (len(self.frames), self.partial), "parsed behind the end"

    def _feed_from_buffer(self, chunk: bytes) -> None:
        room = self._parser.room
        if room is not None:
            count = min(len(room), len(chunk))
            room[:count] = chunk[:count]
            self._parser.filled(count)
            chunk = chunk[count:]
        buffer = bytearray(chunk)
        try:
            self._parser.feed(memoryview(buffer))
        finally:
            buffer[:] = bytes(len(buffer))

    def check(self, expected: Meaning) -> None:
        """Compare with what the model says."""
        assert self.frames == expected.frames, (self.frames, expected.frames)
        code = self.failure.close_code if self.failure else None
        assert code == expected.code, (self.failure, expected.code)
        if self.failure is None:
            partial = self._unfinished() or self.partial
            assert partial == expected.partial, (partial, expected.partial)

    def _unfinished(self) -> DataFrame | None:
        """Return the message that has memory of its own, as far as it has come."""
        room = self._parser.room
        if room is None:
            return None
        assert self.partial is None
        payload = memoryview(self._parser._memory)
        return DataFrame(Opcode.BINARY, True, False, bytes(payload[: len(payload) - len(room)]))

    def _deliver(self, message: str | bytes) -> None:
        assert self.partial is None
        if isinstance(message, str):
            self.frames.append(DataFrame(Opcode.TEXT, True, False, message.encode()))
        else:
            assert type(message) is bytes
            self.frames.append(DataFrame(Opcode.BINARY, True, False, message))

    # The sink.

    def begin(self, opcode: int, *, fin: bool, compressed: bool, length: int) -> None:
        """Begin a frame, and refuse one that is too long, as messages do."""
        assert self.partial is None
        if self._limit and length > self._limit:
            raise MessageTooBigError("too long", limit=self._limit)
        self._length = length
        self.partial = DataFrame(opcode, fin, compressed, b"")

    def piece(self, data: bytes) -> None:
        """Take a piece, which is never empty and never too much."""
        assert self.partial is not None and type(data) is bytes and data
        self.partial = self.partial._replace(payload=self.partial.payload + data)
        assert len(self.partial.payload) <= self._length

    def end(self) -> None:
        """End a frame, and refuse a text that is none, as messages do."""
        frame, self.partial = self.partial, None
        assert frame is not None and len(frame.payload) == self._length
        if frame.opcode == Opcode.TEXT and frame.fin and not frame.compressed:
            try:
                frame.payload.decode()
            except UnicodeDecodeError as exc:
                section = "RFC 6455, section 8.1"
                raise ProtocolError("no UTF-8", section=section, close_code=1007) from exc
        self.frames.append(frame)

    def whole(self, message: bytes) -> None:
        """Take a message that had memory of its own."""
        self._deliver(message)

    def control(self, opcode: int, payload: bytes) -> None:
        """Take a control frame, which may come between the frames of a message."""
        assert self.partial is None and type(payload) is bytes and len(payload) <= 125
        self.frames.append(DataFrame(opcode, True, False, payload))
