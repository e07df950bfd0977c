"""Runs a module of this package: ``python -P benchmarks/launch.py benchmarks.run``.

With ``python -m`` the checkout would be on the import path, and wsclient be taken from there
instead of from where it is installed.
"""

from __future__ import annotations

import importlib.util
import runpy
import sys
from pathlib import Path

__all__ = ["load"]


def load() -> None:
    """Make this package known without its folder's being on the import path."""
    if "benchmarks" in sys.modules:
        return
    folder = Path(__file__).resolve().parent
    spec = importlib.util.spec_from_file_location(
        "benchmarks", folder / "__init__.py", submodule_search_locations=[str(folder)]
    )
    assert spec is not None
    assert spec.loader is not None
    package = importlib.util.module_from_spec(spec)
    sys.modules["benchmarks"] = package
    spec.loader.exec_module(package)


if __name__ == "__main__":
    load()
    del sys.argv[0]
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
