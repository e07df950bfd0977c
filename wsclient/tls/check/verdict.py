"""The verdict of a check, and the sentences that say it."""

from __future__ import annotations

from ...errors import (
    ClientCertificateRejected,
    ConnectTimeoutError,
    ServerCertificateError,
    TLSConnectionClosed,
    TLSError,
)
from .findings import Findings
from .report import ClientCertificateVerdict, TLSVerdict
from .text import without_hint

__all__ = ["client_certificate_verdict", "requirement", "summary_of", "verdict_of"]

_IN_HTTP = (
    "Some servers, nginx among them, complete the handshake in any case and refuse in HTTP: "
    "that is not seen here."
)


def verdict_of(found: Findings, client: ClientCertificateVerdict) -> TLSVerdict:
    """Return what came of an attempt.

    Args:
        found: the attempt.
        client: what `client_certificate_verdict` returned.
    """
    error = found.error
    if error is None:
        doubtful = found.faults and client is ClientCertificateVerdict.OPTIONAL
        return TLSVerdict.DOUBTFUL if doubtful else TLSVerdict.OK
    for kind, verdict in (
        (ServerCertificateError, TLSVerdict.SERVER_CERTIFICATE),
        (ClientCertificateRejected, TLSVerdict.CLIENT_CERTIFICATE),
        (TLSConnectionClosed, TLSVerdict.CLOSED),
        (TLSError, TLSVerdict.PROTOCOL),
    ):
        if isinstance(error, kind):
            return verdict
    late = isinstance(error, ConnectTimeoutError) and found.attempt.handshake is not None
    return TLSVerdict.NO_ANSWER if late else TLSVerdict.UNREACHABLE


def requirement(without: Findings | None) -> bool | None:
    """Return whether a server insists on a certificate; ``None`` if that is not known.

    Args:
        without: an attempt that sent none, although the server asked; ``None`` if there was none.
    """
    if without is None or without.requested is not True or without.sent:
        return None
    if without.error is None:
        return False
    return True if isinstance(without.error, ClientCertificateRejected) else None


def client_certificate_verdict(
    found: Findings, *, required: bool | None
) -> ClientCertificateVerdict:
    """Return how it stands between a server and our certificate.

    Args:
        found: the attempt with it.
        required: what `requirement` returned.
    """
    if isinstance(found.error, ClientCertificateRejected):
        return ClientCertificateVerdict.REJECTED
    if found.requested is False:
        return ClientCertificateVerdict.NOT_ASKED
    if found.requested is None or found.error is not None:
        return ClientCertificateVerdict.UNKNOWN
    if required is False:
        return ClientCertificateVerdict.OPTIONAL
    return ClientCertificateVerdict.ACCEPTED if required else ClientCertificateVerdict.UNKNOWN


def summary_of(found: Findings, verdict: ClientCertificateVerdict) -> str:
    """Return what came of an attempt, in one or two sentences.

    Args:
        found: the attempt.
        verdict: what `client_certificate_verdict` returned.
    """
    if found.error is not None:
        return without_hint(found.error)
    if verdict is ClientCertificateVerdict.NOT_ASKED:
        return "The handshake succeeded. The server did not ask for a client certificate."
    if verdict is ClientCertificateVerdict.ACCEPTED:
        return (
            "The handshake succeeded. The server requires a client certificate, and accepted ours."
        )
    if verdict is ClientCertificateVerdict.OPTIONAL and found.sent:
        doubts = f" Ours does not look right: {' '.join(found.faults)}" if found.faults else ""
        return (
            "The handshake succeeded with our certificate, and without it as well. "
            f"{_IN_HTTP}{doubts}"
        )
    if verdict is ClientCertificateVerdict.OPTIONAL:
        return (
            "The handshake succeeded. The server asked for a client certificate, got none, and "
            f"went on. {_IN_HTTP}"
        )
    if found.requested:
        return (
            "The handshake succeeded. Whether the server insists on a client certificate could "
            "not be found out."
        )
    return (
        "The handshake succeeded. Whether the server asked for a client certificate could not be "
        "seen."
    )
