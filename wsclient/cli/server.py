"""The server that the demo talks to."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiohttp import WSMsgType, web

__all__ = ["serve"]


@asynccontextmanager
async def serve() -> AsyncIterator[str]:
    """Serve on a free port of the loopback interface, within the running event loop.

    ``/echo`` sends every message back, and knows the subprotocol ``chat.v1``. ``/restart``
    closes with 1012 and a reason. ``/crash`` drops the connection without a word.

    Yields:
        the start of its URLs, such as ``"ws://127.0.0.1:50112"``.
    """
    app = web.Application()
    app.router.add_get("/echo", _echo)
    app.router.add_get("/restart", _restart)
    app.router.add_get("/crash", _crash)
    runner = web.AppRunner(app, handle_signals=False, access_log=None, shutdown_timeout=1.0)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        host, port = runner.addresses[0][:2]
        yield f"ws://{host}:{port}"
    finally:
        await runner.cleanup()


async def _echo(request: web.Request) -> web.WebSocketResponse:
    websocket = web.WebSocketResponse(protocols=["chat.v1"])
    await websocket.prepare(request)
    async for message in websocket:
        if message.type is WSMsgType.TEXT:
            await websocket.send_str(message.data)
        elif message.type is WSMsgType.BINARY:
            await websocket.send_bytes(message.data)
    return websocket


async def _restart(request: web.Request) -> web.WebSocketResponse:
    websocket = web.WebSocketResponse()
    await websocket.prepare(request)
    await websocket.close(code=1012, message=b"new version")
    return websocket


async def _crash(request: web.Request) -> web.WebSocketResponse:
    websocket = web.WebSocketResponse()
    await websocket.prepare(request)
    if request.transport is not None:
        request.transport.abort()
    return websocket
