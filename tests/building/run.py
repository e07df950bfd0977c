"""Build all of a release that can be made here, and try it: ``python -m building.run``.

That is the sdist, and from it the wheel for every platform and the compiled one. Each of the
three is installed into an environment of its own, as users do it, and the wheels are tested with
the command of pyproject.toml's ``cibuildwheel``. They are left in ``build/release``. It exits with
0 when all went well.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tomllib
import venv
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from building.builds import build, check_builder, check_compiler, copy_source, unpack
from house.checkout import ROOT
from support.unavailable import UnavailableError

__all__ = ["main"]

FOLDER: Final = ROOT / "build" / "release"


class FailedError(Exception):
    """Something that was made is not as it should be."""


def main() -> int:
    """Build and try everything; return the exit code."""
    try:
        check_builder()
        check_compiler()
    except UnavailableError as error:
        print(f"==> Nothing is built: {error}", file=sys.stderr)
        return 1
    shutil.rmtree(FOLDER, ignore_errors=True)
    try:
        sdist, pure, compiled = make()
        attempt(pure, "pure Python")
        attempt(compiled, "compiled")
        attempt(sdist, "compiled")
    except FailedError as error:
        print(f"==> {error}", file=sys.stderr)
        return 1
    print(f"==> All of it works: {FOLDER}")
    return 0


def make() -> list[Path]:
    """Make the sdist and both wheels."""
    sdist = build("sdist", copy_source(FOLDER / "source"), FOLDER / "sdist")
    if sdist.returncode:
        raise FailedError(f"there is no sdist:\n{sdist.output}")
    made = [sdist.result]
    for choice in ("no", "yes"):
        source = unpack(sdist.result, FOLDER / f"source-{choice}")
        wheel = build("wheel", source, FOLDER / f"wheel-{choice}", WSCLIENT_EXTENSIONS=choice)
        if wheel.returncode:
            raise FailedError(f"there is no wheel with {choice!r}:\n{wheel.output}")
        made.append(wheel.result)
    return made


def attempt(archive: Path, codec: str) -> None:
    """Install into a fresh environment and test there, unless it is what a wheel came from.

    Args:
        archive: what to install.
        codec: which one has to be in use.
    """
    print(f"==> {archive.name}", flush=True)
    settings = read_settings()
    folder = FOLDER / f"environment-{archive.name}"
    venv.create(folder, with_pip=True)
    programs = folder / ("Scripts" if os.name == "nt" else "bin")
    python = str(programs / "python")
    pip = [python, "-m", "pip", "--disable-pip-version-check", "install", "--quiet"]
    run([*pip, str(archive), *settings["test-requires"]], folder)
    said = run([str(programs / "wsclient"), "--version"], folder)
    print(said, end="")
    if f"frame codec: {codec}" not in said:
        raise FailedError(f"{archive.name}: the codec should be {codec}")
    if archive.suffix != ".whl":
        return
    command = settings["test-command"].replace("{project}", str(ROOT)).split()
    print(run([python, *command[1:]], folder, WSCLIENT_CODEC=codec).splitlines()[-1])


def read_settings() -> dict[str, Any]:
    """Read what is set for cibuildwheel."""
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    settings: dict[str, Any] = tomllib.loads(text)["tool"]["cibuildwheel"]
    return settings


def run(command: Sequence[str], folder: Path, **environment: str) -> str:
    """Run a program, without what may be set for the checkout; return what it printed.

    Raises:
        FailedError: its exit status is not 0.
    """
    left_out = ("PYTHONPATH", "WSCLIENT_EXTENSIONS", "WSCLIENT_INSTALLED", "WSCLIENT_PURE_PYTHON")
    inherited = {name: os.environ[name] for name in os.environ if name not in left_out}
    done = subprocess.run(
        command,
        cwd=folder,
        env=inherited | environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if done.returncode:
        raise FailedError(f"{' '.join(command)} failed:\n{done.stdout}")
    return done.stdout


if __name__ == "__main__":
    sys.exit(main())
