"""All certificates of the matrix: right and wrong ones, for servers and for clients.

Servers and clients have different authorities, and every key is made only once.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Final

from wsclient.testing.certificates import (
    CertificateAuthority,
    IssuedCertificate,
    KeyType,
    PrivateKey,
    generate_key,
    self_signed_certificate,
)

__all__ = ["KEY_TYPES", "Material", "ServerFiles"]

KEY_TYPES: Final[tuple[KeyType, ...]] = ("rsa-2048", "ec-p256", "ec-p384", "ed25519")
"""What servers and clients of the matrix have; a server may take fewer."""

_OTHER_NAMES: Final = ("other.example", "127.0.0.2")


@dataclass(frozen=True)
class ServerFiles:
    """Where the files of one listener are.

    Attributes:
        certificate: the server's certificate and its intermediates.
        key: its private key.
        both: certificate and key in one file.
    """

    certificate: Path
    key: Path
    both: Path


class Material:
    """The authorities, and certificates by kind and type of key; each is made when asked for.

    Attributes:
        directory: where servers find their files.
        server_ca: issues to servers; our clients trust it.
        client_ca: the root that servers trust.
        issuing_ca: the intermediate below it, which issues to clients.
        foreign_ca: nobody trusts it.
        client_ca_file: the root that servers trust, as PEM.
        client_crl_file: lists of revoked clients, of the root and of the intermediate.
        client_ca_and_crl_file: both.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.server_ca = CertificateAuthority("Matrix Server Root")
        self.client_ca = CertificateAuthority("Matrix Client Root")
        self.issuing_ca = self.client_ca.intermediate("Matrix Client Issuing")
        self.foreign_ca = CertificateAuthority("Somebody Else")
        for each in KEY_TYPES:
            self.issuing_ca.revoke(self.client("revoked", each))
            self.server_ca.revoke(self.server("revoked", each))
        self.client_ca_file = self.client_ca.trust_file(directory, "client-ca.pem")
        self.client_crl_file = directory / "client-crl.pem"
        crls = self.client_ca.crl_pem() + self.issuing_ca.crl_pem()
        self.client_crl_file.write_bytes(crls)
        self.client_ca_and_crl_file = directory / "client-ca-and-crl.pem"
        self.client_ca_and_crl_file.write_bytes(self.client_ca.certificate_pem + crls)

    # For clients.

    @functools.cached_property
    def trust(self) -> bytes:
        """The root that issued to the servers, as PEM."""
        return self.server_ca.certificate_pem

    @functools.cached_property
    def crls(self) -> Mapping[str, bytes]:
        """Lists of revoked servers: ``"good"``, ``"expired"``, and ``"missing"`` of another."""
        return {
            "good": self.server_ca.crl_pem(),
            "expired": self.server_ca.crl_pem(next_update=timedelta(hours=-1)),
            "missing": self.foreign_ca.crl_pem(),
        }

    @functools.cache  # noqa: B019  # there is one of this class in a session
    def client(self, kind: str, key_type: KeyType) -> IssuedCertificate:
        """Return a client's certificate.

        Args:
            kind: ``"good"``, ``"unknown_ca"``, ``"no_intermediate"``, ``"expired"``,
                ``"not_yet_valid"``, ``"server_only"``, ``"no_purpose"`` or ``"revoked"``.
            key_type: of its key.
        """
        key = self._key("client", key_type)
        issuing = self.issuing_ca
        makers: dict[str, Callable[[], IssuedCertificate]] = {
            "good": lambda: issuing.client_certificate("good", key=key),
            "unknown_ca": lambda: self.foreign_ca.client_certificate("stranger", key=key),
            "no_intermediate": lambda: dataclasses.replace(
                issuing.client_certificate("lonely", key=key), chain=()
            ),
            "expired": lambda: issuing.client_certificate("late", key=key, expired=True),
            "not_yet_valid": lambda: issuing.client_certificate(
                "early", key=key, not_yet_valid=True
            ),
            "server_only": lambda: issuing.issue(
                "server", extended_key_usage=("server",), key=key
            ),
            "no_purpose": lambda: issuing.issue("any", extended_key_usage=(), key=key),
            "revoked": lambda: issuing.client_certificate("revoked", key=key),
        }
        return makers[kind]()

    # For servers.

    @functools.cache  # noqa: B019  # there is one of this class in a session
    def server(self, kind: str, key_type: KeyType) -> IssuedCertificate:
        """Return a server's certificate.

        Args:
            kind: ``"good"``, ``"expired"``, ``"not_yet_valid"``, ``"wrong_name"``,
                ``"self_signed"``, ``"unknown_ca"``, ``"client_only"`` or ``"revoked"``.
            key_type: of its key.
        """
        key = self._key("server", key_type)
        names = ("localhost", "127.0.0.1")
        ours = self.server_ca
        makers: dict[str, Callable[[], IssuedCertificate]] = {
            "good": lambda: ours.server_certificate(*names, key=key),
            "expired": lambda: ours.server_certificate(*names, key=key, expired=True),
            "not_yet_valid": lambda: ours.server_certificate(*names, key=key, not_yet_valid=True),
            "wrong_name": lambda: ours.server_certificate(*_OTHER_NAMES, key=key),
            "self_signed": lambda: self_signed_certificate(*names, key=key),
            "unknown_ca": lambda: self.foreign_ca.server_certificate(*names, key=key),
            "client_only": lambda: ours.issue(
                "localhost", names=names, extended_key_usage=("client",), key=key
            ),
            "revoked": lambda: ours.server_certificate(*names, key=key),
        }
        return makers[kind]()

    @functools.cache  # noqa: B019  # there is one of this class in a session
    def server_files(self, kind: str, key_type: KeyType) -> ServerFiles:
        """Write a server's certificate, once, and return where it is."""
        issued = self.server(kind, key_type)
        files = issued.write(self.directory, f"server-{kind}-{key_type}")
        both = files.cert_file.with_suffix(".both")
        both.write_bytes(issued.chain_pem + issued.private_key_pem())
        return ServerFiles(files.cert_file, files.key_file, both)

    @functools.cache  # noqa: B019  # there is one of this class in a session
    def _key(self, side: str, key_type: KeyType) -> PrivateKey:
        return generate_key(key_type)
