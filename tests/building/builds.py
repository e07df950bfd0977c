"""Builds of the project, each in a process of its own and from a copy of what is needed."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from dataclasses import dataclass
from pathlib import Path

from house.checkout import ROOT
from support.unavailable import UnavailableError

__all__ = ["MODULE", "Build", "build", "check_builder", "check_compiler", "copy_source", "unpack"]

MODULE = "wsclient/protocol/_codec"
"""The compiled codec, without what its file name ends with."""

_SOURCE = (
    *("CHANGELOG.md", "LICENSE", "MANIFEST.in", "Makefile", "README.md"),
    *("pyproject.toml", "setup.py"),
)
_FOLDERS = ("benchmarks", "docs", "examples", "tests", "wsclient")

_TIMEOUT = 50.0
"""Seconds that a build may take on a busy machine."""

_BUILD = """
{prelude}
from setuptools import build_meta
build_meta.build_{kind}({folder!r})
"""


@dataclass(frozen=True)
class Build:
    """What came of a build.

    Attributes:
        returncode: 0 when it went well.
        output: all that was said, errors included.
        folder: where the result is.
    """

    returncode: int
    output: str
    folder: Path

    @property
    def result(self) -> Path:
        """The file that was made."""
        assert self.returncode == 0, self.output
        [made] = self.folder.iterdir()
        return made

    def names(self) -> set[str]:
        """Return what is in the wheel."""
        with zipfile.ZipFile(self.result) as wheel:
            return set(wheel.namelist())


def check_builder() -> None:
    """Check that something can be built without an environment made for it.

    Raises:
        UnavailableError: setuptools or Cython is not installed.
    """
    for name in ("setuptools", "Cython"):
        if importlib.util.find_spec(name) is None:
            raise UnavailableError(f"{name} is not installed, so wheels cannot be built here")


def check_compiler() -> None:
    """Check that extensions of this Python can be compiled.

    Raises:
        UnavailableError: there is no C compiler, or Python's headers are not installed.
    """
    command = (os.environ.get("CC") or sysconfig.get_config_var("CC") or "cc").split()[0]
    if shutil.which(command) is None:
        raise UnavailableError(f"the C compiler {command} is not installed")
    if not Path(sysconfig.get_path("include"), "Python.h").exists():
        raise UnavailableError("Python's headers are not installed")


def copy_source(folder: Path) -> Path:
    """Copy what a build reads from the checkout; return where it is."""
    folder.mkdir(parents=True)
    for name in _SOURCE:
        shutil.copy2(ROOT / name, folder)
    left_out = shutil.ignore_patterns("__pycache__", "*.so")
    for name in _FOLDERS:
        shutil.copytree(ROOT / name, folder / name, ignore=left_out)
    return folder


def build(
    kind: str, source: Path, folder: Path, *, prelude: str = "", **environment: str
) -> Build:
    """Build a wheel or a sdist with what is installed here.

    Args:
        kind: ``"wheel"`` or ``"sdist"``.
        source: where setup.py is.
        folder: where the result goes; made anew.
        prelude: Python to run before.
        environment: variables of the build; those of ours that matter are not passed on.
    """
    folder.mkdir(parents=True)
    inherited = {
        name: value
        for name, value in os.environ.items()
        if name not in ("CC", "CFLAGS", "LDFLAGS", "WSCLIENT_EXTENSIONS")
    }
    done = subprocess.run(
        [sys.executable, "-c", _BUILD.format(prelude=prelude, kind=kind, folder=str(folder))],
        cwd=source,
        env=inherited | environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=_TIMEOUT,
        check=False,
    )
    return Build(done.returncode, done.stdout, folder)


def unpack(archive: Path, folder: Path) -> Path:
    """Unpack a wheel or a sdist; return the folder that it makes for itself, or `folder`."""
    if archive.suffix == ".whl":
        with zipfile.ZipFile(archive) as wheel:
            wheel.extractall(folder)
        return folder
    shutil.unpack_archive(archive, folder, filter="data")
    [only] = folder.iterdir()
    return only
