"""Loading a chain and its key into a context, and saying what is wrong when OpenSSL refuses."""

from __future__ import annotations

import ssl
from typing import Final, NamedTuple

from ...errors import IdentityError
from ..files.keyfile import PasswordNeededError, load_pair
from ..files.pem import certificate_pem
from .keys import PrivateKey

__all__ = ["Places", "load", "mismatch", "try_to_load"]

_MISMATCHES: Final = frozenset({"KEY_VALUES_MISMATCH", "NO_CERTIFICATE_ASSIGNED"})
_TOO_WEAK: Final = frozenset({"EE_KEY_TOO_SMALL", "CA_KEY_TOO_SMALL", "CA_MD_TOO_WEAK"})
_UNSUPPORTED: Final = frozenset({"UNKNOWN_CERTIFICATE_TYPE", "UNSUPPORTED_ALGORITHM"})


class Places(NamedTuple):
    """Where certificate and key come from, such as ``"the file /etc/tls.pem"``."""

    certificate: str
    key: str


def try_to_load(chain: tuple[bytes, ...], key: PrivateKey, places: Places) -> None:
    """Find out whether OpenSSL takes a pair, however weak it is. It blocks for a millisecond.

    Raises:
        IdentityError: as `load`, except ``"key_too_small"``.
        OSError: as `load`.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    # What is too weak is for the context to say that is going to use it.
    context.set_ciphers("DEFAULT:@SECLEVEL=0")
    load(context, chain, key, places)


def load(
    context: ssl.SSLContext, chain: tuple[bytes, ...], key: PrivateKey, places: Places
) -> None:
    """Load a pair into a context that has none yet. It blocks for about a millisecond.

    Args:
        context: a new one.
        chain: certificates in DER, the leaf first.
        key: the leaf's.
        places: where they come from, for the text of an error.

    Raises:
        IdentityError: OpenSSL refuses certificate or key, or they are not a pair; its own error
            is chained.
        OSError: there is no descriptor or no space left.
    """
    try:
        load_pair(context, certificate_pem(*chain), key.pem, key.password)
    except PasswordNeededError as exc:
        raise IdentityError(
            f"OpenSSL asked for a password or PIN of the private key in {places.key}, and none "
            "was given.",
            reason="password_required",
            hint="Give it as password=, or as pin-value or pin-source in a pkcs11: URI.",
        ) from exc
    except ssl.SSLError as exc:
        # Its frames hold the key and its password.
        raise _fault(exc, chain, key, places) from exc.with_traceback(None)


def mismatch(places: Places, hint: str, openssl_reason: str = "") -> IdentityError:
    """Return the error for a key that is not that of the certificate.

    Args:
        places: where they come from.
        hint: what else can be said; may be empty.
        openssl_reason: OpenSSL's name for it, if it was OpenSSL that found it.
    """
    here = places.key == places.certificate
    text = (
        f"The private key in {places.key} does not belong to the certificate "
        f"{'there' if here else f'in {places.certificate}'}."
    )
    return IdentityError(text, reason="key_mismatch", openssl_reason=openssl_reason, hint=hint)


def _fault(
    exc: ssl.SSLError, chain: tuple[bytes, ...], key: PrivateKey, places: Places
) -> IdentityError:
    """Say what is wrong; OpenSSL has one name for many faults."""
    reason = str(exc.reason or "")
    if reason in _MISMATCHES:
        return mismatch(places, "", reason)
    if reason in _TOO_WEAK:
        return IdentityError(
            f"OpenSSL refuses the certificate in {places.certificate} as too weak ({reason}).",
            reason="key_too_small",
            openssl_reason=reason,
            hint="Use RSA of at least 2048 bits or an elliptic curve, and signatures of SHA-256.",
        )
    if reason in _UNSUPPORTED:
        return IdentityError(
            f"TLS has no use for the kind of key in {places.key} ({reason}).",
            reason="key_type_unsupported",
            openssl_reason=reason,
            hint="Use RSA, an elliptic curve or Ed25519.",
        )
    if all(_is_readable(der) for der in chain):
        return _key_fault(key, places, reason)
    which = "The certificate" if len(chain) == 1 else f"One of the {len(chain)} certificates"
    return IdentityError(
        f"{which} in {places.certificate} is damaged: OpenSSL cannot read it.",
        reason="certificate_unreadable",
        openssl_reason=reason,
    )


def _is_readable(der: bytes) -> bool:
    """Return whether OpenSSL can read a certificate."""
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cadata=der)
    except (ssl.SSLError, ValueError):
        return False
    return True


def _key_fault(key: PrivateKey, places: Places, reason: str) -> IdentityError:
    if key.fault is not None:
        return key.fault
    if not key.opaque:
        return IdentityError(
            f"OpenSSL cannot use the private key in {places.key}.",
            reason="key_type_unsupported",
            openssl_reason=reason,
            hint="Use RSA, an elliptic curve or Ed25519.",
        )
    return IdentityError(
        f"OpenSSL cannot get at the private key that {places.key} names ({key.kind}).",
        reason="pkcs11_unavailable" if key.kind.startswith("PKCS#11") else "key_unreadable",
        openssl_reason=reason,
        hint="Is the provider for it installed, and active in openssl.cnf?",
    )
