"""The opening handshake without a network (RFC 6455, section 4)."""

from __future__ import annotations

import base64
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wsclient.errors import HandshakeError, ProtocolError
from wsclient.protocol.deflate import DeflateOffer, DeflateParameters
from wsclient.protocol.handshake import (
    RESERVED_HEADERS,
    Agreement,
    accept_token,
    check_header,
    check_not_reserved,
    check_response,
    check_subprotocols,
    check_token,
    join_headers,
    make_key,
    parse_extensions,
    upgrade_headers,
)

# The example of RFC 6455, sections 1.3 and 4.2.2.
KEY = "dGhlIHNhbXBsZSBub25jZQ=="
ACCEPT = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="

Headers = list[tuple[str, str]]
GOOD: Headers = [
    ("Upgrade", "websocket"),
    ("Connection", "Upgrade"),
    ("Sec-WebSocket-Accept", ACCEPT),
]

TOKENS = st.text("abcXYZ019!#$%&'*+-.^_`|~", min_size=1, max_size=8)
# Text made of what matters in headers, mixed with anything.
HEADER_TEXT = st.text(st.sampled_from('ab=;, \t"\\\r\n\x00\x7f\xe9\u212a\udc80') | st.characters())
DEFLATE_TEXT = st.lists(
    st.sampled_from(
        ["permessage-deflate", "client_max_window_bits", ";", "=", ",", " ", '"', "\\", "10", "x"]
    )
).map("".join)


def changed(name: str, *values: str) -> Headers:
    """Return a good answer with one header replaced; no value removes it."""
    kept = [(n, v) for n, v in GOOD if n.lower() != name.lower()]
    return kept + [(name, value) for value in values]


def refused(
    headers: Headers, subprotocols: Sequence[str] = (), deflate: DeflateOffer | None = None
) -> HandshakeError:
    with pytest.raises(HandshakeError) as caught:
        check_response(headers, key=KEY, subprotocols=subprotocols, deflate=deflate)
    error = caught.value
    assert error.status == 101
    assert error.phase == "http"
    assert error.headers == join_headers(headers)
    return error


# --- the request ----------------------------------------------------------------------------


def test_keys_are_16_random_bytes() -> None:
    keys = {make_key() for _ in range(100)}
    assert len(keys) == 100
    assert {len(base64.b64decode(key, validate=True)) for key in keys} == {16}


def test_accept_token_of_the_rfc() -> None:
    assert accept_token(KEY) == ACCEPT


def test_upgrade_headers_at_least() -> None:
    assert upgrade_headers(key=KEY) == [
        ("Upgrade", "websocket"),
        ("Connection", "Upgrade"),
        ("Sec-WebSocket-Version", "13"),
        ("Sec-WebSocket-Key", KEY),
    ]


def test_upgrade_headers_with_everything() -> None:
    headers = upgrade_headers(key=KEY, subprotocols=("v2", "v1"), deflate=DeflateOffer())
    assert headers[4:] == [
        ("Sec-WebSocket-Protocol", "v2, v1"),
        ("Sec-WebSocket-Extensions", "permessage-deflate; client_max_window_bits"),
    ]


def test_request_headers_are_reserved_and_may_be_sent() -> None:
    for name, value in upgrade_headers(key=KEY, subprotocols=("a",), deflate=DeflateOffer()):
        assert name.lower() in RESERVED_HEADERS
        check_header(name, value)


# --- the answer -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "headers",
    [
        pytest.param(GOOD, id="plain"),
        pytest.param([(n.lower(), v) for n, v in GOOD], id="lower-case-names"),
        pytest.param([(n.upper(), v) for n, v in GOOD], id="upper-case-names"),
        pytest.param(GOOD[::-1], id="other-order"),
        pytest.param(changed("Upgrade", "WebSocket"), id="upgrade-any-case"),
        pytest.param(changed("Upgrade", "websocket", "WEBSOCKET"), id="upgrade-repeated"),
        pytest.param(changed("Upgrade", " websocket\t,"), id="upgrade-list"),
        pytest.param(changed("Connection", "keep-alive, Upgrade"), id="keep-alive-upgrade"),
        pytest.param(changed("Connection", "KEEP-ALIVE,UPGRADE"), id="upper-case-list"),
        pytest.param(changed("Connection", "keep-alive", "upgrade"), id="connection-repeated"),
        pytest.param(changed("Connection", ", ,Upgrade\t ,"), id="empty-elements"),
        pytest.param(changed("Sec-WebSocket-Accept", f" {ACCEPT}\t"), id="space-around-accept"),
        pytest.param([*GOOD, ("Server", "x"), ("Date", "now"), ("Date", "")], id="other-headers"),
    ],
)
def test_good_answers(headers: Headers) -> None:
    assert check_response(iter(headers), key=KEY) == Agreement(subprotocol=None, deflate=None)


@pytest.mark.parametrize(
    ("headers", "sent", "expected"),
    [
        pytest.param(
            changed("Upgrade"),
            "without the header Upgrade",
            "instead of 'Upgrade: websocket'",
            id="no-upgrade",
        ),
        pytest.param(
            changed("Upgrade", "h2c"), "Upgrade 'h2c'", "'Upgrade: websocket'", id="other-upgrade"
        ),
        pytest.param(
            changed("Upgrade", ""), "Upgrade ''", "'Upgrade: websocket'", id="empty-upgrade"
        ),
        pytest.param(
            changed("Upgrade", "h2c, websocket"),
            "'h2c, websocket'",
            "'Upgrade: websocket'",
            id="websocket-over-another-upgrade",
        ),
        pytest.param(
            changed("Upgrade", "websoc\u212aet"),
            "'websoc\u212aet'",
            "'Upgrade: websocket'",
            id="kelvin-sign",
        ),
        pytest.param(
            changed("Connection"),
            "without the header Connection",
            "'Connection: Upgrade'",
            id="no-connection",
        ),
        pytest.param(
            changed("Connection", "keep-alive"),
            "'keep-alive'",
            "'Connection: Upgrade'",
            id="keep-alive-only",
        ),
        pytest.param(
            changed("Connection", "upgraded"),
            "'upgraded'",
            "'Connection: Upgrade'",
            id="longer-token",
        ),
        pytest.param(
            changed("Connection", "keep-alive upgrade"),
            "'keep-alive upgrade'",
            "'Connection: Upgrade'",
            id="no-comma",
        ),
        pytest.param(
            changed("Sec-WebSocket-Accept"),
            "without the header Sec-WebSocket-Accept",
            ACCEPT,
            id="no-accept",
        ),
        pytest.param(
            changed("Sec-WebSocket-Accept", ACCEPT.lower()),
            ACCEPT.lower(),
            ACCEPT,
            id="accept-in-other-case",
        ),
        pytest.param(
            changed("Sec-WebSocket-Accept", ACCEPT, ACCEPT),
            f"{ACCEPT}, {ACCEPT}",
            ACCEPT,
            id="accept-twice",
        ),
        pytest.param(
            changed("Sec-WebSocket-Accept", accept_token(make_key())),
            "Sec-WebSocket-Accept '",
            ACCEPT,
            id="accept-of-another-key",
        ),
    ],
)
def test_bad_answers(headers: Headers, sent: str, expected: str) -> None:
    error = refused(headers)
    text = str(error)
    assert sent in text
    assert expected in text
    assert error.hint
    assert text.endswith(error.hint)


@pytest.mark.parametrize(
    ("value", "chosen"),
    [("v1", "v1"), ("v2", "v2"), (" v2\t", "v2")],
    ids=["last", "first", "space-around"],
)
def test_subprotocol(value: str, chosen: str) -> None:
    headers = [*GOOD, ("sec-websocket-protocol", value)]
    assert check_response(headers, key=KEY, subprotocols=["v2", "v1"]).subprotocol == chosen


def test_server_may_choose_no_subprotocol() -> None:
    assert check_response(GOOD, key=KEY, subprotocols=["v1"]).subprotocol is None


@pytest.mark.parametrize(
    ("values", "offered", "text"),
    [
        pytest.param(["v3"], ["v1", "v2"], "one of the 2 subprotocols", id="not-offered"),
        pytest.param(["V1"], ["v1"], "case matters", id="other-case"),
        pytest.param([""], ["v1"], "one of the 1 subprotocols", id="empty"),
        pytest.param(["v1"], [], "none was offered", id="none-offered"),
        pytest.param(["v1, v2"], ["v1", "v2"], "one subprotocol", id="list"),
        pytest.param(["v1", "v1"], ["v1", "v2"], "one subprotocol", id="repeated"),
    ],
)
def test_bad_subprotocol(values: list[str], offered: list[str], text: str) -> None:
    error = refused([*GOOD, *(("Sec-WebSocket-Protocol", v) for v in values)], offered)
    assert repr(", ".join(values)) in str(error)
    assert text in str(error)


def test_offered_subprotocols_stay_out_of_errors() -> None:
    error = refused([*GOOD, ("Sec-WebSocket-Protocol", "x")], ["bearer", "s3cr3t"])
    assert "s3cr3t" not in str(error)


@pytest.mark.parametrize(
    ("values", "agreed"),
    [
        pytest.param([], None, id="declined"),
        pytest.param(["permessage-deflate"], DeflateParameters(), id="bare"),
        pytest.param(
            ["permessage-deflate; client_max_window_bits=9"],
            DeflateParameters(client_max_window_bits=9),
            id="parameter",
        ),
        pytest.param(
            ['permessage-deflate ;server_max_window_bits = "1\\0" ;client_no_context_takeover'],
            DeflateParameters(client_no_context_takeover=True, server_max_window_bits=10),
            id="quoted",
        ),
    ],
)
def test_deflate(values: list[str], agreed: DeflateParameters | None) -> None:
    headers = [*GOOD, *(("Sec-WebSocket-Extensions", value) for value in values)]
    assert check_response(headers, key=KEY, deflate=DeflateOffer()).deflate == agreed


@pytest.mark.parametrize(
    ("values", "offer", "text"),
    [
        pytest.param(["permessage-deflate"], None, "no extension was offered", id="unasked"),
        pytest.param(["x"], DeflateOffer(), "instead of permessage-deflate once", id="other"),
        pytest.param(
            ["Permessage-Deflate"], DeflateOffer(), "permessage-deflate once", id="other-case"
        ),
        pytest.param(
            ["permessage-deflate, x"], DeflateOffer(), "permessage-deflate once", id="one-more"
        ),
        pytest.param(
            ["permessage-deflate", "permessage-deflate"],
            DeflateOffer(),
            "permessage-deflate once",
            id="twice",
        ),
        pytest.param([""], DeflateOffer(), "names no extension", id="empty"),
        pytest.param([""], None, "names no extension", id="empty-unasked"),
        pytest.param(["a b"], DeflateOffer(), "expected at position 2", id="unreadable"),
    ],
)
def test_bad_extensions(values: list[str], offer: DeflateOffer | None, text: str) -> None:
    error = refused(
        [*GOOD, *(("Sec-WebSocket-Extensions", value) for value in values)], deflate=offer
    )
    assert repr(", ".join(values)) in str(error)
    assert text in str(error)


def test_bad_parameter_has_its_cause() -> None:
    error = refused(
        [*GOOD, ("Sec-WebSocket-Extensions", "permessage-deflate; client_max_window_bits=7")],
        deflate=DeflateOffer(),
    )
    assert isinstance(error.__cause__, ProtocolError)
    assert "RFC 7692, section 7.1.2.2" in str(error)
    assert "offer 'permessage-deflate; client_max_window_bits'" in str(error)


def test_long_values_are_shortened_in_the_text_only() -> None:
    error = refused(changed("Upgrade", "x" * 5000))
    assert len(str(error)) < 600
    assert error.headers["upgrade"] == "x" * 5000


@given(
    st.lists(
        st.tuples(
            st.sampled_from(
                [
                    "Upgrade",
                    "Connection",
                    "Sec-WebSocket-Accept",
                    "Sec-WebSocket-Protocol",
                    "Sec-WebSocket-Extensions",
                ]
            )
            | HEADER_TEXT,
            HEADER_TEXT | DEFLATE_TEXT,
        ),
        max_size=4,
    ),
    st.booleans(),
    st.none() | st.just(DeflateOffer()),
)
def test_any_answer_is_accepted_or_refused(
    headers: Headers, good: bool, deflate: DeflateOffer | None
) -> None:
    try:
        agreement = check_response(
            [*(GOOD if good else []), *headers], key=KEY, subprotocols=["a"], deflate=deflate
        )
    except HandshakeError:
        return
    assert good or {name.lower() for name, _ in headers} >= {"upgrade", "connection"}
    assert agreement.subprotocol in (None, "a")
    assert deflate is not None or agreement.deflate is None


# --- header lists ---------------------------------------------------------------------------


def test_join_headers() -> None:
    headers = [("A", "1"), ("b", ""), ("a", "2"), ("B", "x"), ("\u212a", "k")]
    assert join_headers(headers) == {"a": "1, 2", "b": ", x", "\u212a": "k"}


@pytest.mark.parametrize(
    ("value", "extensions"),
    [
        pytest.param("a", [("a", [])], id="name"),
        pytest.param("a;b", [("a", [("b", None)])], id="flag"),
        pytest.param("a;b=c", [("a", [("b", "c")])], id="value"),
        pytest.param('a;b="c"', [("a", [("b", "c")])], id="quoted"),
        pytest.param('a;b="\\c\\d1"', [("a", [("b", "cd1")])], id="quoted-pairs"),
        pytest.param(
            ' a ; b = c ; d = "e"\t,\tf ',
            [("a", [("b", "c"), ("d", "e")]), ("f", [])],
            id="space-anywhere",
        ),
        pytest.param("a;b;b=1;b", [("a", [("b", None), ("b", "1"), ("b", None)])], id="repeated"),
        pytest.param("a,a;x,b", [("a", []), ("a", [("x", None)]), ("b", [])], id="list"),
        pytest.param(",, a, ,b,", [("a", []), ("b", [])], id="empty-elements"),
        pytest.param("!#$%&'*+-.^_`|~", [("!#$%&'*+-.^_`|~", [])], id="symbols"),
    ],
)
def test_parse_extensions(
    value: str, extensions: list[tuple[str, list[tuple[str, str | None]]]]
) -> None:
    assert parse_extensions(value) == extensions


@pytest.mark.parametrize(
    "value",
    [
        "",
        " ",
        ",",
        ";a",
        "a b",
        "a;",
        "a;;b",
        "a;=1",
        "a;b=",
        "a;b=,c",
        "a;b=c d",
        "a=b",
        'a;b="',
        'a;b="c',
        'a;b=""',
        'a;b="c d"',
        'a;b="c,d"',
        'a;b="c\\',
        'a;b="c"d',
        '"a"',
        "a\r\n",
        "a\x00",
        "\xe9",
        "a;b=\u0661",
        "a\xa0",
        "a\u2003;b",
    ],
)
def test_parse_extensions_refuses(value: str) -> None:
    with pytest.raises(ValueError, match=r"expected at position \d+|names no extension"):
        parse_extensions(value)


@given(
    st.lists(
        st.tuples(TOKENS, st.lists(st.tuples(TOKENS, st.none() | TOKENS), max_size=3)),
        min_size=1,
        max_size=3,
    ),
    st.sampled_from(["", " ", "\t "]),
    st.booleans(),
)
def test_parse_extensions_reads_what_is_written(
    extensions: list[tuple[str, list[tuple[str, str | None]]]], space: str, quoted: bool
) -> None:
    def written(name: str, value: str | None) -> str:
        if value is None:
            return name
        argument = '"' + "\\".join(["", *value]) + '"' if quoted else value
        return f"{name}{space}={space}{argument}"

    text = f"{space},{space}".join(
        f"{space};{space}".join([name, *(written(*parameter) for parameter in parameters)])
        for name, parameters in extensions
    )
    assert parse_extensions(text) == extensions


@given(HEADER_TEXT | DEFLATE_TEXT)
def test_parse_extensions_raises_value_error_only(value: str) -> None:
    try:
        extensions = parse_extensions(value)
    except ValueError:
        return
    for name, parameters in extensions:
        check_token(name, "name")
        for parameter, argument in parameters:
            check_token(parameter, "parameter")
            assert argument is None or argument in value.replace("\\", "")


def test_parse_extensions_takes_linear_time() -> None:
    # Quadratic or worse would take minutes.
    with pytest.raises(ValueError, match="expected at position"):
        parse_extensions('a;b="' + "\\a" * 200_000)
    assert len(parse_extensions("a;b=c," * 20_000)) == 20_000


# --- what a caller gives --------------------------------------------------------------------


@given(TOKENS)
def test_tokens(text: str) -> None:
    check_token(text, "it")


@pytest.mark.parametrize(
    "char", [*'()<>@,;:\\"/[]?={} \t\r\n\x00\x7f\x80\xe9', "\u212a", "\udc80"]
)
def test_token_refuses(char: str) -> None:
    with pytest.raises(ValueError, match=r"^the name has .* at position 1; use only ASCII"):
        check_token(f"a{char}b", "the name")
    with pytest.raises(ValueError, match=r"^the name has .* at position 0; use only ASCII"):
        check_token(char, "the name")


def test_token_refuses_nothing() -> None:
    with pytest.raises(ValueError, match="the name is empty; give at least one character"):
        check_token("", "the name")


@pytest.mark.parametrize(
    ("name", "value"),
    [("X-A", "b"), ("x", ""), ("X", "a\tb c"), ("X", "\xe9\xff"), ("Authorization", "Basic eA==")],
)
def test_header(name: str, value: str) -> None:
    check_header(name, value)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        pytest.param("a\r\nX: y", r"'\\r' at position 1; remove the line break", id="crlf"),
        pytest.param("a\n", r"'\\n' at position 1; remove the line break", id="lf-at-end"),
        pytest.param("\x00", r"'\\x00' at position 0; remove the control", id="nul"),
        pytest.param("a\x0bb", "remove the control character", id="vertical-tab"),
        pytest.param("a\x7f", "remove the control character", id="delete"),
        pytest.param("price \u20ac", "'\u20ac' at position 6; headers carry Latin-1", id="euro"),
        pytest.param("\ud800", "headers carry Latin-1", id="lone-surrogate"),
    ],
)
def test_header_refuses_value(value: str, text: str) -> None:
    with pytest.raises(ValueError, match=f"^the value of header X-A has .*{text}"):
        check_header("X-A", value)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        pytest.param("", "^the header name is empty", id="empty"),
        pytest.param("X A", r"^the header name 'X'\.\.\. has ' ' at position 1", id="space"),
        pytest.param("X\r\n", r"^the header name 'X'\.\.\. has '\\r' at position 1", id="crlf"),
        pytest.param("\xe9", "^the header name has '\xe9' at position 0", id="not-ascii"),
    ],
)
def test_header_refuses_name(name: str, text: str) -> None:
    with pytest.raises(ValueError, match=text):
        check_header(name, "x")


@pytest.mark.parametrize(
    ("name", "value"),
    [("Authorization", "Bearer s3cr3t\n"), ("Authorization: Bearer s3cr3t", "")],
    ids=["value", "name"],
)
def test_header_errors_do_not_show_secrets(name: str, value: str) -> None:
    with pytest.raises(ValueError, match="Authorization") as caught:
        check_header(name, value)
    assert "s3cr3t" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "value", "text"),
    [
        (b"X", "x", "the header name is bytes; give a str"),
        ("X", b"x", "the value of header X is bytes; give a str"),
        ("X", 1, "the value of header X is int; give a str"),
        ("X", None, "the value of header X is NoneType; give a str"),
    ],
)
def test_header_refuses_other_types(name: str, value: str, text: str) -> None:
    with pytest.raises(TypeError, match=text):
        check_header(name, value)


@given(HEADER_TEXT, HEADER_TEXT)
def test_header_raises_value_error_only(name: str, value: str) -> None:
    try:
        check_header(name, value)
    except ValueError:
        return
    assert not set(name + value) & set("\r\n\x00")
    (name + value).encode("latin-1")


@pytest.mark.parametrize(
    ("name", "advice"),
    [
        ("Upgrade", "leave it out"),
        ("connection", "leave it out"),
        ("Sec-WebSocket-Key", "leave it out"),
        ("SEC-WEBSOCKET-VERSION", "leave it out"),
        ("Sec-WebSocket-Accept", "only servers send it"),
        ("Sec-WebSocket-Extensions", "compression_options="),
        ("Sec-WebSocket-Protocol", "subprotocols="),
    ],
)
def test_reserved_headers(name: str, advice: str) -> None:
    assert name.lower() in RESERVED_HEADERS
    with pytest.raises(ValueError, match=f"^header {name} is set by .*{advice}"):
        check_not_reserved(name)


@pytest.mark.parametrize("name", ["Origin", "Cookie", "X-Upgrade", "Host", ""])
def test_other_headers_are_not_reserved(name: str) -> None:
    assert name.lower() not in RESERVED_HEADERS
    check_not_reserved(name)


@pytest.mark.parametrize(
    ("subprotocols", "checked"),
    [
        (None, ()),
        ([], ()),
        (["chat"], ("chat",)),
        (("v2", "v1"), ("v2", "v1")),
        (iter(["v2", "V2"]), ("v2", "V2")),
    ],
    ids=["none", "empty", "list", "tuple", "iterator"],
)
def test_subprotocols(subprotocols: object, checked: tuple[str, ...]) -> None:
    assert check_subprotocols(subprotocols) == checked


@pytest.mark.parametrize(
    ("subprotocols", "error", "text"),
    [
        pytest.param("chat", TypeError, r"use \['chat'\], not 'chat'", id="one-string"),
        pytest.param(b"chat", TypeError, r"use \['chat'\], not 'chat'", id="bytes"),
        pytest.param(7, TypeError, "subprotocols is int; use a list", id="number"),
        pytest.param(["a", b"b"], TypeError, r"subprotocols\[1\] is bytes; give", id="bytes-in"),
        pytest.param([None], TypeError, r"subprotocols\[0\] is NoneType", id="none-in"),
        pytest.param(
            ["a", "b", "a"],
            ValueError,
            r"subprotocols\[2\] repeats subprotocols\[0\]; offer each one once",
            id="duplicate",
        ),
        pytest.param([""], ValueError, r"subprotocols\[0\] is empty", id="empty-name"),
        pytest.param(["a, b"], ValueError, r"subprotocols\[0\] has ',' at", id="comma"),
        pytest.param(["a\r\nX: y"], ValueError, r"subprotocols\[0\] has '\\r'", id="crlf"),
        pytest.param(["\xe9"], ValueError, "use only ASCII letters", id="not-ascii"),
    ],
)
def test_subprotocols_refuses(subprotocols: object, error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=text):
        check_subprotocols(subprotocols)


def test_subprotocol_errors_do_not_show_secrets() -> None:
    with pytest.raises(ValueError, match=r"subprotocols\[1\]") as caught:
        check_subprotocols(["bearer", "s3cr3t token"])
    assert "s3cr3t" not in str(caught.value)
