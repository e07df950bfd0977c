"""Open connections, and the identity that is replaced under them."""

from __future__ import annotations

import asyncio
import contextvars
import functools
import gc
import logging
import re
import threading
import weakref
from collections import OrderedDict
from collections.abc import Callable, Coroutine, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Literal

import pytest

from support.loops import with_plain_handles
from wsclient.errors import IdentityError
from wsclient.testing import CertificateAuthority, run_virtual
from wsclient.tls import watch as rotation
from wsclient.tls.config import TLSConfig
from wsclient.tls.contexts import preparing
from wsclient.tls.identity.identity import ClientIdentity
from wsclient.tls.rotation.providers import CallableIdentityProvider
from wsclient.tls.watch import RotationWatch, watch_rotation

Subscriber = Callable[[], object]


@pytest.fixture(scope="module")
def identities() -> list[ClientIdentity]:
    ca = CertificateAuthority()
    issued = [ca.client_certificate(f"client {number}") for number in range(3)]
    return [ClientIdentity.from_cryptography(x.private_key, x.certificate) for x in issued]


class Source:
    """Where the identity comes from.

    Attributes:
        identity: the present one.
        fault: raised instead, if there is one.
        asked: the times at which it was asked.
    """

    def __init__(self, identity: ClientIdentity) -> None:
        self.identity = identity
        self.fault: Exception | None = None
        self.asked: list[float] = []
        self._awaited: tuple[int, asyncio.Future[None]] | None = None

    async def asked_times(self, number: int) -> None:
        """Wait until it has been asked so many times."""
        if len(self.asked) < number:
            future = asyncio.get_running_loop().create_future()
            self._awaited = (number, future)
            await future

    async def get(self) -> ClientIdentity:
        self.asked.append(asyncio.get_running_loop().time())
        if self._awaited is not None and len(self.asked) == self._awaited[0]:
            self._awaited[1].set_result(None)
            self._awaited = None
        if self.fault is not None:
            raise self.fault
        return self.identity


class TellingSource(Source):
    """One that tells of new identities, too."""

    def __init__(self, identity: ClientIdentity) -> None:
        super().__init__(identity)
        self.subscribers: list[Subscriber] = []

    def subscribe(self, subscriber: Subscriber) -> Callable[[], None]:
        self.subscribers.append(subscriber)
        return functools.partial(self.subscribers.remove, subscriber)

    def replace(self, identity: ClientIdentity) -> None:
        self.identity = identity
        for subscriber in tuple(self.subscribers):
            subscriber()


class Connection:
    """What the opening of a connection does with its watch.

    Attributes:
        closed_at: the times at which it was asked to close.
    """

    def __init__(self, config: TLSConfig, identity: ClientIdentity) -> None:
        self.closed_at: list[float] = []
        self.identity = identity
        self.watch = watch_rotation(config, identity, self._close)

    @classmethod
    async def open(cls, config: TLSConfig) -> Connection:
        assert config.provider is not None
        return cls(config, await config.provider.get())

    def _close(self) -> None:
        self.closed_at.append(asyncio.get_running_loop().time())

    def stop(self) -> None:
        assert self.watch is not None
        self.watch.stop()


def config_of(
    source: Source,
    refresh_interval: float | None = None,
    on_rotation: Literal["keep", "close"] = "close",
) -> TLSConfig:
    return TLSConfig(identity=source, refresh_interval=refresh_interval, on_rotation=on_rotation)


@pytest.fixture(autouse=True)
def nothing_left() -> Iterator[None]:
    yield
    gc.collect()
    assert not rotation._watchers


def virtually(main: Coroutine[Any, Any, None]) -> None:
    """Run in virtual time; nothing may be left to do in the end."""

    async def checked() -> None:
        await main
        await asyncio.sleep(0)
        loop: Any = asyncio.get_running_loop()
        assert asyncio.all_tasks() == {asyncio.current_task()}
        assert not loop.clock.pending_timers()

    run_virtual(checked())


# In virtual time.


def test_a_connection_is_closed_within_ten_seconds_after_a_look(
    identities: list[ClientIdentity], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)

    async def main() -> None:
        source = Source(identities[0])
        connections = [await Connection.open(config) for config in [config_of(source)] * 20]
        source.asked.clear()
        await asyncio.sleep(150)
        assert source.asked == [60, 120], "one watcher for all"
        source.identity = identities[1]
        await asyncio.sleep(29)
        assert not any(each.closed_at for each in connections)
        await asyncio.sleep(12)
        times = [time for each in connections for time in each.closed_at]
        assert len(times) == 20, "each one, once"
        assert min(times) >= 180 and max(times) <= 190
        assert len(set(times)) > 15, "not all at once"
        await asyncio.sleep(1000)
        assert source.asked == [60, 120, 180], "nobody is left who wants to know"

    virtually(main())
    told = [each.getMessage() for each in caplog.records if "Open connections" in each.msg]
    assert len(told) == 1
    assert "20" in told[0] and identities[1].description in told[0]


def test_the_interval(identities: list[ClientIdentity]) -> None:
    async def main() -> None:
        source = Source(identities[0])
        connection = await Connection.open(config_of(source, refresh_interval=4))
        source.asked.clear()
        source.identity = identities[1]
        await asyncio.sleep(10)
        assert source.asked == [4]
        (time,) = connection.closed_at
        assert 4 <= time <= 6, "half an interval at most"

    virtually(main())


def test_the_shortest_interval_of_those_who_are_left(identities: list[ClientIdentity]) -> None:
    async def main() -> None:
        source = Source(identities[0])
        slow = config_of(source, refresh_interval=100)
        quick = slow.replace(refresh_interval=10)
        assert slow.provider is quick.provider
        first = await Connection.open(slow)
        await asyncio.sleep(5)
        second = await Connection.open(quick)
        source.asked.clear()
        await asyncio.sleep(21)
        assert source.asked == [15, 25]
        second.stop()
        await asyncio.sleep(200)
        assert source.asked == [15, 25, 35, 135]
        first.stop()

    virtually(main())


def test_new_connections_do_not_put_the_look_off(identities: list[ClientIdentity]) -> None:
    async def main() -> None:
        source = Source(identities[0])
        config = config_of(source)
        connections = []
        for _ in range(4):
            connections.append(Connection(config, identities[0]))
            await asyncio.sleep(40)
        assert source.asked == [60, 120]
        for connection in connections:
            connection.stop()

    virtually(main())


def test_stopping(identities: list[ClientIdentity]) -> None:
    async def main() -> None:
        source = Source(identities[0])
        config = config_of(source)
        first, second = await Connection.open(config), await Connection.open(config)
        first.stop()
        source.identity = identities[1]
        await asyncio.sleep(60)
        second.stop()  # between the decision and the closing
        second.stop()
        loop: Any = asyncio.get_running_loop()
        assert loop.clock.pending_timers() == []
        await asyncio.sleep(1000)
        assert first.closed_at == second.closed_at == []
        third = await Connection.open(config)
        source.identity = identities[2]
        await asyncio.sleep(200)
        assert len(third.closed_at) == 1
        third.stop()

    virtually(main())


def test_stopping_while_it_is_asked(identities: list[ClientIdentity]) -> None:
    async def main() -> None:
        cancelled = []
        calls = 0

        async def current() -> ClientIdentity:
            nonlocal calls
            calls += 1
            if calls > 1:
                try:
                    await asyncio.sleep(1000)
                except asyncio.CancelledError:
                    cancelled.append(True)
                    raise
            return identities[0]

        config = TLSConfig(identity=current, on_rotation="close")
        connection = await Connection.open(config)
        await asyncio.sleep(61)
        assert calls == 2
        connection.stop()
        await asyncio.sleep(0)
        assert cancelled == [True]

    virtually(main())


def test_the_closing_ends_the_watch_itself(identities: list[ClientIdentity]) -> None:
    async def main() -> None:
        source = Source(identities[0])
        config = config_of(source)
        watches: list[RotationWatch | None] = []
        closed = []

        def close() -> None:
            closed.append(True)
            assert watches[0] is not None
            watches[0].stop()

        assert config.provider is not None
        watches.append(watch_rotation(config, await config.provider.get(), close))
        source.identity = identities[1]
        await asyncio.sleep(100)
        assert closed == [True]

    virtually(main())


def test_a_connection_opened_while_it_is_asked_is_not_judged(
    identities: list[ClientIdentity],
) -> None:
    async def main() -> None:
        answer: list[ClientIdentity] = [identities[0]]
        slow = False

        async def current() -> ClientIdentity:
            given = answer[0]
            if slow:
                await asyncio.sleep(10)
            return given

        provider = Raw(current)
        config = TLSConfig(identity=identities[0], on_rotation="close").replace(identity=provider)
        first = await Connection.open(config)
        slow = True
        await asyncio.sleep(65)  # in the middle of the question
        answer[0] = identities[1]
        second = Connection(config, identities[1])
        await asyncio.sleep(20)
        assert first.closed_at == second.closed_at == []
        await asyncio.sleep(80)
        assert len(first.closed_at) == 1
        assert second.closed_at == []
        second.stop()

    virtually(main())


class Raw(CallableIdentityProvider):
    """A provider that does not number its identities."""

    def __init__(self, function: Callable[[], Any]) -> None:
        super().__init__(function)
        self._raw = function

    async def get(self) -> ClientIdentity:
        identity: ClientIdentity = await self._raw()
        return identity


def test_an_older_generation_closes_nothing(identities: list[ClientIdentity]) -> None:
    async def main() -> None:
        async def current() -> ClientIdentity:
            return identities[1].with_generation(6, None)

        config = TLSConfig(identity=Raw(current), on_rotation="close")
        connection = Connection(config, identities[0].with_generation(7, None))
        await asyncio.sleep(200)
        assert connection.closed_at == []
        connection.stop()

    virtually(main())


def test_keeping_connections_only_looks(identities: list[ClientIdentity]) -> None:
    async def main() -> None:
        source = Source(identities[0])
        connection = await Connection.open(config_of(source, 10, "keep"))
        source.identity = identities[1]
        await asyncio.sleep(35)
        assert len(source.asked) == 1 + 3
        assert connection.closed_at == []
        connection.stop()

    virtually(main())


def test_an_identity_that_is_about_to_expire_is_warned_of_once(
    identities: list[ClientIdentity], caplog: pytest.LogCaptureFixture
) -> None:
    month = 31 * 24 * 3600.0

    async def main() -> None:
        config = TLSConfig(
            identity=Source(identities[2]), refresh_interval=10, expiry_warning=month
        )
        connection = await Connection.open(config)
        await asyncio.sleep(5)
        assert caplog.text == ""
        await asyncio.sleep(50)
        connection.stop()

    virtually(main())
    (record,) = caplog.records
    assert "expires in 29 days" in record.getMessage()


DAY = 24 * 3600.0


@pytest.fixture
def wall_clock(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Have the calendar go with the loop's time, from a call on; nothing is warned of yet."""
    monkeypatch.setattr(preparing, "_warned", OrderedDict())

    def begin() -> None:
        loop = asyncio.get_running_loop()
        start, begun = datetime.now(UTC), loop.time()
        monkeypatch.setattr(
            preparing, "_now", lambda: start + timedelta(seconds=loop.time() - begun)
        )

    return begin


def expiring(days: float) -> ClientIdentity:
    """Return an identity that has so many days left, as it had from the beginning."""
    issued = CertificateAuthority().client_certificate(
        "ending", not_before=timedelta(), not_after=timedelta(days=days)
    )
    return ClientIdentity.from_cryptography(issued.private_key, issued.certificate)


@pytest.mark.parametrize("static", [False, True], ids=["asked", "static"])
def test_an_expiring_identity_is_warned_of_while_connected(
    static: bool, wall_clock: Callable[[], None], caplog: pytest.LogCaptureFixture
) -> None:
    """Once, at its time, by one timer for all connections, and with no other wake-up."""
    identity = expiring(40)

    async def main() -> None:
        wall_clock()
        source = Source(identity)
        given: Any = identity if static else source
        config = TLSConfig(identity=given, expiry_warning=4 * DAY)
        connections = [Connection(config, identity) for _ in range(5)]
        loop: Any = asyncio.get_running_loop()
        assert len(loop.clock.pending_timers()) == 1
        await asyncio.sleep(35.9 * DAY)
        assert caplog.text == "" and source.asked == []
        await asyncio.sleep(0.2 * DAY)
        [record] = caplog.records
        assert re.search(r"CN=ending .* expires in 3 days", record.getMessage())
        assert len(source.asked) == (0 if static else 1)
        assert not loop.clock.pending_timers()
        await asyncio.sleep(100 * DAY)
        for connection in connections:
            connection.stop()
        assert connections[0].closed_at == []

    virtually(main())
    assert len(caplog.records) == 1


def test_an_identity_that_was_replaced_is_not_warned_of(
    wall_clock: Callable[[], None], caplog: pytest.LogCaptureFixture
) -> None:
    old, new = expiring(1), expiring(20)

    async def main() -> None:
        wall_clock()
        source = Source(old)
        config = TLSConfig(identity=source, expiry_warning=0.5 * DAY)
        connection = await Connection.open(config)
        source.identity = new
        await asyncio.sleep(10 * DAY)
        assert caplog.text == "" and len(source.asked) == 2
        # Now it is the new one that may expire.
        await asyncio.sleep(9.6 * DAY)
        assert len(caplog.records) == 1 and len(source.asked) == 3
        connection.stop()

    virtually(main())


def test_an_expiring_identity_is_warned_of_when_asking_fails(
    wall_clock: Callable[[], None], caplog: pytest.LogCaptureFixture
) -> None:
    identity = expiring(1)

    async def main() -> None:
        wall_clock()
        source = Source(identity)
        connection = await Connection.open(TLSConfig(identity=source))
        source.fault = IdentityError("no answer")
        await asyncio.sleep(DAY)
        assert len(source.asked) == 2
        connection.stop()

    virtually(main())
    assert ["expires" in record.getMessage() for record in caplog.records] == [False, True], (
        caplog.text
    )
    caplog.clear()  # the traceback holds the watcher


def test_who_tells_is_asked_for_the_sake_of_a_warning(
    wall_clock: Callable[[], None], caplog: pytest.LogCaptureFixture
) -> None:
    identity = expiring(10)

    async def main() -> None:
        wall_clock()
        source = TellingSource(identity)
        config = config_of(source)
        keeping = config.replace(on_rotation="keep", expiry_warning=DAY)
        quiet = Connection(keeping, identity)
        # Nobody need tell anything for that.
        assert source.subscribers == []
        closing = Connection(config, identity)
        assert len(source.subscribers) == 1
        await asyncio.sleep(9.5 * DAY)
        assert len(source.asked) == 2
        for connection in (quiet, closing):
            connection.stop()
        assert source.subscribers == []

    virtually(main())
    assert len(caplog.records) == 1


def test_stopping_ends_the_timer_of_a_warning(wall_clock: Callable[[], None]) -> None:
    identity = expiring(40)

    async def main() -> None:
        wall_clock()
        connection = Connection(TLSConfig(identity=identity, expiry_warning=DAY), identity)
        connection.stop()
        loop: Any = asyncio.get_running_loop()
        assert not loop.clock.pending_timers()

    virtually(main())


def test_nothing_to_look_for(identities: list[ClientIdentity]) -> None:
    async def main() -> None:
        source = Source(identities[0])
        identity = identities[0]
        quiet = config_of(source, None, "keep").replace(expiry_warning=0)
        assert Connection(quiet, identity).watch is None
        assert Connection(TLSConfig(on_rotation="close"), identity).watch is None
        static = TLSConfig(identity=identity, on_rotation="close", expiry_warning=0)
        assert Connection(static, identity).watch is None
        assert watch_rotation(config_of(source), None, lambda: None) is None

    virtually(main())


def test_failures_are_told_once_and_do_not_end_it(
    identities: list[ClientIdentity], caplog: pytest.LogCaptureFixture
) -> None:
    async def main() -> None:
        faults = iter(
            [
                ValueError("s3cret"),
                ValueError("s3cret"),
                IdentityError("Of ours.", reason="provider_failed"),
                None,
                IdentityError("Of ours.", reason="provider_failed"),
            ]
        )

        async def current() -> ClientIdentity:
            fault = next(faults, None)
            if fault is not None:
                raise fault
            return identities[0]

        config = TLSConfig(identity=Raw(current), on_rotation="close")
        connection = Connection(config, identities[0])
        await asyncio.sleep(370)
        connection.stop()

    virtually(main())
    told = [each.getMessage() for each in caplog.records]
    assert [("ValueError" in each, "Of ours." in each) for each in told] == [
        (True, False),
        (False, True),
        (False, True),
    ]
    assert "s3cret" not in caplog.text


def test_a_closing_that_raises(
    identities: list[ClientIdentity], caplog: pytest.LogCaptureFixture
) -> None:
    async def main() -> None:
        source = Source(identities[0])
        config = config_of(source)
        assert config.provider is not None

        def close() -> None:
            raise ZeroDivisionError

        watch_rotation(config, await config.provider.get(), close)
        other = await Connection.open(config)
        source.identity = identities[1]
        await asyncio.sleep(100)
        assert len(other.closed_at) == 1

    virtually(main())
    assert "ZeroDivisionError" in caplog.text


def test_what_asks_belongs_to_no_connection(identities: list[ClientIdentity]) -> None:
    variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable", default="nobody's")
    seen = []

    async def main() -> None:
        async def current() -> ClientIdentity:
            seen.append(variable.get())
            return identities[0]

        variable.set("the first connection's")
        connection = await Connection.open(TLSConfig(identity=current, on_rotation="close"))
        await asyncio.sleep(130)
        connection.stop()

    virtually(main())
    assert seen == ["the first connection's", "nobody's", "nobody's"]


# Providers that tell.


def test_who_tells_is_not_asked_again_and_again(identities: list[ClientIdentity]) -> None:
    async def main() -> None:
        source = TellingSource(identities[0])
        config = config_of(source, refresh_interval=8)
        first, second = await Connection.open(config), await Connection.open(config)
        assert len(source.subscribers) == 1
        await asyncio.sleep(1)
        source.asked.clear()
        await asyncio.sleep(99)
        assert source.asked == []
        source.replace(identities[1])
        source.replace(identities[1])
        await asyncio.sleep(10)
        assert source.asked == [100] or source.asked == [100, 100]
        for connection in (first, second):
            (time,) = connection.closed_at
            assert 100 <= time <= 104
        assert source.subscribers == []

    virtually(main())


def test_a_change_between_opening_and_subscribing(identities: list[ClientIdentity]) -> None:
    async def main() -> None:
        source = TellingSource(identities[1])
        config = config_of(source)
        early = Connection(config, identities[0])
        await asyncio.sleep(11)
        assert len(early.closed_at) == 1
        kept = await Connection.open(config)
        late = Connection(config, identities[0])
        await asyncio.sleep(11)
        assert len(late.closed_at) == 1
        assert kept.closed_at == []
        kept.stop()

    virtually(main())


def test_a_change_while_it_is_asked(identities: list[ClientIdentity]) -> None:
    async def main() -> None:
        source = TellingSource(identities[0])

        async def slowly() -> ClientIdentity:
            given = source.identity
            await asyncio.sleep(5)
            return given

        source.get = slowly  # type: ignore[method-assign]
        config = config_of(source)
        connection = await Connection.open(config)
        await asyncio.sleep(2)
        source.replace(identities[1])
        await asyncio.sleep(20)
        assert len(connection.closed_at) == 1

    virtually(main())


@pytest.mark.parametrize("where", ["subscribe", "unsubscribe"])
def test_subscribing_that_raises(
    identities: list[ClientIdentity], caplog: pytest.LogCaptureFixture, where: str
) -> None:
    class Broken(TellingSource):
        def subscribe(self, subscriber: Subscriber) -> Callable[[], None]:
            if where == "subscribe":
                raise ZeroDivisionError
            super().subscribe(subscriber)
            return functools.partial(divmod, 1, 0)  # type: ignore[arg-type]

    async def main() -> None:
        source = Broken(identities[0])
        config = config_of(source)
        connection = await Connection.open(config)
        await asyncio.sleep(1)
        source.replace(identities[1])
        await asyncio.sleep(100)
        assert len(connection.closed_at) == 1

    virtually(main())
    assert "ZeroDivisionError" in caplog.text
    caplog.clear()  # the traceback holds the watcher


def test_subscribing_that_returns_nothing(identities: list[ClientIdentity]) -> None:
    class Careless(TellingSource):
        def subscribe(self, subscriber: Subscriber) -> Any:
            super().subscribe(subscriber)

    async def main() -> None:
        source = Careless(identities[0])
        config = config_of(source)
        connection = await Connection.open(config)
        await asyncio.sleep(1)
        source.replace(identities[1])
        await asyncio.sleep(11)
        assert len(connection.closed_at) == 1
        source.replace(identities[2])  # nobody is there any more

    virtually(main())


async def test_told_from_another_thread(identities: list[ClientIdentity]) -> None:
    source = TellingSource(identities[0])
    config = config_of(source, refresh_interval=0.01)
    closed = asyncio.Event()
    assert config.provider is not None
    watch = watch_rotation(config, await config.provider.get(), closed.set)
    assert watch is not None
    await asyncio.to_thread(source.replace, identities[1])
    await closed.wait()
    assert source.subscribers == []


# Loops.


def test_timers_that_do_not_know_their_time(identities: list[ClientIdentity]) -> None:
    async def main() -> None:
        source = Source(identities[0])
        slow = config_of(source, refresh_interval=100)
        first = await Connection.open(slow)
        second = await Connection.open(slow.replace(refresh_interval=0.001))
        await source.asked_times(5)
        second.stop()
        first.stop()

    with asyncio.Runner(loop_factory=with_plain_handles(asyncio.SelectorEventLoop)) as runner:
        runner.run(main())


async def test_files(tmp_path: Path) -> None:
    ca = CertificateAuthority()
    files = ca.client_certificate("old").write(tmp_path)
    config = TLSConfig(
        cert=(files.cert_file, files.key_file), refresh_interval=0.01, on_rotation="close"
    )
    closed = asyncio.Event()
    assert config.provider is not None
    watch_rotation(config, await config.provider.get(), closed.set)
    files.replace(ca.client_certificate("new"))
    await closed.wait()


async def test_nothing_is_left_behind(identities: list[ClientIdentity]) -> None:
    source = Source(identities[0])
    config = config_of(source, refresh_interval=0.001)
    connections = [await Connection.open(config) for _ in range(10)]
    await source.asked_times(20)
    for connection in connections:
        connection.stop()
    # The leak check finds the rest.


@pytest.mark.parametrize("telling", [False, True])
@pytest.mark.parametrize("stopped", [False, True])
def test_the_loop_ends_first(
    identities: list[ClientIdentity],
    loop_factory: Callable[[], asyncio.AbstractEventLoop],
    telling: bool,
    stopped: bool,
) -> None:
    source = TellingSource(identities[0]) if telling else Source(identities[0])
    config = config_of(source, refresh_interval=0.001)

    async def main() -> Connection:
        connection = await Connection.open(config)
        await source.asked_times(2)
        return connection

    with asyncio.Runner(loop_factory=loop_factory) as runner:
        connection = runner.run(main())
        loop = weakref.ref(runner.get_loop())
    if stopped:
        connection.stop()
    assert connection.watch is not None
    del connection
    gc.collect()
    assert loop() is None, "the loop is held in memory"
    if isinstance(source, TellingSource):
        source.replace(identities[1])


@pytest.mark.parametrize("cancelling", [False, True])
@pytest.mark.parametrize("telling", [False, True])
def test_the_loop_ends_while_it_is_asked(
    identities: list[ClientIdentity],
    loop_factory: Callable[[], asyncio.AbstractEventLoop],
    telling: bool,
    cancelling: bool,
) -> None:
    subscribers: list[Subscriber] = []

    def subscribe(subscriber: Subscriber) -> Callable[[], None]:
        subscribers.append(subscriber)
        return subscribers.clear

    async def main() -> RotationWatch | None:
        asked = asyncio.Event()

        async def current() -> ClientIdentity:
            asked.set()
            await asyncio.Event().wait()
            raise AssertionError

        provider = CallableIdentityProvider(current, subscribe=subscribe if telling else None)
        config = TLSConfig(identity=provider, refresh_interval=0.001, on_rotation="close")
        watch = watch_rotation(config, identities[0], lambda: None)
        await asked.wait()
        return watch

    loop = loop_factory()
    # It tells of the task that it is left with.
    loop.set_exception_handler(lambda loop, context: None)
    if cancelling:
        with asyncio.Runner(loop_factory=lambda: loop) as runner:
            watch = runner.run(main())
    else:
        watch = loop.run_until_complete(main())
        loop.close()
    for subscriber in tuple(subscribers):
        subscriber()
    assert watch is not None
    watch.stop()
    assert subscribers == []


def test_each_loop_has_its_own(identities: list[ClientIdentity]) -> None:
    source = Source(identities[0])
    config = config_of(source, refresh_interval=0.002)
    ready = threading.Barrier(3)
    closed = []

    async def main() -> None:
        done = asyncio.Event()

        def close() -> None:
            closed.append(threading.get_ident())
            done.set()

        assert config.provider is not None
        watch_rotation(config, await config.provider.get(), close)
        await asyncio.to_thread(ready.wait, 20)
        await done.wait()

    threads = [threading.Thread(target=lambda: asyncio.run(main())) for _ in range(2)]
    for thread in threads:
        thread.start()
    ready.wait(20)
    source.identity = identities[1]
    for thread in threads:
        thread.join(20)
    assert sorted(closed) == sorted(each.ident or 0 for each in threads)
