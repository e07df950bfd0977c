"""The command ``check-tls``: what it prints, its exit status, and where passwords come from."""

from __future__ import annotations

import io
import json
import logging
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from wsclient.cli import main
from wsclient.testing import ThreadedTLSServer
from wsclient.testing.certificates import CertificateAuthority, CertificateFiles

PASSWORD = "correct horse"


@pytest.fixture(autouse=True)
def _put_back() -> Iterator[None]:
    handlers = list(logging.getLogger("wsclient").handlers)
    yield
    logging.getLogger("wsclient").handlers[:] = handlers


@pytest.fixture(scope="module")
def ca() -> CertificateAuthority:
    return CertificateAuthority("Test Root")


@pytest.fixture(scope="module")
def url(ca: CertificateAuthority) -> Iterator[str]:
    """A server that requires client certificates."""
    with ThreadedTLSServer(ca.server_certificate().server_context(client_ca=ca)) as running:
        yield running.url


@pytest.fixture
def files(ca: CertificateAuthority, tmp_path: Path) -> CertificateFiles:
    return ca.client_certificate("billing").write(tmp_path)


def identity(files: CertificateFiles) -> list[str]:
    return ["--cert", str(files.cert_file), "--key", str(files.key_file)]


def trust(files: CertificateFiles) -> list[str]:
    return ["--cafile", str(files.ca_file)]


def check(*arguments: str) -> int:
    return main(["check-tls", *arguments])


def test_a_handshake_that_succeeds_gives_0(
    url: str, files: CertificateFiles, capsys: pytest.CaptureFixture[str]
) -> None:
    assert check(url, *identity(files), *trust(files)) == 0
    out, err = capsys.readouterr()
    assert out.startswith(f"TLS check of {url}\n")
    assert "Result:  ok. The handshake succeeded." in out
    assert err == ""


def test_a_handshake_that_fails_gives_1(
    url: str, files: CertificateFiles, capsys: pytest.CaptureFixture[str]
) -> None:
    assert check(url, *trust(files)) == 1
    out, err = capsys.readouterr()
    assert "Alert certificate_required (116)." in out
    assert "Result:  FAILED." in out and "Hint:    The server asked for a certificate" in out
    assert err == ""


@pytest.mark.parametrize("good", [True, False])
def test_json(
    url: str, files: CertificateFiles, good: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = identity(files) if good else []
    assert check(url, "--json", *trust(files), *arguments) == (0 if good else 1)
    told = json.loads(capsys.readouterr().out)
    assert told["ok"] is good
    assert told["client_certificate"] == ("accepted" if good else "rejected")
    assert (told["error"] is None) is good
    assert good or told["error"]["reason"] == "certificate_required"


def test_it_is_a_command(url: str, files: CertificateFiles) -> None:
    result = subprocess.run(
        [sys.executable, "-P", "-W", "error", "-m", "wsclient", "check-tls", url, *trust(files)],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=30,
        env=os.environ | {"PYTHONIOENCODING": "ascii"},
    )
    assert (result.returncode, result.stderr) == (1, b"")
    # The arrows are drawn with what the terminal has.
    assert b"\n      >  ClientHello" in result.stdout
    assert result.stdout.isascii()


@pytest.mark.parametrize("way", ["file", "environment", "pkcs12"])
def test_the_password_of_a_key(
    ca: CertificateAuthority,
    url: str,
    way: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    issued = ca.client_certificate("billing")
    files = issued.write(tmp_path, password=PASSWORD)
    arguments = [*identity(files), "--password-file", str(tmp_path / "password")]
    (tmp_path / "password").write_text(f"{PASSWORD}\n")
    if way == "environment":
        monkeypatch.setenv("KEY_PASSWORD", PASSWORD)
        arguments = [*identity(files), "--password-env", "KEY_PASSWORD"]
    elif way == "pkcs12":
        path = issued.write_pkcs12(tmp_path / "client.p12", PASSWORD)
        arguments[:4] = ["--pkcs12", str(path)]
    assert check(url, *trust(files), *arguments) == 0
    assert PASSWORD not in capsys.readouterr().out


def test_the_servers_name_and_pin(
    url: str, files: CertificateFiles, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = [*identity(files), *trust(files)]
    assert check(url, *arguments, "--server-name", "localhost") == 0
    assert check(url, *arguments, "--server-name", "a.test") == 1
    assert check(url, *arguments, "--pin", "sha256//" + "A" * 43 + "=") == 1
    assert check(url, *identity(files), "--no-verify") == 0
    assert check(url, *identity(files), "--trust", "system", *trust(files), "--tls", "1.2") == 0
    assert "ServerHello: TLSv1.2" in capsys.readouterr().out.rpartition("TLS check")[2]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        pytest.param([], "the following arguments are required: URL", id="no URL"),
        pytest.param(["ws://127.0.0.1"], "no TLS to check", id="no TLS"),
        pytest.param(["wss://127.0.0.1", "--cert", "missing.pem"], "missing.pem", id="no file"),
        pytest.param(["wss://127.0.0.1", "--cafile", "missing.pem"], "missing.pem", id="no CA"),
        pytest.param(["wss://127.0.0.1", "--key", "x"], "--key needs --cert", id="key alone"),
        pytest.param(
            ["wss://127.0.0.1", "--cert", "x", "--pkcs12", "y"], "exclude each other", id="two"
        ),
        pytest.param(["wss://127.0.0.1", "--pin", "x"], "sha256//", id="pin"),
        pytest.param(["wss://127.0.0.1", "--timeout", "0"], "more than 0", id="timeout 0"),
        pytest.param(["wss://127.0.0.1", "--timeout", "soon"], "more than 0", id="timeout"),
        pytest.param(
            ["wss://127.0.0.1", "--password-env", "NO_SUCH_NAME"], "NO_SUCH_NAME", id="no name"
        ),
        pytest.param(
            ["wss://127.0.0.1", "--password-file", "missing"], "cannot be read", id="no password"
        ),
    ],
)
def test_arguments_that_cannot_be_used_give_2(
    arguments: list[str],
    says: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as caught:
        check(*arguments)
    out, err = capsys.readouterr()
    assert (caught.value.code, out) == (2, "")
    assert says in err


def test_a_password_without_a_key_and_two_of_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "password").write_text(PASSWORD)
    (tmp_path / "latin").write_bytes(b"\xfc" + PASSWORD.encode())
    monkeypatch.setenv("KEY_PASSWORD", PASSWORD)
    in_file = ["--password-file", str(tmp_path / "password")]
    for arguments, says in (
        (in_file, "is for a key"),
        (["--password", PASSWORD], "use --password-file"),
        ([*in_file, "--password-env", "KEY_PASSWORD"], "exclude each other"),
        (["--password-file", str(tmp_path / "latin")], "not text in UTF-8"),
    ):
        with pytest.raises(SystemExit) as caught:
            check("wss://127.0.0.1", *arguments)
        err = capsys.readouterr().err
        assert caught.value.code == 2
        assert says in err and PASSWORD not in err


def test_ctrl_c_ends_it_without_a_traceback(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    async def interrupted(*args: object, **kwargs: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("wsclient.cli.checking.check_tls", interrupted)
    assert check("wss://127.0.0.1") == 130
    assert capsys.readouterr().err == ""


def test_a_reader_that_goes_away_is_no_accident(
    url: str, files: CertificateFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Gone(io.StringIO):
        def write(self, text: str, /) -> int:
            raise BrokenPipeError

        def fileno(self) -> int:
            return spare.fileno()

    with open(files.ca_file) as spare:
        monkeypatch.setattr(sys, "stdout", Gone())
        assert check(url, *trust(files)) == 1
