"""What a server sends takes time in proportion to its length, however it is cut and put together.

Ten times the input may take twenty times as long: far more than ten, which noise does not reach,
and far less than the hundred of an algorithm that goes over everything again for each piece.
"""

from __future__ import annotations

import gc
import time
import zlib
from collections.abc import Callable, Iterable

import pytest

from wsclient.protocol.deflate import DeflateParameters
from wsclient.protocol.frames import FrameParser
from wsclient.protocol.handshake import parse_extensions
from wsclient.protocol.roles import Role
from wsclient.testing import encode_frame
from wsclient.urls import check_url
from wsclient.wire.receiver import message_parser

GROWTH = 10
MOST = 20

Feed = Callable[[], object]


def parser(messages: list[str | bytes]) -> FrameParser:
    return message_parser(
        messages.append,
        lambda opcode, payload: messages.append(payload),
        deflate=DeflateParameters(),
        max_message_size=0,
        role=Role.CLIENT,
    )


def fed(pieces: Iterable[bytes]) -> Feed:
    """Return what parses the pieces anew each time, and sees to it that something comes out."""
    kept = list(pieces)

    def feed() -> None:
        messages: list[str | bytes] = []
        feed_piece = parser(messages).feed
        for piece in kept:
            feed_piece(piece)
        assert messages

    return feed


def byte_by_byte(data: bytes) -> Feed:
    return fed(data[at : at + 1] for at in range(len(data)))


def binary_byte_by_byte(size: int) -> Feed:
    return byte_by_byte(encode_frame(2, bytes(size)))


def text_byte_by_byte(size: int) -> Feed:
    return byte_by_byte(encode_frame(1, "€".encode() * (size // 3)))


def compressed_byte_by_byte(size: int) -> Feed:
    stream = zlib.compressobj(0, wbits=-15)
    payload = stream.compress(bytes(size)) + stream.flush(zlib.Z_SYNC_FLUSH)
    return byte_by_byte(encode_frame(2, payload[:-4], rsv=4))


def messages_byte_by_byte(size: int) -> Feed:
    return byte_by_byte(encode_frame(1, b"x" * 200) * (size // 200))


def pings_byte_by_byte(size: int) -> Feed:
    return byte_by_byte(encode_frame(9, bytes(125)) * (size // 127))


def messages_in_one_piece(size: int) -> Feed:
    return fed([encode_frame(2, b"") * size])


def pings_in_one_piece(size: int) -> Feed:
    return fed([encode_frame(9, b"x") * size])


def fragments_in_one_piece(size: int) -> Feed:
    inner = encode_frame(0, b"x", fin=False) * size
    return fed([encode_frame(1, b"", fin=False) + inner + encode_frame(0, b"")])


def compressed_fragments(size: int) -> Feed:
    inner = encode_frame(0, b"\x00\x00\xff\xff\x00", fin=False) * size
    return fed([encode_frame(2, b"\x00", fin=False, rsv=4) + inner + encode_frame(0, b"")])


def extension_parameters(size: int) -> Feed:
    header = "permessage-deflate" + '; x="y"' * size
    return lambda: parse_extensions(header)


def extensions(size: int) -> Feed:
    header = "permessage-deflate, , " * size + "x"
    return lambda: parse_extensions(header)


def unclosed_quotes(size: int) -> Feed:
    header = "permessage-deflate; x=" + '"' + r"\y" * size

    def parse() -> None:
        with pytest.raises(ValueError, match="in quotes"):
            parse_extensions(header)

    return parse


def redirect_target(size: int) -> Feed:
    url = "ws://host/" + "a%0d/../" * size
    return lambda: check_url(url)


@pytest.mark.parametrize(
    ("make", "size"),
    [
        pytest.param(binary_byte_by_byte, 30_000, id="a message, byte by byte"),
        pytest.param(text_byte_by_byte, 30_000, id="a text, byte by byte"),
        pytest.param(compressed_byte_by_byte, 30_000, id="a compressed message, byte by byte"),
        pytest.param(messages_byte_by_byte, 10_000, id="messages, byte by byte"),
        pytest.param(pings_byte_by_byte, 10_000, id="pings, byte by byte"),
        pytest.param(messages_in_one_piece, 20_000, id="empty messages in one piece"),
        pytest.param(pings_in_one_piece, 10_000, id="pings in one piece"),
        pytest.param(fragments_in_one_piece, 30_000, id="fragments in one piece"),
        pytest.param(compressed_fragments, 30_000, id="compressed fragments"),
        pytest.param(extension_parameters, 2_000, id="parameters of an extension"),
        pytest.param(extensions, 2_000, id="extensions"),
        pytest.param(unclosed_quotes, 10_000, id="quotes that are not closed"),
        pytest.param(redirect_target, 1_000, id="target of a redirect"),
    ],
)
def test_time_grows_with_the_length(make: Callable[[int], Feed], size: int) -> None:
    # Both inputs exist before anything is measured.
    small, large = make(size), make(GROWTH * size)
    once = least_time(small)
    assert least_time(large) <= MOST * once, f"{size} took {once:.4f} s"


def least_time(feed: Feed) -> float:
    """Return the seconds of computing that the better of two runs takes."""
    times = []
    gc.collect()
    gc.disable()
    try:
        for _ in range(2):
            start = time.process_time()
            feed()
            times.append(time.process_time() - start)
    finally:
        gc.enable()
    return min(times)
