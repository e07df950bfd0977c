"""Every exception that wsclient raises: one tree, root `WebSocketError`.

Exceptions carry plain values (int, str, bytes, tuples of them), never objects of ours, so
that this module imports nothing and everything may import it. The foreign exception that
started it all, where there is one, is chained as ``__cause__``.

Wrong arguments are `ValueError` or `TypeError`, and use from a wrong thread or in a wrong
mode is `RuntimeError`: they say that the program needs a change, not that the network failed.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

__all__ = [
    "ClientCertificateRejected",
    "ConnectError",
    "ConnectPhase",
    "ConnectTimeoutError",
    "HandshakeError",
    "IdentityError",
    "InvalidURLError",
    "MessageTooBigError",
    "ProtocolError",
    "ProxyError",
    "RedirectError",
    "ServerCertificateError",
    "TLSConfigurationError",
    "TLSConnectionClosed",
    "TLSError",
    "TLSProtocolError",
    "TLSSide",
    "TrustError",
    "WebSocketClosedError",
    "WebSocketError",
]

ConnectPhase = Literal["url", "dns", "tcp", "proxy", "tls", "http", "timeout"]
"""Where connecting failed, in the order in which connecting proceeds."""

TLSSide = Literal["local", "peer"]
"""Who refused to go on with TLS."""


class WebSocketError(Exception):
    """Root of all errors of this package."""


class WebSocketClosedError(WebSocketError):
    """The connection is closed or closing, so the operation is impossible.

    Attributes:
        code: the close code, 1000..4999, as in `CloseInfo.code`; ``None`` while closing.
        reason: the close reason; empty when there is none.
    """

    def __init__(self, message: str, *, code: int | None = None, reason: str = "") -> None:
        super().__init__(message)
        self.code = code
        self.reason = reason


class ProtocolError(WebSocketError):
    """The server sent what RFC 6455 or RFC 7692 forbids; the connection has been failed.

    Attributes:
        close_code: the code sent to the server, 1002 (protocol error) or 1007 (invalid data).
        section: the rule that was broken, such as ``"RFC 6455, section 5.2"``.
    """

    def __init__(self, message: str, *, section: str, close_code: int = 1002) -> None:
        super().__init__(f"{message} ({section})")
        self.close_code = close_code
        self.section = section


class MessageTooBigError(WebSocketError):
    """The server sent a message larger than `max_message_size`; the connection has been failed.

    It is raised before the message is buffered or inflated.

    Attributes:
        close_code: the code sent to the server, always 1009.
        section: the rule that applies, ``"RFC 6455, section 7.4.1"``.
        limit: the limit that was exceeded, in bytes (or in fragments, as the text says).
    """

    close_code = 1009
    section = "RFC 6455, section 7.4.1"

    def __init__(self, message: str, *, limit: int) -> None:
        super().__init__(f"{message} ({self.section})")
        self.limit = limit


class ConnectError(WebSocketError):
    """No connection could be opened.

    Attributes:
        phase: where it failed: ``"url"``, ``"dns"``, ``"tcp"``, ``"proxy"``, ``"tls"``,
            ``"http"`` or ``"timeout"``.
        hint: one sentence on what to do about it; empty when there is nothing to add.
    """

    phase: ConnectPhase = "tcp"

    def __init__(self, message: str, *, phase: ConnectPhase | None = None, hint: str = "") -> None:
        super().__init__(f"{message} {hint}" if hint else message)
        if phase is not None:
            self.phase = phase
        self.hint = hint


class InvalidURLError(ConnectError, ValueError):
    """The URL is not one that a WebSocket client can open (RFC 6455, section 3)."""

    phase: ConnectPhase = "url"


class ConnectTimeoutError(ConnectError, TimeoutError):
    """`connect_timeout` ran out before the connection was open."""

    phase: ConnectPhase = "timeout"


class ProxyError(ConnectError):
    """The proxy could not be reached, or refused to open the tunnel.

    Attributes:
        status: HTTP status of the proxy's answer; ``None`` when it gave none.
    """

    phase: ConnectPhase = "proxy"

    def __init__(self, message: str, *, status: int | None = None, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.status = status


class RedirectError(ConnectError):
    """A redirect was refused or there were too many of them.

    Attributes:
        history: the URLs in the order in which they were visited, the refused target last;
            passwords in them are replaced by ``***``, and long paths are shortened.
    """

    phase: ConnectPhase = "http"

    def __init__(self, message: str, *, history: tuple[str, ...]) -> None:
        super().__init__(f"{message}: {' -> '.join(history)}")
        self.history = history


class TLSError(ConnectError):
    """The TLS connection could not be established.

    Attributes:
        reason: why, one word of a closed set that each subclass lists.
        side: who refused: ``"local"`` for us, ``"peer"`` for the other side; ``None`` when it is
            not known.
        alert: name of the alert that the peer sent, in the spelling of RFC 8446, section 6, such
            as ``"certificate_required"``; ``None`` without one.
        alert_number: its number, 0..255.
        openssl_reason: OpenSSL's name for the fault, such as ``"TLSV1_ALERT_UNKNOWN_CA"``; empty
            when it gave none.
        verify_code: X.509 verification code of OpenSSL when we refused the peer's certificate.
        tls_version: the version that was agreed on, such as ``"TLSv1.3"``; ``None`` before that.
        identity: our own certificate, for a person to read, if one was configured.
        hint: one sentence on what to do about it.
    """

    phase: ConnectPhase = "tls"

    def __init__(
        self,
        message: str,
        *,
        reason: str = "",
        side: TLSSide | None = None,
        alert: str | None = None,
        alert_number: int | None = None,
        openssl_reason: str = "",
        verify_code: int | None = None,
        tls_version: str | None = None,
        identity: str | None = None,
        hint: str = "",
    ) -> None:
        super().__init__(message, hint=hint)
        self.reason = reason
        self.side = side
        self.alert = alert
        self.alert_number = alert_number
        self.openssl_reason = openssl_reason
        self.verify_code = verify_code
        self.tls_version = tls_version
        self.identity = identity


class TLSConfigurationError(TLSError, ValueError):
    """Certificates, keys or TLS options given by the caller cannot be used.

    Nothing has been sent. `side` is ``"local"``.
    """

    def __init__(
        self, message: str, *, reason: str = "", openssl_reason: str = "", hint: str = ""
    ) -> None:
        super().__init__(
            message, reason=reason, side="local", openssl_reason=openssl_reason, hint=hint
        )


class IdentityError(TLSConfigurationError):
    """The client's certificate or private key cannot be used.

    The message names the file, never the key or the password.

    Attributes:
        reason: ``"file_not_found"``, ``"permission_denied"``, ``"is_a_directory"``,
            ``"certificate_unreadable"``, ``"certificate_is_der"``, ``"certificate_missing"``,
            ``"key_unreadable"``, ``"key_missing"``, ``"key_mismatch"``,
            ``"password_required"``, ``"password_incorrect"``, ``"password_callback_failed"``,
            ``"pkcs12_unreadable"``, ``"pkcs12_no_key"``, ``"key_too_small"``,
            ``"key_type_unsupported"``, ``"swapped_files"``, ``"provider_failed"`` or
            ``"pkcs11_unavailable"``.
    """


class TrustError(TLSConfigurationError):
    """What the configuration trusts, or its revocation list, cannot be used.

    Attributes:
        reason: ``"file_not_found"``, ``"permission_denied"``, ``"is_a_directory"``,
            ``"not_a_directory"``, ``"no_certificates"``, ``"unreadable"`` or
            ``"crl_unreadable"``.
    """


class ServerCertificateError(TLSError):
    """We refused the server's certificate, so that nothing of ours was sent behind it.

    Attributes:
        reason: ``"unknown_ca"``, ``"self_signed"``, ``"expired"``, ``"not_yet_valid"``,
            ``"hostname_mismatch"``, ``"wrong_purpose"``, ``"revoked"``, ``"crl_missing"``,
            ``"crl_expired"``, ``"not_rfc5280"``, ``"too_weak"``, ``"pin_mismatch"``,
            ``"spiffe_id_mismatch"``, ``"not_authorized"`` or ``"invalid"`` for what is rarer;
            `verify_code` then says which.
    """


class ClientCertificateRejected(TLSError):
    """The server wants a client certificate, and got none or not one that it accepts.

    Attributes:
        reason: ``"certificate_required"``, ``"not_sent_key_type"`` (one was configured, but the
            server does not take its type of key), ``"unknown_ca"``, ``"expired"``,
            ``"revoked"``, ``"unsupported"``, ``"bad_certificate"``, ``"certificate_unknown"``,
            ``"access_denied"``, ``"http_400_nginx"`` (nginx accepted it in TLS, and refused it in
            HTTP without saying why), or ``"probable"`` (the server ended the connection without
            a word after it had asked for a certificate).
        status: HTTP status when it was said in HTTP; ``None`` when it was said in TLS.
    """

    status: int | None = None


class TLSProtocolError(TLSError):
    """The two sides could not agree on TLS, before any certificate was at issue.

    Attributes:
        reason: ``"not_tls"``, ``"http_on_tls_port"``, ``"protocol_version"``,
            ``"handshake_failure"``, ``"unrecognized_name"``, ``"no_application_protocol"``, or
            ``"protocol_error"`` for what is rarer; `alert` and `openssl_reason` then say which.
    """


class TLSConnectionClosed(TLSError):
    """The other side ended the connection during the TLS handshake, and gave no reason.

    Attributes:
        reason: ``"eof"`` or ``"reset"``.
    """


class HandshakeError(ConnectError):
    """The server's answer to the upgrade request does not open a WebSocket.

    Attributes:
        status: HTTP status of the answer, 101 when the answer itself was faulty, 0 when it
            was refused before it could be looked at.
        headers: response headers; names in lower case, repeated ones joined with ``", "``.
        body: the first 64 KiB of the response body; empty when there is none.
        hint: one sentence on what to do about it; may be empty.
    """

    phase: ConnectPhase = "http"

    def __init__(
        self,
        message: str,
        *,
        status: int,
        headers: Mapping[str, str],
        body: bytes = b"",
        hint: str = "",
    ) -> None:
        super().__init__(message, hint=hint)
        self.status = status
        self.headers = headers
        self.body = body
