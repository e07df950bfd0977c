"""A socket that lets the loop read what a server said before it went.

A server that refuses a client says so and closes: by an alert of TLS, an HTTP status or a Close
frame. The client may be writing at that moment. Its write then fails, and asyncio drops the
connection without reading what is there. With TLS 1.3 that is the usual course of a refused client
certificate: the client's handshake ends before the server has looked at it, and the alert meets
the client's request.

asyncio calls the socket's `send` and `sendmsg`. uvloop and the loop of Windows use the descriptor
alone; for them this is a socket like any other, and what is unread when a write fails is lost.
Transports of aiofastnet do so too, but see to it themselves, in `fast`.
"""

from __future__ import annotations

import asyncio
import errno
import os
import socket
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

__all__ = ["ReadFirstSocket", "give", "hand_over_unread", "has_unread", "read_first_socket"]

_MOST_UNREAD: Final = 8 * 1024 * 1024
"""More than a kernel holds for a socket; what is unread is counted up to here."""

_AT_ONCE: Final = getattr(socket, "MSG_DONTWAIT", 0)
_PEEK: Final = socket.MSG_PEEK | _AT_ONCE


def read_first_socket(addr_info: tuple[Any, ...]) -> ReadFirstSocket:
    """Make a socket whose writing fails only after all has been read.

    Fit for `aiohttp.TCPConnector`, whose argument `socket_factory` it is.

    Args:
        addr_info: one of the tuples that `socket.getaddrinfo` returns.

    Returns:
        a socket that is not connected, blocking as any new one.

    Raises:
        OSError: the system has no such kind of socket, or no free descriptor.
    """
    family, kind, protocol, *_ = addr_info
    return ReadFirstSocket(family, kind, protocol)


def has_unread(carrier: Any) -> bool:
    """Tell whether something was received and not read yet, also if the connection is broken.

    Args:
        carrier: the socket of a transport, as `asyncio.BaseTransport.get_extra_info` tells it.
    """
    inner = _receiver(carrier)
    try:
        return inner is not None and len(inner.recv(1, _PEEK)) > 0
    except OSError:
        return False


def hand_over_unread(carrier: Any, protocol: asyncio.BaseProtocol) -> None:
    """Give a protocol what was received and not read yet; it is not told of the end behind it.

    Args:
        carrier: as for `has_unread`.
        protocol: of the transport.
    """
    inner = _receiver(carrier)
    try:
        while inner is not None and (data := inner.recv(_MOST_UNREAD, _AT_ONCE)):
            give(protocol, data)
    except OSError:
        pass  # That was all.


def _receiver(carrier: Any) -> socket.socket | None:
    """Return the socket itself: what transports show of theirs cannot receive.

    There is no public way to it. Without one, what is unread stays so.
    """
    inner = getattr(carrier, "_sock", carrier)
    return inner if isinstance(inner, socket.socket) else None


def give(protocol: asyncio.BaseProtocol | None, data: bytes) -> None:
    """Give received bytes to a protocol of either kind, as a transport does."""
    if isinstance(protocol, asyncio.Protocol):
        protocol.data_received(data)
        return
    assert isinstance(protocol, asyncio.BufferedProtocol)
    while data:
        buffer = memoryview(protocol.get_buffer(len(data)))
        count = min(len(buffer), len(data))
        buffer[:count] = data[:count]
        protocol.buffer_updated(count)
        data = data[count:]


class ReadFirstSocket(socket.socket):
    """A socket that puts off errors of writing while there is something to read.

    "Would block" makes a loop wait until it can write, and with a broken connection it can at
    once: readers come first in a round of asyncio, then it writes again. So that this is no
    endless loop when nobody reads, the error is put off again only if less is unread than
    before. When it is raised at last, it is the first one: the kernel tells it only once.
    """

    _fault = 0
    _unread = 0

    _inode: int | None = None

    def remember(self) -> None:
        """Note which socket it is, for `let_go_if_closed`."""
        self._inode = self._look_up()

    def let_go_if_closed(self) -> None:
        """Forget the descriptor if somebody has closed it under us; after `remember`.

        uvloop does so when connecting with TLS fails early. The number may be another
        connection's by now, which this object would close when it goes.
        """
        if self._inode is not None and self.fileno() >= 0 and self._look_up() != self._inode:
            self.detach()

    def _look_up(self) -> int | None:
        """Return what tells one socket from the next; ``None`` where nothing does."""
        try:
            return os.fstat(self.fileno()).st_ino
        except OSError:
            return None

    # Called for each message sent: nothing may be added to the way of success.

    def send(self, data: ReadableBuffer, flags: int = 0, /) -> int:
        """Send, as any socket.

        Raises:
            OSError: the connection is broken, and there is nothing left to read.
            BlockingIOError: it cannot be sent now, or there is something to read first.
        """
        try:
            return super().send(data, flags)
        except (ConnectionResetError, BrokenPipeError) as exc:
            raise self._put_off(exc) from None

    def sendmsg(
        self,
        buffers: Iterable[ReadableBuffer],
        ancdata: Iterable[Any] = (),
        flags: int = 0,
        address: Any = None,
        /,
    ) -> int:
        """Send pieces, as any socket.

        Raises:
            OSError: as for `send`.
            BlockingIOError: as for `send`.
        """
        try:
            return super().sendmsg(buffers, ancdata, flags, address)
        except (ConnectionResetError, BrokenPipeError) as exc:
            raise self._put_off(exc) from None

    def _put_off(self, exc: OSError) -> OSError:
        """Return what to raise instead of an error of writing."""
        before = self._unread if self._fault else _MOST_UNREAD + 1
        # Not the exception itself, whose traceback would hold the socket.
        self._fault = self._fault or exc.errno or errno.ECONNRESET
        self._unread = self._count_unread()
        if 0 < self._unread < before:
            return BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))
        return OSError(self._fault, os.strerror(self._fault))

    def _count_unread(self) -> int:
        try:
            return len(self.recv(_MOST_UNREAD, _PEEK))
        except OSError:
            return 0
