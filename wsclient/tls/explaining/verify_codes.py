"""OpenSSL's codes for why a certificate is refused, gathered into a few reasons."""

from __future__ import annotations

from typing import Final, Literal

__all__ = ["VERIFY_REASONS", "VerifyReason", "verify_reason"]

VerifyReason = Literal[
    "crl_expired",
    "crl_missing",
    "expired",
    "hostname_mismatch",
    "invalid",
    "not_rfc5280",
    "not_yet_valid",
    "revoked",
    "self_signed",
    "too_weak",
    "unknown_ca",
    "wrong_purpose",
]
"""Reasons of a `ServerCertificateError` that OpenSSL gives."""

VERIFY_REASONS: Final[dict[int, VerifyReason]] = {
    2: "unknown_ca",  # UNABLE_TO_GET_ISSUER_CERT
    3: "crl_missing",  # UNABLE_TO_GET_CRL
    9: "not_yet_valid",  # CERT_NOT_YET_VALID
    10: "expired",  # CERT_HAS_EXPIRED
    12: "crl_expired",  # CRL_HAS_EXPIRED
    18: "self_signed",  # DEPTH_ZERO_SELF_SIGNED_CERT
    19: "unknown_ca",  # SELF_SIGNED_CERT_IN_CHAIN
    20: "unknown_ca",  # UNABLE_TO_GET_ISSUER_CERT_LOCALLY
    21: "unknown_ca",  # UNABLE_TO_VERIFY_LEAF_SIGNATURE
    23: "revoked",  # CERT_REVOKED
    26: "wrong_purpose",  # INVALID_PURPOSE
    27: "unknown_ca",  # CERT_UNTRUSTED
    33: "crl_missing",  # UNABLE_TO_GET_CRL_ISSUER
    44: "crl_missing",  # DIFFERENT_CRL_SCOPE
    62: "hostname_mismatch",  # HOSTNAME_MISMATCH
    64: "hostname_mismatch",  # IP_ADDRESS_MISMATCH
    66: "too_weak",  # EE_KEY_TOO_SMALL
    67: "too_weak",  # CA_KEY_TOO_SMALL
    68: "too_weak",  # CA_MD_TOO_WEAK
    # What follows is only checked with VERIFY_X509_STRICT.
    78: "not_rfc5280",  # SIGNATURE_ALGORITHM_INCONSISTENCY
    80: "not_rfc5280",  # PATHLEN_INVALID_FOR_NON_CA
    81: "not_rfc5280",  # PATHLEN_WITHOUT_KU_KEY_CERT_SIGN
    82: "not_rfc5280",  # KU_KEY_CERT_SIGN_INVALID_FOR_NON_CA
    83: "not_rfc5280",  # ISSUER_NAME_EMPTY
    84: "not_rfc5280",  # SUBJECT_NAME_EMPTY
    85: "not_rfc5280",  # MISSING_AUTHORITY_KEY_IDENTIFIER
    86: "not_rfc5280",  # MISSING_SUBJECT_KEY_IDENTIFIER
    87: "not_rfc5280",  # EMPTY_SUBJECT_ALT_NAME
    88: "not_rfc5280",  # EMPTY_SUBJECT_SAN_NOT_CRITICAL
    89: "not_rfc5280",  # CA_BCONS_NOT_CRITICAL
    90: "not_rfc5280",  # AUTHORITY_KEY_IDENTIFIER_CRITICAL
    91: "not_rfc5280",  # SUBJECT_KEY_IDENTIFIER_CRITICAL
    92: "not_rfc5280",  # CA_CERT_MISSING_KEY_USAGE
    93: "not_rfc5280",  # EXTENSIONS_REQUIRE_VERSION_3
    94: "not_rfc5280",  # EC_KEY_EXPLICIT_PARAMS
    102: "not_rfc5280",  # EMPTY_AUTHORITY_KEY_IDENTIFIER
    103: "not_rfc5280",  # AKID_ISSUER_SERIAL_NOT_PAIRED
    104: "not_rfc5280",  # DUPLICATE_EXTENSION
}
"""The codes that have a reason of their own, with OpenSSL's names behind ``X509_V_ERR_``.

The others up to OpenSSL 4.0 are ``"invalid"``: faults in what a certificate or list contains (1,
4..8, 13..17, 22, 24, 25, 28..32, 34..38, 41, 45, 51..53, 55, 69, 70, 76, 77, 79), policies and
name constraints (42, 43, 46..50), and what neither Python nor this package makes OpenSSL check:
proxy certificates (38..40, 72), Suite B (56..61), mail addresses (63), DANE (65), certificate
transparency (71), OCSP (73..75, 96..101), raw public keys (95) and lists by a path of their own
(11, 54).
"""


def verify_reason(code: int) -> VerifyReason:
    """Return the reason that a verification code stands for.

    Args:
        code: `ssl.SSLCertVerificationError.verify_code`.
    """
    return VERIFY_REASONS.get(code, "invalid")
