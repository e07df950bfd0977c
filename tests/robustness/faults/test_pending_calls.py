"""Calls that wait when a connection ends: each is released, and is told the right thing."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from robustness.faults.expected import SLACK
from robustness.faults.observing import HANG, see_it_closed
from robustness.faults.outcomes import Outcome, closed
from robustness.faults.report import Results
from wsclient import (
    CloseInfo,
    TLSConfig,
    WebSocketClientConnection,
    WebSocketClosedError,
    websocket_connect,
)
from wsclient.protocol.opcodes import Opcode
from wsclient.testing.certificates import IssuedCertificate
from wsclient.testing.faults import FaultProxy
from wsclient.testing.frames import encode_frame
from wsclient.testing.raw import RawConnection, RawServer

CLOSE_TIMEOUT = 0.4
LOCAL = "local"
SILENT = closed("ping_timeout", initiator=LOCAL)
MARK = 512 * 1024  # the highest of the high-water marks: that of TLS

Act = Callable[[FaultProxy, RawConnection, WebSocketClientConnection], Awaitable[object]]


async def cut(proxy: FaultProxy, *_: object) -> None:
    proxy.cut()


async def finish(proxy: FaultProxy, *_: object) -> None:
    proxy.to_client.truncate()


async def vanish(proxy: FaultProxy, *_: object) -> None:
    proxy.to_client.black_hole()


async def we_close(_: object, __: object, conn: WebSocketClientConnection) -> None:
    conn.close(1000)


async def they_close(_: object, wire: RawConnection, __: object) -> None:
    await wire.send_close(1001, "so long")


async def wrong_frame(_: object, wire: RawConnection, __: object) -> None:
    await wire.send(encode_frame(3))


async def too_big(_: object, wire: RawConnection, __: object) -> None:
    await wire.send_frame(Opcode.BINARY, bytes(70_000))


async def damaged_record(proxy: FaultProxy, wire: RawConnection, _: object) -> None:
    proxy.to_client.corrupt(20)
    await wire.send_frame(Opcode.TEXT, b"cannot be read any more")


ENDS: dict[str, tuple[Act, Outcome, float]] = {
    "RST": (cut, closed("reset"), 0),
    # Our FIN stands behind what nobody takes, until that has had its time.
    "FIN": (finish, closed("eof"), CLOSE_TIMEOUT),
    "silence": (vanish, SILENT, 0.6),
    "we close": (we_close, closed("close_timeout", initiator=LOCAL), CLOSE_TIMEOUT),
    "they close": (
        they_close,
        closed("closing_handshake", code=1001, clean=True, initiator="remote"),
        CLOSE_TIMEOUT,
    ),
    "wrong frame": (wrong_frame, closed("protocol_error", initiator=LOCAL), CLOSE_TIMEOUT),
    "too big": (too_big, closed("message_too_big", initiator=LOCAL), CLOSE_TIMEOUT),
}
"""What ends the connection, what must be said of it, and the limit within which it ends."""

ENDS_OF_TLS = {name: row for name, row in ENDS.items() if name != "FIN"} | {
    "damaged record": (damaged_record, closed("tls_alert"), 0),
    # uvloop tells of FIN behind what is to be sent, so never if that is not taken.
    "FIN, with pings": (finish, closed("eof"), 0.6),
}
PINGS = {"silence", "FIN, with pings"}


async def fill(conn: WebSocketClientConnection) -> None:
    """Write until the system takes no more, and has not for a while: its buffers grow.

    Enough is left for them to grow once more.
    """
    quiet = 0
    while quiet < 5:
        before = conn.stats().write_buffer_size
        if before < 16 * MARK:
            conn.write_message(bytes(64 * 1024), binary=True)
            await asyncio.sleep(0)
            quiet = 0
        else:
            await asyncio.sleep(0.03)
            quiet = quiet + 1 if conn.stats().write_buffer_size == before else 0


class Calls:
    """Everything that can wait on one connection, all at once."""

    def __init__(self, conn: WebSocketClientConnection, *, reads: bool) -> None:
        self.conn = conn
        start = asyncio.ensure_future
        self.readers = [start(conn.read_message()) for _ in range(3)] if reads else []
        self.writers = [start(self._write()) for _ in range(3)]
        self.pings = [start(conn.ping()) for _ in range(3)]
        self.closings = [start(conn.wait_closed()) for _ in range(3)]

    async def _write(self) -> None:
        await self.conn.write_message("never to be seen")

    @property
    def waiting(self) -> list[asyncio.Future[Any]]:
        """All of them."""
        return [*self.readers, *self.writers, *self.pings, *self.closings]

    async def released(self) -> CloseInfo:
        """See that all of them are told of the end; return the account of it."""
        done = await asyncio.gather(*self.waiting, return_exceptions=True)
        told = dict(zip(self.waiting, done, strict=True))
        assert [told[each] for each in self.readers] == [None] * len(self.readers)
        for each in (*self.writers, *self.pings):
            assert isinstance(told[each], WebSocketClosedError), told[each]
        info = self.conn.close_info
        assert info is not None
        assert [told[each] for each in self.closings] == [info] * 3
        return info


async def end_with_all_waiting(
    name: str, row: tuple[Act, Outcome, float], results: Results, *, callback: bool, **tls: Any
) -> None:
    act, outcome, limit = row
    context, trust = tls.get("context"), tls.get("trust")
    accepted: asyncio.Future[RawConnection] = asyncio.get_running_loop().create_future()
    done = asyncio.Event()

    async def deaf(wire: RawConnection) -> None:
        await wire.accept()
        wire.reader._transport.pause_reading()  # type: ignore[attr-defined]  # nobody reads
        accepted.set_result(wire)
        await done.wait()

    called: list[object] = []
    options: dict[str, Any] = {"ping_interval": 0.2, "ping_timeout": 0.4} if name in PINGS else {}
    if callback:
        options["on_message_callback"] = called.append
    async with RawServer(deaf, tls=context) as server, FaultProxy(server.url) as proxy:
        conn = await websocket_connect(
            proxy.url, tls=trust, close_timeout=CLOSE_TIMEOUT, max_message_size=65536, **options
        )
        wire = await accepted
        proxy.to_server.pause()
        await fill(conn)
        calls = Calls(conn, reads=not callback)
        await asyncio.sleep(0.02)
        assert not any(each.done() for each in calls.waiting)
        begun = asyncio.get_running_loop().time()
        await act(proxy, wire, conn)
        async with asyncio.timeout(HANG):
            info = await calls.released()
        took = asyncio.get_running_loop().time() - begun
        await see_it_closed(conn, info)
        done.set()
    assert called == ([None] if callback else [])
    row_name = f"all calls waiting, the buffer full: {name}{' (TLS)' if trust else ''}"
    among = [outcome, SILENT] if name in PINGS else [outcome]
    results.expect(row_name, Outcome.of_end(info), took, among=among, bound=limit + SLACK)


@pytest.mark.parametrize("name", ENDS)
async def test_all_calls_are_released(name: str, results: Results) -> None:
    async with asyncio.TaskGroup() as group:
        for callback in (False, True):
            group.create_task(end_with_all_waiting(name, ENDS[name], results, callback=callback))


@pytest.mark.parametrize("name", ENDS_OF_TLS)
async def test_all_calls_are_released_with_tls(
    name: str, certificates: IssuedCertificate, trust: TLSConfig, results: Results
) -> None:
    await end_with_all_waiting(
        name,
        ENDS_OF_TLS[name],
        results,
        callback=False,
        context=certificates.server_context(),
        trust=trust,
    )
