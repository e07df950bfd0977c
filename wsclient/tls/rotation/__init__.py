"""Where identities come from, and how newer ones take the place of older ones."""

from __future__ import annotations
