"""What is built where there is a compiler, where there is none, and where none is wanted."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
import sysconfig
import tomllib
from collections.abc import Callable
from email import message_from_string
from pathlib import Path

import pytest

from building.builds import (
    MODULE,
    Build,
    build,
    check_builder,
    check_compiler,
    copy_source,
    unpack,
)
from house.checkout import ROOT
from house.test_text import project_files
from support.unavailable import UnavailableError
from wsclient.options.distribution import DISTRIBUTION

NOTE = "==> wsclient: going on without the compiled frame codec: "
NOT_BUILT = "pure Python (the compiled one was not built)"

# A compiler that fails, and one that is not there.
BROKEN = ["false", "no-such-compiler"]

FREE_THREADED = "import sysconfig; sysconfig.get_config_vars()['Py_GIL_DISABLED'] = 1"


def require(check: Callable[[], None]) -> None:
    try:
        check()
    except UnavailableError as error:
        if error.required:
            raise
        pytest.skip(str(error))


@pytest.fixture(scope="module", autouse=True)
def _builder() -> None:
    require(check_builder)


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of what a build reads, in which no build compiles anything."""
    return copy_source(tmp_path_factory.mktemp("building") / "source")


@pytest.fixture(scope="module")
def from_sdist(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Build]:
    """The unpacked sdist, and the wheel that was compiled from it."""
    require(check_compiler)
    folder = tmp_path_factory.mktemp("building")
    sdist = build("sdist", copy_source(folder / "source"), folder / "sdist")
    unpacked = unpack(sdist.result, folder / "unpacked")
    wheel = build("wheel", unpacked, folder / "wheel", WSCLIENT_EXTENSIONS="yes")
    return unpacked, wheel


def compiled(names: set[str]) -> set[str]:
    """Return which files have to do with the compiled codec."""
    return {name for name in names if name.startswith(MODULE)}


def notes(output: str) -> list[str]:
    return [line for line in output.splitlines() if NOTE in line]


def version(package: Path, **environment: str) -> str:
    """Return what ``wsclient --version`` says of the codec, with the package from a folder."""
    inherited = {key: os.environ[key] for key in os.environ if key != "WSCLIENT_PURE_PYTHON"}
    said = subprocess.run(
        [sys.executable, "-P", "-m", "wsclient", "--version"],
        env={**inherited, "PYTHONPATH": str(package), **environment},
        capture_output=True,
        text=True,
        check=True,
    )
    return said.stdout.strip().partition("frame codec: ")[2]


@pytest.mark.parametrize("name", BROKEN)
def test_auto_goes_without_where_compiling_fails(name: str, source: Path, tmp_path: Path) -> None:
    made = build("wheel", source, tmp_path / "wheel", CC=name)
    assert not compiled(made.names())
    [note] = notes(made.output)
    assert name in note
    assert version(unpack(made.result, tmp_path / "unpacked")) == NOT_BUILT


def test_yes_fails_where_compiling_fails(source: Path, tmp_path: Path) -> None:
    made = build("wheel", source, tmp_path / "wheel", CC="false", WSCLIENT_EXTENSIONS="yes")
    assert made.returncode != 0
    assert not list(made.folder.iterdir())
    assert "'false'" in made.output and not notes(made.output)


def test_no_makes_a_wheel_for_every_platform(source: Path, tmp_path: Path) -> None:
    made = build("wheel", source, tmp_path / "wheel", CC="false", WSCLIENT_EXTENSIONS="no")
    assert made.result.name.endswith("-py3-none-any.whl")
    assert not compiled(made.names())
    assert not notes(made.output)


@pytest.mark.parametrize(
    ("prelude", "reason"),
    [
        pytest.param("import sys; sys.modules['Cython'] = None", "Cython", id="no Cython"),
        pytest.param("import sys; sys.implementation.name = 'pypy'", "pypy", id="PyPy"),
        pytest.param(FREE_THREADED, "global lock", id="free-threaded"),
    ],
)
def test_auto_does_not_try_in_vain(
    prelude: str, reason: str, source: Path, tmp_path: Path
) -> None:
    made = build("wheel", source, tmp_path / "wheel", prelude=prelude, CC="false")
    assert made.result.name.endswith("-py3-none-any.whl")
    assert any(reason in note for note in notes(made.output)), made.output


def test_yes_needs_cython(source: Path, tmp_path: Path) -> None:
    prelude = "import sys; sys.modules['Cython'] = None"
    made = build("wheel", source, tmp_path / "wheel", prelude=prelude, WSCLIENT_EXTENSIONS="yes")
    assert made.returncode != 0
    assert "WSCLIENT_EXTENSIONS is yes, but Cython is not installed" in made.output


@pytest.mark.parametrize("value", ["1", "YES", "true"])
def test_another_choice_is_refused(value: str, source: Path, tmp_path: Path) -> None:
    made = build("wheel", source, tmp_path / "wheel", WSCLIENT_EXTENSIONS=value)
    assert made.returncode != 0
    assert f"{value!r}; it may be auto, yes or no" in made.output


def test_sdist_has_the_source_and_nothing_generated(from_sdist: tuple[Path, Build]) -> None:
    unpacked, _ = from_sdist
    files = {path.relative_to(unpacked).as_posix() for path in unpacked.rglob("*.*")}
    assert f"{MODULE}.pyx" in files
    assert f"{MODULE}.c" not in files
    assert not [name for name in files if name.endswith(".so") and not name.startswith("build/")]


def test_sdist_has_what_the_checkout_has(from_sdist: tuple[Path, Build]) -> None:
    """Who packages it can run the tests and read the documents."""
    unpacked, wheel = from_sdist
    kept = {"CHANGELOG.md", "LICENSE", "MANIFEST.in", "Makefile", "README.md", "pyproject.toml"}
    folders = ("benchmarks", "docs", "examples", "tests", "wsclient")
    mine = {
        path.relative_to(ROOT).as_posix()
        for path in project_files()
        if path.relative_to(ROOT).parts[0] in folders
    } | kept
    assert {name for name in mine if not (unpacked / name).is_file()} == set()
    # None of it is installed.
    beside = [name for name in wheel.names() if name.split("/")[0] in folders[:-1]]
    assert beside == []


def test_metadata_names_who_makes_it_and_no_page_that_is_not_there(
    from_sdist: tuple[Path, Build],
) -> None:
    unpacked, _ = from_sdist
    metadata = message_from_string((unpacked / "PKG-INFO").read_text(encoding="utf-8"))
    assert metadata["Author"] == "The wsclient maintainers"
    assert metadata["Name"] == DISTRIBUTION
    assert metadata["License-Expression"] == "Apache-2.0"
    # As soon as there is a public page, it belongs here.
    assert metadata.get_all("Project-URL") is None and metadata["Home-page"] is None


def test_compiled_wheel_has_what_runs_and_no_more(from_sdist: tuple[Path, Build]) -> None:
    _, wheel = from_sdist
    suffix = sysconfig.get_config_var("EXT_SUFFIX")
    assert compiled(wheel.names()) == {f"{MODULE}{suffix}"}
    tag = "cp{}{}".format(*sys.version_info)
    assert f"-{tag}-{tag}-" in wheel.result.name
    assert not notes(wheel.output)


def test_compiled_wheel_is_for_every_cpu_of_its_kind(from_sdist: tuple[Path, Build]) -> None:
    _, wheel = from_sdist
    assert "-O3" in wheel.output or platform.system() == "Windows"
    assert "-march" not in wheel.output and "-mtune" not in wheel.output


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("", "compiled"),
        ("0", "compiled"),
        ("1", "pure Python (WSCLIENT_PURE_PYTHON asks for it)"),
    ],
)
def test_the_codec_can_be_chosen_at_run_time(
    value: str, expected: str, from_sdist: tuple[Path, Build], tmp_path: Path
) -> None:
    _, wheel = from_sdist
    package = unpack(wheel.result, tmp_path / "unpacked")
    assert version(package, WSCLIENT_PURE_PYTHON=value) == expected


def test_a_codec_that_cannot_be_loaded_is_named(
    from_sdist: tuple[Path, Build], tmp_path: Path
) -> None:
    _, wheel = from_sdist
    package = unpack(wheel.result, tmp_path / "unpacked")
    [library] = package.glob(f"{MODULE}.*")
    library.write_bytes(b"no library")
    assert version(package).startswith("pure Python (the compiled one cannot be loaded: ")


def test_what_is_built_is_built_again_only_when_it_is_old(
    from_sdist: tuple[Path, Build], tmp_path: Path
) -> None:
    """And when that fails, the old one is not taken for the new one."""
    unpacked, _ = from_sdist
    [library] = unpacked.glob(f"build/lib.*/{MODULE}.*")
    before = library.stat().st_mtime_ns
    again = build("wheel", unpacked, tmp_path / "again", WSCLIENT_EXTENSIONS="yes", CC="false")
    assert compiled(again.names())
    assert library.stat().st_mtime_ns == before
    (unpacked / f"{MODULE}.pyx").touch()
    failed = build("wheel", unpacked, tmp_path / "failed", CC="false")
    assert not compiled(failed.names())
    [_] = notes(failed.output)


def test_the_environment_of_the_tests_has_what_builds() -> None:
    """The Makefile builds in it, without what pip would fetch for a build of its own."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    needed = set(settings["build-system"]["requires"])
    assert needed <= set(settings["project"]["optional-dependencies"]["test-plain"])
