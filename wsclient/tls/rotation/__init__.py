"""Where identities come from, when they are replaced, and what then happens."""

from __future__ import annotations
