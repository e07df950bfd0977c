"""Laws of the opening handshake: whatever a peer sends is agreed to, or refused as documented."""

from __future__ import annotations

from typing import Any

from hypothesis import event, given
from hypothesis import strategies as st

from protocol.streams import law
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
    join_headers,
    make_key,
    parse_extensions,
    upgrade_headers,
)

KEY = "dGhlIHNhbXBsZSBub25jZQ=="
ACCEPT = accept_token(KEY)

# Any text at all, and such as breaks parsers: separators, quotes, controls, look-alikes.
TEXT = st.text(st.characters(exclude_categories=[]), max_size=12) | st.text(
    ',;="\\ \t\r\n\0ab\x7f\xe9\u212a\u0130\ud800', max_size=12
)
TOKENS = st.text("!#$%&'*+-.^_`|~09azAZ", min_size=1, max_size=5)
SPACE = st.sampled_from(["", "", " ", "\t", " \t "])
PARAMETERS = st.sampled_from(
    [
        "server_no_context_takeover",
        "client_no_context_takeover",
        "server_max_window_bits",
        "client_max_window_bits",
        "server_max_window_bits=8",
        "client_max_window_bits=15",
        'client_max_window_bits="1\\0"',
        "server_max_window_bits=16",
        "server_no_context_takeover=1",
        "Server_max_window_bits=9",
    ]
)


@st.composite
def extensions(draw: st.DrawFn) -> str:
    """Draw a value of Sec-WebSocket-Extensions by its grammar, mostly."""
    elements = []
    for _ in range(draw(st.integers(0, 3))):
        name = draw(st.sampled_from(["permessage-deflate"] * 4 + ["x-webkit-deflate-frame", ""]))
        parts = [name or draw(TOKENS), *draw(st.lists(PARAMETERS | TOKENS, max_size=3))]
        elements.append(";".join(draw(SPACE) + part + draw(SPACE) for part in parts))
    value = ",".join(elements)
    return draw(st.sampled_from([value, value, value + draw(TEXT), draw(TEXT)]))


VALUES: dict[str, st.SearchStrategy[str]] = {
    "Upgrade": st.sampled_from(["websocket", "WebSocket", "websocket, h2c", "h2c", ""]) | TEXT,
    "Connection": st.sampled_from(["Upgrade", "keep-alive, upgrade", "close", ""]) | TEXT,
    "Sec-WebSocket-Accept": st.sampled_from([ACCEPT, f" {ACCEPT}\t", ACCEPT.lower(), ""]) | TEXT,
    "Sec-WebSocket-Protocol": st.sampled_from(["a", "b", "a, b", "A", "c", "", " a "]) | TEXT,
    "Sec-WebSocket-Extensions": extensions(),
}
GOOD = {"Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Accept": ACCEPT}
OFFERS = st.builds(
    DeflateOffer,
    st.booleans(),
    st.booleans(),
    st.none() | st.integers(8, 15),
    st.none() | st.integers(8, 15),
)


@st.composite
def answers(draw: st.DrawFn) -> list[tuple[str, str]]:
    """Draw the headers of a 101: right ones, of which some are left out, changed or repeated."""
    headers = list(GOOD.items())
    for name in draw(st.lists(st.sampled_from(sorted(VALUES)), max_size=3)):
        change = draw(st.sampled_from(["set", "set", "add", "drop"]))
        if change != "add":
            headers = [header for header in headers if header[0] != name]
        if change != "drop":
            spelled = draw(st.sampled_from([name, name.lower(), name.upper()]))
            headers.append((spelled, draw(VALUES[name])))
    headers += draw(st.lists(st.tuples(TEXT, TEXT), max_size=1))
    return draw(st.permutations(headers))


@law(200)
@given(answers(), st.sampled_from([(), ("a",), ("a", "b")]), st.none() | OFFERS)
def test_any_answer(
    headers: list[tuple[str, str]], offered: tuple[str, ...], offer: DeflateOffer | None
) -> None:
    """It is agreed to only if each header says so; else the error names what is wrong."""
    try:
        agreement = check_response(headers, key=KEY, subprotocols=offered, deflate=offer)
    except HandshakeError as error:
        event("refused")
        assert error.status == 101
        assert str(error)
        assert isinstance(error.hint, str)
        assert dict(error.headers) == join_headers(headers)
        return
    event("agreed")
    assert isinstance(agreement, Agreement)
    joined = join_headers(headers)
    assert set(header_elements(joined["upgrade"])) == {"websocket"}
    assert "upgrade" in header_elements(joined["connection"])
    assert joined["sec-websocket-accept"].strip(" \t") == ACCEPT
    chosen = joined.get("sec-websocket-protocol")
    assert agreement.subprotocol == (None if chosen is None else chosen.strip(" \t"))
    assert agreement.subprotocol in (None, *offered)
    if agreement.deflate is None:
        assert "sec-websocket-extensions" not in joined
    else:
        assert offer is not None
        [(name, parameters)] = parse_extensions(joined["sec-websocket-extensions"])
        assert name == "permessage-deflate"
        assert len(dict(parameters)) == len(parameters)


@law(150)
@given(TEXT | st.text(max_size=40))
def test_only_one_value_is_the_accept_token(value: str) -> None:
    headers = [*GOOD.items()][:2]
    try:
        check_response([*headers, ("Sec-WebSocket-Accept", value)], key=KEY)
    except HandshakeError:
        assert value.strip(" \t") != ACCEPT
    else:
        assert value.strip(" \t") == ACCEPT


@law(120)
@given(extensions() | TEXT)
def test_any_extensions(value: str) -> None:
    """They are read, and written again mean the same; or refused with ``ValueError``."""
    try:
        read = parse_extensions(value)
    except ValueError as error:
        assert str(error)
        return
    assert read
    for name, parameters in read:
        check_token(name, "a name")
        for parameter, argument in parameters:
            check_token(parameter, "a parameter")
            if argument is not None:
                check_token(argument, "a value")
    written = ", ".join(
        "; ".join([name, *(p if v is None else f'{p}="{v}"' for p, v in parameters)])
        for name, parameters in read
    )
    assert parse_extensions(written) == read


ANYTHING: st.SearchStrategy[Any] = st.one_of(
    st.none(), st.integers(), TEXT, st.binary(max_size=3), TOKENS, st.just(object())
)


@law(150)
@given(ANYTHING | st.lists(ANYTHING, max_size=3) | st.lists(TOKENS, max_size=3).map(tuple))
def test_any_subprotocols(given_by_the_caller: Any) -> None:
    try:
        checked = check_subprotocols(given_by_the_caller)
    except (TypeError, ValueError) as error:
        assert str(error)
        return
    assert checked == tuple(given_by_the_caller or ())
    assert len(set(checked)) == len(checked)
    for name in checked:
        check_token(name, "a subprotocol")


@law(150)
@given(TEXT | TOKENS, TEXT | TOKENS)
def test_any_header_of_the_caller(name: str, value: str) -> None:
    """What passes cannot end its line, nor be anything but one header of that name."""
    try:
        check_header(name, value)
    except ValueError as error:
        assert str(error)
        return
    line = f"{name}: {value}".encode("latin-1")
    assert not set(line) & set(b"\r\n\0")
    assert line.partition(b":")[0] == name.encode("ascii")


@law(100)
@given(
    st.lists(TOKENS, max_size=3, unique=True),
    st.none() | OFFERS,
    st.none() | OFFERS,
    st.integers(0, 3),
)
def test_both_halves_agree(
    subprotocols: list[str],
    offer: DeflateOffer | None,
    wanted: DeflateOffer | None,
    choice: int,
) -> None:
    """What our client asks for and our server accepts is the same to both."""
    key = make_key()
    asked = upgrade_headers(key=key, subprotocols=subprotocols, deflate=offer)
    for header in asked:
        check_header(*header)
    request = check_request("GET", asked)
    assert isinstance(request, UpgradeRequest)
    assert request.subprotocols == tuple(subprotocols)
    accepted = accept_deflate(request.deflate_offers, wanted) if wanted is not None else None
    assert (accepted is not None) is (offer is not None and wanted is not None)
    parameters, value = accepted or (None, "")
    chosen = subprotocols[choice] if choice < len(subprotocols) else None
    answer = accept_headers(request, subprotocol=chosen, extensions=value)
    agreement = check_response(answer, key=key, subprotocols=subprotocols, deflate=offer)
    assert agreement == Agreement(chosen, parameters)


@law(100)
@given(
    st.sampled_from(["GET", "GET", "POST", "get"]) | TEXT,
    st.lists(
        st.tuples(
            st.sampled_from(
                [
                    "Upgrade",
                    "Connection",
                    "Sec-WebSocket-Version",
                    "Sec-WebSocket-Key",
                    "Sec-WebSocket-Protocol",
                    "Sec-WebSocket-Extensions",
                ]
            ),
            TEXT | extensions(),
        ),
        max_size=3,
    ),
    st.booleans(),
)
def test_any_request(method: str, headers: list[tuple[str, str]], good: bool) -> None:
    right = upgrade_headers(key=KEY, deflate=DeflateOffer()) if good else []
    answer = check_request(method, [*right, *headers])
    if isinstance(answer, Refusal):
        assert answer.status in (400, 405, 426)
        return
    # Whatever was offered, what is made of it can be sent.
    accepted = accept_deflate(answer.deflate_offers, DeflateOffer())
    for header in accept_headers(
        answer, subprotocol=None, extensions=accepted[1] if accepted else ""
    ):
        check_header(*header)
