"""The test bed itself: a leak is found, and every piece does what its docstring says."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Awaitable, Callable

import pytest

from peers.vocabulary import MAX_SIZE, Resource
from support.process import PEERS, PeerProcess
from support.proxies import connect_proxy, socks5_proxy
from support.running import LeakError, LoopFactory, run_checked
from wsclient.testing.raw import RawConnection, RawServer

kept: list[object] = []


async def leave_task() -> None:
    kept.append(asyncio.create_task(asyncio.sleep(60)))


async def leave_socket() -> None:
    kept.append(socket.create_server(("127.0.0.1", 0)))


async def leave_exception() -> None:
    async def fail() -> None:
        raise ValueError("nobody asks for me")

    task = asyncio.create_task(fail())
    await asyncio.wait([task])


async def leave_failed_callback() -> None:
    asyncio.get_running_loop().call_soon([].pop)
    await asyncio.sleep(0)


async def leave_thread() -> None:
    stop = threading.Event()
    thread = threading.Thread(target=stop.wait, name="left", daemon=True)
    thread.start()
    kept.append(stop)


def tidy() -> None:
    """Close what the leaky coroutines above kept."""
    for each in kept:
        if isinstance(each, socket.socket):
            each.close()
        elif isinstance(each, threading.Event):
            each.set()
    kept.clear()


@pytest.mark.parametrize(
    ("leaky", "named"),
    [
        pytest.param(leave_task, "task", id="task"),
        pytest.param(leave_socket, "descriptor", id="socket"),
        pytest.param(leave_exception, "never retrieved", id="exception"),
        pytest.param(leave_failed_callback, "loop error", id="callback"),
        pytest.param(leave_thread, "thread 'left'", id="thread"),
    ],
)
def test_leak_is_found(leaky: Callable[[], Awaitable[None]], named: str) -> None:
    try:
        with pytest.raises(LeakError, match=named):
            run_checked(leaky, asyncio.new_event_loop)
    finally:
        tidy()


def test_tidy_coroutine_passes(loop_factory: LoopFactory) -> None:
    async def tidy_main() -> None:
        async def serve(wire: RawConnection) -> None:
            await wire.send(b"x")

        async with RawServer(serve) as server:
            reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
            assert await reader.read() == b"x"
            writer.close()
            await writer.wait_closed()

    run_checked(tidy_main, loop_factory)


def test_failure_of_the_test_itself_is_what_is_raised() -> None:
    async def fail() -> None:
        await leave_socket()
        raise KeyError("mine")

    try:
        with pytest.raises(KeyError, match="mine"):
            run_checked(fail, asyncio.new_event_loop)
    finally:
        tidy()


def test_test_that_hangs_is_ended() -> None:
    async def hang() -> None:
        await asyncio.get_running_loop().create_future()

    with pytest.raises(TimeoutError):
        run_checked(hang, asyncio.new_event_loop, timeout=0.05)


def test_failed_test_that_left_a_transport_open_still_ends(loop_factory: LoopFactory) -> None:
    async def fail() -> None:
        loop = asyncio.get_running_loop()
        kept.append(await loop.create_server(asyncio.Protocol, "127.0.0.1", 0))
        port = kept[0].sockets[0].getsockname()[1]  # type: ignore[attr-defined]  # a server
        kept.append(await loop.create_connection(asyncio.Protocol, "127.0.0.1", port))
        loop.call_soon([].pop)
        await asyncio.sleep(0)
        raise KeyError("mine")

    try:
        with pytest.raises(KeyError, match="mine") as caught:
            run_checked(fail, loop_factory)
        assert "IndexError" in caught.value.__notes__[0]
    finally:
        tidy()


def test_async_tests_run_on_both_loops(loop_factory: LoopFactory) -> None:
    loop = loop_factory()
    loop.close()
    assert type(loop).__module__.split(".")[0] in {"asyncio", "uvloop"}


def test_peer_says_the_abilities_that_tests_are_made_from(peer: PeerProcess) -> None:
    assert peer.abilities == PEERS[peer.name]


def test_peer_takes_large_messages() -> None:
    assert MAX_SIZE >= 32 * 1024 * 1024


def test_resource_is_parsed() -> None:
    resource = Resource.parse("/push?count=3&binary&reason=a%20b")
    assert (resource.name, resource.number("count", 1), resource.number("size", 8)) == (
        "push",
        3,
        8,
    )
    assert resource.query == {"count": "3", "binary": "", "reason": "a b"}


async def echo(wire: RawConnection) -> None:
    while data := await wire.reader.read(65536):
        await wire.send(data)


async def test_connect_proxy_opens_a_tunnel_to_those_who_may() -> None:
    async with RawServer(echo) as server, connect_proxy(auth=("user", "secret")) as proxy:
        for credentials, status in (("bad", b"407"), ("dXNlcjpzZWNyZXQ=", b"200")):
            reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
            head = f"CONNECT 127.0.0.1:{server.port} HTTP/1.1\r\n"
            writer.write(f"{head}Proxy-Authorization: Basic {credentials}\r\n\r\n".encode())
            assert (await reader.readuntil(b"\r\n\r\n")).split()[1] == status
            if status == b"200":
                writer.write(b"hello")
                assert await reader.readexactly(5) == b"hello"
            writer.close()
            await writer.wait_closed()
    assert proxy.requests == [("CONNECT", f"127.0.0.1:{server.port}")] * 2


async def test_socks5_proxy_opens_a_tunnel() -> None:
    async with RawServer(echo) as server, socks5_proxy() as proxy:
        reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
        writer.write(b"\x05\x01\x00")
        assert await reader.readexactly(2) == b"\x05\x00"
        writer.write(
            b"\x05\x01\x00\x01" + socket.inet_aton("127.0.0.1") + server.port.to_bytes(2, "big")
        )
        assert (await reader.readexactly(10))[:2] == b"\x05\x00"
        writer.write(b"hello")
        assert await reader.readexactly(5) == b"hello"
        writer.close()
        await writer.wait_closed()
    assert proxy.requests == [("CONNECT", f"127.0.0.1:{server.port}")]
