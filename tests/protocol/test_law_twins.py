"""The compiled inner loops and their twin in Python come to the same, errors included."""

from __future__ import annotations

import array
import random
import sys
from collections.abc import Callable
from types import ModuleType
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from protocol.streams import TWINS, law
from support.ids import steady_repr
from wsclient.testing.frames import encode_frame

pytestmark = pytest.mark.skipif(len(TWINS) < 2, reason="the codec is not compiled here")

EDGES = [0, 1, 2, 7, 8, 9, 124, 125, 126, 127, 128, 1023, 1024, 65535, 65536, 65537]
LENGTHS = st.sampled_from(EDGES) | st.integers(0, 300)

DECLARED = [0, 125, 126, 127, 65535, 65536]
DECLARED += [2**bits + more for bits in (31, 32, 62, 63, 64) for more in (-2, -1, 0, 1)]
"""Lengths that a header may claim, in a form that has room for them or wraps round."""

LIMITS = st.sampled_from([*EDGES, 2**31 - 1, 2**31, 2**32, sys.maxsize]) | st.integers(0, 300)

KINDS: list[Callable[[bytes], Any]] = [
    bytes,
    bytearray,
    memoryview,
    lambda data: array.array("B", data),
    lambda data: memoryview(b"\xff" + data + b"\xff")[1:-1],
]

ODD: dict[str, Callable[[bytes], Any]] = {
    "backwards": lambda data: memoryview(data)[::-1],
    "every second": lambda data: memoryview(data)[::2],
    "wide items": lambda data: memoryview(data[: len(data) & ~3]).cast("I"),
    "array of wide items": lambda data: array.array("I", data[: len(data) & ~3]),
    "signed bytes": lambda data: memoryview(data).cast("b"),
    "one row": lambda data: memoryview(data or b"?").cast("B", (1, len(data or b"?"))),
    "text": lambda data: data.decode("latin-1"),
    "list": list,
    "number": len,
    "nothing": lambda data: None,
}


def outcome(call: Callable[..., Any], *arguments: Any, **more: Any) -> Any:
    """Return what a call gives, or the kind of its error."""
    try:
        result = call(*arguments, **more)
    except Exception as exc:
        return type(exc)
    return type(result), result


def taken(
    twin: ModuleType, data: Any, start: int, limit: int, stop: int = sys.maxsize
) -> tuple[Any, list[str | bytes]]:
    """Take messages; return what came of it, and what was delivered before."""
    delivered: list[str | bytes] = []
    return outcome(twin.take_messages, data, start, limit, delivered.append, stop), delivered


def built(twin: ModuleType, payload: Any, opcode: int = 2, **more: Any) -> Any:
    """Build a frame; return what came of it."""
    return outcome(twin.build_frame, opcode, payload, **more)


def masked(twin: ModuleType, payload: Any, key: Any) -> Any:
    """Mask; return what came of it."""
    return outcome(twin.apply_mask, payload, key)


def same(call: Callable[..., Any], *arguments: Any, **more: Any) -> Any:
    """Have each twin do the same; return what both came to."""
    first, second = (call(twin, *arguments, **more) for twin in TWINS)
    assert second == first
    return first


@st.composite
def pieces(draw: st.DrawFn) -> bytes:
    """Draw a frame, whole, cut or wrong, with something in it."""
    content = draw(st.sampled_from(["ascii", "text", "junk"]))
    length = draw(LENGTHS)
    if content == "ascii":
        payload = b"a" * length
    elif content == "text":
        payload = ("ä€😀" * length).encode()[:length]  # may end within a character
    else:
        payload = random.Random(draw(st.integers())).randbytes(length)
    opcode = draw(st.sampled_from([1, 2, 2, 1, 0, 8, 9, 15]))
    fin, rsv = (
        draw(st.sampled_from([True, True, True, False])),
        draw(st.sampled_from([0, 0, 0, 4])),
    )
    key = draw(st.sampled_from([None, None, None, b"abcd"]))
    frame = encode_frame(opcode, payload, fin=fin, rsv=rsv, masking_key=key)
    return frame[: len(frame) - draw(st.sampled_from([0, 0, 0, 0, 1, 2]))]


@law(300)
@given(st.lists(pieces(), max_size=6), st.integers(0, 3), LIMITS, st.sampled_from(KINDS))
@example([b"\x82\x7f" + (2**63).to_bytes(8, "big") + b"abc"], 0, sys.maxsize, bytes)
@example([b"\x82\x7f" + (2**64 - 1).to_bytes(8, "big") + b"abc"], 0, sys.maxsize, bytes)
def test_they_take_the_same_messages(
    frames: list[bytes], start: int, limit: int, kind: Callable[[bytes], Any]
) -> None:
    same(taken, kind(b"?" * start + b"".join(frames)), start, limit)


@law(100)
@given(st.lists(pieces(), max_size=6), st.integers(-1, 300), LIMITS, st.sampled_from(KINDS))
def test_they_see_nothing_of_what_stands_behind_the_stop(
    frames: list[bytes], stop: int, limit: int, kind: Callable[[bytes], Any]
) -> None:
    wire = b"".join(frames)
    seen = same(taken, kind(wire), 0, limit, stop)
    assert seen == same(taken, kind(wire[: max(stop, 0)]), 0, limit)


@pytest.mark.parametrize("form", [2, 8])
@pytest.mark.parametrize("length", DECLARED)
def test_they_read_the_same_lengths(length: int, form: int) -> None:
    """Whatever a header claims, and whatever there is behind it."""
    field = (length % 2 ** (8 * form)).to_bytes(form, "big")
    wire = b"\x82" + (b"\x7e" if form == 2 else b"\x7f") + field + bytes(126)
    for stop in (2, 3, 2 + form - 1, 2 + form, 3 + form, 127 + form, 128 + form):
        for limit in (0, 125, 65536, 2**31, 2**32, sys.maxsize):
            same(taken, wire[:stop], 0, limit)


@pytest.mark.parametrize("length", EDGES)
@pytest.mark.parametrize("kind", KINDS)
def test_they_build_and_read_every_length(kind: Callable[[bytes], Any], length: int) -> None:
    payload = random.Random(length).randbytes(length)
    _, frame = same(built, kind(payload), masked=False)
    assert same(taken, frame * 2, 0, length) == ((int, 2 * len(frame)), [payload, payload])
    if length:
        assert same(taken, frame, 0, length - 1) == ((int, 0), [])


@law(200)
@given(
    st.integers(0, 15),
    LENGTHS,
    st.sampled_from(KINDS),
    st.fixed_dictionaries(dict.fromkeys(["fin", "compressed", "masked"], st.booleans())),
    st.binary(max_size=6) | st.binary(min_size=4, max_size=4),
)
def test_they_build_the_same_frames(
    opcode: int, length: int, kind: Callable[[bytes], Any], head: dict[str, bool], key: bytes
) -> None:
    payload = kind(random.Random(length).randbytes(length))
    same(built, payload, opcode, masking_key=key, **head)
    same(masked, payload, key)


@pytest.mark.parametrize("length", [0, 1, 3, 4, 8, 125, 126, 128, 1023, 1024, 4096, 65536])
@pytest.mark.parametrize("kind", ODD.values(), ids=ODD)
def test_they_take_and_refuse_the_same_payloads(kind: Callable[[bytes], Any], length: int) -> None:
    payload = kind(random.Random(length).randbytes(length))
    same(built, payload, masking_key=b"abcd")
    same(built, payload, masked=False)
    same(masked, payload, b"abcd")


@pytest.mark.parametrize(
    "key",
    [b"", b"abc", b"abcde", bytearray(b"abcd"), memoryview(b"abcd"), "abcd", 4, [1, 2, 3, 4]],
    ids=steady_repr,
)
def test_they_take_and_refuse_the_same_keys(key: Any) -> None:
    for length in (0, 5, 2000):
        same(masked, bytes(length), key)
        same(built, bytes(length), masking_key=key)


@law(100)
@given(st.lists(pieces(), min_size=1, max_size=6), st.integers(0, 5))
def test_what_deliver_raises_comes_out(frames: list[bytes], count: int) -> None:
    wire = b"".join(frames)

    def attempt(twin: ModuleType) -> tuple[Any, list[str | bytes]]:
        delivered: list[str | bytes] = []

        def deliver(message: str | bytes) -> None:
            delivered.append(message)
            if len(delivered) > count:
                raise LookupError

        return outcome(twin.take_messages, wire, 0, 2**20, deliver), delivered

    same(attempt)
