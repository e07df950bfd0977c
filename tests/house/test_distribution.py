"""What is installed has a name of its own, and no text sends anybody to a stranger's package."""

from __future__ import annotations

import re
import tomllib
from importlib.metadata import distribution
from pathlib import Path

import pytest

import wsclient
from house.checkout import ROOT
from house.test_text import project_files
from wsclient.options.distribution import DISTRIBUTION, default_user_agent, install_command

# `wsclient` where a requirement stands: alone, or with an extra or a version behind it.
STRANGER = re.compile(
    r"\b(?:pip3?|pipx|uv|poetry|conda)\b[^\n]*?\b(?:install|add)\b[^\n]*?"
    r"[\s'\"`]wsclient(?=$|[\s'\"`\[=<>~!;@.,)])",
    re.MULTILINE,
)


def settings() -> dict[str, object]:
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    project: dict[str, object] = tomllib.loads(text)["project"]
    return project


def sends_to_a_stranger(path: Path) -> list[str]:
    text = path.read_text(encoding="utf-8", errors="replace")
    return [f"{path.relative_to(ROOT)}: {found[0]}" for found in STRANGER.finditer(text)]


def test_the_name_is_that_of_pyproject() -> None:
    assert settings()["name"] == DISTRIBUTION


def test_what_is_installed_has_the_name_and_the_package() -> None:
    installed = distribution(DISTRIBUTION)
    files = {str(path) for path in installed.files or ()}
    assert (installed.metadata["Name"], installed.version) == (DISTRIBUTION, wsclient.__version__)
    assert "wsclient/__init__.py" in files
    assert default_user_agent() == f"wsclient/{wsclient.__version__}"


def test_the_extras_that_hints_name_are_there() -> None:
    extras = distribution(DISTRIBUTION).metadata.get_all("Provides-Extra") or []
    named = {
        extra
        for path in (ROOT / "wsclient").rglob("*.py")
        for extra in re.findall(r"install_command\('(\w+)'\)", path.read_text(encoding="utf-8"))
    }
    assert named == {"fast", "socks"} and named <= set(extras)
    assert install_command("fast") == f"pip install '{DISTRIBUTION}[fast]'"


def test_no_extra_brings_a_stranger() -> None:
    required = distribution(DISTRIBUTION).requires or []
    assert not [each for each in required if re.match(r"wsclient(?![\w-])", each)]


def test_no_text_sends_anybody_to_a_stranger() -> None:
    # This file has to name what it looks for.
    texts = [path for path in project_files() if path != Path(__file__).resolve()]
    assert len(texts) > 100
    assert [each for path in texts for each in sends_to_a_stranger(path)] == []


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("pip install wsclient", True),
        ("pip install -U wsclient[socks]", True),
        ("`pip install 'wsclient[socks]'`", True),
        ("uv add wsclient==1.0", True),
        ("pip install wsclient-asyncio", False),
        ("pip install 'wsclient-asyncio[socks]'", False),
        ("pip install .  # imported as wsclient_asyncio", False),
        ("wsclient demo", False),
    ],
)
def test_the_pattern(text: str, found: bool) -> None:
    assert bool(STRANGER.search(text)) is found


def test_readme_shows_what_needs_an_install_behind_it() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    install = text.index("pip install .")
    for command in (r"python (?:-m wsclient|examples/)", r"(?<!`)\bwsclient demo"):
        places = [found.start() for found in re.finditer(command, text)]
        assert places and min(places) > install, (
            f"{command!r} stands before {text[install:][:13]!r}"
        )
