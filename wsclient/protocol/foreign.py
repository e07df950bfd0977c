"""What arrives in place of frames: text of a server or gateway that speaks no WebSocket after all.

Some refuse only behind an upgrade that they have accepted, by an HTTP answer or a page. Where a
frame begins, every printable ASCII character has a reserved bit set (RFC 6455, section 5.2), so
that the parser refuses it; here it is told what it was.
"""

from __future__ import annotations

import re
from typing import Final

from ..errors import ProtocolError
from .roles import Role

__all__ = ["MOST_QUOTED", "as_text"]

MOST_QUOTED: Final = 120
"""Bytes of the first line that an error quotes at most."""

_SECTION: Final = "RFC 6455, section 5.2"
_HTTP: Final = re.compile(rb"HTTP/\d")
_MARKUP: Final = re.compile(rb"<[!?A-Za-z]")
_TEXT: Final = re.compile(rb"[ -~]{16}")
_LINE: Final = re.compile(rb"[^\r\n]*")


def as_text(data: bytes, role: Role) -> ProtocolError | None:
    """Return the error for text in place of a frame; ``None`` for what does not look like text.

    Args:
        data: from where the frame would begin; 2 bytes or more.
        role: the end that received it.
    """
    line = _LINE.match(data)
    assert line is not None
    quoted = line[0][:MOST_QUOTED].decode("utf-8", "backslashreplace")
    if _HTTP.match(data):
        what = "an HTTP answer"
    elif _MARKUP.match(data):
        what = "a page"
    elif _TEXT.match(data):
        what = "text"
    else:
        return None
    shown = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in quoted)
    more = "..." if len(line[0]) > MOST_QUOTED else ""
    return ProtocolError(
        f"The {role.peer} sent {what} in place of frames, which begins with "
        f'"{shown}{more}". It, or a gateway in front of it, may refuse the connection by that',
        section=_SECTION,
    )
