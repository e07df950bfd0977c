"""Whether the CPU runs at its full speed just now.

What others do on a machine that is shared makes a CPU slower, by the factor of two, for a tenth
of a second or for seconds. What a client takes then is no fault of the client's.
"""

from __future__ import annotations

import os
import time
from typing import Final

from benchmarks.pinning import pin

__all__ = ["LOOKED_FOR", "full_speed", "is_full", "spin"]

_TURNS: Final = 30_000
LOOKED_FOR: Final = 10.0
"""Seconds in which a CPU is expected to run at its full speed once."""

_SLOWER: Final = 1.2
"""How many times as long as at full speed is still full speed."""


def spin() -> float:
    """Do what is always the same; return the seconds of CPU that it took, a few thousandths."""
    begin = time.process_time()
    total = 0
    for each in range(_TURNS):
        total += each * each
    return time.process_time() - begin


def full_speed(core: int | None, *, seconds: float = LOOKED_FOR) -> float:
    """Look how quick `spin` can be; return the seconds that it takes then.

    Args:
        core: the CPU to look at, ``None`` for any.
        seconds: how long to look.
    """
    before = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else None
    pin(core)
    try:
        end = time.monotonic() + seconds
        best = spin()
        while time.monotonic() < end:
            best = min(best, spin())
        return best
    finally:
        if before is not None:
            os.sched_setaffinity(0, before)


def is_full(best: float) -> bool:
    """Tell whether the CPU is as quick as it can be.

    Args:
        best: what `full_speed` has returned; 0 where nobody has looked, and any speed will do.
    """
    return not best or spin() <= best * _SLOWER
