"""Runs one coroutine on a fresh loop and finds whatever it leaves behind."""

from __future__ import annotations

import asyncio
import gc
import os
import threading
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

__all__ = ["LeakError", "LoopFactory", "open_descriptors", "run_checked"]

LoopFactory = Callable[[], asyncio.AbstractEventLoop]

SETTLE_TIMEOUT = 0.5
"""Seconds in which closed transports and servers may finish their last callbacks."""

_LOOPS = ("asyncio.", "uvloop.", "aiofastnet.")

_DESCRIPTORS = Path("/proc/self/fd")


class LeakError(AssertionError):
    """A test passed but left something behind."""


def open_descriptors() -> frozenset[str]:
    """Return what this process has open, one ``"number:target"`` each.

    It is empty where the system has no ``/proc``; the other checks still hold there.
    """
    if not _DESCRIPTORS.exists():
        return frozenset()
    found = set()
    for entry in os.listdir(_DESCRIPTORS):
        try:
            target = os.readlink(_DESCRIPTORS / entry)
        except OSError:
            continue  # The directory listing's own descriptor is closed by now.
        if "/proc/" not in target:
            found.add(f"{entry}:{target}")
    return frozenset(found)


def run_checked(
    main: Callable[[], Awaitable[None]], loop_factory: LoopFactory, *, timeout: float = 30.0
) -> None:
    """Run `main` on a loop of its own; fail when it leaves a task, socket, thread or error.

    A failing `main` raises its own exception and is not checked further: what it left behind
    is a consequence.

    Args:
        main: makes the awaitable to run.
        loop_factory: makes the event loop.
        timeout: seconds after which `main` is cancelled.

    Raises:
        LeakError: `main` passed and left something behind.
        TimeoutError: `main` took too long.
    """
    contexts: list[dict[str, Any]] = []
    threads = set(threading.enumerate())
    gc.collect()
    # What is alive now is not of this test: the collections below need not look at it again.
    gc.freeze()
    descriptors = open_descriptors()
    with asyncio.Runner(loop_factory=loop_factory, debug=False) as runner:
        runner.get_loop().set_exception_handler(lambda _, context: contexts.append(context))
        try:
            leaks = runner.run(_run_and_look(main, timeout))
        except BaseException as error:
            for context in contexts:
                error.add_note(_describe(context))
            raise
    gc.collect()
    leaks += [_describe(context) for context in contexts]
    leaks += [f"thread {each.name!r}" for each in threading.enumerate() if each not in threads]
    leaks += [f"descriptor {each}" for each in sorted(open_descriptors() - descriptors)]
    if leaks:
        raise LeakError("the test left behind: " + "; ".join(dict.fromkeys(leaks)))


async def _run_and_look(main: Callable[[], Awaitable[None]], timeout: float) -> list[str]:
    descriptors = open_descriptors()
    try:
        async with asyncio.timeout(timeout):
            await main()
    except BaseException:
        await _abort_everything()
        raise
    gc.collect()
    deadline = asyncio.get_running_loop().time() + SETTLE_TIMEOUT
    while True:
        left = [f"task {task!r}" for task in _other_tasks()]
        left += [
            f"descriptor {each}"
            for each in sorted(open_descriptors() - descriptors)
            if "socket:" in each
        ]
        if not left or asyncio.get_running_loop().time() > deadline:
            return left
        # Nothing tells when a foreign transport has gone, so this is the one place that polls.
        await asyncio.sleep(0.001)


async def _abort_everything() -> None:
    """End what a failed test left open: uvloop's `close` waits for some of it, for ever."""
    # The classes are told by their names: uvloop's do not all derive from asyncio's.
    for name, method in (("Server", "close"), ("Transport", "abort")):
        for each in gc.get_objects():
            if type(each).__name__.endswith(name) and type(each).__module__.startswith(_LOOPS):
                try:
                    getattr(each, method)()
                except (AttributeError, RuntimeError):
                    pass  # It is a helper of a transport, or its own loop has gone already.
        await asyncio.sleep(0.01)


def _other_tasks() -> set[asyncio.Task[Any]]:
    current = asyncio.current_task()
    return {task for task in asyncio.all_tasks() if task is not current}


def _describe(context: dict[str, Any]) -> str:
    exception = context.get("exception")
    return f"loop error {context.get('message')!r}" + (f" ({exception!r})" if exception else "")
