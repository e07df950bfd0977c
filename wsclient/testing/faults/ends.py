"""One end of a connection: a non-blocking socket that can be ended in each way TCP knows."""

from __future__ import annotations

import asyncio
import errno
import socket
import struct
import sys
from collections.abc import Callable
from typing import Literal

try:
    import fcntl
except ImportError:  # pragma: no cover  # Windows has no such calls
    fcntl = None  # type: ignore[assignment]  # its absence is asked for below

__all__ = ["Address", "End"]

Address = tuple[str, int] | tuple[str, int, int, int]
"""Host and port, as the socket module has them for IPv4 and IPv6."""

_UNDER_WAY = frozenset({errno.EINPROGRESS, errno.EWOULDBLOCK})

# Windows has two 16-bit numbers there.
_LINGER_NOTHING = struct.pack("hh" if sys.platform == "win32" else "ii", 1, 0)

_SIOCOUTQNSD = 0x894B
"""Asks Linux how many bytes of the send buffer have not been sent; it is in no module."""


class End:
    """The proxy's socket to the client or to the server.

    Attributes:
        name: which end it is.
        closed: whether the socket is closed.

    Args:
        loop: the proxy's loop.
        name: which end it is.
        sock: its socket, which the end closes; ``None`` when `connect` is still to make it.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        name: Literal["client", "server"],
        sock: socket.socket | None = None,
    ) -> None:
        self.name = name
        self.closed = False
        self._loop = loop
        self._sock = sock or socket.socket()
        self._reading = False
        self._writing = False
        self._prepare()

    def _prepare(self) -> None:
        self._sock.setblocking(False)
        self._sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.recv_into = self._sock.recv_into
        self.send = self._sock.send

    def connect(
        self, family: socket.AddressFamily, address: Address, then: Callable[[int], None]
    ) -> None:
        """Connect to an address; it may be done again with another one if it fails.

        Args:
            family: of the address.
            address: as `socket.getaddrinfo` gives it.
            then: called with 0, or with the number of the error; not at all if the end is
                closed before.
        """
        self._sock.close()
        self._sock = socket.socket(family, socket.SOCK_STREAM)
        self._prepare()

        def done() -> None:
            self.on_writable(None)
            code = self._sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            then(code or self._met_itself())

        code = self._sock.connect_ex(address)
        if code in _UNDER_WAY:
            self.on_writable(done)
        else:
            then(code or self._met_itself())

    def _met_itself(self) -> int:
        """Say that nobody listens where the system chose the target's port as our own."""
        same = self._sock.getsockname() == self._sock.getpeername()
        return errno.ECONNREFUSED if same else 0

    def on_readable(self, callback: Callable[[], None] | None) -> None:
        """Call back whenever there is something to read; ``None`` ends it."""
        if callback is not None and not self._reading and not self.closed:
            self._reading = True
            self._loop.add_reader(self._sock, callback)
        elif callback is None and self._reading:
            self._reading = False
            self._loop.remove_reader(self._sock)

    def on_writable(self, callback: Callable[[], None] | None) -> None:
        """Call back whenever there is room to write; ``None`` ends it."""
        if callback is not None and not self._writing and not self.closed:
            self._writing = True
            self._loop.add_writer(self._sock, callback)
        elif callback is None and self._writing:
            self._writing = False
            self._loop.remove_writer(self._sock)

    @property
    def unsent(self) -> int:
        """How many bytes the system has not sent yet; 0 where it cannot be asked."""
        if self.closed or fcntl is None or sys.platform != "linux":
            return 0
        answer = fcntl.ioctl(self._sock, _SIOCOUTQNSD, bytes(4))
        return int.from_bytes(answer, sys.byteorder)

    def finish(self) -> bool:
        """Send FIN behind what was written; return whether that was possible."""
        self.on_writable(None)
        try:
            self._sock.shutdown(socket.SHUT_WR)
        except OSError:
            return False  # The other side has reset it already.
        return True

    def reset(self) -> None:
        """Close the socket with RST, whatever is unread or unsent."""
        if self.closed:
            return
        try:
            self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_NOTHING)
        except OSError:
            pass  # macOS refuses it on a socket that was reset already.
        self.close()

    def close(self) -> None:
        """Close the socket; what was written is still sent."""
        if self.closed:
            return
        self.on_readable(None)
        self.on_writable(None)
        self.closed = True
        self._sock.close()
