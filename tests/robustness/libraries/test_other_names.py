"""Libraries whose private names have changed are refused, or done without; they leak nothing.

A copy of the library, with one name replaced, is put in front of the one that is installed.
"""

from __future__ import annotations

import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from house.checkout import ROOT

PROGRAM = Path(__file__).with_name("attempts.py")


def attempt(name: str, change: str = "rename_nothing", *, first: Path | None = None) -> Any:
    """Run one attempt in a process of its own; return what came of it.

    Args:
        name: of the attempt.
        change: what to do to compiled classes.
        first: where libraries are looked for first.
    """
    paths = [str(each) for each in (first, ROOT / "tests") if each is not None]
    result = subprocess.run(
        [sys.executable, str(PROGRAM), name, change],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(paths)},
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert result.returncode == 0, result.stderr
    assert "Unclosed" not in result.stderr and "never" not in result.stderr, result.stderr
    return json.loads(result.stdout)


def renamed(library: str, name: str, folder: Path) -> Path:
    """Copy a library, with another name in place of one; return where to look for it."""
    spec = importlib.util.find_spec(library)
    if spec is None or spec.origin is None:
        pytest.skip(f"{library} is not installed")
    shutil.copytree(Path(spec.origin).parent, folder / library)
    replaced = 0
    for file in (folder / library).rglob("*.py"):
        text, count = re.subn(rf"\b{name}\b", f"{name}_now", file.read_text(encoding="utf-8"))
        file.write_text(text, encoding="utf-8")
        replaced += count
    assert replaced, f"{library} has no {name}: is it used by another name now?"
    return folder


def test_as_they_are() -> None:
    """What the refusals below are to be compared with."""
    assert attempt("by_proxy")["shown"] == ["CN=for the proxy"]
    assert attempt("by_session")["error"] == "ProxyError"
    assert attempt("directly") == {"error": None, "requests": 1}
    assert attempt("by_socks") == {"error": None}


@pytest.mark.parametrize("name", ["_get_ssl_context", "_start_tls_connection"])
def test_an_https_proxy_is_not_even_asked(name: str, tmp_path: Path) -> None:
    found = attempt("by_proxy", first=renamed("aiohttp", name, tmp_path))
    assert found["error"] in ("ProxyError", "ConnectError")
    assert found["shown"] == []
    assert f"TCPConnector.{name} is " in found["text"]
    assert "Install aiohttp>=" in found["text"]


def test_a_proxy_of_a_session_that_cannot_be_known(tmp_path: Path) -> None:
    found = attempt("by_session", first=renamed("aiohttp", "_default_proxy", tmp_path))
    assert (found["error"], found["shown"]) == ("ProxyError", [])
    assert "_default_proxy is missing" in found["text"]


@pytest.mark.parametrize("way", ["directly", "by_socks"])
def test_answers_without_a_bound(way: str, tmp_path: Path) -> None:
    found = attempt(way, first=renamed("aiohttp", "_factory", tmp_path))
    assert found["error"] == "ConnectError"
    assert "_factory is not used by" in found["text"]
    assert found.get("requests", 0) == 0


@pytest.mark.parametrize("library", ["aiohttp", "aiohttp_socks"])
def test_names_behind_socks_that_nobody_would_check(library: str, tmp_path: Path) -> None:
    pytest.importorskip("aiohttp_socks", reason="aiohttp_socks is not installed")
    found = attempt("by_socks", first=renamed(library, "_wrap_create_connection", tmp_path))
    assert found["error"] == "ProxyError"
    assert "_wrap_create_connection is missing" in found["text"]


@pytest.mark.parametrize("change", ["move_transport", "rename_argument"])
def test_fast_transports_are_done_without(change: str) -> None:
    pytest.importorskip("aiofastnet", reason="aiofastnet is not installed")
    assert attempt("directly", change) == {"error": None, "requests": 1}


@pytest.mark.parametrize("change", ["move_transport", "rename_argument"])
def test_fast_transports_that_are_insisted_on(change: str) -> None:
    pytest.importorskip("aiofastnet", reason="aiofastnet is not installed")
    found = attempt("insisting", change)
    assert found["error"] == "ConnectError"
    assert "Install aiofastnet>=" in found["text"]
