"""What the hostile servers do; the table says what must come of it."""

from __future__ import annotations
