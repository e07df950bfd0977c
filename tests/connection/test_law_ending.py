"""Laws of the end: whatever happens in whatever order, there is one end, and all learn of it.

A client and a server in memory, on a virtual clock. Both close, fail, fall silent, go away and
talk as the machine likes.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Coroutine
from dataclasses import replace
from typing import Any, TypeVar

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from connection.far_end import turns
from protocol.streams import law_of
from wsclient.errors import WebSocketClosedError
from wsclient.protocol.closing import TRANSITIONS, CloseCause, CloseInfo, CloseState
from wsclient.testing import VirtualClockLoop, close_frame, connection_pair, encode_frame

T = TypeVar("T")

CODES = st.none() | st.sampled_from([1000, 1001, 1011, 3000, 4999])
REASONS = st.sampled_from([None, "", "bye", "é" * 61])

FAULTS = {
    "code": close_frame(1005),
    "half a code": encode_frame(8, b"\x03"),
    "reason": encode_frame(8, b"\x03\xe8\xff"),
    "opcode": encode_frame(3),
    "mask": encode_frame(1, b"x", masking_key=bytes(4)),
    "utf-8": encode_frame(1, b"\xff"),
    "too big": encode_frame(2, bytes(2000)),
    "half a frame": b"\x81\x7e\x01",
    "a right Close frame": close_frame(4000, "raw"),
}

MOVES = {(old, new) for (old, _), new in TRANSITIONS.items() if old is not CloseState.CONNECTING}


def reachable(old: CloseState, new: CloseState) -> bool:
    """Tell whether the table leads from one state to the other, over any number of steps."""
    seen = {old}
    for _ in CloseState:
        seen |= {after for before, after in MOVES if before in seen}
    return new in seen


class EndingMachine(RuleBasedStateMachine):
    """Both ends of one connection, and everybody who waits for something."""

    def __init__(self) -> None:
        super().__init__()
        self.loop = VirtualClockLoop()
        self.errors: list[dict[str, Any]] = []
        self.loop.set_exception_handler(lambda _, context: self.errors.append(context))
        self.readers: list[asyncio.Task[Any]] = []
        self.closers: list[asyncio.Task[CloseInfo]] = []
        self.pings: list[asyncio.Task[float]] = []
        self.messages: list[Any] = []
        self.written = 0
        self.raw = False
        self.lossy = False
        self.state = CloseState.OPEN
        self.info: CloseInfo | None = None

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        return self.loop.run_until_complete(coroutine)

    def begun(self, coroutine: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """Start a task, and let it come to where it waits."""
        task = self.loop.create_task(coroutine)
        self.run(turns(1))
        return task

    @initialize(
        callback=st.sampled_from([None, "plain", "async"]),
        queue=st.sampled_from([1, 3, 1024]),
        ping_interval=st.sampled_from([None, None, 5.0]),
        close_timeout=st.sampled_from([10.0, 10.0, 1.0, 0.0]),
        compression=st.sampled_from([None, {}]),
    )
    def begin(self, callback: str | None, queue: int, compression: Any, **given: Any) -> None:
        async def take_async(message: Any) -> None:
            await asyncio.sleep(0)
            self.messages.append(message)

        callbacks = {None: None, "plain": self.messages.append, "async": take_async}
        self.callback = callback is not None
        self.pair = connection_pair(
            on_message_callback=callbacks[callback],
            max_queue_messages=queue,
            max_message_size=1000,
            compression_options=compression,
            **given,
        )
        self.client, self.server = self.run(self.pair.__aenter__())

    # What the client does

    @rule(code=CODES, reason=REASONS, wait=st.booleans())
    def client_closes(self, code: int | None, reason: str | None, wait: bool) -> None:
        closing = self.client.close(code, reason)
        if wait:
            self.closers.append(self.begun(closing))

    @rule()
    def client_waits(self) -> None:
        self.closers.append(self.begun(self.client.wait_closed()))

    @rule(count=st.integers(1, 3))
    def client_reads(self, count: int) -> None:
        for _ in range(0 if self.callback else count):
            self.readers.append(self.begun(self._read()))

    async def _read(self) -> None:
        self.messages.append(await self.client.read_message())

    @rule(which=st.integers(0, 9))
    def client_cancels(self, which: int) -> None:
        waiters = [*self.readers, *self.closers, *self.pings]
        if waiters:
            waiters[which % len(waiters)].cancel()

    @rule()
    def client_pings(self) -> None:
        try:
            self.pings.append(self.begun(self.client.ping()))
        except WebSocketClosedError:
            assert self.ending(), "an open connection takes a ping"

    @rule()
    def client_writes(self) -> None:
        try:
            self.client.write_message("x")
        except WebSocketClosedError:
            assert self.ending(), "an open connection takes a message"
        else:
            assert not self.client.closed

    def ending(self) -> bool:
        return self.client.closed or "open" not in repr(self.client) or self.lossy or self.raw

    # What the server does

    @rule(code=CODES, reason=REASONS)
    def server_closes(self, code: int | None, reason: str | None) -> None:
        self.server.close(code, reason)

    @rule(count=st.integers(1, 4))
    def server_writes(self, count: int) -> None:
        for _ in range(count):
            try:
                self.server.write_message(str(self.written))
            except WebSocketClosedError:
                return
            self.written += 1

    @rule(fault=st.sampled_from(sorted(FAULTS)))
    def server_breaks_the_protocol(self, fault: str) -> None:
        try:
            self.server.send_bytes(FAULTS[fault])
        except WebSocketClosedError:
            return
        self.raw = True

    @rule(reset=st.booleans())
    def server_goes_away(self, reset: bool) -> None:
        self.lossy = True
        if reset:
            self.server.reset()
        else:
            self.server.abort()

    @rule(hangs=st.booleans())
    def server_hangs(self, hangs: bool) -> None:
        if hangs:
            self.server.pause_reading()
        else:
            self.server.resume_reading()

    # Time

    @rule(count=st.integers(1, 5))
    def turns_pass(self, count: int) -> None:
        self.run(turns(count))

    @rule(seconds=st.sampled_from([0.05, 0.5, 2.5, 12.0]))
    def time_passes(self, seconds: float) -> None:
        self.run(asyncio.sleep(seconds))

    # What holds all the time

    @invariant()
    def the_table_is_kept(self) -> None:
        if not hasattr(self, "client"):
            return
        if self.client.closed:
            state = CloseState.CLOSED
        else:
            found = re.search(r" (\w+)>$", repr(self.client))
            assert found is not None
            state = CloseState(found[1])
        assert reachable(self.state, state), (self.state, state)
        self.state = state

    @invariant()
    def there_is_one_account(self) -> None:
        if not hasattr(self, "client"):
            return
        info = self.client.close_info
        assert (info is not None) is self.client.closed
        if self.info is not None:
            assert info is not None
            # Messages may still turn out to be for nobody.
            assert replace(info, discarded_messages=0) == replace(self.info, discarded_messages=0)
            assert info.discarded_messages >= self.info.discarded_messages
        if info is not None:
            self.info = info
            assert self.client.close_code == info.code
            assert self.client.close_reason == info.reason
            assert info.clean <= (info.cause is CloseCause.CLOSING_HANDSHAKE)
            assert info.code == (1006 if info.received is None else info.received)
            both = info.sent is not None and info.received is not None
            assert (info.received_first is not None) is both
            assert info.hint

    @invariant()
    def none_is_the_last_thing(self) -> None:
        got = [message for message in self.messages if message is not None]
        assert self.messages[: len(got)] == got
        assert [int(m) for m in got if m != "x"] == sorted({int(m) for m in got if m != "x"})

    # The end

    def teardown(self) -> None:
        try:
            if hasattr(self, "client"):
                self._end()
        finally:
            for task in asyncio.all_tasks(self.loop):
                task.cancel()
            self.run(turns(2))
            self.loop.close()

    def _end(self) -> None:
        self.server.resume_reading()
        self.run(self.pair.__aexit__(None, None, None))
        self.run(turns(5))
        self.the_table_is_kept()
        self.there_is_one_account()
        self.none_is_the_last_thing()
        for waiter in (*self.readers, *self.closers, *self.pings):
            assert waiter.done(), "everybody is released"
        info = self.client.close_info
        assert info is not None
        for closer in self.closers:
            if not closer.cancelled():
                assert replace(closer.result(), discarded_messages=0) == replace(
                    info, discarded_messages=0
                )
        for ping in self.pings:
            if not ping.cancelled() and ping.exception() is not None:
                assert isinstance(ping.exception(), WebSocketClosedError)
        self._count_messages(info)
        self._compare_ends(info)
        assert not asyncio.all_tasks(self.loop)
        assert not self.errors, self.errors

    def _count_messages(self, info: CloseInfo) -> None:
        if self.callback:
            assert self.messages.count(None) == 1
        else:
            while (message := self.run(self.client.read_message())) is not None:
                self.messages.append(message)
            assert self.run(self.client.read_message()) is None
        got = [message for message in self.messages if message is not None]
        if info.clean and not self.raw:
            assert len(got) + info.discarded_messages == self.written
        if not info.discarded_messages:
            assert got == [str(number) for number in range(len(got))]

    def _compare_ends(self, mine: CloseInfo) -> None:
        other = self.server.close_info
        assert other is not None
        if other.received is not None:
            assert other.received == mine.sent
        if mine.received is not None and not self.raw:
            assert mine.received == other.sent
        if mine.clean and other.clean and not self.raw:
            assert not (mine.received_first and other.received_first)


TestEnding = law_of(EndingMachine, 30, steps=15)
