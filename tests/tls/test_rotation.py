"""Files that are replaced again and again while many ask for the identity in them."""

from __future__ import annotations

import asyncio
import itertools
import logging
import ssl
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from support.running import open_descriptors
from wsclient.testing import CertificateAuthority, KubernetesVolume
from wsclient.testing.certificates import IssuedCertificate
from wsclient.tls.identity.identity import ClientIdentity
from wsclient.tls.rotation.providers import FileIdentityProvider

SWAPS = 200
SWAPS_OF_TWO_FILES = 100
TASKS = 50


@pytest.fixture(scope="module")
def certificates() -> list[IssuedCertificate]:
    ca = CertificateAuthority()
    kinds = itertools.cycle(["ec-p256", "ed25519", "ec-p384"])
    return [ca.client_certificate(f"client {n}", key_type=next(kinds)) for n in range(12)]  # type: ignore[arg-type]


class Load:
    """Many tasks that ask a provider all the time, and look at what they get.

    Attributes:
        seen: each identity that came, by its generation.
    """

    def __init__(self, provider: FileIdentityProvider) -> None:
        self.seen: dict[int, ClientIdentity] = {}
        self._provider = provider
        self._answered = threading.Event()

    def until_answered(self) -> None:
        """Wait, in a thread, until the provider has given an identity once more."""
        self._answered.clear()
        assert self._answered.wait(20)

    async def run(self, replace: Callable[[], None]) -> None:
        """Ask until `replace`, which runs in a thread, has ended, and once more."""
        asking = [asyncio.create_task(self._ask()) for _ in range(TASKS)]
        try:
            await asyncio.to_thread(replace)
            await self._get(0)
        finally:
            for task in asking:
                task.cancel()
            results = await asyncio.gather(*asking, return_exceptions=True)
        assert all(isinstance(each, asyncio.CancelledError) for each in results), results

    async def _ask(self) -> None:
        latest = 0
        while True:
            latest = await self._get(latest)
            await asyncio.sleep(0)

    async def _get(self, latest: int) -> int:
        identity = await self._provider.get()
        assert identity.generation >= latest
        assert self.seen.setdefault(identity.generation, identity) is identity
        self._answered.set()
        return identity.generation


def check(load: Load, provider: FileIdentityProvider, last: IssuedCertificate) -> None:
    """Each identity was a pair, no two in a row were the same, and nothing failed."""
    generations = sorted(load.seen)
    assert len(generations) > 10, "hardly anything was seen of the rotation"
    for generation in generations:
        identity = load.seen[generation]
        identity.load_into(ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT))
        before = load.seen.get(generation - 1)
        assert before is None or before != identity
    assert load.seen[generations[-1]].fingerprint_sha256 == last.fingerprint_sha256
    assert provider.failure is None


@pytest.fixture
def no_warnings(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    yield
    bad = [each for each in caplog.records if each.levelno >= logging.WARNING]
    assert not bad, bad


@pytest.mark.usefixtures("no_warnings")
async def test_a_kubernetes_volume(tmp_path: Path, certificates: list[IssuedCertificate]) -> None:
    volume = KubernetesVolume(tmp_path / "tls")
    volume.publish(certificates[0])
    provider = FileIdentityProvider(volume.cert_file, volume.key_file)
    load = Load(provider)
    descriptors = open_descriptors()

    def replace() -> None:
        for swap in range(1, SWAPS + 1):
            volume.publish(certificates[swap % len(certificates)])
            if swap % 4 == 0:
                load.until_answered()

    await load.run(replace)
    check(load, provider, certificates[SWAPS % len(certificates)])
    assert len(open_descriptors()) == len(descriptors)


@pytest.mark.parametrize("in_place", [False, True])
@pytest.mark.usefixtures("no_warnings")
async def test_two_files_one_after_the_other(
    tmp_path: Path, certificates: list[IssuedCertificate], in_place: bool
) -> None:
    files = certificates[0].write(tmp_path)
    provider = FileIdentityProvider(files.cert_file, files.key_file)
    load = Load(provider)
    descriptors = open_descriptors()

    def replace() -> None:
        for swap in range(1, SWAPS_OF_TWO_FILES + 1):
            with files.torn(certificates[swap % len(certificates)], in_place=in_place):
                pass
            if swap % 4 == 0:
                load.until_answered()

    await load.run(replace)
    check(load, provider, certificates[SWAPS_OF_TWO_FILES % len(certificates)])
    assert len(open_descriptors()) == len(descriptors)
