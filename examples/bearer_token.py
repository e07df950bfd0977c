"""A token that expires: it is fetched anew when the server does not take the old one any more.

    python examples/bearer_token.py [URL]

``auth=`` takes a client middleware of aiohttp, which sees each request and its answer.

Without a URL it starts a server of its own, which takes each token for two connections.
"""

from __future__ import annotations

import asyncio
import itertools
import sys

from aiohttp import ClientHandlerType, ClientRequest, ClientResponse, web

from wsclient import websocket_connect
from wsclient.testing import WebSocketHandler, WebSocketTestServer

_numbers = itertools.count(1)


async def fetch_token() -> str:
    return f"token-{next(_numbers)}"  # ask the authorization server here


class BearerToken:
    """Shows a token, and fetches another one when that is refused."""

    def __init__(self) -> None:
        self._token = ""

    async def __call__(self, request: ClientRequest, handler: ClientHandlerType) -> ClientResponse:
        for fresh in (not self._token, True):
            if fresh:
                self._token = await fetch_token()
            request.headers["Authorization"] = f"Bearer {self._token}"
            response = await handler(request)
            if response.status != 401:
                break
        return response


async def main(url: str) -> None:
    token = BearerToken()  # one for all connections
    for _ in range(4):
        async with websocket_connect(url, auth=token) as conn:
            print("connected to", conn.url)


# The server to try it with.


class Guarded(WebSocketHandler):
    shown: list[str] = []  # noqa: RUF012

    def prepare(self) -> None:
        token = self.request.headers.get("Authorization", "")
        self.shown.append(token)
        if self.shown.count(token) > 2:
            raise web.HTTPUnauthorized(text="the token has expired")


async def with_server() -> None:
    async with WebSocketTestServer(Guarded) as server:
        await main(server.url)
    print("the server was shown:", Guarded.shown)
    assert Guarded.shown == ["Bearer token-1"] * 3 + ["Bearer token-2"] * 2


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]) if sys.argv[1:] else with_server())
