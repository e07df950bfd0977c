"""The opening handshake: what we ask for, and whether the answer opens a WebSocket.

Pure functions over header names and values (RFC 6455, sections 4.1, 4.2.2, 9.1 and 11.3;
RFC 7230, sections 3.2 and 7). The status line is the caller's business: `check_response` is
for answers with status 101.
"""

from __future__ import annotations

import base64
import hashlib
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from ..errors import HandshakeError, ProtocolError
from .deflate import DeflateOffer, DeflateParameters, negotiate

__all__ = [
    "RESERVED_HEADERS",
    "Agreement",
    "accept_token",
    "check_header",
    "check_not_reserved",
    "check_response",
    "check_subprotocols",
    "check_token",
    "header_elements",
    "join_headers",
    "make_key",
    "parse_extensions",
    "upgrade_headers",
]

_GUID: Final = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_DEFLATE: Final = "permessage-deflate"

_SYMBOLS: Final = "!#$%&'*+-.^_`|~"
_TOKEN_CHAR: Final = r"[!#$%&'*+\-.^_`|~0-9A-Za-z]"
_TOKEN: Final = re.compile(f"{_TOKEN_CHAR}+")
# Only what is a token once it is unquoted is allowed (RFC 6455, section 9.1).
_QUOTED_TOKEN: Final = re.compile(rf'"((?:\\?{_TOKEN_CHAR})+)"')
_SPACE: Final = re.compile(r"[ \t]*")
_NOT_IN_VALUE: Final = re.compile(r"[^\t\x20-\x7e\x80-\xff]")

_RESERVED: Final[Mapping[str, str]] = {
    "upgrade": "leave it out",
    "connection": "leave it out",
    "sec-websocket-accept": "leave it out: only servers send it",
    "sec-websocket-extensions": "use compression_options= for permessage-deflate",
    "sec-websocket-key": "leave it out",
    "sec-websocket-protocol": "use subprotocols= instead",
    "sec-websocket-version": "leave it out",
}

RESERVED_HEADERS: Final[frozenset[str]] = frozenset(_RESERVED)
"""Lower-case names of the headers that the handshake sets itself, so that no caller may."""


@dataclass(frozen=True, slots=True)
class Agreement:
    """What the handshake agreed on.

    Args:
        subprotocol: the server's choice among those offered; ``None`` when it chose none.
        deflate: the parameters of permessage-deflate; ``None`` when it is not used.
    """

    subprotocol: str | None
    deflate: DeflateParameters | None


def make_key() -> str:
    """Return a new Sec-WebSocket-Key: 16 random bytes in base64 (RFC 6455, section 4.1)."""
    return base64.b64encode(os.urandom(16)).decode("ascii")


def accept_token(key: str) -> str:
    """Return the Sec-WebSocket-Accept that answers `key` (RFC 6455, section 4.2.2).

    Raises:
        UnicodeEncodeError: `key` is not ASCII, so it does not come from `make_key`.
    """
    # Not a matter of security here, so that a system without SHA-1 for security still works.
    digest = hashlib.sha1((key + _GUID).encode("ascii"), usedforsecurity=False).digest()
    return base64.b64encode(digest).decode("ascii")


def upgrade_headers(
    *, key: str, subprotocols: Sequence[str] = (), deflate: DeflateOffer | None = None
) -> list[tuple[str, str]]:
    """Return the headers that ask for a WebSocket (RFC 6455, section 4.1).

    Host, Origin and cookies are the HTTP client's business.

    Args:
        key: from `make_key`.
        subprotocols: in order of preference, as `check_subprotocols` returned them.
        deflate: what to offer; ``None`` offers no compression.
    """
    headers = [
        ("Upgrade", "websocket"),
        ("Connection", "Upgrade"),
        ("Sec-WebSocket-Version", "13"),
        ("Sec-WebSocket-Key", key),
    ]
    if subprotocols:
        headers.append(("Sec-WebSocket-Protocol", ", ".join(subprotocols)))
    if deflate is not None:
        headers.append(("Sec-WebSocket-Extensions", deflate.header()))
    return headers


def check_response(
    headers: Iterable[tuple[str, str]],
    *,
    key: str,
    subprotocols: Sequence[str] = (),
    deflate: DeflateOffer | None = None,
) -> Agreement:
    """Check an answer with status 101 and return what was agreed (RFC 6455, section 4.1).

    Args:
        headers: of the answer, in its order, repeated ones too.
        key, subprotocols, deflate: as they were given to `upgrade_headers`.

    Raises:
        HandshakeError: the answer does not open a WebSocket. The text says what the server
            sent and what it should have sent.
    """
    answer = join_headers(headers)
    _check_upgrade(answer)
    _check_connection(answer)
    _check_accept(answer, key)
    return Agreement(
        subprotocol=_chosen_subprotocol(answer, subprotocols),
        deflate=_chosen_deflate(answer, deflate),
    )


def _check_upgrade(answer: Mapping[str, str]) -> None:
    # RFC 6455, section 4.1, client requirement 2 on the answer.
    protocols = header_elements(answer.get("upgrade", ""))
    if not protocols or any(protocol != "websocket" for protocol in protocols):
        raise _fault(
            answer,
            f"{_sent(answer, 'Upgrade')} instead of 'Upgrade: websocket'",
            "The address may belong to another service, or a proxy may not pass the header on.",
        )


def _check_connection(answer: Mapping[str, str]) -> None:
    # RFC 6455, section 4.1, client requirement 3 on the answer.
    if "upgrade" not in header_elements(answer.get("connection", "")):
        raise _fault(
            answer,
            f"{_sent(answer, 'Connection')} instead of 'Connection: Upgrade'",
            "A proxy may not pass the header on.",
        )


def _check_accept(answer: Mapping[str, str], key: str) -> None:
    # RFC 6455, section 4.1, client requirement 4 on the answer.
    expected = accept_token(key)
    if answer.get("sec-websocket-accept", "").strip(" \t") != expected:
        raise _fault(
            answer,
            f"{_sent(answer, 'Sec-WebSocket-Accept')} instead of {expected!r}",
            "The answer belongs to another request, or the server does not know WebSocket.",
        )


def _chosen_subprotocol(answer: Mapping[str, str], offered: Sequence[str]) -> str | None:
    # RFC 6455, section 4.1, client requirement 6 on the answer.
    value = answer.get("sec-websocket-protocol")
    if value is None:
        return None
    chosen = value.strip(" \t")
    if chosen in offered:
        return chosen
    # What was offered stays out of the text: some services take passwords this way.
    sent = _sent(answer, "Sec-WebSocket-Protocol")
    if not offered:
        rule, hint = "no header, since none was offered", "Name it in subprotocols=."
    elif "," in chosen:
        rule, hint = "one subprotocol", "The server must choose one."
    else:
        rule = f"one of the {len(offered)} subprotocols that were offered"
        hint = "Compare subprotocols= with what the server knows; case matters."
    raise _fault(answer, f"{sent} instead of {rule}", hint)


def _chosen_deflate(
    answer: Mapping[str, str], offer: DeflateOffer | None
) -> DeflateParameters | None:
    # RFC 6455, section 4.1, client requirement 5 on the answer, and section 9.1.
    value = answer.get("sec-websocket-extensions")
    if value is None:
        return None
    sent = _sent(answer, "Sec-WebSocket-Extensions")
    try:
        extensions = parse_extensions(value)
    except ValueError as exc:
        raise _fault(answer, f"{sent}, which cannot be read: {exc}") from exc
    if offer is None:
        raise _fault(
            answer,
            f"{sent} instead of no header, since no extension was offered",
            "The server or a proxy must not choose what was not offered.",
        )
    if [name for name, _ in extensions] != [_DEFLATE]:
        raise _fault(answer, f"{sent} instead of {_DEFLATE} once, or no header")
    try:
        return negotiate(offer, extensions[0][1])
    except ProtocolError as exc:
        raise _fault(
            answer,
            f"{sent} to the offer {offer.header()!r}: {exc}",
            "Without compression the connection may work.",
        ) from exc


def _sent(answer: Mapping[str, str], name: str) -> str:
    value = answer.get(name.lower())
    if value is None:
        return f"without the header {name}"
    return f"with the header {name} {_shown(value)}"


def _shown(value: str) -> str:
    return repr(value if len(value) <= 200 else f"{value[:200]}...")


def _fault(answer: Mapping[str, str], message: str, hint: str = "") -> HandshakeError:
    text = f"The server accepted the upgrade {message}."
    return HandshakeError(text, status=101, headers=answer, hint=hint)


def join_headers(headers: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Return headers by lower-case name, repeated ones joined with ``", "``.

    Empty values of repeated headers stay (RFC 7230, section 3.2.2).
    """
    joined: dict[str, str] = {}
    for name, value in headers:
        lower = _lower(name)
        joined[lower] = f"{joined[lower]}, {value}" if lower in joined else value
    return joined


def _lower(text: str) -> str:
    # ASCII only: str.lower() turns the Kelvin sign into "k".
    return text.lower() if text.isascii() else text


def header_elements(value: str) -> list[str]:
    """Return the elements of a list such as Connection, in lower case (RFC 7230, section 7).

    Empty elements are ignored.
    """
    elements = (element.strip(" \t") for element in value.split(","))
    return [_lower(element) for element in elements if element]


def parse_extensions(value: str) -> list[tuple[str, list[tuple[str, str | None]]]]:
    """Read a Sec-WebSocket-Extensions header (RFC 6455, section 9.1).

    Returns:
        For each extension its name and its parameters, in order, repeated ones too; a
        parameter without a value has ``None``. Quoted values are unquoted. Space or tab is
        allowed around ``,``, ``;`` and ``=``; empty elements are ignored (RFC 7230, section 7).

    Raises:
        ValueError: the text does not keep to the grammar, or names no extension.
    """
    extensions: list[tuple[str, list[tuple[str, str | None]]]] = []
    pos = 0
    while True:
        pos = _skip_space(value, pos)
        if pos < len(value) and value[pos] != ",":
            name, pos = _read_token(value, pos, "the name of an extension")
            parameters, pos = _read_parameters(value, pos)
            extensions.append((name, parameters))
        if pos == len(value):
            break
        if value[pos] != ",":
            raise ValueError(f"',' or ';' expected at position {pos}, found {value[pos]!r}")
        pos += 1
    if not extensions:
        raise ValueError("it names no extension")
    return extensions


def _read_parameters(value: str, pos: int) -> tuple[list[tuple[str, str | None]], int]:
    parameters: list[tuple[str, str | None]] = []
    pos = _skip_space(value, pos)
    while value.startswith(";", pos):
        name, pos = _read_token(value, _skip_space(value, pos + 1), "the name of a parameter")
        pos = _skip_space(value, pos)
        argument: str | None = None
        if value.startswith("=", pos):
            argument, pos = _read_argument(value, _skip_space(value, pos + 1))
            pos = _skip_space(value, pos)
        parameters.append((name, argument))
    return parameters, pos


def _read_argument(value: str, pos: int) -> tuple[str, int]:
    if not value.startswith('"', pos):
        return _read_token(value, pos, "the value of a parameter")
    match = _QUOTED_TOKEN.match(value, pos)
    if match is None:
        raise ValueError(f"a token in quotes expected at position {pos}")
    return match[1].replace("\\", ""), match.end()


def _read_token(value: str, pos: int, what: str) -> tuple[str, int]:
    match = _TOKEN.match(value, pos)
    if match is None:
        found = repr(value[pos]) if pos < len(value) else "the end"
        raise ValueError(f"{what} expected at position {pos}, found {found}")
    return match[0], match.end()


def _skip_space(value: str, pos: int) -> int:
    match = _SPACE.match(value, pos)
    assert match is not None
    return match.end()


def check_token(text: str, what: str) -> None:
    """Check that `text` is a token (RFC 7230, section 3.2.6).

    Args:
        text: what to check; it never appears in an error, since it may be a secret.
        what: what to call it in an error, such as ``"the header name"``.

    Raises:
        TypeError: `text` is not ``str``.
        ValueError: it is empty or has a character that a token may not have.
    """
    if not isinstance(text, str):
        raise TypeError(f"{what} is {type(text).__name__}; give a str")
    if not text:
        raise ValueError(f"{what} is empty; give at least one character")
    end = _token_end(text)
    if end < len(text):
        raise ValueError(
            f"{what} has {text[end]!r} at position {end}; use only ASCII letters, digits "
            f"and {_SYMBOLS}"
        )


def _token_end(text: str) -> int:
    match = _TOKEN.match(text)
    return match.end() if match else 0


def check_header(name: str, value: str) -> None:
    """Check that a header may be sent (RFC 7230, section 3.2).

    Args:
        name: a token.
        value: visible characters, space and tab, of Latin-1; never shown in an error.

    Raises:
        TypeError: `name` or `value` is not ``str``.
        ValueError: `name` is not a token, or `value` has a line break, another control
            character or a character beyond Latin-1.
    """
    # Of a faulty name only the good beginning is shown: the rest may be "Name: secret".
    good = name[: _token_end(name)] if isinstance(name, str) else ""
    check_token(name, f"the header name {good!r}..." if good else "the header name")
    if not isinstance(value, str):
        raise TypeError(f"the value of header {name} is {type(value).__name__}; give a str")
    match = _NOT_IN_VALUE.search(value)
    if match is None:
        return
    char = match[0]
    if char in "\r\n":
        advice = "remove the line break"
    elif ord(char) < 0x80:
        advice = "remove the control character"
    else:
        advice = "headers carry Latin-1 only; encode the text, with percent signs or base64"
    raise ValueError(
        f"the value of header {name} has {char!r} at position {match.start()}; {advice}"
    )


def check_not_reserved(name: str) -> None:
    """Check that a header is not one of `RESERVED_HEADERS`.

    Raises:
        ValueError: the handshake sets the header itself; the text says what to use instead.
    """
    advice = _RESERVED.get(_lower(name))
    if advice is not None:
        raise ValueError(f"header {name} is set by the opening handshake; {advice}")


def check_subprotocols(subprotocols: object) -> tuple[str, ...]:
    """Return subprotocols as a tuple, checked (RFC 6455, section 4.1).

    Args:
        subprotocols: an iterable of tokens in order of preference; ``None`` is none.

    Raises:
        TypeError: it is one string, or not an iterable of strings.
        ValueError: one is not a token, or is there twice.
    """
    if subprotocols is None:
        return ()
    if isinstance(subprotocols, (str, bytes, bytearray)):
        raise TypeError("subprotocols must be a list; use ['chat'], not 'chat'")
    if not isinstance(subprotocols, Iterable):
        raise TypeError(
            f"subprotocols is {type(subprotocols).__name__}; use a list of str, such as ['chat']"
        )
    checked: list[str] = []
    for index, name in enumerate(subprotocols):
        check_token(name, f"subprotocols[{index}]")
        if name in checked:
            first = checked.index(name)
            raise ValueError(
                f"subprotocols[{index}] repeats subprotocols[{first}]; offer each one once"
            )
        checked.append(name)
    return tuple(checked)
