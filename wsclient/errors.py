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
    "ConnectError",
    "ConnectPhase",
    "ConnectTimeoutError",
    "HandshakeError",
    "InvalidURLError",
    "MessageTooBigError",
    "ProtocolError",
    "ProxyError",
    "RedirectError",
    "TLSConfigurationError",
    "TLSError",
    "WebSocketClosedError",
    "WebSocketError",
]

ConnectPhase = Literal["url", "dns", "tcp", "proxy", "tls", "http", "timeout"]
"""Where connecting failed, in the order in which connecting proceeds."""


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
            passwords in them are replaced by ``***``.
    """

    phase: ConnectPhase = "http"

    def __init__(self, message: str, *, history: tuple[str, ...]) -> None:
        super().__init__(f"{message}: {' -> '.join(history)}")
        self.history = history


class TLSError(ConnectError):
    """The TLS connection could not be established.

    Attributes:
        reason: OpenSSL's name for the fault, such as ``"CERTIFICATE_VERIFY_FAILED"``;
            empty when it gave none.
        verify_code: X.509 verification code when the server's certificate was refused.
    """

    phase: ConnectPhase = "tls"

    def __init__(
        self,
        message: str,
        *,
        reason: str = "",
        verify_code: int | None = None,
        hint: str = "",
    ) -> None:
        super().__init__(message, hint=hint)
        self.reason = reason
        self.verify_code = verify_code


class TLSConfigurationError(TLSError, ValueError):
    """Certificates, keys or TLS options given by the caller cannot be used."""


class HandshakeError(ConnectError):
    """The server's answer to the upgrade request does not open a WebSocket.

    Attributes:
        status: HTTP status of the answer, 101 when the answer itself was faulty.
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
