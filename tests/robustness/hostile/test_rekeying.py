"""Floods of KeyUpdate (TLS 1.3) and of renegotiation (TLS 1.2), by ``openssl s_server``."""

from __future__ import annotations

import asyncio
import concurrent.futures
import importlib.util
from pathlib import Path

import pytest

from robustness.hostile.attacks.answers import silence
from robustness.hostile.case import MIB, Case
from robustness.hostile.launching import Victims
from robustness.hostile.report import Results
from robustness.hostile.s_server import OpenSSLServer
from support.unavailable import UnavailableError
from wsclient import TLSConfig, websocket_connect
from wsclient.testing import RawConnection, RawServer
from wsclient.testing.certificates import CertificateFiles, IssuedCertificate

ROUNDS = 300
OPTIONS = {"close_timeout": 0.2}  # s_server leaves it to us to end TCP.
CLEAN = "CLOSING_HANDSHAKE, sent 1000, received 1000"
BOUND = "OpenSSL, the trusted root, one session"


def started(files: CertificateFiles, version: str) -> OpenSSLServer:
    try:
        return OpenSSLServer(files, version)
    except UnavailableError as error:
        if error.required:
            raise
        pytest.skip(str(error))


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
@pytest.mark.parametrize(
    ("version", "command", "name"),
    [
        pytest.param("-tls1_3", "K", "300 KeyUpdates that ask for ours", id="KeyUpdate"),
        pytest.param("-tls1_2", "r", "300 renegotiations", id="renegotiation"),
    ],
)
def test_new_keys_again_and_again(
    version: str,
    command: str,
    name: str,
    loop: str,
    victims: Victims,
    certificates: IssuedCertificate,
    results: Results,
    tmp_path: Path,
) -> None:
    if importlib.util.find_spec(loop) is None:
        pytest.skip(f"{loop} is not installed")
    files = certificates.write(tmp_path)
    # What the table would have, but that the server is no script.
    case = Case(name, silence, CLEAN, 8, BOUND, role="wss", seconds=30.0, options=OPTIONS)
    server = started(files, version)
    # The server ends first, so that the flood is not waited for in vain.
    with concurrent.futures.ThreadPoolExecutor(1) as pool, server:
        flood = pool.submit(server.flood, command, ROUNDS)
        job = case.job(f"wss://127.0.0.1:{server.port}/", loop, files.ca_file)
        result = victims.attack(job)
        flood.result()
    results.add(case, loop, result)
    assert (result.outcome, result.left) == (case.outcome, [])
    assert result.seconds <= case.seconds
    assert result.peak <= case.memory * MIB


async def test_renegotiation_in_the_segment_of_the_answer(
    certificates: IssuedCertificate, tmp_path: Path
) -> None:
    files = certificates.write(tmp_path)
    server = started(files, "-tls1_2")

    async def collect(conn: RawConnection) -> None:
        """Relay, and make one segment of what the server says in a row."""
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        requests = asyncio.ensure_future(relay(conn.reader, writer))
        try:
            while data := await burst(reader):
                await conn.send(data)
        finally:
            requests.cancel()
            writer.close()

    async with RawServer(collect) as proxy:
        with server:
            flood = asyncio.ensure_future(asyncio.to_thread(server.flood, "r", 1))
            tls = TLSConfig(cafile=files.ca_file)
            conn = await websocket_connect(
                f"wss://127.0.0.1:{proxy.port}/", tls=tls, close_timeout=0.2, proxy=None
            )
            assert conn.tls is not None
            assert conn.tls.server_certificate == certificates.certificate_der
            info = await conn.wait_closed()
            await flood
    assert info.clean


async def relay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(65536):
        writer.write(data)
    writer.close()


async def burst(reader: asyncio.StreamReader) -> bytes:
    """Read until nothing more comes for a while."""
    data = more = await reader.read(65536)
    while more:
        try:
            async with asyncio.timeout(0.1):
                more = await reader.read(65536)
        except TimeoutError:
            break
        data += more
    return data
