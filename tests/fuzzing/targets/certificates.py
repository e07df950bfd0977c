"""Certificates: what is said of them is said of any bytes, and trust takes them or says why not.

An input is two bytes of options, then parts: PEM, or one certificate each.
"""

from __future__ import annotations

from fuzzing.parts import parted
from fuzzing.promises import check_reason, check_text
from wsclient import TLSConfig
from wsclient.errors import TrustError
from wsclient.tls.certificates.chains import allows_client_auth, arrange, public_key_of
from wsclient.tls.certificates.facts import (
    CertificateFacts,
    name_from_der,
    public_key_pin,
    subject_public_key_info,
)
from wsclient.tls.certificates.peer import PeerCertificate
from wsclient.tls.certificates.spiffe import is_spiffe_id, trust_domain_of
from wsclient.tls.files.der import children, element
from wsclient.tls.files.pem import blocks, unfinished

__all__ = ["fuzz"]

_MULTI_BYTE_TAG = 0x1F


def fuzz(data: bytes) -> None:
    """Feed one input.

    Raises:
        AssertionError: an error is not as documented, or something contradicts itself.
    """
    if len(data) < 2:
        return
    options, parts = parted(data)
    for part in parts:
        _check_pem(part)
        _check_der(part)
    ders = [block.der for part in parts for block in blocks(part) if block.der] + parts
    for der in ders:
        _check_facts(der)
    _check_chain(tuple(ders))
    _check_trust(options[0], parts[0])


def _check_pem(data: bytes) -> None:
    for block in blocks(data):
        der = block.der
        if der is None:
            continue
        # Written anew it is the same, which is what OpenSSL will see.
        (again,) = blocks(block.text)
        assert (again.label, again.headers, again.der) == (block.label, block.headers, der)
    assert all(data.count(label.encode("latin-1")) for label in unfinished(data))


def _check_der(data: bytes) -> None:
    try:
        elements = children(data)
    except ValueError as exc:
        check_text(str(exc))
        return
    assert b"".join(each.whole for each in elements) == data
    for each in elements:
        assert each.tag & 0x1F != _MULTI_BYTE_TAG
        assert each.whole.endswith(each.content)
        (again,) = children(element(each.tag, each.content))
        assert (again.tag, again.content) == (each.tag, each.content)


def _check_facts(der: bytes) -> None:
    facts = CertificateFacts.of(der)
    for text in (facts.subject, facts.issuer, name_from_der(der)):
        assert not text or text.isprintable(), f"control characters in {text!r}"
    assert len(facts.fingerprint_sha256) == 64
    assert facts.spki_sha256 == public_key_pin(der)
    info = subject_public_key_info(der)
    assert bool(info) == bool(facts.spki_sha256) and info in der
    if facts.spiffe_id is not None:
        assert facts.uris == (facts.spiffe_id,) and is_spiffe_id(facts.spiffe_id)
        domain = trust_domain_of(facts.spiffe_id)
        assert domain and facts.spiffe_id.startswith(f"spiffe://{domain}")
    for date in (facts.not_before, facts.not_after):
        assert date is None or date.utcoffset() is not None
    check_text(repr(PeerCertificate(der)))


def _check_chain(ders: tuple[bytes, ...]) -> None:
    for public in {b"", public_key_of(ders[0])}:
        chain = arrange(ders, public)
        if not public:
            assert chain is not None
        if chain is not None:
            # Nothing is lost, nothing is made up, nothing is there twice.
            assert set(chain.ders) == set(ders) and len(chain.ders) == len(set(ders))
    for der in ders:
        assert isinstance(allows_client_auth(der), bool)


def _check_trust(option: int, data: bytes) -> None:
    value: str | bytes = data.decode("utf-8", "surrogateescape") if option & 1 else data
    try:
        config = TLSConfig(crldata=value) if option & 2 else TLSConfig(cadata=value)
    except TrustError as exc:
        check_text(str(exc))
        check_reason(exc)
    else:
        check_text(repr(config))
