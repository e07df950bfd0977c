"""Which zlib is chosen."""

from __future__ import annotations

import importlib.util

import pytest

INSTALLED = importlib.util.find_spec("zlib_ng") is not None


def chosen(value: str | None, patch: pytest.MonkeyPatch) -> str:
    """Import the module that chooses once more, beside the one that has chosen."""
    if value is None:
        patch.delenv("WSCLIENT_ZLIB", raising=False)
    else:
        patch.setenv("WSCLIENT_ZLIB", value)
    spec = importlib.util.find_spec("wsclient.protocol.zlibs")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return f"{module.ZLIB_NAME} {module.fast_zlib.__name__}"


@pytest.mark.parametrize("value", [None, "", "zlib-ng"])
def test_the_fast_one_where_it_is_installed(
    value: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert chosen(value, monkeypatch) == ("zlib-ng zlib_ng.zlib_ng" if INSTALLED else "zlib zlib")


def test_the_environment_may_say_no(monkeypatch: pytest.MonkeyPatch) -> None:
    assert chosen("zlib", monkeypatch) == "zlib zlib"
