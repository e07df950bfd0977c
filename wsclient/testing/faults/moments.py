"""Finds HTTP heads and frame boundaries in the bytes of one direction, without changing them.

Only lengths are looked at: nothing is unmasked and nothing is checked, so that wrong frames
pass like right ones. What does not begin like HTTP is not looked at again.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from .rules import Event, Way

__all__ = ["Moment", "Tracker"]

_HEAD_END = b"\r\n\r\n"
_LONGEST_HEAD = 65536
"""Bytes of a head that are remembered; the end of a longer one is still found."""

_STATUS = re.compile(rb"HTTP/1\.[01] (\d{3})\b[^\r\n]*\r\n(?:[^\r\n]+\r\n)*\r\n$")
_UPGRADE = re.compile(rb"\r\nupgrade:[ \t]*[^\r\n]*websocket", re.IGNORECASE)
_METHOD = re.compile(rb"[A-Z]{1,5}")


@dataclass(frozen=True, slots=True)
class Moment:
    """A place between two bytes where something begins or has ended.

    Attributes:
        event: ``"request"``, ``"upgraded"`` or ``"close"``; ``None`` for the beginning of a
            frame.
        frame: the number of the frame that begins.
        opcode: its opcode.
    """

    event: Event | None = None
    frame: int | None = None
    opcode: int | None = None


_REQUEST, _UPGRADED, _CLOSE = Moment("request"), Moment("upgraded"), Moment("close")


class Tracker:
    """Follows one direction of one connection.

    Attributes:
        way: the direction.
        other: the tracker of the other direction; a response tells it what comes next.
        frames: how many frames have begun.

    Args:
        way: the direction.
        blind: whether the bytes cannot be understood, as with TLS.
    """

    def __init__(self, way: Way, *, blind: bool = False) -> None:
        self.way = way
        self.other: Tracker | None = None
        self.frames = 0
        self._step: Callable[[bytes | memoryview, int], tuple[int, Moment | None]] | None = (
            None if blind else self._first_bytes
        )
        self._seen = bytearray()
        self._begun = False
        self._header = bytearray()
        self._left = 0
        self._opcode = 0
        self._requested = False

    def feed(
        self, data: bytes | memoryview, wanted: Callable[[Moment], bool]
    ) -> tuple[int, Moment | None]:
        """Follow bytes up to the next wanted moment.

        Args:
            data: bytes that come next.
            wanted: says of a moment whether to stop there.

        Returns:
            How many of the bytes come before the moment, and the moment; all of them and
            ``None`` when there is none.
        """
        position = 0
        while position < len(data):
            if self._step is None:
                return len(data), None
            step, moment = self._step(data, position)
            position += step
            if moment is not None and wanted(moment):
                return position, moment
        return position, None

    @property
    def upgraded(self) -> bool:
        """Whether the bytes that come next are frames."""
        return self._step == self._frame_bytes

    def back_to_http(self) -> None:
        """Expect another HTTP head: the request to upgrade was answered with something else."""
        if self.upgraded and not self.frames:
            self._step = self._head_bytes
            self._seen.clear()

    def _first_bytes(self, data: bytes | memoryview, at: int) -> tuple[int, Moment | None]:
        """See whether this is HTTP at all."""
        begin = bytes(self._seen) + bytes(data[at : at + 5])
        if self.way == "to_client":
            plausible = begin.startswith(b"HTTP/"[: len(begin)])
        else:
            plausible = _METHOD.match(begin) is not None
        self._step = self._head_bytes if plausible else None
        return 0, None

    def _head_bytes(self, data: bytes | memoryview, at: int) -> tuple[int, Moment | None]:
        before = len(self._seen)
        self._seen += data[at:]
        # The end may have begun in what was seen before.
        found = self._seen.find(_HEAD_END, max(0, before - len(_HEAD_END) + 1))
        if found < 0:
            del self._seen[:-_LONGEST_HEAD]
            return len(data) - at, None
        end = found + len(_HEAD_END)
        head = bytes(self._seen[:end])
        self._seen.clear()
        return end - before, self._after_head(head)

    def _after_head(self, head: bytes) -> Moment | None:
        if self.way == "to_server":
            if _UPGRADE.search(head):
                self._step = self._frame_bytes
            return _REQUEST
        # A body of an earlier response may stand before the head.
        found = _STATUS.search(head)
        status = int(found[1]) if found else 0
        if status == 101:
            self._step = self._frame_bytes
            return _UPGRADED
        if status >= 200 and self.other is not None:
            self.other.back_to_http()
        return None

    def _frame_bytes(self, data: bytes | memoryview, at: int) -> tuple[int, Moment | None]:
        """Follow one frame (RFC 6455, section 5.2)."""
        if not self._begun:
            self._begun = True
            self._opcode = data[at] & 0x0F
            self.frames += 1
            return 0, Moment(frame=self.frames - 1, opcode=self._opcode)
        if self._left:
            step = min(self._left, len(data) - at)
            self._left -= step
            return step, self._end_of_frame()
        return self._header_bytes(data, at)

    def _header_bytes(self, data: bytes | memoryview, at: int) -> tuple[int, Moment | None]:
        header = self._header
        before = len(header)
        header += data[at : at + _header_size(header) - before]
        step = len(header) - before
        if len(header) < _header_size(header):
            return step, None
        size = header[1] & 0x7F
        if size >= 126:
            size = int.from_bytes(header[2 : 4 if size == 126 else 10], "big")
        header.clear()
        self._left = size
        return step, self._end_of_frame()

    def _end_of_frame(self) -> Moment | None:
        if self._left:
            return None
        self._begun = False
        return _CLOSE if self._opcode == 0x8 else None


def _header_size(header: bytearray) -> int:
    """Return how long a frame header is, as far as its beginning tells."""
    if len(header) < 2:
        return 2
    size = header[1] & 0x7F
    extended = {126: 2, 127: 8}.get(size, 0)
    return 2 + extended + (4 if header[1] & 0x80 else 0)
