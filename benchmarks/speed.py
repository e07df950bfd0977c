"""Whether the CPU runs at its full speed just now.

What others do on a machine that is shared makes a CPU slower, by the factor of two, for a tenth
of a second or for seconds. What a client takes then is no fault of the client's.
"""

from __future__ import annotations

import os
import time
from typing import Final

from benchmarks.pinning import pin

__all__ = ["full_speed", "is_full", "spin"]

_TURNS: Final = 30_000
_LOOKED_FOR: Final = 10.0
_SLOWER: Final = 1.2
"""How many times as long as at full speed is still full speed."""


def spin() -> float:
    """Do what is always the same; return the seconds of CPU that it took, a few thousandths."""
    begin = time.process_time()
    total = 0
    for each in range(_TURNS):
        total += each * each
    return time.process_time() - begin


def full_speed(core: int | None) -> float:
    """Look for ten seconds how quick `spin` can be; return the seconds.

    Args:
        core: the CPU to look at, ``None`` for any.
    """
    before = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else None
    pin(core)
    try:
        end = time.monotonic() + _LOOKED_FOR
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
