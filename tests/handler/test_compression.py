"""permessage-deflate (RFC 7692), on Tornado's handler and ours."""

from __future__ import annotations

import random
import zlib
from typing import Any

import pytest

from handler.driver import RSV1, Calls, Client, binary, close, pong, text
from handler.scenario import both, same
from handler.test_messages import echo
from wsclient.protocol.opcodes import Opcode

EXTENSIONS = "Sec-WebSocket-Extensions"

LONG = "to be or not to be, " * 50


def compressing(options: dict[str, Any] | None) -> Any:
    """Make a handler that has these compression options and notes its calls."""

    def make(base: Any, calls: Calls) -> Any:
        class Handler(base):
            def get_compression_options(self) -> dict[str, Any] | None:
                return options

        return Handler

    return make


def compressing_echo(options: dict[str, Any] | None) -> Any:
    """Make a handler that has these compression options and echoes."""

    def make(base: Any, calls: Calls) -> Any:
        return compressing(options)(echo(base, calls), calls)

    return make


def deflate(compressor: Any, data: bytes) -> bytes:
    """Compress as a client does (RFC 7692, section 7.2.1)."""
    return bytes(compressor.compress(data) + compressor.flush(zlib.Z_SYNC_FLUSH))[:-4]


def client_compressor(client: Client) -> Any:
    """Return a compressor with the window that was agreed on."""
    return zlib.compressobj(wbits=-int(client.agreed().get("client_max_window_bits") or 15))


@pytest.mark.parametrize(
    ("offer", "agreed"),
    [
        pytest.param("permessage-deflate", {}, id="plain"),
        pytest.param("permessage-deflate; client_max_window_bits", {}, id="client bits, no value"),
        pytest.param(
            "permessage-deflate; client_max_window_bits=10",
            {"client_max_window_bits": "10"},
            id="client bits",
        ),
        pytest.param(
            'permessage-deflate; client_max_window_bits="10"',
            {"client_max_window_bits": "10"},
            id="quoted",
        ),
        pytest.param(
            "permessage-deflate; server_max_window_bits=10",
            {"server_max_window_bits": "10"},
            id="server bits",
        ),
        pytest.param(
            "permessage-deflate; server_max_window_bits=9; client_max_window_bits=9",
            {"server_max_window_bits": "9", "client_max_window_bits": "9"},
            id="both bits",
        ),
        pytest.param(
            "permessage-deflate; server_max_window_bits=10, permessage-deflate",
            {"server_max_window_bits": "10"},
            id="the first of two",
        ),
        pytest.param("x-other; a=b, permessage-deflate", {}, id="behind another extension"),
        pytest.param(
            ["x-other", "permessage-deflate; client_max_window_bits=11"],
            {"client_max_window_bits": "11"},
            id="two headers",
        ),
    ],
)
async def test_offers_that_are_taken(
    offer: str | list[str], agreed: dict[str, str | None]
) -> None:
    """Messages go both ways with what was agreed on; the driver inflates accordingly."""

    seen = await same(compressing_echo({}), exchange_with(offer))
    assert seen.notes == [agreed]
    assert seen.headers["sec-websocket-extensions"].startswith("permessage-deflate")
    assert seen.frames == EXCHANGED


@pytest.mark.parametrize(
    "parameters",
    [
        "server_no_context_takeover",
        "client_no_context_takeover",
        "server_no_context_takeover; client_no_context_takeover",
    ],
)
async def test_takeover_offers(parameters: str) -> None:
    """Tornado overlooks parameters without a value; RFC 7692, section 7.1.1, asks for an echo.

    The echo of the client's is optional: the client may do without it.
    """
    drive = exchange_with(f"permessage-deflate; {parameters}")
    tornado, ours = await both(compressing_echo({}), drive)
    assert tornado.notes == [{}]
    (agreed,) = ours.notes
    assert agreed.keys() <= set(parameters.split("; "))
    assert ("server_no_context_takeover" in agreed) is ("server" in parameters)
    assert tornado.frames == ours.frames == EXCHANGED


EXCHANGED = [text(message, rsv=RSV1) for message in (LONG, LONG, LONG[::-1])] + [close(1000)]


def exchange_with(offer: str | list[str]) -> Any:
    """Make a driver that has three messages echoed with what was agreed on."""

    async def drive(client: Client) -> None:
        await client.open(headers={EXTENSIONS: offer})
        client.notes.append(client.agreed())
        compressor = client_compressor(client)
        for message in (LONG, LONG, LONG[::-1]):
            await client.send(Opcode.TEXT, deflate(compressor, message.encode()), rsv=RSV1)
            await client.receive()
            if "client_no_context_takeover" in client.agreed():
                compressor = client_compressor(client)
        await client.leave()

    return drive


@pytest.mark.parametrize(
    ("offer", "options"),
    [
        pytest.param(None, {}, id="not offered"),
        pytest.param("", {}, id="empty header"),
        pytest.param("x-other", {}, id="another extension"),
        pytest.param("permessage-deflate", None, id="no options"),
    ],
)
async def test_no_compression(offer: str | None, options: dict[str, Any] | None) -> None:
    async def drive(client: Client) -> None:
        await client.open(headers={EXTENSIONS: offer})
        await client.send_text(LONG)
        await client.leave()

    seen = await same(compressing_echo(options), drive)
    assert "sec-websocket-extensions" not in seen.headers
    assert seen.frames == [text(LONG), close(1000)]


@pytest.mark.parametrize(
    "parameters",
    [
        "unknown=1",
        "server_max_window_bits=7",
        "server_max_window_bits=16",
        "client_max_window_bits=x",
    ],
)
async def test_offers_that_break_tornado(parameters: str) -> None:
    """Tornado answers 500; RFC 7692, section 7.1, says to decline the offer."""

    async def drive(client: Client) -> None:
        if await client.request(headers={EXTENSIONS: f"permessage-deflate; {parameters}"}) == 101:
            await client.leave()

    tornado, ours = await both(compressing({}), drive, closes=(0, 1))
    assert tornado.status == 500
    assert ours.status == 101
    assert "sec-websocket-extensions" not in ours.headers


@pytest.mark.parametrize(
    "parameters",
    [
        pytest.param("server_max_window_bits", id="bits without a value"),
        pytest.param("server_no_context_takeover=1", id="takeover with a value"),
        pytest.param("client_no_context_takeover; client_no_context_takeover", id="twice"),
        pytest.param("server_max_window_bits=010", id="leading zero"),
    ],
)
async def test_offers_that_only_tornado_takes(parameters: str) -> None:
    """RFC 7692, section 7.1, says to decline an offer that is not well formed."""

    async def drive(client: Client) -> None:
        await client.request(headers={EXTENSIONS: f"permessage-deflate; {parameters}"})
        await client.leave()

    tornado, ours = await both(compressing({}), drive)
    assert tornado.headers["sec-websocket-extensions"].startswith("permessage-deflate")
    assert ours.status == 101
    assert "sec-websocket-extensions" not in ours.headers


async def test_a_bad_offer_before_a_good_one() -> None:
    """Tornado breaks at the first; RFC 7692, section 5, says to go on to the next."""

    async def drive(client: Client) -> None:
        offer = "permessage-deflate; unknown=1, permessage-deflate; client_max_window_bits=11"
        if await client.request(headers={EXTENSIONS: offer}) == 101:
            client.notes.append(client.agreed())
            await client.leave()

    tornado, ours = await both(compressing({}), drive, closes=(0, 1))
    assert tornado.status == 500
    assert ours.notes == [{"client_max_window_bits": "11"}]


async def test_a_window_of_8_bits() -> None:
    """zlib refuses to compress with it, and Tornado breaks; a window of 9 bits does for it."""

    async def drive(client: Client) -> None:
        headers = {EXTENSIONS: "permessage-deflate; server_max_window_bits=8"}
        if await client.request(headers=headers) == 101:
            client.notes.append(client.agreed())
            await client.send_text(LONG)
            await client.leave()

    tornado, ours = await both(compressing_echo({}), drive, closes=(0, 1))
    assert tornado.status == 500
    assert ours.notes == [{"server_max_window_bits": "8"}]
    assert ours.frames == [text(LONG, rsv=RSV1), close(1000)]


async def test_both_kinds_of_messages_are_compressed() -> None:
    async def drive(client: Client) -> None:
        await client.open(headers={EXTENSIONS: "permessage-deflate"})
        await client.send(Opcode.TEXT, LONG)
        await client.send(Opcode.BINARY, LONG.encode())
        await client.leave()
        client.notes.extend(size < len(LONG) / 5 for size in client.sizes[:2])

    seen = await same(compressing_echo({}), drive)
    assert seen.frames == [text(LONG, rsv=RSV1), binary(LONG.encode(), rsv=RSV1), close(1000)]
    assert seen.notes == [True, True]


@pytest.mark.parametrize("payload", ["", "a", "abc"], ids=["empty", "one", "three"])
async def test_small_messages(payload: str) -> None:
    async def drive(client: Client) -> None:
        await client.open(headers={EXTENSIONS: "permessage-deflate"})
        compressor = client_compressor(client)
        await client.send(Opcode.TEXT, deflate(compressor, payload.encode()), rsv=RSV1)
        await client.send_text(payload)
        await client.leave()

    tornado, ours = await both(compressing_echo({}), drive)
    assert [each.payload for each in ours.frames] == [each.payload for each in tornado.frames]
    assert [each.payload.decode() for each in ours.frames[:2]] == [payload, payload]
    assert tornado.calls == ours.calls


async def test_random_bytes_survive() -> None:
    payload = random.Random(7).randbytes(50_000)

    async def drive(client: Client) -> None:
        await client.open(headers={EXTENSIONS: "permessage-deflate"})
        compressor = client_compressor(client)
        await client.send(Opcode.BINARY, deflate(compressor, payload), rsv=RSV1)
        await client.leave()

    tornado, ours = await both(compressing_echo({}), drive)
    for seen in (tornado, ours):
        assert seen.frames[0].payload == payload


async def test_fragments_of_a_compressed_message() -> None:
    async def drive(client: Client) -> None:
        await client.open(headers={EXTENSIONS: "permessage-deflate"})
        payload = deflate(client_compressor(client), LONG.encode())
        await client.send(Opcode.TEXT, payload[:7], fin=False, rsv=RSV1)
        await client.send(Opcode.CONTINUATION, payload[7:9], fin=False)
        await client.send(Opcode.CONTINUATION, payload[9:])
        await client.leave()

    seen = await same(compressing({}), drive)
    assert seen.calls[1:-1] == [("on_message", LONG)]


async def test_a_ping_between_compressed_fragments() -> None:
    """Tornado forgets that the message is compressed, and hands the deflated bytes on."""

    async def drive(client: Client) -> None:
        await client.open(headers={EXTENSIONS: "permessage-deflate"})
        payload = deflate(client_compressor(client), LONG.encode())
        await client.send(Opcode.BINARY, payload[:7], fin=False, rsv=RSV1)
        await client.send(Opcode.PING, b"x")
        await client.send(Opcode.CONTINUATION, payload[7:])
        await client.leave()

    tornado, ours = await both(compressing({}), drive)
    compressed = deflate(zlib.compressobj(wbits=-15), LONG.encode())
    assert tornado.calls[1:-1] == [("on_ping", b"x"), ("on_message", compressed)]
    assert ours.calls[1:-1] == [("on_ping", b"x"), ("on_message", LONG.encode())]
    assert ours.frames == [pong(b"x"), close(1000)]


@pytest.mark.parametrize(
    ("opcode", "rsv", "start"),
    [
        pytest.param(Opcode.PING, RSV1, False, id="RSV1 in a ping"),
        pytest.param(Opcode.CONTINUATION, RSV1, True, id="RSV1 in a continuation"),
        pytest.param(Opcode.TEXT, RSV1 | 2, False, id="RSV1 and RSV2"),
    ],
)
async def test_rsv1_where_it_may_not_be(opcode: int, rsv: int, start: bool) -> None:
    """RFC 7692, section 6: only the first frame of a message has it."""

    async def drive(client: Client) -> None:
        await client.open(headers={EXTENSIONS: "permessage-deflate"})
        payload = deflate(client_compressor(client), LONG.encode())
        if start:
            await client.send(Opcode.TEXT, payload[:5], fin=False, rsv=RSV1)
            payload = payload[5:]
        await client.send(opcode, payload, rsv=rsv)
        await client.until_end()

    tornado, ours = await both(compressing({}), drive)
    assert (ours.close_code, ours.ended) == (1002, True)
    assert ours.names == ["open", "on_close"]
    if opcode != Opcode.PING:  # Tornado inflates the ping and answers it.
        assert (tornado.frames, tornado.ended) == ([], True)


@pytest.mark.parametrize(
    "payload", [b"\xff\xff\xff", b"\x07"], ids=["no deflate", "reserved block type"]
)
async def test_bytes_that_cannot_be_inflated(payload: bytes) -> None:
    async def drive(client: Client) -> None:
        await client.open(headers={EXTENSIONS: "permessage-deflate"})
        await client.send(Opcode.BINARY, payload, rsv=RSV1)
        await client.until_end()

    tornado, ours = await both(compressing({}), drive)
    assert (tornado.frames, tornado.ended) == ([], True)
    assert [each.opcode for each in ours.frames] == [Opcode.CLOSE]
    assert ours.close_code in (1002, 1007)
    for seen in (tornado, ours):
        assert seen.names == ["open", "on_close"]


@pytest.mark.parametrize(
    "options",
    [{"compression_level": 1}, {"compression_level": 9}, {"mem_level": 1}, {"mem_level": 9}],
    ids=str,
)
async def test_levels(options: dict[str, int]) -> None:
    async def drive(client: Client) -> None:
        await client.open(headers={EXTENSIONS: "permessage-deflate"})
        for _ in range(3):
            await client.send_text(LONG)
        await client.leave()

    seen = await same(compressing_echo(options), drive)
    assert seen.frames == [*[text(LONG, rsv=RSV1)] * 3, close(1000)]


async def test_the_level_matters() -> None:
    """Level 0 stores, level 9 compresses."""
    smaller = {}
    for level in (0, 9):

        async def drive(client: Client) -> None:
            await client.open(headers={EXTENSIONS: "permessage-deflate"})
            await client.send_text(LONG)
            await client.leave()
            client.notes.append(client.sizes[0] < len(LONG))

        seen = await same(compressing_echo({"compression_level": level}), drive)
        smaller[level] = seen.notes
    assert smaller == {0: [False], 9: [True]}


@pytest.mark.parametrize("offered", [False, True])
async def test_the_servers_context(offered: bool) -> None:
    """A second copy of a random message is tiny, if the first is still in the window.

    Tornado overlooks the offer, see above.
    """
    payload = random.Random(7).randbytes(5000)
    offer = "permessage-deflate" + "; server_no_context_takeover" * offered

    async def drive(client: Client) -> None:
        await client.open(headers={EXTENSIONS: offer})
        for _ in range(2):
            await client.send(Opcode.BINARY, payload)
        await client.leave()
        client.notes.append(client.sizes[1] < client.sizes[0] / 10)

    tornado, ours = await both(compressing_echo({}), drive)
    for seen in (tornado, ours):
        assert [each.payload for each in seen.frames[:2]] == [payload, payload]
    assert tornado.notes == [True]
    assert ours.notes == [not offered]
