"""SPIFFE ids: names of services that stand in certificates as URIs."""

from __future__ import annotations

import re
from typing import Final

__all__ = ["is_spiffe_id", "is_trust_domain", "trust_domain_of"]

_LONGEST_ID: Final = 2048
_LONGEST_DOMAIN: Final = 255
_DOMAIN: Final = re.compile(r"[a-z0-9._-]+")
_ID: Final = re.compile(r"spiffe://([a-z0-9._-]+)((?:/[a-zA-Z0-9._-]+)*)")


def is_trust_domain(name: str) -> bool:
    """Return whether `name` can be a trust domain, such as ``"example.org"``.

    SPIFFE-ID, section 2.1: lower-case letters, digits, ``.``, ``-`` and ``_``.
    """
    return len(name) <= _LONGEST_DOMAIN and _DOMAIN.fullmatch(name) is not None


def is_spiffe_id(uri: str) -> bool:
    """Return whether `uri` is a SPIFFE id, such as ``"spiffe://example.org/ns/prod/sa/web"``.

    SPIFFE-ID, section 2: scheme and trust domain in lower case; no user, port, query, fragment
    or percent-encoding; no empty segment of the path, no ``.`` and no ``..``; 2048 bytes at most.
    """
    return trust_domain_of(uri) is not None


def trust_domain_of(uri: str) -> str | None:
    """Return the trust domain of a SPIFFE id; ``None`` for what is none."""
    found = _ID.fullmatch(uri)
    if found is None or len(uri) > _LONGEST_ID or len(found[1]) > _LONGEST_DOMAIN:
        return None
    segments = found[2].split("/")
    return None if "." in segments or ".." in segments else found[1]
