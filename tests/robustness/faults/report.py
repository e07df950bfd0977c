"""The matrix as a table for people."""

from __future__ import annotations

import platform
from collections import defaultdict
from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path

from robustness.faults.outcomes import Outcome

__all__ = ["Results"]


@dataclass
class _Cell:
    times: int = 0
    longest: float = 0.0
    peers: set[str] = field(default_factory=set)


class Results:
    """What came of each fault so far."""

    def __init__(self) -> None:
        self._found: dict[str, dict[str, _Cell]] = defaultdict(lambda: defaultdict(_Cell))
        self._bounds: dict[str, float] = {}
        self._figures: dict[str, str] = {}

    @property
    def connections(self) -> int:
        """How many connections met a fault."""
        return sum(cell.times for cells in self._found.values() for cell in cells.values())

    def note(
        self, fault: str, outcome: Outcome | str, seconds: float, *, bound: float, peer: str = ""
    ) -> None:
        """Note what came of one connection.

        Args:
            fault: the row of the table.
            outcome: what the caller saw.
            seconds: how long it took.
            bound: seconds that it may take.
            peer: who served; empty for a script.
        """
        cell = self._found[fault][str(outcome)]
        cell.times += 1
        cell.longest = max(cell.longest, seconds)
        cell.peers.add(peer or "script")
        self._bounds[fault] = max(bound, self._bounds.get(fault, 0.0))

    def expect(
        self,
        fault: str,
        outcome: Outcome,
        seconds: float,
        *,
        among: Collection[Outcome],
        bound: float,
        peer: str = "",
    ) -> None:
        """Note what came of one connection, and see that it is one of what may come in time."""
        self.note(fault, outcome, seconds, bound=bound, peer=peer)
        allowed = " or ".join(f"({each})" for each in among)
        assert outcome in among, f"{fault}, {peer or 'script'}: ({outcome}), not {allowed}"
        assert seconds <= bound, f"{fault}, {peer or 'script'}: {seconds:.2f} s, not {bound:g} s"

    def figure(self, name: str, text: str) -> None:
        """Keep a figure that was measured on the way."""
        self._figures[name] = text

    def write(self, directory: Path) -> Path:
        """Write the table and return where it is."""
        directory.mkdir(parents=True, exist_ok=True)
        path = directory / "faults.md"
        path.write_text("\n".join(self._lines()) + "\n", encoding="utf-8")
        return path

    def _lines(self) -> list[str]:
        lines = [
            f"# {self.connections} connections that met a fault, "
            f"Python {platform.python_version()}",
            "",
            "The bounds have some seconds on top of the time limit, for a machine that is busy.",
            "",
            "| fault | what the caller sees | times | servers | longest | bound |",
            "|---|---|---:|---|---:|---:|",
        ]
        for fault, cells in sorted(self._found.items()):
            for outcome, cell in sorted(cells.items()):
                peers = ", ".join(sorted(cell.peers))
                lines.append(
                    f"| {fault} | {outcome} | {cell.times} | {peers} "
                    f"| {cell.longest:.3f} s | {self._bounds[fault]:g} s |"
                )
        if self._figures:
            lines += ["", "| measured | |", "|---|---|"]
            lines += [f"| {name} | {text} |" for name, text in sorted(self._figures.items())]
        return lines
