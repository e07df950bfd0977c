"""A busy connection is closed at its k-th turn of the loop, for every k, in every way.

Each write has arrived whole, or has raised `WebSocketClosedError`; every read ends with ``None``;
all who wait for the end get the same account. All time is virtual, so that waiting for a time
limit is seen.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest

from wsclient import CloseCause, CloseInfo, WebSocketClientConnection, WebSocketClosedError
from wsclient.testing import VirtualClockLoop, WebSocketServerConnection, connection_pair

TURNS = 30
"""Turns of the loop after which it is closed, at most."""

TASKS = 6
"""Writers, and readers."""

EACH = 40
"""Messages of each writer, at most: more than it can write before the end."""

INSTANT = 0.5
"""Virtual seconds; every time limit of a connection is longer."""


@pytest.fixture
def loop_factory() -> object:
    """The loop of these tests."""
    return VirtualClockLoop


async def turns(count: int) -> None:
    """Let so many turns of the loop go by."""
    for _ in range(count):
        await asyncio.sleep(0)


@dataclass
class Bustle:
    """A connection that many tasks use.

    Attributes:
        client: the end that is tested.
        server: the other end.
        written: what each task has written at the client's end.
        sent: what was written at the server's end.
        arrived: what the server got.
        taken: what the readers got, in the order of reading.
        ends: how many readers got ``None``.
        infos: what those got who waited for the client's end.
        late: how many calls raised `WebSocketClosedError`.
    """

    client: WebSocketClientConnection
    server: WebSocketServerConnection
    written: list[list[str]] = field(default_factory=lambda: [[] for _ in range(TASKS)])
    sent: list[str] = field(default_factory=list)
    arrived: list[str] = field(default_factory=list)
    taken: list[str] = field(default_factory=list)
    ends: int = 0
    infos: list[CloseInfo] = field(default_factory=list)
    late: int = 0

    async def run(self, turn: int, end: Callable[[Bustle], object]) -> None:
        """Use the connection from many tasks, and end it after some turns."""
        async with asyncio.TaskGroup() as group:
            for number in range(TASKS):
                group.create_task(self._write(number))
                group.create_task(self._read())
            for _ in range(2):
                group.create_task(self._ping())
                group.create_task(self._wait())
            group.create_task(self._send())
            group.create_task(self._listen())
            await turns(turn)
            end(self)
            self.infos.append(await self.client.wait_closed())

    async def _write(self, writer: int) -> None:
        for number in range(EACH):
            message = f"{writer} {number} " + "x" * (20_000 * (number % 5 == 0))
            try:
                writing = self.client.write_message(message)
                self.written[writer].append(message)
                await writing
                await turns(1)
            except WebSocketClosedError:
                self.late += 1
                return

    async def _read(self) -> None:
        while (message := await self.client.read_message()) is not None:
            assert isinstance(message, str)
            self.taken.append(message)
        self.ends += 1

    async def _ping(self) -> None:
        try:
            while True:
                assert await self.client.ping() >= 0
        except WebSocketClosedError:
            self.late += 1

    async def _wait(self) -> None:
        self.infos.append(await self.client.wait_closed())

    async def _send(self) -> None:
        try:
            while True:
                message = f"from the server {len(self.sent)}"
                self.server.write_message(message)
                self.sent.append(message)
                await turns(1)
        except WebSocketClosedError:
            pass

    async def _listen(self) -> None:
        async for message in self.server:
            assert isinstance(message, str)
            self.arrived.append(message)


def by_client(bustle: Bustle) -> None:
    """Close."""
    bustle.client.close()


def by_server(bustle: Bustle) -> None:
    """Let the server close."""
    bustle.server.close()


def by_both(bustle: Bustle) -> None:
    """Let Close frames cross."""
    bustle.client.close(1001)
    bustle.server.close(1012)


def by_everybody(bustle: Bustle) -> None:
    """Close again and again; only the first one counts."""
    for code in (3000, 3001, 3002):
        bustle.client.close(code)


def by_reset(bustle: Bustle) -> None:
    """Let the server crash."""
    bustle.server.reset()


def by_reset_behind_close(bustle: Bustle) -> None:
    """Let the server crash while the Close frame is on its way."""
    bustle.client.close()
    bustle.server.reset()


def by_wrong_frame(bustle: Bustle) -> None:
    """Let the server break the protocol."""
    bustle.server.send_bytes(b"\xff\x00")


AGREED: dict[str, Callable[[Bustle], object]] = {
    "client": by_client,
    "server": by_server,
    "both": by_both,
    "everybody": by_everybody,
}
"""Ways that lose nothing: all that was written arrives."""

BROKEN: dict[str, tuple[Callable[[Bustle], object], set[CloseCause]]] = {
    "reset": (by_reset, {CloseCause.RESET}),
    "reset-behind-close": (by_reset_behind_close, {CloseCause.RESET}),
    "wrong-frame": (by_wrong_frame, {CloseCause.PROTOCOL_ERROR}),
}
"""Ways that lose what is under way, and the causes."""


def check(bustle: Bustle, *, complete: bool) -> CloseInfo:
    """See who got what; return the account.

    Args:
        bustle: what has happened.
        complete: whether everything has to have arrived.
    """
    info = bustle.client.close_info
    assert info is not None
    assert len(bustle.infos) == 3 and all(each is info for each in bustle.infos)
    assert bustle.ends == TASKS, "a reader got no None"
    for writer, written in enumerate(bustle.written):
        arrived = [text for text in bustle.arrived if text.startswith(f"{writer} ")]
        assert arrived == (written if complete else written[: len(arrived)])
    # Tasks that take messages in one turn note them one after the other, in their order.
    assert bustle.taken == (bustle.sent if complete else bustle.sent[: len(bustle.taken)])
    with pytest.raises(WebSocketClosedError):
        bustle.client.write_message("too late")
    return info


async def play(
    turn: int, end: Callable[[Bustle], object], compression: dict[str, Any] | None
) -> Bustle:
    """Make one trial; see that no time limit was needed."""
    clock = asyncio.get_running_loop().time
    start = clock()
    async with connection_pair(compression_options=compression) as ends:
        bustle = Bustle(*ends)
        await bustle.run(turn, end)
        took = clock() - start
    assert took < INSTANT, f"only a time limit ended it, after {took} s"
    return bustle


@pytest.mark.parametrize("compression", [None, {}], ids=["plain", "compressed"])
@pytest.mark.parametrize("way", AGREED)
async def test_close_loses_nothing(way: str, compression: dict[str, Any] | None) -> None:
    late = 0
    for turn in range(TURNS):
        bustle = await play(turn, AGREED[way], compression)
        info = check(bustle, complete=True)
        assert info.clean and not info.discarded_messages, info
        if way == "everybody":
            assert info.sent == 3000
        late += bustle.late
    assert late > TURNS, "hardly any call met the end"


@pytest.mark.parametrize("compression", [None, {}], ids=["plain", "compressed"])
@pytest.mark.parametrize("way", BROKEN)
async def test_break_leaves_no_gap(way: str, compression: dict[str, Any] | None) -> None:
    end, causes = BROKEN[way]
    for turn in range(TURNS):
        bustle = await play(turn, end, compression)
        info = check(bustle, complete=False)
        assert info.cause in causes and not info.clean, info
