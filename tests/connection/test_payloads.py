"""What callers may send, and how the rest is refused."""

from __future__ import annotations

import array
import collections
import ctypes
import json
import types
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wsclient.protocol.frames import build_frame
from wsclient.protocol.opcodes import Opcode
from wsclient.wire.payloads import check_ping_payload, encode_message

LOOP: dict[str, Any] = {}
LOOP["self"] = LOOP


def nested(depth: int) -> dict[str, Any]:
    value: dict[str, Any] = {}
    for _ in range(depth):
        value = {"a": value}
    return value


def views() -> list[Any]:
    """Return memory views of all shapes, and what bytes they stand for."""
    shorts = array.array("H", [1, 2, 3])
    doubles = array.array("d", [0.5, -1])
    grid = memoryview(bytes(range(12))).cast("B", (3, 4))
    return [
        pytest.param(memoryview(b"abc"), b"abc", id="bytes"),
        pytest.param(memoryview(b""), b"", id="empty"),
        pytest.param(memoryview(bytearray(b"abc"))[1:], b"bc", id="slice"),
        pytest.param(memoryview(b"abcdef")[::2], b"ace", id="every-other"),
        pytest.param(memoryview(b"abc")[::-1], b"cba", id="backwards"),
        pytest.param(memoryview(shorts), shorts.tobytes(), id="16-bit"),
        pytest.param(memoryview(shorts)[::2], shorts[::2].tobytes(), id="every-other-16-bit"),
        pytest.param(memoryview(doubles), doubles.tobytes(), id="doubles"),
        pytest.param(memoryview(array.array("I")), b"", id="empty-32-bit"),
        pytest.param(grid, bytes(range(12)), id="two-dimensions"),
        pytest.param(memoryview((ctypes.c_uint8 * 4)(1, 2, 3, 4)), b"\1\2\3\4", id="ctypes"),
        pytest.param(memoryview((ctypes.c_uint32 * 2)()), bytes(8), id="ctypes-32-bit"),
        pytest.param(memoryview(b"abc").cast("b"), b"abc", id="signed"),
        pytest.param(memoryview(b"abc").cast("c"), b"abc", id="characters"),
    ]


# --- messages -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("message", "payload"),
    [
        pytest.param("", b"", id="empty-str"),
        pytest.param("aé€\U0001f600", "aé€\U0001f600".encode(), id="str"),
        pytest.param("a\0\r\n", b"a\0\r\n", id="control-characters"),
        pytest.param(b"", b"", id="empty-bytes"),
        pytest.param(b"abc", b"abc", id="bytes"),
        pytest.param(bytearray(b"abc"), b"abc", id="bytearray"),
        pytest.param({}, b"{}", id="empty-dict"),
        pytest.param({"a": [1, None, True, "é"]}, b'{"a": [1, null, true, "\\u00e9"]}', id="dict"),
        pytest.param({1: "\ud800"}, b'{"1": "\\ud800"}', id="dict-with-a-surrogate"),
        pytest.param(collections.OrderedDict(b=1, a=2), b'{"b": 1, "a": 2}', id="ordered-dict"),
        pytest.param(types.MappingProxyType({"a": 1}), b'{"a": 1}', id="another-mapping"),
        pytest.param(collections.ChainMap({"a": 1}), b'{"a": 1}', id="chain-map"),
    ],
)
@pytest.mark.parametrize("binary", [False, True], ids=["text", "binary"])
def test_encode_message(message: object, payload: bytes, binary: bool) -> None:
    opcode, encoded = encode_message(message, binary=binary)
    assert opcode is (Opcode.BINARY if binary else Opcode.TEXT)
    assert bytes(encoded) == payload


@pytest.mark.parametrize(("view", "payload"), views())
def test_memory_views(view: memoryview, payload: bytes) -> None:
    opcode, encoded = encode_message(view, binary=True)
    assert opcode is Opcode.BINARY
    assert len(encoded) == len(payload), "its length is its size in bytes"
    frame = build_frame(opcode, encoded, masking_key=bytes(4))
    assert frame == bytes([0x82, 0x80 | len(payload)]) + bytes(4) + payload
    assert check_ping_payload(view) == payload


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_bytes_as_text_must_be_utf8(kind: type) -> None:
    assert encode_message(kind("é".encode()), binary=False)[0] is Opcode.TEXT
    for payload, index in ((b"\xff", 0), (b"abc\xc3", 3), (b"a\xed\xa0\x80", 1)):
        with pytest.raises(ValueError, match=f"index {index}.*binary=True") as caught:
            encode_message(kind(payload), binary=False)
        assert isinstance(caught.value.__cause__, UnicodeDecodeError)
        assert bytes(encode_message(kind(payload), binary=True)[1]) == payload


def test_utf8_is_checked_across_the_elements_of_a_view() -> None:
    view = memoryview("é€".encode() + b"a").cast("H")
    assert bytes(encode_message(view, binary=False)[1]) == "é€".encode() + b"a"
    with pytest.raises(ValueError, match="index 2"):
        encode_message(memoryview(b"ab\xff\xff").cast("H"), binary=False)


@pytest.mark.parametrize("binary", [False, True], ids=["text", "binary"])
def test_a_lone_surrogate_cannot_be_sent(binary: bool) -> None:
    with pytest.raises(ValueError, match="lone surrogate at index 2"):
        encode_message("ab\udc80", binary=binary)


@pytest.mark.parametrize(
    ("message", "name"),
    [
        (None, "NoneType"),
        (1, "int"),
        (1.5, "float"),
        (True, "bool"),
        ([1, 2], "list"),
        ((1, 2), "tuple"),
        ({1, 2}, "set"),
        (object(), "object"),
        (array.array("B", [1]), "array"),
        (iter(b"abc"), "bytes_iterator"),
    ],
)
@pytest.mark.parametrize("binary", [False, True], ids=["text", "binary"])
def test_other_types(message: object, name: str, binary: bool) -> None:
    with pytest.raises(TypeError, match=f"memoryview or dict, not {name}; use"):
        encode_message(message, binary=binary)


@pytest.mark.parametrize(
    ("message", "error"),
    [
        pytest.param({"a": object()}, TypeError, id="object"),
        pytest.param({"a": b"bytes"}, TypeError, id="bytes"),
        pytest.param({"a": {1, 2}}, TypeError, id="set"),
        pytest.param({(1, 2): "a"}, TypeError, id="tuple-as-a-key"),
        pytest.param({b"a": 1}, TypeError, id="bytes-as-a-key"),
        pytest.param({"a": float("nan")}, ValueError, id="nan"),
        pytest.param({"a": [float("inf")]}, ValueError, id="infinity"),
        pytest.param(LOOP, ValueError, id="cycle"),
        pytest.param(nested(100_000), ValueError, id="too-deep"),
    ],
)
def test_dicts_that_json_cannot_encode(message: dict[Any, Any], error: type[Exception]) -> None:
    with pytest.raises(error, match="the dict cannot be sent as JSON: ") as caught:
        encode_message(message, binary=False)
    assert type(caught.value) is error
    assert caught.value.__cause__ is not None


@given(st.dictionaries(st.text(), st.none() | st.integers() | st.text() | st.lists(st.text())))
def test_dicts_come_back(message: dict[str, Any]) -> None:
    assert json.loads(bytes(encode_message(message, binary=False)[1])) == message


# --- pings ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "payload"),
    [
        pytest.param(b"", b"", id="empty"),
        pytest.param(b"abc", b"abc", id="bytes"),
        pytest.param(bytearray(b"abc"), b"abc", id="bytearray"),
        pytest.param("é", b"\xc3\xa9", id="str"),
        pytest.param(b"x" * 125, b"x" * 125, id="longest"),
        pytest.param("é" * 62 + "x", "é".encode() * 62 + b"x", id="longest-str"),
        pytest.param(b"\xff\xfe", b"\xff\xfe", id="not-utf8"),
    ],
)
def test_check_ping_payload(data: object, payload: bytes) -> None:
    checked = check_ping_payload(data)
    assert type(checked) is bytes
    assert checked == payload


@pytest.mark.parametrize(
    ("data", "size"),
    [
        pytest.param(b"x" * 126, 126, id="bytes"),
        pytest.param(bytearray(1000), 1000, id="bytearray"),
        pytest.param("é" * 63, 126, id="str"),
        pytest.param(memoryview(array.array("H", [0] * 63)), 126, id="view"),
    ],
)
def test_pings_that_are_too_long(data: object, size: int) -> None:
    with pytest.raises(ValueError, match=f"is {size} bytes; .* at most 125"):
        check_ping_payload(data)


@pytest.mark.parametrize("data", [None, 5, 1.5, {}, ["a"], ("a",)], ids=repr)
def test_pings_of_other_types(data: object) -> None:
    with pytest.raises(TypeError, match=f"not {type(data).__name__}"):
        check_ping_payload(data)


def test_a_ping_with_a_lone_surrogate() -> None:
    with pytest.raises(ValueError, match="lone surrogate at index 0"):
        check_ping_payload("\ud800")


def test_a_later_change_of_a_ping_does_not_reach_us() -> None:
    data = bytearray(b"abc")
    checked = check_ping_payload(data)
    data[0] = 0
    assert checked == b"abc"
