"""Millions of messages over connections that stay open: each is the right one, and memory is flat.

All streams run at the same time, in rounds. Between rounds nothing is underway, so that each look
at the process sees the same state, and whatever grows has leaked.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any, Final, Literal

from soak.bench import Bench, Progress, Settings, SoakError, bench
from soak.measures import Sample, census, grown, take_sample, trimmed
from soak.messages import CYCLE, LARGEST, PINGS_PER_CYCLE, Compression
from soak.messages import cycle as messages_of_a_cycle
from soak.receiving import Listener, Reader, Taker
from soak.report import MIB, Bound, Curve, Result, Table, not_kept, steady
from support.running import open_descriptors
from wsclient import CloseCause, WebSocketClientConnection, websocket_connect

__all__ = ["STREAMS", "Flow", "Stream", "close_flows", "open_flows", "run", "run_round"]

_WARM: Final = 0.25
"""Part of the rounds before memory counts."""

_BATCH: Final = 50
"""Messages that an echo sends before it waits for them to come back."""

_ROUND_TIMEOUT: Final = 600.0  # seconds; a round that takes so long hangs


@dataclass(frozen=True)
class Stream:
    """One connection, and what goes over it in each round.

    Attributes:
        cycles: so many cycles of messages in a round, times 1 or more.
        action: what the server does: ``send``, ``expect`` or ``echo``.
        style: how the client gets its messages.
        secure: whether with TLS.
        compression: how messages are compressed.
        fragments: whether the server sends some in several frames, with pings among them.
    """

    cycles: int
    action: Literal["send", "expect", "echo"]
    style: Literal["read", "callback", "async callback"] = "read"
    secure: bool = False
    compression: Compression = "off"
    fragments: bool = False

    def __str__(self) -> str:
        words = [
            {"send": "received", "expect": "sent", "echo": "echoed"}[self.action],
            "wss" if self.secure else "ws",
            self.style,
        ]
        if self.compression != "off":
            kept = {"takeover": "deflate", "single": "deflate, no context takeover"}
            words.append(kept[self.compression])
        if self.fragments:
            words.append("fragments and pings")
        return ", ".join(words)


STREAMS: Final = (
    Stream(10, "send"),
    Stream(10, "send", "callback"),
    Stream(4, "send", fragments=True),
    Stream(6, "send", secure=True),
    Stream(2, "send", "async callback", compression="takeover"),
    Stream(2, "send", compression="single", fragments=True),
    Stream(2, "send", "callback", secure=True, compression="takeover", fragments=True),
    Stream(4, "expect"),
    Stream(1, "expect", compression="takeover"),
    Stream(1, "expect", compression="single"),
    Stream(3, "expect", secure=True),
    Stream(2, "echo"),
    Stream(1, "echo", "callback", secure=True, compression="takeover"),
    Stream(2, "echo", "async callback"),
)
"""50 cycles, which are 100,000 messages."""

_COMPRESSION: Final[dict[Compression, dict[str, Any] | None]] = {
    "off": None,
    "takeover": {},
    "single": {"server_no_context_takeover": True, "client_no_context_takeover": True},
}


class Flow:
    """A stream at work.

    Attributes:
        stream: what it does.
        reports: how many accounts the server has given.
        pongs: how many pongs the server has had, by its last account.
        cycles: how many cycles have passed.
    """

    def __init__(self, stream: Stream) -> None:
        self.stream = stream
        self.reports = 0
        self.pongs = 0
        self.cycles = 0
        self._listener = Listener()
        self._reader = Reader()
        self._taker: Taker = self._reader if stream.style == "read" else self._listener

    @property
    def conn(self) -> WebSocketClientConnection:
        """Its connection, open from `open` on."""
        assert self._reader.connection is not None
        return self._reader.connection

    async def open(self, server: Bench) -> None:
        """Connect."""
        stream = self.stream
        kind = "fragments" if stream.fragments else "whole"
        callbacks: dict[str, Callable[[str | bytes | None], Any] | None] = {
            "read": None,
            "callback": self._listener.received,
            "async callback": self._listener.received_async,
        }
        self._reader.connection = await websocket_connect(
            server.url(f"/traffic/{stream.compression}/{kind}", secure=stream.secure),
            tls=server.tls if stream.secure else None,
            compression_options=_COMPRESSION[stream.compression],
            on_message_callback=callbacks[stream.style],
            # Its timers should run; a server that shares a busy machine is no finding.
            ping_interval=1,
            ping_timeout=120,
            proxy=None,
        )

    async def round(self, cycles: int) -> None:
        """Let so many cycles of messages pass, and have the server account for them.

        Raises:
            SoakError: a message is not the one that was sent, or one is missing.
        """
        stream = self.stream
        self._taker.begin(0 if stream.action == "expect" else cycles * CYCLE)
        await self.conn.write_message(json.dumps({stream.action: cycles}), compress=False)
        self.conn.ping()
        if stream.action == "send":
            await self._taker.take(cycles * CYCLE)
        else:
            await self._send(cycles)
        self.cycles += cycles
        report = json.loads(await self._taker.report())
        self.reports += 1
        self.pongs = report["pongs"]
        if report["wrong"] or report["messages"] != self.cycles * CYCLE:
            raise SoakError(f"{stream}: after {self.cycles} cycles the server tells of {report}")

    async def _send(self, cycles: int) -> None:
        write = self.conn.write_message
        messages = messages_of_a_cycle()
        for _ in range(cycles):
            for start in range(0, CYCLE, _BATCH):
                for message in messages[start : start + _BATCH]:
                    await write(message, isinstance(message, bytes))
                if self.stream.action == "echo":
                    await self._taker.take(_BATCH)

    async def _count_pongs(self) -> None:
        """Have the server account once more: the last pongs may have come behind its account."""
        if self.stream.action != "send":
            return
        await self.round(0)
        pings = self.cycles * PINGS_PER_CYCLE if self.stream.fragments else 0
        if self.pongs != pings:
            raise SoakError(f"{self.stream}: {pings} pings got {self.pongs} pongs")

    async def close(self) -> None:
        """Close the connection.

        Raises:
            SoakError: it ended in another way, or has counted wrongly.
        """
        await self._count_pongs()
        info = await self.conn.close()
        if not info.clean or info.cause is not CloseCause.CLOSING_HANDSHAKE:
            raise SoakError(f"{self.stream}: {info}")
        stats = self.conn.stats()
        passed = self.cycles * CYCLE
        received = self.reports + (0 if self.stream.action == "expect" else passed)
        sent = self.reports + (0 if self.stream.action == "send" else passed)
        if (stats.messages_received, stats.messages_sent) != (received, sent):
            raise SoakError(f"{self.stream}: {received} and {sent} messages passed, not {stats}")


async def open_flows(server: Bench, streams: Sequence[Stream] = STREAMS) -> list[Flow]:
    """Open the connections of streams."""
    flows = [Flow(stream) for stream in streams]
    for flow in flows:
        await flow.open(server)
    return flows


async def run_round(flows: Sequence[Flow], times: int) -> int:
    """Run one round of all streams at the same time; return how many messages that were.

    Args:
        flows: open.
        times: what the cycles of each stream are multiplied with.
    """
    async with asyncio.timeout(_ROUND_TIMEOUT), asyncio.TaskGroup() as group:
        for flow in flows:
            group.create_task(flow.round(flow.stream.cycles * times))
    # What the loop has been asked to do at once is done.
    await asyncio.sleep(0.05)
    return sum(flow.stream.cycles for flow in flows) * times * CYCLE


async def close_flows(flows: Sequence[Flow]) -> None:
    """Close the connections."""
    for flow in flows:
        await flow.close()


async def run(settings: Settings) -> Result:
    """Run the part."""
    rounds, times = (20, 1) if settings.short else (40, 5)
    messages = rounds * times * sum(stream.cycles for stream in STREAMS) * CYCLE
    result = Result("traffic", f"{messages:,} messages")
    warm = int(rounds * _WARM)
    samples: list[Sample] = []
    async with AsyncExitStack() as stack:
        server = stack.enter_context(bench())
        # The server's pipes belong to the whole part.
        before = open_descriptors()
        progress = stack.enter_context(Progress("traffic", messages, "messages"))
        flows = await open_flows(server)
        seen: dict[str, int] = {}
        in_use = 0
        for number in range(rounds):
            progress.done += await run_round(flows, times)
            samples.append(take_sample(progress.done))
            if number == warm:
                in_use = trimmed()
                census()  # The first one leaves traces in the caches of abstract classes.
                seen = census()
        result.bounds.append(not_kept(in_use, trimmed()))
        more = grown(seen, census())
        seconds = progress.seconds
        await close_flows(flows)
        await asyncio.sleep(0.1)
        left = [each for each in sorted(open_descriptors() - before) if "socket:" in each]
    _conclude(result, samples, warm, more)
    _account(result, flows, messages / seconds)
    result.bounds.append(
        Bound("sockets left after closing", len(left), 0, "", "Everything has been closed.")
    )
    result.problems += [f"left open: {each}" for each in left]
    return result


def _conclude(result: Result, samples: list[Sample], warm: int, more: dict[str, int]) -> None:
    settled = samples[warm:]
    span = settled[-1].at - settled[0].at
    result.bounds += steady(
        samples,
        warm=warm,
        unit="messages",
        # Each stream has its largest message in memory at times.
        large=len(STREAMS) * LARGEST / MIB,
        timers=len(STREAMS),
    )
    garbage = sum(sample.garbage for sample in settled[1:])
    result.bounds += [
        Bound(
            "objects that only the garbage collector could free, per million messages",
            garbage / span * 1e6,
            1000,
            "objects",
            "A cycle for each message of one stream would be tens of thousands.",
        ),
        Bound(
            "growth of the number of objects of the package's classes",
            sum(count for name, count in more.items() if name.startswith("wsclient.")),
            # A ping that waits for its pong is an object of each connection's register.
            2 * len(STREAMS),
            "objects",
            "The same connections are open; a keepalive ping or two may be underway in each.",
        ),
    ]
    points = [(sample.at / 1e6, sample.resident / MIB) for sample in samples]
    result.curves.append(
        Curve("Memory over messages", "messages, millions", "RSS, MiB", points, warm)
    )
    result.tables.append(
        Table("Types with more objects at the end", ("type", "more"), list(more.items())[:10])
    )


def _account(result: Result, flows: Sequence[Flow], rate: float) -> None:
    result.facts["rate"] = f"{rate:,.0f} messages per second, with all checks, over all streams"
    rows = []
    for flow in flows:
        stats = flow.conn.stats()
        pings = flow.cycles * PINGS_PER_CYCLE if flow.stream.fragments else 0
        rows.append(
            (
                str(flow.stream),
                stats.messages_received,
                stats.messages_sent,
                stats.bytes_received / MIB,
                stats.bytes_sent / MIB,
                pings,
                flow.pongs,
            )
        )
    columns = ("stream", "received", "sent", "MiB received", "MiB sent", "pings", "pongs")
    result.tables.append(Table("Streams", columns, rows))
