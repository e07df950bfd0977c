"""Authorities that issue certificates for tests, good ones and wrong ones."""

from __future__ import annotations

import itertools
import os
import ssl
from collections.abc import Iterable
from datetime import timedelta
from pathlib import Path
from typing import Final, Literal, Unpack, get_args

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import serialization

from . import contexts
from .building import (
    Moment,
    Name,
    Purpose,
    Validity,
    add_authority_extensions,
    builder,
    moment,
    sign,
    signer_of,
    subject_name,
)
from .files import write_file
from .issued import IssuedCertificate, pem
from .issuing import IssueOptions, Issuer, issue, names_of_server
from .keys import KeyType, PrivateKey, check_private_key, generate_key, signature_hash

__all__ = ["CertificateAuthority", "RevocationReason"]

RevocationReason = Literal[
    "unspecified",
    "key_compromise",
    "ca_compromise",
    "affiliation_changed",
    "superseded",
    "cessation_of_operation",
    "certificate_hold",
]
"""Why a certificate was revoked (RFC 5280, section 5.3.1)."""

_AGE: Final = timedelta(days=30)
_LIFETIME: Final = timedelta(days=3650)
_HOUR: Final = timedelta(hours=1)


class CertificateAuthority:
    """An authority for tests, a root or an intermediate. It lives in memory.

    ```python
    ca = CertificateAuthority()
    server = ca.server_certificate()         # for localhost, 127.0.0.1 and ::1
    client = ca.client_certificate("billing")
    with ThreadedTLSServer(server.server_context(client_ca=ca)) as service:
        conn = await websocket_connect(service.url, ssl=client.client_context())
    ```

    By default its certificate is one that strict checks accept (RFC 5280); the last arguments
    make one that they refuse, each with the code of OpenSSL.

    Any thread may use it. Its private key is never shown.

    Attributes:
        certificate: its own certificate.
        private_key: its private key.
        issuer: who issued its certificate; ``None`` for a root.

    Args:
        name: its common name, 1..64 characters.
        issuer: makes it an intermediate; ``None`` makes it a root.
        key_type: of its key.
        key: its private key; ``None`` generates one.
        not_before: from when its certificate is valid; ``None`` means 30 days ago.
        not_after: until when; ``None`` means ten years from now.
        path_length: how many intermediates may come below it; ``None`` for any number.
        basic_constraints_critical: ``False`` is code 89.
        key_usage: ``False`` leaves the extension out, code 92.
        subject_key_identifier: ``False`` leaves the extension out, code 86.
        authority_key_identifier: ``False`` leaves the extension out, code 85 for an intermediate.

    Raises:
        ValueError: a name, kind of key, date or length that cannot be.
        TypeError: a key or date of the wrong type.
    """

    def __init__(
        self,
        name: str = "Test Root",
        *,
        issuer: CertificateAuthority | None = None,
        key_type: KeyType = "ec-p256",
        key: PrivateKey | None = None,
        not_before: Moment | None = None,
        not_after: Moment | None = None,
        path_length: int | None = None,
        basic_constraints_critical: bool = True,
        key_usage: bool = True,
        subject_key_identifier: bool = True,
        authority_key_identifier: bool = True,
    ) -> None:
        subject = subject_name(name)
        validity = Validity(
            moment("not_before", not_before, -_AGE),
            moment("not_after", not_after, _LIFETIME),
        )
        self.issuer = issuer
        self.private_key = generate_key(key_type) if key is None else check_private_key(key)
        self._signer = signer_of(subject, self.private_key)
        signer = self._signer if issuer is None else issuer._signer
        unsigned = add_authority_extensions(
            builder(subject, self.private_key, signer, validity, None),
            path_length=path_length,
            basic_constraints_critical=basic_constraints_critical,
            key_usage=key_usage,
        )
        self.certificate = sign(
            unsigned,
            self.private_key,
            signer,
            subject_key_identifier=subject_key_identifier,
            authority_key_identifier=authority_key_identifier,
        )
        self._revoked: dict[int, x509.RevokedCertificate] = {}
        self._crl_numbers = itertools.count(1)

    def __repr__(self) -> str:
        kind = "root" if self.issuer is None else "intermediate"
        subject = self.certificate.subject.rfc4514_string()
        return f"<CertificateAuthority {subject} {kind} serial={self.certificate.serial_number:x}>"

    @property
    def root(self) -> x509.Certificate:
        """The root at the top: its own certificate, if it is one itself."""
        return self.certificate if self.issuer is None else self.issuer.root

    @property
    def chain(self) -> tuple[x509.Certificate, ...]:
        """The intermediates from itself upwards, without the root; empty for a root."""
        return () if self.issuer is None else (self.certificate, *self.issuer.chain)

    @property
    def certificate_pem(self) -> bytes:
        """Its own certificate, as PEM."""
        return pem(self.certificate)

    @property
    def root_pem(self) -> bytes:
        """The root, as PEM."""
        return pem(self.root)

    def trust_file(self, directory: str | os.PathLike[str], name: str = "ca.pem") -> Path:
        """Write the root as PEM into a file and return its path.

        Args:
            directory: it must exist.
            name: of the file, which is replaced if there is one.

        Raises:
            OSError: the file cannot be written.
        """
        path = Path(directory) / name
        write_file(path, self.root_pem)
        return path

    def trust_context(self, *, crl: bytes | None = None) -> ssl.SSLContext:
        """Return a new context for a client that trusts the root and shows no certificate.

        It checks the server's certificate and name, and is the caller's own.

        Args:
            crl: revoked certificates of servers, one or more CRLs as PEM; ``None`` checks none.
                Certificates whose issuer has no CRL here are then refused as well.

        Raises:
            ValueError: there is no CRL in `crl`.
        """
        return contexts.client_context(self.root, crl)

    def intermediate(
        self,
        name: str = "Test Intermediate",
        *,
        key_type: KeyType = "ec-p256",
        path_length: int | None = None,
    ) -> CertificateAuthority:
        """Return an authority below this one.

        For more choices call the class itself with ``issuer=``.

        Args:
            name: its common name, 1..64 characters.
            key_type: of its key.
            path_length: how many more may come below it; ``None`` for any number.

        Raises:
            ValueError: a name, kind of key or length that cannot be.
        """
        return CertificateAuthority(name, issuer=self, key_type=key_type, path_length=path_length)

    def server_certificate(
        self, *names: Name, common_name: str | None = None, **options: Unpack[IssueOptions]
    ) -> IssuedCertificate:
        """Issue a certificate for a server.

        Args:
            names: DNS names and IP addresses; none at all means localhost, 127.0.0.1 and ::1.
            common_name: 1..64 characters; ``None`` for the first name, if it is not longer.
            options: as in `issue`.

        Raises:
            ValueError: as `issue`.
            TypeError: as `issue`.
        """
        names, common_name = names_of_server(names, common_name)
        return self.issue(common_name, names=names, extended_key_usage=("server",), **options)

    def client_certificate(
        self,
        common_name: str | None = "client",
        *,
        spiffe_id: str | None = None,
        names: Iterable[Name] = (),
        **options: Unpack[IssueOptions],
    ) -> IssuedCertificate:
        """Issue a certificate for a client.

        Args:
            common_name: 1..64 characters; ``None`` leaves the subject empty.
            spiffe_id: such as ``"spiffe://example.test/billing"``; ``None`` for none.
            names: DNS names and IP addresses.
            options: as in `issue`.

        Raises:
            ValueError: as `issue`.
            TypeError: as `issue`.
        """
        return self.issue(
            common_name,
            spiffe_id=spiffe_id,
            names=names,
            extended_key_usage=("client",),
            **options,
        )

    def issue(
        self,
        common_name: str | None = None,
        *,
        names: Iterable[Name] = (),
        spiffe_id: str | None = None,
        extended_key_usage: Iterable[Purpose] = ("server", "client"),
        **options: Unpack[IssueOptions],
    ) -> IssuedCertificate:
        """Issue a certificate of any kind, with a new key unless one is given.

        Nothing is checked against the authority itself: a certificate may outlive it.

        Args:
            common_name: 1..64 characters; ``None`` leaves the subject empty.
            names: DNS names, also with ``*.``, and IP addresses, told apart by their form.
            spiffe_id: a URI in the certificate (SPIFFE X509-SVID, section 2); ``None`` for none.
            extended_key_usage: what it is for; an empty tuple leaves the extension out.
            options: each may be left out.

                - `uris`, `emails`: more alternative names; `uris` takes a wrong SPIFFE ID, too.
                - `expired`, `not_yet_valid`: ``True`` sets the dates, by a day.
                - `not_before`: a date with a time zone, or the distance from now; one hour ago.
                - `not_after`: likewise; in 30 days.
                - `key_type`: one of `KeyType`; ``"ec-p256"``.
                - `key`: a private key of `cryptography`, in the place of a new one.
                - `serial`: 1..2**159 - 1; random.
                - `subject_key_identifier`, `authority_key_identifier`: ``False`` leaves the
                  extension out. Strict checks refuse that, the latter with code 85.

        Returns:
            The certificate with its key and the intermediates up to the root.

        Raises:
            ValueError: a name, date, serial number or kind of key that cannot be.
            TypeError: a value of the wrong type, or an option that there is not.
        """
        return issue(
            Issuer(self._signer, self.chain, self.root),
            common_name,
            names=names,
            spiffe_id=spiffe_id,
            extended_key_usage=extended_key_usage,
            **options,
        )

    def revoke(
        self,
        certificate: IssuedCertificate | CertificateAuthority,
        *,
        reason: RevocationReason = "unspecified",
        at: Moment | None = None,
    ) -> None:
        """Put a certificate of this authority on the list that the next `crl_pem` gives.

        Doing it again replaces reason and date. Nobody learns of it without the new list.

        Args:
            certificate: issued by this authority itself, not by one above or below it.
            reason: why.
            at: since when; ``None`` means now.

        Raises:
            ValueError: another authority issued it, there is no such reason, or `at` has no time
                zone.
            TypeError: `at` is neither a date nor a distance.
        """
        revoked = certificate.certificate
        try:
            revoked.verify_directly_issued_by(self.certificate)
        except (ValueError, TypeError, InvalidSignature) as exc:
            raise ValueError(
                f"{certificate!r} was not issued by {self!r}: let its own authority revoke it."
            ) from exc
        entry = (
            x509.RevokedCertificateBuilder()
            .serial_number(revoked.serial_number)
            .revocation_date(moment("at", at, timedelta()))
        )
        # RFC 5280, section 5.3.1: this one is said by saying nothing.
        if reason != "unspecified":
            entry = entry.add_extension(x509.CRLReason(_reason_flag(reason)), critical=False)
        self._revoked[revoked.serial_number] = entry.build()

    def crl_pem(
        self, *, this_update: Moment | None = None, next_update: Moment | None = None
    ) -> bytes:
        """Return a new list of what has been revoked, as PEM (RFC 5280, section 5).

        Args:
            this_update: when it was made; ``None`` means an hour before now, or before
                `next_update` if that is earlier.
            next_update: when it expires; ``None`` means in a day. ``timedelta(hours=-1)`` gives a
                list that has expired.

        Raises:
            ValueError: it would expire before it was made, or a date has no time zone.
            TypeError: neither a date nor a distance.
        """
        until = moment("next_update", next_update, timedelta(days=1))
        since = moment("this_update", this_update, -_HOUR)
        if this_update is None:
            since = min(since, until - _HOUR)
        if until <= since:
            raise ValueError(f"next_update ({until}) must be later than this_update ({since}).")
        identifier = x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(
            self._signer.key_identifier
        )
        unsigned = (
            x509.CertificateRevocationListBuilder()
            .issuer_name(self._signer.name)
            .last_update(since)
            .next_update(until)
            .add_extension(identifier, critical=False)
            .add_extension(x509.CRLNumber(next(self._crl_numbers)), critical=False)
        )
        for entry in tuple(self._revoked.values()):
            unsigned = unsigned.add_revoked_certificate(entry)
        signed = unsigned.sign(self.private_key, signature_hash(self.private_key))
        return signed.public_bytes(serialization.Encoding.PEM)


def _reason_flag(reason: RevocationReason) -> x509.ReasonFlags:
    if reason not in get_args(RevocationReason):
        known = ", ".join(repr(each) for each in get_args(RevocationReason))
        raise ValueError(f"reason must be one of {known}, not {reason!r}.")
    return x509.ReasonFlags[reason]
