"""Under `make test` the tests see the installed package, not the checkout."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

import wsclient
from house.checkout import ROOT

pytestmark = pytest.mark.skipif(
    os.environ.get("WSCLIENT_INSTALLED") != "1",
    reason="WSCLIENT_INSTALLED=1 is not set: not run by `make test`",
)


def installed() -> Path:
    assert wsclient.__file__ is not None
    return Path(wsclient.__file__).resolve().parent


def contents(package: Path) -> set[str]:
    files = [*package.rglob("*.py"), *package.rglob("py.typed")]
    return {path.relative_to(package).as_posix() for path in files}


def test_the_package_is_imported_from_the_environment() -> None:
    assert installed() != ROOT / "wsclient"
    assert installed().is_relative_to(Path(sys.prefix).resolve())


def test_the_checkout_is_not_on_the_import_path() -> None:
    assert ROOT not in {Path(entry).resolve() for entry in sys.path}


def test_the_installed_package_has_the_files_of_the_checkout() -> None:
    assert contents(installed()) == contents(ROOT / "wsclient")
