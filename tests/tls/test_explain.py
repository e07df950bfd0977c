"""From errors of `ssl` to errors that say what happened and what to do: on made-up evidence.

What real handshakes give is in `test_explain_handshakes.py`.
"""

from __future__ import annotations

import re
import ssl
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, cast

import pytest
from cryptography import x509
from cryptography.x509.oid import NameOID

from wsclient.errors import (
    ClientCertificateRejected,
    ServerCertificateError,
    TLSConnectionClosed,
    TLSError,
    TLSProtocolError,
)
from wsclient.testing.certificates import CertificateAuthority, IssuedCertificate
from wsclient.testing.certificates.issued import pem
from wsclient.tls.explaining.explain import (
    HandshakeFacts,
    explain_closed,
    explain_fault,
    explain_refusal,
)
from wsclient.tls.explaining.verify_codes import VERIFY_REASONS, verify_reason
from wsclient.tls.handshake.checks import PeerRefusedError
from wsclient.tls.handshake.context import HandshakeContext, HandshakeObject
from wsclient.tls.handshake.messages import CertificateRequest
from wsclient.tls.identity.identity import ClientIdentity

WHERE = "wss://example.org/chat"
ROOT = CertificateAuthority("Test Root")
AUTHORITY = CertificateAuthority("Issuing CA", issuer=ROOT)
NAME = ROOT.certificate.subject.public_bytes()
OTHER_NAME = CertificateAuthority("Other Root").certificate.subject.public_bytes()


def identity(issued: IssuedCertificate) -> ClientIdentity:
    return ClientIdentity.from_pem(issued.chain_pem, issued.private_key_pem())


GOOD = identity(AUTHORITY.client_certificate("billing", spiffe_id="spiffe://example.org/billing"))
ED25519 = identity(AUTHORITY.client_certificate("billing", key_type="ed25519"))
EXPIRED = identity(AUTHORITY.client_certificate("billing", expired=True))
FUTURE = identity(AUTHORITY.client_certificate("billing", not_yet_valid=True))
NO_EKU = identity(AUTHORITY.issue("billing", extended_key_usage=("server",)))


@dataclass
class Seen:
    """What has been seen of a handshake, with the attributes of a `HandshakeObject`."""

    request: CertificateRequest | None = None
    sent: bool | None = None
    hello: bool = True
    observed: bool = True
    established: bool = False
    agreed: tuple[str, str, int] | None = None
    alerts: tuple[tuple[str, int], ...] = ()

    context = HandshakeContext()

    @property
    def certificate_request(self) -> CertificateRequest | None:
        return self.request

    @property
    def certificate_sent(self) -> bool | None:
        return self.sent

    @property
    def server_hello_seen(self) -> bool:
        return self.hello

    def cipher(self) -> tuple[str, str, int] | None:
        return self.agreed

    def version(self) -> str | None:
        return None


def facts(seen: Seen | None = None, ours: ClientIdentity | None = None, **more: Any) -> Any:
    values: dict[str, Any] = {"where": WHERE, "server_hostname": "example.org", **more}
    handshake = None if seen is None else cast(HandshakeObject, seen)
    return HandshakeFacts(identity=ours, handshake=handshake, **values)


def fault(reason: str | None) -> ssl.SSLError:
    made = ssl.SSLError(1, "what this says is never looked at: CERTIFICATE_VERIFY_FAILED")
    made.reason = cast(str, reason)
    made.library = "SSL"
    return made


def refused(code: int) -> ssl.SSLCertVerificationError:
    made = ssl.SSLCertVerificationError(1, "what this says is never looked at")
    made.reason = "CERTIFICATE_VERIFY_FAILED"
    made.verify_code, made.verify_message = code, "some words of OpenSSL"
    return made


def asked(*authorities: bytes, version: str = "TLSv1.3", signatures: Any = ()) -> Any:
    return CertificateRequest(version, tuple(signatures), (), tuple(authorities))


def check_sentence(text: str) -> None:
    """Fail unless a text is one whole sentence."""
    assert text, "there is none"
    assert text.endswith(".")
    assert text[0].isupper()
    assert ".." not in text.replace("...", "")
    assert not re.search(r"[.!?] [A-Z]", text), text
    assert "{" not in text
    assert "None" not in text


def check_error(error: TLSError) -> None:
    """Fail unless message and hint are two sentences for a person, about the right place."""
    message = str(error).removesuffix(error.hint).strip()
    assert WHERE.partition("://")[2] in message or "proxy" in message
    assert message.endswith(".")
    assert "{" not in message
    assert "None" not in message
    if error.hint:
        check_sentence(error.hint)


# The server's certificate.


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        *((code, "unknown_ca") for code in (2, 19, 20, 21, 27)),
        (18, "self_signed"),
        (10, "expired"),
        (9, "not_yet_valid"),
        (26, "wrong_purpose"),
        (62, "hostname_mismatch"),
        (64, "hostname_mismatch"),
        (23, "revoked"),
        (3, "crl_missing"),
        (12, "crl_expired"),
        *((code, "too_weak") for code in (66, 67, 68)),
        *((code, "not_rfc5280") for code in (85, 86, 89, 92)),
        *((code, "invalid") for code in (1, 50, 63, 999)),
    ],
)
def test_verify_code(code: int, reason: str) -> None:
    error = explain_fault(refused(code), facts(Seen()))
    assert type(error) is ServerCertificateError
    assert (error.reason, error.verify_code, error.side) == (reason, code, "local")
    assert error.openssl_reason == "CERTIFICATE_VERIFY_FAILED"
    assert (error.alert, error.alert_number) == (None, None)
    assert bool(error.hint) is (reason != "invalid")
    check_error(error)


def test_every_verify_code_is_explained() -> None:
    for code, reason in VERIFY_REASONS.items():
        assert verify_reason(code) == reason
        check_error(explain_fault(refused(code), facts()))
    assert verify_reason(0) == "invalid"


def test_error_that_is_no_verification_has_no_code() -> None:
    bare = ssl.SSLCertVerificationError("raised by somebody in Python")
    error = explain_fault(bare, facts())
    assert (error.reason, error.verify_code, error.openssl_reason) == ("invalid", None, "")


@pytest.mark.parametrize(
    ("code", "parts"),
    [
        (18, ["tls=TLSConfig(cafile=...)"]),
        (19, ["root certificate by tls=TLSConfig(cafile=...)"]),
        (20, ["root certificate by tls=TLSConfig(cafile=...)", "intermediate"]),
        (9, [f"{datetime.now(UTC):%Y-%m-}", "clock"]),
        (10, [f"{datetime.now(UTC):%Y-%m-}", "clock"]),
        (62, ["example.org", "server_hostname=..."]),
        (64, ["the IP address example.org"]),
        (26, ["serverAuth"]),
        (3, ["crlfile"]),
        (12, ["crldata"]),
        (92, ["strict=False", "3.13"]),
    ],
)
def test_hint_about_the_server(code: int, parts: list[str]) -> None:
    hint = explain_fault(refused(code), facts(Seen())).hint
    for part in parts:
        assert part in hint


def test_hint_about_a_proxy_speaks_of_the_proxy() -> None:
    proxy = facts(Seen(), where="the proxy https://gate:3128", proxy=True)
    for code in VERIFY_REASONS:
        error = explain_fault(refused(code), proxy)
        assert "the proxy https://gate:3128 was refused" in str(error)
        assert "tls=TLSConfig" not in error.hint.replace("proxy_tls=TLSConfig", "")
        assert not re.search(r"\b[Tt]he server\b", error.hint)


@pytest.mark.parametrize("refusal", ["pin_mismatch", "spiffe_id_mismatch", "not_authorized"])
def test_refusal_by_our_own_checks(refusal: Any) -> None:
    cause = PeerRefusedError(refusal, "The server is somebody else.", "Check the address.")
    error = explain_fault(cause, facts(Seen()))
    assert type(error) is ServerCertificateError
    assert (error.reason, error.verify_code, error.side) == (refusal, 50, "local")
    assert error.hint == "Check the address."
    assert str(error) == (
        f"the certificate of {WHERE} was refused: the server is somebody else. Check the address."
    )


def test_weak_certificate_without_a_verify_code() -> None:
    error = explain_fault(fault("EE_KEY_TOO_SMALL"), facts(Seen()))
    assert type(error) is ServerCertificateError
    assert (error.reason, error.verify_code) == ("too_weak", None)
    check_error(error)


def test_way_through_a_proxy_is_named() -> None:
    error = explain_fault(refused(20), facts(Seen(), through=" through http://gate:3128"))
    assert f"{WHERE} through http://gate:3128 was refused" in str(error)


# Alerts about our certificate.


@pytest.mark.parametrize(
    ("openssl", "reason", "number"),
    [
        ("SSLV3_ALERT_BAD_CERTIFICATE", "bad_certificate", 42),
        ("SSLV3_ALERT_UNSUPPORTED_CERTIFICATE", "unsupported", 43),
        ("SSLV3_ALERT_CERTIFICATE_REVOKED", "revoked", 44),
        ("SSLV3_ALERT_CERTIFICATE_EXPIRED", "expired", 45),
        ("SSLV3_ALERT_CERTIFICATE_UNKNOWN", "certificate_unknown", 46),
        ("TLSV1_ALERT_UNKNOWN_CA", "unknown_ca", 48),
        ("TLSV1_ALERT_ACCESS_DENIED", "access_denied", 49),
        ("TLSV1_CERTIFICATE_UNOBTAINABLE", "bad_certificate", 111),
        ("TLSV1_BAD_CERTIFICATE_HASH_VALUE", "bad_certificate", 114),
        ("TLSV1_ALERT_DECRYPT_ERROR", "bad_certificate", 51),
        ("SSLV3_ALERT_HANDSHAKE_FAILURE", "bad_certificate", 40),
    ],
)
@pytest.mark.parametrize("ours", [GOOD, EXPIRED, FUTURE, NO_EKU])
def test_our_certificate_was_refused(
    openssl: str, reason: str, number: int, ours: ClientIdentity
) -> None:
    error = explain_fault(fault(openssl), facts(Seen(asked(), sent=True), ours))
    assert type(error) is ClientCertificateRejected
    assert (error.reason, error.side, error.alert_number) == (reason, "peer", number)
    assert (error.openssl_reason, error.verify_code) == (openssl, None)
    assert error.identity == ours.description
    assert error.tls_version == "TLSv1.3"
    assert error.status is None
    assert ours.description in str(error)
    assert f"(alert {error.alert})" in str(error)
    check_error(error)
    check_sentence(error.hint)


@pytest.mark.parametrize(
    ("openssl", "seen", "ours", "reason", "sure"),
    [
        # TLS 1.3 has an alert of its own.
        ("TLSV13_ALERT_CERTIFICATE_REQUIRED", Seen(asked(), False), None, "required", True),
        ("TLSV13_ALERT_CERTIFICATE_REQUIRED", Seen(asked(), False), GOOD, "not_sent", True),
        ("TLSV13_ALERT_CERTIFICATE_REQUIRED", Seen(observed=False), None, "required", True),
        ("TLSV13_ALERT_CERTIFICATE_REQUIRED", Seen(observed=False), GOOD, "not_sent", False),
        ("TLSV13_ALERT_CERTIFICATE_REQUIRED", None, None, "required", True),
        ("TLSV13_ALERT_CERTIFICATE_REQUIRED", Seen(asked(), True), GOOD, "required", True),
        ("SSLV3_ALERT_NO_CERTIFICATE", Seen(asked(), False), None, "required", True),
        # What Go up to 1.20 says.
        ("SSLV3_ALERT_BAD_CERTIFICATE", Seen(asked(), False), None, "required", True),
        ("SSLV3_ALERT_BAD_CERTIFICATE", Seen(asked(), False), GOOD, "not_sent", True),
        ("SSLV3_ALERT_BAD_CERTIFICATE", Seen(observed=False), None, "required", True),
        # What TLS 1.2 has for it.
        ("SSLV3_ALERT_HANDSHAKE_FAILURE", Seen(asked(), False), None, "required", True),
        ("SSLV3_ALERT_HANDSHAKE_FAILURE", Seen(asked(), False), GOOD, "not_sent", True),
        ("SSLV3_ALERT_HANDSHAKE_FAILURE", Seen(observed=False), None, "required", False),
        ("SSLV3_ALERT_HANDSHAKE_FAILURE", Seen(observed=False), GOOD, "not_sent", False),
        # A renegotiation, which is not watched.
        ("SSLV3_ALERT_HANDSHAKE_FAILURE", Seen(established=True), None, "required", False),
    ],
)
def test_server_got_no_certificate(
    openssl: str, seen: Seen | None, ours: ClientIdentity | None, reason: str, sure: bool
) -> None:
    error = explain_fault(fault(openssl), facts(seen, ours))
    assert type(error) is ClientCertificateRejected
    reasons = {"required": "certificate_required", "not_sent": "not_sent_key_type"}
    assert error.reason == reasons[reason]
    assert ("probably" in str(error).removesuffix(error.hint)) is not sure
    check_error(error)
    check_sentence(error.hint)


def test_without_the_private_callback_the_cipher_suite_tells_of_the_hello() -> None:
    failure = fault("SSLV3_ALERT_HANDSHAKE_FAILURE")
    before = Seen(observed=False, hello=False)
    assert type(explain_fault(failure, facts(before))) is TLSProtocolError
    behind = Seen(observed=False, hello=False, agreed=("ECDHE-RSA-AES128", "TLSv1.2", 128))
    error = explain_fault(failure, facts(behind))
    assert type(error) is ClientCertificateRejected
    assert error.tls_version == "TLSv1.2"


@pytest.mark.parametrize(
    ("openssl", "reason"),
    [
        ("SSLV3_ALERT_ILLEGAL_PARAMETER", "unsupported"),
        ("TLSV1_ALERT_DECODE_ERROR", "unsupported"),
        ("TLSV1_ALERT_DECRYPT_ERROR", "unsupported"),
    ],
)
def test_key_that_was_sent_and_not_understood(openssl: str, reason: str) -> None:
    request = asked(signatures=["ecdsa_secp256r1_sha256"])
    error = explain_fault(fault(openssl), facts(Seen(request, True), ED25519))
    assert type(error) is ClientCertificateRejected
    assert error.reason == reason
    assert "ed25519" in error.hint


def test_key_that_was_asked_for_behind_the_handshake() -> None:
    failure = fault("SSLV3_ALERT_ILLEGAL_PARAMETER")
    seen = Seen(established=True, agreed=("ECDHE-RSA-AES128", "TLSv1.2", 128))
    error = explain_fault(failure, facts(seen, GOOD))
    assert type(error) is ClientCertificateRejected
    assert error.reason == "unsupported"
    assert error.hint
    # Without an identity there is none that it could be about.
    error = explain_fault(failure, facts(seen))
    assert type(error) is TLSProtocolError
    assert "check_tls" in error.hint


# Alerts about something else.


@pytest.mark.parametrize(
    ("openssl", "reason", "number"),
    [
        ("SSLV3_ALERT_HANDSHAKE_FAILURE", "handshake_failure", 40),
        ("TLSV1_ALERT_INSUFFICIENT_SECURITY", "handshake_failure", 71),
        ("TLSV1_ALERT_PROTOCOL_VERSION", "protocol_version", 70),
        ("TLSV1_ALERT_INAPPROPRIATE_FALLBACK", "protocol_version", 86),
        ("TLSV1_UNRECOGNIZED_NAME", "unrecognized_name", 112),
        ("TLSV1_ALERT_NO_APPLICATION_PROTOCOL", "no_application_protocol", 120),
        ("TLSV1_ALERT_INTERNAL_ERROR", "protocol_error", 80),
        ("SSLV3_ALERT_ILLEGAL_PARAMETER", "protocol_error", 47),
        ("TLSV1_ALERT_DECODE_ERROR", "protocol_error", 50),
        ("TLSV1_ALERT_DECRYPT_ERROR", "protocol_error", 51),
        ("TLSV1_ALERT_ACCESS_DENIED", "protocol_error", 49),
        ("SSLV3_ALERT_UNEXPECTED_MESSAGE", "protocol_error", 10),
    ],
)
@pytest.mark.parametrize("ours", [None, GOOD])
@pytest.mark.parametrize("seen", [Seen(hello=False), Seen()], ids=["before hello", "behind it"])
def test_alert_before_any_certificate_was_at_issue(
    openssl: str, reason: str, number: int, ours: ClientIdentity | None, seen: Seen
) -> None:
    error = explain_fault(fault(openssl), facts(seen, ours))
    assert type(error) is TLSProtocolError
    assert (error.reason, error.side, error.alert_number) == (reason, "peer", number)
    assert error.openssl_reason == openssl
    check_error(error)


def test_alert_that_python_has_no_name_for() -> None:
    seen = Seen(hello=False, alerts=(("received", 120), ("sent", 80), ("received", 0)))
    error = explain_fault(fault(None), facts(seen))
    assert (error.reason, error.alert_number) == ("no_application_protocol", 120)
    assert error.alert == "no_application_protocol"
    assert error.openssl_reason == ""
    # A warning that came before does not hide what OpenSSL found.
    error = explain_fault(fault("DH_KEY_TOO_SMALL"), facts(seen))
    assert (error.reason, error.alert) == ("handshake_failure", None)


def test_handshake_failure_of_a_strange_context_says_that_it_may_be_the_certificate() -> None:
    error = explain_fault(fault("SSLV3_ALERT_HANDSHAKE_FAILURE"), facts(None))
    assert type(error) is TLSProtocolError
    assert "may also mean that it requires a client certificate" in error.hint
    known = explain_fault(fault("SSLV3_ALERT_HANDSHAKE_FAILURE"), facts(Seen(hello=False)))
    assert "client certificate" not in known.hint


def test_versions_that_we_offer_are_named() -> None:
    seen = Seen(hello=False)
    seen.context = HandshakeContext()
    seen.context.minimum_version = ssl.TLSVersion.TLSv1_2
    hint = explain_fault(fault("TLSV1_ALERT_PROTOCOL_VERSION"), facts(seen)).hint
    assert "TLSv1.2 to TLSv1.3" in hint
    seen.context.minimum_version = ssl.TLSVersion.TLSv1_3
    hint = explain_fault(fault("TLSV1_ALERT_PROTOCOL_VERSION"), facts(seen)).hint
    assert "offers TLSv1.3" in hint


def test_name_that_is_not_served_is_named() -> None:
    assert "example.org" in explain_fault(fault("TLSV1_UNRECOGNIZED_NAME"), facts(Seen())).hint


# What we found ourselves.


@pytest.mark.parametrize(
    ("openssl", "hello", "reason"),
    [
        ("WRONG_VERSION_NUMBER", False, "not_tls"),
        ("WRONG_VERSION_NUMBER", True, "protocol_error"),
        ("HTTP_REQUEST", False, "not_tls"),
        # What OpenSSL 3.2 and newer say of any record that is damaged.
        ("RECORD_LAYER_FAILURE", False, "protocol_error"),
        ("RECORD_LAYER_FAILURE", True, "protocol_error"),
        ("HTTPS_PROXY_REQUEST", False, "not_tls"),
        ("UNSUPPORTED_PROTOCOL", True, "protocol_version"),
        ("NO_PROTOCOLS_AVAILABLE", False, "protocol_version"),
        ("DH_KEY_TOO_SMALL", True, "handshake_failure"),
        ("DECRYPTION_FAILED_OR_BAD_RECORD_MAC", True, "protocol_error"),
        ("", True, "protocol_error"),
    ],
)
def test_fault_found_here(openssl: str, hello: bool, reason: str) -> None:
    error = explain_fault(fault(openssl), facts(Seen(hello=hello)))
    assert type(error) is TLSProtocolError
    assert (error.reason, error.side, error.openssl_reason) == (reason, "local", openssl)
    assert (error.alert, error.alert_number) == (None, None)
    check_error(error)


def test_no_tls_at_all() -> None:
    hint = explain_fault(fault("WRONG_VERSION_NUMBER"), facts(Seen(hello=False))).hint
    assert "ws:// instead of wss://" in hint
    proxy = facts(Seen(hello=False), where="the proxy https://gate:3128", proxy=True)
    hint = explain_fault(fault("WRONG_VERSION_NUMBER"), proxy).hint
    assert "http:// instead of https://" in hint
    assert "ws:" not in hint


# Ends.


@pytest.mark.parametrize(
    ("kind", "reason"),
    [(ssl.SSLEOFError, "eof"), (ssl.SSLZeroReturnError, "eof"), (ssl.SSLSyscallError, "reset")],
)
def test_end_that_ssl_tells_of(kind: type[ssl.SSLError], reason: str) -> None:
    error = explain_fault(kind(8, "some words"), facts(Seen(hello=False)))
    assert type(error) is TLSConnectionClosed
    assert error.reason == reason


@pytest.mark.parametrize("reset", [True, False])
@pytest.mark.parametrize("seen", [None, Seen(), Seen(hello=False)])
@pytest.mark.parametrize("ours", [None, GOOD])
def test_end_without_a_reason(reset: bool, seen: Seen | None, ours: ClientIdentity | None) -> None:
    error = explain_closed(reset, facts(seen, ours))
    assert type(error) is TLSConnectionClosed
    assert (error.reason, error.side) == ("reset" if reset else "eof", "peer")
    check_error(error)
    check_sentence(error.hint)
    # It is mentioned only where it is possible.
    assert ("client certificate" in error.hint) is (seen is None and ours is not None)


@pytest.mark.parametrize("ours", [None, GOOD, EXPIRED, ED25519])
def test_end_after_a_certificate_was_asked_for(ours: ClientIdentity | None) -> None:
    request = asked(NAME, signatures=["ecdsa_secp256r1_sha256"])
    error = explain_closed(False, facts(Seen(request, ours is not None), ours))
    assert type(error) is ClientCertificateRejected
    assert (error.reason, error.alert, error.status) == ("probable", None, None)
    assert "without a reason" in str(error)
    check_error(error)
    expected = {
        None: "CN=Test Root; none was configured",
        GOOD: "probably refused ours",
        EXPIRED: "expired on",
        ED25519: "ed25519",
    }
    assert expected[ours] in error.hint


# Hints about our certificate.


def hint(openssl: str, request: CertificateRequest, ours: ClientIdentity | None) -> str:
    found = explain_fault(fault(openssl), facts(Seen(request, ours is not None), ours)).hint
    check_sentence(found)
    return found


def test_hint_names_who_may_issue_the_missing_certificate() -> None:
    assert hint("TLSV13_ALERT_CERTIFICATE_REQUIRED", asked(NAME, OTHER_NAME), None) == (
        "The server asked for a certificate issued by CN=Test Root or CN=Other Root; none was "
        "configured: pass tls=TLSConfig(identity=...)."
    )
    assert hint("TLSV13_ALERT_CERTIFICATE_REQUIRED", asked(), None) == (
        "The server asked for a certificate; none was configured: pass "
        "tls=TLSConfig(identity=...)."
    )


def test_hint_counts_the_names_that_are_too_many() -> None:
    names = [
        CertificateAuthority(f"Root {number}").certificate.subject.public_bytes()
        for number in range(6)
    ]
    found = hint("TLSV13_ALERT_CERTIFICATE_REQUIRED", asked(*names), None)
    assert "issued by CN=Root 0, CN=Root 1, CN=Root 2 or 3 more;" in found


def test_hint_shows_no_control_characters_and_no_novels() -> None:
    strange = CertificateAuthority("a\nb\x1b[31m").certificate.subject.public_bytes()
    assert hint("TLSV13_ALERT_CERTIFICATE_REQUIRED", asked(strange), None).isprintable()
    novel = x509.Name([x509.NameAttribute(NameOID.ORGANIZATION_NAME, "x" * 64)] * 20)
    assert len(hint("TLSV13_ALERT_CERTIFICATE_REQUIRED", asked(novel.public_bytes()), None)) < 250


def test_hint_names_the_proxys_argument() -> None:
    proxy = facts(Seen(asked(), False), where="the proxy https://gate:3128", proxy=True)
    error = explain_fault(fault("TLSV13_ALERT_CERTIFICATE_REQUIRED"), proxy)
    assert error.hint == (
        "The proxy asked for a certificate; none was configured: pass "
        "proxy_tls=TLSConfig(identity=...)."
    )


def test_hint_for_a_context_of_the_caller() -> None:
    error = explain_fault(fault("TLSV13_ALERT_CERTIFICATE_REQUIRED"), facts(None))
    assert "load a certificate into the ssl context" in error.hint
    # It may have been sent or not: then the server's word counts.
    error = explain_fault(fault("SSLV3_ALERT_BAD_CERTIFICATE"), facts(None))
    assert error.reason == "bad_certificate"
    assert error.hint == "Check the certificate that the ssl context has loaded."


def test_hint_gives_key_types() -> None:
    request = asked(signatures=["ecdsa_secp256r1_sha256", "rsa_pss_rsae_sha256"])
    seen = Seen(request, False)
    error = explain_fault(fault("TLSV13_ALERT_CERTIFICATE_REQUIRED"), facts(seen, ED25519))
    assert error.reason == "not_sent_key_type"
    assert "such as ec-p256: ours is ed25519" in error.hint
    assert "ecdsa_secp256r1_sha256 or rsa_pss_rsae_sha256" in error.hint


def test_hint_proposes_a_key_that_the_server_takes() -> None:
    request = asked(signatures=["rsa_pss_rsae_sha256"])
    error = explain_fault(
        fault("TLSV13_ALERT_CERTIFICATE_REQUIRED"), facts(Seen(request, False), GOOD)
    )
    assert "such as rsa-2048: ours is ec-p256" in error.hint
    # Which one it was is not known: our own type is not proposed.
    error = explain_fault(
        fault("TLSV13_ALERT_CERTIFICATE_REQUIRED"), facts(Seen(observed=False), GOOD)
    )
    assert "such as rsa-2048: ours is ec-p256" in error.hint


@pytest.mark.parametrize(
    ("openssl", "ours", "part"),
    [
        ("SSLV3_ALERT_CERTIFICATE_EXPIRED", EXPIRED, "Our certificate expired on {not_after}"),
        ("SSLV3_ALERT_BAD_CERTIFICATE", EXPIRED, "Our certificate expired on {not_after}"),
        ("SSLV3_ALERT_BAD_CERTIFICATE", FUTURE, "not valid before {not_before}"),
        ("SSLV3_ALERT_CERTIFICATE_EXPIRED", FUTURE, "not valid before {not_before}"),
        ("SSLV3_ALERT_CERTIFICATE_EXPIRED", GOOD, "valid until {not_after}"),
        ("SSLV3_ALERT_CERTIFICATE_UNKNOWN", EXPIRED, "Our certificate expired on {not_after}"),
    ],
)
def test_hint_gives_dates(openssl: str, ours: ClientIdentity, part: str) -> None:
    assert ours.not_before is not None
    assert ours.not_after is not None
    assert part.format(
        not_before=f"{ours.not_before:%Y-%m-%d %H:%M} UTC",
        not_after=f"{ours.not_after:%Y-%m-%d %H:%M} UTC",
    ) in hint(openssl, asked(), ours)


@pytest.mark.parametrize(
    "openssl", ["SSLV3_ALERT_UNSUPPORTED_CERTIFICATE", "SSLV3_ALERT_BAD_CERTIFICATE"]
)
def test_hint_names_the_extended_key_usage(openssl: str) -> None:
    assert "clientAuth" in hint(openssl, asked(), NO_EKU)
    assert "clientAuth" not in hint(openssl, asked(), GOOD)


def test_hint_about_the_usage_comes_first_when_that_is_what_the_server_says() -> None:
    ours = identity(AUTHORITY.issue("x", extended_key_usage=("server",), expired=True))
    assert "clientAuth" in hint("SSLV3_ALERT_UNSUPPORTED_CERTIFICATE", asked(), ours)
    assert "expired on" in hint("SSLV3_ALERT_BAD_CERTIFICATE", asked(), ours)


def test_hint_compares_the_authorities() -> None:
    stranger = hint("TLSV1_ALERT_UNKNOWN_CA", asked(OTHER_NAME), GOOD)
    assert "certificates issued by CN=Other Root" in stranger
    assert "ours was issued by CN=Issuing CA" in stranger
    namesake = hint("TLSV1_ALERT_UNKNOWN_CA", asked(NAME), GOOD)
    assert "names CN=Test Root, which our chain leads to" in namesake
    untold = hint("TLSV1_ALERT_UNKNOWN_CA", asked(), GOOD)
    assert "Have the server trust CN=Issuing CA" in untold
    assert "certificates issued by CN=Other Root" in hint(
        "SSLV3_ALERT_CERTIFICATE_UNKNOWN", asked(OTHER_NAME), GOOD
    )


def test_hint_tells_where_our_chain_breaks_off() -> None:
    lower = CertificateAuthority("Lower CA", issuer=AUTHORITY)
    issued = lower.client_certificate("billing")
    broken = ClientIdentity.from_pem(
        pem(issued.certificate, AUTHORITY.certificate), issued.private_key_pem()
    )
    found = hint("TLSV1_ALERT_UNKNOWN_CA", asked(), broken)
    assert "breaks off at CN=Lower CA" in found
    assert "breaks off at CN=Lower CA" in hint("SSLV3_ALERT_BAD_CERTIFICATE", asked(), broken)


def test_hint_names_who_has_no_access_and_what_was_revoked() -> None:
    assert "spiffe://example.org/billing" in hint("TLSV1_ALERT_ACCESS_DENIED", asked(), GOOD)
    found = hint("SSLV3_ALERT_CERTIFICATE_REVOKED", asked(), GOOD)
    assert f"{GOOD.serial_number:x}" in found


def test_hint_says_when_nothing_is_found() -> None:
    assert "server's log" in hint("SSLV3_ALERT_CERTIFICATE_UNKNOWN", asked(NAME), GOOD)


# HTTP.

NGINX = b"""<html>\r\n<head><title>400 %(title)s</title></head>\r\n<body>\r\n
<center><h1>400 Bad Request</h1></center>\r\n<center>%(text)s</center>\r\n
<hr><center>nginx/1.22.1</center>\r\n</body>\r\n</html>\r\n"""
NO_CERTIFICATE = NGINX % {
    b"title": b"No required SSL certificate was sent",
    b"text": b"No required SSL certificate was sent",
}
BAD_CERTIFICATE = NGINX % {
    b"title": b"The SSL certificate error",
    b"text": b"The SSL certificate error",
}
PLAIN = NGINX % {
    b"title": b"The plain HTTP request was sent to HTTPS port",
    b"text": b"The plain HTTP request was sent to HTTPS port",
}
GO = b"Client sent an HTTP request to an HTTPS server.\n"
APACHE = (
    b"<p>Your browser sent a request that this server could not understand.<br />\n"
    b"Reason: You're speaking plain HTTP to an SSL-enabled server port.<br />\n"
    b" Instead use the HTTPS scheme to access this URL, please.<br />\n</p>"
)


def explained(status: int, body: bytes, found: HandshakeFacts) -> TLSError | None:
    error = explain_refusal(status, {"server": "nginx"}, body, found)
    if error is not None:
        check_error(error)
        check_sentence(error.hint)
        assert f"(HTTP status {status})" in str(error)
    return error


@pytest.mark.parametrize(
    ("status", "body", "ours", "reason"),
    [
        (400, NO_CERTIFICATE, None, "certificate_required"),
        (400, NO_CERTIFICATE.upper(), None, "certificate_required"),
        (400, NO_CERTIFICATE[:80], None, "certificate_required"),
        (400, NO_CERTIFICATE, GOOD, "not_sent_key_type"),
        (400, BAD_CERTIFICATE, GOOD, "http_400_nginx"),
        (495, b"", GOOD, "http_400_nginx"),
        (496, b"custom page", None, "certificate_required"),
    ],
)
def test_page_about_our_certificate(
    status: int, body: bytes, ours: ClientIdentity | None, reason: str
) -> None:
    seen = Seen(asked(), ours is not None and reason == "http_400_nginx", established=True)
    error = explained(status, body, facts(seen, ours))
    assert type(error) is ClientCertificateRejected
    assert (error.reason, error.status, error.side) == (reason, status, "peer")
    assert error.alert is None


@pytest.mark.parametrize(
    ("ours", "part"),
    [(EXPIRED, "expired on"), (FUTURE, "not valid before"), (NO_EKU, "clientAuth")],
)
def test_page_without_a_reason_is_explained_by_our_certificate(
    ours: ClientIdentity, part: str
) -> None:
    error = explained(400, BAD_CERTIFICATE, facts(Seen(asked(), True, established=True), ours))
    assert error is not None
    assert part in error.hint


@pytest.mark.parametrize(
    ("status", "body"),
    [(400, PLAIN), (400, GO), (400, APACHE), (400, PLAIN.lower()), (497, b"")],
)
def test_plain_http_to_a_port_for_tls(status: int, body: bytes) -> None:
    plain = explained(status, body, facts(None, where="ws://" + WHERE.removeprefix("wss://")))
    assert type(plain) is TLSProtocolError
    assert (plain.reason, plain.side) == ("http_on_tls_port", "peer")
    assert "wss:// instead of ws://" in plain.hint
    behind_gateway = explained(status, body, facts(Seen(established=True)))
    assert type(behind_gateway) is TLSProtocolError
    assert "gateway" in behind_gateway.hint


@pytest.mark.parametrize(
    ("status", "body", "where"),
    [
        (400, b"", WHERE),
        (400, b"Bad Request", WHERE),
        (403, NO_CERTIFICATE, WHERE),
        (200, PLAIN, WHERE),
        (400, b"The company's own page about certificates", WHERE),
        # There is no certificate in plain HTTP: this is between a gateway and its server.
        (400, NO_CERTIFICATE, "ws://example.org/"),
        (496, b"", "ws://example.org/"),
    ],
)
def test_answer_that_is_not_about_tls(status: int, body: bytes, where: str) -> None:
    assert explain_refusal(status, {}, body, facts(None, where=where)) is None


def test_secrets_are_nowhere() -> None:
    key = AUTHORITY.client_certificate("billing")
    ours = identity(key)
    error = explain_fault(fault("TLSV1_ALERT_UNKNOWN_CA"), facts(Seen(asked(), True), ours))
    text = f"{error} {error!r} {vars(error)} {facts(Seen(), ours)!r}"
    body = key.private_key_pem().decode().splitlines()[1]
    assert body not in text
