"""The message layer: what is delivered is right, within the limit, and the same in any chunking.

An input is two bytes of options, a plan of chunks, and what comes over the wire.
"""

from __future__ import annotations

import itertools
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from fuzzing.chunks import PLAN_SIZE, cut
from fuzzing.frame_model import DataFrame, meaning
from fuzzing.promises import check_failure
from wsclient.errors import MessageTooBigError, ProtocolError
from wsclient.protocol.closing import (
    ClosingHandshake,
    build_close_payload,
    parse_close_payload,
)
from wsclient.protocol.deflate import Deflater, Inflater
from wsclient.protocol.frames import FrameParser, build_frame
from wsclient.protocol.messages import MessageAssembler
from wsclient.protocol.opcodes import Opcode
from wsclient.protocol.roles import Role
from wsclient.testing.frames import FrameDecoder

__all__ = ["fuzz"]

_LIMITS = (0, 1, 100, 4000)
_HEAD = 2
_TRAILER = b"\x00\x00\xff\xff"
_STORED = b"\x00\x03\x00\xfc\xffend"
"""A block that holds three bytes as they are."""
_COMPLETIONS = tuple(map(bytes.fromhex, ("", "80", "8080", "808080", "a080", "908080")))
"""One of them completes whatever UTF-8 can be completed."""
_BYTE_BY_BYTE = 300
_SENT_BACK = 20_000

_Event = str | bytes | tuple[int, bytes]
"""A message, or a control frame."""


@dataclass(frozen=True)
class _Options:
    role: Role
    compression: bool
    no_context_takeover: bool
    limit: int
    window_bits: int

    @classmethod
    def of(cls, first: int, second: int) -> _Options:
        return cls(
            Role.SERVER if first & 1 else Role.CLIENT,
            bool(first & 2),
            bool(first & 4),
            _LIMITS[first >> 3 & 3],
            8 + second % 8,
        )


def fuzz(data: bytes) -> None:
    """Feed one input.

    Raises:
        AssertionError: a message is wrong, too long or depends on the chunks.
    """
    if len(data) < _HEAD + PLAN_SIZE:
        return
    options = _Options.of(data[0], data[1])
    plan, wire = data[_HEAD : _HEAD + PLAN_SIZE], data[_HEAD + PLAN_SIZE :]
    whole = _Receiver(options)
    whole.feed([wire])
    known = itertools.islice(_model(wire, options), len(whole.events))
    assert list(known) == whole.events, "what was delivered is not what was sent"
    if whole.failure is None:
        _check_beginning(wire, options)
    plans = [plan, b""] if len(wire) <= _BYTE_BY_BYTE else [plan]
    for each in plans:
        chunked = _Receiver(options)
        chunked.feed(cut(wire, each))
        if not _is_beyond_window(chunked, whole, options):
            assert chunked.events == whole.events, "the chunks make a difference"
            _check_same(chunked.failure, whole.failure)
    _check_way_back(whole.events, options)
    _check_close(whole.events, options.role)


def _is_beyond_window(chunked: _Receiver, whole: _Receiver, options: _Options) -> bool:
    """Return whether a peer used more than the agreed window, and only some chunks show it.

    zlib finds whatever is in the output of the same call, also beyond the window. The peer
    breaks its word, but what it sent is unharmed: what is delivered is right in either case.
    """
    failures = [str(each.failure) for each in (chunked, whole) if each.failure is not None]
    if options.window_bits == 15 or not any("distance too far" in each for each in failures):
        return False
    shorter, longer = sorted((chunked.events, whole.events), key=len)
    assert longer[: len(shorter)] == shorter
    return True


def _check_same(
    chunked: ProtocolError | MessageTooBigError | None,
    whole: ProtocolError | MessageTooBigError | None,
) -> None:
    """Compare how two chunkings of one stream failed."""
    assert (chunked is None) == (whole is None), (chunked, whole)
    codes = {each.close_code for each in (chunked, whole) if each is not None}
    # Where zlib finds damage right behind the limit, it keeps back what it had before, or not.
    damaged = any("not valid DEFLATE" in str(each) for each in (chunked, whole))
    assert len(codes) <= 1 or (damaged and codes == {1007, 1009}), (chunked, whole)


def _model(wire: bytes, options: _Options) -> Iterator[_Event]:
    """Yield what a stream without faults means, with plain zlib and without any checks."""
    stream = zlib.decompressobj(-15)
    opcode, compressed, parts = 0, False, [b""]
    for frame in FrameDecoder().feed(wire):
        if frame.opcode >= Opcode.CLOSE:
            yield frame.opcode, frame.payload
            continue
        if frame.opcode != Opcode.CONTINUATION:
            opcode, compressed, parts = frame.opcode, bool(frame.rsv & 4), []
        parts.append(frame.payload)
        if not frame.fin:
            continue
        payload = b"".join(parts)
        if compressed:
            payload, stream = _inflated(payload, stream)
            if options.no_context_takeover:
                stream = zlib.decompressobj(-15)
        yield payload.decode() if opcode == Opcode.TEXT else payload


def _check_beginning(wire: bytes, options: _Options) -> None:
    """Check that a text that has begun may still become UTF-8 (RFC 6455, section 8.1)."""
    found = meaning(
        wire,
        masked=options.role is Role.SERVER,
        compression=options.compression,
        limit=options.limit,
    )
    begun: list[DataFrame] = []
    for frame in (*found.frames, *filter(None, [found.partial])):
        if frame.opcode < Opcode.CLOSE:
            begun = [*begun, frame] if frame.opcode == Opcode.CONTINUATION else [frame]
            if frame.fin and frame is not found.partial:
                begun = []
    if begun and begun[0].opcode == Opcode.TEXT and not begun[0].compressed:
        text = b"".join(frame.payload for frame in begun)
        assert any(_is_utf8(text + each) for each in _COMPLETIONS), "it should have failed"


def _is_utf8(data: bytes) -> bool:
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True


def _inflated(payload: bytes, stream: zlib._Decompress) -> tuple[bytes, zlib._Decompress]:
    """Inflate one message; return it, and the stream for the next one."""
    out: list[bytes] = []
    while payload:
        out.append(stream.decompress(payload))
        if not stream.eof:
            # They end an empty block and are no data; the next block comes out as it is.
            assert not stream.decompress(_TRAILER), "a message was cut short, and made longer"
            assert stream.copy().decompress(_STORED) == b"end", "a message was cut short"
        payload = stream.unused_data
        if stream.eof:
            stream = zlib.decompressobj(-15)
    return b"".join(out), stream


def _check_way_back(events: Iterable[_Event], options: _Options) -> None:
    """Send messages with our own compressor, and see that they arrive."""
    if not options.compression:
        return
    messages = [each for each in events if not isinstance(each, tuple)][:8]
    if sum(map(len, messages)) > _SENT_BACK:
        return
    deflater = Deflater(
        window_bits=options.window_bits, no_context_takeover=options.no_context_takeover
    )
    receiver = _Receiver(options)
    for message in messages:
        payload = message.encode() if isinstance(message, str) else message
        opcode = Opcode.TEXT if isinstance(message, str) else Opcode.BINARY
        masked = options.role is Role.SERVER
        receiver.feed(
            [build_frame(opcode, deflater.compress(payload), compressed=True, masked=masked)]
        )
    assert receiver.failure is None and receiver.events == messages


def _check_close(events: Iterable[_Event], role: Role) -> None:
    """Take payloads of control frames for those of Close frames."""
    for event in events:
        if not isinstance(event, tuple):
            continue
        payload = event[1]
        closing = ClosingHandshake(role)
        closing.opened()
        state = closing.state
        try:
            code, reason = parse_close_payload(payload, role)
        except ProtocolError as exc:
            check_failure(exc)
            try:
                closing.receive(payload)
            except ProtocolError:
                assert closing.state is state
            else:
                raise AssertionError("a bad payload was received") from None
            continue
        closing.receive(payload)
        assert (closing.received, closing.reason) == (code, reason)
        # The answer says the same as what came in.
        assert closing.answer() == payload
        assert build_close_payload(code if payload else None, reason) == payload


class _WatchedInflater(Inflater):
    """Sees to it that no more comes out than there is room for."""

    def feed(self, piece: bytes | bytearray | memoryview, limit: int | None) -> bytes:
        """Inflate a piece."""
        out = super().feed(piece, limit)
        assert limit is None or len(out) <= limit, f"{len(out)} bytes for a room of {limit}"
        return out


class _Receiver:
    """Takes down what comes of a stream."""

    def __init__(self, options: _Options) -> None:
        self.events: list[_Event] = []
        self.failure: ProtocolError | MessageTooBigError | None = None
        self._limit = options.limit
        inflater = None
        if options.compression:
            inflater = _WatchedInflater(
                window_bits=options.window_bits,
                no_context_takeover=options.no_context_takeover,
                role=options.role,
            )
        assembler = MessageAssembler(
            self._deliver,
            self._control,
            max_message_size=options.limit,
            inflater=inflater,
            role=options.role,
        )
        self._parser = FrameParser(
            self._deliver,
            assembler,
            max_message_size=options.limit,
            compression=options.compression,
            role=options.role,
        )

    def feed(self, chunks: Iterable[bytes]) -> None:
        """Feed chunks until one fails."""
        try:
            for chunk in chunks:
                self._parser.feed(chunk)
        except (ProtocolError, MessageTooBigError) as exc:
            check_failure(exc)
            self.failure = exc

    def _deliver(self, message: str | bytes) -> None:
        assert self.failure is None
        assert type(message) in (str, bytes)
        # A text that cannot be encoded would be no text.
        size = len(message.encode() if isinstance(message, str) else message)
        assert not self._limit or size <= self._limit, f"{size} bytes for {self._limit}"
        self.events.append(message)

    def _control(self, opcode: int, payload: bytes) -> None:
        self.events.append((opcode, payload))
