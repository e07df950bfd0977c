"""A socket whose N-th system call fails, and every one behind it: a connection that has died.

asyncio's own loop calls the methods of the socket; uvloop uses the descriptor alone.
"""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Iterable
from typing import Any, Final

import pytest

from wsclient import CloseCause
from wsclient.opening.read_first import ReadFirstSocket

__all__ = ["DEATHS", "Death"]

DEATHS: Final = {
    "reset": (errno.ECONNRESET, CloseCause.RESET),
    "pipe": (errno.EPIPE, CloseCause.RESET),
    "timeout": (errno.ETIMEDOUT, CloseCause.NETWORK_ERROR),
    "route": (errno.EHOSTUNREACH, CloseCause.NETWORK_ERROR),
    "down": (errno.ENETDOWN, CloseCause.NETWORK_ERROR),
    "eof": (0, CloseCause.EOF),
}
"""Error numbers, and what `CloseInfo` has to say of them; 0 is the end of what can be read."""


class Death:
    """Counts the system calls of sockets, and says from which one on they fail.

    Attributes:
        failed: the name of the call that failed first; ``None`` before.

    Args:
        at: which call fails, from 1.
        number: of the error; 0 lets reads find the end, and nothing else fail.
    """

    def __init__(self, at: int, number: int) -> None:
        self._at = at
        self._number = number
        self._count = 0
        self.failed: str | None = None

    def install(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Let every connection be opened with such a socket."""

        def make(addr_info: tuple[Any, ...]) -> socket.socket:
            family, kind, protocol, *_ = addr_info
            made = _Socket(family, kind, protocol)
            made.death = self
            return made

        monkeypatch.setattr("wsclient.opening.session.read_first_socket", make)

    def call(self, name: str) -> bool:
        """Count a call; tell whether there is nothing to be read any more.

        Raises:
            OSError: it fails.
        """
        reads = name.startswith("recv")
        if self._number or reads:
            self._count += 1
        if self._count < self._at:
            return False
        self.failed = self.failed or name
        if self._number:
            raise OSError(self._number, os.strerror(self._number))
        return reads


class _Mortal(socket.socket):
    """What stands between the package's own socket and the system."""

    death: Death

    def connect(self, address: Any, /) -> None:
        self.death.call("connect")
        super().connect(address)

    def getsockopt(self, *arguments: Any) -> Any:
        if arguments[1] == socket.SO_ERROR:
            self.death.call("getsockopt")
        return super().getsockopt(*arguments)

    def send(self, data: Any, flags: int = 0, /) -> int:
        self.death.call("send")
        return super().send(data, flags)

    def sendmsg(self, buffers: Iterable[Any], *arguments: Any) -> int:
        self.death.call("sendmsg")
        return super().sendmsg(buffers, *arguments)

    def recv(self, size: int, flags: int = 0, /) -> bytes:
        if not flags and self.death.call("recv"):
            return b""
        return super().recv(size, flags)

    def recv_into(self, buffer: Any, size: int = 0, flags: int = 0, /) -> int:
        return 0 if self.death.call("recv_into") else super().recv_into(buffer, size, flags)


class _Socket(ReadFirstSocket, _Mortal):
    """The package's own socket, on a system that fails."""
