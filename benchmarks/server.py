"""The server that all clients are measured against: ``python -m benchmarks.server``.

It works on blocking sockets, knows what will come, and has its answers ready, so that it costs
next to nothing. It is no server for anything else: it checks nothing. The path of the URL says
what it does with the messages of a connection:

- ``/flood``: a message is a number in decimal; so many messages are sent, the last one unlike the
  others.
- ``/echo``: each message is answered by one that was made before.
- ``/sink``: a message is a number in decimal; behind so many more messages one is sent.

Query: ``size`` of the payloads, ``text=1`` for text, ``level`` for answers compressed by zlib at
that level, and ``together=1`` for a thread that serves all such connections together, because a
thousand of them need no thousand threads.

The first line of stdout has the ports, as JSON. It ends when stdin is closed.
"""

from __future__ import annotations

import argparse
import json
import os
import selectors
import socket
import ssl
import sys
import threading
import urllib.parse
from collections.abc import Callable, Sequence
from functools import lru_cache
from itertools import cycle

from benchmarks.frames import (
    BINARY,
    CLOSE,
    TEXT,
    accept_value,
    frame,
    header_size,
    payload_size,
)
from benchmarks.messages import DONE, END, binary, deflated, json_messages, text
from benchmarks.pinning import pin, step_back

__all__ = ["main"]

_BLOCK = 256 * 1024
"""Bytes that are read or written at a time."""

_END_TIMEOUT = 5.0
"""Seconds that a client may take for the end of TLS."""


class _Answers:
    """What is sent to whoever asks for the same."""

    def __init__(self, size: int, is_text: bool, level: int) -> None:
        if level:
            messages = [message.encode() for message in json_messages(size)]
            self.frames = [
                frame(TEXT, deflated(message, level), compressed=True) for message in messages
            ]
        else:
            payload = text(size).encode() if is_text else binary(size)
            self.frames = [frame(TEXT if is_text else BINARY, payload)]
        self.end = frame(TEXT if is_text else BINARY, END.encode())
        one = self.frames[0]
        self.in_block = max(1, _BLOCK // len(one))
        self.block = memoryview(one * self.in_block)
        self.masked_size = len(one) + 4


_answers = lru_cache(maxsize=64)(_Answers)

_shared = memoryview(bytearray(_BLOCK))


def _buffer(size: int, *, together: bool) -> memoryview:
    """Return memory to receive messages of `size` into; making much of it takes time."""
    return _shared if together else memoryview(bytearray(min(_BLOCK, max(size, 4096))))


class _Connection:
    """One connection, once TCP and TLS are there."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._buffer = memoryview(b"")
        self.together = False
        self.serve: Callable[[], bool] = self._sink
        """Serves one message, or what it asks for; tells whether there may be more."""

    def accept(self) -> None:
        """Answer the upgrade, and choose what to do."""
        request = b""
        while not request.endswith(b"\r\n\r\n"):
            received = self._sock.recv(65536)
            if not received:
                raise EOFError
            request += received
        first, *lines = request.decode("latin-1").split("\r\n")
        headers = {
            name.strip().lower(): value.strip()
            for name, _, value in (line.partition(":") for line in lines)
        }
        url = urllib.parse.urlsplit(first.split(" ")[1])
        query = dict(urllib.parse.parse_qsl(url.query))
        level = int(query.get("level", 0))
        self._answers = _answers(int(query.get("size", 0)), "text" in query, level)
        self._frames = cycle(self._answers.frames)
        self.together = "together" in query
        self._buffer = _buffer(self._answers.masked_size, together=self.together)
        self.serve = {"/flood": self._flood, "/echo": self._echo, "/sink": self._sink}[url.path]
        key = headers["sec-websocket-key"].encode()
        extension = b"Sec-WebSocket-Extensions: permessage-deflate\r\n" if level else b""
        self._sock.sendall(
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Accept: " + accept_value(key) + b"\r\n" + extension + b"\r\n"
        )

    def _echo(self) -> bool:
        receive, send, buffer = self._sock.recv_into, self._sock.sendall, self._buffer
        expected, answers = self._answers.masked_size, self._frames
        # The client has the same caches: while all is as expected, nothing else is done.
        while (have := receive(buffer)) == expected and buffer[0] & 0x0F != CLOSE:
            send(next(answers))
            if self.together:
                return True
        if not self._skip_frame(have):
            return False
        send(next(answers))
        return True

    def _skip_frame(self, have: int) -> bool:
        """Read the rest of a frame that nothing follows; answer a Close frame."""
        buffer = self._buffer
        while have and (have < 2 or have < header_size(buffer[1])):
            more = self._sock.recv_into(buffer[have:])
            have = have + more if more else 0
        if not have:
            return False
        left = header_size(buffer[1]) + payload_size(buffer) - have
        if buffer[0] & 0x0F == CLOSE:
            self._answer_close()
            return False
        while left > 0:
            more = self._sock.recv_into(buffer)
            if not more:
                return False
            left -= more
        return True

    def _flood(self) -> bool:
        count = self._read_number()
        if count is None:
            return False
        left = count - 1
        answers = self._answers
        while left >= answers.in_block:
            self._sock.sendall(answers.block)
            left -= answers.in_block
        self._sock.sendall(answers.block[: left * len(answers.frames[0])])
        self._sock.sendall(answers.end)
        return True

    def _sink(self) -> bool:
        count = self._read_number()
        if count is None:
            return False
        left = count * self._answers.masked_size
        while left:
            more = self._sock.recv_into(self._buffer, min(left, len(self._buffer)))
            if not more:
                return False
            left -= more
        self._sock.sendall(frame(TEXT, DONE.encode()))
        return True

    def _read_number(self) -> int | None:
        """Read a frame that others may follow; ``None`` at the end."""
        start = self._exactly(2)
        if not start:
            return None
        if start[0] & 0x0F == CLOSE:
            self._exactly(4 + (start[1] & 0x7F))
            self._answer_close()
            return None
        rest = self._exactly(4 + (start[1] & 0x7F))
        return int(bytes(byte ^ rest[at % 4] for at, byte in enumerate(rest[4:])))

    def _exactly(self, size: int) -> bytes:
        data = b""
        while len(data) < size:
            received = self._sock.recv(size - len(data))
            if not received:
                return b""
            data += received
        return data

    def _answer_close(self) -> None:
        self._sock.sendall(frame(CLOSE, b"\x03\xe8"))

    def end(self) -> None:
        """Close TCP, as the server does first (RFC 6455, section 7.1.1)."""
        try:
            if isinstance(self._sock, ssl.SSLSocket):
                self._sock.settimeout(_END_TIMEOUT)
                self._sock.unwrap()
        except (OSError, ValueError):
            pass  # The client was faster.
        self._sock.close()

    def fileno(self) -> int:
        """Return the descriptor, for a selector."""
        return self._sock.fileno()


class _Together:
    """Serves many connections in one thread."""

    def __init__(self) -> None:
        self._selector = selectors.DefaultSelector()
        # A selector that waits hears of new sockets where the system's is epoll or kqueue.
        threading.Thread(target=self._run, daemon=True).start()

    def add(self, connection: _Connection) -> None:
        """Serve a connection from now on."""
        self._selector.register(connection, selectors.EVENT_READ)

    def _run(self) -> None:
        while True:
            for key, _ in self._selector.select():
                connection = key.fileobj
                assert isinstance(connection, _Connection)
                if not _goes_on(connection):
                    self._selector.unregister(connection)
                    connection.end()


def _goes_on(connection: _Connection) -> bool:
    """Serve a message; tell whether there may be more."""
    try:
        return connection.serve()
    except OSError:
        return False


class _Server:
    """Listens, and gives each connection a thread."""

    def __init__(self, context: ssl.SSLContext | None, together: _Together) -> None:
        self._context = context
        self._together = together
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=1024)
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._run, daemon=True).start()

    def _run(self) -> None:
        while True:
            sock, _ = self._listener.accept()
            threading.Thread(target=self._serve, args=(sock,), daemon=True).start()

    def _serve(self, sock: socket.socket) -> None:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            if self._context is not None:
                sock = self._context.wrap_socket(sock, server_side=True)
            connection = _Connection(sock)
            connection.accept()
        except (OSError, EOFError):
            sock.close()
            return
        if connection.together:
            self._together.add(connection)
            return
        while _goes_on(connection):
            pass
        connection.end()


def main(arguments: Sequence[str] | None = None) -> None:
    """Serve until stdin is closed."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.server")
    parser.add_argument("--core", type=int, help="the CPU to run on")
    parser.add_argument("--cert-file")
    parser.add_argument("--key-file")
    given = parser.parse_args(arguments)
    pin(given.core)
    step_back()
    together = _Together()
    ports = {"ws": _Server(None, together).port}
    if given.cert_file:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(given.cert_file, given.key_file)
        ports["wss"] = _Server(context, together).port
    print(json.dumps(ports), flush=True)
    sys.stdin.read()
    # Threads that wait in a system call would be waited for.
    os._exit(0)


if __name__ == "__main__":
    main()
