"""The messages of a TLS handshake, as far as they tell why a handshake fails.

OpenSSL has checked them before it shows them, or is about to; here nothing is trusted, and
nothing raises. What cannot be read is left out.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final, Literal, NamedTuple

from ..certificates.facts import name_from_der
from .alerts import alert_name

__all__ = [
    "CertificateRequest",
    "Direction",
    "HandshakeLog",
    "HandshakeMessage",
    "decode_certificate_request",
    "has_certificate",
    "has_compressed_certificate",
]

Direction = Literal["sent", "received"]

_TLS_1_3: Final = 0x0304
_LONGEST_LOG: Final = 64
_ALERT: Final = "alert "  # begins the names of alerts

_ALERT_CONTENT: Final = 21
_HANDSHAKE_CONTENT: Final = 22

_SERVER_HELLO: Final = 2
_CERTIFICATE: Final = 11
_CERTIFICATE_REQUEST: Final = 13
_COMPRESSED_CERTIFICATE: Final = 25

_MESSAGES: Final = {
    0: "hello_request",
    1: "client_hello",
    2: "server_hello",
    4: "new_session_ticket",
    5: "end_of_early_data",
    8: "encrypted_extensions",
    11: "certificate",
    12: "server_key_exchange",
    13: "certificate_request",
    14: "server_hello_done",
    15: "certificate_verify",
    16: "client_key_exchange",
    20: "finished",
    22: "certificate_status",
    24: "key_update",
    25: "compressed_certificate",
}
"""RFC 8446, section 4; RFC 5246, section 7.4; RFC 6066, section 8; RFC 8879, section 4."""

_OWN_CERTIFICATE: Final = frozenset({_MESSAGES[_CERTIFICATE], _MESSAGES[_COMPRESSED_CERTIFICATE]})
_LARGEST_WITHOUT: Final = 1 + 255 + 3
"""Bytes of a Certificate message with the longest context and no certificate."""

_SIGNATURE_ALGORITHMS_EXTENSION: Final = 13
_AUTHORITIES_EXTENSION: Final = 47

_SIGNATURES: Final = {
    0x0201: "rsa_pkcs1_sha1",
    0x0202: "dsa_sha1",
    0x0203: "ecdsa_sha1",
    0x0301: "rsa_pkcs1_sha224",
    0x0302: "dsa_sha224",
    0x0303: "ecdsa_sha224",
    0x0401: "rsa_pkcs1_sha256",
    0x0402: "dsa_sha256",
    0x0403: "ecdsa_secp256r1_sha256",
    0x0501: "rsa_pkcs1_sha384",
    0x0502: "dsa_sha384",
    0x0503: "ecdsa_secp384r1_sha384",
    0x0601: "rsa_pkcs1_sha512",
    0x0602: "dsa_sha512",
    0x0603: "ecdsa_secp521r1_sha512",
    0x0804: "rsa_pss_rsae_sha256",
    0x0805: "rsa_pss_rsae_sha384",
    0x0806: "rsa_pss_rsae_sha512",
    0x0807: "ed25519",
    0x0808: "ed448",
    0x0809: "rsa_pss_pss_sha256",
    0x080A: "rsa_pss_pss_sha384",
    0x080B: "rsa_pss_pss_sha512",
    0x081A: "ecdsa_brainpoolP256r1tls13_sha256",
    0x081B: "ecdsa_brainpoolP384r1tls13_sha384",
    0x081C: "ecdsa_brainpoolP512r1tls13_sha512",
    0x0904: "mldsa44",
    0x0905: "mldsa65",
    0x0906: "mldsa87",
}
"""SignatureScheme of RFC 8446, section 4.2.3, and what RFC 5246 has in its place."""

_CERTIFICATE_TYPES: Final = {
    1: "rsa_sign",
    2: "dss_sign",
    3: "rsa_fixed_dh",
    4: "dss_fixed_dh",
    64: "ecdsa_sign",
    65: "rsa_fixed_ecdh",
    66: "ecdsa_fixed_ecdh",
}
"""ClientCertificateType of RFC 5246, section 7.4.4, and RFC 8422, section 5.5."""

_RSA: Final = ("rsa_pss_rsae_",)
_RSA_1_2: Final = ("rsa_pss_rsae_", "rsa_pkcs1_")
_ACCEPTING: Final[dict[str, tuple[str, ...]]] = {
    "ec-p256": ("ecdsa_secp256r1_",),
    "ec-p384": ("ecdsa_secp384r1_",),
    "ec-p521": ("ecdsa_secp521r1_",),
    "ed25519": ("ed25519",),
    "ed448": ("ed448",),
    "mldsa44": ("mldsa44",),
    "mldsa65": ("mldsa65",),
    "mldsa87": ("mldsa87",),
    # No signature of TLS 1.3 is for it, and no server offers its curve to TLS 1.2.
    "ec-secp256k1": (),
}
"""How the names of those signatures begin that a key of a type can make in TLS 1.3."""


@dataclass(frozen=True, slots=True)
class CertificateRequest:
    """What a server said when it asked for a certificate. Immutable.

    Attributes:
        tls_version: ``"TLSv1.2"`` or ``"TLSv1.3"``.
        signature_algorithms: the signatures that it takes, by IANA's names, such as
            ``"ecdsa_secp256r1_sha256"``; an unknown one is its number, such as ``"0x1234"``.
        certificate_types: the types of TLS 1.2, such as ``"ecdsa_sign"``; empty in TLS 1.3.
        authorities_der: names of the authorities whose certificates it takes, in DER. Empty if
            it named none, which is no promise to take all.
    """

    tls_version: str
    signature_algorithms: tuple[str, ...] = ()
    certificate_types: tuple[str, ...] = ()
    authorities_der: tuple[bytes, ...] = ()

    @property
    def authorities(self) -> tuple[str, ...]:
        """The names of the authorities as in RFC 4514, such as ``"CN=Clients,O=Example"``."""
        return tuple(name_from_der(each) for each in self.authorities_der)

    def accepts_key_type(self, key_type: str) -> bool:
        """Return whether the server takes signatures that a key of this type can make.

        RFC 8446, section 4.4.2.2, and RFC 5246, section 7.4.4. A type that is not known, and a
        request that names no signatures, is given the benefit of the doubt.

        Args:
            key_type: as in `CertificateFacts.key_type`, such as ``"rsa-2048"``.
        """
        wanted = self._wanted(key_type)
        if wanted is None or not self.signature_algorithms:
            return True
        return any(each.startswith(wanted) for each in self.signature_algorithms)

    def accepts_issuers(self, issuers: Iterable[str]) -> bool | None:
        """Return whether the server has named one of these as an authority that it takes.

        ``None`` if that cannot be told: it has named none that can be read, or none is given.

        Args:
            issuers: of the certificates of a chain, as in RFC 4514; empty ones do not count.
        """
        wanted = {_folded(name) for name in self.authorities if name}
        given = {_folded(name) for name in issuers if name}
        return bool(wanted & given) if wanted and given else None

    def _wanted(self, key_type: str) -> tuple[str, ...] | None:
        """Return how a usable signature's name begins; ``None`` if that is not known."""
        older = self.tls_version != "TLSv1.3"
        if key_type.startswith("rsa-pss-"):
            return ("rsa_pss_pss_",)
        if key_type.startswith("rsa-"):
            return _RSA_1_2 if older else _RSA
        # In TLS 1.2 the numbers mean ECDSA with that hash, on any curve.
        if older and key_type in ("ec-p256", "ec-p384", "ec-p521"):
            return ("ecdsa_",)
        return _ACCEPTING.get(key_type)


class HandshakeMessage(NamedTuple):
    """A message of a handshake, or an alert.

    Attributes:
        direction: who sent it: we, or the peer.
        name: as in RFC 8446, section 4, such as ``"server_hello"``; an alert is
            ``"alert unknown_ca"``.
        size: bytes, without the record around it.
    """

    direction: Direction
    name: str
    size: int


class HandshakeLog:
    """What has been seen of a handshake so far.

    Attributes:
        messages: the first 64 messages and alerts, in their order.
        alerts: all alerts among them: who sent it, and its number.
        certificate_request: what the server said when it asked for a certificate; ``None`` if
            it has not.
        certificate_sent: whether we sent a certificate; ``None`` if the time for it has not
            come.
        server_hello_seen: whether the server has answered.
    """

    __slots__ = (
        "alerts",
        "certificate_request",
        "certificate_sent",
        "messages",
        "server_hello_seen",
    )

    def __init__(self) -> None:
        self.messages: list[HandshakeMessage] = []
        self.alerts: list[tuple[Direction, int]] = []
        self.certificate_request: CertificateRequest | None = None
        self.certificate_sent: bool | None = None
        self.server_hello_seen = False

    def note(self, direction: Direction, version: int, content_type: int, data: bytes) -> None:
        """Take note of what has gone over the wire. It never raises.

        Args:
            direction: who sent it.
            version: of TLS, as in the record, such as 0x0304.
            content_type: of the record (RFC 8446, section 5.1); handshake and alert count.
            data: a whole message with its header of four bytes, or an alert.
        """
        if content_type == _ALERT_CONTENT and len(data) == 2:
            self._note_alert(direction, data[1])
        elif content_type == _HANDSHAKE_CONTENT and len(data) >= 4:
            self._note_message(direction, version, data)

    def withdraw(self) -> None:
        """Take back what we wrote last, because it was not sent after all."""
        while self.messages and self.messages[-1].direction == "sent":
            name = self.messages.pop().name
            if name in _OWN_CERTIFICATE:
                self.certificate_sent = False
            elif name.startswith(_ALERT):
                self.alerts.pop()

    def _note_alert(self, direction: Direction, number: int) -> None:
        if len(self.messages) < _LONGEST_LOG:
            self.alerts.append((direction, number))
            self.messages.append(HandshakeMessage(direction, _ALERT + alert_name(number), 2))

    def _note_message(self, direction: Direction, version: int, data: bytes) -> None:
        kind, body = data[0], data[4:]
        if len(self.messages) < _LONGEST_LOG:
            name = _MESSAGES.get(kind, f"message {kind}")
            self.messages.append(HandshakeMessage(direction, name, len(data)))
        if direction == "received":
            if kind == _SERVER_HELLO:
                self.server_hello_seen = True
            elif kind == _CERTIFICATE_REQUEST:
                self.certificate_request = decode_certificate_request(body, version)
        elif kind == _CERTIFICATE:
            self.certificate_sent = has_certificate(body, version)
        elif kind == _COMPRESSED_CERTIFICATE:
            self.certificate_sent = has_compressed_certificate(body)


class _TruncatedError(Exception):
    """A message ends too early."""


class _Reader:
    """Takes vectors off the front of a message (RFC 8446, section 3.4)."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._place = 0

    @property
    def left(self) -> bool:
        return self._place < len(self._data)

    def take(self, size: int) -> bytes:
        end = self._place + size
        if end > len(self._data):
            raise _TruncatedError
        taken, self._place = self._data[self._place : end], end
        return taken

    def number(self, size: int) -> int:
        return int.from_bytes(self.take(size), "big")

    def vector(self, size_of_size: int) -> bytes:
        return self.take(self.number(size_of_size))


def decode_certificate_request(body: bytes, version: int) -> CertificateRequest:
    """Return what a CertificateRequest says (RFC 8446, 4.3.2; RFC 5246, section 7.4.4).

    It never raises: what cannot be read is left out.

    Args:
        body: the message without its header of four bytes.
        version: of TLS, such as 0x0304.
    """
    fields = _fields_1_3(body) if version == _TLS_1_3 else _fields_1_2(body)
    found: dict[str, bytes] = {}
    try:
        found.update(fields)
    except _TruncatedError:
        pass  # What came before it has been read.
    return CertificateRequest(
        "TLSv1.3" if version == _TLS_1_3 else "TLSv1.2",
        _signatures(found.get("signatures", b"")),
        _types(found.get("types", b"")),
        _authorities(found.get("authorities", b"")),
    )


def _fields_1_3(body: bytes) -> Iterator[tuple[str, bytes]]:
    reader = _Reader(body)
    reader.vector(1)
    extensions = _Reader(reader.vector(2))
    while extensions.left:
        kind, data = extensions.number(2), _Reader(extensions.vector(2))
        if kind == _SIGNATURE_ALGORITHMS_EXTENSION:
            yield "signatures", data.vector(2)
        elif kind == _AUTHORITIES_EXTENSION:
            yield "authorities", data.vector(2)


def _fields_1_2(body: bytes) -> Iterator[tuple[str, bytes]]:
    reader = _Reader(body)
    yield "types", reader.vector(1)
    yield "signatures", reader.vector(2)
    yield "authorities", reader.vector(2)


def _types(data: bytes) -> tuple[str, ...]:
    return tuple(_CERTIFICATE_TYPES.get(each, f"type {each}") for each in data)


def _signatures(data: bytes) -> tuple[str, ...]:
    numbers = [int.from_bytes(data[at : at + 2], "big") for at in range(0, len(data) - 1, 2)]
    return tuple(_SIGNATURES.get(each, f"0x{each:04x}") for each in numbers)


def _authorities(data: bytes) -> tuple[bytes, ...]:
    reader = _Reader(data)
    found: list[bytes] = []
    try:
        while reader.left:
            found.append(reader.vector(2))
    except _TruncatedError:
        pass  # The names before it are whole.
    return tuple(found)


def has_certificate(body: bytes, version: int) -> bool:
    """Return whether there is a certificate in a Certificate message, which may be empty.

    RFC 8446, section 4.4.2, and RFC 5246, section 7.4.6. It never raises.

    Args:
        body: the message without its header of four bytes.
        version: of TLS, such as 0x0304.
    """
    reader = _Reader(body)
    try:
        if version == _TLS_1_3:
            reader.vector(1)
        return reader.number(3) > 0
    except _TruncatedError:
        return False


def has_compressed_certificate(body: bytes) -> bool:
    """Return whether there is a certificate in a CompressedCertificate message.

    RFC 8879, section 4. Nothing is decompressed: how long it was tells enough. It never raises.

    Args:
        body: the message without its header of four bytes.
    """
    reader = _Reader(body)
    try:
        reader.number(2)
        return reader.number(3) > _LARGEST_WITHOUT
    except _TruncatedError:
        return False


def _folded(name: str) -> str:
    # Names are compared without regard to case and spaces (RFC 5280, section 7.1).
    return " ".join(name.casefold().split())
