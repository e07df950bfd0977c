"""Messages of a TLS handshake: whatever OpenSSL shows is taken note of, and nothing raises.

An input is one byte of options, then messages: a byte each for direction, version and kind of
record, two for the size, and the message.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from wsclient.tls.handshake.alerts import alert_name, alert_of
from wsclient.tls.handshake.messages import (
    CertificateRequest,
    HandshakeLog,
    decode_certificate_request,
    has_certificate,
    has_compressed_certificate,
)

__all__ = ["fuzz"]

_VERSIONS: Final = (0x0304, 0x0303, 0x0301, 0x7F00)
_RECORDS: Final = (22, 21, 20, 23, 0)
_KEY_TYPES: Final = (
    "rsa-2048 rsa-pss-2048 ec-p256 ec-p384 ec-p521 ec-secp256k1 ed25519 mldsa44 dsa-1024".split()
)


def fuzz(data: bytes) -> None:
    """Feed one input.

    Raises:
        AssertionError: something contradicts itself. Nothing else may be raised at all.
    """
    if not data:
        return
    log = HandshakeLog()
    for sent, version, record, message in _messages(data[1:]):
        log.note("sent" if sent else "received", version, record, message)
        if data[0] & 1 and len(log.messages) > 2:
            log.withdraw()
    assert len(log.messages) <= 64 and len(log.alerts) <= len(log.messages)
    assert all(name.isprintable() and size >= 2 for _, name, size in log.messages)
    if log.certificate_request is not None:
        _check_request(log.certificate_request)
    for version in _VERSIONS:
        _check_request(decode_certificate_request(data[1:], version))
        assert isinstance(has_certificate(data[1:], version), bool)
    assert isinstance(has_compressed_certificate(data[1:]), bool)
    _check_alerts(data)


def _messages(data: bytes) -> Iterator[tuple[bool, int, int, bytes]]:
    place = 0
    while len(data) - place >= 5:
        sent, version, record = data[place : place + 3]
        size = int.from_bytes(data[place + 3 : place + 5], "big")
        message = data[place + 5 : place + 5 + size]
        yield (
            bool(sent & 1),
            _VERSIONS[version % len(_VERSIONS)],
            _RECORDS[record % len(_RECORDS)],
            message,
        )
        place += 5 + size


def _check_request(request: CertificateRequest) -> None:
    assert request.tls_version in ("TLSv1.2", "TLSv1.3")
    names = request.authorities
    assert len(names) == len(request.authorities_der)
    for text in (*request.signature_algorithms, *request.certificate_types, *names):
        assert not text or text.isprintable(), f"control characters in {text!r}"
    if not request.signature_algorithms:
        assert all(request.accepts_key_type(kind) for kind in _KEY_TYPES)
    assert request.accepts_key_type("of-tomorrow")
    for kind in _KEY_TYPES:
        assert isinstance(request.accepts_key_type(kind), bool)
    assert request.accepts_issuers([]) is None
    if any(names):
        assert request.accepts_issuers(names)


def _check_alerts(data: bytes) -> None:
    for number in data[:4]:
        assert alert_name(number).isprintable()
    found = alert_of(data.decode("latin-1"))
    if found is not None:
        name, number = found
        assert alert_name(number) == name
