"""Laws of the opening, through sockets: any answer opens the connection or fails as documented."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import event, example, given
from hypothesis import strategies as st

from connection.far_end import Bench, bench_on
from protocol.streams import law
from wsclient import ConnectError, HandshakeError, websocket_connect
from wsclient.protocol.handshake import accept_token
from wsclient.testing import RawConnection, RawServer


@pytest.fixture(scope="module", params=["asyncio", "uvloop"])
def bench(request: pytest.FixtureRequest) -> Iterator[Bench]:
    """A bench on each loop."""
    factory: Any = asyncio.new_event_loop
    if request.param == "uvloop":
        factory = pytest.importorskip("uvloop", reason="uvloop is not installed").new_event_loop
    with bench_on(factory) as made:
        yield made


ACCEPT = object()
"""Stands for the right Sec-WebSocket-Accept, which only the server can tell."""

NAMES = st.sampled_from(
    [
        "Upgrade",
        "Connection",
        "Sec-WebSocket-Accept",
        "Sec-WebSocket-Protocol",
        "Sec-WebSocket-Extensions",
        "Content-Length",
        "Transfer-Encoding",
        "Location",
        "X",
    ]
)
VALUES = st.sampled_from(
    [
        "websocket",
        "Upgrade",
        "keep-alive, Upgrade",
        "close",
        "a",
        "c",
        "permessage-deflate",
        "permessage-deflate; server_max_window_bits=9",
        "permessage-deflate; server_max_window_bits=99",
        'permessage-deflate; x="',
        "0",
        "5",
        "-1",
        "chunked",
        "ws://127.0.0.1:1/",
        "http://[",
        "ftp://a/",
        "",
    ]
)
BYTES = st.binary(max_size=12) | st.sampled_from(
    [b"\xff", b"\0", b"a: b\r\nX-Injected: 1", b"\r\n\r\n", b" folded\r\n ", b"\xe2\x84\xaa"]
)
STATUS = st.sampled_from(
    [
        b"HTTP/1.1 101 Switching Protocols",
        b"HTTP/1.1 101 Switching Protocols",
        b"HTTP/1.1 101",
        b"HTTP/1.0 101 X",
        b"HTTP/1.1 200 OK",
        b"HTTP/1.1 302 Found",
        b"HTTP/1.1 401 Unauthorized",
        b"HTTP/1.1 503 No",
        b"HTTP/1.1 999 ?",
        b"HTTP/1.1 -1 ?",
        b"HTTP/9.9 101 X",
        b"ICY 200 OK",
    ]
)
GOOD: list[tuple[str, Any]] = [
    ("Upgrade", "websocket"),
    ("Connection", "Upgrade"),
    ("Sec-WebSocket-Accept", ACCEPT),
]


@st.composite
def answers(draw: st.DrawFn) -> tuple[bytes, list[tuple[str, Any]], bytes]:
    """Draw the parts of an answer: the first line, the headers, and what stands behind them."""
    headers = list(GOOD)
    for _ in range(draw(st.integers(0, 2))):
        name = draw(NAMES)
        if draw(st.booleans()):
            headers = [header for header in headers if header[0] != name]
        headers.append((name, draw(VALUES | BYTES)))
    first = draw(STATUS | BYTES) if draw(st.booleans()) else b"HTTP/1.1 101 Switching Protocols"
    return first, draw(st.permutations(headers)), draw(st.sampled_from([b"", b"", b"\x81\x02ok"]))


def encoded(value: Any, accept: str) -> bytes:
    if value is ACCEPT:
        return accept.encode()
    return value if isinstance(value, bytes) else str(value).encode()


def head_of(first: bytes, headers: list[tuple[str, Any]], accept: str) -> bytes:
    lines = [first, *(f"{name}: ".encode() + encoded(value, accept) for name, value in headers)]
    return b"\r\n".join(lines) + b"\r\n\r\n"


def ends_early(head: bytes) -> bool:
    """Tell whether a value has an empty line in it, so that the rest stands behind the head."""
    end = re.search(rb"\n\r?\n", head)
    return end is not None and end.end() < len(head)


@law(12)
@given(answers())
@example((b"HTTP/1.1 101 Switching Protocols", [*GOOD, ("Upgrade", b"\n")], b"\x81\x02ok"))
@example((b"HTTP/1.1 101 Switching Protocols", [*GOOD, ("X", b"\r\n\r\n")], b"\x81\x02ok"))
@example((b"HTTP/1.1 101 Switching Protocols", GOOD, b"\x81\x02ok"))
def test_any_answer(bench: Bench, answer: tuple[bytes, list[tuple[str, Any]], bytes]) -> None:
    """The client is connected, or raises a `ConnectError` that says what is wrong."""
    first, headers, behind = answer

    async def serve(conn: RawConnection) -> None:
        request = await conn.read_request()
        accept = accept_token(request.headers["sec-websocket-key"])
        # The server ends TCP then: a body without a length ends with it.
        await conn.send(head_of(first, headers, accept) + behind + b"\x88\x02\x03\xe8")

    async def main() -> None:
        async with RawServer(serve) as server:
            try:
                conn = await websocket_connect(
                    server.url, subprotocols=["a", "b"], compression_options={}, connect_timeout=10
                )
            except ConnectError as error:
                event(type(error).__name__)
                assert str(error)
                if isinstance(error, HandshakeError):
                    assert isinstance(error.status, int)
                    assert isinstance(error.body, bytes)
                return
            event("connected")
            assert conn.selected_subprotocol in (None, "a", "b")
            message = await conn.read_message()
            if ends_early(head_of(first, headers, accept="")):
                event("the rest of the head was taken for frames")
                assert message is None or isinstance(message, str | bytes)
            else:
                assert message == ("ok" if behind else None)
            await conn.wait_closed()

    bench.run(main)
