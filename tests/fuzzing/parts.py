"""Inputs of several parts, such as certificates and a key, in PEM or DER."""

from __future__ import annotations

__all__ = ["SEPARATOR", "joined", "parted"]

SEPARATOR = b"\n##\n"
"""Stands between two parts. In no PEM nor DER of a sane size does it occur by chance."""


def joined(options: bytes, *parts: bytes) -> bytes:
    """Make an input of two bytes of options and some parts."""
    assert len(options) == 2
    return options + SEPARATOR.join(parts)


def parted(data: bytes) -> tuple[bytes, list[bytes]]:
    """Take an input of at least two bytes apart."""
    return data[:2], data[2:].split(SEPARATOR)
