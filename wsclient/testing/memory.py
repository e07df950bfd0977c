"""Two transports joined in memory: what one writes, the other one's protocol receives.

Nothing depends on the kernel or on the clock: bytes arrive in the next turn of the loop, in the
order in which they were written.
"""

from __future__ import annotations

import asyncio
import socket
from collections import deque
from typing import Any, Final

from ..opening.read_first import give

__all__ = ["MemoryTransport", "joined_transports"]

_HIGH: Final = 64 * 1024


class MemoryTransport(asyncio.Transport):
    """One of two ends; `joined_transports` makes them.

    It closes, half-closes, pauses and holds back its writer as a TCP transport of asyncio does.
    With SO_LINGER set to 0 seconds, as `reset_on_close` does, the other end sees a reset.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, name: str) -> None:
        self._socket = _MemorySocket()
        super().__init__()
        self._name = name
        self._loop = loop
        self._protocol: asyncio.BaseProtocol | None = None
        self._other: MemoryTransport | None = None
        self._incoming: deque[bytes | None] = deque()
        self._incoming_size = 0
        self._delivering = False
        self._reading = True
        self._high, self._low = _HIGH, _HIGH // 4
        self._writing_paused = False
        self._eof_written = False
        self._closing = False
        self._lost = False

    def join(self, other: MemoryTransport) -> None:
        """Make another transport the other end of this one."""
        self._other = other

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """Return ``"sockname"``, ``"peername"``, or the little of a ``"socket"`` there is."""
        if name == "socket":
            return self._socket
        if name == "sockname":
            return self._name
        return self._other._name if name == "peername" and self._other else default

    # The writer's side

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Hand bytes to the other end; a closing transport drops them.

        Raises:
            RuntimeError: `write_eof` has been called.
        """
        if self._closing or not data:
            return
        if self._eof_written:
            raise RuntimeError("nothing can be written after write_eof()")
        assert self._other is not None
        self._other._receive(bytes(data))
        if self.get_write_buffer_size() > self._high and not self._writing_paused:
            self._writing_paused = True
            assert self._protocol is not None
            self._protocol.pause_writing()

    def write_eof(self) -> None:
        """Tell the other end that nothing more will come."""
        assert self._other is not None
        if not self._eof_written and not self._closing:
            self._eof_written = True
            self._other._receive(None)

    def can_write_eof(self) -> bool:
        """Return True: half-closed connections exist here."""
        return True

    def get_write_buffer_size(self) -> int:
        """Return how many bytes the other end has not taken."""
        assert self._other is not None
        return self._other._incoming_size

    def get_write_buffer_limits(self) -> tuple[int, int]:
        """Return the marks at which writing pauses and goes on."""
        return self._low, self._high

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """Set the marks at which writing pauses and goes on, in bytes."""
        self._high = high if high is not None else (_HIGH if low is None else 4 * low)
        self._low = low if low is not None else self._high // 4

    # The reader's side

    def _receive(self, item: bytes | None) -> None:
        if self._lost or self._closing:
            return  # Nobody reads any more: the bytes are lost, as in the kernel.
        self._incoming.append(item)
        self._incoming_size += len(item or b"")
        self._deliver_soon()

    def _deliver_soon(self) -> None:
        if not self._delivering and self._reading and self._incoming:
            self._delivering = True
            self._loop.call_soon(self._deliver)

    def _deliver(self) -> None:
        self._delivering = False
        if self._lost or not self._reading or not self._incoming:
            return
        item = self._incoming.popleft()
        if item is None:
            assert self._protocol is not None
            if not self._protocol.eof_received():  # type: ignore[attr-defined]  # both kinds have it
                self.close()
        else:
            self._incoming_size -= len(item)
            self._hand_over(item)
            assert self._other is not None
            self._other._drained()
        self._deliver_soon()

    def _hand_over(self, data: bytes) -> None:
        # By itself, for transports of tests that come in between.
        give(self._protocol, data)

    def _drained(self) -> None:
        if self._writing_paused and self.get_write_buffer_size() <= self._low:
            self._writing_paused = False
            if self._protocol is not None:
                self._protocol.resume_writing()
        if self._closing:
            self._finish_closing()

    def pause_reading(self) -> None:
        """Take nothing more from the other end for now."""
        self._reading = False

    def resume_reading(self) -> None:
        """Take what the other end writes."""
        self._reading = True
        self._deliver_soon()

    def is_reading(self) -> bool:
        """Return whether this end takes what the other one writes."""
        return self._reading and not self._closing

    # The end

    def close(self) -> None:
        """Close this end when the other one has taken what was written."""
        if self._closing:
            return
        self.write_eof()
        self._closing = True
        self._incoming.clear()
        self._incoming_size = 0
        self._finish_closing()

    def _finish_closing(self) -> None:
        if not self.get_write_buffer_size():
            self._loop.call_soon(self._lose, None)

    def abort(self) -> None:
        """Drop the connection; what the other end has not taken is lost."""
        assert self._other is not None
        if self._lost:
            return
        self._closing = True
        other = self._other
        other._incoming.clear()
        other._incoming_size = 0
        if self._socket.resets:
            self._loop.call_soon(other._lose, ConnectionResetError("reset by the other end"))
        elif not other._closing:
            other._receive(None)
        self._loop.call_soon(self._lose, None)

    def _lose(self, exc: Exception | None) -> None:
        if self._lost:
            return
        self._lost = self._closing = True
        self._incoming.clear()
        self._incoming_size = 0
        protocol, self._protocol = self._protocol, None
        if protocol is not None:
            protocol.connection_lost(exc)
        assert self._other is not None
        self._other._drained()

    def is_closing(self) -> bool:
        """Return whether this end is closing or closed."""
        return self._closing

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        """Set who receives."""
        self._protocol = protocol
        self._deliver_soon()

    def get_protocol(self) -> asyncio.BaseProtocol:
        """Return who receives."""
        assert self._protocol is not None
        return self._protocol


class _MemorySocket:
    """The little of a socket that connections use."""

    family = socket.AF_INET

    def __init__(self) -> None:
        self.resets = False

    def setsockopt(self, level: int, option: int, value: Any) -> None:
        if (level, option) == (socket.SOL_SOCKET, socket.SO_LINGER):
            self.resets = True


def joined_transports(
    loop: asyncio.AbstractEventLoop,
) -> tuple[MemoryTransport, MemoryTransport]:
    """Return both ends of a connection in memory."""
    first, second = MemoryTransport(loop, "client"), MemoryTransport(loop, "server")
    first.join(second)
    second.join(first)
    return first, second
