"""Every TLS record of a conversation cut off, lost or damaged, between our client and servers."""

from __future__ import annotations

import asyncio
import ssl

import pytest

from robustness.faults.expected import BOUNDS, SLACK, TLS_ROWS, stage
from robustness.faults.observing import observe
from robustness.faults.outcomes import CLEAN
from robustness.faults.phases import BODY, chat_and_close
from robustness.faults.records import RECORD_FAULTS, RecordFault, RecordRelay
from robustness.faults.report import Results
from support.process import PeerProcess
from wsclient.testing.certificates import IssuedCertificate
from wsclient.testing.faults import Way

RECORDS = 14
"""More than any direction of the conversation has."""

CONNECT_TIMEOUT = 3.0


def table_row(version: str, fault: RecordFault) -> str:
    return f"{version}, {stage(version, fault.way, fault.index)}, {fault.way}: {fault.what}"


async def meet(
    peer: PeerProcess, context: ssl.SSLContext, fault: RecordFault, results: Results
) -> bool:
    """Let one connection meet a fault; return whether there was such a record."""
    assert peer.tls_port is not None
    version = "TLSv1.2" if context.maximum_version == ssl.TLSVersion.TLSv1_2 else "TLSv1.3"
    async with RecordRelay(peer.tls_port, fault) as relay:
        seen = await observe(
            f"wss://127.0.0.1:{relay.port}/echo",
            chat_and_close,
            ssl=context,
            connect_timeout=0.7 if fault.what in ("silence", "drop") else CONNECT_TIMEOUT,
            close_timeout=0.5,
        )
    assert seen.messages == ["hello", BODY][: len(seen.messages)]
    if not relay.fired:
        assert seen.outcome == CLEAN
        return False
    place = stage(version, fault.way, fault.index)
    results.expect(
        table_row(version, fault),
        seen.outcome,
        seen.seconds,
        among=TLS_ROWS[place, fault.what],
        bound=CONNECT_TIMEOUT + SLACK if place != "open" else BOUNDS["close_timeout"],
        peer=peer.name,
    )
    return True


async def sweep(peer: PeerProcess, context: ssl.SSLContext, results: Results) -> None:
    gate = asyncio.Semaphore(8)
    last: dict[Way, int] = {"to_server": 0, "to_client": 0}

    async def one(fault: RecordFault) -> None:
        async with gate:
            if await meet(peer, context, fault, results):
                last[fault.way] = max(last[fault.way], fault.index)

    faults = [
        RecordFault(way, index, what)
        for way in last
        for index in range(RECORDS)
        for what in RECORD_FAULTS
    ]
    raised = await asyncio.gather(*map(one, faults), return_exceptions=True)
    wrong = {str(each): each for each in raised if each is not None}
    if wrong:
        raise BaseExceptionGroup("\n".join(wrong), list(wrong.values()))
    assert 5 <= last["to_server"] < RECORDS - 1
    assert 9 <= last["to_client"] < RECORDS - 1


@pytest.mark.parametrize("peer", ["websockets", "tornado", "ws"], indirect=True)
async def test_each_record_of_tls_1_3(
    peer: PeerProcess, certificates: IssuedCertificate, results: Results
) -> None:
    await sweep(peer, certificates.trust_context(), results)


@pytest.mark.parametrize("peer", ["websockets", "ws"], indirect=True)
async def test_each_record_of_tls_1_2(
    peer: PeerProcess, certificates: IssuedCertificate, results: Results
) -> None:
    context = certificates.trust_context()
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    await sweep(peer, context, results)
