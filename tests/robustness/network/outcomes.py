"""What a client saw of a fault: how its attempt or its connection ended, when, in what words."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from robustness.network.network import Network
from wsclient import (
    CloseInfo,
    ConnectError,
    WebSocketClientConnection,
    websocket_connect,
)

__all__ = [
    "OPEN",
    "Seen",
    "connect",
    "ended",
    "no_socket_left",
    "refused",
    "see_connecting",
    "see_end",
]

OPEN: Final = "open"
"""The outcome of what goes on."""

_GONE_WITHIN: Final = 2.0


@dataclass(frozen=True)
class Seen:
    """What came of a scenario.

    Attributes:
        outcome: in a word or two, see `refused` and `ended`; `OPEN` if nothing ended.
        seconds: from the beginning of the attempt or of the fault.
        said: the error's text or the hint; empty when nothing ended.
    """

    outcome: str
    seconds: float
    said: str = ""


def refused(error: str, phase: str) -> str:
    """Return the outcome of an attempt that failed, such as ``"ConnectError, tcp"``."""
    return f"{error}, {phase}"


def ended(cause: str, code: int = 1006) -> str:
    """Return the outcome of a connection that ended, such as ``"closed, eof 1006"``."""
    return f"closed, {cause} {code}"


async def connect(url: str, **options: Any) -> WebSocketClientConnection:
    """Connect without a proxy, whatever the environment of the tests says."""
    return await websocket_connect(url, proxy=None, **options)


async def see_connecting(url: str, **options: Any) -> Seen:
    """Try to connect; a connection that opens is closed again."""
    begun = _now()
    try:
        conn = await connect(url, **options)
    except ConnectError as error:
        assert error.__cause__ is not None, "an error of the network has one"
        return Seen(refused(type(error).__name__, error.phase), _now() - begun, str(error))
    took = _now() - begun
    await conn.close()
    return Seen(OPEN, took)


async def see_end(
    conn: WebSocketClientConnection, fault: Callable[[], object] | None = None
) -> Seen:
    """Wait until a connection has ended.

    Args:
        conn: the connection.
        fault: called at the beginning; ``None`` if the fault is there already.
    """
    begun = _now()
    if fault is not None:
        fault()
    info = await conn.wait_closed()
    took = _now() - begun
    await _check_what_is_left(conn, info)
    return Seen(ended(info.cause.value, info.code), took, info.hint)


async def no_socket_left(network: Network) -> None:
    """Wait until the client has no socket any more; nothing tells when.

    Raises:
        TimeoutError: it keeps one.
    """
    async with asyncio.timeout(_GONE_WITHIN):
        while True:
            if not network.client.sockets():
                return
            await asyncio.sleep(0.01)


async def _check_what_is_left(conn: WebSocketClientConnection, info: CloseInfo) -> None:
    """Check that everybody is told of an end, and that the account agrees with itself."""
    assert not info.clean
    assert conn.closed
    assert conn.close_info == info
    while await conn.read_message() is not None:
        pass
    assert await conn.read_message() is None


def _now() -> float:
    return asyncio.get_running_loop().time()
