"""What listeners each server of the matrix has."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Literal

from mtls.material import KEY_TYPES
from wsclient.testing.certificates import KeyType

__all__ = ["CERTIFICATE_KINDS", "Listener", "all_listeners"]

CERTIFICATE_KINDS: Final = (
    "good",
    "expired",
    "not_yet_valid",
    "wrong_name",
    "self_signed",
    "unknown_ca",
    "client_only",
    "revoked",
)
"""Kinds of certificates that servers show; `Material.server` makes them."""

# None of those that the scenario for it offers, which newer clients do without.
_UNCOMMON_CIPHER: Final = "ECDHE-RSA-AES128-SHA"


@dataclass(frozen=True)
class Listener:
    """One listener: a port with settings of its own.

    Attributes:
        name: unique within a server.
        key_type: of the server's key.
        certificate: one of `CERTIFICATE_KINDS`.
        verify: whether clients must show a certificate, or only may.
        minimum: the lowest version of TLS.
        maximum: the highest.
        cipher: the only cipher suite of TLS 1.2, by OpenSSL's name; ``None`` for the defaults.
        tls: ``False`` for plain HTTP.
    """

    name: str
    key_type: KeyType = "ec-p256"
    certificate: str = "good"
    verify: Literal["require", "optional"] = "require"
    minimum: Literal["1.2", "1.3"] = "1.2"
    maximum: Literal["1.2", "1.3"] = "1.3"
    cipher: str | None = None
    tls: bool = True


def all_listeners(key_types: Iterable[KeyType] = KEY_TYPES) -> list[Listener]:
    """Return the listeners of a server that takes these types of keys."""
    found = [
        Listener(f"{kind}-{key_type}", key_type=key_type, certificate=kind)
        for kind in CERTIFICATE_KINDS
        for key_type in key_types
    ]
    found += [
        Listener("optional", verify="optional"),
        Listener("only-1.2", maximum="1.2"),
        Listener("only-1.3", minimum="1.3"),
        Listener("cipher", key_type="rsa-2048", maximum="1.2", cipher=_UNCOMMON_CIPHER),
        Listener("plain", tls=False),
    ]
    return found
