"""Feeds inputs to a target, without atheris: ``python -m fuzzing.replay TARGET [FILE ...]``.

A folder stands for all files in it, and no file at all for the seeds. The first input that breaks
a promise ends it with the traceback. Under coverage it tells which lines a corpus reaches.
"""

from __future__ import annotations

import argparse
import importlib
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

from fuzzing.made_seeds import made_seeds
from fuzzing.registry import Target, named_target

__all__ = ["files_in", "function_of", "main", "replay", "seeds_of"]


def function_of(target: Target) -> Callable[[bytes], None]:
    """Return the function of a target that takes an input."""
    function: Callable[[bytes], None] = importlib.import_module(target.module).fuzz
    return function


def replay(fuzz: Callable[[bytes], None], inputs: Iterable[tuple[str, bytes]]) -> int:
    """Feed inputs by their names; return how many there were.

    Raises:
        Exception: what `fuzz` raised; the name of the input is in a note.
    """
    count = 0
    for name, data in inputs:
        try:
            fuzz(data)
        except Exception as exc:
            exc.add_note(f"input: {name} ({len(data)} bytes)")
            raise
        count += 1
    return count


def files_in(paths: Iterable[Path]) -> Iterator[tuple[str, bytes]]:
    """Yield the name and content of each file, in the order of the names."""
    for path in paths:
        files = sorted(path.iterdir()) if path.is_dir() else [path]
        for file in files:
            yield str(file), file.read_bytes()


def seeds_of(target: Target) -> Iterator[tuple[str, bytes]]:
    """Yield the seeds of a target, those of the repository and those that are made."""
    if target.seeds.is_dir():
        yield from files_in([target.seeds])
    yield from made_seeds(target.name).items()


def main(arguments: Sequence[str] | None = None) -> int:
    """Feed what the command line names; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m fuzzing.replay")
    parser.add_argument("target")
    parser.add_argument("paths", nargs="*", type=Path, help="files, or folders of them")
    given = parser.parse_args(arguments)
    try:
        target = named_target(given.target)
    except ValueError as error:
        parser.error(str(error))
    start = time.monotonic()
    inputs = files_in(given.paths) if given.paths else seeds_of(target)
    count = replay(function_of(target), inputs)
    print(f"{target.name}: {count} inputs kept every promise, {time.monotonic() - start:.1f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
