"""Scripted servers of the behaviour tests: both ends of one connection in one coroutine."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp.abc import AbstractResolver, ResolveResult

from wsclient import (
    CloseInfo,
    ConnectError,
    WebSocketClientConnection,
    WebSocketError,
    websocket_connect,
)
from wsclient.protocol.opcodes import Opcode
from wsclient.testing.frames import Frame, encode_frame
from wsclient.testing.raw import RawConnection, RawServer

__all__ = [
    "WAIT",
    "Log",
    "Resolver",
    "agree",
    "check_failure",
    "connected",
    "echo",
    "echo_frames",
    "expect_info",
    "failure",
    "frame_of_kind",
    "numbered_frame",
    "pile_up",
    "say_goodbye",
    "until_received",
]

WAIT = 3.0
"""Seconds after which an event that should have happened will not happen any more."""


async def echo(wire: RawConnection) -> None:
    """Accept, send every message and Close frame back, and answer pings."""
    await wire.accept()
    await echo_frames(wire)


async def echo_frames(wire: RawConnection) -> None:
    """Send every message and Close frame back, and answer pings."""
    while True:
        frame = await wire.read_frame()
        await wire.send_frame(
            Opcode.PONG if frame.opcode == Opcode.PING else frame.opcode, frame.payload
        )
        if frame.opcode == Opcode.CLOSE:
            return


@asynccontextmanager
async def connected(
    **options: Any,
) -> AsyncIterator[tuple[WebSocketClientConnection, RawConnection]]:
    """Give a connection of ours and the server's end of it, which the test drives.

    When the block is left, the server closes TCP, and our end has to notice.
    """
    accepted: asyncio.Future[RawConnection] = asyncio.get_running_loop().create_future()
    done = asyncio.Event()

    async def serve(wire: RawConnection) -> None:
        await wire.accept()
        accepted.set_result(wire)
        await done.wait()

    async with RawServer(serve) as server:
        connection = await websocket_connect(server.url, **options)
        try:
            yield connection, await accepted
        finally:
            done.set()


async def frame_of_kind(wire: RawConnection, opcode: int) -> Frame:
    """Read frames until one has the opcode; return that one."""
    async with asyncio.timeout(WAIT):
        while (frame := await wire.read_frame()).opcode != opcode:
            pass
    return frame


async def say_goodbye(wire: RawConnection, code: int = 1000, reason: str = "") -> Frame:
    """Close from the server's side; return the client's Close frame."""
    await wire.send_close(code, reason)
    frame = await frame_of_kind(wire, Opcode.CLOSE)
    wire.close()
    return frame


async def agree(wire: RawConnection) -> Frame:
    """Await the client's Close frame, answer it, close TCP; return that frame."""
    frame = await frame_of_kind(wire, Opcode.CLOSE)
    await wire.send_frame(Opcode.CLOSE, frame.payload)
    wire.close()
    return frame


async def pile_up(
    connection: WebSocketClientConnection, wire: RawConnection, size: int = 65536
) -> int:
    """Send from the server until the client has stopped reading; return the messages sent."""
    sent = 0
    while not connection.stats().reading_paused:
        wire.writer.write(numbered_frame(sent, size))
        sent += 1
        await asyncio.sleep(0)
    return sent


async def until_received(connection: WebSocketClientConnection, count: int) -> None:
    """Wait until so many messages have come in, read or not."""
    async with asyncio.timeout(WAIT):
        # Nothing tells of a message but reading it.
        while connection.stats().messages_received < count:  # noqa: ASYNC110
            await asyncio.sleep(0)


def numbered_frame(number: int, size: int) -> bytes:
    """Build a binary frame that begins with its number."""
    return encode_frame(Opcode.BINARY, number.to_bytes(4, "big").ljust(size, b"."))


def expect_info(info: CloseInfo, **expected: object) -> None:
    """Compare some fields of a `CloseInfo`; enums are given by their values."""
    found = {name: getattr(info, name) for name in expected}
    plain = {name: getattr(value, "value", value) for name, value in found.items()}
    assert plain == expected, f"{info}"


class Log(list[Any]):
    """What a callback was called with, and an event for the last call."""

    def __init__(self) -> None:
        super().__init__()
        self.ended = asyncio.Event()

    def __call__(self, message: str | bytes | None) -> None:
        """Keep the message."""
        self.append(message)
        if message is None:
            self.ended.set()


class Resolver(AbstractResolver):
    """Resolve every name to 127.0.0.1, after a while; note what was asked for."""

    def __init__(self, delay: float = 0.0) -> None:
        self.delay = delay
        self.asked: list[str] = []
        self.begun = asyncio.Event()

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """Resolve a name."""
        self.asked.append(host)
        self.begun.set()
        await asyncio.sleep(self.delay)
        return [
            ResolveResult(
                hostname=host,
                host="127.0.0.1",
                port=port,
                family=socket.AF_INET,
                proto=0,
                flags=socket.AI_NUMERICHOST,
            )
        ]

    async def close(self) -> None:
        """Do nothing."""


def check_failure(error: BaseException, phase: str, *words: str) -> None:
    """See that an error is ours, says what it should, and has its cause chained."""
    assert isinstance(error, ConnectError)
    assert type(error).__module__.startswith("wsclient")
    assert error.phase == phase
    for word in words:
        assert word in str(error), str(error)
    assert error.__cause__ is not None


async def failure(url: str, **options: Any) -> WebSocketError:
    """Return the error with which connecting fails."""
    with pytest.raises(WebSocketError) as caught:
        await asyncio.wait_for(websocket_connect(url, **options), WAIT)
    return caught.value
