"""What an `ssl.SSLContext` is made of, and the making of it."""

from __future__ import annotations

import re
import ssl
import sys
from dataclasses import dataclass
from typing import Any, Final

from ...errors import TLSConfigurationError
from ..handshake.checks import PeerChecks
from ..handshake.context import HandshakeContext
from ..identity.identity import ClientIdentity
from .trust import Trust, TrustContents

__all__ = [
    "ContextSettings",
    "check_ciphers",
    "check_maximum_version",
    "check_minimum_version",
]

_VERSIONS: Final = (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3)
_TLS13_SUITE: Final = re.compile(r"(?:^|[:,;\s])[-+!]?(TLS_[A-Z0-9_]+)")


@dataclass(frozen=True, slots=True)
class ContextSettings:
    """All that makes one context differ from another, but for files and identity.

    Attributes:
        trust: whom to trust.
        checks: what the server's certificate must be beyond that; ``None`` for nothing.
        check_hostname: whether it must be for the name that was asked for.
        allow_common_name: whether the common name counts if there is no other name.
        minimum_version: the oldest version of TLS to speak.
        maximum_version: the newest; ``None`` for the newest that there is.
        ciphers: for TLS 1.2, as OpenSSL writes them; ``None`` for Python's default.
        keylog_filename: where to write the secrets of connections; ``None`` for nowhere.
        session_resumption: whether to resume sessions.
        post_handshake_auth: whether a server may ask for a certificate later.
    """

    trust: Trust
    checks: PeerChecks | None
    check_hostname: bool
    allow_common_name: bool
    minimum_version: ssl.TLSVersion
    maximum_version: ssl.TLSVersion | None
    ciphers: str | None
    keylog_filename: str | None
    session_resumption: bool
    post_handshake_auth: bool

    @property
    def may_go_direct(self) -> bool:
        """Whether OpenSSL alone can make the connections; see `HandshakeContext.go_direct`."""
        return not (self.checks or self.session_resumption)

    def context(self, contents: TrustContents, keylog: str | None) -> HandshakeContext:
        """Return a new context, still without an identity. Blocks: certifi alone takes 16 ms.

        Args:
            contents: what `Trust.read` returned.
            keylog: where to write the secrets of connections; ``None`` for nowhere.

        Raises:
            TrustError: the roots or revocation lists cannot be used.
            TLSConfigurationError: the key log cannot be written.
        """
        context = _new_context()
        context.minimum_version = self.minimum_version
        if self.maximum_version is not None:
            context.maximum_version = self.maximum_version
        if self.ciphers is not None:
            context.set_ciphers(self.ciphers)
        context.check_hostname = self.check_hostname
        context.hostname_checks_common_name = self.allow_common_name
        self.trust.load_into(context, contents)
        if keylog is not None:
            _log_keys(context, keylog)
        context.checks = self.checks
        context.resume = self.session_resumption
        context.post_handshake_auth = self.post_handshake_auth
        return context

    def show(self, identity: ClientIdentity, context: HandshakeContext) -> None:
        """Let a new context show an identity to servers that ask. Blocks for about 1 ms.

        Args:
            identity: what to show.
            context: made by `context`, and not used yet.

        Raises:
            IdentityError: OpenSSL does not accept the certificate or its key.
            TLSConfigurationError: the system has no descriptor or space left for it.
        """
        try:
            identity.load_into(context)
        except OSError as exc:
            raise TLSConfigurationError(
                "The client certificate cannot be handed to OpenSSL: "
                f"{exc.strerror or type(exc).__name__}."
            ) from exc


def _new_context() -> HandshakeContext:
    """Return a verifying context for HTTP/1.1, still without roots."""
    context = HandshakeContext(ssl.PROTOCOL_TLS_CLIENT)
    # RFC 6455, section 1.3: the upgrade exists in HTTP/1.1 only.
    context.set_alpn_protocols(["http/1.1"])
    if sys.version_info >= (3, 13):
        # What ssl.create_default_context() sets there.
        context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN | ssl.VERIFY_X509_STRICT
    return context


def _log_keys(context: ssl.SSLContext, path: str) -> None:
    try:
        context.keylog_filename = path
    except OSError as exc:
        raise TLSConfigurationError(
            f"The key log {path}, which keylog_filename= or the environment variable "
            f"SSLKEYLOGFILE names, cannot be written: {exc.strerror or type(exc).__name__}."
        ) from exc


def check_minimum_version(value: Any) -> ssl.TLSVersion:
    """Return a version of TLS that is not known to be broken.

    Raises:
        TLSConfigurationError: a version before 1.2.
        TypeError: it is no version.
    """
    version = _check_version("minimum_version", value)
    if version not in _VERSIONS:
        raise TLSConfigurationError(
            f"minimum_version cannot be {version.name}: use ssl.TLSVersion.TLSv1_2 or TLSv1_3, or "
            "give a context of your own as ssl=."
        )
    return version


def check_maximum_version(value: Any, minimum: ssl.TLSVersion) -> ssl.TLSVersion | None:
    """Return the newest version to speak.

    Args:
        value: a version, or ``None``.
        minimum: the oldest one.

    Raises:
        TLSConfigurationError: it is older than `minimum`, or none that can be spoken.
        TypeError: it is no version.
    """
    if value is None:
        return None
    version = _check_version("maximum_version", value)
    if version not in _VERSIONS:
        raise TLSConfigurationError(
            f"maximum_version cannot be {version.name}: use ssl.TLSVersion.TLSv1_2 or TLSv1_3, or "
            "None for the newest."
        )
    if version < minimum:
        raise TLSConfigurationError(
            f"maximum_version {version.name} is older than minimum_version {minimum.name}."
        )
    return version


def _check_version(name: str, value: Any) -> ssl.TLSVersion:
    if not isinstance(value, ssl.TLSVersion):
        raise TypeError(f"{name} must be an ssl.TLSVersion, not {type(value).__name__}.")
    return value


def check_ciphers(value: Any) -> str | None:
    """Return cipher suites of TLS 1.2 that OpenSSL knows.

    Args:
        value: as `ssl.SSLContext.set_ciphers` takes it, or ``None``.

    Raises:
        TLSConfigurationError: OpenSSL knows none of them, or suites of TLS 1.3 are among them.
        TypeError: it is no `str`.
    """
    if value is None:
        return None
    if not isinstance(value, str):
        raise TypeError(f"ciphers must be a str, not {type(value).__name__}.")
    new = _TLS13_SUITE.search(value)
    if new is not None:
        # OpenSSL would ignore it beside others, and refuse it alone.
        raise TLSConfigurationError(
            f"ciphers cannot hold {new.group(1)}, a cipher suite of TLS 1.3: before Python 3.15 "
            "those cannot be chosen, and OpenSSL offers them all. Leave it out, or give a context "
            "of your own as ssl=."
        )
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).set_ciphers(value)
    except (ssl.SSLError, ValueError) as exc:
        raise TLSConfigurationError(
            f"ciphers {value!r} name no cipher suite that this OpenSSL has "
            f"({ssl.OPENSSL_VERSION}).",
            openssl_reason=str(getattr(exc, "reason", None) or ""),
        ) from exc
    return value
