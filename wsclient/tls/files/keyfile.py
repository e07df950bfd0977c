"""Handing private keys to `ssl`, which takes nothing but files.

On Linux the files are in memory. Elsewhere they are temporary files with mode 0600, and a key is
encrypted with a random password before it is written. Either way the content is overwritten with
zeros and the file is gone when `ssl` has read it.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import os
import secrets
import ssl
import tempfile
from collections.abc import Iterator
from typing import Final

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.padding import PKCS7

from ...errors import IdentityError
from .der import element, sequence
from .pem import Block, blocks

__all__ = ["PasswordNeededError", "files_for", "load_pair"]

_DESCRIPTORS: Final = "/proc/self/fd"

# What has another label is the name of a key that stays where it is, such as a PKCS#11 URI.
_PLAIN_KEYS: Final = frozenset(
    {"PRIVATE KEY", "RSA PRIVATE KEY", "EC PRIVATE KEY", "DSA PRIVATE KEY"}
)

# The password is random and as strong as the key: few iterations are enough.
_ITERATIONS: Final = 2048

_INTEGER: Final = 0x02
_OCTETS: Final = 0x04
_NULL: Final = bytes.fromhex("0500")
_PBES2: Final = bytes.fromhex("06092a864886f70d01050d")
_PBKDF2: Final = bytes.fromhex("06092a864886f70d01050c")
_HMAC_SHA256: Final = bytes.fromhex("06082a864886f70d0209")
_AES256_CBC: Final = bytes.fromhex("060960864801650304012a")


class PasswordNeededError(Exception):
    """OpenSSL asked for the password of a private key, and there is none."""


@contextlib.contextmanager
def files_for(*contents: bytes) -> Iterator[tuple[str, ...]]:
    """Make files that `ssl` can read while the block runs, in memory where the system can.

    It blocks for well below a millisecond. Any number of threads may do it at once. Leaving the
    block overwrites, closes and removes the files, however it is left.

    Args:
        contents: one file for each. Where there are no files in memory they are written to the
            disk as they are, so that none may be a key that is not encrypted.

    Yields:
        The paths, in the order of `contents`.

    Raises:
        OSError: there is no descriptor or no space left.
    """
    with contextlib.ExitStack() as stack:
        yield tuple(stack.enter_context(_file(content, _in_memory())) for content in contents)


@contextlib.contextmanager
def _file(content: bytes, descriptor: int | None) -> Iterator[str]:
    """Give the path of a file in memory, or of a temporary file where `descriptor` is ``None``."""
    in_memory = descriptor is not None
    if descriptor is not None:
        path = f"{_DESCRIPTORS}/{descriptor}"
    else:
        # Mode 0600, and closed in programs that are started meanwhile.
        descriptor, path = tempfile.mkstemp(prefix="wsclient-", suffix=".pem")
    try:
        try:
            _write(descriptor, content)
            yield path
        finally:
            _write(descriptor, bytes(len(content)))
    finally:
        os.close(descriptor)
        if not in_memory:
            os.unlink(path)


def _in_memory() -> int | None:
    """Return the descriptor of a new file in memory; ``None`` where there are none."""
    # Without /proc it could not be opened by name.
    if not hasattr(os, "memfd_create") or not os.path.isdir(_DESCRIPTORS):
        return None
    try:
        return os.memfd_create("wsclient", os.MFD_CLOEXEC)
    except OSError:
        # Forbidden by a sandbox. Want of descriptors will show again with a temporary file.
        return None


def _write(descriptor: int, content: bytes) -> None:
    """Write from the beginning of the file."""
    os.lseek(descriptor, 0, os.SEEK_SET)
    rest = memoryview(content)
    while rest:
        rest = rest[os.write(descriptor, rest) :]


def load_pair(
    context: ssl.SSLContext, chain_pem: bytes, key_pem: bytes, password: bytes | None = None
) -> None:
    """Load a certificate chain and its private key into a context.

    It blocks for about a millisecond, and never asks for a password on the terminal. Afterwards
    nothing of the key is left outside the context. A context that holds a certificate already
    must not be given another.

    Args:
        context: a new one.
        chain_pem: the leaf first.
        key_pem: one private key.
        password: for a key that is encrypted; ``None`` for one that is not.

    Raises:
        ssl.SSLError: OpenSSL refuses certificate or key, or they are not a pair.
        PasswordNeededError: the key is encrypted and `password` is ``None``.
        IdentityError: ``"key_unreadable"``; this system has no files in memory, and the key
            cannot be encrypted for the disk.
        OSError: there is no descriptor or no space left.
    """

    def give_password() -> bytes:
        # Always given: without it OpenSSL asks on the terminal, and the loop stands still.
        if password is None:
            raise PasswordNeededError("the private key is encrypted")
        return password

    # Asked once: the key's form must be right for the very file that it gets into.
    memory = _in_memory()
    if memory is None:
        key_pem, password = _sealed(key_pem, password)
    with _file(key_pem, memory) as key_path, files_for(chain_pem) as (chain_path,):
        context.load_cert_chain(chain_path, key_path, give_password)


def _sealed(key_pem: bytes, password: bytes | None) -> tuple[bytes, bytes | None]:
    """Return a key encrypted, and the password for it; as it is when it is no plain key."""
    plain = [
        block for block in blocks(key_pem) if block.label in _PLAIN_KEYS and not block.headers
    ]
    if not plain:
        return key_pem, password
    once = secrets.token_hex(32).encode()
    sealed = _encrypted(_pkcs8(plain[0]), once)
    return Block("ENCRYPTED PRIVATE KEY", (), base64.b64encode(sealed)).text, once


def _pkcs8(block: Block) -> bytes:
    """Return a plain key as PKCS#8 in DER.

    Raises:
        IdentityError: it cannot be read.
    """
    if block.label == "PRIVATE KEY" and block.der is not None:
        # As it stands: cryptography would make a key for PSS alone one for everything.
        return block.der
    try:
        # Looking for primes takes 35 ms, and the interpreter stands still.
        key = serialization.load_pem_private_key(
            block.text, None, unsafe_skip_rsa_key_validation=True
        )
        return key.private_bytes(
            serialization.Encoding.DER,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    except Exception as exc:
        raise IdentityError(
            "This system has no files in memory, and cryptography cannot read the private key, "
            "so that it would have to be written to the disk unencrypted.",
            reason="key_unreadable",
            hint="Give the key in PKCS#8 form (BEGIN PRIVATE KEY).",
        ) from exc


def _encrypted(pkcs8: bytes, password: bytes) -> bytes:
    """Return an ``EncryptedPrivateKeyInfo`` in DER (RFC 5958, section 3; RFC 8018, appendix A)."""
    salt, vector = secrets.token_bytes(16), secrets.token_bytes(16)
    derived = hashlib.pbkdf2_hmac("sha256", password, salt, _ITERATIONS, 32)
    padder = PKCS7(128).padder()
    cipher = Cipher(algorithms.AES256(derived), modes.CBC(vector)).encryptor()
    data = cipher.update(padder.update(pkcs8) + padder.finalize()) + cipher.finalize()
    function = sequence(
        element(_OCTETS, salt),
        element(_INTEGER, _ITERATIONS.to_bytes(2, "big")),
        sequence(_HMAC_SHA256, _NULL),
    )
    parameters = sequence(
        sequence(_PBKDF2, function), sequence(_AES256_CBC, element(_OCTETS, vector))
    )
    return sequence(sequence(_PBES2, parameters), element(_OCTETS, data))
