"""Contexts: what is in them, when they are built again, and how faults are explained."""

from __future__ import annotations

import asyncio
import os
import shutil
import ssl
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from wsclient.errors import TLSConfigurationError
from wsclient.testing.certificates import CertificateAuthority, CertificateFiles
from wsclient.tls import TLSConfig, build_context, context, unverified_context

PASSWORD = "correct horse"


@pytest.fixture(autouse=True)
def _empty_cache(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let no test see the contexts of another."""
    monkeypatch.delenv("SSLKEYLOGFILE", raising=False)
    context._cache.clear()
    yield
    context._cache.clear()


@pytest.fixture
def files(tmp_path: Path) -> CertificateFiles:
    """Make an authority and a certificate."""
    return make_files(tmp_path)


def make_files(directory: Path) -> CertificateFiles:
    """Write a server's certificate of a new authority."""
    return CertificateAuthority().server_certificate().write(directory, "server")


def server_context(files: CertificateFiles) -> ssl.SSLContext:
    """Make a server that shows the certificate in the files."""
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    made.load_cert_chain(files.cert_file, files.key_file)
    return made


def encrypted(files: CertificateFiles) -> Path:
    """Write the private key again, encrypted."""
    key = load_pem_private_key(files.key_file.read_bytes(), None)
    path = files.key_file.with_name("encrypted.pem")
    path.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(PASSWORD.encode()),
        )
    )
    return path


def key_file(path: Path, key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey) -> Path:
    """Write a private key that belongs to nothing."""
    path.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return path


def handshake(client: ssl.SSLContext, server: ssl.SSLContext, name: str) -> ssl.SSLObject:
    """Do a handshake in memory and return the client's side."""
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    near = client.wrap_bio(to_client, to_server, server_hostname=name)
    far = server.wrap_bio(to_server, to_client, server_side=True)
    waiting = [near, far]
    for _ in range(10):
        for side in list(waiting):
            try:
                side.do_handshake()
            except ssl.SSLWantReadError:
                continue
            waiting.remove(side)
    assert not waiting
    return near


async def test_the_default_trusts_certifi_and_verifies() -> None:
    made = await build_context(None)
    assert made.verify_mode is ssl.CERT_REQUIRED
    assert made.check_hostname
    assert made.hostname_checks_common_name is False
    assert made.minimum_version is ssl.TLSVersion.TLSv1_2
    assert made.cert_store_stats()["x509_ca"] > 50
    assert made.verify_flags == ssl.create_default_context().verify_flags
    assert await build_context(TLSConfig()) is made


async def test_a_private_authority_replaces_certifi(files: CertificateFiles) -> None:
    for config in (
        TLSConfig(cafile=files.ca_file),
        TLSConfig(cadata=files.ca_file.read_text()),
        TLSConfig(cadata=ssl.PEM_cert_to_DER_cert(files.ca_file.read_text())),
    ):
        made = await build_context(config)
        assert made.cert_store_stats()["x509_ca"] == 1
        near = handshake(made, server_context(files), "localhost")
        assert near.version() == "TLSv1.3"
        with pytest.raises(ssl.SSLCertVerificationError):
            handshake(made, server_context(files), "other.example")
    with pytest.raises(ssl.SSLCertVerificationError):
        handshake(await build_context(None), server_context(files), "localhost")


async def test_a_directory_of_roots(files: CertificateFiles, tmp_path: Path) -> None:
    directory = tmp_path / "roots"
    directory.mkdir()
    made = await build_context(TLSConfig(capath=directory))
    with pytest.raises(ssl.SSLCertVerificationError):
        handshake(made, server_context(files), "localhost")
    name = name_hash(files.ca_file)
    shutil.copy(files.ca_file, directory / f"{name}.0")
    made = await build_context(TLSConfig(capath=directory))
    handshake(made, server_context(files), "localhost")


def name_hash(certificate: Path) -> str:
    """Return OpenSSL's hash of a certificate's subject, or skip without the command."""
    command = shutil.which("openssl")
    if command is None:
        pytest.skip("the openssl command is missing")
    result = subprocess.run(
        [command, "x509", "-noout", "-subject_hash", "-in", certificate],
        capture_output=True,
        check=True,
        text=True,
    )
    return result.stdout.strip()


async def test_choices_reach_the_context(files: CertificateFiles) -> None:
    made = await build_context(
        TLSConfig(
            cafile=files.ca_file,
            check_hostname=False,
            minimum_version=ssl.TLSVersion.TLSv1_3,
        )
    )
    assert made.minimum_version is ssl.TLSVersion.TLSv1_3
    assert not made.check_hostname
    assert made.verify_mode is ssl.CERT_REQUIRED
    handshake(made, server_context(files), "other.example")


async def test_http_1_1_is_asked_for(files: CertificateFiles) -> None:
    server = server_context(files)
    server.set_alpn_protocols(["h2", "http/1.1"])
    made = await build_context(TLSConfig(cafile=files.ca_file))
    assert handshake(made, server, "localhost").selected_alpn_protocol() == "http/1.1"
    near = handshake(unverified_context(), server, "localhost")
    assert near.selected_alpn_protocol() == "http/1.1"


def test_an_unverified_context_accepts_anybody(files: CertificateFiles) -> None:
    made = unverified_context()
    assert made.verify_mode is ssl.CERT_NONE
    handshake(made, server_context(files), "other.example")
    assert unverified_context() is not made


@pytest.mark.parametrize("form", ["pair", "one-file", "encrypted", "encrypted-bytes"])
async def test_the_client_certificate_is_presented(files: CertificateFiles, form: str) -> None:
    together = files.cert_file.with_name("together.pem")
    together.write_bytes(files.key_file.read_bytes() + files.cert_file.read_bytes())
    certs: dict[str, Any] = {
        "pair": (files.cert_file, files.key_file),
        "one-file": together,
        "encrypted": (files.cert_file, encrypted(files), PASSWORD),
        "encrypted-bytes": (files.cert_file, encrypted(files), PASSWORD.encode()),
    }
    made = await build_context(TLSConfig(cert=certs[form], cafile=files.ca_file))
    assert made.post_handshake_auth
    assert presented(made, files) == files.cert_file.read_text()


def presented(client: ssl.SSLContext, files: CertificateFiles) -> str | None:
    """Return what the client shows to a server that asks for a certificate, as PEM."""
    server = server_context(files)
    # Any certificate will do: it is the client's choice that is looked at.
    server.verify_mode = ssl.CERT_OPTIONAL
    server.load_verify_locations(files.ca_file)
    shown: list[bytes | None] = []
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    near = client.wrap_bio(to_client, to_server, server_hostname="localhost")
    far = server.wrap_bio(to_server, to_client, server_side=True)
    for _ in range(5):
        for side in (near, far):
            try:
                side.do_handshake()
            except ssl.SSLWantReadError:
                continue
            except ssl.SSLCertVerificationError as exc:
                # The test's certificate is one for servers, which proves that it was shown.
                assert exc.verify_code == 26
                return files.cert_file.read_text()
            if side is far:
                shown.append(far.getpeercert(binary_form=True))
    return ssl.DER_cert_to_PEM_cert(shown[0]) if shown and shown[0] else None


def _missing(files: CertificateFiles) -> dict[str, Any]:
    return {"cert": (files.cert_file, files.key_file.with_name("missing.pem"))}


def _missing_cert(files: CertificateFiles) -> dict[str, Any]:
    return {"cert": (files.cert_file.with_name("missing.pem"), files.key_file)}


def _no_password(files: CertificateFiles) -> dict[str, Any]:
    return {"cert": (files.cert_file, encrypted(files))}


def _wrong_password(files: CertificateFiles) -> dict[str, Any]:
    return {"cert": (files.cert_file, encrypted(files), "wrong horse")}


def _other_key(files: CertificateFiles) -> dict[str, Any]:
    key = ec.generate_private_key(ec.SECP256R1())
    return {"cert": (files.cert_file, key_file(files.ca_file.with_name("other.pem"), key))}


def _other_kind_of_key(files: CertificateFiles) -> dict[str, Any]:
    key = rsa.generate_private_key(65537, 2048)
    return {"cert": (files.cert_file, key_file(files.ca_file.with_name("rsa.pem"), key))}


def _swapped(files: CertificateFiles) -> dict[str, Any]:
    return {"cert": (files.key_file, files.cert_file)}


def _no_key(files: CertificateFiles) -> dict[str, Any]:
    return {"cert": files.cert_file}


def _empty(files: CertificateFiles) -> dict[str, Any]:
    path = files.ca_file.with_name("empty.pem")
    path.touch()
    return {"cert": (path, files.key_file)}


def _der(files: CertificateFiles) -> dict[str, Any]:
    path = files.ca_file.with_name("cert.der")
    made = x509.load_pem_x509_certificate(files.cert_file.read_bytes())
    path.write_bytes(made.public_bytes(serialization.Encoding.DER))
    return {"cert": (path, files.key_file)}


def _damaged(files: CertificateFiles) -> dict[str, Any]:
    path = files.ca_file.with_name("damaged.pem")
    path.write_text(files.cert_file.read_text()[:200])
    return {"cert": (path, files.key_file)}


def _directory(files: CertificateFiles) -> dict[str, Any]:
    return {"cert": (files.cert_file.parent, files.key_file)}


def _ca_missing(files: CertificateFiles) -> dict[str, Any]:
    return {"cafile": files.ca_file.with_name("missing.pem")}


def _ca_key(files: CertificateFiles) -> dict[str, Any]:
    return {"cafile": files.key_file}


def _ca_damaged(files: CertificateFiles) -> dict[str, Any]:
    return {"cafile": _damaged(files)["cert"][0]}


def _ca_directory(files: CertificateFiles) -> dict[str, Any]:
    return {"cafile": files.ca_file.parent}


def _capath_missing(files: CertificateFiles) -> dict[str, Any]:
    return {"capath": files.ca_file.with_name("missing")}


def _capath_file(files: CertificateFiles) -> dict[str, Any]:
    return {"capath": files.ca_file}


def _cadata(files: CertificateFiles) -> dict[str, Any]:
    return {"cadata": b"0\x82nonsense"}


@pytest.mark.parametrize(
    ("values", "says"),
    [
        pytest.param(_missing, "private key .*missing.pem cannot be read: No such", id="no-key"),
        pytest.param(_missing_cert, "certificate .*missing.pem cannot be read", id="no-cert"),
        pytest.param(_no_password, "encrypted.pem is encrypted and no password", id="no-password"),
        pytest.param(_wrong_password, "password .*encrypted.pem is wrong", id="wrong-password"),
        pytest.param(_other_key, "other.pem does not belong to .*server.pem", id="other-key"),
        pytest.param(_other_kind_of_key, "rsa.pem does not belong", id="other-kind-of-key"),
        pytest.param(_swapped, "server.key holds no certificate", id="swapped"),
        pytest.param(_no_key, "server.pem holds no private key", id="key-missing"),
        pytest.param(_empty, "empty.pem is empty", id="empty"),
        pytest.param(_der, "cert.der is in DER .* openssl", id="der"),
        pytest.param(_damaged, "damaged.pem .* damaged", id="damaged"),
        pytest.param(_directory, "cannot be read: Is a directory", id="directory"),
        pytest.param(_ca_missing, "roots .*missing.pem cannot be read", id="ca-missing"),
        pytest.param(_ca_key, "server.key holds no certificate", id="ca-key"),
        pytest.param(_ca_damaged, "damaged.pem is damaged", id="ca-damaged"),
        pytest.param(_ca_directory, "cannot be read: Is a directory", id="ca-directory"),
        pytest.param(_capath_missing, "roots .*missing cannot be read", id="capath-missing"),
        pytest.param(_capath_file, "ca.pem is not a directory", id="capath-file"),
        pytest.param(_cadata, "no usable certificates", id="cadata"),
    ],
)
async def test_faults_are_explained(files: CertificateFiles, values: Any, says: str) -> None:
    with pytest.raises(TLSConfigurationError, match=says) as caught:
        await build_context(TLSConfig(**values(files)))
    assert caught.value.phase == "tls"
    assert not any(secret in str(caught.value) for secret in ("PRIVATE KEY", "horse"))
    if values is not _capath_file:
        assert caught.value.__cause__ is not None


def test_no_password_is_asked_for_on_a_terminal(files: CertificateFiles) -> None:
    """OpenSSL would ask on the terminal of the process; it has one here."""
    pty = pytest.importorskip("pty")
    program = (
        "import sys, wsclient.tls as t\n"
        "try: t.unverified_context((sys.argv[1], sys.argv[2], None))\n"
        "except ValueError as exc: print('refused')\n"
    )
    near, far = pty.openpty()
    try:
        process = subprocess.run(
            [sys.executable, "-c", program, files.cert_file, encrypted(files)],
            stdin=far,
            stdout=subprocess.PIPE,
            stderr=far,
            start_new_session=True,
            timeout=20,
            check=True,
            text=True,
        )
        assert process.stdout.strip() == "refused"
        os.set_blocking(near, False)
        with pytest.raises(BlockingIOError):
            os.read(near, 100)
    finally:
        os.close(near)
        os.close(far)


async def test_a_changed_file_gives_a_new_context(files: CertificateFiles, tmp_path: Path) -> None:
    config = TLSConfig(cert=(files.cert_file, files.key_file), cafile=files.ca_file)
    first = await build_context(config)
    assert await build_context(config) is first
    next_ = make_files(make_directory(tmp_path / "next"))
    for name in ("cert_file", "key_file", "ca_file"):
        os.replace(getattr(next_, name), getattr(files, name))
    second = await build_context(config)
    assert second is not first
    assert await build_context(config) is second
    assert presented(second, files) == files.cert_file.read_text()
    assert len(context._cache) == 1


def make_directory(path: Path) -> Path:
    """Make a directory and return it."""
    path.mkdir()
    return path


async def test_a_fault_is_not_remembered(files: CertificateFiles) -> None:
    config = TLSConfig(cert=(files.cert_file, files.key_file))
    good = files.key_file.read_bytes()
    files.key_file.write_text("nonsense")
    for _ in range(2):
        with pytest.raises(TLSConfigurationError):
            await build_context(config)
    files.key_file.write_bytes(good)
    await build_context(config)
    files.key_file.unlink()
    with pytest.raises(TLSConfigurationError, match="cannot be read"):
        await build_context(config)


async def test_the_server_name_makes_no_other_context(files: CertificateFiles) -> None:
    first = await build_context(TLSConfig(cafile=files.ca_file))
    named = TLSConfig(cafile=files.ca_file, server_hostname="example.com")
    assert await build_context(named) is first
    other = TLSConfig(cafile=files.ca_file, check_hostname=False)
    assert await build_context(other) is not first


async def test_concurrent_calls_build_once(
    files: CertificateFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    built = count_builds(monkeypatch)
    config = TLSConfig(cafile=files.ca_file)
    contexts = await asyncio.gather(*(build_context(config) for _ in range(20)))
    assert len(set(map(id, contexts))) == 1
    assert len(built) == 1
    assert not context._building


def count_builds(monkeypatch: pytest.MonkeyPatch) -> list[TLSConfig]:
    """Return a list that every build from now on adds its configuration to."""
    built: list[TLSConfig] = []
    build = context._build

    def counting(config: TLSConfig) -> ssl.SSLContext:
        built.append(config)
        return build(config)

    monkeypatch.setattr(context, "_build", counting)
    return built


def test_loops_in_several_threads_share_contexts(
    files: CertificateFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    built = count_builds(monkeypatch)
    config = TLSConfig(cafile=files.ca_file)
    contexts: list[ssl.SSLContext] = []
    start = threading.Barrier(4)

    def run() -> None:
        start.wait()
        contexts.append(asyncio.run(build_context(config)))

    threads = [threading.Thread(target=run) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(contexts) == 4
    assert len(set(map(id, contexts))) == len(built) == 1


async def test_a_cancelled_call_harms_nobody(
    files: CertificateFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    entered, go = threading.Event(), threading.Event()
    build = context._build

    def slow(config: TLSConfig) -> ssl.SSLContext:
        entered.set()
        assert go.wait(10)
        return build(config)

    monkeypatch.setattr(context, "_build", slow)
    config = TLSConfig(cafile=files.ca_file)
    first = asyncio.create_task(build_context(config))
    await asyncio.to_thread(entered.wait, 10)
    second = asyncio.create_task(build_context(config))
    await asyncio.sleep(0)
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    go.set()
    assert (await second).verify_mode is ssl.CERT_REQUIRED


async def test_the_cache_is_bounded(tmp_path: Path, files: CertificateFiles) -> None:
    for number in range(context._CACHE_SIZE + 5):
        path = tmp_path / f"ca{number}.pem"
        shutil.copy(files.ca_file, path)
        await build_context(TLSConfig(cafile=path))
    assert len(context._cache) == context._CACHE_SIZE


def test_keys_are_logged_when_the_environment_asks(
    files: CertificateFiles, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = tmp_path / "keys.log"
    monkeypatch.setenv("SSLKEYLOGFILE", str(log))
    handshake(unverified_context(), server_context(files), "localhost")
    assert "SECRET" in log.read_text()
    monkeypatch.setenv("SSLKEYLOGFILE", str(tmp_path / "missing" / "keys.log"))
    with pytest.raises(TLSConfigurationError, match="SSLKEYLOGFILE"):
        unverified_context()
