"""Awaitables that may be dropped, awaited, and given to all that asyncio has for coroutines."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import inspect
import warnings
import weakref
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

import pytest

from wsclient.client import ConnectAttempt
from wsclient.wire.awaitables import DONE, Done, Lazy


class Work:
    """Counts how often it was begun, finished and cancelled."""

    def __init__(self) -> None:
        self.begun = self.finished = self.cancelled = 0

    async def run(self) -> int:
        self.begun += 1
        try:
            await asyncio.sleep(0)
            await asyncio.sleep(0)
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        self.finished += 1
        return self.finished

    async def fail(self) -> int:
        self.begun += 1
        await asyncio.sleep(0)
        raise ValueError("no")

    async def hang(self) -> int:
        self.begun += 1
        try:
            await asyncio.get_running_loop().create_future()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        raise AssertionError("nothing ends this future")


async def plainly(awaitable: Coroutine[Any, Any, Any]) -> Any:
    return await awaitable


async def as_task(awaitable: Coroutine[Any, Any, Any]) -> Any:
    return await asyncio.create_task(awaitable)


async def gathered(awaitable: Coroutine[Any, Any, Any]) -> Any:
    [result, _] = await asyncio.gather(awaitable, asyncio.sleep(0))
    return result


async def waited_for(awaitable: Coroutine[Any, Any, Any]) -> Any:
    return await asyncio.wait_for(awaitable, 5)


async def ensured(awaitable: Coroutine[Any, Any, Any]) -> Any:
    return await asyncio.ensure_future(awaitable)


async def shielded(awaitable: Coroutine[Any, Any, Any]) -> Any:
    return await asyncio.shield(awaitable)


async def in_a_group(awaitable: Coroutine[Any, Any, Any]) -> Any:
    async with asyncio.TaskGroup() as group:
        task = group.create_task(awaitable)
    return task.result()


WAYS = pytest.mark.parametrize(
    "way", [plainly, as_task, gathered, waited_for, ensured, shielded, in_a_group]
)
Way = Callable[[Coroutine[Any, Any, Any]], Awaitable[Any]]


# --- Lazy -----------------------------------------------------------------------------------


@WAYS
async def test_lazy_gives_the_result(way: Way) -> None:
    work = Work()
    lazy = Lazy(work.run)
    assert work.begun == 0
    assert await way(lazy) == 1
    assert (work.begun, work.finished) == (1, 1)


@WAYS
async def test_lazy_raises(way: Way) -> None:
    lazy = Lazy(Work().fail)
    with contextlib.ExitStack() as stack:
        if way is in_a_group:
            stack.enter_context(pytest.raises(ExceptionGroup))
        else:
            stack.enter_context(pytest.raises(ValueError, match="no"))
        await way(lazy)


@WAYS
async def test_lazy_starts_anew_when_awaited_again(way: Way) -> None:
    work = Work()
    lazy = Lazy(work.run)
    assert [await way(lazy) for _ in range(3)] == [1, 2, 3]
    assert await lazy == 4


async def test_lazy_can_be_awaited_again_after_a_time_limit() -> None:
    work = Work()
    lazy = Lazy(work.hang)
    for times in (1, 2, 3):
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(lazy, 0.001)
        assert (work.begun, work.cancelled) == (times, times)


async def test_lazy_can_be_awaited_again_after_an_error() -> None:
    lazy = Lazy(Work().fail)
    for _ in range(3):
        with pytest.raises(ValueError, match="no"):
            await asyncio.create_task(lazy)


@pytest.mark.parametrize("begin", [False, True], ids=["before-its-start", "while-it-waits"])
async def test_cancelling_a_task_of_lazy(begin: bool) -> None:
    work = Work()
    task = asyncio.create_task(Lazy(work.hang))
    if begin:
        await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert work.begun == work.cancelled == int(begin)


def test_lazy_may_be_dropped() -> None:
    work = Work()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        lazy = Lazy(work.run)
        lazy.close()
        del lazy
        Lazy(work.run)
        gc.collect()
    assert caught == []
    assert work.begun == 0


async def test_lazy_is_a_coroutine_to_everybody() -> None:
    lazy = Lazy(Work().run)
    assert asyncio.iscoroutine(lazy)
    assert inspect.isawaitable(lazy)
    task = asyncio.create_task(lazy)
    assert "Lazy" in repr(task)
    assert await task == 1


def test_closing_lazy_ends_what_was_begun() -> None:
    ended: list[str] = []

    async def run() -> None:
        try:
            await Tick()
        finally:
            ended.append("closed")

    class Tick:
        def __await__(self) -> Any:
            yield "tick"

    lazy = Lazy(run)
    assert lazy.send(None) == "tick"
    lazy.close()
    assert ended == ["closed"]
    lazy.close()


# --- Done -----------------------------------------------------------------------------------


@WAYS
async def test_done_is_done(way: Way) -> None:
    for _ in range(3):
        assert await way(DONE) is None


async def test_done_lets_nobody_wait() -> None:
    turns: list[int] = []
    asyncio.get_running_loop().call_soon(turns.append, 1)
    for _ in range(100):
        await DONE
    assert turns == []
    await asyncio.sleep(0)


async def test_one_done_serves_many_at_once() -> None:
    tasks = [asyncio.create_task(DONE) for _ in range(100)]
    assert await asyncio.gather(*tasks) == [None] * 100
    assert await asyncio.gather(DONE, DONE, Done()) == [None] * 3


async def test_cancelling_a_task_of_done() -> None:
    task = asyncio.create_task(DONE)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await asyncio.create_task(DONE)


def test_done_may_be_dropped() -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        Done().close()
        Done()
        gc.collect()
    assert caught == []


def test_done_is_a_coroutine_to_everybody() -> None:
    assert asyncio.iscoroutine(DONE)
    assert inspect.isawaitable(DONE)
    asyncio.run(DONE)


class ThrownError(Exception):
    pass


async def waiting() -> Any:
    await asyncio.sleep(0)


@pytest.mark.parametrize(
    "make",
    [lambda: Lazy(waiting), Done, lambda: ConnectAttempt(waiting())],
    ids=["lazy", "done", "connecting"],
)
def test_what_is_thrown_in_is_kept_by_no_frame(
    make: Callable[[], Coroutine[Any, Any, Any]],
) -> None:
    awaitable = make()
    error = ThrownError()
    thrown = weakref.ref(error)
    gc.disable()
    try:
        with contextlib.suppress(ThrownError):
            awaitable.throw(error)
        del error
        assert thrown() is None
    finally:
        gc.enable()


def test_done_raises_what_is_thrown_in() -> None:
    with pytest.raises(ValueError, match="this"):
        DONE.throw(ValueError("this"))
    with pytest.raises(KeyError):
        DONE.throw(KeyError)
