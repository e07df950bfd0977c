"""TLS handshakes in memory, without sockets."""

from __future__ import annotations

import ssl

__all__ = ["handshake", "verify_code"]

ROUNDS = 10
"""More than any handshake needs."""


def handshake(
    client: ssl.SSLContext, server: ssl.SSLContext, name: str = "localhost"
) -> tuple[ssl.SSLObject, ssl.SSLObject]:
    """Do a handshake and return the ends of the client and of the server.

    Raises:
        ssl.SSLError: one of them refuses.
    """
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    near = client.wrap_bio(to_client, to_server, server_hostname=name)
    far = server.wrap_bio(to_server, to_client, server_side=True)
    waiting = [near, far]
    for _ in range(ROUNDS):
        for side in list(waiting):
            try:
                side.do_handshake()
            except ssl.SSLWantReadError:
                continue
            waiting.remove(side)
    assert not waiting
    return near, far


def verify_code(client: ssl.SSLContext, server: ssl.SSLContext, name: str = "localhost") -> int:
    """Return why the client refuses the server's certificate, as OpenSSL's code; 0 if it does not.

    Raises:
        ssl.SSLError: something else is wrong.
    """
    try:
        handshake(client, server, name)
    except ssl.SSLCertVerificationError as exc:
        return exc.verify_code
    return 0
