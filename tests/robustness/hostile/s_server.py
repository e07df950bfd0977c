"""A server made of ``openssl s_server``, for what Python's own TLS cannot send."""

from __future__ import annotations

import fcntl
import re
import shutil
import subprocess
import termios
import time
from types import TracebackType
from typing import Self

from support.unavailable import UnavailableError
from wsclient.protocol.handshake import accept_token
from wsclient.testing.certificates import CertificateFiles
from wsclient.testing.frames import close_frame

__all__ = ["OpenSSLServer"]


class OpenSSLServer:
    """A running ``s_server``, which serves one client.

    What is written to its stdin goes to the client, but for commands of one letter.

    Attributes:
        port: where it listens on 127.0.0.1.

    Args:
        files: its certificate and key.
        version: an option of OpenSSL, such as ``"-tls1_3"``.

    Raises:
        UnavailableError: there is no ``openssl``.
    """

    def __init__(self, files: CertificateFiles, version: str) -> None:
        if shutil.which("openssl") is None:
            raise UnavailableError("there is no openssl, whose s_server sends KeyUpdate")
        command = ["openssl", "s_server", "-accept", "127.0.0.1:0", "-naccept", "1", version]
        command += ["-cert", str(files.cert_file), "-key", str(files.key_file)]
        self._process = subprocess.Popen(
            command,
            bufsize=0,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        self.port = int(self._wait_for(r"ACCEPT \S+:(\d+)"))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        exc: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            assert pipe is not None
            pipe.close()

    def flood(self, command: str, rounds: int) -> None:
        """Accept the upgrade, give a command again and again, and close.

        Args:
            command: the letter.
            rounds: how many times.

        Raises:
            RuntimeError: it has not done all of them.
        """
        key = self._wait_for(r"(?i)sec-websocket-key: (\S+)")
        lines = [
            "HTTP/1.1 101 Switching Protocols",
            "Upgrade: websocket",
            "Connection: Upgrade",
            f"Sec-WebSocket-Accept: {accept_token(key)}",
        ]
        self._say("\r\n".join([*lines, "\r\n"]).encode())
        for _ in range(rounds):
            self._say(f"{command}\n".encode())
        self._say(close_frame(1000))
        assert self._process.stdout is not None
        done = self._process.stdout.read().count(b"SSL_do_handshake -> 1\n")
        if done < rounds:
            raise RuntimeError(f"s_server did it {done} times")

    def _wait_for(self, pattern: str) -> str:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            if found := re.search(pattern, line.decode(errors="replace")):
                return found[1]
        raise RuntimeError(f"s_server ended before it said {pattern}")

    def _say(self, data: bytes) -> None:
        """Write what it is to take in one read: a command must stand at the start of one."""
        stdin = self._process.stdin
        assert stdin is not None
        stdin.write(data)
        # Nothing tells when it has read a pipe.
        while fcntl.ioctl(stdin, termios.FIONREAD, bytes(4)) != bytes(4) and self._running:
            time.sleep(0.001)

    @property
    def _running(self) -> bool:
        return self._process.poll() is None
