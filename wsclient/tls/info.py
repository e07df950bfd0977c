"""What is known about the TLS of an open connection."""

from __future__ import annotations

import asyncio
import ssl
from dataclasses import dataclass

from .certificates.peer import PeerCertificate
from .handshake.context import Established, HandshakeObject
from .identity.identity import ClientIdentity

__all__ = ["TLSInfo"]


@dataclass(frozen=True, slots=True)
class TLSInfo:
    """Describe the TLS of an open connection, as it was when the connection was opened.

    Attributes:
        version: such as ``"TLSv1.3"``.
        cipher: name of the cipher suite.
        alpn: the protocol agreed by ALPN (RFC 7301), ``None`` if none was.
        peer_certificate: the certificate that the other end has shown; ``None`` if it showed
            none.
        identity_fingerprint: SHA-256 of our own certificate, 64 lower-case hexadecimal digits;
            ``None`` if none was configured. Whether it was sent is up to the server.
        identity_generation: how many identities the provider had until then, from 1; ``None``
            without an identity.
        session_reused: whether an earlier session was resumed.
        certificate_requested: whether the server asked for our certificate during the handshake,
            which it does not when a session is resumed; ``None`` if that could not be watched.
        server_side: whether this is the server's end, as in `wsclient.testing`.
        trust: where the roots come from that were trusted, such as ``("certifi",)``,
            ``("SSL_CERT_FILE=/etc/roots.pem",)`` or ``("system", "cafile=ca.crt")``; empty if the
            peer was not verified, ``None`` if it is not known: with a context or a session of the
            caller, and at the server's end.
    """

    version: str
    cipher: str
    alpn: str | None
    peer_certificate: PeerCertificate | None
    identity_fingerprint: str | None = None
    identity_generation: int | None = None
    session_reused: bool = False
    certificate_requested: bool | None = None
    server_side: bool = False
    trust: tuple[str, ...] | None = None

    @property
    def peer_chain(self) -> tuple[bytes, ...]:
        """The chain of the peer's certificate in DER, as `PeerCertificate.chain_der` has it."""
        return () if self.peer_certificate is None else self.peer_certificate.chain_der

    @property
    def peer_spiffe_id(self) -> str | None:
        """The SPIFFE id of the peer, ``None`` if it has none."""
        return None if self.peer_certificate is None else self.peer_certificate.spiffe_id

    @property
    def server_certificate(self) -> bytes | None:
        """The server's certificate in DER; ``None`` at the server's end."""
        if self.server_side or self.peer_certificate is None:
            return None
        return self.peer_certificate.der

    @classmethod
    def of(
        cls,
        transport: asyncio.BaseTransport,
        identity: ClientIdentity | None = None,
        *,
        server_side: bool = False,
        trust: tuple[str, ...] | None = None,
    ) -> TLSInfo | None:
        """Return what the transport tells; ``None`` when it has no TLS.

        Args:
            transport: its handshake is over.
            identity: what was configured to be shown; ``None`` for nothing.
            server_side: whether the transport is a server's.
            trust: as the attribute.
        """
        tls: ssl.SSLObject | None = transport.get_extra_info("ssl_object")
        if tls is None:
            return None
        watched = tls if isinstance(tls, HandshakeObject) else None
        result = (watched and watched.result) or Established.of(tls)
        requested = None
        if watched is not None and watched.observed:
            requested = watched.certificate_request is not None
        return cls(
            version=result.version,
            cipher=result.cipher,
            alpn=result.alpn,
            peer_certificate=result.peer_certificate,
            identity_fingerprint=None if identity is None else identity.fingerprint_sha256,
            identity_generation=None if identity is None else identity.generation,
            session_reused=result.session_reused,
            certificate_requested=requested,
            server_side=server_side,
            trust=trust,
        )
