"""What an open connection tells of its TLS, at both ends."""

from __future__ import annotations

import asyncio
import dataclasses
import ssl

import pytest

from wsclient import ClientIdentity, PeerCertificate, TLSConfig, TLSInfo, websocket_connect
from wsclient.testing import WebSocketTestServer
from wsclient.testing.certificates import CertificateAuthority
from wsclient.testing.tls.server import ThreadedTLSServer

AUTHORITY = CertificateAuthority()
SERVER = AUTHORITY.server_certificate(uris=["spiffe://example.org/server"])
CLIENT = AUTHORITY.client_certificate("billing", spiffe_id="spiffe://example.org/billing")
IDENTITY = ClientIdentity.from_cryptography(CLIENT.private_key, CLIENT.certificate)
ROOT_PEM = AUTHORITY.root_pem


async def info_of(
    config: TLSConfig, context: ssl.SSLContext, *, fast: bool | None = None
) -> TLSInfo:
    with ThreadedTLSServer(context) as server:
        conn = await websocket_connect(server.url, tls=config, use_fast_transport=fast)
        info = conn.tls
        conn.close()
        await conn.wait_closed()
    assert info is not None
    return info


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
async def test_a_connection_with_an_identity(version: ssl.TLSVersion) -> None:
    context = SERVER.server_context(client_ca=AUTHORITY)
    context.maximum_version = version
    context.set_alpn_protocols(["http/1.1"])
    info = await info_of(TLSConfig(identity=IDENTITY, cadata=ROOT_PEM), context)
    assert info.version == version.name.replace("_", ".")
    assert info.cipher.startswith(("ECDHE-", "TLS_"))
    assert info.alpn == "http/1.1"
    assert info.peer_certificate is not None
    assert info.peer_certificate.subject == "CN=localhost"
    assert info.server_certificate == info.peer_certificate.der == SERVER.certificate_der
    assert info.peer_chain[0] == SERVER.certificate_der
    assert len(info.peer_chain) == 2
    assert info.peer_spiffe_id == "spiffe://example.org/server"
    assert info.identity_fingerprint == CLIENT.fingerprint_sha256
    assert info.identity_generation == 1
    assert info.certificate_requested is True
    assert info.session_reused is False
    assert not info.server_side


async def test_a_connection_without_an_identity() -> None:
    context = SERVER.server_context()
    info = await info_of(TLSConfig(cadata=ROOT_PEM), context, fast=False)
    assert info.identity_fingerprint is info.identity_generation is None
    assert info.certificate_requested is False
    assert info.alpn is None


async def test_a_connection_that_nobody_watches() -> None:
    pytest.importorskip("aiofastnet", reason="aiofastnet is not installed")
    context = SERVER.server_context()
    watched = await info_of(TLSConfig(cadata=ROOT_PEM), context, fast=False)
    info = await info_of(TLSConfig(cadata=ROOT_PEM), context, fast=True)
    assert info == dataclasses.replace(watched, certificate_requested=None)


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
async def test_a_connection_that_resumes_a_session(version: ssl.TLSVersion) -> None:
    context = SERVER.server_context(client_ca=AUTHORITY)
    context.maximum_version = version
    config = TLSConfig(identity=IDENTITY, cadata=ROOT_PEM, session_resumption=True)
    first = await info_of(config, context)
    second = await info_of(config, context)
    assert not first.session_reused
    assert second.session_reused
    assert second.peer_certificate == first.peer_certificate
    assert second.certificate_requested is False


async def test_a_connection_with_a_context_of_the_caller() -> None:
    with ThreadedTLSServer(SERVER.server_context(client_ca=AUTHORITY)) as server:
        conn = await websocket_connect(server.url, ssl=CLIENT.client_context())
        info = conn.tls
        conn.close()
        await conn.wait_closed()
    assert info is not None
    assert info.server_certificate == SERVER.certificate_der
    assert len(info.peer_chain) == 2
    # Nobody has watched.
    assert info.certificate_requested is None
    assert info.identity_fingerprint is None


async def test_the_server_sees_the_client() -> None:
    context = SERVER.server_context(client_ca=AUTHORITY)
    async with WebSocketTestServer(tls=context) as server:
        config = TLSConfig(identity=IDENTITY, cadata=ROOT_PEM)
        conn = await websocket_connect(server.url, tls=config)
        served = await server.wait_for_connection()
        info = served.connection.tls
        conn.close()
        await conn.wait_closed()
    assert info is not None
    assert info.server_side
    assert info.peer_certificate is not None
    assert info.peer_certificate.der == CLIENT.certificate_der
    assert info.peer_spiffe_id == "spiffe://example.org/billing"
    assert info.server_certificate is None
    assert info.certificate_requested is None


def test_no_tls_no_info() -> None:
    assert TLSInfo.of(asyncio.Transport()) is None


def test_a_certificate_is_shown_to_people() -> None:
    shown = repr(PeerCertificate(SERVER.certificate_der, (SERVER.certificate_der, b"")))
    assert "subject='CN=localhost'" in shown
    assert SERVER.fingerprint_sha256 in shown
    assert "chain of 2" in shown
    assert "\\x" not in shown
    assert "not_after=None" in repr(PeerCertificate(b"no certificate"))
