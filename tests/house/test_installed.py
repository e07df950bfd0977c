"""Under `make test` the tests see the installed package, not the checkout."""

from __future__ import annotations

import os
import sys
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement  # pytest brings it

import wsclient
from house.checkout import ROOT
from wsclient.opening.contracts import _KNOWN

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


def test_errors_name_the_releases_that_the_metadata_asks_for() -> None:
    asked = [Requirement(each) for each in metadata.requires("wsclient") or ()]
    found = {each.name: each.specifier for each in asked}
    for text in _KNOWN.values():
        named = Requirement(text)
        assert found[named.name] == named.specifier


def test_the_installed_package_has_the_files_of_the_checkout() -> None:
    assert contents(installed()) == contents(ROOT / "wsclient")
