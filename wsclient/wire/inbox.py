"""The queue between the parser and whoever reads.

Messages are never handed to a reader before it takes them itself: a reader that is cancelled
in between loses nothing, and the next one gets the message. Readers are served first come,
first served.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Callable

from .released import released

__all__ = ["Inbox", "PingPayload", "PongPayload"]


class PingPayload(bytes):
    """The payload of a ping that stands in the queue, in its place between the messages."""


class PongPayload(bytes):
    """The payload of a pong that stands in the queue, in its place between the messages."""


class Inbox:
    """Messages that have been received and not been read.

    Attributes:
        queue: the messages, oldest first.
        size: their size: bytes of binary messages, characters of text.
        received: how many messages have ever come in.
        paused: whether reading from the transport is paused because the queue is full.
        ended: whether nothing more will come in.

    Args:
        loop: the loop of the connection.
        max_messages: how many messages make the queue full.
        max_size: what total size makes it full.
        on_low: called when a paused queue has emptied to half of both limits.
    """

    __slots__ = (
        "_loop",
        "_low_messages",
        "_low_size",
        "_max_messages",
        "_max_size",
        "_on_low",
        "_waiters",
        "_woken",
        "ended",
        "paused",
        "queue",
        "received",
        "size",
    )

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        *,
        max_messages: int,
        max_size: int,
        on_low: Callable[[], object],
    ) -> None:
        self._loop = loop
        self._max_messages = max_messages
        self._max_size = max_size
        self._low_messages = max_messages // 2
        self._low_size = max_size // 2
        self._on_low = on_low
        self._waiters: deque[asyncio.Future[None]] = deque()
        self._woken = 0
        self.queue: deque[str | bytes] = deque()
        self.size = 0
        self.received = 0
        self.paused = False
        self.ended = False

    def put(self, message: str | bytes) -> None:
        """Append a message; nobody is woken before `wake_readers`."""
        self.received += 1
        self.size += len(message)
        self.queue.append(message)

    def put_control(self, payload: PingPayload | PongPayload) -> None:
        """Append the payload of a control frame, which counts for the limits only."""
        self.size += len(payload)
        self.queue.append(payload)

    def take(self) -> str | bytes:
        """Remove and return the oldest message.

        Raises:
            IndexError: there is none.
        """
        message = self.queue.popleft()
        self.size -= len(message)
        if self.paused and self.size <= self._low_size and len(self.queue) <= self._low_messages:
            self._on_low()
        return message

    @property
    def full(self) -> bool:
        """Whether a limit has been reached."""
        return len(self.queue) >= self._max_messages or self.size >= self._max_size

    def drop_excess(self, most: int) -> int:
        """Drop the newest messages beyond the limits; return how many.

        One message is kept however large it is, and one for each reader that is about to take
        one.

        Args:
            most: how many messages may be dropped.
        """
        dropped = 0
        most = min(most, len(self.queue) - max(self._woken, 1))
        while dropped < most and self._over_limits:
            self.size -= len(self.queue.pop())
            dropped += 1
        return dropped

    @property
    def _over_limits(self) -> bool:
        return len(self.queue) > self._max_messages or self.size > self._max_size

    def clear(self) -> int:
        """Drop everything; return how many messages that was."""
        dropped = len(self.queue)
        self.queue.clear()
        self.size = 0
        return dropped

    def end(self) -> None:
        """Let readers have what is in the queue, and then ``None`` for ever."""
        self.ended = True
        self.paused = False
        self._on_low = released
        self.wake_readers()

    def wake_readers(self) -> None:
        """Wake as many waiting readers as there is something for, the oldest first."""
        while self._waiters and (self.ended or len(self.queue) > self._woken):
            waiter = self._waiters.popleft()
            if not waiter.done():
                waiter.set_result(None)
                self._woken += 1

    async def get(self) -> str | bytes | None:
        """Return the next message; ``None`` when the queue has ended.

        Cancelling loses no message.
        """
        while True:
            if self._waiters or self._woken or not (self.queue or self.ended):
                await self._wait()
            if self.queue:
                message = self.take()
                if self._waiters:
                    self.wake_readers()
                return message
            if self.ended:
                self.wake_readers()
                return None

    async def _wait(self) -> None:
        """Wait for our turn: those who came before have taken theirs, and there is something.

        Nobody is woken here: a reader that did not suspend would overtake those who do.
        """
        waiter = self._loop.create_future()
        self._waiters.append(waiter)
        try:
            await waiter
        except BaseException:
            self._leave(waiter)
            raise
        finally:
            # The error has this frame in its traceback: it should not hold the future too.
            del waiter
        self._woken -= 1

    def _leave(self, waiter: asyncio.Future[None]) -> None:
        if waiter.done() and not waiter.cancelled():
            # Cancelled after having been woken: it is the next one's turn.
            self._woken -= 1
            self.wake_readers()
        else:
            with contextlib.suppress(ValueError):
                self._waiters.remove(waiter)
