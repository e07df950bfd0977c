"""Which zlib compresses: zlib-ng where it is installed, unless ``WSCLIENT_ZLIB=zlib``."""

from __future__ import annotations

import importlib
import os
import zlib
from types import ModuleType

__all__ = ["ZLIB_NAME", "fast_zlib"]

fast_zlib: ModuleType = zlib
if os.environ.get("WSCLIENT_ZLIB") != "zlib":
    try:
        fast_zlib = importlib.import_module("zlib_ng.zlib_ng")
    except ImportError:
        pass
ZLIB_NAME = "zlib" if fast_zlib is zlib else "zlib-ng"
