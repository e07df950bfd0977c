"""One target under atheris, in this process: ``python -m fuzzing.worker TARGET FLAGS FOLDERS``.

`fuzzing.run` starts it. Flags and folders are libFuzzer's; it ends when libFuzzer ends.
"""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Sequence
from typing import Any

from fuzzing.registry import named_target

__all__ = ["main"]


def main(arguments: Sequence[str]) -> None:
    """Fuzz until libFuzzer has enough; it does not return.

    Args:
        arguments: the name of the target, and what libFuzzer is given.
    """
    # libFuzzer writes to stderr and atheris its tracebacks to stdout; they belong together.
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    # Untyped, and not there on every machine.
    atheris: Any = importlib.import_module("atheris")
    target = named_target(arguments[0])
    # Whatever imports the library comes behind this point, or it would be blind there.
    with atheris.instrument_imports(include=["wsclient"], enable_loader_override=False):
        fuzz = importlib.import_module(target.module).fuzz
        structured = importlib.import_module(target.mutator).mutate if target.mutator else None
    options: dict[str, Any] = {}
    if structured is not None:

        def mutate(data: bytes, max_size: int, seed: int) -> bytes:
            changed: bytes = structured(data, max_size, seed, atheris.Mutate)
            return changed

        options["custom_mutator"] = mutate
    # To merge, libFuzzer starts itself again by what it takes for the name of its program.
    program = f"{sys.executable} -m fuzzing.worker {target.name}"
    atheris.Setup([program, *arguments[1:]], fuzz, **options)
    atheris.Fuzz()


if __name__ == "__main__":
    main(sys.argv[1:])
