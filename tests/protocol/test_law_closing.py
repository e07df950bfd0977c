"""Laws of the closing handshake: the table never leaves its states, whatever happens."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from protocol.streams import law, law_of
from wsclient.errors import ProtocolError
from wsclient.protocol.closing import (
    TRANSITIONS,
    CloseEvent,
    CloseState,
    ClosingHandshake,
    build_close_payload,
    check_close_code,
    parse_close_payload,
    truncate_reason,
)
from wsclient.protocol.roles import Role

CODES = st.sampled_from([1000, 1001, 1003, 1007, 1014, 3000, 4999])
ANY_TEXT = st.text(st.characters(exclude_categories=[]), max_size=130)
REASONS = st.text(max_size=30) | st.just("é" * 61 + "x")
WRONG_PAYLOADS = st.sampled_from(
    [
        b"\x03",
        b"\0\0",
        b"\x03\xec",
        b"\x03\xed",
        b"\x03\xee",
        b"\x03\xf7",
        b"\x0b\xb7",
        b"\x13\x88",
    ]
) | st.just(b"\x03\xe8\xff")


class HandshakeMachine(RuleBasedStateMachine):
    """One end's view of the closing handshake, with a model that knows only what happened."""

    def __init__(self) -> None:
        super().__init__()
        self.handshake = ClosingHandshake()
        self.order: list[str] = []
        self.seen = [self.handshake.state]

    @initialize(role=st.sampled_from(list(Role)), opened=st.sampled_from([True, True, False]))
    def begin(self, role: Role, opened: bool) -> None:
        self.handshake = ClosingHandshake(role)
        if opened:
            self.open()
            self.it_goes_by_the_table()

    def _try(self, event: CloseEvent, act: object) -> None:
        """Do something; it works exactly where the table has an entry, else nothing changes."""
        before = self._all()
        allowed = (self.handshake.state, event) in TRANSITIONS
        try:
            act()  # type: ignore[operator]  # any function
        except KeyError:
            assert not allowed
            assert self._all() == before
        else:
            assert allowed
            self.order.append(event.value)

    def _all(self) -> tuple[object, ...]:
        return tuple(getattr(self.handshake, name) for name in ClosingHandshake.__slots__)

    @rule()
    def open(self) -> None:
        self._try(CloseEvent.OPENED, self.handshake.opened)

    @rule(code=st.none() | CODES, reason=REASONS)
    def send(self, code: int | None, reason: str) -> None:
        reason = "" if code is None else reason
        self._try(CloseEvent.CLOSE_SENT, lambda: self.handshake.send(code, reason))

    @rule(code=st.integers(0, 5000), reason=ANY_TEXT)
    def send_anything(self, code: int, reason: str) -> None:
        try:
            build_close_payload(code, reason)
        except ValueError:
            before = self._all()
            try:
                self.handshake.send(code, reason)
            except ValueError:
                assert self._all() == before
            else:
                raise AssertionError("what cannot be built was sent")

    @rule(code=st.none() | CODES, reason=REASONS)
    def receive(self, code: int | None, reason: str) -> None:
        payload = build_close_payload(code, "" if code is None else reason)
        self._try(CloseEvent.CLOSE_RECEIVED, lambda: self.handshake.receive(payload))

    @rule(payload=WRONG_PAYLOADS)
    def receive_a_fault(self, payload: bytes) -> None:
        before = self._all()
        try:
            self.handshake.receive(payload)
        except ProtocolError:
            assert self._all() == before
        else:
            raise AssertionError("a faulty Close frame was taken")

    @precondition(lambda self: self.handshake.state is CloseState.REMOTE_CLOSING)
    @rule()
    def answer(self) -> None:
        payload = self.handshake.answer()
        assert parse_close_payload(payload) == (self.handshake.received, self.handshake.reason)
        self.order.append(CloseEvent.CLOSE_SENT.value)

    # Seldom, for it is the end.
    @rule(now=st.sampled_from([False, False, False, False, False, True]))
    def lose(self, now: bool) -> None:
        if now:
            self._try(CloseEvent.LOST, self.handshake.lost)

    @invariant()
    def it_goes_by_the_table(self) -> None:
        state = self.handshake.state
        assert state in CloseState
        if state is not self.seen[-1]:
            assert any(
                old is self.seen[-1] and new is state for (old, _), new in TRANSITIONS.items()
            )
            assert state not in self.seen, "no state comes back"
            self.seen.append(state)

    @invariant()
    def it_tells_what_happened(self) -> None:
        handshake, order = self.handshake, self.order
        sent, received = "close_sent" in order, "close_received" in order
        assert order.count("close_sent") <= 1
        assert order.count("close_received") <= 1
        assert (handshake.sent is not None) is sent
        assert (handshake.received is not None) is received
        assert handshake.can_send is (order == ["opened"])
        assert handshake.can_send_close is (not sent and "lost" not in order and bool(order))
        if sent and received:
            first = order.index("close_received") < order.index("close_sent")
            assert handshake.received_first is first
            assert handshake.state is CloseState.CLOSED
        else:
            assert handshake.received_first is None


TestHandshakeMachine = law_of(HandshakeMachine, 80, steps=12)


@law(100)
@given(st.none() | st.integers(-10, 70_000), ANY_TEXT)
def test_what_is_built_is_read(code: int | None, reason: str) -> None:
    """Either it is refused with a reason, or the other end reads just this."""
    try:
        payload = build_close_payload(code, reason)
    except ValueError as error:
        assert str(error)
        return
    assert len(payload) <= 125
    for role in Role:
        assert parse_close_payload(payload, role) == (1005 if code is None else code, reason)


@law(150)
@given(
    st.binary(max_size=125)
    | st.tuples(st.integers(990, 1020) | st.integers(0, 0xFFFF), st.binary(max_size=123)).map(
        lambda drawn: drawn[0].to_bytes(2, "big") + drawn[1]
    ),
    st.sampled_from(list(Role)),
)
def test_any_payload_is_read_or_refused(payload: bytes, role: Role) -> None:
    try:
        code, reason = parse_close_payload(payload, role)
    except ProtocolError as error:
        assert error.close_code in (1002, 1007)
        assert f"The {role.peer} " in str(error)
        return
    if payload:
        check_close_code(code)
    assert build_close_payload(None if code == 1005 else code, reason) == payload


@law(100)
@given(ANY_TEXT | ANY_TEXT.map(lambda text: text * 3))
def test_what_is_cut_fits(text: str) -> None:
    """It can always be sent, nothing more would fit, and cutting it again changes nothing."""
    kept = truncate_reason(text)
    assert parse_close_payload(build_close_payload(1000, kept)) == (1000, kept)
    assert truncate_reason(kept) == kept
    clean = text.encode(errors="replace").decode()
    assert clean.startswith(kept)
    assert kept == clean or len(clean[: len(kept) + 1].encode()) > 123
