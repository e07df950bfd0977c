"""What the caller wants of TLS: identity, trust, names, checks and versions."""

from __future__ import annotations

import asyncio
import functools
import inspect
import math
import os
import ssl
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal, NoReturn

from ..errors import IdentityError, TLSConfigurationError
from .contexts.preparing import Preparer
from .contexts.settings import (
    ContextSettings,
    check_ciphers,
    check_maximum_version,
    check_minimum_version,
)
from .contexts.trust import CRLCheck, Trust, TrustSource, check_switch, check_word
from .files.pem import check_path
from .handshake.checks import AuthorizeServer, PeerChecks
from .identity.identity import ClientIdentity
from .identity.passwords import Password, check_password
from .rotation.providers import (
    FileIdentityProvider,
    IdentityProvider,
    IdentitySource,
    as_provider,
)

__all__ = ["CertificateFiles", "IdentityLike", "OnRotation", "TLSConfig"]

_Path = str | os.PathLike[str]

CertificateFiles = tuple[str, str | None, Password]
"""Paths of certificate chain and private key, and the key's password."""

IdentityLike = ClientIdentity | IdentityProvider | IdentitySource
"""An identity, or whoever is asked for one at every connect."""

OnRotation = Literal["keep", "close"]
"""What becomes of a connection when the identity that it was opened with is replaced."""


# Arguments, by what they become a part of.
_TRUST: Final = (
    "cafile", "capath", "cadata", "crlfile", "crldata", "crl_check", "strict", "verify",
)  # fmt: skip
_CHECKS: Final = (
    "pinned_public_keys", "spiffe_ids", "spiffe_trust_domain", "authorize_server",
)  # fmt: skip
_CONTEXT: Final = (
    "allow_common_name", "minimum_version", "maximum_version", "ciphers", "keylog_filename",
    "session_resumption", "post_handshake_auth",
)  # fmt: skip


@dataclass(frozen=True, slots=True, init=False, repr=False)
class TLSConfig:
    """How to do TLS with a server. Immutable; connections, loops and threads may share one.

    Files are read when a connection is opened, in a thread, and read again by the next one after
    they changed. If they cannot be used then, the last good ones are, and a warning is logged
    on ``wsclient.tls``. Nothing is ever read from the terminal: an encrypted key without a
    password is an error.

    Two are equal if they were given the same.

    Attributes:
        identity: who the client is, as it was given.
        cert: the files of the client's certificate, instead of `identity`; ``None`` for none.
        trust: roots that the caller does not name one by one; ``None`` for those of the
            environment, else certifi's, unless there are others.
        cafile: path of a PEM file with trusted roots.
        capath: path of a directory of trusted roots, as ``openssl rehash`` makes it.
        cadata: trusted roots themselves, as PEM text or DER bytes.
        verify: whether the server must show a certificate that is trusted.
        server_hostname: name to ask for and to check the server's certificate against; ``None``
            means the host of the URL.
        check_hostname: whether the server's certificate must be for that name; ``None`` means
            that it must, unless a SPIFFE id is asked for.
        allow_common_name: whether a name in the certificate's subject counts, if it has no other.
        pinned_public_keys: pins of the server's public key, any of which it may have.
        spiffe_ids: SPIFFE ids, any of which the server may have.
        spiffe_trust_domain: where its SPIFFE id must be.
        authorize_server: who has the last word on the server's certificate.
        minimum_version: the oldest version of TLS to speak, 1.2 or 1.3.
        maximum_version: the newest; ``None`` for the newest that there is.
        ciphers: cipher suites of TLS 1.2, as OpenSSL writes them; ``None`` for the default.
        crlfile: path of a file of revoked certificates, PEM or DER.
        crldata: revoked certificates, in PEM.
        crl_check: whether to look up the server's certificate alone, or its chain as well.
        strict: whether certificates must keep to RFC 5280; ``None`` for Python's default.
        keylog_filename: file for the secrets of connections.
        session_resumption: whether to resume TLS sessions.
        post_handshake_auth: whether the server may ask for a certificate after the handshake.
        refresh_interval: seconds between questions for a newer identity while connected.
        on_rotation: what becomes of open connections when there is one.
        expiry_warning: seconds before its end from which an identity is warned of.
    """

    identity: IdentityLike | None
    cert: CertificateFiles | None
    trust: TrustSource | None
    cafile: str | None
    capath: str | None
    cadata: str | bytes | None
    verify: bool
    server_hostname: str | None
    check_hostname: bool | None
    allow_common_name: bool
    pinned_public_keys: frozenset[str]
    spiffe_ids: frozenset[str]
    spiffe_trust_domain: str | None
    authorize_server: AuthorizeServer | None
    minimum_version: ssl.TLSVersion
    maximum_version: ssl.TLSVersion | None
    ciphers: str | None
    crlfile: str | None
    crldata: bytes | None
    crl_check: CRLCheck
    strict: bool | None
    keylog_filename: str | None
    session_resumption: bool
    post_handshake_auth: bool
    refresh_interval: float | None
    on_rotation: OnRotation
    expiry_warning: float | None
    # For the package itself: what follows from all of the above.
    preparer: Preparer = field(init=False, compare=False)

    def __init__(
        self,
        *,
        identity: IdentityLike | None = None,
        cert: _Path
        | tuple[_Path, _Path | None]
        | tuple[_Path, _Path | None, Password]
        | None = None,
        trust: TrustSource | None = None,
        cafile: _Path | None = None,
        capath: _Path | None = None,
        cadata: str | bytes | None = None,
        verify: bool = True,
        server_hostname: str | None = None,
        check_hostname: bool | None = None,
        allow_common_name: bool = False,
        pinned_public_keys: str | Iterable[str] = (),
        spiffe_ids: str | Iterable[str] = (),
        spiffe_trust_domain: str | None = None,
        authorize_server: AuthorizeServer | None = None,
        minimum_version: ssl.TLSVersion = ssl.TLSVersion.TLSv1_2,
        maximum_version: ssl.TLSVersion | None = None,
        ciphers: str | None = None,
        crlfile: _Path | None = None,
        crldata: str | bytes | None = None,
        crl_check: CRLCheck = "leaf",
        strict: bool | None = None,
        keylog_filename: _Path | None = None,
        session_resumption: bool = False,
        post_handshake_auth: bool = True,
        refresh_interval: float | None = None,
        on_rotation: OnRotation = "keep",
        expiry_warning: float | None = None,
    ) -> None:
        """Check the values and keep them; no file is opened yet. Data is tried out on OpenSSL.

        Args:
            identity: a `ClientIdentity`, an `IdentityProvider`, or a function without arguments
                that returns a `ClientIdentity`, plain or async. It is asked at every connect; a
                plain function is called in a thread. ``None`` shows no certificate.
            cert: a short form of `identity`: path of one PEM file with certificate chain and
                key, or ``(certfile, keyfile)``, or ``(certfile, keyfile, password)``.
            trust: ``"certifi"`` or ``"system"``. Given explicitly, the caller's own roots are
                added to it; else they replace it. ``None`` without roots of one's own takes those
                that the environment variables SSL_CERT_FILE and SSL_CERT_DIR name at each
                connect, and without these certifi's.
            cafile: a path. All roots that are given are trusted together.
            capath: a path. A file in it that is overwritten in place is not noticed.
            cadata: PEM as `str` or `bytes`, or DER as `bytes`.
            verify: ``False`` accepts any certificate, which protects against nobody who can put
                himself between client and server. `pinned_public_keys`, `spiffe_ids`,
                `spiffe_trust_domain` and `authorize_server` are heeded nevertheless; roots and
                revocation lists are not even read.
            server_hostname: a host name or IP address.
            check_hostname: ``False`` accepts a certificate for any name that a trusted root
                has signed.
            allow_common_name: ``True`` is for certificates from before RFC 9525.
            pinned_public_keys: ``"sha256//"`` and base64, as curl writes it: one, several with
                ``;`` between them, or an iterable. Pin the server's next key as well.
            spiffe_ids: one or an iterable, such as ``"spiffe://example.org/billing"``.
            spiffe_trust_domain: such as ``"example.org"``.
            authorize_server: a plain function, called with a `PeerCertificate` on the event loop
                while the handshake waits. It refuses by ``False`` or by an exception. With TLS
                1.3 a server that is refused here, or before, never sees our certificate.
            minimum_version: `ssl.TLSVersion.TLSv1_2` or `ssl.TLSVersion.TLSv1_3`.
            maximum_version: the same, and not older than `minimum_version`.
            ciphers: as `ssl.SSLContext.set_ciphers` takes it. Those of TLS 1.3 cannot be chosen.
            crlfile: a path. Every list that is missing or has expired refuses the server.
            crldata: PEM as `str` or `bytes`, or DER as `bytes`; added to `crlfile`.
            crl_check: ``"leaf"`` or ``"chain"``, which needs a list of every issuer in the chain.
            strict: ``False`` accepts certificates that break RFC 5280, as many private
                authorities make them. Python checks it by default from 3.13 on.
            keylog_filename: a path, which Wireshark can read. ``None`` heeds the environment
                variable SSLKEYLOGFILE, as curl and browsers do.
            session_resumption: ``True`` saves a part of the handshake. The server then takes us
                for who we were, and its certificate is not verified again.
            post_handshake_auth: as servers do that want certificates for some paths alone; see
                RFC 8446, section 4.6.2. ``False`` makes Apache answer 403 there, without a
                reason.
            refresh_interval: more than 0; ``None`` for 60 with ``on_rotation="close"``, else for
                asking at connects only.
            on_rotation: ``"keep"`` leaves connections open, as the server does not look at
                their certificate again; ``"close"`` closes each with 1001 after a random while.
            expiry_warning: one warning for each identity, at a connect or while connected, unless
                it has been replaced by then. ``None`` means the last tenth of its lifetime; 0
                never warns.

        Raises:
            TLSConfigurationError: a `ValueError`; an empty value, PEM text in the place of a
                path, two values that exclude each other, or one that cannot be.
            TrustError: a `TLSConfigurationError`; roots or lists that are none.
            IdentityError: a `TLSConfigurationError`; a password that cannot be.
            TypeError: a value of the wrong type.
        """
        given = dict(locals())
        del given["self"]
        _fill(self, given, None)

    def __hash__(self) -> int:
        # Not of the identity and the password: they need not be hashable.
        return hash((self.preparer.settings, self.server_hostname))

    def __copy__(self) -> TLSConfig:
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> TLSConfig:
        return self

    def __reduce__(self) -> NoReturn:
        raise TypeError("A TLSConfig cannot be pickled: it may hold a password or a private key.")

    def __repr__(self) -> str:
        """Show what was given, but no password, no data, and no function's arguments."""
        shown = []
        for name, default in _defaults().items():
            value = getattr(self, name)
            if value != default and (value or default != ()):
                shown.append(f"{name}={_shown(name, value)}")
        return f"TLSConfig({', '.join(shown)})"

    @property
    def provider(self) -> IdentityProvider | None:
        """Who is asked for the identity at every connect; ``None`` if there is none to show."""
        return self.preparer.provider

    def replace(self, **changes: Any) -> TLSConfig:
        """Return a configuration that differs in some values.

        What was loaded for this one is not loaded again. `identity` and `cert` take each other's
        place.

        Args:
            changes: as the arguments of the class.

        Raises:
            TLSConfigurationError: as the class.
            TypeError: as the class; also for a name that it does not know.
        """
        given = {name: getattr(self, name) for name in _defaults()}
        unknown = sorted(changes.keys() - given.keys())
        if unknown:
            raise TypeError(f"TLSConfig has no {', '.join(unknown)}.")
        for name, other in (("identity", "cert"), ("cert", "identity")):
            if changes.get(name) is not None:
                given[other] = None
        config = object.__new__(TLSConfig)
        _fill(config, given | changes, self)
        return config

    def without_identity(self) -> TLSConfig:
        """Return the same without a certificate to show; itself if there is none."""
        if self.provider is None:
            return self
        return self.replace(identity=None, cert=None)

    def check(self) -> None:
        """Load identity and trust now, and raise what connecting would raise. Nothing is sent.

        It blocks. An async function or provider is awaited in an event loop of its own.

        Raises:
            IdentityError: there is no identity, or OpenSSL does not accept it.
            TrustError: trusted roots or revocation lists cannot be used.
            TLSConfigurationError: the key log cannot be written.
            RuntimeError: an event loop runs in this thread; use `load` there.
        """
        if _loop_runs_here():
            raise RuntimeError("check() blocks, and an event loop runs here: use await load().")
        # Not asyncio.run(), which takes away the thread's current loop.
        loop = asyncio.new_event_loop()
        try:
            loop.run_until_complete(self.load())
        finally:
            loop.run_until_complete(loop.shutdown_default_executor())
            loop.close()

    async def load(self) -> None:
        """Load identity and trust now, and raise what connecting would raise. Nothing is sent.

        The first connect then finds them loaded. Cancelling it does no harm.

        Raises:
            IdentityError: there is no identity, or OpenSSL does not accept it.
            TrustError: trusted roots or revocation lists cannot be used.
            TLSConfigurationError: the key log cannot be written.
        """
        await self.preparer.prepare()


def _loop_runs_here() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


@functools.cache
def _defaults() -> Mapping[str, Any]:
    """Return the names and default values of all arguments."""
    parameters = inspect.signature(TLSConfig).parameters.values()
    return {each.name: each.default for each in parameters}


def _fill(config: TLSConfig, given: Mapping[str, Any], like: TLSConfig | None) -> None:
    """Set all attributes.

    Args:
        config: a new one.
        given: the arguments.
        like: where to take from what follows from arguments that are the same.
    """
    values = dict(given)
    trust = _trust(given, like)
    for name in _TRUST:
        values[name] = getattr(trust, name)
    values["trust"] = trust.source
    checks = PeerChecks(**{name: given[name] for name in _CHECKS})
    values["pinned_public_keys"] = checks.pins
    values["spiffe_ids"] = checks.spiffe_ids
    values |= _checked(given, trust, checks)
    settings = _settings(values, trust, checks)
    provider = _provider(values, like)
    values["preparer"] = Preparer(settings, provider, values["expiry_warning"])
    for name, value in values.items():
        object.__setattr__(config, name, value)


def _trust(given: Mapping[str, Any], like: TLSConfig | None) -> Trust:
    if like is not None and all(given[name] == getattr(like, name) for name in ("trust", *_TRUST)):
        return like.preparer.settings.trust
    return Trust.of(trust=given["trust"], **{name: given[name] for name in _TRUST})


def _checked(given: Mapping[str, Any], trust: Trust, checks: PeerChecks) -> dict[str, Any]:
    """Return the values that need a check, and are not of trust or of the peer's checks."""
    minimum = check_minimum_version(given["minimum_version"])
    check_hostname = _check_choice("check_hostname", given["check_hostname"])
    if check_hostname and not trust.verify:
        raise TLSConfigurationError(
            "check_hostname=True needs verify=True: the name in a certificate that anybody may "
            "have made says nothing."
        )
    if given["identity"] is not None and given["cert"] is not None:
        raise TLSConfigurationError(
            "identity and cert exclude each other: cert is a short form for an identity in files."
        )
    keylog = check_path("keylog_filename", given["keylog_filename"], instead="cadata=")
    return {
        "cert": _check_cert(given["cert"]),
        "server_hostname": _check_server_hostname(given["server_hostname"]),
        "check_hostname": check_hostname,
        "allow_common_name": check_switch("allow_common_name", given["allow_common_name"]),
        "minimum_version": minimum,
        "maximum_version": check_maximum_version(given["maximum_version"], minimum),
        "ciphers": check_ciphers(given["ciphers"]),
        "keylog_filename": keylog,
        "session_resumption": check_switch("session_resumption", given["session_resumption"]),
        "post_handshake_auth": check_switch("post_handshake_auth", given["post_handshake_auth"]),
        "refresh_interval": _check_seconds("refresh_interval", given["refresh_interval"]),
        "on_rotation": check_word("on_rotation", given["on_rotation"], OnRotation),
        "expiry_warning": _check_seconds("expiry_warning", given["expiry_warning"], zero=True),
    }


def _settings(values: Mapping[str, Any], trust: Trust, checks: PeerChecks) -> ContextSettings:
    check_hostname = values["check_hostname"]
    if check_hostname is None:
        check_hostname = trust.verify and not checks.asks_spiffe
    return ContextSettings(
        trust=trust,
        checks=checks if checks else None,
        check_hostname=check_hostname,
        **{name: values[name] for name in _CONTEXT},
    )


def _provider(values: Mapping[str, Any], like: TLSConfig | None) -> IdentityProvider | None:
    identity, cert = values["identity"], values["cert"]
    if like is not None and identity is like.identity and cert == like.cert:
        return like.provider
    if cert is not None:
        return FileIdentityProvider(*cert)
    return None if identity is None else as_provider(identity)


def _shown(name: str, value: Any) -> str:
    """Return a value for `repr`."""
    if name == "cert":
        return repr(value if value[2] is None else (*value[:2], "***"))
    if name in ("cadata", "crldata"):
        return f"<{len(value)} {'characters' if isinstance(value, str) else 'bytes'}>"
    if isinstance(value, ssl.TLSVersion):
        return value.name
    if isinstance(value, frozenset):
        return repr(sorted(value))
    if isinstance(value, (str, int, float, ClientIdentity)):
        return repr(value)
    # What a function of others was made with, or an object holds, may be secret.
    return f"<{getattr(value, '__qualname__', None) or type(value).__qualname__}>"


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
    instead = "identity=ClientIdentity.from_pem(...)"
    cert_path = check_path("cert (certfile)", certfile, instead=instead, error=IdentityError)
    if cert_path is None:
        raise TypeError("cert (certfile) must be a path (str or os.PathLike), not None.")
    return (
        cert_path,
        check_path("cert (keyfile)", keyfile, instead=instead, error=IdentityError),
        check_password(password),
    )


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
    try:
        # As `ssl` does it, at the connect.
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.wrap_bio(ssl.MemoryBIO(), ssl.MemoryBIO(), server_hostname=value)
    except ValueError:
        raise TLSConfigurationError(
            f"server_hostname {value[:80]!a} cannot be a host name."
        ) from None
    return value


def _check_choice(name: str, value: Any) -> bool | None:
    return None if value is None else check_switch(name, value)


def _check_seconds(name: str, value: Any, *, zero: bool = False) -> float | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise TypeError(f"{name} must be a number of seconds, not {type(value).__name__}.")
    if not math.isfinite(value) or value < 0 or (value == 0 and not zero):
        raise TLSConfigurationError(
            f"{name} must be {'0 or more' if zero else 'more than 0'} seconds, or None."
        )
    return float(value)
