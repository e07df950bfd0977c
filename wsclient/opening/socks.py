"""Connections through SOCKS proxies, which are made by aiohttp_socks.

`SocksConnector` overrides one private method of it, and calls another of `aiohttp.TCPConnector`.
`internals` looks for them before it is made.
"""

from __future__ import annotations

import asyncio
from typing import Any, cast

from aiohttp import ClientRequest, ClientTimeout
from aiohttp.client_proto import ResponseHandler
from aiohttp_socks import ProxyConnector

from ..tls.handshake.context import ensure_checked
from .fast import FastConnector
from .handler import Handler
from .step import WAITING, Step

__all__ = ["SocksConnector"]


class SocksConnector(FastConnector, ProxyConnector):
    """A connector whose TLS is for the name that was asked for.

    aiohttp_socks does TLS itself and asks for the URL's host, whatever `server_hostname` says.

    Args:
        step: is told when the way to the server is open.
        kwargs: as for `aiohttp_socks.ProxyConnector`.
    """

    def __init__(self, *, step: Step, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._step = step

    async def connect(self, req: ClientRequest, traces: list[Any], timeout: ClientTimeout) -> Any:
        """Connect, as `aiohttp_socks.ProxyConnector`."""
        connection = await super().connect(req, traces, timeout)
        self._step.doing = WAITING
        return connection

    async def _wrap_create_connection(
        self, *args: Any, req: ClientRequest, timeout: ClientTimeout, **kwargs: Any
    ) -> tuple[asyncio.Transport, ResponseHandler]:
        plain: dict[str, Any] = {**kwargs, "ssl": None}
        transport, handler = await super()._wrap_create_connection(
            *args, req=req, timeout=timeout, **plain
        )
        if not req.is_ssl():
            bounded = cast(Handler, self._factory())
            bounded.keeps = handler
            transport.set_protocol(bounded)
            bounded.connection_made(transport)
            return transport, bounded
        try:
            started = await self._start_tls_connection(transport, req=req, timeout=timeout)
            secured, outer = cast(tuple[asyncio.Transport, ResponseHandler], started)
            ensure_checked(req.ssl, secured)
        except BaseException:
            transport.close()
            raise
        # The handler before holds the stream, which would close the transport when it goes.
        cast(Handler, outer).keeps = handler
        return secured, outer
