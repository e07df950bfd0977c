"""Thousands of connects and closes, refusals of every kind among them: nothing stays behind."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Any, Final

import aiohttp

from soak.bench import Bench, Progress, Settings, SoakError, bench
from soak.measures import Sample, census, grown, take_sample, trimmed
from soak.report import MIB, Bound, Curve, Result, Table, not_kept, steady
from support.running import open_descriptors
from wsclient import (
    CloseCause,
    ConnectError,
    ConnectTimeoutError,
    HandshakeError,
    ServerCertificateError,
    WebSocketClientConnection,
    websocket_connect,
)

__all__ = ["KINDS", "Connects", "run", "settle"]

_AT_ONCE: Final = 10
"""Connections that are opened at the same time."""

_WARM: Final = 0.25
"""Part of the batches before memory counts."""

_BATCH_TIMEOUT: Final = 300.0  # seconds; a batch that takes so long hangs
_SETTLE_TIMEOUT: Final = 10.0  # seconds
_LAST_TURNS: Final = 3
"""Turns of the loop from a closed socket to the end of what was told of it: TLS, which holds
buffers of 256 KiB, tells its protocol a turn later, and that wakes tasks."""


@dataclass
class Connects:
    """Makes connections of every kind.

    Attributes:
        server: what to connect to.
        session: shared by the kinds that are called so.
        cancels_tls: whether connects are cancelled in the middle of TLS's handshake, too.
        connected: how many connections have been open and are closed.
        refused: how many attempts came to nothing, as they should.
        outcomes: how often each kind ended in which way.
    """

    server: Bench
    session: aiohttp.ClientSession
    cancels_tls: bool = True
    connected: int = 0
    refused: int = 0
    outcomes: Counter[tuple[str, str]] = field(default_factory=Counter)

    async def make(self, kind: str, index: int) -> None:
        """Make one connection, or attempt.

        Args:
            kind: one of `KINDS`.
            index: varies what can vary.

        Raises:
            SoakError: it ended as it should not.
        """
        outcome = await KINDS[kind](self, index)
        self.outcomes[kind, outcome] += 1

    async def _echo(self, conn: WebSocketClientConnection, index: int) -> str:
        message: str | bytes = f"echo {index}" if index % 2 else b"echo" * (index % 50)
        await conn.write_message(message, isinstance(message, bytes))
        if await conn.read_message() != message:
            raise SoakError("an echo is not what was sent")
        info = await conn.close()
        if not info.clean:
            raise SoakError(f"not a clean end: {info}")
        self.connected += 1
        return "closed"

    async def plain(self, index: int) -> str:
        """Connect by ws, with a session of its own."""
        conn = await websocket_connect(self.server.url("/echo"), proxy=None)
        return await self._echo(conn, index)

    async def callback(self, index: int) -> str:
        """Connect by ws, with a callback."""
        got: list[str | bytes | None] = []
        url = self.server.url("/echo")
        conn = await websocket_connect(url, on_message_callback=got.append, proxy=None)
        conn.write_message("one")
        await conn.ping()
        info = await conn.close()
        if got != ["one", None] or not info.clean:
            raise SoakError(f"the callback got {got}; {info}")
        self.connected += 1
        return "closed"

    async def block(self, index: int) -> str:
        """Connect by ws in a block, with compression, and a timer that would stay for long."""
        url = self.server.url("/traffic/takeover/whole")
        async with websocket_connect(
            url, ping_interval=3600, compression_options={}, proxy=None
        ) as conn:
            await conn.write_message({"send": 0}, compress=False)
            await conn.read_message()
        if conn.close_info is None or not conn.close_info.clean:
            raise SoakError(f"not a clean end: {conn.close_info}")
        self.connected += 1
        return "closed"

    async def secure(self, index: int) -> str:
        """Connect by wss, with the same configuration as all others."""
        url = self.server.url("/echo", secure=True)
        return await self._echo(
            await websocket_connect(url, tls=self.server.tls, proxy=None), index
        )

    async def mutual(self, index: int) -> str:
        """Connect by wss with a client certificate, with the same configuration as all others."""
        url = self.server.url("/mutual", secure=True)
        return await self._echo(
            await websocket_connect(url, tls=self.server.mutual, proxy=None), index
        )

    async def shared(self, index: int) -> str:
        """Connect by ws, with a shared session of aiohttp."""
        url = self.server.url("/echo")
        return await self._echo(
            await websocket_connect(url, session=self.session, proxy=None), index
        )

    async def shared_secure(self, index: int) -> str:
        """Connect by wss, with a shared session of aiohttp."""
        url = self.server.url("/echo", secure=True)
        return await self._echo(
            await websocket_connect(url, session=self.session, tls=self.server.tls, proxy=None),
            index,
        )

    async def left(self, index: int) -> str:
        """Connect to a server that ends TCP, or resets it, or breaks the protocol."""
        path, cause = (
            ("/leave", CloseCause.EOF),
            ("/reset", CloseCause.RESET),
            ("/fault", CloseCause.PROTOCOL_ERROR),
        )[index % 3]
        conn = await websocket_connect(self.server.url(path), proxy=None)
        if await conn.read_message() is not None:
            raise SoakError("a message came from nowhere")
        info = await conn.wait_closed()
        if info.cause is not cause:
            raise SoakError(f"{path} ended with {info}")
        self.connected += 1
        return str(info.cause.value)

    async def refused_by_http(self, index: int) -> str:
        """Be answered with 403, or with a wrong 101, with and without a shared session."""
        path = ("/refuse", "/wrong")[index % 2]
        session = self.session if index % 4 < 2 else None
        return await self._refuse(HandshakeError, self.server.url(path), session=session)

    async def refused_by_tls(self, index: int) -> str:
        """Refuse the server's certificate."""
        url = self.server.url("/echo", secure=True)
        return await self._refuse(ServerCertificateError, url, tls=self.server.distrustful)

    async def refused_by_reset(self, index: int) -> str:
        """Be reset instead of answered."""
        secure = index % 2 == 1
        url = self.server.url("/drop", secure=secure)
        tls = self.server.tls if secure else None
        return await self._refuse(ConnectError, url, tls=tls)

    async def timed_out(self, index: int) -> str:
        """Get no answer within the time."""
        url = self.server.url("/stall")
        return await self._refuse(ConnectTimeoutError, url, connect_timeout=0.05)

    async def cancelled(self, index: int) -> str:
        """Be cancelled, a little later each time."""
        secure = index % 2 == 1 and self.cancels_tls
        task = asyncio.ensure_future(
            websocket_connect(
                self.server.url("/echo", secure=secure),
                tls=self.server.mutual if secure else None,
                proxy=None,
            )
        )
        for _ in range(index % 40):
            await asyncio.sleep(0)
        await asyncio.sleep(index % 7 * 0.001)
        task.cancel()
        try:
            conn = await task
        except asyncio.CancelledError:
            self.refused += 1
            return "cancelled"
        # It was quicker.
        return await self._echo(conn, index)

    async def _refuse(self, kind: type[Exception], url: str, **options: Any) -> str:
        try:
            await websocket_connect(url, proxy=None, **options)
        except kind:
            self.refused += 1
            return kind.__name__
        raise SoakError(f"it came to no {kind.__name__}")


KINDS: Final[dict[str, Callable[[Connects, int], Awaitable[str]]]] = {
    "ws": Connects.plain,
    "ws, callback": Connects.callback,
    "ws, block": Connects.block,
    "wss": Connects.secure,
    "mutual TLS": Connects.mutual,
    "ws, shared session": Connects.shared,
    "wss, shared session": Connects.shared_secure,
    "left by the server": Connects.left,
    "refused by HTTP": Connects.refused_by_http,
    "refused by TLS": Connects.refused_by_tls,
    "reset": Connects.refused_by_reset,
    "timed out": Connects.timed_out,
    "cancelled": Connects.cancelled,
}
"""What can be made of a connection."""

_HUNDRED: Final = {
    "ws": 14,
    "ws, callback": 10,
    "ws, block": 10,
    "wss": 16,
    "mutual TLS": 16,
    "ws, shared session": 12,
    "wss, shared session": 6,
    "left by the server": 3,
    "refused by HTTP": 4,
    "refused by TLS": 2,
    "reset": 2,
    "timed out": 1,
    "cancelled": 4,
}
"""How many of each there are in a hundred; 87 or more come to be open."""


def _schedule() -> list[str]:
    left = [kind for kind, count in _HUNDRED.items() for _ in range(count)]
    # Mixed: 37 has no divisor in common with 100.
    return [left[index * 37 % 100] for index in range(100)]


async def settle(before: frozenset[str]) -> None:
    """Wait until no more sockets are open than before.

    Args:
        before: the descriptors that were open before.

    Raises:
        SoakError: some stay.
    """
    loop = asyncio.get_running_loop()
    deadline = loop.time() + _SETTLE_TIMEOUT
    while True:
        left = [each for each in open_descriptors() - before if "socket:" in each]
        if not left:
            break
        if loop.time() > deadline:
            raise SoakError(f"left open: {', '.join(left)}")
        await asyncio.sleep(0.01)
    for _ in range(_LAST_TURNS):
        await asyncio.sleep(0)


async def run(settings: Settings) -> Result:
    """Run the part."""
    batches, hundreds = (20, 1) if settings.short else (40, 3)
    attempts = batches * hundreds * 100
    result = Result("connects", f"{attempts:,} connects and closes")
    warm = int(batches * _WARM)
    samples: list[Sample] = []
    async with AsyncExitStack() as stack:
        server = stack.enter_context(bench())
        session = await stack.enter_async_context(aiohttp.ClientSession())
        # uvloop forgets to cancel the timer of a handshake that is broken off, which holds all of
        # the handshake for a minute: longer than this part may take.
        connects = Connects(server, session, cancels_tls=settings.loop != "uvloop")
        await connects.make("ws", 0)
        before = open_descriptors()
        progress = stack.enter_context(Progress("connects", attempts, "connects"))
        seen: dict[str, int] = {}
        in_use = 0
        for number in range(batches):
            await _batch(connects, progress, hundreds)
            await settle(before)
            samples.append(take_sample(progress.done))
            if number == warm:
                in_use = trimmed()
                census()  # The first one leaves traces in the caches of abstract classes.
                seen = census()
        result.bounds.append(not_kept(in_use, trimmed()))
        more = grown(seen, census())
        result.facts["rate"] = f"{attempts / progress.seconds:,.0f} attempts per second"
    _conclude(result, connects, samples, warm, more)
    return result


async def _batch(connects: Connects, progress: Progress, hundreds: int) -> None:
    pending = iter(_schedule() * hundreds)
    first = round(progress.done)

    async def work() -> None:
        for kind in pending:
            progress.done += 1
            await connects.make(kind, first + round(progress.done))

    async with asyncio.timeout(_BATCH_TIMEOUT), asyncio.TaskGroup() as group:
        for _ in range(_AT_ONCE):
            group.create_task(work())


def _conclude(
    result: Result,
    connects: Connects,
    samples: list[Sample],
    warm: int,
    more: dict[str, int],
) -> None:
    result.facts["opened and closed"] = f"{connects.connected:,}"
    result.facts["refused, reset, timed out or cancelled"] = f"{connects.refused:,}"
    settled = samples[warm:]
    span = settled[-1].at - settled[0].at
    garbage = sum(sample.garbage for sample in settled[1:]) / span
    result.facts["objects that only the garbage collector could free"] = (
        f"{garbage:.1f} per connect; the part `garbage` tells whose"
    )
    result.bounds += steady(samples, warm=warm, unit="connects")
    result.bounds.append(
        Bound(
            "growth of the number of objects of the package's classes",
            sum(count for name, count in more.items() if name.startswith("wsclient.")),
            20,
            "objects",
            "No connection is open. Seen: notes of files whose reading was cancelled, three in "
            "2,000 connects. A leak would be an object for each, hundreds.",
        )
    )
    points = [(sample.at / 1000, sample.resident / MIB) for sample in samples]
    result.curves.append(
        Curve("Memory over connects", "connects, thousands", "RSS, MiB", points, warm)
    )
    result.tables.append(
        Table("Types with more objects at the end", ("type", "more"), list(more.items())[:10])
    )
    rows = [(kind, end, count) for (kind, end), count in sorted(connects.outcomes.items())]
    result.tables.append(Table("How they ended", ("kind", "end", "how many"), rows))
