"""Laws of the open connection: any chunks, any way of reading, the same conversation."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import pytest
from hypothesis import event, given
from hypothesis import strategies as st

from connection.far_end import Bench, FarEnd, bench_on, open_near, turns
from protocol.streams import (
    DAMAGES,
    SETTINGS,
    SIZES,
    Damage,
    Fault,
    Setting,
    cut,
    fault_of,
    junk,
    law,
    messages_in,
    receive,
    singly,
    streams,
)
from wsclient.errors import MessageTooBigError, ProtocolError, WebSocketClosedError
from wsclient.protocol.closing import CloseCause, CloseInfo
from wsclient.protocol.deflate import DeflateParameters
from wsclient.protocol.opcodes import Opcode
from wsclient.protocol.roles import Role


@pytest.fixture(scope="module", params=["asyncio", "uvloop"])
def bench(request: pytest.FixtureRequest) -> Iterator[Bench]:
    """A bench on each loop."""
    logging.getLogger("wsclient").setLevel(
        logging.CRITICAL
    )  # a law logs the same a thousand times
    factory: Any = asyncio.new_event_loop
    if request.param == "uvloop":
        factory = pytest.importorskip("uvloop", reason="uvloop is not installed").new_event_loop
    with bench_on(factory) as made:
        yield made
    logging.getLogger("wsclient").setLevel(logging.NOTSET)


class Way(NamedTuple):
    """One way to have the same conversation.

    Attributes:
        sizes: of the chunks; ``None`` for all at once.
        pause: turns of the loop between two chunks.
        reader: ``"loop"``, ``"callback"`` or ``"async"``.
        queue: max_queue_messages.
        ending: how the other end leaves in the end: ``"eof"`` or ``"reset"``.
        hurry: whether it leaves right behind its last byte, and not when all has been done.
        echo: whether each message is sent back.
    """

    sizes: list[int] | None = None
    pause: int = 0
    reader: str = "loop"
    queue: int = 1024
    ending: str = "eof"
    hurry: bool = False
    echo: bool = False


@dataclass
class Account:
    """What came of it.

    Attributes:
        messages: what the application got, and ``None``.
        controls: pings and pongs that it was told of.
        sent: opcode and payload of each frame that went out.
        info: what the account of the end says, apart from times.
        fault: the exception in it.
    """

    messages: list[Any]
    controls: list[tuple[int, bytes]]
    sent: list[tuple[int, bytes]]
    info: dict[str, Any]
    fault: Fault | None


def options_of(setting: Setting) -> dict[str, Any]:
    deflate = None
    if setting.window_bits is not None:
        bits, alone = setting.window_bits, setting.no_context_takeover
        deflate = DeflateParameters(alone, alone, bits, bits)
    return {"role": setting.role, "deflate": deflate, "max_message_size": setting.limit}


async def converse(wire: bytes, setting: Setting, way: Way) -> Account:
    """Let one end have this stream in that way, to its end."""
    messages: list[Any] = []
    controls: list[tuple[int, bytes]] = []
    options = options_of(setting)
    options["on_ping"] = lambda payload: controls.append((9, payload))
    options["on_pong"] = lambda payload: controls.append((10, payload))

    def take(message: Any) -> None:
        messages.append(message)
        if way.echo and message is not None:
            try:
                conn.write_message(message, binary=isinstance(message, bytes))
            except WebSocketClosedError:
                messages.append("too late")

    async def take_async(message: Any) -> None:
        take(message)

    async def read() -> None:
        while not messages or messages[-1] is not None:
            take(await conn.read_message())

    if way.reader != "loop":
        options["on_message_callback"] = take if way.reader == "callback" else take_async
    conn, far = open_near(max_queue_messages=way.queue, **options)
    reading = asyncio.create_task(read()) if way.reader == "loop" else None
    await turns(4)
    await deliver(wire, far, way)
    info = await conn.wait_closed()
    if reading is not None:
        await reading
        assert await conn.read_message() is None
    assert conn.closed
    assert info == conn.close_info
    return account(messages, controls, far, info, setting)


async def deliver(wire: bytes, far: FarEnd, way: Way) -> None:
    for chunk in [wire] if way.sizes is None else cut(wire, way.sizes):
        far.transport.write(chunk)
        await turns(way.pause)
    if not way.hurry:
        await far.until_taken()
    far.end() if way.ending == "eof" else far.reset()


def account(
    messages: list[Any],
    controls: list[tuple[int, bytes]],
    far: FarEnd,
    info: CloseInfo,
    setting: Setting,
) -> Account:
    frames = far.frames()
    assert all(frame.masked is (setting.role is Role.CLIENT) for frame in frames)
    sent = [(frame.opcode, frame.payload) for frame in frames]
    told = {name: getattr(info, name) for name in CloseInfo.__slots__}
    del told["seconds_since_last_byte"]
    fault = None
    error = told.pop("exception")
    if isinstance(error, ProtocolError | MessageTooBigError):
        fault = fault_of(error, compression=setting.window_bits is not None)
    if fault and fault.close_code == 1007:
        # How such a fault is worded depends on the chunks; `Fault` says why.
        del told["hint"]
        sent = [(op, load[:2] if op == Opcode.CLOSE else load) for op, load in sent]
    return Account(messages, controls, sent, told, fault)


WAYS = st.builds(
    Way,
    sizes=SIZES,
    pause=st.sampled_from([0, 1, 4]),
    reader=st.sampled_from(["loop", "callback", "async"]),
    queue=st.sampled_from([1, 2, 1024]),
    ending=st.just("eof"),
    hurry=st.just(False),
    echo=st.just(False),
)

ENDINGS = st.sampled_from(["eof", "reset"])


@st.composite
def wires(draw: st.DrawFn, setting: Setting) -> bytes:
    """Draw a stream: without a fault, with one damaged place, or anything."""
    kind = draw(st.sampled_from(["sound", "damaged", "damaged", "junk"]))
    if kind == "junk":
        return draw(junk(setting))
    wire = draw(streams(setting)).wire
    if kind == "sound":
        return wire
    damage: Damage = draw(DAMAGES)
    return damage.do(wire)[0]


@law(60)
@given(st.data(), SETTINGS, WAYS, st.sampled_from([0, 0, 4, 100]), ENDINGS, st.booleans())
def test_every_way_is_the_same(
    bench: Bench,
    data: st.DataObject,
    setting: Setting,
    way: Way,
    limit: int,
    ending: str,
    hurry: bool,
) -> None:
    """Messages, pings, the account of the end, and every frame that was sent."""
    setting = replace(setting, limit=limit)
    wire = data.draw(wires(setting))
    plain = bench.run(lambda: converse(wire, setting, Way(ending=ending)))
    event(plain.info["cause"].value)
    # A reset may overtake what is on its way, a FIN never does.
    hurry = hurry and ending == "eof"
    way = way._replace(ending=ending, hurry=hurry)
    assert bench.run(lambda: converse(wire, setting, way)) == plain
    # The connection gives what the parser gives, then None, once.
    events, fault = receive([wire], setting)
    assert plain.messages == [*messages_in(events), None]
    assert plain.controls == [e for e in events if isinstance(e, tuple) and e[0] != 8]
    if fault is not None:
        assert plain.fault == fault
        assert plain.sent[-1][0] == Opcode.CLOSE
        assert plain.info["sent"] == fault.close_code


@law(40)
@given(st.data(), SETTINGS, WAYS)
def test_every_message_can_be_answered(
    bench: Bench, data: st.DataObject, setting: Setting, way: Way
) -> None:
    """What is written at once goes out, even if the Close frame is in the same chunk."""
    wire = data.draw(wires(setting))
    events, _ = receive([wire], setting)
    told = bench.run(lambda: converse(wire, setting, way._replace(echo=True)))
    messages = messages_in(events)
    assert told.messages == [*messages, None]
    data_frames = [(op, load) for op, load in told.sent if op < Opcode.CLOSE]
    assert data_frames == [(1, m.encode()) if isinstance(m, str) else (2, m) for m in messages]
    pings = [e[1] for e in events if isinstance(e, tuple) and e[0] == Opcode.PING]
    assert [load for op, load in told.sent if op == Opcode.PONG] == pings
    # Nothing is sent behind the Close frame.
    closes = [number for number, (op, _) in enumerate(told.sent) if op == Opcode.CLOSE]
    assert closes in ([], [len(told.sent) - 1])


@law(40)
@given(st.data(), st.sampled_from(list(Role)), SIZES, ENDINGS)
def test_the_account_says_how_it_ended(
    bench: Bench, data: st.DataObject, role: Role, sizes: list[int], ending: str
) -> None:
    """Of a stream without a fault, in terms of what the other end did."""
    setting = Setting(role)
    stream = data.draw(streams(setting))
    told = bench.run(lambda: converse(stream.wire, setting, Way(sizes, ending=ending)))
    info = told.info
    closing = [e for e in stream.events if isinstance(e, tuple) and e[0] == Opcode.CLOSE]
    assert told.fault is None
    assert info["discarded_messages"] == 0
    if closing:
        payload = closing[0][1]
        code = int.from_bytes(payload[:2], "big") if payload else 1005
        assert (info["cause"], info["clean"]) == (CloseCause.CLOSING_HANDSHAKE, True)
        assert (info["code"], info["reason"]) == (code, payload[2:].decode())
        assert info["received"] == info["sent"] == code
        assert info["received_first"] is True
        assert told.sent[-1] == (Opcode.CLOSE, payload)
    else:
        cause = CloseCause.EOF if ending == "eof" else CloseCause.RESET
        assert (info["cause"], info["clean"], info["code"]) == (cause, False, 1006)
        assert info["sent"] is info["received"] is None


@law(15)
@given(st.data(), SETTINGS)
def test_byte_by_byte(bench: Bench, data: st.DataObject, setting: Setting) -> None:
    """The smallest chunks, each in a turn of its own, and each way of reading."""
    wire = data.draw(wires(setting))[:150]
    plain = bench.run(lambda: converse(wire, setting, Way()))
    assert len(singly(wire)) == len(wire)
    for reader in ("loop", "callback", "async"):
        way = Way([1], pause=1, reader=reader, queue=1)
        assert bench.run(lambda way=way: converse(wire, setting, way)) == plain  # type: ignore[misc]  # mypy cannot infer it
