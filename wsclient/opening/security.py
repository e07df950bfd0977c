"""TLS of one attempt to connect: the contexts for it, and what its handshakes have shown."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable
from typing import Any

from yarl import URL

from ..errors import IdentityError
from ..options.connect import ConnectOptions
from ..tls.config import TLSConfig
from ..tls.explaining.explain import HandshakeFacts
from ..tls.handshake.context import HandshakeTrace
from ..tls.identity.identity import ClientIdentity
from ..tls.info import TLSInfo
from ..tls.prepare import Prepared, prepare
from ..tls.watch import RotationWatch, watch_rotation
from ..urls import shown_url

__all__ = ["Security"]


class Security:
    """What an attempt to connect needs to know of TLS.

    The server and an https proxy each have their own configuration and identity; neither is
    ever used for the other.

    Attributes:
        config: how to do TLS with the server; ``None`` means the defaults, or what `ssl` or the
            session of the caller decide.
        trace: the handshakes of the latest request.

    Args:
        connect: what the caller wants.
        direct: whether OpenSSL may do the server's handshake without being watched.
    """

    def __init__(self, connect: ConnectOptions, *, direct: bool = False) -> None:
        self._connect = connect
        self._direct = direct
        self.config: TLSConfig | None = connect.tls
        self.trace = HandshakeTrace()
        self._server: Prepared | None = None
        self._proxy: Prepared | None = None

    @property
    def has_own_context(self) -> bool:
        """Whether the server has another context than the session's."""
        return self.config is not None or self._connect.ssl is not None

    @property
    def identity(self) -> ClientIdentity | None:
        """The identity that the server was to be shown by the latest request."""
        return None if self._server is None else self._server.identity

    def watch_next(self) -> bool:
        """Have the next handshake watched; tell whether the last one should have been."""
        direct = self._server is not None and self._server.context.direct
        self._direct = False
        return direct and self.trace.unseen

    async def for_server(self) -> dict[str, Any]:
        """Return the arguments of a request to a ``wss://`` server.

        Raises:
            TLSConfigurationError: identity or trust cannot be loaded.
        """
        connect = self._connect
        if connect.ssl is not None:
            return {"ssl": connect.ssl}
        if self.config is None and connect.session is not None:
            return {}  # the session's connector may have a context of its own
        self._server = await prepare(self.config, direct=self._direct)
        arguments: dict[str, Any] = {"ssl": self._server.context}
        if self.config is not None and self.config.server_hostname is not None:
            arguments["server_hostname"] = self.config.server_hostname
        return arguments

    async def for_proxy(self, proxy: URL | None) -> ssl.SSLContext | None:
        """Return the context for an https proxy, ``None`` for any other.

        Raises:
            TLSConfigurationError: identity or trust cannot be loaded.
        """
        if proxy is None or proxy.scheme != "https":
            return None
        self._proxy = await prepare(self._connect.proxy_tls)
        return self._proxy.context

    def insist_on_name(self) -> None:
        """Have the name checked that was asked for; connectors of others may not care."""
        if self.config is not None and self._connect.session is not None:
            self.trace.server_hostname = self.config.server_hostname

    def leave_origin(self) -> None:
        """Keep the identity to the origin that it was meant for."""
        if self.config is not None:
            self.config = self.config.without_identity()

    async def has_newer_identity(self) -> bool:
        """Tell whether there is another identity now than the one that was refused."""
        provider = None if self.config is None else self.config.provider
        if provider is None or self._server is None:
            return False  # It was not the identity for the server that was refused.
        try:
            return await provider.get() != self.identity
        except IdentityError:
            return False  # It will be told by the refusal, which came first.

    def facts(self, url: URL, proxy: URL | None) -> HandshakeFacts:
        """Return what is known about the latest handshake, to explain a failure by it.

        Args:
            url: what was to be opened.
            proxy: the proxy on the way, ``None`` without.
        """
        last = self.trace.last
        if proxy is not None and proxy.scheme == "https" and self._reached_only_proxy(url):
            return HandshakeFacts(
                where=f"the proxy {shown_url(proxy)}",
                proxy=True,
                identity=None if self._proxy is None else self._proxy.identity,
                trust=None if self._proxy is None else self._proxy.trust,
                server_hostname=proxy.host,
                handshake=last,
            )
        name = None if self.config is None else self.config.server_hostname
        return HandshakeFacts(
            where=shown_url(url),
            identity=self.identity,
            trust=None if self._server is None else self._server.trust,
            server_hostname=name or url.host,
            handshake=last,
            through="" if proxy is None else f" through {shown_url(proxy)}",
        )

    def info(self, transport: asyncio.BaseTransport) -> TLSInfo | None:
        """Return what `WebSocketClientConnection.tls` tells."""
        trust = None if self._server is None else self._server.trust
        return TLSInfo.of(transport, self.identity, trust=trust)

    def watch(self, close: Callable[[], object]) -> RotationWatch | None:
        """Watch for a newer identity, as `watch_rotation`, for an open connection."""
        return None if self.config is None else watch_rotation(self.config, self.identity, close)

    def _reached_only_proxy(self, url: URL) -> bool:
        # Behind ws:// there is no other TLS than the proxy's. In front of wss:// the server's
        # handshake comes second, with a context of its own.
        last = self.trace.last
        if url.scheme != "wss" or last is None:
            return True
        if self._proxy is None or last.context is not self._proxy.context:
            return False
        # Equal configurations share a context; then the server's comes behind a finished one.
        return not any(each.established for each in self.trace.handshakes[:-1])
