"""Interpreters that are not as most are: strict, without docstrings, or one within another."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys

import pytest

from support.programs import SLOW_CALLBACK

CONVERSATION = """
import asyncio
from wsclient import CloseCause, InvalidURLError, websocket_connect
from wsclient.testing import CertificateAuthority, WebSocketTestServer

def check(seen, expected):
    if seen != expected:
        raise SystemExit(f"{seen!r} is not {expected!r}")

async def talk(url, **arguments):
    async with websocket_connect(url, compression_options={}, **arguments) as conn:
        for message in ("hello", "x" * 70_000, b"\\0" * 300):
            await conn.write_message(message, binary=isinstance(message, bytes))
            check(await conn.read_message(), message)
        check(await conn.ping(b"here") >= 0, True)
        try:
            await conn.write_message(b"\\xff")
        except ValueError:
            pass
        else:
            raise SystemExit("bytes that are no UTF-8 were sent as text")
        info = await conn.close(1000, "done")
        check((info.clean, info.cause), (True, CloseCause.CLOSING_HANDSHAKE))
        check(await conn.read_message(), None)

async def call_back(url):
    got = []
    conn = await websocket_connect(url, on_message_callback=got.append)
    await conn.write_message("one")
    await conn.ping()
    await conn.close()
    await conn.wait_closed()
    check(got, ["one", None])

async def main():
    certificate = CertificateAuthority().server_certificate()
    async with WebSocketTestServer() as server:
        await talk(server.url)
        await call_back(server.url)
    async with WebSocketTestServer(tls=certificate.server_context()) as server:
        await talk(server.url, ssl=certificate.trust_context())
    try:
        await websocket_connect("nothing://localhost")
    except InvalidURLError:
        print("ended well", __debug__)

asyncio.run(main())
"""


def run(*options: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-P", *options],
        capture_output=True,
        text=True,
        timeout=40,
        env=os.environ,
        check=False,
    )


# In the first both: what -X dev warns of is an error then.
@pytest.mark.parametrize(
    ("options", "checking"),
    [(("-X", "dev", "-W", "error"), True), (("-W", "error"), True), (("-OO",), False)],
    ids=["dev", "warnings-as-errors", "without-asserts-and-docstrings"],
)
def test_a_conversation(options: tuple[str, ...], checking: bool) -> None:
    result = run(*options, "-c", CONVERSATION)
    said = SLOW_CALLBACK.sub("", result.stderr)
    assert (result.returncode, result.stdout, said) == (0, f"ended well {checking}\n", "")


def test_the_command_explains_itself_without_docstrings() -> None:
    result = run("-OO", "-m", "wsclient", "--help")
    assert result.returncode == 0, result.stderr
    assert result.stdout == run("-m", "wsclient", "--help").stdout


IN_A_SUBINTERPRETER = """
from concurrent import interpreters

inner = interpreters.create()
try:
    inner.exec("import wsclient")
except interpreters.ExecutionFailed as failed:
    print(failed.excinfo.type.__name__, failed.excinfo.msg, sep=": ")
else:
    inner.exec(CONVERSATION)
finally:
    inner.close()

# The main interpreter is none the worse for it.
import wsclient
print(wsclient.websocket_connect.__name__)
"""


@pytest.mark.skipif(
    importlib.util.find_spec("concurrent.interpreters") is None,
    reason="this Python has no concurrent.interpreters: 3.14 and later do",
)
def test_a_subinterpreter_talks_or_says_what_to_do() -> None:
    result = run("-c", f"CONVERSATION = {CONVERSATION!r}\n{IN_A_SUBINTERPRETER}")
    assert (result.returncode, result.stderr) == (0, "")
    first, last = result.stdout.splitlines()
    assert last == "websocket_connect"
    if first.startswith("ImportError"):
        assert "wsclient cannot be imported in a sub-interpreter" in first
        assert "main interpreter, or in a process of its own" in first
    else:
        assert first == "ended well True"


@pytest.mark.parametrize(
    ("said", "explained"),
    [
        ("module x._rust does not support loading in subinterpreters", True),  # CPython
        (
            "PyO3 modules do not yet support subinterpreters",
            True,
        ),  # PyO3, in one with a shared GIL
        ("libssl.so.3: cannot open shared object file", False),
    ],
)
def test_only_the_refusal_of_a_subinterpreter_is_told_as_one(said: str, explained: bool) -> None:
    # cryptography cannot be had, as there; the words are those that its import ends with.
    source = f"""
import sys
class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name == "cryptography":
            raise ImportError({said!r})
sys.meta_path.insert(0, Refuse())
try:
    import wsclient
except ImportError as exc:
    print("sub-interpreter:" in str(exc), str(exc.__cause__ or exc) == {said!r})
"""
    result = run("-c", source)
    assert (result.returncode, result.stdout, result.stderr) == (0, f"{explained} True\n", "")
