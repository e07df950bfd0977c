"""Network namespaces of Linux that nobody needs to clean up.

A namespace without a name lives as long as somebody holds it: here one descriptor, which closes
with the process that opened it, however that process ends. With the namespace go its interfaces,
addresses, routes and rules.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import shutil
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from support.unavailable import UnavailableError

__all__ = ["Namespace", "check_available"]

_CLONE_NEWNET: Final = 0x40000000
_PROGRAMS: Final = {"ip": "iproute2", "nft": "nftables"}
_PROGRAM_TIMEOUT: Final = 20.0

# Daemons' directories are not always on the path.
_PATH: Final = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/sbin"])

# Python 3.11 has neither os.setns nor os.unshare.
_libc: Final = ctypes.CDLL(None, use_errno=True)


class Namespace:
    """A network with nothing in it but its loopback interface.

    Use it in ``with``, which lets go of it at the end.

    Raises:
        OSError: the system allows none.
    """

    def __init__(self) -> None:
        self._descriptor = _new_namespace()

    def __enter__(self) -> Self:
        self.ip("link set lo up")
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        os.close(self._descriptor)

    @property
    def path(self) -> str:
        """Where other programs find it, as long as this process has it."""
        return f"/proc/{os.getpid()}/fd/{self._descriptor}"

    @contextlib.contextmanager
    def entered(self) -> Iterator[None]:
        """Let the calling thread see this network.

        Sockets belong to the network in which they are made, also when they are used in another.
        Threads and processes start in the network of whoever starts them.
        """
        home = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        try:
            _enter(self._descriptor)
            try:
                yield
            finally:
                _enter(home)
        finally:
            os.close(home)

    def ip(self, *commands: str) -> str:
        """Run commands of ``ip``, one after the other; return what they print."""
        return self._run("ip", "-batch", "-", given="\n".join(commands) + "\n")

    def nft(self, text: str) -> str:
        """Run commands of ``nft``, all or none; return what they print."""
        return self._run("nft", "-f", "-", given=text)

    def set(self, name: str, value: int) -> None:
        """Set a parameter of the kernel for this network, such as ``ipv4/tcp_retries2``."""
        with self.entered():
            Path("/proc/sys/net", name).write_text(str(value), encoding="ascii")

    def sockets(self) -> int:
        """Return how many TCP sockets of this network are held by a program.

        What the kernel still winds up on its own does not count.
        """
        inode = 9
        with self.entered():
            tables = [Path("/proc/thread-self/net", name).read_text() for name in ("tcp", "tcp6")]
        lines = [line.split() for table in tables for line in table.splitlines()[1:]]
        return sum(line[inode] != "0" for line in lines)

    def _run(self, program: str, *arguments: str, given: str) -> str:
        found = shutil.which(program, path=_PATH)
        assert found is not None, f"{program} is not installed"
        with self.entered():
            result = subprocess.run(
                [found, *arguments],
                input=given,
                capture_output=True,
                text=True,
                timeout=_PROGRAM_TIMEOUT,
            )
        if result.returncode:
            raise RuntimeError(f"{program} failed: {result.stderr}\n{given}")
        return result.stdout


def check_available() -> None:
    """Check that this machine can have namespaces and rules in them.

    Raises:
        UnavailableError: it cannot; the message says what is missing.
    """
    for program, package in _PROGRAMS.items():
        if shutil.which(program, path=_PATH) is None:
            raise UnavailableError(f"{program} is not installed (Debian: {package})")
    try:
        with Namespace() as namespace:
            namespace.nft("add table inet probe")
    except (OSError, RuntimeError) as error:
        raise UnavailableError(f"no network namespaces for us (root has them): {error}") from error


def _new_namespace() -> int:
    """Return the descriptor of a new namespace, made in a thread that then ends."""
    made: list[int | OSError] = []

    def make() -> None:
        try:
            _check(_libc.unshare(_CLONE_NEWNET))
            made.append(os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC))
        except OSError as error:
            made.append(error)

    thread = threading.Thread(target=make)
    thread.start()
    thread.join()
    (result,) = made
    if isinstance(result, OSError):
        raise result
    return result


def _enter(descriptor: int) -> None:
    _check(_libc.setns(descriptor, _CLONE_NEWNET))


def _check(result: int) -> None:
    if result:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
