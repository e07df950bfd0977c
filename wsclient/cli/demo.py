"""What the demo shows, and how: the code of each step, then what it printed when it ran."""

from __future__ import annotations

import asyncio
import inspect
import io
import os
import sys
import textwrap
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, redirect_stdout
from dataclasses import dataclass
from typing import Any, TextIO

from wsclient import (
    ClientCertificateRejected,
    CloseCause,
    CloseInfo,
    CloseInitiator,
    TLSConfig,
    __version__,
    websocket_connect,
)

from .server import mutual_tls_server

__all__ = ["STEPS", "Step", "run_demo"]

_WIDTH = 100
_STEP_TIMEOUT = 10.0

# The steps. Their source is printed as it stands here, so it is written to be read.


async def read_loop(url: str) -> list[str | bytes | None]:
    """Ask for messages until None comes."""
    conn = await websocket_connect(f"{url}/echo")
    await conn.write_message("hello")
    await conn.write_message(b"\x00\x01", binary=True)
    await conn.write_message({"id": 7})
    received = []
    while True:
        message = await conn.read_message()
        print(f"received {message!r}")
        received.append(message)
        if message is None:
            return received
        if len(received) == 3:
            await conn.close()


async def async_for(url: str) -> list[str | bytes]:
    """Iterate over the messages; leaving the block closes the connection."""
    received = []
    async with websocket_connect(f"{url}/echo") as conn:
        await conn.write_message("3")
        async for message in conn:
            print(f"received {message!r}")
            received.append(message)
            if message == "1":
                break
            await conn.write_message(str(int(message) - 1))
    print(f"closed: {conn.closed}")
    return received


async def callback_style(url: str) -> list[str | bytes | None]:
    """Have a function called with each message, in order, and then with None."""
    received = []

    def on_message(message: str | bytes | None) -> None:  # may be async def, too
        print(f"callback got {message!r}")
        received.append(message)

    conn = await websocket_connect(f"{url}/echo", on_message_callback=on_message)
    await conn.write_message("one")
    await conn.write_message("two")
    await conn.close()
    return received


async def subprotocol(url: str) -> str | None:
    """Offer subprotocols in order of preference; the server chooses one, or none."""
    offered = ["chat.v2", "chat.v1"]
    async with websocket_connect(f"{url}/echo", subprotocols=offered) as conn:
        print(f"offered {offered}, the server chose {conn.selected_subprotocol!r}")
        return conn.selected_subprotocol


async def ping(url: str) -> float:
    """Send a ping and wait for its pong."""
    async with websocket_connect(f"{url}/echo") as conn:
        seconds = await conn.ping()
        print(f"the pong came after {seconds * 1000:.2f} ms")
        return seconds


async def explained_close(url: str) -> CloseInfo:
    """Learn why the server closed the connection."""
    conn = await websocket_connect(f"{url}/restart")
    message = await conn.read_message()
    info = await conn.wait_closed()
    print(f"received {message!r}")
    print(f"code {info.code}, reason {info.reason!r}, clean: {info.clean}")
    print(f"initiator: {info.initiator.value}, cause: {info.cause.value}")
    print(f"hint: {info.hint}")
    return info


async def abnormal_end(url: str) -> CloseInfo:
    """Learn what happened when no Close frame came."""
    conn = await websocket_connect(f"{url}/crash")
    message = await conn.read_message()
    info = await conn.wait_closed()
    print(f"received {message!r}")
    print(f"code {info.code}, reason {info.reason!r}, clean: {info.clean}")
    print(f"initiator: {info.initiator.value}, cause: {info.cause.value}")
    print(f"hint: {info.hint}")
    return info


async def mutual_tls(url: str) -> list[object]:
    """Show a client certificate, and the new one after its files were replaced."""
    results: list[object] = []
    with mutual_tls_server() as server:  # it wants certificates of an authority of its own
        tls = TLSConfig(cert=(server.cert_file, server.key_file), cafile=server.ca_file)
        async with websocket_connect(server.url, tls=tls) as first:
            print(f"{first.tls}")
            server.replace_files()
            await first.write_message("still connected")
            results.append(await first.read_message())
            print(f"received {results[-1]!r}")
            async with websocket_connect(server.url, tls=tls) as second:
                for conn in (first, second):
                    assert conn.tls is not None  # as it would be for ws://
                    results.append(conn.tls.identity_generation)
                    print(f"certificate {conn.tls.identity_generation} of these files")
    return results


async def explained_rejection(url: str) -> ClientCertificateRejected | None:
    """Learn why a server refused: here, because it got no certificate."""
    with mutual_tls_server() as server:
        try:
            await websocket_connect(server.url, tls=TLSConfig(cafile=server.ca_file))
        except ClientCertificateRejected as error:
            print(f"reason {error.reason}, alert {error.alert}, by {error.side}")
            print(f"hint: {error.hint}")
            return error
    return None


def _restarted(info: CloseInfo) -> bool:
    return (
        (info.code, info.reason, info.clean) == (1012, "new version", True)
        and info.initiator is CloseInitiator.REMOTE
        and bool(info.hint)
    )


def _crashed(info: CloseInfo) -> bool:
    return (
        (info.code, info.clean) == (1006, False)
        and info.cause in (CloseCause.EOF, CloseCause.RESET)
        and bool(info.hint)
    )


@dataclass(frozen=True)
class Step:
    """One thing to show.

    Attributes:
        title: what it is called.
        run: does it, given the start of the server's URLs, and returns what came of it. Its
            source and what it prints are shown.
        expected: what must come of it, for a person.
        holds: whether it did, given what `run` returned.
    """

    title: str
    run: Callable[[str], Awaitable[Any]]
    expected: str
    holds: Callable[[Any], bool]


STEPS: tuple[Step, ...] = (
    Step(
        "Read loop",
        read_loop,
        "the text, the bytes and the JSON come back in this order, then None",
        lambda got: got == ["hello", b"\x00\x01", '{"id": 7}', None],
    ),
    Step(
        "async with, async for",
        async_for,
        "3, 2 and 1 come back",
        lambda got: got == ["3", "2", "1"],
    ),
    Step(
        "Callback",
        callback_style,
        "both messages come back in this order, then None",
        lambda got: got == ["one", "two", None],
    ),
    Step(
        "Subprotocol",
        subprotocol,
        "the server chooses chat.v1, the one that it knows",
        lambda got: got == "chat.v1",
    ),
    Step(
        "Ping",
        ping,
        "a round trip of more than 0 and less than 10 seconds",
        lambda got: 0 < got < _STEP_TIMEOUT,
    ),
    Step(
        "A close, explained",
        explained_close,
        "a clean close by the server with code 1012, its reason, and a hint",
        _restarted,
    ),
    Step(
        "An abnormal end, explained",
        abnormal_end,
        "an end without a Close frame: code 1006, cause eof or reset, and a hint",
        _crashed,
    ),
    Step(
        "Mutual TLS, and a rotation",
        mutual_tls,
        "the first connection lives on with generation 1, the second has generation 2",
        lambda got: got == ["still connected", 1, 2],
    ),
    Step(
        "A rejection, explained",
        explained_rejection,
        "the server requires a certificate, and a hint says so",
        lambda got: got is not None and got.reason == "certificate_required" and bool(got.hint),
    ),
)
"""Everything that the demo shows."""

# How they are shown.


async def run_demo(
    serve: Callable[[], AbstractAsyncContextManager[str]], steps: Sequence[Step]
) -> int:
    """Start the server, show each step and check that it happened.

    A step that fails does not keep the next ones from being shown.

    Args:
        serve: starts the server, and gives the start of its URLs.
        steps: what to show.

    Returns:
        0 if every step happened as expected, else 1.
    """
    page = _Page(sys.stdout)
    async with serve() as url:
        page.line(f"wsclient {__version__}, with a server on this machine: {url}")
        failed = [
            step.title
            for number, step in enumerate(steps, 1)
            if not await _show(page, number, step, url)
        ]
    page.line()
    if failed:
        page.line(f"{len(failed)} of {len(steps)} steps failed: {', '.join(failed)}.", _RED)
        return 1
    page.line(f"All {len(steps)} steps happened as shown.", _GREEN)
    return 0


async def _show(page: _Page, number: int, step: Step, url: str) -> bool:
    """Print the code of a step, run it, print its transcript; return whether it went well."""
    page.line()
    page.line(f"{number}. {step.title}", _BOLD)
    page.line()
    for line in textwrap.dedent(inspect.getsource(step.run)).splitlines():
        page.line(f"    {line}".rstrip(), _DIM)
    page.line()
    transcript = _Transcript(page)
    try:
        with redirect_stdout(transcript):
            async with asyncio.timeout(_STEP_TIMEOUT):
                result = await step.run(url)
        happened = step.holds(result)
        outcome = f"got {result!r}"
    except Exception as exc:
        happened = False
        outcome = f"got {type(exc).__name__}: {exc}"
    transcript.end_line()
    if happened:
        page.line("ok", _GREEN)
    else:
        page.wrapped("FAILED: ", f"expected: {step.expected}; {outcome}", _RED)
    return happened


_BOLD, _DIM, _GREEN, _RED = "1", "2", "32", "31"


class _Page:
    """Lines of at most 100 columns, with colour on a terminal that is not told otherwise."""

    def __init__(self, out: TextIO) -> None:
        self._out = out
        plain = os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb"
        self._colour = out.isatty() and not plain

    def line(self, text: str = "", style: str = "") -> None:
        if style and text and self._colour:
            text = f"\x1b[{style}m{text}\x1b[0m"
        # Flushed, so that a reader in a pipe sees each line when it happens.
        print(text, file=self._out, flush=True)

    def wrapped(self, prefix: str, text: str, style: str = "") -> None:
        indent = " " * len(prefix)
        for line in textwrap.wrap(
            text, _WIDTH, initial_indent=prefix, subsequent_indent=indent
        ) or [prefix.rstrip()]:
            self.line(line, style)


class _Transcript(io.TextIOBase):
    """Takes what a step prints, and puts it on the page line by line."""

    def __init__(self, page: _Page) -> None:
        self._page = page
        self._rest = ""

    def write(self, text: str, /) -> int:
        *lines, self._rest = (self._rest + text).split("\n")
        for line in lines:
            self._page.wrapped("  > ", line)
        return len(text)

    def end_line(self) -> None:
        """Put on the page what was printed without a line break behind it."""
        if self._rest:
            self.write("\n")
