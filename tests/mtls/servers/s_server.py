"""openssl s_server: one process for each listener, and no WebSocket."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from mtls.launching import ChildProcess, find_program, launch
from mtls.listeners import Listener
from mtls.servers.server import RealServer

__all__ = ["OpenSSLServer"]


class OpenSSLServer(RealServer):
    """`-Verify 3 -verify_return_error`. It answers any request with HTTP 200."""

    name = "openssl s_server"
    has_plain = False
    speaks_websocket = False

    def start(self) -> None:
        """Find the program: each listener is started when it is first asked for."""
        self._children: dict[str, tuple[ChildProcess, int]] = {}
        self._program = find_program("openssl")

    def stop(self) -> None:
        """End all listeners."""
        for child, _ in self._children.values():
            child.stop()

    def port(self, listener: str) -> int:
        """Return the port of a listener that runs now."""
        if listener not in self._children:

            def configure(ports: list[int]) -> Sequence[str | Path]:
                return self.command({listener: ports[0]})

            log = self.directory / f"{listener}.log"
            child, ports = launch(f"{self.name} {listener}", 1, configure, log)
            self._children[listener] = child, ports[0]
        return self._children[listener][1]

    def said(self) -> str:
        """Return the end of what all listeners printed."""
        return "\n".join(child.said()[-500:] for child, _ in self._children.values())

    def command(self, ports: Mapping[str, int]) -> Sequence[str | Path]:
        """Return the command of one listener."""
        ((name, port),) = ports.items()
        listener = self.listeners[name]
        files = self.material.server_files(listener.certificate, listener.key_type)
        return [
            *(self._program, "s_server", "-www", "-accept", f"127.0.0.1:{port}"),
            *("-cert", files.certificate, "-key", files.key),
            # `-CRL` reads the first list of a file only.
            *("-CAfile", self.material.client_ca_and_crl_file, "-crl_check_all"),
            *("-Verify" if listener.verify == "require" else "-verify", "3"),
            "-verify_return_error",
            *self._restrictions(listener),
        ]

    def _restrictions(self, listener: Listener) -> list[str]:
        found = []
        if listener.maximum == "1.2":
            found.append("-tls1_2")
        if listener.minimum == "1.3":
            found.append("-tls1_3")
        if listener.cipher:
            found += ["-cipher", listener.cipher]
        return found
