"""What to tell a person about a close: one line on what happened and what to do."""

from __future__ import annotations

from ..protocol.closing import CloseCause
from ..protocol.foreign import told_as_text
from ..protocol.opcodes import CloseCode
from ..protocol.roles import Role

__all__ = ["close_hint"]

_NOTABLE_STALL = 1.0

_CODES = {
    CloseCode.NORMAL_CLOSURE: "normal closure",
    CloseCode.GOING_AWAY: "it is going away: a shutdown or a deployment; connect again",
    CloseCode.PROTOCOL_ERROR: "it says that we broke the protocol",
    CloseCode.UNSUPPORTED_DATA: "it does not take this type of message; check text and binary",
    CloseCode.NO_STATUS_RECEIVED: "without a code",
    CloseCode.INVALID_PAYLOAD_DATA: "it could not decode a message of ours",
    CloseCode.POLICY_VIOLATION: "a message of ours, or our credentials, broke its policy",
    CloseCode.MESSAGE_TOO_BIG: "a message of ours was too big for it",
    CloseCode.MANDATORY_EXTENSION: "it missed an extension",
    CloseCode.INTERNAL_ERROR: "it had an internal error; see its logs",
    CloseCode.SERVICE_RESTART: "it restarts; connect again after a moment",
    CloseCode.TRY_AGAIN_LATER: "it is overloaded; connect again later",
    CloseCode.BAD_GATEWAY: "a gateway got a bad answer from the server behind it",
}

_CAUSES = {
    CloseCause.EOF: (
        "The {peer} ended the TCP connection without a Close frame: it crashed, was stopped, or "
        "a proxy in between gave up an idle connection (ping_interval keeps it busy)."
    ),
    CloseCause.RESET: (
        "The TCP connection was reset: the {peer} or something in between dropped it without a "
        "Close frame."
    ),
    CloseCause.NETWORK_ERROR: "The operating system gave the connection up.",
    CloseCause.TLS_ALERT: "TLS failed on the open connection; the exception has the reason.",
    CloseCause.PING_TIMEOUT: (
        "The {peer} was silent for ping_timeout after a ping: it hangs, or the network in "
        "between is gone."
    ),
    CloseCause.LOOP_STALL: (
        "No sign of life came by the ping's deadline, but our own event loop stood still again "
        "and again: look for blocking calls in this program."
    ),
    CloseCause.PROTOCOL_ERROR: "The {peer} broke the protocol.",
    CloseCause.MESSAGE_TOO_BIG: (
        "The {peer} sent a message longer than max_message_size, which can be raised."
    ),
    CloseCause.CALLBACK_ERROR: "A callback of this program raised an exception.",
    CloseCause.CLOSE_TIMEOUT: "The {peer} did not answer our Close frame within close_timeout.",
    CloseCause.ROTATION: (
        'This side closed the connection because its certificate was replaced (on_rotation="close"'
        "); connect again to show the new one."
    ),
    CloseCause.CANCELLED: (
        "This side dropped the connection: its task was cancelled, the session it came from was "
        "closed, or the event loop ended."
    ),
}


def close_hint(
    cause: CloseCause,
    *,
    code: int,
    reason: str,
    by_peer: bool,
    exception: BaseException | None,
    loop_stall: float,
    role: Role = Role.CLIENT,
    refused: bytes = b"",
) -> str:
    """Return the hint of a `CloseInfo`.

    Args:
        cause: what ended the connection.
        code: close code received, 1005 or 1006.
        reason: reason received.
        by_peer: whether the peer began the closing handshake.
        exception: what was raised, if anything.
        loop_stall: longest stall of our own loop, in seconds.
        role: which end we are.
        refused: the first bytes of what the peer sent in place of a frame.
    """
    handshake = cause is CloseCause.CLOSING_HANDSHAKE
    if handshake:
        text = _handshake_hint(code, reason, role.peer, by_peer=by_peer)
    else:
        text = _CAUSES[cause].format(peer=role.peer)
        foreign = told_as_text(refused)
        if foreign and cause is CloseCause.PROTOCOL_ERROR:
            text = (
                f"{text[:-1]}: it sent {foreign}. It, or a gateway in front of it, may refuse the "
                "connection by that."
            )
        elif exception is not None and str(exception):
            text = f"{text} {type(exception).__name__}: {_one_line(str(exception))}"
    by_us = (handshake and not by_peer) or cause is CloseCause.ROTATION
    if loop_stall >= _NOTABLE_STALL and not by_us and cause is not CloseCause.LOOP_STALL:
        text = f"{text} Our own event loop had stood still for {loop_stall:.1f} s."
    return text


def _handshake_hint(code: int, reason: str, peer: str, *, by_peer: bool) -> str:
    if not by_peer:
        return f"We closed the connection and the {peer} agreed."
    said = f' and said "{_one_line(reason)}"' if reason else ""
    meaning = _CODES.get(CloseCode(code)) if code in set(CloseCode) else "a code of its own"
    return f"The {peer} closed the connection{said}: {code}, {meaning}."


def _one_line(text: str) -> str:
    """Escape what could write lines of its own into a log, or steer a terminal."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
