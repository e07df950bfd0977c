"""`TLSConfig`: what is kept, what is refused, and that no secret is shown."""

from __future__ import annotations

import copy
import dataclasses
import functools
import logging
import math
import pickle
import ssl
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from wsclient.errors import ConnectError, IdentityError, TLSConfigurationError, TrustError
from wsclient.testing.certificates import CertificateAuthority, CertificateFiles
from wsclient.tls import TLSConfig, prepare
from wsclient.tls.contexts import cache, preparing
from wsclient.tls.identity.identity import ClientIdentity
from wsclient.tls.rotation.providers import CallableIdentityProvider, FileIdentityProvider

PEM_KEY = "-----BEGIN PRIVATE KEY-----\nhunter2\n-----END PRIVATE KEY-----\n"
PEM_NONSENSE = "-----BEGIN CERTIFICATE-----\naHVudGVyMg==\n-----END CERTIFICATE-----\n"
CRL_NONSENSE = PEM_NONSENSE.replace("CERTIFICATE", "X509 CRL")
PIN = "sha256//" + "A" * 43 + "="
AUTHORITY = CertificateAuthority()
CLIENT = AUTHORITY.client_certificate("billing")


@pytest.fixture(autouse=True)
def _fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let no test see the contexts of another, or what was warned of in it."""
    monkeypatch.delenv("SSLKEYLOGFILE", raising=False)
    cache._contexts.clear()
    cache._keepers.clear()
    preparing._warned.clear()


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> CertificateFiles:
    """Make certificates once for all tests here."""
    return CLIENT.write(tmp_path_factory.mktemp("tls"))


@pytest.fixture(scope="module")
def identity() -> ClientIdentity:
    """Make an identity in memory."""
    return ClientIdentity.from_pem(CLIENT.chain_pem, CLIENT.private_key_pem())


def test_defaults() -> None:
    config = TLSConfig()
    assert config.identity is config.cert is config.provider is None
    assert config.trust is config.cafile is config.capath is config.cadata is None
    assert config.server_hostname is None
    assert config.verify is True
    assert config.check_hostname is None
    assert config.preparer.settings.check_hostname is True
    assert config.allow_common_name is False
    assert config.minimum_version is ssl.TLSVersion.TLSv1_2
    assert config.maximum_version is None
    assert config.crl_check == "leaf"
    assert config.session_resumption is False
    assert config.on_rotation == "keep"


@pytest.mark.parametrize(
    ("cert", "kept"),
    [
        pytest.param("c.pem", ("c.pem", None, None), id="path"),
        pytest.param(Path("c.pem"), ("c.pem", None, None), id="pathlib"),
        pytest.param(("c.pem", "k.pem"), ("c.pem", "k.pem", None), id="pair"),
        pytest.param(["c.pem", Path("k.pem")], ("c.pem", "k.pem", None), id="list"),
        pytest.param(("c.pem", "k.pem", "pw"), ("c.pem", "k.pem", "pw"), id="password"),
        pytest.param(("c.pem", None, b"pw"), ("c.pem", None, b"pw"), id="one-file-password"),
        pytest.param(("c.pem", None, str), ("c.pem", None, str), id="password-function"),
    ],
)
def test_forms_of_a_client_certificate(cert: Any, kept: Any) -> None:
    config = TLSConfig(cert=cert)
    assert config.cert == kept
    assert isinstance(config.provider, FileIdentityProvider)
    assert (config.provider.certfile, config.provider.keyfile) == kept[:2]
    assert config.replace() == config == dataclasses.replace(config)
    assert hash(config.replace()) == hash(config) == hash(dataclasses.replace(config))


def test_forms_of_an_identity(identity: ClientIdentity, files: CertificateFiles) -> None:
    def current() -> ClientIdentity:
        return identity

    assert isinstance(TLSConfig(identity=current).provider, CallableIdentityProvider)
    provider = FileIdentityProvider(files.cert_file, files.key_file)
    assert TLSConfig(identity=provider).provider is provider
    from_files = ClientIdentity.from_files(files.cert_file, files.key_file)
    assert isinstance(TLSConfig(identity=from_files).provider, FileIdentityProvider)
    assert TLSConfig(identity=identity) == TLSConfig(identity=from_files)
    assert TLSConfig(identity=identity).provider is not None


def test_an_unhashable_identity_is_no_obstacle(identity: ClientIdentity) -> None:
    @dataclasses.dataclass
    class Source:
        async def get(self) -> ClientIdentity:
            return identity

    with pytest.raises(TypeError):
        hash(Source())
    config = TLSConfig(identity=Source())
    assert hash(config) == hash(TLSConfig(identity=Source()))
    assert config == TLSConfig(identity=Source())
    assert config != TLSConfig(identity=lambda: identity)


def test_cadata_is_kept_as_pem_or_der(files: CertificateFiles) -> None:
    pem = files.ca_file.read_text()
    der = ssl.PEM_cert_to_DER_cert(pem)
    plain = TLSConfig(cadata=pem)
    assert plain.cadata == pem
    assert TLSConfig(cadata=f"# Größe\n{pem}\nmore") == plain
    assert TLSConfig(cadata=f"\ufeff{pem}") == plain
    assert TLSConfig(cadata=pem.replace("\n", "\r\n").encode()) == plain
    assert TLSConfig(cadata=der).cadata == der
    assert TLSConfig(cadata=memoryview(der)).cadata == der  # type: ignore[arg-type]  # a courtesy


def test_crldata_is_kept_as_pem() -> None:
    pem = AUTHORITY.crl_pem()
    der = x509.load_pem_x509_crl(pem).public_bytes(Encoding.DER)
    for data in (pem, pem.decode(), der, AUTHORITY.certificate_pem + pem):
        assert TLSConfig(crldata=data).crldata == pem


def test_checks_of_the_server() -> None:
    config = TLSConfig(pinned_public_keys=f"{PIN};{PIN}", spiffe_ids="spiffe://example.test/a")
    assert config.pinned_public_keys == {PIN}
    assert config.spiffe_ids == {"spiffe://example.test/a"}
    assert config.check_hostname is None
    assert config.preparer.settings.check_hostname is False
    for values in (
        {"spiffe_trust_domain": "example.test", "check_hostname": True},
        {"pinned_public_keys": [PIN]},
        {"authorize_server": lambda _: None},
    ):
        settings = TLSConfig(**values).preparer.settings
        assert settings.check_hostname is True
        assert settings.checks
    assert TLSConfig().preparer.settings.checks is None
    assert TLSConfig(verify=False).preparer.settings.check_hostname is False


@pytest.mark.parametrize(
    ("values", "error", "says"),
    [
        pytest.param({"cafile": ""}, TrustError, "cafile is empty", id="cafile-empty"),
        pytest.param({"cafile": "a\0b"}, TrustError, "NUL", id="cafile-nul"),
        pytest.param({"cafile": PEM_KEY}, TrustError, "to cadata=", id="cafile-pem"),
        pytest.param({"capath": PEM_KEY}, TrustError, "PEM text", id="capath-pem"),
        pytest.param({"crlfile": CRL_NONSENSE}, TrustError, "to crldata=", id="crlfile-pem"),
        pytest.param({"cafile": b"ca.pem"}, TypeError, "not bytes", id="cafile-bytes"),
        pytest.param({"capath": True}, TypeError, "not bool", id="capath-bool"),
        pytest.param({"cadata": ""}, TrustError, "is empty", id="cadata-empty"),
        pytest.param({"cadata": b""}, TrustError, "is empty", id="cadata-empty-bytes"),
        pytest.param({"cadata": "ca.pem"}, TrustError, "cafile=", id="cadata-path"),
        pytest.param({"cadata": PEM_KEY}, TrustError, "no whole cert", id="cadata-key"),
        pytest.param({"cadata": PEM_NONSENSE[:40]}, TrustError, "no whole", id="cadata-cut"),
        pytest.param({"cadata": 1}, TypeError, "not int", id="cadata-int"),
        pytest.param({"crldata": ""}, TrustError, "is empty", id="crldata-empty"),
        pytest.param({"crldata": PEM_NONSENSE}, TrustError, "no whole list", id="crldata-cert"),
        pytest.param({"crldata": 1}, TypeError, "not int", id="crldata-int"),
        pytest.param({"crl_check": "all"}, TLSConfigurationError, "'chain'", id="crl-check"),
        pytest.param({"crl_check": True}, TypeError, "not bool", id="crl-check-bool"),
        pytest.param({"trust": "mozilla"}, TLSConfigurationError, "'certifi'", id="trust"),
        pytest.param({"trust": 1}, TypeError, "not int", id="trust-int"),
        pytest.param({"cert": PEM_KEY}, TLSConfigurationError, "from_pem", id="cert-pem"),
        pytest.param({"cert": ("c", PEM_KEY)}, TLSConfigurationError, "PEM text", id="key-pem"),
        pytest.param({"cert": ()}, TLSConfigurationError, "0 parts", id="cert-empty"),
        pytest.param({"cert": ("a",) * 4}, TLSConfigurationError, "4 parts", id="cert-4"),
        pytest.param({"cert": (None, "k")}, TypeError, "not None", id="cert-none"),
        pytest.param({"cert": True}, TypeError, "not bool", id="cert-bool"),
        pytest.param({"cert": ("c", "k", 1)}, TypeError, "password must be", id="password-int"),
        pytest.param({"cert": ("c", "k", "")}, IdentityError, "is empty", id="pw-empty"),
        pytest.param({"cert": ("c", "k", "ü" * 513)}, IdentityError, "is 1026", id="pw-long"),
        pytest.param(
            {"cert": ("c", "k", "hunter2\ud800")}, IdentityError, "surrogate", id="pw-utf8"
        ),
        pytest.param({"identity": "c.pem"}, TypeError, "as cert=", id="identity-path"),
        pytest.param({"identity": str}, TypeError, "class str", id="identity-class"),
        pytest.param(
            {"identity": lambda: None, "cert": "c.pem"},
            TLSConfigurationError,
            "exclude each other",
            id="identity-and-cert",
        ),
        pytest.param({"server_hostname": ""}, TLSConfigurationError, "alone", id="name-empty"),
        pytest.param(
            {"server_hostname": "wss://host/"}, TLSConfigurationError, "alone", id="name-url"
        ),
        pytest.param({"server_hostname": 1}, TypeError, "not int", id="name-int"),
        pytest.param({"check_hostname": 0}, TypeError, "True or False", id="check-int"),
        pytest.param(
            {"check_hostname": True, "verify": False},
            TLSConfigurationError,
            "needs verify=True",
            id="check-unverified",
        ),
        pytest.param({"verify": None}, TypeError, "True or False", id="verify-none"),
        pytest.param({"strict": 1}, TypeError, "True or False", id="strict-int"),
        pytest.param({"allow_common_name": None}, TypeError, "True or", id="common-name"),
        pytest.param({"session_resumption": 1}, TypeError, "True or", id="resumption"),
        pytest.param({"post_handshake_auth": 1}, TypeError, "True or", id="post-handshake"),
        pytest.param({"minimum_version": "1.2"}, TypeError, "TLSVersion", id="version-str"),
        pytest.param(
            {"minimum_version": ssl.TLSVersion.TLSv1_1}, TLSConfigurationError, "ssl=", id="tls11"
        ),
        pytest.param({"maximum_version": 771}, TypeError, "TLSVersion", id="maximum-int"),
        pytest.param(
            {"maximum_version": ssl.TLSVersion.MAXIMUM_SUPPORTED},
            TLSConfigurationError,
            "None for the newest",
            id="maximum",
        ),
        pytest.param(
            {
                "minimum_version": ssl.TLSVersion.TLSv1_3,
                "maximum_version": ssl.TLSVersion.TLSv1_2,
            },
            TLSConfigurationError,
            "older than minimum_version",
            id="no-version",
        ),
        pytest.param({"ciphers": "NONE-SUCH"}, TLSConfigurationError, "OpenSSL", id="ciphers"),
        pytest.param({"ciphers": ""}, TLSConfigurationError, "OpenSSL", id="ciphers-empty"),
        pytest.param({"ciphers": b"HIGH"}, TypeError, "not bytes", id="ciphers-bytes"),
        pytest.param(
            {"ciphers": "TLS_AES_128_GCM_SHA256"},
            TLSConfigurationError,
            "before Python 3.15",
            id="ciphers-13",
        ),
        pytest.param(
            {"ciphers": "ECDHE+AESGCM:!TLS_AES_128_GCM_SHA256"},
            TLSConfigurationError,
            "TLS_AES_128_GCM_SHA256",
            id="ciphers-mixed",
        ),
        pytest.param({"keylog_filename": ""}, TLSConfigurationError, "empty", id="keylog"),
        pytest.param({"pinned_public_keys": "md5"}, TLSConfigurationError, "sha256//", id="pin"),
        pytest.param({"spiffe_ids": ["x"]}, TLSConfigurationError, "SPIFFE", id="spiffe"),
        pytest.param({"authorize_server": 1}, TypeError, "callable", id="authorize"),
        pytest.param({"refresh_interval": 0}, TLSConfigurationError, "more than 0", id="refresh"),
        pytest.param(
            {"refresh_interval": math.inf}, TLSConfigurationError, "more than 0", id="refresh-inf"
        ),
        pytest.param({"refresh_interval": "1"}, TypeError, "seconds", id="refresh-str"),
        pytest.param({"on_rotation": "reconnect"}, TLSConfigurationError, "'close'", id="on"),
        pytest.param({"expiry_warning": -1}, TLSConfigurationError, "0 or more", id="expiry"),
        pytest.param({"expiry_warning": True}, TypeError, "seconds", id="expiry-bool"),
    ],
)
def test_bad_values(values: dict[str, Any], error: type[Exception], says: str) -> None:
    with pytest.raises(error) as caught:
        TLSConfig(**values)
    assert says in str(caught.value)
    assert "hunter2" not in str(caught.value)
    # Only what OpenSSL said of data may be the cause.
    assert caught.value.__cause__ is None or isinstance(caught.value.__cause__, ssl.SSLError)
    if issubclass(error, TLSConfigurationError):
        assert isinstance(caught.value, ValueError)
        assert isinstance(caught.value, ConnectError)


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        pytest.param({"cadata": ""}, "no_certificates", id="empty"),
        pytest.param({"cadata": "ca.pem"}, "no_certificates", id="no-pem"),
        pytest.param({"cadata": PEM_NONSENSE}, "unreadable", id="pem"),
        pytest.param({"cadata": b"0\x82nonsense"}, "unreadable", id="der"),
        pytest.param({"crldata": ""}, "crl_unreadable", id="crl-empty"),
        pytest.param({"crldata": CRL_NONSENSE}, "crl_unreadable", id="crl-pem"),
        pytest.param({"crldata": b"0\x82nonsense"}, "crl_unreadable", id="crl-der"),
    ],
)
def test_data_is_tried_out_at_once(values: dict[str, Any], reason: str) -> None:
    with pytest.raises(TrustError) as caught:
        TLSConfig(**values)
    assert caught.value.reason == reason
    assert caught.value.side == "local"


def test_repr_shows_what_was_given(identity: ClientIdentity) -> None:
    assert repr(TLSConfig()) == "TLSConfig()"
    config = TLSConfig(
        identity=identity,
        cafile="ca.pem",
        verify=False,
        pinned_public_keys=[PIN],
        minimum_version=ssl.TLSVersion.TLSv1_3,
        refresh_interval=5,
    )
    assert repr(config) == (
        f"TLSConfig(identity={identity!r}, cafile='ca.pem', verify=False, "
        f"pinned_public_keys=['{PIN}'], minimum_version=TLSv1_3, refresh_interval=5.0)"
    )


def fetch(password: str) -> ClientIdentity:
    raise NotImplementedError


class Vault:
    def __repr__(self) -> str:
        return "Vault(token='hunter2')"

    async def get(self) -> ClientIdentity:
        raise NotImplementedError


def test_repr_shows_no_secret(files: CertificateFiles) -> None:
    pem = files.ca_file.read_text()
    for password in ("hunter2", b"hunter2", functools.partial(str, "hunter2")):
        shown = repr(TLSConfig(cert=("c.pem", "k.pem", password), cadata=pem))
        assert "c.pem" in shown
        assert "k.pem" in shown
        assert "hunter2" not in shown
        assert "BEGIN" not in shown
    for source in (functools.partial(fetch, "hunter2"), Vault()):
        shown = repr(TLSConfig(identity=source, crldata=AUTHORITY.crl_pem()))
        assert "hunter2" not in shown
        assert "BEGIN" not in shown
        assert type(source).__name__ in shown
    assert "fetch" in repr(TLSConfig(identity=fetch))  # type: ignore[arg-type]  # its name alone


def test_it_cannot_be_changed() -> None:
    config = TLSConfig()
    with pytest.raises(dataclasses.FrozenInstanceError):
        config.cafile = "x"  # type: ignore[misc]  # that is the test


def test_replace(files: CertificateFiles, identity: ClientIdentity) -> None:
    config = TLSConfig(
        cert=(files.cert_file, files.key_file), cafile=files.ca_file, crldata=AUTHORITY.crl_pem()
    )
    other = config.replace(server_hostname="example.com")
    assert other.server_hostname == "example.com"
    assert other != config
    assert other.provider is config.provider
    assert other.preparer.settings == config.preparer.settings
    mine = config.replace(identity=identity)
    assert mine.cert is None
    assert mine.identity is identity
    back = mine.replace(cert=(files.cert_file, files.key_file))
    assert back == config
    assert back.identity is None
    assert config.replace(verify=False).verify is False
    assert config.replace(cafile=None).cafile is None
    assert config.replace(crldata=None).preparer.settings.trust.crldata is None
    with pytest.raises(TypeError, match="no certfile"):
        config.replace(certfile="x")
    with pytest.raises(TypeError, match="True or False"):
        config.replace(verify=0)
    with pytest.raises(TLSConfigurationError, match="exclude"):
        config.replace(cert="c", identity=identity)


def test_without_identity(identity: ClientIdentity, files: CertificateFiles) -> None:
    for values in ({"identity": identity}, {"cert": files.cert_file}):
        bare = TLSConfig(cafile=files.ca_file, **values).without_identity()
        assert bare == TLSConfig(cafile=files.ca_file)
        assert bare.provider is None
        assert bare.without_identity() is bare


def test_check_raises_what_connecting_would(files: CertificateFiles, tmp_path: Path) -> None:
    TLSConfig(cert=(files.cert_file, files.key_file), cafile=files.ca_file).check()
    with pytest.raises(TrustError) as trust:
        TLSConfig(cafile=tmp_path / "missing.pem").check()
    assert trust.value.reason == "file_not_found"
    with pytest.raises(IdentityError) as identity:
        TLSConfig(cert=tmp_path / "missing.pem", cafile=files.ca_file).check()
    assert identity.value.reason == "file_not_found"


async def test_load_does_the_same_on_a_loop(files: CertificateFiles, tmp_path: Path) -> None:
    config = TLSConfig(cert=(files.cert_file, files.key_file), cafile=files.ca_file)
    await config.load()
    assert len(cache._contexts) == 1
    with pytest.raises(TrustError):
        await TLSConfig(cafile=tmp_path / "missing.pem").load()
    with pytest.raises(RuntimeError, match=r"await load\(\)"):
        config.check()


def warnings_of(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [each.getMessage() for each in caplog.records if each.levelno == logging.WARNING]


@pytest.mark.parametrize(
    ("lived", "left", "seconds", "warns"),
    [
        pytest.param(timedelta(hours=8), timedelta(hours=2), None, False, id="a-fifth"),
        pytest.param(timedelta(hours=19), timedelta(hours=1), None, True, id="a-twentieth"),
        pytest.param(timedelta(hours=8), timedelta(hours=2), 7300, True, id="seconds"),
        pytest.param(timedelta(hours=19), timedelta(hours=1), 3500, False, id="not-yet"),
        pytest.param(timedelta(hours=19), timedelta(hours=1), 0, False, id="never"),
        pytest.param(timedelta(hours=19), timedelta(hours=-1), None, True, id="expired"),
        pytest.param(timedelta(hours=19), timedelta(hours=-1), 0, False, id="expired-never"),
        pytest.param(timedelta(hours=8), timedelta(hours=2), 1e300, True, id="endless"),
    ],
)
async def test_the_end_of_an_identity_is_warned_of_once(
    lived: timedelta,
    left: timedelta,
    seconds: float | None,
    warns: bool,
    caplog: pytest.LogCaptureFixture,
) -> None:
    made = AUTHORITY.client_certificate(not_before=-lived, not_after=left)
    mine = ClientIdentity.from_pem(made.chain_pem, made.private_key_pem())
    for _ in range(2):
        # A configuration for each connection is no reason to repeat it.
        config = TLSConfig(identity=mine, cadata=made.root_pem, expiry_warning=seconds)
        await prepare(config)
        await prepare(config)
    found = warnings_of(caplog)
    assert len(found) == warns
    if found:
        says = (
            "has expired" if left < timedelta() else f"expires in {(left.seconds - 1) // 3600} h"
        )
        assert mine.description in found[0]
        assert says in found[0]


# Copies, and what only connecting would find


def test_copies_are_the_same_and_pickles_are_refused() -> None:
    made = TLSConfig(cert=("c.pem", "k.pem", "hunter2"), authorize_server=print)
    assert copy.copy(made) is made
    assert copy.deepcopy(made) is made
    with pytest.raises(TypeError, match="cannot be pickled"):
        pickle.dumps(made)


@pytest.mark.parametrize("name", [".example", "a..b", "a" * 70])
def test_names_that_tls_cannot_ask_for_are_refused(name: str) -> None:
    with pytest.raises(TLSConfigurationError, match="cannot be a host name"):
        TLSConfig(server_hostname=name)


def test_a_chain_cannot_be_looked_up_in_no_list() -> None:
    with pytest.raises(TrustError, match="crlfile= or crldata="):
        TLSConfig(crl_check="chain")
