"""Break connections on purpose: a TCP proxy that is exact to the byte."""

from __future__ import annotations

from .handles import Direction, Trigger
from .kinds import (
    BlackHole,
    Change,
    Corrupt,
    Drop,
    Fault,
    Insert,
    Line,
    Pause,
    Reset,
    Resume,
    Truncate,
)
from .proxy import FaultProxy
from .report import Connection, Ending, Flow
from .rules import Event, Rule, Way, When

__all__ = [
    "BlackHole",
    "Change",
    "Connection",
    "Corrupt",
    "Direction",
    "Drop",
    "Ending",
    "Event",
    "Fault",
    "FaultProxy",
    "Flow",
    "Insert",
    "Line",
    "Pause",
    "Reset",
    "Resume",
    "Rule",
    "Trigger",
    "Truncate",
    "Way",
    "When",
]
