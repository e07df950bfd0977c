"""How many addresses of one host are tried, and when they are asked for."""

from __future__ import annotations

import socket
from typing import Final

from aiohttp.abc import AbstractResolver, ResolveResult

from .step import CONNECTING, RESOLVING, Step

__all__ = ["MostAddresses"]

_MOST_ADDRESSES: Final = 64
"""aiohttp tries all, and all but one again, and so on: a thousand would keep it busy for good."""


class MostAddresses(AbstractResolver):
    """The first addresses that another resolver finds: enough for any real host.

    Args:
        resolver: is not closed with this one.
        step: is told of the resolving, and of its success.
    """

    def __init__(self, resolver: AbstractResolver, step: Step) -> None:
        self._resolver = resolver
        self._step = step

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """Return addresses.

        Raises:
            OSError: as the resolver.
        """
        self._step.doing = RESOLVING
        found = await self._resolver.resolve(host, port, family)
        self._step.doing = CONNECTING
        return found[:_MOST_ADDRESSES]

    async def close(self) -> None:
        """Do nothing: whoever made the resolver closes it."""
