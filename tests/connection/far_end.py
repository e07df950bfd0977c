"""One end of a connection in memory, whose other end is bytes: whatever the test writes.

Nothing of it depends on the kernel or the clock, so that every run of a law is the same.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from multidict import CIMultiDict, CIMultiDictProxy
from yarl import URL

from support.running import LoopFactory
from wsclient.connection import Opening, WebSocketConnection
from wsclient.options.connection import ConnectionOptions
from wsclient.protocol.deflate import DeflateParameters
from wsclient.protocol.roles import Role
from wsclient.testing.frames import Frame, FrameDecoder
from wsclient.testing.memory import MemoryTransport, joined_transports
from wsclient.wire.wire import Wire

__all__ = ["Bench", "FarEnd", "bench_on", "open_near", "turns"]

T = TypeVar("T")

_TURNS = 12
"""Turns of the loop in which everything that needs no time has happened."""

_LIMIT = 20.0
"""Seconds that one example may take; it is there for what hangs."""


async def turns(count: int = _TURNS) -> None:
    """Let the loop go round."""
    for _ in range(count):
        await asyncio.sleep(0)


class FarEnd(asyncio.Protocol):
    """The other end: it keeps what it gets, and closes only when it is told to.

    Attributes:
        transport: its transport.
        received: all bytes that it got.

    Args:
        transport: its transport.
    """

    def __init__(self, transport: MemoryTransport) -> None:
        self.transport = transport
        self.received = b""
        transport.set_protocol(self)

    def data_received(self, data: bytes) -> None:
        """Keep what comes."""
        self.received += data

    def eof_received(self) -> bool:
        """Stay: a test ends its connections itself."""
        return True

    def frames(self) -> list[Frame]:
        """Return what it got, frame by frame; there is no half frame."""
        decoder = FrameDecoder()
        frames = decoder.feed(self.received)
        assert not decoder.rest
        return frames

    async def until_taken(self) -> None:
        """Wait until the other end has taken what was written, and done what follows from it."""
        for _ in range(10_000):
            if not self.transport.get_write_buffer_size():
                break
            await asyncio.sleep(0)
        else:
            raise AssertionError("the other end stopped reading")
        await turns()

    def end(self) -> None:
        """End TCP with FIN, and go on listening."""
        self.transport.write_eof()

    def reset(self) -> None:
        """End TCP with RST."""
        self.transport.get_extra_info("socket").resets = True
        self.transport.abort()


def open_near(
    *, role: Role = Role.CLIENT, deflate: DeflateParameters | None = None, **options: Any
) -> tuple[WebSocketConnection, FarEnd]:
    """Open the near end of a connection on the running loop.

    Args:
        role: which end it is.
        deflate: the agreed compression, ``None`` without.
        options: of `ConnectionOptions`.
    """
    loop = asyncio.get_running_loop()
    near, far = joined_transports(loop)
    wire = Wire(
        loop,
        ConnectionOptions(**options),
        deflate=deflate,
        label=f"{role.peer} in memory",
        on_lost=lambda exc: None,
        closed_here=lambda: False,
        role=role,
    )
    end = FarEnd(far)
    wire.start(near)
    empty: CIMultiDictProxy[str] = CIMultiDictProxy(CIMultiDict())
    opening = Opening(
        url=URL("ws://in.memory/"),
        subprotocol=None,
        extensions="",
        request_headers=empty,
        response_headers=empty,
        local_address="near",
        remote_address="far",
        tls=None,
    )
    callback = options.get("on_message_callback") is not None
    return WebSocketConnection(wire, opening, loop, callback=callback), end


class Bench:
    """One loop for all examples of a law: a loop for each would cost more than the example.

    Args:
        loop: the loop.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._errors: list[dict[str, Any]] = []
        loop.set_exception_handler(lambda _, context: self._errors.append(context))

    def run(self, main: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """Run one example; it leaves no task, and no error of the loop."""
        return self._loop.run_until_complete(self._run(main))

    async def _run(self, main: Callable[[], Coroutine[Any, Any, T]]) -> T:
        async with asyncio.timeout(_LIMIT):
            result = await main()
        await turns(3)
        left = asyncio.all_tasks() - {asyncio.current_task()}
        assert not left, f"left behind: {left}"
        assert not self._errors, self._errors
        return result


@contextmanager
def bench_on(factory: LoopFactory) -> Iterator[Bench]:
    """Make a bench, and close its loop in the end."""
    loop = factory()
    try:
        yield Bench(loop)
    finally:
        loop.close()
