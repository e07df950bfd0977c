"""`TLSConfig`: what is kept, what is refused, and that no secret is shown."""

from __future__ import annotations

import dataclasses
import ssl
from pathlib import Path
from typing import Any

import pytest

from wsclient.errors import ConnectError, TLSConfigurationError
from wsclient.testing.certificates import CertificateAuthority, CertificateFiles
from wsclient.tls import TLSConfig

PEM_KEY = "-----BEGIN PRIVATE KEY-----\nhunter2\n-----END PRIVATE KEY-----\n"


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> CertificateFiles:
    """Make certificates once for all tests here."""
    return CertificateAuthority().server_certificate().write(tmp_path_factory.mktemp("tls"))


def test_defaults() -> None:
    config = TLSConfig()
    assert config.cert is config.cafile is config.capath is config.cadata is None
    assert config.server_hostname is None
    assert config.check_hostname is True
    assert config.minimum_version is ssl.TLSVersion.TLSv1_2


@pytest.mark.parametrize(
    ("cert", "kept"),
    [
        pytest.param("c.pem", ("c.pem", None, None), id="path"),
        pytest.param(Path("c.pem"), ("c.pem", None, None), id="pathlib"),
        pytest.param(("c.pem", "k.pem"), ("c.pem", "k.pem", None), id="pair"),
        pytest.param(["c.pem", Path("k.pem")], ("c.pem", "k.pem", None), id="list"),
        pytest.param(("c.pem", "k.pem", "pw"), ("c.pem", "k.pem", "pw"), id="password"),
        pytest.param(("c.pem", None, b"pw"), ("c.pem", None, b"pw"), id="one-file-password"),
    ],
)
def test_forms_of_a_client_certificate(cert: Any, kept: Any) -> None:
    config = TLSConfig(cert=cert)
    assert config.cert == kept
    assert dataclasses.replace(config) == config
    assert hash(dataclasses.replace(config)) == hash(config)


def test_cadata_is_kept_as_pem_or_der(files: CertificateFiles) -> None:
    pem = files.ca_file.read_text()
    der = ssl.PEM_cert_to_DER_cert(pem)
    plain = TLSConfig(cadata=pem)
    assert plain.cadata == pem
    assert TLSConfig(cadata=f"# Größe\n{pem}\nmore") == plain
    assert TLSConfig(cadata=pem.encode()) == plain
    assert TLSConfig(cadata=der).cadata == der
    assert TLSConfig(cadata=memoryview(der)).cadata == der  # type: ignore[arg-type]  # a courtesy


@pytest.mark.parametrize(
    ("values", "error", "says"),
    [
        pytest.param({"cafile": ""}, TLSConfigurationError, "cafile is empty", id="cafile-empty"),
        pytest.param({"cafile": "a\0b"}, TLSConfigurationError, "NUL", id="cafile-nul"),
        pytest.param({"cafile": PEM_KEY}, TLSConfigurationError, "as cadata=", id="cafile-pem"),
        pytest.param({"capath": PEM_KEY}, TLSConfigurationError, "PEM text", id="capath-pem"),
        pytest.param({"cafile": b"ca.pem"}, TypeError, "not bytes", id="cafile-bytes"),
        pytest.param({"capath": True}, TypeError, "not bool", id="capath-bool"),
        pytest.param({"cadata": ""}, TLSConfigurationError, "is empty", id="cadata-empty"),
        pytest.param({"cadata": b""}, TLSConfigurationError, "is empty", id="cadata-empty-bytes"),
        pytest.param({"cadata": "ca.pem"}, TLSConfigurationError, "cafile=", id="cadata-path"),
        pytest.param({"cadata": PEM_KEY}, TLSConfigurationError, "no cert", id="cadata-key"),
        pytest.param({"cadata": 1}, TypeError, "not int", id="cadata-int"),
        pytest.param({"cert": PEM_KEY}, TLSConfigurationError, "PEM text", id="cert-pem"),
        pytest.param({"cert": ("c", PEM_KEY)}, TLSConfigurationError, "PEM text", id="key-pem"),
        pytest.param({"cert": ()}, TLSConfigurationError, "0 parts", id="cert-empty"),
        pytest.param({"cert": ("a",) * 4}, TLSConfigurationError, "4 parts", id="cert-4"),
        pytest.param({"cert": (None, "k")}, TypeError, "not None", id="cert-none"),
        pytest.param({"cert": True}, TypeError, "not bool", id="cert-bool"),
        pytest.param({"cert": ("c", "k", 1)}, TypeError, "password must be", id="password-int"),
        pytest.param({"cert": ("c", "k", "")}, TLSConfigurationError, "1..1024", id="pw-empty"),
        pytest.param(
            {"cert": ("c", "k", "ü" * 513)}, TLSConfigurationError, "has 1026", id="pw-long"
        ),
        pytest.param(
            {"cert": ("c", "k", "hunter2\ud800")}, TLSConfigurationError, "surrogate", id="pw-utf8"
        ),
        pytest.param({"server_hostname": ""}, TLSConfigurationError, "alone", id="name-empty"),
        pytest.param(
            {"server_hostname": "wss://host/"}, TLSConfigurationError, "alone", id="name-url"
        ),
        pytest.param({"server_hostname": 1}, TypeError, "not int", id="name-int"),
        pytest.param({"check_hostname": 0}, TypeError, "True or False", id="check-int"),
        pytest.param({"minimum_version": "1.2"}, TypeError, "TLSVersion", id="version-str"),
        pytest.param(
            {"minimum_version": ssl.TLSVersion.TLSv1_1}, TLSConfigurationError, "ssl=", id="tls11"
        ),
    ],
)
def test_bad_values(values: dict[str, Any], error: type[Exception], says: str) -> None:
    with pytest.raises(error) as caught:
        TLSConfig(**values)
    assert says in str(caught.value)
    assert "hunter2" not in str(caught.value)
    assert caught.value.__cause__ is None
    if error is TLSConfigurationError:
        assert isinstance(caught.value, ValueError)
        assert isinstance(caught.value, ConnectError)


def test_repr_shows_no_secret(files: CertificateFiles) -> None:
    pem = files.ca_file.read_text()
    for password in ("hunter2", b"hunter2"):
        shown = repr(TLSConfig(cert=("c.pem", "k.pem", password), cadata=pem))
        assert "c.pem" in shown
        assert "k.pem" in shown
        assert "hunter2" not in shown
        assert "BEGIN" not in shown


def test_it_cannot_be_changed() -> None:
    config = TLSConfig()
    with pytest.raises(dataclasses.FrozenInstanceError):
        config.cafile = "x"  # type: ignore[misc]  # that is the test
