"""An async WebSocket client for asyncio, with the API of Tornado's."""

from __future__ import annotations

from .client import ConnectAttempt, websocket_connect
from .connection import ConnectionStats, WebSocketClientConnection
from .errors import (
    ConnectError,
    ConnectTimeoutError,
    HandshakeError,
    InvalidURLError,
    MessageTooBigError,
    ProtocolError,
    ProxyError,
    RedirectError,
    TLSConfigurationError,
    TLSError,
    WebSocketClosedError,
    WebSocketError,
)
from .options.connection import CompressionOptions
from .options.request import HTTPRequest
from .protocol.closing import CloseCause, CloseInfo, CloseInitiator
from .protocol.opcodes import CloseCode
from .tls.config import TLSConfig
from .tls.info import TLSInfo

__all__ = [
    "CloseCause",
    "CloseCode",
    "CloseInfo",
    "CloseInitiator",
    "CompressionOptions",
    "ConnectAttempt",
    "ConnectError",
    "ConnectTimeoutError",
    "ConnectionStats",
    "HTTPRequest",
    "HandshakeError",
    "InvalidURLError",
    "MessageTooBigError",
    "ProtocolError",
    "ProxyError",
    "RedirectError",
    "TLSConfig",
    "TLSConfigurationError",
    "TLSError",
    "TLSInfo",
    "WebSocketClientConnection",
    "WebSocketClosedError",
    "WebSocketError",
    "websocket_connect",
]

__version__ = "0.1.0"
