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
from itertools import accumulate, islice, takewhile

from ..options.connection import ConnectionOptions
from .released import released
from .threads import check_thread, this_thread
from .waiting import Waiter

__all__ = ["Inbox", "PingPayload", "PongPayload"]

_NOTHING: deque[str | bytes] = deque(maxlen=0)


class PingPayload(bytes):
    """The payload of a ping that stands in the queue, in its place between the messages."""


class PongPayload(bytes):
    """The payload of a pong that stands in the queue, in its place between the messages."""


class Inbox:
    """Messages that have been received and not been read.

    Of their size an upper bound is kept: counting each message would cost more than receiving it.
    It is made exact when it matters. So it is with a paused queue: how many messages may be left
    until it is empty enough is found out once.

    Attributes:
        queue: the messages, oldest first. Who appends to it counts them in `received`, and in
            `bound` what they have at most.
        received: how many messages have ever come in.
        bound: the size of the messages at most.
        paused: whether reading from the transport is paused because the queue is full.
        ended: whether nothing more will come in.
        on_low: called when a paused queue has emptied to half of both limits.

    Args:
        loop: the loop of the connection.
        options: say how many messages, and what total size, make the queue full.
    """

    __slots__ = (
        "_claims",
        "_first",
        "_floor",
        "_loop",
        "_low_messages",
        "_low_size",
        "_max_messages",
        "_max_size",
        "_ready",
        "_thread",
        "_waiters",
        "_waking",
        "bound",
        "ended",
        "on_low",
        "paused",
        "queue",
        "received",
    )

    def __init__(self, loop: asyncio.AbstractEventLoop, options: ConnectionOptions) -> None:
        self._loop = loop
        self._max_messages = options.max_queue_messages
        self._max_size = options.max_queue_size
        self._low_messages = self._max_messages // 2
        self._low_size = self._max_size // 2
        self.on_low: Callable[[], object] = released
        # Readers who wait, the oldest first; and how many those are and those who were woken.
        self._waiters: list[Waiter] = []
        self._claims = 0
        # Of the reader before whom there is none.
        self._first = Waiter(loop)
        self._waking = False
        # A paused queue with fewer messages than this is empty enough to go on.
        self._floor = 0
        self.bound = 0
        self._thread = this_thread()
        self.queue: deque[str | bytes] = deque()
        # What can be taken without looking around: the queue; or nothing, since it was paused or
        # since somebody waits, until one was taken who found that neither is so any more.
        self._ready = self.queue
        self.received = 0
        self.paused = False
        self.ended = False

    @property
    def size(self) -> int:
        """Size of the messages: bytes of binary ones, characters of text."""
        return sum(map(len, self.queue))

    # Filling. Nobody is woken before `wake_readers`.

    def put(self, message: str | bytes) -> None:
        """Append a message that may be larger than what was received for it."""
        self.queue.append(message)
        self.bound += len(message)

    def put_control(self, payload: PingPayload | PongPayload) -> None:
        """Append the payload of a control frame, which counts for the limits only."""
        self.queue.append(payload)
        self.received -= 1
        self.bound += len(payload)

    @property
    def full(self) -> bool:
        """Whether a limit has been reached."""
        if len(self.queue) >= self._max_messages:
            return True
        if self.bound < self._max_size:
            return False
        self.bound = self.size
        return self.bound >= self._max_size

    def pause(self) -> None:
        """Note that reading is paused, or that still more has come in."""
        self.paused = True
        self._ready = _NOTHING
        self._floor = self._count_low() + 1

    def _count_low(self) -> int:
        """Return how many messages may be left in a queue that is half empty."""
        if self.bound <= self._low_size:
            return self._low_messages
        sizes = accumulate(map(len, reversed(self.queue)))
        below = takewhile(self._low_size.__ge__, islice(sizes, self._low_messages))
        return sum(1 for _ in below)

    def resume(self) -> None:
        """Note that reading goes on."""
        self.paused = False

    # Emptying

    def taken(self) -> None:
        """See whether a paused queue, from which a message was taken, has emptied enough."""
        if len(self.queue) < self._floor:
            self.bound = self.size
            self.on_low()

    def drop_excess(self, most: int) -> int:
        """Drop the newest messages beyond the limits; return how many.

        One message is kept however large it is, and one for each reader that is about to take
        one.

        Args:
            most: how many messages may be dropped.
        """
        dropped = 0
        size = self.size
        most = min(most, len(self.queue) - max(self._claims - len(self._waiters), 1))
        while dropped < most and (len(self.queue) > self._max_messages or size > self._max_size):
            size -= len(self.queue.pop())
            dropped += 1
        self.bound = size
        return dropped

    def clear(self) -> int:
        """Drop everything; return how many messages that was."""
        dropped = len(self.queue)
        self.queue.clear()
        self.bound = 0
        return dropped

    def end(self) -> None:
        """Let readers have what is in the queue, and then ``None`` for ever."""
        self.ended = True
        self.resume()
        self.on_low = released
        self.wake_readers()

    # Reading

    def wake_readers(self) -> None:
        """Wake as many waiting readers as there is something for, the oldest first.

        They may run before this returns.
        """
        waiters, queue = self._waiters, self.queue
        # Within a call by a reader who was woken below, those behind it have their turn there.
        if not waiters or self._waking:
            return
        if self._claims == 1 and queue:
            # One waits, and nobody else has been woken: there is no order to keep.
            waiters.pop().wake()
            return
        self._waking = True
        try:
            while waiters and (queue or self.ended):
                woken = self._claims - len(waiters)
                if len(queue) <= woken and not self.ended:
                    return  # All that is there is for those who have been woken already.
                # Nobody overtakes one of those who has not run yet.
                waiters.pop(0).wake(at_once=not woken)
        finally:
            self._waking = False

    async def get(self) -> str | bytes | None:
        """Return the next message; ``None`` when the queue has ended.

        Cancelling loses no message.
        """
        if ready := self._ready:
            return ready.popleft()
        if this_thread() != self._thread:
            check_thread(self._thread, "read_message")
        while True:
            if self._claims or not (self.queue or self.ended):
                # Nobody is woken here: a reader that did not suspend would overtake those who do.
                waiter = Waiter(self._loop) if self._claims else self._first
                self._waiters.append(waiter)
                self._claims += 1
                self._ready = _NOTHING
                try:
                    await waiter
                except BaseException:
                    waiter.forget()
                    self._leave(waiter)
                    # The error has this frame in its traceback: it should not hold the waiter too.
                    del waiter
                    raise
                self._claims -= 1
                if self._waiters and waiter in self._waiters:
                    self._waiters.remove(waiter)  # Woken for no reason, by what cancels tasks.
            if self.queue:
                message = self.queue.popleft()
                if self.paused:
                    self.taken()
                elif not self._claims:
                    self._ready = self.queue
                if self._waiters:
                    self.wake_readers()
                return message
            if self.ended:
                self.wake_readers()
                return None

    async def get_or_stop(self) -> str | bytes:
        """Return the next message, as `get`, or raise ``StopAsyncIteration``."""
        # Begun as `get` is: awaiting that would make two coroutines for each message.
        if ready := self._ready:
            return ready.popleft()
        message = await self.get()
        if message is None:
            raise StopAsyncIteration
        return message

    def _leave(self, waiter: Waiter) -> None:
        self._claims -= 1
        with contextlib.suppress(ValueError):
            self._waiters.remove(waiter)
            return
        # Cancelled after having been woken: it is the next one's turn.
        self.wake_readers()
