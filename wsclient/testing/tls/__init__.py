"""A TLS server in threads, which sends real alerts."""

from __future__ import annotations
