"""From a `TLSConfig` to an `ssl.SSLContext`."""

from __future__ import annotations
