"""A connection belongs to one thread."""

from __future__ import annotations

import threading

__all__ = ["check_thread", "this_thread"]

this_thread = threading.get_ident


def check_thread(owner: int) -> None:
    """Check that this is the thread of a connection.

    Args:
        owner: what `this_thread` returned there.

    Raises:
        RuntimeError: it is another one.
    """
    if this_thread() != owner:
        raise RuntimeError(
            "this connection belongs to the event loop of another thread; hand the call to it: "
            "loop.call_soon_threadsafe(conn.write_message, message)"
        )
