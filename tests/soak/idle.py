"""Thousands of idle connections with keepalive in one process: memory and CPU of each."""

from __future__ import annotations

import asyncio
import gc
import resource
import time
import tracemalloc
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any, Final

import aiohttp
import websockets

from soak.bench import Bench, Progress, Settings, SoakError, bench
from soak.measures import resident, trimmed
from soak.report import Bound, Result, Table
from wsclient import WebSocketClientConnection, websocket_connect

__all__ = ["VARIANTS", "run"]

_INTERVAL: Final = 5.0  # seconds between pings
_AT_ONCE: Final = 50
_SPARE: Final = 200
"""Descriptors for what is not a connection."""

_LONGEST: Final = 300.0
"""Seconds that opening or closing may take before it hangs."""

Open = Callable[["_Place"], Awaitable[Any]]


@dataclass(frozen=True)
class Variant:
    """A way to hold idle connections.

    Attributes:
        title: for people.
        open: opens one, gives what holds it.
        close: closes it.
        secure: whether with TLS.
        share: part of the full number of connections.
        ours: whether it is this package, and bounds hold.
        traced: count what Python allocates; CPU is not told, because tracing takes most of it.
    """

    title: str
    open: Open
    close: Callable[[Any], Awaitable[Any]]
    secure: bool = False
    share: float = 1.0
    ours: bool = True
    traced: bool = False


@dataclass
class _Place:
    """Where a connection is to go, and the tasks that wait for messages."""

    server: Bench
    session: aiohttp.ClientSession
    secure: bool
    readers: list[asyncio.Task[Any]]

    @property
    def url(self) -> str:
        return self.server.url("/echo", secure=self.secure)

    def read(self, coroutine: Any) -> None:
        """Let a task wait for a message."""
        self.readers.append(asyncio.create_task(coroutine))


async def _open_reading(place: _Place) -> WebSocketClientConnection:
    conn = await _open(place, None)
    place.read(conn.read_message())
    return conn


async def _open_calling(place: _Place) -> WebSocketClientConnection:
    return await _open(place, _ignore)


async def _open(place: _Place, callback: Any) -> WebSocketClientConnection:
    return await websocket_connect(
        place.url,
        tls=place.server.tls if place.secure else None,
        on_message_callback=callback,
        ping_interval=_INTERVAL,
        ping_timeout=120,
        proxy=None,
    )


def _ignore(message: str | bytes | None) -> None:
    pass


async def _close_ours(conn: WebSocketClientConnection) -> None:
    # A round trip shows that it is alive.
    if conn.latency is None or not (info := await conn.close()).clean:
        raise SoakError(f"an idle connection did not live: {conn.close_info}")
    del info


async def _open_aiohttp(place: _Place) -> aiohttp.ClientWebSocketResponse:
    ws = await place.session.ws_connect(place.url, heartbeat=_INTERVAL, autoping=True)
    place.read(ws.receive())
    return ws


async def _open_websockets(place: _Place) -> websockets.ClientConnection:
    ws = await websockets.connect(place.url, ping_interval=_INTERVAL, proxy=None)
    place.read(ws.recv())
    return ws


async def _close_any(ws: Any) -> None:
    await ws.close()


VARIANTS: Final = {
    "ws-read": Variant("ws, read_message pending", _open_reading, _close_ours),
    "ws-callback": Variant("ws, callback", _open_calling, _close_ours),
    "wss-read": Variant(
        "wss, read_message pending", _open_reading, _close_ours, secure=True, share=0.2
    ),
    "ws-traced": Variant(
        "ws, read_message pending, traced", _open_reading, _close_ours, share=0.2, traced=True
    ),
    "aiohttp": Variant("aiohttp: ws, receive pending", _open_aiohttp, _close_any, ours=False),
    "websockets": Variant(
        "websockets: ws, recv pending", _open_websockets, _close_any, ours=False
    ),
}
"""Each runs in a process of its own."""

_MEMORY: Final = {
    "ws": (
        40.0,
        "Idle connections share one receive buffer of 256 KiB: with one each this breaks.",
    ),
    "wss": (
        400.0,
        "asyncio's TLS has a buffer of 256 KiB for each connection, and OpenSSL has its own, of "
        "some 40 KiB. A second large buffer would break this.",
    ),
}
"""KiB that a connection may occupy, and why."""


async def run(settings: Settings) -> Result:
    """Run one variant of the part."""
    variant = VARIANTS[settings.variant]
    wanted = int((500 if settings.short else 5000) * variant.share)
    count = _possible(wanted)
    result = Result("idle", f"{count:,} idle connections: {variant.title}")
    if count < wanted:
        result.problems.append(f"the system allows {count} connections, not {wanted}")
    seconds = 11.0 if settings.short else 30.0
    async with AsyncExitStack() as stack:
        server = stack.enter_context(bench())
        connector = aiohttp.TCPConnector(limit=0)
        session = await stack.enter_async_context(aiohttp.ClientSession(connector=connector))
        progress = stack.enter_context(Progress("idle", count, "connections"))
        place = _Place(server, session, variant.secure, [])
        await _warm_up(variant, place)
        before = trimmed()
        if variant.traced:
            tracemalloc.start(1)
        opened = await _open_all(variant, place, count, progress)
        # Opening is over, and so is what it needed for a while.
        await asyncio.sleep(1.0)
        gc.collect()
        traced = tracemalloc.get_traced_memory()[0] if variant.traced else 0
        occupied = resident() - before
        cpu = await _cpu(seconds)
        await _close_all(variant, place, opened)
    _conclude(result, variant, occupied / count / 1024, traced / count / 1024, cpu, count)
    return result


def _possible(wanted: int) -> int:
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return max(1, min(wanted, soft - _SPARE))


async def _warm_up(variant: Variant, place: _Place) -> None:
    """Open and close some, so that what is made once is made."""
    await _close_all(
        variant, place, await _open_all(variant, place, _AT_ONCE, None), unharmed=False
    )


async def _open_all(
    variant: Variant, place: _Place, count: int, progress: Progress | None
) -> list[Any]:
    opened: list[Any] = []
    pending = iter(range(count))

    async def work() -> None:
        for _ in pending:
            opened.append(await variant.open(place))
            if progress is not None:
                progress.done = len(opened)

    async with asyncio.timeout(_LONGEST), asyncio.TaskGroup() as group:
        for _ in range(_AT_ONCE):
            group.create_task(work())
    return opened


async def _close_all(
    variant: Variant, place: _Place, opened: list[Any], *, unharmed: bool = True
) -> None:
    close = variant.close if unharmed else _close_any
    pending = iter(opened)

    async def work() -> None:
        for each in pending:
            await close(each)

    async with asyncio.timeout(_LONGEST), asyncio.TaskGroup() as group:
        for _ in range(_AT_ONCE):
            group.create_task(work())
    ends = await asyncio.gather(*place.readers, return_exceptions=True)
    place.readers.clear()
    if variant.ours and any(end is not None for end in ends):
        raise SoakError("an idle connection was not silent")


async def _cpu(seconds: float) -> float:
    """Return the seconds of CPU per second, over some of them."""
    begin, used = time.monotonic(), time.process_time()
    await asyncio.sleep(seconds)
    return (time.process_time() - used) / (time.monotonic() - begin)


def _conclude(
    result: Result, variant: Variant, occupied: float, traced: float, cpu: float, count: int
) -> None:
    row = (
        variant.title,
        count,
        "" if variant.traced else occupied,
        traced or "",
        "" if variant.traced else cpu * 100,
        "" if variant.traced else cpu / count * _INTERVAL * 1e6,
    )
    columns = (
        "connections",
        "number",
        "KiB of RSS each",
        "KiB allocated by Python each",
        f"CPU, % of one core, pings every {_INTERVAL:g} s",
        "µs of CPU per ping and pong",
    )
    result.tables.append(Table("Idle connections", columns, [row]))
    if variant.ours and not variant.traced:
        scheme = "wss" if variant.secure else "ws"
        limit, reason = _MEMORY[scheme]
        result.bounds.append(
            Bound(
                f"memory of an idle {scheme} connection",
                occupied,
                limit,
                "KiB",
                reason,
            )
        )
