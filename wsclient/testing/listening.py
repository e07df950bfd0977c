"""What the servers of the kit have in common: where they are, and how they tell of errors."""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["report_errors", "server_url"]


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
