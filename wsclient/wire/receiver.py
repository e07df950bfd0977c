"""The way in: bytes from the transport to messages in the inbox, and control frames."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable

from ..errors import MessageTooBigError, ProtocolError
from ..protocol.deflate import DeflateParameters, Inflater
from ..protocol.frames import FrameParser
from ..protocol.messages import MessageAssembler
from ..protocol.roles import Role
from .inbox import Inbox

__all__ = ["Receiver", "message_parser"]

_BUFFER_SIZE = 256 * 1024


class _Buffer(threading.local):
    """One buffer for all connections of a thread.

    Every loop fills it and calls `buffer_updated` in one step, which copies what it needs, so
    that idle connections own no buffer.
    """

    def __init__(self) -> None:
        self.view = memoryview(bytearray(_BUFFER_SIZE))


_buffer = _Buffer()


def message_parser(
    deliver: Callable[[str | bytes], object],
    on_control: Callable[[int, bytes], object],
    *,
    deflate: DeflateParameters | None,
    max_message_size: int,
    role: Role,
) -> FrameParser:
    """Return a parser of all that one end receives.

    Args:
        deliver: called with each whole message, in order.
        on_control: called with opcode and payload of each control frame, while parsing.
        deflate: the agreed compression, ``None`` without.
        max_message_size: bytes after decompression; 0 is no limit.
        role: the end that receives.
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
        deliver,
        assembler,
        max_message_size=max_message_size,
        compression=inflater is not None,
        role=role,
    )


class Receiver:
    """Parse what comes in.

    Attributes:
        buffer: where the transport may put what it receives.
        bytes_received: bytes of frames received.
        last_byte: the loop's time when the last byte came in.

    Args:
        loop: the loop of the connection.
        inbox: takes the messages.
        on_control: called with opcode and payload of each control frame, while parsing.
        deflate: the agreed compression, ``None`` without.
        max_message_size: bytes after decompression; 0 is no limit.
        role: which end we are.
    """

    __slots__ = ("_loop", "_parser", "buffer", "bytes_received", "last_byte")

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
        self.buffer = _buffer.view
        self.bytes_received = 0
        self.last_byte = loop.time()
        self._parser: FrameParser | None = message_parser(
            inbox.put, on_control, deflate=deflate, max_message_size=max_message_size, role=role
        )

    @property
    def silence(self) -> float:
        """Seconds since the last byte came in."""
        return self._loop.time() - self.last_byte

    def feed(self, data: bytes) -> ProtocolError | MessageTooBigError | None:
        """Parse the next bytes; return what is wrong with them, if anything is."""
        self.last_byte = self._loop.time()
        self.bytes_received += len(data)
        if self._parser is not None:
            try:
                self._parser.feed(data)
            except (ProtocolError, MessageTooBigError) as exc:
                # Its traceback has the parser, which leads back to the connection whose account
                # will have this error: a cycle would keep all of it in memory.
                return exc.with_traceback(None)
        return None

    def call_when_quiet(self, action: Callable[[], object], seconds: float) -> None:
        """Call `action` once nothing has come in for so many seconds; for 0 at once."""
        left = self.last_byte + seconds - self._loop.time()
        if left > 0:
            self._loop.call_later(left, self.call_when_quiet, action, seconds)
        else:
            action()

    def stop(self) -> None:
        """Ignore what comes in from now on, and let go of what it would need."""
        self._parser = None
