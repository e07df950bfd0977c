"""Ping and pong deadlines that never blame a healthy peer.

The peer is given up only if it was silent for `ping_timeout` after a ping while we listened:

- any byte received is a sign of life, and so is a full send buffer that drains;
- while we ourselves have paused reading, the deadline does not run, for the pong may be
  waiting behind data that we do not take;
- a deadline that fires late (our event loop stood still) is extended, and every deadline
  leaves the loop one more turn to read what is already there.

Time comes from the loop alone, so that a loop with a virtual clock can drive it.
"""

from __future__ import annotations

import asyncio
import os
from time import perf_counter
from typing import Any, Protocol

__all__ = ["Keepalive", "PeerWatch", "Ping", "PingRegister"]

_STALL = 0.1
"""A timer this many seconds late shows that the loop stood still."""

_CONFIRMATION = 0.01
"""Seconds for one more turn of the loop before the end: uvloop runs timers before I/O."""

_CLOCK_STEP = 0.001
"""uvloop counts milliseconds: a timer may fire that much early."""

_MAX_EXTENSIONS = 3


class PeerWatch(Protocol):
    """What the keepalive must know of a connection, and can ask of it."""

    def send_keepalive_ping(self) -> None:
        """Send a ping."""

    def life_mark(self) -> Any:
        """Return a mark to compare with later."""

    def alive_since(self, mark: Any) -> bool:
        """Tell whether the peer has given a sign of life since the mark was taken."""

    def peer_silent(self, *, stalled: bool) -> None:
        """Give the peer up; `stalled` says that our own loop is the likelier culprit."""


class Keepalive:
    """Ping at an interval, and watch for signs of life.

    A silent peer is found within `interval` + `timeout` seconds.

    Args:
        loop: the loop of the connection.
        peer: the connection.
        interval: seconds between pings.
        timeout: seconds of silence after a ping; 0 never gives up.
    """

    __slots__ = (
        "_confirming",
        "_deadline",
        "_deadline_due",
        "_extensions",
        "_interval",
        "_loop",
        "_mark",
        "_paused",
        "_peer",
        "_tick_due",
        "_ticker",
        "_timeout",
        "_unanswered_since",
        "longest_stall",
    )

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        peer: PeerWatch,
        *,
        interval: float,
        timeout: float,
    ) -> None:
        self._loop = loop
        self._peer: PeerWatch | None = peer
        self._interval = interval
        self._timeout = timeout
        self._ticker: asyncio.TimerHandle | None = None
        self._deadline: asyncio.TimerHandle | None = None
        self._tick_due = 0.0
        self._deadline_due = 0.0
        self._mark: Any = None
        self._unanswered_since: float | None = None
        self._extensions = 0
        self._confirming = False
        self._paused = False
        self.longest_stall = 0.0

    def start(self) -> None:
        """Begin; the first ping leaves after one interval."""
        self._schedule_tick()

    def stop(self) -> None:
        """End; no timer is left, and the peer is let go."""
        if self._ticker is not None:
            self._ticker.cancel()
            self._ticker = None
        self._cancel_deadline()
        # It refers to us: a cycle would keep both in memory.
        self._peer = None

    def reading_paused(self) -> None:
        """Note that we have stopped reading: no deadline runs until we read again."""
        self._paused = True
        self._cancel_deadline()

    def reading_resumed(self) -> None:
        """Note that we read again; the next ping starts a new deadline."""
        self._paused = False

    def _cancel_deadline(self) -> None:
        self._unanswered_since = None
        self._confirming = False
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _schedule_tick(self) -> None:
        self._tick_due = self._loop.time() + self._interval
        self._ticker = self._loop.call_at(self._tick_due, self._tick)

    def _lateness(self, due: float) -> float:
        # Due times are kept here: what uvloop returns for a moment that is now has no when().
        late = self._loop.time() - due
        if late >= _STALL:
            self.longest_stall = max(self.longest_stall, late)
        return late

    def _tick(self) -> None:
        peer = self._peer
        assert peer is not None
        self._lateness(self._tick_due)
        self._schedule_tick()
        # Also while we do not read: the peer may judge us by our pings.
        peer.send_keepalive_ping()
        if self._ticker is None or self._paused:
            return  # the ping found the connection dead and stopped us, or no deadline may run
        if self._unanswered_since is None or peer.alive_since(self._mark):
            # This ping is the first that waits for a sign of life. The mark is taken behind
            # it, so that sending it is none.
            self._unanswered_since = self._loop.time()
            self._mark = peer.life_mark()
            self._extensions = 0
        if self._timeout and self._deadline is None:
            self._arm(self._unanswered_since + self._timeout)

    def _arm(self, when: float) -> None:
        self._deadline_due = when
        self._deadline = self._loop.call_at(when, self._expire)

    def _expire(self) -> None:
        late = self._lateness(self._deadline_due)
        self._deadline = None
        confirming, self._confirming = self._confirming, False
        peer = self._peer
        assert self._unanswered_since is not None
        assert peer is not None
        if peer.alive_since(self._mark):
            self._unanswered_since = None
            return
        now = self._loop.time()
        due = self._unanswered_since + self._timeout
        if due > now + _CLOCK_STEP:
            self._arm(due)
        elif late >= _STALL and self._extensions < _MAX_EXTENSIONS:
            # Our loop stood still: the peer gets the whole time again.
            self._extensions += 1
            self._unanswered_since = now
            self._arm(now + self._timeout)
        elif not confirming:
            self._confirming = True
            self._arm(now + _CONFIRMATION)
        else:
            self._unanswered_since = None
            peer.peer_silent(stalled=self._extensions == _MAX_EXTENSIONS)


class Ping:
    """A ping that waits for its pong.

    Attributes:
        payload: what was sent, and must come back.
        sent_at: `time.perf_counter` when it was sent; uvloop's own clock counts milliseconds.
        round_trip: seconds until its pong came, ``None`` before.
        waiter: future of whoever waits, ``None`` while nobody does.
    """

    __slots__ = ("payload", "round_trip", "sent_at", "waiter")

    def __init__(self, payload: bytes, sent_at: float) -> None:
        self.payload = payload
        self.sent_at = sent_at
        self.round_trip: float | None = None
        self.waiter: asyncio.Future[None] | None = None

    def release(self) -> None:
        """Wake whoever waits."""
        if self.waiter is not None and not self.waiter.done():
            self.waiter.set_result(None)


class PingRegister:
    """The pings that wait for a pong, oldest first."""

    __slots__ = ("_count", "_payloads", "_pings", "_salt")

    _MAX_UNWATCHED = 256

    def __init__(self) -> None:
        self._pings: list[Ping] = []  # A deque costs 700 bytes when it is empty, too.
        self._payloads: dict[bytes, int] = {}  # How many there are of each.
        self._count = 0
        self._salt = b""

    def unique_payload(self) -> bytes:
        """Return 8 bytes that no other ping of this connection has."""
        self._salt = self._salt or os.urandom(4)
        self._count = (self._count + 1) & 0xFFFFFFFF
        return self._salt + self._count.to_bytes(4, "big")

    def add(self, payload: bytes) -> Ping:
        """Note that a ping is being sent.

        Of those that nobody awaits only the latest are kept: a peer that never answers must
        not make us hold every ping of weeks.
        """
        ping = Ping(payload, perf_counter())
        self._append(ping)
        if len(self._pings) > self._MAX_UNWATCHED:
            self._forget_one()
        return ping

    def _forget_one(self) -> None:
        for index, ping in enumerate(self._pings):
            if ping.waiter is None:
                del self._pings[index]
                self._forget_payload(ping.payload)
                return

    def _forget_payload(self, payload: bytes) -> None:
        self._payloads[payload] -= 1
        if not self._payloads[payload]:
            del self._payloads[payload]

    def waiter(self, ping: Ping, loop: asyncio.AbstractEventLoop) -> asyncio.Future[None]:
        """Return the future that is done when the ping is answered, or will never be."""
        if ping.waiter is None:
            ping.waiter = loop.create_future()
            if ping not in self._pings:
                self._append(ping)
        return ping.waiter

    def _append(self, ping: Ping) -> None:
        self._pings.append(ping)
        self._payloads[ping.payload] = self._payloads.get(ping.payload, 0) + 1

    def _take_oldest(self) -> Ping:
        ping = self._pings.pop(0)
        self._forget_payload(ping.payload)
        return ping

    def answer(self, payload: bytes) -> float | None:
        """Take a pong: it answers the oldest ping with its payload, and all sent before that.

        RFC 6455, section 5.5.3: a peer may answer only the most recent ping.

        Returns:
            the round trip in seconds; ``None`` for a pong that nobody asked for.
        """
        if payload not in self._payloads:
            return None
        now = perf_counter()
        while True:
            ping = self._take_oldest()
            ping.round_trip = now - ping.sent_at
            ping.release()
            if ping.payload == payload:
                return ping.round_trip

    def release_all(self) -> None:
        """Wake whoever waits for a pong that will not come any more."""
        for ping in self._pings:
            ping.release()
        self._pings.clear()
        self._payloads.clear()
