"""The raw server: what it sends and reads, what becomes of errors, and that it always ends."""

from __future__ import annotations

import asyncio
import os
import re
import socket
import ssl
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from support.running import run_checked
from wsclient import ProtocolError, websocket_connect
from wsclient.protocol.opcodes import Opcode
from wsclient.testing import IssuedCertificate, WebSocketTestServer
from wsclient.testing.frames import Frame, encode_frame
from wsclient.testing.raw import RawConnection, RawServer

WAIT = 3.0
"""Seconds after which an event that should have happened will not happen any more."""

SURPLUS = 50_000_000
"""Bytes that do not fit into the buffers of TCP."""

REQUEST = (
    b"GET /chat?a=1 HTTP/1.1\r\nHost: h\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)
"""With the key of RFC 6455, section 1.3."""

Act = Callable[[RawConnection], Awaitable[object]]


async def connect(server: RawServer, **options: Any) -> RawConnection:
    """Return the client's end of a new connection."""
    return RawConnection(*await asyncio.open_connection("127.0.0.1", server.port, **options))


async def hang_up(*clients: RawConnection) -> None:
    for client in clients:
        client.writer.transport.abort()
        try:
            await client.writer.wait_closed()
        except OSError:
            pass


async def exchange(act: Act, sent: bytes = b"") -> bytes:
    """Have a server act on a connection; return all bytes that it sends."""
    async with asyncio.timeout(WAIT), RawServer(act) as server:
        client = await connect(server)
        await client.send(sent)
        try:
            return await client.read_to_end()
        finally:
            await hang_up(client)


async def acted(act: Act, sent: bytes) -> Any:
    """Have a server act on a connection from which these bytes come, and then FIN."""
    results = []

    async def serve(connection: RawConnection) -> None:
        results.append(await act(connection))

    async with asyncio.timeout(WAIT), RawServer(serve) as server:
        client = await connect(server)
        await client.send(sent)
        client.writer.write_eof()
        assert await client.read_to_end() == b""
        await hang_up(client)
    return results[0]


async def do_nothing(connection: RawConnection) -> None:
    """Return at once."""


def no_other_tasks() -> bool:
    return asyncio.all_tasks() == {asyncio.current_task()}


# Requests and responses


async def test_a_request_is_read() -> None:
    head = b"PUT /a?b HTTP/1.1\r\nHost: h\r\nX-One: 1\r\nX-ONE:  2 \r\nempty:\r\n\r\nbody"

    async def serve(connection: RawConnection) -> tuple[object, ...]:
        request = await connection.read_request()
        assert connection.request is request
        return request.method, request.target, request.headers, await connection.read_to_end()

    headers = {"host": "h", "x-one": "1, 2", "empty": ""}
    assert await acted(serve, head) == ("PUT", "/a?b", headers, b"body")


async def test_several_requests_may_come_on_one_connection() -> None:
    async def serve(connection: RawConnection) -> list[str]:
        return [(await connection.read_request()).target for _ in range(2)]

    targets = b"GET /1 HTTP/1.1\r\n\r\nGET /2 HTTP/1.1\r\n\r\n"
    assert await acted(serve, targets) == ["/1", "/2"]


async def test_no_token_of_a_request_is_in_its_repr() -> None:
    head = b"GET /?token=secret HTTP/1.1\r\nAuthorization: secret\r\n\r\n"
    request = await acted(RawConnection.read_request, head)
    assert repr(request) == "<RawRequest GET>"


async def test_what_is_no_request_is_told() -> None:
    with pytest.raises(ValueError, match="method, a target and a version") as caught:
        await acted(RawConnection.read_request, b"secret\r\n\r\n")
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("headers", "body", "expected"),
    [
        pytest.param(None, b"", b"Content-Length: 0\r\n", id="empty"),
        pytest.param({"A": "b"}, b"no", b"Content-Length: 2\r\nA: b\r\n", id="body"),
        pytest.param({"Content-Length": "9"}, b"no", b"Content-Length: 9\r\n", id="wrong"),
        pytest.param({"Content-Length": None, "A": "b"}, b"no", b"A: b\r\n", id="left out"),
    ],
)
async def test_a_response_is_sent(
    headers: dict[str, str | None] | None, body: bytes, expected: bytes
) -> None:
    async def serve(connection: RawConnection) -> None:
        await connection.read_request()
        await connection.respond("403 Forbidden", headers, body)

    sent = await exchange(serve, REQUEST)
    assert sent == b"HTTP/1.1 403 Forbidden\r\n" + expected + b"\r\n" + body


RIGHT = {
    "Upgrade": "websocket",
    "Connection": "Upgrade",
    # RFC 6455, section 1.3
    "Sec-WebSocket-Accept": "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=",
}


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        pytest.param(None, RIGHT, id="right"),
        pytest.param({"X": "y"}, {**RIGHT, "X": "y"}, id="added"),
        pytest.param({"Upgrade": "tls"}, {**RIGHT, "Upgrade": "tls"}, id="replaced"),
        pytest.param({"Sec-WebSocket-Accept": None}, dict(list(RIGHT.items())[:2]), id="left out"),
    ],
)
@pytest.mark.parametrize("read", [False, True], ids=["unread", "read"])
async def test_the_upgrade_is_accepted(
    headers: dict[str, str | None] | None, expected: dict[str, str], read: bool
) -> None:
    async def serve(connection: RawConnection) -> None:
        request = await connection.read_request() if read else None
        accepted = await connection.accept(headers, extra=b"behind it")
        assert accepted is (request or connection.request)
        assert accepted.target == "/chat?a=1"

    lines = "".join(f"{name}: {value}\r\n" for name, value in expected.items())
    head = f"HTTP/1.1 101 Switching Protocols\r\n{lines}\r\n"
    assert await exchange(serve, REQUEST) == head.encode() + b"behind it"


# Frames


async def test_example_frames_of_the_rfc() -> None:
    async def serve(connection: RawConnection) -> None:
        await connection.send_frame(Opcode.TEXT, b"Hello")
        await connection.send_frame(Opcode.TEXT, b"Hello", masking_key=b"\x37\xfa\x21\x3d")
        await connection.send_frame(Opcode.TEXT, b"Hel", fin=False)
        await connection.send_frame(Opcode.CONTINUATION, b"lo")
        await connection.send_frame(Opcode.PING, b"Hello")

    # RFC 6455, section 5.7
    assert await exchange(serve) == bytes.fromhex(
        "810548656c6c6f 818537fa213d7f9f4d5158 010348656c 80026c6f 890548656c6c6f"
    )


async def test_wrong_frames_are_sent() -> None:
    async def serve(connection: RawConnection) -> None:
        await connection.send_frame(15, b"x", rsv=7)
        await connection.send_frame(Opcode.PING, bytes(126), fin=False)
        await connection.send_close(999, "é")

    expected = b"\xff\x01x" + b"\x09\x7e\x00\x7e" + bytes(126) + b"\x88\x04\x03\xe7\xc3\xa9"
    assert await exchange(serve) == expected


@pytest.mark.parametrize("size", [0, 125, 126, 65535, 65536])
@pytest.mark.parametrize("masking_key", [None, b"\x01\x02\x03\x04"], ids=["plain", "masked"])
async def test_a_frame_is_read_as_it_was_built(size: int, masking_key: bytes | None) -> None:
    payload = bytes(range(256)) * 256 + b"!" * size
    for content in (payload, payload[:size]):
        sent = encode_frame(Opcode.BINARY, content, fin=False, rsv=5, masking_key=masking_key)
        frame = await acted(RawConnection.read_frame, sent)
        assert frame == Frame(False, 5, Opcode.BINARY, masking_key is not None, content)


async def test_frames_are_read_until_close() -> None:
    sent = [encode_frame(Opcode.TEXT, b"a"), encode_frame(3), encode_frame(Opcode.CLOSE, b"x")]

    async def serve(connection: RawConnection) -> tuple[list[Frame], bytes]:
        return await connection.read_until_close(), await connection.read_to_end()

    frames, rest = await acted(serve, b"".join(sent) + b"rest")
    assert [(frame.opcode, frame.payload) for frame in frames] == [(1, b"a"), (3, b""), (8, b"x")]
    assert rest == b"rest"


@pytest.mark.parametrize("size", [1, 126, 65536])
async def test_cancelled_reading_goes_on_where_it_was(size: int) -> None:
    """The frame comes in two parts, cut at every place of its header and behind it."""
    data = encode_frame(Opcode.TEXT, b"x" * size, masking_key=b"1234")
    async with RawServer(do_nothing) as server:
        client = await connect(server)
        client.reader = asyncio.StreamReader()
        for cut in range(16):
            client.reader.feed_data(data[:cut])
            reading = asyncio.create_task(client.read_frame())
            await asyncio.sleep(0)
            if size == 1 and cut >= len(data):
                assert (await reading).payload == b"x"
                break
            reading.cancel()
            with pytest.raises(asyncio.CancelledError):
                await reading
            client.reader.feed_data(data[cut:])
            assert (await client.read_frame()).payload == b"x" * size
        await hang_up(client)


async def test_all_that_came_is_read_to_the_end_also_half_a_frame() -> None:
    async def serve(connection: RawConnection) -> bytes:
        with pytest.raises(asyncio.IncompleteReadError):
            await connection.read_frame()
        return await connection.read_to_end()

    assert await acted(serve, b"\x81\x7e\x00") == b"\x81\x7e\x00"


# Ends


async def test_close_ends_with_fin_behind_what_was_sent() -> None:
    async def serve(connection: RawConnection) -> None:
        connection.writer.write(b"x" * 10_000_000)
        connection.close()
        await connection.writer.wait_closed()

    assert await exchange(serve) == b"x" * 10_000_000


async def test_abort_ends_with_rst() -> None:
    async def serve(connection: RawConnection) -> None:
        await connection.reader.readexactly(1)
        connection.abort()

    with pytest.raises(ConnectionResetError):
        await exchange(serve, b"x")


async def test_the_connection_is_closed_when_the_handler_returns() -> None:
    assert await exchange(do_nothing) == b""


async def test_our_client_meets_a_rude_server() -> None:
    async def rude(connection: RawConnection) -> None:
        await connection.accept()
        await connection.send_frame(Opcode.TEXT, b"\xff")
        frames = await connection.read_until_close()
        assert frames[-1].close_code == 1007

    async with RawServer(rude) as server, websocket_connect(server.url) as conn:
        info = await conn.wait_closed()
        assert isinstance(info.exception, ProtocolError)
    assert server.errors == []


async def test_a_connection_can_be_the_end_of_a_client() -> None:
    async with WebSocketTestServer() as server:
        client = RawConnection(*await asyncio.open_connection("127.0.0.1", server.port))
        upgrade = b"Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\r\n"
        await client.send(REQUEST[:-2] + upgrade)
        assert b" 101 " in await client.reader.readuntil(b"\r\n\r\n")
        await client.send_frame(Opcode.TEXT, b"hello", masking_key=b"abcd")
        assert await client.read_frame() == Frame(True, 0, Opcode.TEXT, False, b"hello")
        assert re.fullmatch(r"<RawConnection with \('127.0.0.1', \d+\)>", repr(client))
        await hang_up(client)


# Errors of handlers


async def wrong(connection: RawConnection) -> None:
    await connection.reader.readexactly(1)
    raise KeyError("the script is wrong")


async def failing(connection: RawConnection) -> None:
    await connection.reader.readexactly(1)
    pytest.fail("not as it should be")


@pytest.mark.parametrize(
    ("handler", "sent", "kind", "says"),
    [
        pytest.param(wrong, b"x", KeyError, "is wrong", id="exception"),
        pytest.param(failing, b"x", pytest.fail.Exception, "not as it", id="pytest.fail"),
        pytest.param(lambda connection: None, b"", TypeError, "a coroutine function", id="plain"),
    ],
)
async def test_what_a_handler_raises_is_raised(
    handler: Any, sent: bytes, kind: type[BaseException], says: str
) -> None:
    with pytest.raises(kind, match=says):
        await exchange(handler, sent)


async def test_what_several_handlers_raise_is_raised() -> None:
    with pytest.raises(BaseExceptionGroup) as caught:
        async with RawServer(wrong) as server:
            for _ in range(2):
                client = await connect(server)
                await client.send(b"x")
                assert await client.read_to_end() == b""
                await hang_up(client)
    assert [type(error) for error in caught.value.exceptions] == [KeyError, KeyError]
    assert list(caught.value.exceptions) == server.errors


async def test_an_exception_of_the_block_is_not_hidden_by_one_of_a_handler() -> None:
    with pytest.raises(ZeroDivisionError) as caught:
        async with RawServer(wrong) as server:
            client = await connect(server)
            await client.send(b"x")
            assert await client.read_to_end() == b""
            await hang_up(client)
            raise ZeroDivisionError
    assert caught.value.__notes__ == [
        "A handler of the raw server had raised KeyError('the script is wrong')"
    ]


@pytest.mark.parametrize("rst", [False, True], ids=["FIN", "RST"])
@pytest.mark.parametrize("act", [RawConnection.read_frame, RawConnection.read_request])
async def test_that_the_client_has_gone_is_no_error(act: Act, rst: bool) -> None:
    ended = asyncio.Event()

    async def serve(connection: RawConnection) -> None:
        try:
            await act(connection)
        finally:
            ended.set()

    async with RawServer(serve) as server:
        client = await connect(server)
        await client.send(b"\x81")
        client.abort() if rst else client.close()
        await asyncio.wait_for(ended.wait(), WAIT)
        await hang_up(client)
    assert server.errors == []


# Leaving the block


async def test_a_handler_that_is_about_to_end_is_waited_for() -> None:
    left = asyncio.Event()
    done = []

    async def serve(connection: RawConnection) -> None:
        await left.wait()
        await asyncio.sleep(0.02)
        done.append(True)

    async with RawServer(serve) as server:
        client = await connect(server)
        asyncio.get_running_loop().call_later(0.02, left.set)
    assert done == [True]
    assert await client.read_to_end() == b""
    await hang_up(client)


async def test_a_handler_that_goes_on_is_cancelled() -> None:
    ends = []

    async def serve(connection: RawConnection) -> None:
        try:
            await asyncio.get_running_loop().create_future()
        except asyncio.CancelledError:
            ends.append("cancelled")
            raise

    async with RawServer(serve) as server:
        clients = [await connect(server) for _ in range(3)]
        while len(asyncio.all_tasks()) < 4:  # noqa: ASYNC110  # The server tells nobody.
            await asyncio.sleep(0)
    assert ends == ["cancelled"] * 3
    assert no_other_tasks()
    for client in clients:
        assert await client.read_to_end() == b""
    await hang_up(*clients)


async def test_a_handler_that_cannot_be_cancelled_is_told() -> None:
    loop = asyncio.get_running_loop()
    free = asyncio.Event()
    begun = asyncio.Event()

    async def serve(connection: RawConnection) -> None:
        begun.set()
        while not free.is_set():
            try:
                await free.wait()
            except asyncio.CancelledError:
                pass

    with pytest.raises(RuntimeError, match="goes on although cancelled"):
        async with RawServer(serve) as server:
            client = await connect(server)
            await begun.wait()
            started = loop.time()
    assert loop.time() - started < 1.5
    assert not await client.reader.read()  # The connection has been dropped nevertheless.
    free.set()
    await asyncio.wait(asyncio.all_tasks() - {asyncio.current_task()}, timeout=WAIT)
    await hang_up(client)


@pytest.mark.parametrize("returns", [True, False], ids=["handler returns", "handler goes on"])
async def test_what_a_client_does_not_read_is_dropped(returns: bool) -> None:
    begun = asyncio.Event()

    async def serve(connection: RawConnection) -> None:
        connection.writer.write(bytes(SURPLUS))
        begun.set()
        if not returns:
            await asyncio.get_running_loop().create_future()

    with socket.socket() as client:
        async with RawServer(serve) as server:
            client.connect(("127.0.0.1", server.port))
            await begun.wait()
        assert no_other_tasks()
        client.settimeout(WAIT)
        assert drain(client) < SURPLUS


def drain(client: socket.socket) -> int:
    """Read until the end without the event loop, which could send more; return the bytes."""
    size = 0
    try:
        while data := client.recv(1 << 20):
            size += len(data)
    except ConnectionResetError:
        pass
    return size


async def test_cancelled_leaving_drops_everything_at_once() -> None:
    begun = asyncio.Event()
    leaving = asyncio.Event()
    clients = []

    async def serve(connection: RawConnection) -> None:
        connection.writer.write(bytes(SURPLUS))
        begun.set()
        await asyncio.get_running_loop().create_future()

    async def run() -> None:
        async with RawServer(serve) as server:
            clients.append(await connect(server))
            clients[0].writer.transport.pause_reading()  # type: ignore[attr-defined]  # it has
            await begun.wait()
            leaving.set()

    running = asyncio.create_task(run())
    await leaving.wait()
    await asyncio.sleep(0.02)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    for _ in range(5):
        await asyncio.sleep(0)
    assert no_other_tasks()
    await hang_up(*clients)


@pytest.mark.parametrize("turns", range(6))
@pytest.mark.parametrize("secure", [False, True], ids=["ws", "wss"])
async def test_a_client_that_comes_at_the_last_moment(
    secure: bool, turns: int, certificates: IssuedCertificate
) -> None:
    tls = certificates.server_context() if secure else None
    with socket.socket() as client:
        async with RawServer(RawConnection.read_frame, tls=tls) as server:
            client.connect(("127.0.0.1", server.port))
            for _ in range(turns):
                await asyncio.sleep(0)
        assert no_other_tasks()
        client.settimeout(WAIT)
        try:
            assert client.recv(1) == b""
        except ConnectionResetError:
            pass
    assert server.errors == []


# TLS


async def test_tls(certificates: IssuedCertificate) -> None:
    async def serve(connection: RawConnection) -> None:
        await connection.accept()
        for _ in range(2):  # A message, and Close.
            frame = await connection.read_frame()
            await connection.send_frame(frame.opcode, frame.payload)

    async with RawServer(serve, tls=certificates.server_context()) as server:
        assert server.url == f"wss://127.0.0.1:{server.port}/"
        for _ in range(3):
            async with websocket_connect(server.url, ssl=certificates.trust_context()) as conn:
                await conn.write_message("x" * 100_000)
                assert await conn.read_message() == "x" * 100_000
            assert conn.close_info is not None
            assert conn.close_info.clean


async def test_tls_ends_with_rst_by_abort(certificates: IssuedCertificate) -> None:
    async def serve(connection: RawConnection) -> None:
        await connection.reader.readexactly(1)
        connection.abort()

    async with RawServer(serve, tls=certificates.server_context()) as server:
        client = await connect(server, ssl=certificates.trust_context())
        await client.send(b"x")
        with pytest.raises(ConnectionResetError):
            await client.read_to_end()
        await hang_up(client)


async def test_a_tls_handshake_that_fails_is_no_error(certificates: IssuedCertificate) -> None:
    served = []

    async def serve(connection: RawConnection) -> None:
        served.append(connection)

    async with RawServer(serve, tls=certificates.server_context()) as server:
        with pytest.raises(ssl.SSLError):
            await connect(server, ssl=ssl.create_default_context())
        client = await connect(server)
        await client.send(b"GET / HTTP/1.1\r\n\r\n")
        try:
            await client.read_to_end()
        except ConnectionResetError:
            pass
        await hang_up(client)
    assert (served, server.errors) == ([], [])


async def test_a_client_that_stands_still_in_the_tls_handshake(
    certificates: IssuedCertificate,
) -> None:
    loop = asyncio.get_running_loop()
    async with RawServer(do_nothing, tls=certificates.server_context()) as server:
        client = await connect(server)
        await client.send(b"\x16\x03\x01")
        while no_other_tasks():  # noqa: ASYNC110  # The server tells nobody.
            await asyncio.sleep(0)
        started = loop.time()
    assert loop.time() - started < 1.5
    assert no_other_tasks()
    try:
        assert await asyncio.wait_for(client.read_to_end(), WAIT) == b""
    except ConnectionResetError:
        pass
    await hang_up(client)


# Where it listens


def test_a_loop_that_cannot_watch_sockets(certificates: IssuedCertificate) -> None:
    class Loop(asyncio.SelectorEventLoop):
        """As little as the Proactor loop of Windows can do."""

        def add_reader(self, *args: Any) -> None:  # type: ignore[override]  # it does nothing
            raise NotImplementedError

    async def main() -> None:
        for tls in (None, certificates.server_context()):
            context = certificates.trust_context() if tls else None
            server = RawServer(wrong, tls=tls)
            for _ in range(2):
                with pytest.raises(KeyError):
                    async with server:
                        client = await connect(server, ssl=context)
                        await client.send(b"x")
                        assert await client.read_to_end() == b""
                        await hang_up(client)
                assert no_other_tasks()

    run_checked(main, Loop)


async def test_where_it_listens() -> None:
    server = RawServer(do_nothing)
    assert (server.port, repr(server)) == (0, "<RawServer not running>")
    async with server:
        assert server.url == f"ws://127.0.0.1:{server.port}/"
        assert repr(server) == f"<RawServer {server.url}>"
    assert repr(server) == "<RawServer not running>"
    with pytest.raises(ConnectionRefusedError):
        await connect(server)


@pytest.mark.parametrize("secure", [False, True], ids=["ws", "wss"])
async def test_another_address(secure: bool, certificates: IssuedCertificate) -> None:
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError as error:
        pytest.skip(f"this system has no ::1: {error}")
    tls = certificates.server_context() if secure else None
    async with RawServer(do_nothing, tls=tls, host="::1") as server:
        assert server.url == f"{'wss' if secure else 'ws'}://[::1]:{server.port}/"
        context = certificates.trust_context() if secure else None
        client = RawConnection(*await asyncio.open_connection("::1", server.port, ssl=context))
        assert await client.read_to_end() == b""
        await hang_up(client)


@pytest.mark.parametrize("secure", [False, True], ids=["ws", "wss"])
async def test_a_server_that_comes_back(secure: bool, certificates: IssuedCertificate) -> None:
    server = RawServer(wrong, tls=certificates.server_context() if secure else None)
    context = certificates.trust_context() if secure else None
    ports = []
    for _ in range(3):
        with pytest.raises(KeyError):
            async with server:
                ports.append(server.port)
                client = await connect(server, ssl=context)
                await client.send(b"x")
                assert await client.read_to_end() == b""
                await hang_up(client)
        assert len(server.errors) == 1
        with pytest.raises(ConnectionRefusedError):
            await connect(server)
    assert ports == [server.port] * 3


@pytest.mark.parametrize("secure", [False, True], ids=["ws", "wss"])
async def test_a_port_that_is_taken(secure: bool, certificates: IssuedCertificate) -> None:
    server = RawServer(do_nothing, tls=certificates.server_context() if secure else None)
    async with server:
        with pytest.raises(RuntimeError, match="running already"):
            await server.__aenter__()
    with socket.create_server(("127.0.0.1", server.port)), pytest.raises(OSError, match="in use"):
        await server.__aenter__()
    async with server:
        client = await connect(server)
        await hang_up(client)


async def test_that_nothing_can_be_accepted_is_an_error() -> None:
    resource = pytest.importorskip("resource", reason="this system has no limits")
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    with pytest.raises(OSError, match="Too many open files"), socket.socket() as client:
        async with asyncio.timeout(WAIT), RawServer(do_nothing) as server:
            free = os.dup(client.fileno())
            os.close(free)
            resource.setrlimit(resource.RLIMIT_NOFILE, (free, limits[1]))
            try:
                client.connect(("127.0.0.1", server.port))
                while not server.errors:  # noqa: ASYNC110  # The server tells nobody.
                    await asyncio.sleep(0)
            finally:
                resource.setrlimit(resource.RLIMIT_NOFILE, limits)


@pytest.mark.parametrize(
    ("arguments", "kind", "says"),
    [
        pytest.param({"handler": None}, TypeError, "coroutine function", id="handler"),
        pytest.param({"tls": True}, TypeError, "ssl.SSLContext", id="tls"),
        pytest.param(
            {"tls": ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)}, ValueError, "clients", id="client"
        ),
    ],
)
def test_bad_arguments(arguments: dict[str, Any], kind: type[Exception], says: str) -> None:
    with pytest.raises(kind, match=says):
        RawServer(**{"handler": do_nothing, **arguments})
