"""One whole life of a connection: traffic both ways, pings, full buffers, and a close."""

from __future__ import annotations

import asyncio
import random
from dataclasses import dataclass, field
from typing import Any

from wsclient import CloseCause, CloseInfo, WebSocketClientConnection, WebSocketClosedError
from wsclient.protocol.opcodes import Opcode
from wsclient.testing import WebSocketServerConnection, encode_frame

__all__ = ["OPTIONS", "Conversation", "incoming", "outgoing"]

OPTIONS: dict[str, Any] = {"max_queue_messages": 2, "ping_interval": 50.0}
"""Options of the client: the queue fills, so that reading pauses."""

_COUNT = 8


def outgoing(number: int) -> bytes:
    """Return the message with a number that the client sends; every third one is large."""
    return f"out {number} ".encode() + random.Random(number).randbytes(40_000 * (number % 3 == 2))


def incoming(number: int) -> str:
    """Return the message with a number that the server sends."""
    return f"in {number} " + "again " * (number % 4)


@dataclass
class Conversation:
    """What both sides have seen.

    Attributes:
        client: the end that is tested.
        server: the other end.
        written: the numbers whose `write_message` returned.
        refused: the number and the error of each `write_message` that raised at the call.
        arrived: what the server got.
        taken: what the client read, ``None`` at the end included.
        infos: what the client's waiters got.
        errors: what awaiting raised.
    """

    client: WebSocketClientConnection
    server: WebSocketServerConnection
    written: list[int] = field(default_factory=list)
    refused: list[tuple[int, Exception]] = field(default_factory=list)
    arrived: list[str | bytes] = field(default_factory=list)
    taken: list[str | bytes | None] = field(default_factory=list)
    infos: list[CloseInfo] = field(default_factory=list)
    errors: list[Exception] = field(default_factory=list)
    _expected: tuple[type[Exception], ...] = ()

    async def run(self, *expected: type[Exception]) -> None:
        """Converse until both ends are closed.

        Args:
            expected: errors besides `WebSocketClosedError` that calls may raise.
        """
        self._expected = (WebSocketClosedError, *expected)
        async with asyncio.TaskGroup() as group:
            group.create_task(self._read())
            group.create_task(self._listen())
            group.create_task(self._wait())
            group.create_task(self._wait())
            writing = group.create_task(self._write())
            pinging = group.create_task(self._ping())
            sending = group.create_task(self._send())
            await asyncio.wait([writing, pinging, sending])
            try:
                self.infos.append(await self.client.close())
            except expected as exc:
                self.errors.append(exc)
                # Who is told of it can try again.
                self.infos.append(await self.client.close())

    async def _read(self) -> None:
        while True:
            message = await self.client.read_message()
            self.taken.append(message)
            if message is None:
                return
            # So slow that the queue fills.
            for _ in range(4):
                await asyncio.sleep(0)

    async def _listen(self) -> None:
        async for message in self.server:
            self.arrived.append(message)

    async def _wait(self) -> None:
        self.infos.append(await self.client.wait_closed())

    async def _write(self) -> None:
        for number in range(_COUNT):
            try:
                writing = self.client.write_message(outgoing(number), binary=True)
            except self._expected as exc:
                self.refused.append((number, exc))
                continue
            self.written.append(number)
            try:
                await writing
            except WebSocketClosedError as exc:
                self.errors.append(exc)

    async def _ping(self) -> None:
        for _ in range(3):
            try:
                assert await self.client.ping() >= 0
            except self._expected as exc:
                self.errors.append(exc)

    async def _send(self) -> None:
        for number in range(_COUNT):
            try:
                if number % 2:
                    self.server.write_message(incoming(number))
                else:
                    self._send_in_parts(incoming(number).encode())
                if number % 3 == 0:
                    self.server.ping(b"from the server")
            except WebSocketClosedError:
                return
            await asyncio.sleep(0)

    def _send_in_parts(self, data: bytes) -> None:
        self.server.send_bytes(encode_frame(Opcode.TEXT, data[:3], fin=False))
        self.server.send_bytes(encode_frame(Opcode.CONTINUATION, data[3:]))

    def check(self) -> CloseInfo:
        """See that everything came in order, and the end once; return the account."""
        info = self.client.close_info
        assert info is not None
        assert len(self.infos) == 3 and all(each == info for each in self.infos), self.infos
        assert self.taken[-1] is None and None not in self.taken[:-1]
        assert self.taken[:-1] == [incoming(number) for number in range(len(self.taken) - 1)]
        known = {outgoing(number): number for number in self.written}
        server = self.server.close_info
        assert server is not None
        assert server.cause is not CloseCause.PROTOCOL_ERROR, f"the server complains: {server}"
        numbers = [known[bytes(message)] for message in self.arrived]  # type: ignore[arg-type]
        assert numbers == self.written[: len(numbers)], "a message is missing in between"
        if info.clean:
            assert numbers == self.written, "a message is missing, and the end was clean"
        return info
