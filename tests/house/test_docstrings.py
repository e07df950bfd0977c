"""Everything public is documented, and its first line is one whole sentence."""

from __future__ import annotations

import ast
from collections.abc import Iterator

import pytest

from house.checkout import Module, package_modules

LONGEST_FIRST_LINE = 99  # characters

# Called by the event loop and documented by asyncio, wherever we define them.
PROTOCOL_CALLBACKS = frozenset(
    {
        "buffer_updated",
        "connection_lost",
        "connection_made",
        "data_received",
        "eof_received",
        "get_buffer",
        "pause_writing",
        "resume_writing",
    }
)

Documented = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef


def test_everything_public_is_documented() -> None:
    found = [line for module in package_modules() for line in complaints(module)]
    assert not found, "\n" + "\n".join(found)


def complaints(module: Module) -> Iterator[str]:
    """Say which public things of `module` lack a docstring, or a good first line."""
    if is_private_module(module.name):
        return
    tree = ast.parse(module.source)
    yield from judge(tree, module.name, f"{module.path}:1")
    for name, node in public_definitions(tree):
        yield from judge(node, f"{module.name}.{name}", f"{module.path}:{node.lineno}")


def is_private_module(name: str) -> bool:
    return any(part.startswith("_") and not is_dunder(part) for part in name.split("."))


def is_dunder(name: str) -> bool:
    return name.startswith("__") and name.endswith("__")


def public_definitions(
    parent: ast.Module | ast.ClassDef, prefix: str = ""
) -> Iterator[tuple[str, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef]]:
    for node in definitions(parent.body):
        if node.name.startswith("_") or is_exempt(node, parent):
            continue
        yield prefix + node.name, node
        if isinstance(node, ast.ClassDef):
            yield from public_definitions(node, f"{prefix}{node.name}.")


def definitions(
    body: list[ast.stmt],
) -> Iterator[ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef]:
    """Yield what a body defines, also under ``if`` and ``try`` (for platforms and versions)."""
    for node in body:
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            yield node
        elif isinstance(node, ast.If | ast.Try):
            yield from definitions(node.body)
            yield from definitions(node.orelse)
            for handler in getattr(node, "handlers", []):
                yield from definitions(handler.body)


def is_exempt(node: ast.AST, parent: ast.Module | ast.ClassDef) -> bool:
    """Overloads and setters are documented by the function that they belong to."""
    if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
        return False
    if isinstance(parent, ast.ClassDef) and node.name in PROTOCOL_CALLBACKS:
        return True
    return any(
        ast.unparse(decorator).endswith((".setter", ".deleter", "overload"))
        for decorator in node.decorator_list
    )


def judge(node: Documented, name: str, place: str) -> Iterator[str]:
    text = ast.get_docstring(node)
    if not text:
        yield f"{place}: {name} has no docstring"
        return
    first = text.splitlines()[0]
    if not first.endswith("."):
        yield f"{place}: the first line about {name} does not end with a full stop: {first!r}"
    if len(first) > LONGEST_FIRST_LINE:
        yield f"{place}: the first line about {name} has more than {LONGEST_FIRST_LINE} characters"


# The checker, checked.


def check(source: str, name: str = "wsclient.client") -> list[str]:
    return list(complaints(Module(name, "x.py", source, is_package=False)))


@pytest.mark.parametrize(
    "source",
    [
        pytest.param('"""Good."""\ndef f():\n    """Do."""', id="function"),
        pytest.param('"""Good."""\ndef _f(): ...', id="private function"),
        pytest.param('"""Good."""\nclass _C:\n    def f(self): ...', id="in a private class"),
        pytest.param('"""Good."""\ndef f():\n    """Do."""\n    def g(): ...', id="nested"),
        pytest.param(
            '"""Good."""\nclass C:\n    """Be."""\n    def __init__(self): ...', id="dunder"
        ),
        pytest.param(
            '"""Good."""\nclass C:\n    """Be."""\n    def connection_lost(self, e): ...',
            id="protocol callback",
        ),
        pytest.param(
            '"""Good."""\nclass C:\n    """Be."""\n    @x.setter\n    def x(self, v): ...',
            id="setter",
        ),
        pytest.param('"""Good."""\n@overload\ndef f(): ...', id="overload"),
    ],
)
def test_checker_allows(source: str) -> None:
    assert check(source) == []


@pytest.mark.parametrize(
    ("source", "says"),
    [
        pytest.param("", "has no docstring", id="module"),
        pytest.param('"""Good."""\nasync def f(): ...', "x.py:2", id="function"),
        pytest.param('"""Good."""\nclass C: ...', "wsclient.client.C has", id="class"),
        pytest.param(
            '"""Good."""\nclass C:\n    """Be."""\n    @property\n    def x(self): ...',
            "wsclient.client.C.x has",
            id="property",
        ),
        pytest.param('"""Good."""\nif A:\n    def f(): ...', "client.f has", id="under if"),
        pytest.param('"""Good."""\ndef connection_lost(): ...', "_lost has", id="not a method"),
        pytest.param('"""No stop"""', "full stop", id="no full stop"),
        pytest.param('"""A sentence\nin two lines."""', "full stop", id="two lines"),
        pytest.param(f'"""{"x" * 99}."""', "more than 99", id="too long"),
    ],
)
def test_checker_objects(source: str, says: str) -> None:
    (found,) = check(source)
    assert says in found


def test_checker_leaves_private_modules_alone() -> None:
    assert check("def f(): ...", "wsclient._private.module") == []
    assert check("", "wsclient.__main__") != []
