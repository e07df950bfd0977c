"""Reading a client certificate with its private key from PEM, DER, PKCS#12 or objects.

`cryptography` finds out what belongs together and what is wrong; OpenSSL decides about the
rest. All of this blocks, and belongs into a thread.
"""

from __future__ import annotations

import base64
import os
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.serialization import pkcs12

from ...errors import IdentityError
from ..certificates.chains import Chain, arrange
from ..certificates.facts import CertificateFacts, subject_public_key_info
from ..files.der import children, element, sequence
from ..files.misplaced import cut_off, is_pkcs12, no_certificate, no_key, no_pkcs12
from ..files.pem import Block, blocks, is_certificate, is_private_key, looks_like_pem
from .keys import PrivateKey, key_of_object, opaque_key, read_der_key, read_pem_key
from .loading import Places, mismatch, try_to_load
from .passwords import AskedPassword, Password

__all__ = [
    "Pair",
    "certificates_of_der",
    "certificates_of_pem",
    "pair_of_der",
    "pair_of_objects",
    "pair_of_pem",
    "pair_of_pkcs11",
    "pair_of_pkcs12",
    "read_file",
    "shown_uri",
]

_LARGEST_FILE: Final = 1 << 20
_SEQUENCE: Final = 0x30
_UTF8_STRING: Final = 0x0C
_VISIBLE_STRING: Final = 0x1A
_PIN: Final = re.compile(r"(pin-value=)[^;&?]*", re.IGNORECASE)

_Unreadable = Literal["certificate_unreadable", "key_unreadable", "pkcs12_unreadable"]


@dataclass(frozen=True, slots=True)
class Pair:
    """A chain and the private key of its leaf. OpenSSL has taken them.

    Attributes:
        chain: the certificates.
        key: the private key.
        places: where they come from.
    """

    chain: Chain
    key: PrivateKey
    places: Places


def read_file(path: str, otherwise: _Unreadable) -> bytes:
    """Return the content of a file that should hold a certificate or a private key.

    Args:
        path: of the file.
        otherwise: the reason to give for what has none of its own.

    Raises:
        IdentityError: ``"file_not_found"``, ``"permission_denied"``, ``"is_a_directory"``, or
            `otherwise` for what is rarer, and for more than 1 MiB. The `OSError` is chained.
    """
    try:
        with open(path, "rb") as file:
            content = file.read(_LARGEST_FILE + 1)
    except OSError as exc:
        raise _no_file(path, exc, otherwise) from exc
    if len(content) > _LARGEST_FILE:
        raise IdentityError(
            f"The file {path} has more than {_LARGEST_FILE} bytes: that is not what it should be.",
            reason=otherwise,
        )
    return content


def _no_file(path: str, exc: OSError, otherwise: str) -> IdentityError:
    if isinstance(exc, (FileNotFoundError, NotADirectoryError)):
        link = " (it is a link to something that is not there)" if os.path.islink(path) else ""
        return IdentityError(
            f"The file {os.path.abspath(path)} does not exist{link}.",
            reason="file_not_found",
            hint="Check the path.",
        )
    # Windows says that a directory may not be read.
    if os.path.isdir(path):
        return IdentityError(
            f"{path} is a directory: give the path of a file.", reason="is_a_directory"
        )
    if isinstance(exc, PermissionError):
        return IdentityError(
            f"The file {path} cannot be read: {exc.strerror}.",
            reason="permission_denied",
            hint="Let the user that runs this program read it.",
        )
    return IdentityError(
        f"The file {path} cannot be read: {exc.strerror or type(exc).__name__}.", reason=otherwise
    )


def pair_of_pem(chain: bytes, key: bytes | None, password: Password, places: Places) -> Pair:
    """Read a pair from PEM, in any order, with anything around it.

    Of several keys the one is taken that a certificate is for.

    Args:
        chain: the certificates.
        key: the private key; ``None`` when it is in `chain`.
        password: for a key that is encrypted.
        places: where they come from, for the texts of errors.

    Raises:
        IdentityError: each fault has its own reason.
        OSError: there is no descriptor or no space left.
    """
    held = blocks(chain)
    key_blocks = held if key is None else blocks(key)
    certificates = [block for block in held if is_certificate(block.label)]
    keys = [block for block in key_blocks if is_private_key(block.label)]
    if not certificates and not keys and _are_swapped(held, key_blocks):
        raise IdentityError(
            f"The private key is in {places.certificate} and the certificate in {places.key}: "
            "they are swapped.",
            reason="swapped_files",
            hint="Give the certificate first.",
        )
    ders = certificates_of_pem(chain, places.certificate)
    fault = cut_off(chain if key is None else key, places.key)
    if fault is not None:
        raise fault
    if not keys:
        raise no_key(chain if key is None else key, places.key, combined=key is None)
    asked = AskedPassword(password, places.key)
    readers = [lambda block=block: read_pem_key(block, asked, places.key) for block in keys]
    return _pair(ders, readers, places)


def _are_swapped(first: Iterable[Block], second: Iterable[Block]) -> bool:
    return any(is_private_key(block.label) for block in first) and any(
        is_certificate(block.label) for block in second
    )


def certificates_of_pem(data: bytes, place: str) -> tuple[bytes, ...]:
    """Return the certificates in PEM as DER, at least one.

    Args:
        data: PEM with anything around it.
        place: where it is from, such as ``"the file /etc/tls.pem"``.

    Raises:
        IdentityError: ``"certificate_missing"``, ``"certificate_is_der"`` or
            ``"certificate_unreadable"``.
    """
    fault = cut_off(data, place)
    if fault is not None:
        raise fault
    found = [block for block in blocks(data) if is_certificate(block.label)]
    if not found:
        raise no_certificate(data, place)
    return tuple(_certificate_of_block(block, place) for block in found)


def _certificate_of_block(block: Block, place: str) -> bytes:
    try:
        # What follows in a TRUSTED CERTIFICATE is OpenSSL's own.
        return children(block.der or b"")[0].whole
    except (ValueError, IndexError):
        hint = ""
        if b"\\n" in block.body:
            hint = r"It has the two characters \n where a new line should begin."
        raise IdentityError(
            f"A certificate in {place} is damaged: it is no base64 of DER.",
            reason="certificate_unreadable",
            hint=hint,
        ) from None


def pair_of_der(
    certificates: Sequence[bytes], key: bytes, password: Password, places: Places
) -> Pair:
    """Read a pair from DER.

    Args:
        certificates: in any order; each may be several, one behind the other.
        key: PKCS#8, encrypted or not, or an older form.
        password: for a key that is encrypted.
        places: where they come from, for the texts of errors.

    Raises:
        IdentityError: each fault has its own reason.
        OSError: there is no descriptor or no space left.
    """
    ders = certificates_of_der(certificates, places.certificate)
    if looks_like_pem(key):
        raise IdentityError(
            f"There is PEM in {places.key} where DER is expected.",
            reason="key_unreadable",
            hint="Use ClientIdentity.from_pem().",
        )
    asked = AskedPassword(password, places.key)
    return _pair(ders, [lambda: read_der_key(key, asked, places.key)], places)


def certificates_of_der(parts: Sequence[bytes], place: str) -> tuple[bytes, ...]:
    """Return certificates in DER one by one, at least one.

    Args:
        parts: each may be several, one behind the other.
        place: as in `certificates_of_pem`.

    Raises:
        IdentityError: ``"certificate_missing"`` or ``"certificate_unreadable"``.
    """
    found: list[bytes] = []
    for part in parts:
        try:
            elements = children(part)
        except ValueError:
            elements = []
        if is_pkcs12(part) or not all(each.tag == _SEQUENCE for each in elements) or not elements:
            raise IdentityError(
                f"There is something else than a certificate in DER in {place}.",
                reason="certificate_unreadable",
                hint=_better_way(part),
            )
        found.extend(each.whole for each in elements)
    if not found:
        raise IdentityError(f"There is no certificate in {place}.", reason="certificate_missing")
    return tuple(found)


def _better_way(data: bytes) -> str:
    if looks_like_pem(data):
        return "Use ClientIdentity.from_pem()."
    return "Use ClientIdentity.from_pkcs12()." if is_pkcs12(data) else ""


def pair_of_pkcs12(data: bytes, password: Password, place: str) -> Pair:
    """Read a pair from PKCS#12 (RFC 7292), of the old or the new kinds of encryption.

    Args:
        data: all of it.
        password: asked in any case, because only opening tells whether one is needed.
        place: where it is from, for the texts of errors.

    Raises:
        IdentityError: each fault has its own reason.
        OSError: there is no descriptor or no space left.
    """
    if not is_pkcs12(data):
        raise no_pkcs12(data, place)
    content = _open_pkcs12(data, AskedPassword(password, place).get(), place)
    if content.key is None:
        raise IdentityError(f"There is no private key in {place}.", reason="pkcs12_no_key")
    held = [content.cert, *content.additional_certs]
    ders = tuple(
        each.certificate.public_bytes(serialization.Encoding.DER) for each in held if each
    )
    if not ders:
        raise IdentityError(f"There is no certificate in {place}.", reason="certificate_missing")
    key = key_of_object(content.key, place)
    return _pair(ders, [lambda: key], Places(place, place))


def _open_pkcs12(data: bytes, secret: bytes | None, place: str) -> pkcs12.PKCS12KeyAndCertificates:
    # A password that is not needed is ignored, as with PEM.
    fault: Exception | None = None
    for each in dict.fromkeys((secret, None)):
        try:
            return pkcs12.load_pkcs12(data, each)
        except Exception as exc:  # Several classes, of which none tells one fault from another.
            fault = fault or exc.with_traceback(None)
    if secret is None:
        raise IdentityError(
            f"There is PKCS#12 in {place} that needs a password, and none was given.",
            reason="password_required",
            hint="Give it as password=.",
        ) from fault
    raise IdentityError(
        f"The password given for the PKCS#12 in {place} is wrong, or it is damaged.",
        reason="password_incorrect",
    ) from fault


def pair_of_objects(
    private_key: Any, certificates: Sequence[x509.Certificate], places: Places
) -> Pair:
    """Make a pair of objects of `cryptography`.

    Args:
        private_key: its own private key, or anything with the same methods.
        certificates: in any order.
        places: what they are called, for the texts of errors.

    Raises:
        IdentityError: each fault has its own reason.
        OSError: there is no descriptor or no space left.
    """
    ders = tuple(each.public_bytes(serialization.Encoding.DER) for each in certificates)
    key = key_of_object(private_key, places.key)
    return _pair(ders, [lambda: key], places)


def pair_of_pkcs11(ders: tuple[bytes, ...], uri: str, places: Places) -> Pair:
    """Make a pair of certificates and a key in a security module.

    Args:
        ders: the certificates.
        uri: of the key (RFC 7512).
        places: where they come from, for the texts of errors.

    Raises:
        IdentityError: ``"pkcs11_unavailable"``; OpenSSL finds no such key.
        OSError: there is no descriptor or no space left.
    """
    # The structure that pkcs11-provider reads: a fixed text, and the URI.
    content = sequence(
        element(_VISIBLE_STRING, b"PKCS#11 Provider URI v1.0"),
        element(_UTF8_STRING, uri.encode("ascii")),
    )
    key = opaque_key(Block("PKCS#11 PROVIDER URI", (), base64.b64encode(content)), None)
    return _pair(ders, [lambda: key], places)


def shown_uri(uri: str) -> str:
    """Return a ``pkcs11:`` URI without what may be secret (RFC 7512, section 2.3)."""
    return _PIN.sub(r"\1***", uri.partition("?")[0])


def _pair(
    ders: tuple[bytes, ...], readers: Sequence[Callable[[], PrivateKey]], places: Places
) -> Pair:
    """Find the key that a certificate is for, and let OpenSSL decide about the two."""
    chain, key = _match(ders, readers, places)
    leaf = chain.ders[0]
    if CertificateFacts.of(leaf).key_type.startswith("rsa-pss"):
        key = key.for_pss(children(children(subject_public_key_info(leaf))[0].content)[0].whole)
    try_to_load(chain.ders, key, places)
    return Pair(chain, key, places)


def _match(
    ders: tuple[bytes, ...], readers: Sequence[Callable[[], PrivateKey]], places: Places
) -> tuple[Chain, PrivateKey]:
    faults: list[IdentityError] = []
    unproven: list[tuple[Chain, PrivateKey]] = []
    for read in readers:
        try:
            key = read()
        except IdentityError as exc:
            faults.append(exc)
            continue
        chain = arrange(ders, key.public)
        if chain is None:
            faults.append(mismatch(places, _difference(ders[0], key)))
        elif key.public:
            return chain, key
        else:
            unproven.append((chain, key))
    if unproven:
        return unproven[0]
    raise faults[0]


def _difference(der: bytes, key: PrivateKey) -> str:
    kind = CertificateFacts.of(der).key_type.partition("-")[0]
    if kind and kind != key.kind:
        return f"The certificate is for a key of type {kind}, and this one is of type {key.kind}."
    return "Was one of them replaced without the other?"
