"""A service that talks to another one over mutual TLS, for weeks: its files rotate, it stays.

    python examples/mtls_service.py [URL DIRECTORY PIN]

DIRECTORY has tls.crt, tls.key and ca.crt, as a Kubernetes secret does; PIN is that of the server's
key, such as sha256//47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=. Without arguments it makes an
authority and starts a server that wants client certificates, and it replaces the client's after a
moment.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import random
import signal
import sys
import tempfile
from pathlib import Path

from wsclient import (
    CloseCause,
    CloseInfo,
    ConnectError,
    TLSConfig,
    TLSConnectionClosed,
    TLSError,
    WebSocketClosedError,
    check_tls,
    websocket_connect,
)
from wsclient.testing import CertificateAuthority, KubernetesVolume, ThreadedTLSServer


async def main(url: str, directory: Path, pin: str) -> None:
    """Stay connected until SIGTERM or Ctrl-C."""
    tls = TLSConfig(
        cert=(directory / "tls.crt", directory / "tls.key"),
        cafile=directory / "ca.crt",  # trusted in the place of all public authorities
        pinned_public_keys=[pin],  # add the next key here before the server changes to it
        refresh_interval=0.2,  # seconds; a minute or more is enough for files
        on_rotation="close",  # so that the loop below connects with the new certificate
    )
    await tls.load()  # a wrong path ends the program now, not at night
    staying = asyncio.create_task(stay_connected(url, tls))
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        # Whatever it waits for: a connection is closed with 1001 then. Not on Windows.
        loop.add_signal_handler(number, staying.cancel)
    await asyncio.wait([staying])
    if not staying.cancelled():
        staying.result()  # raises what ended it
    print("stopped")


async def stay_connected(url: str, tls: TLSConfig) -> None:
    """Connect again and again, after pauses that grow while the server does not keep us."""
    loop = asyncio.get_running_loop()
    failures = 0
    while True:
        began = loop.time()
        try:
            info = await talk(url, tls)
            if info.cause is CloseCause.ROTATION:
                continue
            print("closed:", info)
        except ConnectError as error:
            if isinstance(error, TLSError) and not isinstance(error, TLSConnectionClosed):
                # Trying again would not help, unless somebody replaces a certificate.
                print("refused:", error.reason, "-", error)
                print(await check_tls(url, tls=tls))
                raise
            # The server is not there, or is just being restarted.
            print(error)
        # One that closes what it has just accepted is no better than one that is not there.
        failures = 1 if loop.time() - began > 60 else failures + 1
        seconds = random.uniform(0.5, 1) * min(30.0, 0.5 * 2 ** min(failures, 10))
        print(f"Next try in {seconds:.1f} s.")
        await asyncio.sleep(seconds)


async def talk(url: str, tls: TLSConfig) -> CloseInfo:
    """Be connected once, until either side closes."""
    async with websocket_connect(url, tls=tls, ping_interval=20, close_timeout=3) as conn:
        assert conn.tls is not None
        print("connected, certificate", conn.tls.identity_generation, conn.tls.version)
        with contextlib.suppress(WebSocketClosedError):  # it may have closed already
            await conn.write_message("how are you?")
        async for message in conn:
            print("the other service says", repr(message))
    return await conn.wait_closed()


# The server to try it with.


async def with_server() -> None:
    ca = CertificateAuthority("Example")
    server_certificate = ca.server_certificate("localhost")
    context = server_certificate.server_context(client_ca=ca)
    with tempfile.TemporaryDirectory() as directory, ThreadedTLSServer(context) as server:
        volume = KubernetesVolume(directory)
        volume.publish(ca.client_certificate("billing"))
        loop = asyncio.get_running_loop()
        loop.call_later(0.3, lambda: volume.publish(ca.client_certificate("billing")))
        loop.call_later(1.5, os.kill, os.getpid(), signal.SIGTERM)
        url = f"wss://localhost:{server.port}/"
        await main(url, Path(directory), server_certificate.spki_sha256)
        shown = [record.peer_certificate for record in server.connections]
    print("certificates that the server saw:", [each.serial_number for each in shown if each])


if __name__ == "__main__":
    logging.basicConfig(format="%(name)s: %(message)s", level=logging.INFO)
    arguments = sys.argv[1:]
    if arguments:
        asyncio.run(main(arguments[0], Path(arguments[1]), arguments[2]))
    else:
        asyncio.run(with_server())
