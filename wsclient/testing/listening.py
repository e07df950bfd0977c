"""What the servers of the kit have in common: where they are, and how they tell of errors."""

from __future__ import annotations

import ssl
from collections.abc import Sequence

__all__ = ["check_server_context", "report_errors", "server_url"]


def check_server_context(context: object) -> None:
    """Check that a server can use a TLS context.

    Raises:
        TypeError: it is no `ssl.SSLContext`.
        ValueError: it is one for clients.
    """
    if not isinstance(context, ssl.SSLContext):
        raise TypeError(
            f"the TLS context must be an ssl.SSLContext, not {type(context).__name__}; a "
            "certificate makes one by server_context()"
        )
    if context.protocol is ssl.PROTOCOL_TLS_CLIENT:
        raise ValueError("the TLS context is for clients: make one by server_context()")


def server_url(host: str, port: int, *, tls: bool) -> str:
    """Return the URL of a server, with a slash at the end."""
    name = f"[{host}]" if ":" in host else host
    return f"{'wss' if tls else 'ws'}://{name}:{port}/"


def report_errors(errors: Sequence[BaseException], exc: BaseException | None, server: str) -> None:
    """Raise what handlers raised, or note it on what the block itself raised.

    Args:
        errors: of handlers, in order.
        exc: what the block raised; ``None`` when it ended well.
        server: what to call the server, such as ``"the raw server"``.

    Raises:
        BaseException: the only error.
        BaseExceptionGroup: there are several.
    """
    if exc is not None:
        for error in errors:
            exc.add_note(f"A handler of {server} had raised {error!r}")
    elif len(errors) == 1:
        raise errors[0]
    elif errors:
        raise BaseExceptionGroup(f"handlers of {server} raised", errors)
