"""The two servers: Tornado's and ours, each for the same routes and settings."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from typing import Any

import tornado.websocket
from tornado.httpserver import HTTPServer
from tornado.netutil import bind_sockets
from tornado.web import Application

from wsclient.testing import WebSocketHandler, WebSocketTestServer

__all__ = ["SIDES", "Routes", "Side"]

Routes = Sequence[tuple[Any, ...]]
"""``(pattern, handler class)`` or ``(pattern, handler class, keywords of initialize)`` each."""


@dataclass(frozen=True)
class Side:
    """One of the two servers.

    Attributes:
        name: ``"tornado"`` or ``"ours"``.
        handler: its `WebSocketHandler`, the base class of the handlers of a scenario.
        serve: serves routes with a TLS context, or ``None``, and settings; gives the port.
    """

    name: str
    handler: Any
    serve: Callable[
        [Routes, ssl.SSLContext | None, dict[str, Any]], AbstractAsyncContextManager[int]
    ]


@asynccontextmanager
async def _serve_tornado(
    routes: Routes, tls: ssl.SSLContext | None, settings: dict[str, Any]
) -> AsyncIterator[int]:
    application = Application(list(routes), log_function=lambda _: None, **settings)
    sockets = bind_sockets(0, "127.0.0.1")
    server = HTTPServer(application, ssl_options=tls)
    server.add_sockets(sockets)
    try:
        yield sockets[0].getsockname()[1]
    finally:
        server.stop()
        await server.close_all_connections()


@asynccontextmanager
async def _serve_ours(
    routes: Routes, tls: ssl.SSLContext | None, settings: dict[str, Any]
) -> AsyncIterator[int]:
    # Handlers of some scenarios raise on purpose.
    async with WebSocketTestServer(routes, tls=tls, raise_errors=False, **settings) as server:
        yield server.port


SIDES = (
    Side("tornado", tornado.websocket.WebSocketHandler, _serve_tornado),
    Side("ours", WebSocketHandler, _serve_ours),
)
