"""`ClientIdentity`: what it reads, how it arranges it, and what it says about itself."""

from __future__ import annotations

import base64
import copy
import gc
import shutil
import socket
import ssl
import subprocess
import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.serialization import pkcs12

from support.running import open_descriptors
from tls.local_faults import PASSWORD, ec, other_ec, rsa
from wsclient import (
    ClientIdentity,
    FileIdentityProvider,
    IdentityError,
    IdentityWarning,
    PKCS12IdentityProvider,
)
from wsclient.testing import CertificateAuthority, ThreadedTLSServer
from wsclient.testing.certificates import IssuedCertificate, KeyType
from wsclient.tls.files import keyfile
from wsclient.tls.identity.identity import read_files, read_pkcs12


@pytest.fixture(scope="module")
def root() -> CertificateAuthority:
    return CertificateAuthority("Root")


@pytest.fixture(scope="module")
def deep(root: CertificateAuthority) -> IssuedCertificate:
    """A certificate with two intermediates."""
    return root.intermediate("Policy").intermediate("Issuing").client_certificate("billing")


def pem(*certificates: x509.Certificate) -> bytes:
    return b"".join(each.public_bytes(serialization.Encoding.PEM) for each in certificates)


def shown_to_a_server(
    identity: ClientIdentity, issued: IssuedCertificate, version: ssl.TLSVersion
) -> bytes | None:
    """Connect to a server that asks, and return the certificate that it got."""
    server = CertificateAuthority().server_certificate()
    accepting = server.server_context(client_ca=issued)
    accepting.minimum_version = accepting.maximum_version = version
    context = server.trust_context()
    identity.load_into(context)
    with ThreadedTLSServer(accepting, lambda stream: None) as running:
        connection = socket.create_connection(("127.0.0.1", running.port), timeout=5)
        context.wrap_socket(connection, server_hostname="127.0.0.1").close()
        return running.wait_for_handshakes()[0].peer_certificate_der


FORMS: dict[str, Callable[[IssuedCertificate], ClientIdentity]] = {
    "pem": lambda c: ClientIdentity.from_pem(c.chain_pem, c.private_key_pem()),
    "text": lambda c: ClientIdentity.from_pem(c.chain_pem.decode(), c.private_key_pem().decode()),
    "combined": lambda c: ClientIdentity.from_pem(c.chain_pem + c.private_key_pem()),
    "key first": lambda c: ClientIdentity.from_pem(c.private_key_pem() + c.chain_pem),
    "encrypted": lambda c: ClientIdentity.from_pem(
        c.chain_pem, c.private_key_pem(PASSWORD), PASSWORD
    ),
    "der": lambda c: ClientIdentity.from_der(
        [each.public_bytes(serialization.Encoding.DER) for each in (c.certificate, *c.chain)],
        c.private_key_der(),
    ),
    "der in one": lambda c: ClientIdentity.from_der(
        b"".join(
            each.public_bytes(serialization.Encoding.DER) for each in (*c.chain, c.certificate)
        ),
        bytearray(c.private_key_der(PASSWORD)),  # type: ignore[arg-type] # a buffer will do
        lambda: PASSWORD.encode(),
    ),
    "pkcs12": lambda c: ClientIdentity.from_pkcs12(c.pkcs12(PASSWORD), PASSWORD),
    "old pkcs12": lambda c: ClientIdentity.from_pkcs12(c.pkcs12(PASSWORD, legacy=True), PASSWORD),
    "open pkcs12": lambda c: ClientIdentity.from_pkcs12(c.pkcs12(None)),
    "needless password": lambda c: ClientIdentity.from_pkcs12(c.pkcs12(None), PASSWORD),
    "objects": lambda c: ClientIdentity.from_cryptography(c.private_key, c.certificate, c.chain),
}


@pytest.mark.parametrize("form", FORMS)
def test_all_forms_make_the_same_identity(form: str, deep: IssuedCertificate) -> None:
    identity = FORMS[form](deep)
    ders = [
        each.public_bytes(serialization.Encoding.DER) for each in (deep.certificate, *deep.chain)
    ]
    assert identity.chain_der == tuple(ders)
    assert identity.certificate_der == ders[0]
    assert identity.chain_pem == deep.chain_pem
    assert identity == FORMS["pem"](deep)
    assert hash(identity) == hash(FORMS["pem"](deep))
    assert identity.generation == 1
    assert identity.source is None
    assert shown_to_a_server(identity, deep, ssl.TLSVersion.TLSv1_3) == ders[0]


@pytest.mark.parametrize(
    "key_type", ["rsa-2048", "rsa-3072", "ec-p256", "ec-p384", "ec-p521", "ed25519", "ed448"]
)
def test_all_kinds_of_keys_are_shown(key_type: KeyType) -> None:
    issued = CertificateAuthority().client_certificate(key_type=key_type)
    for identity in (
        ClientIdentity.from_pem(issued.chain_pem, issued.private_key_pem(PASSWORD), PASSWORD),
        ClientIdentity.from_der(issued.certificate_der, issued.private_key_der()),
    ):
        assert identity.key_type == key_type
        assert identity.warnings == ()
        for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
            assert shown_to_a_server(identity, issued, version) == issued.certificate_der


@pytest.mark.skipif(shutil.which("openssl") is None, reason="cryptography makes no such keys")
def test_a_key_for_pss_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def openssl(*arguments: str) -> None:
        subprocess.run(
            ["openssl", *arguments], cwd=tmp_path, check=True, capture_output=True, timeout=20
        )

    openssl("genpkey", "-algorithm", "RSA-PSS", "-pkeyopt", "rsa_keygen_bits:2048", "-out", "key")
    openssl("req", "-x509", "-new", "-key", "key", "-subj", "/CN=pss", "-out", "pem")
    openssl("pkcs8", "-topk8", "-in", "key", "-passout", "pass:x", "-out", "encrypted")
    openssl("pkcs12", "-export", "-inkey", "key", "-in", "pem", "-passout", "pass:x", "-out", "p")
    for memory in (True, False):
        if not memory:
            monkeypatch.setattr(keyfile, "_in_memory", lambda: None)
        for identity in (
            ClientIdentity.from_files(tmp_path / "pem", tmp_path / "key"),
            ClientIdentity.from_files(tmp_path / "pem", tmp_path / "encrypted", "x"),
            ClientIdentity.from_pkcs12(tmp_path / "p", "x"),
        ):
            assert identity.key_type == "rsa-pss-2048"
            identity.load_into(ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT))


@pytest.mark.skipif(shutil.which("openssl") is None, reason="cryptography writes no RC2 or scrypt")
@pytest.mark.parametrize(
    ("arguments", "name", "password"),
    [
        pytest.param("pkcs8 -topk8 -scrypt -in key -passout pass:x", "key", "x", id="scrypt"),
        pytest.param("pkcs8 -topk8 -v2 des3 -in key -passout pass:x", "key", "x", id="3des"),
        pytest.param("ec -aes128 -in key -passout pass:x", "key", "x", id="old form"),
        pytest.param(
            "pkcs12 -export -legacy -inkey key -in pem -passout pass:x", "p12", "x", id="rc2"
        ),
        pytest.param(
            "pkcs12 -export -inkey key -in pem -passout pass:", "p12", "", id="empty password"
        ),
        pytest.param(
            "pkcs12 -export -inkey key -in pem -passout pass:", "p12", None, id="none for empty"
        ),
        pytest.param(
            "pkcs12 -export -nomac -keypbe NONE -certpbe NONE -inkey key -in pem -passout pass:",
            "p12",
            "needless",
            id="not encrypted",
        ),
    ],
)
def test_encryption_as_openssl_does_it(
    arguments: str, name: str, password: str | None, tmp_path: Path
) -> None:
    (tmp_path / "key").write_bytes(ec().private_key_pem())
    (tmp_path / "pem").write_bytes(ec().chain_pem)
    subprocess.run(
        ["openssl", *arguments.split(), "-out", "made"],
        cwd=tmp_path,
        check=True,
        capture_output=True,
        timeout=20,
    )
    if name == "p12":
        identity = ClientIdentity.from_pkcs12(tmp_path / "made", password)
    else:
        identity = ClientIdentity.from_files(tmp_path / "pem", tmp_path / "made", password)
    assert identity.certificate_der == ec().certificate_der


# The text around the blocks.


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda text: text.replace(b"\n", b"\r\n"), id="CRLF"),
        pytest.param(lambda text: text.replace(b"\n", b"\r"), id="CR"),
        pytest.param(lambda text: b"\xef\xbb\xbf" + text, id="byte order mark"),
        pytest.param(lambda text: b"subject=CN=x\n" + text + b"the end\n", id="text around"),
        pytest.param("Schlüssel für Köln\n".encode().__add__, id="UTF-8 comments"),
        pytest.param("Schlüssel\n".encode("latin-1").__add__, id="latin-1 comments"),
        pytest.param(lambda text: text.replace(b"\n", b"\n    "), id="indented"),
        pytest.param(lambda text: text.replace(b"\n", b"  \n"), id="trailing spaces"),
        pytest.param(lambda text: text.replace(b"\n", b"\n\n"), id="empty lines"),
        pytest.param(lambda text: text.rstrip(), id="no last line end"),
        pytest.param(
            lambda text: (
                b"-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n"
                b"-----END EC PARAMETERS-----\n" + text
            ),
            id="parameters first",
        ),
        pytest.param(
            lambda text: text.replace(b" CERTIFICATE-", b" X509 CERTIFICATE-"), id="old label"
        ),
    ],
)
def test_what_is_around_the_blocks_does_not_matter(
    change: Callable[[bytes], bytes], tmp_path: Path
) -> None:
    (tmp_path / "tls.pem").write_bytes(change(ec().chain_pem))
    (tmp_path / "tls.key").write_bytes(change(ec().private_key_pem()))
    identity = ClientIdentity.from_files(tmp_path / "tls.pem", tmp_path / "tls.key")
    assert identity.chain_pem == ec().chain_pem


def test_a_block_in_one_long_line() -> None:
    def in_one_line(text: bytes) -> bytes:
        begin, *lines, end = text.splitlines()
        return b"\n".join([begin, b"".join(lines), end, b""])

    identity = ClientIdentity.from_pem(
        in_one_line(rsa().certificate_pem), in_one_line(rsa().private_key_pem())
    )
    assert identity.certificate_der == rsa().certificate_der


def test_an_old_encrypted_key_keeps_its_header() -> None:
    key = rsa().private_key_pem(PASSWORD, traditional=True).replace(b"\n", b"\r\n")
    assert b"Proc-Type" in key
    identity = ClientIdentity.from_pem(rsa().chain_pem, key, PASSWORD)
    assert identity.certificate_der == rsa().certificate_der


@pytest.mark.skipif(shutil.which("openssl") is None, reason="only openssl makes such a block")
def test_a_trusted_certificate_of_openssl() -> None:
    trusted = subprocess.run(
        ["openssl", "x509", "-trustout", "-addtrust", "clientAuth"],
        input=ec().certificate_pem,
        capture_output=True,
        check=True,
        timeout=20,
    ).stdout
    assert b"BEGIN TRUSTED CERTIFICATE" in trusted
    identity = ClientIdentity.from_pem(trusted, ec().private_key_pem())
    assert identity.certificate_der == ec().certificate_der


def test_the_time_grows_with_the_size_alone() -> None:
    # A search for the end of each block through all the rest would take minutes.
    text = b"-----BEGIN CERTIFICATE-----\n" * 30_000
    with pytest.raises(IdentityError, match="cut off"):
        ClientIdentity.from_pem(text)


# The order.


def test_the_chain_is_put_in_order(root: CertificateAuthority, deep: IssuedCertificate) -> None:
    first, second = deep.chain
    for mixed in (
        (first, deep.certificate, second),
        (second, first, deep.certificate),
        (root.certificate, second, first, deep.certificate),
    ):
        identity = ClientIdentity.from_pem(pem(*mixed), deep.private_key_pem())
        assert identity.chain_pem.startswith(deep.chain_pem)
        assert len(identity.chain_der) == len(mixed)
        assert identity.warnings == (IdentityWarning.CHAIN_ORDER,)


def test_a_certificate_that_is_there_twice_is_kept_once(deep: IssuedCertificate) -> None:
    twice = pem(deep.certificate, deep.certificate, *deep.chain, *deep.chain)
    identity = ClientIdentity.from_pem(twice, deep.private_key_pem())
    assert identity.chain_pem == deep.chain_pem
    assert identity.warnings == ()


def test_a_missing_intermediate_is_told(
    root: CertificateAuthority, deep: IssuedCertificate
) -> None:
    _, second = deep.chain
    for gap in ((deep.certificate, second), (deep.certificate, root.certificate)):
        identity = ClientIdentity.from_pem(pem(*gap), deep.private_key_pem())
        assert identity.chain_pem == pem(*gap)
        assert identity.warnings == (IdentityWarning.CHAIN_INCOMPLETE,)


def test_nothing_is_told_of_what_cannot_be_known(
    root: CertificateAuthority, deep: IssuedCertificate
) -> None:
    # The root may have issued it; and the root itself need not be there.
    alone = ClientIdentity.from_pem(deep.certificate_pem, deep.private_key_pem())
    whole = ClientIdentity.from_pem(deep.chain_pem + root.certificate_pem, deep.private_key_pem())
    assert alone.warnings == whole.warnings == ()


def test_unrelated_certificates_stay_at_the_end(
    root: CertificateAuthority, deep: IssuedCertificate
) -> None:
    stranger = CertificateAuthority("Stranger").certificate
    given = (stranger, deep.certificate, *deep.chain, root.certificate)
    identity = ClientIdentity.from_pem(pem(*given), deep.private_key_pem())
    assert identity.chain_pem == pem(*given[1:], stranger)
    assert identity.warnings == (IdentityWarning.CHAIN_ORDER,)


def test_an_authority_with_a_new_key_is_told_from_the_old_one() -> None:
    root = CertificateAuthority("Root")
    old, new = (root.intermediate("Issuing") for _ in range(2))
    issued = new.client_certificate("billing")
    given = pem(issued.certificate, old.certificate, new.certificate)
    identity = ClientIdentity.from_pem(given, issued.private_key_pem())
    assert identity.chain_pem == pem(issued.certificate, new.certificate, old.certificate)
    assert identity.warnings == (IdentityWarning.CHAIN_ORDER,)


def test_of_two_certificates_for_one_key_the_one_that_lasts_is_shown(
    root: CertificateAuthority,
) -> None:
    old = root.client_certificate("billing", not_after=timedelta(days=1))
    new = root.client_certificate("billing", key=old.private_key)
    for both in ((old, new), (new, old)):
        chain = pem(*(each.certificate for each in both))
        identity = ClientIdentity.from_pem(chain, old.private_key_pem())
        assert identity.certificate_der == new.certificate_der


def test_of_two_keys_the_one_of_the_certificate_is_taken() -> None:
    others = other_ec().private_key_pem() + rsa().private_key_pem(PASSWORD)
    for keys in (others + ec().private_key_pem(), ec().private_key_pem() + others):
        identity = ClientIdentity.from_pem(ec().chain_pem, keys)
        assert identity.certificate_der == ec().certificate_der
        identity.load_into(ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT))


def test_a_key_that_only_openssl_could_read_comes_second() -> None:
    elsewhere = b"-----BEGIN TSS2 PRIVATE KEY-----\nMAMCAQA=\n-----END TSS2 PRIVATE KEY-----\n"
    keys = other_ec().private_key_pem() + elsewhere + ec().private_key_pem()
    identity = ClientIdentity.from_pem(ec().chain_pem, keys)
    assert identity.certificate_der == ec().certificate_der


def test_pkcs12_in_which_the_key_names_no_certificate(deep: IssuedCertificate) -> None:
    data = pkcs12.serialize_key_and_certificates(
        None,
        deep.private_key,
        None,
        [*deep.chain, deep.certificate],
        serialization.NoEncryption(),
    )
    assert ClientIdentity.from_pkcs12(data).chain_pem == deep.chain_pem


# What it says.


def test_what_it_says_about_itself(root: CertificateAuthority) -> None:
    issued = root.client_certificate("billing", spiffe_id="spiffe://example.test/billing")
    identity = ClientIdentity.from_pem(issued.chain_pem, issued.private_key_pem())
    assert identity.subject == "CN=billing"
    assert identity.issuer == "CN=Root"
    assert identity.serial_number == issued.serial_number
    assert identity.not_before == issued.not_before
    assert identity.not_after == issued.not_after
    assert identity.not_after is not None
    assert identity.not_after.tzinfo is UTC
    assert identity.fingerprint_sha256 == issued.fingerprint_sha256
    assert identity.spiffe_id == "spiffe://example.test/billing"
    assert identity.key_type == "ec-p256"
    assert identity.description == (
        f"CN=billing (sha256 {issued.fingerprint_sha256[:8]}…, valid until "
        f"{issued.not_after:%Y-%m-%d %H:%M} UTC)"
    )
    assert repr(identity) == f"<ClientIdentity {identity.description} generation=1>"


def test_a_name_is_found_where_there_is_no_subject(root: CertificateAuthority) -> None:
    by_id = root.client_certificate(None, spiffe_id="spiffe://example.test/a")
    by_name = root.client_certificate(None, names=["a.test", "b.test"])
    by_none = root.client_certificate(None)
    for issued, name in (
        (by_id, "spiffe://example.test/a ("),
        (by_name, "a.test, b.test ("),
        (by_none, "no subject ("),
    ):
        identity = ClientIdentity.from_pem(issued.chain_pem, issued.private_key_pem())
        assert identity.description.startswith(name)


@pytest.mark.parametrize(
    ("options", "warnings"),
    [
        ({"expired": True}, [IdentityWarning.EXPIRED]),
        ({"not_yet_valid": True}, [IdentityWarning.NOT_YET_VALID]),
        ({"extended_key_usage": ["server"]}, [IdentityWarning.NO_CLIENT_AUTH_EKU]),
        ({"extended_key_usage": ["server", "client"]}, []),
        ({"extended_key_usage": []}, []),
        ({"key_type": "rsa-1024"}, [IdentityWarning.WEAK_KEY]),
        ({"key_type": "rsa-2048"}, []),
        (
            {"key_type": "rsa-1024", "expired": True},
            [IdentityWarning.EXPIRED, IdentityWarning.WEAK_KEY],
        ),
    ],
)
def test_warnings(
    options: dict[str, object], warnings: list[IdentityWarning], root: CertificateAuthority
) -> None:
    issued = root.issue("billing", **options)  # type: ignore[arg-type] # as parametrised
    identity = ClientIdentity.from_pem(issued.chain_pem, issued.private_key_pem())
    assert list(identity.warnings) == warnings


def test_a_weak_key_can_be_had_where_the_context_allows_it() -> None:
    issued = CertificateAuthority().client_certificate(key_type="rsa-1024")
    identity = ClientIdentity.from_pem(issued.chain_pem, issued.private_key_pem())
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.set_ciphers("DEFAULT:@SECLEVEL=0")
    identity.load_into(context)
    with pytest.raises(IdentityError) as caught:
        identity.load_into(ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT))
    assert caught.value.reason == "key_too_small"


# What it is.


def test_it_is_immutable() -> None:
    identity = FORMS["pem"](ec())
    for name in ("generation", "source", "_pair", "anything"):
        with pytest.raises(AttributeError, match=name):
            setattr(identity, name, 2)
    with pytest.raises(AttributeError):
        del identity.generation
    with pytest.raises(TypeError, match="from_files"):
        ClientIdentity()


def test_copies_are_the_same() -> None:
    identity = FORMS["pem"](ec())
    assert copy.copy(identity) is identity
    assert copy.deepcopy([identity])[0] is identity


def test_equal_are_those_with_equal_chains() -> None:
    identity = FORMS["pem"](ec())
    again = identity.with_generation(7, None)
    assert again == identity
    assert hash(again) == hash(identity)
    assert again.generation == 7
    assert identity.generation == 1
    assert identity != FORMS["pem"](other_ec())
    assert identity != FORMS["pem"](replace(ec(), chain=()))
    assert identity != "something else"


def test_nothing_is_left_after_many_readings(tmp_path: Path) -> None:
    files = ec().write(tmp_path)
    before = open_descriptors()
    for _ in range(50):
        ClientIdentity.from_files(files.cert_file, files.key_file).load_into(
            ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        )
    gc.collect()
    assert open_descriptors() == before


# Files that are read again.


def test_files_are_their_own_source(tmp_path: Path) -> None:
    files = ec().write(tmp_path, password=PASSWORD)
    identity = ClientIdentity.from_files(str(files.cert_file), files.key_file, PASSWORD)
    assert isinstance(identity.source, FileIdentityProvider)
    assert identity.source.certfile == str(files.cert_file)
    assert identity.source.keyfile == str(files.key_file)
    assert read_files(files.cert_file, files.key_file, PASSWORD).source is None


async def test_the_source_reads_what_is_new(tmp_path: Path) -> None:
    files = ec().write(tmp_path, password=PASSWORD)
    identity = ClientIdentity.from_files(files.cert_file, files.key_file, PASSWORD)
    assert identity.source is not None
    assert await identity.source.get() == identity
    files.replace(rsa(), password=PASSWORD)
    assert (await identity.source.get()).certificate_der == rsa().certificate_der


async def test_a_pkcs12_file_is_its_own_source(tmp_path: Path) -> None:
    path = ec().write_pkcs12(tmp_path / "tls.p12", PASSWORD)
    identity = ClientIdentity.from_pkcs12(path, PASSWORD)
    assert isinstance(identity.source, PKCS12IdentityProvider)
    assert await identity.source.get() == identity
    assert read_pkcs12(path, PASSWORD).source is None


def test_one_file_given_twice_is_one_file(tmp_path: Path) -> None:
    path = tmp_path / "tls.pem"
    path.write_bytes(ec().chain_pem + ec().private_key_pem())
    identity = ClientIdentity.from_files(path, path)
    assert identity.certificate_der == ec().certificate_der
    assert isinstance(identity.source, FileIdentityProvider)
    assert identity.source.keyfile is None


# Passwords.


def test_a_password_function_is_called_once_and_only_if_needed() -> None:
    asked: list[int] = []

    def ask() -> bytes:
        asked.append(threading.get_ident())
        return PASSWORD.encode()

    ClientIdentity.from_pem(ec().chain_pem, ec().private_key_pem(), ask)
    assert asked == []
    keys = other_ec().private_key_pem(PASSWORD) + ec().private_key_pem(PASSWORD)
    identity = ClientIdentity.from_pem(ec().chain_pem, keys, ask)
    for _ in range(3):
        identity.load_into(ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT))
    assert asked == [threading.get_ident()]


def test_a_password_that_is_not_needed_is_ignored() -> None:
    identity = ClientIdentity.from_pem(ec().chain_pem, ec().private_key_pem(), "needless")
    assert identity.certificate_der == ec().certificate_der


def test_a_password_may_be_any_text() -> None:
    password = "grüße\N{SNOWMAN}"
    for key in (ec().private_key_pem(password), ec().private_key_pem(password, traditional=True)):
        ClientIdentity.from_pem(ec().chain_pem, key, password)
        ClientIdentity.from_pem(ec().chain_pem, key, password.encode())
        ClientIdentity.from_pem(ec().chain_pem, key, lambda: bytearray(password.encode()))  # type: ignore[arg-type, return-value] # a buffer will do
    ClientIdentity.from_pkcs12(ec().pkcs12(password), password)


# Keys in security modules.


@pytest.mark.parametrize("as_what", ["path", "pem", "text", "der"])
def test_what_a_security_module_is_asked_for(
    as_what: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "tls.pem").write_bytes(ec().chain_pem)
    forms: dict[str, str | bytes | Path] = {
        "path": tmp_path / "tls.pem",
        "pem": ec().chain_pem,
        "text": ec().chain_pem.decode(),
        "der": ec().certificate_der,
    }
    uri = "pkcs11:token=prod;object=billing?pin-source=file:pin"
    loaded: list[tuple[bytes, bytes, bytes | None]] = []

    def take(context: object, chain: bytes, key: bytes, password: bytes | None) -> None:
        loaded.append((chain, key, password))

    # There is no module here: what OpenSSL gets to see is all that can be looked at.
    monkeypatch.setattr("wsclient.tls.identity.loading.load_pair", take)
    identity = ClientIdentity.from_pkcs11(forms[as_what], uri)
    (chain, key, password) = loaded[0]
    assert chain.startswith(ec().certificate_pem)
    assert password is None
    begin, *lines, end = key.decode().splitlines()
    assert begin == "-----BEGIN PKCS#11 PROVIDER URI-----"
    assert end == "-----END PKCS#11 PROVIDER URI-----"
    fixed = b"PKCS#11 Provider URI v1.0"
    text = bytes([0x1A, len(fixed)]) + fixed + bytes([0x0C, len(uri)]) + uri.encode()
    assert base64.b64decode("".join(lines)) == bytes([0x30, len(text)]) + text
    assert "pin" not in repr(identity)


def test_what_follows_the_question_mark_of_a_uri_is_not_shown() -> None:
    with pytest.raises(IdentityError) as caught:
        ClientIdentity.from_pkcs11(ec().chain_pem, "pkcs11:token=prod?pin-source=%7Cget-pin")
    assert "pkcs11:token=prod " in str(caught.value)
    assert "get-pin" not in str(caught.value)
    with pytest.raises(IdentityError) as caught:
        ClientIdentity.from_pkcs11(ec().chain_pem, f"pkcs11:pin-value={PASSWORD};token=prod")
    assert "pin-value=***;token=prod " in str(caught.value)


# Wrong types.


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: ClientIdentity.from_files(None), "certfile"),  # type: ignore[arg-type]
        (lambda: ClientIdentity.from_files("a", 7), "keyfile"),  # type: ignore[arg-type]
        (lambda: ClientIdentity.from_files(b"a.pem"), "certfile"),  # type: ignore[arg-type]
        (lambda: ClientIdentity.from_files("a", "b", 7), "password"),  # type: ignore[arg-type]
        (lambda: ClientIdentity.from_pem(Path("a")), "from_files"),  # type: ignore[arg-type]
        (lambda: ClientIdentity.from_pem(7), "cert_chain"),  # type: ignore[arg-type]
        (lambda: ClientIdentity.from_pem("", 7), "private_key"),  # type: ignore[arg-type]
        (lambda: ClientIdentity.from_der("a", b""), "from_pem"),  # type: ignore[arg-type]
        (lambda: ClientIdentity.from_der([7], b""), "certificates"),  # type: ignore[list-item]
        (lambda: ClientIdentity.from_der(b"", "a"), "private_key"),  # type: ignore[arg-type]
        (lambda: ClientIdentity.from_pkcs12(None), "path_or_bytes"),  # type: ignore[arg-type]
        (lambda: ClientIdentity.from_cryptography("a", ec().certificate), "private_key"),
        (lambda: ClientIdentity.from_cryptography(ec().private_key, b"a"), "x509"),  # type: ignore[arg-type]
        (lambda: ClientIdentity.from_pkcs11("a.pem", b"pkcs11:"), "uri"),  # type: ignore[arg-type]
    ],
)
def test_wrong_types_are_told(make: Callable[[], object], says: str) -> None:
    with pytest.raises(TypeError, match=says):
        make()


async def ask_later() -> str:
    return PASSWORD


def test_a_password_cannot_be_a_coroutine_function() -> None:
    with pytest.raises(TypeError, match="plain function"):
        ClientIdentity.from_pem(b"", b"", ask_later)  # type: ignore[arg-type] # the fault
    with pytest.raises(IdentityError, match="returned coroutine"):
        ClientIdentity.from_pem(
            ec().chain_pem,
            ec().private_key_pem(PASSWORD),
            lambda: ask_later(),  # type: ignore[arg-type, return-value] # the fault
        )
