"""Installs Autobahn's test suite, which needs Python 2.7, into ``build/autobahn``.

Both sides use it: the fuzzing client, which tests servers, and the fuzzing server, which tests
clients. ``python -m conformance.install`` installs it and prints where.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from support.unavailable import UnavailableError

__all__ = ["ROOT", "Suite", "install"]

ROOT = Path(__file__).resolve().parents[2]
"""The checkout."""

_FOLDER = ROOT / "build" / "autobahn"
_CONSTRAINTS = Path(__file__).with_name("constraints.txt")
_INSTALL_TIMEOUT = 600.0  # seconds for one step
_QUERY_TIMEOUT = 60.0  # seconds

_IS_PYTHON2 = """
import platform, sys
ok = sys.version_info[:2] == (2, 7) and platform.python_implementation() == "CPython"
sys.stdout.write(sys.executable if ok else "")
"""
_RUN = "from autobahntestsuite.wstest import run; run()"
_LIST_CASES = """
import json, sys
from autobahntestsuite.case import CaseBasename, Cases
ids = [case.__name__[len(CaseBasename):].replace("_", ".") for case in Cases]
sys.stdout.write(json.dumps(ids))
"""


@dataclass(frozen=True)
class Suite:
    """The installed suite."""

    python: Path
    """The Python 2.7 that can import ``autobahntestsuite``."""

    def case_ids(self) -> list[str]:
        """Return the id of every case, such as ``"9.3.1"``, in the order of the suite.

        Raises:
            UnavailableError: the suite does not work.
        """
        found: list[str] = json.loads(
            _run([self.python, "-c", _LIST_CASES], "ask the suite", timeout=_QUERY_TIMEOUT)
        )
        return found

    def command(self, *arguments: str, script: str = _RUN) -> list[str]:
        """Return the command that is ``wstest`` with `arguments`.

        It is not the script of that name: the path of its interpreter, in its first line, may
        be longer than the kernel takes.

        Args:
            arguments: of ``wstest``.
            script: Python code that runs it, perhaps not as it is.
        """
        return [str(self.python), "-u", "-c", script, *arguments]

    @staticmethod
    def environment() -> dict[str, str]:
        """Return the environment variables for `command`, without those meant for Python 3."""
        return {name: value for name, value in os.environ.items() if name[:6] != "PYTHON"}


def install() -> Suite:
    """Install the suite unless it is there, in about half a minute; return it.

    The stamp is written last, so an interrupted installation starts again. Blocks.

    Raises:
        UnavailableError: there is no Python 2.7, or a step of the installation fails.
    """
    suite = Suite(_FOLDER / "python2" / "bin" / "python")
    stamp = _FOLDER / ".installed"
    recipe = hashlib.sha256(_CONSTRAINTS.read_bytes()).hexdigest()
    if stamp.exists() and stamp.read_text() == recipe and suite.python.exists():
        return suite
    python2 = _find_python2()
    print(f"==> Installing Autobahn's test suite for {python2} into {_FOLDER}", flush=True)
    shutil.rmtree(_FOLDER, ignore_errors=True)
    _FOLDER.mkdir(parents=True)
    _make_environment(python2, suite.python.parents[1])
    _pip(suite.python, "autobahntestsuite", "--no-python-version-warning")
    stamp.write_text(recipe)
    return suite


def _find_python2() -> str:
    """Return a CPython 2.7 from PATH or from pyenv."""
    for candidate in _candidates():
        try:
            found = _run([candidate, "-c", _IS_PYTHON2], "try it", timeout=_QUERY_TIMEOUT)
        except UnavailableError:
            continue  # Say, pyenv's stand-in for a version that is not switched on.
        if found:
            return found
    raise UnavailableError("there is no CPython 2.7, neither in PATH nor in pyenv")


def _candidates() -> Iterator[str]:
    on_path = shutil.which("python2.7")
    if on_path:
        yield on_path
    if shutil.which("pyenv"):
        versions = Path(_run(["pyenv", "root"], "ask pyenv").strip()) / "versions"
        yield from sorted(map(str, versions.glob("2.7.*/bin/python2.7")), reverse=True)


def _make_environment(python2: str, folder: Path) -> None:
    """Make an environment of Python 2.7, with a virtualenv that is installed nowhere else."""
    tool = _FOLDER / "virtualenv"
    _pip(Path(sys.executable), "virtualenv", "--target", str(tool))
    command = [sys.executable, "-m", "virtualenv", "--quiet", "--python", python2]
    command += ["--app-data", str(_FOLDER / "app-data"), str(folder)]
    _run(command, "make an environment of Python 2.7", extra={"PYTHONPATH": str(tool)})


def _pip(python: Path, package: str, *options: str) -> None:
    command = [str(python), "-m", "pip", "--disable-pip-version-check", "--no-input", "install"]
    command += ["--quiet", "--constraint", str(_CONSTRAINTS), *options, package]
    _run(command, f"install {package}")


def _run(
    command: Sequence[str | Path],
    what: str,
    *,
    timeout: float = _INSTALL_TIMEOUT,
    extra: dict[str, str] | None = None,
) -> str:
    """Run one step and return what it printed."""
    environment = Suite.environment() | (extra or {})
    try:
        done = subprocess.run(
            command,
            capture_output=True,
            check=True,
            cwd=ROOT,
            env=environment,
            errors="replace",
            stdin=subprocess.DEVNULL,
            timeout=timeout,
        )
    except subprocess.CalledProcessError as error:
        raise UnavailableError(f"cannot {what}: {_end(error.stderr)}") from error
    except (OSError, subprocess.TimeoutExpired) as error:
        raise UnavailableError(f"cannot {what}: {error}") from error
    return done.stdout


def _end(text: str, lines: int = 15) -> str:
    return "\n".join(text.strip().splitlines()[-lines:])


def main() -> int:
    """Install the suite; return 1 where CI insists on it in vain."""
    try:
        print(install().python)
    except UnavailableError as error:
        print(f"The conformance suite is not installed: {error}", file=sys.stderr)
        return int(error.required)
    return 0


if __name__ == "__main__":
    sys.exit(main())
