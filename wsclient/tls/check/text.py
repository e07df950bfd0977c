"""Reports as text for a person, at most 100 columns wide."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Iterator

from ...errors import ConnectError
from .steps import CheckStep

__all__ = ["render", "sentence", "without_hint"]

_WIDTH = 100
_MARKS = {True: "ok", False: "FAIL", None: ""}
_ARROWS = {"sent": "→", "received": "←", "": ""}
_INDENT = " " * 9


def render(title: str, steps: Iterable[CheckStep], result: str, hint: str) -> str:
    """Return a report as text.

    Args:
        title: the first line.
        steps: what happened.
        result: what came of it.
        hint: what to do about it; empty when there is nothing to do.

    Returns:
        Lines without a line break behind the last one.
    """
    lines = [*_wrapped("", title), ""]
    for step in steps:
        lines += _step_lines(step)
    lines += ["", *_wrapped("Result:  ", result)]
    if hint:
        lines += _wrapped("Hint:    ", hint)
    return "\n".join(lines)


def sentence(text: str) -> str:
    """Return `text` with a capital letter at its beginning, unless it begins with a URL."""
    first = text.partition(" ")[0]
    return text if "://" in first else text[:1].upper() + text[1:]


def without_hint(error: ConnectError) -> str:
    """Return what an error says happened, without what to do about it."""
    return sentence(str(error).removesuffix(error.hint).strip())


def _step_lines(step: CheckStep) -> Iterator[str]:
    yield from _wrapped(f"{_MARKS[step.ok]:<6}{_ARROWS[step.direction]:<3}", step.text)
    for detail in step.details:
        yield from _wrapped(_INDENT + "  ", detail)


def _wrapped(prefix: str, text: str) -> list[str]:
    indent = " " * len(prefix)
    return textwrap.wrap(
        text,
        _WIDTH,
        initial_indent=prefix,
        subsequent_indent=indent,
        break_on_hyphens=False,
    )
