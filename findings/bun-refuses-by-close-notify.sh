#!/usr/bin/env bash
# Bun refuses a client certificate of TLS 1.3 as if it had ended in good order.
#
# Versions: Bun 1.4.5 (npm), with Python's ssl as the client.
# RFC 8446, section 4.4.2.4: a server that does not accept the client's certificate ends the
# handshake with an alert that fits, such as unknown_ca.
# Seen: with requestCert and rejectUnauthorized, a certificate of another authority is answered by
# close_notify, behind a handshake that the client has seen succeed; no alert of an error comes.
# With no certificate at all certificate_required (116) does come, and with one that is trusted the
# server waits for the request. So a refusal looks like a service that closes and goes away.
set -euo pipefail
folder=$(mktemp -d)
server=
trap '[ -z "$server" ] || { kill "$server" 2>/dev/null; wait "$server" 2>/dev/null || true; }; rm -rf "$folder"' EXIT
npm install --silent --no-audit --no-fund --prefix "$folder" bun@1.4.5
cd "$folder"

authority() {
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj "/CN=$1" \
        -keyout "$1.key" -out "$1.pem" 2>/dev/null
}
signed() { # name, authority, extensions
    openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj "/CN=$1" \
        -keyout "$1.key" -out "$1.csr" 2>/dev/null
    openssl x509 -req -in "$1.csr" -CA "$2.pem" -CAkey "$2.key" -CAcreateserial -days 2 \
        -extfile <(printf '%s\n' "$3") -out "$1.pem" 2>/dev/null
}
authority right
authority other
signed server right "subjectAltName=DNS:localhost"
signed trusted right "extendedKeyUsage=clientAuth"
signed stranger other "extendedKeyUsage=clientAuth"

cat >server.js <<'JS'
const server = Bun.serve({
  hostname: "127.0.0.1", port: 0,
  tls: {
    cert: Bun.file("server.pem"), key: Bun.file("server.key"), ca: Bun.file("right.pem"),
    requestCert: true, rejectUnauthorized: true,
  },
  fetch: () => new Response("welcome"),
});
console.log(server.port);
JS
echo "Bun $(node_modules/.bin/bun --version)"
node_modules/.bin/bun server.js >port &
server=$!
for _ in $(seq 100); do [ -s port ] && break; sleep 0.1; done

python3 - "$(cat port)" <<'PY'
import socket, ssl, sys

print(ssl.OPENSSL_VERSION)


def outcome(identity):
    context = ssl.create_default_context(cafile="right.pem")
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    if identity:
        context.load_cert_chain(f"{identity}.pem", f"{identity}.key")
    raw = socket.create_connection(("127.0.0.1", int(sys.argv[1])), timeout=10)
    with context.wrap_socket(raw, server_hostname="localhost", suppress_ragged_eofs=False) as tls:
        try:
            # Nothing is sent before the server has spoken, so that nothing can be reset.
            tls.settimeout(1)
            return tls.recv(100) or "close_notify"
        except TimeoutError:
            return "nothing: it waits for the request"
        except ssl.SSLEOFError:
            return "the end of TCP, without an alert"
        except ssl.SSLError as error:
            return f"an alert: {error.reason}"


seen = {name: outcome(name) for name in ("trusted", "stranger", None)}
for name, what in seen.items():
    print(f"certificate {name}: {what}")
assert seen["trusted"].startswith("nothing"), "this has changed"
assert seen["stranger"] == "close_notify", "this has changed"
assert "CERTIFICATE_REQUIRED" in seen[None], "this has changed"
print("as described: a stranger is refused by close_notify")
PY
