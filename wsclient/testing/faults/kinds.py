"""WHAT can go wrong: one small class for each fault, and the condition of a line."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from dataclasses import replace as _replace
from types import EllipsisType
from typing import Any, Literal, get_args

__all__ = [
    "BlackHole",
    "Change",
    "Corrupt",
    "Drop",
    "Ends",
    "Fault",
    "Insert",
    "Line",
    "Pause",
    "Reset",
    "Resume",
    "Truncate",
    "as_bytes",
    "fault_from_dict",
    "fault_to_dict",
    "whole",
]

Ends = Literal["client", "server", "both"]
"""One end of a connection, or both."""


def whole(name: str, value: object, least: int, most: int | None = None) -> None:
    """Check that an argument is a whole number in its range.

    Args:
        name: of the argument, for the message.
        value: what was given.
        least: the smallest number allowed.
        most: the largest; ``None`` when there is none.

    Raises:
        TypeError: it is no whole number.
        ValueError: it is out of range.
    """
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"{name} must be a whole number, not {value!r}.")
    if value < least or (most is not None and value > most):
        top = "" if most is None else f" and {most} at most"
        raise ValueError(f"{name} must be {least} at least{top}, not {value}.")


def _seconds(name: str, value: object) -> None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"{name} must be a number of seconds, not {value!r}.")
    if not 0 <= value < math.inf:
        raise ValueError(f"{name} must be 0 or more seconds, not {value}.")


def _rate(value: object) -> None:
    if value is None:
        return
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"bandwidth must be bytes per second or None, not {value!r}.")
    if not 0 < value < math.inf:
        raise ValueError(
            f"bandwidth must be more than 0 bytes per second, not {value}: None is no limit, and"
            " pause() lets nothing pass."
        )


@dataclass(frozen=True, kw_only=True)
class Line:
    """The condition of one direction: how soon, how fast and in what pieces bytes pass.

    Attributes:
        latency: seconds that each byte takes, from the moment it is read.
        jitter: up to so many seconds come on top, drawn anew for each chunk that is read. Bytes
            never overtake each other, so one late chunk delays those behind it.
        bandwidth: bytes per second; ``None`` is no limit.
        chunk_size: bytes in one write to the receiver at most, each write a segment of its own
            as far as TCP's windows allow; ``None`` is no limit.

    Raises:
        TypeError: a value is of a wrong type.
        ValueError: a value is out of range.
    """

    latency: float = 0.0
    jitter: float = 0.0
    bandwidth: float | None = None
    chunk_size: int | None = None

    def __post_init__(self) -> None:
        _seconds("latency", self.latency)
        _seconds("jitter", self.jitter)
        _rate(self.bandwidth)
        if self.chunk_size is not None:
            whole("chunk_size", self.chunk_size, 1)


@dataclass(frozen=True)
class Pause:
    """Hold all bytes back, FIN and RST too; when the buffers are full, the sender is blocked."""


@dataclass(frozen=True)
class Resume:
    """Let bytes pass again after `Pause` or `BlackHole`; what was held back comes first."""


@dataclass(frozen=True)
class BlackHole:
    """Swallow all bytes, FIN and RST too; nothing is closed and the sender sees nothing."""


@dataclass(frozen=True)
class Truncate:
    """Send FIN to the receiver and swallow all further bytes; the other direction goes on."""


@dataclass(frozen=True)
class Reset:
    """End the connection with RST.

    Attributes:
        to: which end gets the RST. An end that gets none sees nothing: it stays connected, and
            what it sends is swallowed.

    Raises:
        ValueError: `to` is none of the three words.
    """

    to: Ends = "both"

    def __post_init__(self) -> None:
        if self.to not in get_args(Ends):
            raise ValueError(f'to must be "client", "server" or "both", not {self.to!r}.')


@dataclass(frozen=True)
class Corrupt:
    """Change the next bytes.

    Attributes:
        count: how many bytes.
        xor: what each is combined with, 1..255; ``None`` with no `value` flips one bit of each,
            which the proxy's seed chooses.
        value: what each is replaced by, 0..255; ``None`` leaves that to `xor`.

    Raises:
        TypeError: a value is of a wrong type.
        ValueError: a value is out of range, or both `xor` and `value` are given.
    """

    count: int = 1
    xor: int | None = None
    value: int | None = None

    def __post_init__(self) -> None:
        whole("count", self.count, 1)
        if self.xor is not None and self.value is not None:
            raise ValueError("Give either xor or value: a byte can be changed in one way only.")
        if self.xor is not None:
            whole("xor", self.xor, 1, 255)
        if self.value is not None:
            whole("value", self.value, 0, 255)


@dataclass(frozen=True)
class Drop:
    """Leave out the next bytes.

    Attributes:
        count: how many bytes.

    Raises:
        TypeError: it is no whole number.
        ValueError: it is not positive.
    """

    count: int = 1

    def __post_init__(self) -> None:
        whole("count", self.count, 1)


@dataclass(frozen=True)
class Insert:
    """Send bytes to the receiver that the sender never sent; offsets do not count them.

    Attributes:
        data: the bytes, one at least.

    Raises:
        TypeError: they are not bytes.
        ValueError: there are none.
    """

    data: bytes

    def __post_init__(self) -> None:
        if not isinstance(self.data, bytes):
            raise TypeError(f"data must be bytes, not {type(self.data).__name__}.")
        if not self.data:
            raise ValueError("data is empty: there is nothing to insert.")


@dataclass(frozen=True, kw_only=True)
class Change:
    """Change the condition of the line; what is ``...`` stays as it is.

    Attributes:
        latency: as in `Line`, and so are the others.
        jitter: seconds.
        bandwidth: bytes per second, or ``None``.
        chunk_size: bytes, or ``None``.

    Raises:
        TypeError: a value is of a wrong type.
        ValueError: a value is out of range, or nothing is to be changed.
    """

    latency: float | EllipsisType = ...
    jitter: float | EllipsisType = ...
    bandwidth: float | EllipsisType | None = ...
    chunk_size: int | EllipsisType | None = ...

    def __post_init__(self) -> None:
        if not self._settings():
            raise ValueError("Name what is to change: latency, jitter, bandwidth or chunk_size.")
        self.of(Line())

    def of(self, line: Line) -> Line:
        """Return `line` with the change.

        Args:
            line: the condition before.

        Returns:
            The condition after.
        """
        return _replace(line, **self._settings())

    def _settings(self) -> dict[str, Any]:
        found = {field.name: getattr(self, field.name) for field in fields(self)}
        return {name: value for name, value in found.items() if value is not ...}


Fault = Pause | Resume | BlackHole | Truncate | Reset | Corrupt | Drop | Insert | Change

_NAMES: dict[str, type[Fault]] = {
    "pause": Pause,
    "resume": Resume,
    "black_hole": BlackHole,
    "truncate": Truncate,
    "reset": Reset,
    "corrupt": Corrupt,
    "drop": Drop,
    "insert": Insert,
    "set": Change,
}


def fault_from_dict(name: object, arguments: dict[str, Any]) -> Fault:
    """Make a fault from plain data.

    Args:
        name: as the method of a direction is called, such as ``"reset"``.
        arguments: as that method takes them; bytes may be text of the characters U+0000 to
            U+00FF instead, one for each byte.

    Returns:
        The fault.

    Raises:
        TypeError: an argument is unknown, missing or of a wrong type.
        ValueError: there is no such fault, or an argument is out of range.
    """
    kind = _NAMES.get(name) if isinstance(name, str) else None
    if kind is None:
        raise ValueError(f"The fault must be one of {', '.join(_NAMES)}, not {name!r}.")
    known = [field.name for field in fields(kind)]
    unknown = sorted(set(arguments) - set(known))
    if unknown:
        takes = f"takes {', '.join(known)}" if known else "takes no arguments"
        raise TypeError(f"The fault {name!r} {takes}, not {', '.join(unknown)}.")
    if kind is Insert:
        if "data" not in arguments:
            raise TypeError("The fault 'insert' needs data.")
        arguments = {"data": as_bytes("data", arguments["data"])}
    return kind(**arguments)


def fault_to_dict(fault: Fault) -> dict[str, Any]:
    """Turn a fault into plain data, ready for JSON.

    Args:
        fault: any of the faults.

    Returns:
        Its name as ``"fault"`` and those of its arguments that are not at their defaults.
    """
    name = next(name for name, kind in _NAMES.items() if kind is type(fault))
    found: dict[str, Any] = {"fault": name}
    for field in fields(fault):
        value = getattr(fault, field.name)
        if value != field.default:
            found[field.name] = value.decode("latin-1") if isinstance(value, bytes) else value
    return found


def as_bytes(name: str, value: object) -> bytes:
    """Return bytes that plain data holds as text, one character for each byte.

    Args:
        name: of the argument, for the message.
        value: bytes, or text of the characters U+0000 to U+00FF.

    Returns:
        The bytes.

    Raises:
        TypeError: it is neither.
        ValueError: a character stands for no byte.
    """
    if isinstance(value, bytes):
        return value
    if not isinstance(value, str):
        raise TypeError(f"{name} must be bytes or text, not {type(value).__name__}.")
    try:
        return value.encode("latin-1")
    except UnicodeEncodeError:
        raise ValueError(
            f"{name} holds a character above U+00FF: each character stands for one byte."
        ) from None
