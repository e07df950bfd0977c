"""Examples that run for long: how they wait, and how they end."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from house.checkout import ROOT
from wsclient.testing import CertificateAuthority, Dialogue, WebSocketTestServer

CA = CertificateAuthority("Examples")
SERVER = CA.server_certificate("localhost", "127.0.0.1")
CONTEXT = SERVER.server_context(client_ca=CA)


@contextlib.contextmanager
def running(name: str, *arguments: str, folder: Path) -> Iterator[subprocess.Popen[str]]:
    """Run an example with arguments; it is ended in any case."""
    direct = {"no_proxy": "*", "NO_PROXY": "*"}
    with subprocess.Popen(
        [sys.executable, "-X", "dev", "-u", str(ROOT / "examples" / name), *arguments],
        cwd=folder,
        env=os.environ | direct,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def service(url: str, folder: Path) -> contextlib.AbstractContextManager[subprocess.Popen[str]]:
    """Run the example that stays connected."""
    client = CA.client_certificate("billing")
    (folder / "tls.crt").write_bytes(client.chain_pem)
    (folder / "tls.key").write_bytes(client.private_key_pem())
    (folder / "ca.crt").write_bytes(CA.certificate_pem)
    return running("mtls_service.py", url, str(folder), SERVER.spki_sha256, folder=folder)


def terminate(process: subprocess.Popen[str]) -> float:
    """Send SIGTERM; return how many seconds it took until the program had stopped."""
    begun = time.monotonic()
    process.send_signal(signal.SIGTERM)
    read_until(process, "stopped")
    seconds = time.monotonic() - begun
    process.wait(20)
    return seconds


def read_until(process: subprocess.Popen[str], words: str) -> None:
    assert process.stdout is not None
    seen = []
    for line in process.stdout:
        seen.append(line)
        if words in line:
            return
    pytest.fail(f"it ended without {words!r}:\n{''.join(seen)}")


def test_a_server_that_closes_at_once_is_left_in_peace(tmp_path: Path) -> None:
    busy = Dialogue().close(1013, "try again later")
    with WebSocketTestServer(busy, tls=CONTEXT) as server:
        with service(server.url, tmp_path) as process:
            read_until(process, "Next try in ")
            time.sleep(3)  # what counts is how often it comes within it
            assert terminate(process) < 1
        opened = len(server.connections)
    assert 2 <= opened <= 5
    assert process.returncode == 0


def test_sigterm_ends_it_while_connecting(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(20)
        url = f"wss://localhost:{listener.getsockname()[1]}/"
        with service(url, tmp_path) as process, listener.accept()[0]:
            assert terminate(process) < 1
    assert process.returncode == 0


def test_sigterm_ends_it_while_connected(tmp_path: Path) -> None:
    polite = Dialogue().expect("how are you?").send("well").expect_close(1001)
    with (
        WebSocketTestServer(polite, tls=CONTEXT) as server,
        service(server.url, tmp_path) as process,
    ):
        read_until(process, "says 'well'")
        assert terminate(process) < 1
    assert process.returncode == 0
