"""A conversation written down: what the server expects, and what it says."""

from __future__ import annotations

import asyncio
import inspect
import json
import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from ...errors import WebSocketClosedError
from ...options.connection import check_seconds
from ...protocol.closing import build_close_payload
from ...wire.payloads import check_ping_payload, encode_message
from .connection import WebSocketServerConnection

__all__ = ["Dialogue", "DialogueError"]

Expected = (
    str
    | bytes
    | re.Pattern[str]
    | re.Pattern[bytes]
    | Mapping[str, Any]
    | Callable[[str | bytes], object]
    | None
)
"""What a message must be; see `Dialogue.expect`."""

_COMPARABLE = (str, bytes, re.Pattern, Mapping)


class DialogueError(AssertionError):
    """The client did not say what the dialogue expects.

    Attributes:
        step: number of the step, from 1.
    """

    def __init__(self, message: str, *, step: int) -> None:
        super().__init__(f"step {step} of the dialogue: {message}")
        self.step = step


_Act = Callable[[WebSocketServerConnection], Awaitable[None]]


class _Unexpected(Exception):
    """What happened instead of what was expected."""


@dataclass(frozen=True, slots=True)
class _Step:
    """One step: what it is called, what it does, and what it waits for, if for the client."""

    name: str
    act: _Act
    expected: str = ""


class Dialogue:
    """Steps that a server takes, one after the other, on each connection.

    Each method returns a new dialogue with one step more, so that beginnings can be shared::

        hello = Dialogue().expect("hello").send("welcome")
        rude = hello.abort()

    After the last step the connection is closed with 1000.

    Args:
        timeout: seconds that each `expect` waits; ``None`` waits for ever.

    Raises:
        ValueError: the timeout is not a number of seconds.
    """

    def __init__(self, *, timeout: float | None = 5.0) -> None:
        if timeout is not None:
            check_seconds("timeout", timeout, endless="write None to wait for ever")
        self._timeout = timeout
        self._steps: tuple[_Step, ...] = ()

    def __repr__(self) -> str:
        return f"<Dialogue {' '.join(step.name for step in self._steps)}>"

    def _then(self, name: str, act: _Act, expected: str = "") -> Dialogue:
        longer = Dialogue(timeout=self._timeout)
        longer._steps = (*self._steps, _Step(name, act, expected))
        return longer

    def expect(self, message: Expected = None) -> Dialogue:
        """Wait for a message.

        What the client says instead raises `DialogueError` in the server, which closes the
        connection with 1011; so does silence.

        Args:
            message: what it must be: ``str`` or ``bytes``, equal; a compiled pattern, that
                matches the whole text, or all bytes if it is one of bytes; a mapping, equal to
                the text's JSON; a function, that returns true for it; ``None`` for any message.

        Raises:
            TypeError: `message` is of another type.
        """
        if not (message is None or callable(message) or isinstance(message, _COMPARABLE)):
            raise TypeError(
                "expect a str, bytes, a compiled pattern, a dict for JSON, a function or None, "
                f"not {type(message).__name__}"
            )

        if inspect.iscoroutinefunction(message):
            raise TypeError("expect a plain function: it is called with the message")

        async def act(connection: WebSocketServerConnection) -> None:
            got = await connection.read_message()
            if got is None:
                raise _Unexpected(f"the connection ended: {await connection.wait_closed()}")
            if not _fits(message, got):
                raise _Unexpected(f"{_shown(got)} came")

        return self._then("expect", act, _named(message))

    def expect_close(self, code: int | None = None) -> Dialogue:
        """Wait until the client closes the connection.

        Args:
            code: what its Close frame must have; ``None`` for any code, and for any end.
        """

        async def act(connection: WebSocketServerConnection) -> None:
            got = await connection.read_message()
            if got is not None:
                raise _Unexpected(f"{_shown(got)} came")
            info = await connection.wait_closed()
            if code is not None and info.received != code:
                raise _Unexpected(f"it was: {info}")

        expected = "the end" if code is None else f"the end with code {code}"
        return self._then("expect_close", act, expected)

    def send(self, message: str | bytes | Mapping[str, Any]) -> Dialogue:
        """Send a message: ``str`` as text, ``bytes`` as binary, a mapping as JSON.

        Raises:
            TypeError: the message is of another type, or JSON cannot encode it.
            ValueError: it cannot be sent.
        """
        binary = isinstance(message, bytes | bytearray | memoryview)
        encode_message(message, binary=binary)  # what cannot be sent shows here, not in the server

        async def act(connection: WebSocketServerConnection) -> None:
            await connection.write_message(message, binary)

        return self._then("send", act)

    def send_bytes(self, data: bytes) -> Dialogue:
        """Put bytes on the wire as they are; see `encode_frame` for frames that are wrong."""

        async def act(connection: WebSocketServerConnection) -> None:
            connection.send_bytes(data)

        return self._then("send_bytes", act)

    def ping(self, data: bytes = b"") -> Dialogue:
        """Send a ping and wait for its pong.

        Raises:
            TypeError: `data` is neither ``str`` nor bytes-like.
            ValueError: it is longer than 125 bytes.
        """
        check_ping_payload(data)

        async def act(connection: WebSocketServerConnection) -> None:
            await connection.ping(data)

        return self._then("ping", act, "a pong")

    def delay(self, seconds: float) -> Dialogue:
        """Do nothing for a while.

        Raises:
            TypeError: not a number.
            ValueError: negative, NaN or infinite.
        """
        check_seconds("the delay", seconds, endless="call() something that never returns")

        async def act(connection: WebSocketServerConnection) -> None:
            await asyncio.sleep(seconds)

        return self._then("delay", act)

    def close(self, code: int = 1000, reason: str = "") -> Dialogue:
        """Close the connection, and wait until that is done.

        Raises:
            ValueError: code or reason may not be sent.
        """
        build_close_payload(code, reason)

        async def act(connection: WebSocketServerConnection) -> None:
            await connection.close(code, reason)

        return self._then("close", act)

    def abort(self) -> Dialogue:
        """End TCP with RST, as a crash does."""

        async def act(connection: WebSocketServerConnection) -> None:
            connection.reset()

        return self._then("abort", act)

    def call(self, function: Callable[[WebSocketServerConnection], Awaitable[object]]) -> Dialogue:
        """Have a coroutine function of yours do what no step does."""

        async def act(connection: WebSocketServerConnection) -> None:
            await function(connection)

        return self._then("call", act)

    async def run(self, connection: WebSocketServerConnection) -> None:
        """Take all steps on a connection.

        Raises:
            DialogueError: the client did not do what a step expects, or left before its end.
            Exception: whatever a function of yours raises.
        """
        for number, step in enumerate(self._steps, 1):
            try:
                async with asyncio.timeout(self._timeout if step.expected else None) as limit:
                    await step.act(connection)
            except _Unexpected as exc:
                happened = str(exc)
            except TimeoutError:
                if not limit.expired():
                    raise  # A function of the user's raised it.
                happened = f"nothing came for {self._timeout:g} seconds"
            except WebSocketClosedError as exc:
                happened = str(exc)
            else:
                continue
            expected = step.expected or f"to {step.name}"
            raise DialogueError(f"expected {expected}, but {happened}", step=number)


def _named(expected: Expected) -> str:
    if expected is None:
        return "a message"
    if isinstance(expected, str | bytes):
        return _shown(expected)
    if callable(expected):
        return f"what {getattr(expected, '__name__', expected)} takes"
    return repr(expected)


def _shown(message: str | bytes) -> str:
    size = len(message)
    return repr(message) if size <= 200 else f"{message[:200]!r}... (of length {size})"


def _fits(expected: Expected, got: str | bytes) -> bool:
    if expected is None:
        return True
    if isinstance(expected, str | bytes):
        return got == expected
    if isinstance(expected, re.Pattern):
        pattern: re.Pattern[Any] = expected
        return isinstance(got, type(pattern.pattern)) and pattern.fullmatch(got) is not None
    if isinstance(expected, Mapping):
        try:
            return isinstance(got, str) and bool(json.loads(got) == dict(expected))
        except ValueError:
            return False
    return bool(expected(got))
