"""Rules are plain data, the same however they are made, and impossible ones raise at the call."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from typing import Any

import pytest

from wsclient.testing.faults import (
    BlackHole,
    Change,
    Corrupt,
    Drop,
    Fault,
    FaultProxy,
    Insert,
    Line,
    Pause,
    Reset,
    Resume,
    Rule,
    Truncate,
    When,
)

TARGET = ("127.0.0.1", 9)
NO_NUMBER: Any = "1"

PLAIN: list[tuple[dict[str, Any], Fault]] = [
    ({"fault": "pause"}, Pause()),
    ({"fault": "resume"}, Resume()),
    ({"fault": "black_hole"}, BlackHole()),
    ({"fault": "truncate"}, Truncate()),
    ({"fault": "reset"}, Reset()),
    ({"fault": "reset", "to": "client"}, Reset("client")),
    ({"fault": "corrupt"}, Corrupt()),
    ({"fault": "corrupt", "count": 2, "xor": 255}, Corrupt(2, xor=255)),
    ({"fault": "corrupt", "value": 0}, Corrupt(value=0)),
    ({"fault": "drop", "count": 7}, Drop(7)),
    ({"fault": "insert", "data": "\x00\xff"}, Insert(b"\x00\xff")),
    ({"fault": "set", "latency": 0.1, "bandwidth": None}, Change(latency=0.1, bandwidth=None)),
]

MOMENTS: list[tuple[dict[str, Any], When]] = [
    ({"byte": 0}, When(byte=0)),
    ({"event": "upgraded"}, When(event="upgraded")),
    ({"frame": 3}, When(frame=3)),
    ({"opcode": 8, "of": "to_server"}, When(opcode=8, of="to_server")),
    ({"match": "\x00\xffa"}, When(match=b"\x00\xffa")),
]


@pytest.mark.parametrize(("plain", "fault"), PLAIN, ids=lambda each: str(each))
def test_fault_from_plain_data_and_back(plain: dict[str, Any], fault: Fault) -> None:
    plain = {"direction": "to_client", "byte": 5, **plain}
    rule = Rule.from_dict(json.loads(json.dumps(plain)))
    assert rule == Rule("to_client", When(byte=5), fault)
    assert rule.to_dict() == plain
    assert hash(rule) == hash(Rule.from_dict(plain))


@pytest.mark.parametrize(("plain", "when"), MOMENTS, ids=lambda each: str(each))
def test_moment_from_plain_data_and_back(plain: dict[str, Any], when: When) -> None:
    plain = {"direction": "to_server", "connection": 2, "fault": "pause", **plain}
    rule = Rule.from_dict(json.loads(json.dumps(plain)))
    assert rule == Rule("to_server", when, Pause(), connection=2)
    assert rule.to_dict() == plain


def test_bytes_need_not_be_text() -> None:
    plain = {"direction": "to_client", "match": b"\xff", "fault": "insert", "data": b"\x00"}
    assert Rule.from_dict(plain) == Rule("to_client", When(match=b"\xff"), Insert(b"\x00"))


@pytest.mark.parametrize(
    ("wrong", "error", "says"),
    [
        ({}, TypeError, "exactly one moment"),
        ({"byte": 1, "frame": 1}, TypeError, "exactly one moment"),
        ({"byte": -1}, ValueError, "byte must be 0 at least"),
        ({"byte": 1.5}, TypeError, "byte must be a whole number"),
        ({"byte": True}, TypeError, "byte must be a whole number"),
        ({"opcode": 16}, ValueError, "opcode must be 0 at least and 15 at most"),
        ({"event": "opened"}, ValueError, "event must be one of connected, request"),
        ({"match": ""}, ValueError, "match is empty"),
        ({"match": "\u20ac"}, ValueError, "above U.00FF"),
        ({"match": 5}, TypeError, "match must be bytes or text"),
        ({"event": "upgraded", "of": "to_server"}, ValueError, "leave out of"),
        ({"byte": 1, "of": "upstream"}, ValueError, "of must be"),
        ({"byte": 1, "direction": "down"}, ValueError, "direction must be"),
        ({"byte": 1, "connection": -1}, ValueError, "connection must be 0 at least"),
        ({"byte": 1, "fault": "explode"}, ValueError, "one of pause, resume"),
        ({"byte": 1, "fault": 5}, ValueError, "one of pause, resume"),
        ({"byte": 1, "count": 2}, TypeError, "'pause' takes no arguments, not count"),
        ({"byte": 1, "fault": "drop", "xor": 2}, TypeError, "'drop' takes count, not xor"),
        ({"byte": 1, "fault": "drop", "count": 0}, ValueError, "count must be 1 at least"),
        ({"byte": 1, "fault": "insert"}, TypeError, "needs data"),
        ({"byte": 1, "fault": "insert", "data": ""}, ValueError, "nothing to insert"),
        ({"byte": 1, "fault": "reset", "to": "me"}, ValueError, "to must be"),
        ({"byte": 1, "fault": "corrupt", "xor": 0}, ValueError, "xor must be 1 at least"),
        ({"byte": 1, "fault": "corrupt", "value": 256}, ValueError, "255 at most"),
        ({"byte": 1, "fault": "corrupt", "xor": 1, "value": 1}, ValueError, "either xor or"),
        ({"byte": 1, "fault": "set"}, ValueError, "Name what is to change"),
        ({"byte": 1, "fault": "set", "latency": -1}, ValueError, "latency must be 0 or more"),
        ({"byte": 1, "fault": "set", "bandwidth": 0}, ValueError, "pause"),
    ],
    ids=str,
)
def test_impossible_rule_raises(wrong: dict[str, Any], error: type[Exception], says: str) -> None:
    plain = {"direction": "to_client", "fault": "pause", **wrong}
    with pytest.raises(error, match=says):
        Rule.from_dict(plain)
    with pytest.raises(error, match=says):
        FaultProxy(TARGET, script=[plain])


def test_rule_without_what_it_needs_raises() -> None:
    with pytest.raises(TypeError, match="needs direction and fault"):
        Rule.from_dict({"byte": 1})
    with pytest.raises(TypeError, match="when must be a When"):
        Rule("to_client", 5, Pause())  # type: ignore[arg-type]  # the wrong type is the case
    with pytest.raises(TypeError, match="fault must be one of the faults"):
        Rule("to_client", When(byte=1), "pause")  # type: ignore[arg-type]  # the same


@pytest.mark.parametrize(
    ("make", "error", "says"),
    [
        (lambda: Line(latency=math.inf), ValueError, "latency must be 0 or more seconds"),
        (lambda: Line(latency=NO_NUMBER), TypeError, "latency must be a number of seconds"),
        (lambda: Line(jitter=math.nan), ValueError, "jitter must be 0 or more seconds"),
        (lambda: Line(bandwidth=-1), ValueError, "bandwidth must be more than 0"),
        (lambda: Line(bandwidth=True), TypeError, "bandwidth must be bytes per second"),
        (lambda: Line(chunk_size=0), ValueError, "chunk_size must be 1 at least"),
        (lambda: FaultProxy("ftp://x"), ValueError, "scheme ws, wss, http or https"),
        (lambda: FaultProxy("ws:///path"), ValueError, "and a host"),
        (lambda: FaultProxy(("x", 0)), ValueError, "port must be 1 at least"),
        (lambda: FaultProxy(TARGET, seed=-1), ValueError, "seed must be 0 at least"),
        (lambda: FaultProxy(TARGET).to_client.on(-1), ValueError, "connection must be 0"),
        (lambda: FaultProxy(TARGET).to_client.at(), TypeError, "exactly one moment"),
        (lambda: FaultProxy(TARGET).to_client.at(byte=1).drop(0), ValueError, "count must be"),
        (lambda: FaultProxy(TARGET).to_client.insert(NO_NUMBER), TypeError, "data must be bytes"),
        (lambda: FaultProxy(TARGET).to_client.on(0).latency, RuntimeError, "not been accepted"),
        (lambda: FaultProxy(TARGET).to_client.on(0).pause(), RuntimeError, "no open connection"),
    ],
)
def test_impossible_call_raises(
    make: Callable[[], object], error: type[Exception], says: str
) -> None:
    with pytest.raises(error, match=says):
        make()


@pytest.mark.parametrize(
    "moment",
    [
        {"frame": 0},
        {"opcode": 1},
        {"event": "request"},
        {"event": "upgraded"},
        {"event": "close"},
    ],
    ids=str,
)
def test_what_tls_hides_raises(moment: dict[str, Any]) -> None:
    for url in ("wss://localhost", "https://localhost"):
        with pytest.raises(ValueError, match="cannot be seen through TLS"):
            FaultProxy(url).to_client.at(**moment)
        with pytest.raises(ValueError, match="cannot be seen through TLS"):
            FaultProxy(url, script=[{"direction": "to_client", "fault": "pause", **moment}])
        for visible in ({"byte": 1}, {"match": b"x"}, {"event": "connected"}, {"event": "fin"}):
            FaultProxy(url).to_client.at(**visible).pause()  # type: ignore[arg-type]  # a mix


def test_url_has_the_address_of_the_proxy_and_all_else_of_the_target() -> None:
    for target, before, behind in (
        ("ws://example.org/a/b?c=d&e", "ws://127.0.0.1:", "/a/b?c=d&e"),
        ("wss://localhost:8443", "wss://localhost:", "/"),
        ("http://user:secret@127.0.0.1:1/x", "http://user:secret@127.0.0.1:", "/x"),
        (("127.0.0.1", 9), "ws://127.0.0.1:", "/"),
    ):
        with FaultProxy(target, seed=4) as proxy:
            assert proxy.url == f"{before}{proxy.address[1]}{behind}"
            assert "secret" not in repr(proxy)
            assert "seed 4" in repr(proxy)


def test_seed_is_drawn_when_none_is_given() -> None:
    assert FaultProxy(TARGET).seed != FaultProxy(TARGET).seed
    assert FaultProxy(TARGET, seed=6).seed == 6


def test_line_is_seen_and_set() -> None:
    proxy = FaultProxy(TARGET, to_server=Line(latency=1, jitter=2, bandwidth=3, chunk_size=4))
    line = proxy.to_server
    assert (line.latency, line.jitter, line.bandwidth, line.chunk_size) == (1, 2, 3, 4)
    line.latency, line.jitter, line.bandwidth, line.chunk_size = 0.5, 0, None, None
    assert line.line == Line(latency=0.5)
    line.set(bandwidth=10, chunk_size=1)
    assert line.line == Line(latency=0.5, bandwidth=10, chunk_size=1)
    assert proxy.to_client.line == Line()


@pytest.mark.parametrize("target", ["ws://127.0.0.1:0/", ("127.0.0.1", 0)])
def test_a_port_of_0_is_refused(target: Any) -> None:
    with pytest.raises(ValueError, match="port"):
        FaultProxy(target)


def test_a_condition_must_be_a_line() -> None:
    with pytest.raises(TypeError, match="Line"):
        FaultProxy("ws://127.0.0.1:1/", to_client=0.5)  # type: ignore[arg-type]
