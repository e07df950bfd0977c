"""Connections on the transports of aiofastnet, without a change to the loop of the program.

aiohttp has no public way to choose the transports of a session, and aiofastnet none to choose
their classes: `FastConnector` and `_FastLoop` are the one place that knows how it is done. Where
that has changed, as `internals` finds out, the loop's own transports serve.

aiofastnet's TLS over Python's `ssl` is not used: when reading goes on after a pause, it leaves
what was received before until more comes. So TLS is fast only where OpenSSL can do it directly.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import importlib
from collections.abc import Iterator, Sequence
from typing import Any

from aiohttp import TCPConnector
from aiohttp.client_proto import ResponseHandler
from yarl import URL

from ..options.connect import ConnectOptions
from ..options.transports import fast_transports, suits_fast_transports
from ..tls.handshake.context import HandshakeContext, note_unseen_handshake
from .internals import Use, fault_of, refused
from .read_first import hand_over_unread, has_unread

__all__ = ["FastConnector", "may_be_fast"]


def may_be_fast(connect: ConnectOptions) -> bool:
    """Tell whether the connections of an attempt may be on fast transports.

    Args:
        connect: says what is wanted.

    Raises:
        ConnectError: they are insisted on, and what is installed is not as we know it.
    """
    if connect.use_fast_transport is False or connect.session is not None:
        return False
    if fast_transports() is None:
        return False
    fault = fault_of(Use.FAST_TRANSPORT)
    if fault is not None and connect.use_fast_transport is True:
        raise refused(Use.FAST_TRANSPORT, *fault)
    return fault is None


class FastConnector(TCPConnector):
    """A connector that can make its connections by aiofastnet, once it is told to."""

    _fast = False

    def go_fast(self, url: URL, proxy: URL | None, context: Any, *, insisted: bool) -> None:
        """Use fast transports for a connection, if they are better and nothing is lost by them.

        uvloop is as fast without, but for TLS that OpenSSL does directly. Of how TLS ends, less is
        told then: that is for those who ask for it.

        Args:
            url: where it leads to.
            proxy: the proxy on the way, ``None`` without.
            context: of the TLS with the server; ``None`` without TLS.
            insisted: whether the caller wants them in any case.
        """
        through_tls = proxy is not None and proxy.scheme == "https"
        loop = asyncio.get_running_loop()
        stock = isinstance(loop, asyncio.SelectorEventLoop)
        if url.scheme == "wss":
            known = stock or type(loop).__module__.startswith("uvloop")
            self._fast = insisted and known and not through_tls and _is_direct(context)
        else:
            self._fast = stock and not through_tls

    async def _wrap_create_connection(
        self, *args: Any, **kwargs: Any
    ) -> tuple[asyncio.Transport, ResponseHandler]:
        with self._other_transports():
            return await super()._wrap_create_connection(*args, **kwargs)

    async def _start_tls_connection(
        self, *args: Any, **kwargs: Any
    ) -> tuple[asyncio.BaseTransport, ResponseHandler]:
        with self._other_transports():
            return await super()._start_tls_connection(*args, **kwargs)

    @contextlib.contextmanager
    def _other_transports(self) -> Iterator[None]:
        """Have aiohttp ask us for transports, while it makes one."""
        if not self._fast:
            yield
            return
        private: Any = self
        loop = private._loop
        private._loop = _FastLoop(loop)
        try:
            yield
        finally:
            private._loop = loop


class _LoopView:
    """A loop as somebody sees it: as it is, but for what a subclass has."""

    __slots__ = ("_loop",)

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop

    def __getattr__(self, name: str) -> Any:
        return getattr(self._loop, name)


class _FastLoop(_LoopView):
    """The loop as a connector sees it: its own, but for what makes transports."""

    __slots__ = ()

    async def create_connection(
        self,
        factory: Any,
        *,
        sock: Any,
        ssl: Any = None,
        server_hostname: str | None = None,
        **_: Any,
    ) -> tuple[Any, Any]:
        """Connect, as the loop does, by a socket that is connected."""
        plain, secure = _transport_kinds()
        protocol, waiter = factory(), self._loop.create_future()
        if ssl is None:
            transport = plain(self._loop, sock, protocol, waiter=waiter)
        else:
            note_unseen_handshake()
            timed = _TimedLoop(self._loop)
            transport = secure(
                timed, protocol, ssl, False, *_TLS_LIMITS, sock, waiter, server_hostname
            )
            transport.timers = timed.timers
        try:
            await waiter
        except BaseException:
            transport.abort()
            # The error has this frame in its traceback: it should not hold them, too.
            del transport, protocol, waiter, factory
            raise
        return transport, protocol

    async def start_tls(self, transport: Any, protocol: Any, context: Any, **kwargs: Any) -> Any:
        """Begin TLS on a transport, as the loop does, which knows only its own."""
        note_unseen_handshake()
        module: Any = fast_transports()
        return await module.start_tls(self._loop, transport, protocol, context, **kwargs)


class _TimedLoop(_LoopView):
    """The loop as a transport with TLS sees it: its own, but it remembers the timers.

    aiofastnet leaves them in the loop when it drops a connection.

    Attributes:
        timers: what `call_later` returned.
    """

    __slots__ = ("timers",)

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(loop)
        self.timers: list[asyncio.TimerHandle] = []

    def call_later(self, *arguments: Any) -> asyncio.TimerHandle:
        """Set a timer."""
        timer = self._loop.call_later(*arguments)
        self.timers.append(timer)
        return timer


_TLS_LIMITS = (60.0, 30.0, 16 * (16 * 1024 + 64), 16 * (16 * 1024 + 64))
"""Seconds for handshake and end, and bytes for reading and writing, as aiofastnet has them."""


def _is_direct(context: Any) -> bool:
    """Tell whether OpenSSL may make the connections of a context directly."""
    if isinstance(context, HandshakeContext):
        return context.direct
    return context is not None and suits_fast_transports(context)


def _reading_first(kind: Any, *, secure: bool) -> Any:
    """Return a kind of transport that reads what the server said before it went.

    As `ReadFirstSocket` does for asyncio's transports; these call the system, and not the socket.

    Args:
        kind: what to derive it from.
        secure: whether it does TLS, so that it has to read for itself.
    """

    class ReadFirstTransport(kind):  # type: ignore[misc]  # known when it runs
        _fault: BaseException | None = None
        _has_read = False
        timers: Sequence[asyncio.TimerHandle] = ()

        def _force_close(self, exc: BaseException | None) -> None:
            if exc is not None and self._fault is not None:
                return  # It writes once more, before the rest is read.
            is_late = isinstance(exc, ConnectionError) and not self._has_read
            if is_late and has_unread(self.get_extra_info("socket")):
                self._fault = exc
                # Not at once: this may be inside of a call of the program that writes.
                asyncio.get_running_loop().call_soon(self._read_rest)
            else:
                self._end(exc)

        def _end(self, exc: BaseException | None) -> None:
            super()._force_close(exc)
            for timer in self.timers:
                timer.cancel()

        def _read_rest(self) -> None:
            fault, self._fault, self._has_read = self._fault, None, True
            if secure:
                self._read_ready()
            else:
                hand_over_unread(self.get_extra_info("socket"), self.get_protocol())
            self._end(fault)

        def get_write_buffer_size(self) -> int:
            try:
                size: int = super().get_write_buffer_size()
            except RuntimeError:
                return 0  # Another thread asks, whom aiofastnet tells nothing.
            return size

    return ReadFirstTransport


@functools.cache
def _transport_kinds() -> tuple[Any, Any]:
    """Return the classes of transports, without TLS and with it."""
    plain: Any = importlib.import_module("aiofastnet.selector_transport")
    secure: Any = importlib.import_module("aiofastnet.ssl_transport")
    return (
        _reading_first(plain.SelectorSocketTransport, secure=False),
        _reading_first(secure.SSLTransport_Socket, secure=True),
    )
