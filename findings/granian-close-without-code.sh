#!/usr/bin/env bash
# granian tells a client of an application that failed as if it had ended well.
#
# Versions: granian 2.8.9 (ASGI interface).
# RFC 6455, section 7.4.1: 1011 is for a server that met an unexpected condition. The ASGI
# specification leaves the code to the server; hypercorn and daphne send 1011.
# Seen: when the application raises, the client gets a Close frame without a code. That is what a
# program sends that just closes, so a client cannot tell a crash from the end of a feed.
set -euo pipefail
folder=$(mktemp -d)
server=
trap '[ -z "$server" ] || { kill "$server" 2>/dev/null; wait "$server" 2>/dev/null || true; }; rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check granian==2.8.9

cat >"$folder/app.py" <<'PY'
async def app(scope, receive, send):
    if scope["type"] != "websocket":
        raise NotImplementedError
    await receive()
    await send({"type": "websocket.accept"})
    await receive()
    raise RuntimeError("the application failed")
PY
port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
cd "$folder"
venv/bin/granian --version
venv/bin/granian --interface asgi --host 127.0.0.1 --port "$port" app:app >log 2>&1 &
server=$!

python3 - "$port" <<'PY'
import socket, sys, time

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
connection.sendall(b"\x81\x85\0\0\0\0hello")
frames = b""
while more := connection.recv(4096):
    frames += more
print("the application raised; the client got:", frames.hex(" "))
assert frames == b"\x88\x00", "this has changed: no longer a Close frame without a code"
print("as described: a Close frame without a code")
PY
