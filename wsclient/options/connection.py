"""Options of an open connection: frozen, and validated where they are made."""

from __future__ import annotations

import inspect
import math
import numbers
import operator
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, fields
from typing import Any, Final, SupportsFloat, SupportsIndex, cast

from ..protocol.deflate import DeflateOffer

__all__ = [
    "CompressionOptions",
    "ConnectionOptions",
    "ControlCallback",
    "MessageCallback",
    "check_number",
    "check_seconds",
]

MessageCallback = Callable[[str | bytes | None], Awaitable[None] | None]
"""Called with each message in order, and with ``None`` once at the end. Plain or async."""

ControlCallback = Callable[[bytes], object]
"""Called with the payload of each ping or pong, 0..125 bytes. Plain only."""

_LARGEST: Final = 2**63 - 1
"""Counts and sizes end up in 64-bit integers of compiled code."""


def check_seconds(name: str, value: object, *, endless: str) -> float:
    """Return `value` as a finite number of seconds, 0 or more.

    Args:
        name: the option's name, for the error's sentence.
        value: the number given by the caller.
        endless: the advice for a caller who gave infinity.

    Raises:
        TypeError: not a real number (`bool` and `str` are none).
        ValueError: negative, NaN or infinite.
    """
    # Asking an abstract class takes long, and this is done for each connection.
    if type(value) not in (float, int) and (
        isinstance(value, bool) or not isinstance(value, numbers.Real)
    ):
        raise TypeError(f"{name} must be a number of seconds, not {type(value).__name__}.")
    try:
        number = float(cast(SupportsFloat, value))
    except OverflowError:
        number = math.inf
    if math.isnan(number):
        raise ValueError(f"{name} must be a number of seconds, not NaN.")
    if number < 0:
        raise ValueError(f"{name} must not be negative, but is {number:g} seconds.")
    if math.isinf(number):
        raise ValueError(f"{name} must be a finite number of seconds: {endless}.")
    return number + 0.0


def check_number(
    name: str, value: object, *, unit: str, least: int = 0, most: int = _LARGEST
) -> int:
    """Return `value` as an `int` from `least` to `most`.

    Args:
        name: the option's name, for the error's sentence.
        value: the number given by the caller.
        unit: what is counted, such as ``"bytes"``.
        least: the smallest number allowed.
        most: the largest number allowed.

    Raises:
        TypeError: not an integer (`bool`, `float` and `str` are none).
        ValueError: out of range.
    """
    # A protocol takes longer still.
    if type(value) is not int and (
        isinstance(value, bool) or not isinstance(value, SupportsIndex)
    ):
        raise TypeError(f"{name} must be a whole number of {unit}, not {type(value).__name__}.")
    number = operator.index(value)
    if not least <= number <= most:
        limits = f"{least} or more" if number < least and most == _LARGEST else f"{least}..{most}"
        raise ValueError(f"{name} must be {limits} {unit}, but is {_shown(number)}.")
    return number


def _shown(number: int) -> str:
    """Return `number` as text; Python refuses to print integers of thousands of digits."""
    return str(number) if abs(number) < 10**30 else "far larger"


def _check_callback(name: str, callback: Any, *, may_be_async: bool) -> None:
    """Refuse a callback that cannot be called, or whose call would do nothing."""
    if callback is None:
        return
    if not callable(callback):
        raise TypeError(f"{name} must be a function or None, not {type(callback).__name__}.")
    # An object may have an async __call__, which shows on its class.
    forms = (callback, type(callback).__call__)
    if any(inspect.isgeneratorfunction(f) or inspect.isasyncgenfunction(f) for f in forms):
        raise TypeError(f"{name} has a yield in it, so calling it would do nothing: remove it.")
    if not may_be_async and any(inspect.iscoroutinefunction(f) for f in forms):
        raise TypeError(
            f"{name} must be a plain function, not a coroutine function: it is called as the "
            "bytes come in, and nothing would await it. Start a task in it."
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class CompressionOptions:
    """What to offer for permessage-deflate (RFC 7692), and how hard to compress.

    Attributes:
        server_no_context_takeover: ask the server to compress each message on its own, which
            saves its memory and ours (RFC 7692, section 7.1.1.1).
        client_no_context_takeover: compress each of our messages on its own (section 7.1.1.2).
        server_max_window_bits: largest window that the server may use, 8..15 (2**8..2**15
            bytes); ``None`` leaves it to the server (section 7.1.2.1).
        client_max_window_bits: largest window of ours, 8..15; ``None`` leaves the choice to the
            server (section 7.1.2.2).
        compression_level: 0 (none) to 9 (smallest); -1 is zlib's default.
        mem_level: memory for the compressor, 1 (least) to 9 (fastest).
        threshold: messages shorter than this many bytes are sent uncompressed.
        idle_timeout: seconds without a compressed message of ours after which the compressor's
            memory is let go, within as much time again; ``None`` or 0 means never. Of 249 KiB
            for a connection this gives back 208, measured at the defaults, and of 319 KiB with
            zlib-ng 277. The next message is compressed as the first one was: a message of 4 KiB
            like those before it took 811 bytes in place of 656. The 41 KiB that the server's
            messages may refer to are kept; `server_no_context_takeover` saves those too.

    Raises:
        TypeError: a value of the wrong type.
        ValueError: a value out of its range.
    """

    server_no_context_takeover: bool = False
    client_no_context_takeover: bool = False
    server_max_window_bits: int | None = None
    client_max_window_bits: int | None = None
    compression_level: int = 6
    mem_level: int = 8
    threshold: int = 0
    idle_timeout: float | None = None

    def __post_init__(self) -> None:
        """Check each value."""
        for name in ("server_no_context_takeover", "client_no_context_takeover"):
            value = getattr(self, name)
            if not isinstance(value, bool):
                raise TypeError(f"{name} must be True or False, not {type(value).__name__}.")
        for name in ("server_max_window_bits", "client_max_window_bits"):
            if getattr(self, name) is not None:
                self._check(name, "bits", 8, 15)
        self._check("compression_level", "(-1 is zlib's default)", -1, 9)
        self._check("mem_level", "(1 is the least memory)", 1, 9)
        self._check("threshold", "bytes", 0, _LARGEST)
        if self.idle_timeout is not None:
            advice = "write None to keep the memory for as long as the connection is open"
            seconds = check_seconds("idle_timeout", self.idle_timeout, endless=advice)
            object.__setattr__(self, "idle_timeout", seconds)

    @property
    def offer(self) -> DeflateOffer:
        """The part of it that the other end must know."""
        return DeflateOffer(
            server_no_context_takeover=self.server_no_context_takeover,
            client_no_context_takeover=self.client_no_context_takeover,
            server_max_window_bits=self.server_max_window_bits,
            client_max_window_bits=self.client_max_window_bits,
        )

    def _check(self, name: str, unit: str, least: int, most: int) -> None:
        """Check one number and keep it as a plain `int`."""
        number = check_number(name, getattr(self, name), unit=unit, least=least, most=most)
        object.__setattr__(self, name, number)

    @classmethod
    def from_value(
        cls, value: CompressionOptions | Mapping[str, Any] | None
    ) -> CompressionOptions | None:
        """Return the options that `value` stands for.

        Args:
            value: options as they are; a mapping from option names to values, where an empty
                one means compression with all defaults; ``None`` for no compression.

        Returns:
            `CompressionOptions`, or ``None`` when compression is off.

        Raises:
            TypeError: anything else, such as ``True``.
            ValueError: the mapping has an unknown name or a bad value.
        """
        if value is None or isinstance(value, CompressionOptions):
            return value
        if isinstance(value, bool):
            raise TypeError(
                f"compression_options cannot be {value}: write {{}} to switch compression on "
                "with its defaults, or None to leave it off."
            )
        if not isinstance(value, Mapping):
            raise TypeError(
                "compression_options must be CompressionOptions, a dict or None, not "
                f"{type(value).__name__}."
            )
        known = [field.name for field in fields(cls)]
        unknown = sorted(str(name) for name in value if name not in known)
        if unknown:
            raise ValueError(
                f"compression_options has unknown names: {', '.join(unknown)}. Known names are "
                f"{', '.join(known)}."
            )
        return cls(**value)


@dataclass(frozen=True, slots=True, init=False)
class ConnectionOptions:
    """What an open connection needs to know.

    Attributes:
        on_message_callback: called with each message, then once with ``None``; ``None`` leaves
            the messages to `read_message`.
        on_ping: called with the payload of each ping that arrives.
        on_pong: called with the payload of each pong that arrives.
        ping_interval: seconds between pings; 0.0 means none are sent.
        ping_timeout: seconds to wait for a pong; 0.0 means for ever.
        max_message_size: largest message to receive, in bytes after decompression; 0 means any.
        close_timeout: seconds to wait for the closing handshake; 0.0 means not to wait.
        max_queue_messages: messages waiting to be read at which reading pauses.
        max_queue_size: their size in bytes at which reading pauses.
        compression: what to offer for permessage-deflate; ``None`` means no compression.
    """

    on_message_callback: MessageCallback | None
    on_ping: ControlCallback | None
    on_pong: ControlCallback | None
    ping_interval: float
    ping_timeout: float
    max_message_size: int
    close_timeout: float
    max_queue_messages: int
    max_queue_size: int
    compression: CompressionOptions | None

    def __init__(
        self,
        *,
        on_message_callback: MessageCallback | None = None,
        on_ping: ControlCallback | None = None,
        on_pong: ControlCallback | None = None,
        ping_interval: float | None = None,
        ping_timeout: float | None = None,
        max_message_size: int | None = 10 * 1024 * 1024,
        close_timeout: float = 10.0,
        max_queue_messages: int = 1024,
        max_queue_size: int = 4 * 1024 * 1024,
        compression: CompressionOptions | Mapping[str, Any] | None = None,
    ) -> None:
        """Check the values and keep them.

        Args:
            on_message_callback: a plain or async function of one argument, or ``None``.
            on_ping: a plain function of one argument, or ``None``.
            on_pong: a plain function of one argument, or ``None``.
            ping_interval: seconds; ``None`` or 0 means no pings.
            ping_timeout: seconds, may exceed the interval; ``None`` means `ping_interval`; 0
                means never.
            max_message_size: bytes; ``None`` or 0 means no limit.
            close_timeout: seconds; 0 means not to wait.
            max_queue_messages: 1 or more.
            max_queue_size: 1 byte or more.
            compression: ``{}`` or options switch compression on; ``None`` leaves it off.

        Raises:
            TypeError: a value of the wrong type, or a coroutine function as `on_ping` or
                `on_pong`.
            ValueError: a number that is negative, NaN, infinite or out of range.
        """
        _check_callback("on_message_callback", on_message_callback, may_be_async=True)
        _check_callback("on_ping", on_ping, may_be_async=False)
        _check_callback("on_pong", on_pong, may_be_async=False)
        interval, timeout = _check_keepalive(ping_interval, ping_timeout)
        size = 0 if max_message_size is None else max_message_size
        closing = check_seconds(
            "close_timeout", close_timeout, endless="give a large number to wait for long"
        )
        keep = object.__setattr__
        keep(self, "on_message_callback", on_message_callback)
        keep(self, "on_ping", on_ping)
        keep(self, "on_pong", on_pong)
        keep(self, "ping_interval", interval)
        keep(self, "ping_timeout", timeout)
        keep(self, "max_message_size", check_number("max_message_size", size, unit="bytes"))
        keep(self, "close_timeout", closing)
        for name, value, unit in (
            ("max_queue_messages", max_queue_messages, "messages"),
            ("max_queue_size", max_queue_size, "bytes"),
        ):
            keep(self, name, check_number(name, value, unit=unit, least=1))
        keep(self, "compression", CompressionOptions.from_value(compression))

    @property
    def has_callbacks(self) -> bool:
        """Whether anything of the caller's is called."""
        callbacks = (self.on_message_callback, self.on_ping, self.on_pong)
        return any(callback is not None for callback in callbacks)


def _check_keepalive(
    ping_interval: SupportsFloat | None, ping_timeout: SupportsFloat | None
) -> tuple[float, float]:
    """Return interval and timeout in seconds, 0.0 for off and for never."""
    interval = 0.0
    if ping_interval is not None:
        interval = check_seconds(
            "ping_interval", ping_interval, endless="write None or 0 to send no pings"
        )
    if ping_timeout is None:
        return interval, interval
    return interval, check_seconds(
        "ping_timeout", ping_timeout, endless="write 0 to wait for ever"
    )
