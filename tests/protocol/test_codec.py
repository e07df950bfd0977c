"""Which codec is in use."""

from __future__ import annotations

import os

import pytest

from protocol.streams import CODECS
from wsclient.protocol.codec import codec, why_pure


@pytest.mark.skipif(
    not os.environ.get("WSCLIENT_CODEC"), reason="WSCLIENT_CODEC does not say which one to expect"
)
def test_the_expected_codec_is_in_use() -> None:
    assert os.environ["WSCLIENT_CODEC"] == codec.NAME, why_pure


def test_the_laws_look_at_the_codec_in_use() -> None:
    assert codec.NAME in {each.name for each in CODECS}


def test_it_says_why_the_compiled_one_is_not_in_use() -> None:
    assert bool(why_pure) is (codec.NAME != "compiled")
