"""The event loops that the tests run on."""

from __future__ import annotations

import asyncio
from typing import Final

import pytest

from support.running import LoopFactory

__all__ = ["LOOPS", "TWO_LOOPS", "loop_maker"]

LOOPS: Final = ("asyncio", "uvloop", "aiofastnet")
"""The last one is asyncio's with other transports."""

TWO_LOOPS: Final = pytest.mark.parametrize("loop_factory", LOOPS[:2], indirect=True)
"""For what is no matter of the transport."""


def loop_maker(name: str) -> LoopFactory:
    """Return the maker of a loop; skip the test where it is not installed."""
    if name == "asyncio":
        return asyncio.new_event_loop
    if name == "uvloop":
        uvloop = pytest.importorskip("uvloop", reason="uvloop is not installed")
        factory: LoopFactory = uvloop.new_event_loop
        factory().close()  # libuv opens a pipe for signals once and keeps it for good.
        return factory
    aiofastnet = pytest.importorskip("aiofastnet", reason="aiofastnet is not installed")
    return lambda: aiofastnet.patch_loop(asyncio.new_event_loop())
