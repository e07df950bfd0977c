"""From errors of `ssl`, and ends without one, to errors that say what happened and what to do.

Types, numbers and OpenSSL's names decide, never the text of a message: that differs between
versions. Bodies of HTTP answers are the one exception: there servers have no other language.
"""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from typing import Final

from ...errors import (
    ClientCertificateRejected,
    ServerCertificateError,
    TLSConnectionClosed,
    TLSError,
    TLSProtocolError,
)
from ..handshake.alerts import Alert, alert_name, alert_of
from ..handshake.checks import PeerRefusedError
from .evidence import HandshakeFacts
from .hints import client_hint, server_hint, unexplained_hint
from .verify_codes import verify_reason

__all__ = ["HandshakeFacts", "explain_closed", "explain_fault", "explain_refusal"]

_ENDED: Final = (ssl.SSLEOFError, ssl.SSLZeroReturnError, ssl.SSLSyscallError)


def explain_fault(fault: ssl.SSLError, facts: HandshakeFacts) -> TLSError:
    """Return our error for one of `ssl`.

    Args:
        fault: what `ssl` raised in the handshake, or behind it while waiting for an answer. It
            is not chained; whoever raises the result does that.
        facts: what is known about the handshake.

    Returns:
        a `ServerCertificateError`, `ClientCertificateRejected`, `TLSProtocolError` or
        `TLSConnectionClosed`.
    """
    if isinstance(fault, PeerRefusedError):
        return _our_refusal(fault.refusal, fault, facts, fault.text, fault.hint)
    if isinstance(fault, ssl.SSLCertVerificationError):
        return _failed_verification(fault, facts)
    openssl_reason = _openssl_reason(fault)
    if openssl_reason in _TOO_WEAK:
        hint = server_hint("too_weak", None, facts)
        return _our_refusal("too_weak", fault, facts, _REFUSED["too_weak"], hint)
    if isinstance(fault, _ENDED):
        return explain_closed(isinstance(fault, ssl.SSLSyscallError), facts)
    alert = alert_of(openssl_reason)
    if alert is None and not openssl_reason and facts.received_alert is not None:
        # Python has no name for some of them.
        alert = alert_name(facts.received_alert), facts.received_alert
    if alert is not None:
        return _received(alert, openssl_reason, facts)
    return _found_here(openssl_reason, facts)


def _openssl_reason(fault: ssl.SSLError) -> str:
    # It is missing where somebody has made the error in Python, as with all the rest.
    return getattr(fault, "reason", None) or ""


# We refused the server's certificate.

_REFUSED: Final = {
    "unknown_ca": "No authority that this client trusts has issued it.",
    "self_signed": "It is self-signed, and is not trusted itself.",
    "expired": "It has expired, or one above it has.",
    "not_yet_valid": "It is not valid yet, or one above it is not.",
    "hostname_mismatch": "It was issued for another name.",
    "wrong_purpose": "It is not meant for a server.",
    "revoked": "It has been revoked.",
    "crl_missing": "There is no revocation list to look it up in.",
    "crl_expired": "The revocation list to look it up in has expired.",
    "not_rfc5280": "It, or one above it, breaks a rule of RFC 5280.",
    "too_weak": "Its key or its signature, or that of one above it, is too weak.",
}

_TOO_WEAK: Final = frozenset({"EE_KEY_TOO_SMALL", "CA_KEY_TOO_SMALL", "CA_MD_TOO_WEAK"})


def _failed_verification(
    fault: ssl.SSLCertVerificationError, facts: HandshakeFacts
) -> ServerCertificateError:
    code = getattr(fault, "verify_code", None)
    reason = verify_reason(code or 0)
    says = getattr(fault, "verify_message", None) or "nothing more"
    text = _REFUSED.get(reason) or f"OpenSSL says {says}."
    if reason == "not_rfc5280":
        text = f"{text[:-1]}: {says}."
    return _our_refusal(reason, fault, facts, text, server_hint(reason, code, facts))


def _our_refusal(
    reason: str, fault: ssl.SSLError, facts: HandshakeFacts, text: str, hint: str
) -> ServerCertificateError:
    return ServerCertificateError(
        f"the certificate of {facts.place} was refused: {_lower(text)}",
        reason=reason,
        side="local",
        openssl_reason=_openssl_reason(fault),
        verify_code=getattr(fault, "verify_code", None),
        tls_version=facts.tls_version,
        identity=_identity(facts),
        hint=hint,
    )


# The other side sent an alert.

_CERTIFICATE_ALERTS: Final[dict[int, str]] = {
    Alert.BAD_CERTIFICATE: "bad_certificate",
    Alert.UNSUPPORTED_CERTIFICATE: "unsupported",
    Alert.CERTIFICATE_REVOKED: "revoked",
    Alert.CERTIFICATE_EXPIRED: "expired",
    Alert.CERTIFICATE_UNKNOWN: "certificate_unknown",
    Alert.UNKNOWN_CA: "unknown_ca",
    Alert.CERTIFICATE_UNOBTAINABLE: "bad_certificate",
    Alert.BAD_CERTIFICATE_HASH_VALUE: "bad_certificate",
}
"""Alerts that are about our certificate whenever a server sends them."""

_MISSING_ALERTS: Final = frozenset({Alert.NO_CERTIFICATE, Alert.CERTIFICATE_REQUIRED})

_FAILED_SIGNATURES: Final = frozenset(
    {Alert.ILLEGAL_PARAMETER, Alert.DECODE_ERROR, Alert.DECRYPT_ERROR}
)
"""What servers send when they cannot do anything with our key, or with anything else."""

_PROTOCOL_ALERTS: Final[dict[int, str]] = {
    Alert.HANDSHAKE_FAILURE: "handshake_failure",
    Alert.INSUFFICIENT_SECURITY: "handshake_failure",
    Alert.PROTOCOL_VERSION: "protocol_version",
    Alert.INAPPROPRIATE_FALLBACK: "protocol_version",
    Alert.UNRECOGNIZED_NAME: "unrecognized_name",
    Alert.NO_APPLICATION_PROTOCOL: "no_application_protocol",
}


def _received(
    alert: tuple[str, int], openssl_reason: str, facts: HandshakeFacts
) -> ClientCertificateRejected | TLSProtocolError:
    rejection = _rejection(alert[1], facts)
    if rejection:
        return _rejected(rejection, facts, alert=alert, openssl_reason=openssl_reason)
    reason = _PROTOCOL_ALERTS.get(alert[1], "protocol_error")
    return TLSProtocolError(
        f"{facts.place} broke off the TLS handshake: {_broke_off(reason)} (alert {alert[0]}).",
        reason=reason,
        side="peer",
        alert=alert[0],
        alert_number=alert[1],
        openssl_reason=openssl_reason,
        tls_version=facts.tls_version,
        identity=_identity(facts),
        hint=facts.addressed(_protocol_hint(reason, facts, theirs=True)),
    )


def _rejection(number: int, facts: HandshakeFacts) -> str:
    """Return the reason if an alert is about our certificate, and else nothing."""
    if number in _MISSING_ALERTS:
        return _missing(facts)
    if number in _CERTIFICATE_ALERTS:
        # Go up to 1.20 says bad_certificate when there is none.
        nothing_sent = number == Alert.BAD_CERTIFICATE and facts.sent is False
        return _missing(facts) if nothing_sent else _CERTIFICATE_ALERTS[number]
    if number == Alert.ACCESS_DENIED:
        return "" if facts.asked is False else "access_denied"
    if number == Alert.HANDSHAKE_FAILURE and _failed_over_certificate(facts):
        return "bad_certificate" if facts.sent else _missing(facts)
    if number in _FAILED_SIGNATURES and _asked_later(facts):
        return "unsupported"
    if number in _FAILED_SIGNATURES and facts.sent:
        return "unsupported" if _key_type_fits(facts) is False else _unverified(number)
    return ""


def _missing(facts: HandshakeFacts) -> str:
    """Return the reason when the server has got no certificate."""
    if facts.identity is None or facts.sent:
        return "certificate_required"
    return "not_sent_key_type"


def _failed_over_certificate(facts: HandshakeFacts) -> bool:
    """Tell whether the alert handshake_failure is about our certificate.

    With TLS 1.2 it is all that a server has to say when it gets none. It is also what a server
    says before its hello, when the two have no cipher suite in common.
    """
    if facts.asked is None:
        # Unseen, but behind the hello there is hardly anything else to fail.
        return facts.answered
    return facts.asked and facts.sent is not None


def _asked_later(facts: HandshakeFacts) -> bool:
    """Tell whether the server must have asked for our certificate behind the handshake.

    It then has no other reason to refuse something before it has answered. TLS 1.2 begins a
    second handshake for that, which nobody watches.
    """
    return facts.established and facts.identity is not None and facts.request is None


def _key_type_fits(facts: HandshakeFacts) -> bool | None:
    if facts.identity is None or facts.request is None:
        return None
    return facts.request.accepts_key_type(facts.identity.key_type)


def _unverified(number: int) -> str:
    return "bad_certificate" if number == Alert.DECRYPT_ERROR else ""


_REJECTED: Final = {
    "certificate_required": "{probably}requires a client certificate, and got none",
    "not_sent_key_type": (
        "{probably}requires a client certificate, and ours{identity} was not sent: there a key of "
        "its type is not taken"
    ),
    "unknown_ca": "refused our client certificate{identity}: it does not know the issuer",
    "expired": "refused our client certificate{identity}: it is not valid now",
    "revoked": "refused our client certificate{identity}: it has been revoked",
    "unsupported": (
        "refused our client certificate{identity}: it is not of a kind that is accepted"
    ),
    "bad_certificate": "{probably}refused our client certificate{identity}: it finds a fault",
    "certificate_unknown": "refused our client certificate{identity}, and does not say why",
    "access_denied": "refused our client certificate{identity}: it gives no access",
    "http_400_nginx": "refused our client certificate{identity}, and does not say why",
    "probable": (
        "ended the connection without a reason after it had asked for a client certificate"
    ),
}


def _rejected(
    reason: str,
    facts: HandshakeFacts,
    *,
    alert: tuple[str, int] | None = None,
    openssl_reason: str = "",
    status: int | None = None,
) -> ClientCertificateRejected:
    described = _identity(facts)
    what = _REJECTED[reason].format(
        identity="" if described is None else f" {described}",
        probably="probably " if _is_a_guess(reason, alert, facts) else "",
    )
    said = "" if alert is None else f" (alert {alert[0]})"
    said = said if status is None else f" (HTTP status {status})"
    hint = unexplained_hint(facts) if reason == "probable" else client_hint(reason, facts)
    rejected = ClientCertificateRejected(
        f"{facts.place} {what}{said}.",
        reason=reason,
        side="peer",
        alert=None if alert is None else alert[0],
        alert_number=None if alert is None else alert[1],
        openssl_reason=openssl_reason,
        tls_version=facts.tls_version,
        identity=described,
        hint=hint,
    )
    rejected.status = status
    return rejected


def _is_a_guess(reason: str, alert: tuple[str, int] | None, facts: HandshakeFacts) -> bool:
    if alert is not None and alert[1] == Alert.HANDSHAKE_FAILURE:
        return facts.asked is None or facts.sent is True
    return reason == "not_sent_key_type" and facts.sent is None


# We cannot make anything of what the other side sent.

_NOT_TLS: Final = frozenset(
    {
        "HTTPS_PROXY_REQUEST",
        "HTTP_REQUEST",
        "PACKET_LENGTH_TOO_LONG",
        "UNKNOWN_PROTOCOL",
        "WRONG_VERSION_NUMBER",
    }
)

_OUR_REASONS: Final = {
    "BAD_PROTOCOL_VERSION_NUMBER": "protocol_version",
    "INAPPROPRIATE_FALLBACK": "protocol_version",
    "NO_PROTOCOLS_AVAILABLE": "protocol_version",
    "UNKNOWN_SSL_VERSION": "protocol_version",
    "UNSUPPORTED_PROTOCOL": "protocol_version",
    "UNSUPPORTED_SSL_VERSION": "protocol_version",
    "VERSION_TOO_HIGH": "protocol_version",
    "VERSION_TOO_LOW": "protocol_version",
    "WRONG_SSL_VERSION": "protocol_version",
    "DH_KEY_TOO_SMALL": "handshake_failure",
    "NO_CIPHERS_AVAILABLE": "handshake_failure",
    "NO_SHARED_CIPHER": "handshake_failure",
    "NO_SUITABLE_GROUPS": "handshake_failure",
    "NO_SUITABLE_KEY_SHARE": "handshake_failure",
    "NO_SUITABLE_SIGNATURE_ALGORITHM": "handshake_failure",
    "UNKNOWN_CIPHER_RETURNED": "handshake_failure",
    "UNSAFE_LEGACY_RENEGOTIATION_DISABLED": "handshake_failure",
    "WRONG_CIPHER_RETURNED": "handshake_failure",
    "WRONG_CURVE": "handshake_failure",
    "WRONG_SIGNATURE_TYPE": "handshake_failure",
}


def _found_here(openssl_reason: str, facts: HandshakeFacts) -> TLSProtocolError:
    reason = _OUR_REASONS.get(openssl_reason, "protocol_error")
    # Behind the hello the other side has shown that it speaks TLS.
    if openssl_reason in _NOT_TLS and not facts.answered:
        reason = "not_tls"
        what = f"{facts.place} answered with something that is not TLS"
    else:
        what = f"TLS with {facts.place} failed here: {_broke_off(reason)}"
    return TLSProtocolError(
        f"{what} ({openssl_reason or 'OpenSSL gives no reason'}).",
        reason=reason,
        side="local",
        openssl_reason=openssl_reason,
        tls_version=facts.tls_version,
        identity=_identity(facts),
        hint=facts.addressed(_protocol_hint(reason, facts, theirs=False)),
    )


def _broke_off(reason: str) -> str:
    return {
        "handshake_failure": "the two sides have no cipher suite, group or signature in common",
        "protocol_version": "the two sides have no TLS version in common",
        "unrecognized_name": "it does not serve that name",
        "no_application_protocol": "it speaks no application protocol that was offered by ALPN",
    }.get(reason, "one side does not follow the protocol")


def _protocol_hint(reason: str, facts: HandshakeFacts, *, theirs: bool) -> str:
    if reason == "protocol_version":
        return (
            f"This side offers {_versions(facts)}: compare it with the server's configuration, or "
            f"change minimum_version and maximum_version of {facts.argument}=TLSConfig(...)."
        )
    if reason == "handshake_failure":
        hint = f"Compare ciphers of {facts.argument}=TLSConfig(...) with what the server offers"
        if theirs and facts.asked is None and facts.identity is None:
            return (
                hint + "; with TLS 1.2 this may also mean that it requires a client certificate."
            )
        return hint + "."
    if reason == "unrecognized_name":
        return f"The name sent was {facts.server_hostname or 'that of the URL'}: check the host."
    if reason == "not_tls":
        if facts.proxy:
            return "Use http:// instead of https:// in the proxy's URL, or check its port."
        return "Use ws:// instead of wss:// if the server speaks no TLS here, or check the port."
    return "See what the other side has logged; check_tls() shows how far the handshake came."


def _versions(facts: HandshakeFacts) -> str:
    """Say which versions we offered."""
    if facts.handshake is None:
        return "what the ssl context allows"
    context = facts.handshake.context
    lowest, highest = context.minimum_version, context.maximum_version
    most = "TLSv1.3" if highest == ssl.TLSVersion.MAXIMUM_SUPPORTED else _version(highest)
    least = _version(lowest)
    return least if least == most else f"{least} to {most}"


def _version(version: ssl.TLSVersion) -> str:
    if version == ssl.TLSVersion.MINIMUM_SUPPORTED:
        return "the oldest version"
    return version.name.replace("_", ".")


# The other side ended the connection.


def explain_closed(
    reset: bool, facts: HandshakeFacts
) -> TLSConnectionClosed | ClientCertificateRejected:
    """Return our error for a connection that ended in the handshake, or right behind it.

    Args:
        reset: whether TCP was reset, and not ended in order.
        facts: what is known about the handshake.

    Returns:
        a `ClientCertificateRejected` with the reason ``"probable"`` if the server had asked for
        a certificate: servers on asyncio end the connection without an alert.
    """
    if facts.asked:
        return _rejected("probable", facts)
    if facts.answered:
        hint = "The server's log should say why."
    else:
        hint = "Check that this is a port for TLS, and that nothing on the way forbids it."
    if facts.identity is not None and facts.asked is None:
        hint = "The server may have refused our client certificate: its log should say why."
    return TLSConnectionClosed(
        f"{facts.place} closed the connection during the TLS handshake, and gave no reason.",
        reason="reset" if reset else "eof",
        side="peer",
        tls_version=facts.tls_version,
        identity=_identity(facts),
        hint=facts.addressed(hint),
    )


# The other side answered in HTTP.

_NO_CERTIFICATE: Final = b"no required ssl certificate was sent"
_BAD_CERTIFICATE: Final = b"the ssl certificate error"
_PLAIN_HTTP: Final = (
    b"the plain http request was sent to https port",  # nginx
    b"client sent an http request to an https server",  # Go
    b"speaking plain http to an ssl-enabled server port",  # Apache
    b"this combination of host and port requires tls",  # Tomcat
)
_PAGES: Final = {495: "http_400_nginx", 496: "certificate_required", 497: "http_on_tls_port"}
"""nginx's own numbers for the same, which it sends only when it is told to."""


def explain_refusal(
    status: int, headers: Mapping[str, str], body: bytes, facts: HandshakeFacts
) -> ClientCertificateRejected | TLSProtocolError | None:
    """Return our error for an HTTP answer that is about TLS; ``None`` if it is not.

    nginx takes any certificate in TLS and refuses it in HTTP; and many servers say in HTTP that
    their port wants TLS.

    Args:
        status: HTTP status.
        headers: of the answer, names in lower case. They are not needed so far.
        body: the start of its body; pages that somebody has written himself are not known.
        facts: what is known about the handshake. For ``ws://``, `where` begins with it.
    """
    del headers
    reason = _PAGES.get(status) or (_page(body) if status == 400 else "")
    encrypted = not facts.where.startswith(("ws://", "http://"))
    if reason == "http_on_tls_port":
        return _plain_http(status, encrypted, facts)
    if not reason or not encrypted:
        return None
    if reason == "certificate_required":
        reason = _missing(facts)
    return _rejected(reason, facts, status=status)


def _page(body: bytes) -> str:
    text = body.lower()
    if _NO_CERTIFICATE in text:
        return "certificate_required"
    if _BAD_CERTIFICATE in text:
        return "http_400_nginx"
    return "http_on_tls_port" if any(phrase in text for phrase in _PLAIN_HTTP) else ""


def _plain_http(status: int, encrypted: bool, facts: HandshakeFacts) -> TLSProtocolError:
    hint = "Use wss:// instead of ws://: the server expects TLS on this port."
    if encrypted:
        hint = (
            "The gateway that ends TLS sends plain HTTP to a port of a server behind it that "
            "expects TLS: its configuration needs a change."
        )
    return TLSProtocolError(
        f"{facts.place} got plain HTTP on a port for TLS (HTTP status {status}).",
        reason="http_on_tls_port",
        side="peer",
        tls_version=facts.tls_version,
        identity=_identity(facts),
        hint=hint,
    )


# Words.


def _identity(facts: HandshakeFacts) -> str | None:
    return None if facts.identity is None else facts.identity.named


def _lower(text: str) -> str:
    """Make a sentence fit to stand behind a colon."""
    return text[:1].lower() + text[1:]
