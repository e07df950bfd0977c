"""What is known of a connection's end while it ends: the first cause stands."""

from __future__ import annotations

import ssl
from dataclasses import replace

from ..errors import WebSocketClosedError
from ..protocol.closing import CloseCause, CloseInfo, CloseInitiator, ClosingHandshake
from ..protocol.opcodes import CloseCode
from ..protocol.roles import Role
from .explain import close_hint

__all__ = ["Ending"]


class Ending:
    """Collect what `CloseInfo` will say.

    Attributes:
        handshake: state of the closing handshake.
        agreed: what will have ended the connection when both have sent their Close frames.
        cause: what ended the connection, ``None`` while nothing has.
        initiator: who began to end it.
        discarded_messages: messages received that nobody will see.
        info: the finished account, ``None`` before the transport is gone.

    Args:
        role: which end we are.
    """

    __slots__ = (
        "_exception",
        "_role",
        "_silence",
        "agreed",
        "cause",
        "discarded_messages",
        "handshake",
        "info",
        "initiator",
    )

    def __init__(self, role: Role = Role.CLIENT) -> None:
        self._role = role
        self.handshake = ClosingHandshake(role)
        self.cause: CloseCause | None = None
        self.initiator = CloseInitiator.NONE
        self.discarded_messages = 0
        self.info: CloseInfo | None = None
        self.agreed = CloseCause.CLOSING_HANDSHAKE
        self._exception: BaseException | None = None
        self._silence = 0.0

    @property
    def begun(self) -> bool:
        """Whether messages can no longer be sent."""
        return self.cause is not None or not self.handshake.can_send

    def settle(
        self,
        cause: CloseCause,
        exception: BaseException | None = None,
        *,
        initiator: CloseInitiator,
        silence: float,
    ) -> None:
        """Fix what ended the connection, unless that is fixed already.

        Args:
            cause: what ended it.
            exception: what was raised, if anything.
            initiator: who ended it; counts unless a closing handshake has begun.
            silence: seconds since the last byte came in.
        """
        if self.cause is not None:
            return
        self.cause = cause
        self._exception = exception
        self._silence = silence
        if self.initiator is CloseInitiator.NONE:
            self.initiator = initiator

    def begin_here(self, *, rotated: bool) -> None:
        """Note that a closing handshake of ours has begun.

        Args:
            rotated: whether it is for the sake of a certificate that was replaced.
        """
        self.initiator = CloseInitiator.LOCAL
        if rotated:
            self.agreed = CloseCause.ROTATION

    def settle_lost(self, exc: BaseException | None, *, closed_here: bool, silence: float) -> None:
        """Fix that the transport went away by itself, or that it was closed under us."""
        if closed_here:
            self.settle(CloseCause.CANCELLED, initiator=CloseInitiator.LOCAL, silence=silence)
            return
        if exc is None:
            cause = CloseCause.EOF
        elif isinstance(exc, ConnectionError):
            cause = CloseCause.RESET
        elif isinstance(exc, ssl.SSLError):
            cause = CloseCause.TLS_ALERT
        else:
            cause = CloseCause.NETWORK_ERROR
        self.settle(cause, exc, initiator=CloseInitiator.NONE, silence=silence)

    def finish(self, loop_stall: float, refused: bytes = b"") -> CloseInfo:
        """Make the account, when the transport is gone and the cause is settled.

        Args:
            loop_stall: longest stall of our own loop, in seconds.
            refused: the first bytes of what the peer sent in place of a frame.
        """
        assert self.cause is not None
        handshake = self.handshake
        handshake.lost()
        both = handshake.sent is not None and handshake.received is not None
        code = CloseCode.ABNORMAL_CLOSURE if handshake.received is None else handshake.received
        self.info = CloseInfo(
            code=int(code),
            reason=handshake.reason,
            initiator=self.initiator,
            clean=both and self.cause is self.agreed,
            cause=self.cause,
            sent=None if handshake.sent is None else int(handshake.sent),
            received=None if handshake.received is None else int(handshake.received),
            received_first=handshake.received_first,
            seconds_since_last_byte=self._silence,
            exception=self._exception,
            discarded_messages=self.discarded_messages,
            loop_stall=loop_stall,
            hint=close_hint(
                self.cause,
                code=int(code),
                reason=handshake.reason,
                by_peer=self.initiator is CloseInitiator.REMOTE,
                exception=self._exception,
                loop_stall=loop_stall,
                role=self._role,
                refused=refused,
            ),
        )
        return self.info

    def discard(self, messages: int) -> None:
        """Count messages that nobody will see, also after the account has been made."""
        self.discarded_messages += messages
        if messages and self.info is not None:
            self.info = replace(self.info, discarded_messages=self.discarded_messages)

    def error(self) -> WebSocketClosedError:
        """Return the error that says why nothing can be sent any more."""
        info = self.info
        if info is None:
            return WebSocketClosedError("the connection is closing; nothing can be sent any more")
        return WebSocketClosedError(
            f"the connection is closed ({info})", code=info.code, reason=info.reason
        )
