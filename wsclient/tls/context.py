"""From a `TLSConfig` to an `ssl.SSLContext`: built once, in a thread, and never changed after.

A context that was given a second certificate or other roots would go on presenting the old
ones in part, and lose them all if loading failed. So each state of a configuration, and of the
files that it names, has a context of its own.
"""

from __future__ import annotations

import asyncio
import os
import ssl
import sys
import threading
from collections import OrderedDict
from dataclasses import replace
from typing import Final

import certifi

from ..errors import TLSConfigurationError
from .config import CertificateFiles, TLSConfig

__all__ = ["build_context", "unverified_context"]

_Stamps = tuple[tuple[int, int, int], ...]

_CACHE_SIZE: Final = 32
_DEFAULT: Final = TLSConfig()
_PAIR_FAULTS: Final = frozenset({"KEY_VALUES_MISMATCH", "NO_CERTIFICATE_ASSIGNED"})
_WEAK_FAULTS: Final = frozenset({"EE_KEY_TOO_SMALL", "CA_KEY_TOO_SMALL", "CA_MD_TOO_WEAK"})

# Shared by all loops and threads of the process, hence no asyncio primitives.
_cache: OrderedDict[TLSConfig, tuple[_Stamps, ssl.SSLContext]] = OrderedDict()
_cache_lock: Final = threading.Lock()
_building: dict[TLSConfig, threading.Lock] = {}


class _PasswordMissingError(Exception):
    """OpenSSL asked for the password of a private key, and there is none."""


async def build_context(config: TLSConfig | None) -> ssl.SSLContext:
    """Return the context for `config`, from the cache when its files have not changed.

    Building reads files and takes milliseconds, so that it happens in a thread. Concurrent calls
    for the same configuration build once, from any loop. Cancelling the call leaves the thread to
    finish by itself; its context is kept for the next call.

    The context must not be changed: others use it too.

    Args:
        config: ``None`` means all defaults, with the roots of certifi.

    Raises:
        TLSConfigurationError: a file is missing, unreadable or holds something else, the key
            does not belong to the certificate, or its password is missing or wrong. The text
            names the file; the cause is chained. The next call tries again.
    """
    # The name is not part of a context: configurations that differ in it alone share one.
    key = _DEFAULT if config is None else config
    if key.server_hostname is not None:
        key = replace(key, server_hostname=None)
    # A few microseconds for a local file, far less than the way to a thread and back.
    context = _cached(key, _stamps(key))
    if context is not None:
        return context
    return await asyncio.to_thread(_build_once, key)


def unverified_context(cert: CertificateFiles | None = None) -> ssl.SSLContext:
    """Return a new context that accepts any server certificate, for tests and for devices.

    It protects against nobody who can put himself between client and server. Loading a client
    certificate blocks for about a millisecond.

    Args:
        cert: the client's certificate, as `TLSConfig.cert` holds it; ``None`` sends none.

    Raises:
        TLSConfigurationError: the client's certificate cannot be loaded.
    """
    context = _new_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    if cert is not None:
        _load_cert(context, cert)
    return context


def _cached(key: TLSConfig, stamps: _Stamps) -> ssl.SSLContext | None:
    """Return the context built from files with these stamps, if it is still known."""
    with _cache_lock:
        kept_stamps, context = _cache.get(key, (None, None))
        if kept_stamps != stamps:
            return None
        _cache.move_to_end(key)
        return context


def _build_once(key: TLSConfig) -> ssl.SSLContext:
    """Build the context for `key`, unless another thread has just done so. Runs in a thread."""
    with _building.setdefault(key, threading.Lock()):
        try:
            # Stamps are taken before the files are read: when one changes in between, the next
            # call sees another stamp and builds again.
            stamps = _stamps(key)
            context = _cached(key, stamps)
            if context is None:
                context = _build(key)
                _keep(key, stamps, context)
            return context
        finally:
            _building.pop(key, None)


def _keep(key: TLSConfig, stamps: _Stamps, context: ssl.SSLContext) -> None:
    """Put a context into the cache, and the one unused for longest out of a full cache."""
    with _cache_lock:
        _cache[key] = (stamps, context)
        _cache.move_to_end(key)
        while len(_cache) > _CACHE_SIZE:
            _cache.popitem(last=False)


def _stamps(config: TLSConfig) -> _Stamps:
    """Return what tells one state of the configured files from another."""
    certfile, keyfile, _ = config.cert or (None, None, None)
    named = (
        ("The client certificate", certfile),
        ("The private key", keyfile),
        ("The file of trusted roots", config.cafile),
        ("The directory of trusted roots", config.capath),
    )
    return tuple(_stamp(label, path) for label, path in named if path is not None)


def _stamp(label: str, path: str) -> tuple[int, int, int]:
    """Return a file's modification time, size and inode."""
    try:
        status = os.stat(path)
    except OSError as exc:
        raise _unreadable(label, path, exc) from exc
    return status.st_mtime_ns, status.st_size, status.st_ino


def _unreadable(label: str, path: str, exc: OSError) -> TLSConfigurationError:
    """Return the error for a file that the operating system does not let us read."""
    return TLSConfigurationError(
        f"{label} {path} cannot be read: {exc.strerror or type(exc).__name__}.",
        hint="Check the path and its permissions.",
    )


def _build(config: TLSConfig) -> ssl.SSLContext:
    """Return a new context. Blocks: certifi's roots alone take about 16 ms."""
    context = _new_context()
    context.check_hostname = config.check_hostname
    context.minimum_version = config.minimum_version
    _load_roots(context, config)
    if config.cert is not None:
        _load_cert(context, config.cert)
    return context


def _new_context() -> ssl.SSLContext:
    """Return a verifying context for HTTP/1.1, still without roots."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    # A name in the subject's common name counts for nothing (RFC 9525, section 2).
    context.hostname_checks_common_name = False
    # RFC 6455, section 1.3: the upgrade exists in HTTP/1.1 only.
    context.set_alpn_protocols(["http/1.1"])
    if sys.version_info >= (3, 13):
        # What ssl.create_default_context() sets there.
        context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN | ssl.VERIFY_X509_STRICT
    _log_keys(context)
    return context


def _log_keys(context: ssl.SSLContext) -> None:
    """Honour SSLKEYLOGFILE, as ssl.create_default_context() does."""
    path = os.environ.get("SSLKEYLOGFILE")
    if not path or sys.flags.ignore_environment:
        return
    try:
        context.keylog_filename = path
    except OSError as exc:
        raise TLSConfigurationError(
            f"The file {path}, which the environment variable SSLKEYLOGFILE names, cannot be "
            f"written: {exc.strerror or type(exc).__name__}."
        ) from exc


def _load_roots(context: ssl.SSLContext, config: TLSConfig) -> None:
    """Load the roots of `config`, or those of certifi when it names none."""
    if config.cafile is None and config.capath is None and config.cadata is None:
        context.load_verify_locations(cafile=certifi.where())
        return
    if config.cafile is not None:
        _load_cafile(context, config.cafile)
    if config.capath is not None:
        # OpenSSL takes anything and then trusts nobody, without a word.
        if not os.path.isdir(config.capath):
            raise TLSConfigurationError(
                f"capath {config.capath} is not a directory: give a single file as cafile=."
            )
        context.load_verify_locations(capath=config.capath)
    if config.cadata is not None:
        try:
            context.load_verify_locations(cadata=config.cadata)
        except (ssl.SSLError, ValueError) as exc:
            raise TLSConfigurationError(
                "cadata holds no usable certificates: it must be PEM text or DER bytes.",
                reason=_reason(exc),
            ) from exc


def _load_cafile(context: ssl.SSLContext, path: str) -> None:
    """Load trusted roots from one file."""
    content = _read("The file of trusted roots", path)
    try:
        context.load_verify_locations(cafile=path)
    except (OSError, ValueError) as exc:
        wrong = _not_pem(path, content, b"CERTIFICATE-----", "certificate")
        raise TLSConfigurationError(
            wrong or f"The file of trusted roots {path} is damaged.", reason=_reason(exc)
        ) from exc


def _load_cert(context: ssl.SSLContext, cert: CertificateFiles) -> None:
    """Load the client's certificate chain and private key."""
    certfile, keyfile, password = cert
    asked = False

    def give_password() -> str | bytes:
        # Always given: without it OpenSSL asks on the terminal, and the loop stands still.
        nonlocal asked
        asked = True
        if password is None:
            raise _PasswordMissingError("the private key is encrypted")
        return password

    chain = _read("The client certificate", certfile)
    key = chain if keyfile is None else _read("The private key", keyfile)
    try:
        context.load_cert_chain(certfile, keyfile, give_password)
    except _PasswordMissingError as exc:
        raise TLSConfigurationError(
            f"The private key in {keyfile or certfile} is encrypted and no password was given.",
            hint="Give it as cert=(certfile, keyfile, password).",
        ) from exc
    except (OSError, ValueError) as exc:
        raise TLSConfigurationError(
            _cert_fault(cert, chain, key, _reason(exc), asked=asked), reason=_reason(exc)
        ) from exc
    # Without it a server that asks for the certificate after the handshake gets none.
    context.post_handshake_auth = True


def _cert_fault(
    cert: CertificateFiles, chain: bytes, key: bytes, reason: str, *, asked: bool
) -> str:
    """Say what is wrong with a certificate or key; OpenSSL has one name for many faults."""
    certfile, keyfile = cert[0], cert[1] or cert[0]
    if reason in _PAIR_FAULTS:
        return f"The private key in {keyfile} does not belong to the certificate in {certfile}."
    if reason in _WEAK_FAULTS:
        return f"OpenSSL refuses the certificate in {certfile} as too weak ({reason})."
    wrong = _not_pem(certfile, chain, b"CERTIFICATE-----", "certificate")
    if wrong:
        return wrong
    if asked:
        return f"The password given for the private key in {keyfile} is wrong."
    # A key in a security module is named by a PEM file with a label of its own.
    if b"-----BEGIN PKCS#11" not in key:
        wrong = _not_pem(keyfile, key, b"PRIVATE KEY-----", "private key")
    return wrong or f"The certificate in {certfile} or the private key in {keyfile} is damaged."


def _not_pem(path: str, content: bytes, label: bytes, kind: str) -> str:
    """Say that a file does not hold what it should; empty when it does, as far as one can see."""
    if label in content:
        return ""
    if not content:
        return f"The file {path} is empty: it should hold a {kind} in PEM form."
    # DER, and PKCS#12 too, begins with a SEQUENCE of a length in two bytes.
    if content.startswith(b"\x30\x82"):
        return f"The file {path} is in DER or PKCS#12 form: convert it to PEM with openssl."
    return f"The file {path} holds no {kind} in PEM form (-----BEGIN ...-----)."


def _read(label: str, path: str) -> bytes:
    """Return a file's content, to explain a failure and to find out who may read it."""
    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError as exc:
        raise _unreadable(label, path, exc) from exc


def _reason(exc: Exception) -> str:
    """Return OpenSSL's name for a fault, empty where it has none."""
    return str(getattr(exc, "reason", None) or "")
