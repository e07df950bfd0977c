"""Connections through proxies: what aiohttp has no public way for, in one place.

aiohttp does the proxies. Two things are not right for WebSocket, and are mended here with the
smallest possible overrides of a connector and a request:

- RFC 6455, section 4.1, asks for a CONNECT tunnel for ``ws://`` too; aiohttp sends a plain
  request through the proxy, and few proxies pass an upgrade on.
- aiohttp uses one TLS context for an https proxy and for the server behind it; so the proxy
  would be shown the server's client certificate.

`TunnelConnector` overrides two private methods of `aiohttp.TCPConnector`. `internals` looks for
them before it is made.
"""

from __future__ import annotations

import asyncio
import asyncio.sslproto
import inspect
import ssl
import sys
from typing import Any, Final

from aiohttp import ClientRequest, ClientTimeout
from aiohttp.client_proto import ResponseHandler

from ..tls.handshake.context import ensure_checked
from .fast import FastConnector
from .step import WAITING, Step

__all__ = ["TunnelConnector", "TunnelRequest"]


# Before Python 3.12.2 TLS in TLS cannot be given up: instead, closing raises a `TypeError`, which
# takes the place of a cancellation, and goes to the loop's handler besides (cpython #113214).
_sslproto: Any = asyncio.sslproto
_ABORT_FAILS: Final = (
    sys.version_info < (3, 12, 2)
    and len(inspect.signature(_sslproto.SSLProtocol._abort).parameters) < 2
)


def _mend_abort(transport: Any) -> None:
    """Have the transport within which TLS begins end as that of later Pythons does."""
    if not _ABORT_FAILS or type(transport) is not _sslproto._SSLProtocolTransport:
        return

    def force_close(exc: BaseException | None) -> None:
        transport._closed = True
        protocol = transport._ssl_protocol
        if protocol is not None and protocol._transport is not None:
            protocol._set_state(_sslproto.SSLProtocolState.UNWRAPPED)
            protocol._transport._force_close(exc)

    transport._force_close = force_close


class TunnelRequest(ClientRequest):
    """A request that asks for a CONNECT tunnel whenever it goes through a proxy."""

    def is_ssl(self) -> bool:
        """Tell whether to tunnel: for TLS, and through every proxy."""
        return self.proxy is not None or super().is_ssl()


class TunnelConnector(FastConnector):
    """A connector that opens tunnels for ``ws://``, and has a TLS context for the proxy alone.

    Args:
        proxy_ssl: context for an https proxy; ``None`` when there is no such proxy.
        step: is told when the way to the server is open.
        kwargs: as for `aiohttp.TCPConnector`.
    """

    def __init__(self, *, proxy_ssl: ssl.SSLContext | None, step: Step, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._proxy_ssl = proxy_ssl
        self._step = step

    async def connect(self, req: ClientRequest, traces: list[Any], timeout: ClientTimeout) -> Any:
        """Connect, as `aiohttp.TCPConnector`, and see to it that the checks of TLS were made.

        Raises:
            PeerRefusedError: the event loop's TLS has left them out.
        """
        connection = await super().connect(req, traces, timeout)
        self._step.doing = WAITING
        context = req.ssl if req.url.scheme in ("wss", "https") else self._proxy_ssl
        try:
            if connection.transport is not None:
                ensure_checked(context, connection.transport)
        except BaseException:
            connection.close()
            raise
        return connection

    def _get_ssl_context(self, req: ClientRequest) -> ssl.SSLContext | None:
        # aiohttp makes the request to the proxy itself, as a plain ClientRequest.
        if not isinstance(req, TunnelRequest):
            return self._proxy_ssl if req.is_ssl() else None
        return super()._get_ssl_context(req) if req.url.scheme in ("wss", "https") else None

    async def _start_tls_connection(
        self,
        underlying_transport: asyncio.Transport,
        req: ClientRequest,
        timeout: ClientTimeout,
        client_error: Any = None,
    ) -> tuple[asyncio.BaseTransport, ResponseHandler]:
        if req.url.scheme in ("wss", "https"):
            _mend_abort(underlying_transport)
            kwargs = {} if client_error is None else {"client_error": client_error}
            return await super()._start_tls_connection(
                underlying_transport, req=req, timeout=timeout, **kwargs
            )
        # The tunnel carries ws:// as it is.
        handler: ResponseHandler = self._factory()
        underlying_transport.set_protocol(handler)
        handler.connection_made(underlying_transport)
        return underlying_transport, handler
