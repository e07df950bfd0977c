"""The server's half of the opening handshake: what a request asks for, and the answer.

Pure functions over header names and values, as in `handshake` (RFC 6455, section 4.2; RFC 7692,
section 7.1). What is refused comes back as a value, not as an exception: to a server it is
everyday business.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from .deflate import DeflateOffer, DeflateParameters
from .handshake import accept_token, header_elements, join_headers, parse_extensions

__all__ = ["Refusal", "UpgradeRequest", "accept_deflate", "accept_headers", "check_request"]

_DEFLATE: Final = "permessage-deflate"
_FLAGS: Final = frozenset({"server_no_context_takeover", "client_no_context_takeover"})
_SIZES: Final = frozenset({"server_max_window_bits", "client_max_window_bits"})
_WINDOW_BITS: Final = {str(bits): bits for bits in range(8, 16)}
_MAX_WINDOW_BITS: Final = 15

DeflateOffers = tuple[Mapping[str, int | None], ...]
"""What a client offers of permessage-deflate: one mapping for each offer that can be accepted,
from parameters to their values, ``None`` for those without a value."""


@dataclass(frozen=True, slots=True)
class UpgradeRequest:
    """What a client asks for.

    Attributes:
        key: its Sec-WebSocket-Key.
        subprotocols: offered, in order of preference.
        deflate_offers: offers of permessage-deflate, in order of preference.
    """

    key: str
    subprotocols: tuple[str, ...]
    deflate_offers: DeflateOffers


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a request does not open a WebSocket.

    Attributes:
        status: HTTP status for the answer.
        reason: one sentence for the body of the answer.
        headers: for the answer.
    """

    status: int
    reason: str
    headers: Mapping[str, str]


def check_request(
    method: str, headers: Iterable[tuple[str, str]], *, version: tuple[int, int] = (1, 1)
) -> UpgradeRequest | Refusal:
    """Check a request that may ask for a WebSocket (RFC 6455, section 4.2.1).

    Host is the HTTP server's business.

    Args:
        method: of the request.
        headers: of the request, in its order, repeated ones too.
        version: of HTTP, major and minor.

    Returns:
        what is asked for; or why no WebSocket can be opened, and how to answer.
    """
    request = join_headers(headers)
    if method != "GET":
        return Refusal(405, "A WebSocket is opened with GET.", {"Allow": "GET"})
    if version < (1, 1):
        return _bad("A WebSocket is opened with HTTP/1.1.")
    if "websocket" not in header_elements(request.get("upgrade", "")):
        return _bad("The request lacks the header 'Upgrade: websocket'.")
    if "upgrade" not in header_elements(request.get("connection", "")):
        return _bad("The request lacks the header 'Connection: Upgrade'.")
    if request.get("sec-websocket-version", "").strip(" \t") != "13":
        # RFC 6455, section 4.4.
        return Refusal(
            426, "Only version 13 of the protocol is known here.", {"Sec-WebSocket-Version": "13"}
        )
    key = request.get("sec-websocket-key", "").strip(" \t")
    if not _is_key(key):
        return _bad("The request has no Sec-WebSocket-Key of 16 bytes in base64.")
    offered = request.get("sec-websocket-protocol", "").split(",")
    subprotocols = tuple(name for name in (each.strip(" \t") for each in offered) if name)
    return UpgradeRequest(
        key, subprotocols, _deflate_offers(request.get("sec-websocket-extensions"))
    )


def _bad(reason: str) -> Refusal:
    return Refusal(400, reason, {})


def _is_key(key: str) -> bool:
    try:
        return len(base64.b64decode(key, validate=True)) == 16
    except (binascii.Error, ValueError):
        return False


def _deflate_offers(value: str | None) -> DeflateOffers:
    if value is None:
        return ()
    try:
        extensions = parse_extensions(value)
    except ValueError:
        # RFC 6455, section 9.1, would let us fail the handshake. Without extensions it works.
        return ()
    offers = (_read_offer(parameters) for name, parameters in extensions if name == _DEFLATE)
    return tuple(offer for offer in offers if offer is not None)


def _read_offer(parameters: Sequence[tuple[str, str | None]]) -> dict[str, int | None] | None:
    """Return the parameters; ``None`` for an offer to be declined (RFC 7692, section 7.1)."""
    offer: dict[str, int | None] = {}
    for name, value in parameters:
        if name in offer or name not in _FLAGS | _SIZES:
            return None
        if value is not None:
            if name in _FLAGS or value not in _WINDOW_BITS:
                return None
            offer[name] = _WINDOW_BITS[value]
        elif name == "server_max_window_bits":
            return None
        else:
            offer[name] = None
    return offer


def accept_deflate(
    offers: DeflateOffers, wanted: DeflateOffer
) -> tuple[DeflateParameters, str] | None:
    """Accept the first offer of permessage-deflate.

    Args:
        offers: from `check_request`.
        wanted: what this server wants: ``*_no_context_takeover`` also unasked, and
            ``client_max_window_bits`` where the client lets us say.

    Returns:
        what is agreed, and the value of Sec-WebSocket-Extensions that says so; ``None`` when
        nothing was offered (RFC 7692, sections 7.1.1 and 7.1.2).
    """
    if not offers:
        return None
    offer = offers[0]
    parts = [_DEFLATE]
    flags = {}
    for name in ("server_no_context_takeover", "client_no_context_takeover"):
        flags[name] = name in offer or getattr(wanted, name)
        if flags[name]:
            parts.append(name)
    server_bits = min(
        offer.get("server_max_window_bits") or _MAX_WINDOW_BITS,
        wanted.server_max_window_bits or _MAX_WINDOW_BITS,
    )
    if "server_max_window_bits" in offer or server_bits < _MAX_WINDOW_BITS:
        parts.append(f"server_max_window_bits={server_bits}")
    client_bits = offer.get("client_max_window_bits") or _MAX_WINDOW_BITS
    if "client_max_window_bits" in offer:
        client_bits = min(client_bits, wanted.client_max_window_bits or _MAX_WINDOW_BITS)
        if client_bits < _MAX_WINDOW_BITS:
            parts.append(f"client_max_window_bits={client_bits}")
    parameters = DeflateParameters(
        server_max_window_bits=server_bits, client_max_window_bits=client_bits, **flags
    )
    return parameters, "; ".join(parts)


def accept_headers(
    request: UpgradeRequest, *, subprotocol: str | None, extensions: str
) -> list[tuple[str, str]]:
    """Return the headers of the 101 that opens the WebSocket (RFC 6455, section 4.2.2).

    Args:
        request: what is answered.
        subprotocol: the choice, ``None`` for none.
        extensions: value of Sec-WebSocket-Extensions, empty for none.
    """
    headers = [
        ("Upgrade", "websocket"),
        ("Connection", "Upgrade"),
        ("Sec-WebSocket-Accept", accept_token(request.key)),
    ]
    if subprotocol:
        headers.append(("Sec-WebSocket-Protocol", subprotocol))
    if extensions:
        headers.append(("Sec-WebSocket-Extensions", extensions))
    return headers
