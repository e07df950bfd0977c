"""The frame codec's inner loops in plain Python: the twin of `_codec`, for where none is built.

Both have the same functions, which do the same; the laws in tests/protocol compare them.
"""

from __future__ import annotations

import functools
import os
import sys
from collections.abc import Callable

__all__ = ["NAME", "MessageMemory", "apply_mask", "build_frame", "take_messages"]

NAME = "pure Python"

MessageMemory = None
"""Plain Python cannot fill ``bytes`` that exist already: large messages are joined instead."""

_TEXT_FRAME = 0x81
_BINARY_FRAME = 0x82
_FIN = 0x80
_RSV1 = 0x40
_MASKED = 0x80

_KEY_POOL_SIZE = 4096

_TABLES_PAY_OFF = 1024
"""Payload bytes from which masking by tables is faster than by integers."""


def take_messages(
    data: bytes | memoryview,
    start: int,
    limit: int,
    deliver: Callable[[str | bytes], object],
    stop: int = sys.maxsize,
) -> int:
    """Deliver the messages that lie whole, in one plain frame each, at the start of `data`.

    It stops at the first byte of anything else, which need not be a fault: a frame that is cut,
    controls, is masked, is compressed, is part of a message, or is longer than `limit`.

    Args:
        data: what has been received.
        start: where a frame begins, or the end of `data`.
        limit: the longest payload in bytes.
        deliver: called with each message: ``str`` for text, else ``bytes``.
        stop: where the data ends, when that is before the end of `data`.

    Returns:
        where it stopped.

    Raises:
        UnicodeDecodeError: a text message is not UTF-8; those before it have been delivered.
        Exception: what `deliver` raises.
    """
    data = bytes(data[:stop] if stop < len(data) else data)
    size = min(stop, len(data))
    while size - start >= 2:
        head = data[start]
        length = data[start + 1]
        begin = start + 2
        if length > 125:
            if length == 126:
                begin += 2
                length = int.from_bytes(data[start + 2 : begin], "big")
                if length < 126:
                    break
            elif length == 127:
                begin += 8
                length = int.from_bytes(data[start + 2 : begin], "big")
                if length < 65536:
                    break
            else:
                break
        end = begin + length
        if end > size or length > limit:
            break
        if head == _BINARY_FRAME:
            deliver(data[begin:end])
        elif head == _TEXT_FRAME:
            deliver(data[begin:end].decode())
        else:
            break
        start = end
    return start


def build_frame(
    opcode: int,
    payload: bytes | bytearray | memoryview,
    *,
    fin: bool = True,
    compressed: bool = False,
    masked: bool = True,
    masking_key: bytes | None = None,
) -> bytes:
    """Build one frame, masked as a client sends it (RFC 6455, sections 5.2 and 5.3).

    Args:
        opcode: what the frame carries.
        payload: at most 2**63 - 1 bytes, whatever its items are.
        fin: whether this is the last frame of its message.
        compressed: whether to set RSV1 (RFC 7692, section 6).
        masked: ``False`` builds it as a server sends it.
        masking_key: 4 bytes; ``None`` takes a fresh key from the operating system's random
            source.

    Returns:
        header, masking key and masked payload; or header and payload.

    Raises:
        BufferError: `payload` is not contiguous.
        TypeError: `payload` is not bytes-like.
        ValueError: `masking_key` is not of 4 bytes.
    """
    payload = _in_bytes(payload)
    head = opcode | (_FIN if fin else 0) | (_RSV1 if compressed else 0)
    mask_bit = _MASKED if masked else 0
    length = len(payload)
    if length < 126:
        header = bytes((head, mask_bit | length))
    elif length < 65536:
        header = bytes((head, mask_bit | 126)) + length.to_bytes(2, "big")
    else:
        header = bytes((head, mask_bit | 127)) + length.to_bytes(8, "big")
    if not masked:
        return header + payload
    key = _next_key() if masking_key is None else masking_key
    masked_payload = apply_mask(payload, key)
    return b"".join((header, bytes(key), masked_payload))


def apply_mask(payload: bytes | bytearray | memoryview, key: bytes) -> bytes:
    """Mask or unmask a payload with a 4-byte key (RFC 6455, section 5.3).

    Raises:
        BufferError: `payload` is not contiguous.
        TypeError: `payload` is not bytes-like.
        ValueError: `key` is not of 4 bytes.
    """
    if len(key) != 4:
        raise ValueError(f"a masking key has 4 bytes, not {len(key)}")
    payload, key = _in_bytes(payload), bytes(key)
    length = len(payload)
    if length < _TABLES_PAY_OFF:
        # One exclusive-or of two huge integers: few steps, but slow ones.
        repeated = (key * (length // 4 + 1))[:length]
        masked = int.from_bytes(payload, "little") ^ int.from_bytes(repeated, "little")
        return masked.to_bytes(length, "little")
    # Each of the four interleaved slices has one byte of the key, and so one table.
    result = bytearray(payload)
    for offset in range(4):
        result[offset::4] = result[offset::4].translate(_exclusive_or_table(key[offset]))
    return bytes(result)


def _in_bytes(payload: bytes | bytearray | memoryview) -> bytes | memoryview:
    """Return what has the payload's bytes as its items."""
    if type(payload) is bytes:
        return payload
    view = memoryview(payload)
    if not view.c_contiguous:
        raise BufferError("the payload is not contiguous")
    # A view of nothing cannot be cast.
    return view.cast("B") if view.nbytes else b""


@functools.cache
def _exclusive_or_table(byte: int) -> bytes:
    return bytes(value ^ byte for value in range(256))


class _KeyPool:
    """Masking keys from the operating system, fetched many at a time.

    A system call per frame would cost more than the frame (RFC 6455, section 10.3, asks for a
    strong source of entropy, not for one call each).
    """

    __slots__ = ("_keys",)

    def __init__(self) -> None:
        self._keys: list[bytes] = []

    def next(self) -> bytes:
        # pop() is atomic, so that connections in several threads never share a key.
        try:
            return self._keys.pop()
        except IndexError:
            block = os.urandom(_KEY_POOL_SIZE)
            keys = [block[i : i + 4] for i in range(0, _KEY_POOL_SIZE, 4)]
            key = keys.pop()
            self._keys = keys
            return key

    def clear(self) -> None:
        self._keys = []


_key_pool = _KeyPool()
_next_key = _key_pool.next
if hasattr(os, "register_at_fork"):
    # A forked child must not send the keys that its parent sends.
    os.register_at_fork(after_in_child=_key_pool.clear)
