"""The steps of a check: what happened, in the order in which it did."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

__all__ = ["CheckStep", "StepDirection", "StepName"]

StepName = Literal[
    "resolve",
    "connect",
    "client_hello",
    "server_hello",
    "certificate_request",
    "server_certificate",
    "chain",
    "name",
    "checks",
    "qualification",
    "client_certificate",
    "outcome",
    "without_verification",
    "without_identity",
]
"""What a step is about.

In the order of a connection that goes well: the address is resolved and connected to, we greet,
the server greets, asks for our certificate and shows its own, whose chain and name are checked,
and then what `TLSConfig` wants besides; ours is compared with what was asked for, and sent; the
handshake comes out well or not. The last two are connections of their own, made to find out
more.
"""

StepDirection = Literal["sent", "received", ""]
"""Who sent what the step is about: we, the server, or nobody."""


@dataclass(frozen=True, slots=True)
class CheckStep:
    """One thing that happened, or that was checked. Immutable.

    Attributes:
        name: what it is about.
        ok: whether it is as it should be; ``None`` when it is neither good nor bad.
        text: one sentence for a person.
        direction: who sent it, if it is a message.
        details: more lines for a person.
        data: the same for a program, as plain values of JSON.
    """

    name: StepName
    ok: bool | None
    text: str
    direction: StepDirection = ""
    details: tuple[str, ...] = ()
    data: Mapping[str, Any] = field(default_factory=dict, hash=False)

    def as_dict(self) -> dict[str, Any]:
        """Return all of it as plain values of JSON."""
        return {
            "name": self.name,
            "ok": self.ok,
            "text": self.text,
            "direction": self.direction,
            "details": list(self.details),
            "data": dict(self.data),
        }
