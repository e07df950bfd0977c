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
from support.relay import relay
from support.running import LeakError, LoopFactory, run_checked
from support.wire import BINARY, TEXT, Wire, accept_key, build_frame, raw_server

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
        async def serve(wire: Wire) -> None:
            await wire.send(b"x")

        async with raw_server(serve) as port:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
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


def test_accept_key_of_the_rfc() -> None:
    # RFC 6455, section 1.3
    assert accept_key("dGhlIHNhbXBsZSBub25jZQ==") == "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="


@pytest.mark.parametrize("size", [0, 125, 126, 65535, 65536])
@pytest.mark.parametrize("mask", [None, b"\x01\x02\x03\x04"], ids=["plain", "masked"])
async def test_frame_is_read_as_it_was_built(size: int, mask: bytes | None) -> None:
    frames = []

    async def serve(wire: Wire) -> None:
        frames.append(await wire.read_frame())
        await wire.send(b"done")

    async with raw_server(serve) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(build_frame(BINARY, bytes(range(256)) * 256 + b"!" * size, mask=mask))
        assert await reader.read() == b"done"
        writer.close()
        await writer.wait_closed()
    assert frames[0].payload == bytes(range(256)) * 256 + b"!" * size
    assert (frames[0].fin, frames[0].opcode, frames[0].masked) == (True, BINARY, mask is not None)


async def test_example_frames_of_the_rfc() -> None:
    # RFC 6455, section 5.7
    assert build_frame(TEXT, b"Hello") == bytes.fromhex("810548656c6c6f")
    masked = build_frame(TEXT, b"Hello", mask=bytes.fromhex("37fa213d"))
    assert masked == bytes.fromhex("818537fa213d7f9f4d5158")


async def test_error_in_a_script_fails_the_test() -> None:
    async def serve(wire: Wire) -> None:
        raise ValueError("the script is wrong")

    with pytest.raises(ValueError, match="the script is wrong"):
        async with raw_server(serve) as port:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            assert await reader.read() == b""
            writer.close()
            await writer.wait_closed()


async def echo(wire: Wire) -> None:
    while data := await wire.reader.read(65536):
        await wire.send(data)


async def test_relay_delays_holds_back_and_cuts() -> None:
    loop = asyncio.get_running_loop()
    async with raw_server(echo) as port:
        with relay(port, delay=0.05) as between:
            reader, writer = await asyncio.open_connection("127.0.0.1", between.port)
            begun = loop.time()
            writer.write(b"one")
            assert await reader.readexactly(3) == b"one"
            assert loop.time() - begun >= 0.1
            between.pause()
            writer.write(b"two")
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(reader.readexactly(3), 0.3)
            between.resume()
            assert await reader.readexactly(3) == b"two"
            between.cut()
            with pytest.raises(ConnectionResetError):
                await reader.readexactly(1)
            writer.close()
            with pytest.raises(ConnectionResetError):
                await writer.wait_closed()


async def test_connect_proxy_opens_a_tunnel_to_those_who_may() -> None:
    async with raw_server(echo) as port, connect_proxy(auth=("user", "secret")) as proxy:
        for credentials, status in (("bad", b"407"), ("dXNlcjpzZWNyZXQ=", b"200")):
            reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
            head = f"CONNECT 127.0.0.1:{port} HTTP/1.1\r\n"
            writer.write(f"{head}Proxy-Authorization: Basic {credentials}\r\n\r\n".encode())
            assert (await reader.readuntil(b"\r\n\r\n")).split()[1] == status
            if status == b"200":
                writer.write(b"hello")
                assert await reader.readexactly(5) == b"hello"
            writer.close()
            await writer.wait_closed()
    assert proxy.requests == [("CONNECT", f"127.0.0.1:{port}")] * 2


async def test_socks5_proxy_opens_a_tunnel() -> None:
    async with raw_server(echo) as port, socks5_proxy() as proxy:
        reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
        writer.write(b"\x05\x01\x00")
        assert await reader.readexactly(2) == b"\x05\x00"
        writer.write(b"\x05\x01\x00\x01" + socket.inet_aton("127.0.0.1") + port.to_bytes(2, "big"))
        assert (await reader.readexactly(10))[:2] == b"\x05\x00"
        writer.write(b"hello")
        assert await reader.readexactly(5) == b"hello"
        writer.close()
        await writer.wait_closed()
    assert proxy.requests == [("CONNECT", f"127.0.0.1:{port}")]
