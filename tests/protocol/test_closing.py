"""The closing handshake: its table, codes, reasons and payloads (RFC 6455, section 7)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wsclient.errors import ProtocolError
from wsclient.protocol.closing import (
    TRANSITIONS,
    CloseCause,
    CloseEvent,
    CloseInfo,
    CloseInitiator,
    CloseState,
    ClosingHandshake,
    build_close_payload,
    check_close_code,
    parse_close_payload,
    truncate_reason,
)
from wsclient.protocol.opcodes import CloseCode

GOOD_CODES = [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014]
GOOD_CODES += [3000, 3001, 3999, 4000, 4999]
BAD_CODES = [0, 1, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65535]


# --- the table ------------------------------------------------------------------------------


def apply(handshake: ClosingHandshake, event: CloseEvent) -> None:
    """Let an event happen."""
    match event:
        case CloseEvent.OPENED:
            handshake.opened()
        case CloseEvent.CLOSE_SENT:
            handshake.send(1000, "ours")
        case CloseEvent.CLOSE_RECEIVED:
            handshake.receive(build_close_payload(4000, "theirs"))
        case CloseEvent.LOST:
            handshake.lost()


def after(*events: CloseEvent) -> ClosingHandshake:
    handshake = ClosingHandshake()
    for event in events:
        apply(handshake, event)
    return handshake


OPENED, SENT, RECEIVED, LOST = CloseEvent

# How each state is reached: the shortest way of each kind.
WAYS = {
    (): CloseState.CONNECTING,
    (OPENED,): CloseState.OPEN,
    (OPENED, SENT): CloseState.LOCAL_CLOSING,
    (OPENED, RECEIVED): CloseState.REMOTE_CLOSING,
    (OPENED, SENT, RECEIVED): CloseState.CLOSED,
    (OPENED, RECEIVED, SENT): CloseState.CLOSED,
    (LOST,): CloseState.CLOSED,
    (OPENED, LOST): CloseState.CLOSED,
    (OPENED, SENT, LOST): CloseState.CLOSED,
    (OPENED, RECEIVED, LOST): CloseState.CLOSED,
    (OPENED, SENT, RECEIVED, LOST, LOST): CloseState.CLOSED,
}


def name(events: tuple[CloseEvent, ...]) -> str:
    return "-".join(event.value for event in events) or "nothing"


@pytest.mark.parametrize(
    ("events", "state"), [pytest.param(*row, id=name(row[0])) for row in WAYS.items()]
)
def test_states(events: tuple[CloseEvent, ...], state: CloseState) -> None:
    handshake = after(*events)
    assert handshake.state is state
    assert handshake.can_send is (state is CloseState.OPEN)
    assert handshake.can_send_close is (state in {CloseState.OPEN, CloseState.REMOTE_CLOSING})
    assert handshake.sent == (1000 if SENT in events else None)
    assert handshake.received == (4000 if RECEIVED in events else None)
    assert handshake.reason == ("theirs" if RECEIVED in events else "")
    first = None
    if SENT in events and RECEIVED in events:
        first = events.index(RECEIVED) < events.index(SENT)
    assert handshake.received_first is first


@pytest.mark.parametrize("event", CloseEvent, ids=lambda event: event.value)
@pytest.mark.parametrize("events", WAYS, ids=name)
def test_what_is_not_in_the_table_is_an_error(
    events: tuple[CloseEvent, ...], event: CloseEvent
) -> None:
    handshake = after(*events)
    before = {name: getattr(handshake, name) for name in ClosingHandshake.__slots__}
    expected = TRANSITIONS.get((handshake.state, event))
    if expected is not None:
        apply(handshake, event)
        assert handshake.state is expected
        return
    with pytest.raises(KeyError):
        apply(handshake, event)
    assert {name: getattr(handshake, name) for name in ClosingHandshake.__slots__} == before


def test_the_table_is_whole() -> None:
    reached = {CloseState.CONNECTING, *TRANSITIONS.values()}
    assert reached == set(CloseState), "every state can be reached"
    assert {state for state, event in TRANSITIONS if event is LOST} == set(CloseState)
    assert {state for (state, event) in TRANSITIONS if event is SENT} == {
        CloseState.OPEN,
        CloseState.REMOTE_CLOSING,
    }
    # Nothing leads back.
    order = list(CloseState)
    for (state, _), target in TRANSITIONS.items():
        assert order.index(target) > order.index(state) or state is CloseState.CLOSED


@given(st.lists(st.sampled_from(CloseEvent), max_size=12))
def test_law_of_the_walk(events: list[CloseEvent]) -> None:
    """At most one Close frame each way, whatever happens; and the end is the end."""
    handshake = ClosingHandshake()
    happened: list[CloseEvent] = []
    for event in events:
        was = handshake.state
        try:
            apply(handshake, event)
        except KeyError:
            assert (was, event) not in TRANSITIONS
            assert handshake.state is was
        else:
            assert handshake.state is TRANSITIONS[was, event]
            happened.append(event)
    assert happened.count(SENT) <= 1
    assert happened.count(RECEIVED) <= 1
    assert (handshake.received_first is not None) is (SENT in happened and RECEIVED in happened)
    assert (handshake.state is CloseState.CLOSED) is (
        LOST in happened or {SENT, RECEIVED} <= set(happened)
    )


@pytest.mark.parametrize(
    "payload",
    [
        pytest.param(b"", id="no-code"),
        pytest.param(b"\x03\xe8", id="code"),
        pytest.param(b"\x03\xe8bye", id="reason"),
        pytest.param(b"\x0f\xa0" + "é".encode() * 61 + b"!", id="longest-reason"),
    ],
)
def test_the_answer_is_what_was_received(payload: bytes) -> None:
    handshake = after(OPENED)
    handshake.receive(payload)
    assert handshake.answer() == payload
    assert handshake.state is CloseState.CLOSED
    assert handshake.sent == handshake.received
    assert handshake.received_first is True


def test_a_close_frame_without_a_code_counts_as_1005() -> None:
    handshake = after(OPENED)
    assert handshake.send(None) == b""
    handshake.receive(b"")
    assert (handshake.sent, handshake.received) == (1005, 1005)
    assert handshake.received_first is False


@pytest.mark.parametrize("payload", [b"\x03", b"\x03\xed", b"\x03\xe8\xff"])
def test_a_faulty_close_frame_changes_nothing(payload: bytes) -> None:
    handshake = after(OPENED)
    with pytest.raises(ProtocolError):
        handshake.receive(payload)
    assert handshake.state is CloseState.OPEN
    assert (handshake.received, handshake.reason) == (None, "")
    assert handshake.can_send_close


@pytest.mark.parametrize(
    ("code", "reason"), [(1005, ""), (1000, "x" * 124), (None, "x"), (1000, "\ud800")]
)
def test_a_close_that_cannot_be_sent_changes_nothing(code: int | None, reason: str) -> None:
    handshake = after(OPENED)
    with pytest.raises(ValueError, match=r"close (code|reason)"):
        handshake.send(code, reason)
    assert handshake.state is CloseState.OPEN
    assert handshake.sent is None
    assert handshake.send(1000, "") == b"\x03\xe8"


# --- codes ----------------------------------------------------------------------------------


@pytest.mark.parametrize("code", GOOD_CODES)
def test_good_codes(code: int) -> None:
    check_close_code(code)
    payload = build_close_payload(code, "why")
    assert payload == bytes([code >> 8, code & 255]) + b"why"
    assert parse_close_payload(payload) == (code, "why")
    assert parse_close_payload(payload[:2]) == (code, "")


@pytest.mark.parametrize("code", BAD_CODES)
def test_bad_codes(code: int) -> None:
    with pytest.raises(ValueError, match=f"close code {code} cannot be sent"):
        check_close_code(code)
    with pytest.raises(ValueError, match=f"close code {code} cannot be sent"):
        build_close_payload(code)
    for reason in (b"", b"why", b"\xff"):
        with pytest.raises(ProtocolError, match=f"code {code}, ") as caught:
            parse_close_payload(code.to_bytes(2, "big") + reason)
        assert (caught.value.close_code, caught.value.section) == (1002, "RFC 6455, section 7.4")


@pytest.mark.parametrize("code", [-1, 65536, 10**9])
def test_codes_that_do_not_fit(code: int) -> None:
    with pytest.raises(ValueError, match=f"close code {code} cannot be sent"):
        build_close_payload(code)


def test_our_names_of_codes() -> None:
    """All names are of codes that may be sent, but the three that never are on the wire."""
    assert [code for code in CloseCode if code not in GOOD_CODES] == [1005, 1006, 1015]


# --- payloads -------------------------------------------------------------------------------


def test_no_code() -> None:
    assert build_close_payload(None) == b""
    assert parse_close_payload(b"") == (1005, "")
    with pytest.raises(ValueError, match="needs a close code"):
        build_close_payload(None, "why")


@pytest.mark.parametrize("byte", [b"\x00", b"\x03", b"\xff"])
def test_half_a_code(byte: bytes) -> None:
    with pytest.raises(ProtocolError, match="half a close code") as caught:
        parse_close_payload(byte)
    assert (caught.value.close_code, caught.value.section) == (1002, "RFC 6455, section 5.5.1")


@pytest.mark.parametrize("reason", [b"\xff", b"ok \xc3", b"\xed\xa0\x80", b"\xf4\x90\x80\x80"])
def test_a_reason_that_is_not_utf8(reason: bytes) -> None:
    with pytest.raises(ProtocolError, match="not UTF-8") as caught:
        parse_close_payload(b"\x03\xe8" + reason)
    assert (caught.value.close_code, caught.value.section) == (1007, "RFC 6455, section 5.5.1")
    assert isinstance(caught.value.__cause__, UnicodeDecodeError)


@pytest.mark.parametrize(
    ("reason", "size"),
    [
        pytest.param("x" * 123, 123, id="ascii"),
        pytest.param("é" * 61 + "x", 123, id="two-bytes"),
        pytest.param("€" * 41, 123, id="three-bytes"),
        pytest.param("\U0001f600" * 30 + "abc", 123, id="four-bytes"),
    ],
)
def test_the_longest_reasons(reason: str, size: int) -> None:
    payload = build_close_payload(1000, reason)
    assert len(payload) == size + 2 == 125
    assert parse_close_payload(payload) == (1000, reason)
    for more in ("x", "é"):
        with pytest.raises(ValueError, match="at most 123 fit"):
            build_close_payload(1000, reason + more)
    assert truncate_reason(reason) == reason


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        pytest.param("", "", id="empty"),
        pytest.param("x" * 124, "x" * 123, id="ascii"),
        pytest.param("é" * 62, "é" * 61, id="two-bytes"),
        pytest.param("x" + "é" * 62, "x" + "é" * 61, id="two-bytes-fit"),
        pytest.param("x" + "€" * 41, "x" + "€" * 40, id="three-bytes"),
        pytest.param("xx" + "€" * 41, "xx" + "€" * 40, id="three-bytes-but-one"),
        pytest.param("\U0001f600" * 31, "\U0001f600" * 30, id="four-bytes"),
        pytest.param("lone \ud800 surrogate", "lone ? surrogate", id="surrogate"),
    ],
)
def test_truncate_reason(text: str, kept: str) -> None:
    assert truncate_reason(text) == kept


@given(st.text(st.characters(exclude_categories=[]), max_size=200))
def test_law_of_truncation(text: str) -> None:
    """What is cut can be sent, and no whole character more would fit."""
    kept = truncate_reason(text)
    assert build_close_payload(1000, kept)[2:] == kept.encode()
    clean = text.encode(errors="replace").decode()
    assert clean.startswith(kept)
    if kept != clean:
        assert len(clean[: len(kept) + 1].encode()) > 123


@given(st.binary(max_size=125))
def test_law_of_parsing(payload: bytes) -> None:
    """Whatever is accepted can be sent back."""
    try:
        code, reason = parse_close_payload(payload)
    except ProtocolError as error:
        assert error.close_code in (1002, 1007)
        return
    assert build_close_payload(None if code == 1005 else code, reason) == payload


# --- CloseInfo ------------------------------------------------------------------------------


def test_close_info_says_what_happened() -> None:
    info = CloseInfo(
        code=1006,
        reason="",
        initiator=CloseInitiator.NONE,
        clean=False,
        cause=CloseCause.EOF,
        hint="The server went away.",
    )
    assert str(info) == "1006 eof: The server went away."
    assert (info.sent, info.received, info.received_first, info.exception) == (None,) * 4
    with pytest.raises(AttributeError):
        info.code = 1000  # type: ignore[misc]  # that it cannot be set is what is tested
