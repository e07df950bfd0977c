"""Providers of identities: files that are read again, functions that are asked."""

from __future__ import annotations

import asyncio
import functools
import logging
import os
import ssl
import threading
import traceback
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from wsclient.errors import IdentityError
from wsclient.testing import CertificateAuthority, CertificateFiles, KubernetesVolume
from wsclient.testing.certificates import IssuedCertificate
from wsclient.tls.files import stamps
from wsclient.tls.files.stamps import Stamp, stamp_of, stamps_of
from wsclient.tls.identity.identity import ClientIdentity
from wsclient.tls.rotation import providers, reloading
from wsclient.tls.rotation.providers import (
    CallableIdentityProvider,
    FileIdentityProvider,
    PKCS12IdentityProvider,
    StaticIdentityProvider,
    as_provider,
)

PASSWORD = "correct horse"
FOR_EVER = (60.0,) * 4
"""Pauses that no test would survive."""


@pytest.fixture(scope="module")
def ca() -> CertificateAuthority:
    return CertificateAuthority()


@pytest.fixture(scope="module")
def old(ca: CertificateAuthority) -> IssuedCertificate:
    return ca.client_certificate("old")


@pytest.fixture(scope="module")
def new(ca: CertificateAuthority) -> IssuedCertificate:
    return ca.client_certificate("new")


@pytest.fixture
def at_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have each change show in the stamps, however soon it follows."""
    monkeypatch.setattr(stamps, "_COARSEST_TICK", 0)


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wait next to nothing between two attempts to read torn files."""
    monkeypatch.setattr(reloading, "_PAUSES", (0.001,) * 4)


class Keeper:
    """Gives the password of a key, and so learns of each reading.

    Attributes:
        readings: how many there were.
        begun: set by each.
        may_end: each waits for it.
    """

    def __init__(self) -> None:
        self.readings = 0
        self.begun = threading.Event()
        self.may_end = threading.Event()
        self.may_end.set()
        self.meanwhile: Callable[[], object] = lambda: None

    def __call__(self) -> str:
        self.readings += 1
        self.begun.set()
        assert self.may_end.wait(20)
        meanwhile, self.meanwhile = self.meanwhile, lambda: None
        meanwhile()
        return PASSWORD


async def in_thread(event: threading.Event) -> None:
    assert await asyncio.to_thread(event.wait, 20)


def provider_of(
    files: CertificateFiles, password: Callable[[], str] | str | None = None
) -> FileIdentityProvider:
    return FileIdentityProvider(files.cert_file, files.key_file, password)


def assert_usable(identity: ClientIdentity, certificate: IssuedCertificate) -> None:
    """Find a key that does not fit, which OpenSSL would refuse."""
    assert identity.fingerprint_sha256 == certificate.fingerprint_sha256
    identity.load_into(ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT))


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [
        record.getMessage()
        for record in caplog.records
        if record.name == "wsclient.tls" and record.levelno >= logging.WARNING
    ]


# Files: when they are read.


@pytest.mark.usefixtures("at_rest")
async def test_files_are_read_once(tmp_path: Path, old: IssuedCertificate) -> None:
    keeper = Keeper()
    provider = provider_of(old.write(tmp_path, password=PASSWORD), keeper)
    assert keeper.readings == 0 and provider.identity is None
    first = await provider.get()
    assert_usable(first, old)
    assert first.generation == 1
    assert first.source is provider
    assert await provider.get() is first
    assert provider.identity is first and provider.failure is None
    assert keeper.readings == 1


async def test_an_identity_from_files_asks_them_again(
    tmp_path: Path, old: IssuedCertificate, new: IssuedCertificate
) -> None:
    files = old.write(tmp_path)
    provider = as_provider(ClientIdentity.from_files(files.cert_file, files.key_file))
    assert (await provider.get()).generation == 1
    files.replace(new)
    assert_usable(await provider.get(), new)


@pytest.mark.parametrize("in_place", [False, True])
@pytest.mark.usefixtures("at_rest")
async def test_replaced_files_are_a_new_generation(
    tmp_path: Path,
    old: IssuedCertificate,
    new: IssuedCertificate,
    in_place: bool,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    files = old.write(tmp_path)
    provider = provider_of(files)
    first = await provider.get()
    files.replace(new, in_place=in_place)
    second = await provider.get()
    assert_usable(second, new)
    assert second.generation == 2
    assert first.generation == 1
    (told,) = [record for record in caplog.records if record.name == "wsclient.tls"]
    assert told.levelname == "INFO"
    for part in (first.description, second.description, "generation 2", str(files.cert_file)):
        assert part in told.getMessage()


async def test_another_kind_of_key(tmp_path: Path, ca: CertificateAuthority) -> None:
    files = ca.client_certificate("ec").write(tmp_path)
    provider = provider_of(files)
    assert (await provider.get()).key_type == "ec-p256"
    rsa = ca.client_certificate("rsa", key_type="rsa-2048")
    files.replace(rsa)
    identity = await provider.get()
    assert identity.key_type == "rsa-2048"
    assert_usable(identity, rsa)


@pytest.mark.usefixtures("at_rest")
async def test_the_same_again_is_no_new_generation(tmp_path: Path, old: IssuedCertificate) -> None:
    keeper = Keeper()
    files = old.write(tmp_path, password=PASSWORD)
    provider = provider_of(files, keeper)
    first = await provider.get()
    files.replace(old, password=PASSWORD)
    assert await provider.get() is first
    assert keeper.readings == 2


@pytest.mark.usefixtures("at_rest")
async def test_same_size_and_time_of_modification(
    tmp_path: Path, old: IssuedCertificate, new: IssuedCertificate
) -> None:
    path = tmp_path / "both.pem"
    texts = [each.chain_pem + each.private_key_pem() for each in (old, new)]
    size = max(map(len, texts))
    path.write_bytes(texts[0].ljust(size))
    provider = FileIdentityProvider(path)
    await provider.get()
    before = os.stat(path)
    path.write_bytes(texts[1].ljust(size))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    after = os.stat(path)
    assert (before.st_mtime_ns, before.st_size, before.st_ino) == (
        after.st_mtime_ns,
        after.st_size,
        after.st_ino,
    )
    assert_usable(await provider.get(), new)


async def test_a_change_within_one_tick_is_seen_while_files_are_new(
    tmp_path: Path,
    old: IssuedCertificate,
    new: IssuedCertificate,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    files = old.write(tmp_path)
    frozen = stamp_of(os.fspath(files.cert_file))
    monkeypatch.setattr(stamps, "stamp_of", lambda path: frozen)
    provider = provider_of(files)
    await provider.get()
    files.replace(new)
    assert_usable(await provider.get(), new)


async def test_what_has_not_changed_for_long_is_not_read(
    tmp_path: Path, old: IssuedCertificate, monkeypatch: pytest.MonkeyPatch
) -> None:
    keeper = Keeper()
    files = old.write(tmp_path, password=PASSWORD)
    monkeypatch.setattr(stamps, "stamp_of", lambda path: Stamp(10**18, 10**18, 100, 1, 1))
    provider = provider_of(files, keeper)
    await provider.get()
    await provider.get()
    assert keeper.readings == 1


def test_times_in_the_future_do_not_count_as_new() -> None:
    year = 365 * 86400 * 10**9
    future = stamps.Stamps((Stamp(year, 0, 100, 1, 1), None))
    assert future.settled(0)
    assert not future.settled(year)
    assert not future.settled(year + 10**9)
    assert future.settled(year + 3 * 10**9)


def test_stamps(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("one")
    link = tmp_path / "link"
    link.symlink_to(path)
    missing = os.fspath(tmp_path / "missing")
    assert stamps_of([os.fspath(path), missing]) == stamps_of([os.fspath(link), missing])
    assert stamp_of(missing) is None
    before = stamp_of(os.fspath(path))
    replacement = tmp_path / "other"
    replacement.write_text("two")
    os.replace(replacement, path)
    assert stamp_of(os.fspath(path)) != before


# Files: in the middle of being written.


async def test_a_torn_pair_heals(
    tmp_path: Path,
    old: IssuedCertificate,
    new: IssuedCertificate,
    caplog: pytest.LogCaptureFixture,
) -> None:
    keeper = Keeper()
    files = old.write(tmp_path, password=PASSWORD)
    provider = provider_of(files, keeper)
    await provider.get()
    with files.torn(new, password=PASSWORD):
        keeper.begun.clear()
        waiting = asyncio.create_task(provider.get())
        await in_thread(keeper.begun)
    identity = await waiting
    assert_usable(identity, new)
    assert identity.generation == 2
    assert warnings(caplog) == []


async def test_new_files_may_be_torn_at_first(
    tmp_path: Path, old: IssuedCertificate, new: IssuedCertificate
) -> None:
    keeper = Keeper()
    files = old.write(tmp_path, password=PASSWORD)
    provider = provider_of(files, keeper)
    with files.torn(new, password=PASSWORD):
        waiting = asyncio.create_task(provider.get())
        await in_thread(keeper.begun)
    assert_usable(await waiting, new)


def test_torn_files_are_waited_for_300_ms() -> None:
    assert sum(reloading._PAUSES) == pytest.approx(0.3)


@pytest.mark.usefixtures("at_rest", "hasty")
async def test_torn_for_ever_keeps_the_last_good_pair(
    tmp_path: Path,
    old: IssuedCertificate,
    new: IssuedCertificate,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    keeper = Keeper()
    files = old.write(tmp_path, password=PASSWORD)
    provider = provider_of(files, keeper)
    first = await provider.get()
    with files.torn(new, password=PASSWORD):
        assert await provider.get() is first
        assert keeper.readings == 1 + 5
        assert await provider.get() is first
        assert keeper.readings == 1 + 5, "known to be bad, it need not be read so soon"
        assert provider.failure is not None and provider.failure.reason == "key_mismatch"
        (told,) = warnings(caplog)
        assert first.description in told and str(files.key_file) in told
    assert_usable(await provider.get(), new)
    assert provider.failure is None
    assert len(warnings(caplog)) == 1


@pytest.mark.usefixtures("at_rest", "hasty")
async def test_what_is_known_to_be_bad_is_read_again_without_waiting(
    tmp_path: Path,
    old: IssuedCertificate,
    new: IssuedCertificate,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    keeper = Keeper()
    files = old.write(tmp_path, password=PASSWORD)
    provider = provider_of(files, keeper)
    first = await provider.get()
    with files.torn(new, password=PASSWORD):
        await provider.get()
        monkeypatch.setattr(reloading, "_RETRY", 0.0)
        monkeypatch.setattr(reloading, "_PAUSES", FOR_EVER)
        # Files that are known to be bad since before: the time limit has to run out once.
        monkeypatch.setattr(provider, "_given_up", (provider._given_up[0], 0.0))  # type: ignore[index]
        assert await provider.get() is first
        assert await provider.get() is first
    assert keeper.readings == 1 + 5 + 2
    assert len(warnings(caplog)) == 1


@pytest.mark.usefixtures("hasty")
async def test_deleted_files_keep_the_last_good_pair(
    tmp_path: Path, old: IssuedCertificate, caplog: pytest.LogCaptureFixture
) -> None:
    files = old.write(tmp_path)
    provider = provider_of(files)
    first = await provider.get()
    files.key_file.unlink()
    assert await provider.get() is first
    assert await provider.get() is first
    assert provider.failure is not None and provider.failure.reason == "file_not_found"
    (told,) = warnings(caplog)
    assert str(files.key_file) in told
    files.cert_file.unlink()
    assert await provider.get() is first
    assert len(warnings(caplog)) == 2, "another state is another warning"


@pytest.mark.usefixtures("at_rest", "hasty")
async def test_back_again_unchanged_is_told(
    tmp_path: Path, old: IssuedCertificate, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    files = old.write(tmp_path)
    provider = provider_of(files)
    first = await provider.get()
    files.key_file.rename(tmp_path / "away")
    await provider.get()
    (tmp_path / "away").rename(files.key_file)
    assert await provider.get() is first
    assert [record.levelname for record in caplog.records] == ["WARNING", "INFO"]
    assert "can be used again" in caplog.records[-1].getMessage()


@pytest.mark.usefixtures("hasty")
async def test_half_a_file(tmp_path: Path, old: IssuedCertificate) -> None:
    path = tmp_path / "both.pem"
    whole = old.chain_pem + old.private_key_pem()
    path.write_bytes(whole)
    provider = FileIdentityProvider(path)
    first = await provider.get()
    path.write_bytes(whole[: len(whole) // 2])
    assert await provider.get() is first
    path.write_bytes(b"")
    assert await provider.get() is first


@pytest.mark.usefixtures("hasty")
async def test_files_that_never_rest(
    tmp_path: Path,
    old: IssuedCertificate,
    new: IssuedCertificate,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    times = iter(range(1, 10**6))
    monkeypatch.setattr(
        stamps, "stamp_of", lambda path: Stamp(next(times), next(times), 100, 1, 1)
    )
    files = old.write(tmp_path)
    provider = provider_of(files)
    first = await provider.get()
    assert_usable(first, old)
    files.replace(new)
    assert await provider.get() is first
    assert provider.failure is None


async def test_a_chain_that_is_cut_while_it_is_written(
    tmp_path: Path, ca: CertificateAuthority
) -> None:
    certificate = ca.intermediate().client_certificate()
    files = certificate.write(tmp_path, password=PASSWORD)
    files.cert_file.write_bytes(certificate.certificate_pem)
    keeper = Keeper()
    keeper.meanwhile = lambda: files.cert_file.write_bytes(certificate.chain_pem)
    identity = await provider_of(files, keeper).get()
    assert len(identity.chain_der) == 2
    assert identity.generation == 1
    assert keeper.readings == 2


# Files: the first load.


async def test_the_first_load_raises(
    tmp_path: Path, old: IssuedCertificate, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reloading, "_PAUSES", FOR_EVER)
    provider = FileIdentityProvider(tmp_path / "tls.crt", tmp_path / "tls.key")
    with pytest.raises(IdentityError) as caught:
        await provider.get()
    assert caught.value.reason == "file_not_found"
    assert str(tmp_path / "tls.crt") in str(caught.value)
    assert provider.identity is None and provider.failure is not None
    monkeypatch.undo()
    files = old.write(tmp_path)
    files.cert_file.rename(tmp_path / "tls.crt")
    files.key_file.rename(tmp_path / "tls.key")
    assert_usable(await provider.get(), old)
    assert provider.failure is None


async def test_each_who_waits_gets_an_error_of_its_own(tmp_path: Path) -> None:
    provider = FileIdentityProvider(tmp_path / "missing.pem")
    errors = await asyncio.gather(*(provider.get() for _ in range(10)), return_exceptions=True)
    assert len(set(map(id, errors))) == 10
    for error in errors:
        assert isinstance(error, IdentityError)
        assert error.reason == "file_not_found"
        assert error.side == "local"
        assert isinstance(error.__cause__, FileNotFoundError)


async def test_faults_that_do_not_heal_are_not_waited_for(
    tmp_path: Path, old: IssuedCertificate, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reloading, "_PAUSES", FOR_EVER)
    files = old.write(tmp_path, password=PASSWORD)
    provider = provider_of(files)
    with pytest.raises(IdentityError) as caught:
        await provider.get()
    assert caught.value.reason == "password_required"


async def test_the_function_for_the_password_raises(
    tmp_path: Path, old: IssuedCertificate
) -> None:
    def ask() -> str:
        raise RuntimeError("the vault is sealed")

    with pytest.raises(IdentityError) as caught:
        await provider_of(old.write(tmp_path, password=PASSWORD), ask).get()
    assert caught.value.reason == "password_callback_failed"
    assert isinstance(caught.value.__cause__, RuntimeError)


@pytest.mark.parametrize("fault", [OSError(24, "Too many open files"), SystemExit(1)])
async def test_whatever_happens_nobody_waits_for_ever(
    tmp_path: Path,
    old: IssuedCertificate,
    monkeypatch: pytest.MonkeyPatch,
    fault: BaseException,
) -> None:
    def fail(*args: object) -> ClientIdentity:
        raise fault

    monkeypatch.setattr("wsclient.tls.rotation.providers.read_files", fail)
    provider = provider_of(old.write(tmp_path))
    results = await asyncio.gather(provider.get(), provider.get(), return_exceptions=True)
    for error in results:
        assert isinstance(error, IdentityError)
        assert error.reason == "provider_failed"
        assert error.__cause__ is fault
    monkeypatch.undo()
    assert_usable(await provider.get(), old)


# Files: many who ask.


@pytest.mark.usefixtures("at_rest")
async def test_many_tasks_share_one_reading(tmp_path: Path, old: IssuedCertificate) -> None:
    keeper = Keeper()
    provider = provider_of(old.write(tmp_path, password=PASSWORD), keeper)
    identities = await asyncio.gather(*(provider.get() for _ in range(50)))
    assert keeper.readings == 1
    assert all(each is identities[0] for each in identities)


@pytest.mark.usefixtures("at_rest")
async def test_who_joins_a_reading_of_older_files_does_not_get_them(
    tmp_path: Path, old: IssuedCertificate, new: IssuedCertificate
) -> None:
    keeper = Keeper()
    files = old.write(tmp_path, password=PASSWORD)
    provider = provider_of(files, keeper)
    keeper.may_end.clear()
    early = asyncio.create_task(provider.get())
    await in_thread(keeper.begun)
    files.replace(new, password=PASSWORD)
    late = asyncio.create_task(provider.get())
    await asyncio.sleep(0)
    keeper.may_end.set()
    assert_usable(await late, new)
    assert_usable(await early, new)


class ReplaceOnce(logging.Handler):
    """Is called in the thread that has just read a new identity, and not told of it yet."""

    def __init__(self, replace: Callable[[], None]) -> None:
        super().__init__()
        self._replace = replace

    def emit(self, record: logging.LogRecord) -> None:
        logging.getLogger("wsclient.tls").removeHandler(self)
        self._replace()


@pytest.mark.usefixtures("at_rest")
async def test_who_joins_at_the_last_moment_does_not_get_older_files(
    tmp_path: Path,
    ca: CertificateAuthority,
    old: IssuedCertificate,
    new: IssuedCertificate,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    files = old.write(tmp_path)
    provider = provider_of(files)
    await provider.get()
    newest = ca.client_certificate("newest")
    loop = asyncio.get_running_loop()
    late: list[asyncio.Task[ClientIdentity]] = []
    joined = threading.Event()

    def join() -> None:
        late.append(asyncio.create_task(provider.get()))
        loop.call_soon(joined.set)

    def replace() -> None:
        files.replace(newest)
        loop.call_soon_threadsafe(join)
        assert joined.wait(20)

    logging.getLogger("wsclient.tls").addHandler(ReplaceOnce(replace))
    files.replace(new)
    assert_usable(await provider.get(), new)
    assert_usable(await late[0], newest)


@pytest.mark.usefixtures("at_rest")
async def test_cancelling_one_does_not_disturb_the_others(
    tmp_path: Path, old: IssuedCertificate
) -> None:
    keeper = Keeper()
    provider = provider_of(old.write(tmp_path, password=PASSWORD), keeper)
    keeper.may_end.clear()
    tasks = [asyncio.create_task(provider.get()) for _ in range(3)]
    await in_thread(keeper.begun)
    tasks[0].cancel()
    tasks[2].cancel()
    with pytest.raises(asyncio.CancelledError):
        await tasks[0]
    keeper.may_end.set()
    assert_usable(await tasks[1], old)
    assert keeper.readings == 1


@pytest.mark.usefixtures("at_rest")
async def test_what_was_read_for_nobody_is_kept(tmp_path: Path, old: IssuedCertificate) -> None:
    keeper = Keeper()
    provider = provider_of(old.write(tmp_path, password=PASSWORD), keeper)
    keeper.may_end.clear()
    task = asyncio.create_task(provider.get())
    await in_thread(keeper.begun)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    keeper.may_end.set()
    assert_usable(await provider.get(), old)
    assert keeper.readings == 1


async def test_cancelling_between_two_attempts(
    tmp_path: Path,
    old: IssuedCertificate,
    new: IssuedCertificate,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(reloading, "_PAUSES", FOR_EVER)
    keeper = Keeper()
    files = old.write(tmp_path, password=PASSWORD)
    provider = provider_of(files, keeper)
    first = await provider.get()
    with files.torn(new, password=PASSWORD):
        keeper.begun.clear()
        keeper.may_end.clear()
        task = asyncio.create_task(provider.get())
        await in_thread(keeper.begun)
        flight = provider._flight
        assert flight is not None
        keeper.may_end.set()
        await asyncio.wrap_future(flight)
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert provider.identity is first
    assert_usable(await provider.get(), new)


@pytest.mark.usefixtures("at_rest")
def test_two_loops_in_two_threads(tmp_path: Path, old: IssuedCertificate) -> None:
    keeper = Keeper()
    provider = provider_of(old.write(tmp_path, password=PASSWORD), keeper)
    keeper.may_end.clear()

    def run() -> ClientIdentity:
        return asyncio.run(provider.get())

    with ThreadPoolExecutor(2) as threads:
        first = threads.submit(run)
        assert keeper.begun.wait(20)
        second = threads.submit(run)
        keeper.may_end.set()
        assert first.result(20) is second.result(20)
    assert keeper.readings == 1
    assert asyncio.run(provider.get()) is first.result()


@pytest.mark.usefixtures("at_rest")
def test_the_loop_that_began_the_reading_ends(tmp_path: Path, old: IssuedCertificate) -> None:
    keeper = Keeper()
    provider = provider_of(old.write(tmp_path, password=PASSWORD), keeper)
    keeper.may_end.clear()
    joined = threading.Event()

    async def begin_and_leave() -> None:
        task = asyncio.create_task(provider.get())
        await in_thread(keeper.begun)
        await in_thread(joined)
        task.cancel()

    async def join() -> ClientIdentity:
        task = asyncio.create_task(provider.get())
        await asyncio.sleep(0)
        joined.set()
        keeper.may_end.set()
        return await task

    with ThreadPoolExecutor(2) as threads:
        first = threads.submit(lambda: asyncio.run(begin_and_leave()))
        assert keeper.begun.wait(20)
        second = threads.submit(lambda: asyncio.run(join()))
        assert_usable(second.result(20), old)
        first.result(20)


async def test_the_threads_of_the_loop_have_been_shut_down(
    tmp_path: Path, old: IssuedCertificate, new: IssuedCertificate
) -> None:
    files = old.write(tmp_path)
    provider = provider_of(files)
    first = await provider.get()
    await asyncio.get_running_loop().shutdown_default_executor()
    files.replace(new)
    assert await provider.get() is first
    with pytest.raises(IdentityError) as caught:
        await provider_of(files).get()
    assert caught.value.reason == "provider_failed"
    assert isinstance(caught.value.__cause__, RuntimeError)


# Files: Kubernetes.


@pytest.mark.usefixtures("at_rest")
async def test_a_kubernetes_volume(tmp_path: Path, ca: CertificateAuthority) -> None:
    volume = KubernetesVolume(tmp_path / "tls")
    volume.publish(ca.client_certificate("ec"))
    provider = FileIdentityProvider(volume.cert_file, volume.key_file)
    await provider.get()
    rsa = ca.client_certificate("rsa", key_type="rsa-2048")
    volume.publish(rsa)
    identity = await provider.get()
    assert_usable(identity, rsa)
    assert identity.generation == 2


async def test_a_swap_in_the_middle_of_a_reading(
    tmp_path: Path,
    old: IssuedCertificate,
    new: IssuedCertificate,
    caplog: pytest.LogCaptureFixture,
) -> None:
    volume = KubernetesVolume(tmp_path / "tls")

    def secret(certificate: IssuedCertificate) -> dict[str, bytes]:
        key = certificate.private_key_pem(PASSWORD)
        return {"tls.crt": certificate.chain_pem, "tls.key": key}

    volume.publish(secret(old))
    keeper = Keeper()
    keeper.meanwhile = functools.partial(volume.publish, secret(new))
    provider = FileIdentityProvider(volume.cert_file, volume.key_file, keeper)
    identity = await provider.get()
    assert_usable(identity, new)
    assert identity.generation == 1, "the pair that was read first was out of date by then"
    assert warnings(caplog) == []


# PKCS#12.


@pytest.mark.usefixtures("hasty")
async def test_pkcs12(
    tmp_path: Path,
    old: IssuedCertificate,
    new: IssuedCertificate,
    caplog: pytest.LogCaptureFixture,
) -> None:
    path = tmp_path / "client.p12"
    path.write_bytes(old.pkcs12(PASSWORD))
    provider = PKCS12IdentityProvider(path, PASSWORD)
    first = await provider.get()
    assert_usable(first, old)
    assert first.source is provider
    path.write_bytes(new.pkcs12(PASSWORD))
    second = await provider.get()
    assert_usable(second, new)
    assert second.generation == 2
    path.write_bytes(new.pkcs12(PASSWORD)[:500])
    assert await provider.get() is second
    assert provider.failure is not None and provider.failure.reason == "pkcs12_unreadable"
    (told,) = warnings(caplog)
    assert str(path) in told
    from_path = ClientIdentity.from_pkcs12
    path.write_bytes(old.pkcs12(PASSWORD))
    assert isinstance(from_path(path, PASSWORD).source, PKCS12IdentityProvider)


@pytest.mark.usefixtures("hasty")
async def test_pkcs12_with_a_wrong_password(tmp_path: Path, old: IssuedCertificate) -> None:
    path = tmp_path / "client.p12"
    path.write_bytes(old.pkcs12(PASSWORD))
    with pytest.raises(IdentityError) as caught:
        await PKCS12IdentityProvider(path, "wrong password").get()
    assert caught.value.reason == "password_incorrect"


# Secrets.


def texts_of(error: BaseException) -> Iterator[str]:
    """Give all that an exception and those behind it would show, and hold."""
    yield "".join(traceback.format_exception(error))
    chained: BaseException | None = error
    while chained is not None:
        yield repr((chained, chained.args, vars(chained)))
        for frame, _ in traceback.walk_tb(chained.__traceback__):
            if "tests" not in frame.f_code.co_filename:
                yield repr(frame.f_locals)
        chained = chained.__cause__ or chained.__context__


@pytest.mark.usefixtures("hasty")
async def test_secrets_are_not_shown(
    tmp_path: Path,
    old: IssuedCertificate,
    new: IssuedCertificate,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)
    files = old.write(tmp_path, password=PASSWORD)
    provider = provider_of(files, PASSWORD)
    shown = [repr(provider)]
    await provider.get()
    secret = new.private_key_pem()
    shown += [repr(provider), repr(provider.identity)]
    files.key_file.write_bytes(secret)
    await provider.get()
    assert provider.failure is not None
    shown += texts_of(provider.failure)
    files.key_file.write_bytes(secret[:-60])
    await provider.get()
    shown += texts_of(provider.failure)
    for password in (PASSWORD, None):
        with pytest.raises(IdentityError) as caught:
            await provider_of(files, password).get()
        shown += texts_of(caught.value)
    shown += [record.getMessage() for record in caplog.records]
    whole = "\n".join(shown)
    assert PASSWORD not in whole
    for line in secret.splitlines()[1:-1]:
        assert line.decode() not in whole


async def test_frames_of_a_failure_are_emptied(
    tmp_path: Path, old: IssuedCertificate, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*args: object) -> ClientIdentity:
        secret = old.private_key_pem()
        raise OSError(24, f"Too many open files, for {len(secret)} bytes")

    monkeypatch.setattr("wsclient.tls.rotation.providers.read_files", fail)
    with pytest.raises(IdentityError) as caught:
        await provider_of(old.write(tmp_path)).get()
    cause = caught.value.__cause__
    assert cause is not None
    frames = {frame.f_code.co_name: frame for frame, _ in traceback.walk_tb(cause.__traceback__)}
    assert "secret" not in frames["fail"].f_locals


# What constructors refuse.


@pytest.mark.parametrize(
    ("make", "kind", "text"),
    [
        (lambda: FileIdentityProvider(7), TypeError, "certfile"),  # type: ignore[arg-type]
        (lambda: FileIdentityProvider(None), TypeError, "certfile"),  # type: ignore[arg-type]
        (lambda: FileIdentityProvider("a", 7), TypeError, "keyfile"),  # type: ignore[arg-type]
        (lambda: FileIdentityProvider(""), IdentityError, "certfile"),
        (lambda: FileIdentityProvider("a", "b\0"), IdentityError, "keyfile"),
        (lambda: FileIdentityProvider("a", "b", 7), TypeError, "password"),  # type: ignore[arg-type]
        (lambda: FileIdentityProvider("a", "b", ""), IdentityError, "password"),
        (lambda: PKCS12IdentityProvider(b"0"), TypeError, "path"),  # type: ignore[arg-type]
        (lambda: CallableIdentityProvider(7), TypeError, "function"),  # type: ignore[arg-type]
        (lambda: as_provider("tls.crt"), TypeError, "cert="),
        (lambda: as_provider(None), TypeError, "NoneType"),
        (lambda: as_provider({}), TypeError, "dict"),
        (lambda: as_provider(ClientIdentity), TypeError, "the class ClientIdentity"),
    ],
)
def test_wrong_arguments(make: Callable[[], object], kind: type[Exception], text: str) -> None:
    with pytest.raises(kind, match=text):
        make()


def test_pem_in_the_place_of_a_path(old: IssuedCertificate) -> None:
    text = old.private_key_pem().decode()
    with pytest.raises(IdentityError) as caught:
        FileIdentityProvider("tls.crt", text)
    assert "from_pem" in str(caught.value)
    assert text.splitlines()[1] not in str(caught.value)


def test_nothing_is_read_at_first(tmp_path: Path) -> None:
    assert "missing" in repr(FileIdentityProvider(tmp_path / "missing"))
    assert "missing" in repr(PKCS12IdentityProvider(tmp_path / "missing"))


# Functions.


def identity_of(certificate: IssuedCertificate) -> ClientIdentity:
    return ClientIdentity.from_cryptography(
        certificate.private_key, certificate.certificate, certificate.chain
    )


async def test_a_plain_function_is_called_in_a_thread(old: IssuedCertificate) -> None:
    threads = []

    def current() -> ClientIdentity:
        threads.append(threading.get_ident())
        return identity_of(old)

    provider = CallableIdentityProvider(current)
    first = await provider.get()
    assert_usable(first, old)
    assert first.generation == 1 and first.source is provider
    assert await provider.get() is first
    assert len(threads) == 2 and threading.get_ident() not in threads


async def test_an_async_function_is_awaited(
    old: IssuedCertificate, new: IssuedCertificate, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    certificates = iter([old, old, new, old])

    async def current() -> ClientIdentity:
        await asyncio.sleep(0)
        return identity_of(next(certificates))

    provider = CallableIdentityProvider(current)
    generations = [(await provider.get()).generation for _ in range(4)]
    assert generations == [1, 1, 2, 3]
    assert len(caplog.records) == 2
    assert "generation 2" in caplog.records[0].getMessage()


class Source:
    """A provider as others may write it."""

    def __init__(self, certificate: IssuedCertificate) -> None:
        self.certificate = certificate
        self.callbacks: list[Callable[[], object]] = []

    async def get(self) -> ClientIdentity:
        return identity_of(self.certificate)

    def subscribe(self, callback: Callable[[], object]) -> Callable[[], object]:
        self.callbacks.append(callback)
        return functools.partial(self.callbacks.remove, callback)

    async def __call__(self) -> ClientIdentity:
        raise AssertionError("get() is what counts")


class Awaitable:
    """Something to call that is async."""

    def __init__(self, certificate: IssuedCertificate) -> None:
        self.certificate = certificate

    async def __call__(self) -> ClientIdentity:
        asyncio.get_running_loop()
        return identity_of(self.certificate)


async def test_other_things_to_call(old: IssuedCertificate) -> None:
    source = Source(old)
    for function in (lambda: source.get(), functools.partial(source.get), Awaitable(old)):
        provider = CallableIdentityProvider(function)
        assert_usable(await provider.get(), old)


async def test_a_provider_of_others(old: IssuedCertificate, new: IssuedCertificate) -> None:
    source = Source(old)
    provider: Any = as_provider(source)
    assert (await provider.get()).generation == 1
    source.certificate = new
    identity = await provider.get()
    assert identity.generation == 2 and identity.source is provider
    assert provider.subscribe == source.subscribe
    assert as_provider(provider) is provider
    assert "Source.get" in repr(provider)


async def test_what_stands_for_a_provider(tmp_path: Path, old: IssuedCertificate) -> None:
    identity = identity_of(old)
    static = as_provider(identity)
    assert isinstance(static, StaticIdentityProvider)
    assert await static.get() is identity
    assert "CN=old" in repr(static)
    files = old.write(tmp_path)
    for provider in (static, provider_of(files), PKCS12IdentityProvider("client.p12")):
        assert as_provider(provider) is provider
    from_files = ClientIdentity.from_files(files.cert_file, files.key_file)
    assert isinstance(from_files.source, FileIdentityProvider)
    assert as_provider(from_files) is from_files.source
    assert isinstance(as_provider(lambda: identity), CallableIdentityProvider)


def failing(fault: Exception) -> Callable[[], ClientIdentity]:
    def current() -> ClientIdentity:
        raise fault

    return current


@pytest.mark.parametrize("fault", [ValueError("s3cret"), StopIteration(), KeyError("s3cret")])
async def test_the_first_call_fails(fault: Exception) -> None:
    provider = CallableIdentityProvider(failing(fault))
    with pytest.raises(IdentityError) as caught:
        await provider.get()
    assert caught.value.reason == "provider_failed"
    assert caught.value.__cause__ is fault
    assert type(fault).__name__ in str(caught.value)
    assert "s3cret" not in str(caught.value)
    assert provider.identity is None and provider.failure is not None


async def test_an_error_of_ours_comes_as_it_is(tmp_path: Path) -> None:
    def current() -> ClientIdentity:
        return ClientIdentity.from_files(tmp_path / "missing")

    with pytest.raises(IdentityError) as caught:
        await CallableIdentityProvider(current).get()
    assert caught.value.reason == "file_not_found"


async def test_something_else_is_returned() -> None:
    provider = CallableIdentityProvider(lambda: "an identity")  # type: ignore[arg-type, return-value]
    with pytest.raises(IdentityError, match=r"returned str\. It must return a ClientIdentity"):
        await provider.get()


async def test_later_failures_keep_the_last_good_identity(
    old: IssuedCertificate, caplog: pytest.LogCaptureFixture
) -> None:
    answers: list[Any] = [
        identity_of(old),
        ValueError("s3cret"),
        ValueError("another s3cret"),
        KeyError(),
        identity_of(old),
        ValueError(),
    ]

    async def current() -> ClientIdentity:
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        assert isinstance(answer, ClientIdentity)
        return answer

    provider = CallableIdentityProvider(current)
    first = await provider.get()
    while answers:
        assert await provider.get() is first
    assert [told.count("ValueError") for told in warnings(caplog)] == [1, 0, 1]
    assert "s3cret" not in caplog.text
    assert provider.failure is not None


async def test_an_answer_that_comes_too_late(
    old: IssuedCertificate, new: IssuedCertificate
) -> None:
    gates = [asyncio.Event(), asyncio.Event(), asyncio.Event()]
    answers: list[Any] = [identity_of(old), ValueError(), identity_of(new)]
    calls = iter(range(3))

    async def current() -> ClientIdentity:
        call = next(calls)
        await gates[call].wait()
        if isinstance(answers[call], Exception):
            raise answers[call]
        identity: ClientIdentity = answers[call]
        return identity

    provider = CallableIdentityProvider(current)
    early, failed, late = [asyncio.create_task(provider.get()) for _ in range(3)]
    await asyncio.sleep(0)
    gates[2].set()
    newest = await late
    assert newest.generation == 1
    gates[0].set()
    gates[1].set()
    assert await early is newest
    assert await failed is newest
    assert provider.failure is None


async def test_cancelling_an_async_function() -> None:
    begun = asyncio.Event()
    cancelled = []

    async def current() -> ClientIdentity:
        begun.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.append(True)
            raise
        raise AssertionError

    provider = CallableIdentityProvider(current)
    task = asyncio.create_task(provider.get())
    await begun.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert cancelled == [True]
    assert provider.failure is None


async def test_a_plain_function_without_threads(old: IssuedCertificate) -> None:
    provider = CallableIdentityProvider(lambda: identity_of(old))
    first = await provider.get()
    await asyncio.get_running_loop().shutdown_default_executor()
    assert await provider.get() is first
    with pytest.raises(IdentityError) as caught:
        await CallableIdentityProvider(lambda: first).get()
    assert caught.value.reason == "provider_failed"
    assert isinstance(caught.value.__cause__, RuntimeError)


async def test_a_reading_that_is_thrown_away_keeps_nobody_waiting(tmp_path: Path) -> None:
    files = CertificateAuthority().client_certificate("billing").write(tmp_path)
    provider = FileIdentityProvider(files.cert_file, files.key_file)
    executor = ThreadPoolExecutor(1)
    loop = asyncio.get_running_loop()
    loop.set_default_executor(executor)
    busy = threading.Event()
    executor.submit(busy.wait)
    waiting = asyncio.create_task(provider.get())
    await asyncio.sleep(0)  # it begins, and its reading stands behind the other job
    assert provider._flight is not None
    executor.shutdown(wait=False, cancel_futures=True)
    busy.set()
    with pytest.raises(IdentityError) as caught:
        await asyncio.wait_for(waiting, 5)
    assert caught.value.reason == "provider_failed"
    executor.shutdown(wait=True)


async def test_pkcs12_that_is_still_new_is_opened_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = []

    def count(path: str, password: Any) -> ClientIdentity:
        opened.append(path)
        return original(path, password)

    original = providers.read_pkcs12
    monkeypatch.setattr(providers, "read_pkcs12", count)
    ca = CertificateAuthority()
    path = ca.client_certificate("first").write_pkcs12(tmp_path / "client.p12", "secret")
    provider = PKCS12IdentityProvider(path, "secret")
    identities = [await provider.get() for _ in range(5)]
    assert len(set(identities)) == len(opened) == 1
    ca.client_certificate("second").write_pkcs12(path, "secret")
    assert await provider.get() != identities[0]
    assert len(opened) == 2
