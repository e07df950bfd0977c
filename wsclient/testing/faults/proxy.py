"""A TCP proxy on loopback that does what networks do, exact to the byte."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterable, Mapping
from types import TracebackType
from typing import Any
from urllib.parse import urlsplit

from .handles import Direction
from .hub import Condition, Hub
from .kinds import Line, whole
from .report import Connection
from .rules import Rule

__all__ = ["FaultProxy"]

_PORTS = {"ws": 80, "http": 80, "wss": 443, "https": 443}
_LOOPBACK_NAMES = frozenset({"localhost", "127.0.0.1"})


class FaultProxy:
    """Stands between clients and a server and lets a test break the connections.

    It runs inside ``with`` or ``async with``, on a thread and an event loop of its own: it goes
    on while the test blocks, and it serves tests with and without an event loop. All its methods
    may be called from any thread; they act in the order in which they are called and return when
    they are done, which takes about as long as a switch of threads.

    A fault is said as WHERE, perhaps WHEN, and WHAT:

        proxy.to_client.latency = 0.1
        proxy.to_client.pause()
        proxy.to_client.at(byte=1000).reset()
        proxy.to_server.on(0).at(event="upgraded").black_hole()

    Bytes are passed as they are, TLS too; FIN passes as FIN and RST as RST. When the target
    refuses a connection, the client gets RST. TCP's own opening handshake is not delayed.

    An error on the proxy's thread is raised when the block is left; if the block raises one
    itself, it is added to that as a note.

    Attributes:
        to_client: the bytes from the server to the client.
        to_server: the bytes from the client to the server.

    Args:
        target: the server's URL with the scheme ws, wss, http or https; or its host and port,
            which is taken for ws as far as `url` and the tracking of frames go.
        to_client: the condition of that direction at first; ``None`` is a perfect line.
        to_server: the same for the other direction.
        script: rules, or what `Rule.from_dict` takes; the same as made with ``at()``.
        seed: makes jitter and the choice of bits repeat from run to run; ``None`` draws one,
            see `seed`.

    Raises:
        TypeError: an argument is of a wrong type.
        ValueError: an argument is wrong in itself, such as a URL of another scheme or a rule
            whose moment cannot be seen through TLS.
    """

    def __init__(
        self,
        target: str | tuple[str, int],
        *,
        to_client: Line | None = None,
        to_server: Line | None = None,
        script: Iterable[Rule | Mapping[str, Any]] = (),
        seed: int | None = None,
    ) -> None:
        self._scheme, self._user, host, port, self._path = _parse(target)
        self._host = host if host in _LOOPBACK_NAMES else "127.0.0.1"
        self._target = (host, port)
        self._seed = random.SystemRandom().getrandbits(32) if seed is None else seed
        whole("seed", self._seed, 0)
        self._hub = Hub(
            self._target,
            {"to_client": to_client or Line(), "to_server": to_server or Line()},
            blind=self._scheme in ("wss", "https"),
            seed=self._seed,
        )
        self.to_client = Direction(self._hub, "to_client")
        self.to_server = Direction(self._hub, "to_server")
        for line in (to_client, to_server):
            if line is not None and not isinstance(line, Line):
                raise TypeError(f"the condition of a direction is a Line, not {line!r}")
        self._entered = False
        for rule in script:
            self.add(rule)

    def __repr__(self) -> str:
        """Say what is connected to what, without user, path or query."""
        host, port = self._target
        here = f"127.0.0.1:{self._hub.port}" if self._hub.running else "not running"
        return f"<FaultProxy {here} -> {host}:{port}, seed {self._seed}>"

    # Running.

    def __enter__(self) -> FaultProxy:
        """Listen on a free port of 127.0.0.1.

        Raises:
            RuntimeError: it has run before.
            OSError: there is no free port.
        """
        if self._entered:
            raise RuntimeError("A FaultProxy runs once: make a new one.")
        self._entered = True
        self._hub.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """End all connections with RST, and the thread.

        Raises:
            BaseExceptionGroup: there were errors on the proxy's thread.
        """
        self._hub.stop()
        self._hub.join()
        self._report(error)

    async def __aenter__(self) -> FaultProxy:
        """Do the same as ``with``.

        Raises:
            RuntimeError: it has run before.
            OSError: there is no free port.
        """
        return self.__enter__()

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Do the same as ``with``, without blocking the loop.

        When cancelled, it raises at once and the proxy still ends.

        Raises:
            BaseExceptionGroup: there were errors on the proxy's thread.
        """
        self._hub.stop()
        await asyncio.wrap_future(self._hub.stopped)
        self._hub.join()  # The thread has nothing left to do.
        self._report(error)

    def _report(self, error: BaseException | None) -> None:
        if not self._hub.errors:
            return
        group = BaseExceptionGroup("errors on the thread of a FaultProxy", self._hub.errors)
        if error is None:
            raise group
        error.add_note(f"{group}: {self._hub.errors!r}")

    # What it is.

    @property
    def url(self) -> str:
        """The target's URL with the proxy's address in the place of the target's.

        The name localhost stays, so that a certificate for it is still right.

        Raises:
            RuntimeError: the proxy has not been started.
        """
        return f"{self._scheme}://{self._user}{self._host}:{self.address[1]}{self._path}"

    @property
    def address(self) -> tuple[str, int]:
        """Where it listens: host and port.

        Raises:
            RuntimeError: the proxy has not been started.
        """
        if not self._hub.port:
            raise RuntimeError("The FaultProxy listens inside its with block only.")
        return "127.0.0.1", self._hub.port

    @property
    def seed(self) -> int:
        """What makes the random choices; give it as `seed` to repeat them."""
        return self._seed

    @property
    def connections(self) -> tuple[Connection, ...]:
        """All connections as they are now, ended ones too, in the order of being accepted."""
        return self._hub.call(self._hub.snapshots)

    # Faults.

    def add(self, rule: Rule | Mapping[str, Any]) -> Rule:
        """Let a rule wait for its moment, on connections that are open and those to come.

        Args:
            rule: a rule, or what `Rule.from_dict` takes.

        Returns:
            The rule.

        Raises:
            TypeError: a value in it is of a wrong type.
            ValueError: a value is out of range, the moment cannot be seen through TLS, or it
                has gone by on the only connection that the rule is for.
        """
        made = rule if isinstance(rule, Rule) else Rule.from_dict(rule)
        self._hub.check(made.when)
        self._hub.call(lambda: self._hub.add(made))
        return made

    def clear(self) -> None:
        """Forget all rules that have not acted yet."""
        self._hub.call(self._hub.clear)

    def cut(self) -> None:
        """End every connection with RST, now and at both ends."""
        self._hub.call(self._hub.cut)

    def refuse(self) -> None:
        """Refuse new connections, as a host does where nothing listens; open ones go on.

        Raises:
            RuntimeError: the proxy does not run.
        """
        self._must_run()
        self._hub.call(self._hub.refuse)

    def accept_again(self) -> None:
        """Accept new connections again, on the same port.

        Raises:
            RuntimeError: the proxy does not run.
        """
        self._must_run()
        self._hub.call(self._hub.accept_again)

    def _must_run(self) -> None:
        if not self._hub.running:
            raise RuntimeError("The FaultProxy runs inside its with block only.")

    # Waiting.

    def wait_until(self, condition: Condition, *, timeout: float = 5.0) -> tuple[Connection, ...]:
        """Block until something is true of the connections.

        Args:
            condition: is called with `connections` whenever they change, on the proxy's thread;
                what it raises is raised here.
            timeout: seconds to wait.

        Returns:
            The connections as they were when it became true.

        Raises:
            TimeoutError: it did not become true in time.
            RuntimeError: the proxy does not run, or stops.
        """
        future = self._hub.wait_for(condition)
        try:
            return future.result(timeout)
        except TimeoutError as exc:
            if future.done():
                raise
            raise self._not_in_time(timeout) from exc
        finally:
            self._hub.call(lambda: self._hub.forget(future))

    async def until(self, condition: Condition, *, timeout: float = 5.0) -> tuple[Connection, ...]:
        """Wait until something is true of the connections.

        Cancelling it is safe.

        Args:
            condition: is called with `connections` whenever they change, on the proxy's thread;
                what it raises is raised here.
            timeout: seconds to wait.

        Returns:
            The connections as they were when it became true.

        Raises:
            TimeoutError: it did not become true in time.
            RuntimeError: the proxy does not run, or stops.
        """
        future = self._hub.wait_for(condition)
        waiting = asyncio.wrap_future(future)
        try:
            await asyncio.wait([waiting], timeout=timeout)
            if waiting.done():
                return waiting.result()
            raise self._not_in_time(timeout)
        finally:
            waiting.cancel()
            self._hub.call(lambda: self._hub.forget(future))

    def _not_in_time(self, timeout: float) -> TimeoutError:
        return TimeoutError(f"not in {timeout:g} s; the connections: {self.connections}")


def _parse(target: str | tuple[str, int]) -> tuple[str, str, str, int, str]:
    """Return scheme, user with its ``@``, host, port, and what stands behind them."""
    if not isinstance(target, str):
        host, port = target
        whole("port", port, 1, 65535)
        return "ws", "", host, port, "/"
    parts = urlsplit(target)
    if parts.scheme not in _PORTS or not parts.hostname:
        raise ValueError("target must be a URL with the scheme ws, wss, http or https and a host.")
    user, at, _ = parts.netloc.rpartition("@")
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    target_port = _PORTS[parts.scheme] if parts.port is None else parts.port
    whole("port", target_port, 1, 65535)
    return parts.scheme, user + at, parts.hostname, target_port, path
