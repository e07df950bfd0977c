"""One direction of one connection: reads from one end, does what is asked, writes to the other.

Theory of operation. There are no tasks. Bytes that were read wait in a queue with the time at
which they are due. `Pipe.flush` takes steps until it has to wait; what it waits for calls it
again: the receiver's socket, a timer, bytes from the sender, or a handle of the proxy that
changed something. One step passes the bytes before the next moment that a rule waits for, or
lets the rules act that are due. So a rule finds exactly the bytes before it written, and none
behind it.
"""

from __future__ import annotations

import asyncio
import random
from collections import deque
from enum import Enum
from typing import Protocol

from .ends import End
from .kinds import (
    BlackHole,
    Change,
    Corrupt,
    Drop,
    Fault,
    Insert,
    Line,
    Pause,
    Reset,
    Resume,
    Truncate,
)
from .moments import Tracker
from .report import Flow
from .rules import Rule, Way
from .watch import Watch

__all__ = ["Mode", "Owner", "Pipe"]

_READ_SIZE = 262144
_HELD = 262144
"""Bytes that wait at most before reading pauses; a chunk read at once may exceed it."""
_IN_FLIGHT = 4 * 1048576
"""The same where bytes are under way for a while: the window of a long line."""
_TURN = 200
"""Steps after which other work of the loop has its turn."""
_SLICE = 0.005
"""Seconds of sending that one write may hold where the bandwidth is limited."""
_POLL = 0.001
"""Seconds between two looks at the system's send buffer, which tells nobody that it is empty."""


class Mode(Enum):
    """What happens to bytes that are due."""

    FLOW = "flow"
    PAUSED = "paused"
    BLACK_HOLE = "black_hole"


class _Stop(Enum):
    """What stands in the queue behind the last bytes."""

    FIN = "fin"
    RST = "rst"


class Owner(Protocol):
    """What a pipe asks of the connection that it belongs to."""

    def fire(self, rule: Rule) -> None:
        """Let `rule` act."""

    def sender_reset(self, pipe: Pipe) -> None:
        """Pass on RST: the sender sent it, and all before it has been written."""

    def receiver_lost(self, pipe: Pipe) -> None:
        """Note that writing failed: the receiver has reset its end."""

    def pipe_finished(self, pipe: Pipe) -> None:
        """Note that nothing more comes from the sender, and that the receiver knows."""

    def changed(self) -> None:
        """Note that a counter has changed."""


class Pipe:
    """Passes bytes one way.

    Attributes:
        way: the direction.
        line: its condition.
        mode: what happens to bytes that are due.
        tracker: follows the bytes.
        watch: the rules that wait for a moment here.
        finished: whether nothing more comes from the sender, and the receiver knows.

    Args:
        owner: the connection.
        loop: the proxy's loop.
        way: the direction.
        source: the end of the sender.
        sink: the end of the receiver.
        line: its condition at first.
        mode: what happens to bytes at first.
        tracker: follows the bytes.
        seed: makes the random choices.
        buffer: memory to read into, at least 1 byte; all pipes of a loop may share it.
    """

    def __init__(
        self,
        owner: Owner,
        loop: asyncio.AbstractEventLoop,
        way: Way,
        source: End,
        sink: End,
        *,
        line: Line,
        mode: Mode,
        tracker: Tracker,
        seed: str,
        buffer: memoryview,
    ) -> None:
        self.way: Way = way
        self.line = line
        self.mode = mode
        self.watch = Watch(tracker)
        self.finished = False
        self._owner = owner
        self._loop = loop
        self._source = source
        self._sink = sink
        self.tracker = tracker
        self._buffer = buffer
        # One generator each: how many chunks were read must not change which bit is flipped.
        self._jitter = random.Random(f"{seed} {way} jitter")
        self._bits = random.Random(f"{seed} {way} bits")
        self._started = False
        self._queue: deque[tuple[float, memoryview | _Stop]] = deque()
        self._held = 0
        self._out = memoryview(b"")  # Taken from the queue and not yet written.
        self._firing: deque[Rule] = deque()
        self._edits: list[list[int | Corrupt | Drop]] = []
        self._deaf = False  # Nothing can be written any more.
        self._source_ended = False
        self._end_is_reset = False
        self._timer: asyncio.TimerHandle | asyncio.Handle | None = None
        self._blocked = False  # The receiver's socket takes no more for now.
        self._flushing = False
        self._truncating = False  # As soon as the ends are connected.
        self._delay = 0.0
        self._paid = 0
        self._free_at = 0.0
        self._taken = 0
        self._passed = 0
        self._writes = 0

    # What the owner asks for.

    @property
    def flow(self) -> Flow:
        """The counters as they are now."""
        return Flow(self._taken, self._passed, self._writes, self.tracker.frames, self._delay)

    def is_past(self, offset: int) -> bool:
        """Say whether the offset has been passed, so that no rule can act there any more."""
        return self._taken > offset

    def start(self) -> None:
        """Begin to pass bytes: both ends are connected."""
        self._started = True
        if self._truncating:
            self._truncate()
        self.flush()

    def stop(self) -> None:
        """Pass nothing any more: the connection has ended."""
        self._started = False
        self._queue.clear()
        self._out = memoryview(b"")
        self._firing.clear()
        self._cancel_timer()

    def act(self, fault: Fault) -> None:
        """Let a fault act here and now; `Reset` is the owner's."""
        match fault:
            case Pause():
                self.mode = Mode.PAUSED
            case Resume():
                self.mode = Mode.FLOW
            case BlackHole():
                self.mode = Mode.BLACK_HOLE
                self._out = memoryview(b"")
            case Change():
                self.line = fault.of(self.line)
                if fault.bandwidth is not ...:
                    self._paid, self._free_at = 0, 0.0
            case Truncate():
                self._truncate()
            case Corrupt() | Drop():
                self._edits.append([fault.count, fault])
            case Insert():
                self._insert(fault.data)

    def sender_was_cut(self) -> None:
        """Expect nothing more from the sender: the proxy itself has reset that end."""
        self._source_ended = True
        self._queue.clear()
        self._held = 0
        self.finished = True

    def receiver_was_cut(self) -> None:
        """Write nothing more to the receiver: its end is closed."""
        self._deaf = True
        self._out = memoryview(b"")

    def sender_is_gone(self) -> None:
        """Take the end of what the sender sent for RST: writing to it failed.

        The system reports a reset once only, so reading may show it as an ordinary end.
        """
        self._end_is_reset = True
        if self._source_ended and self.mode is not Mode.BLACK_HOLE:
            if self._queue and self._queue[-1][1] is _Stop.FIN:
                self._queue.pop()
            self._queue.append((0.0, _Stop.RST))
            self.flush()

    # Reading.

    def _readable(self) -> None:
        try:
            size = self._source.recv_into(self._buffer)
        except BlockingIOError:
            return
        except OSError:
            self._source_over(_Stop.RST)
            return
        if not size:
            self._source_over(_Stop.RST if self._end_is_reset else _Stop.FIN)
            return
        self._queue.append((self._due(), memoryview(bytes(self._buffer[:size]))))
        self._held += size
        self.flush()

    def _source_over(self, stop: _Stop) -> None:
        self._source_ended = True
        self._queue.append((self._due(), stop))
        self.flush()

    def _due(self) -> float:
        """Return when what has just been read may be written; 0 is at once."""
        line = self.line
        if not (line.latency or line.jitter):
            return 0.0
        delay = line.latency + self._jitter.uniform(0, line.jitter)
        self._delay += delay
        return self._loop.time() + delay

    def _read_or_not(self) -> None:
        long = self.line.latency or self.line.jitter
        wanted = (
            self._started
            and not self._source_ended
            and self._held < (_IN_FLIGHT if long else _HELD)
        )
        self._source.on_readable(self._readable if wanted else None)

    # Passing on.

    def flush(self) -> None:
        """Do all that can be done now."""
        if not self._started or self._flushing:
            return  # Where a rule that acts has changed something, the steps below go on.
        self._flushing = True
        self._blocked = False
        self._cancel_timer()
        for _ in range(_TURN):
            if not (self._started and self._step()):
                break
        else:
            self._timer = self._loop.call_soon(self.flush)
        self._flushing = False
        self._sink.on_writable(self.flush if self._blocked else None)
        self._read_or_not()

    def _step(self) -> bool:
        """Do one thing; return whether there may be more to do at once."""
        if self._out:
            return self.mode is Mode.FLOW and self._write()
        if self.watch.rules:
            self._firing += self.watch.at_byte(self._taken)
        if self._firing:
            return self._fire()
        if self.mode is Mode.PAUSED or not self._queue:
            return False
        due, head = self._queue[0]
        if due and due > self._loop.time():
            return self._wait_until(due)
        if isinstance(head, _Stop):
            return self._pass_stop(head)
        self._take(head, due)
        return True

    def _fire(self) -> bool:
        rule = self._firing[0]
        if isinstance(rule.fault, Reset) and self._sink.unsent:
            # RST would discard what the system has not sent, and that was to pass.
            return self._wait_until(self._loop.time() + _POLL)
        self._firing.popleft()
        self._owner.fire(rule)
        return True

    def _take(self, head: memoryview, due: float) -> None:
        """Take bytes out of the queue, up to the next moment that a rule waits for."""
        count, reached = self.watch.pass_on(head[: self._most()], self._taken)
        self._queue.popleft()
        if count < len(head):
            self._queue.appendleft((due, head[count:]))
        self._held -= count
        self._taken += count
        self._firing += reached
        piece = self._edit(head[:count]) if self._edits else head[:count]
        if self.mode is Mode.FLOW and not self._deaf:
            self._out = piece
        self._owner.changed()

    def _edit(self, piece: memoryview) -> memoryview:
        changed = bytearray(piece)
        dropped = 0
        for edit in self._edits:
            left, fault = edit
            assert isinstance(left, int)
            count = min(left, len(piece))
            if isinstance(fault, Corrupt):
                self._corrupt(changed, count, fault)
            else:
                dropped = max(dropped, count)
            edit[0] = left - count
        self._edits = [edit for edit in self._edits if edit[0]]
        return memoryview(bytes(changed[dropped:]))

    def _corrupt(self, data: bytearray, count: int, fault: Corrupt) -> None:
        for at in range(count):
            if fault.value is not None:
                data[at] = fault.value
            elif fault.xor is not None:
                data[at] ^= fault.xor
            else:
                data[at] ^= 1 << self._bits.randrange(8)

    def _most(self) -> int:
        """Return how many bytes one write may have: no more are taken, so rules may still come."""
        line = self.line
        most = _READ_SIZE if line.chunk_size is None else line.chunk_size
        if line.bandwidth is not None:
            most = min(most, max(1, int(line.bandwidth * _SLICE)))
        return most

    def _write(self) -> bool:
        size = min(len(self._out), self._most())
        if self.line.bandwidth is not None:
            size = self._pay(size, self.line.bandwidth)
            if self._free_at > self._loop.time():
                return self._wait_until(self._free_at)
        try:
            written = self._sink.send(self._out[:size])
        except BlockingIOError:
            self._blocked = True
            return False
        except OSError:
            self.receiver_was_cut()
            self._owner.receiver_lost(self)
            return True
        self._out = self._out[written:]
        self._paid = max(0, self._paid - written)
        self._passed += written
        self._writes += 1
        self._owner.changed()
        return True

    def _pay(self, size: int, bandwidth: float) -> int:
        """Reserve the line for the next bytes; return how many may be written when it is free."""
        if not self._paid:
            self._paid = size
            self._free_at = max(self._free_at, self._loop.time()) + self._paid / bandwidth
        return min(size, self._paid)

    def _insert(self, data: bytes) -> None:
        if self.mode is not Mode.BLACK_HOLE and not self._deaf:
            self._out = memoryview(bytes(self._out) + data)

    # Ending.

    def _pass_stop(self, stop: _Stop) -> bool:
        if self._sink.unsent and stop is _Stop.RST:
            return self._wait_until(self._loop.time() + _POLL)
        if stop is _Stop.FIN:
            self._firing += self.watch.at_event("fin")
            if self._firing:
                return True
        self._queue.popleft()
        if self.mode is Mode.BLACK_HOLE:
            return True
        if stop is _Stop.RST:
            self._owner.sender_reset(self)
            return False
        if not self._deaf and not self._sink.finish():
            self._deaf = True
            self._owner.receiver_lost(self)
        self.finished = True
        self._owner.pipe_finished(self)
        return True

    def _truncate(self) -> None:
        self._truncating = not self._started
        if self._started and not self._deaf:
            self.receiver_was_cut()
            self._sink.finish()

    def _wait_until(self, when: float) -> bool:
        self._timer = self._loop.call_at(when, self.flush)
        return False

    def _cancel_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
