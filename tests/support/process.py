"""Starts, silences and stops the peers: servers that run in processes of their own."""

from __future__ import annotations

import importlib.util
import json
import os
import selectors
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any
from urllib.parse import urlencode

from support.unavailable import UnavailableError
from wsclient.testing.certificates import CertificateFiles

__all__ = ["PEERS", "PeerProcess", "Peers"]

TESTS = Path(__file__).resolve().parent.parent
START_TIMEOUT = 20.0
STOP_TIMEOUT = 3.0

_ALL = frozenset(
    """echo subprotocol headers close close-on-message abort push flood ping reject
    redirect unauthorized""".split()
)

PEERS: dict[str, frozenset[str]] = {
    "websockets": _ALL
    | {"drop", "fragments", "deflate", "deflate-flags", "deflate-query"}
    | {"returns-code", "returns-reason"},
    "aiohttp": _ALL | {"drop", "deflate", "deflate-flags"},
    "tornado": _ALL | {"drop", "deflate", "returns-code"},
    "picows": _ALL | {"fragments", "returns-code", "returns-reason"},
    "ws": _ALL
    | {"drop", "fragments", "deflate", "deflate-flags", "deflate-query"}
    | {"returns-code", "returns-reason"},
}
"""What each peer can do. It stands here so that no test is made which no peer could serve;
each peer says the same in its first line, and a test compares the two.

Besides the paths of the vocabulary there are: ``deflate``, it takes permessage-deflate;
``deflate-flags``, it reads parameters without a value (Tornado drops them);
``deflate-query``, its own parameters are chosen by the query; ``returns-code`` and
``returns-reason``, it answers a Close frame with the same.
"""


class PeerProcess:
    """One running peer.

    Attributes:
        name: its name in `PEERS`.
        port: where it speaks ws.
        tls_port: where it speaks wss; ``None`` when it was given no certificate.
        abilities: what it says it can do.
    """

    def __init__(self, name: str, command: Sequence[str]) -> None:
        self.name = name
        self._stderr: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115  # `stop` closes it
        self._process = subprocess.Popen(
            command,
            cwd=TESTS,
            env={**os.environ, "PYTHONPATH": str(TESTS)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._stderr,
        )
        try:
            first = self._first_line()
        except BaseException:
            self.stop()
            raise
        self.port: int = first["port"]
        self.tls_port: int | None = first.get("tls_port")
        self.abilities = frozenset(first["abilities"])

    @property
    def pid(self) -> int:
        """The process id."""
        return self._process.pid

    def url(self, path: str = "/echo", *, tls: bool = False, **query: object) -> str:
        """Return the URL of `path` with `query` behind it, where True stands for no value."""
        scheme, port = ("wss", self.tls_port) if tls else ("ws", self.port)
        text = urlencode({key: "" if value is True else value for key, value in query.items()})
        return f"{scheme}://127.0.0.1:{port}{path}" + (f"?{text}" if text else "")

    @contextmanager
    def silenced(self) -> Iterator[None]:
        """Stop the process from running, so that its sockets stay open and say nothing."""
        os.kill(self.pid, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(self.pid, signal.SIGCONT)

    def stop(self) -> None:
        """Ask it to end by closing its stdin; end it when it does not."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        try:
            self._process.wait(STOP_TIMEOUT)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process.stdout.close()
        self._stderr.close()

    def _first_line(self) -> dict[str, Any]:
        stdout = self._process.stdout
        assert stdout is not None
        line = b""
        deadline = time.monotonic() + START_TIMEOUT
        with selectors.DefaultSelector() as selector:
            selector.register(stdout, selectors.EVENT_READ)
            while not line.endswith(b"\n") and time.monotonic() < deadline:
                if selector.select(0.5):
                    chunk = os.read(stdout.fileno(), 65536)
                    if not chunk:
                        break
                    line += chunk
        if not line.endswith(b"\n"):
            self._stderr.seek(0)
            said = self._stderr.read().decode(errors="replace")[-2000:]
            raise RuntimeError(f"the peer {self.name} did not start: {said}")
        first: dict[str, Any] = json.loads(line)
        return first


class Peers:
    """All peers of a test session; each is started when first asked for."""

    def __init__(self, files: CertificateFiles) -> None:
        self._options = [
            "--cert-file",
            str(files.cert_file),
            "--key-file",
            str(files.key_file),
        ]
        self._running: dict[str, PeerProcess] = {}

    def get(self, name: str) -> PeerProcess:
        """Return the running peer.

        Raises:
            UnavailableError: what it needs is not installed.
        """
        if name not in self._running:
            command = _node_command() if name == "ws" else _python_command(name)
            self._running[name] = PeerProcess(name, [*command, *self._options])
        return self._running[name]

    def stop(self) -> None:
        """End all of them."""
        for running in self._running.values():
            running.stop()
        self._running.clear()


def _python_command(name: str) -> list[str]:
    if importlib.util.find_spec(name) is None:
        raise UnavailableError(f"{name} is not installed, so the peer {name!r} cannot run")
    return [sys.executable, "-m", f"peers.{name}_peer"]


def _node_command() -> list[str]:
    node = shutil.which("node")
    if node is None:
        raise UnavailableError("node is not installed, so the peer 'ws' cannot run")
    found = subprocess.run([node, "-e", "require('ws')"], capture_output=True, check=False)
    if found.returncode:
        raise UnavailableError("Node finds no module 'ws'; `make test` puts it on NODE_PATH")
    return [node, str(TESTS / "peers" / "ws_peer.js")]
