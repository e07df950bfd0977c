"""The messages of the soak: one cycle of them, the same in the client and in the server.

A stream repeats the cycle, so that the server can send it from memory, and both ends know which
message must come next: a lost, doubled, swapped or damaged one is not the expected one.
"""

from __future__ import annotations

import functools
import random
import struct
import zlib
from collections.abc import Iterable, Iterator
from typing import Final

__all__ = [
    "CYCLE",
    "LARGEST",
    "PINGS_PER_CYCLE",
    "Compression",
    "cycle",
    "frame",
    "inflated",
    "wire_chunks",
]

CYCLE: Final = 2000
"""Messages in a cycle."""

PINGS_PER_CYCLE: Final = 20
"""Pings among the messages, when there are any."""

LARGEST: Final = 1024 * 1024
"""Bytes of the largest message of a cycle."""

Compression = str
"""``"off"``, ``"takeover"`` (the window is kept from message to message), or ``"single"``."""

_CHUNK: Final = 200_000
"""Bytes that the server writes at once, or more: whole frames, for a pong may come between."""

_TRAILER: Final = b"\x00\x00\xff\xff"
_TEXT, _BINARY, _PING = 0x1, 0x2, 0x9
_FIN, _RSV1 = 0x80, 0x40


@functools.cache
def cycle() -> tuple[str | bytes, ...]:
    """Return the messages: 0 bytes to 1 MiB, most of them small, text and binary."""
    chance = random.Random(20)
    words = _words(chance)
    noise = chance.randbytes(LARGEST)
    made: list[str | bytes] = []
    for index, size in enumerate(_sizes(chance)):
        mark = f"{index}:"
        begin = chance.randrange(1000)
        if chance.random() < 0.5:
            # Half of the bytes can be compressed, as it is in binary formats.
            half = size // 2
            made.append((mark.encode() + noise[begin : begin + half] + bytes(size))[:size])
        else:
            made.append(_text_of(size, mark, words[begin : begin + size]))
    return tuple(made)


def _sizes(chance: random.Random) -> list[int]:
    sizes = [0] * (CYCLE * 3 // 100)
    sizes += [chance.randint(126, 1024) for _ in range(CYCLE * 15 // 100)]
    sizes += [int(1024 * 64 ** chance.random()) for _ in range(CYCLE * 2 // 100)]
    sizes += [125, 126, 65535, 65536, LARGEST]
    sizes += [chance.randint(1, 125) for _ in range(CYCLE - len(sizes))]
    chance.shuffle(sizes)
    return sizes


def _words(chance: random.Random) -> str:
    some = ["".join(chance.choices("etaoinshrdlu", k=chance.randint(2, 9))) for _ in range(500)]
    some += ["größe", "naïve", "€", "日本語", "😀"]
    part = " ".join(chance.choices(some, k=10_000))
    return part * (2 * LARGEST // len(part) + 1)


def _text_of(size: int, mark: str, filling: str) -> str:
    """Return text of exactly so many bytes of UTF-8."""
    text = (mark + filling).encode()[:size].decode(errors="ignore")
    return text + "." * (size - len(text.encode()))


def frame(head: int, payload: bytes) -> bytes:
    """Build a frame as a server sends it.

    Args:
        head: its first byte.
        payload: of any length.
    """
    length = len(payload)
    if length < 126:
        return struct.pack("!BB", head, length) + payload
    if length < 65536:
        return struct.pack("!BBH", head, 126, length) + payload
    return struct.pack("!BBQ", head, 127, length) + payload


def inflated(payload: bytes, inflater: zlib._Decompress) -> bytes:
    """Return what a compressed message holds (RFC 7692, section 7.2.2)."""
    return inflater.decompress(payload + _TRAILER)


@functools.cache
def wire_chunks(compression: Compression, *, fragments: bool) -> tuple[bytes, ...]:
    """Return a cycle as a server sends it, in pieces of whole frames.

    A compressed cycle refers to nothing before its own beginning, so that it can be sent again
    and again, with a window that is kept, too.

    Args:
        compression: how it is compressed.
        fragments: send a part of the messages in several frames, and pings among all these.
    """
    chance = random.Random(30)
    deflater = _new_deflater()
    frames: list[bytes] = []
    for index, message in enumerate(cycle()):
        text = isinstance(message, str)
        payload = message.encode() if isinstance(message, str) else message
        head = _TEXT if text else _BINARY
        # Some messages are sent as they are, as a server may do at any time.
        if compression != "off" and index % 4:
            if compression == "single":
                deflater = _new_deflater()
            payload = deflater.compress(payload) + deflater.flush(zlib.Z_SYNC_FLUSH)
            payload = payload.removesuffix(_TRAILER)
            head |= _RSV1
        parts = chance.randint(2, 6) if fragments and index % 3 == 0 else 1
        made = list(_frames_of(head, payload, parts))
        if fragments and index % (CYCLE // PINGS_PER_CYCLE) == 0:
            made.insert(chance.randrange(len(made)), frame(_FIN | _PING, str(index).encode()))
        frames += made
    return tuple(_joined(frames))


def _joined(frames: Iterable[bytes]) -> Iterator[bytes]:
    chunk = b""
    for each in frames:
        chunk += each
        if len(chunk) >= _CHUNK:
            yield chunk
            chunk = b""
    yield chunk


def _new_deflater() -> zlib._Compress:
    return zlib.compressobj(wbits=-15)


def _frames_of(head: int, payload: bytes, parts: int) -> Iterator[bytes]:
    step = max(1, -(-len(payload) // parts))
    for part in range(parts):
        last = part == parts - 1
        piece = payload[part * step :] if last else payload[part * step : (part + 1) * step]
        yield frame((head if part == 0 else 0) | (_FIN if last else 0), piece)
