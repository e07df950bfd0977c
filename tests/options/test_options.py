"""Options of an open connection and of compression: defaults, meanings, refusals."""

from __future__ import annotations

import dataclasses
import datetime
import functools
from collections.abc import AsyncIterator, Iterator
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wsclient.options.connection import CompressionOptions, ConnectionOptions, check_seconds

NAN, INF = float("nan"), float("inf")


def plain(data: object) -> None:
    """A callback."""


async def coroutine(data: object) -> None:
    """A callback that must be awaited."""


def generator(data: object) -> Iterator[None]:
    """No callback: calling it does nothing."""
    yield


async def async_generator(data: object) -> AsyncIterator[None]:
    """No callback: calling it does nothing."""
    yield


class AsyncCallable:
    """An object that is called like a coroutine function."""

    async def __call__(self, data: object) -> None:
        """Do nothing."""


def test_defaults() -> None:
    options = ConnectionOptions()
    assert (options.ping_interval, options.ping_timeout) == (0.0, 0.0)
    assert options.max_message_size == 10 * 1024 * 1024
    assert options.close_timeout == 10.0
    assert (options.max_queue_messages, options.max_queue_size) == (1024, 4 * 1024 * 1024)
    assert options.compression is None
    assert options.on_message_callback is options.on_ping is options.on_pong is None


@pytest.mark.parametrize(
    ("given_values", "kept"),
    [
        pytest.param({"ping_interval": None}, {"ping_interval": 0.0}, id="no-pings"),
        pytest.param({"ping_interval": 5}, {"ping_timeout": 5.0}, id="timeout-is-interval"),
        pytest.param(
            {"ping_interval": 5, "ping_timeout": 0}, {"ping_timeout": 0.0}, id="timeout-never"
        ),
        pytest.param(
            {"ping_interval": 5, "ping_timeout": 60}, {"ping_timeout": 60.0}, id="timeout-longer"
        ),
        pytest.param({"ping_interval": Fraction(1, 2)}, {"ping_interval": 0.5}, id="fraction"),
        pytest.param({"max_message_size": None}, {"max_message_size": 0}, id="any-size"),
        pytest.param({"max_message_size": 0}, {"max_message_size": 0}, id="size-0"),
        pytest.param({"close_timeout": 0}, {"close_timeout": 0.0}, id="no-wait"),
        pytest.param({"compression": {}}, {"compression": CompressionOptions()}, id="deflate"),
        pytest.param({"on_message_callback": coroutine}, {}, id="async-messages"),
        pytest.param({"on_message_callback": AsyncCallable()}, {}, id="async-object"),
        pytest.param({"on_ping": plain, "on_pong": print}, {"on_pong": print}, id="callbacks"),
    ],
)
def test_meanings(given_values: dict[str, Any], kept: dict[str, Any]) -> None:
    options = ConnectionOptions(**given_values)
    for name, value in kept.items():
        assert getattr(options, name) == value
        assert type(getattr(options, name)) is type(value)


def test_options_are_frozen_and_can_be_replaced() -> None:
    options = ConnectionOptions(ping_interval=5, compression={"threshold": 100})
    with pytest.raises(dataclasses.FrozenInstanceError):
        options.ping_interval = 1.0  # type: ignore[misc]  # that is the test
    changed = dataclasses.replace(options, max_queue_size=7)
    assert changed.max_queue_size == 7
    assert (changed.ping_interval, changed.compression) == (5.0, options.compression)


SECONDS = ("ping_interval", "ping_timeout", "close_timeout")
NUMBERS = ("max_message_size", "max_queue_messages", "max_queue_size")


@pytest.mark.parametrize("name", SECONDS)
@pytest.mark.parametrize(
    ("value", "error", "says"),
    [
        pytest.param(-1, ValueError, "must not be negative, but is -1", id="negative"),
        pytest.param(NAN, ValueError, "not NaN", id="nan"),
        pytest.param(INF, ValueError, "finite number of seconds: ", id="inf"),
        pytest.param(10**400, ValueError, "finite number of seconds: ", id="huge"),
        pytest.param(-INF, ValueError, "negative", id="minus-inf"),
        pytest.param(True, TypeError, "not bool", id="bool"),
        pytest.param("5", TypeError, "not str", id="str"),
        pytest.param(datetime.timedelta(5), TypeError, "not timedelta", id="timedelta"),
        pytest.param(1j, TypeError, "not complex", id="complex"),
    ],
)
def test_bad_seconds(name: str, value: Any, error: type[Exception], says: str) -> None:
    with pytest.raises(error) as caught:
        ConnectionOptions(**{name: value})
    assert str(caught.value).startswith(name)
    assert says in str(caught.value)


@pytest.mark.parametrize("name", NUMBERS)
@pytest.mark.parametrize(
    ("value", "error", "says"),
    [
        pytest.param(-1, ValueError, "or more", id="negative"),
        pytest.param(2**63, ValueError, "..9223372036854775807", id="too-large"),
        pytest.param(10**5000, ValueError, "far larger", id="too-long-to-print"),
        pytest.param(1.5, TypeError, "not float", id="float"),
        pytest.param(NAN, TypeError, "not float", id="nan"),
        pytest.param(True, TypeError, "not bool", id="bool"),
        pytest.param("5", TypeError, "not str", id="str"),
    ],
)
def test_bad_numbers(name: str, value: Any, error: type[Exception], says: str) -> None:
    with pytest.raises(error) as caught:
        ConnectionOptions(**{name: value})
    assert str(caught.value).startswith(name)
    assert says in str(caught.value)


@pytest.mark.parametrize("name", ["max_queue_messages", "max_queue_size"])
@pytest.mark.parametrize("value", [0, None])
def test_a_queue_holds_something(name: str, value: Any) -> None:
    with pytest.raises((TypeError, ValueError), match=name):
        ConnectionOptions(**{name: value})


@pytest.mark.parametrize(
    ("values", "says"),
    [
        pytest.param({"on_message_callback": 1}, "must be a function or None", id="no-function"),
        pytest.param({"on_ping": "print"}, "must be a function or None", id="str"),
        pytest.param({"on_ping": coroutine}, "as the bytes come in", id="coroutine"),
        pytest.param({"on_pong": AsyncCallable()}, "plain function", id="async-object"),
        pytest.param({"on_pong": functools.partial(coroutine)}, "plain function", id="partial"),
        pytest.param({"on_message_callback": generator}, "yield", id="generator"),
        pytest.param({"on_message_callback": async_generator}, "yield", id="async-generator"),
    ],
)
def test_bad_callbacks(values: dict[str, Any], says: str) -> None:
    with pytest.raises(TypeError, match=says):
        ConnectionOptions(**values)


@given(st.floats(min_value=0, allow_infinity=False, allow_nan=False) | st.integers(0, 10**300))
def test_seconds_keep_their_value(value: float) -> None:
    kept = check_seconds("x", value, endless="")
    assert type(kept) is float
    assert kept == float(value)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        pytest.param(None, None, id="off"),
        pytest.param({}, CompressionOptions(), id="on"),
        pytest.param(
            {"compression_level": 1, "mem_level": 9},
            CompressionOptions(compression_level=1, mem_level=9),
            id="tornado",
        ),
        pytest.param(
            CompressionOptions(threshold=5), CompressionOptions(threshold=5), id="options"
        ),
        pytest.param(
            {"server_max_window_bits": 8, "client_max_window_bits": 15},
            CompressionOptions(server_max_window_bits=8, client_max_window_bits=15),
            id="window",
        ),
    ],
)
def test_compression_from_value(value: Any, expected: CompressionOptions | None) -> None:
    assert CompressionOptions.from_value(value) == expected


@pytest.mark.parametrize(
    ("value", "error", "says"),
    [
        pytest.param(True, TypeError, "write {} to switch compression on", id="true"),
        pytest.param(False, TypeError, "None to leave it off", id="false"),
        pytest.param("deflate", TypeError, "not str", id="str"),
        pytest.param({"level": 1}, ValueError, "level. Known names are server_no", id="unknown"),
        pytest.param({1: 1}, ValueError, "unknown names: 1", id="unknown-int"),
        pytest.param({"compression_level": 10}, ValueError, "-1..9", id="level-high"),
        pytest.param({"compression_level": -2}, ValueError, "-1..9", id="level-low"),
        pytest.param({"compression_level": 1.0}, TypeError, "not float", id="level-float"),
        pytest.param({"mem_level": 0}, ValueError, "1..9", id="mem-low"),
        pytest.param({"mem_level": 10}, ValueError, "1..9", id="mem-high"),
        pytest.param({"threshold": -1}, ValueError, "0 or more bytes", id="threshold"),
        pytest.param({"idle_timeout": -1}, ValueError, "must not be negative", id="idle-low"),
        pytest.param({"idle_timeout": float("inf")}, ValueError, "write None", id="idle-inf"),
        pytest.param({"idle_timeout": "5"}, TypeError, "number of seconds", id="idle-str"),
        pytest.param({"server_max_window_bits": 7}, ValueError, "8..15 bits", id="server-low"),
        pytest.param({"client_max_window_bits": 16}, ValueError, "8..15 bits", id="client-high"),
        pytest.param({"client_max_window_bits": True}, TypeError, "not bool", id="client-bool"),
        pytest.param(
            {"server_no_context_takeover": 1}, TypeError, "True or False", id="takeover-int"
        ),
    ],
)
def test_bad_compression(value: Any, error: type[Exception], says: str) -> None:
    with pytest.raises(error) as caught:
        ConnectionOptions(compression=value)
    assert says in str(caught.value)
