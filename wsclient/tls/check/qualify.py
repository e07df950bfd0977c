"""Whether our certificate is one that a server has asked for, as far as one can see."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

from ..certificates.facts import CertificateFacts
from ..handshake.messages import CertificateRequest
from ..identity.identity import ClientIdentity

__all__ = ["faults_of", "moment"]


def faults_of(identity: ClientIdentity, request: CertificateRequest) -> tuple[str, ...]:
    """Return what speaks against a certificate; empty if nothing does.

    A server may be less strict than it says, and more: it tells nothing of the names or revoked
    certificates that it refuses.

    Args:
        identity: ours.
        request: what the server asked for.

    Returns:
        Whole sentences.
    """
    facts = [CertificateFacts.of(der) for der in identity.chain_der]
    return (
        *_key_fault(identity, request),
        *_date_faults(facts),
        *_usage_fault(identity),
        *_issuer_fault(facts, request),
    )


def moment(when: datetime | None) -> str:
    """Return a date of a certificate as text; ``"?"`` for one that cannot be read."""
    return "?" if when is None else f"{when.astimezone(UTC):%Y-%m-%d %H:%M} UTC"


def _key_fault(identity: ClientIdentity, request: CertificateRequest) -> Iterator[str]:
    if not request.accepts_key_type(identity.key_type):
        yield (
            f"Its key is of type {identity.key_type}, and the server takes no signature of such "
            "a key: the certificate is not sent."
        )


def _date_faults(facts: list[CertificateFacts]) -> Iterator[str]:
    now = datetime.now(UTC)
    for number, each in enumerate(facts):
        if number and each.issuer == each.subject:
            continue  # The server has roots of its own.
        whose = "It" if number == 0 else f"{each.subject or 'A certificate'} in its chain"
        if each.not_after is not None and each.not_after < now:
            yield f"{whose} expired on {moment(each.not_after)}."
        if each.not_before is not None and each.not_before > now:
            yield f"{whose} is not valid before {moment(each.not_before)}."


def _usage_fault(identity: ClientIdentity) -> Iterator[str]:
    if "no_client_auth_eku" in identity.warnings:
        yield "Its extended key usage does not include clientAuth."


def _issuer_fault(facts: list[CertificateFacts], request: CertificateRequest) -> Iterator[str]:
    """Yield a fault if the server has named authorities, and nobody of our chain is among them."""
    issuers = [each.issuer for each in facts if each.issuer]
    if request.accepts_issuers(issuers) is not False:
        return
    last = issuers[-1]
    text = f"Its issuer {issuers[0]} is not among the authorities that the server named."
    if len(issuers) > 1:
        text = f"None of its chain, up to {last}, is from an authority that the server named."
    yield text + " If there is one in between, its certificate is missing from the chain."
