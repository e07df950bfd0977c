"""Servers for tests, with handlers as in Tornado, functions, or dialogues."""

from __future__ import annotations
