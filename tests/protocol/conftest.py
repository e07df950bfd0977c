"""What the tests of compression have in common."""

from __future__ import annotations

import importlib
import zlib
from collections.abc import Iterator
from types import ModuleType

import pytest

from wsclient.protocol import deflate


def _zlibs() -> list[ModuleType]:
    try:
        return [zlib, importlib.import_module("zlib_ng.zlib_ng")]
    except ImportError:
        return [zlib]


# For a module at a time: hypothesis refuses fixtures that are made anew for each test.
@pytest.fixture(scope="module", params=_zlibs(), ids=lambda each: each.__name__.rpartition(".")[2])
def each_zlib(request: pytest.FixtureRequest) -> Iterator[ModuleType]:
    """Compress and decompress with each zlib that is installed, where one may be chosen."""
    used: ModuleType = request.param
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(deflate, "fast_zlib", used)
        yield used
