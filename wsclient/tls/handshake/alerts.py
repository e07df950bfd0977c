"""TLS alerts: their numbers, and the names that OpenSSL gives to those it has received.

OpenSSL reports a received alert as an error whose number is 1000 above the alert's. `ssl` shows
its name only, and only where it has one: 115, 117, 120 and 121 have none up to Python 3.13.
"""

from __future__ import annotations

import enum
from typing import Final

__all__ = ["Alert", "alert_name", "alert_of"]


class Alert(enum.IntEnum):
    """What an alert means.

    Source: RFC 8446, section 6; RFC 5246, section 7.2, for those of older versions; RFC 6066,
    section 9, RFC 4279, RFC 7301, RFC 7507 and RFC 9849 for single ones.
    """

    CLOSE_NOTIFY = 0
    UNEXPECTED_MESSAGE = 10
    BAD_RECORD_MAC = 20
    DECRYPTION_FAILED = 21
    RECORD_OVERFLOW = 22
    DECOMPRESSION_FAILURE = 30
    HANDSHAKE_FAILURE = 40
    NO_CERTIFICATE = 41
    BAD_CERTIFICATE = 42
    UNSUPPORTED_CERTIFICATE = 43
    CERTIFICATE_REVOKED = 44
    CERTIFICATE_EXPIRED = 45
    CERTIFICATE_UNKNOWN = 46
    ILLEGAL_PARAMETER = 47
    UNKNOWN_CA = 48
    ACCESS_DENIED = 49
    DECODE_ERROR = 50
    DECRYPT_ERROR = 51
    EXPORT_RESTRICTION = 60
    PROTOCOL_VERSION = 70
    INSUFFICIENT_SECURITY = 71
    INTERNAL_ERROR = 80
    INAPPROPRIATE_FALLBACK = 86
    USER_CANCELED = 90
    NO_RENEGOTIATION = 100
    MISSING_EXTENSION = 109
    UNSUPPORTED_EXTENSION = 110
    CERTIFICATE_UNOBTAINABLE = 111
    UNRECOGNIZED_NAME = 112
    BAD_CERTIFICATE_STATUS_RESPONSE = 113
    BAD_CERTIFICATE_HASH_VALUE = 114
    UNKNOWN_PSK_IDENTITY = 115
    CERTIFICATE_REQUIRED = 116
    GENERAL_ERROR = 117
    NO_APPLICATION_PROTOCOL = 120
    ECH_REQUIRED = 121


# Which of them OpenSSL writes with ALERT, and with which version, is history. Nothing else in
# OpenSSL is called by such a name, so that every combination may be looked up.
_PREFIXES: Final = (
    "SSLV3_ALERT_",
    "TLSV1_ALERT_",
    "TLSV13_ALERT_",
    "TLSV1_",
    "TLSV13_",
)

_BY_NAME: Final[dict[str, Alert]] = {
    **{alert.name: alert for alert in Alert},
    "USER_CANCELLED": Alert.USER_CANCELED,
}


def alert_of(openssl_reason: str) -> tuple[str, int] | None:
    """Return the received alert that an OpenSSL error stands for.

    Args:
        openssl_reason: `ssl.SSLError.reason`, such as ``"TLSV1_ALERT_UNKNOWN_CA"``.

    Returns:
        its name, such as ``"unknown_ca"``, and its number; ``None`` for an error that we have
        found ourselves.
    """
    for prefix in _PREFIXES:
        if openssl_reason.startswith(prefix):
            alert = _BY_NAME.get(openssl_reason.removeprefix(prefix))
            if alert is not None:
                return alert.name.lower(), int(alert)
    return None


def alert_name(number: int) -> str:
    """Return the name of an alert in the spelling of RFC 8446.

    Args:
        number: 0..255.

    Returns:
        such as ``"certificate_required"``; ``"alert 200"`` for one without a name.
    """
    try:
        return Alert(number).name.lower()
    except ValueError:
        return f"alert {number}"
