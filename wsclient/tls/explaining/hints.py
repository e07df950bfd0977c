"""What to do about a certificate that was refused: one sentence for a person on call."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import Final

from ..certificates.facts import CertificateFacts
from ..handshake.messages import CertificateRequest
from ..identity.identity import ClientIdentity, IdentityWarning
from .evidence import HandshakeFacts

__all__ = ["client_hint", "known_fault", "server_hint", "unexplained_hint"]

_MOST_LISTED: Final = 3
_LONGEST_NAME: Final = 100

_USUAL_KEYS: Final = ("ec-p256", "rsa-2048", "ec-p384", "ed25519")

_ROOT_IN_CHAIN: Final = 19
_IP_ADDRESS_MISMATCH: Final = 64


# The server's certificate, which we refused.


def server_hint(reason: str, code: int | None, facts: HandshakeFacts) -> str:
    """Return what to do when we refuse the server's certificate.

    Args:
        reason: of the `ServerCertificateError`.
        code: OpenSSL's verification code.
        facts: what is known about the handshake.

    Returns:
        a sentence; empty when nothing more can be said.
    """
    if reason == "unknown_ca":
        hint = _unknown_ca_hint(code, facts)
    elif reason == "hostname_mismatch":
        hint = _hostname_hint(code, facts)
    elif reason in ("expired", "not_yet_valid"):
        hint = (
            f"By the clock of this machine it is {_moment(datetime.now(UTC))}: if that is right, "
            "the server needs another certificate."
        )
    else:
        hint = _SERVER_HINTS.get(reason, "").format(argument=facts.argument)
    return facts.addressed(hint)


_SERVER_HINTS: Final = {
    "self_signed": (
        "If it is the right one, trust it by {argument}=TLSConfig(cafile=...) with a copy of the "
        "certificate."
    ),
    "wrong_purpose": (
        "Give the server a certificate whose extended key usage includes serverAuth; perhaps it "
        "shows one that was made for a client."
    ),
    "revoked": "The server needs a new certificate, because its authority has withdrawn this one.",
    "crl_missing": (
        "Put a list of the authority that issued the certificate into crlfile or crldata, and "
        'with crl_check="chain" one of each authority above it.'
    ),
    "crl_expired": "Load a newer list into crlfile or crldata: the next one is overdue.",
    "not_rfc5280": (
        "Have the certificate and its authority issued anew by the rules, or pass "
        "{argument}=TLSConfig(strict=False); strict is the default from Python 3.13 on."
    ),
    "too_weak": "The server, or its authority, needs a longer key or a newer digest (SHA-256).",
}


def _unknown_ca_hint(code: int | None, facts: HandshakeFacts) -> str:
    pass_root = f"pass its root certificate by {facts.argument}=TLSConfig(cafile=...)"
    if not facts.trust or "system" not in facts.trust:
        pass_root += f', or {facts.argument}=TLSConfig(trust="system") if this system trusts it'
    if facts.trust:
        pass_root = f"{pass_root} (trusted was: {', '.join(facts.trust)})"
    if code == _ROOT_IN_CHAIN:
        return f"If the authority is a private one, {pass_root}."
    return (
        f"If the authority is a private one, {pass_root}, or see that it is in the file given; if "
        "it is there, or is a public one, the server probably does not send its intermediate "
        "certificates, as check_tls() shows."
    )


def _hostname_hint(code: int | None, facts: HandshakeFacts) -> str:
    name = facts.server_hostname
    checked = "the name in the URL" if name is None else name
    if code == _IP_ADDRESS_MISMATCH:
        checked = f"the IP address {checked}"
    return (
        f"It must have {checked} among its subject alternative names (its common name does not "
        f"count): check the URL, or pass {facts.argument}=TLSConfig(server_hostname=...) with a "
        "name that it has."
    )


# Our certificate, which the server refused.


def client_hint(reason: str, facts: HandshakeFacts) -> str:
    """Return what to do when the server refuses our certificate, or misses one.

    Args:
        reason: of the `ClientCertificateRejected`.
        facts: what is known about the handshake.
    """
    if facts.identity is None:
        return facts.addressed(_no_identity_hint(reason, facts))
    hint = _HINT_OF_REASON.get(reason, _nothing)(facts.identity, facts.request)
    return facts.addressed(hint or _likely_fault(facts.identity, facts.request) or _NO_FAULT_FOUND)


_NO_FAULT_FOUND: Final = (
    "Nothing is wrong with our certificate as far as can be seen from here: the server's log "
    "should say why."
)


def _no_identity_hint(reason: str, facts: HandshakeFacts) -> str:
    """Return a hint when we have no certificate, or know of none."""
    if facts.handshake is None and reason not in ("certificate_required", "probable"):
        return "Check the certificate that the ssl context has loaded."
    pass_one = f"pass {facts.argument}=TLSConfig(identity=...)"
    if facts.handshake is None:
        pass_one += ", or load a certificate into the ssl context"
    names = () if facts.request is None else facts.request.authorities
    issued = f" issued by {_listed(names)}" if any(names) else ""
    return f"The server asked for a certificate{issued}; none was configured: {pass_one}."


def _nothing(identity: ClientIdentity, request: CertificateRequest | None) -> str:
    return ""


def _likely_fault(identity: ClientIdentity, request: CertificateRequest | None) -> str:
    """Return the worst that can be found in our certificate; empty if there is nothing."""
    if _takes_not(request, identity):
        return _key_type_hint(identity, request)
    hint = _date_hint(identity) or _usage_hint(identity, request)
    if hint:
        return hint
    if IdentityWarning.CHAIN_INCOMPLETE in identity.warnings or _is_stranger(identity, request):
        return _authority_hint(identity, request)
    return ""


def _takes_not(request: CertificateRequest | None, identity: ClientIdentity) -> bool:
    return request is not None and not request.accepts_key_type(identity.key_type)


def _key_type_hint(identity: ClientIdentity, request: CertificateRequest | None) -> str:
    kind = identity.key_type or "of an unknown type"
    accepted = [each for each in _USUAL_KEYS if request is None or request.accepts_key_type(each)]
    other = next((each for each in accepted if each != kind), _USUAL_KEYS[0])
    if request is None or not _takes_not(request, identity):
        return (
            f"Try a certificate with a key of another type, such as {other}: ours is {kind}, "
            "which the server probably does not take."
        )
    return (
        f"Use a certificate with a key of another type, such as {other}: ours is {kind}, and the "
        f"server takes {_listed(request.signature_algorithms)}."
    )


def _usage_hint(identity: ClientIdentity, request: CertificateRequest | None) -> str:
    if IdentityWarning.NO_CLIENT_AUTH_EKU not in identity.warnings:
        return ""
    return (
        "Have our certificate issued anew with clientAuth in its extended key usage, which it "
        "does not have."
    )


def _access_hint(identity: ClientIdentity, request: CertificateRequest | None) -> str:
    name = _shortened(identity.spiffe_id or identity.subject) or "this client"
    return f"Ask whoever runs the server to give access to {name}."


def _revoked_hint(identity: ClientIdentity, request: CertificateRequest | None) -> str:
    number = identity.serial_number
    return (
        f"Have a new certificate issued by {_issuer(identity)}: ours, serial number "
        f"{'unknown' if number is None else f'{number:x}'}, is on a revocation list of the server."
    )


def _expiry_hint(identity: ClientIdentity, request: CertificateRequest | None) -> str:
    return _date_hint(identity) or (
        f"It is valid until {_moment(identity.not_after)} by the clock of this machine: check "
        "the server's clock, and the dates of the intermediate certificates."
    )


def _date_hint(identity: ClientIdentity) -> str:
    if IdentityWarning.EXPIRED in identity.warnings:
        return (
            f"Our certificate expired on {_moment(identity.not_after)}: renew it, and see why it "
            "was not replaced in time."
        )
    if IdentityWarning.NOT_YET_VALID in identity.warnings:
        return (
            f"Our certificate is not valid before {_moment(identity.not_before)}, and it is "
            f"{_moment(datetime.now(UTC))}: check the clock of this machine and of the issuer."
        )
    return ""


def _authority_hint(identity: ClientIdentity, request: CertificateRequest | None) -> str:
    """Compare who issued our certificate with whom the server named."""
    issuer = _issuer(identity)
    if IdentityWarning.CHAIN_INCOMPLETE in identity.warnings:
        return (
            f"Add the missing intermediate certificate to our chain, which breaks off at "
            f"{_break(identity)}."
        )
    names = () if request is None else request.authorities
    if _is_stranger(identity, request):
        return (
            f"The server takes certificates issued by {_listed(names)}, and ours was issued by "
            f"{issuer}: use another, or add the intermediate certificates that lead from there."
        )
    if any(names):
        return (
            f"The server names {_listed(names)}, which our chain leads to: check that it is "
            "the same authority and not another one of that name."
        )
    return (
        f"Have the server trust {issuer}, which issued our certificate, or add the intermediate "
        "certificates that are missing to our chain."
    )


def _is_stranger(identity: ClientIdentity, request: CertificateRequest | None) -> bool:
    """Tell whether the server has named authorities, and none of them is in our chain."""
    issuers = [CertificateFacts.of(der).issuer for der in identity.chain_der]
    return request is not None and request.accepts_issuers(issuers) is False


def _break(identity: ClientIdentity) -> str:
    """Return the issuer that is looked for in vain in our chain."""
    chain = [CertificateFacts.of(der) for der in identity.chain_der]
    last = chain[0]
    for each in chain[1:]:
        if each.subject != last.issuer:
            break
        last = each
    return _shortened(last.issuer) or "its end"


_HINT_OF_REASON: Final[dict[str, Callable[[ClientIdentity, CertificateRequest | None], str]]] = {
    "not_sent_key_type": _key_type_hint,
    "unknown_ca": _authority_hint,
    "access_denied": _access_hint,
    "revoked": _revoked_hint,
    "expired": _expiry_hint,
    "unsupported": _usage_hint,
}
"""What to say first; what is the matter with the certificate is said in any other case."""


# Ends without a reason.


def known_fault(facts: HandshakeFacts) -> str:
    """Return what is known against our certificate; empty if nothing is, or none was asked for.

    Args:
        facts: what is known about the handshake.
    """
    if not facts.asked or facts.identity is None:
        return ""
    return _likely_fault(facts.identity, facts.request)


def unexplained_hint(facts: HandshakeFacts) -> str:
    """Return what to look at when the server asked for a certificate and gave no reason.

    Args:
        facts: what is known about the handshake.
    """
    if facts.identity is None:
        return facts.addressed(_no_identity_hint("probable", facts))
    hint = _likely_fault(facts.identity, facts.request) or (
        "The server probably refused ours, and its log should say why: see by check_tls() what "
        "it asks for."
    )
    return facts.addressed(hint)


# Words.


def _issuer(identity: ClientIdentity) -> str:
    return _shortened(identity.issuer) or "its authority"


def _moment(when: datetime | None) -> str:
    return "an unknown date" if when is None else f"{when.astimezone(UTC):%Y-%m-%d %H:%M} UTC"


def _listed(names: Iterable[str]) -> str:
    """Join the first names; the rest is counted."""
    known = list(dict.fromkeys(_shortened(name) for name in names if name))
    shown, rest = known[:_MOST_LISTED], len(known) - _MOST_LISTED
    if rest > 0:
        return f"{', '.join(shown)} or {rest} more"
    return " or ".join([", ".join(shown[:-1]), shown[-1]]) if len(shown) > 1 else "".join(shown)


def _shortened(name: str) -> str:
    return name if len(name) <= _LONGEST_NAME else name[: _LONGEST_NAME - 1] + "…"
