"""Intake of private keys: documented errors alone escape, and none shows a key or a password.

An input is two bytes of options, then the certificates and, for some kinds, the private key. One
option takes the files in memory away, as on systems that have none.
"""

from __future__ import annotations

import contextlib
import re
import ssl
from collections.abc import Iterator
from typing import Final
from unittest import mock

from fuzzing.parts import parted
from fuzzing.promises import check_reason, check_text, shown
from wsclient import ClientIdentity
from wsclient.errors import IdentityError
from wsclient.tls.files import keyfile
from wsclient.tls.files.der import children
from wsclient.tls.files.pem import blocks

__all__ = ["PASSWORD", "fuzz"]

PASSWORD: Final = "marker-of-the-password"
"""What seeds are encrypted with."""

_PASSWORDS: Final = (None, PASSWORD, "marker-of-another-one", lambda: PASSWORD)
_MOST_ITERATIONS: Final = 100_000
_INTEGER: Final = 0x02
_DEPTH: Final = 12
_WINDOW: Final = 24
_BASE64: Final = re.compile(rb"[A-Za-z0-9+/=]{%d,}" % _WINDOW)
_LABEL: Final = re.compile(rb"-----(BEGIN|END) [^\r\n]*?-----")


def fuzz(data: bytes) -> None:
    """Feed one input.

    Raises:
        AssertionError: an error is not as documented, or shows a secret.
    """
    if len(data) < 2:
        return
    options, parts = parted(data)
    if any(_takes_long(part) for part in parts):
        return
    without = mock.patch.object(keyfile, "_in_memory", lambda: None)
    with without if options[0] & 4 else contextlib.nullcontext():
        try:
            identity = _read(options, parts)
        except IdentityError as exc:
            _check_error(exc, parts)
            return
        _check_identity(identity, parts)


def _read(options: bytes, parts: list[bytes]) -> ClientIdentity:
    password = _PASSWORDS[options[1] % len(_PASSWORDS)]
    kind = options[0] % 4
    first, second = parts[0], parts[1] if len(parts) > 1 else None
    if kind == 0:
        return ClientIdentity.from_pem(first, second, password)
    if kind == 1:
        text = first.decode("utf-8", "surrogateescape")
        key = None if second is None else second.decode("latin-1")
        return ClientIdentity.from_pem(text, key, password)
    if kind == 2:
        return ClientIdentity.from_der(parts[1:] or b"", first, password)
    return ClientIdentity.from_pkcs12(first, password)


def _check_error(error: IdentityError, parts: list[bytes]) -> None:
    check_text(str(error))
    check_reason(error)
    _check_shown(list(shown(error)), parts)


def _check_shown(texts: list[str], parts: list[bytes]) -> None:
    """Check that nothing of the parts is in the texts, in base64 or as it stands."""
    # A label is what stands around a key and no part of it.
    secret = b"\n".join(_LABEL.sub(b"", part) for part in parts)
    for text in texts:
        assert "marker-of" not in text, "a password is shown"
        raw = text.encode("utf-8", "surrogateescape")
        for run in _BASE64.findall(raw):
            for at in range(len(run) - _WINDOW + 1):
                assert run[at : at + _WINDOW] not in secret, f"a key is shown in {text!r}"
        assert not re.search(r"(\\x[0-9a-f]{2}[^\\]{0,2}){8}", text), f"bytes are shown: {text!r}"


def _check_identity(identity: ClientIdentity, parts: list[bytes]) -> None:
    """Ask everything of an identity; OpenSSL has taken it once, and takes it again."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.set_ciphers("DEFAULT:@SECLEVEL=0")
    identity.load_into(context)
    assert identity.chain_der[0] == identity.certificate_der
    assert len(blocks(identity.chain_pem)) == len(identity.chain_der)
    assert len(identity.fingerprint_sha256) == 64
    assert isinstance(identity.warnings, tuple)
    assert (identity.not_before is None) == (identity.serial_number is None)
    assert identity == identity.with_generation(2, None)
    check_text(repr(identity))
    # Certificates are public, so that only texts are looked at in which none should be.
    _check_shown([repr(identity), identity.key_type], parts)


def _takes_long(part: bytes) -> bool:
    """Return whether deriving a key from a password could take long.

    The files are the caller's own, and he may have them as slow as he likes; a run may not.
    """
    return any(map(_has_many_rounds, _ders(part)))


def _ders(part: bytes) -> Iterator[bytes]:
    yield part
    for block in blocks(part):
        if block.der:
            yield block.der


def _has_many_rounds(content: bytes, depth: int = 0) -> bool:
    try:
        elements = children(content)
    except ValueError:
        return False
    for each in elements:
        if each.tag == _INTEGER:
            # Serial numbers and those of keys are longer than any number of rounds.
            if len(each.content) <= 8 and int.from_bytes(each.content, "big") > _MOST_ITERATIONS:
                return True
        elif depth < _DEPTH and _has_many_rounds(each.content, depth + 1):
            return True
    return False
