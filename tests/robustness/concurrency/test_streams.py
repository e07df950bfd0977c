"""Numbered messages between many tasks: each arrives once, and in order."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import pytest

from wsclient import WebSocketClientConnection, websocket_connect
from wsclient.protocol.opcodes import Opcode
from wsclient.testing import (
    WebSocketServerConnection,
    WebSocketTestServer,
    connection_pair,
    encode_frame,
)

COMPRESSION = pytest.mark.parametrize("compression", [None, {}], ids=["plain", "compressed"])

# 100 tasks write and 100 read

WRITERS = 100
READERS = 100
EACH = 20
"""Messages of each writer."""

LARGE = 30_000
"""Bytes; some messages are so long, so that buffers and queues fill."""

Pair = Callable[..., AbstractAsyncContextManager[WebSocketClientConnection]]


@asynccontextmanager
async def over_tcp(**options: Any) -> AsyncIterator[WebSocketClientConnection]:
    """Connect to a server that echoes."""
    async with WebSocketTestServer(compression_options={}) as server:
        url = server.url
        async with websocket_connect(url, proxy=None, **options) as conn:
            yield conn


@asynccontextmanager
async def in_memory(**options: Any) -> AsyncIterator[WebSocketClientConnection]:
    """Connect to an echo without a socket."""

    async def echo(server: WebSocketServerConnection) -> None:
        async for message in server:
            await server.write_message(message, binary=isinstance(message, bytes))

    async with connection_pair(**options) as (client, server):
        echoing = asyncio.create_task(echo(server))
        yield client
        await client.close()
        await echoing


def numbered(writer: int, number: int) -> str | bytes:
    """Return a message that says whose it is and which; some are long, every other is text."""
    chance = random.Random(writer * EACH + number)
    size = LARGE if number % 10 == writer % 10 else chance.randrange(200)
    text = f"{writer} {number} ".ljust(size, "é")
    return text.encode() if (writer + number) % 2 else text


async def write_many(conn: WebSocketClientConnection, writer: int) -> None:
    """Write one's messages, and wait for most of them."""
    for number in range(EACH):
        message = numbered(writer, number)
        writing = conn.write_message(message, binary=isinstance(message, bytes))
        if number % 4:
            await writing
        if number % 7 == writer % 7:
            await conn.ping()


class Audience:
    """Tasks that read one connection until all has come.

    Attributes:
        taken: what each reader got.
    """

    def __init__(self, conn: WebSocketClientConnection, count: int) -> None:
        self._conn = conn
        self._left = count
        self.taken: list[list[str | bytes]] = [[] for _ in range(READERS)]

    async def read(self, reader: int) -> None:
        """Be one of the readers; whoever gets the last message closes."""
        while (message := await self._conn.read_message()) is not None:
            self.taken[reader].append(message)
            self._left -= 1
            if not self._left:
                self._conn.close()


@COMPRESSION
@pytest.mark.parametrize("pair", [over_tcp, in_memory])
async def test_hundred_write_and_hundred_read(
    pair: Pair, compression: dict[str, Any] | None
) -> None:
    options = {"max_queue_messages": 50, "compression_options": compression}
    async with pair(**options) as conn:
        audience = Audience(conn, WRITERS * EACH)
        async with asyncio.TaskGroup() as group:
            for reader in range(READERS):
                group.create_task(audience.read(reader))
            for writer in range(WRITERS):
                group.create_task(write_many(conn, writer))
        assert conn.close_info is not None and conn.close_info.clean
    everything = Counter(message for taken in audience.taken for message in taken)
    expected = [numbered(writer, number) for writer in range(WRITERS) for number in range(EACH)]
    assert everything == Counter(expected)
    for taken in audience.taken:
        assert_order_of_each_writer(taken)
    assert sum(1 for taken in audience.taken if taken) > READERS // 2, "few did all the reading"


def assert_order_of_each_writer(taken: list[str | bytes]) -> None:
    """See that what one reader got of one writer came in the order of writing."""
    last: dict[int, int] = {}
    for message in taken:
        text = message if isinstance(message, str) else message.decode()
        writer, number, *_ = (int(word) for word in text.split()[:2])
        assert number > last.get(writer, -1)
        last[writer] = number


# Readers that are cancelled at random

COUNT = 2_000
"""Messages of the stream."""


async def send_stream(server: WebSocketServerConnection, chance: random.Random) -> None:
    """Send numbers in fragments, with pings between the fragments, and close."""
    for number in range(COUNT):
        data = str(number).ljust(chance.randrange(1, 40)).encode()
        cuts = sorted(chance.randrange(len(data) + 1) for _ in range(chance.randrange(3)))
        parts = [data[i:j] for i, j in zip([0, *cuts], [*cuts, len(data)], strict=True)]
        for index, part in enumerate(parts):
            opcode = Opcode.CONTINUATION if index else Opcode.TEXT
            server.send_bytes(encode_frame(opcode, part, fin=index == len(parts) - 1))
            if chance.random() < 0.1:
                server.ping()
        if chance.random() < 0.3:
            await asyncio.sleep(0)
    server.close()


async def read_cancelled(
    conn: WebSocketClientConnection, chance: random.Random, received: list[int]
) -> int:
    """Read to the end by reads of which some are cancelled; return how many were."""
    cancelled = 0
    while True:
        reading = asyncio.create_task(conn.read_message())
        if chance.random() < 0.4:
            for _ in range(chance.randrange(4)):
                await asyncio.sleep(0)
            reading.cancel()
        try:
            message = await reading
        except asyncio.CancelledError:
            cancelled += 1
            continue
        if message is None:
            return cancelled
        received.append(int(message))


@pytest.mark.parametrize("readers", [1, 7])
@pytest.mark.parametrize("room", [1, 1024])
@pytest.mark.parametrize("seed", range(3))
async def test_reads_are_cancelled_at_random(seed: int, room: int, readers: int) -> None:
    chance = random.Random(seed)
    received: list[list[int]] = [[] for _ in range(readers)]
    async with connection_pair(max_queue_messages=room) as (client, server):
        async with asyncio.TaskGroup() as group:
            reading = [
                group.create_task(read_cancelled(client, chance, received[reader]))
                for reader in range(readers)
            ]
            group.create_task(send_stream(server, chance))
        info = await client.wait_closed()
    assert info.clean and not info.discarded_messages
    assert sum(each.result() for each in reading) > COUNT // 100, "hardly any was cancelled"
    assert sorted(number for each in received for number in each) == list(range(COUNT))
    # Who takes a message takes none that came before it later.
    assert all(each == sorted(each) for each in received)


# A peer that is slow, and writers that give up waiting

WAITING = 60
"""Messages of the writer."""


@COMPRESSION
@pytest.mark.parametrize("seed", range(2))
async def test_writes_are_cancelled_at_random(
    seed: int, compression: dict[str, Any] | None
) -> None:
    """Whoever gives up waiting has written nevertheless, and whole."""
    chance = random.Random(seed)
    arrived: list[bytes] = []
    written: list[bytes] = []

    async def write(client: WebSocketClientConnection) -> int:
        given_up = 0
        for number in range(WAITING):
            message = str(number).encode().ljust(10) + chance.randbytes(20_000)
            written.append(message)
            writing = asyncio.create_task(client.write_message(message, binary=True))
            for _ in range(chance.randrange(4)):
                await asyncio.sleep(0)
            writing.cancel()
            await asyncio.wait([writing])
            given_up += writing.cancelled()
        return given_up

    async def listen(server: WebSocketServerConnection) -> None:
        while len(arrived) < WAITING:
            server.pause_reading()
            for _ in range(chance.randrange(30)):
                await asyncio.sleep(0)
            server.resume_reading()
            await asyncio.sleep(0)
            while server.stats().queued_messages:
                message = await server.read_message()
                assert isinstance(message, bytes)
                arrived.append(message)

    async with connection_pair(compression_options=compression) as (client, server):
        async with asyncio.TaskGroup() as group:
            writing = group.create_task(write(client))
            group.create_task(listen(server))
        assert (await client.close()).clean
    assert arrived == written
    assert writing.result() >= 5, "hardly anyone had to wait"
