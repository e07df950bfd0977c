"""One short conversation, broken at one byte after the other."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from robustness.faults.observing import Observation, Talk, observe
from support.process import PeerProcess
from wsclient import WebSocketClientConnection
from wsclient.testing.faults import Fault, FaultProxy, Rule, Way, When

__all__ = ["FRAME_SIZE", "PUSHED", "SIZE", "TALKED", "Conversation", "measure", "sweep"]

SIZE = 126
"""Bytes of a message: the shortest whose length takes the extended form."""

FRAME_SIZE = 4 + SIZE
"""Bytes of its frame, as a server sends it."""

_WORKERS = 8
"""Connections at the same time: those that wait for a time limit hold no other up."""


@dataclass(frozen=True)
class Conversation:
    """What is said.

    Attributes:
        path: what the client asks of the server.
        query: of the URL.
        talk: what the client does.
    """

    path: str
    query: Mapping[str, Any]
    talk: Talk

    def url(self, peer: PeerProcess) -> str:
        """Return where to connect for it."""
        return peer.url(self.path, **self.query)


async def _listen(conn: WebSocketClientConnection) -> None:
    await conn.wait_closed()


async def _say(conn: WebSocketClientConnection) -> None:
    await conn.write_message("hi")
    await conn.write_message(b"." * SIZE, binary=True)
    await conn.close(1000)


PUSHED = Conversation("/push", {"count": 2, "size": SIZE}, _listen)
"""The server sends two messages and closes."""

TALKED = Conversation("/echo", {}, _say)
"""The client sends two messages and closes."""


async def measure(peer: PeerProcess, said: Conversation) -> dict[Way, int]:
    """Return how many bytes go each way when nothing breaks."""
    async with FaultProxy(said.url(peer)) as proxy:
        seen = await observe(proxy.url, said.talk)
        assert seen.outcome.clean
        (passed,) = await proxy.until(lambda seen: seen[0].ended)
    return {"to_client": passed.to_client.passed, "to_server": passed.to_server.passed}


async def sweep(
    peer: PeerProcess,
    said: Conversation,
    faults: Sequence[tuple[Way, int, Fault]],
    check: Callable[[Way, int, Observation], None],
    **options: Any,
) -> None:
    """Have the conversation once for each fault, which comes at a byte of a direction.

    Args:
        peer: the server.
        said: the conversation.
        faults: direction, offset and fault.
        check: is given direction, offset and what the client saw.
        options: for `websocket_connect`.
    """

    async def work(share: Sequence[tuple[Way, int, Fault]]) -> None:
        script = [
            Rule(way, When(byte=offset), fault, connection=number)
            for number, (way, offset, fault) in enumerate(share)
        ]
        async with FaultProxy(said.url(peer), script=script) as proxy:
            for way, offset, fault in share:
                try:
                    seen = await observe(proxy.url, said.talk, **options)
                    check(way, offset, seen)
                except Exception as error:
                    error.add_note(f"{peer.name}, {way}, byte {offset}: {fault}")
                    raise

    async with asyncio.TaskGroup() as group:
        for number in range(_WORKERS):
            group.create_task(work(faults[number::_WORKERS]))
