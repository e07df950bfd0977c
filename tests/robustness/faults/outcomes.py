"""What a caller is told when something breaks, in a form that can stand in a table."""

from __future__ import annotations

from dataclasses import dataclass

from wsclient import CloseInfo, ConnectError

__all__ = ["CLEAN", "Outcome", "closed", "failed"]


@dataclass(frozen=True)
class Outcome:
    """What came of one connection.

    Attributes:
        error: class of what `websocket_connect` raised; empty when it opened a connection.
        phase: its phase.
        cause: value of `CloseInfo.cause`; empty when there was no connection.
        code: the close code.
        clean: whether it was a proper end.
        initiator: value of `CloseInfo.initiator`.
    """

    error: str = ""
    phase: str = ""
    cause: str = ""
    code: int = 0
    clean: bool = False
    initiator: str = ""

    def __str__(self) -> str:
        if self.error:
            return f"{self.error}, phase {self.phase}"
        clean = "clean" if self.clean else "not clean"
        return f"{self.cause}, {self.code}, {clean}, initiator {self.initiator}"

    @classmethod
    def of_error(cls, error: ConnectError) -> Outcome:
        """Return what an error of `websocket_connect` says."""
        return failed(type(error).__name__, error.phase)

    @classmethod
    def of_end(cls, info: CloseInfo) -> Outcome:
        """Return what the account of a close says."""
        return closed(
            info.cause.value, code=info.code, clean=info.clean, initiator=info.initiator.value
        )


def failed(error: str, phase: str) -> Outcome:
    """Return the outcome of an attempt to connect that fails."""
    return Outcome(error=error, phase=phase)


def closed(
    cause: str, *, code: int = 1006, clean: bool = False, initiator: str = "none"
) -> Outcome:
    """Return the outcome of a connection that was open."""
    return Outcome(cause=cause, code=code, clean=clean, initiator=initiator)


CLEAN = closed("closing_handshake", code=1000, clean=True, initiator="local")
"""We closed, and the server agreed."""
