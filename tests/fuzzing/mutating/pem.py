"""Changes certificates and keys where they matter: in the DER that is inside PEM."""

from __future__ import annotations

import base64
import random
from collections.abc import Callable
from typing import Final

from fuzzing.parts import joined, parted
from wsclient.tls.files.der import Element, children, element
from wsclient.tls.files.pem import Block, blocks

__all__ = ["mutate"]

_Plain = Callable[[bytes, int], bytes]

_TAGS: Final = (0x01, 0x02, 0x03, 0x04, 0x05, 0x06, 0x0C, 0x13, 0x17, 0x30, 0x31, 0xA0, 0x80)
_LABELS: Final = (
    "CERTIFICATE",
    "TRUSTED CERTIFICATE",
    "X509 CRL",
    "PRIVATE KEY",
    "ENCRYPTED PRIVATE KEY",
    "RSA PRIVATE KEY",
    "EC PRIVATE KEY",
    "OPENSSH PRIVATE KEY",
    "PKCS#11 PROVIDER URI",
    "EC PARAMETERS",
)
_HEADERS: Final = (
    (),
    (b"Proc-Type: 4,ENCRYPTED", b"DEK-Info: AES-128-CBC,00112233445566778899AABBCCDDEEFF"),
    (b"Comment: x",),
)
_DEEPEST: Final = 10


def mutate(data: bytes, max_size: int, seed: int, plain: _Plain) -> bytes:
    """Return a changed input.

    Args:
        data: the input.
        max_size: bytes that the result may have.
        seed: what makes a change repeatable.
        plain: changes bytes that have no structure: it is given them, and the size that they
            may have.
    """
    chosen = random.Random(seed)
    if chosen.random() < 0.25 or len(data) < 2:
        return plain(data, max_size)
    options, parts = parted(data)
    if chosen.random() < 0.1:
        options = bytes(chosen.randrange(256) for _ in options)
    place = chosen.randrange(len(parts))
    if chosen.random() < 0.1:
        parts = _moved(parts, chosen)
    elif blocks(parts[place]):
        parts[place] = _changed_pem(parts[place], chosen, plain)
    else:
        parts[place] = _changed_der(parts[place], chosen, plain)
    return joined(options, *parts)[:max_size]


def _moved(parts: list[bytes], chosen: random.Random) -> list[bytes]:
    """Swap parts, lose one, or have one twice."""
    kind = chosen.randrange(3)
    if kind == 0:
        return chosen.sample(parts, len(parts))
    return parts[1:] or [b""] if kind == 1 else [*parts, parts[0]]


def _changed_pem(text: bytes, chosen: random.Random, plain: _Plain) -> bytes:
    """Change one block. What stood between the blocks is lost: other changes bring it back."""
    found = list(blocks(text))
    kind = chosen.randrange(8)
    if kind == 0:
        chosen.shuffle(found)
    elif kind == 1:
        found.append(chosen.choice(found))
    else:
        place = chosen.randrange(len(found))
        found[place] = _changed_block(found[place], kind, chosen, plain)
    return b"".join(block.text for block in found)


def _changed_block(block: Block, kind: int, chosen: random.Random, plain: _Plain) -> Block:
    if kind == 2:
        return Block(chosen.choice(_LABELS), block.headers, block.body)
    if kind == 3:
        return Block(block.label, chosen.choice(_HEADERS), block.body)
    der = _changed_der(block.der or block.body, chosen, plain)
    return Block(block.label, block.headers, base64.b64encode(der))


def _changed_der(content: bytes, chosen: random.Random, plain: _Plain, depth: int = 0) -> bytes:
    """Change one element somewhere; all sizes around it stay right."""
    try:
        elements = children(content)
    except ValueError:
        elements = []
    if not elements or depth > _DEEPEST:
        return plain(content, len(content) + 32) if content else b"\x05\x00"
    place = chosen.randrange(len(elements))
    here = elements[place]
    if chosen.random() < 0.75:
        changed = [element(here.tag, _inside(here, chosen, plain, depth))]
    else:
        changed = _changed_element(here, chosen, plain)
    others = [each.whole for each in elements]
    return b"".join([*others[:place], *changed, *others[place + 1 :]])


def _inside(here: Element, chosen: random.Random, plain: _Plain, depth: int) -> bytes:
    # A BIT STRING begins with the number of bits that do not count.
    if here.tag == 0x03 and here.content[:1] == b"\0":
        return b"\0" + _changed_der(here.content[1:], chosen, plain, depth + 1)
    return _changed_der(here.content, chosen, plain, depth + 1)


def _changed_element(here: Element, chosen: random.Random, plain: _Plain) -> list[bytes]:
    kind = chosen.randrange(5)
    if kind == 0:
        return []
    if kind == 1:
        return [here.whole, here.whole]
    if kind == 2:
        return [element(chosen.choice(_TAGS), here.content)]
    if kind == 3:
        return [element(here.tag, b"")]
    return [element(here.tag, plain(here.content or b"\0", len(here.content) + 32))]
