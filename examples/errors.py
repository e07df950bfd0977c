"""Errors: what each failure looks like, and what a program can do about it.

    python examples/errors.py [URL]

Without a URL it provokes one failure after the other on a server of its own.
"""

from __future__ import annotations

import asyncio
import socket
import sys

from wsclient import (
    CloseCause,
    ConnectError,
    ConnectTimeoutError,
    HandshakeError,
    InvalidURLError,
    WebSocketClosedError,
    websocket_connect,
)
from wsclient.testing import (
    Dialogue,
    WebSocketHandler,
    WebSocketServerConnection,
    WebSocketTestServer,
)


async def main(url: str) -> None:
    """Connect, read until the end, and say what to do after whatever went wrong."""
    print(f"\n{url}")
    try:
        conn = await websocket_connect(url, connect_timeout=0.5, max_message_size=1000)
    except InvalidURLError as error:
        print("correct the URL:", error)
    except HandshakeError as error:
        if error.status in (401, 403):
            body = error.body.decode(errors="replace")
            print(f"get new credentials: {error} The server says: {body}")
        elif error.status in (429, 503):
            print("come back later:", error)
        else:
            print("do not try again:", error)
    except ConnectTimeoutError as error:
        print("try again later, or raise connect_timeout:", error)
    except ConnectError as error:
        # The root of all that connecting can raise; phase is dns, tcp, proxy, tls or http.
        print(f"try again later (phase {error.phase}): {error}")
    else:
        while (message := await conn.read_message()) is not None:
            print("received", repr(message))
        info = await conn.wait_closed()
        if info.clean:
            print("the server had enough:", info)
        elif info.cause in (CloseCause.PROTOCOL_ERROR, CloseCause.MESSAGE_TOO_BIG):
            print("trying again will not help:", info)
        else:
            print("try again:", info)
        try:
            await conn.write_message("too late")
        except WebSocketClosedError as error:
            print("and for writing it is too late:", type(error).__name__, error.code)


# The server to try it with.


async def crash(conn: WebSocketServerConnection) -> None:
    conn.abort()


class Forbid(WebSocketHandler):
    def prepare(self) -> None:
        self.set_status(403)
        self.finish("the token has expired")


class Overloaded(WebSocketHandler):
    def prepare(self) -> None:
        self.set_status(503)
        self.set_header("Retry-After", "30")
        self.finish()


class Hang(WebSocketHandler):
    async def prepare(self) -> None:
        await asyncio.sleep(1)


ROUTES = [
    ("/close", Dialogue().close(4001, "session expired")),
    ("/crash", crash),
    ("/flood", Dialogue().send("x" * 1001).expect_close()),
    ("/forbid", Forbid),
    ("/overloaded", Overloaded),
    ("/hang", Hang),
]


async def with_server() -> None:
    async with WebSocketTestServer(ROUTES) as server:
        for path in ("close", "crash", "flood", "forbid", "overloaded", "hang", "nothing-here"):
            await main(server.url + path)
        await main(f"http://127.0.0.1:{server.port}/close")
    with socket.create_server(("127.0.0.1", 0)) as unused:
        port = unused.getsockname()[1]
    await main(f"ws://127.0.0.1:{port}/")


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]) if sys.argv[1:] else with_server())
