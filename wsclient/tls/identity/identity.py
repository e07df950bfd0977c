"""`ClientIdentity`: a client's certificate chain and its private key."""

from __future__ import annotations

import os
import ssl
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, Final, NoReturn, Protocol, Self

from cryptography import x509

from ..certificates.chains import allows_client_auth
from ..certificates.facts import CertificateFacts
from ..files.pem import certificate_pem
from .arguments import (
    as_bytes,
    certificates_of_any,
    checked_files,
    checked_path,
    checked_uri,
    pair_of_files,
    pair_of_pkcs12_file,
    pem_bytes,
)
from .loading import Places, load
from .passwords import Password, check_password
from .reading import (
    Pair,
    pair_of_der,
    pair_of_objects,
    pair_of_pem,
    pair_of_pkcs11,
    pair_of_pkcs12,
)

__all__ = [
    "ClientIdentity",
    "IdentityWarning",
    "NewerIdentities",
    "read_files",
    "read_pkcs12",
    "register_sources",
]

_Path = str | os.PathLike[str]

_WEAK_KEYS: Final = frozenset({"ec-secp192r1", "ec-secp192k1", "ec-secp160r1", "ec-secp160k1"})
_STRONG_ENOUGH: Final = 2048
"""Bits of an RSA or DSA key, as OpenSSL demands them at security level 2."""


class IdentityWarning(StrEnum):
    """What a server may not like about an identity, though OpenSSL takes it."""

    EXPIRED = "expired"
    """It is no longer valid."""
    NOT_YET_VALID = "not_yet_valid"
    """It is not valid yet, by the clock of this machine."""
    NO_CLIENT_AUTH_EKU = "no_client_auth_eku"
    """Its extended key usage says what it is for, and a TLS client is not among it."""
    CHAIN_INCOMPLETE = "chain_incomplete"
    """Other certificates are there that nothing leads to: one in between is missing."""
    CHAIN_ORDER = "chain_order"
    """The certificates were not in the order of TLS, and have been put in order."""
    WEAK_KEY = "weak_key"
    """OpenSSL refuses a key as short as this one unless its security level is lowered."""


class NewerIdentities(Protocol):
    """Where newer generations of an identity come from; every `IdentityProvider` is one."""

    async def get(self) -> ClientIdentity:
        """Return the identity of now."""


_SourceOfFiles = Callable[[str, str | None, Password], NewerIdentities]
_SourceOfPKCS12 = Callable[[str, Password], NewerIdentities]


class _Sources:
    """What makes providers of files: they are built upon identities, not the other way round."""

    files: _SourceOfFiles | None = None
    pkcs12: _SourceOfPKCS12 | None = None


def register_sources(*, files: _SourceOfFiles, pkcs12: _SourceOfPKCS12) -> None:
    """Say what makes the `source` of an identity that was read from files.

    The module of the providers calls this when it is imported.

    Args:
        files: is given certfile, keyfile and password.
        pkcs12: is given path and password.
    """
    _Sources.files = files
    _Sources.pkcs12 = pkcs12


class ClientIdentity:
    """A certificate chain and the private key of its first certificate. Immutable.

    Make one with one of the class methods. Each of them reads, blocks for a few milliseconds,
    never asks on the terminal, and raises `IdentityError` with a reason of its own for each
    fault. The order of certificates never matters: the first is the one whose key was given.

    Threads and event loops may share it. Two are equal if their chains are. It can be copied,
    but not pickled. Neither its `repr` nor any error or log shows the private key or a password.

    Attributes:
        generation: 1 for one that has just been read; a provider counts on from there.
        source: the provider that reads the same files again when they have changed; ``None``
            for an identity that came from memory.
    """

    __slots__ = ("_pair", "generation", "source")

    generation: int
    source: NewerIdentities | None
    _pair: Pair

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """Refuse: there are class methods for this.

        Raises:
            TypeError: always.
        """
        raise TypeError("Make a ClientIdentity with from_files(), from_pem(), from_pkcs12(), ...")

    @classmethod
    def _of(cls, pair: Pair, source: NewerIdentities | None = None, generation: int = 1) -> Self:
        self = cls.__new__(cls)
        keep = object.__setattr__
        keep(self, "_pair", pair)
        keep(self, "source", source)
        keep(self, "generation", generation)
        return self

    @classmethod
    def from_files(
        cls, certfile: _Path, keyfile: _Path | None = None, password: Password = None
    ) -> Self:
        """Read an identity from PEM files, and again when they have changed.

        The files are read now. A `TLSConfig` that is given this identity looks at them whenever
        it connects: see `source`, a `FileIdentityProvider`.

        Args:
            certfile: path of the certificate and its intermediates.
            keyfile: path of the private key; ``None`` when it is in `certfile`.
            password: of the private key, `str` or `bytes` of 1..1024 bytes, or a plain function
                that returns one; it is called once per reading, in the thread that reads, and
                only if the key is encrypted. ``None`` for none.

        Raises:
            IdentityError: a file or the password cannot be used.
            TypeError: a value of the wrong type.
            OSError: there is no descriptor or no space left for handing the key to OpenSSL.
        """
        cert_path, key_path, secret = checked_files(certfile, keyfile, password)
        pair = pair_of_files(cert_path, key_path, secret)
        make = _Sources.files
        return cls._of(pair, None if make is None else make(cert_path, key_path, secret))

    @classmethod
    def from_pem(
        cls,
        cert_chain: str | bytes,
        private_key: str | bytes | None = None,
        password: Password = None,
    ) -> Self:
        """Read an identity from PEM in memory.

        Args:
            cert_chain: the certificate and its intermediates, with anything around them.
            private_key: the private key; ``None`` when it is in `cert_chain`.
            password: as in `from_files`.

        Raises:
            IdentityError: the PEM or the password cannot be used.
            TypeError: a value of the wrong type.
            OSError: as `from_files`.
        """
        chain = pem_bytes("cert_chain", cert_chain)
        key = None if private_key is None else pem_bytes("private_key", private_key)
        places = Places("cert_chain", "cert_chain" if key is None else "private_key")
        return cls._of(pair_of_pem(chain, key, check_password(password), places))

    @classmethod
    def from_der(
        cls,
        certificates: bytes | Sequence[bytes],
        private_key: bytes,
        password: Password = None,
    ) -> Self:
        """Read an identity from DER in memory.

        Args:
            certificates: one certificate, several one behind the other, or a sequence of them.
            private_key: PKCS#8, encrypted or not (RFC 5958), or an older form.
            password: as in `from_files`.

        Raises:
            IdentityError: the DER or the password cannot be used.
            TypeError: a value of the wrong type.
            OSError: as `from_files`.
        """
        if isinstance(certificates, (bytes, bytearray, memoryview)):
            certificates = [bytes(certificates)]
        if isinstance(certificates, str):
            raise TypeError("certificates must be bytes in DER: give text to from_pem().")
        parts = [as_bytes("certificates", each) for each in certificates]
        key = as_bytes("private_key", private_key)
        places = Places("certificates", "private_key")
        return cls._of(pair_of_der(parts, key, check_password(password), places))

    @classmethod
    def from_pkcs12(cls, path_or_bytes: _Path | bytes, password: Password = None) -> Self:
        """Read an identity from PKCS#12 (RFC 7292), a ``.p12`` or ``.pfx`` file or its content.

        Args:
            path_or_bytes: a path, which is read again when the file has changed, as in
                `from_files`; or the content as bytes.
            password: as in `from_files`, but it may be empty, and a function is called in any
                case.

        Raises:
            IdentityError: the file or the password cannot be used.
            TypeError: a value of the wrong type.
            OSError: as `from_files`.
        """
        secret = check_password(password, allow_empty=True)
        if isinstance(path_or_bytes, (bytes, bytearray, memoryview)):
            return cls._of(pair_of_pkcs12(bytes(path_or_bytes), secret, "the PKCS#12 data"))
        path = checked_path("path_or_bytes", path_or_bytes)
        pair = pair_of_pkcs12_file(path, secret)
        make = _Sources.pkcs12
        return cls._of(pair, None if make is None else make(path, secret))

    @classmethod
    def from_cryptography(
        cls,
        private_key: Any,
        certificate: x509.Certificate,
        chain: Iterable[x509.Certificate] = (),
    ) -> Self:
        """Make an identity of objects of the package `cryptography`.

        Args:
            private_key: a private key that gives its content (``private_bytes``).
            certificate: the certificate.
            chain: its intermediates, in any order.

        Raises:
            IdentityError: ``"key_mismatch"`` or ``"key_type_unsupported"``.
            TypeError: a value of the wrong type.
            OSError: as `from_files`.
        """
        certificates = [certificate, *chain]
        for each in certificates:
            if not isinstance(each, x509.Certificate):
                raise TypeError(
                    "certificate and chain must be cryptography.x509.Certificate, not "
                    f"{type(each).__name__}."
                )
        if not hasattr(private_key, "private_bytes") or not hasattr(private_key, "public_key"):
            raise TypeError(
                "private_key must be a private key of cryptography, not "
                f"{type(private_key).__name__}."
            )
        places = Places("certificate", "private_key")
        return cls._of(pair_of_objects(private_key, certificates, places))

    @classmethod
    def from_pkcs11(cls, certificate: _Path | str | bytes, uri: str) -> Self:
        """Make an identity whose private key stays in a security module. Experimental.

        OpenSSL 3 must have a provider for PKCS#11 installed and active in its ``openssl.cnf``,
        such as pkcs11-provider, and Python must use that OpenSSL. What is built here has the
        form that pkcs11-provider reads; no test of this package runs against a real module.

        Args:
            certificate: path of a PEM or DER file, or PEM or DER itself.
            uri: of the key (RFC 7512), such as ``"pkcs11:token=prod;object=billing"``. What
                follows ``?``, such as a PIN, is never shown.

        Raises:
            IdentityError: ``"pkcs11_unavailable"``; OpenSSL has no such provider, or finds no
                such key. Or the certificate cannot be used.
            TypeError: a value of the wrong type.
            OSError: as `from_files`.
        """
        name = checked_uri(uri)
        ders, place = certificates_of_any(certificate)
        return cls._of(pair_of_pkcs11(ders, uri, Places(place, name)))

    def load_into(self, context: ssl.SSLContext) -> None:
        """Load chain and key into a context, and set nothing else there.

        It blocks for about a millisecond. The key gets into no file system unencrypted.

        Args:
            context: one that has no certificate yet. A second certificate does not replace the
                first one: TLS 1.3 would go on showing the old one.

        Raises:
            IdentityError: OpenSSL refuses them, such as ``"key_too_small"`` where the security
                level of `context` asks for more.
            OSError: as `from_files`.
        """
        load(context, self._pair.chain.ders, self._pair.key, self._pair.places)

    def with_generation(self, generation: int, source: NewerIdentities | None) -> Self:
        """Return the same identity as another generation, of another source.

        Args:
            generation: a number that grows with each new identity of a source.
            source: the provider that it belongs to.
        """
        return self._of(self._pair, source, generation)

    @property
    def _facts(self) -> CertificateFacts:
        return CertificateFacts.of(self.certificate_der)

    @property
    def certificate_der(self) -> bytes:
        """The certificate whose key it is, in DER."""
        return self._pair.chain.ders[0]

    @property
    def chain_der(self) -> tuple[bytes, ...]:
        """All certificates in DER: the own one, its issuer, and so on; then any others."""
        return self._pair.chain.ders

    @property
    def chain_pem(self) -> bytes:
        """The same in PEM."""
        return certificate_pem(*self._pair.chain.ders)

    @property
    def subject(self) -> str:
        """Whose certificate it is, as in RFC 4514, such as ``"CN=billing"``; may be empty."""
        return self._facts.subject

    @property
    def issuer(self) -> str:
        """Who has issued it, in the same form."""
        return self._facts.issuer

    @property
    def serial_number(self) -> int | None:
        """Its serial number; this and the dates are ``None`` if only OpenSSL can read it."""
        return self._facts.serial_number

    @property
    def not_before(self) -> datetime | None:
        """From when it is valid, in UTC."""
        return self._facts.not_before

    @property
    def not_after(self) -> datetime | None:
        """Until when it is valid, in UTC."""
        return self._facts.not_after

    @property
    def fingerprint_sha256(self) -> str:
        """SHA-256 of the certificate, 64 lower-case hexadecimal digits."""
        return self._facts.fingerprint_sha256

    @property
    def spiffe_id(self) -> str | None:
        """Its SPIFFE id; ``None`` unless there is exactly one URI in it and that is one."""
        return self._facts.spiffe_id

    @property
    def key_type(self) -> str:
        """Kind of its key, such as ``"rsa-2048"``, ``"ec-p256"``, ``"ed25519"``."""
        return self._facts.key_type

    @property
    def warnings(self) -> tuple[IdentityWarning, ...]:
        """What a server may not like about it, by the clock of now."""
        facts, chain = self._facts, self._pair.chain
        now = datetime.now(UTC)
        checks = {
            IdentityWarning.EXPIRED: facts.not_after is not None and facts.not_after < now,
            IdentityWarning.NOT_YET_VALID: facts.not_before is not None and now < facts.not_before,
            IdentityWarning.NO_CLIENT_AUTH_EKU: not allows_client_auth(self.certificate_der),
            IdentityWarning.CHAIN_INCOMPLETE: chain.has_gap,
            IdentityWarning.CHAIN_ORDER: not chain.in_order,
            IdentityWarning.WEAK_KEY: _is_weak(facts.key_type),
        }
        return tuple(warning for warning, is_so in checks.items() if is_so)

    @property
    def description(self) -> str:
        """One line for a person: subject, beginning of the fingerprint, and last day."""
        facts = self._facts
        name = facts.subject or facts.spiffe_id or ", ".join(facts.dns_names) or "no subject"
        until = ""
        if facts.not_after is not None:
            until = f", valid until {facts.not_after:%Y-%m-%d %H:%M} UTC"
        return f"{name} (sha256 {facts.fingerprint_sha256[:8]}…{until})"

    @property
    def named(self) -> str:
        """The same, and for an identity that was read from files where it comes from."""
        place = self._pair.places.certificate
        return self.description if self.source is None else f"{self.description} from {place}"

    def __repr__(self) -> str:
        return f"<ClientIdentity {self.description} generation={self.generation}>"

    def __eq__(self, other: object) -> bool:
        # Equal certificates have equal keys: OpenSSL has compared them.
        if not isinstance(other, ClientIdentity):
            return NotImplemented
        return self._pair.chain.ders == other._pair.chain.ders

    def __hash__(self) -> int:
        return hash(self._pair.chain.ders)

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        return self

    def __reduce__(self) -> NoReturn:
        raise TypeError("A ClientIdentity cannot be pickled: its private key would get out.")

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise AttributeError(f"A ClientIdentity is immutable: {name} cannot be set.")

    def __delattr__(self, name: str) -> NoReturn:
        raise AttributeError(f"A ClientIdentity is immutable: {name} cannot be deleted.")


def read_files(certfile: _Path, keyfile: _Path | None, password: Password) -> ClientIdentity:
    """Read an identity from PEM files, without a source. It blocks.

    Args:
        certfile: as in `ClientIdentity.from_files`.
        keyfile: likewise.
        password: likewise.

    Raises:
        IdentityError: a file or the password cannot be used.
        TypeError: a value of the wrong type.
        OSError: there is no descriptor or no space left.
    """
    return ClientIdentity._of(pair_of_files(*checked_files(certfile, keyfile, password)))


def read_pkcs12(path: _Path, password: Password) -> ClientIdentity:
    """Read an identity from a PKCS#12 file, without a source. It blocks.

    Args:
        path: of the file.
        password: as in `ClientIdentity.from_pkcs12`.

    Raises:
        IdentityError: the file or the password cannot be used.
        TypeError: a value of the wrong type.
        OSError: there is no descriptor or no space left.
    """
    secret = check_password(password, allow_empty=True)
    return ClientIdentity._of(pair_of_pkcs12_file(checked_path("path", path), secret))


def _is_weak(key_type: str) -> bool:
    kind, _, size = key_type.rpartition("-")
    if kind in ("rsa", "rsa-pss", "dsa"):
        return int(size) < _STRONG_ENOUGH
    return key_type in _WEAK_KEYS
