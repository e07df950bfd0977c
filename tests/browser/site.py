"""A web site whose pages open WebSockets: the handler under test and pages, in one application."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from browser.devtools import Page
from wsclient.testing import WebSocketHandler, websocket_handler

__all__ = ["Hello", "Site", "Talk", "serving", "talk"]

SHUTDOWN_TIMEOUT = 2.0

PAGE = """<!doctype html>
<title>A page with a WebSocket</title>
<link rel="icon" href="data:,">
<script>
// Opens a WebSocket and gives what was seen of it when it has ended.
//   protocols: subprotocols to offer
//   send: texts to send when it is open
//   closeAfter, close: after so many messages, close with these arguments
function talk(url, {protocols = [], send = [], closeAfter = -1, close = [1000]} = {}) {
  return new Promise(resolve => {
    const seen = {opened: false, protocol: "", extensions: "", messages: []};
    const socket = new WebSocket(url, protocols);
    socket.onopen = () => {
      const {protocol, extensions} = socket;
      Object.assign(seen, {opened: true, protocol, extensions});
      send.forEach(message => socket.send(message));
    };
    socket.onmessage = event => {
      seen.messages.push(event.data);
      if (seen.messages.length === closeAfter) socket.close(...close);
    };
    socket.onclose = event => resolve(
      {...seen, code: event.code, reason: event.reason, clean: event.wasClean});
  });
}

// Sends bytes of a pattern, and tells whether the same bytes come back in one binary message.
function echoBytes(url, size) {
  return new Promise((resolve, reject) => {
    const sent = Uint8Array.from({length: size}, (_, index) => index * 31 + (index >> 8));
    const socket = new WebSocket(url);
    socket.binaryType = "arraybuffer";
    socket.onopen = () => socket.send(sent);
    socket.onmessage = ({data}) => {
      const got = data instanceof ArrayBuffer ? new Uint8Array(data) : [];
      resolve(got.length === size && got.every((byte, index) => byte === sent[index]));
      socket.close();
    };
    socket.onclose = event => reject(new Error(`closed: ${event.code} ${event.reason}`));
  });
}

// Asks for anything with all credentials, as for an image of another site.
async function fetchAnything(url) {
  await fetch(url, {mode: "no-cors", credentials: "include"});
}
</script>
"""


class Hello(WebSocketHandler):
    """Repeats what it is told."""

    def on_message(self, message: str | bytes) -> None:
        """Answer."""
        self.write_message(f"You said: {message!s}")


@dataclass(frozen=True)
class Talk:
    """What a page saw of one WebSocket, from `new WebSocket` to its close event."""

    opened: bool
    protocol: str
    extensions: str
    messages: list[str]
    code: int
    reason: str
    clean: bool


async def talk(page: Page, url: str, **options: object) -> Talk:
    """Let the page open a WebSocket; return what it saw when that has ended.

    Args:
        page: shows `PAGE`.
        url: of the server.
        options: as the script of the page says.
    """
    return Talk(**await page.call("talk", url, options))


@dataclass
class Site:
    """A running site.

    Attributes:
        origin: of its pages, such as ``"http://127.0.0.1:50112"``.
        other_origin: of the same pages at another port.
        websocket_url: where the handler is, at the first port.
        origins: the Origin of each request for a WebSocket, in order.
    """

    origin: str
    other_origin: str
    websocket_url: str
    origins: list[str | None] = field(default_factory=list)


@asynccontextmanager
async def serving(
    handler: type[WebSocketHandler],
    *,
    tls: ssl.SSLContext | None = None,
    **settings: Any,
) -> AsyncIterator[Site]:
    """Serve pages at ``/`` and WebSockets, at two ports of 127.0.0.1.

    Args:
        handler: the handler of the WebSockets.
        tls: the context of the server; ``None`` speaks plain HTTP.
        settings: of the handler.
    """
    origins: list[str | None] = []
    answer = websocket_handler(handler, **settings)

    async def note_and_answer(request: web.Request) -> web.StreamResponse:
        origins.append(request.headers.get("Origin"))
        return await answer(request)

    app = web.Application()
    app.router.add_get("/", _show_page)
    app.router.add_get("/sandboxed", _show_sandboxed_page)
    app.router.add_get("/ws", note_and_answer)
    runner = web.AppRunner(app, handle_signals=False, shutdown_timeout=SHUTDOWN_TIMEOUT)
    await runner.setup()
    try:
        for _ in range(2):
            await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls).start()
        port, other_port = (address[1] for address in runner.addresses)
        secure = "s" if tls else ""
        yield Site(
            f"http{secure}://127.0.0.1:{port}",
            f"http{secure}://127.0.0.1:{other_port}",
            f"ws{secure}://127.0.0.1:{port}/ws",
            origins,
        )
    finally:
        await runner.cleanup()


async def _show_page(request: web.Request) -> web.Response:
    return web.Response(text=PAGE, content_type="text/html")


async def _show_sandboxed_page(request: web.Request) -> web.Response:
    """Show the page in a way that its origin is ``null``."""
    response = await _show_page(request)
    response.headers["Content-Security-Policy"] = "sandbox allow-scripts"
    return response
