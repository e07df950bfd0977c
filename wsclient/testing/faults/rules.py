"""WHERE and WHEN something goes wrong: rules, which are plain data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Literal, get_args

from .kinds import (
    Fault,
    as_bytes,
    fault_from_dict,
    fault_to_dict,
    whole,
)

__all__ = ["Event", "Rule", "Way", "When"]

Way = Literal["to_client", "to_server"]
"""One of the two directions of a connection, by where its bytes go."""

Event = Literal["connected", "request", "upgraded", "close", "fin"]
"""What can happen on a connection, see `When`."""

_OF_THE_CONNECTION: dict[str, Way] = {
    "connected": "to_server",
    "request": "to_server",
    "upgraded": "to_client",
}
"""Events that are not of a direction that one may choose, and where they are seen."""

_IN_PLAIN_TEXT = frozenset({"request", "upgraded", "close"})


@dataclass(frozen=True, kw_only=True)
class When:
    """A moment on a connection; exactly one of the first five is given.

    A moment comes once on each connection at most.

    Attributes:
        byte: that many bytes of the direction have passed, as they came from the sender:
            neither dropped nor inserted bytes shift the count. 0 is when both ends are
            connected.
        event: ``"connected"``, the client has been accepted and the server is not yet asked;
            ``"request"``, the first HTTP request head has passed; ``"upgraded"``, the head of
            the 101 response has passed; ``"close"``, a Close frame has passed; ``"fin"``, the
            sender has ended its half of the connection, and its FIN is next to pass.
        frame: the frame of that number, from 0, has begun to arrive and is next to pass.
        opcode: the same for the next frame with that opcode, 0..15.
        match: these bytes, one at least, have passed since the rule was made.
        of: the direction in which the moment is watched; ``None`` is the one in which the fault
            acts. ``"connected"``, ``"request"`` and ``"upgraded"`` have places of their own.

    Raises:
        TypeError: a value is of a wrong type, or not exactly one moment is given.
        ValueError: a value is out of range, or `of` is given where it can say nothing.
    """

    byte: int | None = None
    event: Event | None = None
    frame: int | None = None
    opcode: int | None = None
    match: bytes | None = None
    of: Way | None = None

    def __post_init__(self) -> None:
        moments = (self.byte, self.event, self.frame, self.opcode, self.match)
        if sum(each is not None for each in moments) != 1:
            raise TypeError("Give exactly one moment: byte, event, frame, opcode or match.")
        if self.byte is not None:
            whole("byte", self.byte, 0)
        if self.frame is not None:
            whole("frame", self.frame, 0)
        if self.opcode is not None:
            whole("opcode", self.opcode, 0, 15)
        if self.match is not None and not isinstance(self.match, bytes):
            raise TypeError(f"match must be bytes, not {type(self.match).__name__}.")
        if self.match == b"":
            raise ValueError("match is empty: there is nothing to wait for.")
        if self.event is not None and self.event not in get_args(Event):
            words = ", ".join(get_args(Event))
            raise ValueError(f"event must be one of {words}, not {self.event!r}.")
        self._check_of()

    def _check_of(self) -> None:
        if self.of is None:
            return
        _check_way("of", self.of)
        if self.event in _OF_THE_CONNECTION:
            raise ValueError(f"The event {self.event!r} has its own place: leave out of.")

    @property
    def needs_plain_text(self) -> bool:
        """Whether the moment cannot be seen through TLS."""
        return self.frame is not None or self.opcode is not None or self.event in _IN_PLAIN_TEXT

    def watched(self, way: Way) -> Way:
        """Return the direction in which the moment is seen.

        Args:
            way: the direction in which the fault acts.

        Returns:
            A direction.
        """
        return _OF_THE_CONNECTION.get(self.event or "", self.of or way)


@dataclass(frozen=True)
class Rule:
    """WHERE, WHEN and WHAT: one fault at one moment in one direction.

    It acts once on each connection that it is for.

    Attributes:
        direction: where the fault acts.
        when: the moment.
        fault: what happens then.
        connection: the number of the connection, from 0 in the order of being accepted;
            ``None`` is every one.

    Raises:
        TypeError: a value is of a wrong type.
        ValueError: a value is out of range.
    """

    direction: Way
    when: When
    fault: Fault
    connection: int | None = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        _check_way("direction", self.direction)
        if not isinstance(self.when, When):
            raise TypeError(f"when must be a When, not {type(self.when).__name__}.")
        if not isinstance(self.fault, Fault):
            raise TypeError(f"fault must be one of the faults, not {type(self.fault).__name__}.")
        if self.connection is not None:
            whole("connection", self.connection, 0)

    @classmethod
    def from_dict(cls, plain: Mapping[str, Any]) -> Rule:
        """Make a rule from plain data, such as comes from JSON.

        Args:
            plain: ``direction`` and ``fault``, the name of a fault; one moment of `When` and
                perhaps ``of``; perhaps ``connection``; and the arguments of the fault. Bytes may
                be text of the characters U+0000 to U+00FF, one for each byte.

        Returns:
            The rule.

        Raises:
            TypeError: a key is unknown or missing, or a value is of a wrong type.
            ValueError: a value is out of range.
        """
        rest = dict(plain)
        missing = [key for key in ("direction", "fault") if key not in rest]
        if missing:
            raise TypeError(f"A rule needs {' and '.join(missing)}: {dict(plain)!r}")
        direction, name = rest.pop("direction"), rest.pop("fault")
        connection = rest.pop("connection", None)
        moment = {each.name: rest.pop(each.name) for each in fields(When) if each.name in rest}
        if moment.get("match") is not None:
            moment["match"] = as_bytes("match", moment["match"])
        fault = fault_from_dict(name, rest)
        return cls(direction, When(**moment), fault, connection=connection)

    def to_dict(self) -> dict[str, Any]:
        """Turn the rule into plain data, ready for JSON.

        Returns:
            What `from_dict` takes.
        """
        plain: dict[str, Any] = {"direction": self.direction}
        if self.connection is not None:
            plain["connection"] = self.connection
        for each in fields(When):
            value = getattr(self.when, each.name)
            if value is not None:
                plain[each.name] = value.decode("latin-1") if each.name == "match" else value
        return plain | fault_to_dict(self.fault)


def _check_way(name: str, value: object) -> None:
    if value not in get_args(Way):
        raise ValueError(f'{name} must be "to_client" or "to_server", not {value!r}.')
