"""What an attempt to connect is doing, as its errors tell it."""

from __future__ import annotations

from typing import Final

__all__ = ["CONNECTING", "CONNECTING_BY_SOCKS", "RESOLVING", "WAITING", "Step"]

RESOLVING: Final = "resolving the host name"
CONNECTING: Final = "connecting"
CONNECTING_BY_SOCKS: Final = "connecting through the SOCKS proxy"
WAITING: Final = "waiting for the server's answer"
"""What an attempt is doing once the way to the server is open."""


class Step:
    """The step of an attempt that is underway.

    Whoever takes it a step further knows this object alone: what aiohttp keeps for a while must
    not keep the attempt, and the secrets in it.

    Attributes:
        doing: what is being done.
    """

    __slots__ = ("doing",)

    def __init__(self) -> None:
        self.doing = "preparing"
