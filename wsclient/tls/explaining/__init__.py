"""From what went wrong in TLS to errors that say what to do."""

from __future__ import annotations
