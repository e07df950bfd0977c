"""permessage-deflate (RFC 7692) with every parameter that the peers take."""

from __future__ import annotations

import itertools
import random
from typing import Any

import pytest

from support.process import PeerProcess
from wsclient import HandshakeError, WebSocketClientConnection, websocket_connect

CHOICES: dict[str, tuple[object, ...]] = {
    "server_no_context_takeover": (False, True),
    "client_no_context_takeover": (False, True),
    "server_max_window_bits": (None, 9),
    "client_max_window_bits": (None, 9),
}


def parameter_sets() -> list[dict[str, Any]]:
    """Return every combination of the four parameters, each with only what is set."""
    return [
        {name: value for name, value in zip(CHOICES, values, strict=True) if value}
        for values in itertools.product(*CHOICES.values())
    ]


def describe(parameters: dict[str, Any]) -> str:
    """Name a set briefly, such as ``snct-cmwb9``."""
    parts = [
        "".join(word[0] for word in name.split("_")) + ("" if value is True else str(value))
        for name, value in parameters.items()
    ]
    return "-".join(parts) or "none"


def every_kind() -> list[str | bytes]:
    """Return messages that make a compressor use its window, its memory and its fallbacks."""
    rng = random.Random(7692)
    noise = rng.randbytes(20_000)
    return [
        "",
        b"",
        "a",
        "hello " * 5_000,
        "hello " * 5_000,
        noise,
        noise,
        "é" * 20_000,
        b"\x00" * 100_000,
    ]


async def exchange(conn: WebSocketClientConnection) -> None:
    """Send each message and read it back."""
    for message in every_kind():
        conn.write_message(message, binary=isinstance(message, bytes))
        assert await conn.read_message() == message


def agreed(conn: WebSocketClientConnection) -> dict[str, str | None]:
    """Return the parameters that the server answered."""
    name, *parameters = conn.response_headers["Sec-WebSocket-Extensions"].split(";")
    assert name.strip() == "permessage-deflate"
    pairs = (each.strip().partition("=") for each in parameters)
    return {key.strip(): value.strip() if sign else None for key, sign, value in pairs}


async def exchange_as_offered(peer: PeerProcess, offer: dict[str, Any]) -> None:
    """Connect with an offer, check that the server kept to it, and exchange messages."""
    async with websocket_connect(peer.url("/echo"), compression_options=offer) as conn:
        answer = agreed(conn)
        if offer.get("server_no_context_takeover"):
            assert "server_no_context_takeover" in answer
        if bits := offer.get("server_max_window_bits"):
            # What is left out is 15.
            assert int(answer.get("server_max_window_bits", 15) or 0) <= bits
        await exchange(conn)


@pytest.mark.abilities("deflate", "deflate-flags")
@pytest.mark.parametrize("offer", parameter_sets(), ids=describe)
async def test_parameters_that_we_offer(peer: PeerProcess, offer: dict[str, Any]) -> None:
    await exchange_as_offered(peer, offer)


@pytest.mark.parametrize("peer", ["tornado"], indirect=True)
async def test_parameters_that_we_offer_to_tornado(peer: PeerProcess) -> None:
    for offer in parameter_sets():
        if "server_no_context_takeover" not in offer:
            await exchange_as_offered(peer, offer)


@pytest.mark.abilities("deflate")
async def test_every_window_size_that_we_offer(peer: PeerProcess) -> None:
    # No server here takes 8, which zlib cannot do for raw data.
    for bits in range(9, 16):
        offer = {"server_max_window_bits": bits, "client_max_window_bits": bits}
        await exchange_as_offered(peer, offer)


@pytest.mark.abilities("deflate")
async def test_window_of_8_bits_of_ours(peer: PeerProcess) -> None:
    # zlib compresses raw data with 9 bits at least; what it makes of that must fit into 8.
    async with websocket_connect(
        peer.url("/echo"), compression_options={"client_max_window_bits": 8}
    ) as conn:
        agreed(conn)
        await exchange(conn)


@pytest.mark.abilities("deflate-query")
async def test_every_window_size_that_the_server_asks_for(peer: PeerProcess) -> None:
    for bits in range(9, 16):
        url = peer.url("/echo", server_max_window_bits=bits, client_max_window_bits=bits)
        async with websocket_connect(url, compression_options={}) as conn:
            assert int(agreed(conn)["client_max_window_bits"] or 0) == bits
            await exchange(conn)


@pytest.mark.parametrize("peer", ["tornado"], indirect=True)
async def test_promise_that_the_server_drops_is_refused(peer: PeerProcess) -> None:
    # Tornado's server does not see parameters without a value, and so would keep its context.
    options = {"server_no_context_takeover": True}
    with pytest.raises(HandshakeError, match="server_no_context_takeover"):
        await websocket_connect(peer.url("/echo"), compression_options=options)


@pytest.mark.abilities("deflate-query")
@pytest.mark.parametrize("wanted", parameter_sets(), ids=describe)
async def test_parameters_that_the_server_asks_for(
    peer: PeerProcess, wanted: dict[str, Any]
) -> None:
    async with websocket_connect(peer.url("/echo", **wanted), compression_options={}) as conn:
        answer = agreed(conn)
        for name, value in wanted.items():
            assert name in answer
            assert value is True or int(answer[name] or 15) == value
        await exchange(conn)


@pytest.mark.abilities("deflate")
@pytest.mark.parametrize(
    "options",
    [{"compression_level": 1}, {"compression_level": 9, "mem_level": 1}, {"threshold": 1000}],
    ids=["fast", "small", "threshold"],
)
async def test_local_settings_change_nothing_for_the_server(
    peer: PeerProcess, options: dict[str, Any]
) -> None:
    async with websocket_connect(peer.url("/echo"), compression_options=options) as conn:
        assert agreed(conn).keys() <= {"client_max_window_bits"}
        await exchange(conn)


async def test_not_offered_is_not_used(peer: PeerProcess) -> None:
    async with websocket_connect(peer.url("/echo")) as conn:
        assert "Sec-WebSocket-Extensions" not in conn.response_headers
        await exchange(conn)


async def test_server_that_declines_is_talked_to_uncompressed(peer: PeerProcess) -> None:
    # picows takes no extension; the others take this one. Both must work with one client.
    async with websocket_connect(peer.url("/echo"), compression_options={}) as conn:
        taken = "Sec-WebSocket-Extensions" in conn.response_headers
        assert taken == ("deflate" in peer.abilities)
        await exchange(conn)
