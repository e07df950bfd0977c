"""The server under test: `WebSocketTestServer` with its echo, in a process of its own.

It prints its port and serves until its stdin is closed.
"""

from __future__ import annotations

import argparse
import asyncio

from peers.vocabulary import MAX_SIZE, quit_with_stdin
from wsclient.testing import EchoHandler, WebSocketTestServer


async def serve(port: int) -> None:
    """Serve on a port of the loopback interface, 0 for a free one, until stdin is closed."""
    async with WebSocketTestServer(
        EchoHandler,
        port=port,
        record=False,
        compression_options={},
        websocket_max_message_size=MAX_SIZE,
    ) as server:
        print(server.port, flush=True)
        await quit_with_stdin()


def main() -> None:
    """Serve as the command line says."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=0, help="0, the default, takes a free one")
    parser.add_argument("--loop", choices=["asyncio", "uvloop"], default="asyncio")
    given = parser.parse_args()
    factory = asyncio.new_event_loop
    if given.loop == "uvloop":
        import uvloop

        factory = uvloop.new_event_loop
    with asyncio.Runner(loop_factory=factory) as runner:
        runner.run(serve(given.port))


if __name__ == "__main__":
    main()
