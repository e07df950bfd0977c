"""What came of the scenarios, as a table for people."""

from __future__ import annotations

import platform
import re
from pathlib import Path

from robustness.network.expected import EXPECTED
from robustness.network.outcomes import Seen

__all__ = ["Checker", "Results"]


class Results:
    """What came of each scenario on each event loop, so far."""

    def __init__(self) -> None:
        self._found: dict[str, list[tuple[str, Seen, str]]] = {}

    def __bool__(self) -> bool:
        return bool(self._found)

    def add(self, scenario: str, loop: str, seen: Seen, figures: str) -> None:
        """Note what came of a scenario."""
        self._found.setdefault(scenario, []).append((loop, seen, figures))

    def write(self, directory: Path) -> Path:
        """Write the table and return where it is."""
        directory.mkdir(parents=True, exist_ok=True)
        path = directory / "network.md"
        path.write_text("\n".join(self._lines()) + "\n", encoding="utf-8")
        return path

    def _lines(self) -> list[str]:
        machine = f"Python {platform.python_version()}, Linux {platform.release()}"
        lines = [
            f"# Networks that fail, {machine}",
            "",
            "| scenario | what the client sees | loop: seconds, figures |",
            "|---|---|---|",
        ]
        said = ["", "What the errors and hints said:", ""]
        for scenario in EXPECTED:
            cells = self._found.get(scenario, [])
            if not cells:
                continue
            outcomes = ", ".join(dict.fromkeys(seen.outcome for _, seen, _ in cells))
            times = "; ".join(
                f"{loop}: {seen.seconds:.2f}{figures and f', {figures}'}"
                for loop, seen, figures in cells
            )
            lines.append(f"| {scenario} | {outcomes} | {times} |")
            texts = dict.fromkeys(_without_port(seen.said) for _, seen, _ in cells if seen.said)
            said += [f"- {scenario}: {text}" for text in texts]
        return lines + said


def _without_port(text: str) -> str:
    """Leave out what differs from one run to the next."""
    return re.sub(r":\d+/", "/", text)


class Checker:
    """Compare what was seen with the table, and keep it for the report.

    Args:
        results: where to keep it.
        loop: what the test runs on.
    """

    def __init__(self, results: Results, loop: str) -> None:
        self._results = results
        self._loop = loop

    def __call__(self, scenario: str, seen: Seen, figures: str = "") -> None:
        """Compare.

        Args:
            scenario: its name in the table.
            seen: what came of it.
            figures: what was measured besides.
        """
        self._results.add(scenario, self._loop, seen, figures)
        row = EXPECTED[scenario]
        assert seen.outcome == row.outcome, seen
        # Event loops round the times of their timers.
        assert row.least - 0.05 <= seen.seconds <= row.most, seen
        assert row.says in seen.said, seen
