"""Functions and modules stay small enough to be read in one go."""

from __future__ import annotations

import ast
import math
from collections.abc import Iterator, Sequence

import pytest

from house.checkout import package_modules

LONGEST_MODULE = 500  # lines
LONGEST_FUNCTION = 60  # lines, without its docstring
LONGEST_TYPICAL_FUNCTION = 30  # the 90th percentile

# Functions that may be longer than LONGEST_FUNCTION, each with the reason. Only a hot loop,
# where a call per frame costs more than the work, is reason enough; so far there is none:
# {"wsclient/protocol/frames.py:FrameParser._parse": "why"}
LONG_FUNCTIONS: dict[str, str] = {}

Function = ast.FunctionDef | ast.AsyncFunctionDef


def test_modules_are_short() -> None:
    lengths = {module.path: len(module.source.splitlines()) for module in package_modules()}
    too_long = {path: lines for path, lines in lengths.items() if lines > LONGEST_MODULE}
    assert not too_long, f"more than {LONGEST_MODULE} lines; split by subject: {too_long}"


def test_no_function_is_long() -> None:
    too_long = {
        name: lines
        for name, lines in all_functions().items()
        if lines > LONGEST_FUNCTION and name not in LONG_FUNCTIONS
    }
    assert not too_long, f"more than {LONGEST_FUNCTION} lines: {too_long}"


def test_the_list_of_long_functions_is_true() -> None:
    lengths = all_functions()
    needless = [name for name in LONG_FUNCTIONS if lengths.get(name, 0) <= LONGEST_FUNCTION]
    assert not needless, f"short or gone; take it out of LONG_FUNCTIONS: {needless}"


def test_functions_are_typically_short() -> None:
    lengths = all_functions()
    p90 = percentile(90, list(lengths.values()))
    longest = sorted(lengths, key=lambda name: -lengths[name])[:20]
    assert p90 <= LONGEST_TYPICAL_FUNCTION, (
        f"the 90th percentile is {p90} lines; the longest: { {n: lengths[n] for n in longest} }"
    )


def all_functions() -> dict[str, int]:
    """Map each function of the package, nested ones too, to its lines without docstring."""
    return {
        f"{module.path}:{name}": length(node)
        for module in package_modules()
        for name, node in functions(ast.parse(module.source))
    }


def functions(parent: ast.AST, prefix: str = "") -> Iterator[tuple[str, Function]]:
    for node in ast.iter_child_nodes(parent):
        name = prefix
        if isinstance(node, ast.ClassDef | Function):
            name = f"{prefix}{node.name}."
        if isinstance(node, Function):
            # The line tells the overloads, and a property from its setter.
            repeated = any(
                "overload" in ast.unparse(d) or ".setter" in ast.unparse(d)
                for d in node.decorator_list
            )
            yield f"{prefix}{node.name}" + (f":{node.lineno}" if repeated else ""), node
        yield from functions(node, name)


def length(node: Function) -> int:
    assert node.end_lineno is not None
    lines = node.end_lineno - node.lineno + 1
    if ast.get_docstring(node, clean=False) is None:
        return lines
    docstring = node.body[0]
    assert docstring.end_lineno is not None
    return lines - (docstring.end_lineno - docstring.lineno + 1)


def percentile(percent: int, values: Sequence[int]) -> int:
    """Pick the value that `percent` of all values do not exceed (nearest rank)."""
    return sorted(values)[math.ceil(len(values) * percent / 100) - 1]


# The measures, measured.


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        pytest.param("def f(): ...", {"f": 1}, id="one line"),
        pytest.param("def f(\n    a,\n):\n    return a", {"f": 4}, id="arguments count"),
        pytest.param('def f():\n    """A.\n\n    B.\n    """\n    return 1', {"f": 2}, id="doc"),
        pytest.param("@d\n@e\ndef f():\n\n    # why\n    return 1", {"f": 4}, id="decorators"),
        pytest.param("class C:\n    async def f(self):\n        x", {"C.f": 2}, id="method"),
        pytest.param(
            "def f():\n    def g():\n        x\n    return g", {"f": 4, "f.g": 2}, id="nested"
        ),
        pytest.param("if x:\n    def f(): ...", {"f": 1}, id="under if"),
    ],
)
def test_length(source: str, expected: dict[str, int]) -> None:
    assert {name: length(node) for name, node in functions(ast.parse(source))} == expected


@pytest.mark.parametrize(
    ("values", "expected"),
    [([1], 1), (range(1, 11), 9), (range(1, 101), 90), ([5] * 8 + [40] * 2, 40)],
    ids=["one", "ten", "hundred", "two of ten are long"],
)
def test_percentile(values: Sequence[int], expected: int) -> None:
    assert percentile(90, values) == expected
