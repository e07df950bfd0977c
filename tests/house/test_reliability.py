"""The page on reliability names tests and targets that exist."""

from __future__ import annotations

import ast
import re

import pytest

from house.checkout import ROOT

PAGE = ROOT / "docs" / "reliability.md"
NAMED = re.compile(r"`(tests/[\w/.-]+?)(?:::(\w+))?`")
TARGET = re.compile(r"`make (\w[\w-]*)")

TEXT = PAGE.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("path", "test"), sorted({(path, test) for path, test in NAMED.findall(TEXT)})
)
def test_what_shows_a_promise_exists(path: str, test: str) -> None:
    file = ROOT / path
    assert file.exists(), f"{PAGE.name} names {path}, which is not there"
    if test:
        tree = ast.parse(file.read_text(encoding="utf-8"))
        names = {getattr(each, "name", None) for each in ast.walk(tree)}
        assert test in names, f"{PAGE.name} names {path}::{test}, which is not there"


@pytest.mark.parametrize("target", sorted(set(TARGET.findall(TEXT))))
def test_target_exists(target: str) -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    assert re.search(rf"^{target}:", makefile, re.MULTILINE)


def test_each_row_of_promises_names_what_shows_it() -> None:
    tables = re.findall(r"^\| Promise \|.*\n\|-.*\n((?:\|.*\n)+)", TEXT, re.MULTILINE)
    rows = [row for table in tables for row in table.splitlines()]
    assert len(rows) > 30
    bare = [row for row in rows if not (NAMED.search(row) or TARGET.search(row))]
    assert not bare, f"rows that name no test: {bare}"
