"""Callback mode: at each step of each call the callback does what callbacks should not do.

Whatever it does: each message comes once, in order, then ``None`` once, and no call behind it;
there is one account, which counts the messages that were not delivered.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import pytest

from behaviour.servers import expect_info
from robustness.sweeps.stepping import Stepper, quiet, sweep
from wsclient import (
    CloseCause,
    CloseInfo,
    WebSocketClientConnection,
    WebSocketClosedError,
)
from wsclient.testing import VirtualClockLoop, WebSocketServerConnection, connection_pair

COUNT = 5
"""Messages that the server sends."""

TURNS = 2
"""How often an async callback suspends in each call."""

CLOSING = 10.0 + 2.0
"""Virtual seconds that closing takes at most."""


@pytest.fixture
def loop_factory() -> object:
    """The loop of these tests."""
    return VirtualClockLoop


class MineError(Exception):
    """What a callback raises."""


@dataclass
class Scene:
    """One trial.

    Attributes:
        at: at which of its steps the callback acts; each call is a step, and each time that it
            goes on.
        act: what it does then.
        steps: steps so far.
        begun: what it was called with.
        ended: the calls that came to their end.
        client: the connection.
        running: calls that are under way.
    """

    at: int
    act: Callable[[Scene], object]
    steps: int = 0
    begun: list[object] = field(default_factory=list)
    ended: list[object] = field(default_factory=list)
    client: WebSocketClientConnection | None = None
    running: int = 0

    @property
    def acted(self) -> bool:
        """Whether it got so far."""
        return self.steps >= self.at

    @property
    def connection(self) -> WebSocketClientConnection:
        """The connection, which exists before the first call."""
        assert self.client is not None
        return self.client

    def step(self) -> object:
        """Count a step, and act if it is the one."""
        self.steps += 1
        return self.act(self) if self.steps == self.at else None

    def plain(self, message: object) -> None:
        """Be a plain callback."""
        assert not self.running
        self.running += 1
        try:
            self.begun.append(message)
            result = self.step()
            if inspect.iscoroutine(result):
                result.close()  # It cannot wait.
            self.ended.append(message)
        finally:
            self.running -= 1

    async def waiting(self, message: object) -> None:
        """Be an async callback."""
        assert not self.running
        self.running += 1
        try:
            self.begun.append(message)
            for turn in range(TURNS + 1):
                result = self.step()
                if isinstance(result, Awaitable):
                    await result
                if turn < TURNS:
                    await asyncio.sleep(0)
            self.ended.append(message)
        finally:
            self.running -= 1

    def mixed(self, message: object) -> Awaitable[None] | None:
        """Be a plain callback for every other message."""
        return self.plain(message) if len(self.begun) % 2 else self.waiting(message)  # type: ignore[func-returns-value]  # that is what mixed means


def fail(scene: Scene) -> None:
    """Raise."""
    raise MineError("mine")


def run_out_of_memory(scene: Scene) -> None:
    """Raise what is not an everyday error."""
    raise MemoryError


def raise_cancelled(scene: Scene) -> None:
    """Raise what nobody has asked for."""
    raise asyncio.CancelledError


def close(scene: Scene) -> object:
    """Close; in an async call, wait for it."""
    return scene.connection.close(1001, "from the callback")


def write(scene: Scene) -> object:
    """Write; behind the end that raises."""
    return scene.connection.write_message("from the callback")


def ping(scene: Scene) -> object:
    """Ping, and in an async call wait for the pong, which comes while the call waits."""
    return scene.connection.ping()


def read(scene: Scene) -> object:
    """Read, which is refused."""
    with pytest.raises(RuntimeError, match="on_message_callback"):
        return scene.connection.read_message()
    return None


def wait_closed(scene: Scene) -> object:
    """Close, and wait for the end of what it is part of."""
    scene.connection.close()
    return scene.connection.wait_closed()


HARMLESS: dict[str, Callable[[Scene], object]] = {"write": write, "ping": ping, "read": read}
CLOSERS: dict[str, Callable[[Scene], object]] = {"close": close, "wait_closed": wait_closed}
FAULTS: dict[str, tuple[Callable[[Scene], object], type[Exception]]] = {
    "raise": (fail, MineError),
    "memory": (run_out_of_memory, MemoryError),
    "cancelled-error": (raise_cancelled, RuntimeError),
}
KINDS = pytest.mark.parametrize("kind", ["plain", "waiting", "mixed"])


async def play(scene: Scene, kind: str, **options: Any) -> CloseInfo:
    """Send the messages and close from the server's side, and wait for the end."""
    callback = getattr(scene, kind)
    loop = asyncio.get_running_loop()
    start = loop.time()
    try:
        async with connection_pair(on_message_callback=callback, **options) as (client, server):
            scene.client = client
            await send(server)
            await server.close()
    except (MineError, MemoryError, RuntimeError) as exc:
        assert client.close_info is not None
        # An error in the last call comes behind the account.
        assert client.close_info.exception in (exc, None)
    assert loop.time() - start < CLOSING
    check(scene)
    assert client.close_info is not None
    return client.close_info


async def send(server: WebSocketServerConnection) -> None:
    """Send the messages, one in a turn."""
    for number in range(COUNT):
        try:
            server.write_message(str(number))
        except WebSocketClosedError:
            return
        await asyncio.sleep(0)


def check(scene: Scene) -> None:
    """See that the calls were the right ones, and that the account counts the others."""
    info = scene.connection.close_info
    assert info is not None
    assert scene.begun[-1] is None and None not in scene.begun[:-1], scene.begun
    count = len(scene.begun) - 1
    assert scene.begun[:-1] == [str(number) for number in range(count)]
    received = scene.connection.stats().messages_received
    assert count + info.discarded_messages == received, info
    assert not scene.running


def all_messages() -> list[object]:
    """Return the calls of a connection without faults."""
    return [*(str(number) for number in range(COUNT)), None]


@KINDS
@pytest.mark.parametrize("act", HARMLESS.values(), ids=HARMLESS)
@pytest.mark.parametrize("room", [1, 1000])
async def test_callback_uses_the_connection(
    act: Callable[[Scene], object], kind: str, room: int
) -> None:
    async with quiet() as watch:

        async def trial(number: int) -> bool:
            scene = Scene(number, act)
            # While a call waits for a pong, what comes before the pong has to have its place.
            most = COUNT + 1 if act is ping else room
            info = await play(scene, kind, max_queue_messages=most)
            assert scene.begun == all_messages()
            expect_info(info, clean=True, discarded_messages=0)
            await watch.restored()
            return scene.acted

        assert await sweep(trial) >= COUNT + 1


@KINDS
@pytest.mark.parametrize("act", CLOSERS.values(), ids=CLOSERS)
async def test_callback_closes(act: Callable[[Scene], object], kind: str) -> None:
    async with quiet() as watch:

        async def trial(number: int) -> bool:
            scene = Scene(number, act)
            info = await play(scene, kind)
            expect_info(info, clean=True, discarded_messages=0)
            assert scene.ended == scene.begun
            await watch.restored()
            return scene.acted

        assert await sweep(trial) >= COUNT + 1


@KINDS
@pytest.mark.parametrize("fault", FAULTS)
async def test_callback_raises(fault: str, kind: str) -> None:
    act, error = FAULTS[fault]
    async with quiet() as watch:

        async def trial(number: int) -> bool:
            scene = Scene(number, act)
            info = await play(scene, kind)
            if not scene.acted:
                expect_info(info, clean=True, discarded_messages=0)
            elif info.cause is CloseCause.CALLBACK_ERROR:
                assert type(info.exception) is error and not info.clean
                assert info.sent == 1011
            else:
                # It was the last call, or the server's Close frame came first.
                assert info.clean
            await watch.restored()
            if scene.acted:
                with pytest.raises(error):
                    await scene.connection.wait_closed()
            return scene.acted

        assert await sweep(trial) >= COUNT + 1


@pytest.mark.parametrize("times", [1, 2], ids=["once", "twice"])
async def test_task_of_a_callback_is_cancelled(times: int) -> None:
    """At each suspension of an async call, from outside."""
    async with quiet() as watch:

        async def trial(number: int) -> bool:
            hit = False
            left = times
            steps = 0

            def cancel(_: object) -> None:
                nonlocal hit, left
                hit = True
                left -= 1
                task = asyncio.current_task()
                assert task is not None
                task.cancel()

            def callback(message: object) -> Awaitable[None]:
                nonlocal steps
                # A stepper for each call: the steps go on from one to the next.
                stepper = Stepper(
                    scene.waiting(message), max(number - steps, 0), cancel, times=left
                )
                steps += TURNS
                return stepper

            scene = Scene(0, lambda _: None)
            scene.at = 10**9
            async with connection_pair(on_message_callback=callback) as (client, server):
                scene.client = client
                await send(server)
                await server.close()
                info = await client.wait_closed()
            check(scene)
            if hit and info.cause is not CloseCause.CLOSING_HANDSHAKE:
                expect_info(info, cause="cancelled", clean=False, initiator="local")
            elif not hit:
                expect_info(info, clean=True, discarded_messages=0)
                assert scene.begun == all_messages() == scene.ended
            await watch.restored()
            return hit

        assert await sweep(trial) >= COUNT * TURNS
