"""Clients made with other libraries, all driven by the same steps."""

from __future__ import annotations

import asyncio
import base64
import importlib.util
import json
import shutil
import ssl
import subprocess
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from support.unavailable import UnavailableError

__all__ = ["STRANGERS", "Outcome", "Step", "visit"]

Step = tuple[Any, ...]
"""``("send", message)``, ``("fragments", [message, ...])``, ``("receive",)``, ``("ping", data)``
(which waits for the pong), ``("close", code, reason)`` or ``("wait_closed",)``."""

STRANGERS: dict[str, frozenset[str]] = {
    "websockets": frozenset({"fragments", "compression", "flags"}),
    "aiohttp": frozenset({"compression", "flags"}),
    "tornado": frozenset({"compression"}),
    "picows": frozenset({"fragments"}),
    "ws": frozenset({"fragments", "compression", "flags"}),
}
"""The clients, and what not all of them can do; ``flags`` is to read an answer's parameters that
have no value, which Tornado drops (RFC 7692, section 7.1.1.2, has a client obey them)."""

_MAX_SIZE = 4 * 1024 * 1024
_NODE_TIMEOUT = 20.0


@dataclass
class Outcome:
    """What a client has seen.

    Attributes:
        received: messages, in order.
        pongs: payloads, in order.
        subprotocol: chosen by the server.
        code: in the server's Close frame.
        reason: in the server's Close frame.
    """

    received: list[str | bytes] = field(default_factory=list)
    pongs: list[bytes] = field(default_factory=list)
    subprotocol: str | None = None
    code: int | None = None
    reason: str = ""


@dataclass
class Visit:
    """Where a client goes, and what it does there."""

    url: str
    steps: Sequence[Step]
    subprotocols: list[str]
    compression: bool
    ca_file: Path | None

    @property
    def context(self) -> ssl.SSLContext | None:
        """A context that trusts the server, for ``wss://``."""
        return None if self.ca_file is None else ssl.create_default_context(cafile=self.ca_file)


async def visit(
    name: str,
    url: str,
    steps: Sequence[Step],
    *,
    subprotocols: Sequence[str] = (),
    compression: bool = False,
    ca_file: Path | None = None,
) -> Outcome:
    """Have a client connect and take all steps.

    Raises:
        UnavailableError: the library is not installed.
    """
    if name != "ws" and importlib.util.find_spec(name) is None:
        raise UnavailableError(f"{name} is not installed, so that it cannot be a client")
    return await _CLIENTS[name](Visit(url, steps, list(subprotocols), compression, ca_file))


async def _take(
    visit: Visit, outcome: Outcome, actions: dict[str, Callable[..., Awaitable[Any]]]
) -> None:
    for kind, *arguments in visit.steps:
        result = await actions[kind](*arguments)
        if kind == "receive":
            outcome.received.append(result)
        elif kind == "ping":
            outcome.pongs.append(result)


# --- websockets -----------------------------------------------------------------------------


async def _websockets(visit: Visit) -> Outcome:
    from websockets.asyncio.client import connect
    from websockets.typing import Subprotocol

    outcome = Outcome()
    async with connect(
        visit.url,
        subprotocols=[Subprotocol(each) for each in visit.subprotocols] or None,
        compression="deflate" if visit.compression else None,
        ssl=visit.context,
        max_size=_MAX_SIZE,
        proxy=None,
    ) as ws:
        outcome.subprotocol = ws.subprotocol

        async def ping(data: bytes) -> bytes:
            await (await ws.ping(data))
            return data

        await _take(
            visit,
            outcome,
            {
                "send": ws.send,
                "fragments": ws.send,  # which makes a fragment of each element
                "receive": ws.recv,
                "ping": ping,
                "close": ws.close,
                "wait_closed": ws.wait_closed,
            },
        )
        outcome.code, outcome.reason = ws.close_code, ws.close_reason or ""
    return outcome


# --- aiohttp --------------------------------------------------------------------------------


async def _aiohttp(visit: Visit) -> Outcome:
    import aiohttp

    outcome = Outcome()
    kinds = aiohttp.WSMsgType
    async with (
        aiohttp.ClientSession() as session,
        session.ws_connect(
            visit.url,
            protocols=visit.subprotocols,
            compress=15 if visit.compression else 0,
            ssl=visit.context or True,
            autoping=False,
            max_msg_size=_MAX_SIZE,
        ) as ws,
    ):
        outcome.subprotocol = ws.protocol

        async def message() -> aiohttp.WSMessage:
            while (got := await ws.receive()).type is kinds.PING:
                await ws.pong(got.data)
            return got

        async def send(message: str | bytes) -> None:
            await (ws.send_str(message) if isinstance(message, str) else ws.send_bytes(message))

        async def receive() -> Any:
            got = await message()
            assert got.type in (kinds.TEXT, kinds.BINARY), got
            return got.data

        async def ping(data: bytes) -> Any:
            await ws.ping(data)
            got = await message()
            assert got.type is kinds.PONG
            return got.data

        async def close(code: int, reason: str) -> None:
            await ws.close(code=code, message=reason.encode())

        async def wait_closed() -> None:
            got = await message()
            assert got.type is kinds.CLOSE, got
            outcome.reason = got.extra or ""

        await _take(
            visit,
            outcome,
            {
                "send": send,
                "receive": receive,
                "ping": ping,
                "close": close,
                "wait_closed": wait_closed,
            },
        )
        outcome.code = ws.close_code
    return outcome


# --- tornado --------------------------------------------------------------------------------


async def _tornado(visit: Visit) -> Outcome:
    from tornado.httpclient import HTTPRequest
    from tornado.websocket import websocket_connect

    outcome = Outcome()
    ws = await websocket_connect(
        HTTPRequest(visit.url, ssl_options=visit.context),
        subprotocols=visit.subprotocols or None,
        compression_options={} if visit.compression else None,
        max_message_size=_MAX_SIZE,
    )
    outcome.subprotocol = ws.selected_subprotocol
    pongs: asyncio.Queue[bytes] = asyncio.Queue()
    ws.on_pong = pongs.put_nowait  # type: ignore[assignment, method-assign]  # no other way

    async def send(message: str | bytes) -> None:
        await ws.write_message(message, binary=isinstance(message, bytes))

    async def ping(data: bytes) -> bytes:
        ws.ping(data)
        return await pongs.get()

    async def wait_closed() -> None:
        assert await ws.read_message() is None

    async def close(code: int, reason: str) -> None:
        ws.close(code, reason)
        await wait_closed()

    await _take(
        visit,
        outcome,
        {
            "send": send,
            "receive": ws.read_message,
            "ping": ping,
            "close": close,
            "wait_closed": wait_closed,
        },
    )
    outcome.code, outcome.reason = ws.close_code, ws.close_reason or ""
    ws.close()  # Without it, Tornado complains, though the connection is closed.
    return outcome


# --- picows ---------------------------------------------------------------------------------


async def _picows(visit: Visit) -> Outcome:
    from picows import WSFrame, WSListener, WSMsgType, WSTransport, ws_connect

    outcome = Outcome()
    messages: asyncio.Queue[str | bytes] = asyncio.Queue()
    pongs: asyncio.Queue[bytes] = asyncio.Queue()
    parts: list[bytes] = []
    kinds: list[Any] = []

    class Listener(WSListener):
        def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
            if frame.msg_type == WSMsgType.CLOSE:
                outcome.code = frame.get_close_code().value
                outcome.reason = frame.get_close_reason() or ""
                # It answers nothing by itself, and does nothing if it has sent one.
                if not transport.is_close_frame_sent:
                    transport.send_close(frame.get_close_code(), frame.get_close_message())
            elif frame.msg_type == WSMsgType.PONG:
                pongs.put_nowait(frame.get_payload_as_bytes())
            elif frame.msg_type != WSMsgType.PING:
                if frame.msg_type != WSMsgType.CONTINUATION:
                    parts.clear()
                    kinds[:] = [frame.msg_type]
                parts.append(frame.get_payload_as_bytes())
                if frame.fin:
                    data = b"".join(parts)
                    messages.put_nowait(data.decode() if kinds == [WSMsgType.TEXT] else data)

    headers = {"Sec-WebSocket-Protocol": ", ".join(visit.subprotocols)}
    transport, _ = await ws_connect(
        Listener,
        visit.url,
        ssl_context=visit.context,
        extra_headers=headers if visit.subprotocols else None,
        max_frame_size=_MAX_SIZE,
    )
    outcome.subprotocol = transport.response.headers.get("Sec-WebSocket-Protocol")

    def kind(message: str | bytes) -> WSMsgType:
        return WSMsgType.TEXT if isinstance(message, str) else WSMsgType.BINARY

    async def send(message: str | bytes) -> None:
        transport.send(kind(message), message)

    async def fragments(parts: list[Any]) -> None:
        for number, part in enumerate(parts):
            opcode = WSMsgType.CONTINUATION if number else kind(part)
            transport.send(opcode, part, number == len(parts) - 1)

    async def ping(data: bytes) -> bytes:
        transport.send_ping(data)
        return await pongs.get()

    async def close(code: Any, reason: str) -> None:
        transport.send_close(code, reason.encode())
        await transport.wait_disconnected()

    await _take(
        visit,
        outcome,
        {
            "send": send,
            "fragments": fragments,
            "receive": messages.get,
            "ping": ping,
            "close": close,
            "wait_closed": transport.wait_disconnected,
        },
    )
    return outcome


# --- Node's ws ------------------------------------------------------------------------------

_NODE_SCRIPT = r"""
"use strict";
const { readFileSync } = require("fs");
const WebSocket = require("ws");
const visit = JSON.parse(readFileSync(0));
const outcome = { received: [], pongs: [], subprotocol: null, code: null, reason: "" };
const plain = (each) => (each.text === undefined ? Buffer.from(each.binary, "base64") : each.text);
const ws = new WebSocket(visit.url, visit.subprotocols, {
  perMessageDeflate: visit.compression ? { threshold: 0 } : false,
  ca: visit.ca === null ? undefined : visit.ca,
});
const messages = [];
const pongs = [];
const waiters = [];
let closed = false;
const changed = () => waiters.splice(0).forEach((wake) => wake());
async function until(ready) {
  while (!ready()) await new Promise((resolve) => waiters.push(resolve));
}
ws.on("message", (data, binary) => {
  messages.push(binary ? { binary: data.toString("base64") } : { text: data.toString() });
  changed();
});
ws.on("pong", (data) => { pongs.push(data.toString("base64")); changed(); });
ws.on("close", (code, reason) => {
  closed = true;
  outcome.code = code;
  outcome.reason = reason.toString();
  changed();
});
const actions = {
  send: (message) => ws.send(plain(message)),
  fragments: (parts) => parts.forEach((part, number) => {
    ws.send(plain(part), { fin: number === parts.length - 1, binary: part.text === undefined });
  }),
  receive: async () => {
    await until(() => messages.length);
    outcome.received.push(messages.shift());
  },
  ping: async (data) => {
    ws.ping(plain(data));
    await until(() => pongs.length);
    outcome.pongs.push(pongs.shift());
  },
  close: async (code, reason) => { ws.close(code, reason); await until(() => closed); },
  wait_closed: () => until(() => closed),
};
ws.on("open", async () => {
  outcome.subprotocol = ws.protocol || null;
  for (const [kind, ...rest] of visit.steps) await actions[kind](...rest);
  console.log(JSON.stringify(outcome));
});
"""


def _to_node(value: Any) -> Any:
    if isinstance(value, str):
        return {"text": value}
    if isinstance(value, bytes):
        return {"binary": base64.b64encode(value).decode()}
    return [_to_node(each) for each in value]


def _from_node(value: dict[str, str]) -> str | bytes:
    return value["text"] if "text" in value else base64.b64decode(value["binary"])


def _node_step(step: Step) -> list[Any]:
    kind, *arguments = step
    plain = kind == "close"
    return [kind, *(arguments if plain else [_to_node(each) for each in arguments])]


def _run_node(visit: Visit) -> Outcome:
    node = shutil.which("node")
    if node is None:
        raise UnavailableError("node is not installed, so that ws cannot be a client")
    if subprocess.run([node, "-e", "require('ws')"], capture_output=True, check=False).returncode:
        raise UnavailableError("Node finds no module 'ws'; `make test` puts it on NODE_PATH")
    spec = {
        "url": visit.url,
        "steps": [_node_step(step) for step in visit.steps],
        "subprotocols": visit.subprotocols,
        "compression": visit.compression,
        "ca": None if visit.ca_file is None else visit.ca_file.read_text(),
    }
    result = subprocess.run(
        [node, "-e", _NODE_SCRIPT],
        input=json.dumps(spec),
        capture_output=True,
        text=True,
        timeout=_NODE_TIMEOUT,
        check=False,
    )
    assert result.returncode == 0, result.stderr[-2000:]
    said = json.loads(result.stdout)
    return Outcome(
        [_from_node(each) for each in said["received"]],
        [base64.b64decode(each) for each in said["pongs"]],
        said["subprotocol"],
        said["code"],
        said["reason"],
    )


async def _ws(visit: Visit) -> Outcome:
    return await asyncio.to_thread(_run_node, visit)


_CLIENTS: dict[str, Callable[[Visit], Awaitable[Outcome]]] = {
    "websockets": _websockets,
    "aiohttp": _aiohttp,
    "tornado": _tornado,
    "picows": _picows,
    "ws": _ws,
}
