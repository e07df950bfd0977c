"""An hour's traffic in minutes, and what grows meanwhile: ``python -m soak.run``.

Each part runs in a process of its own. The report, its figures as JSON and the curves are left in
``build/soak``. It exits with 0 when every bound was kept.
"""

from __future__ import annotations

import argparse
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

from soak.chart import svg
from soak.idle import VARIANTS
from soak.part import PARTS
from soak.report import Result, markdown, read, write

__all__ = ["main"]

ROOT: Final = Path(__file__).resolve().parents[2]
FOLDER: Final = ROOT / "build" / "soak"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what the command line asks for; return the exit code."""
    given = make_parser().parse_args(arguments)
    shutil.rmtree(FOLDER, ignore_errors=True)
    FOLDER.mkdir(parents=True)
    results = []
    for part in given.parts:
        results.append(together([run(part, variant, given) for variant in variants(part)]))
        # After each part, so that something is there when a run is broken off.
        leave(results, heading(given))
    broken = [f"{result.part}: {line}" for result in results for line in result.broken]
    for line in broken:
        print(f"==> {line}")
    print(
        f"==> {'Bounds were broken' if broken else 'Every bound was kept'}: {FOLDER / 'report.md'}"
    )
    return int(bool(broken))


def make_parser() -> argparse.ArgumentParser:
    """Make the parser of the command line."""
    first = (__doc__ or "").partition(":")[0]
    parser = argparse.ArgumentParser(prog="python -m soak.run", description=first)
    parser.add_argument("--short", action="store_true", help="a tenth of it")
    parser.add_argument("--loop", choices=["asyncio", "uvloop"], default="asyncio")
    parser.add_argument(
        "--parts",
        type=parts,
        default=PARTS,
        help=f"separated by commas; all of {', '.join(PARTS)} by default",
    )
    return parser


def parts(text: str) -> tuple[str, ...]:
    """Read names of parts."""
    names = tuple(text.split(","))
    unknown = set(names) - set(PARTS)
    if unknown:
        raise argparse.ArgumentTypeError(f"there is no {', '.join(sorted(unknown))}")
    return names


def variants(part: str) -> Iterator[str]:
    """Yield the variants of a part; an empty name when it has none."""
    yield from VARIANTS if part == "idle" else [""]


def run(part: str, variant: str, given: argparse.Namespace) -> Result:
    """Run a part in a process of its own."""
    file = FOLDER / f"{part}{'-' * bool(variant)}{variant}.json"
    command = [sys.executable, "-m", "soak.part", part, "--result", str(file)]
    command += ["--loop", given.loop, "--variant", variant, *["--short"] * given.short]
    print(f"==> {part} {variant}".rstrip(), flush=True)
    ended = subprocess.run(command, check=False)
    if ended.returncode or not file.exists():
        return Result(part, part, problems=[f"its process ended with {ended.returncode}"])
    (result,) = read(file)
    file.unlink()
    return result


def together(results: Sequence[Result]) -> Result:
    """Make one result of those of a part's variants, and one table of their rows."""
    first = results[0]
    for other in results[1:]:
        for table in other.tables:
            same = [each for each in first.tables if each.heading == table.heading]
            if same:
                same[0].rows.extend(table.rows)
            else:
                first.tables.append(table)
        first.bounds += [
            replace(bound, name=f"{other.title}: {bound.name}") for bound in other.bounds
        ]
        first.problems += [f"{other.title}: {problem}" for problem in other.problems]
        first.seconds += other.seconds
    if len(results) > 1:
        first.title = "Idle connections"
    return first


def heading(given: argparse.Namespace) -> str:
    """Say what was run, and on what."""
    return (
        f"{'A short run' if given.short else 'The whole run'} on CPython "
        f"{platform.python_version()}, {given.loop}, {os.cpu_count()} CPUs, {platform.system()}. "
        "The virtual clock of `uptime` needs the stock loop, whatever the loop of the others."
    )


def leave(results: Sequence[Result], heading: str) -> None:
    """Write the report and the curves."""
    write(results, FOLDER / "report.json")
    (FOLDER / "report.md").write_text(markdown(results, heading), encoding="utf-8")
    for result in results:
        for number, curve in enumerate(result.curves):
            name = result.part + (f"-{number + 1}" if len(result.curves) > 1 else "")
            (FOLDER / f"{name}.svg").write_text(svg(curve), encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
