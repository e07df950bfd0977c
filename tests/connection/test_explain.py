"""Every close gets a hint: one line that says what happened."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connection.far_end import open_near
from wsclient.protocol.closing import CloseCause, CloseInitiator, check_close_code
from wsclient.protocol.opcodes import CloseCode
from wsclient.wire.explain import close_hint

HANDSHAKE = CloseCause.CLOSING_HANDSHAKE


def hint(
    cause: CloseCause = HANDSHAKE,
    *,
    code: int = 1006,
    reason: str = "",
    by_peer: bool = True,
    exception: BaseException | None = None,
    loop_stall: float = 0.0,
) -> str:
    return close_hint(
        cause,
        code=code,
        reason=reason,
        by_peer=by_peer,
        exception=exception,
        loop_stall=loop_stall,
    )


def wire_codes() -> list[int]:
    """List the named codes that a Close frame may have, and 1005 for one without."""
    codes = [int(CloseCode.NO_STATUS_RECEIVED)]
    for code in CloseCode:
        try:
            check_close_code(code)
        except ValueError:
            continue
        codes.append(int(code))
    return codes


@pytest.mark.parametrize("cause", CloseCause, ids=lambda cause: cause.value)
@pytest.mark.parametrize("by_peer", [False, True], ids=["by-us", "by-peer"])
def test_every_cause_has_a_hint_of_its_own(cause: CloseCause, by_peer: bool) -> None:
    text = hint(cause, code=1000, by_peer=by_peer)
    assert text.endswith(".")
    assert text[0].isupper()
    others = {hint(other, code=1000, by_peer=by_peer) for other in CloseCause if other != cause}
    assert text not in others


@pytest.mark.parametrize("code", wire_codes())
def test_every_code_has_a_meaning(code: int) -> None:
    text = hint(code=code)
    assert text.startswith(f"The server closed the connection: {code}, ")
    meaning = text.partition(f"{code}, ")[2]
    assert meaning not in ("", "None.", "a code of its own.")


def test_no_two_codes_have_the_same_meaning() -> None:
    meanings = [hint(code=code).partition(f"{code}, ")[2] for code in wire_codes()]
    assert len(set(meanings)) == len(meanings) == 13


@pytest.mark.parametrize("code", [3000, 3999, 4000, 4999])
def test_other_codes_are_the_servers_own(code: int) -> None:
    assert hint(code=code) == f"The server closed the connection: {code}, a code of its own."


@pytest.mark.parametrize(
    ("cause", "words"),
    [
        pytest.param(CloseCause.EOF, ["without a Close frame", "ping_interval"], id="eof"),
        pytest.param(CloseCause.PING_TIMEOUT, ["silent", "ping_timeout"], id="ping"),
        pytest.param(CloseCause.LOOP_STALL, ["our own event loop", "blocking"], id="stall"),
        pytest.param(CloseCause.MESSAGE_TOO_BIG, ["max_message_size"], id="too-big"),
        pytest.param(CloseCause.CLOSE_TIMEOUT, ["close_timeout"], id="close-timeout"),
        pytest.param(CloseCause.CALLBACK_ERROR, ["callback of this program"], id="callback"),
    ],
)
def test_hints_name_what_can_be_changed(cause: CloseCause, words: list[str]) -> None:
    text = hint(cause)
    assert [word for word in words if word not in text] == []


def test_the_reason_is_quoted() -> None:
    assert hint(code=1013, reason="try later") == (
        'The server closed the connection and said "try later": 1013, it is overloaded; connect '
        "again later."
    )


def test_a_close_of_ours_is_plain() -> None:
    text = hint(code=1000, reason="bye", by_peer=False, loop_stall=60)
    assert text == "We closed the connection and the server agreed."


CAUSES_BUT_HANDSHAKE = [cause for cause in CloseCause if cause is not HANDSHAKE]


@pytest.mark.parametrize("cause", CAUSES_BUT_HANDSHAKE, ids=lambda cause: cause.value)
def test_the_exception_is_told(cause: CloseCause) -> None:
    text = hint(cause, exception=LookupError("no such key"))
    assert text == f"{hint(cause)} LookupError: no such key"
    # One without words adds nothing.
    assert hint(cause, exception=LookupError()) == hint(cause)


@pytest.mark.parametrize(
    ("cause", "by_peer", "stall", "told"),
    [
        pytest.param(HANDSHAKE, True, 1.0, True, id="close-of-the-peer"),
        pytest.param(HANDSHAKE, True, 0.99, False, id="too-short"),
        pytest.param(HANDSHAKE, False, 5.0, False, id="close-of-ours"),
        pytest.param(CloseCause.EOF, False, 5.0, True, id="eof"),
        pytest.param(CloseCause.PING_TIMEOUT, False, 5.0, True, id="ping-timeout"),
        pytest.param(CloseCause.LOOP_STALL, False, 5.0, False, id="said-already"),
    ],
)
def test_a_stalled_loop_is_told(
    cause: CloseCause, by_peer: bool, stall: float, told: bool
) -> None:
    text = hint(cause, code=1000, by_peer=by_peer, loop_stall=stall)
    assert text.endswith(f" Our own event loop had stood still for {stall:.1f} s.") is told


# --- laws -----------------------------------------------------------------------------------

ANY_TEXT = st.text(max_size=20) | st.sampled_from(
    ["two\nlines", "a\r\nb", "\r", "tab\tand\x00", "\x1b[31mred", "\x85", "\u2028", 'a "quote"']
)


@given(
    st.sampled_from(CloseCause),
    st.sampled_from([*wire_codes(), 3000, 4999]),
    ANY_TEXT,
    st.booleans(),
    st.none() | ANY_TEXT.map(ValueError),
    st.floats(0, 100),
)
def test_a_hint_is_one_line(
    cause: CloseCause,
    code: int,
    reason: str,
    by_peer: bool,
    exception: BaseException | None,
    stall: float,
) -> None:
    """The peer's reason goes to the log: it must not be able to write lines of its own."""
    text = hint(
        cause, code=code, reason=reason, by_peer=by_peer, exception=exception, loop_stall=stall
    )
    assert len(text.splitlines()) == 1


@pytest.mark.parametrize("reason", ["two\nlines", "a\r\nb", "\x85", "\u2028", "\x1b[2Jcleared"])
def test_a_reason_cannot_write_lines_or_control_the_terminal(reason: str) -> None:
    text = hint(code=1000, reason=reason)
    assert text.isprintable()


@pytest.mark.parametrize("reason", ["plain", "é€\U0001f600", "日本語", "Привет"])
def test_a_reason_in_any_language_is_left_as_it_is(reason: str) -> None:
    assert f'"{reason}"' in hint(code=1000, reason=reason)


async def test_a_rotation_is_told_from_a_close_of_ones_own() -> None:
    """What is fixed first stands: who closes before is not closed by it, nor renamed."""
    for first, second, cause in (
        (True, False, CloseCause.ROTATION),
        (False, True, HANDSHAKE),
    ):
        conn, far = open_near(close_timeout=5.0)
        conn._wire.close(CloseCode.GOING_AWAY, "", rotated=first)
        conn._wire.close(CloseCode.GOING_AWAY, "", rotated=second)
        far.transport.write(b"\x88\x02\x03\xe9")
        info = await conn.wait_closed()
        assert (info.cause, info.clean, info.initiator) == (cause, True, CloseInitiator.LOCAL)


async def test_a_rotation_that_is_not_answered_is_a_close_timeout() -> None:
    conn, _ = open_near(close_timeout=0.01)
    conn._wire.close(CloseCode.GOING_AWAY, "", rotated=True)
    info = await conn.wait_closed()
    assert (info.cause, info.clean) == (CloseCause.CLOSE_TIMEOUT, False)
