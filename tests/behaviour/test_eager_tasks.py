"""Tasks that start at once (``asyncio.eager_task_factory``) change nothing that a user sees."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Coroutine
from typing import Any

import pytest

from behaviour.servers import WAIT, echo
from support.running import LoopFactory
from wsclient import CloseCause, websocket_connect
from wsclient.testing.raw import RawConnection, RawServer

pytestmark = pytest.mark.skipif(
    sys.version_info < (3, 12), reason="Python 3.11 has no eager tasks"
)


@pytest.fixture(params=["asyncio", "uvloop"])
def loop_factory(request: pytest.FixtureRequest) -> LoopFactory:
    """Each loop, with tasks that run until they first wait before `create_task` returns."""
    if request.param == "uvloop":
        factory = pytest.importorskip("uvloop", reason="uvloop is not installed").new_event_loop
        factory().close()  # libuv opens a pipe for signals once and keeps it for good
    else:
        factory = asyncio.new_event_loop

    def make() -> asyncio.AbstractEventLoop:
        loop: asyncio.AbstractEventLoop = factory()
        loop.set_task_factory(eager)
        return loop

    return make


def eager(loop: Any, coro: Any, **settings: Any) -> Any:
    """Make tasks as `asyncio.eager_task_factory` does, and on each loop."""
    # uvloop 0.23 on Python 3.14 passes ``eager_start=None``: its tasks would wait their turn.
    if settings.get("eager_start", True) is None:
        del settings["eager_start"]
    factory: Any = getattr(asyncio, "eager_task_factory")  # noqa: B009 - from 3.12 on
    return factory(loop, coro, **settings)


def start(work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
    return asyncio.get_running_loop().create_task(work)


async def test_tasks_are_eager_here() -> None:
    begun = []

    async def begin() -> None:
        begun.append(True)

    task = start(begin())
    assert begun and task.done()


async def test_connect_write_read_ping_and_close_as_tasks() -> None:
    async with RawServer(echo) as server:
        conn = await start(websocket_connect(server.url))
        reads = [start(conn.read_message()) for _ in range(3)]
        for number in range(3):
            await conn.write_message(str(number))
        assert await asyncio.wait_for(asyncio.gather(*reads), WAIT) == ["0", "1", "2"]
        assert await asyncio.wait_for(conn.ping(b"x"), WAIT) >= 0
        waiting = start(conn.wait_closed())
        last = start(conn.read_message())
        info = await asyncio.wait_for(conn.close(1000, "bye"), WAIT)
        assert info.clean and info.cause is CloseCause.CLOSING_HANDSHAKE
        assert await asyncio.wait_for(waiting, WAIT) is info
        assert await asyncio.wait_for(last, WAIT) is None


async def test_a_message_that_is_there_ends_the_task_at_once() -> None:
    async with RawServer(echo) as server, websocket_connect(server.url) as conn:
        await conn.write_message("first")
        await conn.write_message("second")
        assert await conn.read_message() == "first"
        while conn.stats().messages_received < 2:
            await conn.ping()  # its pong comes behind the message
        read = start(conn.read_message())
        assert read.done() and read.result() == "second"


@pytest.mark.parametrize("kind", ["plain", "async", "never waits"])
async def test_callbacks_come_in_order_one_at_a_time_and_none_is_last(kind: str) -> None:
    got: list[object] = []
    running = 0

    def plain(message: str | bytes | None) -> None:
        got.append(message)

    async def waiting(message: str | bytes | None) -> None:
        nonlocal running
        running += 1
        assert running == 1
        if kind == "async":
            await asyncio.sleep(0)
        got.append(message)
        running -= 1

    callback: Any = plain if kind == "plain" else waiting
    async with RawServer(echo) as server:
        conn = await websocket_connect(server.url, on_message_callback=callback)
        for number in range(5):
            await conn.write_message(str(number))
        await asyncio.wait_for(conn.ping(), WAIT)
        await asyncio.wait_for(conn.close(), WAIT)
        await asyncio.wait_for(conn.wait_closed(), WAIT)
    assert got == ["0", "1", "2", "3", "4", None]


async def test_a_callback_that_connects_writes_and_closes() -> None:
    answers: list[object] = []

    async with RawServer(echo) as server:

        async def callback(message: str | bytes | None) -> None:
            if message is None:
                return
            async with websocket_connect(server.url) as other:
                await other.write_message(message)
                answers.append(await other.read_message())
            conn.close()

        conn = await websocket_connect(server.url, on_message_callback=callback)
        await conn.write_message("hello")
        info = await asyncio.wait_for(conn.wait_closed(), WAIT)
    assert info.clean and answers == ["hello"]


async def test_a_callback_that_raises_at_once_is_told() -> None:
    async def callback(message: str | bytes | None) -> None:
        got.append(message)
        if message is not None:
            raise LookupError("at once")

    got: list[object] = []
    async with RawServer(echo) as server:
        conn = await websocket_connect(server.url, on_message_callback=callback)
        await conn.write_message("hello")
        with pytest.raises(LookupError, match="at once"):
            await asyncio.wait_for(conn.wait_closed(), WAIT)
    assert conn.close_info is not None
    assert conn.close_info.cause is CloseCause.CALLBACK_ERROR
    assert got == ["hello", None]


async def test_a_cancelled_read_loses_no_message() -> None:
    async with RawServer(echo) as server, websocket_connect(server.url) as conn:
        read = start(conn.read_message())
        read.cancel()
        with pytest.raises(asyncio.CancelledError):
            await read
        await conn.write_message("kept")
        assert await asyncio.wait_for(conn.read_message(), WAIT) == "kept"


@pytest.mark.parametrize("turns", [0, 1, 3])
async def test_a_connect_that_is_cancelled_leaves_nothing(turns: int) -> None:
    async def silent(wire: RawConnection) -> None:
        await say_nothing.wait()

    say_nothing = asyncio.Event()
    async with RawServer(silent) as server:
        connecting = start(websocket_connect(server.url))
        for _ in range(turns):
            await asyncio.sleep(0)
        assert not connecting.done()
        connecting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await connecting
        say_nothing.set()


async def test_a_close_that_is_cancelled_goes_on() -> None:
    async with RawServer(echo) as server:
        conn = await websocket_connect(server.url)

        async def close() -> None:
            await conn.close()

        closing = start(close())
        closing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await closing
        assert (await asyncio.wait_for(conn.wait_closed(), WAIT)).clean
