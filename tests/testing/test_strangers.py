"""The server, driven by the clients of other libraries."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from support.unavailable import UnavailableError
from testing.strangers import STRANGERS, Outcome, Step, visit
from wsclient.protocol.opcodes import Opcode
from wsclient.testing import (
    EchoHandler,
    IssuedCertificate,
    ServedConnection,
    WebSocketHandler,
    WebSocketServerConnection,
    WebSocketTestServer,
    encode_frame,
)

MIB = 1024 * 1024

CODES = ["no-reason", "reason", "long-reason"]

everybody = pytest.mark.parametrize("name", list(STRANGERS))


def those_with(ability: str) -> pytest.MarkDecorator:
    """Run with the clients that can do this."""
    return pytest.mark.parametrize("name", [n for n, can in STRANGERS.items() if ability in can])


async def visited(
    name: str, server: WebSocketTestServer, *steps: Step, **options: Any
) -> tuple[Outcome, ServedConnection]:
    """Have a client take steps; return what it saw, and what the server saw of it."""
    try:
        outcome = await visit(name, server.url, steps, **options)
    except UnavailableError as error:
        if error.required:
            raise
        pytest.skip(str(error))
    served = await server.wait_for_connection()
    await served.wait_closed()
    return outcome, served


MESSAGES: list[str | bytes] = [
    "text",
    "é€\U0001f600",
    b"\x00\xff",
    "",
    b"",
    "x" * 126,
    b"y" * 65536,
]


@everybody
async def test_messages(name: str) -> None:
    steps = [step for message in MESSAGES for step in (("send", message), ("receive",))]
    async with WebSocketTestServer() as server:
        outcome, served = await visited(name, server, *steps, ("close", 1000, ""))
    assert outcome.received == served.received == served.sent == MESSAGES
    assert served.close_info is not None
    assert served.close_info.clean


@everybody
@pytest.mark.parametrize("message", ["é" * (MIB // 2), b"\xa5" * MIB], ids=["text", "binary"])
async def test_large_messages(name: str, message: str | bytes) -> None:
    steps = [("send", message), ("receive",), ("send", message), ("receive",)]
    async with WebSocketTestServer() as server:
        outcome, _ = await visited(name, server, *steps, ("close", 1000, ""))
    assert outcome.received == [message] * 2


@everybody
async def test_fragments_of_the_server(name: str) -> None:
    class Fragmenting(WebSocketHandler):
        def open(self, *args: Any, **kwargs: Any) -> None:
            assert self.ws_connection is not None
            parts = [b"one \xc3", b"\xa9 ", b"", b"three"]
            for number, part in enumerate(parts):
                kind = Opcode.CONTINUATION if number else Opcode.TEXT
                self.ws_connection.send_bytes(encode_frame(kind, part, fin=number == 3))
                self.ws_connection.ping(b"between")

    async with WebSocketTestServer(Fragmenting) as server:
        outcome, served = await visited(name, server, ("receive",), ("close", 1000, ""))
    assert outcome.received == served.sent == ["one é three"]


@those_with("fragments")
@pytest.mark.parametrize("parts", [["a", "", "é"], [b"\x00", b"\xff" * 70_000]], ids=["text", "b"])
async def test_fragments_of_the_client(name: str, parts: list[Any]) -> None:
    whole = parts[0][:0].join(parts)
    async with WebSocketTestServer() as server:
        steps = [("fragments", parts), ("receive",), ("close", 1000, "")]
        outcome, served = await visited(name, server, *steps)
    assert outcome.received == served.received == [whole]
    received = [each for each in served.frames if each.direction == "received"]
    # websockets ends every fragmented message with an empty frame.
    assert [each.fin for each in received[: len(parts) - 1]] == [False] * (len(parts) - 1)


@everybody
async def test_a_ping_of_the_client(name: str) -> None:
    pings: list[bytes] = []

    class Listening(EchoHandler):
        def on_ping(self, data: bytes) -> None:
            pings.append(data)

    async with WebSocketTestServer(Listening) as server:
        steps = [("send", "x"), ("receive",), ("ping", b"are you there?"), ("close", 1000, "")]
        outcome, _ = await visited(name, server, *steps)
    assert outcome.pongs == pings == [b"are you there?"]


@everybody
async def test_a_ping_of_the_server(name: str) -> None:
    async def serve(conn: WebSocketServerConnection) -> None:
        seconds = await conn.ping(b"and you?")
        await conn.write_message(f"pong after {seconds:.3f} s")
        await conn.wait_closed()

    async with WebSocketTestServer(serve) as server:
        outcome, served = await visited(name, server, ("receive",), ("close", 1000, ""))
    assert str(outcome.received[0]).startswith("pong after ")
    pong = next(each for each in served.frames if each.opcode == Opcode.PONG)
    assert (pong.direction, pong.masked, pong.payload) == ("received", True, b"and you?")


@everybody
@pytest.mark.parametrize(
    ("code", "reason"), [(1000, ""), (1001, "leaving"), (4321, "é" * 61)], ids=CODES
)
async def test_the_client_closes(name: str, code: int, reason: str) -> None:
    async with WebSocketTestServer() as server:
        steps = [("send", "x"), ("receive",), ("close", code, reason)]
        outcome, served = await visited(name, server, *steps)
    info = served.close_info
    assert info is not None
    assert (info.code, info.reason, info.clean, info.received_first) == (code, reason, True, True)
    assert outcome.code == code
    received, sent = served.frames[-2:]
    assert (received.direction, received.masked, sent.direction) == ("received", True, "sent")
    assert received.payload == sent.payload


@everybody
@pytest.mark.parametrize(
    ("code", "reason"), [(1000, ""), (1011, "broken"), (4321, "é" * 61)], ids=CODES
)
async def test_the_server_closes(name: str, code: int, reason: str) -> None:
    class Closing(WebSocketHandler):
        async def on_message(self, message: str | bytes) -> None:
            await self.write_message("last")
            self.close(code, reason)

    async with WebSocketTestServer(Closing) as server:
        steps = [("send", "x"), ("receive",), ("wait_closed",)]
        outcome, served = await visited(name, server, *steps)
    assert outcome.received == ["last"]
    assert (outcome.code, outcome.reason) == (code, reason)
    info = served.close_info
    assert info is not None
    assert (info.sent, info.clean, info.received_first) == (code, True, False)


@those_with("compression")
async def test_compression(name: str) -> None:
    await compress(name, {})


@those_with("compression")
async def test_compression_with_small_windows(name: str) -> None:
    await compress(name, {"client_max_window_bits": 9, "server_max_window_bits": 9})


@those_with("flags")
async def test_compression_without_context_takeover(name: str) -> None:
    flags = {"server_no_context_takeover": True, "client_no_context_takeover": True}
    await compress(name, flags)


async def compress(name: str, options: dict[str, Any]) -> None:
    """Have the same text pass four times, compressed."""
    text = "the same again and again " * 400
    steps = [("send", text), ("receive",), ("send", text), ("receive",), ("close", 1000, "")]
    async with WebSocketTestServer(compression_options=options) as server:
        outcome, served = await visited(name, server, *steps, compression=True)
    assert outcome.received == served.received == served.sent == [text, text]
    frames = [each for each in served.frames if each.opcode == Opcode.TEXT]
    assert [each.rsv for each in frames] == [4] * 4
    assert max(len(each.payload) for each in frames) < len(text) // 10
    extensions = served.handshake.response_headers["Sec-WebSocket-Extensions"]
    assert extensions.startswith("permessage-deflate")


@those_with("compression")
async def test_compression_that_the_server_does_not_want(name: str) -> None:
    async with WebSocketTestServer() as server:
        steps = [("send", "x" * 1000), ("receive",), ("close", 1000, "")]
        outcome, served = await visited(name, server, *steps, compression=True)
    assert outcome.received == ["x" * 1000]
    assert "Sec-WebSocket-Extensions" in served.handshake.request_headers
    assert "Sec-WebSocket-Extensions" not in served.handshake.response_headers


@everybody
async def test_a_subprotocol(name: str) -> None:
    async with WebSocketTestServer(subprotocols=["chat.v1", "chat.v2"]) as server:
        steps = [("close", 1000, "")]
        outcome, served = await visited(
            name, server, *steps, subprotocols=["other", "chat.v2", "chat.v1"]
        )
    assert outcome.subprotocol == "chat.v2"
    assert served.connection.selected_subprotocol == "chat.v2"


@everybody
async def test_over_tls(name: str, certificates: IssuedCertificate, tmp_path: Path) -> None:
    ca_file = tmp_path / "authority.pem"
    ca_file.write_bytes(certificates.root_pem)
    async with WebSocketTestServer(tls=certificates.server_context()) as server:
        steps = [("send", "x"), ("receive",), ("send", b"y" * MIB), ("receive",)]
        outcome, served = await visited(
            name, server, *steps, ("close", 3000, "done"), ca_file=ca_file
        )
    assert outcome.received == ["x", b"y" * MIB]
    info = served.close_info
    assert info is not None
    assert (info.code, info.reason, info.clean) == (3000, "done", True)
