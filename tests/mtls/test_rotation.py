"""Certificates are replaced 200 times while connections are opened all the time; none fails."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Final

import pytest

from mtls.material import KEY_TYPES
from support.running import open_descriptors
from wsclient import ClientIdentity, TLSConfig, websocket_connect
from wsclient.testing import ThreadedTLSServer
from wsclient.testing.certificates import (
    CertificateAuthority,
    IssuedCertificate,
    KubernetesVolume,
    generate_key,
)

_SWAPS: Final = 200
_TASKS: Final = 4
_PATIENCE: Final = 5.0
_PAUSE: Final = 0.01
"""Seconds from one swap to the next: connections take as long, so that most see one."""
_EACH: Final = 10
"""Of so many certificates, one must be seen by the server before the next may replace it."""
_TORN: Final = 0.01
"""Seconds in which the files do not belong together: readers try again."""
_TORN_LONG: Final = 0.5
"""Seconds after which readers have given up, and go on with what they had."""

_KEYS: Final = [generate_key(each) for each in KEY_TYPES]

Swap = Callable[[IssuedCertificate, int], AbstractContextManager[float]]
"""Replaces the files by a certificate, the n-th, in the middle of which it may stop: that many
seconds are to pass until the block is left. Nothing of it may run on the event loop."""


class Load:
    """Tasks that open connections all the time, and what these show to the server.

    Attributes:
        connections: how many were opened and used.
    """

    def __init__(self, url: str, tls: TLSConfig) -> None:
        self._url = url
        self._tls = tls
        self._shown: set[str | None] = set()
        self._changed = asyncio.Condition()
        self._ending = False
        self.connections = 0

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Run the tasks during a block; raise what one of them raises.

        Then they are cancelled. On uvloop they end by themselves: when it is cancelled in the
        middle of TLS's handshake, it answers on a transport that it has closed itself, and tells
        the loop's exception handler of it.
        """
        plain = isinstance(asyncio.get_running_loop(), asyncio.BaseEventLoop)
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(self._connect_for_ever()) for _ in range(_TASKS)]
            yield
            self._ending = True
            if plain:
                for each in tasks:
                    each.cancel()

    async def wait_until_shown(self, issued: IssuedCertificate) -> None:
        """Wait until a connection was opened with this certificate.

        Raises:
            TimeoutError: there is none.
        """
        async with asyncio.timeout(_PATIENCE), self._changed:
            await self._changed.wait_for(lambda: issued.fingerprint_sha256 in self._shown)

    async def wait_until_opened(self, number: int) -> None:
        """Wait until so many connections were opened and used.

        Raises:
            TimeoutError: there are fewer.
        """
        async with asyncio.timeout(_PATIENCE), self._changed:
            await self._changed.wait_for(lambda: self.connections >= number)

    async def _connect_for_ever(self) -> None:
        while not self._ending:
            async with websocket_connect(self._url, tls=self._tls, proxy=None) as conn:
                await conn.write_message("hello")
                assert await conn.read_message() == "hello"
                assert conn.tls is not None
                shown = conn.tls.identity_fingerprint
            async with self._changed:
                self.connections += 1
                self._shown.add(shown)
                self._changed.notify_all()


def files_atomically(directory: Path, first: IssuedCertificate) -> tuple[ClientIdentity, Swap]:
    files = first.write(directory)

    @contextlib.contextmanager
    def swap(issued: IssuedCertificate, number: int) -> Iterator[float]:
        files.replace(issued)
        yield 0.0

    return ClientIdentity.from_files(files.cert_file, files.key_file), swap


def files_torn(directory: Path, first: IssuedCertificate) -> tuple[ClientIdentity, Swap]:
    files = first.write(directory)

    @contextlib.contextmanager
    def swap(issued: IssuedCertificate, number: int) -> Iterator[float]:
        with files.torn(issued, in_place=True):
            yield _TORN_LONG if number % 50 == 0 else _TORN

    return ClientIdentity.from_files(files.cert_file, files.key_file), swap


def kubernetes(directory: Path, first: IssuedCertificate) -> tuple[ClientIdentity, Swap]:
    volume = KubernetesVolume(directory / "volume")
    volume.publish(first)

    @contextlib.contextmanager
    def swap(issued: IssuedCertificate, number: int) -> Iterator[float]:
        volume.publish(issued)
        yield 0.0

    return ClientIdentity.from_files(volume.cert_file, volume.key_file), swap


def pkcs12(directory: Path, first: IssuedCertificate) -> tuple[ClientIdentity, Swap]:
    path = first.write_pkcs12(directory / "client.p12", "secret")

    @contextlib.contextmanager
    def swap(issued: IssuedCertificate, number: int) -> Iterator[float]:
        issued.write_pkcs12(path, "secret")
        yield 0.0

    return ClientIdentity.from_pkcs12(path, "secret"), swap


@pytest.mark.parametrize("way", [files_atomically, files_torn, kubernetes, pkcs12])
async def test_rotation_under_load(
    way: Callable[[Path, IssuedCertificate], tuple[ClientIdentity, Swap]],
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("DEBUG")
    ca = CertificateAuthority("Rotation")
    issued = [issue(ca, number) for number in range(_SWAPS + 1)]
    identity, swap = way(tmp_path, issued[0])
    tls = TLSConfig(identity=identity, cadata=ca.certificate_pem)
    context = ca.server_certificate().server_context(client_ca=ca)
    with ThreadedTLSServer(context) as server:
        load = Load(server.url, tls)
        async with load.running():
            await load.wait_until_shown(issued[0])
            for number, each in enumerate(issued[1:], start=1):
                await swap_off_the_loop(swap, each, number)
                await asyncio.sleep(_PAUSE)
                await load.wait_until_opened(number)
                if number % _EACH == 0:
                    await load.wait_until_shown(each)
        seen = {each.peer_certificate_der for each in server.connections if each.established}
    assert {each.certificate_der for each in issued[::_EACH]} <= seen
    # Cancelled connects may still have a context built in a thread.
    await asyncio.get_running_loop().shutdown_default_executor()
    left = [each for each in open_descriptors() if "memfd" in each or str(tmp_path) in each]
    assert not left
    assert "PRIVATE KEY" not in caplog.text
    assert "secret" not in caplog.text


def issue(ca: CertificateAuthority, number: int) -> IssuedCertificate:
    """Return the n-th certificate: the type of the key changes every time."""
    return ca.client_certificate(f"client {number}", key=_KEYS[number % len(_KEYS)])


async def swap_off_the_loop(swap: Swap, issued: IssuedCertificate, number: int) -> None:
    replacing = swap(issued, number)
    seconds = await asyncio.to_thread(replacing.__enter__)
    await asyncio.sleep(seconds)
    await asyncio.to_thread(replacing.__exit__, None, None, None)
