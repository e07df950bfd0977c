"""What keeps a client from reaching the server at all: names, TCP, and hosts that say nothing."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from typing import Any

import pytest
from aiohttp.abc import ResolveResult

from behaviour.servers import Resolver
from robustness.faults.expected import SLACK
from robustness.faults.observing import observe
from robustness.faults.outcomes import Outcome, failed
from robustness.faults.report import Results
from support.process import PeerProcess
from wsclient import TLSConfig, WebSocketClientConnection
from wsclient.testing.certificates import IssuedCertificate
from wsclient.testing.faults import FaultProxy
from wsclient.testing.raw import RawConnection, RawServer

CONNECT_TIMEOUT = 0.5


class NoName(Resolver):
    """Knows no name, as a server that answers NXDOMAIN."""

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """Fail."""
        raise OSError(None, "no such name")


TIMEOUT = failed("ConnectTimeoutError", "timeout")
HTTP, TCP = failed("ConnectError", "http"), failed("ConnectError", "tcp")
TLS = failed("TLSConnectionClosed", "tls")

# RST that comes with the end of TCP's own handshake may be told as the end of that.
PROXY_FAULTS: dict[tuple[str, str], tuple[Callable[[FaultProxy], object], tuple[Outcome, ...]]] = {
    ("TCP: refused", "ws"): (FaultProxy.refuse, (TCP,)),
    ("TCP: refused", "wss"): (FaultProxy.refuse, (TCP,)),
    ("TCP: reset when accepted", "ws"): (
        lambda proxy: proxy.to_client.at(event="connected").reset(),
        (HTTP, TCP),
    ),
    ("TCP: reset when accepted", "wss"): (
        lambda proxy: proxy.to_client.at(event="connected").reset(),
        (TLS, TCP),
    ),
    ("TCP: FIN when accepted", "ws"): (
        lambda proxy: proxy.to_client.at(byte=0).truncate(),
        (HTTP,),
    ),
    ("TCP: FIN when accepted", "wss"): (
        lambda proxy: proxy.to_client.at(byte=0).truncate(),
        (TLS,),
    ),
    ("TCP: open, and silent", "ws"): (lambda proxy: proxy.to_client.black_hole(), (TIMEOUT,)),
    ("TCP: open, and silent", "wss"): (lambda proxy: proxy.to_client.black_hole(), (TIMEOUT,)),
}


async def never(conn: WebSocketClientConnection) -> None:
    raise AssertionError("this must not open")


async def expect(
    results: Results, fault: str, url: str, *among: Outcome, peer: str = "", **options: Any
) -> None:
    late = TIMEOUT in among
    seen = await observe(
        url, never, connect_timeout=CONNECT_TIMEOUT if late else 10, proxy=None, **options
    )
    bound = CONNECT_TIMEOUT + SLACK if late else SLACK
    results.expect(fault, seen.outcome, seen.seconds, among=among, bound=bound, peer=peer)


async def test_name_is_unknown(results: Results) -> None:
    url = "ws://nowhere.test/"
    await expect(
        results, "DNS: unknown name", url, failed("ConnectError", "dns"), resolver=NoName()
    )


async def test_name_server_says_nothing(results: Results) -> None:
    url = "ws://nowhere.test/"
    await expect(results, "DNS: no answer", url, TIMEOUT, resolver=Resolver(delay=60))


@pytest.mark.parametrize(("fault", "scheme"), PROXY_FAULTS)
async def test_tcp_fails(fault: str, scheme: str, peer: PeerProcess, results: Results) -> None:
    begin, among = PROXY_FAULTS[fault, scheme]
    async with FaultProxy(peer.url(tls=scheme == "wss")) as proxy:
        begin(proxy)
        await expect(results, f"{fault} ({scheme})", proxy.url, *among, peer=peer.name)


async def test_connecting_is_bounded_for_many_at_once(results: Results) -> None:
    async def mute(wire: RawConnection) -> None:
        await wire.reader.read(-1)

    async with RawServer(mute) as server:
        fault = "upgrade: 50 attempts at once, no answer"
        attempts = [expect(results, fault, server.url, TIMEOUT) for _ in range(50)]
        await asyncio.gather(*attempts)


async def test_resets_when_accepted_leave_nothing_and_say_so(
    trust: TLSConfig, certificates: IssuedCertificate, results: Results
) -> None:
    async def mute(wire: RawConnection) -> None:
        await wire.read_to_end()

    async with (
        RawServer(mute, tls=certificates.server_context()) as server,
        FaultProxy(server.url) as proxy,
    ):
        proxy.to_client.at(event="connected").reset()
        # RST meets the ClientHello in one of many places, so once would show little.
        for _ in range(100):
            await expect(results, "TCP: reset when accepted (wss)", proxy.url, TLS, TCP, tls=trust)
