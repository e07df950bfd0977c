"""Pins, SPIFFE ids and `authorize_server`: what they accept, refuse, and say."""

from __future__ import annotations

import copy
import functools
import pickle
import ssl
from collections.abc import Callable
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization

from wsclient.errors import TLSConfigurationError
from wsclient.testing.certificates import CertificateAuthority, IssuedCertificate
from wsclient.tls.certificates.peer import PeerCertificate
from wsclient.tls.handshake.checks import PeerChecks, PeerRefusedError

AUTHORITY = CertificateAuthority()
SPIFFE_ID = "spiffe://example.org/ns/prod/sa/web"
SERVER = AUTHORITY.server_certificate("example.test", uris=[SPIFFE_ID])
OTHER_PIN = "sha256//" + "A" * 43 + "="
PIN = SERVER.spki_sha256


def peer_of(issued: IssuedCertificate) -> PeerCertificate:
    return PeerCertificate(issued.certificate.public_bytes(serialization.Encoding.DER))


PEER = peer_of(SERVER)


def refusal(peer: PeerCertificate | None, **options: Any) -> PeerRefusedError:
    with pytest.raises(PeerRefusedError) as caught:
        PeerChecks(**options).check(peer)
    # Both stand in one message, one behind the other.
    for sentence in (caught.value.text, caught.value.hint):
        assert sentence.endswith(".")
        assert ".." not in sentence
    return caught.value


# Pins


@pytest.mark.parametrize(
    "pins",
    [
        PIN,
        [PIN],
        (OTHER_PIN, PIN),
        f"{OTHER_PIN};{PIN}",
        f" {OTHER_PIN} ; {PIN};",
        {f"{OTHER_PIN};{PIN}"},
    ],
    ids=["one", "list", "tuple", "text", "text with spaces", "set of a text"],
)
def test_a_pin_that_matches(pins: Any) -> None:
    checks = PeerChecks(pinned_public_keys=pins)
    assert PIN in checks.pins
    checks.check(PEER)


def test_a_pin_that_does_not_match() -> None:
    error = refusal(PEER, pinned_public_keys=OTHER_PIN)
    assert error.refusal == "pin_mismatch"
    # A person can compare the two, and copy the new one.
    assert PIN in error.text
    assert OTHER_PIN in error.text


def test_only_the_certificate_itself_is_compared_with_pins() -> None:
    root = AUTHORITY.certificate.public_bytes(serialization.Encoding.DER)
    peer = PeerCertificate(PEER.der, (PEER.der, root))
    pin = PeerCertificate(root).spki_sha256
    assert refusal(peer, pinned_public_keys=pin).refusal == "pin_mismatch"


def test_an_unreadable_certificate_matches_no_pin() -> None:
    error = refusal(PeerCertificate(b"garbage"), pinned_public_keys=PIN)
    assert error.refusal == "pin_mismatch"
    assert "cannot be read" in error.text


@pytest.mark.parametrize(
    ("pins", "says"),
    [
        ("", "empty"),
        ([""], "empty"),
        (f"{PIN};;{PIN}", "does not begin"),
        ("sha256/" + "A" * 43 + "=", "does not begin"),
        ("a" * 64, "does not begin"),
        ("SHA256//" + "A" * 43 + "=", "does not begin"),
        ("sha256//" + "A" * 43, "44 characters"),
        ("sha256//" + "A" * 42 + "==", "44 characters"),
        ("sha256//" + "A" * 42 + "B=", "44 characters"),
        ("sha256//" + "A" * 42 + "-=", "44 characters"),
        ("sha256//" + "é" * 44, "44 characters"),
        ("sha256//", "44 characters"),
    ],
)
def test_what_is_no_pin(pins: Any, says: str) -> None:
    with pytest.raises(TLSConfigurationError, match=says):
        PeerChecks(pinned_public_keys=pins)


@pytest.mark.parametrize("name", ["pinned_public_keys", "spiffe_ids"])
@pytest.mark.parametrize("wrong", [None, 3, b"sha256//", [b"sha256//"], [None]])
def test_what_is_no_string(name: str, wrong: Any) -> None:
    with pytest.raises(TypeError, match=name):
        PeerChecks(**{name: wrong})


# SPIFFE


@pytest.mark.parametrize(
    "options",
    [
        {"spiffe_ids": SPIFFE_ID},
        {"spiffe_ids": ["spiffe://example.org/other", SPIFFE_ID]},
        {"spiffe_trust_domain": "example.org"},
        {"spiffe_ids": [SPIFFE_ID], "spiffe_trust_domain": "example.org"},
    ],
)
def test_the_right_spiffe_id(options: dict[str, Any]) -> None:
    PeerChecks(**options).check(PEER)


def test_another_spiffe_id() -> None:
    error = refusal(PEER, spiffe_ids=["spiffe://example.org/a", "spiffe://example.org/b"])
    assert error.refusal == "spiffe_id_mismatch"
    assert SPIFFE_ID in error.text
    assert "spiffe://example.org/a or 1 other" in error.text


def test_another_trust_domain() -> None:
    error = refusal(PEER, spiffe_trust_domain="example.com")
    assert error.refusal == "spiffe_id_mismatch"
    assert SPIFFE_ID in error.text
    assert "example.com" in error.text
    # A name that only begins alike is another domain.
    refusal(PEER, spiffe_trust_domain="example.or")


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({}, "has no SPIFFE id"),
        ({"uris": ["https://example.org/"]}, "no SPIFFE id: 'https"),
        ({"uris": [SPIFFE_ID, "https://example.org/"]}, "2 URIs"),
        ({"spiffe_id": None, "uris": ["spiffe://example.org"]}, "authority"),
    ],
)
def test_certificates_that_are_no_svid(options: dict[str, Any], says: str) -> None:
    """X509-SVID, section 5.2."""
    peer = peer_of(AUTHORITY.server_certificate("example.test", **options))
    error = refusal(peer, spiffe_trust_domain="example.org")
    assert error.refusal == "spiffe_id_mismatch"
    assert says in error.text


def test_an_authority_is_no_service() -> None:
    class Signing(PeerCertificate):
        is_authority = True  # type: ignore[assignment]  # the kit makes no such certificate

    assert "authority" in refusal(Signing(PEER.der), spiffe_ids=SPIFFE_ID).text


@pytest.mark.parametrize(
    "wrong",
    ["", "example.org", "spiffe://example.org", "spiffe://Example.org/web", SPIFFE_ID + "/"],
)
def test_what_is_no_spiffe_id_of_a_service(wrong: str) -> None:
    with pytest.raises(TLSConfigurationError, match="spiffe_ids"):
        PeerChecks(spiffe_ids=[wrong])


def test_ids_outside_the_trust_domain_are_refused_at_once() -> None:
    with pytest.raises(TLSConfigurationError, match=r"example\.com"):
        PeerChecks(spiffe_ids=SPIFFE_ID, spiffe_trust_domain="example.com")


@pytest.mark.parametrize("wrong", ["", "Example.org", "spiffe://example.org", "example.org/web"])
def test_what_is_no_trust_domain(wrong: str) -> None:
    with pytest.raises(TLSConfigurationError, match="spiffe_trust_domain"):
        PeerChecks(spiffe_trust_domain=wrong)
    with pytest.raises(TypeError, match="spiffe_trust_domain"):
        PeerChecks(spiffe_trust_domain=b"example.org")  # type: ignore[arg-type]  # on purpose


# authorize_server


@pytest.mark.parametrize("answer", [True, None])
def test_a_server_that_is_authorized(answer: object) -> None:
    asked: list[PeerCertificate] = []

    def authorize(peer: PeerCertificate) -> object:
        asked.append(peer)
        return answer

    PeerChecks(authorize_server=authorize).check(PEER)
    assert asked == [PEER]


def test_a_server_that_is_not_authorized() -> None:
    error = refusal(PEER, authorize_server=lambda peer: False)
    assert error.refusal == "not_authorized"
    assert SPIFFE_ID in error.text
    assert error.__cause__ is None


def test_an_exception_refuses_and_is_chained() -> None:
    def authorize(peer: PeerCertificate) -> None:
        raise LookupError("unknown service")

    error = refusal(PEER, authorize_server=authorize)
    assert error.refusal == "not_authorized"
    assert "LookupError" in error.text
    assert isinstance(error.__cause__, LookupError)


@pytest.mark.parametrize("answer", [0, 1, "", "yes", [], object()])
def test_an_unclear_answer_refuses(answer: object) -> None:
    error = refusal(PEER, authorize_server=lambda peer: answer)
    assert error.refusal == "not_authorized"
    assert isinstance(error.__cause__, TypeError)
    assert type(answer).__name__ in str(error.__cause__)


def test_what_ends_the_program_is_not_taken_for_a_refusal() -> None:
    def authorize(peer: PeerCertificate) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        PeerChecks(authorize_server=authorize).check(PEER)


async def authorize_later(peer: PeerCertificate) -> bool:
    return True


class AuthorizingLater:
    async def __call__(self, peer: PeerCertificate) -> bool:
        return True


@pytest.mark.parametrize(
    "wrong", [authorize_later, functools.partial(authorize_later), AuthorizingLater()]
)
def test_a_coroutine_function_is_refused_at_once(wrong: Any) -> None:
    with pytest.raises(TypeError, match="plain function"):
        PeerChecks(authorize_server=wrong)


def test_a_hidden_coroutine_refuses() -> None:
    error = refusal(PEER, authorize_server=lambda peer: authorize_later(peer))
    assert error.refusal == "not_authorized"
    assert isinstance(error.__cause__, TypeError)


@pytest.mark.parametrize("wrong", [3, "f", True])
def test_what_cannot_be_called_is_refused_at_once(wrong: Any) -> None:
    with pytest.raises(TypeError, match="authorize_server"):
        PeerChecks(authorize_server=wrong)


# All together


def test_all_must_hold_and_authorize_server_is_asked_last() -> None:
    def never(peer: PeerCertificate) -> None:
        pytest.fail("asked too early")

    wrong_id = "spiffe://example.org/other"
    all_wrong = {"pinned_public_keys": OTHER_PIN, "spiffe_ids": wrong_id}
    assert refusal(PEER, authorize_server=never, **all_wrong).refusal == "pin_mismatch"
    error = refusal(PEER, pinned_public_keys=PIN, spiffe_ids=wrong_id, authorize_server=never)
    assert error.refusal == "spiffe_id_mismatch"
    PeerChecks(
        pinned_public_keys=PIN, spiffe_ids=SPIFFE_ID, authorize_server=lambda peer: True
    ).check(PEER)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"pinned_public_keys": PIN}, "pin_mismatch"),
        ({"spiffe_trust_domain": "example.org"}, "spiffe_id_mismatch"),
        ({"authorize_server": lambda peer: True}, "not_authorized"),
    ],
)
def test_no_certificate_passes_no_check(options: dict[str, Any], expected: str) -> None:
    assert refusal(None, **options).refusal == expected


def test_no_checks() -> None:
    checks = PeerChecks()
    assert not checks
    checks.check(None)
    checks.check(PEER)


@pytest.mark.parametrize(
    "options",
    [
        {"pinned_public_keys": PIN},
        {"spiffe_ids": SPIFFE_ID},
        {"spiffe_trust_domain": "example.org"},
        {"authorize_server": print},
    ],
)
def test_checks_are_values(options: dict[str, Any]) -> None:
    checks, same = PeerChecks(**options), PeerChecks(**options)
    assert checks
    assert checks == same
    assert hash(checks) == hash(same)
    assert checks != PeerChecks()
    with pytest.raises(AttributeError):
        checks.pins = frozenset()  # type: ignore[misc]  # on purpose


def test_a_callable_that_has_no_hash_is_refused() -> None:
    class Unhashable:
        __hash__: Callable[[], int] = None  # type: ignore[assignment]  # on purpose

        def __call__(self, peer: PeerCertificate) -> bool:
            return True

    with pytest.raises(TypeError, match="hashable"):
        PeerChecks(authorize_server=Unhashable())


def test_a_refusal_looks_like_one_of_openssl() -> None:
    error = refusal(PEER, pinned_public_keys=OTHER_PIN)
    assert isinstance(error, ssl.SSLCertVerificationError)
    assert str(error) == error.text == error.verify_message
    assert error.errno == ssl.SSL_ERROR_SSL
    assert (error.reason, error.library) == ("CERTIFICATE_VERIFY_FAILED", "SSL")
    assert error.verify_code == 50
    for same in (copy.copy(error), pickle.loads(pickle.dumps(error))):
        assert (same.refusal, same.text, same.hint) == (error.refusal, error.text, error.hint)
