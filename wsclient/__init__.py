"""An async WebSocket client for asyncio, with the API of Tornado's."""

from __future__ import annotations

# First of all, so that nothing else fails before it in a sub-interpreter: it need not be used.
from . import interpreter as _interpreter  # noqa: F401
from .client import ConnectAttempt, websocket_connect
from .connection import ConnectionStats, WebSocketClientConnection
from .errors import (
    ClientCertificateRejected,
    ConnectError,
    ConnectTimeoutError,
    HandshakeError,
    IdentityError,
    InvalidURLError,
    MessageTooBigError,
    ProtocolError,
    ProxyError,
    RedirectError,
    ServerCertificateError,
    TLSConfigurationError,
    TLSConnectionClosed,
    TLSError,
    TLSProtocolError,
    TrustError,
    WebSocketClosedError,
    WebSocketError,
)
from .options.connection import CompressionOptions
from .options.request import HTTPRequest
from .protocol.closing import CloseCause, CloseInfo, CloseInitiator
from .protocol.opcodes import CloseCode
from .tls.certificates.peer import PeerCertificate
from .tls.check import ClientCertificateVerdict, TLSReport, TLSVerdict, check_tls
from .tls.config import TLSConfig
from .tls.identity.identity import ClientIdentity, IdentityWarning
from .tls.info import TLSInfo
from .tls.rotation.providers import (
    CallableIdentityProvider,
    FileIdentityProvider,
    IdentityProvider,
    PKCS12IdentityProvider,
)

__all__ = [
    "CallableIdentityProvider",
    "ClientCertificateRejected",
    "ClientCertificateVerdict",
    "ClientIdentity",
    "CloseCause",
    "CloseCode",
    "CloseInfo",
    "CloseInitiator",
    "CompressionOptions",
    "ConnectAttempt",
    "ConnectError",
    "ConnectTimeoutError",
    "ConnectionStats",
    "FileIdentityProvider",
    "HTTPRequest",
    "HandshakeError",
    "IdentityError",
    "IdentityProvider",
    "IdentityWarning",
    "InvalidURLError",
    "MessageTooBigError",
    "PKCS12IdentityProvider",
    "PeerCertificate",
    "ProtocolError",
    "ProxyError",
    "RedirectError",
    "ServerCertificateError",
    "TLSConfig",
    "TLSConfigurationError",
    "TLSConnectionClosed",
    "TLSError",
    "TLSInfo",
    "TLSProtocolError",
    "TLSReport",
    "TLSVerdict",
    "TrustError",
    "WebSocketClientConnection",
    "WebSocketClosedError",
    "WebSocketError",
    "check_tls",
    "websocket_connect",
]

__version__ = "0.1.0"
