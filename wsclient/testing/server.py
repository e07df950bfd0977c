"""A WebSocket server for tests: ready-made, or with handlers of yours, and it remembers all."""

from __future__ import annotations

import asyncio
import inspect
import ssl
import threading
from collections.abc import Callable, Iterable
from types import TracebackType
from typing import Any, Self

from aiohttp import web
from multidict import CIMultiDictProxy

from .changes import Changes
from .ready_made import EchoHandler
from .routes import Routes, Target
from .served import ServedConnection

__all__ = ["WebSocketTestServer"]

_GRACE = 1.0
"""Seconds that clients have to answer the Close frame when the server is stopped."""

_HANDLER_GRACE = 0.2
"""Seconds that handlers have after the end of their connections."""

_START_TIMEOUT = 10.0


class WebSocketTestServer:
    """Serve WebSockets on a free port of the loopback interface, and take notes.

    ``async with WebSocketTestServer(...) as server`` serves in the running event loop.
    ``with WebSocketTestServer(...) as server`` serves in a thread of its own, for tests that block
    and for any event loop. Leaving the block closes open connections with 1001, and drops them
    after a second.

    What handlers raise fails the test: it is raised when the block is left without an exception,
    and noted on the exception otherwise.

    Attributes:
        requests: every request, in order of arrival, those that were refused too.

    Args:
        routes: what to serve; an echo by default. A handler class, a coroutine function of a
            connection, or a `Dialogue` serves every path; a list of routes is as `Routes` says.
        tls: context for ``wss://``; ``None`` serves ``ws://``.
        host: address to listen on.
        port: to listen on; 0 takes a free one.
        record: keep every frame and message; switch it off for floods.
        raise_errors: raise what handlers raised.
        settings: see `WebSocketHandler`, such as ``websocket_max_message_size`` and
            ``compression_options``.

    Raises:
        TypeError: a target is of another type.
        ValueError: a route cannot be read.
        OSError: the port cannot be used (when the block is entered).
    """

    def __init__(
        self,
        routes: Target | Iterable[tuple[Any, ...]] = EchoHandler,
        *,
        tls: ssl.SSLContext | None = None,
        host: str = "127.0.0.1",
        port: int = 0,
        record: bool = True,
        raise_errors: bool = True,
        **settings: Any,
    ) -> None:
        self._routes = Routes(routes)
        self._tls = tls
        self._host = host
        self._port = port
        self._record = record
        self._raise_errors = raise_errors
        self._settings = settings
        self._changes = Changes()
        self._runner: web.ServerRunner | None = None
        self._thread: _ServerThread | None = None
        self.requests: list[ServedConnection] = []

    def __repr__(self) -> str:
        return f"<WebSocketTestServer {self.url if self._runner else 'not running'}>"

    # Where it is

    @property
    def port(self) -> int:
        """The port it listens on; 0 before it runs."""
        return self._port

    @property
    def url(self) -> str:
        """Its URL, with a slash at the end, such as ``"ws://127.0.0.1:50112/"``."""
        scheme = "ws" if self._tls is None else "wss"
        host = f"[{self._host}]" if ":" in self._host else self._host
        return f"{scheme}://{host}:{self._port}/"

    # What it knows

    @property
    def connections(self) -> list[ServedConnection]:
        """The WebSockets that were opened, in order, ended ones too."""
        return [each for each in self.requests if each.opened]

    @property
    def errors(self) -> list[BaseException]:
        """What handlers raised."""
        return [error for each in self.requests for error in each.errors]

    async def wait_for(
        self, condition: Callable[[WebSocketTestServer], object], *, timeout: float = 5.0
    ) -> None:
        """Wait until a condition holds, in any event loop; cancelling it has no effect.

        Args:
            condition: a function of this server; looked at now and after each event.
            timeout: seconds.

        Raises:
            TimeoutError: it did not come to hold in time.
        """
        await self._changes.wait_for(
            lambda: condition(self), "what was waited for on the server", timeout=timeout
        )

    async def wait_for_connection(
        self, number: int = 1, *, timeout: float = 5.0
    ) -> ServedConnection:
        """Wait until so many WebSockets have been opened; return the last of them.

        Raises:
            TimeoutError: they were not opened in time.
        """
        await self._changes.wait_for(
            lambda: len(self.connections) >= number, f"connection {number}", timeout=timeout
        )
        return self.connections[number - 1]

    # Running

    async def __aenter__(self) -> Self:
        await self._start()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self._stop()
        self._report(exc)

    def __enter__(self) -> Self:
        self._thread = _ServerThread(self._start, self._stop)
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        assert self._thread is not None
        self._thread.stop()
        self._report(exc)

    def call(self, function: Callable[..., Any], *args: Any) -> Any:
        """Call a function in the thread of the server, and wait for what comes of it.

        It is for ``with``: there, connections and handlers belong to the server's thread.

        Args:
            function: plain or coroutine function; or a method of a connection or a handler.
            args: its arguments.

        Returns:
            what it returns; if that can be awaited, what comes of awaiting it.

        Raises:
            RuntimeError: the server has no thread of its own.
            Exception: whatever the function raises.
        """
        if self._thread is None:
            raise RuntimeError("this server runs in your own event loop: call it directly")
        return self._thread.call(function, *args)

    async def _start(self) -> None:
        server = web.Server(self._serve, access_log=None)
        self._runner = web.ServerRunner(
            server, handle_signals=False, shutdown_timeout=_HANDLER_GRACE
        )
        await self._runner.setup()
        try:
            site = web.TCPSite(self._runner, self._host, self._port, ssl_context=self._tls)
            await site.start()
        except BaseException:
            await self._runner.cleanup()
            raise
        self._port = self._runner.addresses[0][1]

    async def _stop(self) -> None:
        assert self._runner is not None
        for site in tuple(self._runner.sites):
            await site.stop()
        await self._close_connections()
        await self._runner.cleanup()
        self._changes.notify()

    async def _close_connections(self) -> None:
        open_ones = [each.connection for each in self.connections if each.close_info is None]
        for connection in open_ones:
            connection.close(1001, "the test server stops")
        try:
            async with asyncio.timeout(_GRACE):
                for connection in open_ones:
                    await connection.wait_closed()
        except TimeoutError:
            for connection in open_ones:
                connection.abort()

    async def _serve(self, request: web.BaseRequest) -> web.StreamResponse:
        served = ServedConnection(request, self._changes, record=self._record)
        self.requests.append(served)
        try:
            handler = self._routes.find(request, self._settings)
            if handler is None:
                raise web.HTTPNotFound
            served.handler = handler
            response = await handler.run(served)
        except web.HTTPException as exc:
            served.answered(exc.status, CIMultiDictProxy(exc.headers))
            raise
        if response.status != 101:
            served.answered(response.status, CIMultiDictProxy(response.headers))
        return response

    def _report(self, exc: BaseException | None) -> None:
        if not self._raise_errors or not self.errors:
            return
        if exc is not None:
            for error in self.errors:
                exc.add_note(f"A handler of the test server had raised {error!r}")
        elif len(self.errors) == 1:
            raise self.errors[0]
        else:
            raise BaseExceptionGroup("handlers of the test server raised", self.errors)


class _ServerThread:
    """A thread with an event loop, in which a server is started and stopped."""

    def __init__(self, start: Callable[[], Any], stop: Callable[[], Any]) -> None:
        self._start = start
        self._stop = stop
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stopping: asyncio.Event | None = None
        self._ready = threading.Event()
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="WebSocketTestServer", daemon=True)

    def start(self) -> None:
        self._thread.start()
        self._ready.wait(_START_TIMEOUT)
        if self._error is not None:
            self._thread.join()
            raise self._error

    def stop(self) -> None:
        assert self._loop is not None
        assert self._stopping is not None
        self._loop.call_soon_threadsafe(self._stopping.set)
        self._thread.join()
        if self._error is not None:
            raise self._error

    def call(self, function: Callable[..., Any], *args: Any) -> Any:
        assert self._loop is not None

        async def call() -> Any:
            result = function(*args)
            return await result if inspect.isawaitable(result) else result

        return asyncio.run_coroutine_threadsafe(call(), self._loop).result()

    def _run(self) -> None:
        try:
            asyncio.run(self._serve())
        except BaseException as exc:
            self._error = exc
        finally:
            self._ready.set()

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._stopping = asyncio.Event()
        await self._start()
        self._ready.set()
        try:
            await self._stopping.wait()
        finally:
            await self._stop()
