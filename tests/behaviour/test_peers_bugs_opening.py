"""Bugs of other clients in the opening handshake: rows E10 to E12 of the comparison."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable

import pytest

from behaviour.servers import WAIT
from wsclient import ConnectTimeoutError, HandshakeError, websocket_connect
from wsclient.testing.raw import RawConnection, RawServer

# E10: refused with a body


async def test_e10_refusal_has_status_headers_and_body() -> None:
    body = json.dumps({"error": "forbidden"}).encode()

    async def serve(wire: RawConnection) -> None:
        await wire.read_request()
        fields = {"Content-Type": "application/json", "Retry-After": "7"}
        await wire.respond("403 Forbidden", fields, body)

    async with RawServer(serve) as server:
        with pytest.raises(HandshakeError, match="403") as caught:
            await websocket_connect(server.url)
    error = caught.value
    assert (error.status, error.phase) == (403, "http")
    assert error.headers["retry-after"] == "7"
    assert error.headers["content-type"] == "application/json"
    assert error.body == body
    assert "Origin" in error.hint


@pytest.mark.parametrize("length", [True, False], ids=["with length", "endless"])
async def test_e10_body_is_cut_at_64_kib(length: bool) -> None:
    async def serve(wire: RawConnection) -> None:
        await wire.read_request()
        framing = f"Content-Length: {10**9}" if length else "Connection: close"
        await wire.send(f"HTTP/1.1 500 Oops\r\n{framing}\r\n\r\n".encode())
        while True:
            await wire.send(b"x" * 65536)

    async with RawServer(serve) as server:
        with pytest.raises(HandshakeError) as caught:
            await asyncio.wait_for(websocket_connect(server.url), WAIT)
    assert caught.value.body == b"x" * 65536


# E11: a wrong accept key


@pytest.mark.parametrize("value", ["bm90IHRoZSByaWdodCBvbmU=", "", None], ids=repr)
async def test_e11_wrong_accept_key_is_named(value: str | None) -> None:
    async def serve(wire: RawConnection) -> None:
        await wire.accept({"Sec-WebSocket-Accept": value})
        assert await wire.read_to_end() == b""

    async with RawServer(serve) as server:
        with pytest.raises(HandshakeError, match="Sec-WebSocket-Accept") as caught:
            await websocket_connect(server.url)
    assert caught.value.status == 101


# E12: no answer


async def silent(wire: RawConnection) -> None:
    await wire.read_to_end()


async def trickling(wire: RawConnection) -> None:
    for byte in b"HTTP/1.1 101 Switching Protocols\r\n" + b"X-Slow: yes\r\n" * 10:
        if wire.writer.is_closing():
            break
        await wire.send(bytes([byte]))
        await asyncio.sleep(0.05)


@pytest.mark.parametrize("serve", [silent, trickling])
async def test_e12_connect_timeout_covers_the_answer(
    serve: Callable[[RawConnection], Awaitable[None]],
) -> None:
    loop = asyncio.get_running_loop()
    async with RawServer(serve) as server:
        begun = loop.time()
        with pytest.raises(ConnectTimeoutError) as caught:
            await websocket_connect(server.url, connect_timeout=0.3)
        assert 0.28 <= loop.time() - begun < 1.0
    error = caught.value
    assert error.phase == "timeout"
    assert isinstance(error, TimeoutError)
    assert server.url in str(error)
    assert "0.3 seconds" in str(error)
    assert "waiting for the server's answer" in str(error)
