"""What a test needs and this machine lacks: a reason to skip, and on CI a failure."""

from __future__ import annotations

import os

__all__ = ["UnavailableError"]


class UnavailableError(Exception):
    """A program or a library is not installed on this machine.

    Attributes:
        required: whether that is a failure (on CI) and not a reason to skip.
    """

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.required = os.environ.get("CI", "").lower() == "true"
