"""Streams of frames, right and wrong, and what must come of them: the material of the laws.

The laws run over every codec in `CODECS`. What a codec is compared with is made by other means:
frames by the test kit's encoder, compression by zlib.
"""

from __future__ import annotations

import itertools
import os
import re
import zlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import partial
from importlib import import_module
from types import ModuleType
from typing import Any, NamedTuple, TypeVar
from unittest import TestCase

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine

from wsclient.errors import MessageTooBigError, ProtocolError
from wsclient.protocol import codec_pure
from wsclient.protocol.deflate import Inflater
from wsclient.protocol.frames import FrameParser
from wsclient.protocol.messages import MessageAssembler
from wsclient.protocol.opcodes import Opcode
from wsclient.protocol.roles import Role
from wsclient.testing.frames import encode_frame

__all__ = [
    "CODECS",
    "DAMAGES",
    "SETTINGS",
    "SIZES",
    "TWINS",
    "ZLIBS",
    "Codec",
    "Damage",
    "Fault",
    "Outcome",
    "Setting",
    "Stream",
    "cut",
    "each_codec",
    "each_codec_and_zlib",
    "fault_of",
    "junk",
    "law",
    "law_of",
    "messages_in",
    "receive",
    "receive_in_one_way",
    "singly",
    "streams",
    "zlib_id",
]

_MORE = int(os.environ.get("WSCLIENT_EXAMPLES", "1"))

_LONGER = pytest.mark.timeout(60 * _MORE)

Test = TypeVar("Test", bound=Callable[..., None])


def _examples(count: int) -> settings:
    """Return the settings of a law: so many examples, times WSCLIENT_EXAMPLES.

    Args:
        count: examples where the variable is not set.
    """
    # A busy machine may be slow at anything, and says nothing about the law.
    return settings(
        max_examples=count * _MORE,
        deadline=None,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    )


def law(count: int) -> Callable[[Test], Test]:
    """Return a decorator for a law: so many examples, and time for them.

    Args:
        count: examples where WSCLIENT_EXAMPLES is not set.
    """
    return lambda test: _LONGER(_examples(count)(test))


def law_of(machine: type[RuleBasedStateMachine], count: int, *, steps: int) -> type[TestCase]:
    """Return the test of a state machine.

    Args:
        machine: the machine.
        count: examples where WSCLIENT_EXAMPLES is not set.
        steps: of one example, at most.
    """
    case = machine.TestCase
    case.settings = settings(_examples(count), stateful_step_count=steps)
    return _LONGER(case)


class Codec(NamedTuple):
    """One implementation of the frame codec.

    Attributes:
        name: what to call it in a report.
        parser: makes a parser, as `wsclient.protocol.frames.FrameParser` does.
        build: builds a frame, as `wsclient.protocol.frames.build_frame` does.
        from_buffer: makes a parser that is fed as a connection does it.
    """

    name: str
    parser: Callable[..., FrameParser]
    build: Callable[..., bytes]
    from_buffer: Callable[..., FrameParser]


class _FromBuffer(FrameParser):
    """A parser that is fed as a connection does it.

    What has come stands in memory that is used again; what belongs to a large message is put
    where the message will be.
    """

    def feed(self, data: bytes | memoryview, size: int | None = None) -> None:
        """Feed, with something behind it that does not count, and overwrite what was fed."""
        left = len(data) if size is None else size
        buffer = bytearray(data[:left]) + b"\x82\x01?"
        view = memoryview(buffer)
        while self.room is not None and left:
            count = min(len(self.room), left)
            self.room[:count] = view[:count]
            self.filled(count)
            view = view[count:]
            left -= count
        try:
            super().feed(view, left)
        finally:
            buffer[:] = b"\xa5" * len(buffer)


def _codec(inner: ModuleType) -> Codec:
    return Codec(
        inner.NAME,
        partial(FrameParser, inner=inner),
        inner.build_frame,
        partial(_FromBuffer, inner=inner),
    )


TWINS: list[ModuleType] = [codec_pure]
"""The inner loops in Python, and compiled where they are."""

try:
    TWINS.append(import_module("wsclient.protocol._codec"))
except ImportError:
    pass

CODECS = [_codec(twin) for twin in TWINS]
"""Every codec there is; each law of the codec runs with each."""

each_codec = pytest.mark.parametrize("codec", CODECS, ids=lambda codec: codec.name)

ZLIBS: list[ModuleType] = [zlib]
"""What may compress: zlib, and zlib-ng where it is installed."""

try:
    ZLIBS.append(import_module("zlib_ng.zlib_ng"))
except ImportError:
    pass


def zlib_id(module: ModuleType) -> str:
    """Return the short name of one of `ZLIBS`."""
    return module.__name__.rpartition(".")[2]


def _pairs() -> list[tuple[Codec, ModuleType]]:
    """Put each codec and each zlib together with one of the others, in the long form with all.

    The codec hands over payloads, and what inflates them knows nothing of frames. The compiled
    codec is with zlib: on the sanitizers zlib-ng is left out.
    """
    if _MORE > 1:
        return list(itertools.product(CODECS, ZLIBS))
    longer = max(len(CODECS), len(ZLIBS))
    pairs = zip(itertools.cycle(CODECS), itertools.cycle(reversed(ZLIBS)), strict=False)
    return list(itertools.islice(pairs, longer))


_PAIRS = _pairs()

each_codec_and_zlib = pytest.mark.parametrize(
    ("codec", "each_zlib"),
    _PAIRS,
    indirect=["each_zlib"],
    ids=[f"{codec.name}-{zlib_id(each)}" for codec, each in _PAIRS],
)
"""For laws of compressed messages; with the fixture ``each_zlib``."""

Event = str | bytes | tuple[int, bytes]
"""A message; or a control frame, as its opcode and payload."""


@dataclass(frozen=True)
class Setting:
    """What two ends agreed on.

    Attributes:
        role: the end that receives.
        window_bits: of the end that sends; ``None`` without compression.
        no_context_takeover: whether it compresses each message on its own.
        limit: ``max_message_size`` of the end that receives, in bytes; 0 is none.
    """

    role: Role = Role.CLIENT
    window_bits: int | None = None
    no_context_takeover: bool = False
    limit: int = 0


class Fault(NamedTuple):
    """What was wrong with a stream.

    Attributes:
        kind: class of the error.
        close_code: that the error asks for.
        section: the rule; empty where a compressed message is the fault and `text` is.
        text: what it says, without the place in a text where UTF-8 ends: a text that comes whole
            is decoded whole, and its error knows the byte. Empty for what a compressed message
            may hold: of data that is neither UTF-8 nor DEFLATE, zlib hands out nothing of a chunk
            that has a fault of the second kind, so that this one is seen first.
        limit: of a message that is too big, else ``None``.
    """

    kind: type[Exception]
    close_code: int
    section: str
    text: str
    limit: int | None


Outcome = tuple[list[Event], Fault | None]


def fault_of(error: ProtocolError | MessageTooBigError, *, compression: bool = False) -> Fault:
    """Return what there is to compare about an error.

    Args:
        error: the error.
        compression: whether messages may be compressed.
    """
    section = error.section
    text = re.sub(r"(not UTF-8).*", r"\1", str(error))
    if compression and error.close_code == 1007:
        section = text = ""
    limit = getattr(error, "limit", None)
    return Fault(type(error), error.close_code, section, text, limit)


def messages_in(events: Iterable[Event]) -> list[str | bytes]:
    """Return the messages, without the control frames."""
    return [event for event in events if not isinstance(event, tuple)]


def receive(chunks: Iterable[bytes], setting: Setting, codec: Codec = CODECS[0]) -> Outcome:
    """Return what one end sees, and the first fault; bytes behind the fault are fed, too."""
    events: list[Event] = []
    inflater = None
    if setting.window_bits is not None:
        inflater = Inflater(
            window_bits=setting.window_bits,
            no_context_takeover=setting.no_context_takeover,
            role=setting.role,
        )
    assembler = MessageAssembler(
        events.append,
        lambda opcode, payload: events.append((int(opcode), payload)),
        max_message_size=setting.limit,
        inflater=inflater,
        role=setting.role,
    )
    parser = codec.parser(
        events.append,
        assembler,
        max_message_size=setting.limit,
        compression=inflater is not None,
        role=setting.role,
    )
    fault = None
    for chunk in chunks:
        try:
            parser.feed(chunk)
        except (ProtocolError, MessageTooBigError) as error:
            assert fault is None, "only one fault is raised"
            fault = fault_of(error, compression=inflater is not None)
    return events, fault


def receive_in_one_way(
    wire: bytes, sizes: list[int], setting: Setting, codec: Codec = CODECS[0]
) -> Outcome:
    """Receive a stream whole, in chunks and byte by byte; all must come to the same.

    The chunks are read from a buffer, the rest is fed as it is.
    """
    whole = receive([wire], setting, codec)
    from_buffer = codec._replace(parser=codec.from_buffer)
    for each in (
        receive(cut(wire, sizes), setting, from_buffer),
        receive(singly(wire), setting, codec),
    ):
        assert each == whole or _may_be_either(each, whole, setting)
    return whole


def _may_be_either(first: Outcome, second: Outcome, setting: Setting) -> bool:
    """Tell whether a compressed message was wrong for one, and too big for the other.

    Where it is both, this depends on how much of it zlib has seen before what is wrong.
    """
    codes = {outcome[1] and outcome[1].close_code for outcome in (first, second)}
    return setting.window_bits is not None and codes == {1007, 1009} and first[0] == second[0]


def cut(wire: bytes, sizes: list[int]) -> list[bytes]:
    """Cut into chunks of these sizes, over and over; empty ones may be among them."""
    chunks: list[bytes] = []
    position = 0
    while position < len(wire):
        size = sizes[len(chunks) % len(sizes)]
        chunks.append(wire[position : position + size])
        position += size
    return chunks


def singly(wire: bytes) -> list[bytes]:
    """Cut into single bytes."""
    return [wire[i : i + 1] for i in range(len(wire))]


SIZES = st.tuples(st.lists(st.integers(0, 40), max_size=5), st.integers(1, 40)).map(
    lambda drawn: [*drawn[0], drawn[1]]
)
"""Sizes of chunks, one of them above 0 at least."""

_BITS = st.sampled_from([None, None, 8, 9, 12, 15])

SETTINGS = st.builds(
    Setting,
    role=st.sampled_from(list(Role)),
    window_bits=_BITS,
    no_context_takeover=st.booleans(),
)
"""Every kind of receiver, without a limit."""


@dataclass
class Stream:
    """Bytes on the wire and what they mean.

    Attributes:
        wire: the bytes.
        events: what a receiver sees, in order.
        ends: for each event, how many bytes must have come until it is seen.
    """

    wire: bytes = b""
    events: list[Event] = field(default_factory=list)
    ends: list[int] = field(default_factory=list)

    def note(self, event: Event) -> None:
        """Note what the last byte completes."""
        self.events.append(event)
        self.ends.append(len(self.wire))

    def seen_by(self, position: int) -> list[Event]:
        """Return what is seen once `position` bytes have come."""
        return [e for e, end in zip(self.events, self.ends, strict=True) if end <= position]


_PAYLOADS = st.one_of(
    st.text(max_size=12),
    st.binary(max_size=12),
    # The edge of the length encodings, with something to compress and characters of many bytes.
    st.sampled_from(["a€" * 31, "\U0001f600b" * 25 + "c", b"ab" * 63, b"\x00" * 127, "", b""]),
)
_CONTROLS = st.lists(
    st.tuples(
        st.sampled_from([int(Opcode.PING), int(Opcode.PONG)]),
        st.binary(max_size=5) | st.just(b"p" * 125),
    ),
    max_size=1,
)
_MODES = ["plain", "sync", "full", "stored", "final"]


def _messages(modes: list[str]) -> st.SearchStrategy[list[Any]]:
    message = st.tuples(
        _PAYLOADS,
        st.sampled_from(modes),
        st.lists(st.integers(0, 60), max_size=3),
        st.lists(_CONTROLS, min_size=4, max_size=4),
    )
    return st.lists(message, max_size=4)


_MESSAGES = {True: _messages(_MODES), False: _messages(_MODES[:-1])}
_CLOSES = st.tuples(
    st.none() | st.sampled_from([1000, 1001, 1014, 3000, 4999]),
    st.text(max_size=8) | st.just("é" * 61),
)
_KEYS = st.sampled_from([b"\0\0\0\0", b"\x81\x00\xff\x7e", b"\x12\x34\x56\x78"])


class _Builder:
    """Write a stream, as the other end of `setting` may send it."""

    def __init__(self, setting: Setting, key: bytes) -> None:
        self._setting = setting
        self._key = key if setting.role is Role.SERVER else None
        self._compressor: zlib._Compress | None = None
        self.stream = Stream()

    def control(self, opcode: int, payload: bytes) -> None:
        self._frame(opcode, payload)
        self.stream.note((opcode, payload))

    def message(
        self,
        message: str | bytes,
        mode: str,
        cuts: list[int],
        controls: list[list[tuple[int, bytes]]],
    ) -> None:
        payload = message.encode() if isinstance(message, str) else message
        compressed = mode != "plain" and self._setting.window_bits is not None
        if compressed:
            payload = self._compress(payload, mode)
        edges = sorted({0, *(min(each, len(payload)) for each in cuts), len(payload)})
        fragments = [payload[a:b] for a, b in itertools.pairwise(edges)] or [b""]
        opcode = Opcode.TEXT if isinstance(message, str) else Opcode.BINARY
        for number, fragment in enumerate(fragments):
            for control in controls[number % len(controls)]:
                self.control(*control)
            self._frame(
                Opcode.CONTINUATION if number else opcode,
                fragment,
                fin=number == len(fragments) - 1,
                rsv=4 if compressed and not number else 0,
            )
        self.stream.note(message)

    def _frame(self, opcode: int, payload: bytes, *, fin: bool = True, rsv: int = 0) -> None:
        self.stream.wire += encode_frame(opcode, payload, fin=fin, rsv=rsv, masking_key=self._key)

    def _compress(self, payload: bytes, mode: str) -> bytes:
        if not payload:
            return b"\x00"  # RFC 7692, section 7.2.3.6
        compressor, self._compressor = self._compressor, None
        if compressor is None or self._setting.no_context_takeover:
            level = 0 if mode == "stored" else 6
            # Of 8 bits zlib has no raw compressor; its 9 bits never refer back beyond them.
            bits = max(self._setting.window_bits or 15, 9)
            compressor = zlib.compressobj(level, zlib.DEFLATED, -bits)
        data = compressor.compress(payload)
        if mode == "final":
            # RFC 7692, section 7.2.3.4; what follows starts afresh.
            return data + compressor.flush(zlib.Z_FINISH) + b"\x00"
        self._compressor = compressor
        flush = zlib.Z_FULL_FLUSH if mode == "full" else zlib.Z_SYNC_FLUSH
        return (data + compressor.flush(flush))[:-4]


@st.composite
def streams(draw: st.DrawFn, setting: Setting, *, final: bool = True) -> Stream:
    """Draw a stream without a fault.

    Args:
        draw: of hypothesis.
        setting: what the ends agreed on; the limit counts for nothing here.
        final: whether compressed messages may end with a final block.
    """
    builder = _Builder(setting, draw(_KEYS))
    for message in draw(_MESSAGES[final]):
        builder.message(*message)
    if draw(st.booleans()):
        code, reason = draw(_CLOSES)
        payload = b"" if code is None else code.to_bytes(2, "big") + reason.encode()
        builder.control(int(Opcode.CLOSE), payload)
        builder.stream.wire += draw(st.binary(max_size=4))
    return builder.stream


class Damage(NamedTuple):
    """A change of one place of a stream.

    Attributes:
        kind: ``"bit"``, ``"byte"``, ``"lost"`` or ``"new"``.
        place: where, as a part of the whole, 0..65535.
        value: the new byte, or the bit.
    """

    kind: str
    place: int
    value: int

    def do(self, wire: bytes) -> tuple[bytes, int]:
        """Return the damaged bytes, and how many at their beginning are as before."""
        position = self.place * max(len(wire), 1) >> 16
        old = wire[position : position + 1]
        if self.kind == "bit" and old:
            new = bytes([old[0] ^ 1 << self.value % 8])
        elif self.kind == "lost":
            new = b""
        elif self.kind == "new":
            new = bytes([self.value]) + old
        else:
            new = bytes([self.value])
        return wire[:position] + new + wire[position + 1 :], position


DAMAGES = st.builds(
    Damage,
    st.sampled_from(["bit", "bit", "byte", "lost", "new"]),
    st.integers(0, 0xFFFF),
    st.integers(0, 255),
)
"""One bit flipped, one byte changed, lost or put in between."""


def junk(setting: Setting) -> st.SearchStrategy[bytes]:
    """Return a strategy of bytes of any kind; many of them look like frames."""
    keys = [b"\0\0\0\0", b"\x81\x00\xff\x7e"] if setting.role is Role.SERVER else [None]
    frames: st.SearchStrategy[bytes] = st.builds(
        encode_frame,
        st.sampled_from([0, 0, 0, 1, 1, 1, 1, 2, 2, 8, 9, 10, 3]),
        st.binary(max_size=8)
        | st.text(max_size=4).map(str.encode)
        | st.sampled_from([b"x" * 126, b"\x03\xe8", b"\x03\xed", b"\xe2\x82", b"\xcb\x48\x04\0"]),
        fin=st.sampled_from([True, True, True, False]),
        rsv=st.sampled_from([0] * 8 + [4, 4, 4, 1]),
        masking_key=st.sampled_from(keys),
    )
    return st.lists(frames | st.binary(min_size=1, max_size=4), max_size=6).map(_joined)


def _joined(parts: list[Any]) -> bytes:
    return b"".join(parts)
