"""What a caller gives for an identity: checked at once, and read."""

from __future__ import annotations

import os
from typing import Any

from ...errors import IdentityError
from ..files.pem import check_path, looks_like_pem
from .loading import Places
from .passwords import Password, check_password
from .reading import (
    Pair,
    certificates_of_der,
    certificates_of_pem,
    pair_of_pem,
    pair_of_pkcs12,
    read_file,
    shown_uri,
)

__all__ = [
    "as_bytes",
    "certificates_of_any",
    "checked_files",
    "checked_path",
    "checked_uri",
    "pair_of_files",
    "pair_of_pkcs12_file",
    "pem_bytes",
]

_Path = str | os.PathLike[str]


def checked_files(
    certfile: _Path, keyfile: _Path | None, password: Password
) -> tuple[str, str | None, Password]:
    """Return paths and password in the one form that is kept; nothing is read.

    Args:
        certfile: path of the certificate chain.
        keyfile: path of the private key; ``None`` when it is in `certfile`.
        password: as `check_password` takes it.

    Raises:
        IdentityError: PEM text in the place of a path, an empty path or password.
        TypeError: a value of the wrong type.
    """
    cert_path = checked_path("certfile", certfile)
    key_path = None if keyfile is None else checked_path("keyfile", keyfile)
    return cert_path, None if key_path == cert_path else key_path, check_password(password)


def checked_path(name: str, value: Any) -> str:
    """Return a path that must be given, as `str`.

    Args:
        name: of the argument.
        value: `str` or `os.PathLike`.

    Raises:
        IdentityError: PEM text in the place of a path, or an empty path.
        TypeError: it is no path.
    """
    path = check_path(name, value, instead="ClientIdentity.from_pem()", error=IdentityError)
    if path is None:
        raise TypeError(f"{name} must be a path (str or os.PathLike), not None.")
    return path


def pair_of_files(certfile: str, keyfile: str | None, password: Password) -> Pair:
    """Read a pair from PEM files. It blocks.

    Args:
        certfile: as `checked_files` returned it.
        keyfile: likewise.
        password: likewise.

    Raises:
        IdentityError: a file or the password cannot be used.
        OSError: there is no descriptor or no space left.
    """
    chain = read_file(certfile, "certificate_unreadable")
    key = None if keyfile is None else read_file(keyfile, "key_unreadable")
    places = Places(f"the file {certfile}", f"the file {keyfile or certfile}")
    return pair_of_pem(chain, key, password, places)


def pair_of_pkcs12_file(path: str, password: Password) -> Pair:
    """Read a pair from a PKCS#12 file. It blocks.

    Args:
        path: as `checked_path` returned it.
        password: as `check_password` returned it.

    Raises:
        IdentityError: the file or the password cannot be used.
        OSError: there is no descriptor or no space left.
    """
    return pair_of_pkcs12(read_file(path, "pkcs12_unreadable"), password, f"the file {path}")


def pem_bytes(name: str, value: Any) -> bytes:
    """Return PEM as bytes; its text never gets into an error.

    Args:
        name: of the argument.
        value: `str` or bytes.

    Raises:
        IdentityError: text that is not PEM, such as a path.
        TypeError: neither text nor bytes.
    """
    if isinstance(value, os.PathLike):
        raise TypeError(f"{name} must be PEM, not a path: use ClientIdentity.from_files().")
    if not isinstance(value, str):
        return as_bytes(name, value)
    if value and not looks_like_pem(value):
        raise IdentityError(
            f"There is no PEM (-----BEGIN ...-----) in {name}.",
            reason="certificate_unreadable" if name == "cert_chain" else "key_unreadable",
            hint="Give the paths of files to ClientIdentity.from_files().",
        )
    # What is not ASCII is a comment. A lone surrogate may be in one, too.
    return value.encode("utf-8", "replace")


def as_bytes(name: str, value: Any) -> bytes:
    """Return bytes as they are, or those of a buffer.

    Args:
        name: of the argument.
        value: `bytes`, `bytearray` or `memoryview`.

    Raises:
        TypeError: it is something else.
    """
    if not isinstance(value, (bytes, bytearray, memoryview)):
        raise TypeError(f"{name} must be bytes, not {type(value).__name__}.")
    return bytes(value)


def checked_uri(uri: Any) -> str:
    """Check a ``pkcs11:`` URI (RFC 7512, section 2.3), and return it as it may be shown.

    Args:
        uri: `str`.

    Raises:
        IdentityError: ``"pkcs11_unavailable"``; it is no such URI.
        TypeError: it is no `str`.
    """
    if not isinstance(uri, str):
        raise TypeError(f"uri must be a str, not {type(uri).__name__}.")
    if not uri.startswith("pkcs11:") or not uri.isascii() or not uri.isprintable() or " " in uri:
        raise IdentityError(
            "uri must begin with 'pkcs11:' and be printable ASCII without spaces (RFC 7512), such "
            "as 'pkcs11:token=prod;object=billing'.",
            reason="pkcs11_unavailable",
        )
    return shown_uri(uri)


def certificates_of_any(value: Any) -> tuple[tuple[bytes, ...], str]:
    """Return certificates in DER, and where they are from. It may read a file, and block.

    Args:
        value: path of a PEM or DER file, or PEM or DER itself.

    Raises:
        IdentityError: the file or what is in it cannot be used.
        TypeError: a value of the wrong type.
    """
    if isinstance(value, (bytes, bytearray, memoryview)):
        data, place = bytes(value), "certificate"
    elif isinstance(value, str) and looks_like_pem(value):
        data, place = pem_bytes("certificate", value), "certificate"
    else:
        path = checked_path("certificate", value)
        data, place = read_file(path, "certificate_unreadable"), f"the file {path}"
    if looks_like_pem(data):
        return certificates_of_pem(data, place), place
    return certificates_of_der([data], place), place
