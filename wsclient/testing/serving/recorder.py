"""What has passed on a connection: every frame, and the messages that they make."""

from __future__ import annotations

from collections.abc import Callable
from time import perf_counter

from ...errors import MessageTooBigError, ProtocolError
from ...protocol.deflate import DeflateParameters, Inflater
from ...protocol.frames import FrameParser
from ...protocol.messages import MessageAssembler
from ...protocol.roles import Role
from ..frames import Direction, FrameDecoder, RecordedFrame

__all__ = ["FrameRecorder"]


class FrameRecorder:
    """Take notes of all bytes of a connection.

    Frames are kept as they are, wrong ones too. Messages are joined and inflated until a frame
    makes no sense.

    Attributes:
        frames: every frame, in order.
        received: the messages received.
        sent: the messages sent.

    Args:
        role: the end that takes notes.
        on_change: called after each note.
    """

    def __init__(self, role: Role, on_change: Callable[[], object]) -> None:
        self.frames: list[RecordedFrame] = []
        self.received: list[str | bytes] = []
        self.sent: list[str | bytes] = []
        self._role = role
        self._on_change = on_change
        self._begun = perf_counter()
        self._decoders: dict[Direction, FrameDecoder] = {
            "received": FrameDecoder(),
            "sent": FrameDecoder(),
        }
        self._parsers: dict[Direction, FrameParser] = {}

    def begin(self, deflate: DeflateParameters | None) -> None:
        """Note that the connection is open, and what compression was agreed."""
        self._begun = perf_counter()
        self._parsers = {
            "received": _message_parser(self.received, self._role, deflate),
            "sent": _message_parser(self.sent, self._role.other, deflate),
        }

    def __call__(self, direction: Direction, data: bytes) -> None:
        """Take bytes of frames, cut anywhere."""
        time = perf_counter() - self._begun
        for frame in self._decoders[direction].feed(data):
            self.frames.append(
                RecordedFrame(
                    frame.fin,
                    frame.rsv,
                    frame.opcode,
                    frame.masked,
                    frame.payload,
                    direction,
                    time,
                )
            )
        try:
            self._parsers[direction].feed(bytes(data))
        except (ProtocolError, MessageTooBigError):
            pass  # A faulty frame is a frame, but no message; the wire deals with it.
        self._on_change()


def _message_parser(
    messages: list[str | bytes], reader: Role, deflate: DeflateParameters | None
) -> FrameParser:
    """Return a parser that appends what `reader` would receive."""
    inflater = None
    if deflate is not None:
        inflater = Inflater(
            window_bits=deflate.window_bits(reader.other),
            no_context_takeover=deflate.no_context_takeover(reader.other),
            role=reader,
        )
    assembler = MessageAssembler(
        messages.append, _ignore, max_message_size=0, inflater=inflater, role=reader
    )
    return FrameParser(
        messages.append,
        assembler,
        max_message_size=0,
        compression=deflate is not None,
        role=reader,
    )


def _ignore(opcode: int, payload: bytes) -> None:
    """Control frames are no messages."""
