"""What a caller gets wrong is said at once; nothing is written, and the connection goes on."""

from __future__ import annotations

import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from behaviour.servers import echo
from wsclient import (
    ConnectError,
    HTTPRequest,
    InvalidURLError,
    TLSConfig,
    TLSConfigurationError,
    WebSocketClientConnection,
    websocket_connect,
)
from wsclient.protocol.opcodes import Opcode
from wsclient.testing.certificates import CertificateAuthority
from wsclient.testing.frames import Frame
from wsclient.testing.raw import RawConnection, RawServer

URL = "ws://127.0.0.1:1/"
NAN, INFINITY = float("nan"), float("inf")

Case = tuple[dict[str, Any], type[Exception], str]


def cases(table: dict[str, Case]) -> Callable[[Any], Any]:
    """Make a test of each row: what is given, what is raised, and a word of what is said."""
    rows = [pytest.param(*row, id=name) for name, row in table.items()]
    return pytest.mark.parametrize(("given", "error", "said"), rows)


# Arguments of websocket_connect


def check_call(given: dict[str, Any], error: type[Exception], said: str) -> None:
    """Call `websocket_connect` without a loop: there is no way to the network."""
    with pytest.raises(error, match=said) as caught:
        websocket_connect(**{"url": URL, **given})
    text = str(caught.value)
    assert len(text.split()) >= 5, f"no sentence: {text}"
    assert not isinstance(caught.value, ConnectError) or isinstance(caught.value, InvalidURLError)


@cases(
    {
        "http": ({"url": "http://h/"}, InvalidURLError, "ws://"),
        "https": ({"url": "https://h/"}, InvalidURLError, "wss://"),
        "ftp": ({"url": "ftp://h/"}, InvalidURLError, "ws or wss"),
        "no scheme": ({"url": "example.org/chat"}, InvalidURLError, "scheme"),
        "fragment": ({"url": "ws://h/#top"}, InvalidURLError, "fragment"),
        "empty fragment": ({"url": "ws://h/#"}, InvalidURLError, "fragment"),
        "no host": ({"url": "ws:///chat"}, InvalidURLError, "host"),
        "empty": ({"url": ""}, InvalidURLError, "empty"),
        "space": ({"url": "ws://h/a b"}, InvalidURLError, "%20"),
        "line break": ({"url": "ws://h/a\r\nX: y"}, InvalidURLError, "control character"),
        "surrogate": ({"url": "ws://h/\ud800"}, InvalidURLError, "surrogate"),
        "port": ({"url": "ws://h:65536/"}, InvalidURLError, "port"),
        "port word": ({"url": "ws://h:http/"}, InvalidURLError, "port"),
        "bad IPv6": ({"url": "ws://[::1/"}, InvalidURLError, "IPv6|host"),
        "bytes": ({"url": b"ws://h/"}, TypeError, "url"),
        "None": ({"url": None}, TypeError, "url"),
        "number": ({"url": 80}, TypeError, "url"),
    }
)
def test_url(given: dict[str, Any], error: type[Exception], said: str) -> None:
    check_call(given, error, said)


def test_url_errors_keep_passwords() -> None:
    with pytest.raises(InvalidURLError) as caught:
        websocket_connect("http://user:hunter2@h/?token=abc")
    assert "hunter2" not in str(caught.value) + repr(caught.value.__cause__)
    assert "abc" not in str(caught.value)


@cases(
    {
        "name with line break": ({"headers": {"X\r\nY": "z"}}, ValueError, "header"),
        "name with space": ({"headers": {"X Y": "z"}}, ValueError, "header"),
        "empty name": ({"headers": {"": "z"}}, ValueError, "header"),
        "name with colon": ({"headers": {"X:": "z"}}, ValueError, "header"),
        "value with CR": ({"headers": {"X": "a\rb"}}, ValueError, "header X"),
        "value with LF": ({"headers": {"X": "a\nb"}}, ValueError, "header X"),
        "value with NUL": ({"headers": {"X": "a\0b"}}, ValueError, "header X"),
        "value no str": ({"headers": {"X": 1}}, TypeError, "X"),
        "value None": ({"headers": {"X": None}}, TypeError, "X"),
        "name no str": ({"headers": {1: "z"}}, TypeError, "header"),
        "no pairs": ({"headers": ["X"]}, TypeError, "pairs"),
        "no mapping": ({"headers": 5}, TypeError, "mapping"),
        "reserved": ({"headers": {"Sec-WebSocket-Key": "z"}}, ValueError, "Sec-WebSocket-Key"),
        "body": ({"headers": {"Content-Length": "1"}}, ValueError, "body"),
        "origin": ({"origin": "http://a\r\nX: y"}, ValueError, "Origin"),
        "origin twice": (
            {"origin": "http://a", "headers": {"origin": "http://b"}},
            ValueError,
            "one of them",
        ),
        "user agent": ({"user_agent": "me\n"}, ValueError, "User-Agent"),
        "proxy headers": ({"proxy_headers": {"X": "a\nb"}}, ValueError, "header X"),
        "cookie name": ({"cookies": {"a b": "c"}}, ValueError, "cookie"),
        "cookie value": ({"cookies": {"a": "b\r\nc"}}, ValueError, "Cookie"),
        "cookie injection": ({"cookies": {"a": "b; admin=1"}}, ValueError, "cookie a"),
        "cookies no mapping": ({"cookies": "a=b"}, TypeError, "cookies"),
    }
)
def test_headers(given: dict[str, Any], error: type[Exception], said: str) -> None:
    check_call(given, error, said)


@cases(
    {
        "twice": ({"subprotocols": ["chat", "chat"]}, ValueError, "repeats"),
        "space": ({"subprotocols": ["chat room"]}, ValueError, "subprotocol"),
        "line break": ({"subprotocols": ["chat\r\n"]}, ValueError, "subprotocol"),
        "comma": ({"subprotocols": ["a,b"]}, ValueError, "subprotocol"),
        "empty": ({"subprotocols": [""]}, ValueError, "subprotocol"),
        "one str": ({"subprotocols": "chat"}, TypeError, "list|sequence|subprotocols"),
        "number": ({"subprotocols": [1]}, TypeError, "subprotocol"),
    }
)
def test_subprotocols(given: dict[str, Any], error: type[Exception], said: str) -> None:
    check_call(given, error, said)


def number_cases() -> dict[str, Case]:
    """Return what no number of seconds, bytes or messages may be, for each that there is."""
    table: dict[str, Case] = {}
    for name in ("connect_timeout", "ping_interval", "ping_timeout", "close_timeout"):
        table[f"{name} negative"] = ({name: -1}, ValueError, f"{name} .*negative")
        table[f"{name} NaN"] = ({name: NAN}, ValueError, f"{name} .*NaN")
        table[f"{name} infinite"] = ({name: INFINITY}, ValueError, f"{name} .*finite")
        table[f"{name} text"] = ({name: "5"}, TypeError, f"{name} .*not str")
        table[f"{name} bool"] = ({name: True}, TypeError, f"{name} .*not bool")
    for name in ("max_message_size", "max_queue_messages", "max_queue_size", "max_redirects"):
        table[f"{name} negative"] = ({name: -1}, ValueError, f"{name} must be")
        table[f"{name} fraction"] = ({name: 1.5}, TypeError, f"{name} .*whole number")
        table[f"{name} NaN"] = ({name: NAN}, TypeError, f"{name} .*whole number")
        table[f"{name} text"] = ({name: "5"}, TypeError, f"{name} .*not str")
    table["connect_timeout 0"] = ({"connect_timeout": 0}, ValueError, "None for no limit")
    table["queue 0"] = ({"max_queue_messages": 0}, ValueError, "1 or more")
    return table


@cases(number_cases())
def test_numbers(given: dict[str, Any], error: type[Exception], said: str) -> None:
    check_call(given, error, said)


class Request:
    """A request of another library, with Tornado's attribute names."""

    def __init__(self, **fields: object) -> None:
        self.url = URL
        vars(self).update(fields)


async def async_function(data: bytes) -> None:
    """Stand for a callback that would never be awaited."""


def generator_function(message: object) -> Any:
    yield message


@cases(
    {
        "callback": ({"on_message_callback": "print"}, TypeError, "on_message_callback"),
        "generator": ({"on_message_callback": generator_function}, TypeError, "yield"),
        "async on_ping": ({"on_ping": async_function}, TypeError, "plain function"),
        "async on_pong": ({"on_pong": async_function}, TypeError, "plain function"),
        "compression True": ({"compression_options": True}, TypeError, "write {}"),
        "compression name": ({"compression_options": {"level": 1}}, ValueError, "level"),
        "window bits": (
            {"compression_options": {"client_max_window_bits": 16}},
            ValueError,
            "8..15",
        ),
        "level": ({"compression_options": {"compression_level": 10}}, ValueError, "-1..9"),
        "auth": ({"auth": "user:secret"}, TypeError, "login, password"),
        "auth class": ({"auth": aiohttp.DigestAuthMiddleware}, TypeError, "instance"),
        "login": ({"auth": ("a:b", "c")}, ValueError, "':'"),
        "auth twice": (
            {"auth": ("a", "b"), "headers": {"Authorization": "Bearer x"}},
            ValueError,
            "one of them",
        ),
        "proxy scheme": ({"proxy": "ftp://h:1"}, ValueError, "http"),
        "proxy False": ({"proxy": False}, TypeError, "None"),
        "proxy type": ({"proxy": 8080}, TypeError, "URL"),
        "session": ({"session": object()}, TypeError, "ClientSession"),
        "resolver": ({"resolver": object()}, TypeError, "AbstractResolver"),
        "local_addr": ({"local_addr": "127.0.0.1"}, TypeError, "host, port"),
        "local port": ({"local_addr": ("127.0.0.1", 65536)}, ValueError, "65535"),
        "tls": ({"tls": True}, TypeError, "TLSConfig"),
        "ssl": ({"ssl": False}, TypeError, "SSLContext"),
        "proxy_tls": ({"proxy_tls": object()}, TypeError, "TLSConfig"),
        "tls and ssl": (
            {"tls": TLSConfig(), "ssl": ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)},
            ValueError,
            "exclude",
        ),
        "request method": ({"url": Request(method="POST")}, ValueError, "GET"),
        "request body": ({"url": Request(body=b"x")}, ValueError, "body"),
        "request url": ({"url": HTTPRequest("http://h/")}, InvalidURLError, "ws://"),
        "request number": (
            {"url": HTTPRequest(URL, request_timeout=-1)},
            ValueError,
            "request_timeout",
        ),
    }
)
def test_other_arguments(given: dict[str, Any], error: type[Exception], said: str) -> None:
    check_call(given, error, said)


# Methods of an open connection

Call = Callable[[WebSocketClientConnection], object]


BAD_KEYS: Any = {(1, 2): "x"}


class Endless(dict[str, Any]):
    """A mapping with itself in it."""

    def __init__(self) -> None:
        super().__init__()
        self["self"] = self


BAD_CALLS: dict[str, tuple[Call, type[Exception], str]] = {
    "text not UTF-8": (
        lambda c: c.write_message(b"\xff"),
        ValueError,
        "binary=True",
    ),
    "text cut in a character": (
        lambda c: c.write_message("é".encode()[:1]),
        ValueError,
        "binary=True",
    ),
    "surrogate in bytes": (
        lambda c: c.write_message(b"\xed\xa0\x80"),
        ValueError,
        "binary=True",
    ),
    "surrogate": (lambda c: c.write_message("a\ud800b"), ValueError, "surrogate at index 1"),
    "surrogate, binary": (
        lambda c: c.write_message("\udfff", binary=True),
        ValueError,
        "surrogate",
    ),
    "dict with a set": (lambda c: c.write_message({"a": {1}}), TypeError, "JSON"),
    "dict with NaN": (lambda c: c.write_message({"a": NAN}), ValueError, "JSON"),
    "dict with a cycle": (lambda c: c.write_message(Endless()), ValueError, "JSON"),
    "dict with bytes": (lambda c: c.write_message({"a": b"x"}), TypeError, "JSON"),
    "dict with bad keys": (lambda c: c.write_message(BAD_KEYS), TypeError, "JSON"),
    "list": (lambda c: c.write_message(["a"]), TypeError, r"json\.dumps"),  # type: ignore[arg-type]
    "None": (lambda c: c.write_message(None), TypeError, "NoneType"),  # type: ignore[arg-type]
    "number": (lambda c: c.write_message(5), TypeError, "int"),  # type: ignore[arg-type]
    "ping of 126 bytes": (lambda c: c.ping(b"x" * 126), ValueError, "126 bytes.*125"),
    "ping of 63 characters": (lambda c: c.ping("é" * 63), ValueError, "126 bytes"),
    "ping with a number": (lambda c: c.ping(5), TypeError, "int"),  # type: ignore[arg-type]
    "ping with a surrogate": (lambda c: c.ping("\ud800"), ValueError, "surrogate"),
    "code 999": (lambda c: c.close(999), ValueError, "999.*3000"),
    "code 0": (lambda c: c.close(0), ValueError, "3000"),
    "code 1004": (lambda c: c.close(1004), ValueError, "1004"),
    "code 1005": (lambda c: c.close(1005), ValueError, "1005"),
    "code 1006": (lambda c: c.close(1006), ValueError, "1006"),
    "code 1015": (lambda c: c.close(1015), ValueError, "1015"),
    "code 2999": (lambda c: c.close(2999), ValueError, "2999"),
    "code 5000": (lambda c: c.close(5000), ValueError, "5000"),
    "code -1": (lambda c: c.close(-1), ValueError, "-1"),
    "code 2**64": (lambda c: c.close(2**64), ValueError, "3000"),
    "code text": (lambda c: c.close("1000"), TypeError, "int, not str"),  # type: ignore[arg-type]
    "code bool": (lambda c: c.close(True), TypeError, "int, not bool"),
    "code float": (lambda c: c.close(1000.0), TypeError, "int, not float"),  # type: ignore[arg-type]
    "reason of 124 bytes": (lambda c: c.close(1000, "é" * 62), ValueError, "124 bytes.*123"),
    "reason surrogate": (lambda c: c.close(1000, "\ud800"), ValueError, "surrogate"),
    "reason bytes": (lambda c: c.close(1000, b"x"), TypeError, "str, not bytes"),  # type: ignore[arg-type]
    "reason alone too long": (lambda c: c.close(reason="x" * 124), ValueError, "123"),
}


@pytest.mark.parametrize("compressed", [False, True], ids=["plain", "deflate"])
@pytest.mark.parametrize(
    ("call", "error", "said"), [pytest.param(*row, id=name) for name, row in BAD_CALLS.items()]
)
async def test_bad_call_writes_nothing_and_harms_nothing(
    call: Call, error: type[Exception], said: str, compressed: bool
) -> None:
    frames: list[Frame] = []

    async def serve(wire: RawConnection) -> None:
        extension = {"Sec-WebSocket-Extensions": "permessage-deflate"} if compressed else {}
        await wire.accept(extension)
        # Whatever the bad call wrote would be the first frame.
        while not frames or frames[-1].opcode != Opcode.CLOSE:
            frames.append(await wire.read_frame())
            opcode = frames[-1].opcode
            await wire.send_frame(
                opcode if opcode != 9 else Opcode.PONG, frames[-1].payload, rsv=frames[-1].rsv
            )

    options: dict[str, Any] = {"compression_options": {}} if compressed else {}
    async with RawServer(serve) as server:
        conn = await websocket_connect(server.url, **options)
        for _ in range(2):
            with pytest.raises(error, match=said) as caught:
                call(conn)
            assert len(str(caught.value).split()) >= 5
        assert conn.stats().bytes_sent == 0
        assert conn.stats().messages_sent == 0
        assert (conn.close_code, conn.close_info) == (None, None)
        await conn.write_message("still there")
        assert await conn.read_message() == "still there"
        info = await conn.close()
        assert info.clean
    assert [frame.opcode for frame in frames] == [Opcode.TEXT, Opcode.CLOSE]


async def test_bad_read_in_callback_mode_raises_at_once() -> None:
    messages: list[object] = []
    async with RawServer(echo) as server:
        url = server.url
        async with websocket_connect(url, on_message_callback=messages.append) as conn:
            with pytest.raises(RuntimeError, match="on_message_callback"):
                await conn.read_message()
            with pytest.raises(RuntimeError, match="on_message_callback"):
                async for _ in conn:
                    pass
            conn.write_message("still there")
    assert messages == ["still there", None]


async def test_bad_connect_never_reaches_the_server() -> None:
    connections = []

    async def serve(wire: RawConnection) -> None:
        connections.append(wire)

    async with RawServer(serve) as server:
        for given in ({"headers": {"X": "a\nb"}}, {"ping_interval": -1}, {"subprotocols": [""]}):
            with pytest.raises(ValueError):
                websocket_connect(server.url, **given)  # type: ignore[arg-type]
    assert connections == []


async def test_a_key_of_another_certificate_is_an_error_of_ours(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("wsclient.tls.rotation.reloading._PAUSES", (0.001,) * 4)
    ca = CertificateAuthority()
    one, other = (ca.client_certificate(name).write(tmp_path, name) for name in ("one", "other"))
    tls = TLSConfig(cert=(one.cert_file, other.key_file), cafile=one.ca_file)
    with pytest.raises(TLSConfigurationError, match="does not belong to the certificate"):
        await websocket_connect("wss://127.0.0.1:9/", tls=tls)
