"""The threaded TLS server: what clients see of it, what it records, and that it ends."""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import functools
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from typing import Any, cast

import pytest

from support.running import open_descriptors
from wsclient import websocket_connect
from wsclient.errors import ConnectError, HandshakeError, TLSError
from wsclient.protocol.opcodes import Opcode
from wsclient.testing.certificates import CertificateAuthority, IssuedCertificate
from wsclient.testing.frames import close_frame, encode_frame
from wsclient.testing.tls import server as tls_server
from wsclient.testing.tls.server import AfterRejection, ThreadedTLSServer
from wsclient.testing.tls.stream import TLSStream

VERSIONS = [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3]
NO_CERTIFICATE = {
    ssl.TLSVersion.TLSv1_2: "SSLV3_ALERT_HANDSHAKE_FAILURE",
    ssl.TLSVersion.TLSv1_3: "TLSV13_ALERT_CERTIFICATE_REQUIRED",
}
UPGRADE = (
    b"GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)
MASK = b"\x01\x02\x03\x04"


@pytest.fixture(scope="module")
def ca() -> CertificateAuthority:
    return CertificateAuthority()


@pytest.fixture(scope="module")
def server(ca: CertificateAuthority) -> IssuedCertificate:
    return ca.server_certificate()


@pytest.fixture(autouse=True)
def _nothing_is_left() -> Iterator[None]:
    threads, sockets = set(threading.enumerate()), open_sockets()
    yield
    assert set(threading.enumerate()) <= threads
    assert open_sockets() <= sockets


def open_sockets() -> set[str]:
    return {each for each in open_descriptors() if "socket:" in each}


@contextlib.contextmanager
def connected(
    running: ThreadedTLSServer, context: ssl.SSLContext, session: ssl.SSLSession | None = None
) -> Iterator[ssl.SSLSocket]:
    """Connect a blocking socket, with TLS."""
    with (
        socket.create_connection(("127.0.0.1", running.port), timeout=5) as raw,
        context.wrap_socket(
            raw,
            server_hostname="localhost",
            session=session,
            # An end without an alert `close_notify` is an error then.
            suppress_ragged_eofs=False,
        ) as tls,
    ):
        yield tls


def read_until(tls: ssl.SSLSocket, end: bytes) -> bytes:
    data = b""
    while not data.endswith(end):
        chunk = tls.recv(65536)
        assert chunk, data
        data += chunk
    return data


# Alerts


@pytest.mark.parametrize("after", ["drain", "close", "reset"])
@pytest.mark.parametrize("version", VERSIONS)
def test_a_client_without_a_certificate_gets_an_alert(
    ca: CertificateAuthority,
    server: IssuedCertificate,
    version: ssl.TLSVersion,
    after: AfterRejection,
) -> None:
    context = server.server_context(client_ca=ca)
    context.maximum_version = version
    with ThreadedTLSServer(context, after_rejection=after) as running:
        with (
            pytest.raises(ssl.SSLError) as caught,
            connected(running, ca.trust_context()) as tls,
        ):
            tls.recv(1)
        assert caught.value.reason == NO_CERTIFICATE[version]
        (record,) = running.wait_for_handshakes()
    assert record.alert_sent
    assert not record.established
    assert record.reason == "PEER_DID_NOT_RETURN_A_CERTIFICATE"
    assert record.version is record.cipher is record.peer_certificate is record.error is None
    assert running.connections[0].closed


@pytest.mark.parametrize("version", VERSIONS)
def test_the_record_says_why_a_certificate_is_refused(
    ca: CertificateAuthority, server: IssuedCertificate, version: ssl.TLSVersion
) -> None:
    context = server.server_context(client_ca=ca)
    context.maximum_version = version
    client = ca.client_certificate(expired=True).client_context()
    with ThreadedTLSServer(context) as running:
        with pytest.raises(ssl.SSLError) as caught, connected(running, client) as tls:
            tls.recv(1)
        assert caught.value.reason == "SSLV3_ALERT_CERTIFICATE_EXPIRED"
        (record,) = running.wait_for_handshakes()
    assert record.reason == "CERTIFICATE_VERIFY_FAILED"
    assert record.verify_code == 10
    assert record.handshake_error is not None
    assert record.handshake_error.__traceback__ is None


@pytest.mark.parametrize("after", ["drain", "close", "reset"])
def test_what_becomes_of_what_a_refused_client_sends(
    ca: CertificateAuthority, server: IssuedCertificate, after: AfterRejection
) -> None:
    """Under TLS 1.3 a refused client has finished its handshake and goes on to write."""
    context = server.server_context(client_ca=ca)
    with (
        ThreadedTLSServer(context, after_rejection=after) as running,
        connected(running, ca.trust_context()) as tls,
    ):
        running.wait_for_handshakes()
        wait_until(lambda: running.connections[0].closed or after == "drain")
        assert is_reset_by_writing(tls) == (after != "drain")
        # The alert has arrived in any case. A client that gives up at the write misses it.
        with pytest.raises(ssl.SSLError) as caught:
            tls.recv(1)
        assert caught.value.reason == "TLSV13_ALERT_CERTIFICATE_REQUIRED"


@pytest.mark.parametrize("after", ["drain", "close", "reset"])
def test_how_a_refused_connection_ends(
    ca: CertificateAuthority, server: IssuedCertificate, after: AfterRejection
) -> None:
    context = server.server_context(client_ca=ca)
    with (
        ThreadedTLSServer(context, after_rejection=after) as running,
        connected(running, ca.trust_context()) as tls,
    ):
        # Past TLS: to that all ends are alike.
        received = functools.partial(socket.socket.recv, tls, 65536)
        assert received()
        wait_until(lambda: running.connections[0].closed or after == "drain")
        if after == "reset":
            with pytest.raises(ConnectionResetError):
                received()
        else:
            assert received() == b""
        if after == "drain":
            # The server waits for our end.
            assert not running.connections[0].closed
            tls.close()
            wait_until(lambda: running.connections[0].closed)


def is_reset_by_writing(tls: ssl.SSLSocket) -> bool:
    """Write twice: the first may still find nobody to refuse it."""
    try:
        for _ in range(2):
            tls.sendall(b"GET / HTTP/1.1\r\n\r\n")
            time.sleep(0.02)  # Nothing tells when RST has come, or that none comes.
    except (ConnectionResetError, BrokenPipeError, ssl.SSLEOFError):
        return True  # For ssl the one is often as good as the other.
    return False


def wait_until(condition: Any) -> None:
    deadline = time.monotonic() + 5
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.001)


def test_an_alert_of_the_client_is_recorded(server: IssuedCertificate) -> None:
    other = CertificateAuthority("Other Root").trust_context()
    other.maximum_version = ssl.TLSVersion.TLSv1_2
    with ThreadedTLSServer(server.server_context()) as running:
        with pytest.raises(ssl.SSLCertVerificationError), connected(running, other):
            pass
        (record,) = running.wait_for_handshakes()
    assert record.reason == "TLSV1_ALERT_UNKNOWN_CA"
    assert not record.alert_sent
    assert record.verify_code is None


def test_no_version_in_common(ca: CertificateAuthority, server: IssuedCertificate) -> None:
    context, client = server.server_context(), ca.trust_context()
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    client.maximum_version = ssl.TLSVersion.TLSv1_2
    with ThreadedTLSServer(context) as running:
        with pytest.raises(ssl.SSLError) as caught, connected(running, client):
            pass
        assert caught.value.reason == "TLSV1_ALERT_PROTOCOL_VERSION"
        assert running.wait_for_handshakes()[0].alert_sent


def test_a_client_without_tls(server: IssuedCertificate) -> None:
    with ThreadedTLSServer(server.server_context()) as running:
        with socket.create_connection(("127.0.0.1", running.port), timeout=5) as raw:
            raw.sendall(UPGRADE)
            (record,) = running.wait_for_handshakes()
        assert record.reason == "HTTP_REQUEST"
        assert not record.alert_sent


@pytest.mark.parametrize("by", ["fin", "rst"])
def test_a_client_that_goes_away(server: IssuedCertificate, by: str) -> None:
    with ThreadedTLSServer(server.server_context()) as running:
        raw = socket.create_connection(("127.0.0.1", running.port), timeout=5)
        if by == "rst":
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        raw.close()
        (record,) = running.wait_for_handshakes()
    if by == "fin":
        # OpenSSL sends an alert even so: the other way is open still.
        assert isinstance(record.handshake_error, ssl.SSLEOFError)
    else:
        assert isinstance(record.handshake_error, ConnectionResetError)
        assert not record.alert_sent


# Our client


@pytest.mark.parametrize("version", VERSIONS)
async def test_our_client_with_a_certificate(
    ca: CertificateAuthority, server: IssuedCertificate, version: ssl.TLSVersion
) -> None:
    context = server.server_context(client_ca=ca)
    context.set_alpn_protocols(["http/1.1"])
    context.maximum_version = version
    client = ca.client_certificate("billing", spiffe_id="spiffe://example.test/billing")
    with ThreadedTLSServer(context) as running:
        async with websocket_connect(running.url, ssl=client.client_context()) as conn:
            for message in ("hello", "", b"\x00" * 200, b"\x01" * 70_000, b"\x02" * 1_000_000):
                await conn.write_message(message, binary=isinstance(message, bytes))
                assert await conn.read_message() == message
            assert await conn.ping() >= 0
            assert conn.tls is not None
            names = conn.tls.version, conn.tls.cipher
            info = await conn.close(1000, "bye")
        assert info.clean
        assert info.reason == "bye"
    (record,) = running.connections
    assert record.peer_certificate == client.certificate
    assert (record.version, record.cipher) == names
    assert record.established
    assert record.closed
    assert record.error is record.handshake_error is None


@pytest.mark.parametrize("version", VERSIONS)
async def test_our_client_without_a_certificate(
    ca: CertificateAuthority, server: IssuedCertificate, version: ssl.TLSVersion
) -> None:
    context = server.server_context(client_ca=ca)
    context.maximum_version = version
    with ThreadedTLSServer(context) as running:
        with pytest.raises(ConnectError) as caught:
            await websocket_connect(running.url, ssl=ca.trust_context())
        (record,) = await asyncio.to_thread(running.wait_for_handshakes)
    assert record.alert_sent
    if version is ssl.TLSVersion.TLSv1_2:
        assert isinstance(caught.value, TLSError)
        assert caught.value.openssl_reason == "SSLV3_ALERT_HANDSHAKE_FAILURE"


async def test_our_client_that_trusts_nobody_here(server: IssuedCertificate) -> None:
    with ThreadedTLSServer(server.server_context()) as running:
        with pytest.raises(TLSError) as caught:
            await websocket_connect(running.url)
        assert caught.value.verify_code == 20
        (record,) = await asyncio.to_thread(running.wait_for_handshakes)
        assert record.handshake_error is not None


async def test_the_block_may_end_before_the_connection(
    ca: CertificateAuthority, server: IssuedCertificate
) -> None:
    with ThreadedTLSServer(server.server_context()) as running:
        conn = await websocket_connect(running.url, ssl=ca.trust_context())
    assert isinstance(running.connections[0].error, EOFError)
    info = await conn.wait_closed()
    assert not info.clean


async def test_a_handler_of_ones_own(ca: CertificateAuthority, server: IssuedCertificate) -> None:
    heads: list[bytes] = []

    def refuse(stream: TLSStream) -> None:
        heads.append(stream.read_head())
        stream.sendall(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 2\r\n\r\nno")

    with (
        ThreadedTLSServer(server.server_context(), refuse) as running,
        pytest.raises(HandshakeError) as caught,
    ):
        await websocket_connect(running.url + "path", ssl=ca.trust_context())
    assert caught.value.body == b"no"
    assert heads[0].startswith(b"GET /path HTTP/1.1\r\n")


# The certificate after the handshake (RFC 8446, section 4.6.2)


def asking_later(ca: CertificateAuthority, server: IssuedCertificate) -> ssl.SSLContext:
    context = server.server_context(client_ca=ca)
    context.post_handshake_auth = True
    return context


def ask_and_echo(stream: TLSStream) -> None:
    assert stream.tls.getpeercert(binary_form=True) is None
    # What was read in the meantime is not lost.
    stream.verify_client()
    tls_server.echo(stream)


async def test_a_certificate_asked_for_later(
    ca: CertificateAuthority, server: IssuedCertificate
) -> None:
    client = ca.client_certificate()
    with ThreadedTLSServer(asking_later(ca, server), ask_and_echo) as running:
        async with websocket_connect(running.url, ssl=client.client_context()) as conn:
            await conn.write_message("hello")
            assert await conn.read_message() == "hello"
    assert running.connections[0].peer_certificate == client.certificate
    assert running.connections[0].error is None


def test_a_certificate_asked_for_later_and_refused(
    ca: CertificateAuthority, server: IssuedCertificate
) -> None:
    client = ca.client_certificate(expired=True)
    with ThreadedTLSServer(asking_later(ca, server), ask_and_echo) as running:
        with (
            pytest.raises(ssl.SSLError) as caught,
            connected(running, client.client_context()) as tls,
        ):
            tls.sendall(UPGRADE)
            tls.recv(1)
        assert caught.value.reason == "SSLV3_ALERT_CERTIFICATE_EXPIRED"
    (record,) = running.connections
    assert record.established
    assert isinstance(record.error, ssl.SSLCertVerificationError)


# The echo


def test_frames_are_echoed(ca: CertificateAuthority, server: IssuedCertificate) -> None:
    with (
        ThreadedTLSServer(server.server_context()) as running,
        connected(running, ca.trust_context()) as tls,
    ):
        tls.sendall(UPGRADE)
        head = read_until(tls, b"\r\n\r\n")
        # The example of RFC 6455, section 1.3.
        assert b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n" in head
        for opcode, payload, fin in [
            (Opcode.TEXT, b"he", False),
            (Opcode.PING, b"?", True),
            (Opcode.CONTINUATION, b"llo", True),
            (Opcode.BINARY, b"x" * 65536, True),
        ]:
            tls.sendall(encode_frame(opcode, payload, fin=fin, masking_key=MASK))
            answer = Opcode.PONG if opcode == Opcode.PING else opcode
            read_exact(tls, encode_frame(answer, payload, fin=fin))
        tls.sendall(encode_frame(Opcode.PONG, b"unasked", masking_key=MASK))
        tls.sendall(encode_frame(Opcode.CLOSE, b"\x03\xe8bye", masking_key=MASK))
        read_exact(tls, close_frame(1000, "bye"))
        assert tls.recv(1) == b""


def read_exact(tls: ssl.SSLSocket, expected: bytes) -> None:
    data = b""
    while len(data) < len(expected):
        chunk = tls.recv(len(expected) - len(data))
        assert chunk
        data += chunk
    assert data == expected


@pytest.mark.parametrize(
    ("sent", "answer"),
    [
        pytest.param(b"GET / HTTP/1.1\r\n\r\n", b"400", id="no-key"),
        pytest.param(b"x" * 70_000, None, id="endless-head"),
        pytest.param(UPGRADE + b"\x82\xff" + b"\xff" * 8 + MASK, b"101", id="endless-frame"),
    ],
)
def test_what_cannot_be_echoed(
    ca: CertificateAuthority, server: IssuedCertificate, sent: bytes, answer: bytes | None
) -> None:
    with (
        ThreadedTLSServer(server.server_context()) as running,
        connected(running, ca.trust_context()) as tls,
    ):
        tls.sendall(sent)
        data = b""
        with contextlib.suppress(ConnectionResetError, ssl.SSLEOFError):
            while chunk := tls.recv(65536):
                data += chunk
        assert data.split()[1:2] == ([] if answer is None else [answer])
    error = running.connections[0].error
    assert isinstance(error, ConnectionError) or answer == b"400"


# Many, and sessions


def test_many_connections(ca: CertificateAuthority, server: IssuedCertificate) -> None:
    client = ca.client_certificate()
    with ThreadedTLSServer(server.server_context(client_ca=ca)) as running:

        def visit(number: int) -> bool:
            context = (client if number % 2 else ca).trust_context()
            if number % 2:
                context = client.client_context()
            try:
                with connected(running, context) as tls:
                    tls.sendall(UPGRADE)
                    return b" 101 " in read_until(tls, b"\r\n\r\n")
            except ssl.SSLError:
                return False

        with concurrent.futures.ThreadPoolExecutor(10) as pool:
            results = list(pool.map(visit, range(40)))
        records = running.wait_for_handshakes(40)
    assert results == [bool(number % 2) for number in range(40)]
    assert [each.number for each in records] == list(range(40))
    assert sum(each.established for each in records) == 20
    assert sum(each.alert_sent for each in records) == 20
    assert all(each.closed for each in running.connections)


def test_a_resumed_session(ca: CertificateAuthority, server: IssuedCertificate) -> None:
    context = ca.client_certificate().client_context()
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    asking = server.server_context(client_ca=ca)
    with ThreadedTLSServer(asking, lambda stream: stream.sendall(b"x")) as running:
        with connected(running, context) as tls:
            assert tls.recv(1) == b"x"
            session = tls.session
        with connected(running, context, session) as tls:
            assert tls.recv(1) == b"x"
    assert [each.session_reused for each in running.connections] == [False, True]


# The end


def test_it_ends_with_connections_in_every_state(
    ca: CertificateAuthority, server: IssuedCertificate
) -> None:
    stuck = threading.Event()

    def handle(stream: TLSStream) -> None:
        command = stream.recv(1)
        if command == b"w":
            stuck.set()
            while True:
                stream.sendall(bytes(65536))
        tls_server.echo(stream)

    context = ca.trust_context()
    with contextlib.ExitStack() as stack:
        with ThreadedTLSServer(server.server_context(), handle) as running:
            silent = socket.create_connection(("127.0.0.1", running.port), timeout=5)
            stack.enter_context(silent)
            half = stack.enter_context(
                socket.create_connection(("127.0.0.1", running.port), timeout=5)
            )
            half.sendall(b"\x16\x03\x01")
            stack.enter_context(connected(running, context))
            writing = stack.enter_context(connected(running, context))
            writing.sendall(b"w")
            assert stuck.wait(5)
            running.wait_for_handshakes(2)
            begun = time.monotonic()
        assert time.monotonic() - begun < 1
        records = running.connections
    assert len(records) == 4
    assert all(each.closed for each in records)
    assert [each.established for each in records] == [False, False, True, True]
    assert isinstance(records[3].error, OSError)


def test_a_refused_client_that_stays_does_not_hold_up_the_end(
    ca: CertificateAuthority, server: IssuedCertificate
) -> None:
    with (
        ThreadedTLSServer(server.server_context(client_ca=ca)) as running,
        connected(running, ca.trust_context()),
    ):
        running.wait_for_handshakes()
        begun = time.monotonic()
        running.__exit__(None, None, None)
        assert time.monotonic() - begun < 0.5
        # A second time there is nothing left to do.


def test_what_a_handler_raises_is_raised(
    ca: CertificateAuthority, server: IssuedCertificate
) -> None:
    def fail(stream: TLSStream) -> None:
        raise LookupError("in the handler")

    def visit(running: ThreadedTLSServer) -> None:
        with connected(running, ca.trust_context()) as tls, contextlib.suppress(OSError):
            tls.recv(1)

    with (
        pytest.raises(LookupError, match="in the handler"),
        ThreadedTLSServer(server.server_context(), fail) as running,
    ):
        visit(running)
    with (
        pytest.raises(ZeroDivisionError),
        ThreadedTLSServer(server.server_context(), fail) as running,
    ):
        visit(running)
        raise ZeroDivisionError


def test_a_handler_that_does_not_return(
    ca: CertificateAuthority, server: IssuedCertificate, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tls_server, "_STOP_TIMEOUT", 0.05)
    go = threading.Event()
    running = ThreadedTLSServer(server.server_context(), lambda stream: cast(None, go.wait(10)))
    try:
        with (
            pytest.raises(RuntimeError, match="handlers of 1 conn"),
            running,
            connected(running, ca.trust_context()),
        ):
            running.wait_for_handshakes()
    finally:
        go.set()
        wait_until(lambda: running.connections[0].closed)
        for thread in threading.enumerate():
            if thread.name.startswith("TLS server"):
                thread.join(5)


def test_a_handler_may_reset(ca: CertificateAuthority, server: IssuedCertificate) -> None:
    with (
        ThreadedTLSServer(server.server_context(), lambda stream: stream.reset()) as running,
        connected(running, ca.trust_context()) as tls,
        pytest.raises(ConnectionResetError),
    ):
        # Past TLS, which takes it for an end like any other.
        while socket.socket.recv(tls, 65536):
            pass


# Wrong use


def test_wrong_use(ca: CertificateAuthority, server: IssuedCertificate) -> None:
    with pytest.raises(TypeError, match="not str"):
        ThreadedTLSServer(cast(Any, "context"))
    with pytest.raises(ValueError, match="for clients"):
        ThreadedTLSServer(ca.trust_context())
    with pytest.raises(ValueError, match="'drain', 'close', 'reset'"):
        ThreadedTLSServer(server.server_context(), after_rejection=cast(Any, "wait"))
    running = ThreadedTLSServer(server.server_context())
    with pytest.raises(RuntimeError, match="enter it"):
        _ = running.url
    with running:
        assert running.url == f"wss://127.0.0.1:{running.port}/"
        with pytest.raises(TimeoutError, match="0 of 1"):
            running.wait_for_handshakes(timeout=0.01)
        with pytest.raises(RuntimeError, match="once only"):
            running.__enter__()
    with socket.socket() as raw:
        assert raw.connect_ex(("127.0.0.1", running.port)) != 0


def test_a_coroutine_function_is_no_handler() -> None:
    async def handle(stream: TLSStream) -> None:
        pass

    context = CertificateAuthority().server_certificate().server_context()
    with pytest.raises(TypeError, match="plain function"):
        ThreadedTLSServer(context, handle)  # type: ignore[arg-type]
