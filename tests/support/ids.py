"""Names of parameters that are the same in each run, so that tests can be asked for by them."""

from __future__ import annotations

import re

__all__ = ["steady_repr"]


def steady_repr(value: object) -> str:
    """Return the ``repr`` of a value without its address in memory."""
    return re.sub(r" at 0x[0-9a-f]+", "", repr(value))
