"""stunnel: OpenSSL, alerts, and TCP is closed in a hurry."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from mtls.launching import find_program
from mtls.listeners import Listener
from mtls.servers.server import RealServer

__all__ = ["Stunnel"]

_FRAME = """
foreground = yes
pid =
debug = warning
"""


class Stunnel(RealServer):
    """`verifyChain = yes` with `requireCert = yes`."""

    name = "stunnel"
    has_plain = False

    def command(self, ports: Mapping[str, int]) -> Sequence[str | Path]:
        """Write the configuration and return the command."""
        program = find_program("stunnel4", "stunnel")
        services = [self._service(self.listeners[name], port) for name, port in ports.items()]
        return [program, self.write("stunnel.conf", _FRAME + "\n".join(services))]

    def _service(self, listener: Listener, port: int) -> str:
        files = self.material.server_files(listener.certificate, listener.key_type)
        lines = [
            f"[{listener.name}]",
            f"accept = 127.0.0.1:{port}",
            f"connect = 127.0.0.1:{self.backend_port}",
            f"cert = {files.certificate}",
            f"key = {files.key}",
            f"CAfile = {self.material.client_ca_file}",
            f"CRLfile = {self.material.client_crl_file}",
            "verifyChain = yes",
            f"requireCert = {'yes' if listener.verify == 'require' else 'no'}",
            f"sslVersionMin = TLSv{listener.minimum}",
            f"sslVersionMax = TLSv{listener.maximum}",
        ]
        if listener.cipher:
            lines.append(f"ciphers = {listener.cipher}")
        return "\n".join(lines) + "\n"
