"""A scripted server on bare streams, for servers that do what no library would do."""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import socket
import ssl
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Final, Self

from ..protocol.handshake import accept_token
from ..protocol.opcodes import Opcode
from .frames import Frame, FrameDecoder, close_frame, encode_frame, frame_end
from .listening import check_server_context, report_errors, server_url
from .reset import reset

__all__ = ["RawConnection", "RawRequest", "RawServer"]

_GRACE: Final = 0.2
"""Seconds that handlers have, when the block is left, before and after each cancellation."""

_CANCELLATIONS: Final = 2
"""The first one is for the handler, the second one for the end of its connection."""

_Fields = Mapping[str, str | None]


@dataclass(frozen=True, slots=True, repr=False)
class RawRequest:
    """The head of an HTTP request.

    Attributes:
        method: such as ``"GET"``.
        target: what stands behind it, such as ``"/chat?room=1"``.
        headers: by their names in lower case; repeated ones are joined by a comma.
    """

    method: str
    target: str
    headers: dict[str, str]

    def __repr__(self) -> str:
        # Target and headers may hold tokens.
        return f"<RawRequest {self.method}>"


class RawConnection:
    """One end of a connection, in the hands of whoever writes the script.

    A `RawServer` gives the server's end to its handler. The end of a client can be made of
    what `asyncio.open_connection` returns.

    One task may read and another one write at the same time. What is read with `reader` is
    missing to the methods here, and the other way round. Reading that was cancelled can be
    repeated and loses nothing.

    Attributes:
        reader: the bytes that come in.
        writer: the bytes that go out, and the transport.
        request: the last request that was read; ``None`` before.

    Args:
        reader: of the connection.
        writer: of the same connection.
    """

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer
        self.request: RawRequest | None = None
        self._begun = b""

    def __repr__(self) -> str:
        return f"<RawConnection with {self.writer.get_extra_info('peername')}>"

    # The opening handshake

    async def read_request(self) -> RawRequest:
        """Read the head of a request.

        Returns:
            the request; it is kept as `request` too.

        Raises:
            ValueError: it does not begin with a method, a target and a version.
            asyncio.IncompleteReadError: the other end has ended the connection before.
            asyncio.LimitOverrunError: it is longer than 64 KiB.
            ConnectionError: the connection is broken.
        """
        head = (await self.reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        first, *lines = head.rstrip("\r\n").split("\r\n")
        words = first.split(" ", 2)
        if len(words) < 3:
            raise ValueError("the request does not begin with a method, a target and a version")
        headers: dict[str, str] = {}
        for line in lines:
            name, _, value = line.partition(":")
            name, value = name.strip().lower(), value.strip()
            headers[name] = f"{headers[name]}, {value}" if name in headers else value
        self.request = RawRequest(words[0], words[1], headers)
        return self.request

    async def respond(
        self, status: str, headers: _Fields | None = None, body: bytes = b""
    ) -> None:
        """Send an HTTP response; nothing in it is checked.

        Args:
            status: code and phrase, such as ``"403 Forbidden"``.
            headers: added to the right Content-Length, or put in its place; ``None`` as a value
                leaves it out. ``None`` adds none.
            body: bytes behind the head.

        Raises:
            ConnectionError: the connection is broken.
        """
        fields: _Fields = {"Content-Length": str(len(body)), **(headers or {})}
        await self.send(_head(status, fields) + body)

    async def accept(self, headers: _Fields | None = None, *, extra: bytes = b"") -> RawRequest:
        """Answer the request with 101; read it first if that is not done.

        Args:
            headers: added to the right ones, or put in the place of those that are spelled
                ``Upgrade``, ``Connection`` and ``Sec-WebSocket-Accept``; ``None`` as a value
                leaves one out. ``None`` adds none.
            extra: bytes to send in the same packet, behind the head.

        Returns:
            the request.

        Raises:
            ValueError: as `read_request`, or its Sec-WebSocket-Key is not ASCII.
            asyncio.IncompleteReadError: the other end has ended the connection before.
            asyncio.LimitOverrunError: the head is longer than 64 KiB.
            ConnectionError: the connection is broken.

        Source: RFC 6455, section 4.2.2.
        """
        request = self.request or await self.read_request()
        fields: _Fields = {
            "Upgrade": "websocket",
            "Connection": "Upgrade",
            "Sec-WebSocket-Accept": accept_token(request.headers.get("sec-websocket-key", "")),
            **(headers or {}),
        }
        await self.send(_head("101 Switching Protocols", fields) + extra)
        return request

    # Sending

    async def send(self, data: bytes) -> None:
        """Send bytes as they are.

        It waits while the other end does not read. The bytes are on their way when this is
        called; cancelling it does not call them back.

        Raises:
            ConnectionError: the connection is broken.
        """
        self.writer.write(data)
        await self.writer.drain()

    async def send_frame(
        self,
        opcode: int,
        payload: bytes = b"",
        *,
        fin: bool = True,
        rsv: int = 0,
        masking_key: bytes | None = None,
    ) -> None:
        """Send a frame, right or wrong.

        Args:
            opcode: 0..15.
            payload: bytes of any length.
            fin: whether it is the last frame of its message.
            rsv: the three reserved bits as a number, 0..7; 4 is RSV1.
            masking_key: 4 bytes; ``None`` leaves the frame unmasked, as a server sends it.

        Raises:
            ValueError: opcode, reserved bits or key do not fit into their fields.
            ConnectionError: the connection is broken.

        Source: RFC 6455, section 5.2.
        """
        await self.send(encode_frame(opcode, payload, fin=fin, rsv=rsv, masking_key=masking_key))

    async def send_close(self, code: int, reason: str = "") -> None:
        """Send an unmasked Close frame.

        Args:
            code: 0..65535; whether it may be sent is not checked.
            reason: of any length.

        Raises:
            ValueError: the code has more than 16 bits, or the reason a lone surrogate.
            ConnectionError: the connection is broken.

        Source: RFC 6455, section 5.5.1.
        """
        await self.send(close_frame(code, reason))

    # Receiving

    async def read_frame(self) -> Frame:
        """Read a frame, whatever it is; it is buffered whole, however long.

        Raises:
            asyncio.IncompleteReadError: the other end has ended the connection before.
            ConnectionError: the connection is broken.
        """
        while (end := frame_end(self._begun)) is None:
            self._begun += await self.reader.readexactly(1)
        data = self._begun + await self.reader.readexactly(end - len(self._begun))
        self._begun = b""
        (frame,) = FrameDecoder().feed(data)
        return frame

    async def read_until_close(self) -> list[Frame]:
        """Read frames up to and including a Close frame.

        Cancelling it drops the frames that it has read, and none in part.

        Raises:
            asyncio.IncompleteReadError: the other end has ended the connection before.
            ConnectionError: the connection is broken.
        """
        frames = [await self.read_frame()]
        while frames[-1].opcode != Opcode.CLOSE:
            frames.append(await self.read_frame())
        return frames

    async def read_to_end(self) -> bytes:
        """Read all bytes until the other end ends the connection.

        Cancelling it drops the bytes that it has read.

        Raises:
            ConnectionError: the connection is broken; what came before that is dropped.
        """
        data = await self.reader.read()
        data, self._begun = self._begun + data, b""
        return data

    # The end

    def close(self) -> None:
        """End the connection with FIN, behind what was sent; with TLS, with ``close_notify``."""
        self.writer.close()

    def abort(self) -> None:
        """End the TCP connection with RST at once, as a crash does."""
        reset(self.writer.transport)


Handler = Callable[[RawConnection], Awaitable[object]]
"""A coroutine function that is the script of one connection."""


class RawServer:
    """Serve each connection with a script, on a free port of the loopback interface.

    ::

        async def rude(connection):
            await connection.accept()
            await connection.send_frame(Opcode.TEXT, bytes([0xFF]))  # not UTF-8
            await connection.read_until_close()

        async with RawServer(rude) as server:
            ...  # connect to server.url

    A connection is closed when its handler returns. Leaving the block stops listening, and gives
    handlers that still run 0.2 s; then they are cancelled, and what is left of their connections
    is dropped. The whole takes 0.6 s at most. If leaving is cancelled, everything is dropped at
    once.

    What a handler raises fails the test: it is raised when the block is left without an
    exception, and noted on the exception otherwise. But that the client has gone is no error:
    `ConnectionError` and `asyncio.IncompleteReadError` end a handler as if it had returned. Nor
    is a TLS handshake that fails: the handler is not called then.

    The object belongs to the event loop in which it is entered. After its block it may be
    entered again, to listen on the same port: a server that comes back.

    Attributes:
        errors: what handlers raised, in order, and what kept the server from accepting.

    Args:
        handler: a coroutine function, given the server's end of each connection.
        tls: context for ``wss://``; ``None`` serves ``ws://``.
        host: address to listen on.

    Raises:
        TypeError: the handler cannot be called, or `tls` is no `ssl.SSLContext`.
        ValueError: `tls` is a context for clients.
        OSError: it cannot listen there (when the block is entered).
        RuntimeError: it is running already (when the block is entered).
        BaseExceptionGroup: several handlers raised (when the block is left).
    """

    def __init__(
        self,
        handler: Handler,
        *,
        tls: ssl.SSLContext | None = None,
        host: str = "127.0.0.1",
    ) -> None:
        if not callable(handler):
            raise TypeError(f"handler must be a coroutine function, not {handler!r}")
        if tls is not None:
            check_server_context(tls)
        self._handler = handler
        self._tls = tls
        self._host = host
        self._port = 0
        self._listening: contextlib.ExitStack | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._connections: set[RawConnection] = set()
        self.errors: list[BaseException] = []

    def __repr__(self) -> str:
        return f"<RawServer {self.url if self._listening else 'not running'}>"

    @property
    def port(self) -> int:
        """The port it listens on; 0 before it runs."""
        return self._port

    @property
    def url(self) -> str:
        """Its URL, with a slash at the end, such as ``"ws://127.0.0.1:50112/"``."""
        return server_url(self._host, self._port, tls=self._tls is not None)

    async def __aenter__(self) -> Self:
        if self._listening is not None:
            raise RuntimeError("this server is running already; make another one")
        self.errors.clear()
        self._listen()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._stop()
        try:
            await self._end_handlers()
        finally:
            self._drop_the_rest()
        report_errors(self.errors, exc, "the raw server")

    # Connections

    def _listen(self) -> None:
        # Not with asyncio's server: nothing ends a connection that it has begun to open.
        family = socket.AF_INET6 if ":" in self._host else socket.AF_INET
        loop = asyncio.get_running_loop()
        with contextlib.ExitStack() as stack:
            listener = socket.create_server((self._host, self._port), family=family)
            stack.enter_context(listener)
            listener.setblocking(False)
            try:
                loop.add_reader(listener, self._accept, listener)
                stack.callback(loop.remove_reader, listener)
            except NotImplementedError:
                stack.callback(self._start(self._accept_all(listener)).cancel)
            self._port = listener.getsockname()[1]
            self._listening = stack.pop_all()

    def _stop(self) -> None:
        if self._listening is not None:
            self._listening.close()
            self._listening = None

    def _accept(self, listener: socket.socket) -> None:
        try:
            accepted, _ = listener.accept()
        except (BlockingIOError, ConnectionError):
            return  # The client has gone again.
        except OSError as exc:
            self.errors.append(exc)
            self._stop()
            return
        self._start(self._open(accepted))

    async def _accept_all(self, listener: socket.socket) -> None:
        """Accept where the loop cannot watch a socket, as the Proactor loop of Windows."""
        loop = asyncio.get_running_loop()
        while True:
            try:
                accepted, _ = await loop.sock_accept(listener)
            except OSError as exc:
                self.errors.append(exc)
                return
            self._start(self._open(accepted))

    def _start(self, running: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(running)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _open(self, accepted: socket.socket) -> None:
        """Do the TLS handshake, if that is wanted, and serve."""
        loop = asyncio.get_running_loop()
        accepted.setblocking(False)
        reader = asyncio.StreamReader()
        protocol = asyncio.StreamReaderProtocol(reader)
        # asyncio does it by itself only where a socket knows its protocol number. Without it what
        # follows a TLS handshake waits for delayed acknowledgements.
        with contextlib.suppress(OSError):  # The client has gone already.
            accepted.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            transport, _ = await loop.connect_accepted_socket(
                lambda: protocol, accepted, ssl=self._tls
            )
        except OSError:
            return
        writer = asyncio.StreamWriter(transport, protocol, reader, loop)
        await self._serve(RawConnection(reader, writer))

    async def _serve(self, connection: RawConnection) -> None:
        self._connections.add(connection)
        try:
            result = self._handler(connection)
            if not inspect.isawaitable(result):
                raise TypeError("the handler of a RawServer must be a coroutine function")
            await result
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        except (asyncio.CancelledError, GeneratorExit, KeyboardInterrupt, SystemExit):
            raise
        except BaseException as exc:  # `pytest.fail` raises no Exception.
            self.errors.append(exc)
        finally:
            try:
                await _hang_up(connection.writer)
            finally:
                self._connections.discard(connection)

    async def _end_handlers(self) -> None:
        for _ in range(_CANCELLATIONS):
            if self._tasks:
                await asyncio.wait(self._tasks, timeout=_GRACE)
            for task in self._tasks:
                task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=_GRACE)
        for task in self._tasks:
            self.errors.append(RuntimeError(f"a handler goes on although cancelled: {task!r}"))

    def _drop_the_rest(self) -> None:
        for connection in self._connections:
            connection.writer.transport.abort()
        for task in self._tasks:
            task.cancel()


def _head(first: str, fields: _Fields) -> bytes:
    lines = [f"{name}: {value}\r\n" for name, value in fields.items() if value is not None]
    return "".join([f"HTTP/1.1 {first}\r\n", *lines, "\r\n"]).encode()


async def _hang_up(writer: asyncio.StreamWriter) -> None:
    """Close a connection and wait until that is done; cancelling it drops the connection."""
    writer.close()
    try:
        await writer.wait_closed()
    except OSError:
        pass
    except asyncio.CancelledError:
        writer.transport.abort()
        raise
