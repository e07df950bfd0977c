"""The few bytes around a payload, for a server and clients that must cost next to nothing."""

from __future__ import annotations

import base64
import hashlib
import struct
from typing import Final

__all__ = [
    "BINARY",
    "CLOSE",
    "TEXT",
    "accept_value",
    "frame",
    "header_size",
    "masked_frame",
    "payload_size",
]

TEXT: Final = 0x1
BINARY: Final = 0x2
CLOSE: Final = 0x8

_GUID: Final = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455, section 1.3


def accept_value(key: bytes) -> bytes:
    """Return the Sec-WebSocket-Accept for a key (RFC 6455, section 4.2.2)."""
    return base64.b64encode(hashlib.sha1(key + _GUID).digest())


def frame(opcode: int, payload: bytes, *, compressed: bool = False) -> bytes:
    """Return a whole message as a server sends it, in one frame without a mask."""
    return _header(opcode | (0x40 if compressed else 0), len(payload), 0) + payload


def masked_frame(opcode: int, payload: bytes) -> bytes:
    """Return a whole message as a client sends it.

    The masking key is 0, which leaves the payload as it is: good for measuring, and forbidden
    otherwise (RFC 6455, section 5.3).
    """
    return _header(opcode, len(payload), 0x80) + bytes(4) + payload


def _header(first: int, size: int, mask: int) -> bytes:
    if size < 126:
        return bytes((0x80 | first, mask | size))
    if size < 65536:
        return struct.pack("!BBH", 0x80 | first, mask | 126, size)
    return struct.pack("!BBQ", 0x80 | first, mask | 127, size)


def header_size(second: int) -> int:
    """Return how many bytes a frame has in front of its payload.

    Args:
        second: its second byte, with the mask bit and the short length.
    """
    return {126: 4, 127: 10}.get(second & 0x7F, 2) + (4 if second & 0x80 else 0)


def payload_size(header: bytes | bytearray | memoryview) -> int:
    """Return the length of the payload that a header announces."""
    start = bytes(header[:10])
    short = start[1] & 0x7F
    if short < 126:
        return short
    return int.from_bytes(start[2:4] if short == 126 else start[2:10])
