"""The way in: bytes from the transport to messages in the inbox, and control frames."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable

from ..errors import MessageTooBigError, ProtocolError
from ..protocol.deflate import DeflateParameters, Inflater
from ..protocol.frames import MOST_REFUSED, READ_DIRECTLY, FrameParser
from ..protocol.messages import MessageAssembler
from ..protocol.roles import Role
from .inbox import Inbox

__all__ = ["Receiver", "message_parser"]

_BUFFER_SIZE = 256 * 1024


class _Buffer(threading.local):
    """One buffer for all connections of a thread.

    Every loop fills it and calls `buffer_updated` in one step, which takes what it needs, so that
    idle connections own no buffer.
    """

    def __init__(self) -> None:
        self.view = memoryview(bytearray(_BUFFER_SIZE))


_buffer = _Buffer()


def _clock(loop: asyncio.AbstractEventLoop) -> Callable[[], float]:
    """Return what tells the time of a loop, without asyncio's call around it."""
    plain = getattr(type(loop), "time", None) is asyncio.BaseEventLoop.time
    return time.monotonic if plain else loop.time


def message_parser(
    deliver: Callable[[str | bytes], object],
    on_control: Callable[[int, bytes], object],
    *,
    deflate: DeflateParameters | None,
    max_message_size: int,
    role: Role,
    deliver_plain: Callable[[str | bytes], object] | None = None,
) -> FrameParser:
    """Return a parser of all that one end receives.

    Args:
        deliver: called with each whole message, in order.
        on_control: called with opcode and payload of each control frame, while parsing.
        deflate: the agreed compression, ``None`` without.
        max_message_size: bytes after decompression; 0 is no limit.
        role: the end that receives.
        deliver_plain: called, instead of `deliver`, with each message that lies whole in what is
            fed, in one plain frame.
    """
    inflater = None
    if deflate is not None:
        inflater = Inflater(
            window_bits=deflate.window_bits(role.other),
            no_context_takeover=deflate.no_context_takeover(role.other),
            role=role,
        )
    assembler = MessageAssembler(
        deliver, on_control, max_message_size=max_message_size, inflater=inflater, role=role
    )
    return FrameParser(
        deliver_plain or deliver,
        assembler,
        max_message_size=max_message_size,
        compression=inflater is not None,
        role=role,
    )


class Receiver:
    """Parse what comes in.

    Attributes:
        buffer: where the transport should put what it receives: the buffer of the thread, or the
            memory of a large message.
        shared: the buffer of the thread.
        bytes_received: bytes of frames received.
        last_byte: the loop's time when the last byte came in.
        refused: the first bytes of what was no frame, once reading has stopped; empty without.

    Args:
        loop: the loop of the connection.
        inbox: takes the messages.
        on_control: called with opcode and payload of each control frame, while parsing.
        deflate: the agreed compression, ``None`` without.
        max_message_size: bytes after decompression; 0 is no limit.
        role: which end we are.
    """

    __slots__ = (
        "_directly",
        "_inbox",
        "_loop",
        "_now",
        "_parser",
        "buffer",
        "bytes_received",
        "last_byte",
        "refused",
        "shared",
    )

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        inbox: Inbox,
        on_control: Callable[[int, bytes], object],
        *,
        deflate: DeflateParameters | None,
        max_message_size: int,
        role: Role = Role.CLIENT,
    ) -> None:
        self._loop = loop
        self._now = _clock(loop)
        self._inbox = inbox
        self.buffer = self.shared = _buffer.view
        # What may be compressed is looked at in slices, and has to wait for its turn.
        self._directly = deflate is None
        self.bytes_received = 0
        self.last_byte = loop.time()
        self.refused = b""
        self._parser: FrameParser | None = message_parser(
            inbox.put,
            on_control,
            deflate=deflate,
            max_message_size=max_message_size,
            role=role,
            deliver_plain=inbox.queue.append,
        )

    @property
    def silence(self) -> float:
        """Seconds since the last byte came in."""
        return self._now() - self.last_byte

    def filled(self, count: int) -> None:
        """Take note of so many bytes in `buffer`, when that is not the shared one."""
        self.last_byte = self._now()
        self.bytes_received += count
        if self._parser is not None:
            before = len(self._inbox.queue)
            self._parser.filled(count)
            self._inbox.received += len(self._inbox.queue) - before
            self._choose_buffer()

    def feed(
        self, data: bytes | memoryview, size: int
    ) -> ProtocolError | MessageTooBigError | None:
        """Parse the first `size` bytes of `data`; return what is wrong with them, if it is."""
        self.last_byte = self._now()
        self.bytes_received += size
        parser = self._parser
        if parser is None:
            if self.refused:
                room = MOST_REFUSED - len(self.refused)
                self.refused += bytes(data[: min(size, room)])
            return None
        inbox = self._inbox
        queue = inbox.queue
        before = len(queue)
        try:
            parser.feed(data, size)
        except (ProtocolError, MessageTooBigError) as exc:
            # Its traceback has the parser, which leads back to the connection whose account
            # will have this error: a cycle would keep all of it in memory.
            return exc.with_traceback(None)
        finally:
            inbox.received += len(queue) - before
            inbox.bound += size
        if parser.room is not None:
            self._choose_buffer()
        return None

    def _choose_buffer(self) -> None:
        """Receive into the memory of a large message while much of it is to come."""
        room = None if self._parser is None else self._parser.room
        large = self._directly and room is not None and len(room) >= READ_DIRECTLY
        self.buffer = room if large and room is not None else self.shared

    def call_when_quiet(self, action: Callable[[], object], seconds: float) -> None:
        """Call `action` once nothing has come in for so many seconds; for 0 at once."""
        left = self.last_byte + seconds - self._loop.time()
        if left > 0:
            self._loop.call_later(left, self.call_when_quiet, action, seconds)
        else:
            action()

    def stop(self) -> None:
        """Ignore what comes in from now on, and let go of what it would need."""
        parser, self._parser = self._parser, None
        if parser is not None:
            # The parser itself leads back to the connection.
            self.refused = parser.refused
        self.buffer = self.shared
