"""What stands in a certificate, ours or the peer's: names, dates, key and fingerprints."""

from __future__ import annotations

import base64
import functools
import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Final, TypeVar

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import dsa, ec, rsa
from cryptography.x509.oid import PublicKeyAlgorithmOID

from ..files.der import children, element, sequence
from .spiffe import is_spiffe_id

__all__ = ["CertificateFacts", "name_from_der", "public_key_pin", "subject_public_key_info"]

_T = TypeVar("_T")

_CURVES: Final = {"secp256r1": "p256", "secp384r1": "p384", "secp521r1": "p521"}

_KEPT: Final = 256
"""Certificates whose facts are kept: a client sees the same few again and again."""

_INTEGER: Final = 0x02
_EXPLICIT_VERSION: Final = 0xA0

# An Ed25519 key of zeros (RFC 8410, section 4) and a signature of no bytes: only to have
# something that a name can stand in.
_SOME_KEY: Final = bytes.fromhex("302a300506032b6570032100") + bytes(32)
_NO_SIGNATURE: Final = bytes.fromhex("300506032b6570030100")


@dataclass(frozen=True, slots=True)
class CertificateFacts:
    """What a certificate says. Immutable.

    Of a certificate that cannot be read in part, what is unreadable is empty or ``None``. The
    fingerprint is always there.

    Attributes:
        subject: whose certificate it is, as in RFC 4514, such as ``"CN=web,O=Example"``.
        issuer: who has issued it, in the same form.
        serial_number: given by the issuer.
        not_before: from when it is valid, in UTC.
        not_after: until when.
        dns_names: DNS names in the subject's alternative names (RFC 5280, section 4.2.1.6).
        ip_addresses: IP addresses there, as text.
        uris: URIs there.
        spiffe_id: the SPIFFE id; ``None`` unless there is exactly one URI and it is well formed
            (X509-SVID, section 2).
        key_type: kind of the public key, such as ``"rsa-2048"``, ``"rsa-pss-2048"``,
            ``"ec-p256"``, ``"ec-secp256k1"`` or ``"ed25519"``; empty if it is not known.
        is_authority: whether it may sign certificates or revocation lists.
        fingerprint_sha256: SHA-256 of the whole certificate, 64 lower-case hexadecimal digits.
        spki_sha256: pin of the public key, ``"sha256//"`` and base64, as curl writes it.
    """

    subject: str
    issuer: str
    serial_number: int | None
    not_before: datetime | None
    not_after: datetime | None
    dns_names: tuple[str, ...]
    ip_addresses: tuple[str, ...]
    uris: tuple[str, ...]
    spiffe_id: str | None
    key_type: str
    is_authority: bool
    fingerprint_sha256: str
    spki_sha256: str

    @classmethod
    def of(cls, der: bytes) -> CertificateFacts:
        """Return the facts of a certificate in DER.

        It takes some 50 microseconds for a new one, and one for a certificate seen lately. Any
        thread may call it, and it never raises.
        """
        return _facts(der)


@functools.lru_cache(_KEPT)
def _facts(der: bytes) -> CertificateFacts:
    certificate = _tried(lambda: x509.load_der_x509_certificate(der))
    pin = public_key_pin(der)
    fingerprint = hashlib.sha256(der).hexdigest()
    if certificate is None:
        return CertificateFacts(
            "", "", None, None, None, (), (), (), None, "", False, fingerprint, pin
        )
    names = _alternative_names(certificate)
    uris = _names_of_kind(names, x509.UniformResourceIdentifier)
    return CertificateFacts(
        subject=_tried(lambda: _shown(certificate.subject)) or "",
        issuer=_tried(lambda: _shown(certificate.issuer)) or "",
        serial_number=_tried(lambda: certificate.serial_number),
        not_before=_tried(lambda: certificate.not_valid_before_utc),
        not_after=_tried(lambda: certificate.not_valid_after_utc),
        dns_names=_names_of_kind(names, x509.DNSName),
        ip_addresses=_names_of_kind(names, x509.IPAddress),
        uris=uris,
        spiffe_id=uris[0] if len(uris) == 1 and is_spiffe_id(uris[0]) else None,
        key_type=_tried(lambda: _key_type(certificate)) or "",
        is_authority=_is_authority(certificate),
        fingerprint_sha256=fingerprint,
        spki_sha256=pin,
    )


def _tried(read: Callable[[], _T]) -> _T | None:
    """Return what `read` returns; ``None`` when that part of the certificate is unreadable."""
    try:
        return read()
    except Exception:  # cryptography raises ValueError, and several classes of its own besides.
        return None


def _shown(name: x509.Name) -> str:
    """Return a name as RFC 4514 has it, without anything that a terminal would act on."""
    text = name.rfc4514_string()
    if text.isprintable():
        return text
    return "".join(
        each if each.isprintable() else "".join(f"\\{byte:02X}" for byte in each.encode())
        for each in text
    )


def _alternative_names(certificate: x509.Certificate) -> x509.SubjectAlternativeName | None:
    return _tried(
        lambda: certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    )


def _names_of_kind(
    names: x509.SubjectAlternativeName | None,
    kind: type[x509.UniformResourceIdentifier] | type[x509.DNSName] | type[x509.IPAddress],
) -> tuple[str, ...]:
    return () if names is None else tuple(str(each.value) for each in names if type(each) is kind)


def _key_type(certificate: x509.Certificate) -> str:
    key = certificate.public_key()
    if isinstance(key, rsa.RSAPublicKey):
        pss = certificate.public_key_algorithm_oid == PublicKeyAlgorithmOID.RSASSA_PSS
        return f"rsa-{'pss-' if pss else ''}{key.key_size}"
    if isinstance(key, ec.EllipticCurvePublicKey):
        return f"ec-{_CURVES.get(key.curve.name, key.curve.name.lower())}"
    if isinstance(key, dsa.DSAPublicKey):
        return f"dsa-{key.key_size}"
    # The others have one size: their class names them, as Ed25519PublicKey does.
    return type(key).__name__.removesuffix("PublicKey").lower()


def _is_authority(certificate: x509.Certificate) -> bool:
    constraints = _tried(
        lambda: certificate.extensions.get_extension_for_class(x509.BasicConstraints).value
    )
    usage = _tried(lambda: certificate.extensions.get_extension_for_class(x509.KeyUsage).value)
    if constraints is not None and constraints.ca:
        return True
    return usage is not None and (usage.key_cert_sign or usage.crl_sign)


def public_key_pin(der: bytes) -> str:
    """Return the pin of a certificate's public key, ``"sha256//"`` and base64, as curl has it.

    It never raises.

    Args:
        der: the certificate.

    Returns:
        An empty string when the key cannot be found.
    """
    info = subject_public_key_info(der)
    if not info:
        return ""
    return "sha256//" + base64.b64encode(hashlib.sha256(info).digest()).decode("ascii")


def subject_public_key_info(der: bytes) -> bytes:
    """Return the public key of a certificate with its algorithm (RFC 5280, section 4.1).

    These are the certificate's own bytes. Reading and writing the key anew may change them: an
    RSA key that is for PSS alone would lose that, and have another pin. It never raises.

    Args:
        der: the certificate.

    Returns:
        The DER of ``SubjectPublicKeyInfo``; empty when it cannot be found.
    """
    try:
        (certificate,) = children(der)
        to_be_signed = children(certificate.content)[0]
        fields = children(to_be_signed.content)
        if fields[0].tag == _EXPLICIT_VERSION:
            del fields[0]
        # Serial number, algorithm, issuer, dates and subject come before it.
        return fields[5].whole
    except (ValueError, IndexError):
        return b""


@functools.lru_cache(1024)
def name_from_der(der: bytes) -> str:
    """Return a distinguished name as RFC 4514 has it, in the form of `CertificateFacts.issuer`.

    It never raises.

    Args:
        der: the name alone, as TLS has it in a CertificateRequest.

    Returns:
        ``"<unreadable>"`` for what is no name.
    """
    # cryptography reads names only where they stand in something.
    request = sequence(
        sequence(element(_INTEGER, b"\0"), der, _SOME_KEY, element(_EXPLICIT_VERSION, b"")),
        _NO_SIGNATURE,
    )
    name = _tried(lambda: _shown(x509.load_der_x509_csr(request).subject))
    return "<unreadable>" if name is None else name
