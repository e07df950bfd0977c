"""Runs the targets under atheris: ``python -m fuzzing.run [--seconds 60] [TARGET ...]``.

Each target runs in a process of its own. It begins with the seeds of the repository, those that
are made anew, and what earlier runs have found. It exits with 0 when no promise was broken. It
does so, too, when atheris is not installed and CI does not insist on it. Corpus, logs and crashes
are left in ``build/fuzz``; ``python -m fuzzing.replay TARGET FILE`` repeats a crash.
"""

from __future__ import annotations

import argparse
import asyncio
import importlib.util
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from conformance.processes import running
from fuzzing.made_seeds import write_made_seeds
from fuzzing.registry import ROOT, TARGETS, Target, named_target
from fuzzing.results import Outcome, excerpt, read_log, table
from support.unavailable import UnavailableError

__all__ = ["command_for", "main"]

_MEMORY: Final = 2048
"""MB that one target may take."""
_SLOWEST: Final = 20
"""Seconds that one input may take, on a machine with much else to do."""
_GRACE: Final = 120.0
"""Seconds for starting and for the input that is being run at the end."""
_INTERRUPTED: Final = 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what the command line asks for; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m fuzzing.run")
    known = ", ".join(each.name for each in TARGETS)
    parser.add_argument("targets", nargs="*", help=f"all unless some are named: {known}")
    parser.add_argument("--seconds", type=_positive, default=60, help="for each target")
    parser.add_argument("--jobs", type=_positive, default=2, help="processes at a time")
    given = parser.parse_args(arguments)
    try:
        targets = [named_target(name) for name in given.targets] or list(TARGETS)
    except ValueError as error:
        parser.error(str(error))
    try:
        _look_for_atheris()
    except UnavailableError as error:
        print(f"==> Fuzzing is {'not done' if error.required else 'skipped'}: {error}")
        return int(error.required)
    try:
        outcomes = asyncio.run(_fuzz(targets, given.seconds, given.jobs))
    except KeyboardInterrupt:
        print("interrupted; every process has ended", file=sys.stderr)
        return _INTERRUPTED
    return _conclude(outcomes)


def _positive(text: str) -> int:
    if int(text) < 1:
        raise ValueError
    return int(text)


def _look_for_atheris() -> None:
    if importlib.util.find_spec("atheris") is None:
        raise UnavailableError("atheris is not installed; it has wheels for some Pythons only")


async def _fuzz(targets: Sequence[Target], seconds: int, jobs: int) -> list[Outcome]:
    """Run targets, some at a time; return what came of them, in their order."""
    places = asyncio.Semaphore(jobs)

    async def one(target: Target) -> Outcome:
        async with places:
            print(f"==> {target.name}: {target.about} ({seconds} s)", flush=True)
            return await _fuzz_one(target, seconds)

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(one(target)) for target in targets]
    return [task.result() for task in tasks]


async def _fuzz_one(target: Target, seconds: int) -> Outcome:
    corpus, made, crashes = (target.folder / name for name in ("corpus", "made", "crashes"))
    for folder in (corpus, crashes):
        folder.mkdir(parents=True, exist_ok=True)
    write_made_seeds(target.name, made)
    before = set(crashes.iterdir())
    log = target.folder / "log.txt"
    path = os.pathsep.join(filter(None, [str(ROOT / "tests"), os.environ.get("PYTHONPATH")]))
    command = command_for(target, seconds, [corpus, made, target.seeds])
    problem = ""
    async with running(command, env={**os.environ, "PYTHONPATH": path}, log=log) as process:
        try:
            async with asyncio.timeout(seconds + _GRACE):
                await process.wait()
        except TimeoutError:
            problem = f"{target.name} did not end; see {log}"
    text = log.read_text(encoding="utf-8", errors="replace")
    outcome = read_log(target.name, text, sorted(set(crashes.iterdir()) - before))
    if process.returncode and not outcome.crashes:
        problem = problem or f"{target.name} ended with {process.returncode}; see {log}"
    outcome.problem = problem
    return outcome


def command_for(target: Target, seconds: int, folders: Sequence[Path]) -> list[str]:
    """Return the command that runs a target.

    Args:
        target: which.
        seconds: how long.
        folders: of inputs; the first one takes what is found. Those that do not exist are left
            out.
    """
    crashes = target.folder / "crashes"
    flags = [
        f"-max_total_time={seconds}",
        f"-max_len={target.max_len}",
        f"-timeout={_SLOWEST}",
        f"-rss_limit_mb={_MEMORY}",
        f"-artifact_prefix={crashes}{os.sep}",
        "-print_final_stats=1",
    ]
    if target.dictionary.exists():
        flags.append(f"-dict={target.dictionary}")
    existing = [str(folder) for folder in folders if folder.is_dir()]
    return [sys.executable, "-m", "fuzzing.worker", target.name, *flags, *existing]


def _conclude(outcomes: Sequence[Outcome]) -> int:
    """Print what came of the targets; return the exit code."""
    print(table(outcomes))
    for outcome in outcomes:
        if outcome.good:
            continue
        log = named_target(outcome.target).folder / "log.txt"
        print(f"\n==> {outcome.target}\n{excerpt(log.read_text(errors='replace'))}")
        for crash in outcome.crashes:
            print(f"again: python -m fuzzing.replay {outcome.target} {crash}")
        if outcome.problem:
            print(outcome.problem)
    good = all(outcome.good for outcome in outcomes)
    print(f"==> {'No promise was broken' if good else 'NOT as promised'}")
    return int(not good)


if __name__ == "__main__":
    sys.exit(main())
