"""What is tested: our two sides, on which loop and in which style. One list has it all."""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from pathlib import Path

from conformance.install import ROOT
from support.unavailable import UnavailableError

__all__ = ["CONFIGURATIONS", "FOLDER", "LOOPS", "SIDES", "STYLES", "Configuration", "select"]

FOLDER = ROOT / "build" / "conformance"
"""Where reports, logs and actual results go."""


@dataclass(frozen=True)
class Configuration:
    """One way of running one of our sides."""

    side: str
    """``"client"`` or ``"server"``: of ours, tested by the suite's other one."""
    loop: str
    """``"asyncio"`` or ``"uvloop"``."""
    style: str
    """How messages are received: ``"read"`` in a loop, by a ``"callback"`` of the client, or by
    a ``"handler"`` of the server."""
    usual: bool
    """Whether it is tested when neither a loop nor a style is asked for."""
    pure: bool = False
    """Whether the frame codec is the one in Python, even where another one was built."""

    @property
    def name(self) -> str:
        """What people call it."""
        return f"{self.side}-{self.loop}-{self.style}" + ("-pure" if self.pure else "")

    @property
    def environment(self) -> dict[str, str]:
        """The environment variables of our side that it takes."""
        return {"WSCLIENT_PURE_PYTHON": str(int(self.pure))}

    @property
    def folder(self) -> Path:
        """Where its reports and logs go."""
        return FOLDER / self.name

    @property
    def actual(self) -> Path:
        """The file of results that it gives."""
        return self.folder / "actual.txt"

    @property
    def expected(self) -> Path:
        """The file of expected results, which all configurations of a side share."""
        return Path(__file__).with_name(f"expected_{self.side}.txt")

    def check(self) -> None:
        """Check that it can run here.

        Raises:
            UnavailableError: its loop is not installed.
        """
        if self.loop != "asyncio" and importlib.util.find_spec(self.loop) is None:
            raise UnavailableError(f"{self.loop} is not installed")


CONFIGURATIONS = (
    Configuration("client", "asyncio", "read", usual=True),
    Configuration("client", "uvloop", "read", usual=True),
    Configuration("client", "asyncio", "read", usual=True, pure=True),
    Configuration("client", "asyncio", "callback", usual=False),
    Configuration("client", "uvloop", "callback", usual=False),
    Configuration("server", "asyncio", "handler", usual=True),
    Configuration("server", "uvloop", "handler", usual=False),
)

SIDES = tuple(dict.fromkeys(each.side for each in CONFIGURATIONS))
LOOPS = tuple(dict.fromkeys(each.loop for each in CONFIGURATIONS))
STYLES = tuple(dict.fromkeys(each.style for each in CONFIGURATIONS))


def select(side: str | None, loop: str | None, style: str | None) -> list[Configuration]:
    """Return the configurations asked for.

    Args:
        side: of ours; ``None`` for both.
        loop: ``None`` for all; without `style`, too, for the usual ones.
        style: ``None`` for all; without `loop`, too, for the usual ones.
    """
    particular = loop is not None or style is not None
    return [
        each
        for each in CONFIGURATIONS
        if (particular or each.usual)
        and side in (None, each.side)
        and loop in (None, each.loop)
        and style in (None, each.style)
    ]
