"""The server of the soak, in a process of its own: ``python -m soak.server``.

It knows nothing of the package: it speaks RFC 6455 by itself, sends messages from memory and
compares what it gets with what it expects. It is made to be faster than the client.

The first line that it prints has the ports. It serves until its stdin is closed. What a path does:

- ``/traffic/COMPRESSION/whole`` or ``.../fragments`` obeys commands, text messages in JSON:
  ``{"send": cycles}`` sends so many cycles of `messages.cycle`; ``{"expect": cycles}`` takes so
  many; ``{"echo": cycles}`` takes them and sends them back. Each ends with a report.
- ``/echo`` sends everything back.
- ``/mutual`` does so for clients that show a certificate, and answers others with 403.
- ``/refuse`` answers with 403, ``/wrong`` with a 101 that is wrong, and ``/stall`` never.
- ``/drop`` resets TCP instead of answering, ``/reset`` behind the 101; ``/leave`` opens and ends
  TCP without a Close frame; ``/fault`` opens and sends a wrong frame.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import hashlib
import importlib.util
import itertools
import json
import resource
import socket
import ssl
import struct
import sys
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final, cast

from websockets.frames import apply_mask

from soak.messages import CYCLE, Compression, cycle, frame, inflated, wire_chunks

__all__ = ["Session", "main"]

_GUID: Final = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_CLOSE, _PING, _PONG = 0x8, 0x9, 0xA
_FIN, _RSV1 = 0x80, 0x40
_MOST_BUFFERED: Final = 1024 * 1024  # bytes; TCP holds some more
_BACKLOG: Final = 4096

_EXTENSION: Final = {
    "off": "",
    "takeover": "Sec-WebSocket-Extensions: permessage-deflate\r\n",
    "single": "Sec-WebSocket-Extensions: permessage-deflate; server_no_context_takeover;"
    " client_no_context_takeover\r\n",
}


class Session(asyncio.Protocol):
    """One connection."""

    def __init__(self) -> None:
        self.transport = cast(asyncio.Transport, None)
        self._rest = b""
        self._take: Callable[[bytes], None] = self._take_request
        self._message: Callable[[int, bytes], None] = self._echo
        self._out: list[bytes] = []
        self._paused = False
        self._ended = False
        self._compression: Compression = "off"
        self._inflater = zlib.decompressobj(-15)
        self._expected: Iterator[tuple[int, bytes]] = iter(())
        self._unsent: Iterator[bytes] | None = None
        self._chunks: tuple[bytes, ...] = ()
        self._left = self._due = 0
        self._echoes = False
        self._report = {"messages": 0, "wrong": 0, "pings": 0, "pongs": 0}

    # Called by the loop.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        self.transport.set_write_buffer_limits(high=_MOST_BUFFERED)

    def data_received(self, data: bytes) -> None:
        if self._ended:
            return
        self._take(self._rest + data if self._rest else data)
        if self._out:
            out, self._out = self._out, []
            self.transport.write(b"".join(out))

    def pause_writing(self) -> None:
        self._paused = True

    def resume_writing(self) -> None:
        self._paused = False
        self._send_on()

    def connection_lost(self, exc: Exception | None) -> None:
        # The callbacks are bound to this object: let go of them, and it is gone.
        self._ended = True
        self._unsent = None
        del self._take, self._message

    # The opening handshake.

    def _take_request(self, data: bytes) -> None:
        head, end, rest = data.partition(b"\r\n\r\n")
        if not end:
            self._rest = data
            return
        self._rest = b""
        first, *lines = head.decode("latin-1").split("\r\n")
        fields = {name.lower(): value.strip() for name, _, value in map(_cut, lines)}
        parts = first.split(" ")[1].strip("/").split("/")
        if parts[0] == "traffic":
            self._compression, fragments = parts[1], parts[2] == "fragments"
            self._chunks = wire_chunks(self._compression, fragments=fragments)
            self._expected = itertools.cycle(_expected())
            self._message = self._obey
        behaviour = getattr(self, f"_path_{parts[0]}", self._open)
        behaviour(fields)
        if not self._ended and rest:
            self._take(rest)

    def _open(self, fields: dict[str, str]) -> None:
        key = fields["sec-websocket-key"].encode()
        accept = base64.b64encode(hashlib.sha1(key + _GUID).digest()).decode()
        self._out.append(
            (
                "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
                f"Connection: Upgrade\r\nSec-WebSocket-Accept: {accept}\r\n"
                f"{_EXTENSION[self._compression]}\r\n"
            ).encode()
        )
        self._take = self._take_frames

    def _path_mutual(self, fields: dict[str, str]) -> None:
        if self.transport.get_extra_info("peercert"):
            self._open(fields)
        else:
            self._path_refuse(fields)

    def _path_refuse(self, fields: dict[str, str]) -> None:
        self._end(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno")

    def _path_wrong(self, fields: dict[str, str]) -> None:
        self._open({"sec-websocket-key": "another"})

    def _path_drop(self, fields: dict[str, str]) -> None:
        self._reset()

    def _path_reset(self, fields: dict[str, str]) -> None:
        self._open(fields)
        self.transport.write(self._out.pop())
        # The client should see the answer before the end, which overtakes what is unread.
        asyncio.get_running_loop().call_later(0.02, self._reset)

    def _path_fault(self, fields: dict[str, str]) -> None:
        self._open(fields)
        self._out.append(frame(_FIN | 0x3, b""))

    def _path_leave(self, fields: dict[str, str]) -> None:
        self._open(fields)
        self._end(self._out.pop())

    def _path_stall(self, fields: dict[str, str]) -> None:
        self._take = lambda data: None

    # The end.

    def _end(self, last: bytes) -> None:
        self._ended = True
        self.transport.write(last)
        self.transport.close()

    def _reset(self) -> None:
        self._ended = True
        sock = self.transport.get_extra_info("socket")
        if sock is not None and not self.transport.is_closing():
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.transport.abort()

    # Frames.

    def _take_frames(self, data: bytes) -> None:
        position, size = 0, len(data)
        while size - position >= 6:
            head = data[position]
            length = data[position + 1] & 0x7F
            start = position + 2
            if length > 125:
                start += 2 if length == 126 else 8
                if start > size:
                    break
                length = int.from_bytes(data[position + 2 : start], "big")
            stop = start + 4 + length
            if stop > size:
                break
            payload = apply_mask(data[start + 4 : stop], data[start : start + 4])
            position = stop
            if head & 0x8:
                self._control(head & 0xF, payload)
                if self._ended:
                    return
            else:
                self._message(head, payload)
        self._rest = data[position:]

    def _control(self, opcode: int, payload: bytes) -> None:
        if opcode == _PING:
            self._report["pings"] += 1
            self._out.append(frame(_FIN | _PONG, payload))
        elif opcode == _PONG:
            self._report["pongs"] += 1
        elif opcode == _CLOSE:
            self._out.append(frame(_FIN | _CLOSE, payload[:2]))
            out, self._out = self._out, []
            self._end(b"".join(out))

    def _echo(self, head: int, payload: bytes) -> None:
        self._out.append(frame(head, payload))

    # Traffic.

    def _obey(self, head: int, payload: bytes) -> None:
        command = json.loads(payload)
        (action, cycles) = next(iter(command.items()))
        self._left = self._due = cycles * CYCLE
        if action == "send":
            chunks = self._chunks
            self._unsent = itertools.chain.from_iterable(itertools.repeat(chunks, cycles))
            self._send_on()
        else:
            self._echoes = action == "echo"
            self._message = self._compare

    def _send_on(self) -> None:
        if self._unsent is None:
            return
        for chunk in self._unsent:
            self.transport.write(chunk)
            if self._paused:
                return
        self._unsent = None
        self.transport.write(self._account())

    def _compare(self, head: int, payload: bytes) -> None:
        if self._echoes:
            # A compressed message goes back as it is: the window of the way back then holds the
            # same as that of the way here.
            self._out.append(frame(head, payload))
        if head & _RSV1:
            if self._compression == "single":
                self._inflater = zlib.decompressobj(-15)
            payload = inflated(payload, self._inflater)
        if (head & ~_RSV1, payload) != next(self._expected):
            self._report["wrong"] += 1
        self._left -= 1
        if not self._left:
            self._message = self._obey
            self._out.append(self._account())

    def _account(self) -> bytes:
        self._report["messages"] += self._due
        return frame(_FIN | 0x1, json.dumps(self._report).encode())


def _cut(line: str) -> tuple[str, str, str]:
    return line.partition(":")


def _expected() -> Iterator[tuple[int, bytes]]:
    for message in cycle():
        if isinstance(message, str):
            yield _FIN | 0x1, message.encode()
        else:
            yield _FIN | 0x2, message


async def serve(certificates: dict[str, Path]) -> None:
    """Serve on two free ports of the loopback interface until stdin is closed."""
    loop = asyncio.get_running_loop()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificates["cert_file"], certificates["key_file"])
    context.load_verify_locations(certificates["client_ca_file"])
    # One port for all: whoever insists on a certificate looks at it himself.
    context.verify_mode = ssl.CERT_OPTIONAL
    ended = asyncio.Event()
    loop.add_reader(sys.stdin.fileno(), ended.set)
    plain = await loop.create_server(Session, "127.0.0.1", 0, backlog=_BACKLOG)
    secure = await loop.create_server(Session, "127.0.0.1", 0, backlog=_BACKLOG, ssl=context)
    ports = [each.sockets[0].getsockname()[1] for each in (plain, secure)]
    first: dict[str, Any] = {"port": ports[0], "tls_port": ports[1], "abilities": []}
    print(json.dumps(first), flush=True)
    await ended.wait()


def main() -> None:
    """Serve as the command line says."""
    parser = argparse.ArgumentParser(description="The server of the soak.")
    for name in ("cert-file", "key-file", "client-ca-file"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    given = vars(parser.parse_args())
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    # Made before there is anybody to wait for it.
    for compression in _EXTENSION:
        for fragments in (False, True):
            wire_chunks(compression, fragments=fragments)
    factory: Callable[[], asyncio.AbstractEventLoop] = asyncio.new_event_loop
    if importlib.util.find_spec("uvloop") is not None:
        import uvloop

        factory = uvloop.new_event_loop
    with asyncio.Runner(loop_factory=factory) as runner:
        runner.run(serve(given))


if __name__ == "__main__":
    main()
