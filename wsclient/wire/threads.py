"""A connection belongs to one thread."""

from __future__ import annotations

import threading
from typing import Final

__all__ = ["check_thread", "this_thread"]

this_thread = threading.get_ident

_COROUTINES: Final = ("read_message", "wait_closed")
_ARGUMENTS: Final = {
    "write_message": ", message",
    "set_nodelay": ", value",
    "send_bytes": ", data",
}
_WITH_RESULTS: Final = ("close", "ping", "write_message")


def check_thread(owner: int, method: str) -> None:
    """Check that this is the thread of a connection.

    Args:
        owner: what `this_thread` returned there.
        method: what was called: the name of a method of the connection, or ``"async with"``.

    Raises:
        RuntimeError: it is another one.
    """
    if this_thread() != owner:
        raise RuntimeError(
            f"{method} was used in another thread than that of this connection's event loop; "
            + _advice(method)
        )


def _advice(method: str) -> str:
    """Say how to use it from elsewhere, with `loop` for the connection's event loop."""
    run = "asyncio.run_coroutine_threadsafe"
    if method == "async with":
        return f"put the whole block into an async def, and hand that over: {run}(main(), loop)"
    if method in _COROUTINES:
        return f"hand the call to it: {run}(conn.{method}(), loop).result()"
    arguments = _ARGUMENTS.get(method, "")
    text = f"hand the call to it: loop.call_soon_threadsafe(conn.{method}{arguments})"
    if method not in _WITH_RESULTS:
        return text
    call = f"conn.{method}({arguments[2:]})"
    return (
        f"{text}. To wait for it, put await {call} into an async def of your own, so that it is "
        f"called there, too: {run}(that(), loop).result()"
    )
