"""One attack as a row of the table: what the server does, and what must come of it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from wsclient.testing import RawConnection

__all__ = ["MIB", "Attack", "Case", "Role", "Task"]

MIB = 1024 * 1024

Attack = Callable[[RawConnection], Awaitable[object]]
"""The script of one connection of the hostile server."""

Role = Literal["ws", "wss", "not tls", "http proxy", "socks proxy", "refusing", "hanging"]
"""Where the attacker sits: behind ``ws://`` or ``wss://``, at a ``wss://`` address without TLS, in
a proxy, or at the addresses of a name, all of which refuse TCP or never answer."""

Task = Literal["read", "hold", "read slowly", "write", "callback", "slow callback"]
"""What the client does once it is connected; see `victim`."""

_DELAY = 0.01
"""Seconds that a slow reader takes for each message."""

_SPARE = 15
"""Seconds behind a case's own limit after which its client is ended."""


@dataclass(frozen=True)
class Case:
    """One attack.

    Attributes:
        name: says in a few words what the server does.
        attack: does it.
        outcome: what the client reports: an error class, or cause and codes of the end.
        memory: MiB by which the client's process may grow at its peak.
        bound: where that number comes from.
        seconds: that connecting, the client's task and the end may take together.
        task: what the client does once it is connected.
        hold: seconds after which the client closes; for "read" and "callback" it never does.
        options: further arguments of `websocket_connect`.
        role: where the attacker sits.
        identity: which of the hostile certificates a ``wss`` server shows.
        messages: how many messages the client gets; ``None`` when that is a matter of timing.
    """

    name: str
    attack: Attack
    outcome: str
    memory: int
    bound: str
    seconds: float = 10.0
    task: Task = "read"
    hold: float = 0.3
    options: Mapping[str, Any] = field(default_factory=dict)
    role: Role = "ws"
    identity: str = "good"
    messages: int | None = None

    def job(
        self, url: str, loop: str, trust: Path, options: Mapping[str, Any] | None = None
    ) -> dict[str, Any]:
        """Return what the client is told.

        Args:
            url: where the attacker is.
            loop: the event loop that the client runs, ``"asyncio"`` or ``"uvloop"``.
            trust: file with the root for ``wss://``.
            options: further arguments of `websocket_connect`; ``None`` for none.
        """
        return {
            "url": url,
            "options": {"proxy": None, **self.options, **(options or {})},
            "task": self.task,
            "hold": self.hold,
            "delay": _DELAY,
            "loop": loop,
            "trust": str(trust) if url.startswith("wss:") else None,
            "limit": int(self.seconds) + _SPARE,
        }
