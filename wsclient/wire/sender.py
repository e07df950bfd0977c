"""The way out: messages to masked frames on the transport, with flow control.

Every frame is handed to the transport at the call, so the order on the wire is the order of
the calls, from any number of tasks, and a cancelled wait never leaves half a frame.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from ..options.connection import CompressionOptions
from ..protocol.deflate import DeflateParameters, Deflater
from ..protocol.frames import build_frame
from ..protocol.opcodes import Opcode
from ..protocol.roles import Role
from .released import released

__all__ = ["Sender"]


class Sender:
    """Build frames and write them.

    Attributes:
        transport: where frames go; ``None`` before the connection is open and after its end.
        paused: whether the transport's buffer is above its high-water mark.
        bytes_sent: bytes of frames handed to the transport.
        messages_sent: messages handed to the transport.

    Args:
        loop: the loop of the connection.
        deflate: the agreed compression, ``None`` without.
        compression: what the application asked for; with `deflate` only.
        on_fault: called with what the transport raised when it was to write. Nobody knows then
            how much of the frame has left, so that nothing may follow it.
        role: which end we are: a client masks what it sends.
    """

    __slots__ = (
        "_deflater",
        "_loop",
        "_masked",
        "_on_fault",
        "_pending_pong",
        "_threshold",
        "_waiters",
        "bytes_sent",
        "messages_sent",
        "paused",
        "transport",
    )

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        deflate: DeflateParameters | None,
        compression: CompressionOptions | None,
        *,
        on_fault: Callable[[Exception], object],
        role: Role = Role.CLIENT,
    ) -> None:
        self._loop = loop
        self._on_fault = on_fault
        self._masked = role is Role.CLIENT
        self.transport: asyncio.Transport | None = None
        self.paused = False
        self._waiters: list[asyncio.Future[None]] = []
        self._pending_pong: bytes | None = None
        self.bytes_sent = 0
        self.messages_sent = 0
        self._deflater: Deflater | None = None
        self._threshold = 0
        if deflate is not None and compression is not None:
            self._threshold = compression.threshold
            self._deflater = Deflater(
                window_bits=deflate.window_bits(role),
                no_context_takeover=deflate.no_context_takeover(role),
                level=compression.compression_level,
                mem_level=compression.mem_level,
            )

    @property
    def usable(self) -> bool:
        """Whether frames can be handed to the transport: it is there, and not closing."""
        return self.transport is not None and not self.transport.is_closing()

    @property
    def buffered(self) -> int:
        """Bytes that the transport holds because the kernel does not take them yet."""
        return 0 if self.transport is None else self.transport.get_write_buffer_size()

    def send_message(
        self, opcode: Opcode, payload: bytes | bytearray | memoryview, *, compress: bool
    ) -> None:
        """Send a whole message in one frame, compressed if that was agreed and asked for."""
        compressed = False
        if compress and self._deflater is not None and len(payload) >= self._threshold:
            payload = self._deflater.compress(payload)
            compressed = True
        try:
            frame = build_frame(opcode, payload, compressed=compressed, masked=self._masked)
        except BaseException:
            # There was no memory for it: no later message may refer to one that never left.
            if compressed and self._deflater is not None:
                self._deflater.forget()
            raise
        self.messages_sent += 1
        self._write(frame)

    def send_control(self, opcode: Opcode, payload: bytes) -> None:
        """Send a control frame of at most 125 bytes."""
        self._write(build_frame(opcode, payload, masked=self._masked))

    def answer_ping(self, payload: bytes) -> None:
        """Send a pong; while the buffer is full, only the last one is kept for later.

        RFC 6455, section 5.5.3: an answer to the most recent ping is enough. A peer that floods
        pings and does not read must not make us hold an answer to each.
        """
        if self.paused:
            self._pending_pong = payload
        else:
            self.send_control(Opcode.PONG, payload)

    def _write(self, frame: bytes) -> None:
        assert self.transport is not None
        self.bytes_sent += len(frame)
        try:
            self.transport.write(frame)
        except Exception as exc:
            self._on_fault(exc)

    def pause(self) -> None:
        """Note that the transport's buffer is above its high-water mark."""
        self.paused = True

    def resume(self, *, may_send: bool) -> None:
        """Note that the transport's buffer has emptied; `may_send` allows a waiting pong."""
        self.paused = False
        self._release_waiters()
        if self._pending_pong is not None and may_send:
            self.send_control(Opcode.PONG, self._pending_pong)
        self._pending_pong = None

    async def drain(self) -> None:
        """Wait until the transport's buffer is below its low-water mark, or gone."""
        while self.paused and self.transport is not None:
            waiter = self._loop.create_future()
            self._waiters.append(waiter)
            await waiter

    @property
    def can_half_close(self) -> bool:
        """Whether we could go on listening after `half_close`; TLS cannot."""
        return self.transport is not None and self.transport.can_write_eof()

    def half_close(self) -> None:
        """Tell the peer that nothing more will come, and go on listening where TCP is plain."""
        transport = self.transport
        if transport is None or transport.is_closing():
            return
        if not self.can_half_close:
            transport.close()
            return
        try:
            transport.write_eof()
        except OSError:
            transport.abort()  # The last frame met a socket that was closed: TCP has ended.

    def end(self) -> None:
        """Let go of the transport and of everybody who waits for it."""
        self.transport = None
        self._deflater = None
        self._pending_pong = None
        self._on_fault = released
        self._release_waiters()

    def _release_waiters(self) -> None:
        waiters, self._waiters = self._waiters, []
        for waiter in waiters:
            if not waiter.done():
                waiter.set_result(None)
