"""A relay that passes TLS record by record, and does something to one of them (RFC 8446, 5.1)."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from contextlib import suppress
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Final, Literal, Self, get_args

from wsclient.testing.faults import Way
from wsclient.testing.reset import reset

__all__ = ["RECORD_FAULTS", "RecordEvent", "RecordFault", "RecordRelay"]

RecordEvent = Literal["RST", "FIN", "half, FIN", "silence", "flip", "drop", "repeat"]
"""What happens in the place of a record, or to it. ``"half, FIN"`` passes its first half and then
FIN, ``"flip"`` changes one bit of what it holds."""

RECORD_FAULTS: Final[tuple[RecordEvent, ...]] = get_args(RecordEvent)

_HEADER = 5


@dataclass(frozen=True)
class RecordFault:
    """One fault.

    Attributes:
        way: the direction.
        index: number of the record in that direction, from 0.
        what: happens to it.
    """

    way: Way
    index: int
    what: RecordEvent


class RecordRelay:
    """Relay one port to another, on the loop of the test.

    Attributes:
        port: where it listens on 127.0.0.1.
        fired: whether a record with the number of the fault has come.

    Args:
        target: the server's port.
        fault: what goes wrong, on each connection.
    """

    def __init__(self, target: int, fault: RecordFault) -> None:
        self._target = target
        self._fault = fault
        self._tasks: set[asyncio.Task[None]] = set()
        self._writers: list[asyncio.StreamWriter] = []
        self._server: asyncio.Server | None = None
        self.port = 0
        self.fired = False

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        assert self._server is not None
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for writer in self._writers:
            writer.transport.abort()
            with suppress(OSError):
                await writer.wait_closed()
        await self._server.wait_closed()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.append(writer)
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self._target)
        self._writers.append(far_writer)
        self._start(self._pass("to_server", reader, far_writer))
        self._start(self._pass("to_client", far_reader, writer))

    def _start(self, passing: Coroutine[Any, Any, None]) -> None:
        self._tasks.add(asyncio.create_task(passing))

    async def _pass(
        self, way: Way, source: asyncio.StreamReader, sink: asyncio.StreamWriter
    ) -> None:
        index = 0
        try:
            while True:
                header = await source.readexactly(_HEADER)
                record = header + await source.readexactly(int.from_bytes(header[3:], "big"))
                if (way, index) == (self._fault.way, self._fault.index):
                    self.fired = True
                    await self._break(record, source, sink)
                else:
                    sink.write(record)
                    await sink.drain()
                index += 1
        except asyncio.IncompleteReadError as rest:
            with suppress(OSError):
                sink.write(rest.partial)
                sink.write_eof()
        except OSError:
            # RST is passed on as RST.
            reset(sink.transport)

    async def _break(
        self, record: bytes, source: asyncio.StreamReader, sink: asyncio.StreamWriter
    ) -> None:
        match self._fault.what:
            case "RST":
                for writer in self._writers:
                    reset(writer.transport)
            case "FIN" | "half, FIN":
                if self._fault.what == "half, FIN":
                    sink.write(record[: len(record) // 2])
                sink.write_eof()
                await source.read(-1)
            case "silence":
                await source.read(-1)
            case "flip":
                middle = (_HEADER + len(record)) // 2
                changed = bytes([record[middle] ^ 0x10])
                sink.write(record[:middle] + changed + record[middle + 1 :])
            case "repeat":
                sink.write(record * 2)
            case "drop":
                pass
