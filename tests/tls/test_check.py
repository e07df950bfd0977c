"""`check_tls`: what it finds out about a server, what it tells the server, and its report."""

from __future__ import annotations

import asyncio
import contextlib
import json
import shutil
import socket
import ssl
import struct
import subprocess
import threading
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from wsclient.errors import (
    ClientCertificateRejected,
    ConnectError,
    ConnectTimeoutError,
    IdentityError,
    InvalidURLError,
    ServerCertificateError,
    TLSConnectionClosed,
    TLSProtocolError,
    TrustError,
)
from wsclient.testing import FaultProxy, ThreadedTLSServer
from wsclient.testing.certificates import (
    CertificateAuthority,
    IssuedCertificate,
    self_signed_certificate,
)
from wsclient.testing.tls.stream import TLSStream
from wsclient.tls.certificates.facts import CertificateFacts
from wsclient.tls.check import ClientCertificateVerdict, TLSReport, TLSVerdict, check_tls
from wsclient.tls.check import attempt as attempts
from wsclient.tls.check import link as links
from wsclient.tls.check.attempt import Place
from wsclient.tls.check.findings import matches
from wsclient.tls.check.link import Link
from wsclient.tls.check.qualify import faults_of
from wsclient.tls.config import TLSConfig
from wsclient.tls.handshake import context as handshakes
from wsclient.tls.handshake.messages import CertificateRequest
from wsclient.tls.identity.identity import ClientIdentity

VERSIONS = [
    pytest.param(ssl.TLSVersion.TLSv1_2, id="TLSv1.2"),
    pytest.param(ssl.TLSVersion.TLSv1_3, id="TLSv1.3"),
]
WIDTH = 100  # columns


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Servers on this machine say at once what they have to say."""
    # So long that a test in which it runs out takes too long.
    monkeypatch.setattr(attempts, "_PATIENCE", 20.0)
    monkeypatch.setattr(links, "_GRACE", 0.02)
    monkeypatch.setattr(attempts, "_SHORT", 0.02)


@pytest.fixture(scope="module")
def ca() -> CertificateAuthority:
    return CertificateAuthority("Test Root")


@pytest.fixture(scope="module")
def other() -> CertificateAuthority:
    return CertificateAuthority("Other Root")


@pytest.fixture(scope="module")
def server(ca: CertificateAuthority) -> IssuedCertificate:
    return ca.intermediate("Servers").server_certificate()


@pytest.fixture(scope="module")
def billing(ca: CertificateAuthority) -> ClientIdentity:
    return identity_of(ca.client_certificate("billing"))


def identity_of(issued: IssuedCertificate) -> ClientIdentity:
    return ClientIdentity.from_pem(issued.chain_pem, issued.private_key_pem())


def listening(
    issued: IssuedCertificate,
    version: ssl.TLSVersion = ssl.TLSVersion.TLSv1_3,
    *,
    client_ca: CertificateAuthority | None = None,
    require: bool = True,
    after: Any = "drain",
) -> ThreadedTLSServer:
    """A server of one version of TLS."""
    context = issued.server_context(client_ca=client_ca, require=require)
    context.minimum_version = context.maximum_version = version
    return ThreadedTLSServer(context, after_rejection=after)


def config(ca: CertificateAuthority, identity: ClientIdentity | None = None) -> TLSConfig:
    return TLSConfig(cadata=ca.root_pem, identity=identity)


def names(report: TLSReport) -> list[str]:
    return [step.name for step in report.steps]


def check_form(report: TLSReport) -> None:
    """Check what holds for every report."""
    text = str(report)
    assert [line for line in text.splitlines() if len(line) > WIDTH] == []
    assert text.splitlines()[0] == f"TLS check of {report.url}"
    assert "  " not in report.summary and report.summary.endswith(".")
    assert json.loads(json.dumps(report.as_dict()))["ok"] is report.ok
    assert report.ok is (report.verdict is TLSVerdict.OK)
    assert (report.error is None) is (report.verdict in (TLSVerdict.OK, TLSVerdict.DOUBTFUL))


# Between the server and our certificate


@pytest.mark.parametrize("version", VERSIONS)
async def test_a_server_that_does_not_ask(
    ca: CertificateAuthority,
    server: IssuedCertificate,
    billing: ClientIdentity,
    version: ssl.TLSVersion,
) -> None:
    with listening(server, version) as running:
        report = await check_tls(running.url, tls=config(ca, billing))
    check_form(report)
    assert report.ok
    assert report.client_certificate is ClientCertificateVerdict.NOT_ASKED
    assert (report.certificate_requested, report.certificate_required) == (False, None)
    assert report.certificate_sent is None and report.identity_qualifies is None
    assert report.tls_version == ("TLSv1.3" if version == ssl.TLSVersion.TLSv1_3 else "TLSv1.2")
    assert report.cipher and report.identity == billing.description
    assert [each.subject for each in report.server_chain] == [
        "CN=localhost", "CN=Servers", "CN=Test Root",
    ]  # fmt: skip
    assert (report.name_checked, report.name_matches) == ("127.0.0.1", True)
    assert report.chain_error is None
    assert report.address == f"127.0.0.1 port {running.port}"
    assert len(running.connections) == 1, "there is nothing more to find out"


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("with_identity", [False, True])
async def test_a_server_that_does_not_insist(
    ca: CertificateAuthority,
    server: IssuedCertificate,
    billing: ClientIdentity,
    version: ssl.TLSVersion,
    with_identity: bool,
) -> None:
    tls = config(ca, billing if with_identity else None)
    with listening(server, version, client_ca=ca, require=False) as running:
        report = await check_tls(running.url, tls=tls)
        running.wait_for_handshakes(1 + with_identity)
    check_form(report)
    assert report.ok
    assert report.client_certificate is ClientCertificateVerdict.OPTIONAL
    assert (report.certificate_requested, report.certificate_required) == (True, False)
    assert report.certificate_sent is with_identity
    # A server like nginx looks the same from here.
    assert "refuse in HTTP" in report.summary
    shown = [each.peer_certificate_der is not None for each in running.connections]
    assert shown == ([True, False] if with_identity else [False])


@pytest.mark.parametrize("version", VERSIONS)
async def test_a_server_that_insists_and_accepts_ours(
    ca: CertificateAuthority,
    server: IssuedCertificate,
    billing: ClientIdentity,
    version: ssl.TLSVersion,
) -> None:
    started = asyncio.get_running_loop().time()
    with listening(server, version, client_ca=ca) as running:
        report = await check_tls(running.url, tls=config(ca, billing))
        first, second = running.wait_for_handshakes(2)
    assert asyncio.get_running_loop().time() - started < 10, "a ticket ends the waiting"
    check_form(report)
    assert report.ok
    assert report.client_certificate is ClientCertificateVerdict.ACCEPTED
    assert (report.certificate_requested, report.certificate_required) == (True, True)
    assert report.certificate_sent and report.identity_qualifies and not report.identity_faults
    assert first.established and first.peer_certificate_der == billing.certificate_der
    assert second.reason == "PEER_DID_NOT_RETURN_A_CERTIFICATE"
    assert names(report)[-1] == "without_identity"


@pytest.mark.parametrize("after", ["drain", "reset"])
@pytest.mark.parametrize("version", VERSIONS)
async def test_a_server_that_insists_and_gets_none(
    ca: CertificateAuthority, server: IssuedCertificate, version: ssl.TLSVersion, after: str
) -> None:
    with listening(server, version, client_ca=ca, after=after) as running:
        report = await check_tls(running.url, tls=config(ca))
    check_form(report)
    assert report.verdict is TLSVerdict.CLIENT_CERTIFICATE
    assert report.client_certificate is ClientCertificateVerdict.REJECTED
    assert isinstance(report.error, ClientCertificateRejected)
    assert report.error.reason == "certificate_required"
    assert (report.certificate_required, report.certificate_sent) == (True, False)
    tls_1_2 = version == ssl.TLSVersion.TLSv1_2
    assert report.alert == ("handshake_failure" if tls_1_2 else "certificate_required")
    assert len(running.connections) == 1
    # What we knew before we were refused is not lost.
    assert report.server_chain[0].subject == "CN=localhost"


@pytest.mark.parametrize("after", ["drain", "reset"])
@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize(
    ("wrong", "reason", "fault"),
    [
        pytest.param("unknown CA", "unknown_ca", "", id="unknown CA"),
        pytest.param("expired", "expired", "It expired on ", id="expired"),
        pytest.param("future", "bad_certificate", "It is not valid before ", id="future"),
        pytest.param("usage", "unsupported", "clientAuth", id="usage"),
    ],
)
async def test_a_server_that_rejects_ours(
    ca: CertificateAuthority,
    other: CertificateAuthority,
    server: IssuedCertificate,
    version: ssl.TLSVersion,
    after: str,
    wrong: str,
    reason: str,
    fault: str,
) -> None:
    shown = {
        "unknown CA": lambda: other.client_certificate(),
        "expired": lambda: ca.client_certificate(expired=True),
        "future": lambda: ca.client_certificate(not_yet_valid=True),
        "usage": lambda: ca.issue("client", extended_key_usage=("server",)),
    }[wrong]()
    with listening(server, version, client_ca=ca, after=after) as running:
        report = await check_tls(running.url, tls=config(ca, identity_of(shown)))
    check_form(report)
    assert report.client_certificate is ClientCertificateVerdict.REJECTED
    assert isinstance(report.error, ClientCertificateRejected)
    assert report.error.reason == reason
    assert report.error.alert == report.alert is not None
    assert report.certificate_sent
    assert report.identity_qualifies is (not fault)
    assert any(fault in each for each in report.identity_faults) or not fault
    assert report.error.hint in " ".join(str(report).split())
    assert len(running.connections) == 1


@pytest.mark.parametrize("version", VERSIONS)
async def test_the_steps_stand_in_the_order_of_the_wire(
    ca: CertificateAuthority,
    server: IssuedCertificate,
    billing: ClientIdentity,
    version: ssl.TLSVersion,
) -> None:
    with listening(server, version, client_ca=ca) as running:
        report = await check_tls(running.url, tls=config(ca, billing))
    shown = ["server_certificate", "chain", "name"]
    tls_1_3 = version == ssl.TLSVersion.TLSv1_3
    assert names(report) == [
        "connect",
        "client_hello",
        "server_hello",
        *(["certificate_request", *shown] if tls_1_3 else [*shown, "certificate_request"]),
        "qualification",
        "client_certificate",
        "outcome",
        "without_identity",
    ]
    assert [step.direction for step in report.steps if step.direction] == [
        "sent",  # ClientHello
        *["received"] * 3,
        "sent",  # our certificate
        *["received"] * tls_1_3,  # the ticket
    ]
    lines = str(report).splitlines()
    assert any(line.startswith("      →  ClientHello: TLS 1.2 to 1.3") for line in lines)
    assert any(line.startswith("ok       It is for 127.0.0.1.") for line in lines)


async def test_silence_is_no_objection(
    ca: CertificateAuthority,
    server: IssuedCertificate,
    billing: ClientIdentity,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(attempts, "_PATIENCE", 0.1)
    context = server.server_context(client_ca=ca)
    context.num_tickets = 0
    with ThreadedTLSServer(context) as running:
        report = await check_tls(running.url, tls=config(ca, billing))
    assert report.ok
    assert "no objection" in str(report)
    assert report.client_certificate is ClientCertificateVerdict.ACCEPTED


async def test_a_connection_is_ended_in_order(
    ca: CertificateAuthority, server: IssuedCertificate
) -> None:
    read: list[bytes] = []

    def serve(connection: socket.socket) -> None:
        context = server.server_context()
        # Without an alert of `close_notify`, reading raises.
        with context.wrap_socket(connection, server_side=True, suppress_ragged_eofs=False) as tls:
            read.append(tls.recv(1))

    with answering(serve) as port:
        report = await check_tls(f"wss://127.0.0.1:{port}", tls=config(ca))
    assert report.ok
    assert read == [b""], "nothing was sent behind the handshake"


@pytest.mark.parametrize("way", ["eof", "reset"])
@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("asking", [False, True])
async def test_a_server_that_ends_the_connection_behind_the_handshake(
    ca: CertificateAuthority,
    server: IssuedCertificate,
    billing: ClientIdentity,
    version: ssl.TLSVersion,
    way: str,
    asking: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # The end comes at once, or as soon as this machine gets round to it.
    monkeypatch.setattr(links, "_GRACE", 5.0)
    monkeypatch.setattr(attempts, "_SHORT", 5.0)
    context = server.server_context(client_ca=ca if asking else None)
    context.maximum_version = version

    def end(stream: TLSStream) -> None:
        if way == "reset":
            stream.reset()

    with ThreadedTLSServer(context, end) as running:
        report = await check_tls(running.url, tls=config(ca, billing))
    check_form(report)
    # It was content with our certificate, whatever else it does not like.
    assert report.verdict is TLSVerdict.CLOSED
    assert isinstance(report.error, TLSConnectionClosed) and report.error.reason == way
    assert "completed the TLS handshake" in report.summary
    unknown, not_asked = ClientCertificateVerdict.UNKNOWN, ClientCertificateVerdict.NOT_ASKED
    assert report.client_certificate is (unknown if asking else not_asked)
    assert f"({'RST' if way == 'reset' else 'FIN'})" in report.steps[-1].text


async def test_what_came_before_the_connection_broke_is_read() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.setblocking(False)
        link = Link(ours, handshakes.HandshakeContext(), "localhost")
        # An alert of handshake_failure; what we send then meets a closed socket.
        theirs.sendall(bytes.fromhex("15030300020228"))
        theirs.close()
        with pytest.raises(ssl.SSLError) as caught:
            await link.handshake()
    assert caught.value.reason == "SSLV3_ALERT_HANDSHAKE_FAILURE"


async def test_a_server_that_refuses_without_a_word(
    ca: CertificateAuthority, server: IssuedCertificate
) -> None:
    # asyncio's servers send no alert.
    context = server.server_context(client_ca=ca)
    async with served(context) as port:
        report = await check_tls(f"wss://127.0.0.1:{port}", tls=config(ca))
    check_form(report)
    assert report.client_certificate is ClientCertificateVerdict.REJECTED
    assert isinstance(report.error, ClientCertificateRejected)
    assert (report.error.reason, report.alert) == ("probable", None)
    assert "no alert" in str(report)


@contextlib.asynccontextmanager
async def served(context: ssl.SSLContext, host: str = "127.0.0.1") -> Any:
    """A server on this loop; gives its port."""

    async def wait(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    running = await asyncio.start_server(wait, host, 0, ssl=context)
    try:
        yield running.sockets[0].getsockname()[1]
    finally:
        running.close()
        await running.wait_closed()


async def test_what_the_second_connection_cannot_find_out_is_unknown(
    ca: CertificateAuthority, server: IssuedCertificate, billing: ClientIdentity
) -> None:
    with listening(server, client_ca=ca) as running, FaultProxy(running.url) as proxy:
        proxy.to_server.on(1).at(event="connected").reset()
        report = await check_tls(proxy.url, tls=config(ca, billing))
    check_form(report)
    assert report.ok
    assert report.client_certificate is ClientCertificateVerdict.UNKNOWN
    assert report.certificate_required is None
    assert "could not be found out" in report.summary


async def test_it_works_when_messages_cannot_be_watched(
    ca: CertificateAuthority,
    server: IssuedCertificate,
    billing: ClientIdentity,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(handshakes, "_CALLBACK", "_no_such_callback")
    monkeypatch.setattr(attempts, "_PATIENCE", 0.1)
    with listening(server, client_ca=ca) as running:
        good = await check_tls(running.url, tls=TLSConfig(cadata=ca.root_pem, identity=billing))
        bad = await check_tls(running.url, tls=TLSConfig(cadata=ca.root_pem))
    for report in (good, bad):
        check_form(report)
        assert report.certificate_requested is None
    assert good.ok and good.client_certificate is ClientCertificateVerdict.UNKNOWN
    assert isinstance(bad.error, ClientCertificateRejected)
    assert bad.client_certificate is ClientCertificateVerdict.REJECTED


async def test_sessions_are_not_resumed(
    ca: CertificateAuthority, server: IssuedCertificate, billing: ClientIdentity
) -> None:
    tls = TLSConfig(cadata=ca.root_pem, identity=billing, session_resumption=True)
    with listening(server, client_ca=ca) as running:
        for _ in range(2):
            report = await check_tls(running.url, tls=tls)
            assert report.certificate_sent
        records = running.wait_for_handshakes(4)
    assert [each.session_reused for each in records] == [False] * 4


# Between us and the server's certificate


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize(
    ("wrong", "reason", "code", "name_matches"),
    [
        pytest.param("expired", "expired", 10, True, id="expired"),
        pytest.param("name", "hostname_mismatch", 64, False, id="name"),
        pytest.param("self-signed", "self_signed", 18, True, id="self-signed"),
        pytest.param("unknown CA", "unknown_ca", 20, True, id="unknown CA"),
    ],
)
async def test_a_server_that_we_refuse(
    ca: CertificateAuthority,
    other: CertificateAuthority,
    billing: ClientIdentity,
    version: ssl.TLSVersion,
    wrong: str,
    reason: str,
    code: int,
    name_matches: bool,
) -> None:
    issued = {
        "expired": lambda: ca.server_certificate(expired=True),
        "name": lambda: ca.server_certificate("a.test"),
        "self-signed": lambda: self_signed_certificate(),
        "unknown CA": lambda: other.intermediate("Between").server_certificate(),
    }[wrong]()
    with listening(issued, version, client_ca=ca) as running:
        report = await check_tls(running.url, tls=config(ca, billing))
        records = running.wait_for_handshakes(2)
    check_form(report)
    assert report.verdict is TLSVerdict.SERVER_CERTIFICATE
    assert isinstance(report.error, ServerCertificateError)
    assert report.error.reason == reason
    assert report.chain_error is not None and report.chain_error[0] == code
    assert (report.name_checked, report.name_matches) == ("127.0.0.1", name_matches)
    # The server was told why, and saw nothing of ours, not even the second time.
    assert [each.peer_certificate_der for each in records] == [None, None]
    assert "ALERT" in records[0].reason
    asked_before = version == ssl.TLSVersion.TLSv1_3
    assert ("client_certificate" in names(report)) is asked_before
    # The second connection has found out the rest.
    told = names(report)
    assert told.index("without_verification") < told.index("server_certificate")
    assert told.count("server_certificate") == 1
    assert report.server_chain[0].der == issued.certificate_der
    if wrong == "unknown CA":
        # As sent, without a root.
        assert [each.subject for each in report.server_chain] == ["CN=localhost", "CN=Between"]
    assert report.certificate_sent is False
    assert (report.certificate_requested, report.certificate_required) == (True, True)
    assert report.client_certificate is ClientCertificateVerdict.UNKNOWN
    assert report.identity_qualifies
    assert report.alert is None, "no alert came from the server"


@pytest.mark.parametrize("version", VERSIONS)
async def test_a_server_that_fails_our_own_checks(
    ca: CertificateAuthority,
    server: IssuedCertificate,
    billing: ClientIdentity,
    version: ssl.TLSVersion,
) -> None:
    tls = config(ca, billing).replace(authorize_server=lambda peer: False)
    with listening(server, version, client_ca=ca) as running:
        report = await check_tls(running.url, tls=tls)
        (record,) = running.wait_for_handshakes()
    check_form(report)
    assert isinstance(report.error, ServerCertificateError)
    assert report.error.reason == "not_authorized"
    tls_1_2 = version == ssl.TLSVersion.TLSv1_2
    assert report.certificate_sent is tls_1_2
    assert (record.peer_certificate_der is not None) is tls_1_2
    assert report.chain_error is None and report.name_matches
    assert len(report.server_chain) == 3
    # With TLS 1.2 our checks come when all has been sent.
    sent = names(report).index("client_certificate")
    assert (sent < names(report).index("checks")) is tls_1_2


async def test_checks_that_a_server_passes(
    ca: CertificateAuthority, server: IssuedCertificate
) -> None:
    tls = TLSConfig(cadata=ca.root_pem, pinned_public_keys=server.spki_sha256)
    with listening(server) as running:
        report = await check_tls(running.url, tls=tls)
    assert report.ok
    assert [step.ok for step in report.steps if step.name == "checks"] == [True]


async def test_without_verification_nothing_is_claimed(server: IssuedCertificate) -> None:
    with listening(server) as running:
        report = await check_tls(running.url, tls=TLSConfig(verify=False))
    check_form(report)
    assert report.ok
    assert (report.name_checked, report.name_matches) == (None, None)
    assert [step.ok for step in report.steps if step.name in ("chain", "name")] == [None]
    # What the server sent: there is no root among it.
    assert [each.subject for each in report.server_chain] == ["CN=localhost", "CN=Servers"]


async def test_another_name_may_be_asked_for(
    ca: CertificateAuthority, server: IssuedCertificate
) -> None:
    with listening(server) as running:
        tls = TLSConfig(cadata=ca.root_pem, server_hostname="a.test")
        report = await check_tls(f"https://127.0.0.1:{running.port}/path?token=x", tls=tls)
    assert (report.name_checked, report.name_matches) == ("a.test", False)
    assert "server name a.test" in str(report)


async def test_a_dot_at_the_end_is_not_part_of_the_name(
    ca: CertificateAuthority, server: IssuedCertificate, monkeypatch: pytest.MonkeyPatch
) -> None:
    with listening(server) as running:

        async def here(*args: Any) -> tuple[Place, ...]:
            return (Place(socket.AF_INET, ("127.0.0.1", running.port)),)

        monkeypatch.setattr(attempts, "_resolve", here)
        report = await check_tls("wss://localhost.", tls=config(ca))
    assert report.ok
    assert (report.name_checked, report.name_matches) == ("localhost", True)
    assert report.steps[0].text == "localhost. is 127.0.0.1."


# Before TLS


async def test_versions_that_do_not_meet(ca: CertificateAuthority, server: Any) -> None:
    tls = TLSConfig(cadata=ca.root_pem, minimum_version=ssl.TLSVersion.TLSv1_3)
    with listening(server, ssl.TLSVersion.TLSv1_2) as running:
        report = await check_tls(running.url, tls=tls)
    check_form(report)
    assert report.verdict is TLSVerdict.PROTOCOL
    assert isinstance(report.error, TLSProtocolError)
    assert report.error.reason == report.alert == "protocol_version"
    assert report.client_certificate is ClientCertificateVerdict.UNKNOWN
    assert report.certificate_requested is None


async def test_a_port_where_nothing_listens(closed_port: int) -> None:
    report = await check_tls(f"wss://127.0.0.1:{closed_port}")
    check_form(report)
    assert report.verdict is TLSVerdict.UNREACHABLE
    assert isinstance(report.error, ConnectError) and report.error.phase == "tcp"
    assert names(report) == ["connect"]
    assert report.address is None


async def test_a_host_that_is_not_known(monkeypatch: pytest.MonkeyPatch) -> None:
    async def unknown(*args: Any, **kwargs: Any) -> Any:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(attempts, "_resolve", unknown)
    report = await check_tls("wss://nowhere.invalid")
    check_form(report)
    assert report.verdict is TLSVerdict.UNREACHABLE
    assert report.error is not None and report.error.phase == "dns"
    assert names(report) == ["resolve"]


async def test_another_address_is_tried(
    ca: CertificateAuthority, server: IssuedCertificate, monkeypatch: pytest.MonkeyPatch
) -> None:
    with listening(server) as running, socket.socket() as bound:
        # Bound, so that nobody else listens there; and not listening.
        bound.bind(("127.0.0.1", 0))
        places = (
            Place(socket.AF_INET, bound.getsockname()),
            Place(socket.AF_INET, ("127.0.0.1", running.port)),
        )

        async def both(*args: Any) -> tuple[Place, ...]:
            return places

        monkeypatch.setattr(attempts, "_resolve", both)
        report = await check_tls("wss://localhost:1", tls=config(ca))
    assert report.ok
    assert report.address == f"127.0.0.1 port {running.port}"
    assert [step.ok for step in report.steps if step.name == "connect"] == [None, True]


def answering(answer: Callable[[socket.socket], None]) -> Any:
    """A server that has one connection, and does to it what `answer` does."""

    @contextlib.contextmanager
    def run() -> Iterator[int]:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            listener.settimeout(5)

            def serve() -> None:
                connection, _ = listener.accept()
                connection.settimeout(5)
                with connection, contextlib.suppress(OSError):
                    answer(connection)

            thread = threading.Thread(target=serve)
            thread.start()
            try:
                yield listener.getsockname()[1]
            finally:
                thread.join()

    return run()


def say_nothing(connection: socket.socket) -> None:
    while connection.recv(4096):
        pass


def speak_http(connection: socket.socket) -> None:
    connection.recv(4096)
    connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")


def end(connection: socket.socket) -> None:
    connection.recv(4096)


def reset(connection: socket.socket) -> None:
    connection.recv(1)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


@pytest.mark.parametrize(
    ("answer", "verdict", "error", "reason"),
    [
        pytest.param(
            say_nothing, TLSVerdict.NO_ANSWER, ConnectTimeoutError, None, id="says nothing"
        ),
        pytest.param(speak_http, TLSVerdict.PROTOCOL, TLSProtocolError, "not_tls", id="HTTP"),
        pytest.param(end, TLSVerdict.CLOSED, TLSConnectionClosed, "eof", id="end"),
        pytest.param(reset, TLSVerdict.CLOSED, TLSConnectionClosed, "reset", id="reset"),
    ],
)
async def test_a_server_that_does_not_speak_tls(
    answer: Callable[[socket.socket], None],
    verdict: TLSVerdict,
    error: type[ConnectError],
    reason: str | None,
) -> None:
    with answering(answer) as port:
        report = await check_tls(f"wss://127.0.0.1:{port}", connect_timeout=0.2)
    check_form(report)
    assert report.verdict is verdict
    assert type(report.error) is error
    assert getattr(report.error, "reason", None) == reason
    assert report.address == f"127.0.0.1 port {port}"
    assert report.steps[-1].ok is False
    assert report.client_certificate is ClientCertificateVerdict.UNKNOWN


async def test_an_ipv6_address(ca: CertificateAuthority, server: IssuedCertificate) -> None:
    if not has_ipv6():
        pytest.skip("this machine has no IPv6")
    async with served(server.server_context(), "::1") as port:
        report = await check_tls(f"wss://[::1]:{port}/", tls=config(ca))
    check_form(report)
    assert report.ok
    assert (report.name_checked, report.name_matches) == ("::1", True)
    assert report.address == f"::1 port {port}"
    assert "no server name" in str(report)


def has_ipv6() -> bool:
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
    except OSError:
        return False
    return True


async def test_it_can_be_cancelled() -> None:
    reached = threading.Event()

    def hang(connection: socket.socket) -> None:
        connection.recv(4096)
        reached.set()
        say_nothing(connection)

    with answering(hang) as port:
        task = asyncio.ensure_future(check_tls(f"wss://127.0.0.1:{port}", connect_timeout=20))
        await asyncio.to_thread(reached.wait, 5)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    # The leak check finds what would be left.


# What is said of arguments


async def test_what_cannot_be_loaded_is_raised(ca: CertificateAuthority, tmp_path: Path) -> None:
    missing = str(tmp_path / "missing.pem")
    with pytest.raises(IdentityError):
        await check_tls("wss://127.0.0.1:1", tls=TLSConfig(cert=missing))
    with pytest.raises(TrustError):
        await check_tls("wss://127.0.0.1:1", tls=TLSConfig(cafile=missing))


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("ws://127.0.0.1", "no TLS to check"),
        ("ftp://127.0.0.1", "no TLS to check"),
        ("127.0.0.1", "has no scheme"),
        ("wss://", "has no host"),
        ("wss://127.0.0.1:99999", "bad port"),
        ("wss://user:secret@bad host", "has a space"),
    ],
)
async def test_urls_that_cannot_be_checked(url: str, says: str) -> None:
    with pytest.raises(InvalidURLError, match=says) as caught:
        await check_tls(url)
    assert "secret" not in str(caught.value)


async def test_wrong_arguments() -> None:
    wrong: Any = b"wss://127.0.0.1"
    with pytest.raises(TypeError, match="url must be"):
        await check_tls(wrong)
    wrong = ssl.create_default_context()
    with pytest.raises(TypeError, match="tls must be"):
        await check_tls("wss://127.0.0.1", tls=wrong)
    for seconds in (0, -1, float("inf"), float("nan")):
        with pytest.raises(ValueError, match="connect_timeout must be"):
            await check_tls("wss://127.0.0.1", connect_timeout=seconds)
    wrong = "1"
    with pytest.raises(TypeError, match="connect_timeout must be"):
        await check_tls("wss://127.0.0.1", connect_timeout=wrong)


async def test_a_report_tells_no_secret(
    ca: CertificateAuthority, server: IssuedCertificate
) -> None:
    issued = ca.client_certificate("billing")
    key = issued.private_key_pem().decode().splitlines()[1]
    with listening(server, client_ca=ca) as running:
        url = f"wss://ann:secret@127.0.0.1:{running.port}/chat?token=secret"
        report = await check_tls(url, tls=config(ca, identity_of(issued)))
    for text in (str(report), repr(report), json.dumps(report.as_dict())):
        assert "secret" not in text
        assert key not in text


# What speaks against a certificate


def request_for(
    *authorities: CertificateAuthority, signatures: tuple[str, ...] = ()
) -> CertificateRequest:
    return CertificateRequest(
        "TLSv1.3",
        signature_algorithms=signatures,
        authorities_der=tuple(each.certificate.subject.public_bytes() for each in authorities),
    )


def test_the_issuer_must_be_among_the_authorities_that_were_named(
    ca: CertificateAuthority, other: CertificateAuthority
) -> None:
    below = identity_of(ca.intermediate("Clients").client_certificate())
    assert faults_of(below, request_for()) == ()
    assert faults_of(below, request_for(other, ca)) == (), "by the issuer of its issuer"
    (fault,) = faults_of(below, request_for(other))
    assert "None of its chain, up to CN=Test Root" in fault
    issued = ca.intermediate("Clients").client_certificate()
    alone = ClientIdentity.from_pem(issued.certificate_pem, issued.private_key_pem())
    (fault,) = faults_of(alone, request_for(ca))
    assert "CN=Clients is not among the authorities" in fault
    assert "missing from the chain" in fault


def test_the_server_must_take_signatures_of_the_key(billing: ClientIdentity) -> None:
    assert faults_of(billing, request_for(signatures=("ecdsa_secp256r1_sha256",))) == ()
    (fault,) = faults_of(billing, request_for(signatures=("rsa_pss_rsae_sha256",)))
    assert "of type ec-p256" in fault


def test_an_intermediate_may_have_expired_but_not_a_root(ca: CertificateAuthority) -> None:
    between = CertificateAuthority("Old", issuer=ca, not_after=timedelta(days=-1))
    (fault,) = faults_of(identity_of(between.client_certificate()), request_for())
    assert fault.startswith("CN=Old in its chain expired on ")
    root = CertificateAuthority("Old Root", not_after=timedelta(days=-1))
    issued = root.client_certificate()
    with_root = ClientIdentity.from_pem(
        issued.chain_pem + root.certificate_pem, issued.private_key_pem()
    )
    assert len(with_root.chain_der) == 2
    assert faults_of(with_root, request_for()) == ()


@pytest.mark.parametrize(
    ("name", "good"),
    [
        ("a.test", True),
        ("A.Test.", True),
        ("b.test", False),
        ("x.wild.test", True),
        ("x.y.wild.test", False),
        ("wild.test", False),
        ("127.0.0.1", True),
        ("127.0.0.2", False),
        ("0:0:0:0:0:0:0:1", True),
        ("::2", False),
    ],
)
def test_names(ca: CertificateAuthority, name: str, good: bool) -> None:
    issued = ca.server_certificate("a.test", "*.wild.test", "127.0.0.1", "::1")
    assert matches(name, CertificateFacts.of(issued.certificate_der)) is good


# A server that names authorities and signatures, which those of Python do not


INSISTING = ("-Verify", "3", "-verify_return_error")


@contextlib.contextmanager
def openssl_server(issued: IssuedCertificate, folder: Path, *arguments: str) -> Iterator[int]:
    """Run ``openssl s_server`` on a free port, and give the port."""
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("there is no openssl command")
    files = issued.write(folder)
    command = [
        openssl, "s_server", "-accept", "127.0.0.1:0", "-www", "-cert", str(files.cert_file),
        "-key", str(files.key_file), "-CAfile", str(files.ca_file), *arguments,
    ]  # fmt: skip
    with subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as process:
        try:
            assert process.stdout is not None
            for line in process.stdout:
                if line.startswith("ACCEPT"):
                    yield int(line.rpartition(":")[2])
                    break
            else:
                pytest.fail("openssl s_server has not started")
        finally:
            process.kill()


@pytest.mark.parametrize("version", ["1.2", "1.3"])
async def test_the_authorities_that_a_server_names(
    ca: CertificateAuthority, other: CertificateAuthority, tmp_path: Path, version: str
) -> None:
    issued = ca.server_certificate()
    tls = config(ca, identity_of(ca.client_certificate()))
    wrong = config(ca, identity_of(other.client_certificate()))
    option = f"-tls{version.replace('.', '_')}"
    with openssl_server(issued, tmp_path, option, *INSISTING) as port:
        good = await check_tls(f"wss://127.0.0.1:{port}", tls=tls)
        bad = await check_tls(f"wss://127.0.0.1:{port}", tls=wrong)
    check_form(good)
    assert good.ok, str(good)
    assert good.acceptable_authorities == ("CN=Test Root",)
    assert "ecdsa_secp256r1_sha256" in good.signature_algorithms
    assert good.identity_qualifies
    assert good.client_certificate is ClientCertificateVerdict.ACCEPTED
    check_form(bad)
    assert isinstance(bad.error, ClientCertificateRejected)
    assert bad.identity_qualifies is False
    assert "CN=Other Root is not among" in bad.identity_faults[0]
    assert "CN=Test Root" in str(bad)


@pytest.mark.parametrize("version", ["1.2", "1.3"])
async def test_a_key_that_a_server_does_not_take(
    ca: CertificateAuthority, billing: ClientIdentity, tmp_path: Path, version: str
) -> None:
    option = f"-tls{version.replace('.', '_')}"
    arguments = (option, "-client_sigalgs", "ed25519", *INSISTING)
    with openssl_server(ca.server_certificate(), tmp_path, *arguments) as port:
        report = await check_tls(f"wss://127.0.0.1:{port}", tls=config(ca, billing))
    check_form(report)
    assert isinstance(report.error, ClientCertificateRejected)
    assert report.error.reason == "not_sent_key_type"
    assert report.signature_algorithms == ("ed25519",)
    assert report.identity_qualifies is False
    assert report.certificate_sent is False
    assert report.client_certificate is ClientCertificateVerdict.REJECTED


async def test_what_a_server_may_have_against_ours_in_http(
    ca: CertificateAuthority, other: CertificateAuthority, tmp_path: Path
) -> None:
    # It takes any certificate, and no certificate, as nginx does.
    shown = identity_of(other.client_certificate(expired=True))
    with openssl_server(ca.server_certificate(), tmp_path, "-verify", "3") as port:
        report = await check_tls(f"wss://127.0.0.1:{port}", tls=config(ca, shown))
    check_form(report)
    assert report.verdict is TLSVerdict.DOUBTFUL
    assert not report.ok
    assert "Result:  doubtful." in str(report)
    assert report.client_certificate is ClientCertificateVerdict.OPTIONAL
    assert "refuse in HTTP" in report.summary
    assert "Ours does not look right: It expired on " in report.summary
    assert "CN=Other Root is not among" in report.summary
