"""Sessions on paper: what was said on a connection, kept as JSON Lines, and said again.

The first line of a file describes the session. Each further line is one event::

    {"time": 0.25, "from": "server", "text": "hello"}
    {"time": 0.31, "from": "client", "binary": "AAEC"}          base64
    {"time": 0.40, "from": "server", "ping": ""}                base64
    {"time": 2.0, "from": "server", "close": 1000, "reason": ""}
    {"time": 2.0, "from": "server", "end": "reset"}             without a Close frame
"""

from __future__ import annotations

import base64
import binascii
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal

from ...protocol.closing import CloseInfo
from ...protocol.opcodes import CloseCode
from ..serving.dialogue import Dialogue

__all__ = ["RecordedEvent", "Recording", "RecordingError", "Sender"]

Sender = Literal["client", "server"]
Kind = Literal["text", "binary", "ping", "close", "end"]
ClientMode = Literal["exact", "any", "ignore"]

_FORMAT: Final = "wsclient recording"
_VERSION: Final = 1
_KINDS: Final[tuple[Kind, ...]] = ("text", "binary", "ping", "close", "end")


class RecordingError(ValueError):
    """A file is no recording, or is damaged."""


@dataclass(frozen=True, slots=True)
class RecordedEvent:
    """One thing that happened.

    Attributes:
        time: seconds since the connection was opened.
        sender: ``"client"`` or ``"server"``.
        kind: ``"text"``, ``"binary"``, ``"ping"``, ``"close"`` or ``"end"``.
        data: ``str`` of a text or of how it ended, ``bytes`` of a binary message or a ping; the
            reason of a close.
        code: of a close; 1005 when the Close frame had none; ``None`` otherwise.
    """

    time: float
    sender: Sender
    kind: Kind
    data: str | bytes = ""
    code: int | None = None

    def to_json(self) -> str:
        """Return the event as a line of JSON, without the line break."""
        line: dict[str, Any] = {"time": round(self.time, 6), "from": self.sender}
        if self.kind == "close":
            line |= {"close": self.code, "reason": self.data}
        elif isinstance(self.data, bytes):
            line[self.kind] = base64.b64encode(self.data).decode("ascii")
        else:
            line[self.kind] = self.data
        return json.dumps(line, ensure_ascii=False)

    @classmethod
    def from_json(cls, line: str) -> RecordedEvent:
        """Read a line.

        Raises:
            ValueError: it is no event.
        """
        value = json.loads(line)
        if not isinstance(value, dict):
            raise ValueError("an event is a JSON object")
        kinds = [kind for kind in _KINDS if kind in value]
        if len(kinds) != 1 or value.get("from") not in ("client", "server"):
            raise ValueError('an event has "from", and one of ' + ", ".join(_KINDS))
        kind, data = kinds[0], value[kinds[0]]
        time = float(value["time"])
        if kind == "close":
            return cls(time, value["from"], kind, str(value.get("reason", "")), int(data))
        if not isinstance(data, str):
            raise ValueError(f"{kind} must be a string")
        if kind in ("binary", "ping"):
            return cls(time, value["from"], kind, base64.b64decode(data, validate=True))
        return cls(time, value["from"], kind, data)


@dataclass
class Recording:
    """A session.

    Attributes:
        url: of the server, without credentials and query.
        subprotocol: the server's choice, ``None`` for none.
        events: what happened, in order.
    """

    url: str = ""
    subprotocol: str | None = None
    events: list[RecordedEvent] = field(default_factory=list)

    def add_message(self, time: float, sender: Sender, message: str | bytes) -> None:
        """Append a message."""
        kind: Kind = "text" if isinstance(message, str) else "binary"
        self.events.append(RecordedEvent(time, sender, kind, message))

    def add_ping(self, time: float, sender: Sender, payload: bytes) -> None:
        """Append a ping."""
        self.events.append(RecordedEvent(time, sender, "ping", payload))

    def add_end(self, time: float, sender: Sender, info: CloseInfo) -> None:
        """Append how one side ended it."""
        if info.received is None:
            event = RecordedEvent(time, sender, "end", info.cause.value)
        else:
            event = RecordedEvent(time, sender, "close", info.reason, info.received)
        self.events.append(event)

    def messages(self, sender: Sender) -> list[str | bytes]:
        """Return the messages of one side."""
        return [e.data for e in self.events if e.sender == sender and e.kind in ("text", "binary")]

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the file; blocks while it writes.

        Raises:
            OSError: it cannot be written.
        """
        head = {"format": _FORMAT, "version": _VERSION, "url": self.url}
        if self.subprotocol is not None:
            head["subprotocol"] = self.subprotocol
        lines = [json.dumps(head, ensure_ascii=False), *(e.to_json() for e in self.events)]
        Path(path).write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Recording:
        """Read a file; blocks while it reads.

        Raises:
            RecordingError: it is no recording, or a line is damaged; the text has its number.
            OSError: it cannot be read.
        """
        lines = Path(path).read_bytes().split(b"\n")
        head = _read_head(os.fspath(path), lines[0])
        recording = cls(str(head.get("url", "")), head.get("subprotocol"))
        for number, line in enumerate(lines[1:], 2):
            if not line.strip():
                continue
            try:
                recording.events.append(RecordedEvent.from_json(line.decode()))
            except (ValueError, KeyError, TypeError, binascii.Error) as exc:
                raise RecordingError(
                    f"{os.fspath(path)}, line {number}, is no event of a recording: {exc}"
                ) from exc
        return recording

    def dialogue(
        self,
        *,
        speed: float | None = 1.0,
        client: ClientMode = "exact",
        timeout: float | None = 5.0,
    ) -> Dialogue:
        """Return what the server did, to be done again on other connections.

        The server waits where it had heard something from the client before it went on.

        Args:
            speed: 1.0 keeps the original timing, 10.0 is ten times as fast; ``None`` leaves all
                pauses out.
            client: ``"exact"`` expects the client's messages as they were; ``"any"`` as many,
                whatever they are; ``"ignore"`` waits for none.
            timeout: seconds to wait for each of the client's messages; ``None`` for ever.

        Raises:
            ValueError: the speed is not above 0, or `client` is another word.
        """
        if speed is not None and not speed > 0:
            raise ValueError("speed must be above 0; None leaves all pauses out")
        if client not in ("exact", "any", "ignore"):
            raise ValueError(f"client must be 'exact', 'any' or 'ignore', not {client!r}")
        dialogue, before = Dialogue(timeout=timeout), 0.0
        for event in self.events:
            if event.sender == "client":
                dialogue = _hear(dialogue, event, client)
            else:
                if speed is not None and event.time > before:
                    dialogue = dialogue.delay((event.time - before) / speed)
                dialogue = _say(dialogue, event)
            before = event.time
        return dialogue


def _read_head(path: str, line: bytes) -> Mapping[str, Any]:
    try:
        head = json.loads(line)
    except ValueError:
        head = None
    if not isinstance(head, dict) or head.get("format") != _FORMAT:
        raise RecordingError(f"{path} is no recording: its first line does not say so")
    if head.get("version") != _VERSION:
        raise RecordingError(
            f"{path} has version {head.get('version')!r} of the format; {_VERSION} is known here"
        )
    return head


def _hear(dialogue: Dialogue, event: RecordedEvent, client: ClientMode) -> Dialogue:
    if client == "ignore" or event.kind == "ping":
        return dialogue
    if event.kind in ("text", "binary"):
        return dialogue.expect(event.data if client == "exact" else None)
    exact = client == "exact" and event.kind == "close"
    return dialogue.expect_close(event.code if exact else None)


def _say(dialogue: Dialogue, event: RecordedEvent) -> Dialogue:
    if event.kind == "ping":
        assert isinstance(event.data, bytes)
        return dialogue.ping(event.data)
    if event.kind == "close":
        without = event.code in (None, CloseCode.NO_STATUS_RECEIVED)
        code = CloseCode.NORMAL_CLOSURE if without or event.code is None else event.code
        return dialogue.close(int(code), "" if without else str(event.data))
    if event.kind == "end":
        return dialogue.abort()
    return dialogue.send(event.data)
