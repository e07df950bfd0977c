"""What the attacks came to, as a table for people."""

from __future__ import annotations

import platform
from pathlib import Path

from .case import MIB, Case
from .launching import Result

__all__ = ["Results"]


class Results:
    """The figures of all attacks so far."""

    def __init__(self) -> None:
        self.rows: list[tuple[Case, str, Result]] = []

    def add(self, case: Case, loop: str, result: Result) -> None:
        """Note what an attack came to."""
        self.rows.append((case, loop, result))

    def write(self, directory: Path) -> Path:
        """Write the table and return where it is."""
        directory.mkdir(parents=True, exist_ok=True)
        path = directory / "hostile.md"
        path.write_text("\n".join(self._lines()) + "\n", encoding="utf-8")
        return path

    def _lines(self) -> list[str]:
        lines = [
            f"# {len(self.rows)} attacks, Python {platform.python_version()}",
            "",
            "The peak is the growth of the process's resident memory, in MiB; time is in seconds,",
            "from the call of `websocket_connect` to the end, and what of it was computing.",
            "",
            "| attack | loop | outcome | peak | bound | time | computing | the bound is for |",
            "|---|---|---|---|---|---|---|---|",
        ]
        for case, loop, result in self.rows:
            cells = [
                case.name,
                loop,
                result.outcome.splitlines()[0],
                f"{result.peak / MIB:.1f}",
                str(case.memory),
                f"{result.seconds:.2f}",
                f"{result.cpu:.2f}",
                case.bound,
            ]
            lines.append("| " + " | ".join(cells) + " |")
        return lines
