"""`Trust`: whom a context trusts then, and what is said about files that cannot be used."""

from __future__ import annotations

import shutil
import ssl
import subprocess
import sys
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from support.handshakes import verify_code
from wsclient.errors import TrustError
from wsclient.testing.certificates import CertificateAuthority
from wsclient.tls.contexts import trust as trust_module
from wsclient.tls.contexts.trust import Trust

AUTHORITY = CertificateAuthority("Ours")
OTHER = CertificateAuthority("Theirs")
ISSUING = AUTHORITY.intermediate("Ours below")
SERVER = AUTHORITY.server_certificate().server_context()
OTHER_SERVER = OTHER.server_certificate().server_context()
DEEP_SERVER = ISSUING.server_certificate().server_context()

OK, CRL_MISSING, CRL_EXPIRED, SELF_SIGNED_CA, NO_ISSUER, REVOKED = 0, 3, 12, 19, 20, 23


def context_of(**values: Any) -> ssl.SSLContext:
    """Return a context that trusts as it is told, and asks for no name."""
    trust = Trust.of(**values)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    trust.load_into(context, trust.read())
    return context


def write(path: Path, content: bytes | str) -> Path:
    """Write a file and return its path."""
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def rehash(directory: Path, *authorities: CertificateAuthority) -> Path:
    """Fill a directory as ``openssl rehash`` does, or skip without the command."""
    command = shutil.which("openssl")
    if command is None:
        pytest.skip("the openssl command is missing")
    directory.mkdir(exist_ok=True)
    for number, authority in enumerate(authorities):
        write(directory / f"{number}.pem", authority.root_pem)
    subprocess.run([command, "rehash", directory], check=True, capture_output=True)
    return directory


def der(authority: CertificateAuthority) -> bytes:
    return authority.certificate.public_bytes(Encoding.DER)


def test_certifi_is_the_default() -> None:
    context = context_of()
    assert context.cert_store_stats()["x509_ca"] > 50
    assert verify_code(context, SERVER) in (SELF_SIGNED_CA, NO_ISSUER)
    assert context_of(trust="certifi").cert_store_stats() == context.cert_store_stats()


def own_roots(tmp_path: Path) -> dict[str, dict[str, Any]]:
    pem = AUTHORITY.root_pem
    return {
        "file": {"cafile": write(tmp_path / "ca.pem", pem)},
        "str": {"cadata": pem.decode()},
        "bytes": {"cadata": pem},
        "der": {"cadata": der(AUTHORITY)},
        "bom": {"cafile": write(tmp_path / "bom.pem", b"\xef\xbb\xbf" + pem)},
        "crlf": {"cafile": write(tmp_path / "crlf.pem", pem.replace(b"\n", b"\r\n"))},
        "comments": {"cafile": write(tmp_path / "more.pem", "# Größe\n".encode() + pem + b"end")},
        "trusted": {
            "cafile": write(
                tmp_path / "trusted.pem", pem.replace(b" CERTIFICATE", b" TRUSTED CERTIFICATE")
            )
        },
        "trusted-data": {"cadata": pem.replace(b" CERTIFICATE", b" TRUSTED CERTIFICATE")},
    }


@pytest.mark.parametrize(
    "form", "file str bytes der bom crlf comments trusted trusted-data".split()
)
def test_own_roots_replace_certifi(form: str, tmp_path: Path) -> None:
    context = context_of(**own_roots(tmp_path)[form])
    assert context.cert_store_stats()["x509_ca"] == 1
    assert verify_code(context, SERVER) == OK
    assert verify_code(context, OTHER_SERVER) != OK


def test_own_roots_are_added_to_what_is_named(tmp_path: Path) -> None:
    only = context_of().cert_store_stats()["x509_ca"]
    cafile = write(tmp_path / "ca.pem", AUTHORITY.root_pem)
    context = context_of(trust="certifi", cafile=cafile, cadata=OTHER.root_pem)
    assert context.cert_store_stats()["x509_ca"] == only + 2
    assert verify_code(context, SERVER) == verify_code(context, OTHER_SERVER) == OK


def test_all_own_roots_are_trusted_together(tmp_path: Path) -> None:
    third = CertificateAuthority("Third")
    context = context_of(
        cafile=write(tmp_path / "ca.pem", AUTHORITY.root_pem),
        capath=rehash(tmp_path / "roots", OTHER),
        cadata=third.root_pem,
    )
    for each in (AUTHORITY, OTHER, third):
        assert verify_code(context, each.server_certificate().server_context()) == OK


def test_what_stands_beside_roots_is_left_out(tmp_path: Path) -> None:
    made = AUTHORITY.server_certificate()
    content = made.private_key_pem() + AUTHORITY.crl_pem() + AUTHORITY.root_pem
    context = context_of(cafile=write(tmp_path / "mixed.pem", content))
    assert context.cert_store_stats() == {"x509": 1, "crl": 0, "x509_ca": 1}


def test_a_directory_of_roots(tmp_path: Path) -> None:
    context = context_of(capath=rehash(tmp_path / "roots", AUTHORITY))
    assert verify_code(context, SERVER) == OK
    assert verify_code(context, OTHER_SERVER) != OK


@pytest.mark.parametrize("place", ["file", "directory"])
def test_the_roots_of_the_system(
    place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "empty").mkdir()
    if place == "file":
        monkeypatch.setenv("SSL_CERT_FILE", str(write(tmp_path / "ca.pem", AUTHORITY.root_pem)))
        monkeypatch.setenv("SSL_CERT_DIR", str(tmp_path / "empty"))
    else:
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "missing.pem"))
        monkeypatch.setenv("SSL_CERT_DIR", str(rehash(tmp_path / "roots", AUTHORITY)))
    context = context_of(trust="system")
    assert verify_code(context, SERVER) == OK
    assert verify_code(context, OTHER_SERVER) != OK
    both = context_of(trust="system", cadata=OTHER.root_pem)
    assert verify_code(both, SERVER) == verify_code(both, OTHER_SERVER) == OK
    # That they can change shows in the stamps.
    assert any(each is not None for each in Trust.of(trust="system").stamps().files)


def test_a_system_without_roots(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "missing.pem"))
    monkeypatch.setenv("SSL_CERT_DIR", str(tmp_path))
    if sys.platform == "win32":
        pytest.skip("Windows has roots in no file")
    with pytest.raises(TrustError, match="SSL_CERT_FILE") as caught:
        context_of(trust="system")
    assert caught.value.reason == "no_certificates"


def _missing(path: Path) -> dict[str, Any]:
    return {"cafile": path / "missing.pem"}


def _directory(path: Path) -> dict[str, Any]:
    return {"cafile": path}


def _below_a_file(path: Path) -> dict[str, Any]:
    return {"cafile": write(path / "ca.pem", AUTHORITY.root_pem) / "ca.pem"}


def _empty(path: Path) -> dict[str, Any]:
    return {"cafile": write(path / "empty.pem", b"")}


def _text(path: Path) -> dict[str, Any]:
    return {"cafile": write(path / "text.pem", "no certificate at all")}


def _key(path: Path) -> dict[str, Any]:
    key = AUTHORITY.server_certificate().private_key_pem()
    return {"cafile": write(path / "key.pem", key)}


def _crl(path: Path) -> dict[str, Any]:
    return {"cafile": write(path / "crl.pem", AUTHORITY.crl_pem())}


def _der(path: Path) -> dict[str, Any]:
    return {"cafile": write(path / "ca.der", der(AUTHORITY))}


def _pkcs12(path: Path) -> dict[str, Any]:
    return {"cafile": write(path / "ca.p12", AUTHORITY.server_certificate().pkcs12("x"))}


def _cut(path: Path) -> dict[str, Any]:
    return {"cafile": write(path / "cut.pem", OTHER.root_pem + AUTHORITY.root_pem[:-30])}


def _damaged(path: Path) -> dict[str, Any]:
    lines = AUTHORITY.root_pem.splitlines(keepends=True)
    return {"cafile": write(path / "damaged.pem", b"".join(lines[:2] + lines[3:]))}


def _capath_missing(path: Path) -> dict[str, Any]:
    return {"capath": path / "missing"}


def _capath_file(path: Path) -> dict[str, Any]:
    return {"capath": write(path / "ca.pem", AUTHORITY.root_pem)}


def _capath_unhashed(path: Path) -> dict[str, Any]:
    write(path / "ca.pem", AUTHORITY.root_pem)
    # That of a revocation list.
    write(path / "1a2b3c4d.r0", AUTHORITY.crl_pem())
    return {"capath": path}


def _crlfile(name: str, content: Callable[[], bytes]) -> Callable[[Path], dict[str, Any]]:
    return lambda path: {
        "cadata": AUTHORITY.root_pem,
        "crlfile": write(path / name, content()) if name != "missing.crl" else path / name,
    }


@pytest.mark.parametrize(
    ("values", "reason", "says"),
    [
        pytest.param(_missing, "file_not_found", "missing.pem cannot be read: No", id="missing"),
        pytest.param(_directory, "is_a_directory", "Is a directory", id="directory"),
        pytest.param(_below_a_file, "not_a_directory", "Not a directory", id="below-a-file"),
        pytest.param(_empty, "no_certificates", "empty.pem is empty", id="empty"),
        pytest.param(_text, "no_certificates", "text.pem holds no certificate", id="text"),
        pytest.param(_key, "no_certificates", "key.pem holds a private key", id="key"),
        pytest.param(_crl, "no_certificates", "crl.pem .* as crlfile=", id="crl"),
        pytest.param(_der, "unreadable", "ca.der is in DER .* openssl x509", id="der"),
        pytest.param(_pkcs12, "unreadable", "ca.p12 is in DER or PKCS#12", id="pkcs12"),
        pytest.param(_cut, "unreadable", "cut.pem is damaged: .* no end", id="cut"),
        pytest.param(_damaged, "unreadable", "damaged.pem is damaged", id="damaged"),
        pytest.param(_capath_missing, "file_not_found", "missing cannot be", id="capath-missing"),
        pytest.param(_capath_file, "not_a_directory", "Not a directory", id="capath-file"),
        pytest.param(_capath_unhashed, "no_certificates", "openssl rehash", id="capath-unhashed"),
        pytest.param(
            _crlfile("missing.crl", bytes), "file_not_found", "missing.crl", id="crl-missing"
        ),
        pytest.param(
            _crlfile("empty.crl", bytes), "crl_unreadable", "empty.crl holds no", id="crl-empty"
        ),
        pytest.param(
            _crlfile("cert.crl", lambda: AUTHORITY.root_pem),
            "crl_unreadable",
            "cert.crl holds a certificate and no list",
            id="crl-certificate",
        ),
        pytest.param(
            _crlfile("cut.crl", lambda: AUTHORITY.crl_pem()[:-30]),
            "crl_unreadable",
            "cut.crl holds no whole list",
            id="crl-cut",
        ),
        pytest.param(
            _crlfile("damaged.crl", lambda: b"\x30\x82nonsense"),
            "crl_unreadable",
            "damaged.crl is damaged",
            id="crl-damaged",
        ),
    ],
)
def test_faults_are_explained(
    values: Callable[[Path], dict[str, Any]], reason: str, says: str, tmp_path: Path
) -> None:
    given = values(tmp_path)
    with pytest.raises(TrustError, match=says) as caught:
        context_of(**given)
    assert caught.value.reason == reason
    assert caught.value.side == "local"
    assert caught.value.phase == "tls"
    assert "PRIVATE KEY" not in str(caught.value)
    named = [str(each) for name, each in given.items() if name != "cadata"]
    assert named[0] in str(caught.value)


def test_a_file_that_may_not_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: str, mode: str) -> None:
        raise PermissionError(13, "Permission denied", path)

    # Root may read everything.
    monkeypatch.setattr(trust_module, "open", refuse, raising=False)
    with pytest.raises(TrustError, match=r"ca\.pem cannot be read: Permission denied") as caught:
        context_of(cafile=write(tmp_path / "ca.pem", AUTHORITY.root_pem))
    assert caught.value.reason == "permission_denied"
    assert isinstance(caught.value.__cause__, PermissionError)


def test_want_of_descriptors_is_no_damage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cafile = write(tmp_path / "ca.pem", AUTHORITY.root_pem)
    trust = Trust.of(cafile=cafile)
    contents = trust.read()

    def refuse(*contents: bytes) -> None:
        raise OSError(24, "Too many open files")

    monkeypatch.setattr(trust_module, "files_for", refuse)
    with pytest.raises(TrustError, match="cannot be loaded: Too many open files"):
        trust.load_into(ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT), contents)


def test_a_file_that_changes_while_it_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cafile = write(tmp_path / "ca.pem", AUTHORITY.root_pem)
    read = trust_module._read

    def slow(label: str, path: str) -> bytes:
        content = read(label, path)
        write(cafile, OTHER.root_pem + AUTHORITY.root_pem)
        return content

    monkeypatch.setattr(trust_module, "_read", slow)
    with pytest.raises(TrustError, match="changed while"):
        Trust.of(cafile=cafile).read()


def revoked(
    authority: CertificateAuthority, *, expired: bool = False
) -> tuple[ssl.SSLContext, bytes]:
    """Return a server whose certificate has been revoked, and the list that says so."""
    made = authority.server_certificate()
    authority.revoke(made)
    until = timedelta(hours=-1) if expired else None
    return made.server_context(), authority.crl_pem(next_update=until)


@pytest.mark.parametrize("form", ["file", "file-der", "str", "bytes", "der", "both"])
def test_revoked_certificates_are_refused(form: str, tmp_path: Path) -> None:
    authority = CertificateAuthority()
    good = authority.server_certificate().server_context()
    bad, pem = revoked(authority)
    crl_der = x509.load_pem_x509_crl(pem).public_bytes(Encoding.DER)
    values: dict[str, dict[str, Any]] = {
        "file": {"crlfile": write(tmp_path / "list.pem", pem)},
        "file-der": {"crlfile": write(tmp_path / "list.crl", crl_der)},
        "str": {"crldata": pem.decode()},
        "bytes": {"crldata": pem},
        "der": {"crldata": crl_der},
        "both": {"crldata": OTHER.crl_pem(), "crlfile": write(tmp_path / "list.pem", pem)},
    }
    context = context_of(cadata=authority.root_pem, **values[form])
    assert verify_code(context, bad) == REVOKED
    assert verify_code(context, good) == OK
    assert verify_code(context_of(cadata=authority.root_pem), bad) == OK


def test_without_a_valid_list_the_server_is_refused() -> None:
    authority = CertificateAuthority()
    good = authority.server_certificate().server_context()
    _, expired = revoked(authority, expired=True)
    context = context_of(cadata=authority.root_pem, crldata=expired)
    assert verify_code(context, good) == CRL_EXPIRED
    context = context_of(cadata=authority.root_pem, crldata=OTHER.crl_pem())
    assert verify_code(context, good) == CRL_MISSING


def test_the_whole_chain_is_looked_up_if_it_shall_be() -> None:
    leaf_only = ISSUING.crl_pem()
    values: dict[str, Any] = {"cadata": AUTHORITY.root_pem}
    assert verify_code(context_of(crldata=leaf_only, **values), DEEP_SERVER) == OK
    chain = {"crl_check": "chain", **values}
    assert verify_code(context_of(crldata=leaf_only, **chain), DEEP_SERVER) == CRL_MISSING
    both = leaf_only + AUTHORITY.crl_pem()
    assert verify_code(context_of(crldata=both, **chain), DEEP_SERVER) == OK


def test_a_certificate_beside_a_list_is_not_trusted(tmp_path: Path) -> None:
    both = OTHER.root_pem + OTHER.crl_pem()
    for values in ({"crldata": both}, {"crlfile": write(tmp_path / "both.pem", both)}):
        context = context_of(cadata=AUTHORITY.root_pem, **values)
        assert context.cert_store_stats() == {"x509": 1, "crl": 1, "x509_ca": 1}
        assert verify_code(context, OTHER_SERVER) in (SELF_SIGNED_CA, NO_ISSUER)


def test_strictness() -> None:
    lax = CertificateAuthority("Lax", key_usage=False)
    server = lax.server_certificate().server_context()
    assert verify_code(context_of(cadata=lax.root_pem, strict=True), server) == 92
    assert verify_code(context_of(cadata=lax.root_pem, strict=False), server) == OK
    by_default = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).verify_flags
    assert context_of(cadata=lax.root_pem).verify_flags == by_default
    # From Python 3.13 on it is set already when the roots are loaded.
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.verify_flags |= ssl.VERIFY_X509_STRICT
    trust = Trust.of(cadata=lax.root_pem, strict=False)
    trust.load_into(context, trust.read())
    assert verify_code(context, server) == OK


def test_nothing_is_read_without_verification(tmp_path: Path) -> None:
    context = context_of(verify=False, cafile=tmp_path / "missing", crldata=OTHER.crl_pem())
    assert context.verify_mode is ssl.CERT_NONE
    assert not context.check_hostname
    assert verify_code(context, SERVER, "other.example") == OK
    assert Trust.of(verify=False, cafile=tmp_path / "missing").stamps().files == ()


def test_stamps_tell_of_every_file(tmp_path: Path) -> None:
    cafile = write(tmp_path / "ca.pem", AUTHORITY.root_pem)
    crlfile = write(tmp_path / "list.pem", AUTHORITY.crl_pem())
    capath = rehash(tmp_path / "roots", AUTHORITY)
    trust = Trust.of(cafile=cafile, capath=capath, crlfile=crlfile)
    seen = {trust.stamps()}
    write(cafile, AUTHORITY.root_pem + b"#")
    seen.add(trust.stamps())
    write(crlfile, AUTHORITY.crl_pem() + b"#")
    seen.add(trust.stamps())
    write(capath / "new", b"")
    seen.add(trust.stamps())
    crlfile.unlink()
    seen.add(trust.stamps())
    assert len(seen) == 5
    assert trust.stamps() == trust.stamps()
