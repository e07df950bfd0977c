"""Certificates of the test kit: in real handshakes, before `openssl`, and as files."""

from __future__ import annotations

import base64
import dataclasses
import datetime
import hashlib
import logging
import os
import shutil
import socket
import ssl
import stat
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any, cast, get_args

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.serialization import load_pem_private_key, pkcs12

from wsclient.testing.certificates import (
    CertificateAuthority,
    CertificateFiles,
    IssuedCertificate,
    KeyType,
    KubernetesVolume,
    contexts,
    generate_key,
    self_signed_certificate,
)
from wsclient.testing.tls.server import ThreadedTLSServer, TLSConnectionRecord

PASSWORD = "correct horse"
KEY_TYPES: tuple[KeyType, ...] = get_args(KeyType)
TLS_KEY_TYPES = [each for each in KEY_TYPES if each not in ("rsa-1024", "ec-secp256k1")]

VERSIONS = [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3]


@pytest.fixture(scope="module")
def ca() -> CertificateAuthority:
    return CertificateAuthority()


@pytest.fixture(scope="module")
def server(ca: CertificateAuthority) -> IssuedCertificate:
    return ca.server_certificate()


def shake(
    server: ssl.SSLContext, client: ssl.SSLContext, name: str = "localhost"
) -> TLSConnectionRecord:
    """Do a handshake and read to the end; raise what the client meets, else give the record."""
    with ThreadedTLSServer(server, lambda stream: stream.sendall(b"in")) as running:
        with (
            socket.create_connection(("127.0.0.1", running.port), timeout=5) as raw,
            client.wrap_socket(raw, server_hostname=name) as tls,
        ):
            # Under TLS 1.3 this is where the client learns that it is refused.
            assert tls.recv(2) == b"in"
        return running.wait_for_handshakes()[0]


def refused(server: ssl.SSLContext, client: ssl.SSLContext, name: str = "localhost") -> int:
    """Return the code with which a client refuses the server's certificate."""
    with pytest.raises(ssl.SSLCertVerificationError) as caught:
        shake(server, client, name)
    return caught.value.verify_code


def rejected(server: ssl.SSLContext, client: ssl.SSLContext) -> str:
    """Return the alert with which a server refuses the client's certificate."""
    with pytest.raises(ssl.SSLError) as caught:
        shake(server, client)
    return str(caught.value.reason)


def openssl(*arguments: str | Path) -> str:
    """Run the command; skip without it. Give all that it prints, whether it succeeds or not."""
    command = shutil.which("openssl")
    if command is None:
        pytest.skip("the openssl command is missing")
    result = subprocess.run(
        [command, *arguments], capture_output=True, check=False, text=True, timeout=20
    )
    return result.stdout + result.stderr


def verify(ca_file: Path, certificate: Path, *options: str | Path) -> str:
    """Let openssl verify a certificate; the intermediates are looked for in its own file."""
    untrusted = ("-untrusted", certificate)
    return openssl("verify", "-CAfile", ca_file, *untrusted, *options, certificate)


# Servers


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("name", ["localhost", "127.0.0.1", "::1"])
def test_a_server_is_for_this_machine(
    ca: CertificateAuthority, server: IssuedCertificate, version: ssl.TLSVersion, name: str
) -> None:
    context = server.server_context()
    context.maximum_version = version
    record = shake(context, ca.trust_context(), name)
    assert record.version == {771: "TLSv1.2", 772: "TLSv1.3"}[version]


def test_names_of_a_server(ca: CertificateAuthority) -> None:
    made = ca.server_certificate("example.test", "*.example.test", "192.0.2.7", "2001:db8::7")
    context = made.server_context()
    for name in ("example.test", "a.example.test", "192.0.2.7", "2001:db8::7"):
        shake(context, ca.trust_context(), name)
    assert refused(context, ca.trust_context(), "a.b.example.test") == 62
    assert refused(context, ca.trust_context(), "localhost") == 62
    assert refused(context, ca.trust_context(), "192.0.2.8") == 64
    assert made.certificate.subject.rfc4514_string() == "CN=example.test"


def test_a_common_name_is_no_name(ca: CertificateAuthority) -> None:
    made = ca.issue("localhost")
    assert refused(made.server_context(), ca.trust_context()) == 62


def test_dates_of_a_server(ca: CertificateAuthority) -> None:
    old = ca.server_certificate(expired=True)
    assert refused(old.server_context(), ca.trust_context()) == 10
    early = ca.server_certificate(not_yet_valid=True)
    assert refused(early.server_context(), ca.trust_context()) == 9


def test_a_certificate_for_clients_is_not_for_servers(ca: CertificateAuthority) -> None:
    made = ca.client_certificate(names=["localhost"])
    assert refused(made.server_context(), ca.trust_context()) == 26
    shake(
        ca.issue(names=["localhost"], extended_key_usage=()).server_context(), ca.trust_context()
    )


def test_a_self_signed_server(ca: CertificateAuthority) -> None:
    made = self_signed_certificate()
    assert refused(made.server_context(), ca.trust_context()) == 18
    shake(made.server_context(), made.trust_context())


def test_an_unknown_authority(server: IssuedCertificate) -> None:
    other = CertificateAuthority("Other Root")
    assert refused(server.server_context(), other.trust_context()) == 20


def test_intermediates(ca: CertificateAuthority, tmp_path: Path) -> None:
    first = ca.intermediate("First", path_length=1)
    second = first.intermediate("Second")
    made = second.server_certificate()
    assert made.chain == second.chain == (second.certificate, first.certificate)
    assert made.root == second.root == ca.certificate
    shake(made.server_context(), second.trust_context())
    files = made.write(tmp_path)
    assert "OK" in verify(files.ca_file, files.cert_file, "-x509_strict")
    alone = dataclasses.replace(made, chain=())
    assert refused(alone.server_context(), ca.trust_context()) == 20
    third = second.intermediate("Third")
    too_long = third.server_certificate()
    assert refused(too_long.server_context(), ca.trust_context()) == 25


# What strict checks refuse


def strict(ca: CertificateAuthority) -> ssl.SSLContext:
    context = ca.trust_context()
    context.verify_flags |= ssl.VERIFY_X509_STRICT
    return context


def test_the_default_is_strictly_right(ca: CertificateAuthority) -> None:
    for issuer in (ca, ca.intermediate()):
        shake(issuer.server_certificate().server_context(), strict(ca))
        empty_subject = issuer.issue(names=["localhost"])
        shake(empty_subject.server_context(), strict(ca))


@pytest.mark.parametrize(
    ("authority", "leaf", "code"),
    [
        pytest.param({"key_usage": False}, {}, 92, id="no-key-usage"),
        pytest.param({"subject_key_identifier": False}, {}, 86, id="no-ski-of-authority"),
        pytest.param({"basic_constraints_critical": False}, {}, 89, id="not-critical"),
        pytest.param({}, {"authority_key_identifier": False}, 85, id="no-aki-of-leaf"),
    ],
)
def test_what_strict_checks_refuse(authority: Any, leaf: Any, code: int) -> None:
    ca = CertificateAuthority(**authority)
    made = ca.server_certificate(**leaf)
    shake(made.server_context(), ca.trust_context())
    assert refused(made.server_context(), strict(ca)) == code


# Clients


@pytest.mark.parametrize("version", VERSIONS)
def test_a_client_shows_its_certificate(
    ca: CertificateAuthority, server: IssuedCertificate, version: ssl.TLSVersion
) -> None:
    client = ca.intermediate().client_certificate(
        "billing",
        spiffe_id="spiffe://example.test/billing",
        uris=["urn:example:1"],
        emails=["billing@example.test"],
        names=["billing.example.test"],
    )
    context = server.server_context(client_ca=ca)
    context.maximum_version = version
    shown = shake(context, client.client_context()).peer_certificate
    assert shown == client.certificate
    names = shown.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.UniformResourceIdentifier) == [
        "spiffe://example.test/billing",
        "urn:example:1",
    ]
    assert names.get_values_for_type(x509.RFC822Name) == ["billing@example.test"]
    assert names.get_values_for_type(x509.DNSName) == ["billing.example.test"]


def test_a_server_may_do_without(ca: CertificateAuthority, server: IssuedCertificate) -> None:
    context = server.server_context(client_ca=ca, require=False)
    assert shake(context, ca.trust_context()).peer_certificate is None
    client = ca.client_certificate()
    assert shake(context, client.client_context()).peer_certificate == client.certificate


@pytest.mark.parametrize("version", VERSIONS)
def test_clients_that_are_refused(
    ca: CertificateAuthority, server: IssuedCertificate, version: ssl.TLSVersion
) -> None:
    context = server.server_context(client_ca=ca)
    context.maximum_version = version
    other = CertificateAuthority("Other Root")
    made = ca.intermediate().client_certificate()
    for client, alert in [
        (other.client_certificate(), "TLSV1_ALERT_UNKNOWN_CA"),
        (dataclasses.replace(made, chain=()), "TLSV1_ALERT_UNKNOWN_CA"),
        (ca.client_certificate(expired=True), "SSLV3_ALERT_CERTIFICATE_EXPIRED"),
        (ca.client_certificate(not_yet_valid=True), "SSLV3_ALERT_BAD_CERTIFICATE"),
        (server, "SSLV3_ALERT_UNSUPPORTED_CERTIFICATE"),
    ]:
        assert rejected(context, client.client_context(server_ca=ca)) == alert
    shake(context, ca.issue("any", extended_key_usage=()).client_context())


# Revocation


def test_a_revoked_server(ca: CertificateAuthority, tmp_path: Path) -> None:
    issuer = ca.intermediate()
    good, bad = issuer.server_certificate(), issuer.server_certificate()
    issuer.revoke(bad, reason="key_compromise")
    crl = issuer.crl_pem()
    assert refused(bad.server_context(), issuer.trust_context(crl=crl)) == 23
    assert refused(bad.server_context(), good.client_context(crl=crl)) == 23
    shake(good.server_context(), bad.trust_context(crl=crl))
    shake(bad.server_context(), ca.trust_context())
    # Others' lists do not tell.
    assert refused(good.server_context(), ca.trust_context(crl=ca.crl_pem())) == 3
    file = tmp_path / "crl.pem"
    file.write_bytes(crl + ca.crl_pem())
    check = ("-crl_check_all", "-CRLfile", file)
    for made, says in ((good, ": OK"), (bad, "certificate revoked")):
        files = made.write(tmp_path)
        assert says in verify(files.ca_file, files.cert_file, *check)
    assert "Key Compromise" in openssl("crl", "-noout", "-text", "-in", file)


@pytest.mark.parametrize("version", VERSIONS)
def test_a_revoked_client(
    ca: CertificateAuthority, server: IssuedCertificate, version: ssl.TLSVersion
) -> None:
    good, bad = ca.client_certificate(), ca.client_certificate()
    ca.revoke(bad)
    context = server.server_context(client_ca=ca, crl=ca.crl_pem())
    context.maximum_version = version
    shake(context, good.client_context())
    assert rejected(context, bad.client_context()) == "SSLV3_ALERT_CERTIFICATE_REVOKED"


def test_an_expired_list(ca: CertificateAuthority, server: IssuedCertificate) -> None:
    crl = ca.crl_pem(next_update=timedelta(hours=-1))
    assert refused(server.server_context(), ca.trust_context(crl=crl)) == 12


def test_lists_are_numbered_and_dated() -> None:
    ca = CertificateAuthority(key_type="ed25519")
    ca.revoke(ca.client_certificate(serial=7), at=timedelta(days=-1))
    ca.revoke(ca.intermediate(), reason="ca_compromise")
    lists = [x509.load_pem_x509_crl(ca.crl_pem()) for _ in range(2)]
    numbers = [each.extensions.get_extension_for_class(x509.CRLNumber).value for each in lists]
    assert [each.crl_number for each in numbers] == [1, 2]
    assert len(list(lists[0])) == 2
    entry = lists[0].get_revoked_certificate_by_serial_number(7)
    assert entry is not None
    age = datetime.datetime.now(datetime.UTC) - entry.revocation_date_utc
    assert timedelta(days=1) <= age < timedelta(days=1, minutes=1)
    assert lists[0].is_signature_valid(cast(Any, ca.private_key.public_key()))


# Keys


@pytest.mark.parametrize("key_type", TLS_KEY_TYPES)
def test_kinds_of_keys(key_type: KeyType, tmp_path: Path) -> None:
    # Signed by a key of its kind as well, but for RSA, which takes long to make.
    ca = CertificateAuthority(key_type="ec-p256" if "rsa" in key_type else key_type)
    made = ca.issue("both", names=["localhost"], key_type=key_type)
    for version in VERSIONS:
        context = made.server_context(client_ca=ca)
        context.maximum_version = version
        assert shake(context, made.client_context()).peer_certificate == made.certificate
    files = made.write(tmp_path)
    assert "OK" in verify(files.ca_file, files.cert_file, "-x509_strict")


def test_weak_keys(ca: CertificateAuthority) -> None:
    weak = ca.server_certificate(key_type="rsa-1024")
    with pytest.raises(ssl.SSLError) as caught:
        weak.server_context()
    assert caught.value.reason == "EE_KEY_TOO_SMALL"
    context = weak.server_context(ciphers="DEFAULT:@SECLEVEL=0")
    assert refused(context, ca.trust_context()) == 66


def test_a_curve_that_tls_does_not_take(
    ca: CertificateAuthority, server: IssuedCertificate
) -> None:
    client = ca.client_certificate(key_type="ec-secp256k1")
    context = server.server_context(client_ca=ca)
    with pytest.raises(ssl.SSLError) as caught:
        shake(context, client.client_context())
    assert caught.value.reason == "TLSV13_ALERT_CERTIFICATE_REQUIRED"


def test_each_certificate_has_a_key_of_its_own(ca: CertificateAuthority) -> None:
    pins = {ca.client_certificate().spki_sha256 for _ in range(3)}
    assert len(pins) == 3
    key = generate_key("rsa-2048")
    shared = {ca.client_certificate(key=key).spki_sha256 for _ in range(3)}
    assert len(shared) == 1


@pytest.mark.parametrize("key_type", ["rsa-2048", "ec-p384", "ed448"])
@pytest.mark.parametrize("password", [None, PASSWORD, PASSWORD.encode()])
def test_encodings_of_keys(
    ca: CertificateAuthority, key_type: KeyType, password: str | bytes | None, tmp_path: Path
) -> None:
    made = ca.client_certificate(key_type=key_type)
    secret = PASSWORD.encode() if password else None
    forms = [made.private_key_pem(password)]
    if key_type != "ed448":
        forms.append(made.private_key_pem(password, traditional=True))
    for number, form in enumerate(forms):
        assert public_bytes(load_pem_private_key(form, secret)) == public_bytes(made.private_key)
        file = tmp_path / f"{number}.key"
        file.write_bytes(form)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        chain = made.write(tmp_path).cert_file
        context.load_cert_chain(chain, file, secret)
        if password:
            with pytest.raises(ssl.SSLError):
                context.load_cert_chain(chain, file, "wrong")
    der = serialization.load_der_private_key(made.private_key_der(password), secret)
    assert public_bytes(der) == public_bytes(made.private_key)
    assert b"ENCRYPTED" not in forms[0] or password
    assert forms[-1].startswith(
        {"rsa-2048": b"-----BEGIN RSA", "ec-p384": b"-----BEGIN EC"}.get(key_type, b"-----BEGIN ")
    )


def public_bytes(key: Any) -> bytes:
    encoded = key.public_key().public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return bytes(encoded)


@pytest.mark.parametrize("legacy", [False, True])
@pytest.mark.parametrize("key_type", ["rsa-2048", "ec-p256", "ed25519"])
def test_pkcs12(ca: CertificateAuthority, key_type: KeyType, legacy: bool, tmp_path: Path) -> None:
    made = ca.intermediate().client_certificate(key_type=key_type)
    path = made.write_pkcs12(tmp_path / "client.p12", PASSWORD, name="billing", legacy=legacy)
    assert mode(path) == 0o600
    read = pkcs12.load_pkcs12(path.read_bytes(), PASSWORD.encode())
    assert read.cert is not None
    assert read.cert.friendly_name == b"billing"
    assert read.cert.certificate == made.certificate
    assert [each.certificate for each in read.additional_certs] == list(made.chain)
    assert public_bytes(read.key) == public_bytes(made.private_key)
    with pytest.raises(ValueError, match="password"):
        pkcs12.load_pkcs12(path.read_bytes(), b"wrong")
    said = openssl(
        *("pkcs12", "-in", path, "-info", "-nodes", "-passin", f"pass:{PASSWORD}"),
        *(["-legacy"] if legacy else []),
    )
    assert ("pbeWithSHA1And3-KeyTripleDES-CBC" if legacy else "AES-256-CBC") in said


def test_pkcs12_without_a_password(ca: CertificateAuthority) -> None:
    made = ca.client_certificate()
    read = pkcs12.load_pkcs12(made.pkcs12(None), None)
    assert read.cert is not None
    assert read.cert.certificate == made.certificate
    assert read.cert.friendly_name is None
    with pytest.raises(ValueError, match="password"):
        made.pkcs12(None, legacy=True)


def test_fingerprints(ca: CertificateAuthority, tmp_path: Path) -> None:
    made = ca.client_certificate()
    files = made.write(tmp_path)
    assert made.fingerprint_sha256 == hashlib.sha256(made.certificate_der).hexdigest()
    said = openssl("x509", "-noout", "-fingerprint", "-sha256", "-in", files.cert_file)
    assert said.strip().partition("=")[2].replace(":", "").lower() == made.fingerprint_sha256
    public = tmp_path / "public.pem"
    public.write_text(openssl("x509", "-noout", "-pubkey", "-in", files.cert_file))
    der = tmp_path / "public.der"
    openssl("pkey", "-pubin", "-in", public, "-outform", "DER", "-out", der)
    said = openssl("dgst", "-sha256", "-binary", "-hex", der)
    digest = bytes.fromhex(said.strip().rpartition(" ")[2])
    kind, _, pin = made.spki_sha256.partition("//")
    assert (kind, pin) == ("sha256", base64.b64encode(digest).decode())


# No key is shown, and none stays


def test_keys_are_never_shown(ca: CertificateAuthority, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    made = ca.client_certificate("billing", serial=0xABC, not_after=timedelta(days=3))
    for each in (made, ca):
        logging.getLogger("test").warning("%r %s %s", each, each, vars(each).keys())
        assert "PrivateKey" not in repr(each)
    logging.getLogger("test").warning("%s", [made])
    assert repr(made).startswith("<IssuedCertificate CN=billing serial=abc 20")
    assert f"{made.not_before:%Y-%m-%dT%H:%M:%SZ}..{made.not_after:%Y-%m-%d}" in repr(made)
    secret = made.private_key_pem().decode().splitlines()[1]
    assert secret not in caplog.text
    assert "PrivateKey" not in caplog.text


@pytest.mark.parametrize("memory", [True, False], ids=["memory", "disk"])
def test_contexts_leave_nothing(
    ca: CertificateAuthority, tmp_path: Path, memory: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if memory and sys.platform != "linux":
        pytest.skip("there are no files in memory")
    seen: list[tuple[str, int, bytes]] = []
    if not memory:
        monkeypatch.setattr(contexts, "_has_memory_files", lambda: False)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    load = ssl.SSLContext.load_cert_chain

    def watching(self: ssl.SSLContext, path: str, *rest: Any, **named: Any) -> None:
        seen.append((path, mode(Path(path)), Path(path).read_bytes()))
        load(self, path, *rest, **named)

    monkeypatch.setattr(ssl.SSLContext, "load_cert_chain", watching)
    made = ca.server_certificate()
    before = descriptors()
    shake(
        made.server_context(client_ca=ca, crl=ca.crl_pem()),
        ca.client_certificate().client_context(),
    )
    assert descriptors() == before
    assert list(tmp_path.iterdir()) == []
    assert len(seen) == 2
    for path, bits, content in seen:
        if memory:
            assert path.startswith("/proc/self/fd/")
        else:
            assert bits == 0o600
            assert b"ENCRYPTED" in content


def descriptors() -> int:
    """Count what this process has open; 0 where that is not known."""
    return len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else 0


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


# Files


def test_files(ca: CertificateAuthority, tmp_path: Path) -> None:
    made = ca.intermediate().client_certificate()
    umask = os.umask(0)
    try:
        files = made.write(tmp_path, "client", password=PASSWORD)
    finally:
        os.umask(umask)
    assert files == CertificateFiles(
        tmp_path / "client.pem", tmp_path / "client.key", tmp_path / "client-ca.pem"
    )
    assert files.cert_file.read_bytes() == made.chain_pem
    assert len(x509.load_pem_x509_certificates(made.chain_pem)) == 2
    assert files.ca_file.read_bytes() == ca.root_pem == ca.certificate_pem
    assert mode(files.key_file) == 0o600
    assert mode(files.cert_file) == 0o644
    assert b"ENCRYPTED" in files.key_file.read_bytes()
    assert ca.trust_file(tmp_path).read_bytes() == ca.root_pem
    assert {path.name for path in tmp_path.iterdir()} == {
        *("client.pem", "client.key", "client-ca.pem", "ca.pem")
    }
    made.write(tmp_path, "client", traditional=True)
    assert files.key_file.read_bytes().startswith(b"-----BEGIN EC PRIVATE KEY")
    with pytest.raises(FileNotFoundError):
        made.write(tmp_path / "missing")


def pair(files: CertificateFiles) -> bool:
    """Return whether key and certificate in the files belong together."""
    return belong(files.cert_file.read_bytes(), files.key_file.read_bytes())


def belong(certificate: bytes, key: bytes) -> bool:
    return public_bytes(load_pem_private_key(key, None)) == x509.load_pem_x509_certificate(
        certificate
    ).public_key().public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )


@pytest.mark.parametrize("in_place", [False, True], ids=["rename", "in-place"])
def test_replacing_files(ca: CertificateAuthority, tmp_path: Path, in_place: bool) -> None:
    files = ca.client_certificate().write(tmp_path)
    before = [path.stat() for path in (files.cert_file, files.key_file, files.ca_file)]
    new = CertificateAuthority("New Root").client_certificate()
    files.replace(new, in_place=in_place)
    assert pair(files)
    assert files.cert_file.read_bytes() == new.chain_pem
    assert files.ca_file.read_bytes() == new.root_pem
    after = [path.stat() for path in (files.cert_file, files.key_file, files.ca_file)]
    same = [old.st_ino == now.st_ino for old, now in zip(before, after, strict=True)]
    assert same == [in_place] * 3
    assert mode(files.key_file) == 0o600
    assert len(list(tmp_path.iterdir())) == 3


@pytest.mark.parametrize("in_place", [False, True], ids=["rename", "in-place"])
def test_torn_files(ca: CertificateAuthority, tmp_path: Path, in_place: bool) -> None:
    old, new = ca.client_certificate(), ca.client_certificate()
    files = old.write(tmp_path)
    with files.torn(new, in_place=in_place):
        assert files.cert_file.read_bytes() == new.chain_pem
        assert files.key_file.read_bytes() == old.private_key_pem()
        with pytest.raises(ssl.SSLError) as caught:
            ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_cert_chain(
                files.cert_file, files.key_file
            )
        assert caught.value.reason == "KEY_VALUES_MISMATCH"
    assert pair(files)
    with pytest.raises(LookupError), files.torn(old, password=PASSWORD):
        raise LookupError
    assert b"ENCRYPTED" in files.key_file.read_bytes()
    with pytest.raises(ValueError, match="password"), files.torn(new, password=""):
        pass
    assert files.cert_file.read_bytes() == old.chain_pem


def test_readers_never_see_half_a_file(ca: CertificateAuthority, tmp_path: Path) -> None:
    made = [ca.client_certificate(), ca.client_certificate()]
    files = made[0].write(tmp_path)
    whole = {each.private_key_pem() for each in made}
    with reading(lambda: files.key_file.read_bytes() in whole) as seen:
        for number in range(200):
            files.replace(made[number % 2])
            seen.wait_for_one_more()
    assert seen.wrong == 0


class reading:  # used like a function
    """Look in a thread until the block is left, and count what is right and what is wrong.

    Args:
        look: tells whether what it saw is right; ``None`` if it could not see.
    """

    def __init__(self, look: Callable[[], bool | None]) -> None:
        self.right = self.wrong = 0
        self._look = look
        self._failure: BaseException | None = None
        self._stop = False
        self._seen = threading.Condition()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> reading:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop = True
        self._thread.join()
        if self._failure is not None:
            raise self._failure

    def wait_for_one_more(self) -> None:
        """Let the reader look at least once since the last time."""
        with self._seen:
            before = self.right + self.wrong
            assert self._seen.wait_for(lambda: self.right + self.wrong > before, 10)

    def _run(self) -> None:
        try:
            while not self._stop:
                right = self._look()
                if right is None:
                    continue
                with self._seen:
                    self.right += right
                    self.wrong += not right
                    self._seen.notify_all()
        except BaseException as exc:
            self._failure = exc


# A volume of Kubernetes


@pytest.fixture
def volume(tmp_path: Path) -> KubernetesVolume:
    return KubernetesVolume(tmp_path / "secret")


def test_a_volume_looks_as_in_kubernetes(
    volume: KubernetesVolume, ca: CertificateAuthority
) -> None:
    made = ca.client_certificate()
    data = volume.publish(made)
    assert os.readlink(volume.directory / "..data") == data.name
    assert os.readlink(volume.cert_file) == "..data/tls.crt"
    assert volume.cert_file.read_bytes() == made.chain_pem
    assert volume.key_file.read_bytes() == made.private_key_pem()
    assert volume.ca_file.read_bytes() == made.root_pem
    assert {mode(path) for path in data.iterdir()} == {0o600}
    names = {path.name for path in volume.directory.iterdir()}
    assert names == {"..data", data.name, "tls.crt", "tls.key", "ca.crt"}
    datetime.datetime.strptime(data.name.rpartition(".")[0], "..%Y_%m_%d_%H_%M_%S")


def test_a_volume_is_replaced_as_a_whole(
    volume: KubernetesVolume, ca: CertificateAuthority
) -> None:
    old = volume.publish({"tls.crt": b"1", "tls.key": b"2", "gone": b"3"})
    new = volume.publish({"tls.crt": b"4", "tls.key": b"5", "come": b"6"})
    assert not old.exists()
    names = {path.name for path in volume.directory.iterdir()}
    assert names == {"..data", new.name, "tls.crt", "tls.key", "come"}
    assert (volume.directory / "come").read_bytes() == b"6"
    # As kubelet does: what is there already is not written again.
    assert volume.publish({"come": b"6", "tls.key": b"5", "tls.crt": b"4"}) == new
    again = KubernetesVolume(volume.directory, mode=0o644)
    made = again.publish({"tls.crt": b"7"})
    assert mode(made / "tls.crt") == 0o644
    assert not new.exists()


@pytest.mark.parametrize("name", ["", ".", "..", "..data", "a/b", "/a"])
def test_names_in_a_volume(volume: KubernetesVolume, name: str) -> None:
    with pytest.raises(ValueError, match="plain name"):
        volume.publish({name: b""})
    assert list(volume.directory.iterdir()) == []


@pytest.mark.parametrize("step", ["tls.crt", "..data"])
def test_a_failed_publication_changes_nothing(
    volume: KubernetesVolume, step: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = volume.publish({"tls.crt": b"1"})
    before = sorted(volume.directory.iterdir())
    replace = os.replace

    def fail(source: Path, target: Path) -> None:
        if target.name == step:
            raise OSError("no space left")
        replace(source, target)

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(OSError, match="no space"):
        volume.publish({"tls.crt": b"2"})
    monkeypatch.undo()
    # Of the link that was to be renamed the next publication disposes.
    left = [path for path in volume.directory.iterdir() if path.name != "..data_tmp"]
    assert sorted(left) == before
    assert volume.cert_file.read_bytes() == b"1"
    assert old.exists()
    volume.publish({"tls.crt": b"3"})
    assert volume.cert_file.read_bytes() == b"3"


def test_the_swap_is_atomic(volume: KubernetesVolume, ca: CertificateAuthority) -> None:
    made = [ca.client_certificate(), ca.client_certificate()]
    volume.publish(made[0])
    parts = [{each.chain_pem, each.private_key_pem()} for each in made]

    def look() -> bool | None:
        data = volume.directory / os.readlink(volume.directory / "..data")
        try:
            return {(data / "tls.crt").read_bytes(), (data / "tls.key").read_bytes()} in parts
        except FileNotFoundError:
            return None  # It has been replaced, and is being removed.

    with reading(look) as seen:
        for number in range(200):
            volume.publish(made[(number + 1) % 2])
            seen.wait_for_one_more()
    assert seen.wrong == 0
    assert seen.right >= 200


# Wrong arguments


@pytest.mark.parametrize(
    ("options", "error", "says"),
    [
        pytest.param({"names": ["https://a"]}, ValueError, "leave out scheme", id="url"),
        pytest.param({"names": ["a:1"]}, ValueError, "port", id="port"),
        pytest.param({"names": ["[::1]"]}, ValueError, "brackets", id="brackets"),
        pytest.param({"names": ["münchen.test"]}, ValueError, "xn--", id="idn"),
        pytest.param({"names": [""]}, ValueError, "neither", id="empty-name"),
        pytest.param({"names": ["127.0.0.256"]}, ValueError, "neither", id="number"),
        pytest.param({"names": "localhost"}, TypeError, "into a list", id="names-str"),
        pytest.param({"uris": "urn:a"}, TypeError, "into a list", id="uris-str"),
        pytest.param({"common_name": ""}, ValueError, "1..64", id="cn-empty"),
        pytest.param({"common_name": "x" * 65}, ValueError, "1..64", id="cn-long"),
        pytest.param({"spiffe_id": "https://a"}, ValueError, "no SPIFFE ID", id="spiffe"),
        pytest.param({"spiffe_id": "spiffe://A/b"}, ValueError, "no SPIFFE ID", id="spiffe-case"),
        pytest.param({"spiffe_id": "spiffe://a/../b"}, ValueError, "no SPIFFE", id="spiffe-dots"),
        pytest.param({"spiffe_id": "spiffe://a/"}, ValueError, "no SPIFFE ID", id="spiffe-slash"),
        pytest.param(
            {"spiffe_id": "spiffe://a/" + "b" * 2038}, ValueError, "no SPIFFE", id="spiffe-long"
        ),
        pytest.param({"extended_key_usage": "server"}, TypeError, "several", id="eku-str"),
        pytest.param({"extended_key_usage": ["any"]}, ValueError, "knows", id="eku"),
        pytest.param({"key_type": "rsa"}, ValueError, "'rsa-2048'", id="key-type"),
        pytest.param({"key": "secret"}, TypeError, "not str", id="key"),
        pytest.param({"serial": 0}, ValueError, "positive", id="serial"),
        pytest.param({"expired": True, "not_yet_valid": True}, ValueError, "both", id="two-dates"),
        pytest.param(
            {"expired": True, "not_after": timedelta(1)}, ValueError, "leave out", id="date-twice"
        ),
        pytest.param(
            {"not_before": timedelta(1), "not_after": timedelta(1)},
            ValueError,
            "later",
            id="order",
        ),
        pytest.param({"not_after": 5}, TypeError, "not int", id="date-type"),
        pytest.param(
            {"not_after": datetime.datetime(2040, 1, 1)}, ValueError, "time zone", id="naive"
        ),
        pytest.param({"colour": 1}, TypeError, "colour", id="unknown"),
    ],
)
def test_wrong_arguments(
    ca: CertificateAuthority, options: Any, error: type[Exception], says: str
) -> None:
    with pytest.raises(error, match=says) as caught:
        ca.issue(**options)
    assert "secret" not in str(caught.value)


def test_spiffe_ids_that_are_right(ca: CertificateAuthority) -> None:
    for text in ("spiffe://a", "spiffe://a.b-c_d/e/...f", "spiffe://a/B.c_-"):
        ca.client_certificate(spiffe_id=text)
    # A wrong one can be had, too.
    ca.client_certificate(uris=["spiffe://A/", "spiffe://b"])


def test_dates_can_be_chosen(ca: CertificateAuthority) -> None:
    zone = datetime.timezone(timedelta(hours=2))
    made = ca.client_certificate(
        not_before=datetime.datetime(2020, 1, 1, 2, tzinfo=zone), not_after=timedelta(seconds=90)
    )
    assert made.not_before == datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC)
    left = made.not_after - datetime.datetime.now(datetime.UTC)
    assert timedelta(seconds=80) < left <= timedelta(seconds=90)


def test_revoking_is_the_issuers_business(ca: CertificateAuthority) -> None:
    made = ca.intermediate().client_certificate()
    for other in (ca, CertificateAuthority()):
        with pytest.raises(ValueError, match="was not issued by"):
            other.revoke(made)
    with pytest.raises(ValueError, match="'key_compromise'"):
        ca.revoke(ca.client_certificate(), reason=cast(Any, "bored"))
    with pytest.raises(ValueError, match="next_update"):
        ca.crl_pem(this_update=timedelta(days=2), next_update=timedelta(days=1))


def test_contexts_refuse_what_makes_no_sense(
    ca: CertificateAuthority, server: IssuedCertificate
) -> None:
    with pytest.raises(ValueError, match="client_ca"):
        server.server_context(crl=ca.crl_pem())
    with pytest.raises(ValueError, match="no CRL"):
        server.server_context(client_ca=ca, crl=ca.certificate_pem)
    for password, error in (("", ValueError), ("x" * 1025, ValueError), (5, TypeError)):
        with pytest.raises(error, match="password"):
            server.private_key_pem(cast(Any, password))
    with pytest.raises(ValueError, match="traditional"):
        ca.client_certificate(key_type="ed25519").private_key_pem(traditional=True)


def test_an_authority_can_be_made_again(server: IssuedCertificate) -> None:
    key = generate_key()
    old, new = (CertificateAuthority("Same", key=key) for _ in range(2))
    shake(old.server_certificate().server_context(), new.trust_context())
    assert old.issuer is None
    assert old.intermediate().issuer is old


@pytest.fixture(autouse=True)
def _no_threads_are_left() -> Iterator[None]:
    before = set(threading.enumerate())
    yield
    assert set(threading.enumerate()) <= before
