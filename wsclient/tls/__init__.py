"""TLS: what the caller wants (`TLSConfig`), and the context that it stands for."""

from __future__ import annotations

from .config import TLSConfig
from .context import build_context, unverified_context

__all__ = ["TLSConfig", "build_context", "unverified_context"]
