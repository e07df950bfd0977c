"""nginx: it refuses client certificates in HTTP, not in TLS."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from mtls.launching import find_program
from mtls.listeners import Listener
from mtls.servers.server import RealServer

__all__ = ["Nginx"]

_FRAME = """
daemon off;
master_process off;
pid {directory}/nginx.pid;
error_log stderr warn;
events {{ worker_connections 1024; }}
http {{
    access_log off;
    client_body_temp_path {directory}/body;
    proxy_temp_path {directory}/proxy;
    fastcgi_temp_path {directory}/fastcgi;
    uwsgi_temp_path {directory}/uwsgi;
    scgi_temp_path {directory}/scgi;
    {servers}
}}
"""

_LOCATION = """
        location / {{
            proxy_pass http://127.0.0.1:{backend};
            proxy_http_version 1.1;
            proxy_set_header Upgrade $http_upgrade;
            proxy_set_header Connection "upgrade";
        }}
    }}
"""


class Nginx(RealServer):
    """`ssl_verify_client on`."""

    name = "nginx"

    def command(self, ports: Mapping[str, int]) -> Sequence[str | Path]:
        """Write the configuration and return the command."""
        program = find_program("nginx")
        blocks = [self._block(self.listeners[name], port) for name, port in ports.items()]
        text = _FRAME.format(directory=self.directory, servers="".join(blocks))
        config = self.write("nginx.conf", text)
        return [program, "-p", self.directory, "-e", "stderr", "-c", config]

    def _block(self, listener: Listener, port: int) -> str:
        location = _LOCATION.format(backend=self.backend_port)
        if not listener.tls:
            return f"    server {{\n        listen 127.0.0.1:{port};\n{location}"
        files = self.material.server_files(listener.certificate, listener.key_type)
        protocols = " ".join(f"TLSv{each}" for each in self.versions(listener))
        verify = "on" if listener.verify == "require" else "optional"
        lines = [
            "server {",
            f"listen 127.0.0.1:{port} ssl;",
            f"ssl_certificate {files.certificate};",
            f"ssl_certificate_key {files.key};",
            f"ssl_client_certificate {self.material.client_ca_file};",
            f"ssl_crl {self.material.client_crl_file};",
            f"ssl_verify_client {verify};",
            "ssl_verify_depth 3;",
            f"ssl_protocols {protocols};",
        ]
        if listener.cipher:
            lines.append(f"ssl_ciphers {listener.cipher};")
        return "\n".join(lines) + location
