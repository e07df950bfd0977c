"""How much of what comes in is looked at, and when: nobody gets more than there is room for.

Two things keep a server from filling the memory, or from keeping the loop to itself:

- When the inbox is full, the transport is not read until it has emptied to half.
- Compressed data is looked at in slices, one each turn of the loop, because a single read of it
  can become hundreds of megabytes. What is left of a read waits here, and the transport is not
  read meanwhile.

While the connection closes, reading never stops for good: the peer's Close frame stands behind
the messages that nobody takes. Those beyond the limits are dropped, and counted.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from ..keepalive import Keepalive
from .ending import Ending
from .inbox import Inbox
from .released import released

__all__ = ["Intake"]

_SLICE = 16 * 1024
"""Bytes of compressed data that are looked at in one turn: 16 MiB at most come out of them."""


class Intake:
    """Hand what a transport reads to the parser.

    Attributes:
        transport: what is read; ``None`` before the connection is open and after its end.

    Args:
        loop: the loop of the connection.
        inbox: where the messages go; when it has emptied enough, reading goes on.
        ending: tells whether the connection closes, and counts what is dropped.
        keepalive: is told while the transport is not read because the inbox is full.
        parse: parses bytes, and wakes whoever waits for what they held.
        on_fault: called with what the transport raised when it was to pause or resume.
    """

    __slots__ = (
        "_ending",
        "_inbox",
        "_keepalive",
        "_kept",
        "_loop",
        "_on_fault",
        "_parse",
        "_pausing",
        "_rest",
        "_scheduled",
        "transport",
    )

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        inbox: Inbox,
        ending: Ending,
        keepalive: Keepalive,
        *,
        parse: Callable[[bytes], object],
        on_fault: Callable[[Exception], object],
    ) -> None:
        self._loop = loop
        self._inbox = inbox
        inbox.on_low = self.resume
        self._ending = ending
        self._keepalive = keepalive
        self._parse = parse
        self._on_fault = on_fault
        self._rest = b""
        self._pausing = False
        self._scheduled = False
        self._kept = 0
        self.transport: asyncio.Transport | None = None

    def take(self, data: bytes) -> None:
        """Take what has been read, which may be compressed: all of it, or the first slice."""
        if self._rest or len(data) > _SLICE:
            # There is a rest already where a transport is slow to pause.
            self._rest += data
            if not self._scheduled and not self._inbox.paused:
                self._take_slice()
            return
        self.look_at(data)

    def look_at(self, data: bytes) -> None:
        """Parse bytes now, all of them, and see whether the inbox is full."""
        self._parse(data)
        self.look_around()

    def look_around(self) -> None:
        """See whether the inbox is full."""
        if self._inbox.full:
            self._full()

    def _take_slice(self) -> None:
        """Look at the next slice; let the transport go on once all have been looked at."""
        self._scheduled = False
        if self._inbox.paused:
            return
        try:
            self._parse_slice()
        except Exception as exc:
            # Nobody else would know that the bytes are gone, and that reading has stopped.
            self._on_fault(exc)
            return
        if self._inbox.paused:
            return
        if self._rest:
            self._go_on_soon()
        elif not self._scheduled:
            self._set_pausing(False)

    def _parse_slice(self) -> None:
        piece, self._rest = self._rest[:_SLICE], self._rest[_SLICE:]
        if piece:
            self.look_at(piece)

    def _go_on_soon(self) -> None:
        """Do nothing more in this turn of the loop."""
        self._set_pausing(True)
        if not self._scheduled:
            self._scheduled = True
            self._loop.call_soon(self._take_slice)

    def _full(self) -> None:
        if self._ending.cause is not None or not self._usable:
            return
        if not self._ending.begun:
            paused = self._inbox.paused
            self._inbox.pause()
            if not paused:
                self._set_pausing(True)
                self._keepalive.reading_paused()
            return
        dropped = self._inbox.drop_excess(self._inbox.received - self._kept)
        self._kept += dropped
        self._ending.discard(dropped)
        # A flood should not keep the deadline of the closing from being met.
        self._go_on_soon()

    def closing(self) -> None:
        """Keep what has come in so far, and read on for the peer's Close frame."""
        self._kept = self._inbox.received
        self.resume()

    def resume(self) -> None:
        """Read again, if reading has stopped because the inbox was full."""
        if not self._inbox.paused:
            return
        self._inbox.resume()
        self._keepalive.reading_resumed()
        if self._rest:
            self._go_on_soon()
        else:
            self._set_pausing(False)

    def finish(self) -> None:
        """Look at what waits, as far as there is room: nothing more will be read."""
        while self._rest and not self._inbox.full:
            self._parse_slice()
        self._rest = b""

    def stop(self) -> None:
        """Forget what waits: nobody will look at it."""
        self._rest = b""

    def end(self) -> None:
        """Let go of everything."""
        self.transport = None
        self._rest = b""
        self._parse = self._on_fault = released

    @property
    def _usable(self) -> bool:
        return self.transport is not None and not self.transport.is_closing()

    def _set_pausing(self, pausing: bool) -> None:
        if self._pausing is pausing or not self._usable:
            return
        assert self.transport is not None
        self._pausing = pausing
        try:
            if pausing:
                self.transport.pause_reading()
            else:
                self.transport.resume_reading()
        except Exception as exc:
            self._on_fault(exc)
