"""Certificates in any order, arranged as TLS wants them: the leaf, then each one's issuer."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import serialization
from cryptography.x509.oid import ExtendedKeyUsageOID

__all__ = ["Chain", "allows_client_auth", "arrange", "public_key_of"]

_Parsed = dict[bytes, x509.Certificate | None]


@dataclass(frozen=True, slots=True)
class Chain:
    """Certificates in DER, arranged.

    Attributes:
        ders: the leaf, its issuer, and so on as far as they are there; then those that nothing
            led to, in the order in which they were given.
        in_order: whether they had been given in this order.
        has_gap: whether certificates are left that nothing led to, while the last one that was
            reached has been issued by another: one in between is missing.
    """

    ders: tuple[bytes, ...]
    in_order: bool
    has_gap: bool


def arrange(ders: tuple[bytes, ...], public: bytes) -> Chain | None:
    """Find the leaf and arrange the rest behind it (RFC 8446, section 4.4.2).

    A certificate that is there twice is kept once.

    Args:
        ders: at least one certificate.
        public: the private key's public half, as `public_key_of` returns it; empty when it is
            not known.

    Returns:
        ``None`` when no certificate is for that key.
    """
    given = tuple(dict.fromkeys(ders))
    parsed = {der: _parsed(der) for der in given}
    leaf = _leaf(given, parsed, public)
    if leaf is None:
        return None
    linked = [leaf]
    rest = [der for der in given if der != leaf]
    while (issuer := _issuer(linked[-1], rest, parsed)) is not None:
        linked.append(issuer)
        rest.remove(issuer)
    arranged = (*linked, *rest)
    return Chain(arranged, arranged == given, _has_gap(linked, rest, parsed))


def public_key_of(der: bytes) -> bytes:
    """Return a certificate's public key in the form in which those of private keys are compared.

    Returns:
        DER of ``SubjectPublicKeyInfo`` as `cryptography` writes it; empty when it cannot read
        the certificate or the key.
    """
    try:
        return (
            x509.load_der_x509_certificate(der)
            .public_key()
            .public_bytes(
                serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
            )
        )
    except Exception:  # Several classes: damaged, or a kind of key that it does not know.
        return b""


def allows_client_auth(der: bytes) -> bool:
    """Return whether a certificate may be a client's (RFC 5280, section 4.2.1.12).

    One without the extension may, and one that cannot be read.
    """
    try:
        usages = (
            x509.load_der_x509_certificate(der)
            .extensions.get_extension_for_class(x509.ExtendedKeyUsage)
            .value
        )
    except Exception:  # No such extension, or unreadable.
        return True
    return (
        ExtendedKeyUsageOID.CLIENT_AUTH in usages
        or ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE in usages
    )


def _parsed(der: bytes) -> x509.Certificate | None:
    try:
        certificate = x509.load_der_x509_certificate(der)
        # These are read when they are first asked for, and may be unreadable by themselves.
        _ = certificate.subject, certificate.issuer, certificate.not_valid_after_utc
    except Exception:  # What OpenSSL may read nevertheless.
        return None
    return certificate


def _leaf(given: tuple[bytes, ...], parsed: _Parsed, public: bytes) -> bytes | None:
    """Return the certificate that the key belongs to; the likeliest when that cannot be told."""
    keys = {der: public_key_of(der) for der in given}
    if public:
        own = [der for der in given if keys[der] == public]
        if own:
            # A key may have been certified several times: the issued one that lasts longest.
            return max(own, key=lambda der: _worth(parsed[der]))
        # OpenSSL may find it to be for this key.
        return next((der for der in given if not keys[der]), None)
    issuers = {each.issuer for each in parsed.values() if each and each.issuer != each.subject}
    ends = (der for der in given if (each := parsed[der]) and each.subject not in issuers)
    return next(ends, given[0])


def _worth(certificate: x509.Certificate | None) -> tuple[bool, bool, datetime]:
    if certificate is None:
        return False, False, datetime.min.replace(tzinfo=UTC)
    return True, certificate.issuer != certificate.subject, certificate.not_valid_after_utc


def _has_gap(linked: list[bytes], rest: list[bytes], parsed: _Parsed) -> bool:
    last = parsed[linked[-1]]
    if last is None or last.issuer == last.subject:
        return False
    # An authority with two issuers has two certificates, of which one is enough.
    reached = {each.subject for der in linked if (each := parsed[der])}
    return any(each.subject not in reached for der in rest if (each := parsed[der]))


def _issuer(der: bytes, others: list[bytes], parsed: _Parsed) -> bytes | None:
    """Return which of `others` has signed a certificate."""
    certificate = parsed[der]
    if certificate is None or certificate.issuer == certificate.subject:
        return None
    for other in others:
        issuer = parsed[other]
        # An authority that changed its key has several certificates of one name.
        if issuer and issuer.subject == certificate.issuer and _signed(issuer, certificate):
            return other
    return None


def _signed(issuer: x509.Certificate, certificate: x509.Certificate) -> bool:
    try:
        certificate.verify_directly_issued_by(issuer)
    except (InvalidSignature, ValueError):
        return False
    except Exception:  # A kind of signature that cryptography does not know: the name decides.
        return True
    return True
