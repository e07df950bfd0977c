"""Keeps a process on one CPU, and out of the way of another one there."""

from __future__ import annotations

import os

__all__ = ["pin", "step_back"]


def pin(core: int | None) -> None:
    """Keep this process on one CPU.

    Args:
        core: its number; ``None``, or a system that cannot do it, leaves everything as it is.

    Raises:
        OSError: there is no such CPU.
    """
    if core is not None and hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {core})


def step_back() -> None:
    """Let this process interrupt no other one, where the system can do that.

    By default Linux interrupts a client in the middle of its sending, to let the server answer. A
    server elsewhere does not do that, and what the interruption costs is no client's fault.
    """
    if hasattr(os, "SCHED_BATCH"):
        os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))
