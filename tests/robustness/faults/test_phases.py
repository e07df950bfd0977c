"""A line that breaks at every moment of a connection, between our client and real servers."""

from __future__ import annotations

import asyncio

import pytest

from robustness.faults.expected import BOUNDS, ROWS, Broken
from robustness.faults.observing import Observation, observe
from robustness.faults.outcomes import Outcome
from robustness.faults.phases import BODY, CLOSE_TIMEOUT, PHASES, Phase
from robustness.faults.report import Results
from support.process import PEERS, PeerProcess
from wsclient.testing.faults import Direction, FaultProxy

FAULTS: dict[Broken, str] = {"RST": "reset", "FIN": "truncate", "silence": "black_hole"}
ENDS: tuple[Broken, ...] = ("RST", "FIN")
FRAGMENTED = [phase for phase in PHASES if "fragments" in phase.abilities]


def test_the_table_has_every_moment_and_no_other() -> None:
    assert list(ROWS) == [phase.name for phase in PHASES]


def arm(proxy: FaultProxy, phase: Phase, broken: Broken) -> None:
    direction: Direction = proxy.to_client if phase.way == "to_client" else proxy.to_server
    getattr(direction.at(**phase.moment), FAULTS[broken])()


async def meet(
    phase: Phase, broken: Broken, peer: PeerProcess, results: Results, *, callback: bool = False
) -> None:
    async with FaultProxy(peer.url(phase.path, **phase.query)) as proxy:
        arm(proxy, phase, broken)
        seen = await observe(
            proxy.url,
            phase.talk,
            callback=callback,
            connect_timeout=1.5 if broken == "silence" else 10,
            close_timeout=CLOSE_TIMEOUT,
            ping_interval=0.2 if broken == "silence" else None,
            ping_timeout=0.5,
        )
        assert proxy.connections[0].fired, f"{phase}: the line did not break"
    results.expect(
        f"{phase}: {broken}",
        seen.outcome,
        seen.seconds,
        among=ROWS[phase.name][broken],
        bound=BOUNDS[waits_for(ROWS[phase.name][broken][0])],
        peer=peer.name,
    )
    check_messages(seen)


def waits_for(outcome: Outcome) -> str:
    if outcome.error == "ConnectTimeoutError":
        return "connect_timeout"
    if outcome.cause in ("ping_timeout", "close_timeout"):
        return outcome.cause
    # TCP that nobody ends is ended after the time that closing may take.
    return "close_timeout" if outcome.clean else "at once"


def check_messages(seen: Observation) -> None:
    expected = ["hello", BODY]
    assert seen.messages == expected[: len(seen.messages)]


async def breaks(phase: Phase, peer: PeerProcess, results: Results) -> None:
    for broken in ENDS:
        await meet(phase, broken, peer, results)
        await meet(phase, broken, peer, results, callback=True)


@pytest.mark.parametrize("phase", [each for each in PHASES if each not in FRAGMENTED], ids=str)
async def test_line_breaks(phase: Phase, peer: PeerProcess, results: Results) -> None:
    await breaks(phase, peer, results)


@pytest.mark.abilities("fragments")
@pytest.mark.parametrize("phase", FRAGMENTED, ids=str)
async def test_line_breaks_in_a_message(phase: Phase, peer: PeerProcess, results: Results) -> None:
    await breaks(phase, peer, results)


async def test_line_falls_silent(peer: PeerProcess, results: Results) -> None:
    able = [phase for phase in PHASES if phase.abilities <= PEERS[peer.name]]
    assert len(able) > 20
    async with asyncio.TaskGroup() as group:
        # At the same time, since all of them wait for a time limit.
        for number, phase in enumerate(able):
            callback = number % 2 == 1
            group.create_task(meet(phase, "silence", peer, results, callback=callback))
