"""The command: what it prints, its exit status, and that the demo cannot pass in vain."""

from __future__ import annotations

import asyncio
import inspect
import io
import logging
import os
import platform
import subprocess
import sys
import tempfile
import textwrap
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp import WSMsgType, web

import wsclient
from support.programs import SLOW_CALLBACK, Programs, programs
from wsclient.cli import demo, main
from wsclient.cli.demo import STEPS, Step, run_demo
from wsclient.cli.server import MutualTLSServer
from wsclient.protocol.codec import codec
from wsclient.protocol.zlibs import ZLIB_NAME
from wsclient.testing import CertificateAuthority, ThreadedTLSServer

COMMAND_TIMEOUT = 40.0  # seconds
WIDTH = 100  # columns


@pytest.fixture(autouse=True)
def put_back(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Undo what the demo does to its process, which is this one in some tests."""
    for name in ("no_proxy", "NO_COLOR", "TERM"):
        monkeypatch.setenv(name, "")
    handlers = list(logging.getLogger("wsclient").handlers)
    yield
    logging.getLogger("wsclient").handlers[:] = handlers


STRICT = ("-X", "dev", "-W", "error")


def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Start Python, where every warning is an error."""
    result = subprocess.run(
        [sys.executable, "-P", *STRICT, *arguments],
        env=os.environ | environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=COMMAND_TIMEOUT,
    )
    result.stderr = SLOW_CALLBACK.sub("", result.stderr)
    return result


@pytest.fixture(scope="module")
def python() -> Iterator[Programs]:
    """Python, started already, for what does not begin there."""
    with programs(*STRICT) as running:
        yield running


COMMAND = "import runpy; runpy.run_module('wsclient', run_name='__main__', alter_sys=True)"


@pytest.fixture(scope="module")
def shown() -> str:
    """What the demo prints; it must have gone well and left nothing behind."""
    result = run("-m", "wsclient", "demo")
    assert (result.returncode, result.stderr) == (0, ""), result.stdout
    return result.stdout


# The command line


def test_version() -> None:
    result = run("-m", "wsclient", "--version")
    assert (result.returncode, result.stderr) == (0, "")
    assert f"wsclient {wsclient.__version__}," in result.stdout
    assert platform.python_version() in result.stdout
    assert f"compression: {ZLIB_NAME}, frame codec: {codec.NAME}" in result.stdout


def test_without_arguments_it_prints_help(python: Programs) -> None:
    result = python.run(COMMAND)
    assert (result.returncode, result.stderr) == (0, "")
    assert "demo" in result.stdout and "--version" in result.stdout


def test_an_unknown_command_is_an_error(python: Programs) -> None:
    result = python.run(COMMAND, "dance")
    assert result.returncode == 2
    assert "'dance'" in result.stderr


# The demo as it is


@pytest.mark.parametrize("step", STEPS, ids=lambda step: step.title)
def test_it_shows_each_step_with_the_code_that_ran(shown: str, step: Step) -> None:
    code = textwrap.indent(textwrap.dedent(inspect.getsource(step.run)), "    ")
    _, found, rest = shown.partition(f"{step.title}\n\n{code}\n")
    assert found
    transcript, ok, _ = rest.partition("\nok\n")
    assert ok
    assert transcript.startswith("  > ")


@pytest.mark.parametrize(
    "lines",
    [
        pytest.param(["received 'hello'", r"received b'\x00\x01'"], id="read loop"),
        pytest.param(["received '1'", "closed: True"], id="async for"),
        pytest.param(["callback got 'two'", "callback got None"], id="callback"),
        pytest.param(
            ["offered ['chat.v2', 'chat.v1'], the server chose 'chat.v1'"], id="subprotocol"
        ),
        pytest.param(
            ["code 1012, reason 'new version', clean: True", "initiator: remote,"], id="close"
        ),
        pytest.param(["code 1006, reason '', clean: False", "initiator: none,"], id="end"),
        pytest.param(["certificate 1 of these files", "certificate 2"], id="rotation"),
        pytest.param(["reason certificate_required, alert"], id="rejection"),
    ],
)
def test_it_shows_what_happened(shown: str, lines: list[str]) -> None:
    assert "\n".join(f"  > {line}" for line in lines) in shown


def test_it_explains_both_ends_and_the_rejection(shown: str) -> None:
    assert shown.count("  > hint: ") == 3


def test_it_is_plain_text_for_a_terminal_of_100_columns(shown: str) -> None:
    assert [line for line in shown.splitlines() if len(line) > WIDTH] == []
    assert shown.isascii()
    assert "\x1b" not in shown


def test_a_proxy_of_the_environment_is_not_in_the_way(python: Programs) -> None:
    result = python.run(COMMAND, "demo", http_proxy="http://127.0.0.1:1")
    assert result.returncode == 0, result.stdout


def test_a_reader_that_goes_away_is_no_accident() -> None:
    process = subprocess.Popen(
        [sys.executable, "-P", "-X", "dev", "-m", "wsclient", "demo"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None and process.stderr is not None
    process.stdout.readline()
    process.stdout.close()
    assert process.wait(COMMAND_TIMEOUT) == 1
    with process.stderr:
        assert SLOW_CALLBACK.sub("", process.stderr.read()) == ""


# The demo when something fails


async def nothing(url: str) -> str:
    print("nothing")
    return "nothing"


async def raising(url: str) -> None:
    raise KeyError("gone")


async def hanging(url: str) -> None:
    await asyncio.Event().wait()


async def interrupted(url: str) -> None:
    raise KeyboardInterrupt


def step(
    function: Callable[[str], Any] = nothing, holds: Callable[[Any], bool] = lambda got: True
) -> Step:
    return Step(function.__name__, function, "all is well", holds)


def test_steps_that_hold_give_0(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["demo"], steps=[step(), step()]) == 0
    assert capsys.readouterr().out.count("\nok\n") == 2


@pytest.mark.parametrize(
    ("failing", "says"),
    [
        pytest.param(step(holds=lambda got: got == "much"), "got 'nothing'", id="result"),
        pytest.param(step(raising), "KeyError: 'gone'", id="error"),
        pytest.param(step(holds=lambda got: got > 1), "TypeError", id="error in the check"),
    ],
)
def test_a_failing_step_gives_1_and_says_what_was_expected(
    failing: Step, says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["demo"], steps=[failing, step()]) == 1
    out = capsys.readouterr().out
    assert "FAILED: expected: all is well; " in out
    assert says in out
    assert out.count("\nok\n") == 1, "the next step is shown all the same"
    assert f"1 of 2 steps failed: {failing.title}." in out


def test_a_step_that_hangs_fails(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(demo, "_STEP_TIMEOUT", 0.05)
    assert main(["demo"], steps=[step(hanging)]) == 1
    assert "TimeoutError" in capsys.readouterr().out


def test_a_failing_step_is_the_exit_status_of_the_process(
    python: Programs, tmp_path: Path
) -> None:
    script = tmp_path / "failing.py"
    script.write_text(
        "import sys\n"
        "from wsclient.cli import main\n"
        "from wsclient.cli.demo import Step\n"
        "async def fail(url): return 1\n"
        "sys.exit(main(['demo'], steps=[Step('Fail', fail, 'two', lambda got: got == 2)]))\n"
    )
    # The source of a step is shown, and read from its file.
    result = python.run(script.read_text(), name=str(script))
    assert (result.returncode, SLOW_CALLBACK.sub("", result.stderr)) == (1, "")
    assert "FAILED: expected: two; got 1" in result.stdout


def test_ctrl_c_ends_it_without_a_traceback(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["demo"], steps=[step(interrupted)]) == 130
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("shown_step", STEPS, ids=lambda step: step.title)
async def test_no_step_passes_with_a_server_that_does_not_play_along(
    shown_step: Step, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(demo, "_STEP_TIMEOUT", 0.3)
    monkeypatch.setattr(demo, "mutual_tls_server", mutual_tls_badly)
    assert await run_demo(serve_badly, [shown_step]) == 1
    assert shown_step.expected.split()[0] in capsys.readouterr().out


@asynccontextmanager
async def serve_badly() -> AsyncIterator[str]:
    """Serve what the demo asks for, but differently."""
    app = web.Application()
    app.router.add_get("/echo", answer_badly)
    app.router.add_get("/restart", close_at_once)
    app.router.add_get("/crash", close_at_once)
    # A step that was given up leaves its connection open.
    runner = web.AppRunner(app, handle_signals=False, shutdown_timeout=0.05)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        host, port = runner.addresses[0][:2]
        yield f"ws://{host}:{port}"
    finally:
        await runner.cleanup()


@contextmanager
def mutual_tls_badly() -> Iterator[MutualTLSServer]:
    """Ask for no certificate, end connections at once, and replace no files."""
    ca = CertificateAuthority()
    context = ca.server_certificate("localhost").server_context()
    client = ca.client_certificate("demo")
    with (
        tempfile.TemporaryDirectory() as directory,
        ThreadedTLSServer(context, lambda stream: None) as server,
    ):
        files = client.write(directory)
        names = files.cert_file, files.key_file, files.ca_file
        yield MutualTLSServer(f"wss://localhost:{server.port}/", *names, ca, files)


async def answer_badly(request: web.Request) -> web.WebSocketResponse:
    """Answer no ping, choose no subprotocol, and send another message back."""
    websocket = web.WebSocketResponse(autoping=False)
    await websocket.prepare(request)
    async for message in websocket:
        if message.type is WSMsgType.TEXT:
            await websocket.send_str("1")
    return websocket


async def close_at_once(request: web.Request) -> web.WebSocketResponse:
    websocket = web.WebSocketResponse()
    await websocket.prepare(request)
    await websocket.close()
    return websocket


# Colour


class Terminal(io.StringIO):
    """A stdout that says it is a terminal."""

    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("environment", "coloured"),
    [
        pytest.param({}, True, id="terminal"),
        pytest.param({"NO_COLOR": ""}, True, id="empty NO_COLOR counts as none"),
        pytest.param({"NO_COLOR": "1"}, False, id="NO_COLOR"),
        pytest.param({"TERM": "dumb"}, False, id="dumb terminal"),
    ],
)
def test_colour_on_a_terminal(
    environment: dict[str, str], coloured: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stdout", terminal)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert main(["demo"], steps=[step()]) == 0
    assert ("\x1b[32mok\x1b[0m" in terminal.getvalue()) is coloured


def test_what_a_step_prints_without_a_line_break_is_shown(
    capsys: pytest.CaptureFixture[str],
) -> None:
    async def unfinished(url: str) -> None:
        print("one\ntwo", end="")

    assert main(["demo"], steps=[step(unfinished)]) == 0
    assert "  > one\n  > two\nok\n" in capsys.readouterr().out
