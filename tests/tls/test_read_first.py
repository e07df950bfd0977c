"""Sockets whose errors of writing wait until what the server said has been read."""

from __future__ import annotations

import asyncio
import errno
import socket
import ssl
import struct
import threading
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import aiohttp
import pytest

from support.proxies import connect_proxy
from wsclient.opening.read_first import read_first_socket
from wsclient.protocol.handshake import accept_token
from wsclient.testing import ThreadedTLSServer
from wsclient.testing.certificates import CertificateAuthority
from wsclient.testing.frames import close_frame

REJECTED_IN_A_ROW = 200
CA = CertificateAuthority()

on_asyncio = pytest.mark.parametrize("loop_factory", [asyncio.new_event_loop], ids=["asyncio"])
"""For tests in which the loop stands still before it writes: uvloop uses the descriptor alone."""


def reset(connection: socket.socket) -> None:
    """End TCP by RST; what was sent before has arrived by then."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


@contextmanager
def connected() -> Iterator[tuple[socket.socket, socket.socket]]:
    """Give a read-first socket and the server's end of its connection."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        ours = read_first_socket((socket.AF_INET, socket.SOCK_STREAM, 0, "", ()))
        with ours:
            ours.connect(listener.getsockname())
            theirs, _ = listener.accept()
            with theirs:
                ours.setblocking(False)
                yield ours, theirs


@asynccontextmanager
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    connector = aiohttp.TCPConnector(force_close=True, socket_factory=read_first_socket)
    async with aiohttp.ClientSession(connector=connector) as each:
        yield each


# The socket by itself.


@pytest.mark.parametrize("family", [socket.AF_INET, socket.AF_INET6])
def test_socket_is_of_the_kind_asked_for(family: int) -> None:
    with read_first_socket((family, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", ())) as made:
        assert (made.family, made.type) == (family, socket.SOCK_STREAM)
        assert made.proto == socket.IPPROTO_TCP
        assert not made.get_inheritable()
        with made.dup() as twin:
            assert type(twin) is type(made)


def test_sends_as_any_socket() -> None:
    with connected() as (ours, theirs):
        assert ours.send(b"one ") == 4
        assert ours.sendmsg(iter((b"two ", b"three"))) == 9
        assert theirs.recv(100) == b"one two three"


def test_real_would_block_stays() -> None:
    with connected() as (ours, _), pytest.raises(BlockingIOError):
        while True:
            ours.send(bytes(1 << 20))


@pytest.mark.parametrize("send", ["send", "sendmsg"])
def test_error_waits_until_all_is_read(send: str) -> None:
    def write() -> int:
        return ours.send(b"x") if send == "send" else ours.sendmsg([b"x"])

    with connected() as (ours, theirs):
        theirs.sendall(b"because")
        reset(theirs)
        with pytest.raises(BlockingIOError):
            write()
        assert ours.recv(100) == b"because"
        with pytest.raises(ConnectionResetError) as caught:
            write()
    assert caught.value.errno == errno.ECONNRESET


def test_error_comes_at_once_when_there_is_nothing_to_read() -> None:
    with connected() as (ours, theirs):
        reset(theirs)
        with pytest.raises(ConnectionResetError):
            ours.send(b"x")


def test_error_is_not_put_off_twice_without_reading() -> None:
    with connected() as (ours, theirs):
        theirs.sendall(b"nobody reads this")
        reset(theirs)
        with pytest.raises(BlockingIOError):
            ours.send(b"x")
        for _ in range(2):
            with pytest.raises(ConnectionResetError):
                ours.send(b"x")


def test_error_is_put_off_as_long_as_reading_goes_on() -> None:
    with connected() as (ours, theirs):
        theirs.sendall(b"123")
        reset(theirs)
        for digit in (b"1", b"2", b"3"):
            with pytest.raises(BlockingIOError):
                ours.send(b"x")
            assert ours.recv(1) == digit
        with pytest.raises(ConnectionResetError):
            ours.send(b"x")


def test_broken_pipe_is_put_off_too() -> None:
    with connected() as (ours, theirs):
        theirs.sendall(b"because")
        theirs.close()
        ours.send(b"this is answered by RST")
        with pytest.raises(BlockingIOError):
            write_until_error(ours)
        assert ours.recv(100) == b"because"
        with pytest.raises(BrokenPipeError):
            ours.send(b"x")


def write_until_error(ours: socket.socket) -> None:
    for _ in range(1000):
        ours.send(b"x")
        time.sleep(0.001)  # Nothing tells that a RST has come in.


# Below a loop.


class Recorder(asyncio.Protocol):
    """Notes down what its transport tells it."""

    def __init__(self) -> None:
        self.received = bytearray()
        self.lost: asyncio.Future[BaseException | None] = asyncio.Future()

    def data_received(self, data: bytes) -> None:
        self.received += data

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost.set_result(exc)


@on_asyncio
async def test_loop_reads_all_before_it_fails() -> None:
    sent = bytes(range(256)) * 3000  # more than a loop reads at once
    with connected() as (ours, theirs):
        transport, protocol = await take_over(ours)
        ours.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 * len(sent))
        feeder = threading.Thread(target=send_and_reset, args=(theirs, sent))
        feeder.start()
        feeder.join()  # The loop stands still meanwhile.
        transport.write(b"into the void")
        transport.write(b"and more")
        async with asyncio.timeout(5):
            await protocol.lost
        assert bytes(protocol.received) == sent


def send_and_reset(theirs: socket.socket, data: bytes) -> None:
    theirs.sendall(data)
    # RST throws away what has not been delivered.
    while unsent(theirs):
        time.sleep(0.001)
    reset(theirs)


def unsent(theirs: socket.socket) -> int:
    fcntl = pytest.importorskip("fcntl", reason="no ioctl on this system")
    termios = pytest.importorskip("termios", reason="no ioctl on this system")
    return int.from_bytes(fcntl.ioctl(theirs, termios.TIOCOUTQ, bytes(4)), "little")


async def take_over(ours: socket.socket) -> tuple[asyncio.Transport, Recorder]:
    loop = asyncio.get_running_loop()
    return await loop.create_connection(Recorder, sock=ours)


async def test_reset_with_nothing_to_read_is_told_promptly() -> None:
    with connected() as (ours, theirs):
        transport, protocol = await take_over(ours)
        reset(theirs)
        transport.write(b"into the void")
        async with asyncio.timeout(2):
            lost = await protocol.lost
        assert isinstance(lost, ConnectionResetError | BrokenPipeError)


async def test_loop_does_not_spin_while_nobody_reads() -> None:
    with connected() as (ours, theirs):
        transport, protocol = await take_over(ours)
        transport.pause_reading()
        theirs.sendall(b"nobody reads this")
        reset(theirs)
        transport.write(b"into the void")
        rounds = 0
        async with asyncio.timeout(2):
            while not protocol.lost.done():
                rounds += 1
                await asyncio.sleep(0)
        assert rounds < 10
        assert isinstance(protocol.lost.result(), ConnectionResetError)


# Below aiohttp.


def block_until(happened: Callable[[], bool]) -> None:
    """Wait, and let the loop stand still: it must not read before it writes."""
    deadline = time.monotonic() + 5
    while not happened():
        assert time.monotonic() < deadline
        time.sleep(0.0001)


async def refused(
    url: str, trust: ssl.SSLContext, before_request: Callable[[], None] | None, **kwargs: Any
) -> str:
    """Ask a server that refuses; return what that is called at the end of the chain."""
    trace = aiohttp.TraceConfig()
    if before_request is not None:
        wait = before_request

        async def stand_still(*_: object) -> None:
            wait()

        trace.on_connection_create_end.append(stand_still)
    connector = aiohttp.TCPConnector(force_close=True, socket_factory=read_first_socket)
    async with aiohttp.ClientSession(connector=connector, trace_configs=[trace]) as asking:
        try:
            # aiohttp repeats a GET whose connection broke, and a POST never.
            async with asking.post(url.replace("wss", "https"), ssl=trust, **kwargs):
                return "accepted"
        except (aiohttp.ClientError, OSError) as exc:
            causes = [exc, exc.__cause__]
            return next((str(x.reason) for x in causes if type(x) is ssl.SSLError), repr(causes))


@on_asyncio
async def test_alert_that_came_before_the_request_is_never_lost() -> None:
    context = CA.server_certificate().server_context(client_ca=CA)
    trust = CA.trust_context()
    with ThreadedTLSServer(context, after_rejection="reset") as server:

        def stand_still() -> None:
            # The server closes a connection behind its RST.
            block_until(lambda: all(each.closed for each in server.connections))

        seen = Counter(
            [await refused(server.url, trust, stand_still) for _ in range(REJECTED_IN_A_ROW)]
        )
    assert seen == {"TLSV13_ALERT_CERTIFICATE_REQUIRED": REJECTED_IN_A_ROW}


async def test_alert_that_comes_with_the_request_is_never_lost() -> None:
    context = CA.server_certificate().server_context(client_ca=CA)
    trust = CA.trust_context()
    with ThreadedTLSServer(context, after_rejection="reset") as server:
        seen = Counter([await refused(server.url, trust, None) for _ in range(REJECTED_IN_A_ROW)])
    assert seen == {"TLSV13_ALERT_CERTIFICATE_REQUIRED": REJECTED_IN_A_ROW}


async def test_alert_before_reset_comes_through_a_proxy() -> None:
    context = CA.server_certificate().server_context(client_ca=CA)
    trust = CA.trust_context()
    with ThreadedTLSServer(context, after_rejection="reset") as server:
        async with connect_proxy() as proxy:
            seen = Counter(
                [await refused(server.url, trust, None, proxy=proxy.url) for _ in range(20)]
            )
    assert seen == {"TLSV13_ALERT_CERTIFICATE_REQUIRED": 20}


class ResettingServer:
    """Answers one connection in a thread, then resets it when it is told to."""

    def __init__(self, serve: Callable[[socket.socket], None]) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._serve = serve
        self.ended = threading.Event()
        self._thread = threading.Thread(target=self._run)

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self._listener.getsockname()[1]}"

    def __enter__(self) -> ResettingServer:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._thread.join()
        self._listener.close()

    def _run(self) -> None:
        connection, _ = self._listener.accept()
        self._serve(connection)
        reset(connection)
        self.ended.set()


@on_asyncio
async def test_early_answer_before_reset_is_kept() -> None:
    answer = b"HTTP/1.1 403 Forbidden\r\nContent-Length: 7\r\n\r\nbecause"
    go_on = threading.Event()
    trace = aiohttp.TraceConfig()

    def serve(connection: socket.socket) -> None:
        # An earlier end would be one of connecting.
        assert go_on.wait(5)
        connection.sendall(answer)

    async def stand_still(*_: object) -> None:
        go_on.set()
        assert server.ended.wait(5)

    trace.on_connection_create_end.append(stand_still)
    connector = aiohttp.TCPConnector(force_close=True, socket_factory=read_first_socket)
    with ResettingServer(serve) as server:
        asking = aiohttp.ClientSession(connector=connector, trace_configs=[trace])
        async with asking, asking.post(f"http://{server.address}/") as response:
            assert (response.status, await response.read()) == (403, b"because")


@on_asyncio
async def test_close_frame_before_reset_is_kept() -> None:
    go_on = threading.Event()

    def serve(connection: socket.socket) -> None:
        head = b""
        while b"\r\n\r\n" not in head:
            head += connection.recv(4096)
        connection.sendall(switching(head))
        assert go_on.wait(5)
        connection.sendall(close_frame(4001, "because"))

    with ResettingServer(serve) as server:
        async with session() as asking, asking.ws_connect(f"ws://{server.address}/") as ws:
            go_on.set()
            assert server.ended.wait(5)  # The loop stands still meanwhile.
            await ws.send_str("into the void")
            message = await ws.receive(timeout=5)
            assert (message.type, message.data) == (aiohttp.WSMsgType.CLOSE, 4001)
            assert message.extra == "because"


def switching(head: bytes) -> bytes:
    lines = (line.partition(b": ") for line in head.split(b"\r\n"))
    (key,) = (value for name, _, value in lines if name.lower() == b"sec-websocket-key")
    return (
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Accept: " + accept_token(key.decode()).encode() + b"\r\n\r\n"
    )


async def test_ordinary_traffic_is_unharmed() -> None:
    context = CA.server_certificate().server_context()
    with ThreadedTLSServer(context) as server:
        trust = CA.trust_context()
        async with session() as asking, asking.ws_connect(server.url, ssl=trust) as ws:
            for size in (1, 1000, 1_000_000):
                await ws.send_bytes(bytes(size))
                assert (await ws.receive_bytes(timeout=5)) == bytes(size)
