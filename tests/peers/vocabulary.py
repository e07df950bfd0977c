"""What every peer understands: one behaviour for each path, whatever the library behind it.

A peer script adapts its library to `Session`, answers the HTTP paths in the library's own way
with the help of `http_answer`, and hands open connections to `converse`.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import json
import socket
import ssl
import struct
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol
from urllib.parse import parse_qsl, urlsplit

__all__ = [
    "HTTP_PATHS",
    "MAX_SIZE",
    "SUBPROTOCOLS",
    "Answer",
    "GoneError",
    "Resource",
    "Session",
    "announce",
    "converse",
    "http_answer",
    "options",
    "pattern",
    "quit_with_stdin",
    "reset",
    "tls_context",
]

MAX_SIZE = 64 * 1024 * 1024
SUBPROTOCOLS = ("superchat", "chat")
HTTP_PATHS = ("reject", "redirect", "unauthorized", "drop")
FLOOD_SECONDS = 60.0
FLOOD_MESSAGES = 100_000


class GoneError(Exception):
    """The client has gone."""


@dataclass(frozen=True)
class Resource:
    """A request target: the path without its slash, and the query."""

    name: str
    query: dict[str, str]

    @classmethod
    def parse(cls, target: str) -> Resource:
        """Parse a request target."""
        parts = urlsplit(target)
        return cls(parts.path.strip("/"), dict(parse_qsl(parts.query, keep_blank_values=True)))

    def number(self, name: str, default: int) -> int:
        """Return a number of the query."""
        return int(self.query.get(name, default))


@dataclass(frozen=True)
class Answer:
    """An HTTP response that refuses the WebSocket."""

    status: int
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""


class Session(Protocol):
    """One open connection, as `converse` uses it. Methods raise `GoneError` when it has ended."""

    async def receive(self) -> str | bytes: ...
    async def send(self, message: str | bytes) -> None: ...
    async def send_fragments(self, parts: Sequence[str] | Sequence[bytes]) -> None: ...
    async def ping(self, data: bytes) -> bytes: ...
    async def close(self, code: int, reason: str) -> None: ...
    def abort(self) -> None: ...


def options() -> argparse.Namespace:
    """Read the command line that all peers share."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--cert-file")
    parser.add_argument("--key-file")
    return parser.parse_args()


def tls_context(given: argparse.Namespace) -> ssl.SSLContext | None:
    """Return the server's TLS context, ``None`` when no certificate was given."""
    if given.cert_file is None:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(given.cert_file, given.key_file)
    return context


def announce(port: int, tls_port: int | None, abilities: Sequence[str]) -> None:
    """Print the line by which the test learns where the peer listens and what it can do."""
    line = {"port": port, "tls_port": tls_port, "abilities": sorted(abilities)}
    print(json.dumps(line), flush=True)


async def quit_with_stdin() -> None:
    """Return when stdin is closed, which is also what happens when the test process dies."""
    reader = asyncio.StreamReader()
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    await reader.read()


def reset(transport: Any) -> None:
    """End the TCP connection with RST; any transport will do, also one that is not asyncio's."""
    sock = transport.get_extra_info("socket")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    transport.abort()


def pattern(number: int, size: int) -> str:
    """Return the text of message `number`: its number, filled up to `size` characters."""
    return f"{number:08d}".ljust(size, "x")


def http_answer(resource: Resource, headers: Mapping[str, str]) -> Answer | None:
    """Return the response with which a path refuses the WebSocket, if it does."""
    if resource.name == "reject":
        fields = {"Content-Type": "application/json", "Retry-After": "7"}
        return Answer(403, fields, b'{"error": "forbidden"}')
    if resource.name == "redirect":
        return Answer(resource.number("status", 302), {"Location": resource.query["to"]})
    if resource.name == "unauthorized":
        wanted = "Basic " + base64.b64encode(b"user:secret").decode()
        if headers.get("Authorization") != wanted:
            return Answer(401, {"WWW-Authenticate": 'Basic realm="peer"'}, b"who?")
    return None


async def converse(session: Session, resource: Resource, facts: Mapping[str, object]) -> None:
    """Do on an open connection what its path says, then wait for the client to go.

    Args:
        session: the connection.
        resource: what was asked for.
        facts: ``"headers"``, the request's headers as a dict, and ``"subprotocol"``.
    """
    try:
        await _behave(session, resource, facts)
    except GoneError:
        pass


async def _behave(session: Session, resource: Resource, facts: Mapping[str, object]) -> None:
    code, reason = resource.number("code", 1000), resource.query.get("reason", "")
    match resource.name:
        case "close":
            return await session.close(code, reason)
        case "close-on-message":
            await session.receive()
            return await session.close(code, reason)
        case "abort":
            await session.receive()
            return session.abort()
        case "push":
            return await _push(session, resource)
        case "flood":
            return await _flood(session, resource)
        case "headers" | "unauthorized":
            await session.send(json.dumps(facts["headers"]))
        case "subprotocol":
            await session.send(str(facts["subprotocol"] or ""))
        case "fragments":
            await _fragments(session, resource)
        case "ping":
            data = await session.ping(resource.query.get("data", "").encode())
            await session.send(data.decode())
    while True:
        await session.send(await session.receive())


async def _push(session: Session, resource: Resource) -> None:
    binary = "binary" in resource.query
    for number in range(resource.number("count", 1)):
        text = pattern(number, resource.number("size", 8))
        await session.send(text.encode() if binary else text)
    await session.close(1000, "done")


async def _flood(session: Session, resource: Resource) -> None:
    loop = asyncio.get_running_loop()
    end = loop.time() + FLOOD_SECONDS

    async def drain() -> None:
        # Some libraries answer pings only inside a receive call.
        while True:
            await session.receive()

    draining = loop.create_task(drain())
    try:
        for number in range(FLOOD_MESSAGES):
            if loop.time() > end or draining.done():
                break
            await session.send(pattern(number, resource.number("size", 1024)))
            if number % 8 == 0:
                # A send that finds room in the socket need not give way to the reader.
                await asyncio.sleep(0)
    finally:
        draining.cancel()
        await asyncio.gather(draining, return_exceptions=True)
    await session.close(1000, "done")


async def _fragments(session: Session, resource: Resource) -> None:
    size = resource.number("size", 8)
    parts = [pattern(number, size)[:size] for number in range(resource.number("count", 3))]
    if "binary" in resource.query:
        await session.send_fragments([part.encode() for part in parts])
    else:
        await session.send_fragments(parts)
