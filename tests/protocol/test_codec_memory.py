"""The compiled inner loops keep nothing and lose nothing, whatever fails within them.

What Python would do by itself is done by hand there: references, buffers, memory that runs out.
"""

from __future__ import annotations

import gc
import importlib
import os
import subprocess
import sys
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any

import pytest

from protocol.streams import TWINS
from wsclient.testing.frames import encode_frame

pytestmark = pytest.mark.skipif(len(TWINS) < 2, reason="the codec is not compiled here")

ROUNDS = 1000
"""Calls; each one that kept a reference, or a byte, would be seen."""

SLACK = 4800
"""Bytes that may come to be in use: one block of masking keys, but less than 5 for each call."""

_ALONE = "WSCLIENT_TEST_ALONE"
"""Is set in a process that runs nothing else, so that no other code is short of memory."""

LARGEST_SWEEP = 200
"""Allocations of one call, at most."""

KEY = b"\x01\x02\x03\x04"
TEXT = "ä€😀".encode() * 40
LONG = bytes(5000)
WIRE = encode_frame(1, TEXT) + encode_frame(2, LONG) + encode_frame(2, b"") + encode_frame(1)
BUFFER = bytearray(WIRE)
NOT_UTF8 = encode_frame(2, LONG) + encode_frame(1, b"\xff" * 1000)


@pytest.fixture
def compiled() -> ModuleType:
    """The compiled twin."""
    return TWINS[1]


# They take messages, all or not all, and run no Python: what the interpreter itself does where
# memory runs out is not what is looked at.
refuse = dict[Any, int]().__getitem__
take_two = {TEXT.decode(): 1, LONG: 2}.__getitem__


def take(data: Any, deliver: Callable[[str | bytes], Any] = len) -> Callable[[ModuleType], Any]:
    return lambda twin: twin.take_messages(data, 0, sys.maxsize, deliver)


def fill(twin: ModuleType) -> bytes:
    """Have a message in memory of its own."""
    memory = twin.MessageMemory(len(LONG))
    memoryview(memory)[:] = LONG
    message: bytes = memory.finish()
    assert message == LONG
    return message


SOUND: dict[str, Callable[[ModuleType], Any]] = {
    "messages": take(WIRE),
    "from a view": take(memoryview(WIRE)),
    "from a bytearray": take(BUFFER),
    "cut": take(WIRE[:-1] + b"\x82\x7f"),
    "refused": take(WIRE, refuse),
    "refused later": take(WIRE, take_two),
    "frame": lambda twin: twin.build_frame(2, LONG),
    "frame of a view": lambda twin: twin.build_frame(1, memoryview(LONG)[3:], masking_key=KEY),
    "frame of nothing": lambda twin: twin.build_frame(9, b""),
    "unmasked": lambda twin: twin.build_frame(2, BUFFER, masked=False),
    "mask": lambda twin: twin.apply_mask(LONG, KEY),
    "mask of a bytearray": lambda twin: twin.apply_mask(BUFFER, KEY),
    "memory": fill,
    "memory given up": lambda twin: memoryview(twin.MessageMemory(9000))[5:],
}
"""Calls with which nothing of ours is wrong."""

WRONG: dict[str, Callable[[ModuleType], Any]] = {
    "not UTF-8": take(NOT_UTF8),
    "no buffer": take("text"),
    "not callable": take(WIRE, None),  # type: ignore[arg-type]  # that is the point
    "limit too large": lambda twin: twin.take_messages(WIRE, 0, 2**63, len),
    "frame of no buffer": lambda twin: twin.build_frame(2, "text"),
    "not contiguous": lambda twin: twin.build_frame(2, memoryview(LONG)[::2]),
    "wrong key": lambda twin: twin.build_frame(2, LONG, masking_key=b"abc"),
    "key of no bytes": lambda twin: twin.build_frame(2, LONG, masking_key="abcd"),
    "mask of no buffer": lambda twin: twin.apply_mask(LONG.hex(), KEY),
    "mask with a wrong key": lambda twin: twin.apply_mask(LONG, b""),
    "memory too short": lambda twin: twin.MessageMemory(1),
    "memory too large": lambda twin: twin.MessageMemory(2**62),
    "memory without a length": lambda twin: twin.MessageMemory(None),
}
"""Calls that raise."""


def attempt(call: Callable[[ModuleType], Any], twin: ModuleType) -> type[Exception] | None:
    """Call; return the kind of error, if any."""
    try:
        call(twin)
    except Exception as exc:
        return type(exc)
    return None


@pytest.mark.parametrize("call", [*SOUND.values(), *WRONG.values()], ids=[*SOUND, *WRONG])
def test_nothing_is_kept(call: Callable[[ModuleType], Any], compiled: ModuleType) -> None:
    """No memory of any size, and no reference to what lives on."""
    lasting = [None, KEY, WIRE, NOT_UTF8, LONG, refuse, len, compiled.MessageMemory]

    def counts() -> list[int]:
        return [sys.getrefcount(each) for each in lasting]

    with traced():
        for _ in range(10):  # until the free lists are what they will be
            expected = attempt(call, compiled)
        gc.collect()
        references, memory = counts(), tracemalloc.get_traced_memory()[0]
        for _ in range(ROUNDS):
            assert attempt(call, compiled) is expected
        gc.collect()
        grown = tracemalloc.get_traced_memory()[0] - memory
        more = [now - then for now, then in zip(counts(), references, strict=True)]
    assert grown < SLACK
    assert max(map(abs, more)) < ROUNDS // 10, more


@contextmanager
def traced() -> Iterator[None]:
    """Have all memory of Python counted."""
    tracemalloc.start(1)
    try:
        yield
    finally:
        tracemalloc.stop()


def test_what_is_kept_is_seen() -> None:
    """The measure above, measured: a hundredth of a leak is too much."""
    kept: list[bytes] = []
    with traced():
        before = tracemalloc.get_traced_memory()[0]
        kept += [bytes(len(LONG)) for _ in range(ROUNDS // 100)]
        assert tracemalloc.get_traced_memory()[0] - before > SLACK


@pytest.mark.skipif(_ALONE not in os.environ, reason="is run in a process of its own, see below")
@pytest.mark.parametrize("call", SOUND.values(), ids=SOUND)
def test_memory_may_run_out_anywhere(
    call: Callable[[ModuleType], Any], compiled: ModuleType
) -> None:
    """The N-th allocation fails, for every N: that is told, and nothing is kept of it.

    Calls that are wrong are left out: some releases of Python lose memory themselves when there
    is none for an exception.
    """
    expected = attempt(call, compiled)
    assert run_out(call, compiled) is expected
    with traced():
        run_out(call, compiled)
        memory = tracemalloc.get_traced_memory()[0]
        for _ in range(ROUNDS // 10):
            run_out(call, compiled)
        gc.collect()
        assert tracemalloc.get_traced_memory()[0] - memory < SLACK
    # It could not grow if it were still lent out.
    BUFFER.append(0)
    BUFFER.pop()


def run_out(call: Callable[[ModuleType], Any], twin: ModuleType) -> type[Exception] | None:
    """Let a later allocation fail each time, until all succeed; return the kind of error then."""
    testing = importlib.import_module("_testcapi")
    for number in range(LARGEST_SWEEP):
        error: Exception | None = None
        # Little Python in between: it is not the interpreter that is tested.
        testing.set_nomemory(number, number + 1)
        try:
            call(twin)
        except Exception as exc:
            error = exc
        finally:
            testing.remove_mem_hooks()
        if type(error) is not MemoryError:
            return None if error is None else type(error)
    pytest.fail("it never gets through")


@pytest.mark.parametrize("wire", [WIRE, NOT_UTF8], ids=["whole", "not UTF-8"])
@pytest.mark.parametrize("deliver", [len, refuse], ids=["taken", "refused"])
def test_the_buffer_is_given_back(
    wire: bytes, deliver: Callable[[str | bytes], Any], compiled: ModuleType
) -> None:
    buffer = bytearray(wire)
    attempt(take(buffer, deliver), compiled)
    buffer.append(0)
    view = memoryview(buffer)
    attempt(take(view, deliver), compiled)
    view.release()


def test_the_payload_is_given_back(compiled: ModuleType) -> None:
    payload = bytearray(LONG)
    compiled.build_frame(2, payload)
    attempt(lambda twin: twin.build_frame(2, payload, masking_key=b"abc"), compiled)
    compiled.apply_mask(payload, KEY)
    payload.append(0)


def test_deliver_cannot_pull_the_buffer_away(compiled: ModuleType) -> None:
    """While messages are taken from it, it stays where it is."""
    buffer = bytearray(WIRE)

    def deliver(message: str | bytes) -> None:
        with pytest.raises(BufferError):
            buffer.clear()

    assert compiled.take_messages(buffer, 0, sys.maxsize, deliver) == len(WIRE)


def test_deliver_may_take_messages_itself(compiled: ModuleType) -> None:
    seen: list[str | bytes] = []

    def deliver(message: str | bytes) -> None:
        seen.append(message)
        compiled.take_messages(WIRE, 0, sys.maxsize, seen.append)
        seen.append(compiled.build_frame(2, LONG, masking_key=KEY))

    compiled.take_messages(WIRE, 0, sys.maxsize, deliver)
    assert len(seen) == 4 * (1 + 4 + 1)


def test_the_message_outlives_its_memory(compiled: ModuleType) -> None:
    memory = compiled.MessageMemory(5)
    view = memoryview(memory)
    view[:] = b"hello"
    message = memory.finish()
    del memory
    gc.collect()
    assert view.tobytes() == b"hello"
    view.release()
    gc.collect()
    assert message == b"hello" and hash(message) == hash(b"hello")


def test_memory_may_run_out_in_a_process_of_its_own() -> None:
    tests = f"{__file__}::test_memory_may_run_out_anywhere"
    command = [sys.executable, "-P", "-m", "pytest", "-q", "-p", "no:cacheprovider", tests]
    done = subprocess.run(
        command, env={**os.environ, _ALONE: "1"}, capture_output=True, text=True, timeout=50
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{len(SOUND)} passed" in done.stdout
