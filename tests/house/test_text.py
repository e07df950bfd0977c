"""What may not stand in any file of the project, and what must stand in some."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path, PurePosixPath

import pytest

from house.checkout import ROOT

EMPTY_NAMES = frozenset({"base", "common", "helper", "helpers", "util", "utilities", "utils"})

# Put together from pieces, so that this file does not contain what it forbids.
MACHINE_PATH = re.compile(
    r"(?<![\w.~$})])(?:"
    + "|".join(
        ["/ho" + r"me/\w", "/ro" + "ot/", "/Us" + r"ers/\w", "/wo" + "rk/", "/t" + r"mp/\w"]
    )
    + r")|\b[A-Z]:\\+Us"
    + r"ers\b"
)
REGISTRY_HOST = re.compile(
    "|".join(
        re.escape(first + second)
        for first, second in [
            ("py", "pi.org"),
            ("python", "hosted.org"),
            ("registry.np", "mjs.org"),
            ("registry.yarn", "pkg.com"),
            ("anaco", "nda.org"),
        ]
    )
)


def project_files() -> list[Path]:
    """List what git tracks or would add; without git, what lies in the checkout."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    try:
        listed = subprocess.run(command, cwd=ROOT, capture_output=True, check=True, text=True)
    except (OSError, subprocess.CalledProcessError):
        return walk(ROOT)
    return [path for name in listed.stdout.split("\0") if name and (path := ROOT / name).is_file()]


def walk(folder: Path) -> list[Path]:
    skipped = re.compile(
        r"\.git|\.venv|build|dist|node_modules|__pycache__|.*\.egg-info|\..*_cache"
    )
    found: list[Path] = []
    for path in sorted(folder.iterdir()):
        if path.is_dir() and not skipped.fullmatch(path.name):
            found += walk(path)
        elif path.is_file():
            found.append(path)
    return found


def lines_with(pattern: re.Pattern[str]) -> list[str]:
    return [
        f"{path.relative_to(ROOT)}:{number}: {line.strip()}"
        for path in project_files()
        for number, line in enumerate(
            path.read_text(encoding="utf-8", errors="replace").splitlines(), start=1
        )
        if pattern.search(line)
    ]


def test_the_project_has_files() -> None:
    names = {path.relative_to(ROOT).as_posix() for path in project_files()}
    assert {"pyproject.toml", "wsclient/errors.py", "tests/house/test_text.py"} <= names
    assert names >= {
        path.relative_to(ROOT).as_posix() for path in (ROOT / "wsclient").rglob("*.py")
    }


def test_no_file_names_a_place_on_one_machine() -> None:
    assert lines_with(MACHINE_PATH) == []


def test_no_file_names_a_package_registry() -> None:
    assert lines_with(REGISTRY_HOST) == []


def test_no_module_has_an_empty_name() -> None:
    found = [
        path
        for path in project_files()
        if path.suffix == ".py" and has_empty_name(path.relative_to(ROOT).as_posix())
    ]
    assert not found, f"say what is in it: {found}"


def has_empty_name(path: str) -> bool:
    parts = PurePosixPath(path).with_suffix("").parts
    return any(part.strip("_") in EMPTY_NAMES for part in parts)


def test_the_changelog_has_a_place_for_what_comes() -> None:
    text = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    headings = re.findall(r"^## (.*)$", text, re.MULTILINE)
    assert headings[0] == "[Unreleased]", f"the first section is {headings[0]!r}"


# The patterns, checked.


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("cd /ho" + "me/ann/project", True),
        ('open("/t' + 'mp/x")', True),
        ("/Us" + "ers/ann", True),
        ("C:\\Us" + "ers\\ann", True),
        ("wss://example.org/ho" + "me/ann", False),
        ("~/ro" + "ot/x", False),
        ("tests/wo" + "rk/x", False),
        ("GET /chat", False),
    ],
)
def test_machine_path(text: str, found: bool) -> None:
    assert bool(MACHINE_PATH.search(text)) is found


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("https://py" + "pi.org/simple", True),
        ("https://files.python" + "hosted.org/x", True),
        ("https://registry.np" + "mjs.org/ws", True),
        ("https://docs.python.org/3/", False),
    ],
)
def test_registry_host(text: str, found: bool) -> None:
    assert bool(REGISTRY_HOST.search(text)) is found


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("wsclient/utils.py", True),
        ("wsclient/_utils.py", True),
        ("wsclient/common/x.py", True),
        ("wsclient/protocol/base.py", True),
        ("wsclient/database.py", False),
    ],
)
def test_empty_name(path: str, found: bool) -> None:
    assert has_empty_name(path) is found


def test_walk_finds_the_same_files() -> None:
    assert set(project_files()) & set(package_files()) <= set(walk(ROOT))


def package_files() -> list[Path]:
    return list((ROOT / "wsclient").rglob("*.py"))
