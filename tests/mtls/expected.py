"""What each scenario must come to: a row for all servers, and the servers that differ.

A row is one outcome for both versions of TLS, or two: that of 1.2 and that of 1.3.
"""

from __future__ import annotations

from typing import Final

from mtls.outcomes import ACCEPTED, Outcome, failed, mismatch, refused, rejected

__all__ = ["DEVIATIONS", "ROWS", "expected"]

Row = Outcome | tuple[Outcome, Outcome]

_FORBIDDEN: Final = Outcome("HandshakeError", status=403)

ROWS: Final[dict[str, Row]] = {
    "good": ACCEPTED,
    "good, by address": ACCEPTED,
    "optional, no certificate": ACCEPTED,
    "optional, good certificate": ACCEPTED,
    "optional, expired certificate": rejected("expired", "certificate_expired"),
    # TLS 1.2 lets the server begin again, TLS 1.3 lets it ask if the client has allowed that.
    "asked later, not allowed": (ACCEPTED, _FORBIDDEN),
    # TLS 1.2 has no alert of its own for a missing certificate.
    "a no certificate": (
        rejected("certificate_required", "handshake_failure"),
        rejected("certificate_required", "certificate_required"),
    ),
    # OpenSSL leaves a certificate at home that the server does not take.
    "a' Ed25519": (
        rejected("not_sent_key_type", "handshake_failure"),
        rejected("not_sent_key_type", "certificate_required"),
    ),
    "a' Ed448": (
        rejected("not_sent_key_type", "handshake_failure"),
        rejected("not_sent_key_type", "certificate_required"),
    ),
    # Under TLS 1.2 it sends this one nevertheless, and the server makes nothing of it.
    "a' secp256k1": (
        rejected("unsupported", "illegal_parameter"),
        rejected("not_sent_key_type", "certificate_required"),
    ),
    "b unknown authority": rejected("unknown_ca", "unknown_ca"),
    "b2 no intermediate": rejected("unknown_ca", "unknown_ca"),
    "c expired": rejected("expired", "certificate_expired"),
    "c2 not yet valid": rejected("bad_certificate", "bad_certificate"),
    "c3 not for clients": rejected("unsupported", "unsupported_certificate"),
    "c4 for no purpose": ACCEPTED,
    "d revoked": rejected("revoked", "certificate_revoked"),
    "e unknown authority": refused("unknown_ca", 20),
    "f expired": refused("expired", 10),
    "f2 not yet valid": refused("not_yet_valid", 9),
    "g wrong name": refused("hostname_mismatch", 62),
    "g wrong address": refused("hostname_mismatch", 64),
    "h self-signed": refused("self_signed", 18),
    "h2 not for servers": refused("wrong_purpose", 26),
    "h3 not revoked": ACCEPTED,
    "h3 revoked": refused("revoked", 23),
    "h3 list expired": refused("crl_expired", 12),
    "h3 list missing": refused("crl_missing", 3),
    "i no TLS there": mismatch("not_tls"),
    # Without an answer nothing says that it is TLS that is spoken there.
    "i TLS there": failed("http"),
    "j server has 1.2 only": mismatch("protocol_version", "protocol_version"),
    "j server has 1.3 only": mismatch("protocol_version", "protocol_version"),
    "j3 no common cipher": mismatch("handshake_failure", "handshake_failure"),
}

_NGINX_REFUSES: Final = rejected("http_400_nginx", status=400)
_HTTP_THERE: Final = mismatch("http_on_tls_port")

DEVIATIONS: Final[dict[str, dict[str, Row]]] = {
    # It accepts everything in TLS, and then answers with 400.
    "nginx": {
        "optional, expired certificate": _NGINX_REFUSES,
        "a no certificate": rejected("certificate_required", status=400),
        "a' secp256k1": (
            rejected("unsupported", "illegal_parameter"),
            rejected("not_sent_key_type", status=400),
        ),
        "b unknown authority": _NGINX_REFUSES,
        "b2 no intermediate": _NGINX_REFUSES,
        "c expired": _NGINX_REFUSES,
        "c2 not yet valid": _NGINX_REFUSES,
        "c3 not for clients": _NGINX_REFUSES,
        "d revoked": _NGINX_REFUSES,
        "i TLS there": _HTTP_THERE,
    },
    "Apache": {"i TLS there": _HTTP_THERE},
    "Apache Location": {"i TLS there": _HTTP_THERE},
    "Envoy": {
        "a' secp256k1": (
            rejected("unsupported", "decode_error"),
            rejected("not_sent_key_type", "certificate_required"),
        ),
        # BoringSSL has one alert for both ends of the validity.
        "c2 not yet valid": rejected("expired", "certificate_expired"),
    },
    "Caddy": {
        "a' secp256k1": (
            rejected("unsupported", "decode_error"),
            rejected("not_sent_key_type", "certificate_required"),
        ),
        # So does Go.
        "c2 not yet valid": rejected("expired", "certificate_expired"),
        "c3 not for clients": rejected("bad_certificate", "bad_certificate"),
        "i TLS there": _HTTP_THERE,
    },
}
"""By server: the rows in which it differs."""


def expected(server: str, scenario: str, version: str) -> Outcome:
    """Return what must come of a scenario.

    Args:
        server: its name.
        scenario: its name.
        version: of TLS, ``"1.2"`` or ``"1.3"``.
    """
    row = DEVIATIONS.get(server, {}).get(scenario, ROWS[scenario])
    return row if isinstance(row, Outcome) else row[version == "1.3"]
