"""One attempt at a TLS handshake, from the name of the host to what came of it."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import time
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from ..handshake.context import HandshakeContext, HandshakeObject, trace_handshakes
from .link import Aftermath, Link

__all__ = ["Attempt", "Place", "Stage", "Target", "attempt_handshake"]

Stage = Literal["resolve", "connect", "handshake", "after"]
"""Where an attempt has come to; ``"after"`` is behind the client's handshake."""

_PATIENCE: Final = 1.0
"""Seconds to wait for a verdict on our certificate, behind a handshake of TLS 1.3."""

_SHORT: Final = 0.1
"""The same when no verdict is to come: some servers end such a connection at once."""


@dataclass(frozen=True, slots=True)
class Target:
    """Where to connect to.

    Attributes:
        host: a name or an IP address.
        port: of TCP.
        server_hostname: name to ask for, and to check.
    """

    host: str
    port: int
    server_hostname: str


@dataclass(frozen=True, slots=True)
class Place:
    """An address of a host.

    Attributes:
        family: of addresses.
        address: as sockets take it.
    """

    family: socket.AddressFamily
    address: tuple[Any, ...]

    def __str__(self) -> str:
        return f"{self.address[0]} port {self.address[1]}"


@dataclass(slots=True)
class Attempt:
    """What came of an attempt.

    Attributes:
        stage: how far it went.
        places: what the host's name stands for.
        place: the one that took the connection; ``None`` if none did.
        refusals: what those before it answered, in their order.
        handshake: its TLS; ``None`` without a connection.
        chain: the server's certificates in DER, as `Link.chain`.
        confirmed: whether the handshake is known to be complete at the other end, too, so that
            the server has looked at our certificate.
        aftermath: what came behind the handshake; ``None`` if it failed.
        fault: what ended the attempt; ``None`` if nothing did. A `TimeoutError` if the time ran
            out.
        seconds: how long a stage took, of those that were left behind.
        since: when the present stage began, on the clock of `time.monotonic`.
    """

    stage: Stage = "resolve"
    places: tuple[Place, ...] = ()
    place: Place | None = None
    refusals: list[tuple[Place, OSError]] = field(default_factory=list)
    handshake: HandshakeObject | None = None
    chain: tuple[bytes, ...] = ()
    confirmed: bool = False
    aftermath: Aftermath | None = None
    fault: OSError | None = None
    seconds: dict[Stage, float] = field(default_factory=dict)
    since: float = field(default_factory=time.monotonic)

    @property
    def succeeded(self) -> bool:
        """Whether the handshake did, and the server has not ended the connection behind it."""
        return self.fault is None and self.aftermath != "eof"


async def attempt_handshake(
    target: Target, context: HandshakeContext, timeout: float, *, place: Place | None = None
) -> Attempt:
    """Resolve, connect, do the handshake, and wait for what the server says behind it.

    It leaves nothing open, also when it is cancelled.

    Args:
        target: where to.
        context: decides what is checked and shown.
        timeout: seconds until the handshake must be done. Waiting behind it takes one more at
            most.
        place: the address to take; ``None`` asks the resolver.

    Returns:
        What came of it; the errors of DNS, TCP and TLS are in there.
    """
    attempt = Attempt()
    with contextlib.ExitStack() as stack:
        try:
            async with asyncio.timeout(timeout):
                attempt.places = await _resolve(target) if place is None else (place,)
                _next(attempt, "connect")
                raw = await _connect(attempt, timeout)
                stack.callback(raw.close)
                _next(attempt, "handshake")
                with trace_handshakes(to_the_end=True):
                    link = Link(raw, context, target.server_hostname)
                stack.callback(link.end)
                attempt.handshake = link.tls
                try:
                    await link.handshake()
                finally:
                    attempt.chain = link.chain
            _next(attempt, "after")
            try:
                attempt.aftermath = await link.settle(_patience(link.tls))
            finally:
                attempt.confirmed = link.tls.confirmed
        except OSError as exc:
            # What it went through need not be kept alive by a report.
            attempt.fault = exc.with_traceback(None)
    return attempt


def _next(attempt: Attempt, stage: Stage) -> None:
    now = time.monotonic()
    attempt.seconds[attempt.stage] = now - attempt.since
    attempt.stage, attempt.since = stage, now


async def _resolve(target: Target) -> tuple[Place, ...]:
    infos = await asyncio.get_running_loop().getaddrinfo(
        target.host, target.port, type=socket.SOCK_STREAM
    )
    # One that is in the hosts file twice counts once.
    return tuple(dict.fromkeys(Place(family, address) for family, _, _, _, address in infos))


async def _connect(attempt: Attempt, timeout: float) -> socket.socket:
    """Return a connection to the first address that takes it; each has its share of the time."""
    loop = asyncio.get_running_loop()
    end = loop.time() + timeout
    for number, place in enumerate(attempt.places):
        share = (end - loop.time()) / (len(attempt.places) - number)
        try:
            async with asyncio.timeout(share):
                raw = await _connect_to(place)
        except OSError as exc:
            attempt.refusals.append((place, exc.with_traceback(None)))
        else:
            attempt.place = place
            return raw
    raise attempt.refusals[-1][1]


async def _connect_to(place: Place) -> socket.socket:
    raw = socket.socket(place.family, socket.SOCK_STREAM)
    try:
        raw.setblocking(False)
        await asyncio.get_running_loop().sock_connect(raw, place.address)
    except BaseException:
        raw.close()
        raise
    return raw


def _patience(tls: HandshakeObject) -> float:
    """Return how long to wait for a verdict: with TLS 1.2 it is part of the handshake."""
    if tls.version() != "TLSv1.3" or (tls.observed and tls.certificate_request is None):
        return _SHORT
    return _PATIENCE
