"""The way out: messages to masked frames on the transport, with flow control.

Every frame is built at the call, so the order on the wire is the order of the calls, from any
number of tasks, and a cancelled wait never leaves half a frame.

A system call costs more than a small frame. The first frame of a turn of the loop goes to the
transport at once; the others of that turn are gathered, and leave together at its end, or when
they are 64 KiB.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from ..options.connection import CompressionOptions
from ..protocol.deflate import DeflateParameters, Deflater
from ..protocol.frames import build_frame
from ..protocol.opcodes import Opcode
from ..protocol.roles import Role
from .idle import IdleDeflater
from .released import released

__all__ = ["Sender"]

_MOST_GATHERED = 64 * 1024


class Sender:
    """Build frames and write them.

    Attributes:
        transport: where frames go; ``None`` before the connection is open and after its end.
        open: whether messages may be sent, as far as the closing handshake is concerned.
        gathering: whether something has left in this turn, so that the next frames are gathered.
        gathered: frames that wait for the end of the turn.
        turn_ends: whether `end_turn` will be called in this turn of the loop.
        paused: whether the transport's buffer is above its high-water mark.
        bytes_sent: bytes of all frames.
        messages_sent: messages handed over.

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
        "_gathered_size",
        "_loop",
        "_masked",
        "_on_fault",
        "_pending_pong",
        "_threshold",
        "_waiters",
        "bytes_sent",
        "gathered",
        "gathering",
        "messages_sent",
        "open",
        "paused",
        "transport",
        "turn_ends",
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
        self.open = False
        self.turn_ends = False
        self.gathering = False
        self.gathered: list[bytes] = []
        self._gathered_size = 0
        self.bytes_sent = 0
        self.messages_sent = 0
        self._deflater: Deflater | None = None
        self._threshold = 0
        if deflate is not None and compression is not None:
            self._threshold = compression.threshold
            self._deflater = _make_deflater(loop, deflate, compression, role)

    @property
    def usable(self) -> bool:
        """Whether frames can be handed to the transport: it is there, and not closing."""
        return self.transport is not None and not self.transport.is_closing()

    @property
    def buffered(self) -> int:
        """Bytes that have not been handed to the kernel yet, which may not take them."""
        if self.transport is None:
            return 0
        return self.transport.get_write_buffer_size() + self._gathered_size

    def mark(self) -> tuple[int, int]:
        """Return what `drained_since` compares with."""
        return self.bytes_sent, self.buffered

    def drained_since(self, mark: tuple[int, int]) -> bool:
        """Tell whether the kernel has taken more, though it could not when the mark was taken.

        Its own buffer was full then, so that it takes more only when the peer has acknowledged
        something.
        """
        sent, buffered = mark
        return bool(buffered) and buffered + self.bytes_sent - sent > self.buffered

    def send_message(
        self, opcode: Opcode, payload: bytes | bytearray | memoryview, *, compress: bool
    ) -> None:
        """Send a whole message in one frame, compressed if that was agreed and asked for."""
        if compress and self._deflater is not None and len(payload) >= self._threshold:
            frame = self._compressed(self._deflater, opcode, payload)
        elif self._masked:
            frame = build_frame(opcode, payload)  # Without names, which take time.
        else:
            frame = build_frame(opcode, payload, masked=False)
        self.messages_sent += 1
        self._write(frame)

    def _compressed(
        self, deflater: Deflater, opcode: Opcode, payload: bytes | bytearray | memoryview
    ) -> bytes:
        payload = deflater.compress(payload)
        try:
            return build_frame(opcode, payload, compressed=True, masked=self._masked)
        except BaseException:
            # There was no memory for it: no later message may refer to one that never left.
            deflater.forget()
            raise

    def send_control(self, opcode: Opcode, payload: bytes) -> None:
        """Send a control frame of at most 125 bytes; with a Close frame all leaves at once."""
        self._write(build_frame(opcode, payload, masked=self._masked))
        if opcode == Opcode.CLOSE:
            self.send_gathered()

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
        self.bytes_sent += len(frame)
        if self.gathering:
            self._gather(frame)
            return
        self.gathering = True
        if not self.turn_ends:
            self.turn_ends = True
            self._loop.call_soon(self.end_turn)
        assert self.transport is not None
        try:
            self.transport.write(frame)
        except Exception as exc:
            self._on_fault(exc)

    def _gather(self, frame: bytes) -> None:
        """Add a frame to those of this turn; they leave when together they are large."""
        if len(frame) >= _MOST_GATHERED:
            self.send_gathered()  # A large one is not copied to be joined.
        self.gathered.append(frame)
        self._gathered_size += len(frame)
        if self._gathered_size >= _MOST_GATHERED:
            self.send_gathered()

    def end_turn(self) -> None:
        """Let what has been gathered leave, and the next frame at once."""
        self.turn_ends = self.gathering = False
        if self.gathered:
            self.send_gathered()

    def send_gathered(self) -> None:
        """Let what has been gathered leave now."""
        if not self.gathered or self.transport is None:
            return
        frames, self.gathered, self._gathered_size = self.gathered, [], 0
        try:
            self.transport.write(frames[0] if len(frames) == 1 else b"".join(frames))
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
        self.send_gathered()
        if not self.can_half_close:
            transport.close()
            return
        try:
            transport.write_eof()
        except OSError:
            transport.abort()  # The last frame met a socket that was closed: TCP has ended.

    def abort(self) -> None:
        """Drop the transport, whatever it still holds; what was gathered gets its chance."""
        if self.usable:
            self.send_gathered()
        if self.transport is not None:
            self.transport.abort()

    def end(self) -> None:
        """Let go of the transport and of everybody who waits for it."""
        self.transport = None
        self.open = False
        self.gathered = []
        self._gathered_size = 0
        if self._deflater is not None:
            self._deflater.forget()
            self._deflater = None
        self._pending_pong = None
        self._on_fault = released
        self._release_waiters()

    def _release_waiters(self) -> None:
        waiters, self._waiters = self._waiters, []
        for waiter in waiters:
            if not waiter.done():
                waiter.set_result(None)


def _make_deflater(
    loop: asyncio.AbstractEventLoop,
    agreed: DeflateParameters,
    wanted: CompressionOptions,
    role: Role,
) -> Deflater:
    bits, level, memory = agreed.window_bits(role), wanted.compression_level, wanted.mem_level
    alone = agreed.no_context_takeover(role)
    # Without context takeover there is no memory that an idle connection would hold.
    if wanted.idle_timeout and not alone:
        return IdleDeflater(
            loop, wanted.idle_timeout, window_bits=bits, level=level, mem_level=memory
        )
    return Deflater(window_bits=bits, no_context_takeover=alone, level=level, mem_level=memory)
