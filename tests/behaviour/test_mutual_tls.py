"""Mutual TLS as a whole: who is shown which certificate, what is known of it, what is retried."""

from __future__ import annotations

import asyncio
import gc
import logging
import re
import socket
import ssl
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp.abc import ResolveResult

from behaviour.servers import Resolver
from behaviour.test_secrets import related
from support.proxies import connect_proxy, socks5_proxy
from wsclient import (
    ClientCertificateRejected,
    ClientIdentity,
    CloseCause,
    CloseInitiator,
    ConnectError,
    HandshakeError,
    IdentityError,
    ProxyError,
    ServerCertificateError,
    TLSConfig,
    TLSError,
    TLSProtocolError,
    TrustError,
    WebSocketError,
    check_tls,
    websocket_connect,
)
from wsclient.protocol.handshake import accept_token
from wsclient.testing import (
    CertificateAuthority,
    IssuedCertificate,
    RawConnection,
    RawServer,
    ThreadedTLSServer,
    TLSStream,
)
from wsclient.tls.handshake.context import HandshakeObject

CA = CertificateAuthority("Mutual")
SERVER = CA.server_certificate("localhost", "127.0.0.1")
CLIENT = CA.client_certificate("billing", spiffe_id="spiffe://example.org/billing")
STRANGER = CertificateAuthority("Stranger").client_certificate("billing")


def identity_of(issued: IssuedCertificate) -> ClientIdentity:
    return ClientIdentity.from_pem(issued.chain_pem, issued.private_key_pem())


def config(issued: IssuedCertificate | None = CLIENT, **options: Any) -> TLSConfig:
    identity = None if issued is None else identity_of(issued)
    return TLSConfig(identity=identity, cadata=CA.certificate_pem, **options)


@contextmanager
def asking(handler: Any = None, **options: Any) -> Iterator[ThreadedTLSServer]:
    """A server that requires client certificates."""
    context = SERVER.server_context(client_ca=CA)
    with ThreadedTLSServer(context, handler, **options) as server:
        yield server


def shown(server: ThreadedTLSServer, count: int = 1) -> list[int | None]:
    """The serial numbers of the certificates that a server was shown."""
    found = [record.peer_certificate for record in server.wait_for_handshakes(count)]
    return [None if each is None else each.serial_number for each in found]


async def rejection(url: str, **options: Any) -> WebSocketError:
    with pytest.raises(WebSocketError) as caught:
        await websocket_connect(url, **options)
    return caught.value


# What a connection tells


async def test_a_connection_tells_of_both_certificates() -> None:
    identity = identity_of(CLIENT)
    tls = TLSConfig(identity=identity, cadata=CA.certificate_pem)
    with asking() as server:
        async with websocket_connect(server.url, tls=tls) as conn:
            await conn.write_message("hello")
            assert await conn.read_message() == "hello"
        assert shown(server) == [CLIENT.serial_number]
    info = conn.tls
    assert info is not None
    assert info.peer_certificate is not None
    assert info.peer_certificate.der == SERVER.certificate_der
    assert info.server_certificate == SERVER.certificate_der
    assert info.peer_chain[0] == SERVER.certificate_der
    assert info.identity_fingerprint == identity.fingerprint_sha256 == CLIENT.fingerprint_sha256
    assert info.identity_generation == 1
    assert info.certificate_requested is True
    assert info.session_reused is False


async def test_nothing_is_told_of_an_identity_that_there_is_not() -> None:
    with ThreadedTLSServer(SERVER.server_context()) as server:
        watched = websocket_connect(server.url, tls=config(None), use_fast_transport=False)
        async with watched as conn:
            assert conn.tls is not None
            assert conn.tls.identity_fingerprint is None
            assert conn.tls.identity_generation is None
            assert conn.tls.certificate_requested is False


# Who is shown what


async def test_the_identity_stays_behind_when_the_origin_changes() -> None:
    with asking() as second:

        def redirect(stream: TLSStream) -> None:
            stream.read_head()
            location = f"Location: https://localhost:{second.port}/\r\n"
            stream.sendall(f"HTTP/1.1 302 Found\r\n{location}Content-Length: 0\r\n\r\n".encode())

        with asking(redirect) as first:
            error = await rejection(f"wss://localhost:{first.port}/", tls=config())
            assert shown(first) == [CLIENT.serial_number]
        # Twice where a fast transport was tried first.
        assert set(shown(second)) == {None}
    assert isinstance(error, ClientCertificateRejected)
    assert error.reason == "certificate_required"


async def test_the_identity_goes_along_within_the_origin() -> None:
    visits = []

    def redirect_once(stream: TLSStream) -> None:
        visits.append(stream.read_head())
        status = "302 Found\r\nLocation: /second" if len(visits) == 1 else "403 Forbidden"
        stream.sendall(f"HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n".encode())

    with asking(redirect_once) as server:
        error = await rejection(server.url, tls=config())
        assert shown(server, 2) == [CLIENT.serial_number] * 2
    assert isinstance(error, HandshakeError)
    assert error.status == 403


@pytest.mark.parametrize("version", ["TLSv1_2", "TLSv1_3"])
async def test_proxy_and_server_are_shown_certificates_of_their_own(version: str) -> None:
    for_proxy = CA.client_certificate("for the proxy")
    seen: list[Any] = []
    context = SERVER.server_context(client_ca=CA)

    def note(stream: TLSStream) -> None:
        seen.append(stream.peer_certificate_der)
        stream.read_head()
        stream.sendall(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n")

    with asking(note) as server:
        async with connect_proxy(ssl=context) as proxy:
            error = await rejection(
                server.url, proxy=proxy.url, tls=config(), proxy_tls=config(for_proxy)
            )
            assert isinstance(error, HandshakeError)
            refused = await rejection(
                server.url, proxy=proxy.url, tls=config(), proxy_tls=config(None)
            )
    assert seen == [CLIENT.certificate_der]
    assert isinstance(refused, TLSError)
    assert "proxy" in str(refused)


async def test_a_proxy_that_wants_a_certificate_says_so() -> None:
    # In threads, because a server on asyncio sends no alert.
    with asking() as proxy:
        error = await rejection(
            "wss://localhost:9/",
            proxy=f"https://localhost:{proxy.port}",
            tls=config(),
            proxy_tls=config(None),
        )
        assert shown(proxy) == [None]
    assert isinstance(error, ClientCertificateRejected)
    assert error.reason == "certificate_required"
    assert f"https://localhost:{proxy.port}" in str(error)
    assert "proxy_tls" in error.hint
    assert error.identity is None


@pytest.mark.parametrize("given", ["argument", "environment", "session", "session's environment"])
async def test_a_session_shows_no_https_proxy_the_identity(
    given: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("https_proxy", "wss_proxy", "no_proxy", "HTTPS_PROXY", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    with asking() as proxy:
        url = f"https://localhost:{proxy.port}"
        if "environment" in given:
            monkeypatch.setenv("wss_proxy", url)
        own = url if given == "session" else None
        trusting = given == "session's environment"
        async with aiohttp.ClientSession(proxy=own, trust_env=trusting) as session:
            error = await rejection(
                "wss://localhost:9/",
                session=session,
                tls=config(),
                proxy={"argument": url, "environment": True}.get(given),
            )
        assert proxy.connections == ()
    assert isinstance(error, ProxyError)
    assert "proxy_tls" in error.hint


async def test_equal_configurations_of_proxy_and_server_are_told_apart() -> None:
    stranger = CertificateAuthority("Other").server_certificate("localhost", "127.0.0.1")
    tls = config(None)
    async with connect_proxy(ssl=SERVER.server_context()) as proxy:
        with ThreadedTLSServer(stranger.server_context()) as server:
            error = await rejection(server.url, proxy=proxy.url, tls=tls, proxy_tls=tls)
    assert isinstance(error, ServerCertificateError)
    assert f"The certificate of {server.url}".lower() in str(error).lower()
    assert "proxy_tls" not in error.hint


@pytest.mark.parametrize("name", ["localhost", "elsewhere.test"])
async def test_the_name_that_is_asked_for_counts_through_socks_too(name: str) -> None:
    pytest.importorskip("aiohttp_socks")
    issued = CA.issue(names=["localhost"], extended_key_usage=["server"])
    with ThreadedTLSServer(issued.server_context(client_ca=CA)) as server:
        async with socks5_proxy() as proxy:
            # The certificate is for localhost, and the URL has an address.
            attempt = websocket_connect(
                f"wss://127.0.0.1:{server.port}/",
                proxy=proxy.url,
                tls=config(server_hostname=name),
            )
            if name == "localhost":
                async with attempt as conn:
                    await conn.write_message("hello")
                    assert await conn.read_message() == "hello"
            else:
                with pytest.raises(ServerCertificateError) as caught:
                    await attempt
                assert caught.value.reason == "hostname_mismatch"


class TwoAddresses(Resolver):
    """Resolves every name to 127.0.0.1, and to an address at which nobody listens."""

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        (first,) = await super().resolve(host, port, family)
        return [first, {**first, "host": "127.0.0.2"}]


async def test_a_refusal_is_told_although_another_address_was_tried() -> None:
    with ThreadedTLSServer(SERVER.server_context()) as server:
        error = await rejection(
            f"wss://elsewhere.test:{server.port}/", tls=config(), resolver=TwoAddresses()
        )
    assert isinstance(error, ServerCertificateError)
    assert error.reason == "hostname_mismatch"


async def test_an_error_that_is_being_handled_is_not_taken_for_ours() -> None:
    class Failing(Resolver):
        async def resolve(self, *args: Any, **kwargs: Any) -> list[ResolveResult]:
            raise OSError(5, "no resolver today")

    with asking() as server:
        try:
            await websocket_connect(server.url, tls=TLSConfig())
        except ServerCertificateError:
            url = f"wss://elsewhere.test:{server.port}/"
            error = await rejection(url, tls=config(), resolver=Failing())
    assert not isinstance(error, TLSError)


async def test_nothing_is_left_of_handshakes_that_were_given_up() -> None:
    async def wait(wire: RawConnection) -> None:
        await wire.read_to_end()

    async with RawServer(wait) as server:
        for _ in range(5):
            with pytest.raises(TimeoutError):
                await websocket_connect(
                    f"wss://localhost:{server.port}/", tls=config(), connect_timeout=0.05
                )
    await asyncio.sleep(0)
    gc.collect()
    assert [each for each in gc.get_objects() if isinstance(each, HandshakeObject)] == []


async def test_cancelling_behind_an_https_proxy_cancels() -> None:
    hello = asyncio.Event()

    async def wait(wire: RawConnection) -> None:
        await wire.reader.readexactly(1)  # of the client's hello, through the tunnel
        hello.set()
        await wire.read_to_end()

    async with connect_proxy(ssl=SERVER.server_context()) as proxy, RawServer(wait) as server:
        url = f"wss://localhost:{server.port}/"
        for _ in range(5):
            hello.clear()
            connecting = websocket_connect(
                url, proxy=proxy.url, tls=config(), proxy_tls=config(None)
            )
            task = asyncio.create_task(connecting)
            await hello.wait()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task


# Rotation


async def test_a_newer_identity_is_tried_at_once() -> None:
    asked = []

    def current() -> ClientIdentity:
        asked.append(True)
        return identity_of(STRANGER if len(asked) == 1 else CLIENT)

    tls = TLSConfig(identity=current, cadata=CA.certificate_pem)
    with asking() as server:
        async with websocket_connect(server.url, tls=tls) as conn:
            assert conn.tls is not None
            assert conn.tls.identity_generation == 2
        records = server.wait_for_handshakes(2)
    assert [record.established for record in records] == [False, True]


async def test_the_same_identity_is_not_tried_again() -> None:
    tls = TLSConfig(identity=lambda: identity_of(STRANGER), cadata=CA.certificate_pem)
    with asking() as server:
        error = await rejection(server.url, tls=tls)
        assert len(server.wait_for_handshakes()) == 1
    assert isinstance(error, ClientCertificateRejected)
    assert (error.reason, error.side, error.alert) == ("unknown_ca", "peer", "unknown_ca")


async def test_open_connections_are_closed_after_a_rotation(tmp_path: Path) -> None:
    files = CLIENT.write(tmp_path)
    tls = TLSConfig(
        cert=(files.cert_file, files.key_file),
        cadata=CA.certificate_pem,
        on_rotation="close",
        refresh_interval=0.05,
    )
    with asking() as server:
        conn = await websocket_connect(server.url, tls=tls)
        files.replace(CA.client_certificate("billing"))
        info = await asyncio.wait_for(conn.wait_closed(), 10)
    assert info.sent == 1001
    assert info.clean
    # Unlike a shutdown of one's own with the same code.
    assert (info.cause, info.initiator) == (CloseCause.ROTATION, CloseInitiator.LOCAL)
    assert "certificate was replaced" in info.hint
    with asking() as server:
        conn = await websocket_connect(server.url, tls=tls)
        info = await conn.close(1001, "new certificate")
    assert (info.cause, info.clean) == (CloseCause.CLOSING_HANDSHAKE, True)


async def test_open_connections_are_kept_by_default(tmp_path: Path) -> None:
    files = CLIENT.write(tmp_path)
    cert = (files.cert_file, files.key_file)
    tls = TLSConfig(cert=cert, cadata=CA.certificate_pem)
    with asking() as server:
        async with websocket_connect(server.url, tls=tls) as first:
            files.replace(CA.client_certificate("billing"))
            async with websocket_connect(server.url, tls=tls) as second:
                await first.write_message("still here")
                assert await first.read_message() == "still here"
            generations = [each.tls and each.tls.identity_generation for each in (first, second)]
    assert generations == [1, 2]


# Checks of our own


@pytest.mark.parametrize(
    ("checks", "reason"),
    [
        ({"pinned_public_keys": [CLIENT.spki_sha256]}, "pin_mismatch"),
        ({"spiffe_ids": ["spiffe://example.org/billing"]}, "spiffe_id_mismatch"),
        ({"authorize_server": lambda peer: False}, "not_authorized"),
    ],
)
@pytest.mark.parametrize("proxied", [False, True])
async def test_a_server_that_fails_our_checks_gets_nothing(
    checks: dict[str, Any], reason: str, proxied: bool
) -> None:
    heard = []

    def listen(stream: TLSStream) -> None:
        heard.append(stream.read_head())

    with asking(listen) as server:
        async with connect_proxy() as proxy:
            error = await rejection(
                server.url, tls=config(**checks), proxy=proxy.url if proxied else None
            )
        assert shown(server) == [None]
    assert isinstance(error, ServerCertificateError)
    assert (error.reason, error.side) == (reason, "local")
    assert heard == []


async def test_pins_and_ids_that_hold() -> None:
    server_id = "spiffe://example.org/payments"
    issued = CA.issue(spiffe_id=server_id, extended_key_usage=["server"])
    with ThreadedTLSServer(issued.server_context(client_ca=CA)) as server:
        tls = config(spiffe_ids=[server_id], pinned_public_keys=[issued.spki_sha256])
        async with websocket_connect(server.url, tls=tls) as conn:
            assert conn.tls is not None
            assert conn.tls.peer_spiffe_id == server_id


# Alerts on an open connection


def ask_when_open(stream: TLSStream) -> None:
    key = re.search(rb"(?i)sec-websocket-key: *([^\r]+)", stream.read_head())
    assert key is not None
    accept = accept_token(key.group(1).decode())
    stream.sendall(
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Accept: " + accept.encode() + b"\r\n\r\n"
    )
    stream.verify_client()


async def test_an_alert_on_an_open_connection_is_told_as_one() -> None:
    context = SERVER.server_context(client_ca=CA)
    context.post_handshake_auth = True
    with ThreadedTLSServer(context, ask_when_open) as server:
        conn = await websocket_connect(server.url, tls=config(None))
        assert await asyncio.wait_for(conn.read_message(), 5) is None
    info = await conn.wait_closed()
    assert info.cause is CloseCause.TLS_ALERT
    assert isinstance(info.exception, ssl.SSLError)
    assert "CERTIFICATE_REQUIRED" in str(info.exception).upper()
    assert (info.code, info.clean, info.initiator) == (1006, False, CloseInitiator.NONE)


# What is said in HTTP


@pytest.mark.parametrize(
    ("scheme", "body", "kind", "reason"),
    [
        (
            "wss",
            b"<center>No required SSL certificate was sent</center>",
            ClientCertificateRejected,
            "certificate_required",
        ),
        (
            "wss",
            b"<center>The SSL certificate error</center>",
            ClientCertificateRejected,
            "http_400_nginx",
        ),
        (
            "ws",
            b"<center>The plain HTTP request was sent to HTTPS port</center>",
            TLSProtocolError,
            "http_on_tls_port",
        ),
    ],
)
async def test_pages_about_tls(
    scheme: str, body: bytes, kind: type[TLSError], reason: str
) -> None:
    async def serve(wire: RawConnection) -> None:
        await wire.read_request()
        await wire.respond("400 Bad Request", {"Connection": "close"}, body)

    context = SERVER.server_context() if scheme == "wss" else None
    async with RawServer(serve, tls=context) as server:
        error = await rejection(f"{scheme}://localhost:{server.port}/", tls=config(None))
    assert isinstance(error, kind)
    assert error.reason == reason
    assert isinstance(error.__cause__, HandshakeError)
    assert error.__cause__.body == body
    if isinstance(error, ClientCertificateRejected):
        assert error.status == 400


# Secrets


@pytest.mark.parametrize("fault", ["rejected", "unknown_ca", "pin", "swapped", "password"])
async def test_no_key_and_no_password_in_any_text(
    fault: str,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("wsclient.tls.rotation.reloading._PAUSES", (0.001,) * 4)
    caplog.set_level(logging.DEBUG)
    password = "correct horse"
    issued = STRANGER if fault == "rejected" else CLIENT
    files = issued.write(tmp_path, password=password)
    cert: Any = (files.cert_file, files.key_file, password)
    options: dict[str, Any] = {"cadata": CA.certificate_pem}
    if fault == "unknown_ca":
        options = {}
    elif fault == "pin":
        options["pinned_public_keys"] = [CLIENT.spki_sha256]
    elif fault == "swapped":
        cert = (files.key_file, files.cert_file, password)
    elif fault == "password":
        cert = (files.cert_file, files.key_file, password + "!")
    tls = TLSConfig(cert=cert, **options)
    with asking() as server:
        error = await rejection(server.url, tls=tls)
    texts = [repr(tls), caplog.text, *traceback.format_exception(error)]
    for each in related(error):
        texts += [str(each), repr(each), repr(each.args), repr(vars(each))]
    everything = "\n".join(texts)
    key_lines = issued.private_key_pem().decode().splitlines()[1:-1]
    key_lines += files.key_file.read_text().splitlines()[1:-1]
    assert not [line for line in [*key_lines, password] if line in everything]


# Before anything is sent


@pytest.mark.parametrize(
    ("options", "kind", "reason"),
    [
        ({"cert": ("no.pem", "no.key")}, IdentityError, "file_not_found"),
        ({"cafile": "no.pem"}, TrustError, "file_not_found"),
    ],
)
async def test_faults_of_files_come_before_any_traffic(
    options: dict[str, Any], kind: type[TLSError], reason: str
) -> None:
    with asking() as server:
        error = await rejection(server.url, tls=TLSConfig(**options))
        assert server.connections == ()
    assert isinstance(error, kind)
    assert (error.reason, error.side) == (reason, "local")
    assert "no.pem" in str(error)


# Ends without a word


def end_without_an_answer(stream: TLSStream) -> None:
    stream.read_head()


@pytest.mark.parametrize("version", ["TLSv1_2", "TLSv1_3"])
async def test_an_end_behind_an_accepted_certificate_is_no_rejection(version: str) -> None:
    context = SERVER.server_context(client_ca=CA)
    context.maximum_version = ssl.TLSVersion[version]
    # Its ticket, or with TLS 1.2 the handshake's end, says that the server is content.
    with ThreadedTLSServer(context, end_without_an_answer) as server:
        error = await rejection(server.url, tls=config())
    assert isinstance(error, ConnectError)
    assert not isinstance(error, TLSError)
    assert error.phase == "http"
    assert "service behind it" in error.hint
    assert "nothing is known against it" in error.hint


@pytest.mark.parametrize("version", ["TLSv1_2", "TLSv1_3"])
async def test_an_end_behind_a_certificate_that_has_expired_is_probably_a_rejection(
    version: str,
) -> None:
    """Some servers look at certificates behind the handshake, and then close in good order."""
    context = SERVER.server_context(client_ca=CA)
    context.maximum_version = ssl.TLSVersion[version]
    # OpenSSL's X509_V_FLAG_NO_CHECK_TIME: within TLS it does not matter.
    context.verify_flags |= ssl.VerifyFlags(0x200000)
    late = config(CA.client_certificate("late", expired=True))
    with ThreadedTLSServer(context, end_without_an_answer) as server:
        error = await rejection(server.url, tls=late)
        report = await check_tls(server.url, tls=late)
    assert isinstance(error, ClientCertificateRejected)
    assert (error.reason, "expired on" in error.hint) == ("probable", True)
    assert "in order" not in str(report)


async def test_an_end_behind_a_certificate_that_nobody_confirmed_may_be_one() -> None:
    context = SERVER.server_context(client_ca=CA)
    context.num_tickets = 0
    with ThreadedTLSServer(context, end_without_an_answer) as server:
        error = await rejection(server.url, tls=config())
    assert isinstance(error, ClientCertificateRejected)
    assert error.reason == "probable"
