#!/usr/bin/env bash
# Engine.IO (and so Socket.IO) writes an HTTP answer into a WebSocket that it has opened already.
#
# Versions: engine.io 6.6.13 on Node.js.
# RFC 6455, sections 4.2.2 and 5: behind the 101 both sides send frames, and nothing else.
# Seen: a client that asks for a version of the protocol that the server does not speak (EIO=3)
# gets "101 Switching Protocols", and behind it, in place of a frame, "HTTP/1.1 400 Bad Request" with
# the body "Unsupported protocol version"; then TCP ends. Read as a frame, the letter H is a Close
# frame in fragments with RSV1 set, so that clients report a compression that nobody agreed on.
set -euo pipefail
folder=$(mktemp -d)
server=
trap '[ -z "$server" ] || kill "$server" 2>/dev/null; rm -rf "$folder"' EXIT
npm install --silent --no-audit --no-fund --prefix "$folder" engine.io@6.6.13

cat >"$folder/server.js" <<'JS'
const http = require("http").createServer();
require("engine.io").attach(http, { allowEIO3: false });
http.listen(0, "127.0.0.1", () => console.log(http.address().port));
JS
node --version
(cd "$folder" && exec node server.js) >"$folder/port" &
server=$!
for _ in $(seq 100); do [ -s "$folder/port" ] && break; sleep 0.1; done

python3 - "$(cat "$folder/port")" <<'PY'
import socket, sys

connection = socket.create_connection(("127.0.0.1", int(sys.argv[1])), timeout=10)
connection.sendall(
    b"GET /engine.io/?EIO=3&transport=websocket HTTP/1.1\r\nHost: 127.0.0.1\r\n"
    b"Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
    b"Sec-WebSocket-Key: AAECAwQFBgcICQoLDA0ODw==\r\n\r\n"
)
answer = b""
while more := connection.recv(4096):
    answer += more
head, _, behind = answer.partition(b"\r\n\r\n")
print("answer:    ", head.split(b"\r\n")[0].decode())
print("behind it: ", behind.decode().replace("\r\n", " | "))
assert head.startswith(b"HTTP/1.1 101"), "it does not open the WebSocket: this has changed"
assert behind.startswith(b"HTTP/1.1 400"), "no HTTP answer comes behind: this has changed"
print("as described: an HTTP answer in place of frames, then the end")
PY
