"""Sessions are written down as they were, and replayed."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wsclient import CloseCause, ConnectError, HandshakeError, websocket_connect
from wsclient.testing import (
    Dialogue,
    DialogueError,
    EchoHandler,
    RecordedEvent,
    Recording,
    RecordingError,
    RecordingProxy,
    WebSocketTestServer,
    replay_server,
)

SERVER = Dialogue().expect("hello").delay(0.1).send("world").ping(b"p").expect({"a": 1})

events = st.builds(
    RecordedEvent,
    time=st.floats(0, 1e6).map(lambda t: round(t, 6)),
    sender=st.sampled_from(["client", "server"]),
    kind=st.just("text"),
    data=st.text(st.characters(exclude_categories=["Cs"])),
) | st.builds(
    RecordedEvent,
    time=st.just(0.5),
    sender=st.sampled_from(["client", "server"]),
    kind=st.sampled_from(["binary", "ping"]),
    data=st.binary(),
)


async def talk(url: str) -> tuple[list[str | bytes | None], int | None, str | None]:
    """Say what `SERVER` expects; return what was heard, and the subprotocol."""
    async with websocket_connect(url, subprotocols=["a", "b"]) as conn:
        conn.write_message("hello")
        heard = [await conn.read_message()]
        conn.write_message({"a": 1})
        heard += [await conn.read_message(), await conn.read_message()]
        return heard, conn.close_code, conn.selected_subprotocol


async def record(path: Path) -> Recording:
    dialogue = SERVER.send(b"\x00\x01").close(1012, "x")
    async with WebSocketTestServer(dialogue, subprotocols=["b"]) as real:
        async with RecordingProxy(real.url + "x?token=secret", path) as proxy:
            assert proxy.url.endswith("/x?token=secret")
            assert await talk(proxy.url) == (["world", b"\x00\x01", None], 1012, "b")
        assert real.requests[0].handshake.target == "/x?token=secret"
    return proxy.recordings[0]


async def test_a_session_is_recorded_and_replayed(tmp_path: Path) -> None:
    path = tmp_path / "session.jsonl"
    recording = await record(path)
    assert Recording.load(path).events == [
        RecordedEvent(round(e.time, 6), e.sender, e.kind, e.data, e.code) for e in recording.events
    ]
    assert "secret" not in path.read_text()
    assert recording.messages("client") == ["hello", '{"a": 1}']
    assert recording.messages("server") == ["world", b"\x00\x01"]
    assert recording.events[-1].code == 1012 and recording.events[-1].data == "x"
    loop = asyncio.get_running_loop()
    for speed, least, most in ((1.0, 0.1, 5.0), (4.0, 0.025, 5.0), (None, 0.0, 5.0)):
        before = loop.time()
        async with replay_server(path, speed=speed) as server:
            assert await talk(server.url) == (["world", b"\x00\x01", None], 1012, "b")
        assert least - 0.002 <= loop.time() - before <= most


async def test_a_replay_notices_another_client(tmp_path: Path) -> None:
    path = tmp_path / "session.jsonl"
    await record(path)
    with pytest.raises(DialogueError, match="expected 'hello', but 'hullo' came"):
        async with (
            replay_server(path, speed=None) as server,
            websocket_connect(server.url) as conn,
        ):
            conn.write_message("hullo")
            assert await conn.read_message() is None


async def test_a_replay_that_takes_any_message(tmp_path: Path) -> None:
    path = tmp_path / "session.jsonl"
    await record(path)
    async with (
        replay_server(path, speed=None, client="any") as server,
        websocket_connect(server.url) as conn,
    ):
        conn.write_message("hullo")
        conn.write_message("whatever")
        assert [m async for m in conn] == ["world", b"\x00\x01"]


async def test_a_replay_that_ignores_the_client(tmp_path: Path) -> None:
    path = tmp_path / "session.jsonl"
    await record(path)
    async with (
        replay_server(path, speed=None, client="ignore") as server,
        websocket_connect(server.url) as conn,
    ):
        assert [m async for m in conn] == ["world", b"\x00\x01"]


async def test_every_connection_has_a_recording(tmp_path: Path) -> None:
    path = tmp_path / "session.jsonl"
    async with WebSocketTestServer() as real, RecordingProxy(real.url, path) as proxy:
        for text in ("one", "two"):
            async with websocket_connect(proxy.url) as conn:
                await conn.write_message(text)
                assert await conn.read_message() == text
    assert Recording.load(path).messages("client") == ["one"]
    second = Recording.load(tmp_path / "session-2.jsonl")
    assert second.messages("server") == ["two"]
    closed = second.events[-1]
    assert (closed.sender, closed.kind, closed.code) == ("client", "close", 1000)


async def test_messages_are_redacted() -> None:
    def redact(message: str | bytes) -> str | bytes:
        return message.replace("secret", "***") if isinstance(message, str) else message

    async with (
        WebSocketTestServer() as real,
        RecordingProxy(real.url, redact=redact) as proxy,
        websocket_connect(proxy.url) as conn,
    ):
        await conn.write_message("my secret")
        assert await conn.read_message() == "my secret"
    assert proxy.recordings[0].messages("client") == ["my ***"]
    assert proxy.recordings[0].messages("server") == ["my ***"]


async def test_an_abrupt_end_is_recorded_and_replayed() -> None:
    crash = Dialogue().send("soon").abort()
    async with WebSocketTestServer(crash) as real, RecordingProxy(real.url) as proxy:
        conn = await websocket_connect(proxy.url)
        info = await conn.wait_closed()
        assert info.cause in (CloseCause.RESET, CloseCause.EOF)
    (recording,) = proxy.recordings
    assert recording.events[-1].kind == "end"
    async with replay_server(recording) as server:
        conn = await websocket_connect(server.url)
        assert (await conn.wait_closed()).cause in (CloseCause.RESET, CloseCause.EOF)


async def test_a_client_that_crashes_is_recorded() -> None:
    async with WebSocketTestServer() as real, RecordingProxy(real.url) as proxy:
        conn = await websocket_connect(proxy.url)
        await real.wait_for_connection()
        conn._wire.abort()
        await real.connections[0].wait_closed()
    last = proxy.recordings[0].events[-1]
    assert (last.sender, last.kind) == ("client", "end")


async def test_a_refusal_of_the_real_server_passes() -> None:
    class Picky(EchoHandler):
        def prepare(self) -> None:
            self.set_status(403)
            self.finish("not you")

    async with WebSocketTestServer(Picky) as real, RecordingProxy(real.url) as proxy:
        with pytest.raises(HandshakeError) as caught:
            await websocket_connect(proxy.url)
        assert (caught.value.status, caught.value.body) == (403, b"not you")
    assert proxy.recordings == []


async def test_a_real_server_that_is_not_there(closed_port: int) -> None:
    async with RecordingProxy(f"ws://127.0.0.1:{closed_port}/") as proxy:
        with pytest.raises(HandshakeError) as caught:
            await websocket_connect(proxy.url)
        assert caught.value.status == 502
        assert b"Connection refused" in caught.value.body


async def test_options_reach_the_real_server() -> None:
    async with WebSocketTestServer() as real:
        options: dict[str, Any] = {"headers": {"Authorization": "Bearer abc"}, "origin": real.url}
        async with RecordingProxy(real.url, **options) as proxy, websocket_connect(proxy.url):
            pass
        headers = real.requests[0].handshake.request_headers
        assert headers["Authorization"] == "Bearer abc"


@given(events)
def test_an_event_survives_its_line(event: RecordedEvent) -> None:
    line = event.to_json()
    assert "\n" not in line
    assert RecordedEvent.from_json(line) == event


@settings(deadline=None)
@given(st.lists(events, max_size=5), st.none() | st.text(min_size=1, max_size=5))
def test_a_recording_survives_its_file(
    tmp_path_factory: pytest.TempPathFactory, listed: list[RecordedEvent], subprotocol: str | None
) -> None:
    path = tmp_path_factory.getbasetemp() / "recording.jsonl"
    if subprotocol is not None:
        subprotocol = json.loads(json.dumps(subprotocol.encode("utf-8", "replace").decode()))
    recording = Recording("ws://localhost/", subprotocol, listed)
    recording.save(path)
    assert Recording.load(path) == recording


@pytest.mark.parametrize(
    ("content", "says"),
    [
        pytest.param("", "is no recording", id="empty"),
        pytest.param("hello\n", "is no recording", id="text"),
        pytest.param('{"a": 1}\n', "is no recording", id="other JSON"),
        pytest.param(
            '{"format": "wsclient recording", "version": 9}\n', "has version 9", id="version"
        ),
        *(
            pytest.param(
                f'{{"format": "wsclient recording", "version": 1}}\n{line}\n', "line 2", id=line
            )
            for line in (
                "[]",
                "x",
                '{"time": 1, "from": "server"}',
                '{"time": 1, "from": "nobody", "text": ""}',
                '{"from": "server", "text": ""}',
                '{"time": 1, "from": "server", "binary": "%"}',
                '{"time": 1, "from": "server", "text": 5}',
                '{"time": 1, "from": "server", "text": "", "binary": ""}',
            )
        ),
    ],
)
def test_damaged_files_are_refused(tmp_path: Path, content: str, says: str) -> None:
    path = tmp_path / "x.jsonl"
    path.write_text(content)
    with pytest.raises(RecordingError, match=says):
        Recording.load(path)


@pytest.mark.parametrize("arguments", [{"speed": 0}, {"speed": -1.0}, {"client": "some"}], ids=str)
def test_bad_arguments_are_refused(arguments: dict[str, object]) -> None:
    with pytest.raises(ValueError):
        Recording().dialogue(**arguments)  # type: ignore[arg-type]


async def test_a_connection_that_cannot_be_opened_is_no_error_of_the_proxy() -> None:
    async with RecordingProxy("wss://127.0.0.1:9/") as proxy:
        with pytest.raises(ConnectError):
            await websocket_connect(proxy.url)


async def test_a_redact_that_returns_nothing_is_told_of() -> None:
    def forget(message: str | bytes) -> Any:
        return None

    async with WebSocketTestServer() as real:
        with pytest.raises(BaseExceptionGroup) as caught:
            async with (
                RecordingProxy(real.url, redact=forget) as proxy,
                websocket_connect(proxy.url) as conn,
            ):
                await conn.write_message("x")
                assert await conn.read_message() is None
        assert caught.group_contains(TypeError, match="redact must return")
