"""A directory of secrets that is replaced as a whole, as Kubernetes does it."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from .files import PEMIdentity, write_file

__all__ = ["KubernetesVolume"]

_DATA: Final = "..data"
_NEXT_DATA: Final = "..data_tmp"


class KubernetesVolume:
    """A mounted secret, written as the atomic writer of kubelet writes it.

    ```text
    tls.crt                             -> ..data/tls.crt
    tls.key                             -> ..data/tls.key
    ..data                              -> ..2030_01_31_12_00_00.x1y2z3
    ..2030_01_31_12_00_00.x1y2z3/tls.crt
    ..2030_01_31_12_00_00.x1y2z3/tls.key
    ```

    A new secret is a new directory, and the link ``..data`` is renamed over the old one, so that
    all files change in one step. A reader that opens ``tls.crt`` before that step and
    ``tls.key`` after it still gets two that do not belong together.

    One thread at a time may publish; any number may read. It needs links, as POSIX has them.

    Attributes:
        directory: where it is mounted.
        cert_file: path of ``tls.crt``, whether there is one yet or not.
        key_file: path of ``tls.key``.
        ca_file: path of ``ca.crt``.

    Args:
        directory: made if it is missing, but not its parents.
        mode: of each file. Kubernetes itself has 0o644 unless told otherwise.

    Raises:
        OSError: the directory can neither be found nor made.
    """

    def __init__(self, directory: str | os.PathLike[str], *, mode: int = 0o600) -> None:
        self.directory = Path(directory)
        self.directory.mkdir(exist_ok=True)
        self.cert_file = self.directory / "tls.crt"
        self.key_file = self.directory / "tls.key"
        self.ca_file = self.directory / "ca.crt"
        self._mode = mode

    def __repr__(self) -> str:
        return f"KubernetesVolume({os.fspath(self.directory)!r})"

    def publish(self, secret: Mapping[str, bytes] | PEMIdentity) -> Path:
        """Replace all files in one step, and return the directory that holds them now.

        The old directory is removed after the step: a reader that is about to open a file in
        it gets `FileNotFoundError`. Files that are not in the new secret are gone as well. If the
        secret is the one that is there, nothing is written, as with kubelet.

        Args:
            secret: contents by file names; or an `IssuedCertificate`, which becomes ``tls.crt``,
                ``tls.key`` and ``ca.crt``.

        Raises:
            ValueError: a file name is empty, begins with ``..`` or has a slash.
            OSError: a file cannot be written; readers still see the old secret.
        """
        files = dict(secret) if isinstance(secret, Mapping) else _files_of(secret)
        for name in files:
            _check_file_name(name)
        old = self._current()
        if old is not None and _content(old) == files:
            return old
        new = self._write(files)
        try:
            self._swap(new)
        except BaseException:
            shutil.rmtree(new)
            raise
        self._link(files)
        if old is not None:
            shutil.rmtree(old)
        return new

    def _current(self) -> Path | None:
        try:
            return self.directory / os.readlink(self.directory / _DATA)
        except FileNotFoundError:
            return None

    def _write(self, files: Mapping[str, bytes]) -> Path:
        prefix = datetime.now(UTC).strftime("..%Y_%m_%d_%H_%M_%S.")
        made = Path(tempfile.mkdtemp(prefix=prefix, dir=self.directory))
        try:
            os.chmod(made, 0o755)
            for name, content in files.items():
                write_file(made / name, content, self._mode)
        except BaseException:
            shutil.rmtree(made)
            raise
        return made

    def _swap(self, new: Path) -> None:
        link = self.directory / _NEXT_DATA
        # One that was interrupted may have left it.
        with contextlib.suppress(FileNotFoundError):
            link.unlink()
        link.symlink_to(new.name)
        os.replace(link, self.directory / _DATA)

    def _link(self, files: Mapping[str, bytes]) -> None:
        """Show the files of the secret, and no others that were shown before."""
        shown = {path.name for path in self.directory.iterdir() if not path.name.startswith("..")}
        for name in shown - set(files):
            if os.path.islink(self.directory / name):
                os.unlink(self.directory / name)
        for name in set(files) - shown:
            os.symlink(f"{_DATA}/{name}", self.directory / name)


def _files_of(secret: PEMIdentity) -> dict[str, bytes]:
    return {
        "tls.crt": secret.chain_pem,
        "tls.key": secret.private_key_pem(),
        "ca.crt": secret.root_pem,
    }


def _check_file_name(name: str) -> None:
    if not name or name.startswith("..") or name == "." or "/" in name or os.sep in name:
        raise ValueError(f"{name!r} cannot be a file here: give a plain name, such as 'tls.crt'.")


def _content(directory: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in directory.iterdir()}
