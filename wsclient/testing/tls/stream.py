"""The server's end of a TLS connection on a blocking socket, and a handler that echoes.

TLS runs between two buffers in memory and is carried to and from TCP by hand. That shows whether
OpenSSL has written an alert when it fails, which nothing else in `ssl` tells.
"""

from __future__ import annotations

import functools
import socket
import ssl
import struct
import time
from collections.abc import Callable
from typing import Final, TypeVar

from ...protocol.frames import apply_mask
from ...protocol.handshake import accept_token
from ...protocol.opcodes import Opcode
from ..frames import encode_frame

__all__ = ["TLSStream", "echo"]

_T = TypeVar("_T")

_CHUNK: Final = 65536
_LONGEST_HEAD: Final = 65536
_LONGEST_FRAME: Final = 16 * 1024 * 1024
_DRAIN_TIMEOUT: Final = 1.0
"""Seconds that a client may take to end TCP after the server has."""


class TLSStream:
    """The server's end of a connection, in the hands of its handler. Everything blocks.

    One thread may use it. It ends when the handler returns: with an alert ``close_notify``, and
    then FIN.

    Attributes:
        tls: the TLS of the connection.
        alert_sent: whether the client was told by an alert that TLS failed.
        peer_certificate_der: the client's certificate; ``None`` if it has shown none so far.
    """

    def __init__(self, raw: socket.socket, context: ssl.SSLContext) -> None:
        self._raw = raw
        self._ahead = b""
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        self.alert_sent = False
        self.peer_certificate_der: bytes | None = None
        self.tls: ssl.SSLObject = context.wrap_bio(
            self._incoming, self._outgoing, server_side=True
        )

    def recv(self, size: int = _CHUNK) -> bytes:
        """Return what comes next, 1..`size` bytes; nothing if the client has ended.

        Raises:
            ValueError: `size` is not positive.
            ssl.SSLError: TLS failed, by an alert of the client for example.
            OSError: TCP failed.
        """
        if size <= 0:
            raise ValueError(f"size must be positive, not {size}.")
        if self._ahead:
            data, self._ahead = self._ahead[:size], self._ahead[size:]
            return data
        try:
            return self._run(functools.partial(self.tls.read, size))
        except (ssl.SSLZeroReturnError, ssl.SSLEOFError):
            return b""

    def read_exactly(self, size: int) -> bytes:
        """Return the next `size` bytes.

        Raises:
            EOFError: the client has ended before.
            OSError: as `recv`.
        """
        data = bytearray()
        while len(data) < size:
            data += self._recv_or_fail(size - len(data))
        return bytes(data)

    def read_head(self) -> bytes:
        """Return the head of an HTTP request, its empty line included.

        Raises:
            EOFError: the client has ended before.
            ConnectionError: it does not end within 64 KiB.
            OSError: as `recv`.
        """
        data = bytearray()
        # Byte by byte from memory, so that what follows stays where it is.
        while not data.endswith(b"\r\n\r\n"):
            if len(data) > _LONGEST_HEAD:
                raise ConnectionError("the request's head does not end")
            data += self._recv_or_fail(1)
        return bytes(data)

    def _recv_or_fail(self, size: int) -> bytes:
        chunk = self.recv(size)
        if not chunk:
            raise EOFError("the client has ended the connection")
        return chunk

    def sendall(self, data: bytes) -> None:
        """Send `data`. It waits while the client does not read.

        Raises:
            ssl.SSLError: TLS failed.
            OSError: TCP failed.
        """
        view = memoryview(data)
        while view:
            view = view[self._run(functools.partial(self.tls.write, view)) :]

    def verify_client(self) -> None:
        """Ask for the client's certificate only now, and wait for it (RFC 8446, section 4.6.2).

        The context must require one and have `ssl.SSLContext.post_handshake_auth`; then the
        handshake itself does not ask. TLS 1.3 only.

        Raises:
            ssl.SSLError: the client does not take part in this, or its certificate is missing
                or refused; the latter is told by an alert.
            EOFError: the client has ended instead.
            OSError: TCP failed.
        """
        self.tls.verify_client_post_handshake()
        self._run(self.tls.do_handshake)
        # It comes between what the client sends otherwise, and nothing else makes OpenSSL look.
        while (shown := self.tls.getpeercert(binary_form=True)) is None:
            try:
                data = self._flushing(functools.partial(self.tls.read, _CHUNK))
            except ssl.SSLWantReadError:
                if self.tls.getpeercert(binary_form=True) is None:
                    self._fill()
                continue
            if not data:
                raise EOFError("the client has ended the connection")
            self._ahead += data
        self.peer_certificate_der = shown

    def reset(self) -> None:
        """End TCP by RST at once. Afterwards there is nothing to do but return."""
        self._raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._raw.close()

    def handshake(self) -> None:
        """Do the handshake; the server has done it when the handler is called.

        Raises:
            ssl.SSLError: it failed. If `alert_sent`, the client was told so.
            OSError: TCP failed.
        """
        self._raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._run(self.tls.do_handshake)
        self.peer_certificate_der = self.tls.getpeercert(binary_form=True)

    def end(self) -> None:
        """Send ``close_notify`` and FIN, and give the client a second to end as well.

        The server calls it when the handler has returned.
        """
        try:
            self._flushing(self.tls.unwrap)
        except (OSError, ValueError):
            pass  # The client does not answer yet, or there is nothing left to end.
        self.drain()

    def drain(self) -> None:
        """Send FIN, and read until the client has ended, for one second at most.

        Closing TCP while something is unread sends RST, which may overtake an alert.
        """
        deadline = time.monotonic() + _DRAIN_TIMEOUT
        try:
            self._raw.shutdown(socket.SHUT_WR)
            while (left := deadline - time.monotonic()) > 0:
                self._raw.settimeout(left)
                if not self._raw.recv(_CHUNK):
                    return
        except OSError:
            pass  # Time is up, or it is closed already.

    def _run(self, call: Callable[[], _T]) -> _T:
        """Call until it has all that it needs, carrying bytes between TLS and TCP."""
        while True:
            try:
                return self._flushing(call)
            except ssl.SSLWantReadError:
                self._fill()

    def _flushing(self, call: Callable[[], _T]) -> _T:
        """Call once, and send what TLS has written, whatever comes of it."""
        try:
            result = call()
        except ssl.SSLWantReadError:
            self._flush()
            raise
        except ssl.SSLError:
            self._flush_alert()
            raise
        self._flush()
        return result

    def _flush_alert(self) -> None:
        """Send the alert that says why TLS failed, if there is one."""
        try:
            self.alert_sent = self._flush() or self.alert_sent
        except OSError:
            pass  # The client is gone, and what TLS said is the better error.

    def _flush(self) -> bool:
        data = self._outgoing.read()
        if data:
            self._raw.sendall(data)
        return bool(data)

    def _fill(self) -> None:
        data = self._raw.recv(_CHUNK)
        if data:
            self._incoming.write(data)
        else:
            self._incoming.write_eof()


def echo(stream: TLSStream) -> None:
    """Accept the upgrade to WebSocket, then answer each frame with the same until Close.

    No extension and no subprotocol is agreed on. A request that asks for no WebSocket is answered
    with 400, and a frame above 16 MiB with RST.

    Raises:
        EOFError: the client ended without a Close frame.
        OSError: TLS or TCP failed.
    """
    key = _websocket_key(stream.read_head())
    if key is None:
        stream.sendall(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")
        return
    stream.sendall(
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Accept: " + accept_token(key).encode() + b"\r\n\r\n"
    )
    opcode = -1
    while opcode != Opcode.CLOSE:
        fin, opcode, payload = _read_frame(stream)
        if opcode == Opcode.PING:
            stream.sendall(encode_frame(Opcode.PONG, payload))
        elif opcode != Opcode.PONG:
            stream.sendall(encode_frame(opcode, payload, fin=fin))


def _websocket_key(head: bytes) -> str | None:
    for line in head.decode("latin-1").split("\r\n")[1:]:
        name, _, value = line.partition(":")
        if name.lower() == "sec-websocket-key":
            return value.strip()
    return None


def _read_frame(stream: TLSStream) -> tuple[bool, int, bytes]:
    """Return FIN, opcode and unmasked payload of a frame (RFC 6455, section 5.2)."""
    first, second = stream.read_exactly(2)
    size = second & 0x7F
    if size > 125:
        size = int.from_bytes(stream.read_exactly(2 if size == 126 else 8), "big")
    if size > _LONGEST_FRAME:
        stream.reset()
        raise ConnectionError("the frame is too long")
    mask = stream.read_exactly(4) if second & 0x80 else bytes(4)
    payload = bytes(apply_mask(stream.read_exactly(size), mask))
    return bool(first & 0x80), first & 0x0F, payload
