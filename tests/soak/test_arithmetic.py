"""The arithmetic of the soak: lines, ticks, bounds, cycles of objects, messages and frames."""

from __future__ import annotations

import gc
import xml.etree.ElementTree as ET
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from soak.chart import svg, ticks
from soak.cycles import cycles
from soak.measures import Sample, grown, growth, slope
from soak.messages import CYCLE, LARGEST, PINGS_PER_CYCLE, cycle, inflated, wire_chunks
from soak.report import MIB, Bound, Curve, Result, Table, markdown, read, steady, write
from wsclient.testing import FrameDecoder


def sample(at: float, **values: int) -> Sample:
    names = ("resident", "blocks", "descriptors", "threads", "timers", "ready", "tasks", "garbage")
    return Sample(at=at, **{name: values.get(name, 0) for name in names})


def test_the_slope_of_a_line_is_its_own() -> None:
    assert slope([(x, 7 + 3.5 * x) for x in (1, 2, 5, 9)]) == pytest.approx(3.5)
    assert growth([(x, 7 + 3.5 * x) for x in (1, 2, 5, 9)]) == pytest.approx(28)


def test_the_slope_is_that_of_least_squares() -> None:
    # By hand: mean 1 and 4/3; (-1)(-1/3) + 0 + 1(5/3) = 2, over 2.
    assert slope([(0, 1), (1, 0), (2, 3)]) == pytest.approx(1.0)


@pytest.mark.parametrize("points", [[], [(1, 2)], [(1, 2), (1, 3)]])
def test_no_slope_without_two_places(points: list[tuple[float, float]]) -> None:
    with pytest.raises(ValueError, match="two points"):
        slope(points)


def test_what_has_grown_comes_with_the_most_first() -> None:
    before = {"a": 1, "b": 5, "c": 3, "gone": 9}
    assert list(grown(before, {"a": 2, "b": 5, "c": 9, "new": 2}).items()) == [
        ("c", 6),
        ("new", 2),
        ("a", 1),
    ]


def test_bounds_look_only_at_what_comes_after_warming_up() -> None:
    samples = [sample(0, resident=0, blocks=0, timers=0)]
    samples += [sample(at, resident=50 * MIB, blocks=9, timers=1) for at in (1, 2, 3)]
    assert all(bound.kept for bound in steady(samples, warm=1, unit="messages"))
    assert not all(bound.kept for bound in steady(samples, warm=0, unit="messages"))


@pytest.mark.parametrize(
    ("name", "step"),
    [
        ("resident", MIB),
        ("blocks", 600),
        ("descriptors", 1),
        ("threads", 1),
        ("timers", 1),
        ("ready", 1),
        ("tasks", 1),
    ],
)
def test_each_thing_that_grows_breaks_a_bound(name: str, step: int) -> None:
    samples = [sample(at, **{name: at * step}) for at in range(5)]
    broken = [bound for bound in steady(samples, warm=1, unit="messages") if not bound.kept]
    assert len(broken) == 1


def test_a_bound_may_be_reached() -> None:
    assert Bound("", 3, 3, "", "").kept
    assert not Bound("", 3.01, 3, "", "").kept


def test_ticks_are_round_and_reach_around() -> None:
    assert ticks(0, 20) == [0, 5, 10, 15, 20]
    assert ticks(81.2, 108.9) == [80, 85, 90, 95, 100, 105, 110]
    for low, high in [(0.013, 0.71), (3, 99_999), (55.5, 56)]:
        found = ticks(low, high)
        assert found[0] <= low
        assert found[-1] >= high
        assert 3 <= len(found) <= 10


def test_a_picture_is_xml_with_a_mark_for_each_point() -> None:
    curve = Curve("A < B", "millions", "MiB", [(1, 80), (2, 85), (3, 84), (4, 85)], settled=1)
    picture = ET.fromstring(svg(curve))
    assert len(picture.findall("{*}circle")) == 4
    words = [each.text for each in picture.findall("{*}text")]
    assert {"A < B", "millions", "MiB", "warming up"} <= set(words)


def test_a_result_survives_the_way_through_json(tmp_path: Path) -> None:
    result = Result("idle", "Idle", {"rate": "fast"}, [Bound("b", 2.5, 1, "MiB", "why")])
    result.tables.append(Table("T", ("a", "b"), [("x", 1.5)]))
    result.curves.append(Curve("C", "x", "y", [(1.0, 2.0)], 0))
    write([result], tmp_path / "r.json")
    (again,) = read(tmp_path / "r.json")
    assert again.broken == ["b: 2.5, NOT within 1 MiB"]
    assert again.tables == result.tables
    assert [tuple(each) for each in again.curves[0].points] == [(1.0, 2.0)]
    assert "**b: BROKEN**" in markdown([again], "heading")


class Knot:
    """Something that can hold others."""

    def __init__(self, *held: Any) -> None:
        self.held = list(held)


@pytest.fixture
def _no_collection() -> Iterator[None]:
    gc.disable()
    yield
    gc.enable()


@pytest.mark.usefixtures("_no_collection")
def test_cycles_are_told_from_what_hangs_from_them() -> None:
    hanging = Knot()
    first, second, alone = Knot(hanging), Knot(), Knot()
    first.held.append(second)
    second.held.append(first)
    alone.held.append(alone)
    objects: list[Any] = [hanging, first, second, alone]
    objects += [each.held for each in list(objects)]
    groups = [{each for each in group if isinstance(each, Knot)} for group in cycles(objects)]
    assert sorted(groups, key=len) == [{alone}, {first, second}]


def test_a_long_chain_has_no_cycle() -> None:
    chain: list[Any] = []
    everything = []
    for _ in range(100_000):
        chain = [chain]
        everything.append(chain)
    assert cycles(everything) == []
    # Taken apart from its end, because freeing is recursive.
    while everything:
        everything.pop().clear()


def test_the_cycle_of_messages_has_all_sizes() -> None:
    sizes = [len(each if isinstance(each, bytes) else each.encode()) for each in cycle()]
    assert len(sizes) == CYCLE
    assert {0, 125, 126, 65535, 65536, LARGEST} <= set(sizes)
    assert sum(size < 126 for size in sizes) > CYCLE * 0.7
    assert {str, bytes} == {type(each) for each in cycle()}


@pytest.mark.parametrize("fragments", [False, True])
@pytest.mark.parametrize("compression", ["off", "takeover", "single"])
def test_a_cycle_on_the_wire_is_the_cycle(compression: str, fragments: bool) -> None:
    decoder = FrameDecoder()
    inflater = zlib.decompressobj(-15)
    messages: list[bytes] = []
    pings = parts = 0
    compressed = False
    # Twice: the second time the window holds the first one.
    for chunk in wire_chunks(compression, fragments=fragments) * 2:
        for frame in decoder.feed(chunk):
            if frame.opcode == 0x9:
                pings += 1
                continue
            if frame.opcode:
                compressed = bool(frame.rsv)
                messages.append(b"")
            messages[-1] += frame.payload
            parts += 1
            if frame.fin and compressed:
                fresh = zlib.decompressobj(-15) if compression == "single" else inflater
                messages[-1] = inflated(messages[-1], fresh)
    expected = [each if isinstance(each, bytes) else each.encode() for each in cycle()]
    assert messages == expected * 2
    assert pings == (2 * PINGS_PER_CYCLE if fragments else 0)
    assert (parts > 2 * CYCLE) is fragments
