"""Which frame codec is used: the compiled one where it was built, unless it is not wanted."""

from __future__ import annotations

import os
from importlib import import_module

from . import codec_pure

__all__ = ["apply_mask", "build_frame", "codec", "why_pure"]

codec, why_pure = codec_pure, "WSCLIENT_PURE_PYTHON asks for it"
if os.environ.get("WSCLIENT_PURE_PYTHON", "") in ("", "0"):
    try:
        # Type checkers know the twin, which has the same signatures.
        codec, why_pure = import_module("._codec", __package__), ""
    except ModuleNotFoundError:
        why_pure = "the compiled one was not built"
    except ImportError as exc:
        why_pure = f"the compiled one cannot be loaded: {exc}"

apply_mask, build_frame = codec.apply_mask, codec.build_frame
