"""Runs one part of the soak in this process: ``python -m soak.part NAME --result FILE``.

Each part has a process of its own, so that none starts with the memory of another.
"""

from __future__ import annotations

import argparse
import asyncio
import faulthandler
import importlib
import logging
import resource
import time
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

from soak.bench import Settings
from soak.report import Result, write

__all__ = ["PARTS", "main"]

PARTS: Final = ("traffic", "connects", "tracing", "garbage", "idle", "uptime")

_MOST_TOLD: Final = 10
"""Errors of callbacks and of tasks that nobody awaits, of which a report has enough."""

_UVLOOP_SSL: Final = "Fatal error on SSL protocol"
"""What uvloop tells when a connect is cancelled in the middle of TLS's handshake: it answers on a
transport that it has closed itself. Nothing comes of it.
"""

_LONGEST: Final = 1800.0
"""Seconds after which a part hangs: it tells where, and ends."""


def main() -> None:
    """Run the part that the command line names."""
    parser = argparse.ArgumentParser(description="Run one part of the soak.")
    parser.add_argument("part", choices=PARTS)
    parser.add_argument("--result", type=Path, required=True)
    parser.add_argument("--loop", choices=["asyncio", "uvloop"], default="asyncio")
    parser.add_argument("--short", action="store_true")
    parser.add_argument("--variant", default="")
    given = parser.parse_args()
    faulthandler.dump_traceback_later(_LONGEST, exit=True)
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    # Ends that are not clean are provoked by the thousand.
    logging.getLogger("wsclient").setLevel(logging.CRITICAL)
    settings = Settings(given.loop, given.short, given.variant)
    begin = time.monotonic()
    result = run(given.part, settings)
    result.seconds = time.monotonic() - begin
    write([result], given.result)


def run(part: str, settings: Settings) -> Result:
    """Run a part on the loop that is asked for; what it raises is a problem found."""
    module = importlib.import_module(f"soak.{part}")
    told: list[str] = []
    known = 0

    def note(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        nonlocal known
        if settings.loop == "uvloop" and context["message"] == _UVLOOP_SSL:
            known += 1
        else:
            told.append(f"the loop tells: {context['message']} ({context.get('exception')!r})")

    try:
        with asyncio.Runner(loop_factory=loop_factory(part, settings.loop)) as runner:
            runner.get_loop().set_exception_handler(note)
            result: Result = runner.run(module.run(settings))
        result.problems += told[:_MOST_TOLD]
        if known:
            result.facts[f'"{_UVLOOP_SSL}"'] = f"{known} times, see `soak.part`"
        return result
    except Exception as error:
        traceback.print_exc()
        return Result(part, part, problems=[f"it ended with {each}" for each in _single(error)])


def _single(error: BaseException) -> Iterator[str]:
    """Yield what an error, or each of a group, says."""
    if isinstance(error, BaseExceptionGroup):
        for each in error.exceptions:
            yield from _single(each)
    else:
        yield f"{type(error).__name__}: {error}"


def loop_factory(part: str, loop: str) -> Callable[[], asyncio.AbstractEventLoop]:
    """Return the maker of the loop; the virtual clock needs the stock one."""
    if loop == "asyncio" or part == "uptime":
        return asyncio.SelectorEventLoop
    import uvloop

    factory: Callable[[], asyncio.AbstractEventLoop] = uvloop.new_event_loop
    return factory


if __name__ == "__main__":
    main()
