"""From errors of `ssl` to errors that say what happened: on real handshakes, over real sockets."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import timedelta

import pytest

from wsclient.errors import (
    ClientCertificateRejected,
    ServerCertificateError,
    TLSConnectionClosed,
    TLSError,
    TLSProtocolError,
)
from wsclient.testing import ThreadedTLSServer
from wsclient.testing.certificates import (
    CertificateAuthority,
    IssuedCertificate,
    contexts,
    self_signed_certificate,
)
from wsclient.testing.tls.stream import TLSStream
from wsclient.tls.explaining.explain import HandshakeFacts, explain_closed, explain_fault
from wsclient.tls.handshake.checks import PeerChecks
from wsclient.tls.handshake.context import HandshakeContext, HandshakeObject
from wsclient.tls.identity.identity import ClientIdentity

TLS12, TLS13 = ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3
versions = pytest.mark.parametrize("version", [TLS12, TLS13], ids=["TLS 1.2", "TLS 1.3"])

ROOT = CertificateAuthority("Test Root")
AUTHORITY = CertificateAuthority("Issuing CA", issuer=ROOT)
STRANGER = CertificateAuthority("Other Root")
SERVER = AUTHORITY.server_certificate()
CLIENT = AUTHORITY.client_certificate("billing")
REVOKED = AUTHORITY.client_certificate("stolen")
AUTHORITY.revoke(REVOKED)
AUTHORITY.revoke(SERVER_REVOKED := AUTHORITY.server_certificate())
CRLS = AUTHORITY.crl_pem() + ROOT.crl_pem()


def identity(issued: IssuedCertificate | None, *, whole: bool = True) -> ClientIdentity | None:
    if issued is None:
        return None
    chain = issued.chain_pem if whole else issued.certificate_pem
    return ClientIdentity.from_pem(chain, issued.private_key_pem())


def client_context(ours: ClientIdentity | None = None) -> HandshakeContext:
    context = HandshakeContext()
    contexts.trust(context, ROOT.certificate, None)
    if ours is not None:
        ours.load_into(context)
    return context


def greet(stream: TLSStream) -> None:
    stream.sendall(b"welcome")


@dataclass
class Client:
    """A client that shakes hands and waits for a greeting.

    Attributes:
        context: what it does TLS with.
        identity: what is in the context.
        hostname: what it checks the server's certificate for.
        blind: whether the private callback for messages is missing.
    """

    context: HandshakeContext
    identity: ClientIdentity | None = None
    hostname: str = "localhost"
    blind: bool = False

    def explain(self, port: int) -> TLSError:
        """Return what a connection to a port of 127.0.0.1 fails with."""
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        tls = self.context.wrap_bio(incoming, outgoing, server_hostname=self.hostname)
        if self.blind:
            tls._log = None
        facts = HandshakeFacts(
            f"wss://127.0.0.1:{port}/", False, self.identity, self.hostname, tls
        )
        with socket.create_connection(("127.0.0.1", port), timeout=5) as raw:
            try:
                drive(tls.do_handshake, raw, incoming, outgoing)
                greeting = drive(lambda: tls.read(100), raw, incoming, outgoing)
            except ssl.SSLError as fault:
                # A server that is told nothing would wait for the rest.
                raw.sendall(outgoing.read())
                return explain_fault(fault, facts)
            except ConnectionError as ended:
                return explain_closed(isinstance(ended, ConnectionResetError), facts)
        pytest.fail(f"the server says {greeting!r}")


def drive(
    call: Callable[[], object],
    raw: socket.socket,
    incoming: ssl.MemoryBIO,
    outgoing: ssl.MemoryBIO,
) -> object:
    """Call until there is a result, carrying bytes between TLS and TCP."""
    while True:
        try:
            result = call()
        except ssl.SSLWantReadError:
            raw.sendall(outgoing.read())
            data = raw.recv(65536)
            if not data:
                raise ConnectionAbortedError("the server has ended the connection") from None
            incoming.write(data)
        else:
            raw.sendall(outgoing.read())
            return result


def explain(server: ssl.SSLContext, version: ssl.TLSVersion | None, client: Client) -> TLSError:
    if version is not None:
        server.minimum_version = server.maximum_version = version
    with ThreadedTLSServer(server, greet) as running:
        return client.explain(running.port)


# The server refuses our certificate: scenarios a to d.

SECP256K1 = AUTHORITY.client_certificate("billing", key_type="ec-secp256k1")
REJECTED = {
    "a none": (None, True, "certificate_required", "certificate_required"),
    "a' key type": (SECP256K1, True, "unsupported", "not_sent_key_type"),
    "b unknown CA": (STRANGER.client_certificate("x"), True, "unknown_ca", "unknown_ca"),
    "b2 no intermediate": (CLIENT, False, "unknown_ca", "unknown_ca"),
    "c expired": (
        AUTHORITY.client_certificate("x", expired=True), True, "expired", "expired",
    ),
    "c2 not yet valid": (
        AUTHORITY.client_certificate("x", not_yet_valid=True), True,
        "bad_certificate", "bad_certificate",
    ),
    "c3 for servers": (
        AUTHORITY.issue("x", extended_key_usage=("server",)), True, "unsupported", "unsupported",
    ),
    "d revoked": (REVOKED, True, "revoked", "revoked"),
}  # fmt: skip


@versions
@pytest.mark.parametrize("scenario", REJECTED)
@pytest.mark.parametrize("blind", [False, True], ids=["watched", "blind"])
def test_server_refuses_our_certificate(
    version: ssl.TLSVersion, scenario: str, blind: bool
) -> None:
    issued, whole, in_tls12, in_tls13 = REJECTED[scenario]
    ours = identity(issued, whole=whole)
    client = Client(client_context(ours), ours, blind=blind)
    server = SERVER.server_context(client_ca=ROOT, crl=CRLS if scenario.startswith("d") else None)
    error = explain(server, version, client)
    reason = in_tls12 if version == TLS12 else in_tls13
    if blind and scenario.startswith("a'") and version == TLS12:
        # Without having seen the request there is no telling.
        assert type(error) is TLSProtocolError
        assert error.reason == "protocol_error"
    else:
        assert type(error) is ClientCertificateRejected
        assert error.reason == reason
        assert error.hint
    assert error.side == "peer"
    assert error.alert_number is not None
    assert error.tls_version == {TLS12: "TLSv1.2", TLS13: "TLSv1.3"}[version]
    assert error.identity == (None if ours is None else ours.description)


@versions
def test_certificate_without_extended_key_usage_is_taken(version: ssl.TLSVersion) -> None:
    ours = identity(AUTHORITY.issue("x", extended_key_usage=()))
    with pytest.raises(pytest.fail.Exception, match="welcome"):
        explain(SERVER.server_context(client_ca=ROOT), version, Client(client_context(ours), ours))


@pytest.mark.parametrize(
    ("issued", "reason"),
    [
        (None, "certificate_required"),
        (SECP256K1, "not_sent_key_type"),
        (STRANGER.client_certificate("x"), "unknown_ca"),
        (AUTHORITY.client_certificate("x", expired=True), "expired"),
    ],
    ids=["a none", "a' key type", "b unknown CA", "c expired"],
)
def test_server_asks_after_the_handshake(issued: IssuedCertificate | None, reason: str) -> None:
    ours = identity(issued)
    context = client_context(ours)
    context.post_handshake_auth = True
    server = SERVER.server_context(client_ca=ROOT)
    server.post_handshake_auth = True
    with ThreadedTLSServer(server, TLSStream.verify_client) as running:
        error = Client(context, ours).explain(running.port)
    assert type(error) is ClientCertificateRejected
    assert (error.reason, error.side) == (reason, "peer")
    assert error.hint


# We refuse the server's certificate: scenarios e to h.


def wrong_server(*, chain: bool = True, issued: IssuedCertificate) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    contexts.load_certificate(
        context, issued.chain_pem if chain else issued.certificate_pem, issued.private_key_pem
    )
    return context


SERVERS = {
    "e unknown CA": (STRANGER.server_certificate(), True, "unknown_ca", 20),
    "e no intermediate": (SERVER, False, "unknown_ca", 20),
    "f expired": (AUTHORITY.server_certificate(expired=True), True, "expired", 10),
    "f2 not yet valid": (
        AUTHORITY.server_certificate(not_yet_valid=True), True, "not_yet_valid", 9,
    ),
    "g other name": (
        AUTHORITY.server_certificate("other.test"), True, "hostname_mismatch", 62,
    ),
    "h self-signed": (self_signed_certificate("localhost"), True, "self_signed", 18),
    "h2 for clients": (
        AUTHORITY.issue("x", names=["localhost"], extended_key_usage=("client",)), True,
        "wrong_purpose", 26,
    ),
}  # fmt: skip


@versions
@pytest.mark.parametrize("scenario", SERVERS)
def test_we_refuse_the_servers_certificate(version: ssl.TLSVersion, scenario: str) -> None:
    issued, chain, reason, code = SERVERS[scenario]
    error = explain(wrong_server(chain=chain, issued=issued), version, Client(client_context()))
    assert type(error) is ServerCertificateError
    assert (error.reason, error.verify_code, error.side) == (reason, code, "local")
    assert error.hint


@versions
def test_we_refuse_another_address(version: ssl.TLSVersion) -> None:
    server = AUTHORITY.server_certificate("localhost", "127.0.0.2").server_context()
    error = explain(server, version, Client(client_context(), hostname="127.0.0.1"))
    assert type(error) is ServerCertificateError
    assert (error.reason, error.verify_code) == ("hostname_mismatch", 64)
    assert "the IP address 127.0.0.1" in error.hint


@versions
@pytest.mark.parametrize(
    ("issued", "crls", "reason", "code"),
    [
        (SERVER_REVOKED, AUTHORITY.crl_pem(), "revoked", 23),
        (SERVER, AUTHORITY.crl_pem(next_update=timedelta(hours=-1)), "crl_expired", 12),
        (SERVER, ROOT.crl_pem(), "crl_missing", 3),
    ],
    ids=["h3 revoked", "h3 list expired", "h3 no list"],
)
def test_our_list_refuses_the_server(
    version: ssl.TLSVersion, issued: IssuedCertificate, crls: bytes, reason: str, code: int
) -> None:
    context = HandshakeContext()
    contexts.trust(context, ROOT.certificate, crls)
    context.verify_flags |= ssl.VerifyFlags.VERIFY_CRL_CHECK_LEAF
    error = explain(issued.server_context(), version, Client(context))
    assert type(error) is ServerCertificateError
    assert (error.reason, error.verify_code) == (reason, code)


@versions
def test_strict_checks_refuse_the_server(version: ssl.TLSVersion) -> None:
    root = CertificateAuthority("Old Root", key_usage=False)
    context = HandshakeContext()
    contexts.trust(context, root.certificate, None)
    context.verify_flags |= ssl.VerifyFlags.VERIFY_X509_STRICT
    error = explain(root.server_certificate().server_context(), version, Client(context))
    assert type(error) is ServerCertificateError
    assert (error.reason, error.verify_code) == ("not_rfc5280", 92)


@versions
def test_pins_refuse_the_server(version: ssl.TLSVersion) -> None:
    context = client_context()
    context.checks = PeerChecks(pinned_public_keys=[CLIENT.spki_sha256])
    error = explain(SERVER.server_context(), version, Client(context))
    assert type(error) is ServerCertificateError
    assert error.reason == "pin_mismatch"
    assert SERVER.spki_sha256 in str(error)
    assert error.hint


# No agreement on TLS: scenarios i and j.


@pytest.mark.parametrize(
    "banner", [b"HTTP/1.1 400 Bad Request\r\n\r\n", b"SSH-2.0-OpenSSH_9.2\r\n", bytes(20)]
)
def test_no_tls_there(banner: bytes) -> None:
    with ExitStack() as stack:
        listener = stack.enter_context(socket.create_server(("127.0.0.1", 0)))

        def serve() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.sendall(banner)
                while connection.recv(65536):
                    pass

        thread = threading.Thread(target=serve)
        thread.start()
        stack.callback(thread.join)
        error = Client(client_context()).explain(listener.getsockname()[1])
    assert type(error) is TLSProtocolError
    assert (error.reason, error.side) == ("not_tls", "local")
    assert error.openssl_reason == "WRONG_VERSION_NUMBER"


@pytest.mark.parametrize("server_version", [TLS12, TLS13])
def test_no_version_in_common(server_version: ssl.TLSVersion) -> None:
    context = client_context()
    context.minimum_version = context.maximum_version = TLS13 if server_version == TLS12 else TLS12
    error = explain(SERVER.server_context(), server_version, Client(context))
    assert type(error) is TLSProtocolError
    assert (error.reason, error.alert, error.side) == (
        "protocol_version",
        "protocol_version",
        "peer",
    )
    assert context.minimum_version.name.replace("_", ".") in error.hint
    assert error.tls_version is None


@pytest.mark.parametrize("ours", [None, CLIENT])
@pytest.mark.parametrize("blind", [False, True], ids=["watched", "blind"])
def test_no_cipher_in_common(ours: IssuedCertificate | None, blind: bool) -> None:
    """The server sends the same alert as for a missing certificate."""
    mine = identity(ours)
    context = client_context(mine)
    context.set_ciphers("ECDHE-ECDSA-AES128-GCM-SHA256")
    server = SERVER.server_context(client_ca=ROOT, ciphers="ECDHE-ECDSA-AES256-GCM-SHA384")
    error = explain(server, TLS12, Client(context, mine, blind=blind))
    assert type(error) is TLSProtocolError
    assert (error.reason, error.alert_number, error.side) == ("handshake_failure", 40, "peer")


# Ends without an alert: scenario i2.


@pytest.mark.parametrize("ours", [None, CLIENT])
@versions
def test_server_that_ends_without_an_alert(
    version: ssl.TLSVersion, ours: IssuedCertificate | None
) -> None:
    """asyncio's servers do so when they refuse a certificate."""
    mine = identity(ours)
    error, tls = end_before_the_verdict(Client(client_context(mine), mine), version)
    assert tls.certificate_request is not None
    assert type(error) is ClientCertificateRejected
    assert (error.reason, error.alert) == ("probable", None)
    assert error.hint


def end_before_the_verdict(
    client: Client, version: ssl.TLSVersion
) -> tuple[TLSError, HandshakeObject]:
    """Let a server ask for a certificate in memory, and end before it says anything about it."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    server_context = SERVER.server_context(client_ca=ROOT)
    server_context.maximum_version = version
    tls = client.context.wrap_bio(incoming, outgoing, server_hostname=client.hostname)
    server = server_context.wrap_bio(outgoing, incoming, server_side=True)
    for each in (tls, server, tls):
        try:
            each.do_handshake()
        except ssl.SSLWantReadError:
            pass
    incoming.write_eof()
    facts = HandshakeFacts("wss://localhost/", identity=client.identity, handshake=tls)
    with pytest.raises(ssl.SSLEOFError) as caught:
        tls.read(1) if tls.established else tls.do_handshake()
    return explain_fault(caught.value, facts), tls


@pytest.mark.parametrize("reset", [False, True])
def test_server_that_ends_at_once(reset: bool) -> None:
    with ExitStack() as stack:
        listener = stack.enter_context(socket.create_server(("127.0.0.1", 0)))

        def serve() -> None:
            connection, _ = listener.accept()
            if not reset:
                connection.recv(65536)
            # What is unread makes TCP end by RST.
            connection.close()

        thread = threading.Thread(target=serve)
        thread.start()
        stack.callback(thread.join)
        error = Client(client_context()).explain(listener.getsockname()[1])
    assert type(error) is TLSConnectionClosed
    assert error.reason in (("reset", "eof") if reset else ("eof",))
    assert error.hint
