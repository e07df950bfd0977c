"""Starts the client's process, and hands it one attack after the other."""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from house.checkout import ROOT
from support.unavailable import UnavailableError

__all__ = ["Result", "Victims"]

_TESTS = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Result:
    """What came of one attack.

    Attributes:
        outcome: in the words of the table.
        peak: bytes by which the process had grown at its largest.
        seconds: from the call of `websocket_connect` to the end.
        cpu: seconds of computing in it.
        messages: how many the application has got.
        size: their size, in bytes or characters; or that of the body in the error.
        lines: texts of one line that a person may see: errors, hints, log lines.
        tracebacks: texts of many lines.
        left: tasks, sockets and errors of the loop that were left.
    """

    outcome: str
    peak: int = 0
    seconds: float = 0.0
    cpu: float = 0.0
    messages: int = 0
    size: int = 0
    lines: list[str] = field(default_factory=list)
    tracebacks: list[str] = field(default_factory=list)
    left: list[str] = field(default_factory=list)


class Victims:
    """A running process that forks a client for each attack.

    Raises:
        UnavailableError: this system does not tell the peak of a process's memory.
    """

    def __init__(self) -> None:
        if not Path("/proc/self/clear_refs").exists():
            raise UnavailableError("peak memory is read from /proc, which this system lacks")
        self._stderr: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115  # `stop` closes it
        path = os.pathsep.join([str(_TESTS), *filter(None, [os.environ.get("PYTHONPATH")])])
        self._process = subprocess.Popen(
            [sys.executable, "-m", "robustness.hostile.victim"],
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": path},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._stderr,
        )

    def attack(self, job: dict[str, Any]) -> Result:
        """Have a fresh client do a job, and wait for what came of it."""
        stdin, stdout = self._process.stdin, self._process.stdout
        assert stdin is not None
        assert stdout is not None
        self._stderr.seek(0)
        self._stderr.truncate()
        stdin.write(json.dumps(job).encode() + b"\n")
        stdin.flush()
        ready, _, _ = select.select([stdout], [], [], job["limit"] + 10)
        line = stdout.readline() if ready else b""
        if not line:
            return Result(f"no answer; it said: {self._said()}")
        result = Result(**json.loads(line))
        return result if result.lines else Result(f"{result.outcome}: {self._said()}")

    def _said(self) -> str:
        self._stderr.seek(0)
        return self._stderr.read().decode(errors="replace")[-2000:]

    def stop(self) -> None:
        """End the process; a client that still runs is ended by its own alarm."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process.stdout.close()
        self._stderr.close()
