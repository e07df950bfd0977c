"""Changed inputs stay what their targets read, and a change can be repeated."""

from __future__ import annotations

import random
from collections import Counter

import pytest

from fuzzing.made_seeds import made_seeds
from fuzzing.mutating import frames, pem
from fuzzing.parts import joined, parted
from wsclient.testing.frames import FrameDecoder, encode_frame
from wsclient.tls.files.der import children
from wsclient.tls.files.pem import blocks

TIMES = 400
WIRE = b"\0\0\0\0\0" + encode_frame(1, b"hello", fin=False) + encode_frame(0, b"!")


def plain(data: bytes, max_size: int) -> bytes:
    """Turn the first byte over, as a stand-in for what libFuzzer does."""
    return (bytes([data[0] ^ 0xFF]) + data[1:] if data else b"x")[:max_size]


@pytest.mark.parametrize(
    ("mutate", "data"),
    [
        pytest.param(frames.mutate, WIRE, id="frames"),
        pytest.param(frames.mutate, b"", id="no frames"),
        pytest.param(pem.mutate, b"", id="no PEM"),
        pytest.param(pem.mutate, b"\0\0-----BEGIN X-----\n-----END X-----\n", id="empty PEM"),
        pytest.param(pem.mutate, joined(b"\0\0", b"\x30\x02\x05\x00", b""), id="DER"),
    ],
)
def test_a_change_can_be_repeated_and_keeps_to_the_size(mutate: object, data: bytes) -> None:
    assert callable(mutate)
    for seed in range(TIMES):
        changed = mutate(data, 60, seed, plain)
        assert len(changed) <= 60
        assert changed == mutate(data, 60, seed, plain)


def test_frames_are_changed_as_frames() -> None:
    seen: Counter[str] = Counter()
    for seed in range(TIMES):
        decoder = FrameDecoder()
        found = decoder.feed(frames.mutate(WIRE, 4096, seed, plain)[5:])
        if decoder.rest:
            continue
        seen["whole"] += 1
        seen["more"] += len(found) > 2
        seen["compressed"] += any(frame.rsv == 4 for frame in found)
        seen["masked"] += any(frame.masked for frame in found)
        seen["control"] += any(frame.opcode == 8 for frame in found)
    assert seen["whole"] > TIMES // 4
    assert all(seen[kind] for kind in ("more", "compressed", "masked", "control")), seen


def test_what_is_inside_pem_is_changed_and_stays_der() -> None:
    seed = made_seeds("certificates")["plain-pem"]
    before = blocks(parted(seed)[1][0])
    inside = 0
    for number in range(TIMES):
        _, parts = parted(pem.mutate(seed, 8192, number, plain))
        after = blocks(parts[0])
        for old, new in zip(before, after, strict=False):
            if old.der != new.der and new.der is not None:
                # Sizes are right all the way, wherever the change was.
                inside += len(children(new.der)) == 1
    assert inside > TIMES // 5


def test_parts_come_back() -> None:
    assert parted(joined(b"\1\2", b"one", b"", b"three")) == (b"\1\2", [b"one", b"", b"three"])


def test_any_bytes_can_be_changed() -> None:
    chosen = random.Random(5)
    for seed in range(TIMES):
        data = chosen.randbytes(chosen.randrange(80))
        for mutate in (frames.mutate, pem.mutate):
            assert isinstance(mutate(data, 100, seed, plain), bytes)
