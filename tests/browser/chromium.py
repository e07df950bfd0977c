"""Starts headless Chromium with a profile of its own, and stops it.

It needs the programs `PROGRAMS`: on Debian, the packages ``chromium`` and ``libnss3-tools``.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from support.unavailable import UnavailableError

__all__ = ["Chromium", "Identity"]

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
PROGRAMS = ("chromium", "certutil", "pk12util")
START_TIMEOUT = 20.0
STOP_TIMEOUT = 5.0

FLAGS = (
    "--headless=new",
    # Its sandbox works neither as root nor in most containers. It sees only our own pages.
    "--no-sandbox",
    "--remote-debugging-port=0",
    # Nothing leaves this machine: no name but localhost is ever resolved.
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE localhost, EXCLUDE 127.0.0.1",
    "--no-proxy-server",
    *"""--disable-background-networking --disable-breakpad --disable-component-update
    --disable-crash-reporter --disable-default-apps --disable-extensions --disable-gpu
    --disable-quic --disable-sync --metrics-recording-only --mute-audio
    --no-default-browser-check --no-first-run --password-store=basic""".split(),
)


@dataclass(frozen=True)
class Identity:
    """What the profile has of certificates.

    Attributes:
        authority: the authority that it trusts, PEM.
        pkcs12: a client certificate with its key and chain.
        password: the password of `pkcs12`.
    """

    authority: bytes
    pkcs12: bytes
    password: str

    def __repr__(self) -> str:
        return "Identity(...)"


class Chromium:
    """A running browser with a new profile.

    Attributes:
        devtools_url: where it speaks the DevTools protocol, ``ws://``.

    Args:
        directory: an empty directory for all that the browser writes.
        identity: certificates to put into the profile.

    Raises:
        UnavailableError: a program is not installed.
        RuntimeError: the browser did not start, or a certificate could not be put in.
    """

    def __init__(self, directory: Path, identity: Identity) -> None:
        programs = _find_programs()
        self._profile = directory / "profile"
        _write_preferences(self._profile)
        home = directory / "home"
        _write_certificates(home, identity, programs)
        # Not in `directory`: it holds a socket, and the path of a socket must be short.
        self._scratch = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
        self._stderr: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115  # `stop` closes it
        self._process = subprocess.Popen(
            [programs["chromium"], *FLAGS, f"--user-data-dir={self._profile}", "about:blank"],
            env={**_environment(), "HOME": str(home), "TMPDIR": self._scratch.name},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=self._stderr,
            # A group of its own, so that `stop` reaches all of its processes.
            start_new_session=True,
        )
        try:
            self.devtools_url = self._find_devtools()
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Ask it to end; end whatever of it does not."""
        self._process.terminate()
        try:
            self._process.wait(STOP_TIMEOUT)
        except subprocess.TimeoutExpired:
            pass
        try:
            os.killpg(self._process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self._process.wait()
        self._stderr.close()
        self._scratch.cleanup()

    def _find_devtools(self) -> str:
        """Wait for the file in which the browser says where it listens."""
        told = self._profile / "DevToolsActivePort"
        deadline = time.monotonic() + START_TIMEOUT
        while time.monotonic() < deadline and self._process.poll() is None:
            lines = told.read_text().splitlines() if told.exists() else []
            if len(lines) == 2:
                return f"ws://127.0.0.1:{lines[0]}{lines[1]}"
            # Nothing tells when the file is there.
            time.sleep(0.02)
        self._stderr.seek(0)
        said = self._stderr.read().decode(errors="replace")[-2000:]
        raise RuntimeError(f"Chromium did not start: {said}")


def _find_programs() -> dict[str, str]:
    """Return the path of each of `PROGRAMS`."""
    found = {name: shutil.which(name) for name in PROGRAMS}
    found["chromium"] = next(filter(None, map(shutil.which, BROWSERS)), None)
    missing = [name for name, path in found.items() if path is None]
    if missing:
        raise UnavailableError(
            f"{', '.join(missing)} not found, so no page can be opened in a browser:"
            " install chromium and libnss3-tools"
        )
    return {name: path for name, path in found.items() if path is not None}


def _environment() -> dict[str, str]:
    """Return an environment that does not lead to files of the user who runs the tests."""
    return {name: value for name, value in os.environ.items() if not name.startswith("XDG_")}


def _write_preferences(profile: Path) -> None:
    """Let the browser show its client certificate on this machine without asking.

    Headless, it would ask in a dialog that nobody sees, and wait for ever. This is the setting
    behind the policy AutoSelectCertificateForUrls; the policy itself would be of the whole
    machine.
    """
    any_certificate: object = {"setting": {"filters": [{}]}}
    patterns = ("https://localhost,*", "https://127.0.0.1,*")
    exceptions = {"auto_select_certificate": dict.fromkeys(patterns, any_certificate)}
    preferences = {"profile": {"content_settings": {"exceptions": exceptions}}}
    (profile / "Default").mkdir(parents=True)
    (profile / "Default" / "Preferences").write_text(json.dumps(preferences))


def _write_certificates(home: Path, identity: Identity, programs: Mapping[str, str]) -> None:
    """Make the user's certificate database, where Chromium on Linux looks for it."""
    database = home / ".pki" / "nssdb"
    database.mkdir(parents=True)
    place = ("-d", f"sql:{database}")

    def run(program: str, *arguments: str, given: bytes) -> None:
        command = [programs[program], *arguments, *place]
        done = subprocess.run(command, input=given, capture_output=True, check=False)
        if done.returncode:
            said = (done.stdout + done.stderr).decode(errors="replace")
            raise RuntimeError(f"{program} {arguments[0]} failed: {said}")

    run("certutil", "-N", "--empty-password", given=b"")
    run("certutil", "-A", "-n", "authority", "-t", "C,,", given=identity.authority)
    with tempfile.TemporaryDirectory(dir=home) as folder:
        bundle, password = Path(folder, "identity.p12"), Path(folder, "password")
        bundle.write_bytes(identity.pkcs12)
        password.write_text(identity.password)
        run("pk12util", "-i", str(bundle), "-w", str(password), given=b"")
