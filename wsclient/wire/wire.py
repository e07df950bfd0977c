"""One WebSocket on one transport: the asyncio protocol object of an open connection.

The public class in `connection` is a thin front of `Wire`.

How a connection ends: the first thing that goes wrong, or the closing handshake, settles the
cause (`_settle`). Then the wire only waits for the TCP connection to go, with a deadline
(`_end_within`). When it is gone (`connection_lost`), one `CloseInfo` is made, readers get
``None``, the callback gets its last call, and every waiter is released.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable
from functools import partial

from ..errors import MessageTooBigError, ProtocolError, WebSocketClosedError
from ..keepalive import Keepalive, Ping, PingRegister
from ..options.connection import ConnectionOptions
from ..protocol.closing import (
    CloseCause,
    CloseInfo,
    CloseInitiator,
    CloseState,
    truncate_reason,
)
from ..protocol.deflate import DeflateParameters
from ..protocol.opcodes import CloseCode, Opcode
from ..protocol.roles import Role
from .callbacks import make_runner
from .control import ControlEvents
from .deadline import Deadline
from .deferred import Deferred
from .ending import Ending
from .inbox import Inbox
from .intake import Intake
from .milestone import Milestone
from .receiver import Receiver
from .released import released
from .sender import Sender

__all__ = ["Wire"]

logger = logging.getLogger("wsclient")

_LINGER = 2.0
"""Seconds that the peer has to close TCP once nothing is left to say (RFC 6455, 7.1.1)."""

_QUIET = 0.1  # seconds without a byte, after which what was underway has come
_TURNS_BEFORE_FIRST_CALLBACK = 2

_TURNS_FOR_ANSWERS = 3
"""Turns of the loop for readers to answer what came before a Close frame or a faulty frame;
inside `asyncio.wait_for` of Python 3.11 a reader needs all of them."""


class Wire(asyncio.BufferedProtocol):
    """The protocol object of an open WebSocket connection.

    Attributes:
        inbox: messages received and not read.
        receiver: the way in.
        sender: the way out.
        ending: the closing handshake, and the account of the end.
        callback_error: what a callback raised, ``None`` otherwise.
        latency: last round trip of a ping in seconds, ``None`` before the first.

    Args:
        loop: the loop of the connection.
        options: what the application asked for.
        deflate: the agreed compression, ``None`` without.
        label: names the connection in logs and warnings.
        on_lost: called once when the transport is gone, with what `connection_lost` got.
        closed_here: tells whether this program has closed the transport without asking us.
        role: which end we are.
        queue_control: put the payloads of pings and pongs into the inbox, between the messages.
    """

    latency: float | None = None
    callback_error: BaseException | None = None
    _callbacks_started = False
    # What `_let_out` comes down to, where that is one call.
    _deliver: Callable[[], None] | None = None

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        options: ConnectionOptions,
        *,
        deflate: DeflateParameters | None,
        label: str,
        on_lost: Callable[[BaseException | None], object],
        closed_here: Callable[[], bool],
        role: Role = Role.CLIENT,
        queue_control: bool = False,
    ) -> None:
        self._loop = loop
        self._options = options
        self._label = label
        self._on_lost = on_lost
        self._closed_here = closed_here
        self._role = role
        self._lost = Milestone()
        self._ended = Milestone()
        self.inbox = Inbox(loop, options)
        self.sender = Sender(
            loop, deflate, options.compression, on_fault=self._transport_failed, role=role
        )
        self.receiver = Receiver(
            loop,
            self.inbox,
            self._control_received,
            deflate=deflate,
            max_message_size=options.max_message_size,
            role=role,
        )
        self._control_events = ControlEvents(
            options, inbox=self.inbox if queue_control else None, on_error=self._callback_failed
        )
        self._runner = make_runner(
            loop,
            options.on_message_callback,
            self.inbox,
            on_error=self._callback_failed,
            on_finished=self._ended.reach,
        )
        self._keepalive = Keepalive(
            loop, self, interval=options.ping_interval, timeout=options.ping_timeout
        )
        self._pings = PingRegister()
        self.ending = Ending(role)
        self._intake = Intake(
            loop,
            self.inbox,
            self.ending,
            self._keepalive,
            parse=self._parse,
            on_fault=self._transport_failed,
        )
        # What came before a Close frame or a faulty frame is seen, and answered, first.
        self._pending_end = Deferred(loop)
        self._deadline = Deadline(loop)
        self._slicing = deflate is not None
        self._linger = min(_LINGER, options.close_timeout)

    def __repr__(self) -> str:
        return f"<WebSocket connection to {self._label}>"

    # The transport's side

    def start(self, transport: asyncio.Transport) -> None:
        """Take over an upgraded transport."""
        self.sender.transport = self._intake.transport = transport
        transport.set_protocol(self)
        self.ending.handshake.opened()
        self.sender.open = True
        if self._options.ping_interval:
            self._keepalive.start()
        # The caller of websocket_connect() should have its connection before the first call.
        if self._options.has_callbacks:
            Deferred(self._loop).set(self._start_callbacks, turns=_TURNS_BEFORE_FIRST_CALLBACK)
        else:
            self._start_callbacks()

    def _start_callbacks(self) -> None:
        self._callbacks_started = True
        self._run_callbacks()
        if self._options.on_ping is None and self._options.on_pong is None:
            self._deliver = self.inbox.wake_readers if self._runner is None else self._runner.run

    def _run_callbacks(self) -> None:
        if self._callbacks_started:
            if self._control_events.pending:
                self._control_events.run()
            if self._runner is not None:
                self._runner.run()
            if self.ending.info is not None:
                self._control_events.stop()

    def get_buffer(self, sizehint: int) -> memoryview:
        """Return where to receive."""
        return self.receiver.buffer

    def buffer_updated(self, nbytes: int) -> None:
        """Take what has been received."""
        # Each message comes this way: a call that can be spared is.
        sender, receiver = self.sender, self.receiver
        sender.turn_ends = True
        try:
            shared, fault = receiver.shared, None
            if receiver.buffer is not shared:
                receiver.filled(nbytes)
            elif self._slicing:
                self._intake.take(bytes(shared[:nbytes]))
                return
            else:
                fault = receiver.feed(shared, nbytes)
            if fault is None and self._deliver is not None:
                self._deliver()
            else:
                self._let_out(fault)
            if self.inbox.queue:
                self._intake.look_around()
        finally:
            if sender.gathered:
                sender.end_turn()
            else:
                sender.gathering = sender.turn_ends = False

    def feed(self, data: bytes) -> None:
        """Take received bytes."""
        if self._slicing:
            self._intake.take(data)
        else:
            self._intake.look_at(data)

    def _parse(self, data: bytes) -> None:
        self._let_out(self.receiver.feed(data, len(data)))

    def _let_out(self, fault: ProtocolError | MessageTooBigError | None) -> None:
        """Let out what came before a fault, to callbacks and readers, who may do anything."""
        if fault is not None:
            self._pending_end.set(partial(self._fail, fault), turns=_TURNS_FOR_ANSWERS)
        if self._runner is not None or self._control_events.pending:
            self._run_callbacks()
        if self._runner is None:
            self.inbox.wake_readers()

    def eof_received(self) -> None:
        """Let the transport close itself: half-closed connections are of no use here."""
        self._intake.finish()
        self._pending_end.run()
        self._settle(CloseCause.EOF, initiator=CloseInitiator.NONE)
        # The transport closes when it has sent the rest, which the peer may never take.
        self._end_within(self._linger)

    def connection_lost(self, exc: Exception | None) -> None:
        """Give the account, and release everybody."""
        self._intake.finish()
        self._pending_end.run()
        self.ending.settle_lost(
            exc, closed_here=self._closed_here(), silence=self.receiver.silence
        )
        self._keepalive.stop()
        self._deadline.cancel()
        self.receiver.stop()
        info = self.ending.finish(self._keepalive.longest_stall, self.receiver.refused)
        self.sender.end()
        self._intake.end()
        self._pings.release_all()
        on_lost, self._on_lost = self._on_lost, released
        on_lost(exc)
        # A server's end belongs to a test, which is told by other means.
        quiet = info.clean or self._role is Role.SERVER
        level = logging.DEBUG if quiet else logging.WARNING
        logger.log(level, "WebSocket connection to %s ended: %s", self._label, info)
        self._lost.reach()
        if self._runner is None:
            self._ended.reach()
        self.inbox.end()
        self._run_callbacks()

    def pause_writing(self) -> None:
        """Note that the transport's buffer is above its high-water mark."""
        self.sender.pause()

    def resume_writing(self) -> None:
        """Note that the transport's buffer has emptied."""
        self.sender.resume(may_send=not self.ending.begun)

    # What the connection asks for

    def check_open(self) -> None:
        """Check that messages may be sent.

        Raises:
            WebSocketClosedError: the connection is closed or closing.
        """
        if not self._may_send:
            raise self.ending.error()

    @property
    def _may_send(self) -> bool:
        return self.sender.open and self.sender.usable

    async def drain(self) -> None:
        """Wait until the transport's buffer is below its low-water mark.

        Raises:
            WebSocketClosedError: the connection was lost first.
        """
        await self.sender.drain()
        if self.sender.transport is None:
            raise self.ending.error()

    def send_ping(self, payload: bytes) -> Ping:
        """Send a ping with `payload`, or with one of our own if it is empty."""
        ping = self._pings.add(payload or self._pings.unique_payload())
        self.sender.send_control(Opcode.PING, ping.payload)
        return ping

    async def round_trip(self, ping: Ping) -> float:
        """Wait for the pong; return the seconds it took.

        Raises:
            WebSocketClosedError: the connection was lost first.
        """
        if ping.round_trip is None and self.ending.info is None:
            await asyncio.shield(self._pings.waiter(ping, self._loop))
        if ping.round_trip is None:
            raise self.ending.error()
        return ping.round_trip

    def close(self, code: int | None, reason: str, rotated: bool = False) -> None:
        """Start the closing handshake; do nothing if the end has begun already."""
        self._pending_end.run()
        if not self._may_send:
            return
        payload = self.ending.handshake.send(code, reason)
        self.sender.open = False
        self.ending.begin_here(rotated=rotated)
        self._keepalive.stop()
        # First the deadline: whatever fails behind it, the connection ends.
        self._end_within(self._options.close_timeout)
        self.sender.send_control(Opcode.CLOSE, payload)
        self._intake.closing()

    def abort(self, cause: CloseCause = CloseCause.CANCELLED) -> None:
        """Drop the connection at once."""
        self._pending_end.run()
        self._settle(cause)
        self.sender.abort()

    def abandon(self) -> None:
        """Drop the connection because its loop ends: nothing may be started any more."""
        if self._runner is not None:
            self._runner.abandon()
        self._give_up(CloseCause.CANCELLED, None, CloseCode.GOING_AWAY, "")
        self.abort()

    def drop(self, cause: CloseCause = CloseCause.CANCELLED) -> None:
        """Drop the connection at once, and cancel the callback that runs."""
        self.abort(cause)
        if self._runner is not None:
            self._runner.cancel()

    async def wait_ended(self, deadline: float | None = None) -> CloseInfo:
        """Wait until the connection and its callback have ended.

        Within the callback itself this waits for the connection only.

        Args:
            deadline: the loop's time until which to wait for the callback; ``None`` for ever.
        """
        await self._lost.wait()
        if self._runner is not None and not self._runner.current:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout_at(deadline):
                    await self._ended.wait()
        assert self.ending.info is not None
        return self.ending.info

    def close_deadline(self) -> float:
        """Return the loop's time until which a closing that begins now may take."""
        return self._loop.time() + self._options.close_timeout

    # Receiving

    def _control_received(self, opcode: int, payload: bytes) -> None:
        if opcode == Opcode.PING:
            # Deviation: behind our own Close frame no ping is answered, though RFC 6455, section
            # 5.5.2, asks for it until the peer's Close: peers take any frame there for a fault.
            if not self.ending.begun:
                self.sender.answer_ping(payload)
            self._control_events.add(Opcode.PING, payload)
        elif opcode == Opcode.PONG:
            round_trip = self._pings.answer(payload)
            if round_trip is not None:
                self.latency = round_trip
            self._control_events.add(Opcode.PONG, payload)
        else:
            turns = 1 if self.ending.begun else _TURNS_FOR_ANSWERS
            self._pending_end.set(partial(self._close_received, payload), turns=turns)

    # Ending

    def _close_received(self, payload: bytes) -> None:
        ending = self.ending
        if ending.cause is not None:
            return
        try:
            ending.handshake.receive(payload)
        except ProtocolError as exc:
            self._fail(exc)
            return
        try:
            if ending.handshake.state is CloseState.REMOTE_CLOSING:
                ending.initiator = CloseInitiator.REMOTE
                if self.sender.usable:
                    self.sender.send_control(Opcode.CLOSE, ending.handshake.answer())
        finally:
            self._settle(ending.agreed)
            self._finish_tcp()

    def _fail(self, exc: ProtocolError | MessageTooBigError) -> None:
        """Fail the connection (RFC 6455, section 7.1.7)."""
        too_big = isinstance(exc, MessageTooBigError)
        cause = CloseCause.MESSAGE_TOO_BIG if too_big else CloseCause.PROTOCOL_ERROR
        self._give_up(cause, exc, exc.close_code, str(exc))

    def _callback_failed(self, exc: BaseException) -> bool:
        if isinstance(exc, WebSocketClosedError) and self.ending.begun:
            # Not a fault of the callback: it wrote while the connection was ending.
            logger.debug("a callback was too late to send: %s", exc)
            return False
        if isinstance(exc, Exception):
            logger.error(
                "a callback of the WebSocket connection to %s raised; it closes",
                self._label,
                exc_info=exc,
            )
        if self.callback_error is None:
            self.callback_error = exc
        self.ending.discard(self.inbox.clear())
        if isinstance(exc, Exception):
            self._give_up(CloseCause.CALLBACK_ERROR, exc, CloseCode.INTERNAL_ERROR, "")
        else:
            self._give_up(CloseCause.CANCELLED, None, CloseCode.GOING_AWAY, "")
            self.abort()
        return True

    def _give_up(
        self, cause: CloseCause, exc: BaseException | None, code: int, reason: str
    ) -> None:
        if self.ending.cause is not None or self.sender.transport is None:
            return
        self._settle(cause, exc)
        handshake = self.ending.handshake
        try:
            if handshake.can_send_close and self.sender.usable:
                payload = handshake.send(code, truncate_reason(reason))
                self.sender.send_control(Opcode.CLOSE, payload)
        finally:
            self._finish_tcp()

    def _transport_failed(self, exc: Exception) -> None:
        """Give a transport up that could not do what was asked of it."""
        self._settle(CloseCause.NETWORK_ERROR, exc, initiator=CloseInitiator.NONE)
        self.sender.abort()

    def _finish_tcp(self) -> None:
        """See TCP to its end; the server closes first (RFC 6455, section 7.1.1)."""
        # An unread rest would turn our FIN into a reset, and the Close frame could be lost:
        # read on, without looking, until the peer closes too.
        self._intake.resume()
        self._end_within(self._linger)
        if self._role is Role.SERVER:
            deaf = not self.sender.can_half_close and self.ending.handshake.received is None
            self.receiver.call_when_quiet(self.sender.half_close, _QUIET if deaf else 0.0)

    def _settle(
        self,
        cause: CloseCause,
        exc: BaseException | None = None,
        *,
        initiator: CloseInitiator = CloseInitiator.LOCAL,
    ) -> None:
        self.sender.open = False
        silence = self.receiver.silence
        self.ending.settle(cause, exc, initiator=initiator, silence=silence)
        self.receiver.stop()
        self._intake.stop()
        self._keepalive.stop()

    def _end_within(self, seconds: float) -> None:
        self._deadline.within(seconds, partial(self.abort, CloseCause.CLOSE_TIMEOUT))

    # What the keepalive asks for

    def send_keepalive_ping(self) -> None:
        """Send a ping whose pong nobody awaits; none behind a full buffer, which asks the same."""
        if self._may_send and not self.sender.paused:
            self.send_ping(b"")

    def life_mark(self) -> tuple[int, tuple[int, int]]:
        """Return what `alive_since` compares with."""
        return self.receiver.bytes_received, self.sender.mark()

    def alive_since(self, mark: tuple[int, tuple[int, int]]) -> bool:
        """Tell whether anything was received, or a full send buffer has drained."""
        received, sent = mark
        return self.receiver.bytes_received != received or self.sender.drained_since(sent)

    def peer_silent(self, *, stalled: bool) -> None:
        """Give the peer up: say so, for the case that it still hears us, and drop TCP."""
        cause = CloseCause.LOOP_STALL if stalled else CloseCause.PING_TIMEOUT
        self._give_up(cause, None, CloseCode.INTERNAL_ERROR, "ping timeout")
        self.abort()
