"""Alerts: OpenSSL's names for those that come in, and the names of the standards."""

from __future__ import annotations

import importlib
import ssl

import pytest

from wsclient.tls.handshake.alerts import Alert, alert_name, alert_of

UNNAMED = (115, 117, 120, 121)
"""Alerts that are newer than the tables of Python 3.13."""


def reason_of_received(number: int) -> str | None:
    """Return what `ssl` calls an alert that comes in instead of a server's hello."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    incoming = ssl.MemoryBIO()
    tls = context.wrap_bio(incoming, ssl.MemoryBIO(), server_hostname="localhost")
    with pytest.raises(ssl.SSLWantReadError):
        tls.do_handshake()
    incoming.write(bytes([21, 3, 3, 0, 2, 2, number]))
    with pytest.raises(ssl.SSLError) as caught:
        tls.do_handshake()
    return caught.value.reason


@pytest.mark.parametrize("alert", [each for each in Alert if each != Alert.CLOSE_NOTIFY])
def test_alert_that_came_in(alert: Alert) -> None:
    reason = reason_of_received(alert)
    if reason is None:
        assert alert in UNNAMED
    else:
        assert alert_of(reason) == (alert_name(alert), alert)


@pytest.mark.parametrize(
    ("reason", "name", "number"),
    [
        ("SSLV3_ALERT_HANDSHAKE_FAILURE", "handshake_failure", 40),
        ("SSLV3_ALERT_BAD_CERTIFICATE", "bad_certificate", 42),
        ("TLSV1_ALERT_UNKNOWN_CA", "unknown_ca", 48),
        ("TLSV1_ALERT_USER_CANCELLED", "user_canceled", 90),
        ("TLSV1_UNRECOGNIZED_NAME", "unrecognized_name", 112),
        ("TLSV1_CERTIFICATE_UNOBTAINABLE", "certificate_unobtainable", 111),
        ("TLSV1_BAD_CERTIFICATE_STATUS_RESPONSE", "bad_certificate_status_response", 113),
        ("TLSV1_ALERT_UNKNOWN_PSK_IDENTITY", "unknown_psk_identity", 115),
        ("TLSV13_ALERT_CERTIFICATE_REQUIRED", "certificate_required", 116),
        ("TLSV1_ALERT_CERTIFICATE_REQUIRED", "certificate_required", 116),  # BoringSSL
        ("TLSV1_ALERT_NO_APPLICATION_PROTOCOL", "no_application_protocol", 120),
    ],
)
def test_alert_of(reason: str, name: str, number: int) -> None:
    assert alert_of(reason) == (name, number)


@pytest.mark.parametrize(
    "reason",
    [
        "",
        "CERTIFICATE_VERIFY_FAILED",
        "WRONG_VERSION_NUMBER",
        "NO_APPLICATION_PROTOCOL",
        "TLSV1_ALERT_",
        "TLSV1_ALERT_SOMETHING_NEW",
        "tlsv1_alert_unknown_ca",
    ],
)
def test_alert_of_what_we_found_ourselves(reason: str) -> None:
    assert alert_of(reason) is None


def test_every_alert_that_python_knows() -> None:
    # Python 3.12 and later have no such table that can be seen.
    table = getattr(importlib.import_module("_ssl"), "err_codes_to_names", {})
    names = {name: number for (_, number), name in table.items()}
    alerts = {name: number - 1000 for name, number in names.items() if number >= 1000}
    for name, number in alerts.items():
        assert alert_of(name) == (alert_name(number), number)
    assert not any(alert_of(name) for name in names.keys() - alerts.keys())


@pytest.mark.parametrize(("number", "name"), [(0, "close_notify"), (46, "certificate_unknown")])
def test_alert_name(number: int, name: str) -> None:
    assert alert_name(number) == name


def test_alert_without_a_name() -> None:
    assert alert_name(200) == "alert 200"
