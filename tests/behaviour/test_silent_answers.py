"""Servers whose answer to the upgrade has no end, or does not come."""

from __future__ import annotations

import asyncio
import socket
from pathlib import Path

import pytest
from aiohttp.abc import AbstractResolver, ResolveResult

from support.proxies import connect_proxy, socks5_proxy
from support.running import open_descriptors
from wsclient import ConnectError, ConnectTimeoutError, TLSConfig, websocket_connect
from wsclient.testing import FaultProxy, RawConnection, RawServer
from wsclient.testing.certificates import IssuedCertificate

INTERIM = b"HTTP/1.1 100 Continue\r\n\r\n"


@pytest.mark.parametrize("way", ["direct", "http", "socks5"])
async def test_interim_answers_without_end(way: str) -> None:
    """Nothing of aiohttp's own ends it: this fails when its handlers are not ours any more."""
    if way == "socks5":
        pytest.importorskip("aiohttp_socks", reason="aiohttp_socks is not installed")

    async def go_on(conn: RawConnection) -> None:
        await conn.read_request()
        while True:
            await conn.send(INTERIM * 1000)

    async with RawServer(go_on) as server, connect_proxy() as http, socks5_proxy() as socks:
        proxy = {"direct": None, "http": http.url, "socks5": socks.url}[way]
        with pytest.raises(ConnectError, match="did not answer with valid HTTP") as caught:
            await websocket_connect(server.url, proxy=proxy, connect_timeout=20)
    assert not isinstance(caught.value, ConnectTimeoutError)
    assert caught.value.phase == "http"


async def test_some_interim_answers_are_passed_over() -> None:
    async def answer(conn: RawConnection) -> None:
        await conn.read_request()
        await conn.send(INTERIM * 50)
        await conn.accept()
        await conn.send_close(1000)
        await conn.read_until_close()

    async with RawServer(answer) as server:
        conn = await websocket_connect(server.url)
        assert await conn.read_message() is None


async def test_a_network_that_falls_silent_behind_tls_holds_no_socket(
    certificates: IssuedCertificate, tmp_path: Path
) -> None:
    """TLS would wait half a minute for the answer to its goodbye."""
    asked = asyncio.Event()

    async def listen(conn: RawConnection) -> None:
        await conn.read_request()
        proxy.to_server.black_hole()
        proxy.to_client.black_hole()
        asked.set()
        await asyncio.Event().wait()

    tls = TLSConfig(cafile=certificates.write(tmp_path).ca_file)
    async with RawServer(listen, tls=certificates.server_context()) as server:
        with FaultProxy(server.url) as proxy:
            connecting = asyncio.create_task(
                websocket_connect(proxy.url, tls=tls, connect_timeout=20)
            )
            await asked.wait()
            before = open_descriptors()
            connecting.cancel()
            with pytest.raises(asyncio.CancelledError):
                await connecting
            # The proxy says nothing to anybody, and keeps what it has.
            async with asyncio.timeout(5):
                while len(open_descriptors()) >= len(before):  # noqa: ASYNC110 - no event tells
                    await asyncio.sleep(0.001)


class ManyAddresses(AbstractResolver):
    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        return [
            ResolveResult(
                hostname=host,
                host=f"127.0.{number // 250}.{number % 250 + 1}",
                port=port,
                family=socket.AF_INET,
                proto=0,
                flags=0,
            )
            for number in range(1000)
        ]

    async def close(self) -> None:
        pass


async def test_a_host_with_a_thousand_addresses(closed_port: int) -> None:
    with pytest.raises(ConnectError) as caught:
        await websocket_connect(
            f"ws://many.test:{closed_port}/", resolver=ManyAddresses(), connect_timeout=20
        )
    assert not isinstance(caught.value, ConnectTimeoutError)
