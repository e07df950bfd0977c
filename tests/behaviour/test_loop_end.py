"""Programs that end with an open connection, or while connecting, leave nothing behind."""

from __future__ import annotations

import asyncio
import gc
import re
import subprocess
import textwrap
import weakref
from collections.abc import Iterator

import pytest

from behaviour.servers import WAIT, echo_frames
from support.programs import Programs, programs
from wsclient import ConnectError, websocket_connect
from wsclient.testing.raw import RawConnection, RawServer

NOISE = ("never retrieved", "destroyed", "never awaited", "Traceback", "Unclosed", "unclosed tr")


def program(body: str, *, runner: str = "asyncio.run") -> str:
    """Return a program with `body` as its main coroutine; `url` is where the server is."""
    head = "import asyncio, sys\nfrom wsclient import websocket_connect\nurl = sys.argv[1]\n"
    main = f"async def main():\n{textwrap.indent(textwrap.dedent(body), '    ')}\n"
    return f"{head}{main}{runner}(main())\n"


@pytest.fixture(scope="module")
def strict() -> Iterator[Programs]:
    """Runs programs in which a warning is an error."""
    with programs("-X", "dev", "-W", "error") as running:
        yield running


@pytest.fixture(scope="module")
def lenient() -> Iterator[Programs]:
    """Runs programs that are warned of everything."""
    with programs("-X", "dev") as running:
        yield running


BODIES = {
    "open in every way": """
        idle = await websocket_connect(url)
        pinging = await websocket_connect(url, ping_interval=0.01)
        plain = await websocket_connect(url, on_message_callback=lambda message: None)
        waited = await websocket_connect(url)
        tasks = [asyncio.create_task(each) for each in (waited.wait_closed(), waited.close())]
        written = await websocket_connect(url)
        written.write_message("hello")
        written.ping()
        read = await websocket_connect(url)
        tasks += [asyncio.create_task(read.read_message()) for _ in range(2)]
        await asyncio.sleep(0.05)
        """,
    "async callback": """
        async def callback(message):
            if message is not None:
                await asyncio.sleep(60)
        conn = await websocket_connect(url, on_message_callback=callback)
        await conn.write_message("hello")
        await conn.ping()
        """,
    "closing": """
        conn = await websocket_connect(url)
        conn.close()
        """,
    "lost reference": """
        await websocket_connect(url)
        """,
}


async def serve_and_run(running: Programs, source: str) -> subprocess.CompletedProcess[str]:
    """Run a program against an echo server, which must learn of its end."""
    ended = asyncio.Event()

    async def serve(wire: RawConnection) -> None:
        try:
            await wire.accept()
            await echo_frames(wire)
        finally:
            ended.set()

    async with RawServer(serve) as server:
        url = server.url
        result = await asyncio.to_thread(running.run, source, url)
        await asyncio.wait_for(ended.wait(), WAIT)
    return result


@pytest.fixture
def loop_factory() -> object:
    """One loop will do: what matters happens in the other process."""
    return asyncio.new_event_loop


@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES)
async def test_loop_ends_with_an_open_connection(body: str, lenient: Programs) -> None:
    result = await serve_and_run(lenient, program(body))
    assert result.returncode == 0, result.stderr
    # A connection that was not closed may be named; nothing else is left to complain about.
    assert not [word for word in NOISE if word in result.stderr], result.stderr
    warned = re.findall(r"Warning: (?!Enable tracemalloc)(.*)", result.stderr)
    assert all(text.startswith("unclosed <WebSocket ") for text in warned), result.stderr


async def test_loop_of_uvloop_ends_with_an_open_connection(lenient: Programs) -> None:
    pytest.importorskip("uvloop")
    source = "import uvloop\n" + program(BODIES["open in every way"], runner="uvloop.run")
    result = await serve_and_run(lenient, source)
    assert result.returncode == 0, result.stderr
    assert not [word for word in NOISE if word in result.stderr], result.stderr


async def test_warnings_as_errors_do_not_keep_a_connection_open(strict: Programs) -> None:
    body = """
        conns = [await websocket_connect(url) for _ in range(2)]
        import atexit
        atexit.register(lambda: print([conn.closed for conn in conns]))
        """
    result = await serve_and_run(strict, program(body))
    assert result.stdout.strip() == "[True, True]", result.stderr
    assert not [word for word in NOISE[:3] if word in result.stderr], result.stderr


async def test_closed_connection_leaves_no_word(strict: Programs) -> None:
    body = """
        async with websocket_connect(url) as conn:
            await conn.write_message("hello")
            print(await conn.read_message())
        """
    result = await serve_and_run(strict, program(body))
    assert (result.returncode, result.stdout, result.stderr) == (0, "hello\n", "")


@pytest.mark.parametrize("seconds", [0.0, 0.05])
async def test_loop_ends_while_connecting(seconds: float, strict: Programs) -> None:
    body = f"""
        task = asyncio.create_task(websocket_connect(url))
        await asyncio.sleep({seconds})
        """

    async def serve(wire: RawConnection) -> None:
        await wire.read_to_end()

    async with RawServer(serve) as server:
        url = server.url
        result = await asyncio.to_thread(strict.run, program(body), url)
    assert (result.returncode, result.stderr) == (0, "")


async def test_main_that_fails_with_an_open_connection(lenient: Programs) -> None:
    body = """
        conn = await websocket_connect(url)
        raise SystemExit(3)
        """
    result = await serve_and_run(lenient, program(body))
    assert result.returncode == 3
    assert not [word for word in NOISE if word in result.stderr], result.stderr


def test_loops_that_have_ended_are_not_kept() -> None:
    loops: weakref.WeakSet[asyncio.AbstractEventLoop] = weakref.WeakSet()

    async def main() -> None:
        loops.add(asyncio.get_running_loop())
        with pytest.raises(ConnectError):
            await websocket_connect("ws://127.0.0.1:1/")

    for _ in range(3):
        with asyncio.Runner(loop_factory=asyncio.SelectorEventLoop) as runner:
            runner.run(main())
    del runner
    gc.collect()
    assert len(loops) == 0
