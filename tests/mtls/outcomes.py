"""What may come of an attempt to connect, in a form that can be compared and printed."""

from __future__ import annotations

from dataclasses import dataclass

from wsclient.errors import (
    ClientCertificateRejected,
    ConnectError,
    HandshakeError,
    ServerCertificateError,
    TLSError,
    TLSProtocolError,
)

__all__ = ["ACCEPTED", "Outcome", "failed", "mismatch", "refused", "rejected"]


@dataclass(frozen=True)
class Outcome:
    """How an attempt ended.

    Attributes:
        error: name of the class of the error; empty when a connection was opened.
        reason: of a `TLSError`, or the phase of another `ConnectError`.
        alert: that the server sent.
        verify_code: why we refused the server's certificate.
        status: of HTTP.
    """

    error: str = ""
    reason: str = ""
    alert: str | None = None
    verify_code: int | None = None
    status: int | None = None

    @classmethod
    def of(cls, exc: Exception) -> Outcome:
        """Return what an error says."""
        name = type(exc).__name__
        if isinstance(exc, TLSError):
            status = exc.status if isinstance(exc, ClientCertificateRejected) else None
            return cls(name, exc.reason, exc.alert, exc.verify_code, status)
        if isinstance(exc, HandshakeError):
            return cls(name, status=exc.status)
        if isinstance(exc, ConnectError):
            return cls(name, exc.phase)
        return cls(name, str(exc))

    def __str__(self) -> str:
        if not self.error:
            return "accepted"
        parts = [f"{self.error} {self.reason}".strip()]
        if self.alert:
            parts.append(f"alert {self.alert}")
        if self.verify_code is not None:
            parts.append(f"code {self.verify_code}")
        if self.status is not None:
            parts.append(f"HTTP {self.status}")
        return ", ".join(parts)


ACCEPTED = Outcome()
"""A connection was opened, and used."""


def rejected(reason: str, alert: str | None = None, *, status: int | None = None) -> Outcome:
    """Return the outcome that the server did not take our certificate.

    Args:
        reason: of the error.
        alert: that the server sent.
        status: of its HTTP answer, where it said so in HTTP.
    """
    return Outcome(ClientCertificateRejected.__name__, reason, alert, status=status)


def refused(reason: str, code: int) -> Outcome:
    """Return the outcome that we did not take the server's certificate.

    Args:
        reason: of the error.
        code: OpenSSL's.
    """
    return Outcome(ServerCertificateError.__name__, reason, verify_code=code)


def mismatch(reason: str, alert: str | None = None) -> Outcome:
    """Return the outcome that the two could not agree on TLS.

    Args:
        reason: of the error.
        alert: that the server sent.
    """
    return Outcome(TLSProtocolError.__name__, reason, alert)


def failed(phase: str) -> Outcome:
    """Return the outcome that connecting failed for a reason that is none of TLS.

    Args:
        phase: of the error.
    """
    return Outcome(ConnectError.__name__, phase)
