"""Weeks of keepalive in seconds, by the virtual clock: nothing grows, and nobody is given up.

Twice: in memory, where a ping is answered at once; and over a socket to a server that takes its
time for each answer, longer than the interval at times.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator
from typing import Final

from soak.bench import Progress, Settings, SoakError
from soak.measures import Sample, take_sample
from soak.report import MIB, Bound, Curve, Result, steady
from wsclient import WebSocketClientConnection, websocket_connect
from wsclient.testing import RawConnection, RawServer, VirtualClock, connection_pair

__all__ = ["run"]

_DAY: Final = 86400.0
_INTERVAL: Final = 20.0  # seconds between pings
_TIMEOUT: Final = 60.0  # seconds without a byte
_SLOWEST: Final = 45.0
"""Seconds that an answer may take: more than the interval, less than the timeout."""

_WARM: Final = 0.2
"""Part of the days before it counts."""

_PING, _PONG, _TEXT = 0x9, 0xA, 0x1


async def run(settings: Settings) -> Result:
    """Run the part."""
    days = 5 if settings.short else 30
    result = Result("uptime", f"{days} days of keepalive, on the stock loop's virtual clock")
    with Progress("uptime", 2 * days, "days") as progress:
        samples = await _in_memory(days, progress, result)
        _conclude(result, samples, "in memory")
        samples = await _with_slow_answers(days, progress, result)
        _conclude(result, samples, "slow answers")
    return result


def _conclude(result: Result, samples: list[Sample], name: str) -> None:
    warm = max(1, int(len(samples) * _WARM))
    for bound in steady(samples, warm=warm, unit="days", timers=2):
        result.bounds.append(
            Bound(f"{name}: {bound.name}", bound.value, bound.limit, bound.unit, bound.reason)
        )
    points = [(sample.at, sample.resident / MIB) for sample in samples]
    result.curves.append(
        Curve(f"Memory over days, {name}", "virtual days", "RSS, MiB", points, warm)
    )


async def _in_memory(days: int, progress: Progress, result: Result) -> list[Sample]:
    chance = random.Random(40)
    samples = []
    pings = 0

    def on_ping(payload: bytes) -> None:
        nonlocal pings
        pings += 1

    with VirtualClock() as clock:
        async with connection_pair(
            ping_interval=_INTERVAL,
            ping_timeout=_TIMEOUT,
            compression_options={},
            server_options={"on_ping": on_ping},
        ) as (client, server):
            for day in range(days):
                while clock.elapsed < (day + 1) * _DAY:
                    await asyncio.sleep(chance.expovariate(1 / 3600))
                    message = f"hour {clock.elapsed / 3600:.3f}"
                    await client.write_message(message)
                    await server.write_message(message)
                    if (await server.read_message(), await client.read_message()) != (
                        message,
                        message,
                    ):
                        raise SoakError("a message is not what was sent")
                progress.done += 1
                samples.append(take_sample(day + 1))
            due = clock.elapsed // _INTERVAL
    result.bounds.append(
        Bound(
            "in memory: pings that were not sent", due - pings, 1, "", "One may be due just now."
        )
    )
    result.facts["in memory"] = f"{pings:,} pings, {client.stats().messages_sent:,} messages"
    if client.close_info is None or not client.close_info.clean:
        result.problems.append(f"in memory: {client.close_info}")
    return samples


async def _with_slow_answers(days: int, progress: Progress, result: Result) -> list[Sample]:
    samples: list[Sample] = []
    with VirtualClock() as clock:
        slow = _SlowServer()
        async with RawServer(slow.serve) as server, _connected(server.url) as conn:
            for day in range(days):
                await asyncio.sleep((day + 1) * _DAY - clock.elapsed)
                progress.done += 1
                samples.append(take_sample(day + 1))
                if conn.closed:
                    break
            answered = slow.answered
    info = conn.close_info
    result.facts["slow answers"] = (
        f"{answered:,} pings answered after 0 to {_SLOWEST:g} seconds, and {slow.messages:,} "
        "messages"
    )
    if info is None or not info.clean:
        result.problems.append(f"slow answers, {clock.elapsed / 3600:.1f} hours: {info}")
    return samples


@contextlib.asynccontextmanager
async def _connected(url: str) -> AsyncIterator[WebSocketClientConnection]:
    """Connect, and read all messages, to the end of the block."""
    async with websocket_connect(
        url,
        ping_interval=_INTERVAL,
        ping_timeout=_TIMEOUT,
        # Behind answers that are still due.
        close_timeout=4 * _SLOWEST,
        proxy=None,
    ) as conn:
        reader = asyncio.create_task(_read(conn))
        yield conn
        await conn.close()
        await reader


async def _read(conn: WebSocketClientConnection) -> None:
    async for message in conn:
        if message != "now and then":
            raise SoakError("a message is not what was sent")


class _SlowServer:
    """Answers each ping after a while, the answers in order.

    Attributes:
        answered: how many pings have been answered.
        messages: how many messages have been sent.
    """

    def __init__(self) -> None:
        self.answered = 0
        self.messages = 0
        self._chance = random.Random(50)

    async def serve(self, connection: RawConnection) -> None:
        """Serve a connection."""
        await connection.accept()
        while (frame := await connection.read_frame()).opcode == _PING:
            await asyncio.sleep(self._chance.triangular(0, _SLOWEST, 0))
            if self.answered % 500 == 0:
                self.messages += 1
                await connection.send_frame(_TEXT, b"now and then")
            self.answered += 1
            await connection.send_frame(_PONG, frame.payload)
        await connection.send_close(1000)
