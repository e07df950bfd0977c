"""Whom the client trusts: roots, lists of revoked certificates, and how strictly they are read."""

from __future__ import annotations

import base64
import os
import re
import ssl
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final, Literal, get_args

import certifi

from ...errors import TLSConfigurationError, TrustError
from ..files.keyfile import files_for
from ..files.pem import Block, blocks, check_path, is_certificate, unfinished
from ..files.stamps import Stamps, stamps_of

__all__ = ["CRLCheck", "Trust", "TrustContents", "TrustSource", "check_switch", "check_word"]

TrustSource = Literal["certifi", "system"]
"""Where roots come from that the caller does not name one by one."""

CRLCheck = Literal["leaf", "chain"]
"""Which certificates are looked up in the lists of revoked ones."""

_Path = str | os.PathLike[str]

_HASHED_NAME: Final = re.compile(r"[0-9a-f]{8}\.[0-9]+")
"""What `openssl rehash` calls a certificate; OpenSSL looks for no other names."""

_CRL: Final = "X509 CRL"
_OS_REASONS: Final[tuple[tuple[type[OSError], str], ...]] = (
    (FileNotFoundError, "file_not_found"),
    (PermissionError, "permission_denied"),
    (IsADirectoryError, "is_a_directory"),
    (NotADirectoryError, "not_a_directory"),
)


@dataclass(frozen=True, slots=True)
class TrustContents:
    """What the files of a `Trust` held at one moment.

    Attributes:
        stamps: what told this state of the files from others.
        settled: whether a change since then must show in the stamps.
        roots: certificates of `Trust.cafile` in PEM; ``None`` without one.
        crls: all lists of revoked certificates in PEM; empty without any.
    """

    stamps: Stamps
    settled: bool
    roots: bytes | None
    crls: bytes


@dataclass(frozen=True, slots=True)
class Trust:
    """Whom to trust, as the caller says it; nothing is read before `read`.

    Attributes:
        source: roots of certifi or of the system, to which the others are added; ``None`` for
            certifi if there are no others (`heed_environment` comes first).
        cafile: path of a PEM file with roots.
        capath: path of a directory of roots, as `openssl rehash` makes it.
        cadata: roots themselves, PEM as `str` or DER as `bytes`.
        crlfile: path of a file of lists of revoked certificates, PEM or DER.
        crldata: such lists themselves, in PEM.
        crl_check: whether to look up the server's certificate alone, or all up to the root.
        strict: whether certificates must keep to RFC 5280; ``None`` for Python's default.
        verify: ``False`` accepts any certificate, and reads nothing.
    """

    source: TrustSource | None = None
    cafile: str | None = None
    capath: str | None = None
    cadata: str | bytes | None = None
    crlfile: str | None = None
    crldata: bytes | None = None
    crl_check: CRLCheck = "leaf"
    strict: bool | None = None
    verify: bool = True

    @property
    def paths(self) -> str:
        """The files and directories, for the log."""
        return ", ".join(each for each in (self.cafile, self.capath, self.crlfile) if each)

    @classmethod
    def of(
        cls,
        *,
        trust: TrustSource | None = None,
        cafile: _Path | None = None,
        capath: _Path | None = None,
        cadata: str | bytes | None = None,
        crlfile: _Path | None = None,
        crldata: str | bytes | None = None,
        crl_check: CRLCheck = "leaf",
        strict: bool | None = None,
        verify: bool = True,
    ) -> Trust:
        """Check what a caller gave. Data is tried out on OpenSSL, which takes under 1 ms.

        Args:
            trust: see `source`.
            cafile: a path.
            capath: a path.
            cadata: PEM as `str` or `bytes`, or DER as `bytes`.
            crlfile: a path.
            crldata: PEM as `str` or `bytes`, or DER as `bytes`.
            crl_check: ``"leaf"`` or ``"chain"``.
            strict: ``True``, ``False`` or ``None``.
            verify: ``True`` or ``False``.

        Raises:
            TrustError: a `ValueError`; data that holds no certificates or lists, or PEM text in
                the place of a path.
            TLSConfigurationError: a `ValueError`; an empty path, or a word that is not known.
            TypeError: a value of the wrong type.
        """
        if crlfile is crldata is None and crl_check == "chain":
            raise TrustError(
                'crl_check="chain" needs revocation lists: give them as crlfile= or crldata=.',
                reason="crl_unreadable",
            )
        return cls(
            source=None if trust is None else check_word("trust", trust, TrustSource),
            cafile=_check_path("cafile", cafile, instead="cadata="),
            capath=_check_path("capath", capath, instead="cadata="),
            cadata=_check_cadata(cadata),
            crlfile=_check_path("crlfile", crlfile, instead="crldata="),
            crldata=_check_crldata(crldata),
            crl_check=check_word("crl_check", crl_check, CRLCheck),
            strict=None if strict is None else check_switch("strict", strict),
            verify=check_switch("verify", verify),
        )

    @property
    def roots(self) -> TrustSource | None:
        """The roots that are trusted apart from the caller's own."""
        return self.source if self.chosen else "certifi"

    @property
    def chosen(self) -> bool:
        """Whether the caller chose any roots."""
        return not (self.source is self.cafile is self.capath is self.cadata is None)

    @property
    def directories(self) -> tuple[str, ...]:
        """The directories of roots."""
        return () if self.capath is None else (self.capath,)

    def stamps(self) -> Stamps:
        """Return what tells one state of the files from another, in a few microseconds each.

        A file in `capath` that is overwritten in place goes unnoticed.
        """
        return stamps_of(tuple(self._paths()))

    def read(self) -> TrustContents:
        """Read the files. Blocks.

        Raises:
            TrustError: a file is missing, unreadable, or changed meanwhile.
        """
        if not self.verify:
            return TrustContents(Stamps(()), True, None, b"")
        now = time.time_ns()
        stamps = self.stamps()
        roots = None if self.cafile is None else _read_roots(self.cafile)
        for directory in self.directories:
            _check_directory(directory)
        crls = [] if self.crldata is None else [self.crldata]
        if self.crlfile is not None:
            crls.append(_read_crls(self.crlfile))
        if self.stamps() != stamps:
            raise TrustError(
                "The files of trusted roots or of revoked certificates changed while they were "
                "read.",
                reason="unreadable",
            )
        return TrustContents(stamps, stamps.settled(now), roots, b"".join(crls))

    def load_into(self, context: ssl.SSLContext, contents: TrustContents) -> None:
        """Make a new context trust what is to be trusted. Blocks: certifi alone takes 16 ms.

        After an error the context is good for nothing.

        Args:
            context: a new one for a client.
            contents: what `read` returned.

        Raises:
            TrustError: OpenSSL finds no certificates or lists in them, or does not accept them.
        """
        if not self.verify:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
            return
        self._set_strict(context)
        self._load_roots(context, contents)
        if contents.crls:
            name = (
                f"The file of revoked certificates {self.crlfile}" if self.crlfile else "crldata"
            )
            _load_pem(context, contents.crls, name, "crl_unreadable")
            leaf_only = self.crl_check == "leaf"
            context.verify_flags |= (
                ssl.VERIFY_CRL_CHECK_LEAF if leaf_only else ssl.VERIFY_CRL_CHECK_CHAIN
            )

    def _paths(self) -> Iterator[str]:
        """Yield every path whose change makes a difference."""
        if not self.verify:
            return
        if self.roots == "system":
            paths = ssl.get_default_verify_paths()
            yield from (path for path in (paths.cafile, paths.capath) if path is not None)
        yield from (path for path in (self.cafile, *self.directories, self.crlfile) if path)

    def _set_strict(self, context: ssl.SSLContext) -> None:
        if self.strict is True:
            context.verify_flags |= ssl.VERIFY_X509_STRICT
        elif self.strict is False:
            context.verify_flags &= ~ssl.VERIFY_X509_STRICT

    def _load_roots(self, context: ssl.SSLContext, contents: TrustContents) -> None:
        if self.roots == "certifi":
            context.load_verify_locations(cafile=certifi.where())
        elif self.roots == "system":
            _load_system(context)
        if contents.roots is not None:
            name = f"The file of trusted roots {self.cafile}"
            _load_pem(context, contents.roots, name, "unreadable")
        if self.capath is not None:
            context.load_verify_locations(capath=self.capath)
        if self.cadata is not None:
            _load_cadata(context, self.cadata)


def _load_system(context: ssl.SSLContext) -> None:
    """Trust what the system trusts; OpenSSL itself is content with nothing at all."""
    context.load_default_certs(ssl.Purpose.SERVER_AUTH)
    if context.cert_store_stats()["x509"]:
        return
    directory = ssl.get_default_verify_paths().capath
    if directory is None or not _has_hashed_names(directory):
        raise TrustError(
            "The system has no trusted roots, so that no server could be trusted.",
            reason="no_certificates",
            hint=(
                "Install its ca-certificates, name a file in the environment variable "
                "SSL_CERT_FILE or a directory in SSL_CERT_DIR, or use trust='certifi'."
            ),
        )


def _load_pem(context: ssl.SSLContext, content: bytes, name: str, reason: str) -> None:
    """Load certificates or lists of revoked ones; only from a file does `ssl` take all kinds."""
    try:
        with files_for(content) as (file,):
            context.load_verify_locations(cafile=file)
    except (OSError, ValueError) as exc:
        fault = "is damaged"
        if isinstance(exc, OSError) and not isinstance(exc, ssl.SSLError):
            fault = f"cannot be loaded: {exc.strerror or type(exc).__name__}"
        raise TrustError(
            f"{name} {fault}.", reason=reason, openssl_reason=_openssl_reason(exc)
        ) from exc


def _read_roots(path: str) -> bytes:
    """Return the certificates in a file, as PEM and without anything else that is there."""
    content = _read("file of trusted roots", path)
    found = _certificates(content)
    name = f"The file of trusted roots {path}"
    # As in the middle of being written; OpenSSL would be content with those before it.
    if unfinished(content):
        raise TrustError(f"{name} is damaged: a PEM block in it has no end.", reason="unreadable")
    if not found:
        fault, reason, hint = _without_certificate(content)
        raise TrustError(f"{name} {fault}.", reason=reason, hint=hint)
    return found


def _certificates(content: bytes) -> bytes:
    return b"".join(block.text for block in blocks(content) if is_certificate(block.label))


def _without_certificate(content: bytes) -> tuple[str, str, str]:
    """Say what is in a file without certificates: the fault, its reason, and a hint."""
    if not content.strip():
        return "is empty", "no_certificates", ""
    labels = {block.label for block in blocks(content)}
    if any(label.endswith("PRIVATE KEY") for label in labels):
        return "holds a private key and no certificate", "no_certificates", ""
    if _CRL in labels:
        return (
            "holds a list of revoked certificates and no certificate",
            "no_certificates",
            "Give it as crlfile=.",
        )
    if _looks_like_der(content):
        return (
            "is in DER or PKCS#12 form, but must be PEM",
            "unreadable",
            "Convert it: openssl x509 -inform der -in OLD -out NEW. Or give DER as cadata=.",
        )
    return (
        "holds no certificate in PEM form (-----BEGIN CERTIFICATE-----)",
        "no_certificates",
        "",
    )


def _check_directory(path: str) -> None:
    """See that OpenSSL finds a certificate; it would trust nobody without a word."""
    try:
        found = _has_hashed_names(path)
    except OSError as exc:
        raise _os_fault("directory of trusted roots", path, exc) from exc
    if not found:
        raise TrustError(
            f"The directory of trusted roots {path} has no certificates under the names that "
            "OpenSSL looks for, such as 1a2b3c4d.0.",
            reason="no_certificates",
            hint=f"Make the names with: openssl rehash {path}",
        )


def _has_hashed_names(path: str) -> bool:
    with os.scandir(path) as entries:
        return any(_HASHED_NAME.fullmatch(entry.name) for entry in entries)


def _load_cadata(context: ssl.SSLContext, data: str | bytes) -> None:
    """Trust certificates in memory."""
    if isinstance(data, str):
        _load_pem(context, data.encode(), "cadata", "unreadable")
        return
    try:
        context.load_verify_locations(cadata=data)
    except (ssl.SSLError, ValueError) as exc:
        raise TrustError(
            "cadata holds no usable certificates: it must be PEM text or DER bytes.",
            reason="unreadable",
            openssl_reason=_openssl_reason(exc),
        ) from exc


def _read_crls(path: str) -> bytes:
    """Return the lists in a file, as PEM and without anything else that is there."""
    content = _read("file of revoked certificates", path)
    crls = _crls(content)
    if not crls and not unfinished(content) and b"-----BEGIN CERTIFICATE-----" in content:
        raise TrustError(
            f"The file of revoked certificates {path} holds a certificate and no list.",
            reason="crl_unreadable",
            hint="A root belongs into cafile=; crlfile= takes what openssl ca -gencrl makes.",
        )
    if not crls or unfinished(content):
        raise TrustError(
            f"The file of revoked certificates {path} holds no whole list, neither in PEM form "
            "(-----BEGIN X509 CRL-----) nor in DER form.",
            reason="crl_unreadable",
        )
    return crls


def _crls(content: bytes) -> bytes:
    """Return lists of revoked certificates as PEM; empty if there are none.

    Certificates that stand beside them must not become roots.
    """
    if _looks_like_der(content):
        return Block(_CRL, (), base64.b64encode(content)).text
    return b"".join(block.text for block in blocks(content) if block.label == _CRL)


def _looks_like_der(content: bytes) -> bool:
    # A SEQUENCE with a length of more than one byte. PEM begins with a printable character.
    return content[:1] == b"\x30" and content[1:2] in (b"\x81", b"\x82", b"\x83")


def _read(label: str, path: str) -> bytes:
    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError as exc:
        raise _os_fault(label, path, exc) from exc


def _os_fault(label: str, path: str, exc: OSError) -> TrustError:
    """Return the error for a path that the operating system does not let us read."""
    reason = next((word for kind, word in _OS_REASONS if isinstance(exc, kind)), "unreadable")
    return TrustError(
        f"The {label} {path} cannot be read: {exc.strerror or type(exc).__name__}.",
        reason=reason,
        hint="Check the path and its permissions.",
    )


def _openssl_reason(exc: Exception) -> str:
    """Return OpenSSL's name for a fault, empty where it has none."""
    return str(getattr(exc, "reason", None) or "")


def _check_path(name: str, value: Any, *, instead: str) -> str | None:
    return check_path(name, value, instead=instead, error=TrustError)


def _check_cadata(value: Any) -> str | bytes | None:
    """Return trusted roots as PEM text without what stands around it, or as DER."""
    data = _check_data("cadata", value)
    if data is None:
        return None
    checked: str | bytes = data
    if b"-----BEGIN" in data or isinstance(value, str):
        found = _certificates(data)
        if not found or unfinished(data):
            raise TrustError(
                "cadata has no whole certificate in PEM form (-----BEGIN CERTIFICATE-----). Give "
                "the path of a file as cafile=, and DER as bytes.",
                reason="no_certificates",
            )
        checked = found.decode("latin-1")
    _load_cadata(ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT), checked)
    return checked


def _check_crldata(value: Any) -> bytes | None:
    """Return lists of revoked certificates as PEM."""
    data = _check_data("crldata", value)
    if data is None:
        return None
    crls = _crls(data)
    if not crls or unfinished(data):
        raise TrustError(
            "crldata has no whole list of revoked certificates, neither in PEM form "
            "(-----BEGIN X509 CRL-----) nor in DER form. Give the path of a file as crlfile=.",
            reason="crl_unreadable",
        )
    _load_pem(ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT), crls, "crldata", "crl_unreadable")
    return crls


def _check_data(name: str, value: Any) -> bytes | None:
    """Return what holds certificates or lists as bytes."""
    if value is None:
        return None
    if not isinstance(value, (str, bytes, bytearray, memoryview)):
        raise TypeError(f"{name} must be str or bytes, not {type(value).__name__}.")
    if not value:
        raise TrustError(
            f"{name} is empty, so that no server could be trusted: leave it out for the default.",
            reason="no_certificates" if name == "cadata" else "crl_unreadable",
        )
    # Only what is in ASCII matters: the rest may be lost.
    return value.encode("latin-1", "replace") if isinstance(value, str) else bytes(value)


def check_word(name: str, value: Any, words: Any) -> Any:
    """Return one of the words of a `Literal`.

    Args:
        name: of the argument, for the text of an error.
        value: what was given.
        words: the `Literal`.

    Raises:
        TLSConfigurationError: it is another word.
        TypeError: it is no `str`.
    """
    if not isinstance(value, str):
        raise TypeError(f"{name} must be a str, not {type(value).__name__}.")
    known = get_args(words)
    if value not in known:
        raise TLSConfigurationError(
            f"{name} must be {' or '.join(map(repr, known))}, not {value[:40]!r}."
        )
    return value


def check_switch(name: str, value: Any) -> bool:
    """Return a `bool`.

    Args:
        name: of the argument, for the text of an error.
        value: what was given.

    Raises:
        TypeError: it is something else.
    """
    if not isinstance(value, bool):
        raise TypeError(f"{name} must be True or False, not {type(value).__name__}.")
    return value
