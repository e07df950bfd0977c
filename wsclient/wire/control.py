"""Pings and pongs received, for the application: called back, or queued between the messages."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from ..options.connection import ConnectionOptions
from ..protocol.opcodes import Opcode
from .callbacks import own_cancellation
from .inbox import Inbox, PingPayload, PongPayload
from .released import released

__all__ = ["ControlEvents"]


class ControlEvents:
    """What the application shall learn of control frames.

    Args:
        options: its `on_ping` and `on_pong` are called with the payloads.
        inbox: where payloads are put, too; ``None`` for not.
        on_error: called with what a callback raised.
    """

    __slots__ = ("_inbox", "_on_error", "_on_ping", "_on_pong", "pending")

    def __init__(
        self,
        options: ConnectionOptions,
        *,
        inbox: Inbox | None,
        on_error: Callable[[BaseException], object],
    ) -> None:
        self._on_ping, self._on_pong = options.on_ping, options.on_pong
        self._inbox = inbox
        self._on_error = on_error
        self.pending: list[tuple[Callable[[bytes], Any], bytes]] = []

    def add(self, opcode: Opcode, payload: bytes) -> None:
        """Note a ping or a pong; nothing is called before `run`."""
        callback = self._on_ping if opcode is Opcode.PING else self._on_pong
        if callback is not None:
            self.pending.append((callback, payload))
        if self._inbox is not None:
            kind = PingPayload if opcode is Opcode.PING else PongPayload
            self._inbox.put_control(kind(payload))

    def stop(self) -> None:
        """Let go of the connection and the callbacks: nothing more will come."""
        self._on_ping = self._on_pong = None
        self._inbox = None
        self._on_error = released

    def run(self) -> None:
        """Call back, in order."""
        events, self.pending = self.pending, []
        for callback, payload in events:
            try:
                callback(payload)
            except asyncio.CancelledError as exc:
                self._on_error(own_cancellation(exc))
            except Exception as exc:
                self._on_error(exc)
