"""A TCP relay on a thread of its own that delays, holds back and cuts connections."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from support.wire import reset

__all__ = ["Relay", "relay"]

CHUNK = 65536


class Relay:
    """Handles a running relay from the test's thread.

    Attributes:
        port: where it listens on 127.0.0.1.
    """

    def __init__(self, target_port: int, delay: float) -> None:
        self._target_port = target_port
        self._delay = delay
        self._loop = asyncio.new_event_loop()
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._flowing = asyncio.Event()
        self._flowing.set()
        self._server: asyncio.Server | None = None
        self.port = 0
        self._thread = threading.Thread(target=self._loop.run_forever, name="relay")

    def pause(self) -> None:
        """Hold back all bytes, both ways."""
        self._call(self._flowing.clear)

    def resume(self) -> None:
        """Let bytes flow again; what was held back comes first."""
        self._call(self._flowing.set)

    def cut(self) -> None:
        """End every connection with RST, at both ends."""
        self._call(self._cut)

    def start(self) -> None:
        """Start the thread and listen."""
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self._listen(), self._loop).result(5)

    def stop(self) -> None:
        """End all connections and the thread."""
        asyncio.run_coroutine_threadsafe(self._stop(), self._loop).result(5)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _call(self, function: Callable[[], None]) -> None:
        async def call() -> None:
            function()

        asyncio.run_coroutine_threadsafe(call(), self._loop).result(5)

    def _cut(self) -> None:
        for writer in self._writers:
            reset(writer.transport)

    async def _listen(self) -> None:
        self._server = await asyncio.start_server(self._connected, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]

    async def _stop(self) -> None:
        assert self._server is not None
        self._server.close()
        for writer in self._writers:
            writer.transport.abort()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._server.wait_closed()
        await asyncio.sleep(0)

    def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._tasks.add(self._loop.create_task(self._relay(reader, writer)))

    async def _relay(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self._target_port)
        self._writers.add(far_writer)
        try:
            await asyncio.gather(self._pump(reader, far_writer), self._pump(far_reader, writer))
        except ConnectionError:
            reset(writer.transport)
            reset(far_writer.transport)
        finally:
            for each in (writer, far_writer):
                self._writers.discard(each)
                each.close()

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Pass bytes on, each chunk `delay` seconds after it came; then the end of the stream."""
        chunks: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(256)

        async def write() -> None:
            while True:
                due, chunk = await chunks.get()
                await asyncio.sleep(due - self._loop.time())
                await self._flowing.wait()
                if not chunk:
                    break
                writer.write(chunk)
                await writer.drain()
            if writer.can_write_eof():
                writer.write_eof()

        async with asyncio.TaskGroup() as group:
            writing = group.create_task(write())
            while not writing.done():
                chunk = await reader.read(CHUNK)
                await chunks.put((self._loop.time() + self._delay, chunk))
                if not chunk:
                    break


@contextmanager
def relay(target_port: int, *, delay: float = 0.0) -> Iterator[Relay]:
    """Relay to a port of 127.0.0.1.

    Args:
        target_port: where the connections go.
        delay: seconds that each byte takes, each way.
    """
    running = Relay(target_port, delay)
    running.start()
    try:
        yield running
    finally:
        running.stop()
