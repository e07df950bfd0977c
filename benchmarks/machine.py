"""On what was measured."""

from __future__ import annotations

import datetime
import os
import platform
import re
import ssl
import time
import zlib
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from wsclient.protocol.codec import why_pure

__all__ = ["COMPARABLE", "describe"]

COMPARABLE = ("machine", "python", "libraries", "frame codec", "packages")
"""What must be the same where figures are to be compared."""

_PACKAGES = (
    *("wsclient", "aiohttp", "aiofastnet", "zlib-ng", "uvloop", "picows"),
    *("websockets", "tornado", "websocket-client"),
)

_AWAITS = 100_000
_TRIES = 20


def describe() -> dict[str, str]:
    """Return the machine, the versions and the date, by their names."""
    return {
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "machine": f"{_cpu()}, {os.cpu_count()} CPUs",
        "system": f"{platform.system()} {platform.release()}",
        "python": f"{platform.python_implementation()} {platform.python_version()}, "
        f"{platform.python_compiler()}",
        "awaiting a coroutine that does nothing": f"{_await_cost():.3f} µs",
        "libraries": f"{ssl.OPENSSL_VERSION}, zlib {zlib.ZLIB_RUNTIME_VERSION}",
        "frame codec": f"plain Python: {why_pure}" if why_pure else "compiled",
        "packages": ", ".join(f"{name} {_version(name)}" for name in _PACKAGES),
    }


def _await_cost() -> float:
    """Return the least microseconds that an ``await`` takes: it tells how Python was built."""
    costs = []
    for _ in range(_TRIES):
        waiting = _await_often(_AWAITS)
        begin = time.perf_counter()
        try:
            waiting.send(None)
        except StopIteration:
            costs.append(time.perf_counter() - begin)
    return min(costs) / _AWAITS * 1e6


async def _await_often(times: int) -> None:
    for _ in range(times):
        await _nothing()


async def _nothing() -> None:
    pass


def _cpu() -> str:
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return platform.processor() or platform.machine()
    found = re.search(r"^model name\s*: (.*)$", text, re.MULTILINE)
    return found[1] if found else platform.machine()


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "(missing)"
