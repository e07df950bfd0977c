"""aiohttp's end of a connection, until the WebSocket takes it over.

aiohttp has no public way to choose its protocol object, nor to part an answer from its connection:
`use_handlers` and `keep_connection` are the places that know how it is done. What the first needs
is looked for by `internals`; without what the second needs, some memory is kept longer.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Final, cast

import aiohttp
from aiohttp.client_proto import ResponseHandler

from ..protocol.head import MAX_FIELD_SIZE, MAX_FIELDS, HeadMeter, HeadTooLongError

__all__ = ["Handler", "held_places", "keep_connection", "use_handlers"]

_LONGEST_ANSWER: Final = 2 * 1024 * 1024
"""Bytes that may come before the WebSocket is open.

aiohttp takes a megabyte of headers at most, and of a body it reads on only as we do. But it puts
any number of interim answers (RFC 9110, section 15.2) into a queue.
"""


class Handler(ResponseHandler):
    """A handler that takes answers of reasonable length, and can be dropped for good.

    Attributes:
        keeps: what must live as long as the connection; ``None`` for nothing.

    Args:
        loop: the loop of the connection.
    """

    keeps: object = None

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(loop)
        self._room = _LONGEST_ANSWER
        self._meter: HeadMeter | None = HeadMeter()
        self._carrier: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Note what carries the connection."""
        # Those of uvloop are not of asyncio's class.
        self._carrier = cast(asyncio.Transport, transport)
        super().connection_made(transport)

    def connection_lost(self, exc: BaseException | None) -> None:
        """Let go of it."""
        self._carrier = None
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Take part of the answer, unless it has become too long."""
        self._room -= len(data)
        if self._room < 0:
            self._give_up(aiohttp.ClientPayloadError("the answer has no end"))
            return
        if self._meter is not None:
            try:
                self._meter.feed(data)
            except HeadTooLongError as exc:
                self._give_up(exc.with_traceback(None))
                return
            if self._meter.over:
                self._meter = None
        super().data_received(data)

    def _give_up(self, exc: BaseException) -> None:
        if self._carrier is not None:
            self.set_exception(exc)
            self._carrier.abort()

    def set_response_params(self, **params: Any) -> None:
        """Prepare for an answer, with our limits in place of aiohttp's."""
        # Ours are looked at first, so that errors are in our words.
        params["max_line_size"] = params["max_field_size"] = MAX_FIELD_SIZE
        params["max_headers"] = MAX_FIELDS
        super().set_response_params(**params)

    def let_go(self) -> None:
        """Forget the transport, which has another protocol now: aiohttp takes it for closed."""
        # Told of the end, it also lets go of its parser, which refers to it.
        self.connection_lost(None)
        self.transport = None

    def drop_if_closing(self) -> None:
        """End a connection that has been closed, and now waits for the server to agree.

        TLS waits for half a minute, if nobody answers.
        """
        if self.transport is None and self._carrier is not None:
            self._carrier.abort()


def use_handlers(connector: aiohttp.BaseConnector) -> Callable[[], None]:
    """Have a connector make handlers of ours; return what drops those that are closing."""
    made: list[Handler] = []
    private: Any = connector

    def make() -> Handler:
        handler = Handler(asyncio.get_running_loop())
        made.append(handler)
        return handler

    def drop() -> None:
        for handler in made:
            handler.drop_if_closing()
        made.clear()

    private._factory = make
    return drop


def held_places(session: aiohttp.ClientSession) -> tuple[int, int] | None:
    """Return how many connections the pool of a session holds, and how many it may.

    Returns:
        ``None`` while there is room, or where nobody can tell.
    """
    connector: Any = session.connector
    limit = getattr(connector, "limit", 0)
    held = len(getattr(connector, "_acquired", ()))
    return (held, limit) if limit and held >= limit else None


def keep_connection(response: aiohttp.ClientResponse) -> Callable[[], object]:
    """Let go of an answer, but not of its connection; return what closes that.

    The answer and its parser would take as much memory as the WebSocket itself.

    Args:
        response: has brought a connection that nobody reads any more for HTTP.
    """
    connection = response.connection
    private: Any = response
    private._connection = None
    if connection is None or response.connection is not None:
        return response.close
    response.close()
    handler: Any = connection.protocol
    handler._parser = None
    return connection.close
