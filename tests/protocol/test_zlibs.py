"""Which zlib is chosen."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys

import pytest

SHOW = """
from wsclient.protocol.zlibs import ZLIB_NAME, fast_zlib
print(ZLIB_NAME, fast_zlib.__name__)
"""
INSTALLED = importlib.util.find_spec("zlib_ng") is not None


def chosen(value: str | None) -> str:
    environment = {name: each for name, each in os.environ.items() if name != "WSCLIENT_ZLIB"}
    if value is not None:
        environment["WSCLIENT_ZLIB"] = value
    return subprocess.run(
        [sys.executable, "-c", SHOW], env=environment, check=True, capture_output=True, text=True
    ).stdout.strip()


@pytest.mark.parametrize("value", [None, "", "zlib-ng"])
def test_the_fast_one_where_it_is_installed(value: str | None) -> None:
    assert chosen(value) == ("zlib-ng zlib_ng.zlib_ng" if INSTALLED else "zlib zlib")


def test_the_environment_may_say_no() -> None:
    assert chosen("zlib") == "zlib zlib"
