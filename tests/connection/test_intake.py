"""How much of what comes in is looked at in one turn of the loop."""

from __future__ import annotations

import asyncio

import pytest

from connection.far_end import open_near, turns
from connection.test_turns import receive, wire_of
from wsclient.connection import WebSocketConnection
from wsclient.protocol.codec_pure import build_frame
from wsclient.protocol.deflate import DeflateParameters
from wsclient.protocol.opcodes import Opcode
from wsclient.testing.memory import MemoryTransport

SLICE = 16 * 1024
MESSAGE = build_frame(Opcode.BINARY, bytes(1020), masked=False)
CLOSE = build_frame(Opcode.CLOSE, (1000).to_bytes(2, "big"), masked=False)


def transport_of(conn: WebSocketConnection) -> MemoryTransport:
    transport = wire_of(conn).sender.transport
    assert isinstance(transport, MemoryTransport)
    return transport


async def test_of_what_may_be_compressed_a_turn_takes_16_kib() -> None:
    conn, far = open_near(deflate=DeflateParameters())
    count = 96
    wire_of(conn).feed(MESSAGE * count)
    taken = [conn.stats().bytes_received]
    assert not transport_of(conn).is_reading()
    while taken[-1] < count * len(MESSAGE):
        await asyncio.sleep(0)
        taken.append(conn.stats().bytes_received)
    assert taken == [SLICE * number for number in range(1, len(taken))] + [count * len(MESSAGE)]
    await turns()
    assert transport_of(conn).is_reading()
    assert conn.stats().messages_received == count
    far.reset()
    await conn.wait_closed()


@pytest.mark.parametrize("deflate", [None, DeflateParameters()], ids=["plain", "compressed"])
async def test_a_flood_while_closing_gets_one_read_of_a_turn(
    deflate: DeflateParameters | None,
) -> None:
    conn, far = open_near(deflate=deflate, max_queue_messages=4)
    conn.close()
    transport = transport_of(conn)
    for turn in range(1, 10):
        # As a loop does that reads on as long as there is something, and it may.
        reads = 0
        while transport.is_reading() and reads < 50:
            receive(wire_of(conn), MESSAGE * 8)
            reads += 1
        assert reads == 1, turn
        await turns(2)
    receive(wire_of(conn), CLOSE)
    await turns()
    far.end()
    info = await conn.wait_closed()
    assert info.clean
    assert info.discarded_messages == conn.stats().messages_received - 4
