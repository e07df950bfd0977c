"""Runs the works: one server, and a fresh process for each measurement."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from benchmarks.entrants import ENTRANTS, Entrant
from benchmarks.job import Job, Outcome
from benchmarks.works import Work
from wsclient.testing import CertificateAuthority

__all__ = ["MeasuringError", "Server", "job_of", "measure_once", "rounds", "serving"]

_LAUNCH: Final = str(Path(__file__).with_name("launch.py"))

_TIMEOUT: Final = 120.0
"""Seconds that one measurement may take; it takes one or two."""


class MeasuringError(Exception):
    """A client's process ended without a result."""


@dataclass(frozen=True)
class Server:
    """Where the server listens.

    Attributes:
        origins: by scheme.
        ca_file: what to trust.
        core: the CPU on which it runs, and the clients as well.
        spin: seconds of `speed.spin` there at full speed; 0 measures at any speed.
    """

    origins: Mapping[str, str]
    ca_file: str
    core: int | None
    spin: float = 0.0


def _environment(more: Sequence[tuple[str, str]] = ()) -> dict[str, str]:
    """Let a process import what this one would, from the same places."""
    return {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
        "PYTHONSAFEPATH": "1",
        **dict(more),
    }


@contextlib.contextmanager
def serving(core: int | None) -> Iterator[Server]:
    """Run the server until the block is left.

    Args:
        core: the CPU to run on, ``None`` for any.

    Raises:
        MeasuringError: it did not start.
    """
    authority = CertificateAuthority("Benchmarks")
    with tempfile.TemporaryDirectory() as folder:
        files = authority.server_certificate().write(Path(folder), "server")
        command = [sys.executable, _LAUNCH, "benchmarks.server"]
        command += ["--cert-file", str(files.cert_file), "--key-file", str(files.key_file)]
        command += ["--core", str(core)] if core is not None else []
        process = subprocess.Popen(
            command,
            env=_environment(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            line = process.stdout.readline()
            if not line:
                raise MeasuringError("the server did not start")
            ports = json.loads(line)
            origins = {name: f"{name}://127.0.0.1:{port}" for name, port in ports.items()}
            yield Server(origins, str(files.ca_file), core)
        finally:
            process.stdin.close()
            process.wait(timeout=10)
            process.stdout.close()


def job_of(work: Work, server: Server, *, seconds: float = 0.0, count: int = 0) -> Job:
    """Return what a client is to do.

    Args:
        work: the work.
        server: with whom.
        seconds: CPU that it should take, 0 for what the work says.
        count: messages, connects or connections, 0 for as many as take `seconds`.
    """
    job = Job(
        work.kind,
        origin=server.origins["wss" if work.options.get("secure") else "ws"],
        ca_file=server.ca_file,
        core=server.core,
        spin=server.spin,
        **work.options,
    )
    if seconds:
        job = replace(job, seconds=seconds)
    return replace(job, count=count) if count else job


def measure_once(
    work: Work, entrant: Entrant, server: Server, *, seconds: float = 0.0, count: int = 0
) -> Outcome:
    """Do a work once, in a process of its own.

    Args:
        work: the work.
        entrant: who does it.
        server: with whom.
        seconds: see `job_of`.
        count: see `job_of`.

    Raises:
        MeasuringError: it came to nothing.
    """
    job = job_of(work, server, seconds=seconds, count=count)
    command = [sys.executable, _LAUNCH, "benchmarks.client", entrant.name, job.to_json()]
    try:
        ended = subprocess.run(
            command,
            env=_environment(entrant.environment),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_TIMEOUT,
            check=True,
        )
    except subprocess.TimeoutExpired as error:
        raise MeasuringError(f"{work.name}, {entrant.name}: it hangs") from error
    except subprocess.CalledProcessError as error:
        raise MeasuringError(f"{work.name}, {entrant.name}: {error.stderr[-2000:]}") from error
    return Outcome.from_json(ended.stdout)


def rounds(
    work: Work, names: Sequence[str], server: Server, number: int, *, seconds: float = 0.0
) -> Iterator[tuple[str, Outcome]]:
    """Do a work many times, everybody in turn; each second round is the other way round.

    Args:
        work: the work.
        names: of the entrants.
        server: with whom.
        number: how often each entrant does it.
        seconds: see `measure_once`.

    Raises:
        MeasuringError: one of them came to nothing.
    """
    for index in range(number):
        for name in names if index % 2 == 0 else reversed(names):
            yield name, measure_once(work, ENTRANTS[name], server, seconds=seconds)
