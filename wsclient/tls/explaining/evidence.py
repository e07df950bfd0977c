"""What is known about a handshake that failed: the ground on which its failure is explained."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from ..handshake.context import HandshakeObject
from ..handshake.messages import CertificateRequest
from ..identity.identity import ClientIdentity

__all__ = ["HandshakeFacts"]

_VERSIONS: Final = frozenset({"TLSv1.2", "TLSv1.3"})

_THE_SERVER: Final = re.compile(r"\b([Tt])he server\b")


@dataclass(frozen=True)
class HandshakeFacts:
    """What is known about a TLS handshake, whether it failed or not. Immutable.

    Attributes:
        where: whom it was with, for a person to read: a URL without secrets, or ``"the proxy
            https://..."``.
        proxy: whether that was a proxy, and not the server.
        identity: what we were to show if asked; ``None`` for nothing.
        server_hostname: the name that the server's certificate was checked for; ``None`` if it
            is not known.
        handshake: its end here; ``None`` if it could not be watched, as with a context of the
            caller.
        through: what stands behind `where` if there is a proxy on the way, such as ``" through
            http://proxy:3128"``.
        trust: where the roots come from, as `TLSInfo.trust` tells it; ``None`` if that is not
            known.
    """

    where: str
    proxy: bool = False
    identity: ClientIdentity | None = None
    server_hostname: str | None = None
    handshake: HandshakeObject | None = None
    through: str = ""
    trust: tuple[str, ...] | None = None

    @property
    def place(self) -> str:
        """Whom the handshake was with, and on which way."""
        return self.where + self.through

    @property
    def argument(self) -> str:
        """Name of the argument that configures this handshake."""
        return "proxy_tls" if self.proxy else "tls"

    @property
    def request(self) -> CertificateRequest | None:
        """What the server said when it asked for a certificate, if that was seen."""
        return None if self.handshake is None else self.handshake.certificate_request

    @property
    def established(self) -> bool:
        """Whether the handshake had succeeded at this end."""
        return self.handshake is not None and self.handshake.established

    @property
    def observed(self) -> bool:
        """Whether the messages of the handshake could be watched."""
        return self.handshake is not None and self.handshake.observed

    @property
    def asked(self) -> bool | None:
        """Whether the server has asked for a certificate; ``None`` if that is not known.

        It may ask once more later on, unseen, or may have asked for the session that is resumed.
        """
        if self.request is not None:
            return True
        return False if self.observed and not self.established else None

    @property
    def sent(self) -> bool | None:
        """Whether our certificate was sent; ``None`` if that is not known."""
        if self.handshake is not None and self.handshake.certificate_sent is not None:
            return self.handshake.certificate_sent
        # A context of ours has no other certificate than this.
        return False if self.handshake is not None and self.identity is None else None

    @property
    def answered(self) -> bool:
        """Whether the server has answered in TLS, and agreed on a cipher suite."""
        if self.handshake is None:
            return False
        return self.handshake.server_hello_seen or self.handshake.cipher() is not None

    @property
    def tls_version(self) -> str | None:
        """The version that was agreed on, such as ``"TLSv1.3"``."""
        if self.handshake is None:
            return None
        agreed = self.handshake.version()
        if agreed is None and self.request is not None:
            agreed = self.request.tls_version
        if agreed is None:
            # A handshake that failed has no version any more, but a cipher suite, which belongs
            # to one.
            cipher = self.handshake.cipher()
            agreed = cipher[1] if cipher is not None and cipher[1] in _VERSIONS else None
        return agreed

    @property
    def received_alert(self) -> int | None:
        """Number of the last alert that was seen to come in, `close_notify` aside."""
        alerts = () if self.handshake is None else self.handshake.alerts
        received = [number for direction, number in alerts if direction == "received" and number]
        return received[-1] if received else None

    def addressed(self, text: str) -> str:
        """Return a text that speaks of the server, and of the proxy if it is about that."""
        return _THE_SERVER.sub(r"\1he proxy", text) if self.proxy else text
