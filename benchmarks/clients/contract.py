"""What each client must be able to do for the works."""

from __future__ import annotations

import ssl
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

from benchmarks.job import Job

__all__ = ["Client", "WrongCountError", "check_size"]


class WrongCountError(Exception):
    """Other messages came than the server has sent."""


class Client(ABC):
    """A client in one of its modes.

    Each method is written as the client's documentation advises for speed, and does what the
    others do: messages are had as ``bytes`` or ``str``. A client that blocks does so.

    Attributes:
        job: what is to be done.
        context: trusts the server, ``None`` without TLS.
    """

    def __init__(self, job: Job, context: ssl.SSLContext | None) -> None:
        self.job = job
        self.context = context

    async def start(self) -> None:  # noqa: B027  # most have nothing to share
        """Make what connections share."""

    async def stop(self) -> None:  # noqa: B027  # see `start`
        """End what `start` has made."""

    @abstractmethod
    async def open(self) -> Any:
        """Connect; return a connection for the other methods."""

    @abstractmethod
    async def close(self, conn: Any) -> None:
        """Close a connection by the closing handshake."""

    async def receive(self, conn: Any, count: int) -> None:
        """Send the number `count` as a message, and receive so many."""
        raise NotImplementedError

    async def echo(self, conn: Any, messages: Sequence[str | bytes], count: int) -> None:
        """Send messages in turn and wait for an answer each time, until there are `count`."""
        raise NotImplementedError

    async def send(self, conn: Any, message: str | bytes, count: int) -> None:
        """Send the number `count`, then so many messages, and wait for one."""
        raise NotImplementedError


def check_size(message: str | bytes | None, size: int) -> None:
    """Raise `WrongCountError` if the last message is not one of the server's.

    Args:
        message: what the client returned.
        size: of each message.
    """
    if message is None or len(message) != size:
        got = "the end" if message is None else f"{len(message)} bytes"
        raise WrongCountError(f"the last message is {got} instead of {size} bytes")
