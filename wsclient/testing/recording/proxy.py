"""Record a session with a real server, and replay it without one."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from time import perf_counter
from types import TracebackType
from typing import Any, Self

from aiohttp import web
from yarl import URL

from ...client import websocket_connect
from ...connection import WebSocketClientConnection, WebSocketConnection
from ...errors import ConnectError, HandshakeError, WebSocketClosedError
from ...protocol.closing import CloseInfo, CloseInitiator
from ...protocol.opcodes import CloseCode
from ..serving.connection import WebSocketServerConnection
from ..serving.handler import WebSocketHandler
from ..serving.served import ServedConnection
from ..serving.server import WebSocketTestServer
from .session import ClientMode, Recording, Sender

__all__ = ["RecordingProxy", "replay_server"]


class RecordingProxy:
    """Stand between a client and a real server, and write down what they say.

    ``async with RecordingProxy("wss://real.example/", "session.jsonl") as proxy`` listens on the
    loopback interface; a client that connects to ``proxy.url`` talks to the real server. Messages
    pass one by one; subprotocols and closes pass, too; pings are answered on both sides, and those
    of the server are written down. Headers are not passed on: give what the server needs
    (credentials, certificates) as `options`; they are not written down. Messages are, as they are:
    use `redact` when they hold secrets.

    Attributes:
        recordings: one for each connection, in order.

    Args:
        url: of the real server.
        path: the file for the first connection; further ones get ``-2``, ``-3`` before its
            suffix. ``None`` writes no file.
        redact: called with each message before it is written down; returns what to write.
        options: for `websocket_connect` to the real server.

    Raises:
        OSError: a file cannot be written (when the block is left).
    """

    def __init__(
        self,
        url: str | URL,
        path: str | os.PathLike[str] | None = None,
        *,
        redact: Callable[[str | bytes], str | bytes] | None = None,
        **options: Any,
    ) -> None:
        self._real = URL(url)
        self._path = None if path is None else Path(path)
        self._redact = redact
        self._options = options
        self.recordings: list[Recording] = []
        self._server = WebSocketTestServer(
            [(r"/.*", _RelayHandler, {"proxy": self})],
            record=False,
            compression_options={},
            websocket_max_message_size=None,
        )

    @property
    def url(self) -> str:
        """Where clients connect: the path and the query are those of the real server."""
        return str(URL(self._server.url).join(self._real.relative()))

    async def __aenter__(self) -> Self:
        await self._server.__aenter__()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        try:
            await self._server.__aexit__(kind, exc, traceback)
        finally:
            await asyncio.to_thread(self._save)

    def _save(self) -> None:
        if self._path is not None:
            for number, recording in enumerate(self.recordings, 1):
                extra = "" if number == 1 else f"-{number}"
                recording.save(self._path.with_stem(self._path.stem + extra))

    async def connect(
        self, subprotocols: Sequence[str], on_ping: Callable[[bytes], object]
    ) -> WebSocketClientConnection:
        """Connect to the real server.

        Raises:
            ConnectError: as `websocket_connect` does.
        """
        options = {"max_message_size": None, "compression_options": {}, **self._options}
        return await websocket_connect(
            self._real, subprotocols=subprotocols, on_ping=on_ping, **options
        )

    def begin(self, subprotocol: str | None) -> Recording:
        """Begin to write down one connection."""
        shown = self._real.with_user(None).with_query(None).with_fragment(None)
        recording = Recording(str(shown), subprotocol)
        self.recordings.append(recording)
        return recording

    def redacted(self, message: str | bytes) -> str | bytes:
        """Return what is written down of a message.

        Raises:
            TypeError: `redact` returned neither ``str`` nor ``bytes``.
        """
        if self._redact is None:
            return message
        redacted = self._redact(message)
        if not isinstance(redacted, str | bytes):
            raise TypeError(f"redact must return str or bytes, not {type(redacted).__name__}")
        return redacted


class _RelayHandler(WebSocketHandler):
    """Passes messages both ways, and writes them down."""

    _queue_control = False
    _far: WebSocketClientConnection

    def initialize(self, *, proxy: RecordingProxy) -> None:  # type: ignore[override]  # as routes do
        self._proxy = proxy
        self._recording = Recording()
        self._begun = perf_counter()

    async def run(self, served: ServedConnection | None = None) -> web.StreamResponse:
        upgrade = self._check()
        if upgrade is None:
            return self.answer
        try:
            self._far = await self._proxy.connect(upgrade.subprotocols, self._note_ping)
        except HandshakeError as exc:
            # A 101 that was no good is no answer to pass on.
            self.set_status(502 if exc.status == 101 else exc.status)
            self.finish(exc.body)
            return self.answer
        except ConnectError as exc:
            self.set_status(502)
            self.finish(str(exc))
            return self.answer
        async with self._far:
            self._recording = self._proxy.begin(self._far.selected_subprotocol)
            self._begun = perf_counter()
            return await super().run(served)

    def select_subprotocol(self, subprotocols: list[str]) -> str | None:
        return self._far.selected_subprotocol

    async def _receive(self, connection: WebSocketServerConnection) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(self._pass_on(self._far, connection, "server"))
            group.create_task(self._pass_on(connection, self._far, "client"))

    async def _pass_on(
        self, source: WebSocketConnection, sink: WebSocketConnection, sender: Sender
    ) -> None:
        while (message := await source.read_message()) is not None:
            self._recording.add_message(self._time(), sender, self._proxy.redacted(message))
            try:
                await sink.write_message(message, isinstance(message, bytes))
            except WebSocketClosedError:
                break  # The other direction writes down how it ended.
        info = await source.wait_closed()
        if info.initiator is not CloseInitiator.LOCAL:
            self._recording.add_end(self._time(), sender, info)
            await _close_like(sink, info)

    def _note_ping(self, payload: bytes) -> None:
        self._recording.add_ping(self._time(), "server", payload)

    def _time(self) -> float:
        return perf_counter() - self._begun


async def _close_like(connection: WebSocketConnection, info: CloseInfo) -> None:
    """Close one side as the other one was closed."""
    if info.received is None:
        if isinstance(connection, WebSocketServerConnection):
            connection.reset()
        else:
            await connection.close(CloseCode.GOING_AWAY)
        return
    without = info.received == CloseCode.NO_STATUS_RECEIVED
    await connection.close(None if without else info.received, None if without else info.reason)


def replay_server(
    recording: Recording | str | os.PathLike[str],
    *,
    speed: float | None = 1.0,
    client: ClientMode = "exact",
    timeout: float | None = 5.0,
    **options: Any,
) -> WebSocketTestServer:
    """Return a server that does what a recorded server did, on each connection.

    Args:
        recording: a recording or the path of one.
        speed: 1.0 keeps the original timing, ``None`` leaves all pauses out.
        client: whether the client must say what it said: ``"exact"``, ``"any"``, ``"ignore"``.
        timeout: seconds to wait for each of the client's messages; ``None`` for ever.
        options: for `WebSocketTestServer`.

    Raises:
        RecordingError: the file is no recording.
        OSError: it cannot be read.
        ValueError: an argument cannot be used.
    """
    if not isinstance(recording, Recording):
        recording = Recording.load(recording)
    if recording.subprotocol is not None:
        options.setdefault("subprotocols", [recording.subprotocol])
    dialogue = recording.dialogue(speed=speed, client=client, timeout=timeout)
    return WebSocketTestServer(dialogue, **options)
