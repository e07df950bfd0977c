"""Starts programs that listen on ports, waits until they do, and ends them."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from support.unavailable import UnavailableError

__all__ = ["ChildProcess", "find_program", "free_ports", "launch"]

_START_TIMEOUT = 20.0
_STOP_TIMEOUT = 5.0
_TRIES = 3
_POLL = 0.02
_TAIL = 3000

# Daemons are not always on the path of those who are not root.
_MORE_DIRECTORIES = ("/usr/sbin", "/sbin", "/usr/local/sbin", str(Path(sys.executable).parent))


class ChildProcess:
    """A program in the foreground, in a process group of its own.

    Args:
        name: to call it in messages.
        command: with its arguments.
        log: file that takes all that it prints.
        environment: variables beside those of this process.
    """

    def __init__(
        self,
        name: str,
        command: Sequence[str | Path],
        log: Path,
        environment: dict[str, str] | None = None,
    ) -> None:
        self.name = name
        self._log = log
        with open(log, "ab") as output:
            self._process = subprocess.Popen(
                [str(each) for each in command],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env={**os.environ, **(environment or {})},
                start_new_session=True,
            )

    @property
    def running(self) -> bool:
        """Whether it has not ended yet."""
        return self._process.poll() is None

    def wait_for_ports(self, ports: Iterable[int]) -> bool:
        """Wait until all ports accept connections; ``False`` if the program ends before."""
        deadline = time.monotonic() + _START_TIMEOUT
        for port in ports:
            while not _accepts(port):
                if not self.running:
                    return False
                if time.monotonic() > deadline:
                    raise TimeoutError(f"{self.name} does not listen on {port}: {self.said()}")
                time.sleep(_POLL)
        # Whoever answered must have been this program.
        return self.running

    def said(self) -> str:
        """Return the end of what it printed."""
        return self._log.read_text(errors="replace")[-_TAIL:]

    def stop(self) -> None:
        """End it and its children."""
        if self.running:
            self._process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(_STOP_TIMEOUT)
        # Its group may have members still, even when it has ended itself.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()


def launch(
    name: str,
    count: int,
    command: Callable[[list[int]], Sequence[str | Path]],
    log: Path,
    environment: dict[str, str] | None = None,
) -> tuple[ChildProcess, list[int]]:
    """Start a program on free ports, and wait until it listens.

    Another program may take a port between the search and the start: then others are tried.

    Args:
        name: to call it in messages.
        count: how many ports it needs.
        command: called with the ports, writes the configuration and returns the command.
        log: file that takes all that the program prints.
        environment: variables beside those of this process.

    Raises:
        RuntimeError: it does not start.
        TimeoutError: it starts, but does not listen.
    """
    child = None
    for _ in range(_TRIES):
        ports = free_ports(count)
        child = ChildProcess(name, command(ports), log, environment)
        try:
            if child.wait_for_ports(ports):
                return child, ports
        except BaseException:
            child.stop()
            raise
        child.stop()
    assert child is not None
    raise RuntimeError(f"{name} does not start: {child.said()}")


def find_program(*names: str) -> str:
    """Return where a program is.

    Args:
        names: it may go by each of these; the first one found counts.

    Raises:
        UnavailableError: it is not installed.
    """
    path = os.pathsep.join([os.environ.get("PATH", ""), *_MORE_DIRECTORIES])
    for name in names:
        found = shutil.which(name, path=path)
        if found:
            return found
    raise UnavailableError(f"{names[0]} is not installed")


def free_ports(count: int) -> list[int]:
    """Return ports of 127.0.0.1 on which nothing listens at the moment."""
    with contextlib.ExitStack() as stack:
        bound = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in bound:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in bound]


def _accepts(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(1.0)
        return probe.connect_ex(("127.0.0.1", port)) == 0
