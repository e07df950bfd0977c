"""The server's half of the opening handshake (RFC 6455, section 4.2; RFC 7692, section 7.1)."""

from __future__ import annotations

import base64
import itertools
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wsclient.protocol.accepting import (
    Refusal,
    UpgradeRequest,
    accept_deflate,
    accept_headers,
    check_request,
)
from wsclient.protocol.deflate import (
    DeflateOffer,
    DeflateParameters,
    Deflater,
    Inflater,
    negotiate,
)
from wsclient.protocol.handshake import (
    check_response,
    make_key,
    parse_extensions,
    upgrade_headers,
)
from wsclient.protocol.roles import Role

KEY = "dGhlIHNhbXBsZSBub25jZQ=="  # RFC 6455, section 1.3

RIGHT = {
    "Host": "127.0.0.1",
    "Upgrade": "websocket",
    "Connection": "Upgrade",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": KEY,
}


def ask(
    changed: dict[str, str | None] | None = None, *more: tuple[str, str], method: str = "GET"
) -> UpgradeRequest | Refusal:
    """Check a right request in which some headers are changed, left out (None) or added."""
    headers = {**RIGHT, **(changed or {})}
    lines = [(name, value) for name, value in headers.items() if value is not None]
    return check_request(method, [*lines, *more])


def accepted(
    changed: dict[str, str | None] | None = None, *more: tuple[str, str]
) -> UpgradeRequest:
    request = ask(changed, *more)
    assert isinstance(request, UpgradeRequest), request
    return request


def refused(
    changed: dict[str, str | None] | None = None, *more: tuple[str, str], method: str = "GET"
) -> Refusal:
    request = ask(changed, *more, method=method)
    assert isinstance(request, Refusal)
    return request


# --- the request ----------------------------------------------------------------------------


def test_a_right_request() -> None:
    assert accepted() == UpgradeRequest(KEY, (), ())


@pytest.mark.parametrize(
    "changed",
    [
        {"Upgrade": "WebSocket"},
        {"Upgrade": "h2c, WEBSOCKET"},
        {"Connection": "upgrade"},
        {"Connection": "keep-alive, Upgrade"},
        {"Connection": "UPGRADE\t,keep-alive"},
        {"Connection": ",, Upgrade ,"},
        {"Sec-WebSocket-Version": " 13\t"},
        {"Sec-WebSocket-Key": f" {KEY}\t"},
    ],
    ids=str,
)
def test_what_is_right_too(changed: dict[str, str | None]) -> None:
    assert accepted(changed).key == KEY


def test_header_names_in_any_case() -> None:
    headers = [(name.swapcase(), value) for name, value in RIGHT.items()]
    assert isinstance(check_request("GET", headers), UpgradeRequest)


def test_connection_on_several_lines() -> None:
    request = ask({"Connection": "keep-alive"}, ("Connection", "Upgrade"))
    assert isinstance(request, UpgradeRequest)


@pytest.mark.parametrize("method", ["POST", "HEAD", "OPTIONS", "CONNECT", "get"])
def test_only_get_opens_a_websocket(method: str) -> None:
    refusal = refused(method=method)
    assert (refusal.status, refusal.headers) == (405, {"Allow": "GET"})
    assert "GET" in refusal.reason


@pytest.mark.parametrize("value", [None, "", "websockets", "web socket", '"websocket"', "h2c"])
def test_upgrade_is_missing(value: str | None) -> None:
    refusal = refused({"Upgrade": value})
    assert (refusal.status, refusal.headers) == (400, {})
    assert "'Upgrade: websocket'" in refusal.reason


@pytest.mark.parametrize("value", [None, "", "keep-alive", "close", "Upgraded", "Up grade"])
def test_connection_is_missing(value: str | None) -> None:
    refusal = refused({"Connection": value})
    assert (refusal.status, refusal.headers) == (400, {})
    assert "'Connection: Upgrade'" in refusal.reason


@pytest.mark.parametrize("value", [None, "", "8", "12", "14", "013", "+13", "1 3", "8, 13"])
def test_another_version_is_told_ours(value: str | None) -> None:
    """RFC 6455, sections 4.2.2 (step 4) and 4.4."""
    refusal = refused({"Sec-WebSocket-Version": value})
    assert (refusal.status, refusal.headers) == (426, {"Sec-WebSocket-Version": "13"})
    assert "13" in refusal.reason


@pytest.mark.parametrize(
    "value",
    [
        None,
        "",
        base64.b64encode(bytes(15)).decode(),
        base64.b64encode(bytes(17)).decode(),
        base64.b64encode(bytes(18)).decode(),
        KEY[:-1],
        KEY[:-2],
        KEY + "=",
        KEY + "====",
        KEY[:4] + " " + KEY[4:],
        KEY[:4] + "\n" + KEY[4:],
        "=" + KEY[1:],
        KEY.replace("Z", "-"),
        KEY.replace("Z", "é"),
        f"{KEY}, {KEY}",
        "a" * 10_000,
    ],
)
def test_a_key_must_be_16_bytes_in_base64(value: str | None) -> None:
    """RFC 6455, section 4.2.1, requirement 5."""
    refusal = refused({"Sec-WebSocket-Key": value})
    assert (refusal.status, refusal.headers) == (400, {})
    assert "Sec-WebSocket-Key" in refusal.reason
    # It is sent back to whoever sent the key, and need not repeat it.
    assert not value or value not in refusal.reason


def test_two_keys_are_none() -> None:
    assert refused(None, ("sec-websocket-key", KEY)).status == 400


def test_the_first_fault_is_named() -> None:
    wrong = {"Upgrade": None, "Connection": None, "Sec-WebSocket-Version": None}
    assert refused({**wrong, "Sec-WebSocket-Key": None}, method="PUT").status == 405
    assert "Upgrade: websocket" in refused({**wrong, "Sec-WebSocket-Key": None}).reason


@given(
    st.sampled_from(["GET", "POST"]),
    st.lists(st.tuples(st.sampled_from([*RIGHT, "X"]), st.text(max_size=12)), max_size=8),
)
def test_anything_gets_an_answer(method: str, headers: list[tuple[str, str]]) -> None:
    answer = check_request(method, headers)
    assert isinstance(answer, UpgradeRequest) or answer.status in (400, 405, 426)


@pytest.mark.parametrize(
    ("lines", "offered"),
    [
        ([], ()),
        (["chat"], ("chat",)),
        (["chat, superchat"], ("chat", "superchat")),
        (["b,a"], ("b", "a")),
        (["chat", "superchat"], ("chat", "superchat")),
        ([" chat\t,, ", "", "Chat"], ("chat", "Chat")),
    ],
)
def test_subprotocols(lines: list[str], offered: tuple[str, ...]) -> None:
    request = accepted(None, *(("Sec-WebSocket-Protocol", line) for line in lines))
    assert request.subprotocols == offered


# --- offers of compression ------------------------------------------------------------------


def offers(*lines: str) -> tuple[Any, ...]:
    return accepted(None, *(("Sec-WebSocket-Extensions", line) for line in lines)).deflate_offers


DEFLATE = "permessage-deflate"


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        pytest.param([], (), id="none"),
        pytest.param([DEFLATE], ({},), id="bare"),
        pytest.param(["x-other; a=1"], (), id="another-extension"),
        pytest.param([f"x-other, {DEFLATE}"], ({},), id="behind-another"),
        pytest.param(
            [f"{DEFLATE}; client_max_window_bits"],
            ({"client_max_window_bits": None},),
            id="without-a-value",
        ),
        pytest.param(
            [f"{DEFLATE}; client_max_window_bits=10; server_max_window_bits=8"],
            ({"client_max_window_bits": 10, "server_max_window_bits": 8},),
            id="values",
        ),
        pytest.param(
            [f'{DEFLATE}; client_max_window_bits="10"; server_max_window_bits="1\\5"'],
            ({"client_max_window_bits": 10, "server_max_window_bits": 15},),
            id="quoted",
        ),
        pytest.param(
            [f"{DEFLATE} ;\tserver_no_context_takeover ; client_no_context_takeover"],
            ({"server_no_context_takeover": None, "client_no_context_takeover": None},),
            id="flags",
        ),
        pytest.param(
            [f"{DEFLATE}; server_max_window_bits=10, {DEFLATE}"],
            ({"server_max_window_bits": 10}, {}),
            id="fallback",
        ),
        pytest.param(
            [f"{DEFLATE}; server_max_window_bits=10", "x-other", DEFLATE],
            ({"server_max_window_bits": 10}, {}),
            id="several-lines",
        ),
    ],
)
def test_offers(lines: list[str], expected: tuple[Any, ...]) -> None:
    assert offers(*lines) == expected


INVALID = [
    "unknown",
    "unknown=1",
    "server_no_context_takeover=1",
    "client_no_context_takeover=10",
    'client_no_context_takeover="true"',
    "server_max_window_bits",
    "server_max_window_bits=7",
    "server_max_window_bits=16",
    "client_max_window_bits=0",
    "client_max_window_bits=08",
    "client_max_window_bits=1e1",
    "client_max_window_bits=99999999999999999999",
    "client_max_window_bits; client_max_window_bits",
    "server_no_context_takeover; server_no_context_takeover",
    "server_max_window_bits=9; server_max_window_bits=9",
]


@pytest.mark.parametrize("parameters", INVALID)
def test_an_invalid_offer_is_declined(parameters: str) -> None:
    """RFC 7692, section 7.1: declined, and the next offer counts."""
    assert offers(f"{DEFLATE}; {parameters}") == ()
    assert offers(f"{DEFLATE}; {parameters}, {DEFLATE}") == ({},)
    assert accept_deflate(offers(f"{DEFLATE}; {parameters}"), DeflateOffer()) is None


@pytest.mark.parametrize(
    "value",
    ["", ",", f"{DEFLATE};", f"{DEFLATE}; a=", f'{DEFLATE}; a="', f'{DEFLATE}; a="b c"', "a b"],
)
def test_what_cannot_be_read_offers_nothing(value: str) -> None:
    assert offers(value) == ()
    assert offers(DEFLATE, value) in ((), ({},))


# --- the answer to offers -------------------------------------------------------------------

BITS = [None, 8, 9, 12, 15]
WANTS = [
    DeflateOffer(*each) for each in itertools.product([False, True], [False, True], BITS, BITS)
]


def parameters_of(extensions: str) -> list[tuple[str, str | None]]:
    [(name, parameters)] = parse_extensions(extensions)
    assert name == DEFLATE
    return parameters


def test_every_answer_is_one_that_our_client_accepts() -> None:
    """For every offer and every setting: the client agrees, and both derive the same."""
    for offer in WANTS:
        found = offers(offer.header())
        for wanted in WANTS:
            accepted = accept_deflate(found, wanted)
            assert accepted is not None
            agreed, extensions = accepted
            assert negotiate(offer, parameters_of(extensions)) == agreed, (offer, wanted)
            assert agreed.server_no_context_takeover >= wanted.server_no_context_takeover
            assert agreed.client_no_context_takeover >= wanted.client_no_context_takeover
            for mine, theirs, bits in (
                (wanted.server_max_window_bits, offer.server_max_window_bits, "server"),
                (wanted.client_max_window_bits, offer.client_max_window_bits, "client"),
            ):
                least = min(mine or 15, theirs or 15)
                assert getattr(agreed, f"{bits}_max_window_bits") == least


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from(WANTS),
    st.sampled_from(WANTS),
    st.lists(st.binary(max_size=300), max_size=4),
    st.sampled_from(list(Role)),
)
def test_what_one_end_compresses_the_other_inflates(
    offer: DeflateOffer, wanted: DeflateOffer, payloads: list[bytes], sender: Role
) -> None:
    accepted = accept_deflate(offers(offer.header()), wanted)
    assert accepted is not None
    agreed, extensions = accepted
    # Each end goes by what it derived itself.
    ends = {Role.SERVER: agreed, Role.CLIENT: negotiate(offer, parameters_of(extensions))}
    mine, theirs = ends[sender], ends[sender.other]
    deflater = Deflater(
        window_bits=mine.window_bits(sender), no_context_takeover=mine.no_context_takeover(sender)
    )
    inflater = Inflater(
        window_bits=theirs.window_bits(sender),
        no_context_takeover=theirs.no_context_takeover(sender),
        role=sender.other,
    )
    # Twice, for what refers back to the message before.
    for payload in [each * 4 for each in payloads for _ in range(2)]:
        assert inflater.feed(deflater.compress(payload), None) == payload
        inflater.finish()


@pytest.mark.parametrize(
    ("offer", "wanted", "answer"),
    [
        pytest.param("", DeflateOffer(), "", id="bare"),
        pytest.param("client_max_window_bits", DeflateOffer(), "", id="client-does-not-mind"),
        pytest.param(
            "client_max_window_bits",
            DeflateOffer(client_max_window_bits=10),
            "client_max_window_bits=10",
            id="client-told",
        ),
        pytest.param("", DeflateOffer(client_max_window_bits=10), "", id="client-cannot-be-told"),
        pytest.param(
            "client_max_window_bits=9",
            DeflateOffer(client_max_window_bits=10),
            "client_max_window_bits=9",
            id="client-asks-for-less",
        ),
        pytest.param(
            "server_max_window_bits=12",
            DeflateOffer(),
            "server_max_window_bits=12",
            id="server-obeys",
        ),
        pytest.param(
            "server_max_window_bits=12",
            DeflateOffer(server_max_window_bits=9),
            "server_max_window_bits=9",
            id="server-takes-less",
        ),
        pytest.param(
            "server_max_window_bits=15",
            DeflateOffer(),
            "server_max_window_bits=15",
            id="server-repeats-15",
        ),
        pytest.param(
            "",
            DeflateOffer(True, True, 9, None),
            "server_no_context_takeover; client_no_context_takeover; server_max_window_bits=9",
            id="server-wants-all-unasked",
        ),
        pytest.param(
            "server_no_context_takeover; client_no_context_takeover",
            DeflateOffer(),
            "server_no_context_takeover; client_no_context_takeover",
            id="client-wants-all",
        ),
    ],
)
def test_answers(offer: str, wanted: DeflateOffer, answer: str) -> None:
    accepted = accept_deflate(offers(f"{DEFLATE}; {offer}" if offer else DEFLATE), wanted)
    assert accepted is not None
    assert accepted[1] == (f"{DEFLATE}; {answer}" if answer else DEFLATE)


def test_the_first_good_offer_is_accepted() -> None:
    found = offers(f"{DEFLATE}; server_max_window_bits=7, {DEFLATE}; server_max_window_bits=10")
    accepted = accept_deflate((*found, {}), DeflateOffer())
    assert accepted == (
        DeflateParameters(server_max_window_bits=10),
        f"{DEFLATE}; server_max_window_bits=10",
    )


def test_without_an_offer_nothing_is_accepted() -> None:
    assert accept_deflate((), DeflateOffer(True, True, 9, 9)) is None


# --- the answer -----------------------------------------------------------------------------


def test_accept_headers_of_the_example() -> None:
    """RFC 6455, section 1.3."""
    headers = accept_headers(accepted(), subprotocol=None, extensions="")
    assert headers == [
        ("Upgrade", "websocket"),
        ("Connection", "Upgrade"),
        ("Sec-WebSocket-Accept", "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="),
    ]


@pytest.mark.parametrize("subprotocols", [(), ("chat",), ("b", "a")])
@pytest.mark.parametrize("deflate", [None, DeflateOffer(), DeflateOffer(True, True, 8, 8)])
def test_our_client_takes_the_answer(
    subprotocols: tuple[str, ...], deflate: DeflateOffer | None
) -> None:
    key = make_key()
    asked = upgrade_headers(key=key, subprotocols=subprotocols, deflate=deflate)
    request = check_request("GET", asked)
    assert isinstance(request, UpgradeRequest)
    assert request.subprotocols == subprotocols
    chosen = subprotocols[-1] if subprotocols else None
    agreed, extensions = accept_deflate(request.deflate_offers, DeflateOffer()) or (None, "")
    answer = accept_headers(request, subprotocol=chosen, extensions=extensions)
    agreement = check_response(answer, key=key, subprotocols=subprotocols, deflate=deflate)
    assert (agreement.subprotocol, agreement.deflate) == (chosen, agreed)
    assert (agreed is None) is (deflate is None)
