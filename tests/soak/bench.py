"""What the parts of the soak share: a server process, certificates, and lines of progress."""

from __future__ import annotations

import contextlib
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from support.process import PeerProcess
from wsclient import TLSConfig
from wsclient.testing import CertificateAuthority

__all__ = ["Bench", "Progress", "Settings", "SoakError", "bench"]

_EVERY: Final = 5.0  # seconds between lines


class SoakError(Exception):
    """Something came out otherwise than it must."""


@dataclass(frozen=True)
class Settings:
    """How a part is to be run.

    Attributes:
        loop: ``"asyncio"`` or ``"uvloop"``.
        short: do less, for a machine that tests every change.
        variant: which of the part's variants, empty when there is but one.
    """

    loop: str
    short: bool
    variant: str = ""


@dataclass(frozen=True)
class Bench:
    """A server process, and TLS with it.

    Attributes:
        server: the process.
        tls: trusts it.
        mutual: shows it a certificate, too.
        distrustful: does not trust it.
    """

    server: PeerProcess
    tls: TLSConfig
    mutual: TLSConfig
    distrustful: TLSConfig

    def url(self, path: str, *, secure: bool = False) -> str:
        """Return the URL of a path of the server."""
        return self.server.url(path, tls=secure)


@contextlib.contextmanager
def bench() -> Iterator[Bench]:
    """Run the server until the block is left."""
    authority = CertificateAuthority("Soak")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        served = authority.server_certificate().write(folder, "server")
        shown = authority.client_certificate("soak").write(folder, "client")
        options = ["--cert-file", served.cert_file, "--key-file", served.key_file]
        options += ["--client-ca-file", served.ca_file]
        command = [sys.executable, "-m", "soak.server", *map(str, options)]
        process = PeerProcess("soak", command)
        try:
            yield Bench(
                process,
                tls=TLSConfig(cadata=authority.certificate_pem),
                mutual=TLSConfig(
                    cadata=authority.certificate_pem, cert=(shown.cert_file, shown.key_file)
                ),
                distrustful=TLSConfig(cadata=CertificateAuthority("Another").certificate_pem),
            )
        finally:
            process.stop()


class Progress:
    """Print a line every few seconds, from a thread, so that no timer of the loop is needed.

    Attributes:
        done: how much has been done; set it.

    Args:
        part: the part's name.
        total: how much there is to do.
        unit: of what.
    """

    def __init__(self, part: str, total: float, unit: str) -> None:
        self.done = 0.0
        self._part = part
        self._total = total
        self._unit = unit
        self._begin = time.monotonic()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="progress", daemon=True)

    @property
    def seconds(self) -> float:
        """How long it has been going on."""
        return time.monotonic() - self._begin

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._stop.set()
        self._thread.join()
        self._say()

    def _run(self) -> None:
        while not self._stop.wait(_EVERY):
            self._say()

    def _say(self) -> None:
        rate = self.done / max(self.seconds, 1e-9)
        print(
            f"[{self._part:>9} {self.seconds:4.0f} s] {self.done:,.0f} of {self._total:,.0f} "
            f"{self._unit}, {rate:,.0f}/s",
            flush=True,
        )
