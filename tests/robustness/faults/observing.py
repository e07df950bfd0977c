"""A program that uses one connection, and what it sees: the same checks after every fault."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import pytest

from robustness.faults.outcomes import Outcome
from wsclient import (
    CloseInfo,
    ConnectError,
    WebSocketClientConnection,
    WebSocketClosedError,
    websocket_connect,
)

__all__ = ["HANG", "Observation", "Talk", "observe", "see_it_closed"]

HANG = 15.0
"""Seconds after which an await counts as hanging, however busy the machine is."""

Message = str | bytes | None
Talk = Callable[[WebSocketClientConnection], Awaitable[object]]
"""What a program does with an open connection; it may find it closed at any moment."""


@dataclass
class Observation:
    """What the program saw.

    Attributes:
        outcome: what it was told.
        messages: what was delivered, without the ``None`` at the end.
        seconds: how long it took from the call of `websocket_connect` to the end.
        info: the account of the end; ``None`` when no connection was opened.
    """

    outcome: Outcome
    messages: list[str | bytes] = field(default_factory=list)
    seconds: float = 0.0
    info: CloseInfo | None = None


async def observe(url: str, talk: Talk, *, callback: bool = False, **options: Any) -> Observation:
    """Connect, talk, wait for the end, and see that every call is told the same.

    Args:
        url: where to connect.
        talk: what the program does; a `WebSocketClosedError` in it is no fault.
        callback: whether messages go to a callback, and not to a reader.
        options: for `websocket_connect`.

    Raises:
        TimeoutError: something hangs.
        AssertionError: a call sees something else than the account says.
    """
    called: list[Message] = []
    if callback:
        options["on_message_callback"] = called.append
    begun = time.perf_counter()
    async with asyncio.timeout(HANG):
        try:
            conn = await websocket_connect(url, **options)
        except ConnectError as error:
            _check_error(error)
            took = time.perf_counter() - begun
            return Observation(Outcome.of_error(error), seconds=took)
        reading = None if callback else asyncio.create_task(_read(conn))
        waiting = asyncio.create_task(conn.wait_closed())
        try:
            await talk(conn)
        except WebSocketClosedError:
            pass
        info = await waiting
        took = time.perf_counter() - begun
        messages = called if reading is None else await reading
        await see_it_closed(conn, info)
    assert messages.pop() is None
    assert None not in messages
    return Observation(Outcome.of_end(info), [m for m in messages if m is not None], took, info)


async def _read(conn: WebSocketClientConnection) -> list[Message]:
    messages: list[Message] = []
    while not messages or messages[-1] is not None:
        messages.append(await conn.read_message())
    return messages


def _check_error(error: ConnectError) -> None:
    assert type(error).__module__.startswith("wsclient"), error
    assert str(error)
    assert "\n" not in str(error)


async def see_it_closed(conn: WebSocketClientConnection, info: CloseInfo) -> None:
    """See that a closed connection says so whatever is asked of it, and never waits."""
    assert info.hint
    assert info.hint.isprintable()
    assert conn.closed
    assert conn.close_info == info
    assert (conn.close_code, conn.close_reason) == (info.code, info.reason)
    assert await conn.wait_closed() == info
    assert await conn.close() == info
    with pytest.raises(WebSocketClosedError):
        conn.write_message("late")
    with pytest.raises(WebSocketClosedError):
        conn.ping()
    assert conn.stats().write_buffer_size == 0
