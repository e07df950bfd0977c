"""What is measured counts while the CPU runs at its full speed."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain, repeat

import pytest

from benchmarks import client
from benchmarks.job import Job
from benchmarks.speed import is_full

COUNT = 7


class Work:
    """Remembers what it was asked for."""

    def __init__(self) -> None:
        self.asked: list[int] = []

    async def __call__(self, count: int) -> None:
        self.asked.append(count)


@pytest.fixture
def work() -> Work:
    return Work()


def tell(monkeypatch: pytest.MonkeyPatch, first: Sequence[bool], then: bool) -> None:
    """Let the CPU be at its full speed or not, each time when it is looked at."""
    answers = chain(first, repeat(then))
    monkeypatch.setattr(client, "is_full", lambda best: next(answers))


async def slices(work: Work, *, seconds: float = 1e-9) -> tuple[int, bool]:
    job = Job("echo", seconds=seconds)
    found, full = await client._slices(job, work, COUNT)
    return len(found), full


async def test_slices_beside_which_it_was_slow_do_not_count(
    work: Work, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow_before, slow_behind = [False], [True, False]
    tell(monkeypatch, [*slow_before, *slow_behind, *slow_before], then=True)
    assert await slices(work) == (1, True)
    assert work.asked == [COUNT, COUNT]


async def test_slow_ones_do_when_there_are_no_others(
    work: Work, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client, "_MOST", 3 * COUNT)
    tell(monkeypatch, [True, False] * 3, then=False)
    assert await slices(work) == (3, False)


async def test_there_is_one_slice_at_least(work: Work, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "_PATIENCE", 0.0)
    assert await slices(work) == (1, False)


async def test_there_are_as_many_as_were_wanted(
    work: Work, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client, "_MOST", 5 * COUNT)
    tell(monkeypatch, [], then=True)
    assert await slices(work, seconds=1000.0) == (5, True)


def test_full_speed_is_nearly_the_best() -> None:
    assert is_full(0.0), "nobody has looked how quick it can be"
    assert is_full(1000.0)
    assert not is_full(1e-9)
