"""PEM: finding certificates and private keys in text, whatever else stands around them.

Finding is generous (any line ends, comments, indentation, a byte order mark), because each block
is written anew before OpenSSL sees it. What is in a block is not judged here.
"""

from __future__ import annotations

import base64
import binascii
import os
import re
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

from ...errors import TLSConfigurationError

__all__ = [
    "Block",
    "blocks",
    "certificate_pem",
    "check_path",
    "is_certificate",
    "is_private_key",
    "looks_like_pem",
    "unfinished",
]

_BEGIN: Final = re.compile(rb"-----BEGIN ([!-,.-~](?:[ -~]{0,60}?[!-,.-~])?)-----")
_CERTIFICATES: Final = frozenset({"CERTIFICATE", "X509 CERTIFICATE", "TRUSTED CERTIFICATE"})
_ENDS: Final = ("BEGIN", "END")
_LINE: Final = 64

_E = TypeVar("_E", bound=TLSConfigurationError)


@dataclass(frozen=True, slots=True)
class Block:
    """One block of PEM. Its content may be a private key and is never shown.

    Attributes:
        label: the words after ``BEGIN``.
        headers: the lines of the header of old encrypted keys (RFC 1421), without line ends.
        body: the lines of base64, joined.
    """

    label: str
    headers: tuple[bytes, ...] = field(repr=False)
    body: bytes = field(repr=False)

    @property
    def text(self) -> bytes:
        """The block in the one form that every OpenSSL reads, lines of 64 characters."""
        lines = [self.body[at : at + _LINE] for at in range(0, len(self.body), _LINE)]
        head = [*self.headers, b""] if self.headers else []
        label = self.label.encode("latin-1")
        return b"\n".join(
            [
                b"-----BEGIN " + label + b"-----",
                *head,
                *lines,
                b"-----END " + label + b"-----",
                b"",
            ]
        )

    @property
    def der(self) -> bytes | None:
        """What the base64 stands for; ``None`` when it is no base64."""
        try:
            return base64.b64decode(self.body, validate=True)
        except binascii.Error:
            return None


def looks_like_pem(value: str | bytes) -> bool:
    """Return whether there is the beginning of a PEM block in `value`."""
    if isinstance(value, str):
        return "-----BEGIN " in value
    return b"-----BEGIN " in value


def blocks(data: bytes) -> tuple[Block, ...]:
    """Return the whole blocks in `data`, in their order (RFC 7468, section 2).

    A block without its end is left out; see `unfinished`.

    Args:
        data: any bytes.
    """
    return tuple(block for block in _found(data) if isinstance(block, Block))


def unfinished(data: bytes) -> tuple[str, ...]:
    """Return the labels of blocks without an end, as in a file that is just being written.

    Args:
        data: any bytes.
    """
    return tuple(found for found in _found(data) if isinstance(found, str))


def _found(data: bytes) -> list[Block | str]:
    """Return the blocks in their order, and only the label of each without an end."""
    begins = list(_BEGIN.finditer(data))
    # Each block is looked for only up to the next, so that the time grows with the size alone.
    limits = [each.start() for each in begins[1:]] + [len(data)]
    return [_block(data, *pair) for pair in zip(begins, limits, strict=False)]


def _block(data: bytes, begin: re.Match[bytes], limit: int) -> Block | str:
    label = begin.group(1).decode("latin-1")
    # The first END counts. Behind one of another label, or without its dashes, a key may go on,
    # which others would take for part of the label, and quote in their errors.
    end = data.find(b"-----END ", begin.end(), limit)
    if end < 0 or not data.startswith(b"-----END " + begin.group(1) + b"-----", end):
        return label
    lines = [line.strip() for line in re.split(rb"\r\n|\r|\n", data[begin.end() : end])]
    lines = lines[1:] if lines and not lines[0] else lines
    headers: list[bytes] = []
    while lines and b":" in lines[0]:
        headers.append(lines.pop(0))
    return Block(label, tuple(headers), b"".join(lines))


def is_certificate(label: str) -> bool:
    """Return whether a label says that the block is a certificate."""
    return label in _CERTIFICATES


def is_private_key(label: str) -> bool:
    """Return whether a label says that the block is a private key, or the name of one.

    One that only a provider of OpenSSL knows counts, such as ``PKCS#11 PROVIDER URI`` or
    ``TSS2 PRIVATE KEY``.
    """
    return label.endswith("PRIVATE KEY") or label.startswith("PKCS#11")


def certificate_pem(*ders: bytes) -> bytes:
    """Return certificates as PEM, one behind the other.

    Args:
        ders: each in DER.
    """
    return b"".join(Block("CERTIFICATE", (), base64.b64encode(each)).text for each in ders)


def check_path(
    name: str, value: Any, *, instead: str, error: type[_E] | None = None
) -> str | None:
    """Return a path as `str`; PEM text in its place is refused, and never shown.

    The file is not looked at.

    Args:
        name: of the argument, for the text of an error.
        value: `str` or `os.PathLike`; ``None`` is returned as it is.
        instead: where PEM text belongs, such as ``"cadata="`` or ``"ClientIdentity.from_pem()"``.
        error: what to raise; ``None`` means `TLSConfigurationError`.

    Raises:
        TLSConfigurationError: or `error`, ``"file_not_found"``; PEM text, an empty path, or a NUL
            character in it.
        TypeError: it is no path at all.
    """
    if value is None:
        return None
    fault: type[TLSConfigurationError] = TLSConfigurationError if error is None else error
    path = os.fspath(value) if isinstance(value, os.PathLike) else value
    # OpenSSL would take the text for a file name, and the error would show the private key.
    if isinstance(path, (str, bytes)) and looks_like_pem(path):
        raise fault(
            f"{name} holds PEM text where the path of a file is expected: give the text to "
            f"{instead}, or write it to a file.",
            reason="file_not_found",
        )
    if not isinstance(path, str):
        raise TypeError(f"{name} must be a path (str or os.PathLike), not {type(path).__name__}.")
    if not path or "\0" in path:
        raise fault(
            f"{name} is empty or has a NUL character: give a path.", reason="file_not_found"
        )
    return path
