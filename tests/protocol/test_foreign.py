"""Text in place of frames is told as what it is; frames that are wrong keep their own words."""

from __future__ import annotations

import pytest

from wsclient.protocol.foreign import MOST_QUOTED, told_as_text


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n", "an HTTP answer in place of"),
        (b"HTTP/1.1 400 Bad Request\r\nX: y\r\n\r\n", 'begins with "HTTP/1.1 400 Bad Request"'),
        (b"HTTP/1.1 502 Bad Gateway", 'begins with "HTTP/1.1 502 Bad Gateway"'),
        (b"HTTP/1", 'begins with "HTTP/1"'),
        (
            b"<!doctype html>\n<title>Sorry</title>",
            'a page in place of frames, which begins with "<!',
        ),
        (b"<html>", 'a page in place of frames, which begins with "<html>"'),
        (b'{"error": "no such feed"}', "text in place of frames"),
        ("upstream connect error: gestört\n".encode(), 'with "upstream connect error: gestört"'),
        (b"HTTP/1.1 400 \x1b[31mred\x07\r\n", r'with "HTTP/1.1 400 \x1b[31mred\x07"'),
        (b"HTTP/1.1 400 \xff\r\n", r'with "HTTP/1.1 400 \xff"'),
        (b"HTTP/1.1 400 " + b"x" * 500, 'x..."'),
    ],
)
def test_text(data: bytes, says: str) -> None:
    told = told_as_text(data)
    assert says in told
    assert told.isprintable()
    assert len(told) < 4 * MOST_QUOTED


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"HT", id="too little to tell"),
        pytest.param(b"A\x05hello", id="a short fragment with RSV1"),
        pytest.param(b"A\x20" + bytes(range(32)), id="a longer one of bytes"),
        pytest.param(b"\xc1\x05hello" + b"x" * 30, id="a whole frame with RSV1"),
        pytest.param(b"\x83\x20" + b"x" * 32, id="a reserved opcode"),
        pytest.param(b"<\x05hello" + b"x" * 30, id="no markup"),
    ],
)
def test_what_may_be_a_frame(data: bytes) -> None:
    assert told_as_text(data) == ""
