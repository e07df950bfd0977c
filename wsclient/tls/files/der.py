"""The little of DER (ITU-T X.690) that is needed to find a part of a certificate as it stands."""

from __future__ import annotations

from typing import Final, NamedTuple

__all__ = ["Element", "children", "element", "sequence"]

_SEQUENCE: Final = 0x30


class Element(NamedTuple):
    """One element: its tag, what is in it, and all of it."""

    tag: int
    content: bytes
    whole: bytes


def children(content: bytes) -> list[Element]:
    """Return the elements that `content` consists of.

    Raises:
        ValueError: it does not consist of whole elements with tags below 31.
    """
    found: list[Element] = []
    place = 0
    while place < len(content):
        start, size = _extent(content, place)
        if start + size > len(content):
            raise ValueError("an element is cut off")
        whole = content[place : start + size]
        found.append(Element(content[place], content[start : start + size], whole))
        place = start + size
    return found


def _extent(content: bytes, place: int) -> tuple[int, int]:
    """Return where the content of the element at `place` begins, and its size."""
    head = content[place : place + 2]
    if len(head) < 2 or head[0] & 0x1F == 0x1F:
        raise ValueError("no element begins here")
    if head[1] < 0x80:
        return place + 2, head[1]
    count = head[1] & 0x7F
    size = content[place + 2 : place + 2 + count]
    if not 1 <= count <= 4 or len(size) < count:
        raise ValueError("the size of an element cannot be read")
    return place + 2 + count, int.from_bytes(size, "big")


def element(tag: int, content: bytes) -> bytes:
    """Return the DER of an element."""
    size = len(content)
    if size < 0x80:
        return bytes([tag, size]) + content
    digits = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes([tag, 0x80 | len(digits)]) + digits + content


def sequence(*parts: bytes) -> bytes:
    """Return the DER of a sequence of what is in DER already."""
    return element(_SEQUENCE, b"".join(parts))
