"""The plugin in sessions of its own, with each of the plugins that run coroutine tests."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

TESTS = """
import asyncio
import time

import pytest

from wsclient import CloseCause, ConnectError, websocket_connect
from wsclient.testing import Dialogue, connection_pair

{marker}


async def test_echo(websocket_server):
    async with websocket_connect(websocket_server().url) as conn:
        await conn.write_message("hello")
        assert await conn.read_message() == "hello"


async def test_dialogue_and_proxy(websocket_server, fault_proxy):
    server = websocket_server(Dialogue().send("1").expect("2"))
    proxy = fault_proxy(server.url)
    async with websocket_connect(proxy.url) as conn:
        assert await conn.read_message() == "1"
        await conn.write_message("2")


async def test_tls(websocket_server, certificate_authority):
    certificate = certificate_authority.server_certificate("localhost", "127.0.0.1")
    server = websocket_server(tls=certificate.server_context())
    trusting = certificate_authority.trust_context()
    async with websocket_connect(server.url, ssl=trusting) as conn:
        assert conn.tls is not None
    with pytest.raises(ConnectError):
        await websocket_connect(server.url)


async def test_keepalive_of_an_hour(virtual_clock):
    begun = time.monotonic()
    async with connection_pair(ping_interval=20) as (client, server):
        await asyncio.sleep(3600)
        assert not client.closed
        assert virtual_clock.elapsed >= 3600
    assert time.monotonic() - begun < 30


@pytest.mark.usefixtures("virtual_clock")
async def test_clock_without_a_name():
    before = asyncio.get_running_loop().time()
    await asyncio.sleep(1e6)
    assert asyncio.get_running_loop().time() == before + 1e6


class TestInClass:
    async def test_method(self, virtual_clock):
        await asyncio.sleep(1e6)
"""

SCOPE = ["-o", "asyncio_default_fixture_loop_scope=function"]

PLAIN = """
import asyncio

from wsclient import websocket_connect


def test_from_plain_code(websocket_server):
    async def main(url):
        async with websocket_connect(url) as conn:
            await conn.write_message("hello")
            return await conn.read_message()

    server = websocket_server()
    assert asyncio.run(main(server.url)) == "hello"
    assert server.connections[0].received == ["hello"]


def test_handlers_fail_tests(websocket_server):
    async def wrong(conn):
        raise ValueError("what the handler raised")

    async def main(url):
        async with websocket_connect(url) as conn:
            assert await conn.read_message() is None

    asyncio.run(main(websocket_server(wrong).url))
"""


def run_pytest(directory: Path, source: str, *options: str) -> subprocess.CompletedProcess[str]:
    (directory / "test_it.py").write_text(source)
    command = [sys.executable, "-m", "pytest", "-q", "-W", "error", "-p", "no:cacheprovider"]
    return subprocess.run(
        [*command, *options, "test_it.py"],
        cwd=directory,
        capture_output=True,
        text=True,
        timeout=50,
    )


@pytest.mark.parametrize(
    ("marker", "options"),
    [
        pytest.param(
            "pytestmark = pytest.mark.asyncio", ["-p", "no:anyio", *SCOPE], id="asyncio-strict"
        ),
        pytest.param("", ["-p", "no:anyio", "-o", "asyncio_mode=auto", *SCOPE], id="asyncio-auto"),
        pytest.param(
            "pytestmark = pytest.mark.anyio\n\n\n@pytest.fixture\ndef anyio_backend():\n"
            '    return "asyncio"',
            ["-p", "no:asyncio"],
            id="anyio",
        ),
    ],
)
def test_coroutine_tests(tmp_path: Path, marker: str, options: list[str]) -> None:
    result = run_pytest(tmp_path, TESTS.format(marker=marker), *options)
    assert result.returncode == 0, result.stdout + result.stderr
    assert "6 passed" in result.stdout


def test_plain_tests_and_failing_handlers(tmp_path: Path) -> None:
    result = run_pytest(tmp_path, PLAIN, *SCOPE)
    assert "2 passed, 1 error" in result.stdout, result.stdout + result.stderr
    assert "ERROR at teardown of test_handlers_fail_tests" in result.stdout
    assert "ValueError: what the handler raised" in result.stdout
