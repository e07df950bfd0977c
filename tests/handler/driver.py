"""A client of raw frames that notes everything the server sends."""

from __future__ import annotations

import asyncio
import base64
import ssl
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from wsclient.protocol.opcodes import Opcode
from wsclient.testing.frames import Frame, encode_frame
from wsclient.testing.raw import RawConnection

__all__ = [
    "KEY",
    "RSV1",
    "Calls",
    "Client",
    "binary",
    "close",
    "ping",
    "pong",
    "text",
]

KEY = base64.b64encode(bytes(range(16))).decode()
"""The Sec-WebSocket-Key of every request."""

MASK = b"\x01\x02\x03\x04"

UPGRADE = {
    "Upgrade": "websocket",
    "Connection": "Upgrade",
    "Sec-WebSocket-Key": KEY,
    "Sec-WebSocket-Version": "13",
}

Headers = Mapping[str, str | Sequence[str] | None]
"""Header fields to add or replace; ``None`` leaves one out, a list repeats it."""

RSV1 = 4


def text(payload: str, *, rsv: int = 0) -> Frame:
    """Return a text frame as a server sends it."""
    return Frame(True, rsv, Opcode.TEXT, False, payload.encode())


def binary(payload: bytes, *, rsv: int = 0) -> Frame:
    """Return a binary frame as a server sends it."""
    return Frame(True, rsv, Opcode.BINARY, False, payload)


def ping(payload: bytes = b"") -> Frame:
    """Return a ping as a server sends it."""
    return Frame(True, 0, Opcode.PING, False, payload)


def pong(payload: bytes = b"") -> Frame:
    """Return a pong as a server sends it."""
    return Frame(True, 0, Opcode.PONG, False, payload)


def close(code: int | None = None, reason: str = "") -> Frame:
    """Return a Close frame as a server sends it."""
    payload = b"" if code is None else code.to_bytes(2, "big") + reason.encode()
    return Frame(True, 0, Opcode.CLOSE, False, payload)


class Calls:
    """What the handlers of a scenario noted, in order.

    Attributes:
        seen: one tuple for each note.
        gate: an event for handlers that wait until the driver lets them go on.
    """

    def __init__(self) -> None:
        self.seen: list[tuple[Any, ...]] = []
        self.gate = asyncio.Event()
        self._noted = asyncio.Event()

    def __call__(self, *note: Any) -> None:
        """Note something; the first item is what `until` looks for."""
        self.seen.append(note)
        self._noted.set()

    def count(self, name: str) -> int:
        """Return how many notes begin with `name`."""
        return sum(note[0] == name for note in self.seen)

    async def until(self, name: str, count: int = 1) -> None:
        """Wait until `count` notes begin with `name`."""
        while self.count(name) < count:
            self._noted.clear()
            await self._noted.wait()


@dataclass
class Client:
    """One client; it notes the server's answer and frames.

    Attributes:
        side: the name of the server, ``"tornado"`` or ``"ours"``.
        port: the server's.
        calls: what the handlers of the scenario note.
        tls: the context of the connection; ``None`` for plain TCP.
        status: of the response; 0 before it, and when there was none.
        headers: of the response; names in lower case, repeated ones joined by a comma.
        body: of a response that is not 101.
        frames: received so far; a compressed payload stands here inflated.
        sizes: the payload sizes of the frames as they were on the wire.
        ended: whether the server has ended the TCP connection.
        notes: whatever else the driver finds; handlers may note at the same time, so it is apart.
    """

    side: str
    port: int
    calls: Calls
    tls: ssl.SSLContext | None = None
    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    frames: list[Frame] = field(default_factory=list)
    sizes: list[int] = field(default_factory=list)
    ended: bool = False
    notes: list[Any] = field(default_factory=list)
    _wire: RawConnection | None = None
    _closing: bool = False
    _inflater: Any = None

    @property
    def wire(self) -> RawConnection:
        """The connection; `request` makes it."""
        assert self._wire is not None, "send a request first"
        return self._wire

    async def request(
        self,
        target: str = "/",
        headers: Headers | None = None,
        *,
        method: str = "GET",
        version: str = "HTTP/1.1",
        early: bytes = b"",
    ) -> int:
        """Send an upgrade request and read the response; return its status, 0 without one.

        Args:
            target: the request target.
            headers: fields that replace those of a right request, or come on top.
            method: the HTTP method.
            version: the HTTP version.
            early: bytes to send in the same packet, behind the request head.
        """
        streams = await asyncio.open_connection("127.0.0.1", self.port, ssl=self.tls)
        self._wire = RawConnection(*streams)
        fields: dict[str, str | Sequence[str] | None] = {
            "Host": f"127.0.0.1:{self.port}",
            **UPGRADE,
            **(headers or {}),
        }
        lines = [f"{method} {target} {version}"]
        for name, value in fields.items():
            values = [value] if isinstance(value, str) else value or []
            lines += [f"{name}: {each}" for each in values]
        await self.wire.send("\r\n".join([*lines, "", ""]).encode("latin-1") + early)
        try:
            await self._read_response(method)
        except (asyncio.IncompleteReadError, ConnectionError):
            self.ended = True
        return self.status

    async def _read_response(self, method: str) -> None:
        head = (await self.wire.reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        first, *lines = head.rstrip("\r\n").split("\r\n")
        self.status = int(first.split(" ")[1])
        for line in lines:
            name, _, value = line.partition(":")
            name, value = name.strip().lower(), value.strip()
            known = self.headers.get(name)
            self.headers[name] = value if known is None else f"{known}, {value}"
        if self.status != 101 and method != "HEAD":
            size = int(self.headers.get("content-length", "0"))
            self.body = await self.wire.reader.readexactly(size)

    async def open(
        self, target: str = "/", headers: Headers | None = None, *, early: bytes = b""
    ) -> None:
        """Send an upgrade request that must be answered with 101."""
        await self.request(target, headers, early=early)
        assert self.status == 101, f"the server refused with {self.status}"

    async def send(
        self,
        opcode: int,
        payload: bytes | str = b"",
        *,
        fin: bool = True,
        rsv: int = 0,
        mask: bytes | None = MASK,
    ) -> None:
        """Send one frame, masked unless `mask` is ``None``."""
        data = payload.encode() if isinstance(payload, str) else payload
        self._closing = self._closing or opcode == Opcode.CLOSE
        await self.send_raw(encode_frame(opcode, data, fin=fin, rsv=rsv, masking_key=mask))

    async def send_raw(self, data: bytes) -> None:
        """Send bytes; that the server has gone shows when something is read."""
        try:
            await self.wire.send(data)
        except ConnectionError:
            pass

    async def send_text(self, payload: str) -> None:
        """Send a text message in one frame."""
        await self.send(Opcode.TEXT, payload)

    async def send_close(self, code: int | None = None, reason: str = "") -> None:
        """Send a Close frame."""
        await self.send(Opcode.CLOSE, close(code, reason).payload)

    async def receive(self) -> Frame:
        """Read and note one frame.

        Raises:
            EOFError: the TCP connection ended.
        """
        try:
            frame = await self.wire.read_frame()
        except (asyncio.IncompleteReadError, ConnectionError) as error:
            self.ended = True
            raise EOFError("the server ended the connection") from error
        self.sizes.append(len(frame.payload))
        if frame.rsv == RSV1:
            frame = replace(frame, payload=self._inflate(frame.payload))
        self.frames.append(frame)
        return frame

    async def until_end(self, *, answer: bool = True) -> None:
        """Read frames until the server ends the TCP connection.

        Args:
            answer: whether the server's Close frame is answered with its own payload, unless
                a Close frame was sent before.
        """
        try:
            while True:
                frame = await self.receive()
                if frame.opcode == Opcode.CLOSE and answer and not self._closing:
                    await self.send(Opcode.CLOSE, frame.payload)
        except EOFError:
            pass

    async def leave(self, code: int | None = 1000, reason: str = "") -> None:
        """Close as a client should: send Close, read to the end."""
        await self.send_close(code, reason)
        await self.until_end()

    def another(self) -> Client:
        """Return another client of the same server; drop it at the end."""
        return Client(self.side, self.port, self.calls, self.tls)

    async def settle(self) -> None:
        """Give the server the time to do what it should not do: nothing tells that it did not."""
        for _ in range(50):
            await asyncio.sleep(0)

    async def drop(self) -> None:
        """End the TCP connection without a Close frame."""
        if self._wire is None:
            return
        writer, self._wire = self._wire.writer, None
        writer.close()
        try:
            await writer.wait_closed()
        except (OSError, EOFError):
            pass  # The server was faster.

    def agreed(self) -> dict[str, str | None]:
        """Return the parameters of permessage-deflate in the response."""
        _, *parameters = self.headers["sec-websocket-extensions"].split(";")
        pairs = [each.strip().partition("=") for each in parameters]
        return {name: value.strip('"') if equals else None for name, equals, value in pairs}

    def _inflate(self, payload: bytes) -> bytes:
        """Inflate as a client would that believes what was agreed (RFC 7692, section 7.2.2)."""
        agreed = self.agreed()
        if self._inflater is None or "server_no_context_takeover" in agreed:
            self._inflater = zlib.decompressobj(-int(agreed.get("server_max_window_bits") or 15))
        return bytes(self._inflater.decompress(payload + b"\x00\x00\xff\xff"))
