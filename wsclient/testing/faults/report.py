"""What a proxy has seen of a connection: values that do not change any more."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from .rules import Rule

__all__ = ["Connection", "Ending", "Flow"]


class Ending(Enum):
    """How a connection through the proxy ended; the first that happened counts."""

    CLOSED = "closed"
    """Both ends sent FIN, and both were passed on."""
    CLIENT_RESET = "client_reset"
    """The client sent RST, and the server got it."""
    SERVER_RESET = "server_reset"
    """The server sent RST, and the client got it."""
    FAULT = "fault"
    """The fault `reset` or `cut()` reset one end or both."""
    REFUSED = "refused"
    """The target could not be reached; the client got RST."""
    STOPPED = "stopped"
    """The proxy's block was left; what was still open got RST."""


@dataclass(frozen=True)
class Flow:
    """One direction of one connection.

    Attributes:
        taken: bytes from the sender that have passed, were dropped or were swallowed. The
            offsets of rules count these.
        passed: bytes written to the receiver.
        writes: how many system calls wrote them.
        frames: how many WebSocket frames have begun; 0 through TLS.
        delay: seconds of latency and jitter that were given to chunks as they were read, summed
            up over the chunks; a FIN or RST counts as one.
    """

    taken: int
    passed: int
    writes: int
    frames: int
    delay: float


@dataclass(frozen=True)
class Connection:
    """A connection as it was when it was asked for.

    Attributes:
        index: its number, from 0 in the order of being accepted.
        to_server: the bytes from the client.
        to_client: the bytes from the server.
        ended: how it ended; ``None`` while it goes on, half-open or not.
        fired: the rules that have acted, in that order.
        error: why the target could not be reached; empty when it was.
    """

    index: int
    to_server: Flow
    to_client: Flow
    ended: Ending | None
    fired: tuple[Rule, ...]
    error: str
