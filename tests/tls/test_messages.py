"""Handshake messages: what is read out of good ones, and that bad ones do no harm."""

from __future__ import annotations

import pytest
from cryptography import x509
from hypothesis import given, settings
from hypothesis import strategies as st

from wsclient.tls.handshake.messages import (
    CertificateRequest,
    Direction,
    HandshakeLog,
    HandshakeMessage,
    decode_certificate_request,
    has_certificate,
    has_compressed_certificate,
)

TLS12, TLS13 = 0x0303, 0x0304
HANDSHAKE, ALERT, HEADER = 22, 21, 256
NAMES = [
    x509.Name.from_rfc4514_string(text).public_bytes()
    for text in ("CN=Clients,O=Example", "CN=Others")
]


def vector(size_of_size: int, *parts: bytes) -> bytes:
    content = b"".join(parts)
    return len(content).to_bytes(size_of_size, "big") + content


def message(kind: int, body: bytes) -> bytes:
    return bytes([kind]) + vector(3, body)


def numbers(*values: int) -> bytes:
    return b"".join(each.to_bytes(2, "big") for each in values)


def compressed(size: int) -> bytes:
    """Return a CompressedCertificate whose Certificate has so many bytes (RFC 8879)."""
    return numbers(1) + size.to_bytes(3, "big") + vector(3, b"whatever zlib makes of it")


AUTHORITIES = vector(2, *(vector(2, each) for each in NAMES))
REQUEST_1_2 = (
    vector(1, bytes([1, 64, 99])) + vector(2, numbers(0x0401, 0x0403, 0x1234)) + AUTHORITIES
)
REQUEST_1_3 = vector(1) + vector(
    2,
    numbers(13) + vector(2, vector(2, numbers(0x0403, 0x0804, 0x0807))),
    numbers(50) + vector(2, vector(2, numbers(0x0401))),  # signature_algorithms_cert
    numbers(47) + vector(2, AUTHORITIES),
)


def test_a_request_of_tls_1_2() -> None:
    request = decode_certificate_request(REQUEST_1_2, TLS12)
    assert request == CertificateRequest(
        "TLSv1.2",
        ("rsa_pkcs1_sha256", "ecdsa_secp256r1_sha256", "0x1234"),
        ("rsa_sign", "ecdsa_sign", "type 99"),
        tuple(NAMES),
    )
    assert request.authorities == ("CN=Clients,O=Example", "CN=Others")


def test_a_request_of_tls_1_3() -> None:
    request = decode_certificate_request(REQUEST_1_3, TLS13)
    assert request == CertificateRequest(
        "TLSv1.3",
        ("ecdsa_secp256r1_sha256", "rsa_pss_rsae_sha256", "ed25519"),
        (),
        tuple(NAMES),
    )


@pytest.mark.parametrize(("body", "version"), [(REQUEST_1_2, TLS12), (REQUEST_1_3, TLS13)])
def test_what_comes_before_the_damage_is_read(body: bytes, version: int) -> None:
    whole = decode_certificate_request(body, version)
    for size in range(len(body)):
        part = decode_certificate_request(body[:size], version)
        assert part.signature_algorithms in ((), whole.signature_algorithms)
        assert part.authorities_der == ()
    assert decode_certificate_request(body[:-1], TLS12).tls_version == "TLSv1.2"
    short = REQUEST_1_2[: -len(AUTHORITIES)] + vector(2, vector(2, NAMES[0]), b"\xff")
    assert decode_certificate_request(short, TLS12).authorities_der == (NAMES[0],)


@pytest.mark.parametrize(
    ("body", "version", "expected"),
    [
        (vector(3, vector(3, b"leaf")), TLS12, True),
        (vector(3), TLS12, False),
        (b"", TLS12, False),
        (vector(1) + vector(3, vector(3, b"leaf") + vector(2)), TLS13, True),
        (vector(1, b"context") + vector(3, vector(3, b"leaf") + vector(2)), TLS13, True),
        (vector(1, b"context") + vector(3), TLS13, False),
        (vector(1), TLS13, False),
    ],
)
def test_whether_there_is_a_certificate(body: bytes, version: int, expected: bool) -> None:
    assert has_certificate(body, version) is expected


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (compressed(862), True),
        # One without certificates, and with the longest context.
        (compressed(259), False),
        (compressed(4), False),
        (compressed(862)[:4], False),
        (b"", False),
    ],
)
def test_whether_there_is_a_compressed_certificate(body: bytes, expected: bool) -> None:
    assert has_compressed_certificate(body) is expected


# Key types


def request_of(version: str, *signatures: str) -> CertificateRequest:
    return CertificateRequest(version, signatures)


@pytest.mark.parametrize(
    ("key_type", "version", "signature", "accepted"),
    [
        ("rsa-2048", "TLSv1.3", "rsa_pss_rsae_sha512", True),
        ("rsa-2048", "TLSv1.3", "rsa_pkcs1_sha256", False),
        ("rsa-2048", "TLSv1.2", "rsa_pkcs1_sha256", True),
        ("rsa-2048", "TLSv1.2", "rsa_pss_rsae_sha256", True),
        ("rsa-2048", "TLSv1.2", "rsa_pss_pss_sha256", False),
        ("rsa-pss-2048", "TLSv1.3", "rsa_pss_pss_sha256", True),
        ("rsa-pss-2048", "TLSv1.3", "rsa_pss_rsae_sha256", False),
        ("ec-p256", "TLSv1.3", "ecdsa_secp256r1_sha256", True),
        ("ec-p256", "TLSv1.3", "ecdsa_secp384r1_sha384", False),
        ("ec-p256", "TLSv1.2", "ecdsa_secp384r1_sha384", True),
        ("ec-p256", "TLSv1.2", "rsa_pkcs1_sha256", False),
        ("ec-p384", "TLSv1.3", "ecdsa_secp384r1_sha384", True),
        ("ec-p384", "TLSv1.3", "ecdsa_secp256r1_sha256", False),
        ("ec-p521", "TLSv1.3", "ecdsa_secp521r1_sha512", True),
        ("ec-secp256k1", "TLSv1.3", "ecdsa_secp256r1_sha256", False),
        ("ec-secp256k1", "TLSv1.2", "ecdsa_secp256r1_sha256", False),
        ("ed25519", "TLSv1.3", "ed25519", True),
        ("ed25519", "TLSv1.3", "ed448", False),
        ("ed25519", "TLSv1.2", "ecdsa_secp256r1_sha256", False),
        ("ed448", "TLSv1.2", "ed448", True),
        ("mldsa65", "TLSv1.3", "ed25519", False),
        ("mldsa65", "TLSv1.3", "mldsa65", True),
        ("ec-brainpoolp256r1", "TLSv1.3", "ed25519", True),
        ("", "TLSv1.3", "ed25519", True),
    ],
)
def test_key_types(key_type: str, version: str, signature: str, accepted: bool) -> None:
    assert request_of(version, signature).accepts_key_type(key_type) is accepted
    assert request_of(version, "dsa_sha1", signature).accepts_key_type(key_type) is accepted


def test_a_request_that_names_no_signatures_is_not_held_against_a_key() -> None:
    assert request_of("TLSv1.2").accepts_key_type("ed25519")


# The log


def test_the_log_of_a_handshake() -> None:
    log = HandshakeLog()
    log.note("sent", TLS13, HEADER, b"\x16\x03\x01\x02\x00")
    log.note("sent", TLS13, HANDSHAKE, message(1, bytes(10)))
    assert not log.server_hello_seen
    log.note("received", TLS13, HANDSHAKE, message(2, bytes(20)))
    assert log.server_hello_seen
    log.note("received", TLS13, HANDSHAKE, message(13, REQUEST_1_3))
    assert log.certificate_request == decode_certificate_request(REQUEST_1_3, TLS13)
    log.note("received", TLS13, HANDSHAKE, message(11, vector(1) + vector(3, b"theirs")))
    assert log.certificate_sent is None
    log.note("sent", TLS13, HANDSHAKE, message(11, vector(1) + vector(3)))
    assert log.certificate_sent is False
    log.note("received", TLS13, ALERT, b"\x02\x74")
    log.note("received", TLS13, HANDSHAKE, message(77, b""))
    assert log.alerts == [("received", 116)]
    assert log.messages == [
        HandshakeMessage("sent", "client_hello", 14),
        HandshakeMessage("received", "server_hello", 24),
        HandshakeMessage("received", "certificate_request", 4 + len(REQUEST_1_3)),
        HandshakeMessage("received", "certificate", 14),
        HandshakeMessage("sent", "certificate", 8),
        HandshakeMessage("received", "alert certificate_required", 2),
        HandshakeMessage("received", "message 77", 4),
    ]


@pytest.mark.parametrize(
    "certificate",
    [message(11, vector(1) + vector(3, b"ours")), message(25, compressed(862))],
    ids=["plain", "compressed"],
)
def test_what_was_not_sent_after_all_is_taken_back(certificate: bytes) -> None:
    log = HandshakeLog()
    log.note("received", TLS13, HANDSHAKE, message(20, bytes(4)))
    log.note("sent", TLS13, HANDSHAKE, certificate)
    log.note("sent", TLS13, HANDSHAKE, message(20, bytes(4)))
    assert log.certificate_sent is True
    log.withdraw()
    assert log.certificate_sent is False
    assert [each.name for each in log.messages] == ["finished"]
    log.withdraw()
    assert len(log.messages) == 1


def test_alerts_of_ours_are_taken_back_too() -> None:
    log = HandshakeLog()
    log.note("received", TLS13, ALERT, b"\x01\x00")
    log.note("sent", TLS13, ALERT, b"\x02\x2a")
    log.withdraw()
    assert log.alerts == [("received", 0)]
    assert len(log.messages) == 1


def test_the_log_has_an_end() -> None:
    log = HandshakeLog()
    for _ in range(100):
        log.note("received", TLS13, HANDSHAKE, message(4, b""))
        log.note("received", TLS13, ALERT, b"\x01\x00")
    assert len(log.messages) == 64
    assert len(log.alerts) == 32
    # What explains a failure is not lost by it.
    log.note("received", TLS13, HANDSHAKE, message(13, REQUEST_1_3))
    assert log.certificate_request is not None


@settings(max_examples=500, deadline=None)
@given(
    st.sampled_from(["sent", "received"]),
    st.sampled_from([0, TLS12, TLS13, 0xFFFF]),
    st.sampled_from([20, ALERT, HANDSHAKE, 23, HEADER, 257]),
    st.one_of(
        st.binary(max_size=80),
        st.builds(message, st.sampled_from([2, 11, 13]), st.binary(max_size=80)),
        st.builds(
            lambda at, data: message(13, REQUEST_1_3[:at] + data + REQUEST_1_3[at:]),
            st.integers(0, len(REQUEST_1_3)),
            st.binary(max_size=4),
        ),
    ),
)
def test_nothing_makes_the_log_raise(
    direction: Direction, version: int, content_type: int, data: bytes
) -> None:
    log = HandshakeLog()
    log.note(direction, version, content_type, data)
    if log.certificate_request is not None:
        assert all(isinstance(each, str) for each in log.certificate_request.authorities)
        log.certificate_request.accepts_key_type("rsa-2048")
