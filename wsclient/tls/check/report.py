"""What a check of TLS has found out."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from ...errors import ConnectError, TLSError
from ..certificates.peer import PeerCertificate
from .steps import CheckStep
from .text import render

__all__ = ["ClientCertificateVerdict", "TLSReport", "TLSVerdict"]


class TLSVerdict(StrEnum):
    """What came of a check."""

    OK = "ok"
    """The handshake succeeded, and the server did not end the connection behind it."""
    DOUBTFUL = "doubtful"
    """So it did, but our certificate is not in order, and the server does not insist on one in
    TLS: it may refuse in HTTP, as nginx does."""
    UNREACHABLE = "unreachable"
    """There is no such host, or no TCP connection to it."""
    NO_ANSWER = "no_answer"
    """The time ran out during the handshake."""
    SERVER_CERTIFICATE = "server_certificate"
    """We refused the server's certificate."""
    CLIENT_CERTIFICATE = "client_certificate"
    """The server refused our certificate, or that there was none."""
    PROTOCOL = "protocol"
    """The two sides could not agree on TLS, or the server does not speak it."""
    CLOSED = "closed"
    """The server ended the connection and gave no reason."""


class ClientCertificateVerdict(StrEnum):
    """How it stands between the server and our certificate."""

    NOT_ASKED = "not_asked"
    """The server did not ask for one."""
    OPTIONAL = "optional"
    """It asked, and completes the handshake without one, too.

    Some servers, nginx among them, do so in any case, and refuse in HTTP.
    """
    ACCEPTED = "accepted"
    """It asked, accepted ours, and does not go on without one."""
    REJECTED = "rejected"
    """It asked, and rejected ours, or that there was none."""
    UNKNOWN = "unknown"
    """The handshake did not come so far, or it could not be found out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TLSReport:
    """What `check_tls` has found out. Immutable; there is no secret in it.

    ``str(report)`` is a text for a person, at most 100 columns wide.

    Attributes:
        url: what was checked, without login and query.
        address: the address that took the connection, such as ``"127.0.0.1 port 443"``;
            ``None`` if none did.
        steps: what happened, in its order.
        verdict: what came of it.
        summary: the same in one or two sentences.
        error: what connecting would raise; ``None`` if it would not, or not for the sake of TLS.
        tls_version: such as ``"TLSv1.3"``; ``None`` if none was agreed on.
        cipher: OpenSSL's name of the cipher suite; ``None`` likewise.
        alpn: the protocol agreed by ALPN (RFC 7301); ``None`` for none.
        server_chain: the server's certificate and those above it. The verified chain up to the
            root if it could be verified, else what the server sent; empty if that is not known.
        name_checked: the name that the server's certificate must have; ``None`` if none is
            checked.
        name_matches: whether the certificate has it; ``None`` if that is not known.
        chain_error: OpenSSL's code for what is wrong with the chain or name, and its words;
            ``None`` if nothing is, as far as it was looked at.
        certificate_requested: whether the server asked for a client certificate; ``None`` if
            that is not known.
        certificate_required: whether it insists on one in TLS, as opposed to HTTP; ``None``
            likewise.
        client_certificate: how it stands between the server and our certificate.
        acceptable_authorities: the authorities that the server named when it asked, as in
            RFC 4514; empty if it named none.
        signature_algorithms: the signatures that it takes of clients, such as
            ``"ecdsa_secp256r1_sha256"``.
        identity: our certificate for a person to read; ``None`` if none is configured.
        identity_qualifies: whether ours is what the server asked for, as far as one can see;
            ``None`` without either.
        identity_faults: what speaks against it, in whole sentences.
        certificate_sent: whether it was sent; ``None`` if the server did not ask.
        alert: name of the alert that the server sent, as in RFC 8446, section 6; ``None``
            without one.
        trust: where the roots come from that are trusted, as `TLSInfo.trust`; empty if nothing is
            verified.
    """

    url: str
    address: str | None
    steps: tuple[CheckStep, ...]
    verdict: TLSVerdict
    summary: str
    error: ConnectError | None = None
    tls_version: str | None = None
    cipher: str | None = None
    alpn: str | None = None
    server_chain: tuple[PeerCertificate, ...] = ()
    name_checked: str | None = None
    name_matches: bool | None = None
    chain_error: tuple[int, str] | None = None
    certificate_requested: bool | None = None
    certificate_required: bool | None = None
    client_certificate: ClientCertificateVerdict = ClientCertificateVerdict.UNKNOWN
    acceptable_authorities: tuple[str, ...] = ()
    signature_algorithms: tuple[str, ...] = ()
    identity: str | None = None
    identity_qualifies: bool | None = None
    identity_faults: tuple[str, ...] = ()
    certificate_sent: bool | None = None
    alert: str | None = None
    trust: tuple[str, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether the handshake succeeded, and nothing speaks against the next step."""
        return self.verdict is TLSVerdict.OK

    def __str__(self) -> str:
        doubtful = self.verdict is TLSVerdict.DOUBTFUL
        state = "ok." if self.ok else "doubtful." if doubtful else "FAILED."
        hint = self.error.hint if self.error is not None else ""
        title = f"TLS check of {self.url}"
        return render(title, self.steps, f"{state} {self.summary}", hint)

    def as_dict(self) -> dict[str, Any]:
        """Return all of it as plain values of JSON."""
        names = [each.name for each in dataclasses.fields(self)]
        return {
            "ok": self.ok,
            **{name: _plain(getattr(self, name)) for name in names},
            "steps": [step.as_dict() for step in self.steps],
            "server_chain": [_certificate_as_dict(each) for each in self.server_chain],
            "error": None if self.error is None else _error_as_dict(self.error),
        }


def _certificate_as_dict(certificate: PeerCertificate) -> dict[str, Any]:
    """Return a certificate as plain values of JSON."""
    serial = certificate.serial_number
    return {
        "subject": certificate.subject,
        "issuer": certificate.issuer,
        # JSON's numbers have 53 bits with many a reader.
        "serial_number": None if serial is None else f"{serial:x}",
        "not_before": _date(certificate.not_before),
        "not_after": _date(certificate.not_after),
        "dns_names": list(certificate.dns_names),
        "ip_addresses": list(certificate.ip_addresses),
        "uris": list(certificate.uris),
        "key_type": certificate.key_type,
        "fingerprint_sha256": certificate.fingerprint_sha256,
        "spki_sha256": certificate.spki_sha256,
    }


def _error_as_dict(error: ConnectError) -> dict[str, Any]:
    told: dict[str, Any] = {
        "type": type(error).__name__,
        "message": str(error),
        "phase": error.phase,
        "hint": error.hint,
    }
    if isinstance(error, TLSError):
        names = ("reason", "side", "alert", "alert_number", "openssl_reason", "verify_code")
        told |= {name: getattr(error, name) for name in names}
    return told


def _plain(value: Any) -> Any:
    if isinstance(value, StrEnum):
        return value.value
    return list(value) if isinstance(value, tuple) else value


def _date(when: datetime | None) -> str | None:
    return None if when is None else when.isoformat()
