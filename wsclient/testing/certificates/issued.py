"""One certificate with its private key, in every form that a test may want."""

from __future__ import annotations

import hashlib
import os
import ssl
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Protocol

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.serialization import pkcs12

from . import contexts
from .files import CertificateFiles, write_file
from .keys import (
    PrivateKey,
    encryption,
    password_bytes,
    private_key_der,
    private_key_pem,
    public_key_pin,
)

__all__ = ["IssuedCertificate", "Rooted", "pem"]


class Rooted(Protocol):
    """What tells which root to trust: an authority, or a certificate that it issued."""

    @property
    def root(self) -> x509.Certificate:
        """The root itself."""


@dataclass(frozen=True, eq=False, repr=False)
class IssuedCertificate:
    """A certificate, its private key, and its way up to the root. Immutable.

    It shows itself by subject, serial number and dates, never by its key. Use
    `dataclasses.replace` to make one that is wrong: ``chain=()`` leaves the intermediates out,
    and ``private_key=`` of another certificate makes a pair that does not match.

    Two are equal only if they are the same object. Any thread may use it.

    Attributes:
        certificate: the certificate.
        private_key: its private key.
        chain: the intermediates, the issuer first, without the root.
        root: the root; the certificate itself where it is self-signed.
    """

    certificate: x509.Certificate
    private_key: PrivateKey = field(repr=False)
    chain: tuple[x509.Certificate, ...]
    root: x509.Certificate

    def __repr__(self) -> str:
        subject = self.certificate.subject.rfc4514_string() or "no subject"
        return (
            f"<IssuedCertificate {subject} serial={self.serial_number:x}"
            f" {self.not_before:%Y-%m-%dT%H:%M:%SZ}..{self.not_after:%Y-%m-%dT%H:%M:%SZ}>"
        )

    @property
    def serial_number(self) -> int:
        """The serial number."""
        return self.certificate.serial_number

    @property
    def not_before(self) -> datetime:
        """The first second of its validity, in UTC."""
        return self.certificate.not_valid_before_utc

    @property
    def not_after(self) -> datetime:
        """The last second of its validity, in UTC."""
        return self.certificate.not_valid_after_utc

    @property
    def certificate_pem(self) -> bytes:
        """The certificate alone, as PEM."""
        return pem(self.certificate)

    @property
    def certificate_der(self) -> bytes:
        """The certificate alone, as DER."""
        return self.certificate.public_bytes(serialization.Encoding.DER)

    @property
    def chain_pem(self) -> bytes:
        """The certificate and then its intermediates, without the root, as PEM."""
        return pem(self.certificate, *self.chain)

    @property
    def root_pem(self) -> bytes:
        """The root, as PEM."""
        return pem(self.root)

    @property
    def fingerprint_sha256(self) -> str:
        """SHA-256 of the certificate, 64 lower-case hexadecimal digits."""
        return hashlib.sha256(self.certificate_der).hexdigest()

    @property
    def spki_sha256(self) -> str:
        """The pin of its public key, ``"sha256//"`` and base64, as curl writes it."""
        return public_key_pin(self.private_key)

    def private_key_pem(
        self, password: str | bytes | None = None, *, traditional: bool = False
    ) -> bytes:
        """Return the private key as PEM.

        Args:
            password: encrypts it, 1..1024 bytes, or text that is encoded as UTF-8; ``None`` does
                not encrypt.
            traditional: write the older form of OpenSSL, ``RSA PRIVATE KEY`` (RFC 8017) or ``EC
                PRIVATE KEY`` (RFC 5915), and not PKCS#8 (RFC 5958).

        Raises:
            ValueError: the password is empty or too long, or the key is neither RSA nor EC and
                so has no traditional form.
            TypeError: the password is neither `str` nor `bytes`.
        """
        return private_key_pem(self.private_key, password, traditional=traditional)

    def private_key_der(self, password: str | bytes | None = None) -> bytes:
        """Return the private key as PKCS#8 in DER (RFC 5958).

        Args:
            password: as in `private_key_pem`.

        Raises:
            ValueError: the password is empty or too long.
            TypeError: the password is neither `str` nor `bytes`.
        """
        return private_key_der(self.private_key, password)

    def pkcs12(
        self, password: str | bytes | None, *, name: str = "", legacy: bool = False
    ) -> bytes:
        """Return certificate, key and intermediates as PKCS#12 (RFC 7292), without the root.

        Args:
            password: encrypts it all; ``None`` encrypts nothing.
            name: the friendly name; empty for none.
            legacy: encrypt with 3DES and SHA-1, as programs of old do and some still demand, and
                not with AES-256 and SHA-256. It needs a password.

        Raises:
            ValueError: the password is empty or too long, or missing with `legacy`.
            TypeError: the password is neither `str` nor `bytes`.
        """
        return pkcs12.serialize_key_and_certificates(
            name.encode() or None,
            self.private_key,
            self.certificate,
            self.chain or None,
            _legacy_encryption(password) if legacy else encryption(password),
        )

    def write(
        self,
        directory: str | os.PathLike[str],
        name: str = "tls",
        *,
        password: str | bytes | None = None,
        traditional: bool = False,
    ) -> CertificateFiles:
        """Write ``tls.pem``, ``tls.key`` and ``tls-ca.pem`` and return where they are.

        They replace what has the same name, each in one step. The key has mode 0600.

        Args:
            directory: it must exist.
            name: what the file names begin with.
            password: encrypts the key, as in `private_key_pem`.
            traditional: as in `private_key_pem`.

        Raises:
            ValueError: as `private_key_pem`; nothing was written.
            TypeError: as `private_key_pem`; nothing was written.
            OSError: a file cannot be written.
        """
        key = self.private_key_pem(password, traditional=traditional)
        place = Path(directory)
        files = CertificateFiles(
            place / f"{name}.pem", place / f"{name}.key", place / f"{name}-ca.pem"
        )
        write_file(files.cert_file, self.chain_pem)
        write_file(files.key_file, key, 0o600)
        write_file(files.ca_file, self.root_pem)
        return files

    def write_pkcs12(
        self,
        path: str | os.PathLike[str],
        password: str | bytes | None,
        *,
        name: str = "",
        legacy: bool = False,
    ) -> Path:
        """Write what `pkcs12` returns into a file with mode 0600, and return its path.

        Raises:
            ValueError: as `pkcs12`; nothing was written.
            TypeError: as `pkcs12`; nothing was written.
            OSError: the file cannot be written.
        """
        write_file(Path(path), self.pkcs12(password, name=name, legacy=legacy), 0o600)
        return Path(path)

    def server_context(
        self,
        *,
        client_ca: Rooted | None = None,
        require: bool = True,
        crl: bytes | None = None,
        ciphers: str | None = None,
    ) -> ssl.SSLContext:
        """Return a new context for a server that shows this certificate.

        It is the caller's and may be changed. The key touches no disk where the system has files
        in memory (Linux); elsewhere it is encrypted in a file that is removed at once.

        Args:
            client_ca: asks clients for a certificate from this authority's root; ``None`` does
                not ask.
            require: whether a client without a certificate is refused.
            crl: revoked certificates of clients, one or more CRLs as PEM; ``None`` checks none.
                Certificates whose issuer has no CRL here are then refused as well.
            ciphers: as `ssl.SSLContext.set_ciphers` takes them. ``"DEFAULT:@SECLEVEL=0"`` lets
                the server show a certificate that is too weak. ``None`` is the default.

        Raises:
            ValueError: there is no CRL in `crl`, or one but nobody to check.
            ssl.SSLError: OpenSSL refuses the certificate, such as one with 1024 bits of RSA, or
                knows no such ciphers.
        """
        if crl is not None and client_ca is None:
            raise ValueError("crl is about certificates of clients: give client_ca, too.")
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._show(context, ciphers)
        if client_ca is not None:
            contexts.trust(context, client_ca.root, crl)
            context.verify_mode = ssl.CERT_REQUIRED if require else ssl.CERT_OPTIONAL
        return context

    def client_context(
        self,
        *,
        server_ca: Rooted | None = None,
        crl: bytes | None = None,
        ciphers: str | None = None,
    ) -> ssl.SSLContext:
        """Return a new context for a client that shows this certificate to servers that ask.

        It checks the server's certificate and name. For its key see `server_context`.

        Args:
            server_ca: whose root the client trusts; ``None`` for the root of this certificate.
            crl: revoked certificates of servers, as in `server_context`.
            ciphers: as in `server_context`.

        Raises:
            ValueError: there is no CRL in `crl`.
            ssl.SSLError: as `server_context`.
        """
        context = contexts.client_context((self if server_ca is None else server_ca).root, crl)
        self._show(context, ciphers)
        # A server may ask for the certificate after the handshake (RFC 8446, section 4.6.2).
        context.post_handshake_auth = True
        return context

    def trust_context(self, *, crl: bytes | None = None) -> ssl.SSLContext:
        """Return a new context for a client that trusts this root and shows no certificate.

        It checks the server's certificate and name.

        Args:
            crl: revoked certificates of servers, as in `server_context`.

        Raises:
            ValueError: there is no CRL in `crl`.
        """
        return contexts.client_context(self.root, crl)

    def _show(self, context: ssl.SSLContext, ciphers: str | None) -> None:
        # The level of security must be known before a certificate is loaded.
        if ciphers is not None:
            context.set_ciphers(ciphers)
        contexts.load_certificate(context, self.chain_pem, self.private_key_pem)


def pem(*certificates: x509.Certificate) -> bytes:
    """Return certificates as PEM, one behind the other."""
    return b"".join(each.public_bytes(serialization.Encoding.PEM) for each in certificates)


def _legacy_encryption(
    password: str | bytes | None,
) -> serialization.KeySerializationEncryption:
    if password is None:
        raise ValueError("legacy is a way to encrypt: give a password, too.")
    return (
        serialization.PrivateFormat.PKCS12.encryption_builder()
        .kdf_rounds(2048)
        .key_cert_algorithm(pkcs12.PBES.PBESv1SHA1And3KeyTripleDESCBC)
        .hmac_hash(hashes.SHA1())
        .build(password_bytes(password))
    )
