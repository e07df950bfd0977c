"""What an HTTP library has read behind the upgrade belongs to the WebSocket."""

from __future__ import annotations

from .wire import Wire

__all__ = ["Drain"]


class Drain:
    """Take the bytes, as the parser that aiohttp hands such bytes to.

    Args:
        wire: where they go.
    """

    def __init__(self, wire: Wire) -> None:
        self._wire = wire

    def feed_data(self, data: bytes) -> tuple[bool, bytes]:
        """Pass the bytes on."""
        self._wire.feed(bytes(data))
        return False, b""

    def feed_eof(self) -> None:
        """Do nothing: the wire learns of the end itself."""
