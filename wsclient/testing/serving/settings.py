"""The settings of a server, checked where they are given and not at the first connection."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from ...options.connection import ConnectionOptions
from ...protocol.handshake import check_subprotocols

__all__ = ["check_settings"]

_OF_CLIENTS: Final = ("ping_interval", "ping_timeout", "max_message_size", "close_timeout")


def check_settings(settings: Mapping[str, Any]) -> None:
    """Check the settings that `WebSocketHandler` knows; others are the application's.

    Raises:
        TypeError: a value is of another type, or the name is that of a client's option.
        ValueError: a value cannot be used.
    """
    for name in _OF_CLIENTS:
        if name in settings:
            raise TypeError(f"the setting of a server is called websocket_{name}, not {name}")
    check_subprotocols(settings.get("subprotocols"))
    ConnectionOptions(
        ping_interval=settings.get("websocket_ping_interval"),
        ping_timeout=settings.get("websocket_ping_timeout"),
        max_message_size=settings.get("websocket_max_message_size"),
        close_timeout=settings.get("websocket_close_timeout", 10.0),
        compression=settings.get("compression_options"),
    )
