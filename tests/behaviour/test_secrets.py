"""Passwords and tokens reach no log, no repr and no exception, however connecting fails."""

from __future__ import annotations

import logging
import traceback
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest

from behaviour.servers import echo
from support.proxies import connect_proxy
from wsclient import TLSConfig, WebSocketError, websocket_connect
from wsclient.testing import IssuedCertificate
from wsclient.testing.raw import RawConnection, RawServer

SECRET = "s3cret"


async def babble(wire: RawConnection) -> None:
    await wire.send(b"SSH-2.0-babble\r\n" * 10)
    await wire.read_to_end()


async def drop(wire: RawConnection) -> None:
    await wire.read_request()


async def say_nothing(wire: RawConnection) -> None:
    await wire.read_to_end()


async def refuse(wire: RawConnection) -> None:
    await wire.read_request()
    await wire.respond("403 Forbidden", {"Connection": "close"})


async def accept_wrongly(wire: RawConnection) -> None:
    await wire.accept({"Sec-WebSocket-Accept": "wrong"})


async def redirect_for_ever(wire: RawConnection) -> None:
    await wire.read_request()
    location = f"/?token={SECRET}"
    await wire.respond("302 Found", {"Location": location, "Connection": "close"})


def related(error: BaseException | None) -> Iterator[BaseException]:
    """Walk over everything that a logger might follow."""
    seen: set[int] = set()
    waiting = [error]
    while waiting:
        each = waiting.pop()
        if each is not None and id(each) not in seen:
            seen.add(id(each))
            yield each
            waiting += [each.__cause__, each.__context__]


def check_text(error: BaseException) -> None:
    text = "".join(traceback.format_exception(error))
    for each in related(error):
        text += f"{each}\n{each!r}\n{each.args!r}\n"
    assert SECRET not in text, [line for line in text.splitlines() if SECRET in line]


@asynccontextmanager
async def session_or_none(given: bool) -> AsyncIterator[aiohttp.ClientSession | None]:
    if given:
        async with aiohttp.ClientSession() as session:
            yield session
    else:
        yield None


@pytest.mark.parametrize("given", [False, True], ids=["own-session", "callers-session"])
@pytest.mark.parametrize(
    "serve", [babble, drop, say_nothing, refuse, accept_wrongly, redirect_for_ever]
)
@pytest.mark.parametrize("scheme", ["ws", "wss"])
async def test_failures_of_the_server(
    serve: Any, scheme: str, given: bool, certificates: IssuedCertificate
) -> None:
    context = certificates.server_context() if scheme == "wss" else None
    async with RawServer(serve, tls=context) as server:
        await check_failure_of(server, scheme, given, TLSConfig(cadata=certificates.root_pem))


@pytest.mark.parametrize("given", [False, True], ids=["own-session", "callers-session"])
@pytest.mark.parametrize("serve", [babble, say_nothing])
async def test_failures_of_a_server_without_tls(serve: Any, given: bool) -> None:
    async with RawServer(serve) as server:
        await check_failure_of(server, "wss", given, None)


async def check_failure_of(
    server: RawServer, scheme: str, given: bool, tls: TLSConfig | None
) -> None:
    async with session_or_none(given) as session:
        url = f"{scheme}://user:{SECRET}@127.0.0.1:{server.port}/?token={SECRET}"
        with pytest.raises(WebSocketError) as caught:
            await websocket_connect(
                url,
                session=session,
                connect_timeout=0.2,
                tls=tls,
                cookies={"session": SECRET},
                headers={"X-Api-Key": SECRET},
                subprotocols=[SECRET],
            )
        check_text(caught.value)


@pytest.mark.parametrize("given", [False, True], ids=["own-session", "callers-session"])
@pytest.mark.parametrize("scheme", ["ws", "wss"])
async def test_failures_of_the_proxy(scheme: str, given: bool) -> None:
    async with (
        connect_proxy(auth=("user", "another")) as proxy,
        RawServer(babble) as babbling,
        RawServer(drop) as dropping,
        session_or_none(given) as session,
    ):
        for port in (proxy.port, babbling.port, dropping.port, 1):
            with pytest.raises(WebSocketError) as caught:
                await websocket_connect(
                    f"{scheme}://127.0.0.1:9/?token={SECRET}",
                    proxy=f"http://user:{SECRET}@127.0.0.1:{port}",
                    proxy_headers={"X-Api-Key": SECRET},
                    session=session,
                )
            check_text(caught.value)


async def test_open_connection(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "wsclient")

    def fail(message: str | bytes | None) -> None:
        raise ZeroDivisionError

    async with RawServer(echo) as server:
        url = f"ws://user:{SECRET}@127.0.0.1:{server.port}/?token={SECRET}"
        conn = await websocket_connect(url, on_message_callback=fail)
        assert SECRET not in repr(conn)
        await conn.write_message("x")
        with pytest.raises(ZeroDivisionError):
            await conn.wait_closed()
        assert SECRET not in repr(conn) + repr(conn.close_info) + str(conn.close_info)
    assert caplog.records
    assert SECRET not in caplog.text
