"""Private keys reach `ssl` through files that keep nothing."""

from __future__ import annotations

import os
import ssl
import stat
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization

from support.running import open_descriptors
from wsclient import IdentityError
from wsclient.testing import CertificateAuthority
from wsclient.testing.certificates import IssuedCertificate
from wsclient.tls.files import keyfile
from wsclient.tls.files.keyfile import PasswordNeededError, files_for, load_pair

needs_memory_files = pytest.mark.skipif(
    not hasattr(os, "memfd_create") or not Path("/proc/self/fd").is_dir(),
    reason="this system has no files in memory",
)

SECRET = b"content that nobody else may read\n" * 50


@pytest.fixture(scope="module")
def issued() -> IssuedCertificate:
    return CertificateAuthority().client_certificate("billing")


@pytest.fixture
def on_disk(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Take the files in memory away, and give the directory that temporary files are in."""
    monkeypatch.setattr(keyfile, "_in_memory", lambda: None)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    return tmp_path


def new_context() -> ssl.SSLContext:
    return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


def has_key(context: ssl.SSLContext, issued: IssuedCertificate) -> bool:
    """Return whether a client with this context shows the certificate to a server that asks."""
    server = issued.server_context(client_ca=issued)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    ends = [
        context.wrap_bio(to_client, to_server),
        server.wrap_bio(to_server, to_client, server_side=True),
    ]
    for _ in range(4):
        for end in ends:
            try:
                end.do_handshake()
            except ssl.SSLWantReadError:
                pass
    return ends[1].getpeercert(binary_form=True) == issued.certificate_der


@needs_memory_files
def test_files_are_in_memory_and_are_emptied() -> None:
    with files_for(SECRET, b"another") as (first, second):
        assert Path(first).read_bytes() == SECRET
        assert Path(second).read_bytes() == b"another"
        assert "memfd" in os.readlink(first)
        kept = os.dup(int(first.rpartition("/")[2]))
    try:
        assert os.pread(kept, len(SECRET) + 1, 0) == bytes(len(SECRET))
    finally:
        os.close(kept)
    assert not os.path.exists(first)


def test_temporary_files_are_private_and_are_emptied_and_removed(on_disk: Path) -> None:
    with files_for(SECRET) as (path,):
        assert Path(path).parent == on_disk
        assert Path(path).read_bytes() == SECRET
        assert stat.S_IMODE(os.stat(path).st_mode) == 0o600
        kept = os.open(path, os.O_RDONLY)
    try:
        assert os.pread(kept, len(SECRET) + 1, 0) == bytes(len(SECRET))
    finally:
        os.close(kept)
    assert list(on_disk.iterdir()) == []


@pytest.mark.parametrize("memory", [pytest.param(True, marks=needs_memory_files), False])
def test_files_are_gone_after_an_error(
    memory: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    if not memory:
        monkeypatch.setattr(keyfile, "_in_memory", lambda: None)
    before = open_descriptors()
    with pytest.raises(KeyError), files_for(SECRET, SECRET):
        raise KeyError
    assert open_descriptors() == before
    assert list(tmp_path.iterdir()) == []


def test_a_loaded_pair_is_shown_to_servers(issued: IssuedCertificate) -> None:
    context = new_context()
    load_pair(context, issued.chain_pem, issued.private_key_pem())
    assert has_key(context, issued)


@pytest.mark.parametrize("traditional", [False, True])
def test_the_disk_never_sees_a_plain_key(
    on_disk: Path, issued: IssuedCertificate, traditional: bool
) -> None:
    seen: list[bytes] = []
    context = Spy(lambda chain, key: seen.append(Path(key).read_bytes()))
    plain = issued.private_key_pem(traditional=traditional)
    load_pair(context, issued.chain_pem, plain)
    (content,) = seen
    assert content.startswith(b"-----BEGIN ENCRYPTED PRIVATE KEY-----")
    assert not {line for line in plain.splitlines() if b"-----" not in line} & set(
        content.splitlines()
    )
    # A key that anybody could open would be no better.
    with pytest.raises(TypeError):
        serialization.load_pem_private_key(content, None)
    assert has_key(context, issued)
    assert list(on_disk.iterdir()) == []


class Spy(ssl.SSLContext):
    """A context that lets a test look at the files before it loads them."""

    def __new__(cls, look: Callable[[str, str], None]) -> Spy:
        self = super().__new__(cls, ssl.PROTOCOL_TLS_CLIENT)
        self.look = look
        return self

    look: Callable[[str, str], None]

    def load_cert_chain(self, certfile: object, keyfile: object = None, password: object = None):  # type: ignore[no-untyped-def, override]
        self.look(str(certfile), str(keyfile))
        return super().load_cert_chain(certfile, keyfile, password)  # type: ignore[arg-type]


@pytest.mark.parametrize("key_type", ["rsa-2048", "ec-p384", "ed25519"])
def test_the_disk_takes_all_kinds_of_keys(on_disk: Path, key_type: str) -> None:
    certificate = CertificateAuthority().client_certificate(key_type=key_type)  # type: ignore[arg-type] # one of KeyType
    context = new_context()
    load_pair(context, certificate.chain_pem, certificate.private_key_pem())
    assert has_key(context, certificate)


def test_an_encrypted_key_goes_to_the_disk_as_it_is(
    on_disk: Path, issued: IssuedCertificate
) -> None:
    seen: list[bytes] = []
    key = issued.private_key_pem("open sesame")
    context = Spy(lambda chain, path: seen.append(Path(path).read_bytes()))
    load_pair(context, issued.chain_pem, key, b"open sesame")
    assert seen == [key]


def test_a_plain_key_that_cannot_be_encrypted_does_not_get_to_the_disk(
    on_disk: Path, issued: IssuedCertificate
) -> None:
    key = b"-----BEGIN EC PRIVATE KEY-----\nQUJD\n-----END EC PRIVATE KEY-----\n"
    seen: list[str] = []
    with pytest.raises(IdentityError) as caught:
        load_pair(Spy(lambda chain, path: seen.append(path)), issued.chain_pem, key)
    assert caught.value.reason == "key_unreadable"
    assert seen == []


@pytest.mark.parametrize("memory", [pytest.param(True, marks=needs_memory_files), False])
@pytest.mark.parametrize("good", [True, False])
def test_no_descriptor_is_left_after_many_loads(
    issued: IssuedCertificate,
    memory: bool,
    good: bool,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    if not memory:
        monkeypatch.setattr(keyfile, "_in_memory", lambda: None)
    key = issued.private_key_pem() if good else b"-----BEGIN PRIVATE KEY-----\nQUJD\n"
    before = open_descriptors()
    for _ in range(200 if memory else 20):
        try:
            load_pair(new_context(), issued.chain_pem, key)
        except ssl.SSLError:
            assert not good
        else:
            assert good
    assert open_descriptors() == before
    assert list(tmp_path.iterdir()) == []


def test_many_threads_load_at_once(issued: IssuedCertificate) -> None:
    contexts = [new_context() for _ in range(16)]
    threads = [
        threading.Thread(target=load_pair, args=(each, issued.chain_pem, issued.private_key_pem()))
        for each in contexts
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(has_key(each, issued) for each in contexts)


def test_a_missing_password_is_told_and_not_asked_for(issued: IssuedCertificate) -> None:
    with pytest.raises(PasswordNeededError):
        load_pair(new_context(), issued.chain_pem, issued.private_key_pem("open sesame"))


@needs_memory_files
def test_files_are_closed_in_programs_that_are_started(issued: IssuedCertificate) -> None:
    with files_for(SECRET) as (path,):
        number = path.rpartition("/")[2]
        shown = subprocess.run(
            ["/bin/ls", "-l", "/proc/self/fd/"],
            close_fds=False,
            capture_output=True,
            check=True,
            text=True,
        ).stdout
    assert "memfd" not in shown, f"descriptor {number} was inherited"
