"""The moments in the life of a connection at which a line can break."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from robustness.faults.observing import Talk
from wsclient import WebSocketClientConnection
from wsclient.testing.faults import Way

__all__ = ["BODY", "CLOSE_TIMEOUT", "PHASES", "Phase", "chat_and_close"]

CLOSE_TIMEOUT: Final = 0.5
"""Seconds, of every connection that meets a fault at one of these moments."""

BODY: Final = b"extended length, " * 20
"""A message whose length takes the extended form (RFC 6455, section 5.2)."""


async def _listen(conn: WebSocketClientConnection) -> None:
    """Wait for what the server does."""


async def _chat(conn: WebSocketClientConnection) -> None:
    await conn.write_message("hello")
    await conn.write_message(BODY, binary=True)


async def chat_and_close(conn: WebSocketClientConnection) -> None:
    """Send two messages and close at once."""
    await _chat(conn)
    await conn.close(1000)


@dataclass(frozen=True)
class Phase:
    """One moment.

    Attributes:
        name: says when, for a person.
        way: the direction whose line breaks.
        moment: as `Direction.at` takes it.
        talk: what the program does.
        path: what it asks of the server.
        abilities: what the server must be able to do.
        query: of the URL.
    """

    name: str
    way: Way
    moment: Mapping[str, Any]
    talk: Talk = _chat
    path: str = "/echo"
    abilities: frozenset[str] = frozenset({"echo"})
    query: Mapping[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        return self.name


def _fragmented(name: str, moment: Mapping[str, Any]) -> Phase:
    return Phase(
        name,
        "to_client",
        moment,
        _listen,
        "/fragments",
        frozenset({"fragments"}),
        {"count": 3, "size": 8},
    )


def _server_closes(name: str, way: Way, moment: Mapping[str, Any]) -> Phase:
    return Phase(name, way, moment, _listen, "/close", frozenset({"close"}), {"code": 1001})


PHASES: Final = (
    Phase("upgrade: in the request", "to_server", {"byte": 40}),
    Phase("upgrade: before the response", "to_client", {"event": "request"}),
    Phase("upgrade: in the status line", "to_client", {"byte": 5}),
    Phase("upgrade: in a header", "to_client", {"byte": 40}),
    Phase("upgrade: before the last byte of the head", "to_client", {"match": b"\r\n\r"}),
    Phase("upgrade: after the head", "to_client", {"event": "upgraded"}),
    Phase("first frame: ours, before it", "to_server", {"frame": 0}),
    Phase("first frame: before it", "to_client", {"frame": 0}),
    Phase("frame: in the header", "to_client", {"match": b"\x81"}),
    Phase("frame: in the extended length", "to_client", {"match": b"\x82\x7e\x01"}),
    Phase("frame: in the payload", "to_client", {"match": b"\x05hel"}),
    Phase("frame: in the long payload", "to_client", {"match": b"extended length, ext"}),
    Phase("frame: ours, in the long payload", "to_server", {"match": b"\x82\xfe\x01"}),
    Phase("frame: between two", "to_client", {"frame": 1}),
    _fragmented("fragments: between two", {"frame": 1}),
    _fragmented("fragments: in the second", {"match": b"\x00\x08000"}),
    Phase("our closing: before our Close", "to_server", {"opcode": 8}, chat_and_close),
    Phase("our closing: behind our Close", "to_server", {"event": "close"}, chat_and_close),
    Phase("our closing: before their Close", "to_client", {"opcode": 8}, chat_and_close),
    Phase("our closing: in their Close", "to_client", {"match": b"\x88"}, chat_and_close),
    Phase("our closing: behind their Close", "to_client", {"event": "close"}, chat_and_close),
    _server_closes("their closing: before their Close", "to_client", {"opcode": 8}),
    _server_closes("their closing: in their Close", "to_client", {"match": b"\x88\x02\x03"}),
    _server_closes("their closing: behind their Close", "to_client", {"event": "close"}),
    _server_closes("their closing: before our Close", "to_server", {"opcode": 8}),
    _server_closes("their closing: behind our Close", "to_server", {"event": "close"}),
)
