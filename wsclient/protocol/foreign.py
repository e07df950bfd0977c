"""What arrives in place of frames: text of a server or gateway that speaks no WebSocket after all.

Some refuse only behind an upgrade that they have accepted, by an HTTP answer or a page. Where a
frame begins, every printable ASCII character has a reserved bit set (RFC 6455, section 5.2), so
that the parser refuses it; here it is told what it was.
"""

from __future__ import annotations

import re
from typing import Final

__all__ = ["MOST_QUOTED", "told_as_text"]

MOST_QUOTED: Final = 120
"""Bytes of the first line that an error quotes at most."""

_HTTP: Final = re.compile(rb"HTTP/\d")
_MARKUP: Final = re.compile(rb"<[!?A-Za-z]")
_TEXT: Final = re.compile(rb"[ -~]{16}")
_LINE: Final = re.compile(rb"[^\r\n]*")


def told_as_text(data: bytes) -> str:
    """Tell what came in place of a frame, to follow "it sent"; empty for what is no text.

    Args:
        data: from where the frame would begin.
    """
    line = _LINE.match(data)
    assert line is not None
    if _HTTP.match(data):
        what = "an HTTP answer"
    elif _MARKUP.match(data):
        what = "a page"
    elif _TEXT.match(data):
        what = "text"
    else:
        return ""
    quoted = line[0][:MOST_QUOTED].decode("utf-8", "backslashreplace")
    shown = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in quoted)
    more = "..." if len(line[0]) > MOST_QUOTED else ""
    return f'{what} in place of frames, which begins with "{shown}{more}"'
