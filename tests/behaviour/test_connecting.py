"""From a URL to a connection: what can go wrong, when it can be cancelled, what is left."""

from __future__ import annotations

import asyncio
import gc
import socket
from collections.abc import Awaitable, Callable

import aiohttp
import pytest

from behaviour.servers import WAIT, Resolver, agree, check_failure, echo, expect_info, failure
from wsclient import (
    ConnectAttempt,
    ConnectError,
    ConnectTimeoutError,
    WebSocketClientConnection,
    WebSocketError,
    websocket_connect,
)
from wsclient.protocol.opcodes import Opcode
from wsclient.testing.certificates import IssuedCertificate
from wsclient.testing.frames import close_frame, encode_frame
from wsclient.testing.raw import RawConnection, RawServer

# Cancelling


def test_attempt_that_is_never_begun() -> None:
    attempt = websocket_connect("ws://127.0.0.1:1/")
    attempt.close()


async def test_attempt_cancelled_before_it_begins() -> None:
    task = asyncio.create_task(websocket_connect("ws://127.0.0.1:1/"))
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def cancel(attempt: ConnectAttempt, begun: asyncio.Event) -> None:
    """Begin an attempt, cancel it when `begun` is set, and see that it ends at once."""
    loop = asyncio.get_running_loop()
    task = asyncio.create_task(attempt)
    await asyncio.wait_for(begun.wait(), WAIT)
    await asyncio.sleep(0.02)
    assert not task.done()
    at = loop.time()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert loop.time() - at < 1


async def test_cancel_while_resolving() -> None:
    resolver = Resolver(delay=60)
    await cancel(websocket_connect("ws://far.test/", resolver=resolver), resolver.begun)


async def test_cancel_while_accepting() -> None:
    # A full backlog: the kernel answers no further SYN.
    with socket.create_server(("127.0.0.1", 0), backlog=0) as listening:
        address = listening.getsockname()
        fillers = []
        try:
            for _ in range(4):
                filler = socket.socket()
                filler.setblocking(False)
                filler.connect_ex(address)
                fillers.append(filler)
            begun = asyncio.Event()
            begun.set()
            await cancel(websocket_connect(f"ws://127.0.0.1:{address[1]}/"), begun)
        finally:
            for filler in fillers:
                filler.close()


ANSWER = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(b"", id="silent"),
        pytest.param(ANSWER[:20], id="status line"),
        pytest.param(ANSWER, id="headers"),
        pytest.param(b"HTTP/1.1 403 No\r\nContent-Length: 100\r\n\r\nbut", id="refusal's body"),
    ],
)
async def test_cancel_while_waiting_for_the_answer(answer: bytes) -> None:
    begun = asyncio.Event()

    async def serve(wire: RawConnection) -> None:
        await wire.read_request()
        await wire.send(answer)
        begun.set()
        assert await wire.read_to_end() == b""

    async with RawServer(serve) as server:
        await cancel(websocket_connect(server.url), begun)


async def test_cancel_in_the_tls_handshake() -> None:
    begun = asyncio.Event()

    async def serve(wire: RawConnection) -> None:
        await wire.reader.read(1)
        begun.set()
        await wire.read_to_end()

    async with RawServer(serve) as server:
        await cancel(websocket_connect(f"wss://127.0.0.1:{server.port}/"), begun)


@pytest.mark.parametrize("turns", range(8))
async def test_cancel_while_the_answer_comes_in(turns: int) -> None:
    answered = asyncio.Event()

    async def serve(wire: RawConnection) -> None:
        await wire.accept(extra=encode_frame(Opcode.TEXT, b"early"))
        answered.set()
        await agree(wire)

    async with RawServer(serve) as server:
        task = asyncio.create_task(websocket_connect(server.url))
        await answered.wait()
        for _ in range(turns):
            await asyncio.sleep(0)
        if task.cancel():
            with pytest.raises(asyncio.CancelledError):
                await task
        else:
            # Too late to cancel: then there is a connection, and it is whole.
            connection = task.result()
            assert await connection.read_message() == "early"
            await connection.close()


@pytest.mark.parametrize("seconds", [0.001, 0.003, 0.01, 0.03])
async def test_time_limit_at_any_moment_leaves_nothing(seconds: float) -> None:
    async with RawServer(echo) as server:
        try:
            conn = await websocket_connect(server.url, connect_timeout=seconds)
        except ConnectTimeoutError:
            return
        await conn.close()


# Bytes in the packet of the answer


async def test_bytes_behind_the_answer_are_delivered() -> None:
    frames = b"".join(encode_frame(Opcode.TEXT, b"%d" % number) for number in range(20))

    async def serve(wire: RawConnection) -> None:
        await wire.accept(extra=frames + encode_frame(Opcode.TEXT, b"cut")[:3])
        await wire.send(encode_frame(Opcode.TEXT, b"cut")[3:])
        await agree(wire)

    async with RawServer(serve) as server, websocket_connect(server.url) as conn:
        received = [await conn.read_message() for _ in range(21)]
    assert received == [*(str(number) for number in range(20)), "cut"]


@pytest.mark.parametrize("secure", [False, True], ids=["ws", "wss"])
async def test_everything_in_the_packet_of_the_answer(
    secure: bool, certificates: IssuedCertificate
) -> None:
    async def serve(wire: RawConnection) -> None:
        await wire.accept(extra=encode_frame(Opcode.TEXT, b"all") + close_frame(4001, "there is"))

    server_ssl = certificates.server_context() if secure else None
    client_ssl = certificates.trust_context() if secure else None
    async with RawServer(serve, tls=server_ssl) as server:
        url = f"{'wss' if secure else 'ws'}://127.0.0.1:{server.port}/"
        for _ in range(10):
            conn = await websocket_connect(url, ssl=client_ssl)
            assert await asyncio.wait_for(conn.read_message(), WAIT) == "all"
            assert await asyncio.wait_for(conn.read_message(), WAIT) is None
            info = await asyncio.wait_for(conn.wait_closed(), WAIT)
            expect_info(info, code=4001, reason="there is", initiator="remote")


async def test_fault_in_the_packet_of_the_answer() -> None:
    async def serve(wire: RawConnection) -> None:
        await wire.accept(extra=b"\xff\xff")
        assert (await wire.read_frame()).close_code == 1002

    async with RawServer(serve) as server:
        conn = await websocket_connect(server.url)
        assert await conn.read_message() is None
        expect_info(await conn.wait_closed(), cause="protocol_error", sent=1002)


# Ways to await


async def by_await(attempt: ConnectAttempt) -> WebSocketClientConnection:
    return await attempt


async def by_task(attempt: ConnectAttempt) -> WebSocketClientConnection:
    return await asyncio.create_task(attempt)


async def by_gather(attempt: ConnectAttempt) -> WebSocketClientConnection:
    return (await asyncio.gather(attempt))[0]


async def by_wait_for(attempt: ConnectAttempt) -> WebSocketClientConnection:
    return await asyncio.wait_for(attempt, WAIT)


async def by_shield(attempt: ConnectAttempt) -> WebSocketClientConnection:
    return await asyncio.shield(attempt)


async def by_group(attempt: ConnectAttempt) -> WebSocketClientConnection:
    async with asyncio.TaskGroup() as group:
        task = group.create_task(attempt)
    return task.result()


Way = Callable[[ConnectAttempt], Awaitable[WebSocketClientConnection]]
WAYS = [by_await, by_task, by_gather, by_wait_for, by_shield, by_group]


@pytest.mark.parametrize("way", WAYS)
async def test_attempt_can_be_awaited_in_every_way(way: Way) -> None:
    async with RawServer(echo) as server:
        conn = await way(websocket_connect(server.url))
        await conn.write_message("hello")
        assert await conn.read_message() == "hello"
        await conn.close()


@pytest.mark.parametrize("way", [*WAYS[:5]])
async def test_failure_comes_out_of_every_way(way: Way, closed_port: int) -> None:
    with pytest.raises(ConnectError):
        await way(websocket_connect(f"ws://127.0.0.1:{closed_port}/"))


async def test_attempt_as_a_block() -> None:
    async with RawServer(echo) as server:
        async with websocket_connect(server.url) as conn:
            await conn.write_message("hello")
            assert [await conn.read_message()] == ["hello"]
        assert conn.closed


async def test_failed_attempt_as_a_block(closed_port: int) -> None:
    with pytest.raises(ConnectError):
        async with websocket_connect(f"ws://127.0.0.1:{closed_port}/"):
            raise AssertionError("there is no connection")


# The budget


async def test_budget_covers_the_resolver() -> None:
    error = await failure("ws://far.test/", resolver=Resolver(delay=60), connect_timeout=0.1)
    check_failure(error, "timeout", "far.test", "resolving the host name", "0.1 seconds")


async def test_budget_covers_the_tls_handshake() -> None:
    async def serve(wire: RawConnection) -> None:
        await wire.read_to_end()

    async with RawServer(serve) as server:
        error = await failure(f"wss://127.0.0.1:{server.port}/", connect_timeout=0.2)
    check_failure(error, "timeout", "waiting for the TLS handshake")


async def test_budget_covers_a_chain_of_redirects() -> None:
    async def serve(wire: RawConnection) -> None:
        await wire.read_request()
        await asyncio.sleep(0.06)
        await wire.respond("302 Found", {"Location": "/again", "Connection": "close"})

    loop = asyncio.get_running_loop()
    async with RawServer(serve) as server:
        begun = loop.time()
        error = await failure(server.url, connect_timeout=0.2, max_redirects=1000)
        assert 0.18 <= loop.time() - begun < 1
    assert isinstance(error, ConnectTimeoutError)


async def test_no_budget() -> None:
    async with RawServer(echo) as server:
        conn = await websocket_connect(server.url, connect_timeout=None)
        await conn.close()


async def test_time_limit_of_the_caller_stays_the_callers() -> None:
    async def serve(wire: RawConnection) -> None:
        await wire.read_to_end()

    async with RawServer(serve) as server:
        with pytest.raises(TimeoutError) as caught:
            async with asyncio.timeout(0.05):
                await websocket_connect(server.url, connect_timeout=60)
    assert not isinstance(caught.value, WebSocketError)


async def test_nothing_of_the_request_outlives_it() -> None:
    # Transports of uvloop hold their first protocol.
    kinds = (aiohttp.ClientSession, aiohttp.ClientResponse, aiohttp.BaseConnector)
    async with RawServer(echo) as server, websocket_connect(server.url) as conn:
        gc.collect()
        assert [each for each in gc.get_objects() if issubclass(type(each), kinds)] == []
        conn.write_message("hello")
        assert await conn.read_message() == "hello"
