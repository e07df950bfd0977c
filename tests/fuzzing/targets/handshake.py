"""The opening handshake: headers of an answer or a request, whatever is in them.

An input is two bytes of options, then lines ``name:value``; in those of a request the first line
is the method. ``{accept}`` stands for the token that answers our key.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Sequence
from typing import TypeVar

from fuzzing.promises import check_text
from wsclient.errors import HandshakeError
from wsclient.protocol.accepting import (
    Refusal,
    UpgradeRequest,
    accept_deflate,
    accept_headers,
    check_request,
)
from wsclient.protocol.deflate import DeflateOffer
from wsclient.protocol.handshake import (
    Agreement,
    accept_token,
    check_header,
    check_response,
    check_subprotocols,
    check_token,
    header_elements,
    parse_extensions,
)

__all__ = ["fuzz"]

_KEY = "AAECAwQFBgcICQoLDA0ODw=="
_SUBPROTOCOLS = ("chat", "v2.bearer.SECRET-TOKEN", "x")
_T = TypeVar("_T")
_Headers = list[tuple[str, str]]


def fuzz(data: bytes) -> None:
    """Feed one input.

    Raises:
        AssertionError: an answer is judged wrongly, or an error shows what it must not.
    """
    if len(data) < 2:
        return
    # As aiohttp decodes headers.
    text = data[2:].decode("utf-8", "surrogateescape")
    lines = text.replace("{accept}", accept_token(_KEY)).split("\n")
    if data[0] & 1:
        _fuzz_request(lines[0], _headers(lines[1:]), data[0], data[1])
    else:
        _fuzz_answer(_headers(lines), data[0], data[1])
    for name, value in _headers(lines):
        _fuzz_texts(name, value)


def _headers(lines: Sequence[str]) -> _Headers:
    pairs = (line.partition(":") for line in lines)
    return [(name, value) for name, _, value in pairs]


def _offer(first: int, second: int) -> DeflateOffer:
    bits = (None, *range(8, 16))
    return DeflateOffer(
        server_no_context_takeover=bool(first & 4),
        client_no_context_takeover=bool(first & 8),
        server_max_window_bits=bits[(second & 15) % 9],
        client_max_window_bits=bits[(second >> 4) % 9],
    )


def _fuzz_answer(headers: _Headers, first: int, second: int) -> None:
    offer = _offer(first, second) if first & 2 else None
    offered = _SUBPROTOCOLS[: (first >> 4) % 4]
    outcome = _judged(headers, offered, offer)
    # Neither case nor the order of different names matters, nor what other headers say.
    for change in (str.lower, str.upper):
        changed = [(_in_case(name, change), value) for name, value in headers]
        assert _judged(changed, offered, offer) == outcome
    ordered = sorted(headers, key=lambda header: _in_case(header[0], str.lower))
    assert _judged([("X-Other", "websocket"), *ordered], offered, offer) == outcome
    if outcome is None:
        return
    assert outcome.subprotocol is None or outcome.subprotocol in offered
    agreed = outcome.deflate
    if agreed is None:
        return
    assert offer is not None
    assert 8 <= agreed.server_max_window_bits <= (offer.server_max_window_bits or 15)
    assert 8 <= agreed.client_max_window_bits <= (offer.client_max_window_bits or 15)
    assert agreed.server_no_context_takeover or not offer.server_no_context_takeover
    assert agreed.client_no_context_takeover or not offer.client_no_context_takeover


def _in_case(name: str, change: Callable[[str], str]) -> str:
    # The names of headers are ASCII; what is not is no header of ours.
    return change(name) if name.isascii() else name


def _judged(
    headers: _Headers, offered: Sequence[str], offer: DeflateOffer | None
) -> Agreement | None:
    """Return what was agreed; ``None`` for an answer that was refused as documented."""
    try:
        return check_response(headers, key=_KEY, subprotocols=offered, deflate=offer)
    except HandshakeError as exc:
        check_text(str(exc))
        assert (exc.status, exc.phase) == (101, "http")
        # A subprotocol may be a password: it is shown only where the server has sent it.
        if not any("SECRET-TOKEN" in value for _, value in headers):
            assert "SECRET-TOKEN" not in str(exc)
        return None


def _fuzz_request(method: str, headers: _Headers, first: int, second: int) -> None:
    version = ((1, 1), (1, 0), (2, 0), (0, 9))[first >> 4 & 3]
    request = check_request(method, headers, version=version)
    if isinstance(request, Refusal):
        assert request.status in (400, 405, 426)
        check_text(request.reason)
        return
    assert method == "GET" and version >= (1, 1)
    assert len(base64.b64decode(request.key.encode("ascii"), validate=True)) == 16
    accepted = accept_deflate(request.deflate_offers, _offer(first, second))
    chosen = request.subprotocols[-1] if request.subprotocols else None
    answer = accept_headers(
        request, subprotocol=chosen, extensions="" if accepted is None else accepted[1]
    )
    # A client that had asked for this would take the answer, and understand the same.
    agreement = check_response(
        answer,
        key=request.key,
        subprotocols=request.subprotocols,
        deflate=_as_offer(request),
    )
    assert agreement.subprotocol == chosen
    assert agreement.deflate == (None if accepted is None else accepted[0])


def _as_offer(request: UpgradeRequest) -> DeflateOffer | None:
    """Return what the client must have offered, judged by what the server took up."""
    if not request.deflate_offers:
        return None
    offer = request.deflate_offers[0]
    return DeflateOffer(
        server_no_context_takeover="server_no_context_takeover" in offer,
        client_no_context_takeover="client_no_context_takeover" in offer,
        server_max_window_bits=offer.get("server_max_window_bits"),
        client_max_window_bits=offer.get("client_max_window_bits"),
    )


def _fuzz_texts(name: str, value: str) -> None:
    """Feed the functions for single texts; `ValueError` is all that they may raise."""
    assert all(each == each.strip(" \t") for each in header_elements(value))
    extensions = _refused(lambda: parse_extensions(value))
    if extensions is not None:
        assert extensions and parse_extensions(_written(extensions)) == extensions
    _refused(lambda: check_token(name, "the name"))
    offered = [each.strip() for each in value.split(",")]
    if _refused(lambda: check_subprotocols(offered)) is not None:
        assert len(set(offered)) == len(offered)
    try:
        check_header(name, value)
    except ValueError as exc:
        check_text(str(exc))
    else:
        assert not set(value) & set("\r\n\0") and name.isascii()
        value.encode("latin-1")


def _refused(call: Callable[[], _T]) -> _T | None:
    try:
        return call()
    except ValueError as exc:
        check_text(str(exc))
        return None


def _written(extensions: list[tuple[str, list[tuple[str, str | None]]]]) -> str:
    """Write a header that means these extensions."""
    parts = []
    for name, parameters in extensions:
        values = (key if value is None else f'{key} = "{value}"' for key, value in parameters)
        parts.append(" ; ".join([name, *values]))
    return ", ,".join(parts)
