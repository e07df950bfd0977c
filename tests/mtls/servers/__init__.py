"""The real servers of the matrix, each with all its listeners."""

from __future__ import annotations

from typing import Final

from mtls.servers.apache import Apache, ApacheLocation
from mtls.servers.caddy import Caddy
from mtls.servers.envoy import Envoy
from mtls.servers.haproxy import HAProxy
from mtls.servers.nginx import Nginx
from mtls.servers.s_server import OpenSSLServer
from mtls.servers.server import RealServer
from mtls.servers.stunnel import Stunnel

__all__ = ["SERVERS", "RealServer"]

SERVERS: Final[dict[str, type[RealServer]]] = {
    each.name: each
    for each in (
        Nginx,
        HAProxy,
        Stunnel,
        Apache,
        ApacheLocation,
        Envoy,
        Caddy,
        OpenSSLServer,
    )
}
