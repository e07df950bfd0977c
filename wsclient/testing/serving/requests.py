"""The HTTP half of a handler: the request, and an answer that opens no WebSocket.

The names are those of `tornado.web.RequestHandler`. It is what a WebSocket handler needs of it;
pages are better served by aiohttp itself.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Mapping, Sequence
from typing import Any, Final

from aiohttp import web
from multidict import CIMultiDict

from ...protocol.handshake import check_header

__all__ = ["RequestHandler"]

_REQUIRED: Final = object()


class RequestHandler:
    """One request and its answer.

    Attributes:
        request: the request, an object of aiohttp.
        settings: of the application or server.
        path_args: what the unnamed groups of the route's pattern matched.
        path_kwargs: what its named groups matched.

    Args:
        settings: of the application or server.
        request: the request.
        kwargs: the third element of the route; they go to `initialize`.
    """

    def __init__(
        self, settings: Mapping[str, Any], request: web.BaseRequest, **kwargs: Any
    ) -> None:
        self.settings = settings
        self.request = request
        self.path_args: Sequence[str | None] = ()
        self.path_kwargs: Mapping[str, str | None] = {}
        self._finished = False
        self._sent = False
        self.clear()
        self.initialize(**kwargs)

    def initialize(self) -> None:
        """Take the arguments of the route; override it with the parameters that you need."""

    def prepare(self) -> Awaitable[None] | None:
        """Prepare the request, before anything is checked; plain or coroutine.

        Calling `finish` or `send_error` here, or raising an `aiohttp.web.HTTPException`, answers
        the request without opening a WebSocket.
        """
        return None

    def set_default_headers(self) -> None:
        """Set headers for every answer, the 101 included, with `set_header`."""

    # The answer

    def clear(self) -> None:
        """Begin the answer anew: status 200, default headers, no body.

        Raises:
            RuntimeError: the answer has been sent.
        """
        self._check_unsent()
        self._status = 200
        self._reason: str | None = None
        self._headers: CIMultiDict[str] = CIMultiDict()
        self._body = b""
        self.set_default_headers()

    def set_status(self, status_code: int, reason: str | None = None) -> None:
        """Set the status of the answer.

        Args:
            status_code: HTTP status.
            reason: its text; ``None`` takes the usual one.

        Raises:
            RuntimeError: the answer has been sent.
        """
        self._check_unsent()
        self._status = status_code
        self._reason = reason

    def get_status(self) -> int:
        """Return the status of the answer."""
        return self._status

    def set_header(self, name: str, value: str) -> None:
        """Set a header of the answer, in the place of all earlier ones of that name.

        Raises:
            TypeError: name or value is not ``str``.
            ValueError: name or value cannot be a header's.
            RuntimeError: the answer has been sent.
        """
        self._check_unsent()
        check_header(name, value)
        self._headers[name] = value

    def add_header(self, name: str, value: str) -> None:
        """Add a header to the answer.

        Raises:
            TypeError: name or value is not ``str``.
            ValueError: name or value cannot be a header's.
            RuntimeError: the answer has been sent.
        """
        self._check_unsent()
        check_header(name, value)
        self._headers.add(name, value)

    def clear_header(self, name: str) -> None:
        """Remove a header from the answer.

        Raises:
            RuntimeError: the answer has been sent.
        """
        self._check_unsent()
        self._headers.popall(name, None)

    def write(self, chunk: str | bytes | Mapping[str, Any]) -> None:
        """Add to the body of an answer that opens no WebSocket.

        Args:
            chunk: ``str`` is sent as UTF-8; a mapping as JSON, with the Content-Type of JSON.

        Raises:
            RuntimeError: the answer is finished.
            TypeError: JSON cannot encode the mapping.
            ValueError: a number in it that JSON does not have, or a cycle.
        """
        self._check_unfinished()
        if isinstance(chunk, Mapping):
            chunk = json.dumps(dict(chunk), allow_nan=False)
            self.set_header("Content-Type", "application/json; charset=UTF-8")
        self._body += chunk.encode() if isinstance(chunk, str) else chunk

    def finish(self, chunk: str | bytes | Mapping[str, Any] | None = None) -> None:
        """Finish the answer: no WebSocket will be opened.

        Args:
            chunk: the last part of the body, as for `write`; ``None`` for none.

        Raises:
            RuntimeError: the answer is finished already.
            TypeError: as `write`.
            ValueError: as `write`.
        """
        self.write(b"" if chunk is None else chunk)
        self._finished = True

    def send_error(self, status_code: int = 500, reason: str | None = None) -> None:
        """Finish with an error, in the place of what has been set and written so far.

        Args:
            status_code: HTTP status.
            reason: its text; ``None`` takes the usual one.

        Raises:
            RuntimeError: the answer is finished already.
        """
        self._check_unfinished()
        self.clear()
        self.set_status(status_code, reason)
        self.finish(f"{status_code}: {reason or _usual_reason(status_code)}")

    def _check_unsent(self) -> None:
        if self._sent:
            raise RuntimeError("the WebSocket is open: its answer has been sent")

    def _check_unfinished(self) -> None:
        self._check_unsent()
        if self._finished:
            raise RuntimeError("the answer is finished: nothing can be written any more")

    @property
    def answer(self) -> web.Response:
        """The finished answer, for aiohttp; it is plain text unless its headers say otherwise."""
        self._headers.setdefault("Content-Type", "text/plain; charset=utf-8")
        return web.Response(
            status=self._status, reason=self._reason, headers=self._headers, body=self._body
        )

    # The request

    def get_argument(self, name: str, default: Any = _REQUIRED, strip: bool = True) -> Any:
        """Return the last value of an argument of the URL's query.

        Args:
            name: of the argument.
            default: for when it is missing.
            strip: remove white space around it.

        Raises:
            aiohttp.web.HTTPBadRequest: it is missing, and there is no default.
        """
        values = self.get_arguments(name, strip)
        if values:
            return values[-1]
        if default is _REQUIRED:
            raise web.HTTPBadRequest(text=f"Missing argument {name}")
        return default

    def get_arguments(self, name: str, strip: bool = True) -> list[str]:
        """Return all values of an argument of the URL's query, in order."""
        values = self.request.query.getall(name, [])
        return [value.strip() for value in values] if strip else values

    get_query_argument = get_argument
    get_query_arguments = get_arguments


def _usual_reason(status: int) -> str:
    return web.Response(status=status).reason
