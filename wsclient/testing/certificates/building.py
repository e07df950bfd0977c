"""What stands in a certificate: names, dates, extensions; and the signing of it."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final, Literal

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from .keys import PrivateKey, signature_hash

__all__ = [
    "Moment",
    "Name",
    "Purpose",
    "Signer",
    "Validity",
    "add_authority_extensions",
    "add_leaf_extensions",
    "alternative_names",
    "builder",
    "moment",
    "sign",
    "signer_of",
    "subject_name",
]

Name = str | ipaddress.IPv4Address | ipaddress.IPv6Address
"""A DNS name, which may begin with ``*.``, or an IP address."""

Moment = datetime | timedelta
"""A date with a time zone, or the distance from now, which may be negative."""

Purpose = Literal["server", "client"]
"""What an extended key usage allows (RFC 5280, section 4.2.1.12)."""

_DNS_NAME: Final = re.compile(r"[A-Za-z0-9_*-]+(?:\.[A-Za-z0-9_*-]+)*")
_NUMBERS: Final = re.compile(r"[0-9.]+")
# SPIFFE-ID, sections 2.1 and 2.2.
_SPIFFE_ID: Final = re.compile(
    r"spiffe://[a-z0-9._-]{1,255}(?:/(?!\.{1,2}(?:/|$))[A-Za-z0-9._-]+)*"
)
_LONGEST_SPIFFE_ID: Final = 2048
_PURPOSES: Final = {
    "server": ExtendedKeyUsageOID.SERVER_AUTH,
    "client": ExtendedKeyUsageOID.CLIENT_AUTH,
}


@dataclass(frozen=True)
class Validity:
    """From when to when a certificate is valid.

    Raises:
        ValueError: it would end before it begins.
    """

    not_before: datetime
    not_after: datetime

    def __post_init__(self) -> None:
        """Check the order of the dates."""
        if self.not_after <= self.not_before:
            raise ValueError(
                f"not_after ({self.not_after}) must be later than not_before ({self.not_before})."
            )


@dataclass(frozen=True, repr=False)
class Signer:
    """Who signs: an authority, or the certificate's own key."""

    name: x509.Name
    key: PrivateKey
    key_identifier: x509.SubjectKeyIdentifier


def moment(name: str, value: Moment | None, default: timedelta) -> datetime:
    """Return a date in UTC, in whole seconds as certificates have them.

    Args:
        name: of the argument, for the error.
        value: a date, or its distance from now; ``None`` means `default`.
        default: the distance from now.

    Raises:
        ValueError: a date without a time zone.
        TypeError: neither a date nor a distance.
    """
    if value is None:
        value = default
    if isinstance(value, timedelta):
        value = datetime.now(UTC) + value
    if not isinstance(value, datetime):
        raise TypeError(f"{name} must be a datetime or timedelta, not {type(value).__name__}.")
    if value.tzinfo is None:
        raise ValueError(f"{name} has no time zone: give it one, such as tzinfo=datetime.UTC.")
    return value.astimezone(UTC).replace(microsecond=0)


def subject_name(common_name: str | None) -> x509.Name:
    """Return a subject that has a common name alone, or nothing at all.

    Raises:
        ValueError: the name does not have 1..64 characters.
    """
    if common_name is None:
        return x509.Name([])
    if not 1 <= len(common_name) <= 64:
        raise ValueError(f"The common name {common_name!r} must have 1..64 characters.")
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def alternative_names(
    names: Iterable[Name], uris: Iterable[str], emails: Iterable[str], spiffe_id: str | None
) -> list[x509.GeneralName]:
    """Return subject alternative names (RFC 5280, section 4.2.1.6).

    Args:
        names: DNS names and IP addresses, told apart by what they look like.
        uris: any URIs.
        emails: e-mail addresses.
        spiffe_id: stands before `uris`; ``None`` for none.

    Raises:
        ValueError: a name that is none of these, or not in ASCII.
        TypeError: one text where several are expected.
    """
    for label, value in (("names", names), ("uris", uris), ("emails", emails)):
        if isinstance(value, str):
            raise TypeError(f"{label} must be several: put {value!r} into a list.")
    if spiffe_id is not None:
        uris = [_check_spiffe_id(spiffe_id), *uris]
    return [
        *map(_dns_name_or_address, names),
        *map(x509.UniformResourceIdentifier, uris),
        *map(x509.RFC822Name, emails),
    ]


def _dns_name_or_address(name: Name) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        pass
    text = str(name)
    if not _DNS_NAME.fullmatch(text) or _NUMBERS.fullmatch(text):
        raise ValueError(
            f"{text!r} is neither a host name nor an IP address: leave out scheme, port and "
            "brackets, and write names outside ASCII in their xn-- form."
        )
    return x509.DNSName(text)


def _check_spiffe_id(text: str) -> str:
    if not _SPIFFE_ID.fullmatch(text) or len(text) > _LONGEST_SPIFFE_ID:
        raise ValueError(
            f"{text!r} is no SPIFFE ID like 'spiffe://example.test/billing': to have it in the "
            "certificate nevertheless, give it in uris."
        )
    return text


def signer_of(name: x509.Name, key: PrivateKey) -> Signer:
    """Return who signs with a key."""
    return Signer(name, key, x509.SubjectKeyIdentifier.from_public_key(key.public_key()))


def builder(
    subject: x509.Name, key: PrivateKey, signer: Signer, validity: Validity, serial: int | None
) -> x509.CertificateBuilder:
    """Begin a certificate.

    Args:
        subject: whose it is.
        key: whose public half it is about.
        signer: who will sign it.
        validity: from when to when.
        serial: 1..2**159 - 1; ``None`` for a random one (RFC 5280, section 4.1.2.2).

    Raises:
        ValueError: the serial number is out of range.
    """
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(signer.name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number() if serial is None else serial)
        .not_valid_before(validity.not_before)
        .not_valid_after(validity.not_after)
    )


def add_authority_extensions(
    unsigned: x509.CertificateBuilder,
    *,
    path_length: int | None,
    basic_constraints_critical: bool,
    key_usage: bool,
) -> x509.CertificateBuilder:
    """Add what makes a certificate one of an authority (RFC 5280, section 4.2.1).

    Raises:
        ValueError: `path_length` is negative.
        TypeError: `path_length` is no integer.
    """
    constraints = x509.BasicConstraints(ca=True, path_length=path_length)
    unsigned = unsigned.add_extension(constraints, critical=basic_constraints_critical)
    if key_usage:
        usage = _key_usage(key_cert_sign=True, crl_sign=True)
        unsigned = unsigned.add_extension(usage, critical=True)
    return unsigned


def add_leaf_extensions(
    unsigned: x509.CertificateBuilder,
    key: PrivateKey,
    names: list[x509.GeneralName],
    purposes: Iterable[Purpose],
    *,
    named: bool,
) -> x509.CertificateBuilder:
    """Add what a certificate of a server or client has.

    Args:
        unsigned: what there is so far.
        key: of the certificate.
        names: an empty list leaves the extension out.
        purposes: an empty iterable leaves the extension out.
        named: whether there is a subject as well.

    Raises:
        ValueError: a purpose is unknown.
        TypeError: `purposes` is a text.
    """
    if isinstance(purposes, str):
        raise TypeError(f"extended_key_usage must be several: write ({purposes!r},).")
    constraints = x509.BasicConstraints(ca=False, path_length=None)
    # RSA without a Diffie-Hellman exchange encrypts with the key itself.
    usage = _key_usage(digital_signature=True, key_encipherment=isinstance(key, rsa.RSAPrivateKey))
    unsigned = unsigned.add_extension(constraints, critical=True)
    unsigned = unsigned.add_extension(usage, critical=True)
    if names:
        # RFC 5280, section 4.2.1.6: critical if there is nothing else that says whose it is.
        unsigned = unsigned.add_extension(x509.SubjectAlternativeName(names), critical=not named)
    extended = [_purpose(each) for each in purposes]
    if extended:
        unsigned = unsigned.add_extension(x509.ExtendedKeyUsage(extended), critical=False)
    return unsigned


def _purpose(purpose: Purpose) -> x509.ObjectIdentifier:
    if purpose not in _PURPOSES:
        raise ValueError(f"extended_key_usage knows 'server' and 'client', not {purpose!r}.")
    return _PURPOSES[purpose]


def _key_usage(
    *,
    digital_signature: bool = False,
    key_encipherment: bool = False,
    key_cert_sign: bool = False,
    crl_sign: bool = False,
) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=digital_signature,
        key_encipherment=key_encipherment,
        key_cert_sign=key_cert_sign,
        crl_sign=crl_sign,
        content_commitment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def sign(
    unsigned: x509.CertificateBuilder,
    key: PrivateKey,
    signer: Signer,
    *,
    subject_key_identifier: bool,
    authority_key_identifier: bool,
) -> x509.Certificate:
    """Add the two identifiers of keys, if wanted, and sign (RFC 5280, section 4.2.1)."""
    if subject_key_identifier:
        identifier = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
        unsigned = unsigned.add_extension(identifier, critical=False)
    if authority_key_identifier:
        unsigned = unsigned.add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(signer.key_identifier),
            critical=False,
        )
    return unsigned.sign(signer.key, signature_hash(signer.key))
