"""What asyncio itself does wrong when TLS fails within TLS, behind an https proxy."""

from __future__ import annotations

import asyncio
from typing import Any

__all__ = ["overlook_fault_of_python"]


def overlook_fault_of_python() -> None:
    """Let asyncio tell of an error that is its own.

    Up to 3.11.7 and 3.12.1 it breaks when TLS within TLS fails, and then says so besides raising
    what we make our error of: https://github.com/python/cpython/issues/113214.
    """
    loop = asyncio.get_running_loop()
    passed_on = loop.get_exception_handler()
    assert passed_on is not None

    def handle(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        if not (
            isinstance(context.get("exception"), TypeError)
            and "SSLProtocol._abort()" in str(context["exception"])
        ):
            passed_on(loop, context)

    loop.set_exception_handler(handle)
