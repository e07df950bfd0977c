"""From certificates and keys in memory to an `ssl.SSLContext`."""

from __future__ import annotations

import contextlib
import os
import secrets
import ssl
import sys
import tempfile
from collections.abc import Callable, Iterator
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import serialization

__all__ = ["client_context", "load_certificate", "trust"]

_DESCRIPTORS: Final = "/proc/self/fd"

_PEMOfKey = Callable[[str | None], bytes]
"""Gives the private key as PEM, encrypted with a password."""


def client_context(root: x509.Certificate, crl: bytes | None) -> ssl.SSLContext:
    """Return a context for a client that trusts `root`; for `crl` see `trust`.

    Raises:
        ValueError: there is no CRL in `crl`.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    # A name in the subject's common name counts for nothing (RFC 9525, section 2).
    context.hostname_checks_common_name = False
    trust(context, root, crl)
    return context


def trust(context: ssl.SSLContext, root: x509.Certificate, crl: bytes | None) -> None:
    """Trust a root, but not the certificates that a CRL names.

    Args:
        context: of a client or a server.
        root: what to trust.
        crl: one or more CRLs as PEM; ``None`` checks none. The issuer of the peer's certificate
            must have one here that is not too old. Its authorities' certificates are not
            looked up.

    Raises:
        ValueError: there is no CRL in `crl`.
    """
    context.load_verify_locations(cadata=root.public_bytes(serialization.Encoding.DER))
    if crl is None:
        return
    if b"-----BEGIN X509 CRL-----" not in crl:
        raise ValueError("crl holds no CRL in PEM form: give what crl_pem() returns.")
    # ssl takes CRLs from files alone.
    with _file_of(crl) as path:
        context.load_verify_locations(cafile=path)
    context.verify_flags |= ssl.VERIFY_CRL_CHECK_LEAF


def load_certificate(context: ssl.SSLContext, chain: bytes, key: _PEMOfKey) -> None:
    """Let a context show a certificate, and leave no key on a disk.

    Args:
        context: of a client or a server.
        chain: the certificate and its intermediates, as PEM.
        key: gives the private key as PEM.

    Raises:
        ssl.SSLError: OpenSSL refuses the certificate, as too weak for example.
    """
    # A file on a disk could outlive this process if it is killed, so its key is encrypted.
    password = None if _has_memory_files() else secrets.token_urlsafe(32)
    with _file_of(key(password) + chain) as path:
        context.load_cert_chain(path, password=password)


@contextlib.contextmanager
def _file_of(content: bytes) -> Iterator[str]:
    """Give the path of a file with this content, for as long as the block runs."""
    if sys.platform == "linux" and _has_memory_files():
        with open(os.memfd_create("certificate"), "wb") as file:
            file.write(content)
            file.flush()
            yield f"{_DESCRIPTORS}/{file.fileno()}"
        return
    # Only the owner may open it.
    descriptor, path = tempfile.mkstemp(suffix=".pem")
    try:
        with open(descriptor, "wb") as file:
            file.write(content)
        yield path
    finally:
        os.unlink(path)


def _has_memory_files() -> bool:
    """Return whether a file in memory can be opened by a path."""
    return sys.platform == "linux" and os.path.isdir(_DESCRIPTORS)
