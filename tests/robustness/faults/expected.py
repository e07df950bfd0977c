"""What must come of a line that breaks at each moment: by RST, by FIN, and by silence.

Where several outcomes stand, the order in which the system tells of things decides: RST may
overtake what came before it, and an answer of ours may meet a connection that is gone.
"""

from __future__ import annotations

from typing import Final, Literal

from robustness.faults.outcomes import CLEAN, Outcome, closed, failed
from robustness.faults.records import RecordEvent
from wsclient.testing.faults import Way

__all__ = [
    "BOUNDS",
    "DAMAGED",
    "ROWS",
    "SLACK",
    "TLS_ROWS",
    "Broken",
    "Row",
    "Stage",
    "damage",
    "stage",
]

Broken = Literal["RST", "FIN", "silence"]

Row = dict[Broken, tuple[Outcome, ...]]

SLACK: Final = 3.0
"""Seconds on top of each bound, for a machine that is busy with other things."""

BOUNDS: Final[dict[str, float]] = {
    "at once": SLACK,
    "connect_timeout": 1.5 + SLACK,
    # `ping_interval` and `ping_timeout` together.
    "ping_timeout": 0.2 + 0.5 + SLACK,
    "close_timeout": 0.5 + SLACK,
}
"""Seconds, by what ends the waiting."""

_NO_ANSWER: Final = (failed("ConnectError", "http"),)
_TOO_LATE: Final = (failed("ConnectTimeoutError", "timeout"),)
_RESET: Final = (closed("reset"),)
_EOF: Final = (closed("eof"),)
_SILENT: Final = (closed("ping_timeout", initiator="local"),)

_UPGRADE: Final[Row] = {"RST": _NO_ANSWER, "FIN": _NO_ANSWER, "silence": _TOO_LATE}
_OPEN: Final[Row] = {"RST": _RESET, "FIN": _EOF, "silence": _SILENT}
_WE_CLOSE: Final[Row] = {
    "RST": (closed("reset", initiator="local"),),
    "FIN": (closed("eof", initiator="local"),),
    "silence": (closed("close_timeout", initiator="local"),),
}
_WE_HAVE_CLOSED: Final[Row] = {"RST": (CLEAN,), "FIN": (CLEAN,), "silence": (CLEAN,)}

_THEY_CLOSED: Final = closed("closing_handshake", code=1001, clean=True, initiator="remote")
_UNANSWERED: Final = closed("closing_handshake", code=1001, clean=False, initiator="remote")
_THEY_HAVE_CLOSED: Final[Row] = {
    "RST": (_THEY_CLOSED,),
    "FIN": (_THEY_CLOSED,),
    "silence": (_THEY_CLOSED,),
}

ROWS: Final[dict[str, Row]] = {
    # Node answers half a request: it does not like it.
    "upgrade: in the request": _UPGRADE | {"FIN": (*_NO_ANSWER, failed("HandshakeError", "http"))},
    "upgrade: before the response": _UPGRADE,
    "upgrade: in the status line": _UPGRADE,
    "upgrade: in a header": _UPGRADE,
    "upgrade: before the last byte of the head": _UPGRADE,
    # The connection may be gone before it is handed over.
    "upgrade: after the head": {
        "RST": (*_RESET, *_NO_ANSWER, failed("HandshakeError", "http")),
        "FIN": (*_EOF, failed("HandshakeError", "http")),
        "silence": _SILENT,
    },
    "first frame: ours, before it": _OPEN,
    "first frame: before it": _OPEN,
    "frame: in the header": _OPEN,
    "frame: in the extended length": _OPEN,
    "frame: in the payload": _OPEN,
    "frame: in the long payload": _OPEN,
    "frame: ours, in the long payload": _OPEN,
    "frame: between two": _OPEN,
    "fragments: between two": _OPEN,
    "fragments: in the second": _OPEN,
    "our closing: before our Close": _WE_CLOSE,
    # The server has got it, and its own Close may be faster than RST; behind FIN it is answered.
    "our closing: behind our Close": {
        "RST": (*_WE_CLOSE["RST"], CLEAN),
        "FIN": (CLEAN,),
        "silence": (CLEAN,),
    },
    "our closing: before their Close": _WE_CLOSE,
    "our closing: in their Close": _WE_CLOSE,
    "our closing: behind their Close": _WE_HAVE_CLOSED,
    "their closing: before their Close": _OPEN,
    "their closing: in their Close": _OPEN,
    # RST may come before our answer has left.
    "their closing: behind their Close": {
        "RST": (_THEY_CLOSED, _UNANSWERED),
        "FIN": (_THEY_CLOSED,),
        "silence": (_THEY_CLOSED,),
    },
    "their closing: before our Close": _THEY_HAVE_CLOSED,
    "their closing: behind our Close": _THEY_HAVE_CLOSED,
}

Stage = Literal["handshake", "upgrade", "open"]

_ENDED_IN_TLS: Final = failed("TLSConnectionClosed", "tls")
# What the other side says by an alert, or what OpenSSL makes of a record that is wrong.
_TLS_SAYS_WHY: Final = failed("TLSProtocolError", "tls")
_SAYS_WHY: Final = closed("tls_alert", initiator="local")

TLS_ROWS: Final[dict[tuple[Stage, RecordEvent], tuple[Outcome, ...]]] = {
    ("handshake", "RST"): (_ENDED_IN_TLS,),
    ("handshake", "FIN"): (_ENDED_IN_TLS, _TLS_SAYS_WHY),
    ("handshake", "half, FIN"): (_ENDED_IN_TLS, _TLS_SAYS_WHY),
    ("handshake", "silence"): _TOO_LATE,
    # A certificate may still be one after a bit of it has changed, but not a signed one.
    ("handshake", "flip"): (_ENDED_IN_TLS, _TLS_SAYS_WHY, failed("ServerCertificateError", "tls")),
    # Under TLS 1.3 a ChangeCipherSpec means nothing any more (RFC 8446, appendix D.4).
    ("handshake", "drop"): (_ENDED_IN_TLS, _TLS_SAYS_WHY, *_TOO_LATE, CLEAN),
    # The last one comes again when the handshake is over.
    ("handshake", "repeat"): (_ENDED_IN_TLS, _TLS_SAYS_WHY, CLEAN, *_NO_ANSWER),
    ("upgrade", "RST"): _NO_ANSWER,
    ("upgrade", "FIN"): (*_NO_ANSWER, _TLS_SAYS_WHY),
    ("upgrade", "half, FIN"): (*_NO_ANSWER, _TLS_SAYS_WHY),
    ("upgrade", "silence"): _TOO_LATE,
    ("upgrade", "flip"): (*_NO_ANSWER, _TLS_SAYS_WHY),
    ("upgrade", "drop"): (*_NO_ANSWER, _TLS_SAYS_WHY, *_TOO_LATE, CLEAN),
    ("upgrade", "repeat"): (*_NO_ANSWER, _TLS_SAYS_WHY, _SAYS_WHY, CLEAN)
    + (closed("tls_alert"), closed("eof"))
    + _WE_CLOSE["RST"]
    + _WE_CLOSE["FIN"],
    # The last records stand behind both Close frames; without close_notify it is a FIN that
    # nobody has vouched for, and the Close frames say what TLS does not.
    ("open", "RST"): (*_WE_CLOSE["RST"], CLEAN),
    ("open", "FIN"): (*_WE_CLOSE["FIN"], _SAYS_WHY, CLEAN),
    ("open", "half, FIN"): (*_WE_CLOSE["FIN"], _SAYS_WHY, CLEAN),
    # A server that ends TCP by itself is faster than the time limit.
    ("open", "silence"): (*_WE_CLOSE["silence"], *_WE_CLOSE["FIN"], CLEAN),
    ("open", "flip"): (_SAYS_WHY, *_WE_CLOSE["FIN"], *_WE_CLOSE["RST"], CLEAN),
    ("open", "drop"): (_SAYS_WHY, CLEAN)
    + _WE_CLOSE["FIN"]
    + _WE_CLOSE["RST"]
    + _WE_CLOSE["silence"],
    ("open", "repeat"): (_SAYS_WHY, *_WE_CLOSE["FIN"], *_WE_CLOSE["RST"], CLEAN),
}

_STARTS: Final[dict[str, dict[Way, tuple[int, int]]]] = {
    "TLSv1.2": {"to_server": (4, 5), "to_client": (7, 8)},
    "TLSv1.3": {"to_server": (1, 4), "to_client": (6, 9)},
}
"""Number of the first record of the upgrade and of the open connection. Under TLS 1.3
our Finished and the server's two session tickets count to the upgrade: the client has done its
handshake by then."""


def stage(version: str, way: Way, index: int) -> Stage:
    """Return what a TLS record belongs to.

    Args:
        version: of TLS, as `ssl.SSLObject.version` gives it.
        way: the direction.
        index: number of the record in that direction.
    """
    upgrade, opened = _STARTS[version][way]
    if index < upgrade:
        return "handshake"
    return "upgrade" if index < opened else "open"


DAMAGED: Final = frozenset(
    {
        "ConnectError, http",
        "ConnectTimeoutError, timeout",
        "HandshakeError, http",
        "closing_handshake",
        "close_timeout",
        "eof",
        "message_too_big",
        "ping_timeout",
        "protocol_error",
        "reset",
    }
)
"""What may come of bytes that are changed, lost or added on the way, by error or by cause.

A frame has no checksum: its payload may be delivered as it came, and a code may be another one.
"""


def damage(outcome: Outcome) -> str:
    """Return how `DAMAGED` calls an outcome."""
    return f"{outcome.error}, {outcome.phase}" if outcome.error else outcome.cause
