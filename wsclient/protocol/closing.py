"""The closing handshake as a table, and the account that is given of every close.

RFC 6455, section 7: either side may send a Close frame; the other answers with one; then the
server closes TCP. `TRANSITIONS` is the whole state machine: an entry that is missing is an
error, in us where we caused the event, in the peer where it did.

    CONNECTING --OPENED--> OPEN --CLOSE_SENT----> LOCAL_CLOSING --CLOSE_RECEIVED-> CLOSED
                             \\---CLOSE_RECEIVED-> REMOTE_CLOSING --CLOSE_SENT----> CLOSED
    any state --LOST--> CLOSED
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from ..errors import ProtocolError
from .opcodes import CloseCode
from .roles import Role

__all__ = [
    "TRANSITIONS",
    "CloseCause",
    "CloseEvent",
    "CloseInfo",
    "CloseInitiator",
    "CloseState",
    "ClosingHandshake",
    "build_close_payload",
    "check_close_code",
    "parse_close_payload",
    "truncate_reason",
]

_MAX_REASON_SIZE = 123


class CloseState(Enum):
    """Where a connection stands in its life."""

    # Each member is one object: what Python hashes by itself is quicker than Enum's own way.
    __hash__ = object.__hash__

    CONNECTING = "connecting"
    OPEN = "open"
    LOCAL_CLOSING = "local_closing"
    """We have sent a Close frame and wait for the peer's."""
    REMOTE_CLOSING = "remote_closing"
    """The peer has sent a Close frame that we have not answered yet."""
    CLOSED = "closed"
    """Both Close frames have passed, or the TCP connection is gone."""


class CloseEvent(Enum):
    """What moves a connection from one state to the next."""

    __hash__ = object.__hash__  # As above.

    OPENED = "opened"
    CLOSE_SENT = "close_sent"
    CLOSE_RECEIVED = "close_received"
    LOST = "lost"


TRANSITIONS: dict[tuple[CloseState, CloseEvent], CloseState] = {
    (CloseState.CONNECTING, CloseEvent.OPENED): CloseState.OPEN,
    (CloseState.CONNECTING, CloseEvent.LOST): CloseState.CLOSED,
    (CloseState.OPEN, CloseEvent.CLOSE_SENT): CloseState.LOCAL_CLOSING,
    (CloseState.OPEN, CloseEvent.CLOSE_RECEIVED): CloseState.REMOTE_CLOSING,
    (CloseState.OPEN, CloseEvent.LOST): CloseState.CLOSED,
    (CloseState.LOCAL_CLOSING, CloseEvent.CLOSE_RECEIVED): CloseState.CLOSED,
    (CloseState.LOCAL_CLOSING, CloseEvent.LOST): CloseState.CLOSED,
    (CloseState.REMOTE_CLOSING, CloseEvent.CLOSE_SENT): CloseState.CLOSED,
    (CloseState.REMOTE_CLOSING, CloseEvent.LOST): CloseState.CLOSED,
    (CloseState.CLOSED, CloseEvent.LOST): CloseState.CLOSED,
}


class CloseInitiator(Enum):
    """Who ended the connection."""

    LOCAL = "local"
    REMOTE = "remote"
    NONE = "none"
    """Neither: it broke."""


class CloseCause(Enum):
    """What ended the connection, as seen from here."""

    CLOSING_HANDSHAKE = "closing_handshake"
    """The peer sent a Close frame; `CloseInfo.clean` tells whether ours left as well."""
    EOF = "eof"
    """The peer ended the TCP connection without a Close frame."""
    RESET = "reset"
    """The TCP connection was reset."""
    NETWORK_ERROR = "network_error"
    """The operating system gave the connection up (no route, TCP timeout, ...)."""
    TLS_ALERT = "tls_alert"
    """TLS failed after the connection was open."""
    PING_TIMEOUT = "ping_timeout"
    """The peer was silent for `ping_timeout` after a ping."""
    LOOP_STALL = "loop_stall"
    """The ping's deadline passed again and again while our own event loop stood still."""
    PROTOCOL_ERROR = "protocol_error"
    """The peer broke the protocol; `CloseInfo.exception` says how."""
    MESSAGE_TOO_BIG = "message_too_big"
    """The peer sent a message longer than `max_message_size`."""
    CALLBACK_ERROR = "callback_error"
    """A callback of the application raised `CloseInfo.exception`."""
    CLOSE_TIMEOUT = "close_timeout"
    """The peer did not answer our Close frame within `close_timeout`."""
    ROTATION = "rotation"
    """We closed it because our certificate was replaced (``on_rotation="close"``), and the peer
    agreed."""
    CANCELLED = "cancelled"
    """The task that owned the connection was cancelled, or the connection was aborted."""


@dataclass(frozen=True, slots=True)
class CloseInfo:
    """Explain how a connection ended.

    Attributes:
        code: close code received from the peer; 1005 if its Close frame had none; 1006 if none
            was received, or only after we had failed the connection (RFC 6455, section 7.1.5).
        reason: reason received from the peer; empty if there was none.
        initiator: who ended it.
        clean: whether both Close frames were exchanged.
        cause: what ended it.
        sent: close code that we sent; ``None`` if we sent no Close frame.
        received: close code that the peer sent, 1005 for a Close frame without one; ``None``
            if none was received.
        received_first: whether the peer's Close frame came before ours; ``None`` unless both
            were exchanged.
        seconds_since_last_byte: how long the peer had been silent when the end was decided.
        exception: what was raised, for a protocol error, a callback error or an error of the
            network; else ``None``.
        discarded_messages: messages received that nobody will see: they came after a local
            close while the queue was full, or after a callback had failed.
        loop_stall: longest stall of our own event loop noticed by the keepalive, in seconds.
        hint: one line for a person: what happened and what to do about it.
    """

    code: int
    reason: str
    initiator: CloseInitiator
    clean: bool
    cause: CloseCause
    sent: int | None = None
    received: int | None = None
    received_first: bool | None = None
    seconds_since_last_byte: float = 0.0
    exception: BaseException | None = None
    discarded_messages: int = 0
    loop_stall: float = 0.0
    hint: str = ""

    def __str__(self) -> str:
        """Return the hint with the code in front."""
        return f"{self.code} {self.cause.value}: {self.hint}"


class ClosingHandshake:
    """Follow the closing handshake of one connection.

    Attributes:
        state: where the connection stands.
        sent: the code that we sent, ``None`` before.
        received: the code that the peer sent, 1005 for none, ``None`` before.
        reason: the peer's reason.
        received_first: whether the peer's Close frame came first; ``None`` before both came.

    Args:
        role: which end we are; it only names the other one in errors.
    """

    __slots__ = ("_role", "reason", "received", "received_first", "sent", "state")

    def __init__(self, role: Role = Role.CLIENT) -> None:
        self._role = role
        self.state = CloseState.CONNECTING
        self.sent: int | None = None
        self.received: int | None = None
        self.reason = ""
        self.received_first: bool | None = None

    def _move(self, event: CloseEvent) -> None:
        self.state = TRANSITIONS[self.state, event]

    @property
    def can_send(self) -> bool:
        """Whether frames may still be sent (RFC 6455, section 5.5.1)."""
        return self.state is CloseState.OPEN

    @property
    def can_send_close(self) -> bool:
        """Whether a Close frame may still be sent: once, and not before the handshake."""
        return self.state in (CloseState.OPEN, CloseState.REMOTE_CLOSING)

    def opened(self) -> None:
        """Note that the opening handshake is done."""
        self._move(CloseEvent.OPENED)

    def send(self, code: int | None, reason: str = "") -> bytes:
        """Note that we send a Close frame, and build its payload.

        Args:
            code: the code; ``None`` for a Close frame without one.
            reason: at most 123 bytes of UTF-8.
        """
        payload = build_close_payload(code, reason)
        self._move(CloseEvent.CLOSE_SENT)
        self.sent = CloseCode.NO_STATUS_RECEIVED if code is None else code
        if self.received is not None:
            self.received_first = True
        return payload

    def receive(self, payload: bytes) -> None:
        """Note the peer's Close frame.

        Raises:
            ProtocolError: the payload is not a valid one; the state is as before.
        """
        code, reason = parse_close_payload(payload, self._role)
        self._move(CloseEvent.CLOSE_RECEIVED)
        self.received, self.reason = code, reason
        if self.sent is not None:
            self.received_first = False

    def answer(self) -> bytes:
        """Note that we answer the peer's Close frame, and build the payload: its own code.

        RFC 6455, section 5.5.1: an endpoint typically echoes the status code it received.
        """
        code = None if self.received == CloseCode.NO_STATUS_RECEIVED else self.received
        return self.send(code, self.reason)

    def lost(self) -> None:
        """Note that the TCP connection is gone."""
        self._move(CloseEvent.LOST)


def check_close_code(code: int) -> None:
    """Check that a code may stand in a Close frame (RFC 6455, section 7.4).

    Raises:
        ValueError: it may not.
    """
    if 3000 <= code <= 4999:
        return
    if 1000 <= code <= 1014 and code not in (1004, 1005, 1006):
        return
    raise ValueError(
        f"close code {code} cannot be sent: use 1000..1003, 1007..1014, or 3000..4999 for codes "
        "of your own"
    )


def build_close_payload(code: int | None, reason: str = "") -> bytes:
    """Build the payload of a Close frame (RFC 6455, section 5.5.1).

    Raises:
        ValueError: the code may not be sent, there is a reason but no code, or the reason is
            longer than 123 bytes of UTF-8 or cannot be encoded.
    """
    if code is None:
        if reason:
            raise ValueError("a close reason needs a close code")
        return b""
    check_close_code(code)
    try:
        encoded = reason.encode()
    except UnicodeEncodeError as exc:
        raise ValueError(
            f"the close reason has a lone surrogate at index {exc.start}; it cannot be sent as "
            "UTF-8"
        ) from exc
    if len(encoded) > _MAX_REASON_SIZE:
        raise ValueError(
            f"the close reason is {len(encoded)} bytes of UTF-8; at most {_MAX_REASON_SIZE} fit"
        )
    return code.to_bytes(2, "big") + encoded


def parse_close_payload(payload: bytes, role: Role = Role.CLIENT) -> tuple[int, str]:
    """Take the payload of a Close frame apart.

    Args:
        payload: what came in.
        role: which end we are; it only names the other one in errors.

    Returns:
        code and reason; 1005 and an empty reason for an empty payload.

    Raises:
        ProtocolError: one byte, a code that may not be sent, or a reason that is not UTF-8.
    """
    if not payload:
        return CloseCode.NO_STATUS_RECEIVED, ""
    if len(payload) == 1:
        raise ProtocolError(
            f"The {role.peer} sent a Close frame with half a close code",
            section="RFC 6455, section 5.5.1",
        )
    code = int.from_bytes(payload[:2], "big")
    try:
        check_close_code(code)
    except ValueError:
        raise ProtocolError(
            f"The {role.peer} sent a Close frame with code {code}, which must not be sent",
            section="RFC 6455, section 7.4",
        ) from None
    try:
        return code, payload[2:].decode()
    except UnicodeDecodeError as exc:
        raise ProtocolError(
            f"The {role.peer} sent a close reason that is not UTF-8",
            section="RFC 6455, section 5.5.1",
            close_code=1007,
        ) from exc


def truncate_reason(text: str) -> str:
    """Cut a text to the 123 bytes of UTF-8 that a close reason may have."""
    encoded = text.encode(errors="replace")
    return encoded[:_MAX_REASON_SIZE].decode(errors="ignore")
