"""Servers of the test kit at the far end of a network."""

from __future__ import annotations

import contextlib
import ssl
from collections.abc import AsyncIterator
from typing import Any, TypeVar

from robustness.network.network import SERVER, Network
from wsclient.testing import RawServer, WebSocketTestServer

__all__ = ["serve", "serving"]

AnyServer = TypeVar("AnyServer", WebSocketTestServer, RawServer)


@contextlib.asynccontextmanager
async def serving(network: Network, server: AnyServer) -> AsyncIterator[AnyServer]:
    """Run a server in the server's part of a network, in the running event loop.

    At the end everything passes again, so that the server can say goodbye.
    """
    # What it accepts later belongs to the network of the socket that listens.
    with network.server.entered():
        await server.__aenter__()
    error: BaseException | None = None
    try:
        yield server
    except BaseException as caught:
        error = caught
        raise
    finally:
        network.heal()
        await server.__aexit__(None if error is None else type(error), error, None)


def serve(
    network: Network, *served: Any, tls: ssl.SSLContext | None = None
) -> contextlib.AbstractAsyncContextManager[WebSocketTestServer]:
    """Run an echo, or whatever else a `WebSocketTestServer` can serve."""
    return serving(network, WebSocketTestServer(*served, host=SERVER, tls=tls))
