"""Bad lines that do not break: everything arrives, and the keepalive blames nobody."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Sequence

import pytest

from robustness.faults.expected import SLACK
from robustness.faults.lines import LINES
from robustness.faults.observing import HANG, see_it_closed
from robustness.faults.outcomes import CLEAN, Outcome, closed
from robustness.faults.report import Results
from support.process import PeerProcess
from wsclient import (
    CloseInfo,
    TLSConfig,
    WebSocketClientConnection,
    WebSocketClosedError,
    websocket_connect,
)
from wsclient.protocol.opcodes import Opcode
from wsclient.testing.faults import FaultProxy, Line, Way
from wsclient.testing.frames import encode_frame
from wsclient.testing.raw import RawConnection, RawServer

BOTH_WAYS: tuple[Way, Way] = ("to_client", "to_server")
SILENT = closed("ping_timeout", initiator="local")
WE_GIVE_UP = closed("close_timeout", initiator="local")

MESSAGES: list[str | bytes] = ["", "hello", "€" * 50, b"x" * 126, b"y" * 5000]


async def say_all(conn: WebSocketClientConnection) -> None:
    for message in MESSAGES:
        await conn.write_message(message, binary=isinstance(message, bytes))
    assert [await conn.read_message() for _ in MESSAGES] == MESSAGES
    assert await conn.ping() > 0


async def see(
    results: Results,
    fault: str,
    peer: str,
    ending: Awaitable[CloseInfo],
    *among: Outcome,
    bound: float,
) -> CloseInfo:
    begun = asyncio.get_running_loop().time()
    async with asyncio.timeout(HANG):
        info = await ending
    took = asyncio.get_running_loop().time() - begun
    results.expect(fault, Outcome.of_end(info), took, among=among, bound=bound, peer=peer)
    return info


async def test_bad_lines(peer: PeerProcess, trust: TLSConfig, results: Results) -> None:
    async def use(name: str, line: Line, tls: bool) -> None:
        async with (
            FaultProxy(peer.url(tls=tls), to_client=line, to_server=line, seed=5) as proxy,
            websocket_connect(
                proxy.url, tls=trust if tls else None, ping_interval=0.5, ping_timeout=5
            ) as conn,
        ):
            await say_all(conn)
            await see(results, name, peer.name, conn.close(1000), CLEAN, bound=SLACK)

    async with asyncio.timeout(HANG), asyncio.TaskGroup() as group:
        for name, line in LINES.items():
            group.create_task(use(name, line, False))
            group.create_task(use(name, line, True))


PAUSES = {"header": b"\x82", "extended length": b"\x82\x7e\x01", "payload": b"wait for it"}


async def test_pause_in_mid_frame(peer: PeerProcess, results: Results) -> None:
    body = b"wait for it".ljust(300, b".")

    async def pause(place: str, match: bytes) -> None:
        async with FaultProxy(peer.url()) as proxy:
            proxy.to_client.at(match=match).pause()
            async with websocket_connect(proxy.url) as conn:
                await conn.write_message(body, binary=True)
                reading = asyncio.create_task(conn.read_message())
                await proxy.until(lambda seen: seen[0].fired)
                with pytest.raises(TimeoutError):
                    await asyncio.wait_for(asyncio.shield(reading), 0.1)
                proxy.to_client.resume()
                assert await asyncio.wait_for(reading, HANG) == body
                fault = f"pause in a frame: {place}"
                await see(results, fault, peer.name, conn.close(1000), CLEAN, bound=SLACK)

    async with asyncio.TaskGroup() as group:
        for place, match in PAUSES.items():
            group.create_task(pause(place, match))


async def pause_for_ever(peer: PeerProcess, results: Results) -> None:
    async with FaultProxy(peer.url()) as proxy:
        proxy.to_client.at(match=b"\x05hel").pause()
        conn = await websocket_connect(proxy.url, ping_interval=0.2, ping_timeout=0.4)
        conn.write_message("hello")
        fault = "pause in a frame, for ever, with pings"
        await see(results, fault, peer.name, conn.wait_closed(), SILENT, bound=0.6 + SLACK)
        assert await conn.read_message() is None


async def vanish_with_pings(
    ways: Sequence[Way], peer: PeerProcess, results: Results, *, tls: TLSConfig | None = None
) -> None:
    async with FaultProxy(peer.url(tls=tls is not None)) as proxy:
        conn = await websocket_connect(proxy.url, tls=tls, ping_interval=0.1, ping_timeout=0.4)
        for way in ways:
            getattr(proxy, way).black_hole()
        fault = f"half-open, {' and '.join(ways)}, with pings{' (TLS)' if tls else ''}"
        info = await see(results, fault, peer.name, conn.wait_closed(), SILENT, bound=0.5 + SLACK)
        assert await conn.read_message() is None
        await see_it_closed(conn, info)


async def vanish_without_pings(
    peer: PeerProcess, results: Results, *, tls: TLSConfig | None = None
) -> None:
    async with FaultProxy(peer.url(tls=tls is not None)) as proxy:
        conn = await websocket_connect(proxy.url, tls=tls, close_timeout=0.4)
        proxy.to_client.black_hole()
        proxy.to_server.black_hole()
        # Without pings nothing tells that nobody is there, as with any TCP connection.
        await conn.write_message("anybody there?")
        ping = asyncio.ensure_future(conn.ping())
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(conn.read_message(), 0.2)
        assert not conn.closed
        assert not ping.done()
        fault = f"half-open, without pings: open until we close{' (TLS)' if tls else ''}"
        info = await see(
            results, fault, peer.name, conn.close(1000), WE_GIVE_UP, bound=0.4 + SLACK
        )
        with pytest.raises(WebSocketClosedError):
            await ping
        await see_it_closed(conn, info)


async def test_peer_vanishes(peer: PeerProcess, trust: TLSConfig, results: Results) -> None:
    # At the same time, since all of them wait for a time limit.
    async with asyncio.timeout(HANG), asyncio.TaskGroup() as group:
        group.create_task(pause_for_ever(peer, results))
        for tls in (None, trust):
            group.create_task(vanish_with_pings(BOTH_WAYS, peer, results, tls=tls))
            group.create_task(vanish_without_pings(peer, results, tls=tls))
        for way in BOTH_WAYS:
            group.create_task(vanish_with_pings([way], peer, results))


async def test_crumbs_of_a_frame_are_signs_of_life(results: Results) -> None:
    sent = asyncio.Event()

    async def crumbs(wire: RawConnection) -> None:
        await wire.accept()
        for byte in encode_frame(Opcode.TEXT, b"x" * 20):
            await asyncio.sleep(0.05)
            await wire.send(bytes([byte]))
        sent.set()
        await wire.read_to_end()

    async with RawServer(crumbs) as server:
        conn = await websocket_connect(server.url, ping_interval=0.1, ping_timeout=0.4)
        assert await asyncio.wait_for(conn.read_message(), HANG) == "x" * 20
        # Nobody answers pings: the crumbs alone have kept it open, and now they have ended.
        await see(
            results,
            "crumbs for ten pings, then silence",
            "",
            conn.wait_closed(),
            SILENT,
            bound=0.5 + SLACK,
        )


async def test_largest_message_one_byte_per_segment(results: Results) -> None:
    size = 64 * 1024

    async def serve(wire: RawConnection) -> None:
        await wire.accept()
        await wire.send_frame(Opcode.BINARY, b"z" * size)
        await wire.send_close(1000)
        await wire.read_until_close()

    async with RawServer(serve) as server, FaultProxy(server.url) as proxy:
        proxy.to_client.chunk_size = 1
        conn = await websocket_connect(proxy.url, max_message_size=size)
        assert await asyncio.wait_for(conn.read_message(), HANG) == b"z" * size
        await see(
            results,
            "the largest message, one byte per segment",
            "",
            conn.wait_closed(),
            closed("closing_handshake", code=1000, clean=True, initiator="remote"),
            bound=SLACK,
        )
        assert proxy.connections[0].to_client.writes > size
