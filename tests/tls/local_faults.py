"""Everything that can be wrong with a certificate and a key before anything is sent."""

from __future__ import annotations

import functools
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.serialization import pkcs12

from wsclient import ClientIdentity
from wsclient.testing import CertificateAuthority
from wsclient.testing.certificates import IssuedCertificate

__all__ = ["FAULTS", "PASSWORD", "SECRETS", "Fault", "ec", "other_ec", "rsa"]

PASSWORD = "open-sesame-4711"
WRONG = "shut-sesame-0815"

SECRETS = (PASSWORD, WRONG)


@functools.cache
def authority() -> CertificateAuthority:
    return CertificateAuthority().intermediate()


@functools.cache
def ec() -> IssuedCertificate:
    """A certificate with a key of P-256 and an intermediate."""
    return authority().client_certificate("billing")


@functools.cache
def other_ec() -> IssuedCertificate:
    """Another one of the same kind."""
    return authority().client_certificate("shipping")


@functools.cache
def rsa() -> IssuedCertificate:
    """One with a key of RSA."""
    return authority().client_certificate("billing", key_type="rsa-2048")


@functools.cache
def weak() -> IssuedCertificate:
    """One with a key of RSA that is too short."""
    return authority().client_certificate("billing", key_type="rsa-1024")


@dataclass(frozen=True)
class Fault:
    """One fault.

    Attributes:
        name: for the report of the tests.
        reason: of the `IdentityError`.
        make: runs into the fault, in an empty directory.
        named: the file or argument that the error must name.
        hint: what the hint must have in it.
    """

    name: str
    reason: str
    make: Callable[[Path], object]
    named: str = ""
    hint: str = ""


FAULTS: list[Fault] = []


def fault(
    reason: str, named: str = "", hint: str = ""
) -> Callable[[Callable[[Path], object]], Callable[[Path], object]]:
    def add(make: Callable[[Path], object]) -> Callable[[Path], object]:
        name = make.__name__.replace("_", " ")
        FAULTS.append(Fault(name, reason, make, named, hint))
        return make

    return add


def files(
    folder: Path,
    certificate: bytes | None,
    key: bytes | None,
    password: str | None = None,
) -> ClientIdentity:
    """Read an identity from two files with this content; ``None`` is no file."""
    for name, content in (("tls.pem", certificate), ("tls.key", key)):
        if content is not None:
            (folder / name).write_bytes(content)
    return ClientIdentity.from_files(folder / "tls.pem", folder / "tls.key", password)


def one_file(folder: Path, content: bytes) -> ClientIdentity:
    (folder / "tls.pem").write_bytes(content)
    return ClientIdentity.from_files(folder / "tls.pem")


# Files and paths.


@fault("file_not_found", "tls.pem", "path")
def no_certificate_file(folder: Path) -> object:
    return files(folder, None, ec().private_key_pem())


@fault("file_not_found", "tls.key", "path")
def no_key_file(folder: Path) -> object:
    return files(folder, ec().chain_pem, None)


@fault("file_not_found", "gone.p12")
def no_pkcs12_file(folder: Path) -> object:
    return ClientIdentity.from_pkcs12(folder / "gone.p12", PASSWORD)


@fault("file_not_found", "tls.pem does not exist (it is a link to")
def a_link_to_nothing(folder: Path) -> object:
    (folder / "tls.pem").symlink_to(folder / "gone.pem")
    return ClientIdentity.from_files(folder / "tls.pem")


@fault("file_not_found", "tls.pem")
def a_file_in_the_place_of_a_directory(folder: Path) -> object:
    (folder / "file").touch()
    return ClientIdentity.from_files(folder / "file" / "tls.pem")


@fault("is_a_directory", "certificates")
def a_directory_for_the_certificate(folder: Path) -> object:
    (folder / "certificates").mkdir()
    return ClientIdentity.from_files(folder / "certificates")


@fault("is_a_directory", "keys")
def a_directory_for_the_key(folder: Path) -> object:
    (folder / "keys").mkdir()
    (folder / "tls.pem").write_bytes(ec().chain_pem)
    return ClientIdentity.from_files(folder / "tls.pem", folder / "keys")


@fault("certificate_unreadable", "tls.pem has more than")
def a_file_far_too_large(folder: Path) -> object:
    return one_file(folder, bytes((1 << 20) + 1))


@fault("file_not_found", "certfile", "")
def pem_text_for_the_path_of_the_certificate(folder: Path) -> object:
    return ClientIdentity.from_files((ec().chain_pem + ec().private_key_pem()).decode())


@fault("file_not_found", "keyfile")
def pem_text_for_the_path_of_the_key(folder: Path) -> object:
    return ClientIdentity.from_files("tls.pem", ec().private_key_pem().decode())


@fault("file_not_found", "ClientIdentity.from_pem()")
def pem_bytes_for_a_path(folder: Path) -> object:
    return ClientIdentity.from_files(ec().private_key_pem())  # type: ignore[arg-type] # the fault


@fault("file_not_found", "keyfile is empty")
def an_empty_path(folder: Path) -> object:
    return ClientIdentity.from_files("tls.pem", "")


@fault("file_not_found", "NUL")
def a_path_with_a_nul(folder: Path) -> object:
    return ClientIdentity.from_files("tls\0.pem")


# What is in the certificate's file.


@fault("certificate_missing", "tls.pem: it is empty")
def an_empty_certificate_file(folder: Path) -> object:
    return files(folder, b"", ec().private_key_pem())


@fault("certificate_unreadable", "tls.pem")
def text_for_a_certificate(folder: Path) -> object:
    return files(folder, b"this is no certificate\n", ec().private_key_pem())


@fault("certificate_unreadable", "tls.pem")
def binary_garbage_for_a_certificate(folder: Path) -> object:
    return files(folder, bytes(range(128, 256)) * 8, ec().private_key_pem())


@fault("certificate_unreadable", "tls.pem")
def base64_garbage_in_a_certificate(folder: Path) -> object:
    block = b"-----BEGIN CERTIFICATE-----\n!!!!\n-----END CERTIFICATE-----\n"
    return files(folder, block, ec().private_key_pem())


@fault("certificate_unreadable", "tls.pem")
def no_der_in_a_certificate(folder: Path) -> object:
    block = b"-----BEGIN CERTIFICATE-----\nQUJDRA==\n-----END CERTIFICATE-----\n"
    return files(folder, block, ec().private_key_pem())


@fault("certificate_unreadable", "tls.pem")
def a_sequence_that_is_no_certificate(folder: Path) -> object:
    block = b"-----BEGIN CERTIFICATE-----\nMAMCAQA=\n-----END CERTIFICATE-----\n"
    return files(folder, block, ec().private_key_pem())


@fault("certificate_unreadable", "tls.pem")
def garbage_behind_a_good_certificate(folder: Path) -> object:
    block = b"-----BEGIN CERTIFICATE-----\nMAMCAQA=\n-----END CERTIFICATE-----\n"
    return files(folder, ec().chain_pem + block, ec().private_key_pem())


@fault("certificate_unreadable", "tls.pem is cut off", "writing")
def half_a_certificate_file(folder: Path) -> object:
    return files(folder, ec().certificate_pem[:300], ec().private_key_pem())


@fault("certificate_unreadable", "tls.pem is cut off", "writing")
def half_of_the_intermediate(folder: Path) -> object:
    return files(folder, ec().chain_pem[:-100], ec().private_key_pem())


@fault("certificate_unreadable", "tls.pem is cut off", "writing")
def half_a_certificate_before_a_whole_one(folder: Path) -> object:
    both = ec().certificate_pem[:300] + b"\n" + ec().certificate_pem
    return files(folder, both, ec().private_key_pem())


@fault("certificate_unreadable", "tls.pem", "UTF-8")
def a_certificate_in_utf16(folder: Path) -> object:
    return files(folder, ec().chain_pem.decode().encode("utf-16"), ec().private_key_pem())


@fault("certificate_unreadable", "cert_chain", r"\n")
def line_ends_written_as_backslash_n(folder: Path) -> object:
    return ClientIdentity.from_pem(ec().chain_pem.replace(b"\n", b"\\n"), ec().private_key_pem())


@fault("certificate_is_der", "tls.pem", "from_der")
def der_for_a_certificate(folder: Path) -> object:
    return files(folder, ec().certificate_der, ec().private_key_pem())


@fault("certificate_is_der", "tls.pem", "from_pkcs12")
def pkcs12_for_a_certificate(folder: Path) -> object:
    return one_file(folder, ec().pkcs12(PASSWORD))


@fault("certificate_missing", "tls.pem")
def only_a_key_in_the_only_file(folder: Path) -> object:
    return one_file(folder, ec().private_key_pem())


@fault("swapped_files", "tls.key")
def swapped_files(folder: Path) -> object:
    return files(folder, ec().private_key_pem(), ec().chain_pem)


@fault("swapped_files", "cert_chain")
def swapped_arguments(folder: Path) -> object:
    return ClientIdentity.from_pem(ec().private_key_pem(), ec().chain_pem)


@fault("certificate_unreadable", "cert_chain", "from_files")
def a_path_for_pem(folder: Path) -> object:
    return ClientIdentity.from_pem(str(folder / "tls.pem"))


# What is in the key's file.


@fault("key_missing", "tls.key: it is empty")
def an_empty_key_file(folder: Path) -> object:
    return files(folder, ec().chain_pem, b"\n")


@fault("key_unreadable", "tls.key")
def text_for_a_key(folder: Path) -> object:
    return files(folder, ec().chain_pem, b"this is no key\n")


@fault("key_unreadable", "tls.key")
def garbage_in_a_key(folder: Path) -> object:
    block = b"-----BEGIN PRIVATE KEY-----\nMAMCAQA=\n-----END PRIVATE KEY-----\n"
    return files(folder, ec().chain_pem, block)


@fault("key_unreadable", "tls.key is cut off", "writing")
def half_a_key_file(folder: Path) -> object:
    return files(folder, ec().chain_pem, ec().private_key_pem()[:120])


@fault("key_unreadable", "tls.key", "from_der")
def der_for_a_key(folder: Path) -> object:
    return files(folder, ec().chain_pem, ec().private_key_der())


@fault("key_unreadable", "tls.key", "from_pkcs12")
def pkcs12_for_a_key(folder: Path) -> object:
    return files(folder, ec().chain_pem, ec().pkcs12(PASSWORD))


@fault("key_unreadable", "tls.key", "ssh-keygen")
def a_key_of_openssh(folder: Path) -> object:
    key = ec().private_key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.OpenSSH,
        serialization.NoEncryption(),
    )
    return files(folder, ec().chain_pem, key)


@fault("key_missing", "tls.pem", "second argument")
def no_key_in_a_combined_file(folder: Path) -> object:
    return one_file(folder, ec().chain_pem)


@fault("key_missing", "tls.key, but a CERTIFICATE")
def the_certificate_twice(folder: Path) -> object:
    return files(folder, ec().chain_pem, ec().chain_pem)


@fault("key_missing", "tls.key, but a PUBLIC KEY")
def a_public_key_for_a_key(folder: Path) -> object:
    key = ec().private_key.public_key()
    public = key.public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return files(folder, ec().chain_pem, public)


@fault("key_mismatch", "tls.key", "replaced")
def the_key_of_another_certificate(folder: Path) -> object:
    return files(folder, ec().chain_pem, other_ec().private_key_pem())


@fault("key_mismatch", "tls.key", "of type ec, and this one is of type rsa")
def a_key_of_another_type(folder: Path) -> object:
    return files(folder, ec().chain_pem, rsa().private_key_pem())


@fault("key_mismatch", "tls.pem")
def another_key_in_a_combined_file(folder: Path) -> object:
    return one_file(folder, ec().chain_pem + other_ec().private_key_pem())


@fault("key_mismatch", "tls.key")
def two_keys_that_do_not_belong(folder: Path) -> object:
    return files(folder, ec().chain_pem, other_ec().private_key_pem() + rsa().private_key_pem())


@fault("key_too_small", "tls.pem", "2048")
def a_key_of_1024_bits(folder: Path) -> object:
    identity = files(folder, weak().chain_pem, weak().private_key_pem())
    identity.load_into(ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT))
    return identity


# Passwords.


@fault("password_incorrect", "tls.key")
def the_wrong_password(folder: Path) -> object:
    return files(folder, ec().chain_pem, ec().private_key_pem(PASSWORD), WRONG)


@fault("password_incorrect", "tls.key")
def the_wrong_password_of_an_old_form(folder: Path) -> object:
    key = rsa().private_key_pem(PASSWORD, traditional=True)
    return files(folder, rsa().chain_pem, key, WRONG)


@fault("password_required", "tls.key", "password=")
def no_password(folder: Path) -> object:
    return files(folder, ec().chain_pem, ec().private_key_pem(PASSWORD))


@fault("password_required", "tls.key")
def no_password_for_an_old_form(folder: Path) -> object:
    return files(folder, ec().chain_pem, ec().private_key_pem(PASSWORD, traditional=True))


@fault("password_required", "private_key")
def a_password_function_that_has_none(folder: Path) -> object:
    key = ec().private_key_pem(PASSWORD)
    return ClientIdentity.from_pem(ec().chain_pem, key, lambda: None)


@fault("password_callback_failed", "private_key")
def a_password_function_that_raises(folder: Path) -> object:
    def ask_vault() -> str:
        raise ConnectionError("the vault is sealed")

    return ClientIdentity.from_pem(ec().chain_pem, ec().private_key_pem(PASSWORD), ask_vault)


@fault("password_callback_failed", "private_key")
def a_password_function_that_returns_something_else(folder: Path) -> object:
    return ClientIdentity.from_pem(
        ec().chain_pem,
        ec().private_key_pem(PASSWORD),
        lambda: [PASSWORD],  # type: ignore[arg-type, return-value] # the fault
    )


@fault("password_callback_failed", "private_key")
def a_password_function_that_returns_a_surrogate(folder: Path) -> object:
    key = ec().private_key_pem(PASSWORD)
    return ClientIdentity.from_pem(ec().chain_pem, key, lambda: PASSWORD + "\ud800")


@fault("password_incorrect", "private_key")
def a_password_function_that_returns_nothing(folder: Path) -> object:
    return ClientIdentity.from_pem(ec().chain_pem, ec().private_key_pem(PASSWORD), lambda: "")


@fault("password_incorrect", "password is empty", "")
def an_empty_password(folder: Path) -> object:
    return ClientIdentity.from_pem(ec().chain_pem, ec().private_key_pem(PASSWORD), "")


@fault("password_incorrect", "1024")
def a_password_far_too_long(folder: Path) -> object:
    return ClientIdentity.from_pem(ec().chain_pem, ec().private_key_pem(), PASSWORD * 100)


@fault("password_incorrect", "surrogate")
def a_password_with_a_surrogate(folder: Path) -> object:
    return ClientIdentity.from_pem(ec().chain_pem, ec().private_key_pem(), PASSWORD + "\ud800")


# DER.


@fault("certificate_unreadable", "certificates", "from_pem")
def pem_for_der(folder: Path) -> object:
    return ClientIdentity.from_der(ec().chain_pem, ec().private_key_der())


@fault("key_unreadable", "private_key", "from_pem")
def a_pem_key_for_der(folder: Path) -> object:
    return ClientIdentity.from_der(ec().certificate_der, ec().private_key_pem())


@fault("certificate_unreadable", "certificates", "from_pkcs12")
def pkcs12_for_der(folder: Path) -> object:
    return ClientIdentity.from_der(ec().pkcs12(None), ec().private_key_der())


@fault("certificate_missing", "certificates")
def no_certificates_at_all(folder: Path) -> object:
    return ClientIdentity.from_der([], ec().private_key_der())


@fault("certificate_unreadable", "certificates")
def a_cut_der_certificate(folder: Path) -> object:
    return ClientIdentity.from_der(ec().certificate_der[:-5], ec().private_key_der())


@fault("key_unreadable", "private_key")
def garbage_for_a_der_key(folder: Path) -> object:
    return ClientIdentity.from_der(ec().certificate_der, b"garbage")


@fault("password_required", "private_key")
def no_password_for_a_der_key(folder: Path) -> object:
    return ClientIdentity.from_der(ec().certificate_der, ec().private_key_der(PASSWORD))


@fault("password_incorrect", "private_key")
def the_wrong_password_for_a_der_key(folder: Path) -> object:
    return ClientIdentity.from_der(ec().certificate_der, ec().private_key_der(PASSWORD), WRONG)


@fault("key_mismatch", "private_key")
def a_der_key_of_another_certificate(folder: Path) -> object:
    return ClientIdentity.from_der(ec().certificate_der, other_ec().private_key_der())


# PKCS#12.


def p12(folder: Path, content: bytes, password: str | None = None) -> ClientIdentity:
    (folder / "tls.p12").write_bytes(content)
    return ClientIdentity.from_pkcs12(folder / "tls.p12", password)


@fault("password_incorrect", "tls.p12")
def the_wrong_password_for_pkcs12(folder: Path) -> object:
    return p12(folder, ec().pkcs12(PASSWORD), WRONG)


@fault("password_incorrect", "tls.p12")
def an_empty_password_for_pkcs12(folder: Path) -> object:
    return p12(folder, ec().pkcs12(PASSWORD), "")


@fault("password_incorrect", "tls.p12")
def the_wrong_password_for_old_pkcs12(folder: Path) -> object:
    return p12(folder, ec().pkcs12(PASSWORD, legacy=True), WRONG)


@fault("password_required", "tls.p12", "password=")
def no_password_for_pkcs12(folder: Path) -> object:
    return p12(folder, ec().pkcs12(PASSWORD))


@fault("pkcs12_unreadable", "tls.p12")
def garbage_for_pkcs12(folder: Path) -> object:
    return p12(folder, b"garbage", PASSWORD)


@fault("pkcs12_unreadable", "tls.p12: it is empty")
def an_empty_pkcs12_file(folder: Path) -> object:
    return p12(folder, b"", PASSWORD)


@fault("pkcs12_unreadable", "tls.p12")
def half_a_pkcs12_file(folder: Path) -> object:
    return p12(folder, ec().pkcs12(PASSWORD)[:-50], PASSWORD)


@fault("pkcs12_unreadable", "tls.p12", "from_files")
def pem_for_pkcs12(folder: Path) -> object:
    return p12(folder, ec().chain_pem + ec().private_key_pem(), PASSWORD)


@fault("pkcs12_unreadable", "tls.p12")
def a_der_certificate_for_pkcs12(folder: Path) -> object:
    return p12(folder, ec().certificate_der, PASSWORD)


@fault("pkcs12_no_key", "the PKCS#12 data")
def pkcs12_without_a_key(folder: Path) -> object:
    data = pkcs12.serialize_key_and_certificates(
        None, None, None, [ec().certificate], serialization.NoEncryption()
    )
    return ClientIdentity.from_pkcs12(data)


@fault("certificate_missing", "the PKCS#12 data")
def pkcs12_without_a_certificate(folder: Path) -> object:
    data = pkcs12.serialize_key_and_certificates(
        None, ec().private_key, None, None, serialization.NoEncryption()
    )
    return ClientIdentity.from_pkcs12(data)


@fault("key_mismatch", "the PKCS#12 data")
def pkcs12_with_another_certificate(folder: Path) -> object:
    data = pkcs12.serialize_key_and_certificates(
        None, ec().private_key, None, [other_ec().certificate], serialization.NoEncryption()
    )
    return ClientIdentity.from_pkcs12(data)


# Objects, and keys elsewhere.


@fault("key_mismatch", "private_key")
def objects_that_do_not_belong_together(folder: Path) -> object:
    return ClientIdentity.from_cryptography(ec().private_key, other_ec().certificate)


@fault("key_type_unsupported", "private_key", "from_pkcs11")
def an_object_that_keeps_its_key(folder: Path) -> object:
    class KeptKey:
        def private_bytes(self, *args: object) -> bytes:
            raise PermissionError("it stays in the module")

        def public_key(self) -> object:
            return ec().private_key.public_key()

    return ClientIdentity.from_cryptography(KeptKey(), ec().certificate)


@fault("pkcs11_unavailable", "pkcs11:token=prod;object=billing", "openssl.cnf")
def a_key_in_a_security_module_that_is_not_there(folder: Path) -> object:
    uri = f"pkcs11:token=prod;object=billing?pin-value={PASSWORD}"
    return ClientIdentity.from_pkcs11(ec().chain_pem, uri)


@fault("pkcs11_unavailable", "pkcs11:")
def something_else_than_a_pkcs11_uri(folder: Path) -> object:
    return ClientIdentity.from_pkcs11(ec().chain_pem, f"file:key?pin-value={PASSWORD}")


@fault("key_unreadable", "tls.key", "openssl.cnf")
def a_key_of_a_provider_that_is_not_there(folder: Path) -> object:
    block = b"-----BEGIN TSS2 PRIVATE KEY-----\nMAMCAQA=\n-----END TSS2 PRIVATE KEY-----\n"
    return files(folder, ec().chain_pem, block)


@fault("key_mismatch", "private_key")
def an_authority_without_its_leaf(folder: Path) -> object:
    return ClientIdentity.from_pem(authority().certificate_pem, ec().private_key_pem())
