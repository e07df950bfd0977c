"""The queue of received messages: limits, order, and readers that come and go."""

from __future__ import annotations

import asyncio
import gc
import sys
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from wsclient.options.connection import ConnectionOptions
from wsclient.wire.inbox import Inbox


def make_inbox(
    *, max_messages: int = 100, max_size: int = 10_000, on_low: Callable[[], None] = lambda: None
) -> Inbox:
    options = ConnectionOptions(max_queue_messages=max_messages, max_queue_size=max_size)
    inbox = Inbox(asyncio.get_running_loop(), options)
    inbox.on_low = on_low
    return inbox


def receive(inbox: Inbox, *messages: str | bytes) -> None:
    """Put messages in as one received chunk does."""
    for message in messages:
        inbox.put(message)
    inbox.received += len(messages)
    inbox.wake_readers()


async def turns(number: int = 5) -> None:
    """Let everything run that can run."""
    for _ in range(number):
        await asyncio.sleep(0)


Reader = asyncio.Task[str | bytes | None]


def start(inbox: Inbox, number: int) -> list[Reader]:
    return [asyncio.create_task(inbox.get()) for _ in range(number)]


async def started(inbox: Inbox, number: int) -> list[Reader]:
    """Start readers and let them wait."""
    readers = start(inbox, number)
    await turns()
    return readers


async def cancelled(*readers: Reader) -> None:
    for reader in readers:
        with pytest.raises(asyncio.CancelledError):
            await reader


# --- readers --------------------------------------------------------------------------------


async def test_what_is_there_is_read_at_once() -> None:
    inbox = make_inbox()
    receive(inbox, "a", b"b", "", b"")
    assert [await inbox.get() for _ in range(4)] == ["a", b"b", "", b""]
    assert inbox.received == 4
    assert inbox.size == 0


async def test_readers_are_served_first_come_first_served() -> None:
    inbox = make_inbox()
    readers = await started(inbox, 4)
    receive(inbox, "1", "2")
    receive(inbox, "3", "4")
    assert await asyncio.gather(*readers) == ["1", "2", "3", "4"]


async def test_no_more_readers_are_woken_than_there_are_messages() -> None:
    inbox = make_inbox()
    readers = await started(inbox, 3)
    receive(inbox, "1")
    await turns()
    assert [reader.done() for reader in readers] == [True, False, False]
    receive(inbox, "2", "3")
    assert await asyncio.gather(*readers) == ["1", "2", "3"]


async def test_waking_twice_wakes_nobody_twice() -> None:
    inbox = make_inbox()
    readers = await started(inbox, 2)
    receive(inbox, "1")
    inbox.wake_readers()
    inbox.wake_readers()
    await turns()
    assert [reader.done() for reader in readers] == [True, False]
    receive(inbox, "2")
    assert await asyncio.gather(*readers) == ["1", "2"]


@pytest.mark.parametrize("messages", [1, 2, 3])
async def test_a_new_reader_does_not_overtake_a_woken_one(messages: int) -> None:
    inbox = make_inbox()
    [first] = await started(inbox, 1)
    # The second reader comes between the waking of the first and its turn.
    [second] = start(inbox, 1)
    receive(inbox, *[str(number) for number in range(1, messages + 1)])
    await turns()
    assert first.result() == "1"
    receive(inbox, "more")
    assert await second == ("2" if messages > 1 else "more")


async def test_a_new_reader_does_not_overtake_several_woken_ones() -> None:
    inbox = make_inbox()
    readers = await started(inbox, 3) + start(inbox, 2)
    receive(inbox, *"abcde")
    assert await asyncio.gather(*readers) == list("abcde")


async def test_a_reader_that_reads_on_does_not_overtake() -> None:
    inbox = make_inbox()
    got: list[tuple[str, str | bytes | None]] = []

    async def read(name: str) -> None:
        for _ in range(3):
            got.append((name, await inbox.get()))

    tasks = [asyncio.create_task(read(name)) for name in "xy"]
    await turns()
    receive(inbox, *"123456")
    await asyncio.gather(*tasks)
    assert [message for _, message in got] == list("123456")
    assert got[:2] == [("x", "1"), ("y", "2")]


# --- cancelling -----------------------------------------------------------------------------


async def test_cancelling_a_waiting_reader_loses_nothing() -> None:
    inbox = make_inbox()
    first, second, third = await started(inbox, 3)
    second.cancel()
    await cancelled(second)
    receive(inbox, "1", "2")
    assert await asyncio.gather(first, third) == ["1", "2"]


async def test_cancelling_in_the_same_turn_as_a_message_loses_nothing() -> None:
    inbox = make_inbox()
    first, second = await started(inbox, 2)
    first.cancel()
    receive(inbox, "1")
    await cancelled(first)
    assert await second == "1"


@pytest.mark.parametrize("victims", [[0], [1], [2], [0, 1], [1, 2], [0, 2], [0, 1, 2]], ids=str)
async def test_cancelling_woken_readers_loses_nothing(victims: list[int]) -> None:
    inbox = make_inbox()
    readers = await started(inbox, 6)
    receive(inbox, "1", "2", "3")
    for victim in victims:
        readers[victim].cancel()
    await cancelled(*[readers[victim] for victim in victims])
    rest = [reader for number, reader in enumerate(readers) if number not in victims]
    await turns()
    assert [reader.done() for reader in rest] == [True] * 3 + [False] * (3 - len(victims))
    assert [reader.result() for reader in rest[:3]] == ["1", "2", "3"]
    for reader in rest[3:]:
        reader.cancel()
    await cancelled(*rest[3:])


async def test_the_message_of_a_cancelled_reader_waits_for_the_next() -> None:
    inbox = make_inbox()
    [reader] = await started(inbox, 1)
    receive(inbox, "1")
    reader.cancel()
    await cancelled(reader)
    assert list(inbox.queue) == ["1"]
    assert await inbox.get() == "1"


async def test_a_read_under_a_time_limit_loses_nothing() -> None:
    inbox = make_inbox()
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(inbox.get(), 0.01)
    receive(inbox, "1")
    assert await asyncio.wait_for(inbox.get(), 5) == "1"


async def test_the_reader_learns_why_it_was_cancelled() -> None:
    (reader,) = await started(make_inbox(), 1)
    reader.cancel("no time")
    with pytest.raises(asyncio.CancelledError, match="no time"):
        await reader


async def test_a_cancellation_that_is_taken_back_loses_nothing() -> None:
    """From Python 3.13 on `uncancel` takes back what has not been raised yet."""
    inbox = make_inbox()
    first, second = await started(inbox, 2)
    first.cancel()
    first.uncancel()
    await turns()
    receive(inbox, "1", "2")
    await turns()
    assert await second in {"1", "2"}
    if sys.version_info < (3, 13):
        await cancelled(first)
        assert await inbox.get() == "2"
    else:
        assert {await first, second.result()} == {"1", "2"}


def futures() -> int:
    gc.collect()
    return sum(isinstance(thing, asyncio.Future) for thing in gc.get_objects())


async def test_nothing_is_kept_of_readers_that_went_away() -> None:
    """Reading under a time limit, over and over, on a connection that is silent for weeks."""
    inbox = make_inbox()
    counts = []
    for _ in range(20):
        for reader in await started(inbox, 2):
            reader.cancel()
            await cancelled(reader)
        counts.append(futures())
    # Of the last reader the interpreter itself may keep something.
    assert counts[-1] == counts[1]


# --- the end --------------------------------------------------------------------------------


async def test_after_the_end_the_rest_and_then_none_for_ever() -> None:
    inbox = make_inbox()
    receive(inbox, "1", "2")
    inbox.end()
    assert inbox.ended
    assert [await inbox.get() for _ in range(5)] == ["1", "2", None, None, None]


async def test_the_end_releases_every_reader() -> None:
    inbox = make_inbox()
    readers = await started(inbox, 4)
    inbox.put("1")
    inbox.end()
    assert await asyncio.gather(*readers) == ["1", None, None, None]


@pytest.mark.parametrize("messages", [[], ["1"], ["1", "2"], ["1", "2", "3"]], ids=len)
async def test_readers_that_come_with_the_end_do_not_overtake(messages: list[str]) -> None:
    inbox = make_inbox()
    readers = await started(inbox, 1) + start(inbox, 2)
    for message in messages:
        inbox.put(message)
    inbox.end()
    await turns()
    assert all(reader.done() for reader in readers)
    assert await asyncio.gather(*readers) == [*messages, None, None, None][:3]


async def test_cancelling_at_the_end_loses_nothing() -> None:
    inbox = make_inbox()
    readers = await started(inbox, 3)
    inbox.put("1")
    inbox.end()
    readers[0].cancel()
    await cancelled(readers[0])
    assert await asyncio.gather(*readers[1:]) == ["1", None]


async def test_what_was_cleared_goes_to_nobody() -> None:
    inbox = make_inbox()
    readers = await started(inbox, 2)
    receive(inbox, "1", "2")
    assert inbox.clear() == 2
    assert (inbox.size, len(inbox.queue)) == (0, 0)
    await turns()
    assert not any(reader.done() for reader in readers)
    receive(inbox, "3", "4")
    assert sorted(map(str, await asyncio.gather(*readers))) == ["3", "4"]
    assert inbox.clear() == 0


# --- limits ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("messages", "full"),
    [
        pytest.param([], False, id="empty"),
        pytest.param(["a"] * 3, False, id="one-message-short"),
        pytest.param(["a"] * 4, True, id="messages"),
        pytest.param(["a"] * 5, True, id="more-messages"),
        pytest.param([b"x" * 99], False, id="one-byte-short"),
        pytest.param([b"x" * 100], True, id="bytes"),
        pytest.param([b"x" * 50, "y" * 50], True, id="bytes-of-two"),
        pytest.param([b""] * 4, True, id="empty-messages-count"),
        pytest.param([b"x" * 5000], True, id="one-big-message"),
    ],
)
async def test_full(messages: list[str | bytes], full: bool) -> None:
    inbox = make_inbox(max_messages=4, max_size=100)
    receive(inbox, *messages)
    assert inbox.full is full
    assert inbox.size == sum(map(len, messages))
    assert inbox.received == len(messages)


@pytest.mark.parametrize(
    ("messages", "reads"),
    [
        # One message more than half, and one byte more than half, must go.
        pytest.param([b""] * 6, 3, id="messages"),
        pytest.param([b"x" * 25] * 4, 2, id="bytes"),
        pytest.param([b"x" * 51, b"", b"", b"", b"", b""], 3, id="bytes-first"),
        pytest.param([b"", b"", b"", b"x" * 51], 4, id="bytes-last"),
        pytest.param([b"", b"", b"", b"x" * 50], 1, id="exactly-half"),
    ],
)
async def test_on_low_is_called_when_both_limits_are_low(
    messages: list[bytes], reads: int
) -> None:
    calls: list[int] = []

    def on_low() -> None:
        calls.append(len(messages) - len(inbox.queue))
        inbox.resume()

    inbox = make_inbox(max_messages=6, max_size=100, on_low=on_low)
    receive(inbox, *messages)
    inbox.pause()
    assert [await inbox.get() for _ in messages] == messages
    assert calls == [reads]


async def test_on_low_is_not_called_while_nothing_is_paused() -> None:
    calls: list[None] = []
    inbox = make_inbox(max_messages=2, max_size=10, on_low=lambda: calls.append(None))
    receive(inbox, *"abcdef")
    for _ in "abcdef":
        await inbox.get()
    assert calls == []


async def test_on_low_finds_the_message_gone() -> None:
    seen: list[tuple[int, int]] = []
    inbox = make_inbox(max_messages=1, on_low=lambda: seen.append((len(inbox.queue), inbox.size)))
    receive(inbox, b"abc")
    inbox.pause()
    assert await inbox.get() == b"abc"
    assert seen == [(0, 0)]


@pytest.mark.parametrize(
    ("messages", "most", "left"),
    [
        pytest.param([b"a", b"b", b"c"], 99, [b"a", b"b", b"c"], id="within"),
        pytest.param([b"a", b"b", b"c", b"d", b"e"], 99, [b"a", b"b", b"c"], id="messages"),
        pytest.param([b"x" * 60, b"y" * 41], 99, [b"x" * 60], id="bytes"),
        pytest.param([b"x" * 60, b"y" * 40], 99, [b"x" * 60, b"y" * 40], id="bytes-exactly"),
        pytest.param([b"x" * 101], 99, [b"x" * 101], id="one-too-big-is-kept"),
        pytest.param([b"x" * 101, b"y"], 99, [b"x" * 101], id="first-too-big-is-kept"),
        pytest.param(
            [b"a", b"b", b"c", b"d", b"e"], 1, [b"a", b"b", b"c", b"d"], id="one-at-most"
        ),
        pytest.param([b"a", b"b", b"c", b"d"], 0, [b"a", b"b", b"c", b"d"], id="none-at-most"),
        pytest.param([], 99, [], id="empty"),
    ],
)
async def test_drop_excess_drops_the_newest(
    messages: list[bytes], most: int, left: list[bytes]
) -> None:
    inbox = make_inbox(max_messages=3, max_size=100)
    receive(inbox, *messages)
    assert inbox.drop_excess(most) == len(messages) - len(left)
    assert list(inbox.queue) == left
    assert inbox.size == sum(map(len, left))
    assert inbox.received == len(messages)


async def test_drop_excess_leaves_what_readers_are_about_to_take() -> None:
    inbox = make_inbox(max_messages=1)
    readers = await started(inbox, 3)
    receive(inbox, *"12345")
    assert inbox.drop_excess(99) == 2
    assert await asyncio.gather(*readers) == ["1", "2", "3"]
    assert (inbox.size, len(inbox.queue)) == (0, 0)


# --- laws -----------------------------------------------------------------------------------

STEPS = st.one_of(
    st.tuples(st.just("receive"), st.integers(1, 4)),
    st.tuples(st.just("read"), st.integers(1, 3)),
    st.tuples(st.just("cancel"), st.integers(0, 30)),
    st.tuples(st.just("turn"), st.integers(1, 2)),
    st.tuples(st.sampled_from(["wake", "pause", "end"]), st.just(0)),
)


async def play(steps: list[tuple[str, int]]) -> tuple[list[Reader], list[Any], int]:
    """Run a schedule; return the readers in order of their coming, what is left, and how many."""
    inbox = make_inbox()
    inbox.on_low = inbox.resume
    readers: list[Reader] = []
    number = 0
    for step, count in steps:
        if step == "receive" and not inbox.ended:
            receive(inbox, *[str(number + i) for i in range(count)])
            number += count
        elif step == "read":
            readers += start(inbox, count)
        elif step == "cancel" and readers:
            readers[count % len(readers)].cancel()
        elif step == "turn":
            await turns(count)
        elif step == "wake":
            inbox.wake_readers()
        elif step == "pause" and inbox.queue and not inbox.ended:
            inbox.pause()
        elif step == "end":
            inbox.end()
    await turns(len(readers) + 2)
    assert inbox.queue or not inbox.paused, "nothing is left, and nobody said so"
    waiting = [reader for reader in readers if not reader.done()]
    assert not (waiting and inbox.queue), "a reader waits although there is a message"
    assert not (waiting and inbox.ended), "a reader waits after the end"
    inbox.end()
    await asyncio.gather(*readers, return_exceptions=True)
    assert inbox.size == sum(map(len, inbox.queue))
    return readers, list(inbox.queue), number


@settings(max_examples=200, deadline=None)
@given(st.lists(STEPS, max_size=25))
def test_each_message_is_read_once_or_left(steps: list[tuple[str, int]]) -> None:
    readers, left, number = asyncio.run(play(steps))
    read = [reader.result() for reader in readers if not reader.cancelled()]
    messages = [message for message in read if message is not None]
    assert sorted(messages + left, key=int) == [str(i) for i in range(number)]
    # What is left is the newest.
    assert left == [str(i) for i in range(len(messages), number)]


@settings(max_examples=200, deadline=None)
@given(st.lists(STEPS, max_size=25))
@example([("read", 1), ("turn", 1), ("read", 1), ("receive", 2)])
@example([("read", 1), ("turn", 1), ("read", 1), ("end", 0)])
@example([("receive", 4), ("pause", 0), ("read", 3), ("receive", 1), ("turn", 1), ("read", 2)])
def test_readers_are_served_in_the_order_of_their_coming(steps: list[tuple[str, int]]) -> None:
    readers, _, number = asyncio.run(play(steps))
    read = [reader.result() for reader in readers if not reader.cancelled()]
    places = [number if message is None else int(message) for message in read]
    assert places == sorted(places)


async def resumed_at(sizes: list[int], max_messages: int, max_size: int) -> int:
    """Fill a queue, pause it and empty it; return how many messages are left when it goes on."""
    lows: list[int] = []

    def on_low() -> None:
        lows.append(len(inbox.queue))
        inbox.resume()

    inbox = make_inbox(max_messages=max_messages, max_size=max_size, on_low=on_low)
    receive(inbox, *map(bytes, sizes))
    inbox.pause()
    assert [await inbox.get() for _ in sizes] == list(map(bytes, sizes))
    assert not inbox.paused and len(lows) == 1
    assert inbox.bound >= inbox.size
    return lows[0]


@given(
    st.lists(st.sampled_from([0, 1, 5, 9, 50, 200]), min_size=1, max_size=12),
    st.integers(1, 12),
    st.integers(1, 120),
)
@example([1, 1, 1, 1], 4, 100)
@example([9, 5], 4, 9)
def test_a_paused_queue_goes_on_at_half_of_both_limits_or_when_empty(
    sizes: list[int], max_messages: int, max_size: int
) -> None:
    left = [
        count
        for count in range(len(sizes))
        if count <= max_messages // 2 and sum(sizes[len(sizes) - count :]) <= max_size // 2
    ]
    assert asyncio.run(resumed_at(sizes, max_messages, max_size)) == max(left)
