"""Handshakes that check the server, that are watched, and that resume sessions."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from typing import Any

import aiohttp
import pytest
from cryptography.hazmat.primitives import serialization

from wsclient.testing.certificates import CertificateAuthority, IssuedCertificate, contexts
from wsclient.testing.tls.server import ThreadedTLSServer, TLSConnectionRecord
from wsclient.tls.certificates.peer import PeerCertificate, chain_of
from wsclient.tls.handshake import context as handshake
from wsclient.tls.handshake.checks import PeerChecks, PeerRefusedError
from wsclient.tls.handshake.context import (
    HandshakeContext,
    HandshakeObject,
    HandshakeTrace,
    ensure_checked,
    trace_handshakes,
)
from wsclient.tls.handshake.messages import HandshakeLog
from wsclient.tls.handshake.sessions import SessionStore

TLS12, TLS13 = ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3
VERSIONS = pytest.mark.parametrize("version", [TLS12, TLS13], ids=["TLS 1.2", "TLS 1.3"])
SPIFFE_ID = "spiffe://example.org/ns/prod/sa/web"
OTHER_PIN = "sha256//" + "A" * 43 + "="
UPGRADE = (
    b"GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)

ROOT = CertificateAuthority()
AUTHORITY = CertificateAuthority("Intermediate", issuer=ROOT)
SERVER = AUTHORITY.server_certificate("localhost", "127.0.0.1", uris=[SPIFFE_ID])
CLIENT = AUTHORITY.client_certificate("billing")


def client_context(
    *, identity: IssuedCertificate | None = CLIENT, verify: bool = True, **checks: Any
) -> HandshakeContext:
    context = HandshakeContext()
    if verify:
        contexts.trust(context, ROOT.certificate, None)
    else:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if identity is not None:
        contexts.load_certificate(context, identity.chain_pem, identity.private_key_pem)
    if checks:
        context.checks = PeerChecks(**checks)
    return context


def server_context(version: ssl.TLSVersion = TLS13, *, asks: bool = True) -> ssl.SSLContext:
    context = SERVER.server_context(client_ca=ROOT if asks else None)
    context.maximum_version = version
    return context


def callback_of(context: HandshakeContext) -> object:
    return getattr(context, "_msg_callback")  # noqa: B009  # mypy does not know it


class InMemory:
    """A client and a server with nothing between them."""

    def __init__(self, context: HandshakeContext, server: ssl.SSLContext) -> None:
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.client = context.wrap_bio(self.incoming, self.outgoing, server_hostname="localhost")
        self.server = server.wrap_bio(self.outgoing, self.incoming, server_side=True)

    def shake(self) -> HandshakeObject:
        """Do the handshake, and have the client read what comes behind it."""
        finish(self.client, self.server)
        return self.client


def finish(client: ssl.SSLObject, server: ssl.SSLObject) -> None:
    waiting = [client, server]
    while waiting:
        for each in tuple(waiting):
            with contextlib.suppress(ssl.SSLWantReadError):
                each.do_handshake()
                waiting.remove(each)
    with contextlib.suppress(ssl.SSLWantReadError):
        client.read()


async def upgrade(
    server: ThreadedTLSServer, context: ssl.SSLContext, *, abort: bool = False
) -> HandshakeObject:
    """Open a WebSocket and end the connection; return its TLS."""
    reader, writer = await asyncio.open_connection(
        "127.0.0.1", server.port, ssl=context, server_hostname="localhost"
    )
    try:
        writer.write(UPGRADE)
        await reader.readuntil(b"\r\n\r\n")
        tls = writer.get_extra_info("ssl_object")
        assert isinstance(tls, HandshakeObject)
        return tls
    finally:
        if abort:
            writer.transport.abort()
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()


# Checks

WRONG: list[tuple[dict[str, Any], str]] = [
    ({"pinned_public_keys": OTHER_PIN}, "pin_mismatch"),
    ({"spiffe_trust_domain": "example.com"}, "spiffe_id_mismatch"),
    ({"authorize_server": lambda peer: False}, "not_authorized"),
]
RIGHT: dict[str, Any] = {
    "pinned_public_keys": [OTHER_PIN, SERVER.spki_sha256],
    "spiffe_ids": SPIFFE_ID,
    "authorize_server": lambda peer: peer.subject == "CN=localhost",
}


@contextlib.contextmanager
def listening_server(version: ssl.TLSVersion) -> Iterator[tuple[ThreadedTLSServer, bytearray]]:
    """Give a server that asks for a certificate, and all that it gets to read."""
    heard = bytearray()

    def listen(stream: Any) -> None:
        while data := stream.recv():
            heard.extend(data)

    with ThreadedTLSServer(server_context(version), listen) as server:
        yield server, heard


def assert_nothing_was_told(records: tuple[TLSConnectionRecord, ...], heard: bytearray) -> None:
    assert not heard
    for record in records:
        # TLS 1.2 shows the certificate before the client can know what is wrong.
        if record.version != "TLSv1.2":
            assert record.peer_certificate_der is None
            assert not record.established


@VERSIONS
@pytest.mark.parametrize(("checks", "refusal"), WRONG)
async def test_a_server_that_fails_a_check_learns_nothing(
    version: ssl.TLSVersion, checks: dict[str, Any], refusal: str
) -> None:
    context = client_context(**checks)
    with listening_server(version) as (server, heard):
        with pytest.raises(PeerRefusedError) as caught:
            await upgrade(server, context)
        assert caught.value.refusal == refusal
        await asyncio.to_thread(server.wait_for_handshakes)
    assert_nothing_was_told(server.connections, heard)
    assert callback_of(context) is None


@VERSIONS
@pytest.mark.parametrize(("checks", "refusal"), WRONG)
async def test_a_server_that_fails_a_check_learns_nothing_from_aiohttp(
    version: ssl.TLSVersion, checks: dict[str, Any], refusal: str
) -> None:
    context = client_context(**checks)
    with listening_server(version) as (server, heard):
        async with aiohttp.ClientSession() as session:
            with (
                trace_handshakes() as trace,
                pytest.raises(aiohttp.ClientConnectorCertificateError) as caught,
            ):
                await session.ws_connect(server.url, ssl=context)
        assert isinstance(caught.value.__cause__, PeerRefusedError)
        assert caught.value.__cause__.refusal == refusal
        await asyncio.to_thread(server.wait_for_handshakes)
    assert_nothing_was_told(server.connections, heard)
    assert trace.last is not None
    assert not trace.last.established
    assert trace.last.certificate_sent is (version is TLS12)


@VERSIONS
async def test_a_server_that_passes_all_checks(version: ssl.TLSVersion) -> None:
    context = client_context(**RIGHT)
    with ThreadedTLSServer(server_context(version)) as server:
        tls = await upgrade(server, context)
        (record,) = server.connections
    assert tls.established
    assert record.peer_certificate == CLIENT.certificate


async def test_checks_of_a_server_that_is_not_verified() -> None:
    with ThreadedTLSServer(server_context()) as server:
        await upgrade(server, client_context(verify=False, **RIGHT))
        with pytest.raises(PeerRefusedError):
            await upgrade(server, client_context(verify=False, pinned_public_keys=OTHER_PIN))
        with pytest.raises(PeerRefusedError):
            await upgrade(server, client_context(verify=False, spiffe_ids=SPIFFE_ID + "2"))


@VERSIONS
def test_openssl_checks_first(version: ssl.TLSVersion) -> None:
    context = HandshakeContext()
    context.checks = PeerChecks(authorize_server=lambda peer: pytest.fail("asked too early"))
    pair = InMemory(context, server_context(version))
    with pytest.raises(ssl.SSLCertVerificationError) as caught:
        pair.shake()
    assert not isinstance(caught.value, PeerRefusedError)
    assert caught.value.verify_code == 20
    assert callback_of(context) is None


@VERSIONS
def test_nothing_is_left_to_be_sent_after_a_refusal(version: ssl.TLSVersion) -> None:
    """A loop that sends what is left would send our certificate, in TLS 1.3."""
    pair = InMemory(client_context(pinned_public_keys=OTHER_PIN), server_context(version))
    with pytest.raises(PeerRefusedError) as caught:
        pair.shake()
    assert pair.outgoing.pending == 0
    # The handshake of OpenSSL is over, so that it would go on as if nothing were wrong.
    with pytest.raises(PeerRefusedError) as again:
        pair.client.do_handshake()
    assert again.value is caught.value
    assert not pair.client.established


def test_what_is_raised_besides_a_refusal_goes_on() -> None:
    def interrupted(peer: PeerCertificate) -> None:
        raise KeyboardInterrupt

    pair = InMemory(client_context(authorize_server=interrupted), server_context())
    with pytest.raises(KeyboardInterrupt):
        pair.shake()
    assert pair.outgoing.pending == 0
    assert not pair.client.established


def test_checks_are_made_once() -> None:
    asked: list[PeerCertificate] = []
    context = client_context(authorize_server=asked.append)
    client = InMemory(context, server_context()).shake()
    client.do_handshake()
    (peer,) = asked
    assert peer.der == SERVER.certificate_der
    assert len(peer.chain_der) == 3


def test_a_blocking_socket_is_refused_where_checks_are_wanted() -> None:
    context = client_context(pinned_public_keys=OTHER_PIN)
    with pytest.raises(NotImplementedError, match="event loop"):
        context.wrap_socket(None)
    with ThreadedTLSServer(server_context()) as server:
        address = ("127.0.0.1", server.port)
        with (
            socket.create_connection(address, timeout=5) as raw,
            client_context().wrap_socket(raw, server_hostname="localhost") as tls,
        ):
            assert tls.version() == "TLSv1.3"


async def test_a_loop_that_makes_tls_by_itself_still_checks() -> None:
    aiofastnet = pytest.importorskip("aiofastnet", reason="aiofastnet is not installed")
    loop = asyncio.get_running_loop()

    async def connect(context: HandshakeContext) -> asyncio.Transport:
        transport, _ = await aiofastnet.create_connection(
            loop,
            asyncio.Protocol,
            "127.0.0.1",
            server.port,
            ssl=context,
            server_hostname="localhost",
        )
        return transport  # type: ignore[no-any-return]  # a class of its own

    wrong, right = client_context(pinned_public_keys=OTHER_PIN), client_context(**RIGHT)
    with ThreadedTLSServer(server_context()) as server:
        with pytest.raises(PeerRefusedError):
            await connect(wrong)
        transport = await connect(right)
        ensure_checked(right, transport)
        transport.abort()
        # As if it did not know what we ask it for.
        wrong._aiofastnet_force_fallback_ssl = False
        transport = await connect(wrong)
        with pytest.raises(PeerRefusedError, match="has not checked"):
            ensure_checked(wrong, transport)
        transport.abort()
        await asyncio.sleep(0)


def test_what_needs_no_check_is_not_looked_at() -> None:
    transport = asyncio.Transport({"ssl_object": object()})
    ensure_checked(client_context(), transport)
    ensure_checked(ssl.create_default_context(), transport)
    ensure_checked(None, transport)
    with pytest.raises(PeerRefusedError):
        ensure_checked(client_context(**RIGHT), transport)
    unfinished = client_context(**RIGHT)
    tls = unfinished.wrap_bio(ssl.MemoryBIO(), ssl.MemoryBIO(), server_hostname="localhost")
    with pytest.raises(PeerRefusedError):
        ensure_checked(unfinished, asyncio.Transport({"ssl_object": tls}))


# Watching


@VERSIONS
def test_a_server_that_asks_and_gets_a_certificate(version: ssl.TLSVersion) -> None:
    client = InMemory(client_context(), server_context(version)).shake()
    assert client.observed, "ssl no longer shows messages by _msg_callback"
    assert client.established
    assert client.server_hello_seen
    assert client.certificate_sent is True
    request = client.certificate_request
    assert request is not None
    assert request.tls_version == ("TLSv1.2" if version is TLS12 else "TLSv1.3")
    assert "ecdsa_secp256r1_sha256" in request.signature_algorithms
    assert request.accepts_key_type("ec-p256")
    assert not request.accepts_key_type("ec-secp256k1")
    assert ("ecdsa_sign" in request.certificate_types) is (version is TLS12)
    names = [each.name for each in client.log]
    assert names[:2] == ["client_hello", "server_hello"]
    assert {"certificate_request", "certificate", "finished"} <= set(names)
    assert all(each.size >= 4 for each in client.log)
    assert client.alerts == ()


@VERSIONS
def test_a_server_that_asks_and_gets_none(version: ssl.TLSVersion) -> None:
    pair = InMemory(client_context(identity=None), server_context(version))
    with pytest.raises(ssl.SSLError):
        pair.shake()
    client = pair.client
    # The client's turn comes later, or it is done already, in TLS 1.3.
    with contextlib.suppress(ssl.SSLError):
        client.do_handshake()
        client.read()
    assert client.certificate_request is not None
    assert client.certificate_sent is False
    assert client.established is (version is TLS13)
    # Under TLS 1.3 it comes when nobody is watching any more.
    assert client.alerts == ((("received", 40),) if version is TLS12 else ())


@VERSIONS
def test_a_server_that_does_not_ask(version: ssl.TLSVersion) -> None:
    client = InMemory(client_context(), server_context(version, asks=False)).shake()
    assert client.observed
    assert client.certificate_request is None
    assert client.certificate_sent is None


def test_our_own_alerts_are_seen_too() -> None:
    pair = InMemory(HandshakeContext(), server_context())
    with pytest.raises(ssl.SSLCertVerificationError):
        pair.shake()
    assert pair.client.alerts == (("sent", 48),)
    assert pair.client.log[-1].name == "alert unknown_ca"


def test_messages_are_shown_only_during_handshakes() -> None:
    context = client_context()
    assert callback_of(context) is None
    first, second = (InMemory(context, server_context()) for _ in range(2))
    assert callback_of(context) is not None
    first.shake()
    assert callback_of(context) is not None, "there is another"
    before = first.client.log
    first.server.write(b"x")
    assert first.client.read(10) == b"x"
    assert first.client.log == before
    second.shake()
    assert callback_of(context) is None


def test_an_abandoned_handshake_is_not_watched_for_ever() -> None:
    context = client_context()
    pair: InMemory | None = InMemory(context, server_context())
    assert callback_of(context) is not None
    with contextlib.suppress(ssl.SSLWantReadError):
        assert pair is not None
        pair.client.do_handshake()
    pair = None
    gc.collect()
    assert callback_of(context) is None


async def test_a_cancelled_handshake_is_not_watched_for_ever() -> None:
    context = client_context()
    accepted = asyncio.Event()

    async def say_nothing(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        accepted.set()
        writers.append(writer)

    writers: list[asyncio.StreamWriter] = []
    server = await asyncio.start_server(say_nothing, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    task = asyncio.ensure_future(
        asyncio.open_connection("127.0.0.1", port, ssl=context, server_hostname="localhost")
    )
    await accepted.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    del task
    for writer in writers:
        writer.transport.abort()
    server.close()
    await server.wait_closed()
    for _ in range(3):
        await asyncio.sleep(0)
        gc.collect()
    assert callback_of(context) is None


def test_a_connection_that_cannot_begin_is_not_watched() -> None:
    context = client_context()
    with pytest.raises(ValueError, match="hostname"):
        context.wrap_bio(ssl.MemoryBIO(), ssl.MemoryBIO(), server_hostname="")
    assert callback_of(context) is None


def test_a_python_without_the_callback(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(handshake, "_CALLBACK", "_no_such_callback")
    context = client_context(**RIGHT)
    client = InMemory(context, server_context()).shake()
    assert client.established
    assert not client.observed
    assert client.log == client.alerts == ()
    assert client.certificate_request is client.certificate_sent is None
    assert not client.server_hello_seen
    assert not hasattr(context, "_no_such_callback")


def test_an_error_while_watching_harms_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    called: list[object] = []

    def fail(*args: object) -> None:
        called.append(args)
        raise RuntimeError("watching")

    monkeypatch.setattr(HandshakeLog, "note", fail)
    assert InMemory(client_context(), server_context()).shake().established
    assert called


def test_threads_share_a_context() -> None:
    context = client_context(**RIGHT)
    context.resume = True
    failures: list[BaseException] = []

    def work() -> None:
        try:
            for _ in range(10):
                client = InMemory(context, server_context()).shake()
                assert client.established
                assert client.observed
        except BaseException as exc:
            failures.append(exc)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert failures == []
    gc.collect()
    assert callback_of(context) is None


# Traces


def test_a_trace_gathers_handshakes() -> None:
    context = client_context()
    assert HandshakeTrace().last is None
    with trace_handshakes() as trace:
        assert trace.last is None
        first = InMemory(context, server_context()).client
        with trace_handshakes() as inner:
            second = InMemory(context, server_context()).client
        third = InMemory(context, server_context()).client
    InMemory(context, server_context())
    assert trace.handshakes == [first, third]
    assert trace.last is third
    assert inner.handshakes == [second]


async def test_traces_of_tasks_are_apart() -> None:
    async def connect(context: HandshakeContext) -> HandshakeObject | None:
        with trace_handshakes() as trace:
            await upgrade(server, context)
        assert len(trace.handshakes) == 1
        return trace.last

    all_contexts = [client_context() for _ in range(3)]
    with ThreadedTLSServer(server_context()) as server:
        found = await asyncio.gather(*map(connect, all_contexts))
    assert [each and each.context for each in found] == all_contexts


@VERSIONS
def test_watching_to_the_end(version: ssl.TLSVersion) -> None:
    context = client_context(identity=None)
    with trace_handshakes(to_the_end=True):
        pair = InMemory(context, server_context(version))
    with pytest.raises(ssl.SSLError):
        pair.shake()
    with pytest.raises(ssl.SSLError):
        pair.client.do_handshake()
        pair.client.read()
    expected = 40 if version is TLS12 else 116
    assert pair.client.alerts == (("received", expected),)
    del pair
    gc.collect()
    assert callback_of(context) is None


def test_tickets_are_seen_when_watching_to_the_end() -> None:
    with trace_handshakes(to_the_end=True):
        client = InMemory(client_context(), server_context()).shake()
    assert [each.name for each in client.log].count("new_session_ticket") == 2
    assert callback_of(client.context) is not None  # type: ignore[arg-type]  # ours


# Chains


@VERSIONS
def test_the_chain_that_was_verified(version: ssl.TLSVersion) -> None:
    client = InMemory(client_context(), server_context(version)).shake()
    expected = tuple(
        each.public_bytes(serialization.Encoding.DER)
        for each in (SERVER.certificate, AUTHORITY.certificate, ROOT.certificate)
    )
    assert client.peer_chain == expected
    assert chain_of(client) == expected
    assert PeerCertificate.of(client) == PeerCertificate(expected[0], expected)


@VERSIONS
def test_the_chain_that_was_not_verified(version: ssl.TLSVersion) -> None:
    context = client_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    client = InMemory(context, server_context(version)).shake()
    # OpenSSL has found the root, but does not say whether it fits.
    assert len(client.peer_chain) == 2, "the server does not send the root"


def test_the_chain_of_a_client() -> None:
    pair = InMemory(client_context(), server_context())
    assert pair.client.peer_chain == ()
    pair.shake()
    peer = PeerCertificate.of(pair.server)
    assert peer is not None
    assert peer.der == CLIENT.certificate_der
    assert len(peer.chain_der) == 3
    pair = InMemory(client_context(), server_context(asks=False))
    pair.shake()
    assert PeerCertificate.of(pair.server) is None


def test_a_python_that_shows_no_chain() -> None:
    class Opaque:
        context = HandshakeContext()
        _sslobj = None

    assert chain_of(Opaque()) == ()  # type: ignore[arg-type]  # only what is asked


# Sessions


def resuming(**checks: Any) -> HandshakeContext:
    context = client_context(**checks)
    context.resume = True
    return context


@VERSIONS
@pytest.mark.parametrize("abort", [False, True], ids=["closed", "aborted"])
async def test_a_session_is_resumed(version: ssl.TLSVersion, abort: bool) -> None:
    context = resuming(**RIGHT)
    with ThreadedTLSServer(server_context(version)) as server:
        first = await upgrade(server, context, abort=abort)
        chain = first.peer_chain
        assert len(chain) == 3
        assert not first.session_reused
        second = await upgrade(server, context, abort=abort)
        # The session stays when the connection that it comes from is gone.
        del first, second
        gc.collect()
        third = await upgrade(server, context, abort=abort)
        records = server.connections
    assert [each.session_reused for each in records] == [False, True, True]
    assert third.session_reused
    # OpenSSL itself has it no longer.
    assert third.peer_chain == chain
    assert third.observed
    assert third.certificate_request is None
    assert records[2].peer_certificate == CLIENT.certificate


@VERSIONS
def test_a_session_is_resumed_beside_its_connection(version: ssl.TLSVersion) -> None:
    context, server = resuming(), server_context(version)
    clients = [InMemory(context, server).shake() for _ in range(3)]
    assert [each.session_reused for each in clients] == [False, True, True]


def test_no_session_is_resumed_unless_asked() -> None:
    context, server = client_context(), server_context()
    clients = [InMemory(context, server).shake() for _ in range(2)]
    assert [each.session_reused for each in clients] == [False, False]


def test_another_context_starts_anew() -> None:
    server = server_context()
    InMemory(resuming(), server).shake()
    assert not InMemory(resuming(), server).shake().session_reused


def test_a_session_of_the_caller_goes_first() -> None:
    context, server = client_context(), server_context()
    session = InMemory(context, server).shake().session
    assert session is not None
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = context.wrap_bio(incoming, outgoing, server_hostname="localhost", session=session)
    assert client.session is not None
    assert client.session.id == session.id


@VERSIONS
def test_a_server_that_has_forgotten_does_not_matter(version: ssl.TLSVersion) -> None:
    context = resuming(**RIGHT)
    for _ in range(2):
        client = InMemory(context, server_context(version)).shake()
        assert client.established
        assert not client.session_reused
    # Nor does one that speaks another version by now.
    other = TLS12 if version is TLS13 else TLS13
    assert InMemory(context, server_context(other)).shake().version() != client.version()


@VERSIONS
def test_checks_are_made_of_a_resumed_session_as_well(version: ssl.TLSVersion) -> None:
    answers = [True, False]
    seen: list[PeerCertificate] = []

    def authorize(peer: PeerCertificate) -> bool:
        seen.append(peer)
        return answers.pop(0)

    context, server = resuming(authorize_server=authorize), server_context(version)
    InMemory(context, server).shake()
    pair = InMemory(context, server)
    with pytest.raises(PeerRefusedError):
        pair.shake()
    assert pair.client.session_reused
    assert seen[0] == seen[1]
    # What did not work is not tried again.
    answers.append(True)
    assert not InMemory(context, server).shake().session_reused


def test_sessions_belong_to_a_name() -> None:
    store = SessionStore()
    client = InMemory(client_context(), server_context()).shake()
    store.enter("localhost", client, (b"chain",))
    kept = store.take("localhost")
    assert kept is not None
    assert kept.chain_der == (b"chain",)
    assert store.take("127.0.0.1") is None
    store.drop("localhost")
    assert store.take("localhost") is None
    store.leave("localhost", client, ())
    assert store.take("localhost") is None


def test_sessions_of_the_servers_seen_last_are_kept() -> None:
    store = SessionStore()
    client = InMemory(client_context(), server_context()).shake()
    for number in range(65):
        store.enter(f"{number}.test", client, ())
        assert store.take(f"{number}.test")
    assert store.take("0.test") is None
    assert store.take("1.test")


def test_a_connection_of_another_thread_is_left_alone() -> None:
    """Its session may be changing at that moment."""
    context, server = resuming(), server_context()
    client = InMemory(context, server).shake()
    assert in_thread(lambda: InMemory(context, server).shake().session_reused) is False
    # Once it has gone, its session is everybody's.
    del client
    gc.collect()
    assert in_thread(lambda: InMemory(context, server).shake().session_reused) is True


def in_thread(call: Callable[[], object]) -> object:
    results: list[object] = []
    thread = threading.Thread(target=lambda: results.append(call()))
    thread.start()
    thread.join()
    return results[0]


def test_no_session_without_a_name() -> None:
    context = resuming(verify=False)
    for _ in range(2):
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        client = context.wrap_bio(incoming, outgoing)
        server = server_context().wrap_bio(outgoing, incoming, server_side=True)
        finish(client, server)
        assert not client.session_reused
