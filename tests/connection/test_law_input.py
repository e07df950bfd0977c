"""Laws of what callers give: it is sent as it is, or refused as documented and not sent."""

from __future__ import annotations

import array
import asyncio
import json
from collections import UserDict
from collections.abc import Iterator
from types import MappingProxyType
from typing import Any

import pytest
from hypothesis import event, given
from hypothesis import strategies as st

from connection.far_end import Bench, FarEnd, bench_on, open_near, turns
from protocol.streams import law
from wsclient.connection import WebSocketConnection
from wsclient.protocol.closing import CloseCause
from wsclient.protocol.opcodes import Opcode


@pytest.fixture(scope="module")
def bench() -> Iterator[Bench]:
    """A bench on the stock loop: nothing of this depends on the loop."""
    with bench_on(asyncio.new_event_loop) as made:
        yield made


TEXT = st.text(st.characters(exclude_categories=[]), max_size=20)
LEAVES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.complex_numbers(max_magnitude=10),
    TEXT,
    st.binary(max_size=20),
    st.decimals(),
    st.dates(),
    st.just(object()),
    st.just(print),
    st.sampled_from(Opcode),
)
BUFFERS = st.one_of(
    st.binary(max_size=20).map(bytearray),
    st.binary(max_size=20).map(lambda data: memoryview(data)),
    st.binary(max_size=20).map(lambda data: memoryview(data)[::-2]),
    st.lists(st.integers(0, 9), max_size=3).map(lambda items: array.array("i", items)),
    st.lists(st.floats(0, 9), max_size=3).map(lambda items: memoryview(array.array("d", items))),
)
KEYS = TEXT | st.integers() | st.none() | st.binary(max_size=3) | st.tuples(st.integers())
NESTED = st.recursive(
    LEAVES | BUFFERS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.lists(inner, max_size=3).map(tuple),
        st.dictionaries(KEYS, inner, max_size=3),
        st.dictionaries(TEXT, inner, max_size=3).map(MappingProxyType),
        st.dictionaries(TEXT, inner, max_size=3).map(UserDict),
    ),
    max_leaves=6,
)
ANYTHING = NESTED | LEAVES | BUFFERS | st.dictionaries(TEXT, st.integers() | TEXT, max_size=3)


async def still_works(conn: WebSocketConnection, far: FarEnd) -> None:
    """Write, read and close, as if nothing had been."""
    far.received = b""
    conn.write_message("still here")
    far.transport.write(b"\x81\x02ok")
    assert await conn.read_message() == "ok"
    await turns()
    [frame] = far.frames()
    assert (frame.opcode, frame.payload) == (Opcode.TEXT, b"still here")
    far.transport.write(b"\x88\x00")
    await turns()
    far.end()
    info = await conn.wait_closed()
    assert (info.clean, info.cause) == (True, CloseCause.CLOSING_HANDSHAKE)


def written(message: Any, *, binary: bool) -> bytes:
    """Return the payload that a message must become."""
    if isinstance(message, str):
        return message.encode()
    if isinstance(message, bytes | bytearray | memoryview):
        return bytes(message)
    return json.dumps(dict(message)).encode()


@law(100)
@given(ANYTHING, st.booleans())
def test_any_message(bench: Bench, message: Any, binary: bool) -> None:
    async def main() -> None:
        conn, far = open_near()
        try:
            conn.write_message(message, binary=binary)
        except (TypeError, ValueError) as error:
            event(type(error).__name__)
            assert type(error) in (TypeError, ValueError), "not one of its subclasses"
            assert str(error)
            await turns()
            assert far.received == b""
            assert conn.stats().messages_sent == 0
        else:
            event("sent")
            await turns()
            [frame] = far.frames()
            assert frame.opcode == (Opcode.BINARY if binary else Opcode.TEXT)
            assert frame.payload == written(message, binary=binary)
            assert binary or frame.payload.decode() is not None
        await still_works(conn, far)

    bench.run(main)


@law(60)
@given(ANYTHING | TEXT.map(lambda text: text * 9) | st.binary(max_size=140))
def test_any_ping(bench: Bench, payload: Any) -> None:
    async def main() -> None:
        conn, far = open_near()
        try:
            conn.ping(payload)
        except (TypeError, ValueError) as error:
            event(type(error).__name__)
            assert type(error) in (TypeError, ValueError), "not one of its subclasses"
            await turns()
            assert far.received == b""
        else:
            event("sent")
            await turns()
            [frame] = far.frames()
            assert frame.opcode == Opcode.PING
            assert frame.payload == written(payload, binary=True) or not payload
        await still_works(conn, far)

    bench.run(main)


@law(80)
@given(
    st.one_of(st.none(), st.sampled_from([1000, 1011, 1014, 3000, 4999]), st.integers(), LEAVES),
    st.one_of(st.none(), st.just(""), st.text(max_size=20), TEXT, LEAVES),
)
def test_any_close(bench: Bench, code: Any, reason: Any) -> None:
    async def main() -> None:
        conn, far = open_near()
        try:
            conn.close(code, reason)
        except (TypeError, ValueError) as error:
            event(type(error).__name__)
            assert type(error) in (TypeError, ValueError), "not one of its subclasses"
            await turns()
            assert far.received == b""
            await still_works(conn, far)
            return
        event("sent")
        await turns()
        [frame] = far.frames()
        assert frame.close_code == (1000 if code is None else code)
        assert frame.payload[2:].decode() == (reason or "")
        far.transport.write(frame_back := b"\x88" + bytes([len(frame.payload)]) + frame.payload)
        assert len(frame_back) <= 127
        await turns()
        far.end()
        info = await conn.wait_closed()
        assert info.clean
        assert info.sent == info.received == frame.close_code

    bench.run(main)
