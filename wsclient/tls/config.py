"""What the caller wants of TLS: client certificate, trusted roots, names and versions."""

from __future__ import annotations

import os
import re
import ssl
from dataclasses import dataclass
from typing import Any, Final

from ..errors import TLSConfigurationError

__all__ = ["CertificateFiles", "TLSConfig"]

_Path = str | os.PathLike[str]
_Password = str | bytes | None

CertificateFiles = tuple[str, str | None, str | bytes | None]
"""Paths of certificate chain and private key, and the key's password."""

_PEM_CERTIFICATE: Final = re.compile(
    r"-----BEGIN (?:X509 |TRUSTED )?CERTIFICATE-----.+?"
    r"-----END (?:X509 |TRUSTED )?CERTIFICATE-----",
    re.DOTALL,
)
_LONGEST_PASSWORD: Final = 1024
"""OpenSSL takes no more bytes than this."""


@dataclass(frozen=True, slots=True, init=False, repr=False)
class TLSConfig:
    """How to do TLS with a server. Immutable; many connections may share one.

    Files are read when a connection is opened, and read again by the next one after they
    changed. Nothing is ever read from the terminal: an encrypted key without a password is an
    error.

    Attributes:
        cert: paths of the client's certificate chain and private key, and the key's password;
            the key is ``None`` when it is in the same file. ``None`` sends no certificate.
        cafile: path of a PEM file with trusted roots.
        capath: path of a directory of trusted roots, as ``openssl rehash`` makes it.
        cadata: trusted roots themselves, as PEM text or DER bytes.
        server_hostname: name to ask for and to check the server's certificate against; ``None``
            means the host of the URL.
        check_hostname: whether the server's certificate must be for that name.
        minimum_version: the oldest version of TLS to speak, 1.2 or 1.3.
    """

    cert: CertificateFiles | None
    cafile: str | None
    capath: str | None
    cadata: str | bytes | None
    server_hostname: str | None
    check_hostname: bool
    minimum_version: ssl.TLSVersion

    def __init__(
        self,
        *,
        cert: _Path
        | tuple[_Path, _Path | None]
        | tuple[_Path, _Path | None, _Password]
        | None = None,
        cafile: _Path | None = None,
        capath: _Path | None = None,
        cadata: str | bytes | None = None,
        server_hostname: str | None = None,
        check_hostname: bool = True,
        minimum_version: ssl.TLSVersion = ssl.TLSVersion.TLSv1_2,
    ) -> None:
        """Check the values and keep them; no file is opened yet.

        Args:
            cert: path of one PEM file with certificate chain and key, or ``(certfile,
                keyfile)``, or ``(certfile, keyfile, password)``.
            cafile: replaces the roots of certifi, as `capath` and `cadata` do; all that are
                given are trusted together.
            capath: path of a directory.
            cadata: PEM as `str` or `bytes`, or DER as `bytes`.
            server_hostname: a host name or IP address.
            check_hostname: ``False`` accepts a certificate for any name that a trusted root
                has signed.
            minimum_version: `ssl.TLSVersion.TLSv1_2` or `ssl.TLSVersion.TLSv1_3`.

        Raises:
            TLSConfigurationError: a `ValueError`; an empty value, PEM text in the place of a
                path, roots that are no certificates, or a version that is too old.
            TypeError: a value of the wrong type.
        """
        if not isinstance(check_hostname, bool):
            raise TypeError(
                f"check_hostname must be True or False, not {type(check_hostname).__name__}."
            )
        keep = object.__setattr__
        keep(self, "cert", _check_cert(cert))
        keep(self, "cafile", _check_path("cafile", cafile, instead="cadata="))
        keep(self, "capath", _check_path("capath", capath, instead="cadata="))
        keep(self, "cadata", _check_cadata(cadata))
        keep(self, "server_hostname", _check_server_hostname(server_hostname))
        keep(self, "check_hostname", check_hostname)
        keep(self, "minimum_version", _check_version(minimum_version))

    def __repr__(self) -> str:
        """Show the paths and choices, but neither the password nor the roots' data."""
        cert: object = self.cert
        if self.cert is not None and self.cert[2] is not None:
            cert = (*self.cert[:2], "***")
        data = None if self.cadata is None else f"<{len(self.cadata)} characters or bytes>"
        return (
            f"TLSConfig(cert={cert!r}, cafile={self.cafile!r}, capath={self.capath!r}, "
            f"cadata={data}, server_hostname={self.server_hostname!r}, "
            f"check_hostname={self.check_hostname}, minimum_version={self.minimum_version.name})"
        )


def _check_path(name: str, value: Any, *, instead: str) -> str | None:
    """Return a path as `str`; PEM text in its place is refused, and never shown."""
    if value is None:
        return None
    path = os.fspath(value) if isinstance(value, os.PathLike) else value
    if not isinstance(path, str):
        raise TypeError(f"{name} must be a path (str or os.PathLike), not {type(path).__name__}.")
    # OpenSSL would take the text for a file name, and the error would show the private key.
    if "-----BEGIN" in path:
        raise TLSConfigurationError(
            f"{name} holds PEM text where the path of a file is expected: write the text to a "
            f"file, or give certificates to trust as {instead}."
        )
    if not path or "\0" in path:
        raise TLSConfigurationError(f"{name} is empty or has a NUL character: give a path.")
    return path


def _check_cert(value: Any) -> CertificateFiles | None:
    """Return the client certificate's files in the one form that is kept."""
    if value is None:
        return None
    parts = tuple(value) if isinstance(value, (tuple, list)) else (value,)
    if not 1 <= len(parts) <= 3:
        raise TLSConfigurationError(
            "cert must be a path, (certfile, keyfile) or (certfile, keyfile, password), but has "
            f"{len(parts)} parts."
        )
    certfile, keyfile, password = (*parts, None, None)[:3]
    cert_path = _check_path("cert (certfile)", certfile, instead="cadata=")
    if cert_path is None:
        raise TypeError("cert (certfile) must be a path (str or os.PathLike), not None.")
    key_path = _check_path("cert (keyfile)", keyfile, instead="cadata=")
    return cert_path, key_path, _check_password(password)


def _check_password(password: Any) -> _Password:
    """Return the key's password; its value never gets into a text."""
    if password is None:
        return None
    if not isinstance(password, (str, bytes)):
        raise TypeError(f"cert's password must be str or bytes, not {type(password).__name__}.")
    try:
        size = len(password.encode() if isinstance(password, str) else password)
    except UnicodeEncodeError:
        # The exception holds the password: it is not chained.
        raise TLSConfigurationError("cert's password has a lone surrogate in it.") from None
    if not 1 <= size <= _LONGEST_PASSWORD:
        raise TLSConfigurationError(
            f"cert's password must be 1..{_LONGEST_PASSWORD} bytes long, but has {size}. Give "
            "None for a key that is not encrypted."
        )
    return password


def _check_cadata(value: Any) -> str | bytes | None:
    """Return trusted roots as PEM text without what stands around it, or as DER."""
    if value is None:
        return None
    if isinstance(value, (bytearray, memoryview)):
        value = bytes(value)
    if not isinstance(value, (str, bytes)):
        raise TypeError(f"cadata must be str or bytes, not {type(value).__name__}.")
    if not value:
        raise TLSConfigurationError(
            "cadata is empty, so no server could be trusted: give certificates, or None for the "
            "roots of certifi."
        )
    if isinstance(value, bytes) and b"-----BEGIN" not in value:
        return value
    text = value if isinstance(value, str) else value.decode("latin-1")
    # Bundles carry comments, which need not be ASCII; ssl wants ASCII.
    found = [match.group() for match in _PEM_CERTIFICATE.finditer(text)]
    if not found or not all(block.isascii() for block in found):
        raise TLSConfigurationError(
            "cadata has no certificate in PEM form (-----BEGIN CERTIFICATE-----). Give the path "
            "of a file as cafile=, and DER as bytes."
        )
    return "\n".join(found) + "\n"


def _check_server_hostname(value: Any) -> str | None:
    """Return a name that can be asked for in TLS."""
    if value is None:
        return None
    if not isinstance(value, str):
        raise TypeError(f"server_hostname must be a str, not {type(value).__name__}.")
    if not value or not value.isprintable() or any(c in value for c in " /@"):
        raise TLSConfigurationError(
            "server_hostname must be a host name or an IP address alone, such as 'example.com'."
        )
    return value


def _check_version(value: Any) -> ssl.TLSVersion:
    """Return a version of TLS that is not known to be broken."""
    if not isinstance(value, ssl.TLSVersion):
        raise TypeError(f"minimum_version must be an ssl.TLSVersion, not {type(value).__name__}.")
    if value not in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
        raise TLSConfigurationError(
            f"minimum_version cannot be {value.name}: use ssl.TLSVersion.TLSv1_2 or TLSv1_3, or "
            "give a context of your own as ssl=."
        )
    return value
