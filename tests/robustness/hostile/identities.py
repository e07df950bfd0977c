"""The certificates that hostile servers show."""

from __future__ import annotations

import ssl
from pathlib import Path

from wsclient.testing.certificates import CertificateAuthority

__all__ = ["Identities"]

_EVIL = "evil\x1b[2J\nERROR owned"


class Identities:
    """TLS contexts of hostile servers, each made when first asked for.

    ``good`` is as it should be; ``long chain`` has 100 intermediates, ``endless chain`` 300, and
    ``huge`` a name of 1 MB. ``escapes`` is of an authority with escape sequences in its name,
    which nobody trusts; ``other name`` is for another host, with escapes too; ``wants ours`` asks
    for a certificate of such an authority.

    Attributes:
        trust_file: has the root that the client trusts.

    Args:
        directory: where the root is written.
    """

    def __init__(self, directory: Path) -> None:
        self._authority = CertificateAuthority("trusted root")
        self._made: dict[str, ssl.SSLContext] = {}
        self.trust_file = self._authority.trust_file(directory)

    def context(self, name: str) -> ssl.SSLContext:
        """Return the server's context of that name."""
        if name not in self._made:
            self._made[name] = self._make(name)
        return self._made[name]

    def _make(self, name: str) -> ssl.SSLContext:
        authority = self._authority
        match name:
            case "good":
                return authority.server_certificate().server_context()
            case "long chain" | "endless chain":
                for number in range(100 if name == "long chain" else 300):
                    authority = authority.intermediate(f"intermediate {number}")
                return authority.server_certificate().server_context()
            case "huge":
                uri = "https://example.test/" + "x" * 1_000_000
                return authority.server_certificate(uris=[uri]).server_context()
            case "escapes":
                return CertificateAuthority(_EVIL).server_certificate().server_context()
            case "other name":
                issued = authority.server_certificate("example.test", common_name=_EVIL)
                return issued.server_context()
            case "wants ours":
                issued = authority.server_certificate()
                return issued.server_context(client_ca=CertificateAuthority(_EVIL))
        raise ValueError(f"there is no identity {name!r}")
