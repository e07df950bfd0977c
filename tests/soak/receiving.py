"""The two ways to receive, each of which compares every message with the one that must come."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Iterator
from typing import Protocol

from soak.bench import SoakError
from soak.messages import cycle
from wsclient import WebSocketClientConnection

__all__ = ["Listener", "Reader", "Taker"]


class Taker(Protocol):
    """Receives a number of messages, and then a report."""

    def begin(self, messages: int) -> None:
        """Expect so many more messages, and a report behind them."""

    async def take(self, messages: int) -> None:
        """Wait until so many more of them have come.

        Raises:
            SoakError: one is not the one that was sent.
        """

    async def report(self) -> str:
        """Return what came behind the messages."""


class Reader:
    """Receives with `read_message`."""

    def __init__(self) -> None:
        self.connection: WebSocketClientConnection | None = None
        self._expected: Iterator[str | bytes] = itertools.cycle(cycle())

    def begin(self, messages: int) -> None:
        """Do nothing: messages wait until they are read."""

    async def take(self, messages: int) -> None:
        """Read messages."""
        assert self.connection is not None
        read = self.connection.read_message
        for expected in itertools.islice(self._expected, messages):
            message = await read()
            if message != expected:
                raise _wrong(message, expected)

    async def report(self) -> str:
        """Read the report."""
        assert self.connection is not None
        message = await self.connection.read_message()
        assert isinstance(message, str)
        return message


class Listener:
    """Receives by callback: `received`, or `received_async`."""

    def __init__(self) -> None:
        self._expected: Iterator[str | bytes] = itertools.cycle(cycle())
        self._left = 0
        self._taken_to = 0
        self._wake_at = -1
        self._waiter: asyncio.Future[None] | None = None
        self._report: asyncio.Future[str] | None = None

    def begin(self, messages: int) -> None:
        """Have the next so many messages compared."""
        assert not self._left
        self._left = messages
        self._taken_to = messages
        self._report = asyncio.get_running_loop().create_future()

    async def take(self, messages: int) -> None:
        """Wait until so many more messages have come."""
        self._taken_to -= messages
        if self._left > self._taken_to:
            self._wake_at = self._taken_to
            self._waiter = asyncio.get_running_loop().create_future()
            await self._waiter
            self._waiter = None

    async def report(self) -> str:
        """Wait for the report."""
        assert self._report is not None
        report = await self._report
        self._report = None
        return report

    def received(self, message: str | bytes | None) -> None:
        """Take a message, as `on_message_callback`."""
        if self._left:
            expected = next(self._expected)
            if message != expected:
                self._fail(_wrong(message, expected))
                return
            self._left -= 1
            if self._left == self._wake_at:
                self._wake_at = -1
                assert self._waiter is not None
                self._waiter.set_result(None)
        elif self._report is not None and isinstance(message, str):
            self._report.set_result(message)
        elif message is not None:
            raise SoakError("a message came that nobody expected")

    async def received_async(self, message: str | bytes | None) -> None:
        """Take a message, as `on_message_callback`."""
        self.received(message)

    def _fail(self, error: SoakError) -> None:
        for future in (self._waiter, self._report):
            if future is not None and not future.done():
                future.set_exception(error)
                future.exception()  # Nobody need wait for it any more.


def _wrong(message: str | bytes | None, expected: str | bytes) -> SoakError:
    got = "the end" if message is None else f"{message[:40]!r} ({len(message)})"
    return SoakError(f"{got} came, and not {expected[:40]!r} ({len(expected)})")
