"""What all servers of the matrix have in common."""

from __future__ import annotations

import abc
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar

from mtls.launching import ChildProcess, launch
from mtls.listeners import Listener, all_listeners
from mtls.material import KEY_TYPES, Material
from wsclient.testing.certificates import KeyType

__all__ = ["RealServer"]


class RealServer(abc.ABC):
    """A server in a process of its own, with many listeners and an echo server behind it.

    Attributes:
        name: what the tables call it.
        path: of the URL where a client certificate is asked for.
        key_types: of its own keys.
        has_crl: whether it can look at a list of revoked clients.
        has_plain: whether it can speak plain HTTP.
        speaks_websocket: ``False`` when it answers any request with HTTP 200.

    Args:
        material: the certificates.
        backend_port: where the echo server speaks plain WebSocket.
        directory: its own, empty; configuration and logs go there.
    """

    name: ClassVar[str]
    path: ClassVar[str] = "/echo"
    key_types: ClassVar[Sequence[KeyType]] = KEY_TYPES
    has_crl: ClassVar[bool] = True
    has_plain: ClassVar[bool] = True
    speaks_websocket: ClassVar[bool] = True

    def __init__(self, material: Material, backend_port: int, directory: Path) -> None:
        self.material = material
        self.backend_port = backend_port
        self.directory = directory
        self.listeners = {
            each.name: each for each in all_listeners(self.key_types) if each.tls or self.has_plain
        }
        self._ports: dict[str, int] = {}
        self._child: ChildProcess | None = None

    @abc.abstractmethod
    def command(self, ports: Mapping[str, int]) -> Sequence[str | Path]:
        """Write the configuration and return the command that starts the server.

        Args:
            ports: by the names of the listeners.

        Raises:
            UnavailableError: it is not installed.
        """

    def environment(self) -> dict[str, str]:
        """Return the environment variables that it needs."""
        return {}

    def start(self) -> None:
        """Start it, and wait until all its listeners accept connections.

        Raises:
            UnavailableError: it is not installed.
            RuntimeError: it does not start.
        """
        names = list(self.listeners)

        def configure(ports: list[int]) -> Sequence[str | Path]:
            return self.command(dict(zip(names, ports, strict=True)))

        self._child, ports = launch(
            self.name, len(names), configure, self.directory / "output.log", self.environment()
        )
        self._ports = dict(zip(names, ports, strict=True))

    def stop(self) -> None:
        """End it."""
        if self._child is not None:
            self._child.stop()

    def port(self, listener: str) -> int:
        """Return the port of a listener."""
        return self._ports[listener]

    def said(self) -> str:
        """Return the end of what it printed, for failure reports."""
        return "" if self._child is None else self._child.said()

    def write(self, name: str, content: str) -> Path:
        """Write a file into its directory."""
        path = self.directory / name
        path.write_text(content, encoding="utf-8")
        return path

    def versions(self, listener: Listener) -> tuple[str, ...]:
        """Return the versions of TLS that a listener speaks, such as ``("1.2", "1.3")``."""
        return tuple(
            each for each in ("1.2", "1.3") if listener.minimum <= each <= listener.maximum
        )
