"""Certificates and keys as files, and how such files are replaced while somebody reads them."""

from __future__ import annotations

import contextlib
import os
import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

__all__ = ["CertificateFiles", "PEMIdentity", "write_file"]


class PEMIdentity(Protocol):
    """What can be written into files: an `IssuedCertificate`."""

    @property
    def chain_pem(self) -> bytes:
        """The certificate and its intermediates."""

    @property
    def root_pem(self) -> bytes:
        """The root of the chain."""

    def private_key_pem(
        self, password: str | bytes | None = None, *, traditional: bool = False
    ) -> bytes:
        """Return the private key."""


@dataclass(frozen=True)
class CertificateFiles:
    """Paths of a certificate's files, each PEM, and the ways in which files are replaced.

    Attributes:
        cert_file: the certificate and its intermediates, without the root.
        key_file: the private key; only its owner may read it.
        ca_file: the root of the chain, for those who check the certificate.
    """

    cert_file: Path
    key_file: Path
    ca_file: Path

    def replace(
        self,
        new: PEMIdentity,
        *,
        password: str | bytes | None = None,
        in_place: bool = False,
    ) -> None:
        """Write another certificate into the files: certificate first, then key, then root.

        No reader sees half a file, but one that reads between two of the files gets a key that
        does not belong to the certificate. Two files cannot be replaced in one step; a
        `KubernetesVolume` can do it.

        Args:
            new: the certificate to write.
            password: encrypts the key, as in `IssuedCertificate.write`.
            in_place: write into the files that are there, so that they keep their inodes and
                a reader may see half a file; ``False`` renames new files over them.

        Raises:
            ValueError: the password is empty or too long; nothing was written.
            OSError: a file cannot be written; the files before it are new.
        """
        key = new.private_key_pem(password)
        self._write(self.cert_file, new.chain_pem, in_place=in_place)
        self._write_rest(new, key, in_place=in_place)

    @contextlib.contextmanager
    def torn(
        self,
        new: PEMIdentity,
        *,
        password: str | bytes | None = None,
        in_place: bool = False,
    ) -> Iterator[None]:
        """Write another certificate, and its key when the block is left.

        In the block the files are as a reader finds them in the middle of `replace`: the new
        certificate and the old key. They are completed in any case, even if the block raises.

        Args:
            new: the certificate to write.
            password: encrypts the key, as in `IssuedCertificate.write`.
            in_place: as in `replace`.

        Raises:
            ValueError: the password is empty or too long; nothing was written.
            OSError: a file cannot be written.
        """
        key = new.private_key_pem(password)
        self._write(self.cert_file, new.chain_pem, in_place=in_place)
        try:
            yield
        finally:
            self._write_rest(new, key, in_place=in_place)

    def _write_rest(self, new: PEMIdentity, key: bytes, *, in_place: bool) -> None:
        self._write(self.key_file, key, in_place=in_place, mode=0o600)
        self._write(self.ca_file, new.root_pem, in_place=in_place)

    def _write(self, path: Path, content: bytes, *, in_place: bool, mode: int = 0o644) -> None:
        if in_place:
            path.write_bytes(content)
        else:
            write_file(path, content, mode)


def write_file(path: Path, content: bytes, mode: int = 0o644) -> None:
    """Write a whole file at once: a reader sees what was there before, or all of the new.

    Args:
        path: of the file, in a directory that exists. A link is replaced, not followed.
        content: all of it.
        mode: who may do what with it, whatever the umask says.

    Raises:
        OSError: it cannot be written; what was there is left as it was.
    """
    unfinished = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    # Never readable for others, not even for a moment.
    descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with open(descriptor, "wb") as file:
            file.write(content)
        os.chmod(unfinished, mode)
        os.replace(unfinished, path)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(unfinished)
        raise
