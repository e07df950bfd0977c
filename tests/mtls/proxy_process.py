"""Two proxies in one process, one behind TLS, for `python -m`.

They open tunnels (RFC 9110, section 9.3.6) and do nothing else. What they have received they
pass on, whatever becomes of the other direction: a proxy on asyncio may lose an alert just as a
client on asyncio may.
"""

from __future__ import annotations

import contextlib
import selectors
import socket
import ssl
import sys
import threading

from peers.vocabulary import announce, options, tls_context

__all__: list[str] = []

_CHUNK = 65536
_PATIENCE = 10.0
"""Seconds in which the request must come, and the server must accept."""
_IDLE = 30.0
_DRAIN = 1.0


def main() -> None:
    """Run both until stdin is closed."""
    context = tls_context(options())
    plain, secure = (socket.create_server(("127.0.0.1", 0), backlog=128) for _ in range(2))
    threading.Thread(target=_accept, args=(plain, None), daemon=True).start()
    threading.Thread(target=_accept, args=(secure, context), daemon=True).start()
    announce(plain.getsockname()[1], secure.getsockname()[1], ["connect"])
    sys.stdin.read()


def _accept(listener: socket.socket, context: ssl.SSLContext | None) -> None:
    while True:
        accepted, _ = listener.accept()
        threading.Thread(target=_serve, args=(accepted, context), daemon=True).start()


def _serve(raw: socket.socket, context: ssl.SSLContext | None) -> None:
    raw.settimeout(_PATIENCE)
    raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    client = raw
    try:
        if context is not None:
            client = context.wrap_socket(raw, server_side=True)
        with contextlib.closing(_open_tunnel(client)) as server:
            client.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
            _relay(client, server)
        _end(client)
    except OSError:
        pass  # One of the two is gone, which the other will notice.
    finally:
        client.close()


def _open_tunnel(client: socket.socket) -> socket.socket:
    """Read the request and connect to what it names; nothing stands behind it yet."""
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        received = client.recv(_CHUNK)
        if not received:
            raise ConnectionError("the client ended before it said what it wants")
        head += received
    method, target, _ = head.split(b" ", 2)
    host, _, port = target.decode("ascii").rpartition(":")
    try:
        if method != b"CONNECT":
            raise ConnectionError("not a request for a tunnel")
        server = socket.create_connection((host, int(port)), timeout=_PATIENCE)
    except OSError:
        client.sendall(b"HTTP/1.1 502 Bad Gateway\r\nConnection: close\r\n\r\n")
        _end(client)
        raise
    server.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return server


def _relay(client: socket.socket, server: socket.socket) -> None:
    """Pass bytes both ways until the server has ended and all that it said was passed on."""
    client_talks = True
    with selectors.DefaultSelector() as selector:
        selector.register(client, selectors.EVENT_READ)
        selector.register(server, selectors.EVENT_READ)
        while True:
            more = client_talks and _has_more(client)
            ready = {key.fileobj for key, _ in selector.select(0 if more else _IDLE)}
            if server in ready:
                data = _receive(server)
                if not data:
                    return
                client.sendall(data)
            elif more or client in ready:
                client_talks = _pass_on(client, server)
                if not client_talks:
                    selector.unregister(client)
            else:
                return  # Nothing has happened for long.


def _pass_on(client: socket.socket, server: socket.socket) -> bool:
    """Send to the server what the client says; return whether there may be more."""
    data = _receive(client)
    try:
        if not data:
            server.shutdown(socket.SHUT_WR)
            return False
        server.sendall(data)
    except OSError:
        return False  # What the server said before is still to be read.
    return True


def _has_more(client: socket.socket) -> bool:
    """Tell whether there is something to read that no selector sees."""
    return isinstance(client, ssl.SSLSocket) and client.pending() > 0


def _receive(end: socket.socket) -> bytes:
    try:
        return end.recv(_CHUNK)
    except OSError:
        return b""


def _end(client: socket.socket) -> None:
    """Say that this is the end, and read what comes meanwhile, so that no RST overtakes it."""
    client.settimeout(0.0)
    if isinstance(client, ssl.SSLSocket):
        with contextlib.suppress(ssl.SSLError):
            client.unwrap()
    client.shutdown(socket.SHUT_WR)
    client.settimeout(_DRAIN)
    while client.recv(_CHUNK):
        pass


if __name__ == "__main__":
    main()
