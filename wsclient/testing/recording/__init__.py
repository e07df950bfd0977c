"""Sessions recorded and replayed."""

from __future__ import annotations
