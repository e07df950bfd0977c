"""What a file holds in the place of the certificate or private key that it should hold."""

from __future__ import annotations

from ...errors import IdentityError
from .der import children
from .pem import blocks, is_certificate, is_private_key, unfinished

__all__ = ["cut_off", "is_pkcs12", "no_certificate", "no_key", "no_pkcs12"]

_SEQUENCE = 0x30
_UTF16_MARKS = (b"\xff\xfe", b"\xfe\xff")


def is_pkcs12(data: bytes) -> bool:
    """Return whether data has the outer form of PKCS#12 (RFC 7292, section 4)."""
    # BER of unknown length, as some old programs write it.
    if data.startswith(b"\x30\x80\x02\x01\x03"):
        return True
    try:
        version, content = children(children(data)[0].content)[:2]
    except (ValueError, IndexError):
        return False
    return version.whole == b"\x02\x01\x03" and content.tag == _SEQUENCE


def cut_off(data: bytes, place: str) -> IdentityError | None:
    """Return the error for a certificate or key that has no end; ``None`` if there is none.

    OpenSSL would go on without it: with a chain of which a part is missing.

    Args:
        data: PEM.
        place: where it is from, such as ``"the file /etc/tls.pem"``.
    """
    for label in unfinished(data):
        if is_certificate(label) or is_private_key(label):
            kind = "certificate" if is_certificate(label) else "key"
            return IdentityError(
                f"A block in {place} is cut off: it begins (BEGIN {label}) and does not end.",
                reason=f"{kind}_unreadable",
                hint="Is somebody just writing it?",
            )
    return None


def no_certificate(data: bytes, place: str) -> IdentityError:
    """Return the error for data without any certificate in PEM.

    Args:
        data: all there is.
        place: as in `cut_off`.
    """
    what = _binary(data)
    if what:
        return IdentityError(
            f"The certificate in {place} is in {what} form, not PEM.",
            reason="certificate_is_der",
            hint=f"Use ClientIdentity.{'from_pkcs12' if what == 'PKCS#12' else 'from_der'}().",
        )
    return _missing(data, place, "certificate")


def no_key(data: bytes, place: str, *, combined: bool) -> IdentityError:
    """Return the error for data without any private key in PEM.

    Args:
        data: all there is.
        place: as in `cut_off`.
        combined: whether the certificate is expected in the same place.
    """
    what = _binary(data)
    if what:
        return IdentityError(
            f"The private key in {place} is in {what} form, not PEM.",
            reason="key_unreadable",
            hint=f"Use ClientIdentity.{'from_pkcs12' if what == 'PKCS#12' else 'from_der'}().",
        )
    if combined and blocks(data):
        return IdentityError(
            f"There is a certificate, but no private key, in {place}.",
            reason="key_missing",
            hint="Give the private key as the second argument.",
        )
    return _missing(data, place, "private key")


def no_pkcs12(data: bytes, place: str) -> IdentityError:
    """Return the error for data that is no PKCS#12.

    Args:
        data: all there is.
        place: as in `cut_off`.
    """
    hint = ""
    if not data:
        text = f"There is nothing in {place}: it is empty."
    elif blocks(data):
        text, hint = (
            f"There is PEM, and no PKCS#12, in {place}.",
            "Use ClientIdentity.from_files() or from_pem().",
        )
    else:
        text = f"There is no PKCS#12 in {place}, or it is damaged."
    return IdentityError(text, reason="pkcs12_unreadable", hint=hint)


def _binary(data: bytes) -> str:
    """Return the name of the binary form that data has; empty for none."""
    if is_pkcs12(data):
        return "PKCS#12"
    try:
        return "DER" if children(data)[0].tag == _SEQUENCE else ""
    except (ValueError, IndexError):
        return ""


def _missing(data: bytes, place: str, kind: str) -> IdentityError:
    short = "certificate" if kind == "certificate" else "key"
    if not data.strip():
        return IdentityError(
            f"There is no {kind} in {place}: it is empty.", reason=f"{short}_missing"
        )
    found = blocks(data)
    if found:
        return IdentityError(
            f"There is no {kind} in {place}, but a {found[0].label}.",
            reason=f"{short}_missing",
        )
    utf16 = data.startswith(_UTF16_MARKS)
    return IdentityError(
        f"There is no {kind} in PEM form (-----BEGIN ...-----) in {place}.",
        reason=f"{short}_unreadable",
        hint="It is UTF-16: save it as UTF-8." if utf16 else "",
    )
