"""picows, with its own listener."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from itertools import cycle
from typing import Any, cast

from picows import WSFrame, WSListener, WSMsgType, WSTransport, ws_connect

from benchmarks.clients.contract import Client, check_size
from benchmarks.job import LARGEST
from benchmarks.messages import END

__all__ = ["ListeningClient"]


class _Listener(WSListener):
    """One connection, and what it is busy with."""

    def __init__(self, size: int, is_text: bool) -> None:
        self.messages: Iterator[str | bytes] = iter(())
        self.kind = WSMsgType.TEXT if is_text else WSMsgType.BINARY
        self.left = 0
        self.writable = asyncio.Event()
        self.writable.set()
        self._size = size
        self._done: asyncio.Future[None]

    def on_ws_connected(self, transport: WSTransport) -> None:
        """Remember the transport."""
        self.transport = transport

    def pause_writing(self) -> None:
        """Wait from now on."""
        self.writable.clear()

    def resume_writing(self) -> None:
        """Wait no more."""
        self.writable.set()

    def finish(self, message: bytes | str) -> None:
        """Let `expect` return."""
        check_size(message, self._size)
        self._done.set_result(None)

    async def expect(self, count: int, begin: Callable[[], object]) -> None:
        """Begin, and wait for so many messages."""
        self.left = count
        self._done = asyncio.get_running_loop().create_future()
        begin()
        await self._done


class _Counter(_Listener):
    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        message = frame.get_payload_as_bytes()
        self.left -= 1
        if not self.left:
            self.finish(message)


class _TextCounter(_Listener):
    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        try:
            message = frame.get_payload_as_utf8_text()
        except UnicodeDecodeError:
            return  # A Close frame, which is no text.
        self.left -= 1
        if not self.left:
            self.finish(message)


class _Answerer(_Listener):
    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        message = frame.get_payload_as_bytes()
        self.left -= 1
        if self.left > 0:
            transport.send(self.kind, next(self.messages))
        elif not self.left:
            self.finish(message)


class _Waiter(_Listener):
    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        if not self._done.done():
            self._done.set_result(None)


class ListeningClient(Client):
    """Receives with `on_ws_frame`."""

    async def open(self) -> _Listener:
        """Connect."""
        job = self.job
        listener_class: type[_Listener] = {
            "flood": _TextCounter if job.text else _Counter,
            "send": _Waiter,
        }.get(job.kind, _Answerer)
        _, listener = await ws_connect(
            lambda: listener_class(len(END) if job.kind == "flood" else job.size, job.text),
            job.url,
            ssl_context=self.context,
            max_frame_size=LARGEST,
        )
        return cast("_Listener", listener)

    async def close(self, conn: _Listener) -> None:
        """Close."""
        conn.left = 0
        conn.transport.send_close()
        await conn.transport.wait_disconnected()

    async def receive(self, conn: _Listener, count: int) -> None:
        """Count messages."""
        number = str(count).encode()
        await conn.expect(count, lambda: conn.transport.send(WSMsgType.TEXT, number))

    async def echo(self, conn: _Listener, messages: Sequence[Any], count: int) -> None:
        """Send the first one, and let the listener go on."""
        conn.messages = cycle(messages)
        first = next(conn.messages)
        await conn.expect(count, lambda: conn.transport.send(conn.kind, first))

    async def send(self, conn: _Listener, message: Any, count: int) -> None:
        """Send messages, and wait while the transport asks to."""
        conn._done = asyncio.get_running_loop().create_future()
        transport, kind, writable = conn.transport, conn.kind, conn.writable
        transport.send(WSMsgType.TEXT, str(count).encode())
        for _ in range(count):
            transport.send(kind, message)
            if not writable.is_set():
                await writable.wait()
        await conn._done
