"""How long the head of an HTTP answer may be: its size is looked at while it comes in.

Servers behind a single sign-on, or with a content security policy, send fields of many KiB.
RFC 9110, section 5.4, leaves it to the receiver how much is taken; browsers take 256 KiB in all.
"""

from __future__ import annotations

import re
from typing import Final

__all__ = ["MAX_FIELDS", "MAX_FIELD_SIZE", "MAX_HEAD_SIZE", "HeadMeter", "HeadTooLongError"]

MAX_FIELD_SIZE: Final = 64 * 1024
"""Bytes of the longest line that is taken: a field's name and value, or the status line."""

MAX_HEAD_SIZE: Final = 256 * 1024
"""Bytes of the longest head that is taken."""

MAX_FIELDS: Final = 512
"""Fields of a head at most."""

_STATUS: Final = re.compile(rb"HTTP/\d(?:\.\d)? +(\d{3})")
_NAME: Final = re.compile(rb"([!#$%&'*+\-.^_`|~0-9A-Za-z]{1,60})[ \t]*:")
_ENDS: Final = b"\r\n"
_WHITE: Final = (b" ", b"\t")


class HeadTooLongError(Exception):
    """A head is too long. It never leaves the package: who knows whose head it was makes another.

    Attributes:
        what: what it has too much of, to follow "has". It names a field, and nothing of its value.
        status: HTTP status of the answer.
    """

    def __init__(self, what: str, status: int) -> None:
        super().__init__(what)
        self.what = what
        self.status = status


class HeadMeter:
    """Measure the heads of interim answers and of the one behind them (RFC 9112, section 2.1).

    Attributes:
        over: whether nothing more is to be measured: the last head has ended, or it is no HTTP.
    """

    __slots__ = ("_field", "_fields", "_line", "_name", "_size", "_status", "over")

    def __init__(self) -> None:
        self.over = False
        self._line = bytearray()
        self._begin()

    def _begin(self) -> None:
        self._status = 0
        self._size = self._fields = self._field = 0
        self._name = ""

    def feed(self, data: bytes) -> None:
        """Measure what has come in, in pieces of any size.

        Raises:
            HeadTooLongError: the head, or a field of it, is too long, or has too many fields.
        """
        position = 0
        while not self.over:
            end = data.find(b"\n", position) + 1
            piece = data[position : end or len(data)]
            self._line += piece
            self._size += len(piece)
            if self._size > MAX_HEAD_SIZE:
                raise self._too_long(f"a head of more than {MAX_HEAD_SIZE} bytes")
            self._check_line()
            if not end:
                return
            self._end_line()
            position = end

    def _check_line(self) -> None:
        # RFC 9112, section 5.2: a line that begins with white space goes on with the field before.
        folded = self._line.startswith(_WHITE)
        if (self._field if folded else 0) + len(self._line) <= MAX_FIELD_SIZE:
            return
        if not self._status:
            self._note_status(self._line)
            if not self.over:
                raise self._too_long(f"a first line of more than {MAX_FIELD_SIZE} bytes")
            return
        name = self._name if folded else _name(self._line)
        field = f"the field {name}" if name else "a field"
        raise self._too_long(f"{field} with more than {MAX_FIELD_SIZE} bytes")

    def _end_line(self) -> None:
        line, self._line = self._line, bytearray()
        text = line.rstrip(_ENDS)
        if not self._status:
            # RFC 9112, section 2.2: empty lines in front of an answer are passed over.
            if text:
                self._note_status(text)
        elif not text:
            # RFC 9110, section 15.2: behind an interim answer comes another one.
            self.over = self._status == 101 or self._status >= 200
            self._begin()
        elif line.startswith(_WHITE):
            self._field += len(line)
        else:
            self._name, self._field = _name(line), len(line)
            self._fields += 1
            if self._fields > MAX_FIELDS:
                raise self._too_long(f"more than {MAX_FIELDS} header fields")

    def _note_status(self, line: bytearray) -> None:
        match = _STATUS.match(line)
        if match is None:
            # Whoever parses it says what is wrong.
            self.over = True
        else:
            self._status = int(match[1])

    def _too_long(self, what: str) -> HeadTooLongError:
        return HeadTooLongError(what, self._status)


def _name(line: bytearray) -> str:
    """Return the name of the field in a line; empty where there is none to show."""
    match = _NAME.match(line)
    return match[1].decode("ascii") if match else ""
