#!/usr/bin/env bash
# uvicorn ends TCP without a Close frame when an application fails, whatever its WebSocket library.
#
# Versions: uvicorn 0.54.0 with websockets 17.4 and wsproto 1.3.2.
# RFC 6455, section 7.4.1: 1011 is for a server that met an unexpected condition; section 7.1.1: the
# server closes TCP behind the closing handshake.
# Seen: when the application raises behind websocket.accept, the client gets the end of TCP and no
# Close frame, with --ws websockets, websockets-sansio and wsproto alike. A client sees 1006, as of a
# line that broke.
set -euo pipefail
folder=$(mktemp -d)
server=
trap '[ -z "$server" ] || { kill "$server" 2>/dev/null; wait "$server" 2>/dev/null || true; }; rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check uvicorn==0.54.0 websockets==17.4 wsproto==1.3.2

cat >"$folder/app.py" <<'PY'
async def app(scope, receive, send):
    if scope["type"] != "websocket":
        raise NotImplementedError
    await receive()
    await send({"type": "websocket.accept"})
    await receive()
    raise RuntimeError("the application failed")
PY
cd "$folder"
venv/bin/uvicorn --version
for library in websockets websockets-sansio wsproto; do
    port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
    venv/bin/uvicorn --ws "$library" --host 127.0.0.1 --port "$port" app:app >"$library.log" 2>&1 &
    server=$!
    python3 - "$port" "$library" <<'PY'
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
print(f"{sys.argv[2]}: the application raised; the client got {frames!r}, then the end of TCP")
assert frames == b"", "this has changed: there is a frame now"
PY
    kill "$server"
    wait "$server" || true
    server=
done
echo "as described: no Close frame"
