"""Private keys: kinds, generation and encodings."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable
from typing import Any, Final, Literal, get_args

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa

__all__ = [
    "KeyType",
    "PrivateKey",
    "check_private_key",
    "encryption",
    "generate_key",
    "password_bytes",
    "private_key_der",
    "private_key_pem",
    "public_key_pin",
    "signature_hash",
]

KeyType = Literal[
    "rsa-1024",
    "rsa-2048",
    "rsa-3072",
    "ec-p256",
    "ec-p384",
    "ec-p521",
    "ec-secp256k1",
    "ed25519",
    "ed448",
]
"""Kinds of keys. OpenSSL refuses ``"rsa-1024"`` as too weak; no TLS takes ``"ec-secp256k1"``."""

PrivateKey = (
    rsa.RSAPrivateKey
    | ec.EllipticCurvePrivateKey
    | ed25519.Ed25519PrivateKey
    | ed448.Ed448PrivateKey
)
"""A private key of `cryptography`, of one of the kinds that certificates are made for here."""

_EXPONENT: Final = 65537

_MAKERS: Final[dict[KeyType, Callable[[], PrivateKey]]] = {
    "rsa-1024": lambda: rsa.generate_private_key(_EXPONENT, 1024),
    "rsa-2048": lambda: rsa.generate_private_key(_EXPONENT, 2048),
    "rsa-3072": lambda: rsa.generate_private_key(_EXPONENT, 3072),
    "ec-p256": lambda: ec.generate_private_key(ec.SECP256R1()),
    "ec-p384": lambda: ec.generate_private_key(ec.SECP384R1()),
    "ec-p521": lambda: ec.generate_private_key(ec.SECP521R1()),
    "ec-secp256k1": lambda: ec.generate_private_key(ec.SECP256K1()),
    "ed25519": ed25519.Ed25519PrivateKey.generate,
    "ed448": ed448.Ed448PrivateKey.generate,
}


def generate_key(key_type: KeyType = "ec-p256") -> PrivateKey:
    """Generate a new private key.

    An RSA key takes long: some 50 ms with 2048 bits, and up to a second with 3072. Where two
    certificates may have one key, generate it once and give it as `key` to both. All others take
    well below a millisecond.

    Args:
        key_type: one of `KeyType`.

    Raises:
        ValueError: there is no such kind of key.
    """
    if key_type not in _MAKERS:
        known = ", ".join(repr(each) for each in get_args(KeyType))
        raise ValueError(f"key_type must be one of {known}, not {key_type!r}.")
    return _MAKERS[key_type]()


def check_private_key(key: Any) -> PrivateKey:
    """Return `key` if certificates can be made for it.

    Raises:
        TypeError: it is something else. The text does not show it.
    """
    if not isinstance(key, PrivateKey):
        raise TypeError(
            "key must be an RSA, EC, Ed25519 or Ed448 private key of cryptography, or None for a "
            f"new one, not {type(key).__name__}."
        )
    return key


def signature_hash(key: PrivateKey) -> hashes.SHA256 | hashes.SHA384 | hashes.SHA512 | None:
    """Return the hash that goes with a key for signing; ``None`` where the kind of key has one."""
    if isinstance(key, (ed25519.Ed25519PrivateKey, ed448.Ed448PrivateKey)):
        return None
    # RFC 5480, section 4: a hash as strong as the curve.
    if isinstance(key, ec.EllipticCurvePrivateKey) and key.key_size > 256:
        return hashes.SHA384() if key.key_size <= 384 else hashes.SHA512()
    return hashes.SHA256()


def private_key_pem(
    key: PrivateKey, password: str | bytes | None = None, *, traditional: bool = False
) -> bytes:
    """Return a private key as PEM.

    Args:
        key: the key.
        password: 1..1024 bytes, or text that is encoded as UTF-8; ``None`` does not encrypt.
        traditional: write the older form of OpenSSL, ``RSA PRIVATE KEY`` (RFC 8017, appendix
            A.1.2) or ``EC PRIVATE KEY`` (RFC 5915), and not PKCS#8 (RFC 5958).

    Raises:
        ValueError: the password is empty or too long, or this kind of key has no traditional
            form.
        TypeError: the password is neither `str` nor `bytes`.
    """
    if traditional and not isinstance(key, (rsa.RSAPrivateKey, ec.EllipticCurvePrivateKey)):
        raise ValueError("Only RSA and EC keys have a traditional form: leave traditional out.")
    form = serialization.PrivateFormat
    return key.private_bytes(
        serialization.Encoding.PEM,
        form.TraditionalOpenSSL if traditional else form.PKCS8,
        encryption(password),
    )


def private_key_der(key: PrivateKey, password: str | bytes | None = None) -> bytes:
    """Return a private key as PKCS#8 in DER (RFC 5958).

    Args:
        key: the key.
        password: 1..1024 bytes, or text that is encoded as UTF-8; ``None`` does not encrypt.

    Raises:
        ValueError: the password is empty or too long.
        TypeError: the password is neither `str` nor `bytes`.
    """
    return key.private_bytes(
        serialization.Encoding.DER, serialization.PrivateFormat.PKCS8, encryption(password)
    )


def public_key_pin(key: PrivateKey) -> str:
    """Return the pin of the public key, ``"sha256//"`` and base64, as curl writes it."""
    info = key.public_key().public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return "sha256//" + base64.b64encode(hashlib.sha256(info).digest()).decode("ascii")


def encryption(password: str | bytes | None) -> serialization.KeySerializationEncryption:
    """Return how to encrypt with a password; not at all when it is ``None``.

    Raises:
        ValueError: the password is empty or too long.
        TypeError: the password is neither `str` nor `bytes`.
    """
    if password is None:
        return serialization.NoEncryption()
    return serialization.BestAvailableEncryption(password_bytes(password))


def password_bytes(password: str | bytes) -> bytes:
    """Return a password as bytes.

    Raises:
        ValueError: it is empty, or too long for OpenSSL.
        TypeError: it is neither `str` nor `bytes`.
    """
    if not isinstance(password, (str, bytes)):
        raise TypeError(f"password must be str, bytes or None, not {type(password).__name__}.")
    data = password.encode() if isinstance(password, str) else password
    if not 1 <= len(data) <= 1024:
        raise ValueError(f"password must have 1..1024 bytes, not {len(data)}: None is for none.")
    return data
