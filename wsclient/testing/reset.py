"""Ending TCP with RST, as a crash does, and not with FIN."""

from __future__ import annotations

import asyncio
import socket
import struct
from typing import cast

__all__ = ["reset", "reset_on_close"]


def reset_on_close(transport: asyncio.BaseTransport) -> None:
    """Have the TCP connection end with RST when it is closed; no effect without TCP."""
    sock = transport.get_extra_info("socket")
    if sock is not None and sock.family in (socket.AF_INET, socket.AF_INET6):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def reset(transport: asyncio.BaseTransport) -> None:
    """End the TCP connection with RST at once."""
    reset_on_close(transport)
    # uvloop's transports are not of asyncio's class.
    cast(asyncio.Transport, transport).abort()
