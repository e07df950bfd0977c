"""What is sent."""

from __future__ import annotations

import json
import random
import zlib
from typing import Final

__all__ = ["DONE", "END", "JSON_MESSAGES", "binary", "deflated", "json_messages", "text"]

END: Final = "end"
"""The last message of a flood, unlike the others: whoever counts wrongly misses it."""

DONE: Final = "done"
"""What is answered when all messages have come."""

JSON_MESSAGES: Final = 16
"""How many different ones take turns: more than the window of deflate holds, or else each would
be found whole in what came before, and shrink to nothing."""


def binary(size: int) -> bytes:
    """Return `size` bytes of every value."""
    return random.Random(size).randbytes(size)


def text(size: int) -> str:
    """Return `size` characters, all ASCII, as JSON mostly is."""
    pattern = '{"symbol":"BTC-USD","price":"67012.40","size":"0.0125","side":"buy"},'
    return (pattern * (size // len(pattern) + 1))[:size]


def json_messages(size: int) -> list[str]:
    """Return messages of `size` characters each: entries of an order book."""
    chance = random.Random(size)
    messages = []
    for number in range(JSON_MESSAGES):
        levels = [
            [f"{67000 + chance.random() * 100:.2f}", f"{chance.random() * 3:.4f}"]
            for _ in range(size // 16)
        ]
        whole = json.dumps({"channel": "book", "sequence": number, "bids": levels})
        messages.append(whole[:size])
    return messages


def deflated(message: bytes, level: int) -> bytes:
    """Return a message compressed by itself (RFC 7692, section 7.2.1)."""
    compressor = zlib.compressobj(level, zlib.DEFLATED, -15, 8)
    return (compressor.compress(message) + compressor.flush(zlib.Z_SYNC_FLUSH))[:-4]
