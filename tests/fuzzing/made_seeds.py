"""Seeds with keys and certificates, made anew each time: no private key is in the repository."""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import serialization

from fuzzing.parts import joined
from fuzzing.targets.identity import PASSWORD
from wsclient.testing.certificates import CertificateAuthority, IssuedCertificate
from wsclient.tls.files.pem import certificate_pem

__all__ = ["made_seeds", "write_made_seeds"]

_NONE, _RIGHT, _WRONG, _CALLED = range(4)
"""Which password `targets.identity` takes."""
_PEM, _TEXT, _DER, _PKCS12 = range(4)
_NO_MEMORY = 4
"""Which form it takes, and that there are no files in memory."""

_SHORTEST: Final = b"".join(
    (b"-----BEGIN CERTIFICATE-----\n", b"AAAA\n", b"-----END CERTIFICATE-----\n")
)


def made_seeds(target: str) -> dict[str, bytes]:
    """Return seeds for a target, by their names; those without keys need none.

    Args:
        target: its name.
    """
    make = _MAKERS.get(target)
    return {} if make is None else make()


def write_made_seeds(target: str, folder: Path) -> None:
    """Write seeds into a folder, which is made.

    Args:
        target: its name.
        folder: where to; what is there already is replaced.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for name, data in made_seeds(target).items():
        (folder / name).write_bytes(data)


def _identity_seeds() -> dict[str, bytes]:
    root = CertificateAuthority()
    between = root.intermediate("Between")
    client = between.client_certificate("billing")
    seeds = {**_pem_seeds(client), **_binary_seeds(client)}
    rsa = root.client_certificate("rsa", key_type="rsa-1024")
    seeds["rsa-traditional"] = _seed(
        _PEM, _NONE, rsa.chain_pem, rsa.private_key_pem(traditional=True)
    )
    seeds["rsa-der"] = _seed(_DER, _NONE, _traditional_der(rsa), rsa.certificate_der)
    for traditional in (False, True):
        pem_key = rsa.private_key_pem(traditional=traditional)
        name = "no-memory-traditional" if traditional else "no-memory"
        seeds[name] = _seed(_PEM | _NO_MEMORY, _NONE, rsa.chain_pem, pem_key)
    damaged = _SHORTEST.replace(b"CERTIFICATE", b"EC PRIVATE KEY")
    seeds["no-memory-damaged"] = _seed(_PEM | _NO_MEMORY, _NONE, rsa.chain_pem, damaged)
    other = root.client_certificate("other", key_type="ed25519")
    seeds["ed25519"] = _seed(_PEM, _NONE, other.chain_pem, other.private_key_pem())
    seeds["mismatch"] = _seed(_PEM, _NONE, client.chain_pem, other.private_key_pem())
    seeds["several-keys"] = _seed(
        _PEM, _NONE, client.chain_pem, other.private_key_pem() + client.private_key_pem()
    )
    key = root.private_key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    seeds["two-of-one-key"] = _seed(_PEM, _NONE, _two_of_one_key(root), key)
    seeds["legacy-pkcs12"] = _seed(_PKCS12, _RIGHT, client.pkcs12(PASSWORD, legacy=True))
    return seeds


def _pem_seeds(client: IssuedCertificate) -> dict[str, bytes]:
    chain, key = client.chain_pem, client.private_key_pem()
    locked = client.private_key_pem(PASSWORD)
    old = client.private_key_pem(PASSWORD, traditional=True)
    return {
        "pem": _seed(_PEM, _NONE, chain, key),
        "pem-in-one": _seed(_PEM, _NONE, key + chain),
        "pem-text": _seed(_TEXT, _NONE, b"# a comment\r\n" + chain, key),
        "pem-indented": _seed(_TEXT, _NONE, chain.replace(b"\n", b"\r\n  "), key),
        "pem-swapped": _seed(_PEM, _NONE, key, chain),
        "pem-cut": _seed(_PEM, _NONE, chain[:-40], key),
        "pem-cut-key": _seed(_PEM, _NONE, chain, key[:-40]),
        "pem-no-key": _seed(_PEM, _NONE, chain),
        "pem-locked": _seed(_PEM, _RIGHT, chain, locked),
        "pem-locked-called": _seed(_PEM, _CALLED, chain, locked),
        "pem-locked-without": _seed(_PEM, _NONE, chain, locked),
        "pem-locked-wrong": _seed(_PEM, _WRONG, chain, locked),
        "pem-locked-old": _seed(_PEM, _RIGHT, chain, old),
        "pem-locked-old-wrong": _seed(_PEM, _WRONG, chain, old),
        "pem-escaped": _seed(_PEM, _NONE, chain.replace(b"\n", b"\\n", 3), key),
        "pem-utf-16": _seed(_PEM, _NONE, chain.decode().encode("utf-16"), key),
        "pem-traditional": _seed(_PEM, _NONE, chain, client.private_key_pem(traditional=True)),
        "pem-unknown-label": _seed(
            _PEM, _RIGHT, chain, key.replace(b"PRIVATE", b"TSS2 PRIVATE", 2)
        ),
        "pem-openssh": _seed(_PEM, _NONE, chain, key.replace(b"PRIVATE", b"OPENSSH PRIVATE", 2)),
        "pem-damaged": _seed(_PEM, _NONE, _SHORTEST, key),
        "pem-end-inside-key-no-memory": _seed(
            _PEM | _NO_MEMORY, _NONE, chain, _with_end_inside(client)
        ),
        "pem-end-inside-key": _seed(_PEM, _NONE, chain, _with_end_inside(client)),
        "pem-damaged-key": _seed(
            _PEM, _NONE, chain, _SHORTEST.replace(b"CERTIFICATE", b"PRIVATE KEY")
        ),
    }


def _with_end_inside(client: IssuedCertificate) -> bytes:
    """Return two keys: the end of the first has lost its dashes, and the other its begin."""
    begin, *lines, end, _ = client.private_key_pem(traditional=True).split(b"\n")
    return b"\n".join([begin, *lines, end.removesuffix(b"-----"), *lines, end, b""])


def _binary_seeds(client: IssuedCertificate) -> dict[str, bytes]:
    ders = [_der(each) for each in (client.certificate, *client.chain)]
    key = client.private_key_der()
    return {
        "der": _seed(_DER, _NONE, key, *ders),
        "der-together": _seed(_DER, _NONE, key, b"".join(ders)),
        "der-traditional": _seed(_DER, _NONE, _traditional_der(client), *ders),
        "der-locked": _seed(_DER, _RIGHT, client.private_key_der(PASSWORD), *ders),
        "der-locked-wrong": _seed(_DER, _WRONG, client.private_key_der(PASSWORD), *ders),
        "der-as-pem": _seed(_PEM, _NONE, ders[0], key),
        "pem-as-der": _seed(_DER, _NONE, client.private_key_pem(), client.chain_pem),
        "pem-as-pkcs12": _seed(_PKCS12, _NONE, client.chain_pem),
        "pkcs12": _seed(_PKCS12, _RIGHT, client.pkcs12(PASSWORD)),
        "pkcs12-wrong": _seed(_PKCS12, _WRONG, client.pkcs12(PASSWORD)),
        "pkcs12-without": _seed(_PKCS12, _NONE, client.pkcs12(PASSWORD)),
        "pkcs12-open": _seed(_PKCS12, _NONE, client.pkcs12(None, name="a name")),
        "pkcs12-as-der": _seed(_DER, _NONE, key, client.pkcs12(None)),
        "pkcs12-as-pem": _seed(_PEM, _NONE, client.pkcs12(None)),
    }


def _seed(kind: int, password: int, *parts: bytes) -> bytes:
    return joined(bytes([kind, password]), *parts)


def _traditional_der(issued: IssuedCertificate) -> bytes:
    return issued.private_key.private_bytes(
        serialization.Encoding.DER,
        serialization.PrivateFormat.TraditionalOpenSSL,
        serialization.NoEncryption(),
    )


def _certificate_seeds() -> dict[str, bytes]:
    root = CertificateAuthority("Root, with \x1b[1m and \u202e")
    between = root.intermediate()
    seeds: dict[str, bytes] = {}
    issued = {
        "plain": between.client_certificate("billing"),
        "spiffe": root.client_certificate(None, spiffe_id="spiffe://example.test/ns/a"),
        "server": root.server_certificate("a.example.test", "127.0.0.1", "::1"),
        "expired": root.client_certificate(expired=True),
        "uris": root.client_certificate(uris=["spiffe://a/b", "https://example.test/"]),
        "rsa": root.client_certificate(key_type="rsa-1024"),
        "ed25519": root.client_certificate(key_type="ed25519", subject_key_identifier=False),
    }
    for name, each in issued.items():
        ders = [_der(held) for held in (each.certificate, *each.chain, root.certificate)]
        seeds[f"{name}-pem"] = joined(b"\0\0", each.chain_pem + root.root_pem)
        seeds[f"{name}-text"] = joined(b"\1\0", each.certificate_pem)
        seeds[f"{name}-der"] = joined(b"\0\0", *ders)
    root.revoke(issued["server"])
    crl = root.crl_pem()
    seeds["crl"] = joined(b"\2\0", crl)
    seeds["crl-text"] = joined(b"\3\0", b"# a comment\n" + crl)
    seeds["crl-expired"] = joined(b"\2\0", root.crl_pem(next_update=timedelta(hours=-1)))
    seeds["crl-der"] = joined(b"\2\0", base64.b64decode(b"".join(crl.split(b"\n")[1:-2])))
    seeds["crl-cut"] = joined(b"\2\0", crl[:-30])
    seeds["crl-as-root"] = joined(b"\0\0", crl)
    seeds["two-of-one-key"] = joined(b"\0\0", _two_of_one_key(root))
    seeds["name"] = joined(b"\0\0", root.certificate.subject.public_bytes())
    return seeds


def _two_of_one_key(root: CertificateAuthority) -> bytes:
    """Return a self-signed certificate, and before it the same one with a subject not in UTF-8."""
    der = _der(root.certificate)
    head, _, tail = der.rpartition(b"Root")
    return certificate_pem(head + b"\xffoot" + tail, der)


def _message_seeds() -> dict[str, bytes]:
    """Return a CertificateRequest of either version, with names of authorities."""
    names = [
        CertificateAuthority(name).certificate.subject.public_bytes() for name in ("A", "Clients")
    ]
    authorities = _vector(2, b"".join(_vector(2, each) for each in names))
    signatures = _vector(2, bytes.fromhex("0403 0804 0807 0401 1234".replace(" ", "")))
    extensions = b"".join(
        kind + _vector(2, content)
        for kind, content in (
            (b"\x00\x0d", signatures),
            (b"\x00\x2f", authorities),
            (b"\x00\x32", signatures),
        )
    )
    newer = _vector(1, b"") + _vector(2, extensions)
    older = _vector(1, bytes([1, 64, 2, 200])) + signatures + authorities
    seeds = {"request-1.3-body": b"\0" + newer, "request-1.2-body": b"\0" + older}
    for version, body in enumerate((newer, older)):
        message = b"\x0d" + _vector(3, body)
        seeds[f"request-1.{3 - version}"] = b"\0" + _record(0, version, 0, message)
    return seeds


def _record(sent: int, version: int, kind: int, message: bytes) -> bytes:
    return bytes([sent, version, kind]) + _vector(2, message)


def _vector(size: int, content: bytes) -> bytes:
    return len(content).to_bytes(size, "big") + content


def _der(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.DER)


_MAKERS: Final[Mapping[str, Callable[[], dict[str, bytes]]]] = {
    "identity": _identity_seeds,
    "certificates": _certificate_seeds,
    "tls_messages": _message_seeds,
}
