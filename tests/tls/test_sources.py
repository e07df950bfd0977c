"""Roots that the environment names, and how roots are told of."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from wsclient import TLSConfig, check_tls, websocket_connect
from wsclient.errors import ServerCertificateError, TrustError
from wsclient.testing import CertificateAuthority, ThreadedTLSServer
from wsclient.tls.contexts.sources import heed_environment, told
from wsclient.tls.contexts.trust import Trust

OURS = CertificateAuthority("Ours")
THEIRS = CertificateAuthority("Theirs")
SERVER = OURS.server_certificate("localhost").server_context()
OTHER_SERVER = THEIRS.server_certificate("localhost").server_context()


@pytest.fixture
def roots(tmp_path: Path) -> Path:
    path = tmp_path / "roots.pem"
    path.write_bytes(OURS.root_pem)
    return path


def write(path: Path, content: bytes) -> None:
    path.write_bytes(content)


def hashed(directory: Path, authority: CertificateAuthority) -> Path:
    """Make a directory of one root, under a name that OpenSSL would look for."""
    directory.mkdir()
    (directory / "1a2b3c4d.0").write_bytes(authority.root_pem)
    return directory


async def trusts(**options: Any) -> tuple[str, ...] | None:
    """Connect; return what the connection tells of its roots."""
    with ThreadedTLSServer(SERVER) as server:
        async with websocket_connect(f"wss://localhost:{server.port}/", **options) as conn:
            assert conn.tls is not None
            return conn.tls.trust


async def test_a_file_of_the_environment_is_the_default(
    roots: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(roots))
    assert await trusts() == (f"SSL_CERT_FILE={roots}",)
    assert await trusts(tls=TLSConfig()) == (f"SSL_CERT_FILE={roots}",)


@pytest.mark.parametrize("form", ["certifi", "cafile", "cadata"])
async def test_what_the_caller_chose_counts_alone(
    form: str, roots: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    theirs = tmp_path / "theirs.pem"
    theirs.write_bytes(THEIRS.root_pem)
    chosen: dict[str, dict[str, Any]] = {
        "certifi": {"trust": "certifi"},
        "cafile": {"cafile": theirs},
        "cadata": {"cadata": THEIRS.root_pem},
    }
    monkeypatch.setenv("SSL_CERT_FILE", str(roots))
    with pytest.raises(ServerCertificateError):
        await trusts(tls=TLSConfig(**chosen[form]))


@pytest.mark.parametrize("values", [{}, {"SSL_CERT_FILE": "", "SSL_CERT_DIR": ""}])
async def test_without_them_it_is_certifi(
    values: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in values.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(ServerCertificateError) as caught:
        await trusts()
    assert caught.value.reason == "unknown_ca"
    hint = caught.value.hint
    assert all(each in hint for each in ("(trusted was: certifi)", "cafile=", 'trust="system"'))


async def test_a_refusal_names_the_file_of_the_environment(
    roots: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(roots))
    with (
        ThreadedTLSServer(OTHER_SERVER) as server,
        pytest.raises(ServerCertificateError) as caught,
    ):
        await websocket_connect(f"wss://localhost:{server.port}/")
    assert f"(trusted was: SSL_CERT_FILE={roots})" in caught.value.hint


async def test_it_is_looked_at_for_each_connection(
    roots: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tls = TLSConfig()
    with pytest.raises(ServerCertificateError):
        await trusts(tls=tls)
    monkeypatch.setenv("SSL_CERT_FILE", str(roots))
    assert await trusts(tls=tls) == (f"SSL_CERT_FILE={roots}",)
    # The file is read again when it was replaced, as any other.
    other = roots.with_name("new.pem")
    other.write_bytes(THEIRS.root_pem)
    other.replace(roots)
    with pytest.raises(ServerCertificateError):
        await trusts(tls=tls)


@pytest.mark.parametrize("name", ["SSL_CERT_FILE", "SSL_CERT_DIR"])
async def test_what_is_missing_is_named_with_its_variable(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    missing = tmp_path / "missing"
    monkeypatch.setenv(name, str(missing))
    with pytest.raises(TrustError) as caught:
        await trusts()
    error = caught.value
    assert error.reason == "file_not_found"
    assert f"The environment names it: {name}={missing}." in str(error)
    assert str(error).count("Check the path") == 1


async def test_a_damaged_file_and_another_fault(
    roots: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(roots, OURS.root_pem[:-40])
    monkeypatch.setenv("SSL_CERT_FILE", str(roots))
    with pytest.raises(TrustError, match=r"has no end.*SSL_CERT_FILE="):
        await trusts()
    # The fault of a file that the caller named is not the environment's.
    write(roots, OURS.root_pem)
    with pytest.raises(TrustError, match="revoked") as caught:
        await trusts(tls=TLSConfig(crlfile=tmp_path / "missing.crl"))
    assert "SSL_CERT_FILE" not in str(caught.value)


def test_several_directories(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = hashed(tmp_path / "first", OURS)
    second = hashed(tmp_path / "second", THEIRS)
    monkeypatch.setenv("SSL_CERT_DIR", os.pathsep.join([str(first), "", str(second)]))
    trust = heed_environment(Trust.of())
    assert trust.directories == (str(first), str(second))
    before = trust.stamps()
    assert trust.read().roots is None
    (second / "1a2b3c4d.1").write_bytes(OURS.root_pem)
    assert trust.stamps() != before
    assert heed_environment(Trust.of()) == trust != Trust.of(capath=trust.capath)


async def test_a_check_tells_of_them(roots: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(roots))
    with ThreadedTLSServer(SERVER) as server, ThreadedTLSServer(OTHER_SERVER) as other:
        good = await check_tls(f"wss://localhost:{server.port}/")
        bad = await check_tls(f"wss://localhost:{other.port}/")
    for report in (good, bad):
        assert report.trust == (f"SSL_CERT_FILE={roots}",)
        [step] = [each for each in report.steps if each.name == "chain"]
        assert f"SSL_CERT_FILE={roots}" in step.text
    assert (good.ok, bad.ok) == (True, False)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({}, ("certifi",)),
        ({"trust": "system"}, ("system",)),
        ({"trust": "certifi", "cadata": OURS.root_pem}, ("certifi", "cadata")),
        ({"cafile": "ca.crt", "capath": "roots"}, ("cafile=ca.crt", "capath=roots")),
        ({"verify": False}, ()),
    ],
)
def test_how_roots_are_told_of(values: dict[str, Any], expected: tuple[str, ...]) -> None:
    assert told(heed_environment(Trust.of(**values))) == expected
