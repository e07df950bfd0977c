"""Which handler serves which path, written as for Tornado or as for aiohttp."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any
from urllib.parse import unquote

from aiohttp import web

from .connection import close_all
from .dialogue import Dialogue
from .handler import WebSocketHandler
from .ready_made import ConnectionFunction, handler_of
from .settings import check_settings

__all__ = [
    "Route",
    "Routes",
    "Target",
    "close_websockets",
    "make_application",
    "websocket_handler",
]

Target = type[WebSocketHandler] | ConnectionFunction | Dialogue
"""What serves a path: a handler class, a coroutine function of a connection, or a dialogue."""

_running: dict[WebSocketHandler, web.Request] = {}
"""The handlers that run in applications of aiohttp, with the requests that they handle."""

_PLACEHOLDER = re.compile(r"\{([A-Za-z_]\w*)(?::((?:[^{}]|\{[^{}]*\})+))?\}")


@dataclass(frozen=True, slots=True)
class Route:
    """A pattern and what serves the paths that it matches.

    Attributes:
        pattern: matches a whole path.
        handler: serves it.
        kwargs: for the handler's `initialize`.
    """

    pattern: re.Pattern[str]
    handler: type[WebSocketHandler]
    kwargs: Mapping[str, Any] = field(default_factory=dict)


class Routes:
    """Routes in order; the first that matches serves.

    Args:
        routes: a `Target` that serves every path; or tuples of a pattern, a target, and
            optionally a mapping for the handler's `initialize`. A pattern is a regular expression
            for the whole path, whose groups are given to `open`: by position, or by name if they
            are named. Or it has aiohttp's placeholders, ``{name}`` or ``{name:expression}``.

    Raises:
        TypeError: it is neither a target nor routes, or something in a route is of another type.
        ValueError: a tuple has another length, or a pattern is no regular expression.
    """

    def __init__(self, routes: Target | Iterable[tuple[Any, ...]]) -> None:
        if isinstance(routes, Dialogue) or callable(routes):
            routes = [(re.compile(r"/.*", re.DOTALL), routes)]
        if isinstance(routes, str | bytes) or not isinstance(routes, Iterable):
            raise TypeError(
                "give a WebSocketHandler class, a coroutine function, a Dialogue, or a list of "
                f"routes such as [(r'/chat', ChatHandler)], not {routes!r}"
            )
        self._routes = [_route(each) for each in routes]

    def find(
        self, request: web.BaseRequest, settings: Mapping[str, Any]
    ) -> WebSocketHandler | None:
        """Make the handler that serves a request; ``None`` when no pattern matches.

        Raises:
            Exception: whatever the handler's `__init__`, `initialize` or `set_default_headers`
                raises.
        """
        path = request.rel_url.raw_path
        for route in self._routes:
            match = route.pattern.fullmatch(path)
            if match is not None:
                handler = route.handler(settings, request, **route.kwargs)
                named = match.groupdict()
                if named:
                    handler.path_kwargs = {name: _unquoted(text) for name, text in named.items()}
                else:
                    handler.path_args = [_unquoted(text) for text in match.groups()]
                return handler
        return None


def _route(given: tuple[Any, ...]) -> Route:
    if not isinstance(given, tuple) or not 2 <= len(given) <= 3:
        raise ValueError("a route is a tuple: (pattern, handler) or (pattern, handler, kwargs)")
    pattern, target = given[:2]
    kwargs = given[2] if len(given) == 3 else {}
    if not isinstance(kwargs, Mapping):
        raise TypeError(
            f"the third element of a route is a dict for the handler's initialize, not {kwargs!r}"
        )
    return Route(_compile(pattern), _handler(target), MappingProxyType(dict(kwargs)))


def _compile(pattern: str | re.Pattern[str]) -> re.Pattern[str]:
    if isinstance(pattern, re.Pattern) and isinstance(pattern.pattern, str):
        return pattern
    if not isinstance(pattern, str):
        raise TypeError(
            f"the pattern of a route is a str, such as r'/chat/(\\w+)', not {pattern!r}"
        )
    try:
        return re.compile(_PLACEHOLDER.sub(lambda m: f"(?P<{m[1]}>{m[2] or '[^{}/]+'})", pattern))
    except re.error as exc:
        raise ValueError(f"the route {pattern!r} is no regular expression: {exc}") from exc


def _handler(target: Target) -> type[WebSocketHandler]:
    if isinstance(target, type) and issubclass(target, WebSocketHandler):
        return target
    if isinstance(target, Dialogue):
        return handler_of(target.run)
    if isinstance(target, type) or not callable(target):
        raise TypeError(
            "a route needs a WebSocketHandler class, a coroutine function of a connection, or a "
            f"Dialogue, not {target!r}"
        )
    return handler_of(target)


def _unquoted(text: str | None) -> str | None:
    return None if text is None else unquote(text)


def websocket_handler(
    target: Target, kwargs: Mapping[str, Any] | None = None, **settings: Any
) -> Callable[[web.Request], Any]:
    """Return a handler for a route of an aiohttp application.

    What the route's placeholders match is given to `open` by name.

    When the application shuts down, aiohttp waits for its handlers, a minute by default, and then
    drops the connections without a Close frame. Append `close_websockets` to ``on_shutdown``, and
    they are closed first.

    With aiohttp's ``handler_cancellation``, which its `TestServer` switches on, a handler is
    cancelled when its client has gone: messages that it has not taken by then are lost.

    Args:
        target: a handler class, a coroutine function of a connection, or a dialogue.
        kwargs: for the handler's `initialize`; ``None`` for none.
        settings: see `WebSocketHandler`.

    Raises:
        TypeError: the target or a setting is of another type.
        ValueError: a setting cannot be used.
    """
    check_settings(settings)
    handler_class = _handler(target)

    async def serve(request: web.Request) -> web.StreamResponse:
        handler = handler_class(settings, request, **(kwargs or {}))
        handler.path_kwargs = dict(request.match_info)
        return await _run(handler, request)

    return serve


def make_application(
    routes: Target | Iterable[tuple[Any, ...]], **settings: Any
) -> web.Application:
    """Return an aiohttp application, as `tornado.web.Application` is made.

    Run it with `aiohttp.web.run_app`. When it shuts down, its connections are closed with 1001.
    What `websocket_handler` says of ``handler_cancellation`` holds here, too.

    Args:
        routes: see `Routes`.
        settings: see `WebSocketHandler`.

    Raises:
        TypeError: a target or a setting is of another type.
        ValueError: a route cannot be read, or a setting cannot be used.
    """
    check_settings(settings)
    table = Routes(routes)

    async def serve(request: web.Request) -> web.StreamResponse:
        handler = table.find(request, settings)
        if handler is None:
            raise web.HTTPNotFound
        return await _run(handler, request)

    application = web.Application()
    application.router.add_route("*", "/{path:.*}", serve)
    application.on_shutdown.append(close_websockets)
    return application


async def close_websockets(application: web.Application) -> None:
    """Close the WebSockets of an application and of those in it with 1001.

    It is for ``on_shutdown``, and takes a second at most; then they are dropped. Cancelling it
    drops them at once.

    Args:
        application: as aiohttp gives it to ``on_shutdown``.
    """
    # Applications compare as mappings do, so that `in` would not do.
    connections = [
        handler.ws_connection
        for handler, request in tuple(_running.items())
        if any(each is application for each in request.match_info.apps)
    ]
    await close_all([each for each in connections if each is not None], "the server shuts down")


async def _run(handler: WebSocketHandler, request: web.Request) -> web.StreamResponse:
    _running[handler] = request
    try:
        return await handler.run()
    finally:
        del _running[handler]
