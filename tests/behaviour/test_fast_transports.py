"""Connections on the transports of the extra ``fast``."""

from __future__ import annotations

import asyncio
import ssl
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from behaviour.servers import WAIT, agree, connected, echo
from wsclient import (
    ClientCertificateRejected,
    ClientIdentity,
    ConnectTimeoutError,
    TLSConfig,
    websocket_connect,
)
from wsclient.opening.fast import FastConnector
from wsclient.options.transports import fast_transports, suits_fast_transports
from wsclient.protocol.opcodes import Opcode
from wsclient.testing.certificates import CertificateAuthority
from wsclient.testing.frames import encode_frame
from wsclient.testing.raw import RawConnection, RawServer
from wsclient.testing.reset import reset
from wsclient.testing.tls.server import ThreadedTLSServer
from wsclient.wire.wire import Wire

CA = CertificateAuthority()
SERVER = CA.server_certificate()
CLIENT = CA.client_certificate("client")
IDENTITY = ClientIdentity.from_cryptography(CLIENT.private_key, CLIENT.certificate)

needs_extra = pytest.mark.skipif(
    fast_transports() is None, reason="aiofastnet is not installed, or does not work here"
)


@pytest.fixture
def kinds(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The packages of the transports that connections have begun on."""
    found: list[str] = []
    start = Wire.start

    def spy(wire: Wire, transport: asyncio.Transport) -> None:
        # A class of ours stands in front of that of aiofastnet.
        modules = [kind.__module__.partition(".")[0] for kind in type(transport).__mro__]
        found.append(next(name for name in modules if name != "wsclient"))
        start(wire, transport)

    monkeypatch.setattr(Wire, "start", spy)
    return found


@pytest.fixture
def missing(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Have the extra not be installed."""
    monkeypatch.setitem(sys.modules, "aiofastnet", None)
    fast_transports.cache_clear()
    yield
    monkeypatch.undo()
    fast_transports.cache_clear()


def own() -> str:
    """The package of the running loop."""
    return type(asyncio.get_running_loop()).__module__.partition(".")[0]


def secure(**options: Any) -> TLSConfig:
    return TLSConfig(cadata=CA.root_pem, **options)


# What is asked for


@pytest.mark.parametrize("wanted", [1, "yes", 0])
def test_neither_yes_nor_no(wanted: Any) -> None:
    with pytest.raises(TypeError, match="use_fast_transport"):
        websocket_connect("ws://localhost/", use_fast_transport=wanted)


@pytest.mark.usefixtures("missing")
def test_who_insists_is_told_what_to_install() -> None:
    with pytest.raises(ValueError, match=r"pip install 'wsclient-asyncio\[fast\]'"):
        websocket_connect("ws://localhost/", use_fast_transport=True)


@pytest.mark.usefixtures("missing")
@pytest.mark.parametrize("wanted", [None, False])
async def test_without_the_extra_all_is_as_ever(wanted: bool | None, kinds: list[str]) -> None:
    async with (
        RawServer(echo) as server,
        websocket_connect(server.url, use_fast_transport=wanted) as conn,
    ):
        conn.write_message("hello")
        assert await conn.read_message() == "hello"
    assert kinds == [own()]


@needs_extra
async def test_a_session_of_the_caller_is_left_alone(kinds: list[str]) -> None:
    loop = asyncio.get_running_loop()
    async with RawServer(echo) as server, aiohttp.ClientSession() as session:
        with pytest.raises(ValueError, match="use_fast_transport=True"):
            websocket_connect(server.url, session=session, use_fast_transport=True)
        async with websocket_connect(server.url, session=session):
            pass
        assert session.connector is not None
        assert session.connector._loop is loop
    assert kinds == [own()]


# What is used


@needs_extra
@pytest.mark.parametrize("wanted", [None, True])
async def test_plain_connections(wanted: bool | None, kinds: list[str]) -> None:
    loop = asyncio.get_running_loop()
    before = dict(vars(loop)) if own() == "asyncio" else {}
    async with RawServer(echo) as server:
        async with websocket_connect(server.url, use_fast_transport=wanted) as conn:
            conn.write_message("hello")
            assert await conn.read_message() == "hello"
        async with websocket_connect(server.url, use_fast_transport=False):
            pass
    # uvloop's own are as fast.
    fast = "aiofastnet" if own() == "asyncio" else own()
    assert kinds == [fast, own()]
    assert before.keys() == (dict(vars(loop)) if own() == "asyncio" else {}).keys()
    assert type(loop).create_connection.__module__.partition(".")[0] == own()


@needs_extra
@pytest.mark.parametrize(
    ("options", "fast"),
    [
        ({"tls": secure()}, True),
        ({"tls": secure(), "use_fast_transport": None}, False),
        ({"tls": secure(), "use_fast_transport": False}, False),
        ({"tls": secure(identity=IDENTITY)}, False),
        ({"tls": secure(authorize_server=lambda _: True)}, False),
        ({"tls": secure(pinned_public_keys=SERVER.spki_sha256)}, False),
        ({"tls": secure(session_resumption=True)}, False),
        ({"ssl": CA.trust_context()}, True),
        ({"ssl": CA.trust_context(), "use_fast_transport": None}, False),
        ({"ssl": CA.trust_context(), "use_fast_transport": False}, False),
    ],
)
async def test_tls(options: dict[str, Any], fast: bool, kinds: list[str]) -> None:
    async with (
        RawServer(echo, tls=SERVER.server_context()) as server,
        websocket_connect(server.url, **{"use_fast_transport": True, **options}) as conn,
    ):
        conn.write_message("hello")
        assert await conn.read_message() == "hello"
    assert kinds == ["aiofastnet" if fast else own()]


@needs_extra
def test_a_key_log_is_written(tmp_path: Path) -> None:
    log = tmp_path / "keys"

    async def main() -> None:
        async with (
            RawServer(echo, tls=SERVER.server_context()) as server,
            websocket_connect(server.url, tls=secure(keylog_filename=str(log))),
        ):
            pass

    asyncio.run(main())
    assert "SERVER_TRAFFIC_SECRET" in log.read_text()


def test_which_contexts_of_callers_suit(tmp_path: Path) -> None:
    class Context(ssl.SSLContext):
        pass

    assert suits_fast_transports(ssl.create_default_context())
    assert not suits_fast_transports(Context(ssl.PROTOCOL_TLS_CLIENT))
    unsuitable = [ssl.create_default_context() for _ in range(5)]
    unsuitable[0].keylog_filename = str(tmp_path / "keys")
    unsuitable[1].post_handshake_auth = True
    unsuitable[2].check_hostname = False
    unsuitable[2].verify_mode = ssl.CERT_NONE
    setattr(unsuitable[3], "_msg_callback", lambda *_: None)  # noqa: B010 - it is private
    unsuitable[4].sslobject_class = type("Object", (ssl.SSLObject,), {})
    assert not any(map(suits_fast_transports, unsuitable))


# What it depends on


@needs_extra
@pytest.mark.parametrize("method", ["_wrap_create_connection", "_start_tls_connection"])
def test_aiohttp_still_has_what_is_overridden(method: str) -> None:
    assert getattr(FastConnector, method) is not getattr(aiohttp.TCPConnector, method)


# TLS is as safe, and failures are as clear


@needs_extra
@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
async def test_a_server_that_wants_a_certificate(version: ssl.TLSVersion) -> None:
    context = SERVER.server_context(client_ca=CA)
    context.maximum_version = version
    errors = []
    for fast in (True, False):
        with (
            ThreadedTLSServer(context) as server,
            pytest.raises(ClientCertificateRejected) as caught,
        ):
            await websocket_connect(server.url, tls=secure(), use_fast_transport=fast)
        errors.append(caught.value)
    fast_one, watched = errors
    assert fast_one.tls_version == version.name.replace("_", ".")
    assert fast_one.reason == watched.reason == "certificate_required"
    assert fast_one.alert == watched.alert


# What the transports do


@needs_extra
async def test_pauses_and_goes_on() -> None:
    messages = [f"{number:04} " + "x" * 2000 for number in range(200)]

    async def serve(wire: RawConnection) -> None:
        await wire.accept()
        for message in messages:
            await wire.send_frame(Opcode.TEXT, message.encode())
        await agree(wire)

    for context in (None, SERVER.server_context()):
        async with RawServer(serve, tls=context) as server:
            options: dict[str, Any] = {"tls": secure()} if context else {}
            conn = await websocket_connect(
                server.url, max_queue_messages=1, max_queue_size=2000, **options
            )
            assert [await conn.read_message() for _ in messages] == messages
            await conn.close()


@needs_extra
async def test_a_close_frame_before_a_reset_is_kept() -> None:
    if own() == "uvloop":
        pytest.skip("uvloop's own transports lose it")
    async with connected() as (conn, server):
        frame = encode_frame(Opcode.CLOSE, (4001).to_bytes(2, "big") + b"because")
        server.writer.write(frame)
        reset(server.writer.transport)
        await asyncio.sleep(0)
        conn.write_message("into the void")
        conn.write_message("and more")
        info = await asyncio.wait_for(conn.wait_closed(), WAIT)
    assert (info.code, info.reason) == (4001, "because")


@needs_extra
async def test_a_connect_that_is_given_up_leaves_no_timer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Those of the handshake would stay for a minute, with the connection."""
    if own() == "uvloop":
        pytest.skip("uvloop does not tell of its timers")
    loop = asyncio.get_running_loop()
    timers: list[asyncio.TimerHandle] = []
    call_at = loop.call_at

    def noting(*arguments: Any, **options: Any) -> asyncio.TimerHandle:
        timers.append(call_at(*arguments, **options))
        return timers[-1]

    async def say_nothing(wire: RawConnection) -> None:
        await wire.reader.read()

    monkeypatch.setattr(loop, "call_at", noting)
    async with RawServer(say_nothing) as server:
        url = f"wss://localhost:{server.port}/"
        with pytest.raises(ConnectTimeoutError):
            await websocket_connect(
                url, tls=secure(), use_fast_transport=True, connect_timeout=0.1
            )
    await asyncio.sleep(0)
    handshakes = [each for each in timers if each.when() > loop.time() + 20]
    assert handshakes
    assert [each for each in handshakes if not each.cancelled()] == []


@needs_extra
async def test_another_thread_may_ask() -> None:
    answers: list[Any] = []
    async with (
        RawServer(echo, tls=SERVER.server_context()) as server,
        websocket_connect(server.url, tls=secure()) as conn,
    ):
        thread = threading.Thread(target=lambda: answers.append((conn.stats(), repr(conn))))
        thread.start()
        thread.join()
    assert len(answers) == 1
