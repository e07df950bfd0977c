"""A clock that does not wait."""

from __future__ import annotations
