"""What the soak looks at: memory, descriptors, threads, timers, objects; and how they grow."""

from __future__ import annotations

import asyncio
import ctypes
import gc
import os
import sys
import threading
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from support.running import open_descriptors

__all__ = [
    "Sample",
    "census",
    "grown",
    "growth",
    "own_objects",
    "resident",
    "slope",
    "take_sample",
    "trimmed",
    "waiting",
]

_PAGE = os.sysconf("SC_PAGE_SIZE")


@dataclass(frozen=True, slots=True)
class Sample:
    """One look at this process, while nothing is underway.

    Attributes:
        at: how much had been done: messages, connects, or days.
        resident: bytes of memory (RSS).
        blocks: objects and other pieces of memory that Python's allocator has handed out.
        descriptors: open descriptors.
        threads: threads.
        timers: pending timers of the loop.
        ready: callbacks that wait for the next turn of the loop; -1 where that cannot be seen.
        tasks: tasks besides the one that looks.
        garbage: objects found by the garbage collector since the look before; each look collects.
    """

    at: float
    resident: int
    blocks: int
    descriptors: int
    threads: int
    timers: int
    ready: int
    tasks: int
    garbage: int


def take_sample(at: float) -> Sample:
    """Look at this process; to be called in the loop.

    Args:
        at: how much has been done.
    """
    # Counted from here on, because automatic collections find things, too.
    garbage = gc.collect() + _found.pop_all()
    timers, ready = waiting(asyncio.get_running_loop())
    return Sample(
        at=at,
        resident=resident(),
        blocks=sys.getallocatedblocks(),
        descriptors=len(open_descriptors()),
        threads=threading.active_count(),
        timers=timers,
        ready=ready,
        tasks=len(asyncio.all_tasks()) - 1,
        garbage=garbage,
    )


class _Found:
    """How many objects automatic collections have found."""

    def __init__(self) -> None:
        self._objects = 0
        gc.callbacks.append(self._note)

    def _note(self, phase: str, info: Mapping[str, int]) -> None:
        if phase == "stop" and info["generation"] < 2:
            self._objects += info["collected"]

    def pop_all(self) -> int:
        objects, self._objects = self._objects, 0
        return objects


_found = _Found()


def resident() -> int:
    """Return the bytes of memory that this process occupies."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * _PAGE


def trimmed() -> int:
    """Return the bytes of memory that this process occupies once free pages are given back.

    The C library keeps what was freed, up to some MiB that depend on chance. Where it is not
    glibc's, this is the same as `resident`.
    """
    gc.collect()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)
    return resident()


def waiting(loop: asyncio.AbstractEventLoop) -> tuple[int, int]:
    """Return the number of pending timers, and of callbacks for the next turn of the loop.

    No loop tells this publicly. The stock loop has it in private attributes. uvloop has not, but
    its timers can be found among the objects of the garbage collector.

    Args:
        loop: any loop.
    """
    scheduled: list[asyncio.TimerHandle] | None = getattr(loop, "_scheduled", None)
    ready = getattr(loop, "_ready", None)
    if scheduled is not None and ready is not None:
        return sum(not timer.cancelled() for timer in scheduled), len(ready)
    return sum(type(each).__name__ == "TimerHandle" for each in gc.get_objects()), -1


def census() -> Counter[str]:
    """Return how many objects of each type the garbage collector knows."""
    gc.collect()
    return Counter(map(_type_name, gc.get_objects()))


def grown(before: Mapping[str, int], after: Mapping[str, int]) -> dict[str, int]:
    """Return the types of which there are more objects than before, most of all first."""
    more = {name: count - before.get(name, 0) for name, count in after.items()}
    return dict(sorted(((n, c) for n, c in more.items() if c > 0), key=lambda each: -each[1]))


def own_objects() -> Counter[str]:
    """Return how many objects of classes of the package live, without collecting garbage."""
    names = Counter(map(_type_name, gc.get_objects()))
    return Counter({name: n for name, n in names.items() if name.startswith("wsclient.")})


def _type_name(each: Any) -> str:
    kind = type(each)
    return f"{kind.__module__}.{kind.__qualname__}"


def slope(points: Sequence[tuple[float, float]]) -> float:
    """Return the slope of the line that fits best (least squares).

    Args:
        points: x and y; at least two different x.

    Raises:
        ValueError: there is no such line.
    """
    count = len(points)
    mean_x = sum(x for x, _ in points) / max(count, 1)
    mean_y = sum(y for _, y in points) / max(count, 1)
    spread = sum((x - mean_x) ** 2 for x, _ in points)
    if not spread:
        raise ValueError("a line needs two points that are not above each other")
    return sum((x - mean_x) * (y - mean_y) for x, y in points) / spread


def growth(points: Sequence[tuple[float, float]]) -> float:
    """Return by how much the line that fits best rises from the first point to the last."""
    return slope(points) * (points[-1][0] - points[0][0])
