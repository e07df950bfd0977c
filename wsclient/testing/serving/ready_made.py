"""Handlers that most tests need, so that nobody writes them again."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from ...protocol.opcodes import CloseCode
from .connection import WebSocketServerConnection
from .dialogue import Dialogue
from .handler import WebSocketHandler, settled

__all__ = ["ConnectionFunction", "EchoHandler", "RecorderHandler", "handler_of", "in_turn"]

ConnectionFunction = Callable[[WebSocketServerConnection], Awaitable[object]]
"""A coroutine function that talks on one connection; when it returns, the connection closes."""


class EchoHandler(WebSocketHandler):
    """Send every message back as it came."""

    def on_message(self, message: str | bytes) -> Awaitable[None]:
        """Send a message back; the next one waits while the client does not read."""
        return self.write_message(message, binary=isinstance(message, bytes))


class RecorderHandler(WebSocketHandler):
    """Receive messages and say nothing; the server's records have them."""

    def on_message(self, message: str | bytes) -> None:
        """Do nothing."""


def in_turn(*targets: Dialogue | ConnectionFunction) -> ConnectionFunction:
    """Return a target that does something else on each connection, for clients that come back.

    Args:
        targets: dialogues or coroutine functions, for the first connection, the second, and so
            on; the last one serves all that follow.

    Raises:
        ValueError: there is none.
    """
    if not targets:
        raise ValueError("give at least one dialogue or coroutine function")
    left = list(targets)

    async def talk(connection: WebSocketServerConnection) -> None:
        target = left.pop(0) if len(left) > 1 else left[0]
        await settled(target.run if isinstance(target, Dialogue) else target, connection)

    return talk


def handler_of(function: ConnectionFunction) -> type[WebSocketHandler]:
    """Return a handler that has a function talk on each connection.

    The connection is closed with 1000 when the function returns, and with 1011 when it raises.

    Args:
        function: a coroutine function, given the open connection.
    """

    class FunctionHandler(WebSocketHandler):
        """Has a function talk on the connection."""

        _queue_control = False

        async def _receive(self, connection: WebSocketServerConnection) -> None:
            await settled(function, connection)
            await connection.close(CloseCode.NORMAL_CLOSURE)

    return FunctionHandler
