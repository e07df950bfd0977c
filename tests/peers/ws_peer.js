// A peer made with Node's `ws`. It speaks the vocabulary of vocabulary.py.
"use strict";

const fs = require("fs");
const http = require("http");
const https = require("https");
const { WebSocketServer } = require("ws");

const ABILITIES = ["echo", "subprotocol", "headers", "close", "close-on-message", "abort", "push",
  "flood", "ping", "reject", "redirect", "unauthorized", "drop", "fragments", "deflate",
  "deflate-flags", "deflate-query", "returns-code", "returns-reason"];
const SUBPROTOCOLS = ["superchat", "chat"];
const FLOOD_SECONDS = 60;
const FLOOD_MESSAGES = 100000;

function pattern(number, size) {
  return String(number).padStart(8, "0").padEnd(size, "x");
}

function number(query, name, otherwise) {
  return query.has(name) ? Number(query.get(name)) : otherwise;
}

function deflateOptions(query) {
  const chosen = { threshold: 0 };
  if (query.has("server_no_context_takeover")) chosen.serverNoContextTakeover = true;
  if (query.has("client_no_context_takeover")) chosen.clientNoContextTakeover = true;
  if (query.has("server_max_window_bits")) {
    chosen.serverMaxWindowBits = Number(query.get("server_max_window_bits"));
  }
  if (query.has("client_max_window_bits")) {
    chosen.clientMaxWindowBits = Number(query.get("client_max_window_bits"));
  }
  return chosen;
}

function refuse(socket, status, headers, body) {
  const fields = { Connection: "close", "Content-Length": Buffer.byteLength(body), ...headers };
  const lines = Object.entries(fields).map(([name, value]) => `${name}: ${value}\r\n`).join("");
  socket.end(`HTTP/1.1 ${status} ${http.STATUS_CODES[status]}\r\n${lines}\r\n${body}`);
}

// Returns whether the path refused the WebSocket.
function answerOverHTTP(name, query, request, socket) {
  if (name === "drop") {
    socket.destroy();
    return true;
  }
  if (name === "reject") {
    const fields = { "Content-Type": "application/json", "Retry-After": "7" };
    refuse(socket, 403, fields, '{"error": "forbidden"}');
    return true;
  }
  if (name === "redirect") {
    refuse(socket, number(query, "status", 302), { Location: query.get("to") }, "");
    return true;
  }
  const wanted = "Basic " + Buffer.from("user:secret").toString("base64");
  if (name === "unauthorized" && request.headers.authorization !== wanted) {
    refuse(socket, 401, { "WWW-Authenticate": 'Basic realm="peer"' }, "who?");
    return true;
  }
  return false;
}

function sendFragments(ws, parts, binary) {
  parts.forEach((part, index) => {
    ws.send(binary ? Buffer.from(part) : part, { fin: index === parts.length - 1, binary });
  });
}

function flood(ws, size) {
  const end = Date.now() + FLOOD_SECONDS * 1000;
  let count = 0;
  function more() {
    while (ws.readyState === 1) {
      if (count === FLOOD_MESSAGES || Date.now() > end) return ws.close(1000, "done");
      const text = pattern(count, size);
      count += 1;
      if (ws.bufferedAmount > 1 << 20) return ws.send(text, more);
      ws.send(text);
    }
    return undefined;
  }
  more();
}

function echoFurther(ws) {
  ws.on("message", (data, binary) => ws.send(data, { binary }));
}

const behaviours = {
  "close": (ws, query) => ws.close(number(query, "code", 1000), query.get("reason") || ""),
  "close-on-message": (ws, query) => ws.once("message", () => {
    ws.close(number(query, "code", 1000), query.get("reason") || "");
  }),
  "abort": (ws, query, request, socket) => ws.once("message", () => socket.resetAndDestroy()),
  "push": (ws, query) => {
    const binary = query.has("binary");
    for (let each = 0; each < number(query, "count", 1); each += 1) {
      const text = pattern(each, number(query, "size", 8));
      ws.send(binary ? Buffer.from(text) : text);
    }
    ws.close(1000, "done");
  },
  "flood": (ws, query) => flood(ws, number(query, "size", 1024)),
  "headers": (ws, query, request) => {
    ws.send(JSON.stringify(request.headers));
    echoFurther(ws);
  },
  "subprotocol": (ws) => {
    ws.send(ws.protocol);
    echoFurther(ws);
  },
  "fragments": (ws, query) => {
    const size = number(query, "size", 8);
    const count = number(query, "count", 3);
    const parts = Array.from({ length: count }, (_, each) => pattern(each, size).slice(0, size));
    sendFragments(ws, parts, query.has("binary"));
    echoFurther(ws);
  },
  "ping": (ws, query) => {
    ws.once("pong", (data) => ws.send(data.toString()));
    ws.ping(query.get("data") || "");
    echoFurther(ws);
  },
};
behaviours.unauthorized = behaviours.headers;

function onUpgrade(request, socket, head) {
  const url = new URL(request.url, "http://localhost");
  const name = url.pathname.slice(1);
  const query = url.searchParams;
  socket.on("error", () => {});
  if (answerOverHTTP(name, query, request, socket)) return;
  const server = new WebSocketServer({
    noServer: true,
    maxPayload: 64 * 1024 * 1024,
    perMessageDeflate: deflateOptions(query),
    handleProtocols: (offered) => SUBPROTOCOLS.find((each) => offered.has(each)) || false,
  });
  server.handleUpgrade(request, socket, head, (ws) => {
    ws.on("error", () => {});
    (behaviours[name] || echoFurther)(ws, query, request, socket);
  });
}

function listen(server) {
  server.on("upgrade", onUpgrade);
  return new Promise((resolve) => {
    server.listen(0, "127.0.0.1", () => resolve(server.address().port));
  });
}

function option(name) {
  const index = process.argv.indexOf(name);
  return index < 0 ? null : process.argv[index + 1];
}

async function main() {
  const port = await listen(http.createServer());
  let tlsPort = null;
  if (option("--cert-file") !== null) {
    const cert = fs.readFileSync(option("--cert-file"));
    const key = fs.readFileSync(option("--key-file"));
    tlsPort = await listen(https.createServer({ cert, key }));
  }
  console.log(JSON.stringify({ port, tls_port: tlsPort, abilities: ABILITIES }));
  process.stdin.on("end", () => process.exit(0));
  process.stdin.resume();
}

main();
