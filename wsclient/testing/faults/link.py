"""One connection through the proxy: two ends and two pipes."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Callable
from typing import Protocol

from .ends import Address, End
from .kinds import (
    BlackHole,
    Change,
    Ends,
    Fault,
    Line,
    Pause,
    Reset,
    Resume,
)
from .moments import Tracker
from .pipe import Mode, Pipe
from .report import Connection, Ending
from .rules import Rule, Way

__all__ = ["Link", "Setting", "Settings"]


class Setting:
    """What is true of a direction of every new connection.

    Attributes:
        line: its condition.
        mode: what happens to bytes.
    """

    def __init__(self, line: Line) -> None:
        self.line = line
        self.mode = Mode.FLOW

    def apply(self, fault: Fault) -> bool:
        """Take over a fault that lasts; return whether it is one."""
        match fault:
            case Pause():
                self.mode = Mode.PAUSED
            case Resume():
                self.mode = Mode.FLOW
            case BlackHole():
                self.mode = Mode.BLACK_HOLE
            case Change():
                self.line = fault.of(self.line)
            case _:
                return False
        return True


class Settings(Protocol):
    """What a connection takes from the proxy."""

    @property
    def ways(self) -> dict[Way, Setting]:
        """How each direction begins."""

    @property
    def rules(self) -> list[Rule]:
        """The rules for connections that are still to come."""

    @property
    def blind(self) -> bool:
        """Whether the bytes cannot be understood."""

    @property
    def seed(self) -> int:
        """What makes the random choices."""

    @property
    def buffer(self) -> memoryview:
        """Memory to read into, for all connections."""

    def addresses(self) -> list[tuple[socket.AddressFamily, Address]]:
        """Return where the target may listen, the best first."""


class Link:
    """Passes the bytes of one connection both ways.

    Attributes:
        index: its number.
        ended: how it ended; ``None`` while it goes on.
        fired: the rules that have acted.
        error: why the target could not be reached.
        pipes: its two directions.

    Args:
        loop: the proxy's loop.
        index: its number.
        sock: the client's connection; the link closes it.
        settings: what it takes from the proxy.
        on_change: called when anything changes that `snapshot` shows.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        index: int,
        sock: socket.socket,
        settings: Settings,
        on_change: Callable[[], None],
    ) -> None:
        self.index = index
        self.ended: Ending | None = None
        self.fired: list[Rule] = []
        self.error = ""
        self._loop = loop
        self._settings = settings
        self._on_change = on_change
        self._client = End(loop, "client", sock)
        self._server = End(loop, "server")
        self.pipes: dict[Way, Pipe] = {
            "to_server": self._pipe("to_server", self._client, self._server),
            "to_client": self._pipe("to_client", self._server, self._client),
        }
        to_server, to_client = (pipe.tracker for pipe in self.pipes.values())
        to_client.other = to_server
        for rule in settings.rules:
            self.add(rule)

    def _pipe(self, way: Way, source: End, sink: End) -> Pipe:
        setting = self._settings.ways[way]
        return Pipe(
            self,
            self._loop,
            way,
            source,
            sink,
            line=setting.line,
            mode=setting.mode,
            tracker=Tracker(way, blind=self._settings.blind),
            seed=f"{self._settings.seed} {self.index}",
            buffer=self._settings.buffer,
        )

    def open(self) -> None:
        """Connect on, and then pass bytes."""
        for rule in self.pipes["to_server"].watch.at_event("connected"):
            self.fire(rule)
        if self._client.closed:
            return self.end(Ending.FAULT)
        if self._server.closed:
            return
        try:
            addresses = self._settings.addresses()
        except OSError as exc:
            return self._refuse(str(exc))
        self._connect(addresses)

    def _connect(self, addresses: list[tuple[socket.AddressFamily, Address]]) -> None:
        (family, address), *others = addresses

        def then(code: int) -> None:
            if not code:
                self._start()
            elif others and self.ended is None:
                self._connect(others)
            else:
                self._refuse(os.strerror(code))

        self._server.connect(family, address, then)

    def _start(self) -> None:
        for pipe in self.pipes.values():
            pipe.start()

    def _refuse(self, error: str) -> None:
        self.error = error
        self.end(Ending.REFUSED, reset=True)

    def is_past(self, rule: Rule) -> bool:
        """Say whether the moment of a rule has gone by and will not come again."""
        when = rule.when
        pipe = self.pipes[when.watched(rule.direction)]
        if when.byte is not None:
            return pipe.is_past(when.byte)
        if when.frame is not None:
            return pipe.tracker.frames > when.frame
        if when.event == "upgraded":
            return pipe.tracker.upgraded
        return when.event == "connected"

    def snapshot(self) -> Connection:
        """Return what is to be said of it now."""
        return Connection(
            self.index,
            self.pipes["to_server"].flow,
            self.pipes["to_client"].flow,
            self.ended,
            tuple(self.fired),
            self.error,
        )

    # Faults.

    def add(self, rule: Rule) -> None:
        """Let a rule wait for its moment, if it is for this connection and there may be one."""
        if rule.connection in (None, self.index) and self.ended is None:
            pipe = self.pipes[rule.when.watched(rule.direction)]
            pipe.watch.add(rule)
            pipe.flush()

    def fire(self, rule: Rule) -> None:
        """Let a rule act now."""
        self.fired.append(rule)
        self.act(rule.direction, rule.fault)
        self.changed()

    def act(self, way: Way, fault: Fault) -> None:
        """Let a fault act now."""
        if self.ended is not None and self._client.closed and self._server.closed:
            return
        if isinstance(fault, Reset):
            self._cut(fault.to)
            return
        self.pipes[way].act(fault)
        self.pipes[way].flush()

    def _cut(self, to: Ends) -> None:
        to_server, to_client = self.pipes["to_server"], self.pipes["to_client"]
        if to in ("client", "both"):
            self._client.reset()
            to_server.sender_was_cut()
            to_client.receiver_was_cut()
        if to in ("server", "both"):
            self._server.reset()
            to_client.sender_was_cut()
            to_server.receiver_was_cut()
            # It may not have been connected, and will not be: what the client sends is swallowed.
            self._start()
        if self.ended is None:
            self.ended = Ending.FAULT
        self.pipe_finished(to_client)
        self.changed()

    # What the pipes tell.

    def changed(self) -> None:
        """Note that a counter has changed."""
        self._on_change()

    def sender_reset(self, pipe: Pipe) -> None:
        """Pass on RST."""
        to_server = pipe.way == "to_server"
        self.end(Ending.CLIENT_RESET if to_server else Ending.SERVER_RESET, reset=True)

    def receiver_lost(self, pipe: Pipe) -> None:
        """Let the other direction know: what it reads from that end, ends with RST."""
        opposite = self.pipes["to_client" if pipe.way == "to_server" else "to_server"]
        opposite.sender_is_gone()

    def pipe_finished(self, pipe: Pipe) -> None:
        """End the connection when nothing more comes from either side."""
        if all(each.finished for each in self.pipes.values()):
            self.end(Ending.CLOSED)

    def end(self, ending: Ending, *, reset: bool = False) -> None:
        """Close what is open of both ends.

        Args:
            ending: what to say of it, if it has not ended another way before.
            reset: whether they get RST.
        """
        self.ended = self.ended or ending
        for pipe in self.pipes.values():
            pipe.stop()
        for end in (self._client, self._server):
            if reset:
                end.reset()
            else:
                end.close()
        self.changed()
