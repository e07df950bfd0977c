"""What runs on the proxy's own thread: the listener and all connections."""

from __future__ import annotations

import asyncio
import socket
import sys
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future, wait
from typing import Any, TypeVar

from .ends import Address
from .kinds import Fault, Line, Reset
from .link import Link, Setting
from .report import Connection, Ending
from .rules import Rule, Way, When

__all__ = ["Condition", "Hub"]

Condition = Callable[[Sequence[Connection]], object]
"""What is waited for; whatever it returns is taken for true or false."""

_T = TypeVar("_T")

_BACKLOG = 128
_BUFFER = 262144


class Hub:
    """Accepts connections and knows them; other threads go through `call`.

    Attributes:
        ways: how each direction of a new connection begins.
        rules: those for connections that are still to come.
        blind: whether the bytes cannot be understood.
        seed: what makes the random choices.
        buffer: memory to read into, for all connections.
        port: where it listens on 127.0.0.1; 0 before it is started.
        links: all connections, ended ones too.
        errors: what went wrong on the thread.
        stopped: done when the thread has nothing left to do.

    Args:
        target: host and port.
        lines: the condition of each direction.
        blind: whether the bytes cannot be understood.
        seed: what makes the random choices.
    """

    def __init__(
        self, target: tuple[str, int], lines: dict[Way, Line], *, blind: bool, seed: int
    ) -> None:
        self.ways = {way: Setting(line) for way, line in lines.items()}
        self.rules: list[Rule] = []
        self.blind = blind
        self.seed = seed
        self.buffer = memoryview(bytearray(_BUFFER))
        self.port = 0
        self.links: list[Link] = []
        self.errors: list[BaseException] = []
        self.stopped: Future[None] = Future()
        # It cannot be cancelled then: a waiting task may be, and the thread still ends.
        self.stopped.set_running_or_notify_cancel()
        self._target = target
        self._resolved: list[tuple[socket.AddressFamily, Address]] = []
        self._waiters: list[tuple[Condition, Future[tuple[Connection, ...]]]] = []
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._listener: socket.socket | None = None
        self._accepting = False

    # The thread.

    def start(self) -> None:
        """Listen, and run the thread.

        Raises:
            OSError: there is no free port.
        """
        listener = _bound(0)
        # Always the plain loop, whatever the program runs on: it hands out socket readiness.
        self._loop = asyncio.SelectorEventLoop()
        self._loop.set_exception_handler(self._failed)
        self.port = listener.getsockname()[1]
        self._listener = listener
        self.accept_again()
        self._thread = threading.Thread(target=self._run, name="fault-proxy", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        assert self._loop is not None
        try:
            self._loop.run_forever()
        finally:
            self._loop.close()
            self.stopped.set_result(None)

    def stop(self) -> None:
        """End all connections and the thread; `stopped` tells when that is done."""
        assert self._loop is not None
        self._loop.call_soon_threadsafe(self._stop)

    def join(self) -> None:
        """Wait for the thread."""
        assert self._thread is not None
        self._thread.join()

    def _stop(self) -> None:
        assert self._loop is not None
        try:
            self._close_listener()
            for link in self.links:
                link.end(Ending.STOPPED, reset=True)
            for _, future in self._waiters:
                future.set_exception(RuntimeError("the FaultProxy has stopped"))
        finally:
            self._loop.stop()

    def _failed(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """Keep an error for the end of the block, and cut everything so that it ends soon."""
        self.errors.append(context.get("exception") or RuntimeError(context["message"]))
        for link in self.links:
            link.end(Ending.STOPPED, reset=True)

    @property
    def running(self) -> bool:
        """Whether the thread runs."""
        return self._thread is not None and self._thread.is_alive()

    def call(self, function: Callable[[], _T]) -> _T:
        """Run a function on the thread and wait for what it gives.

        Before the start, after the end, and on the thread itself it runs at once.

        Args:
            function: what to run; it must not block.

        Returns:
            What it returns.
        """
        if not self.running or threading.current_thread() is self._thread:
            return function()
        assert self._loop is not None
        answer: Future[_T] = Future()

        def run() -> None:
            try:
                answer.set_result(function())
            except BaseException as exc:
                answer.set_exception(exc)

        self._loop.call_soon_threadsafe(run)
        while self.running and not answer.done():
            wait([answer], timeout=1)
        if not answer.done():
            raise RuntimeError("The FaultProxy was stopped by another thread.")
        return answer.result()

    # Connections.

    def accept_again(self) -> None:
        """Listen on the port that is held."""
        assert self._listener is not None and self._loop is not None
        if not self._accepting:
            self._accepting = True
            self._listener.listen(_BACKLOG)
            self._loop.add_reader(self._listener, self._accept)

    def refuse(self) -> None:
        """Stop listening, and hold the port so that nobody else gets it."""
        if self._accepting:
            self._accept()
            self._close_listener()
            self._listener = _bound(self.port)

    def _close_listener(self) -> None:
        assert self._listener is not None and self._loop is not None
        if self._accepting:
            self._accepting = False
            self._loop.remove_reader(self._listener)
        self._listener.close()

    def _accept(self) -> None:
        assert self._listener is not None and self._loop is not None
        for _ in range(_BACKLOG):
            try:
                sock, _address = self._listener.accept()
            except (BlockingIOError, ConnectionAbortedError):
                return
            except OSError:
                self._loop.remove_reader(self._listener)  # Or it would call for ever.
                raise
            link = Link(self._loop, len(self.links), sock, self, self.changed)
            self.links.append(link)
            link.open()
            self.changed()

    def addresses(self) -> list[tuple[socket.AddressFamily, Address]]:
        """Return where the target may listen, the best first.

        Raises:
            OSError: the name is not known.
        """
        if not self._resolved:
            host, port = self._target
            found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
            self._resolved = [
                (family, address)  # type: ignore[misc]  # a pair of bytes is of no IP address
                for family, _, _, _, address in found
            ]
        return self._resolved

    # What the handles ask for.

    def add(self, rule: Rule) -> None:
        """Let a rule wait for its moment on connections to come and on those there are.

        Raises:
            ValueError: it is for one connection only, and its moment there has gone by.
        """
        if rule.connection is not None and rule.connection < len(self.links):
            link = self.links[rule.connection]
            if link.ended is not None or link.is_past(rule):
                raise ValueError(
                    f"The moment of this rule has gone by on connection {rule.connection}: make"
                    " the rule before the connection."
                )
        self.rules.append(rule)
        for link in self.links:
            link.add(rule)

    def clear(self) -> None:
        """Forget all rules that have not acted."""
        self.rules.clear()
        for link in self.links:
            for pipe in link.pipes.values():
                pipe.watch.clear()

    def act(self, way: Way, fault: Fault, connection: int | None) -> None:
        """Let a fault act now; one that lasts is for the connections to come, too.

        Args:
            way: where it acts.
            fault: what happens.
            connection: the number of the only connection; ``None`` is every one.

        Raises:
            RuntimeError: there is no open connection that it could act on.
        """
        if connection is None and self.ways[way].apply(fault):
            links = self.links
        else:
            links = [
                link
                for link in self.links
                if link.ended is None and connection in (None, link.index)
            ]
            if not links:
                raise RuntimeError(
                    "There is no open connection: name a moment with at(), for those to come."
                )
        for link in links:
            link.act(way, fault)

    def cut(self) -> None:
        """Reset both ends of every connection."""
        for link in self.links:
            link.act("to_client", Reset())

    def check(self, when: When) -> None:
        """Check that a moment can be seen.

        Raises:
            ValueError: TLS hides it.
        """
        if self.blind and when.needs_plain_text:
            raise ValueError(
                "HTTP and frames cannot be seen through TLS: name the moment by byte, match,"
                " connected or fin."
            )

    def line(self, way: Way, connection: int | None) -> Line:
        """Return the condition of a direction.

        Raises:
            RuntimeError: that connection has not been accepted.
        """
        if connection is None:
            return self.ways[way].line
        if connection >= len(self.links):
            raise RuntimeError(f"Connection {connection} has not been accepted yet.")
        return self.links[connection].pipes[way].line

    def total(self, way: Way, connection: int | None) -> int:
        """Return how many bytes have been written to the receivers."""
        return sum(
            link.pipes[way].flow.passed for link in self.links if connection in (None, link.index)
        )

    def snapshots(self) -> tuple[Connection, ...]:
        """Return what is to be said of all connections now."""
        return tuple(link.snapshot() for link in self.links)

    # Waiting.

    def wait_for(self, condition: Condition) -> Future[tuple[Connection, ...]]:
        """Begin to wait; the future gets the connections as they were when it came true."""
        future: Future[tuple[Connection, ...]] = Future()
        future.set_running_or_notify_cancel()

        def begin() -> None:
            if not self.running:
                raise RuntimeError("The FaultProxy does not run: nothing will happen.")
            self._waiters.append((condition, future))
            self.changed()

        self.call(begin)
        return future

    def forget(self, future: Future[tuple[Connection, ...]]) -> None:
        """Wait no longer."""
        self._waiters = [each for each in self._waiters if each[1] is not future]

    def changed(self) -> None:
        """Look again at what is waited for."""
        if not self._waiters:
            return
        now = self.snapshots()
        waiters, self._waiters = self._waiters, []
        for condition, future in waiters:
            try:
                if condition(now):
                    future.set_result(now)
                else:
                    self._waiters.append((condition, future))
            except Exception as exc:
                future.set_exception(exc)


def _bound(port: int) -> socket.socket:
    """Return a socket bound to a port of 127.0.0.1, 0 for any; until it listens, it refuses."""
    sock = socket.socket()
    try:
        if sys.platform != "win32":  # There it means to take a port away from its owner.
            # Connections that were accepted hold the port, too.
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind(("127.0.0.1", port))
        sock.setblocking(False)
    except BaseException:
        sock.close()
        raise
    return sock
