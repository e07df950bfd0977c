"""A WebSocket server for tests: ready-made, or with handlers of yours, and it remembers all."""

from __future__ import annotations

import asyncio
import inspect
import logging
import ssl
import threading
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from types import TracebackType
from typing import Any, Self

from aiohttp import web
from multidict import CIMultiDictProxy

from ..changes import Changes
from ..listening import check_server_context, report_errors, server_url
from .connection import close_all
from .handler import WebSocketHandler
from .ready_made import EchoHandler
from .routes import Routes, Target
from .served import ServedConnection
from .settings import check_settings

__all__ = ["WebSocketTestServer"]

logger = logging.getLogger("wsclient.testing")

_HANDLER_GRACE = 0.2
"""Seconds that handlers have after the end of their connections, before they are cancelled."""

_CANCELLED_GRACE = 1.5
"""Seconds that they have after that, of which `on_close` may take one."""


class WebSocketTestServer:
    """Serve WebSockets on a free port of the loopback interface, and take notes.

    ``async with WebSocketTestServer(...) as server`` serves in the running event loop.
    ``with WebSocketTestServer(...) as server`` serves in a thread of its own, for tests that block
    and for any event loop. Leaving the block closes open connections with 1001, and drops them
    after a second. Handlers that still run then are cancelled. Cancelling the leaving itself drops
    everything at once. A server may be started again: on the same port, with its records.

    What handlers raise fails the test: it is raised when the block is left without an exception,
    and noted on the exception otherwise. Several errors are raised as an exception group.

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
        TypeError: a target, a route, a setting or `tls` is of another type.
        ValueError: a route cannot be read, a setting cannot be used, or `tls` is for clients.
        OSError: the port cannot be used (when the block is entered).
        RuntimeError: the server runs already (when the block is entered).
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
        if tls is not None:
            check_server_context(tls)
        check_settings(settings)
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
        self._handlers: set[asyncio.Task[Any]] = set()
        self.requests: list[ServedConnection] = []

    def __repr__(self) -> str:
        return f"<WebSocketTestServer {self.url if self._runner else 'not running'}>"

    # Where it is

    @property
    def port(self) -> int:
        """The port it listens on; before it runs the one it was given, 0 for any."""
        return self._port

    @property
    def url(self) -> str:
        """Its URL, with a slash at the end, such as ``"ws://127.0.0.1:50112/"``."""
        return server_url(self._host, self._port, tls=self._tls is not None)

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
            condition: a function of this server; looked at now, and after each frame (unless
                it records nothing), answer, error of a handler, and end of a connection.
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
        self._check_stopped()
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
        self._check_stopped()
        thread = _ServerThread(self._start, self._stop)
        thread.start()
        self._thread = thread
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        assert self._thread is not None
        thread, self._thread = self._thread, None
        thread.stop()
        self._report(exc)

    def _check_stopped(self) -> None:
        if self._runner is not None:
            raise RuntimeError("this server runs already: leave its block first, or make another")

    def call(self, function: Callable[..., Any], *args: Any) -> Any:
        """Call a function in the thread of the server, and wait for what comes of it.

        It is for ``with``: there, connections and handlers belong to the server's thread. Plain
        tests can wait with it, too: ``server.call(server.wait_for_connection)``.

        Args:
            function: plain or coroutine function; or a method of a connection, a handler or this
                server.
            args: its arguments.

        Returns:
            what it returns; if that can be awaited, what comes of awaiting it.

        Raises:
            RuntimeError: the server has no thread of its own, this is that thread, or this is a
                coroutine, whose event loop would stand still: use `run` there.
            Exception: whatever the function raises.
        """
        thread = self._own_thread()
        thread.check_foreign()
        if _in_coroutine():
            raise RuntimeError(
                "call() would stop your event loop, for which the server may be waiting: use "
                "await server.run(...)"
            )
        return thread.call(function, *args).result()

    async def run(self, function: Callable[..., Any], *args: Any) -> Any:
        """Do the same as `call`, and wait in a coroutine; cancelling it cancels the function.

        Raises:
            RuntimeError: the server has no thread of its own, or this is that thread.
            Exception: whatever the function raises.
        """
        return await asyncio.wrap_future(self._own_thread().call(function, *args))

    def _own_thread(self) -> _ServerThread:
        if self._thread is None:
            raise RuntimeError(
                "this server has no thread of its own: it runs in your event loop, where you can "
                "call the function directly, or it does not run"
            )
        return self._thread

    async def _start(self) -> None:
        server = web.Server(self._serve, access_log=None)
        runner = web.ServerRunner(server, handle_signals=False, shutdown_timeout=_HANDLER_GRACE)
        await runner.setup()
        try:
            site = web.TCPSite(runner, self._host, self._port, ssl_context=self._tls)
            await site.start()
        except BaseException:
            await runner.cleanup()
            raise
        self._port = runner.addresses[0][1]
        self._runner = runner

    async def _stop(self) -> None:
        runner, self._runner = self._runner, None
        assert runner is not None
        try:
            for site in tuple(runner.sites):
                await site.stop()
            open_ones = [each.connection for each in self.connections if each.close_info is None]
            await close_all(open_ones, "the test server stops")
            await self._end_handlers()
        finally:
            # aiohttp knows of those handlers alone whose TCP connection is still there.
            for handler in self._handlers:
                handler.cancel()
            await runner.cleanup()
            self._changes.notify()

    async def _end_handlers(self) -> None:
        for seconds in (_HANDLER_GRACE, _CANCELLED_GRACE):
            if self._handlers:
                await asyncio.wait(self._handlers, timeout=seconds)
            for handler in self._handlers:
                handler.cancel()

    async def _serve(self, request: web.BaseRequest) -> web.StreamResponse:
        served = ServedConnection(request, self._changes, record=self._record)
        self.requests.append(served)
        task = asyncio.current_task()
        assert task is not None
        self._handlers.add(task)
        try:
            handler = self._find(request, served)
            response = await handler.run(served)
        except web.HTTPException as exc:
            served.answered(exc.status, CIMultiDictProxy(exc.headers))
            raise
        finally:
            self._handlers.discard(task)
        if response.status != 101:
            served.answered(response.status, CIMultiDictProxy(response.headers))
        return response

    def _find(self, request: web.BaseRequest, served: ServedConnection) -> WebSocketHandler:
        try:
            handler = self._routes.find(request, self._settings)
        except Exception as exc:
            served.failed(exc)
            logger.error("a handler of %s could not be made", request.path, exc_info=exc)
            raise web.HTTPInternalServerError from exc
        if handler is None:
            raise web.HTTPNotFound
        served.handler = handler
        return handler

    def _report(self, exc: BaseException | None) -> None:
        if self._raise_errors:
            report_errors(self.errors, exc, "the test server")


def _in_coroutine() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


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
        self._ready.wait()
        if self._error is not None:
            self._thread.join()
            raise self._error

    def stop(self) -> None:
        assert self._loop is not None
        assert self._stopping is not None
        try:
            self._loop.call_soon_threadsafe(self._stopping.set)
        except RuntimeError:
            pass  # The loop has ended by itself; the error says why.
        self._thread.join()
        if self._error is not None:
            raise self._error

    def check_foreign(self) -> None:
        if threading.current_thread() is self._thread:
            raise RuntimeError("this is the server's own thread: call the function directly")

    def call(self, function: Callable[..., Any], *args: Any) -> Future[Any]:
        assert self._loop is not None
        self.check_foreign()

        async def call() -> Any:
            result = function(*args)
            return await result if inspect.isawaitable(result) else result

        coroutine = call()
        try:
            return asyncio.run_coroutine_threadsafe(coroutine, self._loop)
        except RuntimeError:
            coroutine.close()  # The loop has ended by itself.
            raise

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
