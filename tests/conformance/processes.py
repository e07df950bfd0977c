"""Processes that end with the block that started them, whatever ends the block."""

from __future__ import annotations

import asyncio
import os
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

__all__ = ["ProcessError", "own_environment", "read_port", "running"]

_START_TIMEOUT = 20.0  # seconds
_END_TIMEOUT = 10.0  # seconds


class ProcessError(Exception):
    """A process did not do what it was started for."""


def own_environment() -> dict[str, str]:
    """Return the environment variables for a program of this folder."""
    tests = str(Path(__file__).resolve().parents[1])
    path = os.pathsep.join(filter(None, [tests, os.environ.get("PYTHONPATH")]))
    return {**os.environ, "PYTHONPATH": path}


@asynccontextmanager
async def running(
    command: Sequence[str], *, env: Mapping[str, str], log: Path, stdin: bool = False
) -> AsyncIterator[Process]:
    """Start a process, and end it on leaving the block unless it has ended.

    Args:
        command: the program and its arguments.
        env: all environment variables it gets.
        log: the file that its stderr goes to.
        stdin: give it a pipe as stdin, which is closed before anything harder is done. Without
            it, stdin is empty.
    """
    with log.open("wb") as stderr:
        process = await asyncio.create_subprocess_exec(
            *command,
            env=env,
            stdin=PIPE if stdin else DEVNULL,
            stdout=PIPE,
            stderr=stderr,
        )
        try:
            yield process
        finally:
            await _end(process)


async def _end(process: Process) -> None:
    """End a process: first as it likes, then as it must."""
    try:
        if process.stdin is not None:
            process.stdin.close()
            if await _has_ended(process):
                return
        if process.returncode is None:
            process.terminate()
            await _has_ended(process)
    finally:
        # Also when a second interruption comes while we wait.
        if process.returncode is None:
            process.kill()
            await process.wait()


async def _has_ended(process: Process) -> bool:
    try:
        async with asyncio.timeout(_END_TIMEOUT):
            await process.wait()
    except TimeoutError:
        return False
    return True


async def read_port(process: Process, log: Path) -> int:
    """Read the line that a server prints when it listens: its port.

    Raises:
        ProcessError: it does not come, or is no number; `log` says why.
    """
    assert process.stdout is not None
    try:
        async with asyncio.timeout(_START_TIMEOUT):
            return int(await process.stdout.readline())
    except (TimeoutError, ValueError):
        raise ProcessError(f"the server did not start; see {log}") from None
