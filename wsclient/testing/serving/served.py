"""What a test server knows of one request and of the connection that came of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from aiohttp import web
from multidict import CIMultiDictProxy

from ...protocol.closing import CloseInfo
from ...protocol.roles import Role
from ..changes import Changes
from ..frames import RecordedFrame
from .connection import WebSocketServerConnection
from .recorder import FrameRecorder

__all__ = ["Handshake", "ServedConnection"]


@dataclass(frozen=True, slots=True, repr=False)
class Handshake:
    """A request for a WebSocket, and the answer.

    Attributes:
        method: of the request.
        target: its path and query, as they came.
        request_headers: of the request.
        status: of the answer; 101 opened a WebSocket.
        response_headers: of the answer.
    """

    method: str
    target: str
    request_headers: CIMultiDictProxy[str]
    status: int
    response_headers: CIMultiDictProxy[str]

    def __repr__(self) -> str:
        # Headers may hold tokens.
        return f"<Handshake {self.method} {self.status}>"


class ServedConnection:
    """One request to a test server, and the connection that came of it.

    It may be read from any thread. What is only there later raises `AttributeError` before.

    Attributes:
        errors: what handlers raised, in order.
        handler: the object that handles it: of your class, if the server was given one.

    Args:
        request: the request.
        changes: told of whatever happens.
        record: whether to keep frames and messages.
    """

    def __init__(self, request: web.BaseRequest, changes: Changes, *, record: bool) -> None:
        self._request = request
        self.errors: list[BaseException] = []
        self.handler: object = None
        self._changes = changes
        self._handshake: Handshake | None = None
        self._connection: WebSocketServerConnection | None = None
        self.tap = FrameRecorder(Role.SERVER, changes.notify) if record else None

    def __repr__(self) -> str:
        return f"<ServedConnection {self._connection or self._handshake or 'before the answer'}>"

    def open(self, connection: WebSocketServerConnection) -> None:
        """Note that the WebSocket is open."""
        self._connection = connection
        self.answered(101, connection.response_headers)

    def answered(self, status: int, headers: CIMultiDictProxy[str]) -> None:
        """Note the answer."""
        request = self._request
        self._handshake = Handshake(
            request.method, request.raw_path, request.headers, status, headers
        )
        self._changes.notify()

    def ended(self) -> None:
        """Note that the connection has ended."""
        self._changes.notify()

    def failed(self, error: BaseException) -> None:
        """Note what a handler raised."""
        self.errors.append(error)
        self._changes.notify()

    @property
    def opened(self) -> bool:
        """Whether the request opened a WebSocket."""
        return self._connection is not None

    @property
    def connection(self) -> WebSocketServerConnection:
        """The server's end; its methods belong to the server's loop."""
        if self._connection is None:
            raise AttributeError("no WebSocket came of this request, or not yet")
        return self._connection

    @property
    def handshake(self) -> Handshake:
        """The request and the answer."""
        if self._handshake is None:
            raise AttributeError("the request has not been answered yet")
        return self._handshake

    @property
    def frames(self) -> list[RecordedFrame]:
        """Every frame, in order, as it was on the wire."""
        return self._recorder.frames

    @property
    def received(self) -> list[str | bytes]:
        """The messages that the client has sent."""
        return self._recorder.received

    @property
    def sent(self) -> list[str | bytes]:
        """The messages that the server has sent."""
        return self._recorder.sent

    @property
    def _recorder(self) -> FrameRecorder:
        if self.tap is None:
            raise AttributeError("this server was told to record nothing: record=False")
        return self.tap

    @property
    def close_info(self) -> CloseInfo | None:
        """How the connection ended, as the server sees it; ``None`` until TCP is closed."""
        return None if self._connection is None else self._connection.close_info

    async def wait_for(
        self, condition: Callable[[ServedConnection], object], *, timeout: float = 5.0
    ) -> None:
        """Wait until a condition holds, in any event loop; cancelling it has no effect.

        Args:
            condition: a function of this object; looked at now, after each frame (unless the
                server records nothing), after an error of a handler, and at the end.
            timeout: seconds.

        Raises:
            TimeoutError: it did not come to hold in time.
        """
        await self._changes.wait_for(
            lambda: condition(self), "what was waited for on the connection", timeout=timeout
        )

    async def wait_closed(self, *, timeout: float = 5.0) -> CloseInfo:
        """Wait until the connection has ended, in any event loop.

        Returns:
            how it ended, as the server sees it.

        Raises:
            TimeoutError: it did not end in time.
        """
        await self._changes.wait_for(
            lambda: self.close_info is not None, "the end of the connection", timeout=timeout
        )
        assert self.close_info is not None
        return self.close_info
