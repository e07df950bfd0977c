"""What the tests of compression have in common."""

from __future__ import annotations

from collections.abc import Iterator
from types import ModuleType

import pytest

from protocol.streams import ZLIBS, zlib_id
from wsclient.protocol import deflate


# For a module at a time: hypothesis refuses fixtures that are made anew for each test.
@pytest.fixture(scope="module", params=ZLIBS, ids=zlib_id)
def each_zlib(request: pytest.FixtureRequest) -> Iterator[ModuleType]:
    """Compress and decompress with each zlib that is installed, where one may be chosen."""
    used: ModuleType = request.param
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(deflate, "fast_zlib", used)
        yield used
