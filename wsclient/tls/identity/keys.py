"""Private keys: read with `cryptography`, or kept as they are where only OpenSSL can read them."""

from __future__ import annotations

import base64
from dataclasses import dataclass, replace
from typing import Any, Final, NoReturn

from cryptography.hazmat.primitives import serialization

from ...errors import IdentityError
from ..files.der import children, element, sequence
from ..files.pem import Block
from .passwords import AskedPassword

__all__ = ["PrivateKey", "key_of_object", "opaque_key", "read_der_key", "read_pem_key"]

_READABLE: Final = frozenset(
    {
        "PRIVATE KEY",
        "ENCRYPTED PRIVATE KEY",
        "RSA PRIVATE KEY",
        "EC PRIVATE KEY",
        "DSA PRIVATE KEY",
    }
)

_TELLING: Final = 16  # characters in a row that give something of a key away

_INTEGER: Final = 0x02
_OCTETS: Final = 0x04
_SEQUENCE: Final = 0x30


@dataclass(frozen=True, slots=True, repr=False, eq=False)
class PrivateKey:
    """A private key, ready for OpenSSL. It shows what kind it is and nothing else.

    Attributes:
        pem: one block of PEM, not encrypted wherever `cryptography` can read the key.
        password: of a key that is still encrypted, or the PIN of one that is elsewhere.
        public: the public half as DER of ``SubjectPublicKeyInfo``; empty when only OpenSSL
            could tell.
        kind: such as ``"rsa"``, ``"ec"`` or ``"ed25519"``; for a label that `cryptography` does
            not know, the label.
        opaque: whether `pem` has such a label, so that the key may be elsewhere.
        fault: what is wrong with it if OpenSSL cannot read it either; ``None`` when it has been
            read.
    """

    pem: bytes
    password: bytes | None
    public: bytes
    kind: str
    opaque: bool = False
    fault: IdentityError | None = None

    def __reduce__(self) -> NoReturn:
        raise TypeError("A private key cannot be pickled.")

    def __repr__(self) -> str:
        return f"<PrivateKey {self.kind or 'unread'}>"

    def for_pss(self, algorithm: bytes) -> PrivateKey:
        """Return an RSA key as one for PSS alone, which a certificate for PSS alone demands.

        `cryptography` reads such a key and forgets what it is for.

        Args:
            algorithm: the DER of the certificate's ``AlgorithmIdentifier`` (RFC 4055, section
                3.1).
        """
        if self.kind != "rsa" or not self.public:
            return self
        key = _load(self.pem, None)
        inner = key.private_bytes(
            serialization.Encoding.DER,
            serialization.PrivateFormat.TraditionalOpenSSL,
            serialization.NoEncryption(),
        )
        whole = sequence(element(_INTEGER, b"\0"), algorithm, element(_OCTETS, inner))
        return replace(self, pem=_pem("PRIVATE KEY", whole))


def read_pem_key(block: Block, password: AskedPassword, where: str) -> PrivateKey:
    """Read a private key in PEM.

    Args:
        block: the key.
        password: asked only if the key is encrypted, or has a label that is unknown here.
        where: where the key is, such as ``"the file /etc/tls.key"``.

    Raises:
        IdentityError: ``"password_required"``, ``"password_callback_failed"``, or
            ``"key_unreadable"`` for what OpenSSL cannot read either.
    """
    if block.label == "OPENSSH PRIVATE KEY":
        raise IdentityError(
            f"The private key in {where} is in the form of OpenSSH, which TLS libraries do not "
            "read.",
            reason="key_unreadable",
            hint="Convert it with: ssh-keygen -p -m PKCS8 -f KEYFILE.",
        )
    if block.label not in _READABLE:
        return opaque_key(block, password.get())
    encrypted = block.label == "ENCRYPTED PRIVATE KEY" or bool(block.headers)
    return _read(block.text, encrypted, password, where)


def read_der_key(der: bytes, password: AskedPassword, where: str) -> PrivateKey:
    """Read a private key in DER: PKCS#8, encrypted or not (RFC 5958), or the older forms.

    Args:
        der: the key.
        password: asked only if the key is encrypted.
        where: as in `read_pem_key`.

    Raises:
        IdentityError: as `read_pem_key`.
    """
    encrypted = False
    try:
        serialization.load_der_private_key(der, None, unsafe_skip_rsa_key_validation=True)
    except TypeError:
        encrypted = True
    except Exception:  # It is told of below, if OpenSSL cannot read it either.
        pass
    if encrypted:
        return _read(_pem("ENCRYPTED PRIVATE KEY", der), encrypted, password, where)
    if _is_pkcs8(der):
        return _read(_pem("PRIVATE KEY", der), encrypted, password, where)
    return _read_plain_der(der, where)


def _read_plain_der(der: bytes, where: str) -> PrivateKey:
    """Read one of the older forms, whose PEM label only `cryptography` can tell."""
    try:
        key = serialization.load_der_private_key(der, None, unsafe_skip_rsa_key_validation=True)
    except Exception as exc:
        raise _unreadable(where) from exc
    return key_of_object(key, where)


def _load(pem: bytes, password: bytes | None) -> Any:
    # Looking for primes takes 35 ms for an RSA key, and the interpreter stands still. The key
    # is the caller's own, and ssl would not look either.
    return serialization.load_pem_private_key(pem, password, unsafe_skip_rsa_key_validation=True)


def _is_pkcs8(der: bytes) -> bool:
    """Return whether the second part is an algorithm, as in RFC 5958, section 2."""
    try:
        (whole,) = children(der)
        return children(whole.content)[1].tag == _SEQUENCE
    except (ValueError, IndexError):
        return False


def _read(pem: bytes, encrypted: bool, password: AskedPassword, where: str) -> PrivateKey:
    """Read a key; what `cryptography` cannot read is left to OpenSSL, with the fault to tell."""
    if not encrypted:
        try:
            key = _load(pem, None)
        except Exception as exc:
            return PrivateKey(pem, None, b"", "", fault=_chained(_unreadable(where), exc, pem))
        # As it stands, for OpenSSL to read: nothing can get lost.
        return PrivateKey(pem, None, _public_half(key), _kind(key))
    secret = password.get()
    if secret is None:
        raise IdentityError(
            f"The private key in {where} is encrypted and no password was given.",
            reason="password_required",
            hint="Give it as password=, or as the third part of cert=.",
        )
    try:
        key = _load(pem, secret)
    except Exception as exc:
        fault = IdentityError(
            f"The password given for the private key in {where} is wrong.",
            reason="password_incorrect",
        )
        return PrivateKey(pem, secret, b"", "", fault=_chained(fault, exc, pem))
    return key_of_object(key, where)


def key_of_object(key: Any, where: str) -> PrivateKey:
    """Return a private key of `cryptography` in the form for OpenSSL.

    Args:
        key: the key.
        where: as in `read_pem_key`.

    Raises:
        IdentityError: ``"key_type_unsupported"``; its content cannot be had.
    """
    try:
        pem = key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        return PrivateKey(pem, None, _public_half(key), _kind(key))
    except Exception as exc:
        raise IdentityError(
            f"The private key in {where} ({type(key).__name__}) does not give its content as "
            "PKCS#8, so that ssl cannot use it.",
            reason="key_type_unsupported",
            hint="For a key in a security module use ClientIdentity.from_pkcs11().",
        ) from exc


def opaque_key(block: Block, password: bytes | None) -> PrivateKey:
    """Return a key that only a provider of OpenSSL can read.

    Args:
        block: what names the key.
        password: what to give when OpenSSL asks for a password or PIN.
    """
    return PrivateKey(block.text, password, b"", block.label, opaque=True)


def _public_half(key: Any) -> bytes:
    public: bytes = key.public_key().public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return public


def _kind(key: Any) -> str:
    """Return the kind that the class is named for, as RSAPrivateKey is."""
    return type(key).__name__.removesuffix("PrivateKey").lower()


def _pem(label: str, der: bytes) -> bytes:
    return Block(label, (), base64.b64encode(der)).text


def _unreadable(where: str) -> IdentityError:
    return IdentityError(
        f"The private key in {where} is damaged, or of a kind that OpenSSL does not know.",
        reason="key_unreadable",
    )


def _chained(fault: IdentityError, cause: Exception, pem: bytes) -> IdentityError:
    text = str(cause)
    if any(len(word) >= _TELLING and word.decode("latin-1") in text for word in pem.split()):
        return fault  # It quotes the file.
    # Its frames would keep the key alive, and show it to whoever looks into them.
    fault.__cause__ = cause.with_traceback(None)
    return fault
