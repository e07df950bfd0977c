"""What is read out of certificates, good ones and broken ones."""

from __future__ import annotations

import base64
import hashlib
from datetime import UTC, datetime

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from hypothesis import given, settings
from hypothesis import strategies as st

from wsclient.testing.certificates import CertificateAuthority, KeyType
from wsclient.tls.certificates.facts import (
    CertificateFacts,
    name_from_der,
    subject_public_key_info,
)
from wsclient.tls.certificates.peer import PeerCertificate
from wsclient.tls.certificates.spiffe import is_spiffe_id, is_trust_domain, trust_domain_of
from wsclient.tls.files.der import Element, children, element, sequence

AUTHORITY = CertificateAuthority("Root, of all")
RSA_ENCRYPTION = bytes.fromhex("300d06092a864886f70d0101010500")
RSA_PSS = bytes.fromhex("300b06092a864886f70d01010a")


def der_of(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.DER)


def rebuilt(der: bytes, field: int, new: bytes) -> bytes:
    """Return the certificate with another element in a place of its signed part."""
    whole = children(children(der)[0].content)
    fields = [each.whole for each in children(whole[0].content)]
    fields[field] = new
    return sequence(sequence(*fields), whole[1].whole, whole[2].whole)


def test_facts_of_a_certificate() -> None:
    issued = AUTHORITY.server_certificate(
        "example.test", "192.0.2.7", "2001:db8::7", uris=["https://example.test/"], serial=77
    )
    der = der_of(issued.certificate)
    facts = CertificateFacts.of(der)
    assert facts.subject == "CN=example.test"
    assert facts.issuer == "CN=Root\\, of all"
    assert facts.serial_number == 77
    assert facts.not_before is not None
    assert facts.not_after is not None
    assert facts.not_before < datetime.now(UTC) < facts.not_after
    assert facts.dns_names == ("example.test",)
    assert facts.ip_addresses == ("192.0.2.7", "2001:db8::7")
    assert facts.uris == ("https://example.test/",)
    assert facts.spiffe_id is None
    assert facts.key_type == "ec-p256"
    assert not facts.is_authority
    assert facts.fingerprint_sha256 == hashlib.sha256(der).hexdigest()
    assert facts.spki_sha256 == issued.spki_sha256


def test_an_authority_is_told_from_a_service() -> None:
    assert CertificateFacts.of(der_of(AUTHORITY.certificate)).is_authority


@pytest.mark.parametrize(
    "key_type",
    ["rsa-2048", "ec-p256", "ec-p384", "ec-p521", "ec-secp256k1", "ed25519", "ed448"],
)
def test_key_types(key_type: KeyType) -> None:
    issued = AUTHORITY.client_certificate("c", key_type=key_type)
    facts = CertificateFacts.of(der_of(issued.certificate))
    assert facts.key_type == key_type
    assert facts.spki_sha256 == issued.spki_sha256


def test_a_key_for_rsa_pss_alone_keeps_its_own_pin() -> None:
    """Reading the key and writing it anew would make a plain RSA key of it."""
    plain = der_of(AUTHORITY.client_certificate("c", key_type="rsa-2048").certificate)
    info = subject_public_key_info(plain)
    assert RSA_ENCRYPTION in info
    bits = children(children(info)[0].content)[1].whole
    der = rebuilt(plain, 6, sequence(RSA_PSS, bits))
    facts = CertificateFacts.of(der)
    assert facts.key_type == "rsa-pss-2048"
    digest = hashlib.sha256(sequence(RSA_PSS, bits)).digest()
    assert facts.spki_sha256 == "sha256//" + base64.b64encode(digest).decode()
    assert facts.spki_sha256 != CertificateFacts.of(plain).spki_sha256


def test_names_do_nothing_to_a_terminal() -> None:
    issued = AUTHORITY.client_certificate("a\nb\x1b[1mü")
    assert CertificateFacts.of(der_of(issued.certificate)).subject == "CN=a\\0Ab\\1B[1mü"


def test_spiffe_id() -> None:
    def spiffe_id_of(**options: object) -> str | None:
        issued = AUTHORITY.client_certificate(None, **options)  # type: ignore[arg-type]  # as given
        return CertificateFacts.of(der_of(issued.certificate)).spiffe_id

    good = "spiffe://example.org/ns/prod/sa/web"
    assert spiffe_id_of(spiffe_id=good) == good
    assert spiffe_id_of(uris=[good]) == good
    assert spiffe_id_of(uris=[good, "https://example.org/"]) is None
    assert spiffe_id_of(uris=["spiffe://EXAMPLE.org/web"]) is None


@pytest.mark.parametrize(
    "broken",
    [b"", b"\x30", b"\x30\x00", b"\x30\x02\x30\x00", b"garbage" * 40, b"\x30\x84\xff\xff\xff\xff"],
)
def test_what_is_no_certificate_has_a_fingerprint_alone(broken: bytes) -> None:
    facts = CertificateFacts.of(broken)
    assert facts.fingerprint_sha256 == hashlib.sha256(broken).hexdigest()
    assert (facts.subject, facts.issuer, facts.key_type, facts.spki_sha256) == ("",) * 4
    assert facts.serial_number is facts.not_before is facts.not_after is facts.spiffe_id is None
    assert facts.dns_names == facts.ip_addresses == facts.uris == ()
    assert not facts.is_authority


def test_a_key_of_an_unknown_kind_still_has_a_pin() -> None:
    der = der_of(AUTHORITY.client_certificate("c").certificate)
    strange = sequence(sequence(element(6, b"\x2a\x03\x04")), element(3, b"\0key"))
    facts = CertificateFacts.of(rebuilt(der, 6, strange))
    assert facts.subject == "CN=c"
    assert facts.key_type == ""
    digest = hashlib.sha256(strange).digest()
    assert facts.spki_sha256 == "sha256//" + base64.b64encode(digest).decode()


@settings(max_examples=200, deadline=None)
@given(st.integers(0, 400), st.binary(max_size=4))
def test_a_damaged_certificate_never_raises(place: int, damage: bytes) -> None:
    der = der_of(DAMAGED.certificate)
    damaged = der[:place] + damage + der[place + len(damage) :]
    facts = CertificateFacts.of(damaged)
    assert facts.fingerprint_sha256 == hashlib.sha256(damaged).hexdigest()


DAMAGED = AUTHORITY.client_certificate("c", spiffe_id="spiffe://example.org/web")


def test_a_peer_shows_the_facts() -> None:
    issued = AUTHORITY.server_certificate("example.test", uris=["spiffe://example.org/web"])
    der = der_of(issued.certificate)
    peer = PeerCertificate(der)
    facts = CertificateFacts.of(der)
    for name in CertificateFacts.__slots__:
        assert getattr(peer, name) == getattr(facts, name)
    assert peer.chain_der == ()


# Names


def test_a_bare_name_looks_as_it_does_in_a_certificate() -> None:
    certificate = AUTHORITY.certificate
    facts = CertificateFacts.of(der_of(certificate))
    assert name_from_der(certificate.subject.public_bytes()) == facts.issuer
    assert name_from_der(x509.Name([]).public_bytes()) == ""


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=60))
def test_what_is_no_name_is_said_to_be_unreadable(data: bytes) -> None:
    name = name_from_der(data)
    assert name == "<unreadable>" or data[:1] == b"\x30"


# SPIFFE


@pytest.mark.parametrize(
    "uri",
    [
        "spiffe://example.org/web",
        "spiffe://example.org",
        "spiffe://a_b-c.1/ns/prod/sa/Web_1.x-y",
        "spiffe://example.org/" + "x" * 2027,
        "spiffe://" + "d" * 255 + "/web",
        "spiffe://example.org/...",
    ],
)
def test_spiffe_ids(uri: str) -> None:
    assert is_spiffe_id(uri)


@pytest.mark.parametrize(
    "uri",
    [
        "",
        "spiffe://",
        "spiffe:///web",
        "SPIFFE://example.org/web",
        "https://example.org/web",
        "spiffe://Example.org/web",
        "spiffe://example.org:443/web",
        "spiffe://user@example.org/web",
        "spiffe://example.org/web?x",
        "spiffe://example.org/web#x",
        "spiffe://example.org/web/",
        "spiffe://example.org/",
        "spiffe://example.org//web",
        "spiffe://example.org/./web",
        "spiffe://example.org/../web",
        "spiffe://example.org/w%65b",
        "spiffe://example.org/wéb",
        "spiffe://example.org/web\n",
        " spiffe://example.org/web",
        "spiffe://example.org/" + "x" * 2028,
        "spiffe://" + "d" * 256 + "/web",
    ],
)
def test_what_is_no_spiffe_id(uri: str) -> None:
    assert not is_spiffe_id(uri)
    assert trust_domain_of(uri) is None


def test_trust_domains() -> None:
    assert trust_domain_of("spiffe://example.org/ns/prod") == "example.org"
    assert is_trust_domain("example.org")
    for wrong in ("", "Example.org", "example.org/", "spiffe://example.org", "a:1", "d" * 256):
        assert not is_trust_domain(wrong)


# DER


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(st.sampled_from([2, 4, 0x30, 0xA0]), st.binary(max_size=300))))
def test_der_is_read_as_it_was_written(parts: list[tuple[int, bytes]]) -> None:
    content = b"".join(element(tag, data) for tag, data in parts)
    assert children(content) == [Element(tag, data, element(tag, data)) for tag, data in parts]


@pytest.mark.parametrize("wrong", ["02", "0203ff", "0280", "0285ffffffffff", "1f0100", "0282ff"])
def test_der_that_is_not_whole_is_refused(wrong: str) -> None:
    with pytest.raises(ValueError, match="element"):
        children(bytes.fromhex(wrong))
