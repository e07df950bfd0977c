"""How a test says what goes wrong: WHERE, then perhaps WHEN, then WHAT."""

from __future__ import annotations

from abc import ABC, abstractmethod
from types import EllipsisType

from .hub import Hub
from .kinds import (
    BlackHole,
    Change,
    Corrupt,
    Drop,
    Ends,
    Fault,
    Insert,
    Line,
    Pause,
    Reset,
    Resume,
    Truncate,
    whole,
)
from .rules import Event, Rule, Way, When

__all__ = ["Direction", "Trigger"]


class _Faults(ABC):
    """What can be done to a direction, now or at a moment.

    Every method returns when it is done, may be called from any thread, and raises `TypeError`
    or `ValueError` for wrong arguments.
    """

    @abstractmethod
    def _do(self, fault: Fault) -> None:
        """Let the fault act, or make a rule of it."""

    def pause(self) -> None:
        """Hold all bytes back, FIN and RST too; when the buffers are full, the sender is blocked.

        Raises:
            RuntimeError: as a fault of one connection that is not open.
        """
        self._do(Pause())

    def resume(self) -> None:
        """Let bytes pass again after `pause` or `black_hole`; what was held back comes first.

        Raises:
            RuntimeError: as a fault of one connection that is not open.
        """
        self._do(Resume())

    def black_hole(self) -> None:
        """Swallow all bytes, FIN and RST too; nothing is closed and the sender sees nothing.

        With both directions swallowed, the connection is half-open for either end (RFC 9293,
        section 3.5.1), whatever the other does.

        Raises:
            RuntimeError: as a fault of one connection that is not open.
        """
        self._do(BlackHole())

    def set(
        self,
        *,
        latency: float | EllipsisType = ...,
        jitter: float | EllipsisType = ...,
        bandwidth: float | EllipsisType | None = ...,
        chunk_size: int | EllipsisType | None = ...,
    ) -> None:
        """Change the condition of the line; what is not given stays as it is.

        Args:
            latency: seconds that each byte takes; for bytes that are read from now on.
            jitter: up to so many seconds come on top, drawn for each chunk that is read.
            bandwidth: bytes per second; ``None`` is no limit.
            chunk_size: bytes in one write at most; ``None`` is no limit.

        Raises:
            TypeError: a value is of a wrong type.
            ValueError: a value is out of range, or nothing is given.
            RuntimeError: as a fault of one connection that is not open.
        """
        self._do(
            Change(latency=latency, jitter=jitter, bandwidth=bandwidth, chunk_size=chunk_size)
        )

    def truncate(self) -> None:
        """Send FIN to the receiver and swallow all further bytes; the other direction goes on.

        Raises:
            RuntimeError: it is to act now, and there is no open connection.
        """
        self._do(Truncate())

    def reset(self, *, to: Ends = "both") -> None:
        """End the connection with RST.

        At a moment it waits until the bytes before it are with the receiver, so it never comes
        if the receiver does not read them. Now, it discards what is under way. RST in the place
        of the first byte may reach the client before its system says that it has connected.

        Args:
            to: ``"client"``, ``"server"`` or ``"both"``. An end that gets none sees nothing: it
                stays connected, and what it sends is swallowed.

        Raises:
            ValueError: `to` is none of the three.
            RuntimeError: it is to act now, and there is no open connection.
        """
        self._do(Reset(to))

    def corrupt(self, count: int = 1, *, xor: int | None = None, value: int | None = None) -> None:
        """Change the next bytes.

        Args:
            count: how many bytes.
            xor: what each is combined with, 1..255; ``None`` with no `value` flips one bit of
                each, which the proxy's seed chooses.
            value: what each is replaced by, 0..255; ``None`` leaves that to `xor`.

        Raises:
            TypeError: a value is of a wrong type.
            ValueError: a value is out of range, or both `xor` and `value` are given.
            RuntimeError: it is to act now, and there is no open connection.
        """
        self._do(Corrupt(count, xor, value))

    def drop(self, count: int = 1) -> None:
        """Leave out the next bytes.

        Args:
            count: how many bytes.

        Raises:
            TypeError: `count` is no whole number.
            ValueError: `count` is not positive.
            RuntimeError: it is to act now, and there is no open connection.
        """
        self._do(Drop(count))

    def insert(self, data: bytes) -> None:
        """Send bytes to the receiver that the sender never sent; offsets do not count them.

        Args:
            data: the bytes, one at least.

        Raises:
            TypeError: they are not bytes.
            ValueError: there are none.
            RuntimeError: it is to act now, and there is no open connection.
        """
        self._do(Insert(data))


class Trigger(_Faults):
    """A direction at a moment: each method makes a rule, which acts once on each connection."""

    def __init__(self, hub: Hub, way: Way, when: When, connection: int | None) -> None:
        self._hub = hub
        self._way = way
        self._when = when
        self._connection = connection

    def _do(self, fault: Fault) -> None:
        rule = Rule(self._way, self._when, fault, connection=self._connection)
        self._hub.call(lambda: self._hub.add(rule))


class Direction(_Faults):
    """One direction of a proxy, of all connections or of one; each method acts at once.

    What lasts (the condition of the line, `pause`, `resume`, `black_hole`) is for connections
    still to come, too, unless the handle is for one connection.
    """

    def __init__(self, hub: Hub, way: Way, connection: int | None = None) -> None:
        self._hub = hub
        self._way = way
        self._connection = connection

    def _do(self, fault: Fault) -> None:
        self._hub.call(lambda: self._hub.act(self._way, fault, self._connection))

    def on(self, connection: int) -> Direction:
        """Return the same direction of one connection only.

        Args:
            connection: its number, from 0 in the order of being accepted; it may be still to
                come.

        Returns:
            A handle.

        Raises:
            TypeError: it is no whole number.
            ValueError: it is negative.
        """
        whole("connection", connection, 0)
        return Direction(self._hub, self._way, connection)

    def at(
        self,
        *,
        byte: int | None = None,
        event: Event | None = None,
        frame: int | None = None,
        opcode: int | None = None,
        match: bytes | None = None,
        of: Way | None = None,
    ) -> Trigger:
        """Return the same direction at a moment; exactly one of the first five is given.

        A moment that has gone by on a connection does not come again there.

        Args:
            byte: that many bytes have passed, and none behind them; they are counted as they
                came from the sender.
            event: ``"connected"``, before the server is asked; ``"request"``, the first HTTP
                request head has passed; ``"upgraded"``, the 101 response head has passed;
                ``"close"``, a Close frame has passed; ``"fin"``, before the sender's FIN.
            frame: before the frame of that number, from 0, as soon as its first byte is there.
            opcode: before the next frame with that opcode, 0..15.
            match: these bytes have passed.
            of: the direction in which the moment is watched, where that is the other one.

        Returns:
            A handle whose methods make rules.

        Raises:
            TypeError: a value is of a wrong type, or not exactly one moment is given.
            ValueError: a value is out of range, or the moment cannot be seen through TLS.
        """
        when = When(byte=byte, event=event, frame=frame, opcode=opcode, match=match, of=of)
        self._hub.check(when)
        return Trigger(self._hub, self._way, when, self._connection)

    # The condition of the line.

    @property
    def line(self) -> Line:
        """The condition as a whole; of new connections, unless the handle is for one.

        Raises:
            RuntimeError: the handle is for a connection that has not been accepted.
        """
        return self._hub.call(lambda: self._hub.line(self._way, self._connection))

    @property
    def latency(self) -> float:
        """Seconds that each byte takes; setting it is for bytes that are read from then on."""
        return self.line.latency

    @latency.setter
    def latency(self, seconds: float) -> None:
        self.set(latency=seconds)

    @property
    def jitter(self) -> float:
        """Up to so many seconds come on top of the latency, drawn for each chunk read."""
        return self.line.jitter

    @jitter.setter
    def jitter(self, seconds: float) -> None:
        self.set(jitter=seconds)

    @property
    def bandwidth(self) -> float | None:
        """Bytes per second; ``None`` is no limit."""
        return self.line.bandwidth

    @bandwidth.setter
    def bandwidth(self, rate: float | None) -> None:
        self.set(bandwidth=rate)

    @property
    def chunk_size(self) -> int | None:
        """Bytes in one write to the receiver at most; ``None`` is no limit."""
        return self.line.chunk_size

    @chunk_size.setter
    def chunk_size(self, size: int | None) -> None:
        self.set(chunk_size=size)

    # Counters.

    @property
    def passed(self) -> int:
        """Bytes written to the receivers, of all the connections that the handle is for."""
        return self._hub.call(lambda: self._hub.total(self._way, self._connection))
