"""Handshakes that are watched, and check more than OpenSSL does."""

from __future__ import annotations
