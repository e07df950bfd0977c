"""What is known about the TLS of an open connection."""

from __future__ import annotations

import asyncio
import ssl
from dataclasses import dataclass

__all__ = ["TLSInfo"]


@dataclass(frozen=True, slots=True)
class TLSInfo:
    """Describe the TLS of an open connection.

    Attributes:
        version: such as ``"TLSv1.3"``.
        cipher: name of the cipher suite.
        alpn: the protocol agreed by ALPN (RFC 7301), ``None`` if none was.
        server_certificate: the server's certificate in DER; ``None`` if it showed none.
    """

    version: str
    cipher: str
    alpn: str | None
    server_certificate: bytes | None

    @classmethod
    def of(cls, transport: asyncio.BaseTransport) -> TLSInfo | None:
        """Return what the transport tells; ``None`` when it has no TLS."""
        tls: ssl.SSLObject | None = transport.get_extra_info("ssl_object")
        if tls is None:
            return None
        cipher = tls.cipher()
        return cls(
            version=tls.version() or "",
            cipher=cipher[0] if cipher else "",
            alpn=tls.selected_alpn_protocol(),
            server_certificate=tls.getpeercert(binary_form=True),
        )
