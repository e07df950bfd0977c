"""What one client process is to do, and what came of it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Literal, Self
from urllib.parse import urlencode

from benchmarks.messages import binary, json_messages, text

__all__ = ["LARGEST", "Job", "Kind", "Outcome"]

Kind = Literal["flood", "echo", "send", "connect", "idle"]

LARGEST = 64 * 1024 * 1024
"""Bytes of the largest message that a client is told to take."""

_PATHS = {"flood": "/flood", "echo": "/echo", "send": "/sink", "connect": "/echo", "idle": "/echo"}


@dataclass(frozen=True)
class Job:
    """A work, and where and for how long to do it.

    Attributes:
        kind: ``flood`` receives messages, ``echo`` sends one and waits for the next, ``send``
            sends them back to back, ``connect`` connects and closes, ``idle`` is connected.
        size: bytes of a payload.
        text: whether messages are text.
        level: zlib's level for permessage-deflate, 0 for none; memory level 8, window 15.
        connections: how many there are at the same time.
        secure: whether by TLS.
        seconds: CPU that the measurement should take.
        count: how many messages or connects; 0 means as many as take `seconds`.
        origin: the server's scheme, host and port.
        ca_file: a certificate to trust, empty without TLS.
        core: the CPU to run on, ``None`` for any.
        spin: seconds of `speed.spin` at full speed; 0 measures at any speed.
    """

    kind: Kind
    size: int = 1
    text: bool = False
    level: int = 0
    connections: int = 1
    secure: bool = False
    seconds: float = 0.1
    count: int = 0
    origin: str = ""
    ca_file: str = ""
    core: int | None = None
    spin: float = 0.0

    @property
    def path(self) -> str:
        """The path and query that tell the server what to do."""
        query: dict[str, int] = {"size": self.size}
        if self.text:
            query["text"] = 1
        if self.level:
            query["level"] = self.level
        if self.connections > 1:
            query["together"] = 1
        return f"{_PATHS[self.kind]}?{urlencode(query)}"

    @property
    def url(self) -> str:
        """The URL to connect to."""
        return self.origin + self.path

    @property
    def messages(self) -> Sequence[str | bytes]:
        """What to send, in turn."""
        if self.level:
            return json_messages(self.size)
        return [text(self.size) if self.text else binary(self.size)]

    def to_json(self) -> str:
        """Return it as JSON."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Read what `to_json` returns."""
        return cls(**json.loads(text))


@dataclass(frozen=True)
class Outcome:
    """What a client process found.

    Attributes:
        cost: µs of CPU per message or connect, or KiB per connection.
        wall: µs of time per message or connect, 0 for idle connections.
        count: messages or connects that were measured.
        full_speed: whether the CPU had its full speed meanwhile.
    """

    cost: float
    wall: float
    count: int
    full_speed: bool = True

    def to_json(self) -> str:
        """Return it as JSON."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Read what `to_json` returns."""
        return cls(**json.loads(text))
