"""The extra ``fast``: the transports of aiofastnet, where it is installed."""

from __future__ import annotations

import functools
import importlib
import ssl
from types import ModuleType
from typing import Any

from .distribution import install_command

__all__ = ["check_fast_transport", "fast_transports", "suits_fast_transports"]


@functools.cache
def fast_transports() -> ModuleType | None:
    """Return aiofastnet; ``None`` where it is not installed, or cannot be used."""
    try:
        # Not before it is wanted: importing it takes milliseconds.
        return importlib.import_module("aiofastnet")
    except ImportError:
        return None


def check_fast_transport(wanted: Any) -> bool | None:
    """Return whether fast transports must be used, may be used (``None``), or must not.

    Raises:
        TypeError: neither a `bool` nor ``None``.
        ValueError: they must be used, and the extra is not installed.
    """
    if wanted is not None and not isinstance(wanted, bool):
        raise TypeError(
            f"use_fast_transport must be True, False or None, not {type(wanted).__name__}."
        )
    if wanted and fast_transports() is None:
        raise ValueError(
            "use_fast_transport=True needs an extra that is not installed, or does not work "
            f"here: {install_command('fast')}"
        )
    return wanted


def suits_fast_transports(context: ssl.SSLContext) -> bool:
    """Tell whether a context of the caller means the same to aiofastnet as to an event loop.

    aiofastnet gives it to OpenSSL, so that nothing counts that a class of its own does, nor what
    `ssl` sets for each connection. A callback of `ssl` would bring the process down there. Keys
    that are agreed beforehand cannot be seen; who has them verifies no certificate. Where this
    Python does not show whether there is a callback, no context suits.

    Args:
        context: is not changed.
    """
    return (
        type(context) is ssl.SSLContext
        and context.sslobject_class is ssl.SSLObject
        and context.verify_mode is ssl.CERT_REQUIRED
        and not context.post_handshake_auth
        and context.keylog_filename is None
        and getattr(context, "_msg_callback", "unknown") is None
    )
