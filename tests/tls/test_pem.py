"""Blocks of PEM: where one ends, and that nothing behind a wrong end counts."""

from __future__ import annotations

import pytest

from wsclient import ClientIdentity, IdentityError
from wsclient.testing import CertificateAuthority
from wsclient.tls.files.pem import blocks, unfinished

CLIENT = CertificateAuthority().client_certificate("client")
BLOCK = b"-----BEGIN ONE-----\nQUJD\n-----END ONE-----\n"


def test_a_whole_block() -> None:
    (found,) = blocks(b"text\n" + BLOCK)
    assert (found.label, found.der, found.text) == ("ONE", b"ABC", BLOCK)
    assert unfinished(BLOCK) == ()


@pytest.mark.parametrize(
    "end",
    [
        b"-----END TWO-----",
        b"-----END ONE TWO-----",
        b"-----END ON-----",
        b"-----END -----",
        b"-----END ONE----",
        b"-----END ONE",
        b"-----END one-----",
    ],
)
@pytest.mark.parametrize("behind", [b"", b"\n-----END ONE-----\n"], ids=["alone", "and more"])
def test_the_label_behind_end_is_that_of_begin(end: bytes, behind: bytes) -> None:
    data = BLOCK.replace(b"-----END ONE-----", end) + behind
    assert blocks(data) == ()
    assert unfinished(data) == ("ONE",)
    # What follows is found nevertheless.
    assert [each.label for each in blocks(data + BLOCK.replace(b"ONE", b"THREE"))] == ["THREE"]


def test_a_key_with_the_end_of_another_is_none() -> None:
    key = CLIENT.private_key_pem()
    wrong = key.replace(b"-----END PRIVATE KEY-----", b"-----END CERTIFICATE-----")
    assert wrong != key
    with pytest.raises(IdentityError) as caught:
        ClientIdentity.from_pem(CLIENT.chain_pem, wrong)
    assert caught.value.reason in ("key_missing", "key_unreadable")
