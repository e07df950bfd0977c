"""Each fault of a certificate or key has a reason of its own, and none shows a secret."""

from __future__ import annotations

import base64
import errno
import logging
import os
import pickle
import re
import socket
import subprocess
import sys
import traceback
from collections.abc import Iterator
from pathlib import Path

import pytest

import wsclient
from tls.local_faults import FAULTS, PASSWORD, SECRETS, Fault, ec, other_ec, rsa
from wsclient import ClientIdentity, IdentityError, TLSConfigurationError
from wsclient.testing.certificates import IssuedCertificate


@pytest.fixture
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: object, **kwargs: object) -> None:
        raise AssertionError("a fault that is local has nothing to do with the network")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)


@pytest.mark.parametrize("fault", FAULTS, ids=[each.name for each in FAULTS])
@pytest.mark.usefixtures("no_network")
def test_each_fault_has_its_reason(
    fault: Fault, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    with pytest.raises(IdentityError) as caught:
        fault.make(tmp_path)
    error = caught.value
    assert error.reason == fault.reason
    assert fault.named in str(error)
    assert fault.hint in error.hint
    assert error.side == "local"
    assert error.phase == "tls"
    assert isinstance(error, (TLSConfigurationError, ValueError))
    assert_no_secret(*everything_about(error), caplog.text)


def test_the_reasons_are_those_that_the_class_lists() -> None:
    listed = IdentityError.__doc__ or ""
    assert {each.reason for each in FAULTS} <= {word for word in listed.split('"') if word}


def everything_about(error: BaseException) -> Iterator[str]:
    """Give all texts that a log or a report could make of an error and its causes."""
    yield "".join(traceback.format_exception(error))
    chain: list[BaseException | None] = [error]
    while chain:
        each = chain.pop()
        if each is None:
            continue
        yield repr(each)
        yield repr(each.args)
        yield repr(vars(each))
        for name in ("filename", "filename2", "object", "doc", "strerror"):
            yield repr(getattr(each, name, None))
        chain += [each.__cause__, each.__context__]


def secrets_of(certificate: IssuedCertificate) -> set[str]:
    """Return pieces of a key, one of which any leak would have in it."""
    forms = [
        certificate.private_key_pem(),
        certificate.private_key_pem(traditional=True),
    ]
    lines = {line.decode() for form in forms for line in form.splitlines() if b"-----" not in line}
    der = certificate.private_key_der()
    secret = certificate.private_key.private_numbers()  # type: ignore[union-attr] # RSA or EC
    number = getattr(secret, "private_value", None) or secret.d  # type: ignore[union-attr] # as above
    private = number.to_bytes((number.bit_length() + 7) // 8, "big")
    assert private in der
    return {
        *(line for line in lines if len(line) > 20),
        # Without quotation marks, which are not written alike in every text.
        repr(max(re.split(rb"['\"]", private), key=len))[2:-1],
        private[4:24].hex(),
        str(number),
        base64.b64encode(der).decode()[60:90],
    }


def assert_no_secret(*texts: str) -> None:
    pieces = {
        *SECRETS,
        *(piece for each in (ec(), other_ec(), rsa()) for piece in secrets_of(each)),
    }
    for text in texts:
        found = [piece for piece in pieces if piece in text]
        assert not found, f"a secret is in {text!r}"


def test_the_search_for_secrets_finds_them() -> None:
    key = ec().private_key_pem()
    for text in (key.decode(), repr(key), repr(ec().private_key_der()), f"password {PASSWORD}"):
        with pytest.raises(AssertionError):
            assert_no_secret(text)


@pytest.mark.parametrize("form", ["pem", "encrypted", "der", "pkcs12", "objects", "files"])
def test_what_is_good_shows_no_secret(
    form: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    identity = {
        "pem": lambda: ClientIdentity.from_pem(ec().chain_pem, ec().private_key_pem()),
        "encrypted": lambda: ClientIdentity.from_pem(
            ec().chain_pem, ec().private_key_pem(PASSWORD), PASSWORD
        ),
        "der": lambda: ClientIdentity.from_der(ec().certificate_der, ec().private_key_der()),
        "pkcs12": lambda: ClientIdentity.from_pkcs12(ec().pkcs12(PASSWORD), PASSWORD),
        "objects": lambda: ClientIdentity.from_cryptography(ec().private_key, ec().certificate),
        "files": lambda: ClientIdentity.from_files(
            *(
                (files := ec().write(tmp_path, password=PASSWORD)).cert_file,
                files.key_file,
                PASSWORD,
            )
        ),
    }[form]()
    shown = [repr(identity), str(identity), identity.description, repr(identity.source)]
    shown += [repr(getattr(identity, name)) for name in dir(identity) if name != "_pair"]
    # What a debugger, or a report of locals, would show.
    shown += [repr(identity._pair), repr(identity._pair.key)]
    assert_no_secret(*shown, caplog.text)
    with pytest.raises(TypeError) as caught:
        pickle.dumps(identity)
    assert_no_secret(*everything_about(caught.value))


@pytest.mark.parametrize(
    ("number", "reason"),
    [
        (errno.EACCES, "permission_denied"),
        (errno.EPERM, "permission_denied"),
        (errno.EIO, "certificate_unreadable"),
        (errno.ELOOP, "certificate_unreadable"),
        (errno.ENOENT, "file_not_found"),
    ],
)
def test_what_the_system_says_of_a_file_has_a_reason(
    number: int, reason: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    # The user of the tests may read everything: the system cannot be made to refuse.
    path = tmp_path / "tls.pem"

    def refuse(*args: object, **kwargs: object) -> None:
        raise OSError(number, os.strerror(number), str(path))

    monkeypatch.setattr("builtins.open", refuse)
    with pytest.raises(IdentityError) as caught:
        ClientIdentity.from_files(path)
    monkeypatch.undo()
    assert caught.value.reason == reason
    assert str(path) in str(caught.value)
    assert isinstance(caught.value.__cause__, OSError)


AS_NOBODY = """
import os, sys
from wsclient import ClientIdentity, IdentityError
if os.geteuid() == 0:
    os.seteuid(65534)                          # Who may read everything learns nothing.
try:
    ClientIdentity.from_files(sys.argv[1], sys.argv[2])
except IdentityError as exc:
    print(exc.reason, exc)
"""


@pytest.mark.skipif(os.name != "posix", reason="files have no modes here")
def test_a_file_that_may_not_be_read(tmp_path: Path) -> None:
    files = ec().write(tmp_path)
    files.cert_file.chmod(0)
    done = run_python(AS_NOBODY, files.cert_file, files.key_file)
    reason, _, text = done.stdout.partition(" ")
    assert reason == "permission_denied", done.stderr
    assert str(files.cert_file) in text


def run_python(
    code: str, *arguments: str | Path, new_session: bool = False
) -> subprocess.CompletedProcess[str]:
    """Run a program in another process that has the same package."""
    return subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)],
        env={**os.environ, "PYTHONPATH": str(Path(wsclient.__file__).parent.parent)},
        start_new_session=new_session,
        capture_output=True,
        text=True,
        timeout=20,
    )


def test_the_error_of_a_password_function_is_chained() -> None:
    def ask_vault() -> str:
        raise ConnectionError("the vault is sealed")

    with pytest.raises(IdentityError) as caught:
        ClientIdentity.from_pem(ec().chain_pem, ec().private_key_pem(PASSWORD), ask_vault)
    assert isinstance(caught.value.__cause__, ConnectionError)


def test_openssl_s_own_error_is_chained(tmp_path: Path) -> None:
    fault = next(each for each in FAULTS if each.reason == "key_too_small")
    with pytest.raises(IdentityError) as caught:
        fault.make(tmp_path)
    assert caught.value.openssl_reason == "EE_KEY_TOO_SMALL"
    assert getattr(caught.value.__cause__, "reason", None) == "EE_KEY_TOO_SMALL"


ON_A_TERMINAL = """
import os, sys
terminal = os.open(sys.argv[1], os.O_RDWR)     # Now it is the controlling one.
os.close(os.open("/dev/tty", os.O_RDWR))
from wsclient import ClientIdentity, IdentityError
for make in (
    lambda: ClientIdentity.from_files(sys.argv[2], sys.argv[3]),
    lambda: ClientIdentity.from_pkcs12(sys.argv[4]),
):
    try:
        make()
    except IdentityError as exc:
        print(exc.reason)
"""


@pytest.mark.skipif(not hasattr(os, "openpty"), reason="this system has no pseudo-terminals")
def test_nothing_is_asked_on_the_terminal(tmp_path: Path) -> None:
    files = ec().write(tmp_path, password=PASSWORD)
    p12 = ec().write_pkcs12(tmp_path / "tls.p12", PASSWORD)
    ours, theirs = os.openpty()
    try:
        name = os.ttyname(theirs)
        done = run_python(
            ON_A_TERMINAL, name, files.cert_file, files.key_file, p12, new_session=True
        )
        os.set_blocking(ours, False)
        with pytest.raises(BlockingIOError):
            os.read(ours, 100)
    finally:
        os.close(ours)
        os.close(theirs)
    assert done.stdout.split() == ["password_required"] * 2, done.stderr
