"""The certificate that the other end of a TLS connection has shown."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from .facts import CertificateFacts

__all__ = ["PeerCertificate", "chain_of"]

_DER: Final = 2
"""``_ssl.ENCODING_DER``."""


@dataclass(frozen=True, slots=True, repr=False)
class PeerCertificate:
    """A peer's certificate. Immutable; any thread may use it.

    Of a certificate that cannot be read in part, what is unreadable is empty or ``None``.

    Attributes:
        der: the certificate itself, in DER.
        chain_der: the chain that was verified, the certificate first and the root last. If
            nothing was verified, the certificates that the peer sent; empty when the chain is
            not known.
    """

    der: bytes
    chain_der: tuple[bytes, ...] = ()

    @classmethod
    def of(
        cls, tls: ssl.SSLObject, chain_der: tuple[bytes, ...] | None = None
    ) -> PeerCertificate | None:
        """Return the certificate of the peer of `tls`; ``None`` if it has shown none.

        Args:
            tls: has done its handshake.
            chain_der: the chain, where it is known; ``None`` asks `chain_of`.
        """
        try:
            der = tls.getpeercert(binary_form=True)
        except ValueError:
            return None  # A server of TLS 1.2 has begun another handshake.
        if der is None:
            return None
        return cls(der, chain_of(tls) if chain_der is None else chain_der)

    def __repr__(self) -> str:
        """Show whose it is, by whom and until when, and no DER."""
        until = None if self.not_after is None else f"{self.not_after:%Y-%m-%d %H:%M} UTC"
        return (
            f"PeerCertificate(subject={self.subject!r}, issuer={self.issuer!r}, "
            f"not_after={until}, fingerprint_sha256={self.facts.fingerprint_sha256!r}, "
            f"chain of {len(self.chain_der)})"
        )

    @property
    def facts(self) -> CertificateFacts:
        """All that the certificate says."""
        return CertificateFacts.of(self.der)

    @property
    def subject(self) -> str:
        """Whose certificate it is, as in RFC 4514; may be empty."""
        return self.facts.subject

    @property
    def issuer(self) -> str:
        """Who has issued it, as in RFC 4514."""
        return self.facts.issuer

    @property
    def serial_number(self) -> int | None:
        """The number given by the issuer."""
        return self.facts.serial_number

    @property
    def not_before(self) -> datetime | None:
        """From when it is valid, in UTC."""
        return self.facts.not_before

    @property
    def not_after(self) -> datetime | None:
        """Until when it is valid, in UTC."""
        return self.facts.not_after

    @property
    def dns_names(self) -> tuple[str, ...]:
        """The DNS names that it is for."""
        return self.facts.dns_names

    @property
    def ip_addresses(self) -> tuple[str, ...]:
        """The IP addresses that it is for."""
        return self.facts.ip_addresses

    @property
    def uris(self) -> tuple[str, ...]:
        """The URIs that it is for."""
        return self.facts.uris

    @property
    def spiffe_id(self) -> str | None:
        """Its SPIFFE id; ``None`` unless it has exactly one URI, and that is well formed."""
        return self.facts.spiffe_id

    @property
    def key_type(self) -> str:
        """The kind of its public key, such as ``"ec-p256"``; empty if it is not known."""
        return self.facts.key_type

    @property
    def is_authority(self) -> bool:
        """Whether it may sign certificates or revocation lists."""
        return self.facts.is_authority

    @property
    def fingerprint_sha256(self) -> str:
        """SHA-256 of the certificate, 64 lower-case hexadecimal digits."""
        return self.facts.fingerprint_sha256

    @property
    def spki_sha256(self) -> str:
        """The pin of its public key, ``"sha256//"`` and base64, as curl writes it."""
        return self.facts.spki_sha256


def chain_of(tls: ssl.SSLObject) -> tuple[bytes, ...]:
    """Return the chain of the peer's certificate in DER, the certificate itself first.

    It is the verified chain, up to the root; what the peer sent, if `tls` verifies nothing.

    Args:
        tls: has done its handshake.

    Returns:
        Nothing when there is no chain, as in a resumed session, or when this Python does not
        show it.
    """
    verifies = tls.context.verify_mode != ssl.CERT_NONE
    name = "get_verified_chain" if verifies else "get_unverified_chain"
    # Python 3.13 made it public; before, there is only what stands behind it.
    public: Callable[[], Iterable[bytes]] | None = getattr(tls, name, None)
    if public is not None:
        return tuple(public())
    return _private_chain(tls, name)


def _private_chain(tls: ssl.SSLObject, name: str) -> tuple[bytes, ...]:
    inner: Any = getattr(tls, "_sslobj", None)
    try:
        found = getattr(inner, name)() or ()
        return tuple(each.public_bytes(_DER) for each in found)
    except (AttributeError, TypeError, ValueError):
        return ()
