"""`prepare`: what is in a context, when another is built, and what happens to bad files then."""

from __future__ import annotations

import asyncio
import concurrent.futures
import gc
import logging
import os
import shutil
import ssl
import subprocess
import sys
import threading
import time
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from support.handshakes import handshake, verify_code
from support.running import open_descriptors
from wsclient.errors import IdentityError, TLSConfigurationError, TrustError
from wsclient.testing.certificates import CertificateAuthority, CertificateFiles
from wsclient.tls import Prepared, TLSConfig, prepare
from wsclient.tls.contexts import cache
from wsclient.tls.contexts.settings import ContextSettings
from wsclient.tls.contexts.trust import TrustContents
from wsclient.tls.handshake.context import HandshakeContext
from wsclient.tls.identity.identity import ClientIdentity

AUTHORITY = CertificateAuthority()
SERVER = AUTHORITY.server_certificate()
ASKING = SERVER.server_context(client_ca=AUTHORITY)
PASSWORD = "correct horse"


@pytest.fixture(autouse=True)
def _empty_cache(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let no test see the contexts of another."""
    monkeypatch.delenv("SSLKEYLOGFILE", raising=False)
    forget()
    yield
    assert not cache._building
    forget()


def forget() -> None:
    cache._contexts.clear()
    cache._keepers.clear()


@pytest.fixture
def files(tmp_path: Path) -> CertificateFiles:
    """Write a client's certificate and the root."""
    return AUTHORITY.client_certificate("first").write(tmp_path)


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wait next to nothing before files that cannot be used are read again."""
    monkeypatch.setattr("wsclient.tls.rotation.reloading._PAUSES", (0.001,) * 4)


@pytest.fixture
def quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let files that were just written count as left alone for long."""
    monkeypatch.setattr("wsclient.tls.files.stamps._COARSEST_TICK", 1)


async def context_of(**values: Any) -> HandshakeContext:
    """Return the context of a configuration that is made for it alone."""
    return (await prepare(TLSConfig(**values))).context


def shown(client: ssl.SSLContext, server: ssl.SSLContext = ASKING) -> str | None:
    """Return the subject of the certificate that a client shows to a server that asks."""
    _, far = handshake(client, server)
    found: dict[str, Any] | None = far.getpeercert()
    return None if not found else found["subject"][-1][0][1]


def count_builds(monkeypatch: pytest.MonkeyPatch) -> list[ContextSettings]:
    """Return a list that every build from now on adds its settings to."""
    built: list[ContextSettings] = []
    make = ContextSettings.context

    def counting(
        settings: ContextSettings, contents: TrustContents, keylog: str | None
    ) -> HandshakeContext:
        built.append(settings)
        return make(settings, contents, keylog)

    monkeypatch.setattr(ContextSettings, "context", counting)
    return built


# What is in a context.


async def test_the_default_trusts_certifi_and_verifies() -> None:
    prepared = await prepare(None)
    made = prepared.context
    assert prepared.identity is None
    assert made.verify_mode is ssl.CERT_REQUIRED
    assert made.check_hostname
    assert made.hostname_checks_common_name is False
    assert made.minimum_version is ssl.TLSVersion.TLSv1_2
    assert made.cert_store_stats()["x509_ca"] > 50
    assert made.verify_flags == ssl.create_default_context().verify_flags
    assert made.post_handshake_auth is True
    assert made.checks is None
    assert made.resume is False
    assert await context_of() is made


async def test_the_name_is_checked(files: CertificateFiles) -> None:
    made = await context_of(cafile=files.ca_file)
    server = SERVER.server_context()
    assert verify_code(made, server) == 0
    assert verify_code(made, server, "other.example") == 62
    made = await context_of(cafile=files.ca_file, check_hostname=False)
    assert verify_code(made, server, "other.example") == 0


async def test_a_common_name_counts_only_if_it_may() -> None:
    server = AUTHORITY.issue("localhost", names=()).server_context()
    assert verify_code(await context_of(cadata=AUTHORITY.root_pem), server) == 62
    made = await context_of(cadata=AUTHORITY.root_pem, allow_common_name=True)
    assert verify_code(made, server) == 0


async def test_spiffe_ids_take_the_place_of_names() -> None:
    made = AUTHORITY.issue("server", spiffe_id="spiffe://example.test/server")
    values: dict[str, Any] = {"cadata": AUTHORITY.root_pem}
    for more in (
        {"spiffe_ids": "spiffe://example.test/server"},
        {"spiffe_trust_domain": "example.test"},
    ):
        context = await context_of(**values, **more)
        assert verify_code(context, made.server_context(), "service.local") == 0
        assert verify_code(context, SERVER.server_context()) == 50
    context = await context_of(**values, spiffe_trust_domain="example.test", check_hostname=True)
    assert verify_code(context, made.server_context(), "service.local") == 62


async def test_checks_reach_the_context() -> None:
    good = await context_of(cadata=AUTHORITY.root_pem, pinned_public_keys=SERVER.spki_sha256)
    assert verify_code(good, SERVER.server_context()) == 0
    other = AUTHORITY.server_certificate().server_context()
    assert verify_code(good, other) == 50
    loose = await context_of(verify=False, pinned_public_keys=SERVER.spki_sha256)
    assert verify_code(loose, SERVER.server_context(), "other.example") == 0
    assert verify_code(loose, other) == 50


async def test_versions_and_ciphers_reach_the_context(files: CertificateFiles) -> None:
    made = await context_of(
        cafile=files.ca_file,
        maximum_version=ssl.TLSVersion.TLSv1_2,
        ciphers="ECDHE-ECDSA-CHACHA20-POLY1305",
    )
    near, _ = handshake(made, SERVER.server_context())
    assert near.version() == "TLSv1.2"
    cipher = near.cipher()
    assert cipher is not None
    assert cipher[0] == "ECDHE-ECDSA-CHACHA20-POLY1305"
    made = await context_of(cafile=files.ca_file, minimum_version=ssl.TLSVersion.TLSv1_3)
    assert made.minimum_version is ssl.TLSVersion.TLSv1_3
    assert handshake(made, SERVER.server_context())[0].version() == "TLSv1.3"


async def test_http_1_1_is_asked_for(files: CertificateFiles) -> None:
    server = SERVER.server_context()
    server.set_alpn_protocols(["h2", "http/1.1"])
    for values in ({"cafile": files.ca_file}, {"verify": False}):
        near, _ = handshake(await context_of(**values), server)
        assert near.selected_alpn_protocol() == "http/1.1"


async def test_without_verification_anybody_is_accepted() -> None:
    made = await context_of(verify=False)
    assert made.verify_mode is ssl.CERT_NONE
    assert verify_code(made, SERVER.server_context(), "other.example") == 0


@pytest.mark.parametrize("choice", [True, False])
@pytest.mark.parametrize("with_identity", [True, False])
async def test_authentication_after_the_handshake(
    choice: bool, with_identity: bool, files: CertificateFiles
) -> None:
    cert = (files.cert_file, files.key_file) if with_identity else None
    made = await context_of(cadata=AUTHORITY.root_pem, cert=cert, post_handshake_auth=choice)
    assert made.post_handshake_auth is choice


async def test_sessions_are_resumed_if_they_may() -> None:
    made = await context_of(cadata=AUTHORITY.root_pem, session_resumption=True)
    assert made.resume is True


@pytest.mark.parametrize("form", ["pair", "one-file", "encrypted", "memory", "function"])
async def test_the_client_certificate_is_shown(form: str, tmp_path: Path) -> None:
    made = AUTHORITY.client_certificate("billing")
    files = made.write(tmp_path)
    locked = made.write(tmp_path / "..", "locked", password=PASSWORD)
    together = tmp_path / "together.pem"
    together.write_bytes(files.key_file.read_bytes() + files.cert_file.read_bytes())
    identity = ClientIdentity.from_pem(made.chain_pem, made.private_key_pem())
    values: dict[str, dict[str, Any]] = {
        "pair": {"cert": (files.cert_file, files.key_file)},
        "one-file": {"cert": together},
        "encrypted": {"cert": (locked.cert_file, locked.key_file, PASSWORD)},
        "memory": {"identity": identity},
        "function": {"identity": lambda: identity},
    }
    prepared = await prepare(TLSConfig(cafile=files.ca_file, **values[form]))
    assert prepared.identity == identity
    assert shown(prepared.context) == "billing"


@pytest.mark.parametrize("source", ["argument", "environment"])
async def test_keys_are_logged_if_they_shall_be(
    source: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log, missing = tmp_path / "keys.log", tmp_path / "missing" / "keys.log"
    values: dict[str, Any] = {"cadata": AUTHORITY.root_pem}

    async def prepared(path: Path) -> ssl.SSLContext:
        if source == "argument":
            return await context_of(keylog_filename=path, **values)
        monkeypatch.setenv("SSLKEYLOGFILE", str(path))
        return await context_of(**values)

    plain = await context_of(**values)
    handshake(await prepared(log), SERVER.server_context())
    assert "SECRET" in log.read_text()
    with pytest.raises(TLSConfigurationError, match=r"missing.*SSLKEYLOGFILE"):
        await prepared(missing)
    monkeypatch.delenv("SSLKEYLOGFILE", raising=False)
    # What was logged to stays open for as long as the context is known.
    assert await context_of(**values) is plain
    forget()


# Faults.


def _no_password(files: CertificateFiles) -> dict[str, Any]:
    return {"cert": (files.cert_file, _locked(files))}


def _wrong_password(files: CertificateFiles) -> dict[str, Any]:
    return {"cert": (files.cert_file, _locked(files), "wrong horse")}


def _locked(files: CertificateFiles) -> Path:
    made = AUTHORITY.client_certificate().write(files.ca_file.parent, "locked", password=PASSWORD)
    return made.key_file


def _other_key(files: CertificateFiles) -> dict[str, Any]:
    made = AUTHORITY.client_certificate().write(files.ca_file.parent, "other")
    return {"cert": (files.cert_file, made.key_file)}


def _swapped(files: CertificateFiles) -> dict[str, Any]:
    return {"cert": (files.key_file, files.cert_file)}


def _no_key(files: CertificateFiles) -> dict[str, Any]:
    return {"cert": files.cert_file}


def _missing(files: CertificateFiles) -> dict[str, Any]:
    return {"cert": (files.cert_file, files.key_file.with_name("missing.pem"))}


def _weak(files: CertificateFiles) -> dict[str, Any]:
    made = AUTHORITY.client_certificate(key_type="rsa-1024").write(files.ca_file.parent, "weak")
    return {"cert": (made.cert_file, made.key_file)}


def _failing(files: CertificateFiles) -> dict[str, Any]:
    def fail() -> ClientIdentity:
        raise ValueError("wrong horse")

    return {"identity": fail}


def _ca_missing(files: CertificateFiles) -> dict[str, Any]:
    return {"cafile": files.ca_file.with_name("missing.pem")}


def _ca_key(files: CertificateFiles) -> dict[str, Any]:
    return {"cafile": files.key_file}


@pytest.mark.parametrize(
    ("values", "error", "reason"),
    [
        pytest.param(_no_password, IdentityError, "password_required", id="no-password"),
        pytest.param(_wrong_password, IdentityError, "password_incorrect", id="wrong-password"),
        pytest.param(_other_key, IdentityError, "key_mismatch", id="other-key"),
        pytest.param(_swapped, IdentityError, "swapped_files", id="swapped"),
        pytest.param(_no_key, IdentityError, "key_missing", id="key-missing"),
        pytest.param(_missing, IdentityError, "file_not_found", id="missing"),
        pytest.param(_weak, IdentityError, "key_too_small", id="weak"),
        pytest.param(_failing, IdentityError, "provider_failed", id="provider"),
        pytest.param(_ca_missing, TrustError, "file_not_found", id="ca-missing"),
        pytest.param(_ca_key, TrustError, "no_certificates", id="ca-key"),
    ],
)
@pytest.mark.usefixtures("hasty")
async def test_faults_are_told_apart(
    files: CertificateFiles, values: Any, error: type[TLSConfigurationError], reason: str
) -> None:
    config = TLSConfig(**{"cafile": files.ca_file, **values(files)})
    with pytest.raises(error) as caught:
        await prepare(config)
    assert caught.value.reason == reason
    assert caught.value.phase == "tls"
    assert not any(secret in str(caught.value) for secret in ("PRIVATE KEY", "horse"))


async def test_a_fault_is_not_remembered(files: CertificateFiles) -> None:
    config = TLSConfig(cert=(files.cert_file, files.key_file), cafile=files.ca_file)
    good = files.ca_file.read_bytes()
    files.ca_file.write_text("nonsense")
    for _ in range(2):
        with pytest.raises(TrustError):
            await prepare(config)
    files.ca_file.write_bytes(good)
    assert shown((await prepare(config)).context) == "first"


def test_no_password_is_asked_for_on_a_terminal(files: CertificateFiles) -> None:
    """OpenSSL would ask on the terminal of the process; it has one here."""
    pty = pytest.importorskip("pty")
    program = (
        "import sys, wsclient.tls as t\n"
        "try: t.TLSConfig(cert=tuple(sys.argv[1:])).check()\n"
        "except ValueError as exc: print(exc.reason)\n"
    )
    near, far = pty.openpty()
    try:
        process = subprocess.run(
            [sys.executable, "-c", program, files.cert_file, _locked(files)],
            stdin=far,
            stdout=subprocess.PIPE,
            stderr=far,
            start_new_session=True,
            timeout=20,
            check=True,
            text=True,
        )
        assert process.stdout.strip() == "password_required"
        os.set_blocking(near, False)
        with pytest.raises(BlockingIOError):
            os.read(near, 100)
    finally:
        os.close(near)
        os.close(far)


# The cache.


async def test_equal_settings_share_a_context(files: CertificateFiles) -> None:
    first = await context_of(cafile=files.ca_file)
    assert await context_of(cafile=files.ca_file) is first
    for same in (
        {"server_hostname": "example.com"},
        {"expiry_warning": 5},
        {"on_rotation": "close"},
        {"refresh_interval": 5},
    ):
        assert await context_of(cafile=files.ca_file, **same) is first
    cert = (files.cert_file, files.key_file)
    mine = await context_of(cafile=files.ca_file, cert=cert)
    assert mine is not first
    # Each configuration has a provider of its own, but the identity is the same.
    assert await context_of(cafile=files.ca_file, cert=cert) is mine
    made = ClientIdentity.from_files(*cert)
    assert await context_of(cafile=files.ca_file, identity=made) is mine


@pytest.mark.parametrize(
    "other",
    [
        {"check_hostname": False},
        {"allow_common_name": True},
        {"minimum_version": ssl.TLSVersion.TLSv1_3},
        {"maximum_version": ssl.TLSVersion.TLSv1_3},
        {"ciphers": "ECDHE+AESGCM"},
        {"strict": False},
        {"verify": False},
        {"session_resumption": True},
        {"post_handshake_auth": False},
        {"spiffe_trust_domain": "example.test"},
        {"authorize_server": print},
        {"crldata": AUTHORITY.crl_pem()},
        {"trust": "certifi"},
    ],
    ids=lambda each: next(iter(each)),
)
async def test_other_settings_make_another_context(other: dict[str, Any]) -> None:
    first = await context_of(cadata=AUTHORITY.root_pem)
    assert await context_of(cadata=AUTHORITY.root_pem, **other) is not first
    assert await context_of(cadata=AUTHORITY.root_pem) is first


async def test_a_context_is_found_without_a_thread(
    files: CertificateFiles, quiet: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = TLSConfig(cert=(files.cert_file, files.key_file), cafile=files.ca_file)
    first = await prepare(config)

    def refuse(*args: object) -> None:
        raise AssertionError("a thread was asked for")

    monkeypatch.setattr(cache, "_begin", refuse)
    assert (await prepare(config)).context is first.context


async def test_a_file_that_was_just_written_is_read_again(
    files: CertificateFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A change within one tick of the file system's clock shows in no stamp."""
    built = count_builds(monkeypatch)
    config = TLSConfig(cafile=files.ca_file)
    first = (await prepare(config)).context
    assert (await prepare(config)).context is first
    assert len(built) == 1
    before = files.ca_file.stat()
    content = bytearray(CertificateAuthority().root_pem)
    files.ca_file.write_bytes(bytes(content)[: before.st_size].ljust(before.st_size, b"\n"))
    (keeper,) = cache._keepers.values()
    monkeypatch.setattr("wsclient.tls.contexts.trust.stamps_of", lambda _: keeper.contents.stamps)  # type: ignore[union-attr]  # it has some
    second = (await prepare(config)).context
    assert second is not first
    assert verify_code(second, SERVER.server_context()) != 0


async def test_changed_roots_give_a_new_context(files: CertificateFiles) -> None:
    config = TLSConfig(cert=(files.cert_file, files.key_file), cafile=files.ca_file)
    first = (await prepare(config)).context
    assert verify_code(first, ASKING) == 0
    other = CertificateAuthority()
    files.replace(other.client_certificate("second"))
    server = other.server_certificate().server_context(client_ca=other)
    second = (await prepare(config)).context
    assert second is not first
    assert shown(second, server) == "second"
    assert verify_code(second, ASKING) != 0
    # The context of open connections was left as it was.
    assert shown(first) == "first"
    assert list(cache._contexts.values()) == [second]


async def test_who_sees_new_roots_never_gets_the_context_of_the_old(
    files: CertificateFiles, monkeypatch: pytest.MonkeyPatch, quiet: None
) -> None:
    config = TLSConfig(cafile=files.ca_file)
    old = (await prepare(config)).context
    files.ca_file.write_bytes(CertificateAuthority().root_pem)
    ((key, _),) = cache._contexts
    stamps = key.settings.trust.stamps()
    found: list[ssl.SSLContext | None] = []
    keeper = cache._keepers[key.settings.trust]

    class Looking(type(keeper)):  # type: ignore[misc]  # a class of one instance
        """Another thread looks between any two steps of the one that has read the files."""

        def __setattr__(self, name: str, value: object) -> None:
            super().__setattr__(name, value)
            found.append(cache._cached(key, stamps))

    monkeypatch.setattr(keeper, "__class__", Looking)
    new = (await prepare(config)).context
    assert new is not old
    assert len(found) >= 2
    assert old not in found
    assert cache._cached(key, stamps) is new


async def test_contexts_of_old_roots_are_forgotten(files: CertificateFiles) -> None:
    values: dict[str, Any] = {"cafile": files.ca_file}
    for loose in (False, True):
        await context_of(**values, check_hostname=not loose)
    bystander = await context_of(cadata=AUTHORITY.root_pem)
    files.ca_file.write_bytes(CertificateAuthority().root_pem)
    made = await context_of(**values)
    assert set(cache._contexts.values()) == {bystander, made}


async def test_a_new_identity_takes_the_place_of_the_old(files: CertificateFiles) -> None:
    config = TLSConfig(cert=(files.cert_file, files.key_file), cadata=AUTHORITY.root_pem)
    bystander = await context_of(cadata=AUTHORITY.root_pem)
    first = await prepare(config)
    for name in ("second", "third"):
        files.replace(AUTHORITY.client_certificate(name))
        made = await prepare(config)
        assert made.identity != first.identity
        assert shown(made.context) == name
        assert set(cache._contexts.values()) == {bystander, made.context}
    assert shown(first.context) == "first"
    assert made.identity is not None
    assert made.identity.generation == 3


@pytest.mark.parametrize("kinds", [("ec-p256", "rsa-2048"), ("rsa-2048", "ed25519")])
async def test_the_kind_of_key_may_change(kinds: Any, tmp_path: Path) -> None:
    """In one context, TLS 1.3 would go on showing the first certificate."""
    first, second = (AUTHORITY.client_certificate(kind, key_type=kind) for kind in kinds)
    files = first.write(tmp_path)
    config = TLSConfig(cert=(files.cert_file, files.key_file), cafile=files.ca_file)
    assert shown((await prepare(config)).context) == kinds[0]
    files.replace(second)
    assert shown((await prepare(config)).context) == kinds[1]


async def test_an_identity_that_was_overtaken_is_not_kept() -> None:
    """It was asked for before another that was faster, and must not come back into the cache."""
    made = [AUTHORITY.client_certificate(name) for name in ("old", "new")]
    old, new = (ClientIdentity.from_pem(each.chain_pem, each.private_key_pem()) for each in made)
    answers = [old, new]

    async def current() -> ClientIdentity:
        return answers.pop(0)

    entered, go = threading.Event(), threading.Event()
    show = ContextSettings.show

    def slow(
        settings: ContextSettings, identity: ClientIdentity, context: HandshakeContext
    ) -> None:
        if identity == old:
            entered.set()
            assert go.wait(10)
        show(settings, identity, context)

    config = TLSConfig(identity=current, cadata=AUTHORITY.root_pem)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ContextSettings, "show", slow)
        first = asyncio.create_task(prepare(config))
        await asyncio.to_thread(entered.wait, 10)
        second = asyncio.create_task(prepare(config))
        await asyncio.sleep(0)
        go.set()
        assert (await first).identity == old
        kept = await second
    assert kept.identity == new
    assert list(cache._contexts.values()) == [kept.context]


async def test_old_contexts_are_let_go(files: CertificateFiles) -> None:
    config = TLSConfig(cert=(files.cert_file, files.key_file), cafile=files.ca_file)
    first = weakref.ref((await prepare(config)).context)
    files.replace(AUTHORITY.client_certificate("second"))
    await prepare(config)
    gc.collect()
    assert first() is None


async def test_the_cache_is_bounded(tmp_path: Path, files: CertificateFiles) -> None:
    for number in range(cache._CACHE_SIZE + 5):
        path = tmp_path / f"ca{number}.pem"
        shutil.copy(files.ca_file, path)
        await context_of(cafile=path)
    assert len(cache._contexts) == len(cache._keepers) == cache._CACHE_SIZE


# Concurrency.


async def test_concurrent_calls_build_once(
    files: CertificateFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    built = count_builds(monkeypatch)
    config = TLSConfig(cert=(files.cert_file, files.key_file), cafile=files.ca_file)
    made = await asyncio.gather(*(prepare(config) for _ in range(50)))
    assert len({id(each.context) for each in made}) == 1
    assert len(built) == 1


async def test_concurrent_calls_take_one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    entered, go = slow_build(monkeypatch)
    config = TLSConfig(cadata=AUTHORITY.root_pem)
    calls = [asyncio.create_task(prepare(config)) for _ in range(50)]
    await asyncio.to_thread(entered.wait, 10)
    # There are fewer threads than calls: were all taken, nothing else would run.
    await asyncio.wait_for(asyncio.to_thread(go.set), 10)
    assert len({id((await each).context) for each in calls}) == 1


def test_loops_in_several_threads_share_contexts(
    files: CertificateFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    built = count_builds(monkeypatch)
    config = TLSConfig(cert=(files.cert_file, files.key_file), cafile=files.ca_file)
    start = threading.Barrier(4)

    def run() -> Prepared:
        start.wait()
        return asyncio.run(prepare(config))

    with concurrent.futures.ThreadPoolExecutor(4) as threads:
        made = [each.result() for each in [threads.submit(run) for _ in range(4)]]
    assert len({id(each.context) for each in made}) == len(built) == 1


def slow_build(monkeypatch: pytest.MonkeyPatch) -> tuple[threading.Event, threading.Event]:
    """Let builds wait; return what tells that one has begun, and what lets it go on."""
    entered, go = threading.Event(), threading.Event()
    make = ContextSettings.context

    def slow(
        settings: ContextSettings, contents: TrustContents, keylog: str | None
    ) -> HandshakeContext:
        entered.set()
        assert go.wait(10)
        return make(settings, contents, keylog)

    monkeypatch.setattr(ContextSettings, "context", slow)
    return entered, go


async def test_a_cancelled_call_harms_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    entered, go = slow_build(monkeypatch)
    config = TLSConfig(cadata=AUTHORITY.root_pem)
    first = asyncio.create_task(prepare(config))
    await asyncio.to_thread(entered.wait, 10)
    second = asyncio.create_task(prepare(config))
    await asyncio.sleep(0)
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    go.set()
    assert (await second).context.verify_mode is ssl.CERT_REQUIRED


async def test_what_was_begun_is_kept_when_all_are_cancelled(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    entered, go = slow_build(monkeypatch)
    config = TLSConfig(cadata=AUTHORITY.root_pem)
    only = asyncio.create_task(prepare(config))
    await asyncio.to_thread(entered.wait, 10)
    (future,) = cache._building.values()
    only.cancel()
    with pytest.raises(asyncio.CancelledError):
        await only
    go.set()
    outcome = await asyncio.wrap_future(future)
    assert (await prepare(config)).context is outcome.context


async def test_a_call_that_waits_for_a_thread_can_be_cancelled() -> None:
    """Its place in the queue stays, so that those who wait for the same are not left behind."""
    loop = asyncio.get_running_loop()
    go = threading.Event()
    pool = concurrent.futures.ThreadPoolExecutor(1)
    loop.set_default_executor(pool)
    busy = loop.run_in_executor(None, go.wait, 10)
    config = TLSConfig(cadata=AUTHORITY.root_pem)
    first = asyncio.create_task(prepare(config))
    second = asyncio.create_task(prepare(config))
    await asyncio.sleep(0)
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    go.set()
    assert (await second).context is not None
    await busy


async def test_without_threads_it_fails_for_all_who_wait() -> None:
    await asyncio.get_running_loop().shutdown_default_executor()
    config = TLSConfig(cadata=AUTHORITY.root_pem)
    for outcome in await asyncio.gather(prepare(config), prepare(config), return_exceptions=True):
        assert isinstance(outcome, RuntimeError)


def test_a_loop_that_ends_meanwhile_leaves_nothing_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    entered, go = slow_build(monkeypatch)
    config = TLSConfig(cadata=AUTHORITY.root_pem)

    async def begin() -> None:
        task = asyncio.create_task(prepare(config))
        await asyncio.to_thread(entered.wait, 10)
        asyncio.get_running_loop().call_soon(go.set)
        del task

    asyncio.run(begin())
    assert not cache._building
    assert asyncio.run(prepare(config)).context is not None


# Files that break while they are in use.


def warnings_of(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [each.getMessage() for each in caplog.records if each.levelno == logging.WARNING]


@pytest.mark.parametrize("fault", ["missing", "empty", "cut", "key"])
async def test_the_last_good_roots_are_kept(
    fault: str,
    files: CertificateFiles,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(time, "sleep", lambda _: None)
    config = TLSConfig(cert=(files.cert_file, files.key_file), cafile=files.ca_file)
    first = (await prepare(config)).context
    good = files.ca_file.read_bytes()
    files.ca_file.unlink()
    if fault != "missing":
        bad = {"empty": b"", "cut": good[:-40], "key": SERVER.private_key_pem()}
        files.ca_file.write_bytes(bad[fault])
    for _ in range(3):
        assert (await prepare(config)).context is first
    (warning,) = warnings_of(caplog)
    assert str(files.ca_file) in warning
    assert {each.name for each in caplog.records} == {"wsclient.tls"}
    # A new identity is shown nevertheless, to whom was trusted before.
    again = AUTHORITY.client_certificate("second").write(files.ca_file.parent, "second")
    os.replace(again.key_file, files.key_file)
    os.replace(again.cert_file, files.cert_file)
    assert shown((await prepare(config)).context) == "second"
    other = CertificateAuthority()
    files.ca_file.write_bytes(other.root_pem)
    last = (await prepare(config)).context
    assert verify_code(last, ASKING) != 0
    assert len(warnings_of(caplog)) == 1


async def test_each_fault_is_told_once(
    files: CertificateFiles, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(time, "sleep", lambda _: None)
    config = TLSConfig(cafile=files.ca_file)
    await prepare(config)
    good = files.ca_file.read_bytes()
    for _ in range(2):
        for bad in (b"", b"text"):
            files.ca_file.write_bytes(bad)
            await prepare(config)
            await prepare(config)
        files.ca_file.write_bytes(good)
        await prepare(config)
    assert len(warnings_of(caplog)) == 4


async def test_a_writer_is_waited_for(
    files: CertificateFiles, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    config = TLSConfig(cafile=files.ca_file)
    await prepare(config)
    other = CertificateAuthority()
    pauses: list[float] = []

    def write_the_rest(seconds: float) -> None:
        pauses.append(seconds)
        if len(pauses) == 2:
            files.ca_file.write_bytes(other.root_pem)

    monkeypatch.setattr(time, "sleep", write_the_rest)
    files.ca_file.write_bytes(other.root_pem[:100])
    made = (await prepare(config)).context
    assert verify_code(made, other.server_certificate().server_context()) == 0
    assert len(pauses) == 2
    assert not caplog.records


async def test_a_file_that_stays_bad_is_waited_for_once(
    files: CertificateFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = TLSConfig(cafile=files.ca_file)
    await prepare(config)
    files.ca_file.write_bytes(b"")
    pauses: list[float] = []
    monkeypatch.setattr(time, "sleep", pauses.append)
    await prepare(config)
    assert len(pauses) == 4
    assert sum(pauses) == pytest.approx(0.3)
    await prepare(config)
    assert len(pauses) == 4


async def test_at_first_only_a_writer_is_waited_for(
    files: CertificateFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    good = files.ca_file.read_bytes()
    pauses: list[float] = []

    def write_the_rest(seconds: float) -> None:
        pauses.append(seconds)
        files.ca_file.write_bytes(good)

    monkeypatch.setattr(time, "sleep", write_the_rest)
    files.ca_file.write_bytes(b"")
    with pytest.raises(TrustError):
        await prepare(TLSConfig(cafile=files.ca_file))
    assert not pauses
    stamps = iter(range(100))
    monkeypatch.setattr("wsclient.tls.contexts.trust.stamps_of", lambda _: _Changing(next(stamps)))
    forget()
    with pytest.raises(TrustError):
        await prepare(TLSConfig(cafile=files.ca_file))
    assert len(pauses) == 4


class _Changing:
    """Stamps that are never the same."""

    def __init__(self, number: int) -> None:
        self.number = number

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Changing) and other.number == self.number

    def settled(self, now: int) -> bool:
        return True


async def test_no_descriptor_is_left_behind(
    files: CertificateFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(time, "sleep", lambda _: None)
    config = TLSConfig(
        cert=(files.cert_file, files.key_file), cafile=files.ca_file, crldata=AUTHORITY.crl_pem()
    )
    await prepare(config)
    before = open_descriptors()
    key = ec.generate_private_key(ec.SECP256R1())
    for number in range(30):
        files.replace(AUTHORITY.client_certificate(f"number {number}", key=key))
        await prepare(config)
        files.ca_file.write_bytes(b"")
        await prepare(config)
    assert open_descriptors() == before
