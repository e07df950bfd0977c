"""Issuing a certificate: from a description to a key and a signature."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta
from typing import Final, TypedDict, Unpack

from cryptography import x509

from .building import (
    Moment,
    Name,
    Purpose,
    Signer,
    Validity,
    add_leaf_extensions,
    alternative_names,
    builder,
    moment,
    sign,
    signer_of,
    subject_name,
)
from .issued import IssuedCertificate
from .keys import KeyType, PrivateKey, check_private_key, generate_key

__all__ = ["IssueOptions", "Issuer", "issue", "names_of_server", "self_signed_certificate"]

_LOCAL_NAMES: Final = ("localhost", "127.0.0.1", "::1")
_LONGEST_COMMON_NAME: Final = 64
# Clocks of containers and virtual machines may lag behind a little.
_AGE: Final = timedelta(hours=1)
_LIFETIME: Final = timedelta(days=30)
_DAY: Final = timedelta(days=1)


class IssueOptions(TypedDict, total=False):
    """What may be said of every certificate; `CertificateAuthority.issue` has what it means."""

    uris: Iterable[str]
    emails: Iterable[str]
    expired: bool
    not_yet_valid: bool
    not_before: Moment | None
    not_after: Moment | None
    key_type: KeyType
    key: PrivateKey | None
    serial: int | None
    subject_key_identifier: bool
    authority_key_identifier: bool


@dataclass(frozen=True, repr=False)
class Issuer:
    """What of an authority goes into the certificates that it issues."""

    signer: Signer
    chain: tuple[x509.Certificate, ...]
    root: x509.Certificate


def issue(
    issuer: Issuer | None,
    common_name: str | None,
    *,
    names: Iterable[Name] = (),
    spiffe_id: str | None = None,
    extended_key_usage: Iterable[Purpose] = (),
    uris: Iterable[str] = (),
    emails: Iterable[str] = (),
    expired: bool = False,
    not_yet_valid: bool = False,
    not_before: Moment | None = None,
    not_after: Moment | None = None,
    key_type: KeyType = "ec-p256",
    key: PrivateKey | None = None,
    serial: int | None = None,
    subject_key_identifier: bool = True,
    authority_key_identifier: bool = True,
) -> IssuedCertificate:
    """Issue a certificate; without an issuer it is self-signed.

    `CertificateAuthority.issue` describes the arguments.

    Raises:
        ValueError: a name, date, serial number or kind of key that cannot be.
        TypeError: a value of the wrong type.
    """
    subject = subject_name(common_name)
    validity = _validity(expired, not_yet_valid, not_before, not_after)
    alternatives = alternative_names(names, uris, emails, spiffe_id)
    key = generate_key(key_type) if key is None else check_private_key(key)
    signer = signer_of(subject, key) if issuer is None else issuer.signer
    certificate = sign(
        add_leaf_extensions(
            builder(subject, key, signer, validity, serial),
            key,
            alternatives,
            extended_key_usage,
            named=common_name is not None,
        ),
        key,
        signer,
        subject_key_identifier=subject_key_identifier,
        authority_key_identifier=authority_key_identifier,
    )
    if issuer is None:
        return IssuedCertificate(certificate, key, (), certificate)
    return IssuedCertificate(certificate, key, issuer.chain, issuer.root)


def _validity(
    expired: bool, not_yet_valid: bool, not_before: Moment | None, not_after: Moment | None
) -> Validity:
    if expired and not_yet_valid:
        raise ValueError("A certificate cannot be both expired and not_yet_valid.")
    if expired or not_yet_valid:
        if not_before is not None or not_after is not None:
            raise ValueError(
                "expired and not_yet_valid set the dates: leave out not_before and not_after."
            )
        not_before, not_after = (-2 * _DAY, -_DAY) if expired else (_DAY, 2 * _DAY)
    return Validity(
        moment("not_before", not_before, -_AGE), moment("not_after", not_after, _LIFETIME)
    )


def names_of_server(
    names: tuple[Name, ...], common_name: str | None
) -> tuple[tuple[Name, ...], str | None]:
    """Return a server's names and common name, with the defaults filled in.

    Args:
        names: empty for localhost and the two addresses of loopback.
        common_name: ``None`` for the first name, if it is not too long.
    """
    names = names or _LOCAL_NAMES
    first = str(names[0])
    if common_name is None and len(first) <= _LONGEST_COMMON_NAME:
        common_name = first
    return names, common_name


def self_signed_certificate(
    *names: Name,
    common_name: str | None = None,
    extended_key_usage: Iterable[Purpose] = ("server", "client"),
    **options: Unpack[IssueOptions],
) -> IssuedCertificate:
    """Return a certificate that no authority issued: it is its own root.

    Args:
        names: DNS names and IP addresses; none at all means localhost, 127.0.0.1 and ::1.
        common_name: 1..64 characters; ``None`` for the first name, if it is not longer.
        extended_key_usage: as in `CertificateAuthority.issue`.
        options: as in `CertificateAuthority.issue`.

    Raises:
        ValueError: as `CertificateAuthority.issue`.
        TypeError: as `CertificateAuthority.issue`.
    """
    names, common_name = names_of_server(names, common_name)
    return issue(None, common_name, names=names, extended_key_usage=extended_key_usage, **options)
