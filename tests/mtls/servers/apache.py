"""Apache: client certificates for a whole host, or for one path after the handshake."""

from __future__ import annotations

import grp
import os
import pwd
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar

from mtls.launching import find_program
from mtls.listeners import Listener
from mtls.servers.server import RealServer
from support.unavailable import UnavailableError

__all__ = ["Apache", "ApacheLocation"]

_MODULES = ("mpm_event", "authz_core", "ssl", "proxy", "proxy_http")
_PLACES = (Path("/usr/lib/apache2/modules"), Path("/usr/lib64/httpd/modules"))

_FRAME = """
ServerRoot {directory}
DefaultRuntimeDir {directory}
PidFile {directory}/apache.pid
ServerName localhost
ErrorLog /dev/stderr
LogLevel warn
Mutex pthread
StartServers 1
MinSpareThreads 25
MaxSpareThreads 75
ThreadsPerChild 50
MaxRequestWorkers 50
SSLSessionCache none
"""


class Apache(RealServer):
    """`SSLVerifyClient require` of a virtual host."""

    name = "Apache"
    in_location: ClassVar[bool] = False

    def command(self, ports: Mapping[str, int]) -> Sequence[str | Path]:
        """Write the configuration and return the command."""
        program = find_program("apache2", "httpd")
        place = next((each for each in _PLACES if each.is_dir()), None)
        if place is None:
            raise UnavailableError("Apache's modules are not where they usually are")
        lines = [f"LoadModule {each}_module {place}/mod_{each}.so" for each in _MODULES]
        lines.append(_FRAME.format(directory=self.directory))
        if os.geteuid() == 0:
            # It refuses to serve as root.
            group = grp.getgrgid(pwd.getpwnam("nobody").pw_gid).gr_name
            lines += ["User nobody", f"Group {group}"]
        for name, port in ports.items():
            lines += self._host(self.listeners[name], port)
        config = self.write("apache.conf", "\n".join(lines) + "\n")
        return [program, "-D", "FOREGROUND", "-f", config]

    def _host(self, listener: Listener, port: int) -> list[str]:
        lines = [f"Listen 127.0.0.1:{port}", f"<VirtualHost 127.0.0.1:{port}>"]
        lines.append(f"ProxyPass / http://127.0.0.1:{self.backend_port}/ upgrade=websocket")
        if listener.tls:
            lines += self._tls(listener)
        return [*lines, "</VirtualHost>"]

    def _tls(self, listener: Listener) -> list[str]:
        files = self.material.server_files(listener.certificate, listener.key_type)
        verify = f"SSLVerifyClient {listener.verify}"
        lines = [
            "SSLEngine on",
            f"SSLCertificateFile {files.certificate}",
            f"SSLCertificateKeyFile {files.key}",
            f"SSLCACertificateFile {self.material.client_ca_file}",
            f"SSLCARevocationFile {self.material.client_crl_file}",
            "SSLCARevocationCheck chain",
            "SSLVerifyDepth 3",
            "SSLProtocol -all " + " ".join(f"+TLSv{each}" for each in self.versions(listener)),
        ]
        if listener.cipher:
            lines.append(f"SSLCipherSuite {listener.cipher}")
        if self.in_location:
            return [*lines, "<Location />", verify, "</Location>"]
        return [*lines, verify]


class ApacheLocation(Apache):
    """`SSLVerifyClient require` of a path: it renegotiates, or asks after the handshake."""

    name = "Apache Location"
    in_location = True
