"""What waits on an open connection is cancelled at each suspension; the connection goes on.

Messages carry numbers. Whatever is cancelled, the other end and the next reader get each of them
once, in order, and the closing handshake is clean: no half frame has left.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import pytest

from behaviour.servers import expect_info
from robustness.sweeps.stepping import WAYS, Ended, Quiet, end_at, quiet, sweep
from wsclient import CloseCause, CloseInfo, WebSocketClientConnection
from wsclient.testing import WebSocketServerConnection, connection_pair

COUNT = 6
"""Messages in each direction."""

LARGE = 50_000
"""Bytes; two such messages fill the buffer of a transport."""


@dataclass
class Talk:
    """One trial: both ends of a connection, and what has arrived.

    Attributes:
        client: the end that is tested.
        server: the other end.
        taken: what was read from the client, in the order of reading.
        written: the numbers that the client has written.
    """

    client: WebSocketClientConnection
    server: WebSocketServerConnection
    taken: list[str] = field(default_factory=list)
    written: list[int] = field(default_factory=list)


def numbers(count: int) -> list[str]:
    """Return the messages that carry the first so many numbers."""
    return [str(number) for number in range(count)]


def large(number: int) -> bytes:
    """Return bytes that cannot be compressed."""
    return random.Random(number).randbytes(LARGE)


async def turns(count: int) -> None:
    """Let so many turns of the loop go by."""
    for _ in range(count):
        await asyncio.sleep(0)


# What is cancelled


async def read(talk: Talk) -> None:
    """Read one message after the other."""
    while len(talk.taken) < COUNT:
        message = await talk.client.read_message()
        assert isinstance(message, str)
        talk.taken.append(message)


async def iterate(talk: Talk) -> None:
    """Read in a loop."""
    async for message in talk.client:
        assert isinstance(message, str)
        talk.taken.append(message)
        if len(talk.taken) == COUNT:
            break


async def read_with_callback(talk: Talk) -> None:
    """Read in the way of Tornado, whose callback has the message also when nobody waits."""
    while len(talk.taken) < COUNT:
        await talk.client.read_message(partial(keep, talk))


def keep(talk: Talk, future: asyncio.Future[str | bytes | None]) -> None:
    """Take the message of a read; one that was cancelled has none."""
    if not future.cancelled():
        talk.taken.append(str(future.result()))


async def write(talk: Talk) -> None:
    """Write more than the buffer holds, and wait for room each time."""
    for number in range(COUNT):
        talk.written.append(number)
        await talk.client.write_message(large(number), binary=True)


async def ping(talk: Talk) -> None:
    """Wait for one pong after the other."""
    for number in range(COUNT):
        assert await talk.client.ping(str(number)) >= 0


async def wait_closed(talk: Talk) -> None:
    """Wait for an end that does not come before it is asked for."""
    async with asyncio.timeout(None):
        await asyncio.gather(talk.client.wait_closed(), talk.client.wait_closed())


# What the server does meanwhile


async def send_numbers(talk: Talk) -> None:
    """Send the numbers, one in two turns."""
    for text in numbers(COUNT):
        if talk.server.closing:
            return
        talk.server.write_message(text)
        await turns(2)


async def hesitate(talk: Talk) -> None:
    """Read nothing for some turns, and then for some more."""
    for _ in range(2):
        talk.server.pause_reading()
        await turns(6)
        talk.server.resume_reading()
        await turns(1)


async def close_late(talk: Talk) -> None:
    """Close after some turns."""
    await turns(4)
    talk.server.close()


async def resume_late(talk: Talk) -> None:
    """Read after some turns."""
    await turns(6)
    talk.server.resume_reading()


async def do_nothing(talk: Talk) -> None:
    """Leave it to the client."""


Part = Callable[[Talk], Coroutine[Any, Any, None]]

READERS: dict[str, Part] = {"read": read, "iterate": iterate, "callback": read_with_callback}


@asynccontextmanager
async def talking(
    part: Part, *, close_timeout: float = 2.0, **options: Any
) -> AsyncIterator[Talk]:
    """Open a pair whose server does its part."""
    async with connection_pair(close_timeout=close_timeout, **options) as (client, server):
        talk = Talk(client, server)
        serving = asyncio.create_task(part(talk))
        try:
            yield talk
        finally:
            await serving


def check(ended: Ended[Any], way: str) -> None:
    """See that being cancelled came out as what it is."""
    expected = TimeoutError if way == "timeout" else asyncio.CancelledError
    if ended.hit and not (way == "timeout" and ended.error is None):
        assert type(ended.error) is expected, repr(ended.error)
    else:
        assert ended.error is None, repr(ended.error)


async def still_works(talk: Talk) -> None:
    """Exchange a message and a ping, and close."""
    client, server = talk.client, talk.server
    client.write_message("after")
    assert await server.read_message() == "after"
    server.write_message("so it is")
    assert await client.read_message() == "so it is"
    assert await client.ping() >= 0
    expect_info(await client.close(), clean=True, sent=1000, received=1000, discarded_messages=0)
    expect_info(await server.wait_closed(), clean=True)
    assert await client.read_message() is None
    assert await server.read_message() is None


@asynccontextmanager
async def one_trial(
    action: Part, part: Part, step: int, way: str, watch: Quiet, **options: Any
) -> AsyncIterator[tuple[Talk, Ended[None]]]:
    """Cancel an action at a step; what the block checks comes before the last word of `watch`."""
    async with talking(part, **options) as talk:
        ended = await end_at(action(talk), step, way)
        check(ended, way)
        yield talk, ended
    await watch.restored()


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("compression", [None, {}], ids=["plain", "compressed"])
@pytest.mark.parametrize("reader", READERS)
async def test_reading_is_cancelled(
    reader: str, compression: dict[str, Any] | None, way: str
) -> None:
    async with quiet() as watch:

        async def trial(step: int) -> bool:
            options = {"compression_options": compression}
            async with one_trial(READERS[reader], send_numbers, step, way, watch, **options) as (
                talk,
                ended,
            ):
                await read(talk)
                assert talk.taken == numbers(COUNT)
                await still_works(talk)
            return ended.hit

        assert await sweep(trial) >= COUNT - 1


@pytest.mark.parametrize("way", WAYS)
async def test_reading_a_full_queue_is_cancelled(way: str) -> None:
    """The queue holds one message, so that each read lets the transport read on."""
    async with quiet() as watch:

        async def trial(step: int) -> bool:
            async with one_trial(read, send_numbers, step, way, watch, max_queue_messages=1) as (
                talk,
                ended,
            ):
                await read(talk)
                assert talk.taken == numbers(COUNT)
                await still_works(talk)
            return ended.hit

        assert await sweep(trial) >= COUNT - 1


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("place", range(3))
async def test_one_of_many_readers_is_cancelled(place: int, way: str) -> None:
    """Its turn goes to the next one, also when it was woken already."""
    async with quiet() as watch:
        for pause in range(3):
            async with talking(do_nothing) as talk:
                reading = [
                    asyncio.create_task(
                        end_at(talk.client.read_message(), 1 if number == place else 0, way)
                    )
                    for number in range(3)
                ]
                await turns(4)
                # As many as are wanted: whoever is woken in vain has to wake the next one.
                wanted = max(2, place + 1)
                for text in numbers(wanted):
                    talk.server.write_message(text)
                    await turns(pause)
                ended = await asyncio.gather(*reading)
                check(ended.pop(place), way)
                assert [each.result for each in ended] == ["0", "1"]
                if wanted == 3:
                    assert await talk.client.read_message() == "2"
                await still_works(talk)
            await watch.restored()


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("compression", [None, {}], ids=["plain", "compressed"])
async def test_writing_is_cancelled(compression: dict[str, Any] | None, way: str) -> None:
    """A message whose wait is cancelled has been sent, and whole."""
    async with quiet() as watch:

        async def trial(step: int) -> bool:
            options = {"compression_options": compression}
            async with one_trial(write, hesitate, step, way, watch, **options) as (talk, ended):
                talk.client.write_message(b"end", binary=True)
                for number in talk.written:
                    assert await talk.server.read_message() == large(number)
                assert await talk.server.read_message() == b"end"
                await still_works(talk)
            return ended.hit

        assert await sweep(trial) >= 2


@pytest.mark.parametrize("way", WAYS)
async def test_pinging_is_cancelled(way: str) -> None:
    async with quiet() as watch:

        async def trial(step: int) -> bool:
            async with one_trial(ping, do_nothing, step, way, watch) as (talk, ended):
                await still_works(talk)
            return ended.hit

        assert await sweep(trial) >= COUNT - 1


@pytest.mark.parametrize("way", WAYS)
async def test_one_of_two_who_wait_for_a_pong_is_cancelled(way: str) -> None:
    async with quiet() as watch:

        async def trial(step: int) -> bool:
            async with talking(resume_late) as talk:
                talk.server.pause_reading()
                pinging = talk.client.ping()

                async def wait(_: Talk) -> None:
                    assert await pinging >= 0

                other = asyncio.create_task(wait(talk))
                ended = await end_at(wait(talk), step, way)
                check(ended, way)
                await other
                await still_works(talk)
            await watch.restored()
            return ended.hit

        assert await sweep(trial) == 1


@pytest.mark.parametrize("way", WAYS)
async def test_waiting_for_the_end_is_cancelled(way: str) -> None:
    async with quiet() as watch:

        async def trial(step: int) -> bool:
            async with one_trial(wait_closed, close_late, step, way, watch) as (talk, ended):
                assert await talk.client.read_message() is None
                info = await talk.client.wait_closed()
                expect_info(info, clean=True, initiator="remote", received_first=True)
            return ended.hit

        assert await sweep(trial) >= 1


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("callback", [False, True], ids=["reads", "callback"])
async def test_closing_is_cancelled(callback: bool, way: str) -> None:
    """The closing handshake goes on without anybody who waits for it."""
    seen: list[object] = []

    async def on_message(message: str | bytes | None) -> None:
        await turns(2)
        seen.append(message)

    async with quiet() as watch:

        async def trial(step: int) -> bool:
            seen.clear()
            infos: list[CloseInfo] = []

            async def close(talk: Talk) -> None:
                talk.server.write_message("last")
                infos.append(await talk.client.close(1001, "bye"))

            options = {"on_message_callback": on_message} if callback else {}
            async with one_trial(close, do_nothing, step, way, watch, **options) as (talk, ended):
                info = await talk.client.wait_closed()
                expect_info(info, clean=True, sent=1001, received=1001, initiator="local")
                assert infos == ([] if ended.error else [info])
                expect_info(await talk.server.wait_closed(), clean=True, reason="bye")
                if callback:
                    assert seen == ["last", None]
                else:
                    assert [message async for message in talk.client] == ["last"]
            return ended.hit

        assert await sweep(trial) >= 1


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("answers", [True, False], ids=["answered", "unanswered"])
async def test_block_is_cancelled(answers: bool, way: str) -> None:
    """In the block, and while it closes: the connection has ended when the block is left."""

    async def converse(talk: Talk) -> None:
        async with talk.client:
            await read(talk)
            if not answers:
                talk.server.pause_reading()

    async with quiet() as watch:

        async def trial(step: int) -> bool:
            async with talking(send_numbers, close_timeout=0.1) as talk:
                ended = await end_at(converse(talk), step, way)
                check(ended, way)
                info = talk.client.close_info
                assert info is not None, "the block was left with an open connection"
                inside = len(talk.taken) < COUNT
                expect_info(info, initiator="local", sent=1001 if inside else 1000)
                if not answers and not inside:
                    assert info.cause in (CloseCause.CANCELLED, CloseCause.CLOSE_TIMEOUT)
                elif not ended.hit or (inside and way != "twice"):
                    expect_info(info, clean=True)
                talk.server.abort()
            await watch.restored()
            return ended.hit

        assert await sweep(trial) >= COUNT - 1
