"""The works, who does them, and what is wanted of us."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from benchmarks.job import Kind

__all__ = ["CURVES", "MAIN", "WORKS", "Target", "Work"]


@dataclass(frozen=True)
class Target:
    """A bound that our cost should keep.

    Attributes:
        most: how many times the other's cost; or the cost itself, when there is no other.
        ours: the entrants of which the best one counts.
        theirs: the others of which the best one counts; empty for a bound of its own.
    """

    most: float
    ours: tuple[str, ...]
    theirs: tuple[str, ...] = ()


@dataclass(frozen=True)
class Work:
    """Something whose cost is measured.

    Attributes:
        name: for tables and the command line.
        title: for people.
        kind: see `benchmarks.job.Job`.
        entrants: who does it.
        targets: what is wanted of us.
        options: more of the job.
        curve: the curve that it is a point of, empty for none.
        at: where on that curve.
    """

    name: str
    title: str
    kind: Kind
    entrants: tuple[str, ...]
    targets: tuple[Target, ...] = ()
    options: dict[str, Any] = field(default_factory=dict)
    curve: Literal["", "sizes", "connections"] = ""
    at: int = 0

    @property
    def unit(self) -> str:
        """What the cost is measured in."""
        if self.kind == "idle":
            return "KiB per connection"
        return "µs per connect" if self.kind == "connect" else "µs per message"


def _against(theirs: str, most: float, *ours: str) -> Target:
    return Target(most, ours or ("wsclient",), (theirs,))


_FAST: Final = "wsclient-fast"
_FAST_CALL: Final = "wsclient-fast-callback"
_PEERS: Final = ("picows", "picows-websockets", "aiohttp", "websockets")
_UVLOOP_PEERS: Final = (
    *("picows-uvloop", "picows-websockets-uvloop"),
    *("aiohttp-uvloop", "websockets-uvloop"),
)
_ALL_PEERS: Final = (*_PEERS, "aiohttp-fast", "tornado", "websocket-client")
_OURS: Final = (
    *("wsclient", "wsclient-callback", _FAST, _FAST_CALL),
    *("wsclient-uvloop", "wsclient-uvloop-callback"),
)
_LIMITS: Final = ("bare-protocol", "raw-socket")
_LARGE_OURS: Final = ("wsclient", _FAST, _FAST_CALL, "wsclient-uvloop")
_LARGE_PEERS: Final = (*_PEERS, "aiohttp-fast", "aiohttp-uvloop")
_SENDING: Final = (*_LARGE_PEERS, "tornado", "websocket-client")
_CONNECTING: Final = (*_PEERS, "tornado", "websocket-client")

_FLOOD_SMALL: Final = (
    _against("picows-websockets", 0.45),
    _against("picows", 0.7),
    _against("aiohttp", 0.25),
    _against("picows", 0.65, "wsclient-callback"),
)
_FLOOD_1024: Final = (_against("picows-websockets", 0.8), _against("picows", 0.95))


def _best(names: Sequence[str], most: float, *ours: str) -> Target:
    return Target(most, ours, tuple(names))


def _connect_targets() -> tuple[Target, ...]:
    return (
        _against("aiohttp", 1.0),
        _against("websockets", 1.05),
        Target(1.15, ("wsclient-private",), ("wsclient",)),
    )


MAIN: Final = (
    Work(
        "flood-32",
        "Receive 32 B",
        "flood",
        ("wsclient", "wsclient-callback", _FAST, *_PEERS),
        _FLOOD_SMALL,
        {"size": 32},
    ),
    Work(
        "flood-128",
        "Receive 128 B",
        "flood",
        (*_OURS, "wsclient-pure", *_ALL_PEERS, *_LIMITS),
        (*_FLOOD_SMALL, _against("websockets", 1.0, "wsclient-pure")),
        {"size": 128},
    ),
    Work(
        "flood-1024",
        "Receive 1 KiB",
        "flood",
        ("wsclient", "wsclient-callback", _FAST, *_PEERS),
        _FLOOD_1024,
        {"size": 1024},
    ),
    Work(
        "flood-text",
        "Receive 128 B of text",
        "flood",
        ("wsclient", "wsclient-callback", _FAST, *_PEERS),
        (_against("picows-websockets", 0.5),),
        {"size": 128, "text": True},
    ),
    Work(
        "echo-256",
        "Echo of 256 B",
        "echo",
        (*_OURS, "wsclient-pure", *_ALL_PEERS, *_UVLOOP_PEERS, *_LIMITS),
        (
            _against("picows-websockets", 0.95),
            _against("aiohttp", 0.35),
            _against("picows-websockets", 0.85, _FAST),
            _against("picows", 1.05, _FAST_CALL),
            _against("picows", 1.0, "wsclient-uvloop"),
        ),
        {"size": 256},
    ),
    Work(
        "tls-echo-256",
        "Echo of 256 B by TLS",
        "echo",
        (*_OURS, *_ALL_PEERS, "picows-uvloop", "aiohttp-uvloop", *_LIMITS),
        (
            _against("picows-websockets", 0.9, _FAST),
            _against("picows", 1.1, _FAST_CALL),
        ),
        {"size": 256, "secure": True},
    ),
    Work(
        "echo-20k",
        "Echo of 20 KiB",
        "echo",
        (*_LARGE_OURS, *_LARGE_PEERS, *_LIMITS),
        (_best(_LARGE_PEERS, 0.95, *_LARGE_OURS),),
        {"size": 20 * 1024},
    ),
    Work(
        "echo-1m",
        "Echo of 1 MiB",
        "echo",
        (*_LARGE_OURS, *_LARGE_PEERS, *_LIMITS),
        (_best(_LARGE_PEERS, 0.95, *_LARGE_OURS),),
        {"size": 1024 * 1024},
    ),
    Work(
        "send-128",
        "Send 128 B",
        "send",
        ("wsclient", _FAST, "wsclient-uvloop", *_SENDING, "raw-socket"),
        (_best(_SENDING, 0.5, "wsclient", _FAST, "wsclient-uvloop"),),
        {"size": 128},
    ),
    Work(
        "deflate-6",
        "Echo of 4 KiB of JSON, compressed at level 6",
        "echo",
        ("wsclient", _FAST, "picows-websockets", "websockets", "tornado"),
        (_best(("picows-websockets", "websockets", "tornado"), 0.9, "wsclient", _FAST),),
        {"size": 4096, "text": True, "level": 6},
    ),
    Work(
        "deflate-1",
        "Echo of 4 KiB of JSON, compressed at level 1",
        "echo",
        ("wsclient", _FAST, "aiohttp", "aiohttp-fast", "websockets"),
        (_best(("aiohttp", "aiohttp-fast", "websockets"), 0.9, "wsclient", _FAST),),
        {"size": 4096, "text": True, "level": 1},
    ),
    Work(
        "connect",
        "Connect and close",
        "connect",
        ("wsclient", "wsclient-private", *_CONNECTING, "raw-socket"),
        _connect_targets(),
    ),
    Work(
        "connect-tls",
        "Connect and close by TLS",
        "connect",
        ("wsclient", "wsclient-private", _FAST, *_CONNECTING, "raw-socket"),
        _connect_targets(),
        {"secure": True},
    ),
    Work(
        "idle",
        "Memory of an idle connection",
        "idle",
        ("wsclient", "wsclient-private", "wsclient-callback", _FAST, *_PEERS),
        (Target(11.0, ("wsclient-private",)), Target(11.0, ("wsclient",))),
        {"count": 500},
    ),
    Work(
        "idle-tls",
        "Memory of an idle connection by TLS",
        "idle",
        ("wsclient", "wsclient-private", _FAST, *_PEERS),
        (Target(60.0, (_FAST,)),),
        {"count": 200, "secure": True},
    ),
)
"""What the table shows."""

_CURVE_ENTRANTS: Final = ("wsclient", _FAST, *_PEERS)

CURVES: Final = (
    *(
        Work(
            f"size-{size}",
            f"Echo of {size:,} B",
            "echo",
            _CURVE_ENTRANTS,
            (),
            {"size": size},
            "sizes",
            size,
        )
        for size in (4**power for power in range(2, 13))
    ),
    *(
        Work(
            f"connections-{count}",
            f"Echo of 256 B by {count:,} connections",
            "echo",
            _CURVE_ENTRANTS,
            (),
            {"size": 256, "connections": count},
            "connections",
            count,
        )
        for count in (1, 10, 100, 1000)
    ),
)
"""What the curves are made of."""

WORKS: Final = {work.name: work for work in (*MAIN, *CURVES)}
