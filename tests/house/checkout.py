"""The checkout as the house tests see it: source files, not imported modules."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

__all__ = ["ROOT", "Module", "package_modules"]

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Module:
    """One module of the package, by its source."""

    name: str
    """Dotted, from the top: ``wsclient.protocol.frames``."""
    path: str
    """From the root of the checkout: ``wsclient/protocol/frames.py``."""
    source: str
    is_package: bool


def package_modules() -> list[Module]:
    """Read every module of the package, in the order of their paths."""
    modules = [read_module(path) for path in sorted((ROOT / "wsclient").rglob("*.py"))]
    assert modules, f"there is no module under {ROOT / 'wsclient'}"
    return modules


def read_module(path: Path) -> Module:
    relative = path.relative_to(ROOT)
    parts = relative.with_suffix("").parts
    is_package = parts[-1] == "__init__"
    name = ".".join(parts[:-1] if is_package else parts)
    return Module(name, relative.as_posix(), path.read_text(encoding="utf-8"), is_package)
