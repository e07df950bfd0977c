"""What callers may send, turned into payload bytes, or refused with a reason."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from ..protocol.opcodes import Opcode

__all__ = ["Buffer", "check_ping_payload", "encode_message"]

Buffer = bytes | bytearray | memoryview

_MAX_PING_SIZE = 125
_BINARY = Opcode.BINARY
_TEXT = Opcode.TEXT


def encode_message(message: object, *, binary: bool) -> tuple[Opcode, Buffer]:
    """Turn a message into the opcode and the payload to send.

    Args:
        message: ``str``, bytes-like, or a mapping, which is sent as JSON.
        binary: whether to send a binary frame instead of a text frame.

    Raises:
        TypeError: the message is of another type, or JSON cannot encode the mapping.
        ValueError: it has a lone surrogate; it is bytes for a text frame but not UTF-8; or
            JSON cannot encode a number or a cycle in the mapping.
    """
    opcode = _BINARY if binary else _TEXT
    if type(message) is str:
        return opcode, _encode_text(message)
    if isinstance(message, Mapping):
        message = _encode_json(message)
    if isinstance(message, str):
        return opcode, _encode_text(message)
    if not isinstance(message, bytes | bytearray | memoryview):
        raise TypeError(
            f"a message must be str, bytes, bytearray, memoryview or dict, not "
            f"{type(message).__name__}; "
            "use json.dumps() for other JSON values"
        )
    payload = _plain_buffer(message)
    if not binary:
        _check_utf8(payload)
    return opcode, payload


def check_ping_payload(data: object) -> bytes:
    """Return the payload of a ping (RFC 6455, section 5.5.2).

    Raises:
        TypeError: neither ``str`` nor bytes-like.
        ValueError: longer than 125 bytes.
    """
    if isinstance(data, str):
        data = _encode_text(data)
    if not isinstance(data, bytes | bytearray | memoryview):
        raise TypeError(f"ping data must be bytes-like or str, not {type(data).__name__}")
    payload = bytes(data)
    if len(payload) > _MAX_PING_SIZE:
        raise ValueError(
            f"ping data is {len(payload)} bytes; a control frame carries at most {_MAX_PING_SIZE}"
        )
    return payload


def _encode_text(text: str) -> bytes:
    try:
        return text.encode()
    except UnicodeEncodeError as exc:
        raise ValueError(
            f"the text has a lone surrogate at index {exc.start}, which UTF-8 cannot carry; "
            "send bytes with binary=True, or clean the text first"
        ) from exc


def _encode_json(message: Mapping[Any, Any]) -> str:
    try:
        return json.dumps(dict(message), allow_nan=False)
    except (TypeError, ValueError, RecursionError) as exc:
        kind = TypeError if isinstance(exc, TypeError) else ValueError
        raise kind(f"the dict cannot be sent as JSON: {exc}") from exc


def _plain_buffer(message: Buffer) -> Buffer:
    if not isinstance(message, memoryview):
        return message
    return message.cast("B") if message.c_contiguous else message.tobytes()


def _check_utf8(payload: Buffer) -> None:
    try:
        str(payload, "utf-8")
    except UnicodeDecodeError as exc:
        raise ValueError(
            f"these bytes are not UTF-8 at index {exc.start}, so they cannot be a text message; "
            "pass binary=True to send them as they are"
        ) from exc
