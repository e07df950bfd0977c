"""The proxy between WebSocket ends: events and frames, and our client on bad lines."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest

from support.process import PeerProcess, Peers
from wsclient import ConnectError, HandshakeError, TLSConfig, websocket_connect
from wsclient.protocol.handshake import accept_token
from wsclient.protocol.opcodes import Opcode
from wsclient.testing.certificates import IssuedCertificate
from wsclient.testing.faults import Ending, FaultProxy, Line, Reset, Rule, When
from wsclient.testing.frames import close_frame, encode_frame
from wsclient.testing.raw import RawConnection, RawServer

KEY = "dGhlIHNhbXBsZSBub25jZQ=="
REQUEST = (
    "GET /chat HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    f"Sec-WebSocket-Key: {KEY}\r\nSec-WebSocket-Version: 13\r\n\r\n"
).encode()
RESPONSE = (
    "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    f"Sec-WebSocket-Accept: {accept_token(KEY)}\r\n\r\n"
).encode()
MASK = b"\x01\x02\x03\x04"

SWEEP = 520
"""Offsets at which the scripted exchange is cut."""


async def scripted(wire: RawConnection) -> None:
    """Answer the upgrade, send frames of every form of length, and wait for the client to go."""
    assert await wire.reader.readexactly(len(REQUEST)) == REQUEST
    await wire.send(RESPONSE)
    await wire.send(FRAMES)
    await wire.read_to_end()


FRAMES = (
    encode_frame(Opcode.TEXT, b"hello")
    + encode_frame(Opcode.TEXT, b"", fin=False)
    + encode_frame(Opcode.PING, b"are you there")
    + encode_frame(0, bytes(126))
    + encode_frame(Opcode.BINARY, bytes(300))
    + close_frame(1000, "bye")
)


async def open_raw(proxy: FaultProxy) -> RawConnection:
    return RawConnection(*await asyncio.open_connection(*proxy.address))


async def read_all(wire: RawConnection) -> tuple[bytes, str]:
    """Return all that comes, and whether FIN or RST came behind it."""
    data = b""
    try:
        while chunk := await wire.reader.read(65536):
            data += chunk
    except ConnectionResetError:
        return data, "RST"
    return data, "FIN"


async def hang_up(wire: RawConnection) -> None:
    wire.close()
    try:
        await wire.writer.wait_closed()
    except ConnectionError:
        pass


async def run_scripted(proxy: FaultProxy) -> tuple[bytes, str]:
    """Open a connection, send the request, and return what comes."""
    try:
        # RST in the place of the first byte may come before the system says that it has connected.
        wire = await open_raw(proxy)
    except ConnectionResetError:
        return b"", "RST"
    try:
        await wire.send(REQUEST)
        return await asyncio.wait_for(read_all(wire), 5)
    except ConnectionError:
        return b"", "RST"
    finally:
        await hang_up(wire)


# A cut at each offset


async def test_reset_at_each_offset_to_the_client() -> None:
    expected = RESPONSE + FRAMES
    assert len(expected) > SWEEP
    script = [
        Rule("to_client", When(byte=offset), Reset(), connection=offset) for offset in range(SWEEP)
    ]
    async with RawServer(scripted) as server:
        async with FaultProxy(("127.0.0.1", server.port), script=script) as proxy:
            for offset in range(SWEEP):
                assert await run_scripted(proxy) == (expected[:offset], "RST")
        assert [each.to_client.passed for each in proxy.connections] == list(range(SWEEP))
        assert {each.ended for each in proxy.connections} == {Ending.FAULT}


@pytest.mark.parametrize("fault", ["reset", "truncate"])
async def test_cut_at_each_offset_to_the_server(fault: str) -> None:
    received: asyncio.Queue[tuple[bytes, str]] = asyncio.Queue()

    async def serve(wire: RawConnection) -> None:
        received.put_nowait(await read_all(wire))

    stop = len(REQUEST)
    script = [
        {"direction": "to_server", "byte": offset, "connection": offset, "fault": fault}
        for offset in range(stop)
    ]
    async with (
        RawServer(serve) as server,
        FaultProxy(("127.0.0.1", server.port), script=script) as proxy,
    ):
        for offset in range(stop):
            sending = asyncio.create_task(run_scripted(proxy))
            got = await asyncio.wait_for(received.get(), 5)
            assert got == (REQUEST[:offset], "RST" if fault == "reset" else "FIN")
            await sending


# Events and frames

STARTS = [
    len(RESPONSE + FRAMES[:at])
    for at in (0, 7, 7 + 2, 7 + 2 + 15, 7 + 2 + 15 + 130, 7 + 2 + 15 + 130 + 304)
]
"""Offsets of the six frames."""


@pytest.mark.parametrize("chunk_size", [None, 1, 5])
@pytest.mark.parametrize(
    ("moment", "offset"),
    [
        ({"event": "upgraded"}, len(RESPONSE)),
        ({"frame": 0}, STARTS[0]),
        ({"frame": 1}, STARTS[1]),
        ({"frame": 3}, STARTS[3]),
        ({"frame": 4}, STARTS[4]),
        ({"frame": 5}, STARTS[5]),
        ({"opcode": Opcode.PING}, STARTS[2]),
        ({"opcode": Opcode.BINARY}, STARTS[4]),
        ({"opcode": Opcode.CLOSE}, STARTS[5]),
        ({"event": "close"}, len(RESPONSE + FRAMES)),
        ({"match": b"there"}, STARTS[3]),
        ({"event": "request"}, 0),
    ],
    ids=str,
)
async def test_fault_at_a_moment(
    moment: dict[str, Any], offset: int, chunk_size: int | None
) -> None:
    async with RawServer(scripted) as server:
        with FaultProxy(
            ("127.0.0.1", server.port), to_client=Line(chunk_size=chunk_size)
        ) as proxy:
            proxy.to_client.at(**moment).truncate()
            assert await run_scripted(proxy) == ((RESPONSE + FRAMES)[:offset], "FIN")
            (seen,) = proxy.connections
            assert [rule.when for rule in seen.fired] == [When(**moment)]


async def test_events_of_the_request_and_of_masked_frames() -> None:
    sent = REQUEST
    sent += encode_frame(Opcode.TEXT, b"one", masking_key=MASK)
    sent += encode_frame(Opcode.PING, b"", masking_key=MASK)
    sent += encode_frame(Opcode.BINARY, bytes(70_000), masking_key=MASK)
    sent += encode_frame(Opcode.CLOSE, b"", masking_key=MASK)
    at = {
        ("event", "request"): len(REQUEST),
        ("frame", 1): len(REQUEST) + 9,
        ("opcode", Opcode.BINARY): len(REQUEST) + 15,
        ("opcode", Opcode.CLOSE): len(sent) - 6,
        ("event", "close"): len(sent),
    }
    received: asyncio.Queue[tuple[bytes, str]] = asyncio.Queue()

    async def serve(wire: RawConnection) -> None:
        received.put_nowait(await read_all(wire))

    async with RawServer(serve) as server:
        with FaultProxy(("127.0.0.1", server.port)) as proxy:
            for number, (name, value) in enumerate(at):
                proxy.add(
                    {"direction": "to_server", name: value, "connection": number, "fault": "drop"}
                )
                proxy.add(
                    {
                        "direction": "to_server",
                        name: value,
                        "connection": number,
                        "fault": "truncate",
                    }
                )
            for offset in at.values():
                wire = await open_raw(proxy)
                await wire.send(sent)
                assert await asyncio.wait_for(received.get(), 5) == (sent[:offset], "FIN")
                await hang_up(wire)


async def test_frames_are_counted() -> None:
    async with RawServer(scripted) as server:
        with FaultProxy(("127.0.0.1", server.port)) as proxy:
            wire = await open_raw(proxy)
            await wire.send(REQUEST)
            await wire.reader.readexactly(len(RESPONSE + FRAMES))
            await wire.send(encode_frame(Opcode.PING, b"x", masking_key=MASK))
            await proxy.until(lambda seen: seen[0].to_server.frames == 1)
            assert proxy.connections[0].to_client.frames == 6
            await hang_up(wire)


async def test_response_before_the_101_is_no_upgrade() -> None:
    first = b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 9\r\n\r\nHTTP/1.1 "

    async def serve(wire: RawConnection) -> None:
        await wire.reader.readexactly(len(REQUEST))
        await wire.send(first)
        await wire.reader.readexactly(len(REQUEST))
        await wire.send(RESPONSE + encode_frame(Opcode.TEXT, b"in"))
        await wire.read_to_end()

    async with RawServer(serve) as server:
        with FaultProxy(("127.0.0.1", server.port)) as proxy:
            proxy.to_client.at(event="upgraded").insert(b"<upgraded>")
            proxy.to_server.at(frame=0).drop(2)
            wire = await open_raw(proxy)
            await wire.send(REQUEST)
            assert await wire.reader.readexactly(len(first)) == first
            await wire.send(REQUEST)
            rest = RESPONSE + b"<upgraded>" + encode_frame(Opcode.TEXT, b"in")
            assert await wire.reader.readexactly(len(rest)) == rest
            assert proxy.connections[0].to_server.frames == 0
            await wire.send(encode_frame(Opcode.TEXT, b"out", masking_key=MASK))
            (seen,) = await proxy.until(lambda seen: seen[0].to_server.passed > 2 * len(REQUEST))
            assert seen.to_server.frames == 1
            assert seen.to_server.passed == 2 * len(REQUEST) + 7
            await hang_up(wire)


async def test_rule_for_a_moment_gone_by_raises() -> None:
    async with RawServer(scripted) as server:
        with FaultProxy(("127.0.0.1", server.port)) as proxy:
            wire = await open_raw(proxy)
            await wire.send(REQUEST)
            await wire.reader.readexactly(len(RESPONSE + FRAMES))
            moments: list[dict[str, Any]] = [
                {"byte": 10},
                {"frame": 5},
                {"event": "upgraded"},
                {"event": "connected"},
            ]
            for moment in moments:
                with pytest.raises(ValueError, match="gone by on connection 0"):
                    proxy.to_client.on(0).at(**moment).pause()
                proxy.to_client.at(**moment).pause()
            proxy.to_client.on(0).at(frame=6).pause()
            await hang_up(wire)


# Our client between bad lines


async def test_our_client_through_a_perfect_line(peer: PeerProcess) -> None:
    async with FaultProxy(peer.url("/echo")) as proxy:
        async with websocket_connect(proxy.url) as conn:
            for size in (0, 125, 126, 65536, 1_000_000):
                await conn.write_message(b"x" * size, binary=True)
                assert await conn.read_message() == b"x" * size
        (seen,) = await proxy.until(lambda seen: seen[0].ended)
        assert seen.ended is Ending.CLOSED
        assert (seen.to_server.frames, seen.to_client.frames) == (6, 6)


async def test_our_client_byte_by_byte_on_a_slow_line(peer: PeerProcess) -> None:
    line = Line(chunk_size=1, bandwidth=20_000, jitter=0.0005)
    async with (
        FaultProxy(peer.url("/echo"), to_client=line, to_server=line, seed=1) as proxy,
        websocket_connect(proxy.url) as conn,
    ):
        await conn.write_message("byte by byte")
        assert await conn.read_message() == "byte by byte"
        assert (await conn.close(1000)).clean


async def test_our_client_through_tls(peers: Peers, certificates: IssuedCertificate) -> None:
    peer = peers.get("websockets")
    tls = TLSConfig(cadata=certificates.root_pem)
    async with FaultProxy(peer.url("/echo", tls=True)) as proxy:
        async with websocket_connect(proxy.url, tls=tls) as conn:
            await conn.write_message("secret")
            assert await conn.read_message() == "secret"
            proxy.to_client.corrupt()
            await conn.write_message("changed on the way")
            assert await conn.read_message() is None
            assert not (await conn.wait_closed()).clean
        assert proxy.connections[0].to_client.frames == 0


async def test_our_client_does_not_connect_where_it_is_refused(peer: PeerProcess) -> None:
    async with FaultProxy(peer.url("/echo")) as proxy:
        proxy.refuse()
        with pytest.raises(ConnectError) as caught:
            await websocket_connect(proxy.url)
        assert caught.value.phase == "tcp"
        proxy.accept_again()
        async with websocket_connect(proxy.url) as conn:
            assert not conn.closed


@pytest.mark.parametrize("offset", [0, 1, 50, 128])
async def test_our_client_when_the_response_is_cut(peer: PeerProcess, offset: int) -> None:
    async with FaultProxy(peer.url("/echo")) as proxy:
        proxy.to_client.at(byte=offset).reset()
        with pytest.raises((ConnectError, HandshakeError)):
            await websocket_connect(proxy.url)
        assert proxy.connections[0].to_client.passed == offset


async def test_our_client_in_a_black_hole_closes_in_time(peer: PeerProcess) -> None:
    async with FaultProxy(peer.url("/echo")) as proxy:
        conn = await websocket_connect(proxy.url, close_timeout=0.1)
        proxy.to_client.at(event="close", of="to_server").black_hole()
        await conn.write_message("there")
        assert await conn.read_message() == "there"
        info = await conn.close(1000)
        assert (info.cause.value, info.clean) == ("close_timeout", False)
        (seen,) = proxy.connections
        assert [rule.when.event for rule in seen.fired] == ["close"]


async def test_our_client_finds_a_half_open_connection(peer: PeerProcess) -> None:
    async with FaultProxy(peer.url("/echo")) as proxy:
        conn = await websocket_connect(
            proxy.url, ping_interval=0.05, ping_timeout=0.1, close_timeout=0.05
        )
        proxy.to_client.black_hole()
        proxy.to_server.black_hole()
        assert await conn.read_message() is None
        assert (await conn.wait_closed()).cause.value == "ping_timeout"


async def test_our_client_answers_a_changed_frame(peer: PeerProcess) -> None:
    async with FaultProxy(peer.url("/echo")) as proxy:
        # The first frame gets a reserved bit.
        proxy.to_client.at(frame=0).corrupt(xor=0x40)
        conn = await websocket_connect(proxy.url, close_timeout=0.5)
        await conn.write_message("x")
        assert await conn.read_message() is None
        info = await conn.wait_closed()
        assert info.code == 1002 or info.cause.value == "protocol_error"


# The thread of its own


async def test_proxy_goes_on_while_the_loop_stands_still(peer: PeerProcess) -> None:
    async with (
        FaultProxy(peer.url("/echo"), to_client=Line(latency=0.05)) as proxy,
        websocket_connect(proxy.url) as conn,
    ):
        await conn.write_message("x")
        time.sleep(0.15)  # noqa: ASYNC251  # a program that blocks its loop is the case
        begun = asyncio.get_running_loop().time()
        assert await conn.read_message() == "x"
        assert asyncio.get_running_loop().time() - begun < 0.04


async def test_waiting_does_not_block_the_loop() -> None:
    async with RawServer(scripted) as server, FaultProxy(("127.0.0.1", server.port)) as proxy:
        waiting = asyncio.create_task(proxy.until(lambda seen: seen and seen[0].to_client.frames))
        await asyncio.sleep(0)
        assert (await run_until_frames(proxy))[:8] == RESPONSE[:8]
        (seen,) = await waiting
        assert seen.to_client.frames >= 1
        with pytest.raises(TimeoutError, match=r"not in 0\.05 s"):
            await proxy.until(lambda seen: False, timeout=0.05)
        with pytest.raises(ZeroDivisionError):
            await proxy.until(lambda seen: 1 / 0)
        cancelled = asyncio.create_task(proxy.until(lambda seen: False))
        await asyncio.sleep(0)
        cancelled.cancel()
        with pytest.raises(asyncio.CancelledError):
            await cancelled


async def run_until_frames(proxy: FaultProxy) -> bytes:
    wire = await open_raw(proxy)
    await wire.send(REQUEST)
    data = await wire.reader.readexactly(len(RESPONSE + FRAMES))
    await hang_up(wire)
    return data


async def test_leaving_the_block_when_cancelled_leaves_nothing() -> None:
    entered = asyncio.Event()

    async def serve(wire: RawConnection) -> None:
        await wire.reader.readexactly(len(REQUEST))
        entered.set()
        await wire.read_to_end()

    async def inside() -> None:
        async with RawServer(serve) as server, FaultProxy(("127.0.0.1", server.port)) as proxy:
            proxy.to_client.pause()
            wire = await open_raw(proxy)
            try:
                await wire.send(REQUEST)
                await asyncio.get_running_loop().create_future()
            finally:
                await hang_up(wire)

    task = asyncio.create_task(inside())
    await entered.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


# By hand, from a script and from JSON


async def test_script_does_what_the_hand_does() -> None:
    plain: list[dict[str, Any]] = [
        {"direction": "to_client", "event": "upgraded", "fault": "insert", "data": "\x81\x01!"},
        {"direction": "to_client", "frame": 3, "fault": "corrupt", "count": 4},
        {"direction": "to_client", "opcode": Opcode.BINARY, "fault": "drop", "count": 10},
        {"direction": "to_client", "opcode": Opcode.CLOSE, "fault": "truncate"},
    ]

    async def run(proxy: FaultProxy) -> tuple[bytes, str]:
        async with proxy:
            return await run_scripted(proxy)

    async with RawServer(scripted) as server:
        target = ("127.0.0.1", server.port)
        by_script = await run(FaultProxy(target, seed=9, script=plain))
        by_rules = await run(
            FaultProxy(target, seed=9, script=[Rule.from_dict(each) for each in plain])
        )
        hand = FaultProxy(target, seed=9)
        hand.to_client.at(event="upgraded").insert(b"\x81\x01!")
        hand.to_client.at(frame=3).corrupt(4)
        hand.to_client.at(opcode=Opcode.BINARY).drop(10)
        hand.to_client.at(opcode=Opcode.CLOSE).truncate()
        by_hand = await run(hand)
    assert by_script == by_rules == by_hand
    assert by_hand[1] == "FIN"
    assert len(by_hand[0]) == STARTS[5] + 3 - 10
    assert by_hand[0] != (RESPONSE + FRAMES)[: len(by_hand[0])]
