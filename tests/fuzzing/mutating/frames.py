"""Changes inputs of `codec` and `messages` as what they are: sequences of frames."""

from __future__ import annotations

import random
import zlib
from collections.abc import Callable
from dataclasses import replace
from typing import Final

from wsclient.testing.frames import Frame, FrameDecoder, encode_frame

__all__ = ["mutate"]

_HEADS: Final = (5, 6)
"""Bytes before the wire: options and plan of `codec`, and of `messages`."""
_MOST_FRAMES: Final = 40
_OPCODES: Final = (0, 0, 1, 1, 2, 2, 8, 9, 10, 3, 15)
_SIZES: Final = (0, 1, 124, 125, 126, 127, 128, 1000)
_TEXTS: Final = ("", "a", "grüße", "\u20ac", "\U0001f600", "hello " * 20)
_CODES: Final = (999, 1000, 1004, 1005, 1006, 1015, 2999, 3000, 4999, 5000, 65535)

_Plain = Callable[[bytes, int], bytes]


def mutate(data: bytes, max_size: int, seed: int, plain: _Plain) -> bytes:
    """Return a changed input.

    Args:
        data: the input.
        max_size: bytes that the result may have.
        seed: what makes a change repeatable.
        plain: changes bytes that have no structure: it is given them, and the size that they
            may have.
    """
    chosen = random.Random(seed)
    if chosen.random() < 0.35:
        return plain(data, max_size)
    # Which target it is for is not known: the wire begins one byte sooner or later.
    size = chosen.choice(_HEADS)
    head, wire = data[:size].ljust(size, b"\0"), data[size:]
    if chosen.random() < 0.1:
        head = bytes(chosen.randrange(256) for _ in head)
    decoder = FrameDecoder()
    frames = decoder.feed(wire)[:_MOST_FRAMES]
    for _ in range(chosen.choice((1, 1, 1, 2, 4))):
        frames = chosen.choice(_CHANGES)(frames, chosen, plain)
    wire = b"".join(_encoded(frame, chosen) for frame in frames) + decoder.rest
    return (head + wire)[:max_size]


def _encoded(frame: Frame, chosen: random.Random) -> bytes:
    key = bytes(chosen.randrange(256) for _ in range(4)) if frame.masked else None
    return encode_frame(frame.opcode, frame.payload, fin=frame.fin, rsv=frame.rsv, masking_key=key)


def _insert(frames: list[Frame], chosen: random.Random, plain: _Plain) -> list[Frame]:
    masked = frames[0].masked if frames else chosen.random() < 0.5
    opcode = chosen.choice(_OPCODES)
    if opcode == 8 and chosen.random() < 0.8:
        payload = chosen.choice(_CODES).to_bytes(2, "big") + chosen.choice(_TEXTS).encode()
    elif chosen.random() < 0.5:
        payload = chosen.choice(_TEXTS).encode()
    else:
        payload = plain(b"some", chosen.choice(_SIZES) or 1).ljust(chosen.choice(_SIZES), b"x")
    frame = Frame(chosen.random() < 0.7, 0, opcode, masked, payload)
    place = chosen.randint(0, len(frames))
    return [*frames[:place], frame, *frames[place:]]


def _remove(frames: list[Frame], chosen: random.Random, plain: _Plain) -> list[Frame]:
    place = chosen.randint(0, len(frames))
    return frames[:place] + frames[place + 1 :]


def _repeat(frames: list[Frame], chosen: random.Random, plain: _Plain) -> list[Frame]:
    place = chosen.randint(0, len(frames))
    return frames[: place + 1] + frames[place:]


def _shuffle(frames: list[Frame], chosen: random.Random, plain: _Plain) -> list[Frame]:
    return chosen.sample(frames, len(frames))


def _remask(frames: list[Frame], chosen: random.Random, plain: _Plain) -> list[Frame]:
    masked = chosen.random() < 0.5
    return [replace(frame, masked=masked) for frame in frames]


def _one(
    change: Callable[[Frame, random.Random, _Plain], list[Frame]],
) -> Callable[[list[Frame], random.Random, _Plain], list[Frame]]:
    """Make a change of all frames of the change of one."""

    def changed(frames: list[Frame], chosen: random.Random, plain: _Plain) -> list[Frame]:
        if not frames:
            return _insert(frames, chosen, plain)
        place = chosen.randrange(len(frames))
        return [*frames[:place], *change(frames[place], chosen, plain), *frames[place + 1 :]]

    return changed


def _change_head(frame: Frame, chosen: random.Random, plain: _Plain) -> list[Frame]:
    part = chosen.randrange(3)
    if part == 0:
        return [replace(frame, fin=not frame.fin)]
    if part == 1:
        return [replace(frame, rsv=chosen.choice((0, 0, 4, 4, 2, 1)))]
    return [replace(frame, opcode=chosen.choice(_OPCODES))]


def _change_payload(frame: Frame, chosen: random.Random, plain: _Plain) -> list[Frame]:
    if chosen.random() < 0.5 and frame.payload:
        return [replace(frame, payload=plain(frame.payload, len(frame.payload) + 64))]
    size = chosen.choice(_SIZES)
    repeated = (frame.payload or b"\xe2\x82\xac") * (size // (len(frame.payload) or 3) + 1)
    return [replace(frame, payload=repeated[:size])]


def _split(frame: Frame, chosen: random.Random, plain: _Plain) -> list[Frame]:
    place = chosen.randint(0, len(frame.payload))
    first = replace(frame, fin=False, payload=frame.payload[:place])
    return [first, replace(frame, opcode=0, rsv=0, payload=frame.payload[place:])]


def _compress(frame: Frame, chosen: random.Random, plain: _Plain) -> list[Frame]:
    """Compress the payload, or a long text in its place, in one of zlib's many ways."""
    payload = frame.payload if chosen.random() < 0.6 else b"\0" * chosen.choice((300, 5000))
    level, bits = chosen.choice((0, 1, 6, 9)), chosen.choice((9, 10, 15))
    strategy = chosen.choice((zlib.Z_DEFAULT_STRATEGY, zlib.Z_FIXED, zlib.Z_HUFFMAN_ONLY))
    stream = zlib.compressobj(level, zlib.DEFLATED, -bits, 8, strategy)
    flush = chosen.choice((zlib.Z_SYNC_FLUSH, zlib.Z_SYNC_FLUSH, zlib.Z_FINISH))
    data = stream.compress(payload) + stream.flush(flush)
    if flush == zlib.Z_SYNC_FLUSH and chosen.random() < 0.8:
        data = data.removesuffix(b"\0\0\xff\xff")
    opcode = frame.opcode if frame.opcode in (1, 2) else 2
    return [replace(frame, opcode=opcode, rsv=4, payload=data)]


_CHANGES: Final = (
    _insert,
    _insert,
    _remove,
    _repeat,
    _shuffle,
    _remask,
    _one(_change_head),
    _one(_change_head),
    _one(_change_payload),
    _one(_change_payload),
    _one(_split),
    _one(_compress),
)
