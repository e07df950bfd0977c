"""The client under attack, in a process of its own for each attack.

``python -m robustness.hostile.victim`` reads jobs, one JSON object a line. For each it forks, so
that every attack meets the same fresh process, and writes one line with what came of it.

The peak is that of the resident memory, as the kernel counts it: the mark is set back just
before the attack (``/proc/self/clear_refs``), after a polite connection has touched all code and
filled all caches.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import json
import logging
import os
import resource
import signal
import sys
import time
import traceback
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from aiohttp.abc import AbstractResolver, ResolveResult

from support.running import open_descriptors
from wsclient import (
    CloseInfo,
    TLSConfig,
    WebSocketClientConnection,
    WebSocketError,
    websocket_connect,
)
from wsclient.testing import RawConnection, RawServer

__all__ = ["main"]

_ADDRESS_SPACE = 1024 * 1024 * 1024
"""Bytes by which the address space may grow: where a bound fails, the machine is not to suffer."""

_SETTLE_TIMEOUT = 1.0


class _Count:
    """What the application has received."""

    def __init__(self, delay: float) -> None:
        self.delay = delay
        self.messages = 0
        self.size = 0

    def take(self, message: str | bytes | None) -> None:
        if message is not None:
            self.messages += 1
            self.size += len(message)

    async def take_slowly(self, message: str | bytes | None) -> None:
        self.take(message)
        await asyncio.sleep(self.delay)


class _Resolver(AbstractResolver):
    """Says that a name has many addresses."""

    def __init__(self, count: int) -> None:
        self._count = count

    async def resolve(self, host: str, port: int = 0, family: int = 0) -> list[ResolveResult]:
        address: ResolveResult = {
            "hostname": host,
            "host": "127.0.0.1",
            "port": port,
            "family": 2,
            "proto": 0,
            "flags": 0,
        }
        return [address] * self._count

    async def close(self) -> None:
        pass


# What the client does


async def _read(conn: WebSocketClientConnection, job: dict[str, Any], count: _Count) -> None:
    async for message in conn:
        count.take(message)


async def _hold(conn: WebSocketClientConnection, job: dict[str, Any], count: _Count) -> None:
    # The attack goes on for a given time, so that this is a sleep in any case.
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(job["hold"]):
            await conn.wait_closed()


async def _read_slowly(
    conn: WebSocketClientConnection, job: dict[str, Any], count: _Count
) -> None:
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(job["hold"]):
            async for message in conn:
                await count.take_slowly(message)


async def _write(conn: WebSocketClientConnection, job: dict[str, Any], count: _Count) -> None:
    block = bytes(65536)
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(job["hold"]):
            while True:
                await conn.write_message(block, binary=True)


async def _wait(conn: WebSocketClientConnection, job: dict[str, Any], count: _Count) -> None:
    await conn.wait_closed()


_Action = Callable[[WebSocketClientConnection, dict[str, Any], _Count], Awaitable[None]]

_TASKS: dict[str, _Action] = {
    "read": _read,
    "hold": _hold,
    "read slowly": _read_slowly,
    "write": _write,
    "callback": _wait,
    "slow callback": _hold,
}


def _arguments(job: dict[str, Any], count: _Count) -> dict[str, Any]:
    options = dict(job["options"])
    if "addresses" in options:
        options["resolver"] = _Resolver(options.pop("addresses"))
    if job["trust"]:
        options["tls"] = TLSConfig(cafile=job["trust"])
    if job["task"] == "callback":
        options["on_message_callback"] = count.take
    if job["task"] == "slow callback":
        options["on_message_callback"] = count.take_slowly
    return options


class _Texts(logging.Handler):
    """All that a person may come to read because of the attack."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.lines: list[str] = []
        self.tracebacks: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(record.getMessage())

    def add_error(self, error: BaseException) -> None:
        self.lines += [str(error), repr(error)]
        self.tracebacks.append("".join(traceback.format_exception(error)))

    def add_info(self, info: CloseInfo) -> None:
        self.lines += [str(info), repr(info), info.hint]
        if info.exception is not None:
            self.add_error(info.exception)


async def _meet(job: dict[str, Any], texts: _Texts, count: _Count) -> str:
    """Connect and do the task; return the outcome in the words of the table."""
    try:
        conn = await websocket_connect(job["url"], **_arguments(job, count))
    except WebSocketError as error:
        texts.add_error(error)
        count.size = len(getattr(error, "body", b""))
        status = getattr(error, "status", None)
        return type(error).__name__ + ("" if status is None else f" {status}")
    await _TASKS[job["task"]](conn, job, count)
    # What has been received before is still delivered, now without delay.
    count.delay = 0.0
    await conn.close()
    info = await conn.wait_closed()
    texts.lines.append(repr(conn))
    texts.add_info(info)
    codes = [f"{which} {code}" for which in ("sent", "received") if (code := getattr(info, which))]
    return ", ".join([info.cause.name, *codes])


async def _be_polite() -> None:
    """Talk to a friendly server once: what that needs is not the attacker's doing."""

    async def echo(wire: RawConnection) -> None:
        await wire.accept()
        await wire.send_frame(2, bytes(100_000))
        await wire.send_frame(1, b"text", fin=False)
        await wire.send_frame(0, b"text")
        await wire.read_until_close()
        await wire.send_close(1000)

    async with RawServer(echo) as server, websocket_connect(server.url) as conn:
        await conn.write_message("x" * 100_000)
        await conn.read_message()
        await conn.read_message()


def _memory(name: str) -> int:
    status = Path("/proc/self/status").read_text()
    return int(status.partition(f"{name}:")[2].split()[0]) * 1024


def _forget_peak() -> int:
    """Set the mark of the peak back, and return what the memory is now."""
    Path("/proc/self/clear_refs").write_text("5")
    return _memory("VmRSS")


async def _suffer(job: dict[str, Any]) -> dict[str, Any]:
    await _be_polite()
    texts, faults = _Texts(), []
    logging.getLogger().addHandler(texts)
    logging.getLogger("wsclient").setLevel(logging.DEBUG)
    asyncio.get_running_loop().set_exception_handler(lambda _, c: faults.append(str(c)))
    gc.collect()
    descriptors = open_descriptors()
    before = _forget_peak()
    count = _Count(job["delay"])
    start, cpu = time.monotonic(), time.process_time()
    try:
        outcome = await _meet(job, texts, count)
    except BaseException as error:
        texts.add_error(error)
        outcome = f"escaped: {type(error).__name__}"
    seconds, cpu = time.monotonic() - start, time.process_time() - cpu
    return {
        "outcome": outcome,
        "peak": _memory("VmHWM") - before,
        "seconds": seconds,
        "cpu": cpu,
        "messages": count.messages,
        "size": count.size,
        "lines": texts.lines,
        "tracebacks": texts.tracebacks,
        "left": faults + await _left_behind(descriptors),
    }


async def _left_behind(descriptors: frozenset[str]) -> list[str]:
    deadline = time.monotonic() + _SETTLE_TIMEOUT
    while True:
        gc.collect()
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        left = [repr(task) for task in tasks]
        left += [each for each in open_descriptors() - descriptors if "socket:" in each]
        if not left or time.monotonic() > deadline:
            return left
        # Nothing tells when a transport of asyncio has gone.
        await asyncio.sleep(0.005)


def _run(job: dict[str, Any]) -> dict[str, Any]:
    space = _memory("VmSize") + _ADDRESS_SPACE
    resource.setrlimit(resource.RLIMIT_AS, (space, space))
    factory = asyncio.new_event_loop
    if job["loop"] == "uvloop":
        import uvloop

        factory = uvloop.new_event_loop
    with asyncio.Runner(loop_factory=factory) as runner:
        return runner.run(_suffer(job))


def _in_child(job: dict[str, Any], out: int) -> int:
    """Do a job in a forked process, and end it."""
    code = 1
    try:
        signal.alarm(job["limit"])
        with open(out, "w") as file:
            json.dump(_run(job), file)
        code = 0
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(code)


def main() -> None:
    """Serve jobs until stdin ends."""
    for line in sys.stdin:
        read, write = os.pipe()
        child = os.fork()
        if not child:
            os.close(read)
            _in_child(json.loads(line), write)
        os.close(write)
        with open(read) as file:
            answer = file.read()
        _, status = os.waitpid(child, 0)
        if os.waitstatus_to_exitcode(status):
            answer = json.dumps({"outcome": f"ended with {os.waitstatus_to_exitcode(status)}"})
        print(answer, flush=True)


if __name__ == "__main__":
    main()
