"""What has passed on a connection: every frame, and the messages that they make."""

from __future__ import annotations

from collections.abc import Callable
from time import perf_counter

from ...errors import MessageTooBigError, ProtocolError
from ...protocol.deflate import DeflateParameters
from ...protocol.frames import FrameParser
from ...protocol.roles import Role
from ...wire.receiver import message_parser
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
            "received": message_parser(
                self.received.append, _ignore, deflate=deflate, max_message_size=0, role=self._role
            ),
            "sent": message_parser(
                self.sent.append,
                _ignore,
                deflate=deflate,
                max_message_size=0,
                role=self._role.other,
            ),
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


def _ignore(opcode: int, payload: bytes) -> None:
    """Control frames are no messages."""
