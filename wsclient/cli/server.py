"""The servers that the demo talks to, made of the test kit."""

from __future__ import annotations

import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path

from wsclient.testing import (
    CertificateAuthority,
    CertificateFiles,
    EchoHandler,
    ThreadedTLSServer,
    WebSocketServerConnection,
    WebSocketTestServer,
)

__all__ = ["MutualTLSServer", "mutual_tls_server", "serve"]


@asynccontextmanager
async def serve() -> AsyncIterator[str]:
    """Serve on a free port of the loopback interface, within the running event loop.

    ``/echo`` sends every message back, and knows the subprotocol ``chat.v1``. ``/restart``
    closes with 1012 and a reason. ``/crash`` drops the connection without a word.

    Yields:
        the start of its URLs, such as ``"ws://127.0.0.1:50112"``.
    """
    routes = [("/echo", _Echo), ("/restart", _restart), ("/crash", _crash)]
    async with WebSocketTestServer(routes) as server:
        yield server.url.rstrip("/")


class _Echo(EchoHandler):
    def select_subprotocol(self, subprotocols: list[str]) -> str | None:
        return "chat.v1" if "chat.v1" in subprotocols else None


async def _restart(connection: WebSocketServerConnection) -> None:
    await connection.close(1012, "new version")


async def _crash(connection: WebSocketServerConnection) -> None:
    connection.abort()


@dataclass(frozen=True)
class MutualTLSServer:
    """A server that requires client certificates, and files with one that it accepts.

    Attributes:
        url: of the server, such as ``"wss://localhost:50112/"``.
        cert_file: the client's certificate.
        key_file: its private key.
        ca_file: the authority of both sides.
    """

    url: str
    cert_file: Path
    key_file: Path
    ca_file: Path
    _authority: CertificateAuthority
    _files: CertificateFiles

    def replace_files(self) -> None:
        """Put a new certificate and a new key in the place of the client's."""
        self._files.replace(self._authority.client_certificate("demo"))


@contextmanager
def mutual_tls_server() -> Iterator[MutualTLSServer]:
    """Make an authority and serve over TLS in threads, so that refusals are told by alerts."""
    authority = CertificateAuthority("Demo")
    context = authority.server_certificate("localhost").server_context(client_ca=authority)
    with tempfile.TemporaryDirectory() as directory, ThreadedTLSServer(context) as server:
        files = authority.client_certificate("demo").write(directory)
        url = f"wss://localhost:{server.port}/"
        names = files.cert_file, files.key_file, files.ca_file
        yield MutualTLSServer(url, *names, authority, files)
