"""Brings an attacker and a client together."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Iterator

from wsclient.testing import RawServer

from .case import Case
from .identities import Identities
from .launching import Result, Victims

__all__ = ["stage"]

_BEHIND_THE_PROXY = "ws://192.0.2.1/"
"""An address for documentation (RFC 5737), so that nothing is reached but the proxy."""


def stage(case: Case, loop: str, victims: Victims, identities: Identities) -> Result:
    """Run an attack on a client with the event loop of that name."""
    return asyncio.run(_stage(case, loop, victims, identities))


async def _stage(case: Case, loop: str, victims: Victims, identities: Identities) -> Result:
    async with _attacker(case, identities) as port:
        here = f"127.0.0.1:{port}"
        options = {}
        match case.role:
            case "http proxy":
                url, options["proxy"] = _BEHIND_THE_PROXY, f"http://{here}"
            case "socks proxy":
                url, options["proxy"] = _BEHIND_THE_PROXY, f"socks5://{here}"
            case "refusing" | "hanging":
                url = f"ws://many.example.test:{port}/"
            case "wss" | "not tls":
                url = f"wss://{here}/"
            case _:
                url = f"ws://{here}/"
        job = case.job(url, loop, identities.trust_file, options)
        return await asyncio.to_thread(victims.attack, job)


@contextlib.asynccontextmanager
async def _attacker(case: Case, identities: Identities) -> AsyncIterator[int]:
    """Run the attacker and give its port."""
    if case.role in ("refusing", "hanging"):
        with _deaf_port(hanging=case.role == "hanging") as port:
            yield port
        return
    tls = identities.context(case.identity) if case.role == "wss" else None
    async with RawServer(case.attack, tls=tls) as server:
        yield server.port


@contextlib.contextmanager
def _deaf_port(*, hanging: bool) -> Iterator[int]:
    """Give a port that refuses, or one whose queue of connections is full."""
    with contextlib.ExitStack() as stack:
        bound = stack.enter_context(socket.socket())
        bound.bind(("127.0.0.1", 0))
        if hanging:
            bound.listen(0)
            for _ in range(4):
                waiting = stack.enter_context(socket.socket())
                waiting.setblocking(False)
                with contextlib.suppress(BlockingIOError):
                    waiting.connect(bound.getsockname())
        yield bound.getsockname()[1]
