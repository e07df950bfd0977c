"""A client on bare streams, for clients that do what no library would do."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

from wsclient.protocol.opcodes import Opcode
from wsclient.testing.frames import Frame, FrameDecoder, encode_frame

__all__ = ["KEY", "MASK", "WAIT", "RawClient", "raw_client", "request_head"]

WAIT = 5.0
"""Seconds after which an event that should have happened will not happen any more."""

KEY = "dGhlIHNhbXBsZSBub25jZQ=="  # RFC 6455, section 1.3
MASK = b"\x12\x34\x56\x78"

_RIGHT = {
    "Host": "127.0.0.1",
    "Upgrade": "websocket",
    "Connection": "Upgrade",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": KEY,
}


def request_head(
    target: str = "/",
    headers: Mapping[str, str | None] | None = None,
    *,
    method: str = "GET",
    version: str = "1.1",
) -> bytes:
    """Return a right upgrade request, but for headers that are changed, or left out (None)."""
    lines = [f"{method} {target} HTTP/{version}"]
    lines += [
        f"{name}: {value}"
        for name, value in {**_RIGHT, **(headers or {})}.items()
        if value is not None
    ]
    return "\r\n".join([*lines, "", ""]).encode()


class RawClient:
    """The client's end of one TCP connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer
        self._decoder = FrameDecoder()
        self._frames: list[Frame] = []

    async def read_head(self) -> tuple[int, dict[str, str]]:
        """Read the answer's head; return status and headers, names in lower case."""
        async with asyncio.timeout(WAIT):
            head = (await self.reader.readuntil(b"\r\n\r\n")).decode()
        first, *lines = head.rstrip("\r\n").split("\r\n")
        fields = (line.partition(":") for line in lines)
        return int(first.split()[1]), {name.lower(): value.strip() for name, _, value in fields}

    def send(self, opcode: int, payload: bytes = b"", *, fin: bool = True, rsv: int = 0) -> None:
        """Send a masked frame."""
        self.writer.write(encode_frame(opcode, payload, fin=fin, rsv=rsv, masking_key=MASK))

    def send_close(self, code: int, reason: str = "") -> None:
        """Send a Close frame."""
        self.send(Opcode.CLOSE, code.to_bytes(2, "big") + reason.encode())

    async def read_frame(self) -> Frame | None:
        """Return the next frame; ``None`` when the server has ended TCP."""
        async with asyncio.timeout(WAIT):
            while not self._frames:
                data = await self.reader.read(1 << 16)
                if not data:
                    return None
                self._frames += self._decoder.feed(data)
        return self._frames.pop(0)

    async def read_to_end(self) -> list[Frame]:
        """Return all frames until the server ends TCP.

        Raises:
            ConnectionResetError: it ended with RST.
        """
        frames = []
        while (frame := await self.read_frame()) is not None:
            frames.append(frame)
        return frames


@asynccontextmanager
async def raw_client(
    port: int,
    target: str = "/",
    headers: Mapping[str, str | None] | None = None,
    *,
    behind: bytes = b"",
    tls: ssl.SSLContext | None = None,
) -> AsyncIterator[RawClient]:
    """Open a WebSocket, and close TCP in the end.

    Args:
        port: of the server on 127.0.0.1.
        target: path and query.
        headers: to change in the request; ``None`` leaves one out.
        behind: bytes to send in one write with the request.
        tls: context for TLS.
    """
    reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=tls)
    try:
        writer.write(request_head(target, headers) + behind)
        client = RawClient(reader, writer)
        status, _ = await client.read_head()
        assert status == 101
        yield client
    finally:
        writer.close()
        try:
            await writer.wait_closed()
        except OSError:
            pass
