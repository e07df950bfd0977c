"""What this package is called where it is installed, and how its extras are.

The name by which it is imported is that of another project there. So nothing here may ask for, or
send anybody to, a distribution called `wsclient`.
"""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version
from typing import Final

__all__ = ["DISTRIBUTION", "default_user_agent", "install_command"]

DISTRIBUTION: Final = "wsclient-asyncio"
"""As in pyproject.toml."""


def install_command(extra: str) -> str:
    """Return what a person types to get an extra, as a shell takes it.

    Args:
        extra: its name.
    """
    return f"pip install '{DISTRIBUTION}[{extra}]'"


def default_user_agent() -> str:
    """Return the import name and the version, as a User-Agent (RFC 9110, section 10.1.5)."""
    try:
        return f"wsclient/{version(DISTRIBUTION)}"
    except PackageNotFoundError:
        # A checkout that was never installed has no version.
        return "wsclient"
