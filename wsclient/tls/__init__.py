"""TLS: who we are, whom we trust, and what happens in the handshake."""

from __future__ import annotations

from .config import TLSConfig
from .prepare import Prepared, prepare

__all__ = ["Prepared", "TLSConfig", "prepare"]
