"""All that runs during the matrix: servers, an echo server behind them, and proxies."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Final

from mtls.material import Material
from mtls.servers import SERVERS, RealServer
from support.process import PeerProcess
from support.unavailable import UnavailableError
from wsclient import TLSConfig
from wsclient.testing.certificates import CertificateAuthority

__all__ = ["ROUTES", "Bench"]

ROUTES: Final = ("direct", "http proxy", "https proxy")


class Bench:
    """The processes of a test session; each server is started when first asked for.

    Attributes:
        material: the certificates.
        proxy_tls: how to do TLS with the https proxy.

    Args:
        directory: files of all of them go below it.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        (directory / "certificates").mkdir()
        self.material = Material(directory / "certificates")
        proxy_ca = CertificateAuthority("Matrix Proxy Root")
        files = proxy_ca.server_certificate().write(directory, "proxy")
        self.proxy_tls = TLSConfig(cadata=proxy_ca.certificate_pem)
        self._servers: dict[str, RealServer | UnavailableError] = {}
        python = [sys.executable, "-m"]
        options = ["--cert-file", str(files.cert_file), "--key-file", str(files.key_file)]
        self._backend = PeerProcess("websockets", [*python, "peers.websockets_peer"])
        try:
            self._proxies = PeerProcess("proxies", [*python, "mtls.proxy_process", *options])
        except BaseException:
            self._backend.stop()
            raise

    def server(self, name: str) -> RealServer:
        """Return a running server.

        Args:
            name: one of `SERVERS`.

        Raises:
            UnavailableError: it is not installed.
            RuntimeError: it does not start.
        """
        if name not in self._servers:
            directory = self._directory / name.replace(" ", "-")
            directory.mkdir()
            server = SERVERS[name](self.material, self._backend.port, directory)
            try:
                server.start()
            except UnavailableError as error:
                self._servers[name] = error
            else:
                self._servers[name] = server
        found = self._servers[name]
        if isinstance(found, UnavailableError):
            raise found
        return found

    def proxy(self, route: str) -> str | None:
        """Return the URL of the proxy of one of `ROUTES`; ``None`` for a direct connection."""
        if route == "direct":
            return None
        if route == "http proxy":
            return f"http://127.0.0.1:{self._proxies.port}"
        return f"https://127.0.0.1:{self._proxies.tls_port}"

    def stop(self) -> None:
        """End all processes."""
        for each in self._servers.values():
            if isinstance(each, RealServer):
                each.stop()
        self._proxies.stop()
        self._backend.stop()
