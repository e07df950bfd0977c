"""Memory runs out at the N-th step of the way out, and of the way in: somebody is told.

A message that could not be built raises at the call and the connection goes on, with all that
was promised for the others. What was coming in cannot be made good: the connection ends, and
`CloseInfo` has the error.
"""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import Callable
from typing import Any

import pytest

from robustness.sweeps.conversation import OPTIONS, Conversation
from robustness.sweeps.faulty_memory import FaultyTransport, Plan
from robustness.sweeps.stepping import quiet, sweep
from wsclient import CloseCause
from wsclient.protocol.deflate import Inflater
from wsclient.protocol.frames import build_frame
from wsclient.protocol.messages import MessageAssembler
from wsclient.protocol.zlibs import fast_zlib
from wsclient.testing import VirtualClockLoop, connection_pair
from wsclient.wire.inbox import Inbox

LIMITS = 10.0 + 2.0
"""Virtual seconds that `close_timeout`, and the wait for TCP behind it, take at most."""

INSTANT = 0.5
"""Virtual seconds; every time limit of a connection is longer."""

# The server's messages are compressed no less, but its compressor is not counted.
UNTHRIFTY_SERVER = {"compression_options": {"threshold": 10**9}}


@pytest.fixture
def loop_factory() -> object:
    """The loop of these tests."""
    return VirtualClockLoop


class Shortage:
    """Lets the N-th of some calls fail.

    Attributes:
        error: what it failed with, ``None`` before.

    Args:
        at: which call fails, from 1.
    """

    def __init__(self, at: int) -> None:
        self._at = at
        self._count = 0
        self.error: MemoryError | None = None

    def call(self) -> None:
        """Count a call."""
        self._count += 1
        if self._count == self._at:
            self.error = MemoryError()
            raise self.error


def frames_fail(shortage: Shortage, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fail to build a frame of the client."""

    def build(opcode: int, payload: bytes, *, masked: bool = True, **more: Any) -> bytes:
        if masked:
            shortage.call()
        return build_frame(opcode, payload, masked=masked, **more)

    monkeypatch.setattr("wsclient.wire.sender.build_frame", build)


def compressor_fails(shortage: Shortage, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fail to compress, before a message is looked at, or between its two parts."""
    make = zlib.compressobj

    class Compressor:
        def __init__(self, *arguments: Any) -> None:
            shortage.call()
            self._real = make(*arguments)

        def compress(self, data: bytes) -> bytes:
            shortage.call()
            return self._real.compress(data)

        def flush(self, mode: int) -> bytes:
            shortage.call()
            return self._real.flush(mode)

    for library in (zlib, fast_zlib):
        monkeypatch.setattr(library, "compressobj", Compressor)


def fail_in(owner: type, name: str) -> Callable[[Shortage, pytest.MonkeyPatch], None]:
    """Return what lets a method of the client's way in fail."""
    real = getattr(owner, name)

    def install(shortage: Shortage, monkeypatch: pytest.MonkeyPatch) -> None:
        def method(self: Any, *arguments: Any, **more: Any) -> Any:
            if is_of_client(self):
                shortage.call()
            return real(self, *arguments, **more)

        monkeypatch.setattr(owner, name, method)

    return install


def is_of_client(part: Any) -> bool:
    """Tell whether a part of a connection belongs to the client's end."""
    if isinstance(part, Inbox):
        limit: bool = part._max_messages == OPTIONS["max_queue_messages"]
        return limit
    named: bool = part._peer == "server"
    return named


@pytest.mark.parametrize(
    ("fail", "compression"),
    [(frames_fail, None), (frames_fail, {}), (compressor_fails, {})],
    ids=["frames", "compressed-frames", "compressor"],
)
async def test_no_memory_on_the_way_out(
    fail: Callable[[Shortage, pytest.MonkeyPatch], None], compression: dict[str, Any] | None
) -> None:
    clock = asyncio.get_running_loop().time
    async with quiet(MemoryError) as watch:

        async def trial(number: int) -> bool:
            shortage = Shortage(number)
            with pytest.MonkeyPatch.context() as monkeypatch:
                FaultyTransport.install(monkeypatch, Plan(0, lambda _: None))
                fail(shortage, monkeypatch)
                start = clock()
                options: dict[str, Any] = {**OPTIONS, "server_options": UNTHRIFTY_SERVER}
                async with connection_pair(compression_options=compression, **options) as ends:
                    conversation = Conversation(*ends)
                    await conversation.run(MemoryError)
                    took = clock() - start
            assert took <= LIMITS, f"{took} s: {conversation}"
            info = conversation.check()
            told = [*conversation.errors, *(exc for _, exc in conversation.refused)]
            if shortage.error is None:
                assert info.clean and not told
            elif shortage.error in told:
                assert info.clean or info.cause is CloseCause.CLOSE_TIMEOUT
                numbers = [number for number, _ in conversation.refused] + conversation.written
                assert sorted(numbers) == list(range(8))
            else:
                # It could not answer a ping, which nobody had called for.
                assert watch.expected == [shortage.error], conversation
                assert info.clean or info.exception is shortage.error
            watch.expected.clear()
            await watch.restored()
            return shortage.error is not None

        assert await sweep(trial) >= 8


WAYS_IN = {
    "begin": fail_in(MessageAssembler, "begin"),
    "piece": fail_in(MessageAssembler, "piece"),
    "end": fail_in(MessageAssembler, "end"),
    "inflate": fail_in(Inflater, "feed"),
    "put": fail_in(Inbox, "put"),
}


@pytest.mark.parametrize("fail", WAYS_IN.values(), ids=WAYS_IN)
async def test_no_memory_on_the_way_in(
    fail: Callable[[Shortage, pytest.MonkeyPatch], None],
) -> None:
    clock = asyncio.get_running_loop().time
    async with quiet(MemoryError) as watch:

        async def trial(number: int) -> bool:
            shortage = Shortage(number)
            with pytest.MonkeyPatch.context() as monkeypatch:
                FaultyTransport.install(monkeypatch, Plan(0, lambda _: None))
                fail(shortage, monkeypatch)
                start = clock()
                async with connection_pair(compression_options={}, **OPTIONS) as ends:
                    conversation = Conversation(*ends)
                    await conversation.run()
                    took = clock() - start
            assert took < INSTANT, f"{took} s: {conversation}"
            info = conversation.check()
            if shortage.error is None:
                assert info.clean
            else:
                assert info.exception is shortage.error and not info.clean, conversation
                # The loop tells of it, too, as of everything that a protocol raises.
                assert all(each is shortage.error for each in watch.expected)
                watch.expected.clear()
            await watch.restored()
            return shortage.error is not None

        assert await sweep(trial) >= 4
