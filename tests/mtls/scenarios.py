"""What the client of the matrix tries: each row goes wrong in one way of its own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from mtls.servers import RealServer
from wsclient.testing.certificates import KeyType

__all__ = ["SCENARIOS", "Scenario"]

_BOTH: Final = ("1.2", "1.3")
_LATER: Final = frozenset({"Apache Location"})


@dataclass(frozen=True)
class Scenario:
    """One way to connect.

    Attributes:
        listener: its name, where ``{key}`` is the type of the key.
        client: kind of our certificate, ``None`` for none.
        host: by which the server is called.
        scheme: of the URL.
        post_handshake_auth: whether the server may ask for a certificate after the handshake.
        crl: which list of revoked servers we look at, ``None`` for none.
        ciphers: that we offer with TLS 1.2, ``None`` for the defaults.
        versions: of TLS that make sense; the client speaks only the one.
        client_keys: types of our key; ``None`` for the same type as the server's.
        servers: on which it makes sense; ``None`` for all.
    """

    listener: str = "good-{key}"
    client: str | None = "good"
    host: str = "localhost"
    scheme: str = "wss"
    crl: str | None = None
    post_handshake_auth: bool = True
    ciphers: str | None = None
    versions: tuple[str, ...] = _BOTH
    client_keys: tuple[KeyType, ...] | None = None
    servers: frozenset[str] | None = None

    def fits(self, server: type[RealServer]) -> bool:
        """Tell whether a server can take part."""
        if self.servers is not None:
            return server.name in self.servers
        if self.client == "revoked" and not server.has_crl:
            return False
        return self.listener != "plain" or server.has_plain

    def key_pairs(self, server: type[RealServer]) -> list[tuple[KeyType, KeyType]]:
        """Return the types of the server's key and of ours that are tried together."""
        if self.client_keys is not None:
            return [("ec-p256", ours) for ours in self.client_keys]
        if "{key}" not in self.listener:
            return [("ec-p256", "ec-p256")]
        return [(each, each) for each in server.key_types]


SCENARIOS: Final[dict[str, Scenario]] = {
    "good": Scenario(),
    "good, by address": Scenario(host="127.0.0.1"),
    "optional, no certificate": Scenario(listener="optional", client=None),
    "optional, good certificate": Scenario(listener="optional"),
    "optional, expired certificate": Scenario(listener="optional", client="expired"),
    "asked later, not allowed": Scenario(post_handshake_auth=False, servers=_LATER),
    # What the server does not like of us.
    "a no certificate": Scenario(client=None),
    "a' Ed25519": Scenario(client_keys=("ed25519",), servers=frozenset({"Envoy"})),
    "a' Ed448": Scenario(client_keys=("ed448",), servers=frozenset({"Envoy", "Caddy"})),
    "a' secp256k1": Scenario(client_keys=("ec-secp256k1",)),
    "b unknown authority": Scenario(client="unknown_ca"),
    "b2 no intermediate": Scenario(client="no_intermediate"),
    "c expired": Scenario(client="expired"),
    "c2 not yet valid": Scenario(client="not_yet_valid"),
    "c3 not for clients": Scenario(client="server_only"),
    "c4 for no purpose": Scenario(client="no_purpose"),
    "d revoked": Scenario(client="revoked"),
    # What we do not like of the server.
    "e unknown authority": Scenario(listener="unknown_ca-{key}"),
    "f expired": Scenario(listener="expired-{key}"),
    "f2 not yet valid": Scenario(listener="not_yet_valid-{key}"),
    "g wrong name": Scenario(listener="wrong_name-{key}"),
    "g wrong address": Scenario(listener="wrong_name-{key}", host="127.0.0.1"),
    "h self-signed": Scenario(listener="self_signed-{key}"),
    "h2 not for servers": Scenario(listener="client_only-{key}"),
    "h3 not revoked": Scenario(crl="good"),
    "h3 revoked": Scenario(listener="revoked-{key}", crl="good"),
    "h3 list expired": Scenario(crl="expired"),
    "h3 list missing": Scenario(crl="missing"),
    # What has nothing to do with certificates.
    "i no TLS there": Scenario(listener="plain"),
    "i TLS there": Scenario(scheme="ws"),
    "j server has 1.2 only": Scenario(listener="only-1.2", versions=("1.3",)),
    "j server has 1.3 only": Scenario(listener="only-1.3", versions=("1.2",)),
    # Which ones `ssl` offers by default is up to who built Python.
    "j3 no common cipher": Scenario(listener="cipher", versions=("1.2",), ciphers="ECDHE+AESGCM"),
}
"""By name. The letter says which kind of fault it is; the words say what is wrong."""
