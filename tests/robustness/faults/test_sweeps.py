"""A short conversation with real servers, cut or damaged at every byte of either direction."""

from __future__ import annotations

import pytest

from robustness.faults.expected import DAMAGED, SLACK, damage
from robustness.faults.observing import Observation
from robustness.faults.outcomes import closed, failed
from robustness.faults.report import Results
from robustness.faults.sweeping import FRAME_SIZE, PUSHED, SIZE, TALKED, measure, sweep
from support.process import PeerProcess
from wsclient.testing.faults import Corrupt, Drop, Fault, Insert, Reset, Truncate, Way

MESSAGES = ["00000000".ljust(SIZE, "x"), "00000001".ljust(SIZE, "x")]
CLOSE_SIZE = 2 + 2 + len("done")
CONNECT_TIMEOUT = 0.5

THEIR_CLOSE = [
    closed("closing_handshake", code=1000, clean=True, initiator="remote"),
    # RST may come before our answer has left.
    closed("closing_handshake", code=1000, clean=False, initiator="remote"),
]
NO_ANSWER = [failed("ConnectError", "http"), failed("HandshakeError", "http")]
# RST in the place of the first byte may come before the system says that it has connected.
NOT_EVEN_TCP = [*NO_ANSWER, failed("ConnectError", "tcp")]
BROKEN = {"RST": closed("reset"), "FIN": closed("eof")}


@pytest.mark.parametrize("part", range(2))
@pytest.mark.parametrize(("name", "fault"), [("RST", Reset()), ("FIN", Truncate())])
@pytest.mark.parametrize("peer", ["websockets", "ws"], indirect=True)
async def test_cut_at_each_byte_to_the_client(
    peer: PeerProcess, name: str, fault: Fault, part: int, results: Results
) -> None:
    total = (await measure(peer, PUSHED))["to_client"]
    head = total - 2 * FRAME_SIZE - CLOSE_SIZE

    def check(way: Way, offset: int, seen: Observation) -> None:
        if offset < head:
            among, place = NO_ANSWER if offset else NOT_EVEN_TCP, "upgrade"
        elif offset < total:
            among, place = [BROKEN[name], *(NO_ANSWER if offset == head else [])], "open"
        else:
            among, place = THEIR_CLOSE, "closed"
        row = f"each byte to the client, {place}: {name}"
        results.expect(row, seen.outcome, seen.seconds, among=among, bound=SLACK, peer=peer.name)
        whole = min(max(0, offset - head) // FRAME_SIZE, 2)
        assert seen.messages == MESSAGES[: len(seen.messages)]
        # RST may take with it what has come and was not read; FIN takes nothing.
        assert name == "RST" or len(seen.messages) == whole

    offsets = range(part, total + 1, 2)
    await sweep(peer, PUSHED, [("to_client", offset, fault) for offset in offsets], check)


@pytest.mark.parametrize(("name", "fault"), [("RST", Reset()), ("FIN", Truncate())])
@pytest.mark.parametrize("peer", ["aiohttp", "picows"], indirect=True)
async def test_cut_at_each_byte_to_the_server(
    peer: PeerProcess, name: str, fault: Fault, results: Results
) -> None:
    total = (await measure(peer, TALKED))["to_server"]
    ours = (8 + len("hi") - 2) + (8 + SIZE) + 8
    head = total - ours

    def check(way: Way, offset: int, seen: Observation) -> None:
        local = closed(BROKEN[name].cause, initiator="local")
        if offset < head:
            among, place = NO_ANSWER if offset else NOT_EVEN_TCP, "upgrade"
        elif offset < total:
            # It may come before we have closed, and in the place of our first frame sooner.
            among, place = [local, BROKEN[name], *(NO_ANSWER if offset == head else [])], "open"
        else:
            clean = closed("closing_handshake", code=1000, clean=True, initiator="local")
            among, place = [local, clean], "closed"
        row = f"each byte to the server, {place}: {name}"
        results.expect(row, seen.outcome, seen.seconds, among=among, bound=SLACK, peer=peer.name)

    await sweep(
        peer,
        TALKED,
        [("to_server", offset, fault) for offset in range(total + 1)],
        check,
        close_timeout=2,
    )


def damages(way: Way, total: int, *, every: int) -> list[tuple[Way, int, Fault]]:
    """Flip a bit of each byte, another one each time; leave some out, and put some in."""
    flips: list[tuple[Way, int, Fault]] = [
        (way, offset, Corrupt(xor=1 << offset % 8)) for offset in range(0, total, every)
    ]
    drops: list[tuple[Way, int, Fault]] = [
        (way, offset, Drop()) for offset in range(0, total, 3 * every)
    ]
    inserts: list[tuple[Way, int, Fault]] = [
        (way, offset, Insert(bytes([offset * 37 % 256]))) for offset in range(1, total, 3 * every)
    ]
    return flips + drops + inserts


@pytest.mark.parametrize("way", ["to_client", "to_server"])
async def test_damage_on_the_way(peer: PeerProcess, way: Way, results: Results) -> None:
    said = PUSHED if way == "to_client" else TALKED
    total = (await measure(peer, said))[way]

    def check(way: Way, offset: int, seen: Observation) -> None:
        kind = damage(seen.outcome)
        row = f"a byte {way.replace('_', ' the ')} changed, lost or added"
        # Two time limits at most follow each other.
        bound = 2 * CONNECT_TIMEOUT + SLACK
        results.note(row, kind, seen.seconds, bound=bound, peer=peer.name)
        assert kind in DAMAGED, f"{seen.outcome}"
        assert seen.seconds <= bound
        # No byte is delivered twice, and none that was not sent but the one that was put in.
        assert sum(map(len, seen.messages)) <= 2 * FRAME_SIZE + CLOSE_SIZE + 1

    # Each peer meets every fifth byte, and they meet all of them together.
    every = 5
    start = sorted(["websockets", "aiohttp", "tornado", "picows", "ws"]).index(peer.name)
    faults = [(w, offset + start, f) for w, offset, f in damages(way, total - start, every=every)]
    await sweep(
        peer,
        said,
        faults,
        check,
        connect_timeout=CONNECT_TIMEOUT,
        close_timeout=0.5,
        ping_interval=0.2,
        ping_timeout=0.5,
    )
