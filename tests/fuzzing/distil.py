"""Makes seeds of what runs have found: ``python -m fuzzing.distil [--most 40] [TARGET ...]``.

libFuzzer chooses the inputs that reach something that no other does. They go into the repository
under the names that libFuzzer gives them; seeds with names that tell something stay as they are.
"""

from __future__ import annotations

import argparse
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from fuzzing.made_seeds import write_made_seeds
from fuzzing.registry import TARGETS, Target, named_target

__all__ = ["main"]

_FOUND: Final = re.compile(r"[0-9a-f]{40}")
"""Names that libFuzzer gives."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Distil what the command line names; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m fuzzing.distil")
    parser.add_argument("targets", nargs="*", help="all unless some are named")
    parser.add_argument("--most", type=int, default=30, help="files for each target")
    parser.add_argument("--largest", type=int, default=600, help="bytes of one file")
    given = parser.parse_args(arguments)
    for target in [named_target(name) for name in given.targets] or TARGETS:
        if not target.distilled:
            print(f"{target.name}: left out, for its inputs descend from private keys")
        else:
            kept = _distil(target, given.most, given.largest)
            print(f"{target.name}: {kept} inputs kept")
    return 0


def _distil(target: Target, most: int, largest: int) -> int:
    """Replace the seeds that were found before; return how many there are now."""
    target.seeds.mkdir(parents=True, exist_ok=True)
    for path in target.seeds.iterdir():
        if _FOUND.fullmatch(path.name):
            path.unlink()
    with tempfile.TemporaryDirectory() as place:
        chosen = Path(place, "chosen")
        made = Path(place, "made")
        chosen.mkdir()
        write_made_seeds(target.name, made)
        # These come first, so that nothing is chosen that they reach already.
        for path in (*target.seeds.iterdir(), *made.iterdir()):
            shutil.copy(path, chosen)
        named = {path.name for path in chosen.iterdir()}
        corpus = target.folder / "corpus"
        flags = ["-merge=1", f"-max_len={largest}", "-rss_limit_mb=2048"]
        subprocess.run(
            [sys.executable, "-m", "fuzzing.worker", target.name, *flags, chosen, corpus],
            check=True,
            stderr=subprocess.DEVNULL,
        )
        found = [path for path in chosen.iterdir() if path.name not in named]
        # Nothing that a scanner for secrets would take for a key, whatever it is.
        found = [path for path in found if b"PRIVATE KEY" not in path.read_bytes()]
        # If they are too many, some of each size: small ones tell one thing, large ones more.
        found.sort(key=lambda path: path.stat().st_size)
        kept = found[:: len(found) // most + 1]
        for path in kept:
            shutil.copy(path, target.seeds)
    return len(kept)


if __name__ == "__main__":
    sys.exit(main())
