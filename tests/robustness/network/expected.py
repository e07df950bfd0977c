"""What each scenario must come to: what the client sees, how soon, and in which words."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from robustness.network.outcomes import OPEN, ended, refused

__all__ = ["EXPECTED", "Row"]

_SOON: Final = 8.0
"""Seconds that tell a client that goes on from one that hangs, on a machine that is busy."""

_PATIENCE: Final = 25.0
"""TCP's patience grows with the round trips that it has seen, on a busy machine above all."""


@dataclass(frozen=True)
class Row:
    """What must come of a scenario.

    Attributes:
        outcome: see `robustness.network.outcomes.Seen`.
        least: seconds before which it must not come.
        most: seconds until which it must come.
        says: must stand in the error's text or the hint.
    """

    outcome: str
    least: float = 0.0
    most: float = _SOON
    says: str = ""


_TIMEOUT: Final = refused("ConnectTimeoutError", "timeout")
_TCP: Final = refused("ConnectError", "tcp")
_SILENT: Final = ended("ping_timeout")

_NO_TCP: Final = "0.5 seconds: it ran out while connecting. Nothing answers: check host, port"
_NO_TLS: Final = "it ran out while waiting for the TLS handshake. TCP is open, but TLS does not"
_NO_HTTP: Final = "it ran out while waiting for the server's answer. The way is open, but"

EXPECTED: Final[dict[str, Row]] = {
    # The way to an open connection.
    "SYN dropped": Row(_TIMEOUT, 0.5, says=_NO_TCP),
    "answer to SYN dropped": Row(_TIMEOUT, 0.5, says=_NO_TCP),
    "SYN dropped, no connect_timeout": Row(_TCP, 0.9, says="timed out"),
    "first SYN dropped": Row(OPEN, 0.9),
    "IPv6 address dropped, IPv4 good": Row(OPEN, most=3.0),
    "first IPv4 address dropped, second good": Row(OPEN, most=3.0),
    "first IPv4 address unreachable, second good": Row(OPEN, most=3.0),
    "TLS handshake dropped": Row(_TIMEOUT, 0.5, says=_NO_TLS),
    "upgrade dropped": Row(_TIMEOUT, 0.5, says=_NO_HTTP),
    "upgrade dropped within TLS": Row(_TIMEOUT, 0.5, says=_NO_HTTP),
    "connecting: ICMP host-unreachable": Row(_TCP, says="No route to host"),
    "connecting: ICMP net-unreachable": Row(_TCP, says="Network is unreachable"),
    "connecting: ICMP admin-prohibited": Row(_TCP, says="No route to host"),
    "connecting: ICMP port-unreachable": Row(_TCP, says="Connection refused"),
    "connecting: RST": Row(_TCP, says="Connection refused"),
    "connecting: no route": Row(_TCP, says="Network is unreachable"),
    # Packets lost at random.
    "1 % of packets lost": Row(OPEN, most=25.0),
    "5 % of packets lost": Row(OPEN, most=25.0),
    "20 % of packets lost": Row(OPEN, most=25.0),
    "5 % of packets lost, keepalive": Row(OPEN, 2.5, most=25.0),
    # An open connection of which nothing passes any more.
    "black hole, idle": Row(_SILENT, 0.4, says="silent for ping_timeout"),
    "black hole, idle, wss": Row(_SILENT, 0.4, says="silent for ping_timeout"),
    "black hole, writing": Row(_SILENT, 0.4, says="silent for ping_timeout"),
    "black hole, no keepalive: waiting": Row(OPEN, 0.6),
    "black hole, no keepalive: close": Row(
        ended("close_timeout"), 0.5, says="did not answer our Close frame"
    ),
    "black hole, no keepalive: close, wss": Row(
        ended("close_timeout"), 0.5, says="did not answer our Close frame"
    ),
    "black hole, no keepalive: leaving the block": Row(ended("close_timeout"), 0.5),
    "black hole, no keepalive: writing": Row(OPEN),
    "black hole, no keepalive: TCP gives up": Row(
        ended("network_error"), most=_PATIENCE, says="timed out"
    ),
    "black hole that heals in time": Row(OPEN),
    # What stands in between.
    "RST by a middlebox, idle": Row(ended("reset"), says="reset"),
    "RST by a middlebox in mid message, sending": Row(ended("reset"), says="reset"),
    "RST by a middlebox in mid message, receiving": Row(ended("reset"), says="reset"),
    "ICMP host-unreachable, for a while": Row(OPEN),
    "ICMP host-unreachable, keepalive": Row(_SILENT, 0.4, says="silent for ping_timeout"),
    "ICMP host-unreachable, no keepalive: TCP gives up": Row(
        ended("network_error"), most=_PATIENCE, says="No route to host"
    ),
    "nothing comes from the server": Row(_SILENT, 0.4, says="silent for ping_timeout"),
    "nothing reaches the server": Row(_SILENT, 0.4, says="silent for ping_timeout"),
    "large packets dropped, sending": Row(_SILENT, 0.4, says="silent for ping_timeout"),
    "large packets dropped, receiving": Row(_SILENT, 0.4, says="silent for ping_timeout"),
    "large packets dropped, the system probes": Row(OPEN),
    # The client's own link.
    "cable out, for a while": Row(OPEN),
    "interface down, for a while": Row(OPEN),
    "interface down": Row(_SILENT, 0.4, says="silent for ping_timeout"),
    "client has another address": Row(_SILENT, 0.4, says="silent for ping_timeout"),
}
