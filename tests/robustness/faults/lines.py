"""Lines that are bad and do not break: slow, late, in crumbs, or silent for a while."""

from __future__ import annotations

from typing import Final

from wsclient.testing.faults import Line

__all__ = ["LINES"]

LINES: Final[dict[str, Line]] = {
    "latency of 100 ms": Line(latency=0.1),
    "jitter of 50 ms": Line(latency=0.01, jitter=0.05),
    "one byte at a time": Line(chunk_size=1),
    "three bytes at a time, late": Line(chunk_size=3, latency=0.02, jitter=0.02),
    "20,000 bytes per second": Line(bandwidth=20_000),
}
"""The condition of both directions, by what a person would call it."""
