"""HAProxy: OpenSSL, alerts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from mtls.launching import find_program
from mtls.listeners import Listener
from mtls.servers.server import RealServer

__all__ = ["HAProxy"]

_FRAME = """
global
    maxconn 1000
defaults
    mode http
    timeout connect 5s
    timeout client 30s
    timeout server 30s
    timeout tunnel 60s
backend echo
    server echo 127.0.0.1:{backend}
{frontends}
"""


class HAProxy(RealServer):
    """`verify required`."""

    name = "HAProxy"

    def command(self, ports: Mapping[str, int]) -> Sequence[str | Path]:
        """Write the configuration and return the command."""
        program = find_program("haproxy")
        frontends = [self._frontend(self.listeners[name], port) for name, port in ports.items()]
        text = _FRAME.format(backend=self.backend_port, frontends="\n".join(frontends))
        return [program, "-db", "-f", self.write("haproxy.cfg", text)]

    def _frontend(self, listener: Listener, port: int) -> str:
        bind = f"bind 127.0.0.1:{port}"
        if listener.tls:
            files = self.material.server_files(listener.certificate, listener.key_type)
            verify = "required" if listener.verify == "require" else "optional"
            bind += (
                f" ssl crt {files.both} verify {verify} ca-file {self.material.client_ca_file}"
                f" crl-file {self.material.client_crl_file}"
                f" ssl-min-ver TLSv{listener.minimum} ssl-max-ver TLSv{listener.maximum}"
            )
        if listener.cipher:
            bind += f" ciphers {listener.cipher}"
        return f"frontend {listener.name}\n    {bind}\n    default_backend echo\n"
