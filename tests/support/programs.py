"""Programs that run in processes of their own, forked from one that has imported wsclient.

To start Python and to import wsclient takes half a second of CPU, and to fork some milliseconds.
A fork begins without an event loop, ends as every Python ends, and leaves nothing to the next.
"""

from __future__ import annotations

import json
import os
import re
import select
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

__all__ = ["SLOW_CALLBACK", "Programs", "programs"]

SLOW_CALLBACK = re.compile(r"^Executing <.* took \d+\.\d+ seconds\n", re.MULTILINE)
"""What asyncio's debug mode, a part of ``-X dev``, says on a machine that is busy."""

# The fork goes on behind the loop, so that nothing but the program is there when it ends.
_FORKING = """
import asyncio, gc, json, os, sys, types
import wsclient, wsclient.testing
try:
    import uvloop
except ImportError:
    pass
while line := sys.stdin.readline():
    child = os.fork()
    if not child:
        break
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
else:
    sys.exit()
job = json.loads(line)
for number, name in enumerate((os.devnull, job["stdout"], job["stderr"])):
    opened = os.open(name, os.O_RDWR)
    os.dup2(opened, number)
    os.close(opened)
os.chdir(job["folder"])
os.environ.clear()
os.environ.update(job["environment"])
sys.argv[1:] = job["arguments"]
main = sys.modules["__main__"] = types.ModuleType("__main__")
code = compile(job["source"], job["name"], "exec", dont_inherit=True)
del job, line, number, name, opened, child
exec(code, vars(main))
"""


class Programs:
    """Runs programs, one at a time, in forks of `process`."""

    def __init__(self, process: subprocess.Popen[str], folder: Path) -> None:
        self._process = process
        self._files = {name: folder / name for name in ("stdout", "stderr")}

    def run(
        self,
        source: str,
        *arguments: str,
        name: str = "<program>",
        folder: Path | None = None,
        timeout: float = 20.0,
        **environment: str,
    ) -> subprocess.CompletedProcess[str]:
        """Run a program to its end.

        Args:
            source: the program.
            arguments: of its command line.
            name: its file, for tracebacks and `inspect`.
            folder: in which it runs.
            timeout: seconds that it may take.
            environment: variables besides those of this process.

        Raises:
            subprocess.TimeoutExpired: it took longer; no other program can be run then.
        """
        for file in self._files.values():
            file.write_text("")
        job = {
            "source": source,
            "name": name,
            "arguments": arguments,
            "folder": str(folder or Path.cwd()),
            "environment": {**os.environ, **environment},
            **{kind: str(file) for kind, file in self._files.items()},
        }
        stdin, stdout = _pipes(self._process)
        stdin.write(json.dumps(job) + "\n")
        stdin.flush()
        if not select.select([stdout], [], [], timeout)[0]:
            os.killpg(self._process.pid, signal.SIGKILL)
            raise subprocess.TimeoutExpired(name, timeout)
        answer = stdout.readline()
        said = {kind: file.read_text(encoding="utf-8") for kind, file in self._files.items()}
        assert answer, f"the process that forks has ended: {said['stderr']}"
        return subprocess.CompletedProcess([name, *arguments], int(answer), **said)


def _pipes(process: subprocess.Popen[str]) -> tuple[IO[str], IO[str]]:
    assert process.stdin is not None and process.stdout is not None
    return process.stdin, process.stdout


@contextmanager
def programs(*options: str) -> Iterator[Programs]:
    """Start the process that forks, and end it with the block.

    Args:
        options: of Python, for all programs.
    """
    with tempfile.TemporaryDirectory() as folder:
        process = subprocess.Popen(
            [sys.executable, "-P", *options, "-c", _FORKING],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        try:
            yield Programs(process, Path(folder))
        finally:
            for pipe in _pipes(process):
                pipe.close()
            process.wait(10)
