"""The numbers of RFC 6455: opcodes and close codes."""

from __future__ import annotations

from enum import IntEnum

__all__ = ["CloseCode", "Opcode"]


class Opcode(IntEnum):
    """What a frame carries (RFC 6455, section 5.2)."""

    CONTINUATION = 0x0
    TEXT = 0x1
    BINARY = 0x2
    CLOSE = 0x8
    PING = 0x9
    PONG = 0xA


class CloseCode(IntEnum):
    """Why a connection was closed (RFC 6455, section 7.4.1, and the IANA registry)."""

    NORMAL_CLOSURE = 1000
    GOING_AWAY = 1001
    PROTOCOL_ERROR = 1002
    UNSUPPORTED_DATA = 1003
    NO_STATUS_RECEIVED = 1005
    """Never on the wire: the peer's Close frame had no code."""
    ABNORMAL_CLOSURE = 1006
    """Never on the wire: the connection ended without a Close frame from the peer."""
    INVALID_PAYLOAD_DATA = 1007
    POLICY_VIOLATION = 1008
    MESSAGE_TOO_BIG = 1009
    MANDATORY_EXTENSION = 1010
    INTERNAL_ERROR = 1011
    SERVICE_RESTART = 1012
    TRY_AGAIN_LATER = 1013
    BAD_GATEWAY = 1014
    TLS_HANDSHAKE = 1015
    """Never on the wire: the TLS handshake failed."""
