"""A connection in memory whose client has a transport that fails at its N-th operation."""

from __future__ import annotations

import asyncio
import errno
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import pytest

from wsclient import CloseCause
from wsclient.testing.memory import MemoryTransport

__all__ = ["LOSSES", "FaultyTransport", "Loss", "Plan", "lose_at", "raise_at"]


@dataclass(frozen=True)
class Loss:
    """How a transport goes away by itself.

    Attributes:
        exception: what `connection_lost` is called with; ``None`` for an end without an error.
        cause: what `CloseInfo` has to say of it.
        eof: whether the peer's end of the stream comes first.
    """

    exception: Callable[[], Exception | None]
    cause: CloseCause
    eof: bool = False


LOSSES: Final = {
    "reset": Loss(lambda: ConnectionResetError(errno.ECONNRESET, "reset"), CloseCause.RESET),
    "pipe": Loss(lambda: BrokenPipeError(errno.EPIPE, "broken pipe"), CloseCause.RESET),
    "timeout": Loss(lambda: TimeoutError(errno.ETIMEDOUT, "silent"), CloseCause.NETWORK_ERROR),
    "route": Loss(lambda: OSError(errno.EHOSTUNREACH, "no route"), CloseCause.NETWORK_ERROR),
    "plain": Loss(lambda: None, CloseCause.EOF),
    "eof": Loss(lambda: None, CloseCause.EOF, eof=True),
}


class Plan:
    """Counts operations, and says which one fails.

    Attributes:
        count: operations so far.
        failed: the name of the operation that failed; ``None`` before.
        error: what it failed with.
        later: the names of all operations behind it.

    Args:
        at: which operation fails, from 1.
        fail: called with the transport when it does; what it raises, the operation raises.
        names: the operations that count; ``None`` for all.
    """

    def __init__(
        self,
        at: int,
        fail: Callable[[FaultyTransport], Exception | None],
        names: frozenset[str] | None = None,
    ) -> None:
        self._at = at
        self._fail = fail
        self._names = names
        self.count = 0
        self.failed: str | None = None
        self.error: Exception | None = None
        self.later: list[str] = []

    def operation(self, transport: FaultyTransport, name: str) -> None:
        """Count an operation; the one that is to fail does."""
        if self.failed is not None:
            self.later.append(name)
        if self._names is not None and name not in self._names:
            return
        self.count += 1
        if self.count == self._at:
            self.failed = name
            self.error = self._fail(transport)


def lose_at(at: int, loss: Loss) -> Plan:
    """Lose the transport at an operation, as a loop does: it tells the protocol a turn later."""

    def fail(transport: FaultyTransport) -> Exception | None:
        error = loss.exception()
        if loss.eof:
            transport.end_stream()
        else:
            transport.break_down(error)
        return error

    return Plan(at, fail)


def raise_at(at: int, error: Exception, names: frozenset[str]) -> Plan:
    """Let an operation raise, and do nothing else."""

    def fail(transport: FaultyTransport) -> Exception | None:
        plan.error = error
        raise error

    plan = Plan(at, fail, names)
    return plan


class FaultyTransport(MemoryTransport):
    """The client's end: it counts what is done with it, and what it does with its protocol.

    What a protocol raises ends the connection, as with a transport of asyncio.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, name: str, plan: Plan) -> None:
        super().__init__(loop, name)
        self._plan = plan
        self._stream_ended = False

    @classmethod
    def install(cls, monkeypatch: pytest.MonkeyPatch, plan: Plan) -> None:
        """Let the next `connection_pair` have such a transport at the client's end."""

        def join(loop: asyncio.AbstractEventLoop) -> tuple[MemoryTransport, MemoryTransport]:
            first, second = cls(loop, "client", plan), MemoryTransport(loop, "server")
            first.join(second)
            second.join(first)
            return first, second

        monkeypatch.setattr("wsclient.testing.pair.joined_transports", join)

    def break_down(self, error: Exception | None) -> None:
        """Be gone: closing now, and lost in the next turn; the other end sees a reset."""
        if self._lost:
            return
        self._closing = True
        self._incoming.clear()
        self._incoming_size = 0
        self._loop.call_soon(self._lose, error)
        assert self._other is not None
        self._loop.call_soon(self._other._lose, ConnectionResetError(errno.ECONNRESET, "reset"))

    def end_stream(self) -> None:
        """Have the peer's end of the stream behind what has come, and nothing behind that."""
        if not self._stream_ended:
            self._receive(None)
            self._stream_ended = True

    def _receive(self, item: bytes | None) -> None:
        if not self._stream_ended:
            super()._receive(item)

    def _hand_over(self, data: bytes) -> None:
        self._plan.operation(self, "receive")
        if self._lost or self._closing:
            return
        try:
            super()._hand_over(data)
        except Exception as exc:
            context = {"message": "the protocol raised", "exception": exc, "transport": self}
            self._loop.call_exception_handler(context)
            self.break_down(exc)

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Count, and write."""
        self._plan.operation(self, "write")
        super().write(data)

    def write_eof(self) -> None:
        """Count, and half-close."""
        self._plan.operation(self, "write_eof")
        super().write_eof()

    def close(self) -> None:
        """Count, and close."""
        self._plan.operation(self, "close")
        super().close()

    def abort(self) -> None:
        """Count, and abort."""
        self._plan.operation(self, "abort")
        super().abort()

    def pause_reading(self) -> None:
        """Count, and pause."""
        self._plan.operation(self, "pause_reading")
        super().pause_reading()

    def resume_reading(self) -> None:
        """Count, and go on."""
        self._plan.operation(self, "resume_reading")
        super().resume_reading()

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        """Count, and set who receives."""
        super().set_protocol(protocol)
        self._plan.operation(self, "set_protocol")

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """Count, and tell."""
        self._plan.operation(self, "get_extra_info")
        return super().get_extra_info(name, default)

    def get_write_buffer_size(self) -> int:
        """Count, and tell."""
        self._plan.operation(self, "get_write_buffer_size")
        return super().get_write_buffer_size()

    def is_closing(self) -> bool:
        """Count, and tell."""
        self._plan.operation(self, "is_closing")
        return super().is_closing()
