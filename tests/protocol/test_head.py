"""Heads of HTTP answers are measured: what is taken, what is refused, and in which words."""

from __future__ import annotations

import pytest

from wsclient.protocol.head import (
    MAX_FIELD_SIZE,
    MAX_FIELDS,
    MAX_HEAD_SIZE,
    HeadMeter,
    HeadTooLongError,
)

START = b"HTTP/1.1 101 Switching Protocols\r\n"


def field(size: int, name: bytes = b"X-Long") -> bytes:
    """Return a field whose line has so many bytes."""
    return name + b": " + b"v" * (size - len(name) - 4) + b"\r\n"


def fed(data: bytes, step: int) -> HeadMeter:
    """Return a meter that got the data in pieces."""
    meter = HeadMeter()
    for position in range(0, len(data), step):
        meter.feed(data[position : position + step])
    return meter


FULL = START + field(MAX_FIELD_SIZE) * 3


@pytest.mark.parametrize("step", [1, 7, 4096, 10**6])
@pytest.mark.parametrize(
    "head",
    [
        pytest.param(START + b"\r\n", id="no fields"),
        pytest.param(START.replace(b"\r", b"") + b"A: b\n\n", id="LF alone"),
        pytest.param(b"\r\n" + START + b"\r\n", id="a leading empty line"),
        pytest.param(START + field(MAX_FIELD_SIZE) + b"\r\n", id="the longest field"),
        pytest.param(START + b"A: b\r\n" * MAX_FIELDS + b"\r\n", id="the most fields"),
        pytest.param(FULL + field(MAX_HEAD_SIZE - len(FULL) - 2) + b"\r\n", id="the longest head"),
        pytest.param(
            (b"HTTP/1.1 103 Early Hints\r\n" + field(60_000) * 4 + b"\r\n") * 3 + START + b"\r\n",
            id="behind interim answers, each measured for itself",
        ),
        pytest.param(b"x" * (MAX_FIELD_SIZE + 1), id="a long line of no HTTP"),
        pytest.param(b"SSH-2.0-OpenSSH\r\n", id="no HTTP, which is not for this to say"),
    ],
)
def test_what_is_taken(head: bytes, step: int) -> None:
    meter = fed(head, step)
    assert meter.over
    meter.feed(b"y" * 10**6)  # frames, or a body


@pytest.mark.parametrize("step", [1, 7, 4096, 10**6])
@pytest.mark.parametrize(
    ("head", "says"),
    [
        (START + field(MAX_FIELD_SIZE + 1), "the field X-Long with more than 65536 bytes"),
        (START + field(MAX_FIELD_SIZE + 1, b"(bad)"), "a field with more than 65536 bytes"),
        (
            START + b"Folded: a\r\n" + b" bbbbbbbbbbbbbb\r\n" * 5000,
            "the field Folded with more than 65536 bytes",
        ),
        (START + b"A: b\r\n" * (MAX_FIELDS + 1), "more than 512 header fields"),
        (FULL + field(MAX_FIELD_SIZE), "a head of more than 262144 bytes"),
        (b"HTTP/1.1 200 " + b"x" * MAX_FIELD_SIZE, "a first line of more than 65536 bytes"),
    ],
)
def test_what_is_too_long(head: bytes, says: str, step: int) -> None:
    with pytest.raises(HeadTooLongError) as caught:
        fed(head, step)
    assert says in caught.value.what
    assert "vvvv" not in str(caught.value) and "bbbb" not in str(caught.value)
    assert caught.value.status == (200 if "first line" in says else 101)


@pytest.mark.parametrize("status", [100, 101, 200, 302, 403])
def test_the_status_is_told(status: int) -> None:
    with pytest.raises(HeadTooLongError) as caught:
        fed(b"HTTP/1.1 %d\r\n" % status + field(MAX_FIELD_SIZE + 1), 4096)
    assert caught.value.status == status
