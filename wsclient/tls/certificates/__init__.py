"""What certificates say, ours and the peer's."""

from __future__ import annotations
