"""The two ends of a connection: one core serves both (RFC 6455, section 1.2)."""

from __future__ import annotations

from enum import Enum

__all__ = ["Role"]


class Role(Enum):
    """Which end of a connection we are."""

    CLIENT = "client"
    """Masks what it sends, and leaves it to the server to close TCP."""
    SERVER = "server"
    """Takes masked frames only, and closes TCP first (RFC 6455, sections 5.1 and 7.1.1)."""

    @property
    def peer(self) -> str:
        """What to call the other end in a sentence."""
        return self.other.value

    @property
    def other(self) -> Role:
        """The role of the other end."""
        return Role.SERVER if self is Role.CLIENT else Role.CLIENT
