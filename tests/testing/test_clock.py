"""The virtual clock, in both of its forms: a loop taken over, and a loop of its own."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import gc
import itertools
import logging
import math
import os
import selectors
import signal
import socket
import sys
import threading
import time
import weakref
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from typing import Any

import pytest
from aiohttp import WSMsgType, web
from hypothesis import example, given, settings
from hypothesis import strategies as st

from support.running import LoopFactory, run_checked
from wsclient import TLSConfig, websocket_connect
from wsclient.testing.certificates import IssuedCertificate
from wsclient.testing.clock.takeover import Moment, NextFloat, Takeover
from wsclient.testing.clock.virtual import (
    StuckLoopError,
    VirtualClock,
    VirtualClockLoop,
    run_virtual,
)

HOUR = 3600.0
DAY = 24 * HOUR

Main = Callable[[VirtualClock], Awaitable[None]]
Virtually = Callable[..., None]


@pytest.fixture
def loop_factory() -> LoopFactory:
    """The stock loop alone; on uvloop there is no virtual clock."""
    return asyncio.SelectorEventLoop


def in_block(main: Main, *, patience: float = 1.0) -> None:
    """Run `main` on the stock loop, in the block of a clock."""

    async def run() -> None:
        with VirtualClock(patience=patience) as clock:
            await main(clock)

    run_checked(run, asyncio.SelectorEventLoop)


def on_own_loop(main: Main, *, patience: float = 1.0) -> None:
    """Run `main` on a loop with a virtual clock."""

    async def run() -> None:
        await main(the_loop().clock)

    # A limit would be virtual, too, and so of no use.
    factory = functools.partial(VirtualClockLoop, patience=patience)
    run_checked(run, factory, timeout=math.inf)


def the_loop() -> VirtualClockLoop:
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualClockLoop)
    return loop


@pytest.fixture(params=[in_block, on_own_loop])
def virtually(request: pytest.FixtureRequest) -> Virtually:
    """What runs a coroutine function with a virtual clock: one form, then the other."""
    run: Virtually = request.param
    return run


@contextlib.contextmanager
def real_time_below(seconds: float) -> Any:
    start = time.perf_counter()
    yield
    assert time.perf_counter() - start < seconds


# --- jumping --------------------------------------------------------------------------------


def test_hours_pass_at_once(virtually: Virtually) -> None:
    async def main(clock: VirtualClock) -> None:
        loop = asyncio.get_running_loop()
        start = loop.time()
        for _ in range(100):
            await asyncio.sleep(HOUR)
        assert clock.elapsed == 100 * HOUR
        assert loop.time() == clock.time == start + 100 * HOUR

    with real_time_below(5):
        virtually(main)


@pytest.mark.parametrize("days", [1, 5, 400, 100_000])
def test_years_pass_as_well(virtually: Virtually, days: int) -> None:
    """asyncio waits for a day at most, and its own resolution is lost after 97 days."""

    async def main(clock: VirtualClock) -> None:
        await asyncio.sleep(days * DAY)
        await asyncio.sleep(1)
        assert clock.elapsed == days * DAY + 1

    with real_time_below(5):
        virtually(main)


def test_what_is_ready_takes_no_time(virtually: Virtually) -> None:
    async def main(clock: VirtualClock) -> None:
        async def work() -> float:
            for _ in range(500):
                await asyncio.sleep(0)
            return clock.elapsed

        task = asyncio.create_task(work())
        await asyncio.sleep(0.001)
        assert task.result() == 0

    virtually(main)


DELAYS = st.floats(0, 1e7) | st.integers(0, 30).map(lambda n: n / 10) | st.just(1e-12)


@pytest.mark.parametrize("form", [in_block, on_own_loop])
@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(DELAYS, st.lists(DELAYS, max_size=3)), min_size=1, max_size=12))
@example([(0.30000000000000004, []), (0.1, [0.2]), (0.3, [])])
@example([(9e6, [1e-9, 1e-10]), (0.0, [9e6])])
@example([(1.5 * 2**-52, []), (1.5 + 2**-52, [])])  # now + (when - now) is behind when
def test_law_of_timers(form: Virtually, plan: list[tuple[float, list[float]]]) -> None:
    """Each timer fires at exactly its time, and those of one time in the order of the calls."""

    async def main(clock: VirtualClock) -> None:
        loop = asyncio.get_running_loop()
        order = itertools.count()
        fired: list[tuple[float, int]] = []
        done = loop.create_future()

        def set_timer(delay: float, later: list[float]) -> None:
            when = loop.time() + delay
            timer = loop.call_at(when, fire, when, next(order), later)
            assert timer.when() == when

        def fire(when: float, number: int, later: list[float]) -> None:
            assert loop.time() == clock.time == when
            fired.append((when, number))
            for delay in later:
                set_timer(delay, [])
            if len(fired) == expected:
                done.set_result(None)

        expected = sum(1 + len(later) for _, later in plan)
        for delay, later in plan:
            set_timer(delay, later)
        await done
        assert fired == sorted(fired)

    with real_time_below(10):
        form(main)


def test_equal_times_keep_the_order_of_the_calls(virtually: Virtually) -> None:
    async def main(clock: VirtualClock) -> None:
        fired: list[int] = []
        loop = asyncio.get_running_loop()
        timers = [loop.call_later(5, fired.append, number) for number in range(300)]
        # So many are cancelled that asyncio builds its heap anew.
        for number, timer in enumerate(timers):
            if number % 4:
                timer.cancel()
        await asyncio.sleep(5)
        assert fired == list(range(0, 300, 4))

    virtually(main)


def test_input_comes_before_timers_as_on_the_stock_loop(virtually: Virtually) -> None:
    async def main(clock: VirtualClock) -> None:
        loop = asyncio.get_running_loop()
        seen: list[str] = []
        left, right = socket.socketpair()
        with left, right:

            def read() -> None:
                seen.append("input")
                loop.remove_reader(left)

            loop.add_reader(left, read)
            loop.call_later(1, seen.append, "timer")
            right.send(b"x")
            clock.stall(1)
            await asyncio.sleep(1)
        assert seen == ["input", "timer"]

    virtually(main)


def test_sleeping_for_ever_is_no_timer(virtually: Virtually) -> None:
    async def main(clock: VirtualClock) -> None:
        forever = asyncio.create_task(asyncio.sleep(math.inf))
        await asyncio.sleep(HOUR)
        await cancel_from_a_thread(forever)
        assert clock.elapsed == HOUR

    virtually(main)


async def cancel_from_a_thread(task: asyncio.Task[Any]) -> None:
    loop = asyncio.get_running_loop()
    thread = threading.Timer(0.02, loop.call_soon_threadsafe, [task.cancel])
    thread.start()
    with pytest.raises(asyncio.CancelledError):
        await task
    thread.join()


# --- what asyncio builds on time ------------------------------------------------------------


def test_timeouts(virtually: Virtually) -> None:
    async def main(clock: VirtualClock) -> None:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(60):
                await asyncio.sleep(61)
        assert clock.elapsed == 60
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(asyncio.Event().wait(), 30)
        assert clock.elapsed == 90
        async with asyncio.timeout(60):
            await asyncio.sleep(59)
        assert await asyncio.wait_for(asyncio.sleep(29, "done"), 30) == "done"
        _, pending = await asyncio.wait([asyncio.ensure_future(asyncio.sleep(5))], timeout=4)
        assert len(pending) == 1
        await asyncio.gather(*pending)
        assert clock.elapsed == 90 + 59 + 29 + 5

    virtually(main)


def test_task_groups_and_cancelling(virtually: Virtually) -> None:
    async def main(clock: VirtualClock) -> None:
        ends: list[float] = []

        async def sleep(seconds: float) -> None:
            try:
                await asyncio.sleep(seconds)
            finally:
                ends.append(clock.elapsed)

        async def fail() -> None:
            await asyncio.sleep(7)
            raise LookupError

        with pytest.raises(ExceptionGroup):
            async with asyncio.TaskGroup() as group:
                for each in (sleep(5), sleep(HOUR), fail()):
                    group.create_task(each)
        assert ends == [5, 7]
        task = asyncio.create_task(sleep(HOUR))
        asyncio.get_running_loop().call_later(10, task.cancel)
        with pytest.raises(asyncio.CancelledError):
            await task
        assert clock.elapsed == 17

    virtually(main)


def test_debug_mode_finds_no_slow_callback(
    virtually: Virtually, caplog: pytest.LogCaptureFixture
) -> None:
    async def main(clock: VirtualClock) -> None:
        loop = asyncio.get_running_loop()
        loop.set_debug(True)
        await asyncio.to_thread(time.sleep, 0.15)
        for _ in range(10):
            await asyncio.sleep(HOUR)
        assert clock.elapsed == 10 * HOUR
        assert not caplog.records
        loop.call_soon(clock.stall, 3)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        loop.set_debug(False)

    with caplog.at_level(logging.WARNING, "asyncio"):
        virtually(main)
    # A callback that lets time pass is slow, and the only one that is.
    assert [each.getMessage()[-18:] for each in caplog.records] == ["took 3.000 seconds"]


def test_wrong_arguments_of_call_at_are_asyncios_to_refuse(virtually: Virtually) -> None:
    async def main(clock: VirtualClock) -> None:
        loop = asyncio.get_running_loop()
        with pytest.raises(TypeError, match="when cannot be None"):
            loop.call_at(None, print)  # type: ignore[arg-type]  # what is tested
        with pytest.raises(TypeError):
            loop.call_later("1", print)  # type: ignore[arg-type]  # what is tested
        assert clock.pending_timers() == []

    virtually(main)


# --- the clock by hand ----------------------------------------------------------------------


def test_a_stall_makes_timers_late(virtually: Virtually) -> None:
    async def main(clock: VirtualClock) -> None:
        loop = asyncio.get_running_loop()
        fired: list[tuple[int, float]] = []

        def fire(seconds: int) -> None:
            fired.append((seconds, clock.elapsed))

        for seconds in (1, 2, 5):
            loop.call_later(seconds, fire, seconds)
        clock.stall(3)
        assert clock.elapsed == 3
        assert fired == []
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert fired == [(1, 3), (2, 3)]
        await asyncio.sleep(10)
        assert fired == [(1, 3), (2, 3), (5, 5)]
        assert clock.elapsed == 13

    virtually(main)


def test_pending_timers(virtually: Virtually) -> None:
    async def main(clock: VirtualClock) -> None:
        loop = asyncio.get_running_loop()
        before = clock.pending_timers()
        late, early, cancelled = (loop.call_later(n, print) for n in (30, 10, 20))
        cancelled.cancel()
        assert clock.pending_timers() == [early, late, *before]
        early.cancel()
        await asyncio.sleep(5)
        assert clock.pending_timers() == [late, *before]
        clock.stall(25)
        assert clock.pending_timers() == before
        late.cancel()

    virtually(main)


def test_timers_that_have_gone_are_not_kept(virtually: Virtually) -> None:
    async def main(clock: VirtualClock) -> None:
        loop = asyncio.get_running_loop()
        gone: list[weakref.ref[asyncio.TimerHandle]] = []
        for number in range(1000):
            timer = loop.call_later(HOUR, print)
            timer.cancel()
            gone.append(weakref.ref(timer))
            if number % 10 == 0:
                await asyncio.sleep(1)
        del timer
        assert sum(each() is not None for each in gone) < 300

    virtually(main)


@pytest.mark.parametrize("seconds", [-1, math.nan, math.inf])
def test_impossible_times_are_refused(virtually: Virtually, seconds: float) -> None:
    for make in (VirtualClock, VirtualClockLoop):
        with pytest.raises(ValueError, match="patience must be 0 or more seconds"):
            make(patience=seconds)

    async def main(clock: VirtualClock) -> None:
        with pytest.raises(ValueError, match="seconds must be 0 or more seconds"):
            clock.stall(seconds)
        assert clock.elapsed == 0

    virtually(main)


def test_what_is_no_number_is_refused(virtually: Virtually) -> None:
    for wrong in ("1", None, True):
        with pytest.raises(TypeError, match="patience must be a number of seconds"):
            VirtualClock(patience=wrong)  # type: ignore[arg-type]  # what is tested

    async def main(clock: VirtualClock) -> None:
        with pytest.raises(TypeError, match="seconds must be a number of seconds, not str"):
            clock.stall("1")  # type: ignore[arg-type]  # what is tested

    virtually(main)


# --- executors ------------------------------------------------------------------------------


def test_the_clock_stands_still_while_an_executor_works(virtually: Virtually) -> None:
    async def main(clock: VirtualClock) -> None:
        loop = asyncio.get_running_loop()
        fired: list[str] = []
        timer = loop.call_later(0.001, fired.append, "timer")
        async with asyncio.timeout(60):
            await asyncio.to_thread(time.sleep, 0.1)
            found = await loop.getaddrinfo("127.0.0.1", 80)
        assert found
        assert fired == []
        assert clock.elapsed == 0
        await asyncio.sleep(1)
        assert fired == ["timer"]
        timer.cancel()

    virtually(main)


def test_an_executors_error_comes_out(virtually: Virtually) -> None:
    async def main(clock: VirtualClock) -> None:
        with pytest.raises(ZeroDivisionError):
            await asyncio.to_thread(divmod, 1, 0)
        await asyncio.sleep(HOUR)
        assert clock.elapsed == HOUR

    with real_time_below(5):
        virtually(main)


def test_a_thread_that_waits_for_a_timer_gets_it(virtually: Virtually) -> None:
    """Neither would ever go on if the clock simply stood still."""

    async def main(clock: VirtualClock) -> None:
        loop = asyncio.get_running_loop()

        def wait_for_the_loop() -> str:
            future = asyncio.run_coroutine_threadsafe(asyncio.sleep(0.05, "slept"), loop)
            return future.result(5)

        assert await asyncio.to_thread(wait_for_the_loop) == "slept"
        assert clock.elapsed == 0.05 or math.isclose(clock.elapsed, 0.05, abs_tol=1e-9)

    with real_time_below(5):
        virtually(main, patience=0.1)


def test_work_that_nobody_awaits_any_more_does_not_hold_the_clock(virtually: Virtually) -> None:
    async def main(clock: VirtualClock) -> None:
        released = threading.Event()
        task = asyncio.create_task(asyncio.to_thread(released.wait, 10))
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.sleep(HOUR)
        assert clock.elapsed == HOUR
        released.set()

    with real_time_below(5):
        virtually(main)


def test_threads_are_joined_in_real_time() -> None:
    """asyncio gives them 300 seconds of the loop's time, and warns when these are over."""

    async def main() -> None:
        asyncio.get_running_loop().run_in_executor(None, time.sleep, 0.1)

    run_virtual(main())


# --- the world outside ----------------------------------------------------------------------


@contextlib.asynccontextmanager
async def echo_thread(delay: float) -> AsyncIterator[int]:
    """An echo server in a thread: it answers one client, each time after `delay` seconds."""

    def serve() -> None:
        connection, _ = listener.accept()
        with connection:
            while data := connection.recv(100):
                time.sleep(delay)
                connection.sendall(data)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield listener.getsockname()[1]
        finally:
            thread.join()


def test_a_paused_clock_waits_for_a_thread(virtually: Virtually) -> None:
    async def main(clock: VirtualClock) -> None:
        fired: list[float] = []
        timer = asyncio.get_running_loop().call_later(0.001, lambda: fired.append(clock.elapsed))
        async with echo_thread(0.1) as port:
            with clock.paused():
                reader, writer = await asyncio.open_connection("127.0.0.1", port)
                writer.write(b"hello")
                assert await reader.readexactly(5) == b"hello"
                assert fired == []
            assert clock.elapsed == 0
            await asyncio.sleep(1)
            assert fired == [pytest.approx(0.001, abs=1e-9)]
            writer.close()
            await writer.wait_closed()
        timer.cancel()

    virtually(main)


def test_without_a_pause_time_jumps_past_a_thread(virtually: Virtually) -> None:
    """So says the documentation; if this changed, much would be simpler."""

    async def main(clock: VirtualClock) -> None:
        async with echo_thread(0.05) as port:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(b"hello")
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(HOUR):
                    await reader.readexactly(5)
            writer.close()
            await writer.wait_closed()

    virtually(main)


def test_pauses_of_several_tasks_overlap(virtually: Virtually) -> None:
    async def main(clock: VirtualClock) -> None:
        loop = asyncio.get_running_loop()

        async def wait_outside(seconds: float) -> float:
            event = asyncio.Event()
            thread = threading.Timer(seconds, loop.call_soon_threadsafe, [event.set])
            thread.start()
            with clock.paused(), clock.paused():
                await event.wait()
            thread.join()
            return clock.elapsed

        tick = loop.call_later(0.001, print)
        assert await asyncio.gather(*map(wait_outside, (0.02, 0.06, 0.1))) == [0, 0, 0]
        tick.cancel()
        await asyncio.sleep(HOUR)

    with real_time_below(5):
        virtually(main)


def test_a_timer_inside_a_pause_fires_in_the_end(virtually: Virtually) -> None:
    async def main(clock: VirtualClock) -> None:
        start = time.perf_counter()
        with clock.paused():
            await asyncio.sleep(0.01)
        assert time.perf_counter() - start >= 0.05  # patience
        start = time.perf_counter()
        with clock.paused():
            await asyncio.sleep(0.125)
        assert time.perf_counter() - start >= 0.125  # longer than patience: as in reality
        assert clock.elapsed == pytest.approx(0.135)

    virtually(main, patience=0.05)


def test_a_subprocess_and_its_output_arrive(virtually: Virtually) -> None:
    async def main(clock: VirtualClock) -> None:
        with clock.paused():
            process = await asyncio.create_subprocess_exec(
                sys.executable, "-c", "print('out')", stdout=asyncio.subprocess.PIPE
            )
            output, _ = await process.communicate()
        assert output.strip() == b"out"
        assert process.returncode == 0
        assert clock.elapsed == 0
        # Up to Python 3.11 a thread waits for the process, and ends a little later.
        for thread in threading.enumerate():
            if thread.name.startswith("asyncio-waitpid"):
                thread.join()

    virtually(main)


def test_a_signal_wakes_the_loop(virtually: Virtually) -> None:
    async def main(clock: VirtualClock) -> None:
        loop = asyncio.get_running_loop()
        event = asyncio.Event()
        loop.add_signal_handler(signal.SIGUSR1, event.set)
        thread = threading.Timer(0.05, os.kill, [os.getpid(), signal.SIGUSR1])
        thread.start()
        with clock.paused():
            await event.wait()
        thread.join()
        loop.remove_signal_handler(signal.SIGUSR1)

    with real_time_below(5):
        virtually(main)


# --- waiting for ever -----------------------------------------------------------------------


async def wait_in_vain() -> None:
    await asyncio.Event().wait()


def test_a_stuck_block_raises_and_says_who_waits() -> None:
    async def main() -> None:
        other = asyncio.create_task(wait_in_vain(), name="the other one")
        with (
            pytest.raises(StuckLoopError, match="would wait for ever") as caught,
            VirtualClock(patience=0.02),
        ):
            await asyncio.gather(asyncio.shield(other), wait_in_vain())
        assert "the other one (wait_in_vain) at test_clock.py:" in str(caught.value)
        assert "clock.paused()" in str(caught.value)
        assert isinstance(caught.value.__cause__, asyncio.CancelledError)
        # The task that was told is as usable as before.
        task = asyncio.current_task()
        assert task is not None
        assert task.cancelling() == 0
        await asyncio.sleep(0.001)
        other.cancel()

    run_checked(main, asyncio.SelectorEventLoop)


def test_a_stuck_loop_raises_out_of_its_runner() -> None:
    with pytest.raises(StuckLoopError, match=r"Task-\d+ \(wait_in_vain\) at test_clock.py:"):
        run_virtual(wait_in_vain(), patience=0.02)


def test_many_tasks_are_not_all_named() -> None:
    async def main() -> None:
        async with asyncio.TaskGroup() as group:
            for _ in range(50):
                group.create_task(wait_in_vain())

    with pytest.raises(StuckLoopError, match="and 41 more") as caught:
        run_virtual(main(), patience=0)
    assert str(caught.value).count("wait_in_vain") <= 10


def test_a_block_that_swallows_the_cancellation_fails_all_the_same() -> None:
    async def main() -> None:
        with pytest.raises(StuckLoopError), VirtualClock(patience=0.02):
            with contextlib.suppress(asyncio.CancelledError):
                await wait_in_vain()
            await asyncio.sleep(HOUR)

    run_checked(main, asyncio.SelectorEventLoop)


def test_another_error_of_a_stuck_block_comes_first() -> None:
    async def main() -> None:
        with pytest.raises(LookupError), VirtualClock(patience=0.02):
            try:
                await wait_in_vain()
            except asyncio.CancelledError:
                raise LookupError from None
        task = asyncio.current_task()
        assert task is not None
        assert task.cancelling() == 0

    run_checked(main, asyncio.SelectorEventLoop)


def test_a_block_that_gets_stuck_again_ends_the_loop() -> None:
    async def main() -> None:
        with VirtualClock(patience=0.02):
            for _ in range(2):
                with contextlib.suppress(asyncio.CancelledError):
                    await wait_in_vain()

    with asyncio.Runner(loop_factory=asyncio.SelectorEventLoop) as runner:
        loop = runner.get_loop()
        task = loop.create_task(main())
        with pytest.raises(StuckLoopError):
            loop.run_until_complete(task)
        assert not task.done()
        task.cancel()
        loop.run_until_complete(task)


def test_input_within_the_patience_is_no_reason_to_complain(virtually: Virtually) -> None:
    async def main(clock: VirtualClock) -> None:
        async with echo_thread(0.05) as port:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            for _ in range(3):
                writer.write(b"hello")
                assert await reader.readexactly(5) == b"hello"
            writer.close()
            await writer.wait_closed()
        assert clock.elapsed == 0

    virtually(main, patience=2.0)


# --- before and behind the block ------------------------------------------------------------


async def test_everything_is_restored() -> None:
    loop: Any = asyncio.get_running_loop()
    selector = loop._selector
    loop_before, selector_before = dict(vars(loop)), dict(vars(selector))
    with contextlib.suppress(LookupError), VirtualClock():
        assert vars(loop) != loop_before
        await asyncio.sleep(HOUR)
        raise LookupError
    changing = {"_ready", "_scheduled", "_timer_cancelled_count"}
    assert {name: each for name, each in vars(loop).items() if name not in changing} == {
        name: each for name, each in loop_before.items() if name not in changing
    }
    assert vars(selector) == selector_before
    assert loop.time() == pytest.approx(time.monotonic(), abs=1)
    start = time.perf_counter()
    await asyncio.sleep(0.05)
    assert 0.045 < time.perf_counter() - start < 5


async def test_what_somebody_else_put_on_the_loop_is_restored() -> None:
    loop: Any = asyncio.get_running_loop()

    def run_in_executor(executor: Any, function: Any, *args: Any) -> Any:
        return type(loop).run_in_executor(loop, executor, function, *args)

    loop.run_in_executor = run_in_executor
    with VirtualClock() as clock:
        await asyncio.to_thread(time.sleep, 0.02)
        assert clock.elapsed == 0
    assert loop.run_in_executor is run_in_executor
    del loop.run_in_executor


async def test_timers_keep_what_is_left_of_their_delay() -> None:
    loop = asyncio.get_running_loop()
    fired = asyncio.Event()
    with VirtualClock() as clock:
        soon = loop.call_later(HOUR + 0.05, fired.set)
        late = loop.call_later(HOUR + 60, print)
        loop.call_later(HOUR + 0.01, fired.set).cancel()
        await asyncio.sleep(HOUR)
        assert clock.pending_timers() == [soon, late]
    assert late.when() - loop.time() == pytest.approx(60, abs=1)
    assert not fired.is_set()
    start = time.perf_counter()
    await fired.wait()
    assert 0.04 < time.perf_counter() - start < 5
    late.cancel()


async def test_timers_set_before_the_block_are_virtual_in_it() -> None:
    loop = asyncio.get_running_loop()
    before = asyncio.create_task(asyncio.sleep(HOUR, "slept"))
    unfinished = loop.call_later(2 * HOUR + 60, print)
    await asyncio.sleep(0)
    with VirtualClock() as clock, real_time_below(5):
        assert await before == "slept"
        assert clock.elapsed == pytest.approx(HOUR, abs=0.1)
        await asyncio.sleep(HOUR)
        assert clock.pending_timers() == [unfinished]
    assert unfinished.when() - loop.time() == pytest.approx(60, abs=1)
    unfinished.cancel()


async def test_a_time_limit_around_the_block_goes_on_in_real_time() -> None:
    async with asyncio.timeout(20) as limit:
        with VirtualClock():
            await asyncio.sleep(HOUR)
        assert not limit.expired()
    with real_time_below(5), pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05):
            with VirtualClock():
                await asyncio.sleep(HOUR)
            await asyncio.sleep(10)


def stuck_in_a_pause(clock: VirtualClock) -> Coroutine[Any, Any, None]:
    async def wait() -> None:
        with clock.paused():
            await wait_in_vain()

    return wait()


def stuck_in_a_race(clock: VirtualClock) -> Coroutine[Any, Any, None]:
    async def sleep() -> None:
        for _ in itertools.count():
            await asyncio.sleep(HOUR)

    return sleep()


def stuck_in_patience(clock: VirtualClock) -> Coroutine[Any, Any, None]:
    return wait_in_vain()


@pytest.mark.parametrize("wait", [stuck_in_a_pause, stuck_in_a_race, stuck_in_patience])
async def test_a_time_limit_around_the_block_ends_it(
    wait: Callable[[VirtualClock], Coroutine[Any, Any, None]],
) -> None:
    with real_time_below(5), pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05):
            with VirtualClock(patience=10) as clock:
                await wait(clock)


async def test_a_time_limit_that_is_moved_inside_the_block_is_virtual() -> None:
    loop = asyncio.get_running_loop()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(20) as limit:
            with VirtualClock() as clock:
                limit.reschedule(loop.time() + 5)
                try:
                    await asyncio.sleep(HOUR)
                finally:
                    assert clock.elapsed == 5


async def test_asyncio_goes_on_counting_its_cancelled_timers() -> None:
    loop: Any = asyncio.get_running_loop()

    def miscounted() -> int:
        cancelled = sum(timer.cancelled() for timer in loop._scheduled)
        return int(loop._timer_cancelled_count) - cancelled

    async with asyncio.timeout(20), asyncio.timeout(20) as inner:
        await asyncio.sleep(0)
        with VirtualClock():
            inner.reschedule(None)
            assert miscounted() == 0
        assert miscounted() == 0
    assert miscounted() == 0


async def test_a_clock_can_be_used_again() -> None:
    clock = VirtualClock()
    assert (clock.time, clock.elapsed) == (0, 0)
    for seconds in (60, HOUR):
        with clock:
            assert clock.elapsed == 0
            await asyncio.sleep(seconds)
            await asyncio.to_thread(time.sleep, 0)
        assert clock.elapsed == seconds
        assert clock.pending_timers() == []
        assert "not running" in repr(clock)


async def test_work_of_a_former_block_does_not_hold_the_next_one() -> None:
    released = threading.Event()
    clock = VirtualClock()
    with clock:
        work = asyncio.create_task(asyncio.to_thread(released.wait, 10))
        await asyncio.sleep(0)
    with clock, real_time_below(5):
        await asyncio.sleep(HOUR)
    released.set()
    assert await work


async def test_two_blocks_cannot_be_nested() -> None:
    with VirtualClock() as clock:
        with pytest.raises(RuntimeError, match="use the clock of the outer block"), VirtualClock():
            pass
        with pytest.raises(RuntimeError, match="leave its block first"), clock:
            pass
        await asyncio.sleep(HOUR)
        assert clock.elapsed == HOUR


async def test_a_clock_without_a_loop_cannot_be_moved() -> None:
    clock = VirtualClock()
    with pytest.raises(RuntimeError, match="with VirtualClock"):
        clock.stall(1)
    with pytest.raises(RuntimeError, match="with VirtualClock"), clock.paused():
        pass


def test_a_loop_of_its_own_has_a_clock_already() -> None:
    async def main() -> None:
        with pytest.raises(RuntimeError, match="use its attribute clock"), VirtualClock():
            pass
        with pytest.raises(RuntimeError, match="leave its block first"), the_loop().clock:
            pass

    run_virtual(main())


def test_no_loop_at_all() -> None:
    with pytest.raises(RuntimeError, match="inside a coroutine, or use run_virtual"):
        VirtualClock().__enter__()


def test_uvloop_is_refused() -> None:
    uvloop = pytest.importorskip("uvloop", reason="uvloop is not installed")

    async def main() -> None:
        with pytest.raises(RuntimeError, match=r"this is a uvloop\.Loop: run the test on asyncio"):
            VirtualClock().__enter__()
        await asyncio.sleep(0.001)

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main())


def test_a_block_may_outlive_its_loop() -> None:
    clock = VirtualClock()

    async def enter() -> None:
        clock.__enter__()
        await asyncio.sleep(HOUR)

    loop: Any = asyncio.SelectorEventLoop()
    loop.run_until_complete(enter())
    loop.close()
    clock.__exit__(None, None, None)
    assert "time" not in vars(loop)


def test_entered_from_a_callback_there_is_no_task_to_tell() -> None:
    clock = VirtualClock(patience=0.02)
    loop = asyncio.SelectorEventLoop()
    loop.call_soon(clock.__enter__)
    with pytest.raises(StuckLoopError):
        loop.run_forever()
    clock.__exit__(None, None, None)
    loop.close()


# --- what asyncio keeps in private ----------------------------------------------------------


@pytest.mark.parametrize("name", ["_selector", "_scheduled", "_clock_resolution"])
def test_this_python_keeps_the_loops_state_where_we_look(name: str) -> None:
    """If this fails, asyncio has changed: read wsclient/testing/takeover.py."""
    loop = asyncio.SelectorEventLoop()
    try:
        assert name in vars(loop)
    finally:
        loop.close()


async def test_this_python_keeps_a_timers_state_where_we_look() -> None:
    """If this fails, asyncio has changed: read wsclient/testing/takeover.py."""
    loop: Any = asyncio.get_running_loop()
    timer: Any = loop.call_later(10, print)
    assert timer in loop._scheduled
    assert timer._when == timer.when()
    assert timer._callback is print
    assert timer._scheduled is True
    timer.cancel()
    async with asyncio.timeout(10) as limit:
        await asyncio.sleep(0)
        assert limit._task is asyncio.current_task()  # type: ignore[attr-defined]  # private
        owners = [getattr(timer._callback, "__self__", None) for timer in loop._scheduled]
        assert limit in owners


@pytest.mark.parametrize("name", ["_selector", "_scheduled", "_clock_resolution"])
async def test_another_asyncio_is_refused(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    loop: Any = asyncio.get_running_loop()
    before = vars(loop)[name]
    vars(loop)[name] = None
    try:
        with pytest.raises(RuntimeError, match="make the loop with VirtualClockLoop"):
            Takeover(loop, {"select": print}, None)
    finally:
        vars(loop)[name] = before


def test_the_resolution_is_the_next_float() -> None:
    for moment in (0.0, 0.1, 1.0, 1e7, 1e18):
        due_before = math.nextafter(moment, math.inf)
        assert moment + NextFloat() == due_before
        # Python 3.15 takes the last digit if that is more than the resolution.
        assert moment + max(NextFloat(), math.ulp(moment)) == due_before


def test_moments_are_floats_that_know_their_order() -> None:
    first, second, later = Moment(0.5, 1), Moment(0.5, 2), Moment(0.75, 0)
    assert first == second == 0.5
    assert hash(first) == hash(0.5)
    assert first < second < later
    assert not second < first
    assert repr(first) == "0.5"
    assert type(first + 1) is float


# --- what stays behind ----------------------------------------------------------------------


def use_a_loop(
    loop: asyncio.AbstractEventLoop, clock: VirtualClock, block: Any
) -> weakref.ref[asyncio.AbstractEventLoop]:
    async def main() -> None:
        with block:
            loop.call_later(2 * HOUR, print)
            await asyncio.to_thread(time.sleep, 0)
            await asyncio.sleep(HOUR)
        assert clock.elapsed == HOUR

    loop.run_until_complete(main())
    loop.run_until_complete(loop.shutdown_default_executor())
    loop.close()
    return weakref.ref(loop)


def test_a_clock_does_not_keep_the_loop_that_it_took_over() -> None:
    clock = VirtualClock()
    loop = use_a_loop(asyncio.SelectorEventLoop(), clock, clock)
    gc.collect()
    assert loop() is None


def test_a_clock_does_not_keep_its_own_loop() -> None:
    own: VirtualClockLoop | None = VirtualClockLoop()
    assert own is not None
    clock = own.clock
    loop = use_a_loop(own, clock, contextlib.nullcontext())
    own = None
    gc.collect()
    assert loop() is None
    assert clock.pending_timers() == []


def test_the_selector_is_the_best_there_is() -> None:
    loop: Any = VirtualClockLoop()
    try:
        assert type(loop._selector) is selectors.DefaultSelector
    finally:
        loop.close()


# --- runners --------------------------------------------------------------------------------


def test_run_virtual_is_asyncio_run_on_a_virtual_clock() -> None:
    async def main(result: str) -> str:
        loop = the_loop()
        assert loop.time() == loop.clock.time == loop.clock.elapsed == 0
        assert loop.get_debug()
        await asyncio.sleep(DAY)
        assert loop.time() == DAY
        return result

    assert run_virtual(main("done"), debug=True) == "done"
    with pytest.raises(TypeError, match="call the function"):
        run_virtual(print)  # type: ignore[arg-type]  # what is tested


async def test_run_virtual_refuses_to_run_inside_a_loop() -> None:
    with pytest.raises(RuntimeError, match="use VirtualClock in it"):
        run_virtual(wait_in_vain())


def test_any_runner_takes_the_loop() -> None:
    with asyncio.Runner(loop_factory=VirtualClockLoop) as runner:
        runner.run(asyncio.sleep(HOUR))
        runner.run(asyncio.sleep(HOUR))
        loop = runner.get_loop()
        assert loop.time() == 2 * HOUR


# --- servers and connections on the same clock ----------------------------------------------


def test_streams_on_one_loop(virtually: Virtually) -> None:
    async def main(clock: VirtualClock) -> None:
        async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            while line := await reader.readline():
                await asyncio.sleep(10)
                writer.write(line)
            writer.close()

        server = await asyncio.start_server(answer, "127.0.0.1", 0)
        async with server:
            reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
            for number in range(1, 101):
                writer.write(b"hello\n")
                assert await reader.readline() == b"hello\n"
                assert clock.elapsed == pytest.approx(10 * number)
            writer.close()
            await writer.wait_closed()
        assert clock.elapsed == pytest.approx(1000)

    with real_time_below(10):
        virtually(main)


def test_much_data_takes_no_time(virtually: Virtually) -> None:
    size = 8 << 20

    async def main(clock: VirtualClock) -> None:
        async def count(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            total = 0
            while data := await reader.read(1 << 16):
                total += len(data)
            writer.write(b"%d" % total)
            writer.close()

        ticker = asyncio.get_running_loop().call_later(0.001, print)
        async with await asyncio.start_server(count, "127.0.0.1", 0) as server:
            reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
            writer.write(bytes(size))
            writer.write_eof()
            assert await reader.read() == b"%d" % size
            writer.close()
            await writer.wait_closed()
        assert clock.elapsed == 0
        ticker.cancel()

    virtually(main)


class EchoServer:
    """A WebSocket server of aiohttp on the loop of the test.

    Attributes:
        pings: when the pings came, in virtual seconds from the start.
        answers_until: pings that come later are not answered.
    """

    def __init__(self, clock: VirtualClock) -> None:
        self.clock = clock
        self.pings: list[float] = []
        self.answers_until = math.inf

    async def answer(self, request: web.Request) -> web.WebSocketResponse:
        response = web.WebSocketResponse(autoping=False)
        await response.prepare(request)
        async for message in response:
            if message.type is WSMsgType.PING:
                self.pings.append(self.clock.elapsed)
                if self.clock.elapsed <= self.answers_until:
                    await response.pong(message.data)
            elif message.type is WSMsgType.TEXT:
                await response.send_str(message.data)
        return response


@contextlib.asynccontextmanager
async def echo_server(clock: VirtualClock, tls: IssuedCertificate | None) -> AsyncIterator[Any]:
    """Give a server and its URL."""
    server = EchoServer(clock)
    app = web.Application()
    app.router.add_get("/", server.answer)
    runner = web.AppRunner(app, handle_signals=False, shutdown_timeout=1.0)
    await runner.setup()
    context = None if tls is None else tls.server_context()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context).start()
        port = runner.addresses[0][1]
        yield server, f"{'ws' if tls is None else 'wss'}://localhost:{port}/"
    finally:
        await runner.cleanup()


@pytest.mark.parametrize("secure", [False, True], ids=["ws", "wss"])
def test_a_day_of_keepalive(
    virtually: Virtually, secure: bool, certificates: IssuedCertificate
) -> None:
    tls = certificates if secure else None

    async def main(clock: VirtualClock) -> None:
        async with echo_server(clock, tls) as (server, url):
            conn = await websocket_connect(
                url,
                ping_interval=20,
                ping_timeout=10,
                tls=None if tls is None else TLSConfig(cadata=tls.root_pem),
            )
            assert clock.elapsed == 0
            await asyncio.sleep(DAY + 1)
            assert server.pings == [20.0 * number for number in range(1, 4321)]
            await conn.write_message("still here")
            assert await conn.read_message() == "still here"
            info = await conn.close()
            assert info.code == 1000

    with real_time_below(25):
        virtually(main)


def test_a_peer_that_falls_silent_is_given_up_in_time(virtually: Virtually) -> None:
    async def main(clock: VirtualClock) -> None:
        async with echo_server(clock, None) as (server, url):
            server.answers_until = 100
            conn = await websocket_connect(url, ping_interval=20, ping_timeout=10)
            assert await conn.read_message() is None
            assert clock.elapsed == pytest.approx(130, abs=0.05)
            assert server.pings[:6] == [20, 40, 60, 80, 100, 120]

    with real_time_below(10):
        virtually(main)


async def test_a_connection_from_before_the_block_is_on_the_clock() -> None:
    outside = VirtualClock()
    async with echo_server(outside, None) as (server, url):
        conn = await websocket_connect(url, ping_interval=20, ping_timeout=10)
        with VirtualClock(), real_time_below(5):
            await asyncio.sleep(HOUR + 1)
            assert len(server.pings) == 180
        await conn.write_message("still here")
        assert await conn.read_message() == "still here"
        assert (await conn.close()).code == 1000
