"""Callback mode: each message once, in order, one at a time, and ``None`` as the last call."""

from __future__ import annotations

import asyncio
import gc
import sys
from collections.abc import Callable
from typing import Any

import pytest

from wsclient.options.connection import ConnectionOptions
from wsclient.wire.callbacks import CallbackRunner
from wsclient.wire.inbox import Inbox

Callback = Callable[[str | bytes | None], Any]


class Bench:
    """A runner with its inbox, and a record of what it did.

    Attributes:
        errors: what `on_error` got.
        fatal: what it answers: whether no more messages are delivered.
        finished: how often `on_finished` was called.
    """

    def __init__(self, callback: Callback, *, max_messages: int = 100) -> None:
        loop = asyncio.get_running_loop()
        self.lows = 0
        self.errors: list[BaseException] = []
        self.fatal = True
        self.finished = 0
        options = ConnectionOptions(max_queue_messages=max_messages, max_queue_size=10_000)
        self.inbox = Inbox(loop, options)
        self.inbox.on_low = self._count_low
        self.runner = CallbackRunner(
            loop,
            callback,
            self.inbox,
            on_error=self._failed,
            on_finished=self._count_finished,
        )

    def _failed(self, error: BaseException) -> bool:
        self.errors.append(error)
        return self.fatal

    def _count_low(self) -> None:
        self.lows += 1
        self.inbox.resume()

    def _count_finished(self) -> None:
        self.finished += 1
        assert self.runner.finished

    def receive(self, *messages: str | bytes) -> None:
        for message in messages:
            self.inbox.put(message)
        self.runner.run()

    def end(self) -> None:
        self.inbox.end()
        self.runner.run()


async def turns(number: int = 10) -> None:
    """Let everything run that can run."""
    for _ in range(number):
        await asyncio.sleep(0)


def driver() -> asyncio.Task[Any]:
    """Return the one task besides the test's own."""
    [task] = asyncio.all_tasks() - {asyncio.current_task()}
    return task


# --- kinds of callbacks ---------------------------------------------------------------------
#
# Each appends to `seen` when it begins, and again when it ends.


def make_plain(seen: list[Any]) -> Callback:
    def callback(message: str | bytes | None) -> None:
        seen.append(("begin", message))
        seen.append(("end", message))

    return callback


def make_async(seen: list[Any]) -> Callback:
    async def callback(message: str | bytes | None) -> None:
        seen.append(("begin", message))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        seen.append(("end", message))

    return callback


def make_async_that_never_waits(seen: list[Any]) -> Callback:
    async def callback(message: str | bytes | None) -> None:
        seen.append(("begin", message))
        seen.append(("end", message))

    return callback


def make_mixed(seen: list[Any]) -> Callback:
    plain, waiting = make_plain(seen), make_async(seen)
    calls = iter(range(1_000_000))

    def callback(message: str | bytes | None) -> Any:
        return (plain if next(calls) % 3 else waiting)(message)

    return callback


def make_mixed_the_other_way(seen: list[Any]) -> Callback:
    plain, waiting = make_plain(seen), make_async(seen)
    calls = iter(range(1_000_000))

    def callback(message: str | bytes | None) -> Any:
        return (waiting if next(calls) % 3 else plain)(message)

    return callback


def make_task(seen: list[Any]) -> Callback:
    waiting = make_async(seen)

    def callback(message: str | bytes | None) -> Any:
        return asyncio.ensure_future(waiting(message))

    return callback


def make_object(seen: list[Any]) -> Callback:
    class Caller:
        async def __call__(self, message: str | bytes | None) -> None:
            await make_async(seen)(message)

    return Caller()


KINDS = pytest.mark.parametrize(
    "make",
    [
        make_plain,
        make_async,
        make_async_that_never_waits,
        make_mixed,
        make_mixed_the_other_way,
        make_task,
        make_object,
    ],
    ids=lambda make: make.__name__.removeprefix("make_"),
)
Make = Callable[[list[Any]], Callback]


def in_turn(*messages: str | bytes | None) -> list[tuple[str, str | bytes | None]]:
    """Return what is seen when each call ends before the next begins."""
    return [(moment, message) for message in messages for moment in ("begin", "end")]


@KINDS
async def test_in_order_and_one_at_a_time(make: Make) -> None:
    seen: list[Any] = []
    bench = Bench(make(seen))
    bench.receive("1", b"2", "")
    bench.receive(b"")
    await turns(3)
    bench.receive("5", "6")
    await turns(50)
    assert seen == in_turn("1", b"2", "", b"", "5", "6")
    assert not bench.runner.finished
    bench.end()
    await turns(50)
    assert seen == in_turn("1", b"2", "", b"", "5", "6", None)
    assert (bench.errors, bench.finished) == ([], 1)


@KINDS
async def test_the_end_waits_for_what_is_queued(make: Make) -> None:
    seen: list[Any] = []
    bench = Bench(make(seen))
    bench.receive("1", "2", "3")
    bench.end()
    await turns(50)
    assert seen == in_turn("1", "2", "3", None)
    assert bench.finished == 1


@KINDS
async def test_none_alone(make: Make) -> None:
    seen: list[Any] = []
    bench = Bench(make(seen))
    bench.runner.run()
    await turns()
    assert seen == []
    bench.end()
    await turns()
    assert seen == in_turn(None)
    assert bench.finished == 1


@KINDS
async def test_nothing_happens_after_the_end(make: Make) -> None:
    seen: list[Any] = []
    bench = Bench(make(seen))
    bench.end()
    await turns()
    for _ in range(3):
        bench.runner.run()
        bench.end()
        await turns()
    assert seen == in_turn(None)
    assert bench.finished == 1


@KINDS
async def test_a_message_arriving_in_every_turn(make: Make) -> None:
    seen: list[Any] = []
    bench = Bench(make(seen))
    for number in range(30):
        bench.receive(str(number))
        await asyncio.sleep(0)
    bench.end()
    await turns(120)
    assert seen == in_turn(*[str(number) for number in range(30)], None)


async def test_a_plain_callback_runs_at_once() -> None:
    seen: list[Any] = []
    bench = Bench(seen.append)
    bench.receive("1", "2")
    assert seen == ["1", "2"]
    bench.end()
    assert seen == ["1", "2", None]
    assert bench.finished == 1


async def test_messages_stay_in_the_queue_while_a_callback_waits() -> None:
    gate = asyncio.Event()

    async def callback(message: str | bytes | None) -> None:
        await gate.wait()

    bench = Bench(callback, max_messages=4)
    bench.receive("1", "2", "3", "4", "5")
    await turns()
    assert list(bench.inbox.queue) == ["2", "3", "4", "5"]
    assert bench.inbox.full
    bench.inbox.pause()
    assert bench.lows == 0
    gate.set()
    await turns(30)
    assert bench.lows == 1
    assert not bench.inbox.queue
    bench.end()
    await turns()
    assert bench.finished == 1


async def test_a_plain_callback_may_cause_more_messages() -> None:
    """What a callback sets off while it runs waits until it returns."""
    seen: list[Any] = []

    def callback(message: str | bytes | None) -> None:
        seen.append(("begin", message))
        if message == "1":
            bench.receive("2")
        elif message == "2":
            bench.end()
        seen.append(("end", message))

    bench = Bench(callback)
    bench.receive("1")
    assert seen == in_turn("1", "2", None)
    assert bench.finished == 1


async def test_current_is_true_in_the_callback_only() -> None:
    seen: list[bool] = []

    async def callback(message: str | bytes | None) -> None:
        await asyncio.sleep(0)
        seen.append(bench.runner.current)

    bench = Bench(callback)
    assert not bench.runner.current
    bench.receive("1")
    assert not bench.runner.current
    await turns()
    bench.end()
    await turns()
    assert seen == [True, True]
    assert not bench.runner.current


async def test_none_is_the_last_call_before_finished() -> None:
    order: list[str] = []

    async def callback(message: str | bytes | None) -> None:
        await asyncio.sleep(0)
        order.append(f"{message!r} {bench.runner.finished} {bench.finished}")

    bench = Bench(callback)
    bench.receive("1")
    bench.end()
    await turns()
    assert order == ["'1' False 0", "None False 0"]
    assert bench.finished == 1


# --- errors ---------------------------------------------------------------------------------


def failing(make: Make, at: str | None) -> Make:
    """Return a maker of callbacks that fail when they get `at`."""

    def make_failing(seen: list[Any]) -> Callback:
        inner = make(seen)

        def callback(message: str | bytes | None) -> Any:
            result = inner(message)
            if message != at:
                return result
            if result is None:
                raise LookupError(message)

            async def fail() -> None:
                await result
                raise LookupError(message)

            return fail()

        return callback

    return make_failing


@KINDS
@pytest.mark.parametrize("at", ["1", "2", "3"])
async def test_an_error_ends_the_messages(make: Make, at: str) -> None:
    seen: list[Any] = []
    bench = Bench(failing(make, at)(seen))
    bench.receive("1", "2", "3", "4")
    await turns(50)
    messages = ["1", "2", "3", "4"][: int(at)]
    assert seen == in_turn(*messages)
    assert [repr(error) for error in bench.errors] == [f"LookupError('{at}')"]
    assert not bench.runner.finished
    # The connection closes, and what still comes in is not delivered.
    bench.receive("5")
    await turns()
    bench.end()
    await turns()
    assert seen == in_turn(*messages, None)
    assert len(bench.errors) == 1
    assert bench.finished == 1


@KINDS
async def test_an_error_when_the_end_is_there_already(make: Make) -> None:
    seen: list[Any] = []
    bench = Bench(failing(make, "1")(seen))
    bench.inbox.put("1")
    bench.inbox.put("2")
    bench.end()
    await turns(30)
    assert seen == in_turn("1", None)
    assert len(bench.errors) == 1
    assert bench.finished == 1


@KINDS
async def test_an_error_in_the_last_call(make: Make) -> None:
    seen: list[Any] = []
    bench = Bench(failing(make, None)(seen))
    bench.receive("1")
    bench.end()
    await turns(30)
    assert seen == in_turn("1", None)
    assert [repr(error) for error in bench.errors] == ["LookupError(None)"]
    assert bench.finished == 1
    bench.end()
    await turns()
    assert seen == in_turn("1", None)
    assert bench.finished == 1


async def test_an_error_that_ends_the_connection_at_once() -> None:
    """`on_error` may end everything in its own call."""
    seen: list[Any] = []

    def callback(message: str | bytes | None) -> None:
        seen.append(message)
        if message is not None:
            raise LookupError

    def end(_: BaseException) -> bool:
        bench.inbox.end()
        return True

    bench = Bench(callback)
    runner = CallbackRunner(
        asyncio.get_running_loop(),
        callback,
        bench.inbox,
        on_error=end,
        on_finished=bench._count_low,
    )
    bench.inbox.put("1")
    runner.run()
    assert seen == ["1", None]
    assert bench.lows == 1


async def test_an_error_that_does_not_count() -> None:
    seen: list[Any] = []

    async def callback(message: str | bytes | None) -> None:
        seen.append(message)
        raise LookupError(message)

    bench = Bench(callback)
    bench.fatal = False
    bench.receive("1", "2")
    bench.end()
    await turns()
    assert seen == ["1", "2", None]
    assert (len(bench.errors), bench.finished) == (3, 1)


@pytest.mark.parametrize("is_async", [False, True], ids=["plain", "async"])
async def test_cancelled_error_of_the_callbacks_own(is_async: bool) -> None:
    """Such as the result of a future that somebody else has cancelled."""
    seen: list[Any] = []

    def plain(message: str | bytes | None) -> None:
        seen.append(message)
        if message is not None:
            raise asyncio.CancelledError

    async def coroutine(message: str | bytes | None) -> None:
        plain(message)

    bench = Bench(coroutine if is_async else plain)
    bench.receive("1", "2")
    bench.end()
    await turns()
    [error] = bench.errors
    assert isinstance(error, RuntimeError)
    assert isinstance(error.__cause__, asyncio.CancelledError)
    assert (seen, bench.finished) == (["1", None], 1)


# --- cancelling -----------------------------------------------------------------------------


async def cancel_driver() -> None:
    task = driver()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


@pytest.mark.parametrize("after", [1, 2, 3], ids="after-{}-turns".format)
async def test_cancelling_gives_the_last_call(after: int) -> None:
    seen: list[Any] = []

    async def callback(message: str | bytes | None) -> None:
        seen.append(message)
        if message is not None:
            await asyncio.get_running_loop().create_future()
        await asyncio.sleep(0)
        seen.append("end")

    bench = Bench(callback)
    bench.receive("1", "2")
    await turns(after)
    await cancel_driver()
    assert seen == ["1", None, "end"]
    assert [type(error) for error in bench.errors] == [asyncio.CancelledError]
    assert bench.finished == 1
    bench.end()
    await turns()
    assert seen == ["1", None, "end"]
    assert bench.finished == 1


async def test_cancelling_before_the_first_step() -> None:
    """A message that comes while the loop is shutting down, as at the end of asyncio.run()."""
    seen: list[Any] = []

    async def callback(message: str | bytes | None) -> None:
        seen.append(message)
        await asyncio.sleep(0)

    bench = Bench(callback)
    bench.receive("1", "2")
    await cancel_driver()
    await turns()
    bench.end()
    await turns()
    assert bench.finished == 1
    assert [type(error) for error in bench.errors] == [asyncio.CancelledError]
    assert seen == [None]


async def test_cancelling_in_the_last_call() -> None:
    seen: list[Any] = []

    async def callback(message: str | bytes | None) -> None:
        seen.append(message)
        await asyncio.get_running_loop().create_future()

    bench = Bench(callback)
    bench.end()
    await turns()
    await cancel_driver()
    assert seen == [None]
    assert bench.finished == 1
    bench.end()
    await turns()
    assert seen == [None]


async def test_cancelling_twice() -> None:
    seen: list[Any] = []

    async def callback(message: str | bytes | None) -> None:
        seen.append(message)
        await asyncio.get_running_loop().create_future()

    bench = Bench(callback)
    bench.receive("1", "2")
    await turns()
    task = driver()
    task.cancel()
    await turns()
    assert not task.done()  # it waits for the last call
    await cancel_driver()
    assert seen == ["1", None]
    assert bench.finished == 1


async def test_an_error_in_the_last_call_of_a_cancelled_task() -> None:
    seen: list[Any] = []

    async def callback(message: str | bytes | None) -> None:
        seen.append(message)
        if message is None:
            raise LookupError
        await asyncio.get_running_loop().create_future()

    bench = Bench(callback)
    bench.receive("1")
    await turns()
    await cancel_driver()
    assert seen == ["1", None]
    assert [type(error) for error in bench.errors] == [asyncio.CancelledError, LookupError]
    assert bench.finished == 1


async def test_a_callback_that_survives_its_cancelling() -> None:
    seen: list[Any] = []

    async def callback(message: str | bytes | None) -> None:
        seen.append(message)
        if message == "1":
            try:
                await asyncio.get_running_loop().create_future()
            except asyncio.CancelledError:
                seen.append("cancelled")

    bench = Bench(callback)
    bench.receive("1", "2")
    await turns()
    driver().cancel()
    await turns()
    assert seen == ["1", "cancelled", "2"]
    bench.end()
    await turns()
    assert seen == ["1", "cancelled", "2", None]
    assert (bench.errors, bench.finished) == ([], 1)


def test_a_loop_closed_under_a_waiting_callback(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody waits for the callback any more: it is dropped without being called again."""
    unraisable: list[Any] = []
    monkeypatch.setattr(sys, "unraisablehook", lambda args: unraisable.append(args.exc_value))
    seen: list[Any] = []

    async def main() -> None:
        never = asyncio.get_running_loop().create_future()

        async def callback(message: str | bytes | None) -> None:
            seen.append(message)
            await never

        bench = Bench(callback)
        bench.receive("1", "2")
        await turns()

    loop = asyncio.new_event_loop()
    # The loop says itself that a task was pending, and rightly so.
    loop.set_exception_handler(lambda _, __: None)
    loop.run_until_complete(main())
    loop.close()
    gc.collect()
    assert unraisable == []
    assert seen == ["1"]
