"""The matrix as a table for people."""

from __future__ import annotations

import platform
from collections import Counter, defaultdict
from pathlib import Path

from mtls.outcomes import Outcome
from mtls.scenarios import SCENARIOS
from mtls.servers import SERVERS

__all__ = ["Results"]


class Results:
    """What came of each scenario on each server, so far."""

    def __init__(self) -> None:
        self._found: dict[tuple[str, str], Counter[str]] = defaultdict(Counter)

    @property
    def cells(self) -> int:
        """How many attempts there were."""
        return sum(sum(counted.values()) for counted in self._found.values())

    def add(self, server: str, scenario: str, version: str, outcome: Outcome) -> None:
        """Note what came of an attempt."""
        self._found[server, scenario][f"{outcome} (TLS {version})"] += 1

    def write(self, directory: Path) -> Path:
        """Write the table and return where it is."""
        directory.mkdir(parents=True, exist_ok=True)
        path = directory / f"matrix-{platform.python_version()}.md"
        path.write_text("\n".join(self._lines()) + "\n", encoding="utf-8")
        return path

    def _lines(self) -> list[str]:
        lines = [f"# {self.cells} attempts, Python {platform.python_version()}", ""]
        for scenario in SCENARIOS:
            lines += [f"## {scenario}", "", "| server | what came | times |", "|---|---|---|"]
            for server in SERVERS:
                counted = self._found.get((server, scenario), Counter())
                lines += [f"| {server} | {what} | {n} |" for what, n in sorted(counted.items())]
            lines.append("")
        return lines
