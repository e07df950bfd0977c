#!/usr/bin/env bash
# daphne answers a message above 1 MiB by resetting the connection, without a Close frame.
#
# Versions: daphne 4.2.3.
# RFC 6455, section 7.4.1: 1009 is for a message that is too big to process.
# Seen: one byte above 1 MiB ends TCP by RST. The client learns neither the code nor that its
# message was too big, and an answer that was under way may be lost with it. The limit is daphne's
# default, see --websocket-max-message-size.
set -euo pipefail
folder=$(mktemp -d)
server=
trap '[ -z "$server" ] || { kill "$server" 2>/dev/null; wait "$server" 2>/dev/null || true; }; rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check daphne==4.2.3

cat >"$folder/app.py" <<'PY'
async def app(scope, receive, send):
    await receive()
    await send({"type": "websocket.accept"})
    while (event := await receive())["type"] == "websocket.receive":
        await send({"type": "websocket.send", "text": str(len(event["bytes"]))})
PY
port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
cd "$folder"
venv/bin/pip list 2>/dev/null | grep -i '^daphne'
venv/bin/daphne -b 127.0.0.1 -p "$port" app:app >log 2>&1 &
server=$!

python3 - "$port" <<'PY'
import socket, struct, sys, time


def connect():
    for attempt in range(200):
        try:
            connection = socket.create_connection(("127.0.0.1", int(sys.argv[1])), timeout=10)
            break
        except ConnectionRefusedError:
            time.sleep(0.1)
    connection.sendall(
        b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAECAwQFBgcICQoLDA0ODw==\r\n\r\n"
    )
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        head += connection.recv(1)
    return connection


def outcome(size):
    with connect() as connection:
        try:
            header = b"\x82\xff" + struct.pack(">Q", size) + bytes(4)
            connection.sendall(header + bytes(size))
            return connection.recv(100) or "the end of TCP"
        except ConnectionResetError:
            return "a reset"


whole, too_big = outcome(1024 * 1024), outcome(1024 * 1024 + 1)
print("1 MiB:           ", whole)
print("1 MiB and 1 byte:", too_big)
assert whole == b"\x81\x071048576", "this has changed"
assert too_big == "a reset", "this has changed"
print("as described: a reset in place of 1009")
PY
