"""Numbered messages to an echo and back: none may be missing, none twice, none out of order."""

from __future__ import annotations

import asyncio
import statistics
from collections import deque
from time import perf_counter

from wsclient import WebSocketClientConnection

__all__ = ["exchange", "message", "quantiles"]

_IN_FLIGHT = 16


def message(number: int) -> str:
    """Return the message of a number: 7 to 3000 characters."""
    return f"{number:06} " + "x" * (number * 379 % 2994)


async def exchange(
    conn: WebSocketClientConnection, count: int, *, in_flight: int = _IN_FLIGHT
) -> list[float]:
    """Send messages and read their echoes; return the seconds that each took.

    Args:
        conn: a connection to an echo that nobody else uses.
        count: how many.
        in_flight: how many may be underway.
    """
    room = asyncio.Semaphore(in_flight)
    sent: deque[float] = deque()
    took = []

    async def send() -> None:
        for number in range(count):
            await room.acquire()
            sent.append(perf_counter())
            await conn.write_message(message(number))

    async with asyncio.TaskGroup() as group:
        group.create_task(send())
        for number in range(count):
            assert await conn.read_message() == message(number)
            took.append(perf_counter() - sent.popleft())
            room.release()
    return took


def quantiles(seconds: list[float]) -> str:
    """Return the median and the 99th percentile, for people."""
    cuts = statistics.quantiles(seconds, n=100)
    return f"p50 {cuts[49] * 1000:.1f} ms, p99 {cuts[98] * 1000:.1f} ms"
