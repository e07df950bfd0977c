"""One attempt to connect, and what came of it: a cell of the matrix."""

from __future__ import annotations

import functools
import ssl
from dataclasses import dataclass

from mtls.bench import Bench
from mtls.outcomes import ACCEPTED, Outcome
from mtls.scenarios import Scenario
from mtls.servers import RealServer
from wsclient import ClientIdentity, HandshakeError, TLSConfig, TLSError, websocket_connect
from wsclient.testing.certificates import IssuedCertificate, KeyType

__all__ = ["Cell", "WrongError", "attempt", "identity_of"]

_VERSIONS = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}
_TIMEOUT = 10.0


@dataclass(frozen=True)
class Cell:
    """One way to try a scenario on a server.

    Attributes:
        version: of TLS.
        server_key: type of the server's key.
        client_key: type of ours.
        route: one of `ROUTES`.
    """

    version: str
    server_key: KeyType
    client_key: KeyType
    route: str

    def __str__(self) -> str:
        keys: str = self.server_key
        if self.client_key != self.server_key:
            keys += f", our key {self.client_key}"
        return f"TLS {self.version}, {keys}, {self.route}"


class WrongError(Exception):
    """The outcome may be right, but something about it is not."""


@functools.cache
def identity_of(issued: IssuedCertificate) -> ClientIdentity:
    """Return what our client shows."""
    return ClientIdentity.from_pem(issued.chain_pem, issued.private_key_pem())


async def attempt(bench: Bench, server: RealServer, scenario: Scenario, cell: Cell) -> Outcome:
    """Connect once, and use the connection if there is one.

    Raises:
        WrongError: an error without a hint, or a connection that tells something wrong.
    """
    identity = None
    if scenario.client is not None and scenario.scheme == "wss":
        identity = identity_of(bench.material.client(scenario.client, cell.client_key))
    version = _VERSIONS[cell.version]
    tls = TLSConfig(
        identity=identity,
        cadata=bench.material.trust,
        crldata=None if scenario.crl is None else bench.material.crls[scenario.crl],
        minimum_version=version,
        maximum_version=version,
        ciphers=scenario.ciphers,
        post_handshake_auth=scenario.post_handshake_auth,
    )
    port = server.port(scenario.listener.format(key=cell.server_key))
    url = f"{scenario.scheme}://{scenario.host}:{port}{server.path}"
    try:
        await _converse(bench, url, tls if scenario.scheme == "wss" else None, cell, identity)
    except Exception as exc:
        return _judge(exc, server, identity)
    return ACCEPTED


async def _converse(
    bench: Bench, url: str, tls: TLSConfig | None, cell: Cell, identity: ClientIdentity | None
) -> None:
    proxy = bench.proxy(cell.route)
    async with websocket_connect(
        url,
        tls=tls,
        proxy=proxy,
        proxy_tls=bench.proxy_tls if cell.route == "https proxy" else None,
        connect_timeout=_TIMEOUT,
    ) as conn:
        await conn.write_message("hello")
        echoed = await conn.read_message()
        info = conn.tls
    if echoed != "hello":
        raise WrongError(f"echoed {echoed!r}")
    if conn.close_info is None or not conn.close_info.clean:
        raise WrongError(f"closed by {conn.close_info}")
    if tls is None:
        return
    shown = None if identity is None else identity.fingerprint_sha256
    if info is None or (info.version, info.identity_fingerprint) != (f"TLSv{cell.version}", shown):
        raise WrongError(f"tells {info}")
    if info.peer_certificate is None or "localhost" not in info.peer_certificate.dns_names:
        raise WrongError(f"tells of the server {info.peer_certificate}")


def _judge(exc: Exception, server: RealServer, identity: ClientIdentity | None) -> Outcome:
    if isinstance(exc, WrongError):
        raise exc
    if not server.speaks_websocket and isinstance(exc, HandshakeError) and exc.status == 200:
        return ACCEPTED
    if isinstance(exc, TLSError):
        if not exc.hint:
            raise WrongError(f"{Outcome.of(exc)}, but without a hint") from exc
        if exc.identity != (None if identity is None else identity.description):
            raise WrongError(f"{Outcome.of(exc)}, but it tells of {exc.identity}") from exc
    return Outcome.of(exc)
