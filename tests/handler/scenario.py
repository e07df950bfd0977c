"""Runs one scenario against Tornado's handler and against ours, and compares what is seen."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, fields
from typing import Any

import pytest
import tornado

from handler.driver import Calls, Client
from handler.sides import SIDES, Routes, Side
from wsclient.testing.frames import Frame

__all__ = ["Seen", "both", "plain", "same"]

Make = Callable[[Any, Calls], Any]
"""Makes the handler class of a scenario from a base class.

The base is the side's `WebSocketHandler` with methods that note their calls in `Calls`. A
method that the scenario defines takes the place of the one that notes.
"""

Drive = Callable[[Client], Awaitable[None]]
"""What the client of a scenario does."""

SCENARIO_TIMEOUT = 5.0
"""Seconds that a scenario may take on one side."""

UPGRADE_HEADERS = frozenset({"upgrade", "connection", "content-type", "content-length"})
"""Compared in a 101 only: a server may say in other responses whether it keeps the connection."""


@dataclass
class Seen:
    """What a scenario showed on one side; two of them are compared.

    Attributes:
        status: of the response.
        headers: those of the response that matter.
        frames: what the server sent, in order.
        ended: whether the server ended the TCP connection before the client did.
        calls: what the handlers noted, in order.
        notes: what the driver noted, in order.
    """

    status: int
    headers: dict[str, str]
    frames: list[Frame]
    ended: bool
    calls: list[tuple[Any, ...]]
    notes: list[Any]

    @property
    def names(self) -> list[str]:
        """The first item of each note of the handlers: what was called."""
        return [name for name, *_ in self.calls]

    @property
    def close_code(self) -> int | None:
        """The code of the Close frame that the server sent; ``None`` without one."""
        return next((each.close_code for each in self.frames if each.opcode == 8), None)


def plain(base: Any, calls: Calls) -> Any:
    """Make a handler that only notes each call with its arguments, as `base` does."""
    return base


async def same(
    make: Make,
    drive: Drive,
    *,
    route: str = r"/.*",
    routes: Callable[[Any], Routes] | None = None,
    tls: tuple[ssl.SSLContext, ssl.SSLContext] | None = None,
    closes: int = 1,
    **settings: Any,
) -> Seen:
    """Run a scenario as `both` does; both sides must show the same, which is returned."""
    theirs, ours = await both(
        make, drive, route=route, routes=routes, tls=tls, closes=closes, **settings
    )
    different = [
        f"{each.name}:\n  Tornado: {getattr(theirs, each.name)}"
        f"\n  ours:    {getattr(ours, each.name)}"
        for each in fields(Seen)
        if getattr(theirs, each.name) != getattr(ours, each.name)
    ]
    assert not different, "\n".join(different)
    return theirs


async def both(
    make: Make,
    drive: Drive,
    *,
    route: str = r"/.*",
    routes: Callable[[Any], Routes] | None = None,
    tls: tuple[ssl.SSLContext, ssl.SSLContext] | None = None,
    closes: int | tuple[int, int] = 1,
    **settings: Any,
) -> tuple[Seen, Seen]:
    """Run a scenario on both sides, one after the other; return what was seen on each.

    Args:
        make: makes the handler class.
        drive: what the client does.
        route: the pattern of the only route.
        routes: makes the routes of the handler class, in place of `route`.
        tls: the contexts of the server and of the client; ``None`` for plain TCP.
        closes: how many calls of ``on_close`` to wait for when the client is done; for
            Tornado and for ours where they differ.
        settings: of the server.
    """
    if tornado.version_info < (6, 6):
        pytest.skip("the reference is Tornado 6.6; earlier ones differ in details")
    waits = closes if isinstance(closes, tuple) else (closes, closes)
    seen = []
    for side, count in zip(SIDES, waits, strict=True):
        calls = Calls()
        handler = make(_recorder(side.handler, calls), calls)
        served = routes(handler) if routes else [(route, handler)]
        try:
            async with asyncio.timeout(SCENARIO_TIMEOUT):
                seen.append(await _run(side, served, drive, calls, tls, count, settings))
        except BaseException as error:
            error.add_note(f"on the side {side.name!r}; its handlers noted {calls.seen}")
            raise
    return seen[0], seen[1]


async def _run(
    side: Side,
    routes: Routes,
    drive: Drive,
    calls: Calls,
    tls: tuple[ssl.SSLContext, ssl.SSLContext] | None,
    closes: int,
    settings: dict[str, Any],
) -> Seen:
    server_tls, client_tls = tls or (None, None)
    async with side.serve(routes, server_tls, settings) as port:
        client = Client(side.name, port, calls, client_tls)
        try:
            await drive(client)
        finally:
            await client.drop()
        await calls.until("on_close", closes)
    return Seen(
        client.status,
        _that_matter(client),
        client.frames,
        client.ended,
        list(calls.seen),
        client.notes,
    )


def _that_matter(client: Client) -> dict[str, str]:
    found = {
        name: value
        for name, value in client.headers.items()
        if name.startswith(("sec-websocket-", "x-"))
        or (client.status == 101 and name in UPGRADE_HEADERS)
    }
    if "sec-websocket-extensions" in found:
        name, *parameters = found["sec-websocket-extensions"].split("; ")
        found["sec-websocket-extensions"] = "; ".join([name, *sorted(parameters)])
    return found


def _recorder(base: Any, calls: Calls) -> Any:
    """Make a handler that notes each call with its arguments."""

    class Recorder(base):
        def open(self, *args: Any, **kwargs: Any) -> Any:
            calls("open", args, kwargs)

        def on_message(self, message: Any) -> Any:
            calls("on_message", message)

        def on_ping(self, data: bytes) -> Any:
            calls("on_ping", data)

        def on_pong(self, data: bytes) -> Any:
            calls("on_pong", data)

        def on_close(self) -> Any:
            calls("on_close", self.close_code, self.close_reason)

    return Recorder
