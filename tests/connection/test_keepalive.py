"""Pings and their deadlines, on a clock that jumps."""

from __future__ import annotations

import asyncio
import itertools
import math
from collections.abc import Awaitable, Callable
from contextvars import Context
from typing import Any, TypeVarTuple, cast

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from support.running import run_checked
from wsclient.keepalive import Keepalive, PingRegister
from wsclient.testing import VirtualClockLoop

Ts = TypeVarTuple("Ts")

SLACK = 0.05
"""Seconds by which the end may come later than promised."""


def run_on_virtual_clock(main: Callable[[VirtualClockLoop], Awaitable[None]]) -> None:
    """Run `main` on a loop with a virtual clock, and check that it leaves nothing behind."""

    async def run() -> None:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, VirtualClockLoop)
        await main(loop)

    run_checked(run, VirtualClockLoop, timeout=math.inf)


class FakePeer:
    """A peer that answers pings for a while.

    Args:
        loop: the loop of the test.
        interval: seconds between pings.
        timeout: seconds of silence.
        answers_until: pings sent before this time are answered.
        delay: seconds from a ping to its answer.
    """

    def __init__(
        self,
        loop: VirtualClockLoop,
        *,
        interval: float,
        timeout: float,
        answers_until: float = 0.0,
        delay: float = 0.1,
    ) -> None:
        self.loop = loop
        self.answers_until = answers_until
        self.delay = delay
        self.pings: list[float] = []
        self.life: list[float] = []
        self.ends: list[tuple[float, bool]] = []
        self.keepalive = Keepalive(loop, self, interval=interval, timeout=timeout)

    def live(self) -> None:
        self.life.append(self.loop.time())

    def send_keepalive_ping(self) -> None:
        now = self.loop.time()
        self.pings.append(now)
        if now < self.answers_until:
            self.loop.call_at(now + self.delay, self.live)

    def life_mark(self) -> int:
        return len(self.life)

    def alive_since(self, mark: int) -> bool:
        return len(self.life) != mark

    def peer_silent(self, *, stalled: bool) -> None:
        self.ends.append((self.loop.time(), stalled))
        self.keepalive.stop()


# Below, equal to and above the interval; the default timeout is the interval.
TIMES = pytest.mark.parametrize(
    ("interval", "timeout"),
    [
        pytest.param(10.0, 3.0, id="timeout-below-interval"),
        pytest.param(10.0, 10.0, id="timeout-is-interval"),
        pytest.param(10.0, 15.0, id="timeout-above-interval"),
        pytest.param(10.0, 20.0, id="timeout-twice-interval"),
        pytest.param(1.0, 30.0, id="timeout-far-above-interval"),
        pytest.param(0.1, 0.1, id="short"),
        pytest.param(3600.0, 60.0, id="an-hour"),
    ],
)


@TIMES
def test_a_peer_silent_from_the_start_is_found(interval: float, timeout: float) -> None:
    async def main(loop: VirtualClockLoop) -> None:
        peer = FakePeer(loop, interval=interval, timeout=timeout)
        peer.keepalive.start()
        await asyncio.sleep(3 * (interval + timeout))
        [(end, stalled)] = peer.ends
        assert interval + timeout <= end <= interval + timeout + SLACK
        assert not stalled
        assert peer.keepalive.longest_stall == 0

    run_on_virtual_clock(main)


@TIMES
@pytest.mark.parametrize("answered", [1, 2, 5])
def test_a_peer_that_falls_silent_is_found(interval: float, timeout: float, answered: int) -> None:
    async def main(loop: VirtualClockLoop) -> None:
        peer = FakePeer(
            loop,
            interval=interval,
            timeout=timeout,
            answers_until=(answered + 0.5) * interval,
            delay=interval / 100,
        )
        peer.keepalive.start()
        await asyncio.sleep((answered + 5) * (interval + timeout))
        assert len(peer.life) == answered
        [(end, stalled)] = peer.ends
        silence = end - peer.life[-1]
        assert timeout <= silence <= interval + timeout + SLACK
        assert not stalled

    run_on_virtual_clock(main)


@TIMES
def test_a_peer_that_answers_lives(interval: float, timeout: float) -> None:
    async def main(loop: VirtualClockLoop) -> None:
        peer = FakePeer(
            loop, interval=interval, timeout=timeout, answers_until=1e9, delay=timeout * 0.9
        )
        peer.keepalive.start()
        await asyncio.sleep(50.5 * interval)
        assert peer.ends == []
        assert peer.pings == pytest.approx([interval * n for n in range(1, 51)])
        peer.keepalive.stop()

    run_on_virtual_clock(main)


def test_any_sign_of_life_will_do() -> None:
    async def main(loop: VirtualClockLoop) -> None:
        # No ping is ever answered, but now and then something else comes in.
        peer = FakePeer(loop, interval=10, timeout=10)
        peer.keepalive.start()
        for _ in range(100):
            await asyncio.sleep(8)
            peer.live()
        assert peer.ends == []
        peer.keepalive.stop()

    run_on_virtual_clock(main)


def test_the_last_moment_is_early_enough() -> None:
    async def main(loop: VirtualClockLoop) -> None:
        peer = FakePeer(loop, interval=10, timeout=5)
        loop.call_at(14.999, peer.live)
        peer.keepalive.start()
        await asyncio.sleep(19)
        assert peer.ends == []
        await asyncio.sleep(10)
        assert [round(end) for end, _ in peer.ends] == [25]

    run_on_virtual_clock(main)


class CoarseLoop(VirtualClockLoop):
    """A loop that counts milliseconds as uvloop does: a timer due by now is no timer at all."""

    def time(self) -> float:
        return self.milliseconds() / 1000

    def milliseconds(self) -> int:
        return math.floor(super().time() * 1000 + 1e-6)  # a product may be a little too small

    def call_at(
        self,
        when: float,
        callback: Callable[[*Ts], object],
        *args: *Ts,
        context: Context | None = None,
    ) -> asyncio.TimerHandle:
        delay = round((when - self.time()) * 1000)
        if delay <= 0:
            self.clock.stall(0.0001)  # a turn of the loop takes some time, too
            handle = self.call_soon(callback, *args, context=context)
            return cast(asyncio.TimerHandle, handle)  # so says uvloop, too
        when = (self.milliseconds() + delay) / 1000
        return super().call_at(when, callback, *args, context=context)


QUARTERS = st.integers(1, 40).map(lambda n: n / 4)
FRACTIONS = st.integers(1, 9000).map(lambda n: n / 900)


@pytest.mark.parametrize("make_loop", [VirtualClockLoop, CoarseLoop])
@settings(max_examples=80, deadline=None)
@given(QUARTERS | FRACTIONS, QUARTERS | FRACTIONS, st.lists(QUARTERS, max_size=12))
@example(1.0, 0.3004, [])
def test_law_of_the_deadline(
    make_loop: type[VirtualClockLoop], interval: float, timeout: float, gaps: list[float]
) -> None:
    """Nobody is given up early, and nobody is found late."""
    errors: list[Any] = []
    loop = make_loop()
    loop.set_exception_handler(lambda _, context: errors.append(context))
    try:
        peer = FakePeer(loop, interval=interval, timeout=timeout)
        for moment in itertools.accumulate(gaps):
            # An eighth off, so that life never coincides with a timer.
            loop.call_at(moment + 0.125, peer.live)
        peer.keepalive.start()
        loop.run_until_complete(asyncio.sleep(sum(gaps) + 3 * (interval + timeout) + SLACK))
    finally:
        loop.close()
    assert errors == []
    [(end, _)] = peer.ends
    last_life = max([moment for moment in peer.life if moment < end], default=0.0)
    unanswered = min(ping for ping in peer.pings if ping >= last_life)
    assert end >= unanswered + timeout - 0.001
    assert end <= last_life + interval + timeout + SLACK


# --- pausing --------------------------------------------------------------------------------


@TIMES
@pytest.mark.parametrize(
    ("intervals", "timeouts"),
    [
        pytest.param(0.5, 0, id="before-the-ping"),
        pytest.param(1, 0.01, id="behind-the-ping"),
        pytest.param(1, 0.99, id="before-the-deadline"),
    ],
)
def test_no_deadline_runs_while_reading_is_paused(
    interval: float, timeout: float, intervals: float, timeouts: float
) -> None:
    async def main(loop: VirtualClockLoop) -> None:
        peer = FakePeer(loop, interval=interval, timeout=timeout)
        peer.keepalive.start()
        await asyncio.sleep(intervals * interval + timeouts * timeout)
        peer.keepalive.reading_paused()
        pings = len(peer.pings)
        await asyncio.sleep(20 * (interval + timeout))
        assert peer.ends == []
        # The peer may judge us by our pings: they go on.
        assert len(peer.pings) > pings
        peer.keepalive.reading_resumed()
        resumed = loop.time()
        await asyncio.sleep(3 * (interval + timeout))
        [(end, stalled)] = peer.ends
        assert timeout <= end - resumed <= interval + timeout + SLACK
        assert not stalled

    run_on_virtual_clock(main)


def test_short_pauses_do_not_blame_a_peer_that_floods() -> None:
    async def main(loop: VirtualClockLoop) -> None:
        peer = FakePeer(loop, interval=1, timeout=0.5)
        peer.keepalive.start()
        for _ in range(100):
            peer.live()
            peer.keepalive.reading_paused()
            await asyncio.sleep(2.3)
            peer.keepalive.reading_resumed()
            await asyncio.sleep(0)
        assert peer.ends == []
        peer.keepalive.stop()

    run_on_virtual_clock(main)


# --- stalls ---------------------------------------------------------------------------------


def test_a_stall_extends_the_deadline() -> None:
    async def main(loop: VirtualClockLoop) -> None:
        peer = FakePeer(loop, interval=100, timeout=5)
        peer.keepalive.start()
        loop.call_at(104, loop.clock.stall, 3)
        await asyncio.sleep(120)
        # The deadline of 105 came at 107, and the peer got all of its time again.
        [(end, stalled)] = peer.ends
        assert 112 <= end <= 112 + SLACK
        assert not stalled
        assert peer.keepalive.longest_stall == pytest.approx(2)

    run_on_virtual_clock(main)


def test_an_answer_after_a_stall_is_early_enough() -> None:
    async def main(loop: VirtualClockLoop) -> None:
        peer = FakePeer(loop, interval=100, timeout=5)
        peer.keepalive.start()
        loop.call_at(104, loop.clock.stall, 3)
        loop.call_at(111, peer.live)
        await asyncio.sleep(150)
        assert peer.ends == []
        peer.keepalive.stop()

    run_on_virtual_clock(main)


def test_what_lies_unread_at_the_deadline_counts() -> None:
    """Timers may run before input that is there already, as on uvloop."""

    async def main(loop: VirtualClockLoop) -> None:
        peer = FakePeer(loop, interval=100, timeout=5)
        peer.keepalive.start()

        def stall() -> None:
            loop.clock.stall(0.15)  # too little to be noticed as a stall: 0.05 after the deadline
            loop.call_soon(loop.call_soon, peer.live)

        loop.call_at(104.9, stall)
        await asyncio.sleep(150)
        assert peer.ends == []
        peer.keepalive.stop()

    run_on_virtual_clock(main)


@pytest.mark.parametrize(
    ("stalls", "stalled"), [(0, False), (1, False), (2, False), (3, True), (4, True)]
)
def test_three_extensions_at_most(stalls: int, stalled: bool) -> None:
    async def main(loop: VirtualClockLoop) -> None:
        peer = FakePeer(loop, interval=100, timeout=5)
        peer.keepalive.start()
        due = 105.0
        for number in range(stalls):
            loop.call_at(due - 0.001, loop.clock.stall, 1)
            due += 0.999 + (5 if number < 3 else 0)
        await asyncio.sleep(195)
        [(end, blamed_on_us)] = peer.ends
        assert due <= end <= due + SLACK
        assert blamed_on_us is stalled
        assert (peer.keepalive.longest_stall > 0.9) is (stalls > 0)

    run_on_virtual_clock(main)


def test_a_loop_that_always_stalls_ends_too() -> None:
    async def main(loop: VirtualClockLoop) -> None:
        peer = FakePeer(loop, interval=10, timeout=5)
        peer.keepalive.start()

        def stall() -> None:
            loop.clock.stall(20)
            timers.append(loop.call_later(0.5, stall))

        timers = [loop.call_later(0.5, stall)]
        await asyncio.sleep(500)
        timers[-1].cancel()
        assert [stalled for _, stalled in peer.ends] == [True]
        assert peer.keepalive.longest_stall > 10

    run_on_virtual_clock(main)


def test_a_sign_of_life_gives_all_extensions_back() -> None:
    async def main(loop: VirtualClockLoop) -> None:
        peer = FakePeer(loop, interval=100, timeout=5)
        peer.keepalive.start()
        for start in (105.0, 205.0):
            # Two stalls at the deadline, and then life.
            loop.call_at(start - 0.001, loop.clock.stall, 1)
            loop.call_at(start + 5.998, loop.clock.stall, 1)
            loop.call_at(start + 8, peer.live)
        await asyncio.sleep(400)
        [(end, stalled)] = peer.ends
        assert 305 <= end < 307 + SLACK
        assert not stalled

    run_on_virtual_clock(main)


def test_a_late_tick_is_noticed() -> None:
    async def main(loop: VirtualClockLoop) -> None:
        peer = FakePeer(loop, interval=10, timeout=5, answers_until=1e9)
        peer.keepalive.start()
        loop.call_at(9, loop.clock.stall, 4)
        await asyncio.sleep(15)
        assert peer.keepalive.longest_stall == pytest.approx(3)
        assert peer.pings == [13]
        peer.keepalive.stop()

    run_on_virtual_clock(main)


# --- stopping -------------------------------------------------------------------------------


def stop_now(peer: FakePeer) -> None:
    peer.keepalive.stop()


def pause_and_stop(peer: FakePeer) -> None:
    peer.keepalive.reading_paused()
    peer.keepalive.stop()


def stop_twice(peer: FakePeer) -> None:
    peer.keepalive.stop()
    peer.keepalive.stop()


@pytest.mark.parametrize("after", [0, 5, 11, 14.5, 15.005], ids=str)
@pytest.mark.parametrize("stop", [stop_now, pause_and_stop, stop_twice])
def test_stop_leaves_no_timer(after: float, stop: Callable[[FakePeer], None]) -> None:
    async def main(loop: VirtualClockLoop) -> None:
        peer = FakePeer(loop, interval=10, timeout=5)
        await asyncio.sleep(0)
        before = loop.clock.pending_timers()
        peer.keepalive.start()
        await asyncio.sleep(after)
        stop(peer)
        assert loop.clock.pending_timers() == before
        pings = list(peer.pings)
        await asyncio.sleep(100)
        assert peer.pings == pings
        assert peer.ends == []

    run_on_virtual_clock(main)


def test_a_ping_that_finds_the_connection_dead() -> None:
    async def main(loop: VirtualClockLoop) -> None:
        class DeadPeer(FakePeer):
            def send_keepalive_ping(self) -> None:
                self.keepalive.stop()

        peer = DeadPeer(loop, interval=10, timeout=5)
        before = loop.clock.pending_timers()
        peer.keepalive.start()
        await asyncio.sleep(12)
        assert loop.clock.pending_timers() == before
        await asyncio.sleep(100)
        assert peer.ends == []

    run_on_virtual_clock(main)


def test_a_timeout_of_zero_never_gives_up() -> None:
    async def main(loop: VirtualClockLoop) -> None:
        peer = FakePeer(loop, interval=1, timeout=0)
        peer.keepalive.start()
        await asyncio.sleep(500.5)
        assert len(peer.pings) == 500
        assert peer.ends == []
        peer.keepalive.stop()

    run_on_virtual_clock(main)


# --- PingRegister ---------------------------------------------------------------------------


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time that the register sees; change its one item to let time pass."""
    now = [100.0]
    monkeypatch.setattr("wsclient.keepalive.perf_counter", lambda: now[0])
    return now


def test_a_pong_answers_its_ping(clock: list[float]) -> None:
    register = PingRegister()
    ping = register.add(b"a")
    assert ping.round_trip is None
    clock[0] += 0.25
    assert register.answer(b"a") == 0.25
    assert ping.round_trip == 0.25


def test_pings_are_answered_one_after_the_other(clock: list[float]) -> None:
    register = PingRegister()
    pings = []
    for payload in (b"a", b"b", b"c"):
        pings.append(register.add(payload))
        clock[0] += 1
    assert [register.answer(payload) for payload in (b"a", b"b", b"c")] == [3, 2, 1]
    assert [ping.round_trip for ping in pings] == [3, 2, 1]


def test_one_pong_answers_all_earlier_pings(clock: list[float]) -> None:
    register = PingRegister()
    first, second, third = (register.add(payload) for payload in (b"a", b"b", b"c"))
    clock[0] += 2
    assert register.answer(b"b") == 2
    assert (first.round_trip, second.round_trip, third.round_trip) == (2, 2, None)
    # Pongs that come late after all are unasked for.
    assert register.answer(b"a") is None
    assert register.answer(b"b") is None
    assert register.answer(b"c") == 2


@pytest.mark.parametrize("payload", [b"", b"b", b"aa", b"a" * 125])
def test_an_unknown_pong_answers_nothing(payload: bytes) -> None:
    register = PingRegister()
    assert register.answer(payload) is None
    ping = register.add(b"a")
    assert register.answer(payload) is None
    assert ping.round_trip is None


def test_pings_with_the_same_payload_are_all_answered() -> None:
    register = PingRegister()
    pings = [register.add(b"same") for _ in range(3)]
    for _ in range(3):
        register.answer(b"same")
    assert all(ping.round_trip is not None for ping in pings)
    again = register.add(b"same")
    assert again.round_trip is None
    assert register.answer(b"same") is not None
    assert again.round_trip is not None


def test_a_repeated_payload_does_not_hide_what_was_sent_between() -> None:
    """RFC 6455, section 5.5.3: the one pong may be that of the last of three pings."""
    register = PingRegister()
    pings = [register.add(payload) for payload in (b"a", b"b", b"a")]
    register.answer(b"a")
    answered = [ping.round_trip is not None for ping in pings]
    # The pong is that of the first ping alone, or of the last and so of all.
    assert answered in ([True, False, False], [True, True, True])


async def test_waiters_are_woken() -> None:
    loop = asyncio.get_running_loop()
    register = PingRegister()
    first, second, third = (register.add(payload) for payload in (b"a", b"b", b"c"))
    first.waiter, second.waiter, third.waiter = (loop.create_future() for _ in range(3))
    register.answer(b"b")
    assert (first.waiter.done(), second.waiter.done(), third.waiter.done()) == (True, True, False)
    register.release_all()
    assert third.waiter.done()
    assert third.round_trip is None


async def test_a_waiter_that_gave_up_is_no_trouble() -> None:
    register = PingRegister()
    answered, lost = register.add(b"a"), register.add(b"b")
    for ping in (answered, lost):
        ping.waiter = asyncio.get_running_loop().create_future()
        ping.waiter.cancel()
    assert register.answer(b"a") is not None
    register.release_all()
    assert answered.waiter is not None
    assert answered.waiter.cancelled()


def test_nothing_is_left_after_release_all() -> None:
    register = PingRegister()
    register.add(b"a")
    register.release_all()
    assert register.answer(b"a") is None
    register.release_all()


def test_our_payloads_are_unique() -> None:
    register, other = PingRegister(), PingRegister()
    payloads = [register.unique_payload() for _ in range(1000)] + [other.unique_payload()]
    assert len(set(payloads)) == 1001
    assert {len(payload) for payload in payloads} == {8}


def test_pings_that_nobody_awaits_do_not_pile_up() -> None:
    register = PingRegister()
    loop = asyncio.new_event_loop()
    watched = register.add(b"watched")
    register.waiter(watched, loop)
    payloads = [register.unique_payload() for _ in range(1000)]
    for payload in payloads:
        register.add(payload)
    answered = [payload for payload in payloads if register.answer(payload) is not None]
    assert answered == payloads[-len(answered) :]
    assert 200 < len(answered) < 300
    assert watched.round_trip is not None
    loop.close()


def test_a_forgotten_ping_can_still_be_awaited() -> None:
    register = PingRegister()
    loop = asyncio.new_event_loop()
    forgotten = register.add(b"forgotten")
    for _ in range(1000):
        register.add(register.unique_payload())
    assert register.answer(b"forgotten") is None
    waiter = register.waiter(forgotten, loop)
    assert register.waiter(forgotten, loop) is waiter
    assert register.answer(b"forgotten") is not None
    assert waiter.done()
    loop.close()
