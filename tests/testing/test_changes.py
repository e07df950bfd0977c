"""Waiting for what happens in another task, loop or thread."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable

import pytest

from wsclient.testing.changes import Changes

SHORT = 0.05
LONG = 5.0


async def until(changes: Changes, condition: Callable[[], object], timeout: float = LONG) -> None:
    await changes.wait_for(condition, "it", timeout=timeout)


# --- in a coroutine -------------------------------------------------------------------------


async def test_what_holds_already_is_not_waited_for() -> None:
    changes = Changes()
    await until(changes, lambda: True, timeout=0.0)


async def test_a_change_of_another_task() -> None:
    changes, seen = Changes(), list[int]()

    async def change() -> None:
        for number in range(5):
            await asyncio.sleep(0)
            seen.append(number)
            changes.notify()

    task = asyncio.create_task(change())
    await until(changes, lambda: len(seen) >= 3)
    assert len(seen) >= 3
    await task


async def test_a_change_of_another_thread() -> None:
    changes, seen = Changes(), list[int]()

    def change() -> None:
        for number in range(100):
            seen.append(number)
            changes.notify()

    thread = threading.Thread(target=change)
    thread.start()
    await until(changes, lambda: len(seen) == 100)
    thread.join()


async def test_a_change_of_another_thread_wakes_a_loop_that_sleeps() -> None:
    changes, seen = Changes(), list[int]()

    def change() -> None:
        seen.append(1)
        changes.notify()

    timer = threading.Timer(SHORT, change)
    timer.start()
    begun = time.monotonic()
    await until(changes, lambda: seen)
    assert SHORT / 2 < time.monotonic() - begun < LONG / 2
    timer.join()


async def test_nothing_is_looked_at_without_a_change() -> None:
    changes, looked = Changes(), list[bool]()

    def condition() -> bool:
        looked.append(True)
        return len(looked) == 2

    task = asyncio.create_task(until(changes, condition))
    await asyncio.sleep(SHORT)
    assert len(looked) == 1
    changes.notify()
    await task


async def test_a_change_between_two_looks_is_not_missed() -> None:
    """The condition itself changes things, which must be looked at once more."""
    changes, state = Changes(), [0]

    def condition() -> bool:
        state[0] += 1
        if state[0] == 1:
            changes.notify()
        return state[0] == 2

    await until(changes, condition)


async def test_many_wait_for_different_things() -> None:
    changes, state = Changes(), [0]

    async def wait(number: int) -> int:
        await until(changes, lambda: state[0] >= number)
        return state[0]

    tasks = {number: asyncio.create_task(wait(number)) for number in (3, 1, 2)}
    await asyncio.sleep(0)  # all of them wait now
    for number in (1, 2, 3):
        state[0] += 1
        changes.notify()
        assert await tasks[number] == number
        assert {each for each in tasks if tasks[each].done()} == set(range(1, number + 1))


async def test_a_timeout_says_what_was_waited_for() -> None:
    changes = Changes()
    with pytest.raises(TimeoutError, match=r"^it did not happen within 0\.05 seconds$"):
        await until(changes, lambda: False, timeout=SHORT)
    assert changes._listeners == []


async def test_an_error_of_the_condition_is_raised() -> None:
    changes = Changes()

    def condition() -> bool:
        raise TimeoutError("of its own")

    with pytest.raises(TimeoutError, match=r"^of its own$"):
        await changes.wait_for(condition, "it", timeout=None)
    assert changes._listeners == []


async def test_cancelling_leaves_nothing_behind() -> None:
    changes = Changes()
    task = asyncio.create_task(until(changes, lambda: False))
    await asyncio.sleep(0)
    assert len(changes._listeners) == 1
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert changes._listeners == []
    changes.notify()


def test_a_loop_that_ended_while_it_waited_is_no_error() -> None:
    changes = Changes()
    loop = asyncio.new_event_loop()
    loop.set_exception_handler(lambda *_: None)  # The task is left pending on purpose.
    task = loop.create_task(until(changes, lambda: False))
    loop.run_until_complete(asyncio.sleep(0))
    loop.close()
    changes.notify()
    coroutine = task.get_coro()
    assert coroutine is not None
    coroutine.close()
    assert changes._listeners == []


# --- in a plain function --------------------------------------------------------------------
