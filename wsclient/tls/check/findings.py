"""What follows from an attempt: the error that connecting would raise, and who refused whom."""

from __future__ import annotations

import os
import socket
import ssl
from dataclasses import dataclass
from typing import Final

from ...errors import ConnectError, ConnectTimeoutError, TLSConnectionClosed
from ..certificates.facts import CertificateFacts
from ..certificates.peer import PeerCertificate
from ..explaining.evidence import HandshakeFacts
from ..explaining.explain import explain_closed, explain_fault
from ..explaining.hints import known_fault
from ..handshake.checks import PeerRefusedError
from .attempt import Attempt, Target
from .link import EndedError
from .qualify import faults_of

__all__ = ["Findings", "certificates", "is_address", "matches", "words_of"]

_NAME_CODES: Final = frozenset({62, 63, 64})
"""X509_V_ERR_HOSTNAME_MISMATCH, _EMAIL_MISMATCH and _IP_ADDRESS_MISMATCH."""


@dataclass(frozen=True, slots=True)
class Findings:
    """An attempt, and what is known about it besides.

    Attributes:
        attempt: what came of it.
        target: where it went to.
        facts: the ground on which a failure is explained.
        checks_name: whether the server's certificate must be for a certain name.
        verifies: whether it must lead to a trusted root.
        checks_more: whether there are pins and the like.
        error: what connecting would raise; ``None`` if it went well.
    """

    attempt: Attempt
    target: Target
    facts: HandshakeFacts
    checks_name: bool
    verifies: bool
    checks_more: bool
    error: ConnectError | None

    @classmethod
    def of(cls, attempt: Attempt, target: Target, facts: HandshakeFacts) -> Findings:
        """Return what follows from an attempt.

        Args:
            attempt: it has come to an end.
            target: where it went to.
            facts: what is known about it.
        """
        context = None if attempt.handshake is None else attempt.handshake.context
        return cls(
            attempt,
            target,
            facts,
            checks_name=context is not None and context.check_hostname,
            verifies=context is not None and context.verify_mode != ssl.CERT_NONE,
            checks_more=bool(getattr(context, "checks", None)),
            error=_error_of(attempt, target, facts),
        )

    @property
    def requested(self) -> bool | None:
        """Whether the server asked for a certificate; ``None`` if that is not known."""
        if self.facts.request is not None:
            return True
        # With TLS 1.3 the request comes before the server's certificate, else behind it.
        done = self.facts.established or self.refused_by_checks
        beyond = self.verify_error is not None and self.facts.tls_version == "TLSv1.3"
        return False if self.facts.observed and (done or beyond) else None

    @property
    def sent(self) -> bool | None:
        """Whether our certificate was sent; ``None`` if the server did not ask."""
        if self.facts.request is None:
            return None
        if self.verify_error is not None:
            return False
        return self.facts.sent

    @property
    def refused_by_checks(self) -> bool:
        """Whether a check beyond OpenSSL's refused the server."""
        return isinstance(self.attempt.fault, PeerRefusedError)

    @property
    def verify_error(self) -> tuple[int, str] | None:
        """OpenSSL's code for why we refused the server's certificate, and its words."""
        fault = self.attempt.fault
        if not isinstance(fault, ssl.SSLCertVerificationError) or self.refused_by_checks:
            return None
        return fault.verify_code, str(fault.verify_message).rstrip(".")

    @property
    def name_refused(self) -> bool:
        """Whether OpenSSL refused the server's certificate as one for another name."""
        return self.verify_error is not None and self.verify_error[0] in _NAME_CODES

    @property
    def chain(self) -> tuple[bytes, ...]:
        """The server's certificates in DER; empty if we did not come so far, or refused them.

        What OpenSSL has of a chain then is not what the server sent, and not verified either.
        """
        return () if self.verify_error is not None else self.attempt.chain

    @property
    def faults(self) -> tuple[str, ...] | None:
        """What speaks against our certificate; ``None`` if there is none, or nobody asked."""
        identity, request = self.facts.identity, self.facts.request
        if identity is None or request is None:
            return None
        return faults_of(identity, request)


def certificates(chain: tuple[bytes, ...]) -> tuple[PeerCertificate, ...]:
    """Return the certificates of a chain, each with those above it."""
    return tuple(PeerCertificate(der, chain[at:]) for at, der in enumerate(chain))


def matches(name: str, facts: CertificateFacts) -> bool:
    """Return whether a certificate is for a name (RFC 9525, section 6.3).

    Args:
        name: a host name or an IP address.
        facts: of the certificate.
    """
    wanted = _address(name)
    if wanted is not None:
        return wanted in {_address(each) for each in facts.ip_addresses}
    host = name.rstrip(".").casefold()
    for each in facts.dns_names:
        pattern = each.rstrip(".").casefold()
        if pattern.startswith("*."):
            if host.partition(".")[2] == pattern[2:]:
                return True
        elif pattern == host:
            return True
    return False


def is_address(name: str) -> bool:
    """Return whether a name is an IP address."""
    return _address(name) is not None


def _address(text: str) -> bytes | None:
    for family in (socket.AF_INET, socket.AF_INET6):
        try:
            return socket.inet_pton(family, text)
        except OSError:
            continue
    return None


def _error_of(attempt: Attempt, target: Target, facts: HandshakeFacts) -> ConnectError | None:
    fault = attempt.fault
    if fault is None:
        return _ended(attempt, facts, reset=False) if attempt.aftermath == "eof" else None
    error = _explained(fault, attempt, target, facts)
    if error.__cause__ is None:
        error.__cause__ = fault
    return error


def _explained(
    fault: OSError, attempt: Attempt, target: Target, facts: HandshakeFacts
) -> ConnectError:
    if attempt.stage == "resolve" and not isinstance(fault, TimeoutError):
        return ConnectError(
            f"the host name {target.host} cannot be resolved: {words_of(fault)}.",
            phase="dns",
            hint="Check the spelling, and the DNS of this machine.",
        )
    if isinstance(fault, ssl.SSLError):
        return explain_fault(fault, facts)
    if isinstance(fault, TimeoutError):
        return _timeout(attempt, facts)
    if attempt.stage == "connect":
        refused = isinstance(fault, ConnectionRefusedError)
        return ConnectError(
            f"cannot connect to {facts.where}: {words_of(fault)}.",
            phase="tcp",
            hint="Nothing listens on that port: check host and port, and that the server runs."
            if refused
            else "",
        )
    return _ended(attempt, facts, reset=not isinstance(fault, EndedError) or fault.reset)


def _ended(attempt: Attempt, facts: HandshakeFacts, *, reset: bool) -> ConnectError:
    """Return the error for a connection that the server has ended without an alert."""
    if not attempt.confirmed or known_fault(facts):
        return explain_closed(reset, facts)
    return TLSConnectionClosed(
        f"{facts.where} completed the TLS handshake, and then closed the connection.",
        reason="reset" if reset else "eof",
        side="peer",
        tls_version=facts.tls_version,
        identity=None if facts.identity is None else facts.identity.description,
        hint="TLS itself is in order: see what the server, or what is behind it, has in its log.",
    )


def _timeout(attempt: Attempt, facts: HandshakeFacts) -> ConnectTimeoutError:
    when = {
        "resolve": "while the host name was resolved",
        "connect": "while TCP was connecting",
        "handshake": "during the TLS handshake",
        "after": "behind the TLS handshake",
    }[attempt.stage]
    hint = ""
    if attempt.stage == "handshake" and not facts.answered:
        hint = "The server said nothing at all: is this a port for TLS, and is the server alive?"
    return ConnectTimeoutError(
        f"the time for connecting to {facts.where} ran out {when}.", hint=hint
    )


def words_of(fault: OSError | None) -> str:
    """Return a fault of DNS or TCP in the words of the operating system."""
    if isinstance(fault, socket.gaierror):
        return fault.strerror or "unknown"
    if fault is not None and fault.errno:
        return os.strerror(fault.errno)
    return "no answer in time" if isinstance(fault, TimeoutError) else type(fault).__name__
