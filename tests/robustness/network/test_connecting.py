"""Connecting through networks that drop, refuse, or let only the beginning through."""

from __future__ import annotations

import socket
from collections.abc import Sequence

import pytest
from aiohttp.abc import AbstractResolver, ResolveResult

from robustness.network.loops import TWO_LOOPS
from robustness.network.network import (
    SERVER,
    SERVER_6,
    SERVER_TOO,
    SYN,
    TO_CLIENT,
    TO_SERVER,
    Network,
)
from robustness.network.outcomes import no_socket_left, see_connecting
from robustness.network.report import Checker
from robustness.network.serving import serve, serving
from wsclient import TLSConfig
from wsclient.testing import RawServer
from wsclient.testing.certificates import IssuedCertificate
from wsclient.testing.raw import RawConnection

pytestmark = TWO_LOOPS

URL = f"ws://{SERVER}:80/"


class Addresses(AbstractResolver):
    """Resolves every name to the same addresses, in this order."""

    def __init__(self, *addresses: str) -> None:
        self._addresses = addresses

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        return [_resolved(host, port, each) for each in self._addresses]

    async def close(self) -> None:
        pass


def _resolved(host: str, port: int, address: str) -> ResolveResult:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    return {
        "hostname": host,
        "host": address,
        "port": port,
        "family": family,
        "proto": socket.IPPROTO_TCP,
        "flags": socket.AI_NUMERICHOST,
    }


# TCP


async def test_syn_dropped(network: Network, check: Checker) -> None:
    network.rule(f"{TO_SERVER} {SYN} drop")
    check("SYN dropped", await see_connecting(URL, connect_timeout=0.5))
    assert network.hits


async def test_answer_to_syn_dropped(network: Network, check: Checker) -> None:
    async with serve(network) as server:
        network.rule(f"{TO_CLIENT} drop")
        check("answer to SYN dropped", await see_connecting(server.url, connect_timeout=0.5))
        assert network.hits


async def test_syn_dropped_and_no_limit_of_ours(network: Network, check: Checker) -> None:
    # Linux gives up after six repetitions, which is two minutes.
    network.client.set("ipv4/tcp_syn_retries", 1)
    network.rule(f"{TO_SERVER} {SYN} drop")
    check("SYN dropped, no connect_timeout", await see_connecting(URL, connect_timeout=None))
    assert network.hits >= 2


async def test_first_syn_dropped(network: Network, check: Checker) -> None:
    async with serve(network) as server:
        network.rule(f"{TO_SERVER} {SYN} numgen inc mod 2 == 0 drop")
        check("first SYN dropped", await see_connecting(server.url))
        assert network.hits == 1


@pytest.mark.parametrize(
    ("scenario", "addresses", "rule"),
    [
        (
            "IPv6 address dropped, IPv4 good",
            (SERVER_6, SERVER),
            f"ip6 daddr {SERVER_6} {SYN} drop",
        ),
        (
            "first IPv4 address dropped, second good",
            (SERVER_TOO, SERVER),
            f"ip daddr {SERVER_TOO} {SYN} drop",
        ),
        (
            "first IPv4 address unreachable, second good",
            (SERVER_TOO, SERVER),
            f"ip daddr {SERVER_TOO} reject with icmp host-unreachable",
        ),
    ],
)
async def test_one_address_of_two_is_good(
    scenario: str,
    addresses: Sequence[str],
    rule: str,
    network: Network,
    check: Checker,
) -> None:
    async with serve(network) as server:
        network.rule(rule)
        url = f"ws://two.example:{server.port}/"
        check(scenario, await see_connecting(url, resolver=Addresses(*addresses)))
        assert network.hits


@pytest.mark.parametrize(
    "kind", ["host-unreachable", "net-unreachable", "admin-prohibited", "port-unreachable"]
)
async def test_icmp_says_no(kind: str, network: Network, check: Checker) -> None:
    network.rule(f"{TO_SERVER} reject with icmp {kind}")
    check(f"connecting: ICMP {kind}", await see_connecting(URL))
    assert network.hits


async def test_rst_by_a_firewall(network: Network, check: Checker) -> None:
    network.rule(f"{TO_SERVER} reject with tcp reset")
    check("connecting: RST", await see_connecting(URL))
    assert network.hits


async def test_no_route(network: Network, check: Checker) -> None:
    network.client.ip("route del default")
    check("connecting: no route", await see_connecting(URL))


# Behind TCP


async def test_tls_handshake_dropped(network: Network, trust: TLSConfig, check: Checker) -> None:
    async with serve(network) as server:
        # The client takes TCP for open: it has the answer to its SYN.
        network.rule(f"{TO_SERVER} tcp flags & syn != syn drop")
        url = server.url.replace("ws:", "wss:")
        check("TLS handshake dropped", await see_connecting(url, tls=trust, connect_timeout=0.5))
        assert network.hits


async def test_upgrade_dropped(network: Network, check: Checker) -> None:
    async with serve(network) as server:
        network.rule(f"{TO_SERVER} tcp flags & syn != syn drop")
        check("upgrade dropped", await see_connecting(server.url, connect_timeout=0.5))
        assert network.hits


async def test_upgrade_dropped_within_tls(
    network: Network, certificate: IssuedCertificate, trust: TLSConfig, check: Checker
) -> None:
    async def answer_into_the_void(conn: RawConnection) -> None:
        network.rule(f"{TO_CLIENT} drop")
        await conn.accept()

    server = RawServer(answer_into_the_void, tls=certificate.server_context(), host=SERVER)
    async with serving(network, server):
        seen = await see_connecting(server.url, tls=trust, connect_timeout=1.5)
        assert network.hits
        # TLS asks for an answer to its goodbye, which never comes: nobody may wait for it.
        await no_socket_left(network)
    check("upgrade dropped within TLS", seen)
