"""Compression of messages: the permessage-deflate extension (RFC 7692).

`negotiate` reads the server's answer to a `DeflateOffer`. A `Deflater` compresses the messages
that we send, an `Inflater` those that we receive; each serves one direction of one connection.

Memory of one connection, from zlib's own formulae: a compressor takes
``2 ** (window_bits + 2) + 2 ** (mem_level + 9)`` bytes and about 6 KiB more, a decompressor
``2 ** window_bits`` bytes and about 7 KiB more:

===========  =========  ==========  ============
window bits  mem_level  compressor  decompressor
===========  =========  ==========  ============
15           8          262 KiB     39 KiB
15           5          150 KiB     39 KiB
12           8          150 KiB     11 KiB
12           5          38 KiB      11 KiB
9            1          9 KiB       8 KiB
===========  =========  ==========  ============

Nothing is taken before the first compressed message. Without context takeover it is taken
for the time of one message only: an idle connection then holds nothing, and a new object for
each message costs one or two microseconds, less than the message itself.

zlib-ng, where it is installed, takes the place of zlib where zlib would take the most memory:
for windows of 15 bits, and to compress with a memory level of 8 or 9. There it takes 342 KiB
for a compressor and 41 KiB for a decompressor. Smaller settings would hardly make it smaller, so
whoever asks for them gets zlib. What either writes, either reads.
"""

from __future__ import annotations

import sys
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from ..errors import MessageTooBigError, ProtocolError
from .roles import Role
from .zlibs import fast_zlib

__all__ = ["DeflateOffer", "DeflateParameters", "Deflater", "Inflater", "negotiate"]

_FLAGS: Final = {
    "server_no_context_takeover": "RFC 7692, section 7.1.1.1",
    "client_no_context_takeover": "RFC 7692, section 7.1.1.2",
}
_SIZES: Final = {
    "server_max_window_bits": "RFC 7692, section 7.1.2.1",
    "client_max_window_bits": "RFC 7692, section 7.1.2.2",
}
_SECTIONS: Final = _FLAGS | _SIZES
# Looked up, not passed to int(): that would take " 9", "+9", "1_0" and "09" as well.
_WINDOW_BITS: Final = {str(bits): bits for bits in range(8, 16)}

_MAX_WINDOW_BITS: Final = 15
_EMPTY_MESSAGE: Final = b"\x00"
_TRAILER: Final = b"\x00\x00\xff\xff"
_EMPTY_BLOCKS: Final = _TRAILER + b"\x00\x00\x00\xff\xff" * 64
"""Longer than the header of any block, which would swallow a few.

That has 286 bytes at most (RFC 1951, section 3.2.7): 74 bits, and 7 for each of 316 lengths.
"""
_LAST_BLOCK: Final = _TRAILER + b"\x03\x00"
_ROOMY_MEM_LEVEL: Final = 8
_MAX_STREAMS: Final = 1024
_STREAM_CHUNK: Final = 4096


@dataclass(frozen=True, slots=True)
class DeflateOffer:
    """What one end wants of compression; what a client offers (RFC 7692, section 7.1).

    Args:
        server_no_context_takeover: the server shall compress each message on its own.
        client_no_context_takeover: the client shall do so.
        server_max_window_bits: 8..15, the largest window that the server may use; ``None``
            does not ask for a limit.
        client_max_window_bits: 8..15, the largest window that the client shall use; ``None``
            leaves it to the other end, 15 if that does not care.

    Raises:
        ValueError: the bits are not within 8..15.
    """

    server_no_context_takeover: bool = False
    client_no_context_takeover: bool = False
    server_max_window_bits: int | None = None
    client_max_window_bits: int | None = None

    def __post_init__(self) -> None:
        for name in _SIZES:
            _check_range(name, getattr(self, name), 8, _MAX_WINDOW_BITS)

    def header(self) -> str:
        """Return the offer as a value of the Sec-WebSocket-Extensions header."""
        parts = ["permessage-deflate"]
        parts += [name for name in _FLAGS if getattr(self, name)]
        if self.server_max_window_bits is not None:
            parts.append(f"server_max_window_bits={self.server_max_window_bits}")
        # Always offered: a server may limit our window only if we say that we can obey
        # (RFC 7692, section 7.1.2.2).
        if self.client_max_window_bits is None:
            parts.append("client_max_window_bits")
        else:
            parts.append(f"client_max_window_bits={self.client_max_window_bits}")
        return "; ".join(parts)


@dataclass(frozen=True, slots=True)
class DeflateParameters:
    """What client and server agreed on, as both sides must obey it.

    Args:
        server_no_context_takeover: the server compresses each message on its own.
        client_no_context_takeover: the client does so.
        server_max_window_bits: 8..15, the largest window that the server uses.
        client_max_window_bits: 8..15, the largest window that the client uses.
    """

    server_no_context_takeover: bool = False
    client_no_context_takeover: bool = False
    server_max_window_bits: int = _MAX_WINDOW_BITS
    client_max_window_bits: int = _MAX_WINDOW_BITS

    def window_bits(self, sender: Role) -> int:
        """Return the window of what one end sends."""
        client = sender is Role.CLIENT
        return self.client_max_window_bits if client else self.server_max_window_bits

    def no_context_takeover(self, sender: Role) -> bool:
        """Return whether one end compresses each message on its own."""
        client = sender is Role.CLIENT
        return self.client_no_context_takeover if client else self.server_no_context_takeover


def negotiate(
    offer: DeflateOffer, parameters: Sequence[tuple[str, str | None]]
) -> DeflateParameters:
    """Return what the server's answer to `offer` makes of the connection.

    Args:
        offer: what was sent.
        parameters: names and values from the answer; ``None`` where a name has no value.

    Raises:
        ProtocolError: the answer has an unknown, repeated or invalid parameter, or does not
            keep to the offer (RFC 7692, sections 7.1, 7.1.1 and 7.1.2).
    """
    answer = _read_answer(parameters)
    # What we ask of the server it accepts by repeating it; it may also take it on itself
    # unasked (RFC 7692, sections 7.1.1.1 and 7.1.2.1).
    if offer.server_no_context_takeover and "server_no_context_takeover" not in answer:
        raise _unkept("server_no_context_takeover", "it left it out")
    server_bits = _agreed_bits("server_max_window_bits", offer.server_max_window_bits, answer)
    # Deviation: an answer to 15 may leave the parameter out, as aiohttp's does, for 15 is what
    # holds without it.
    asked = offer.server_max_window_bits or _MAX_WINDOW_BITS
    if asked < _MAX_WINDOW_BITS and "server_max_window_bits" not in answer:
        raise _unkept("server_max_window_bits", "it left it out")
    # What we say of ourselves is a hint that the server may leave unanswered; we keep to it
    # all the same (RFC 7692, sections 7.1.1.2 and 7.1.2.2).
    client_bits = _agreed_bits("client_max_window_bits", offer.client_max_window_bits, answer)
    return DeflateParameters(
        server_no_context_takeover="server_no_context_takeover" in answer,
        client_no_context_takeover=offer.client_no_context_takeover
        or "client_no_context_takeover" in answer,
        server_max_window_bits=server_bits,
        client_max_window_bits=client_bits,
    )


def _agreed_bits(name: str, offered: int | None, answer: dict[str, int]) -> int:
    limit = _MAX_WINDOW_BITS if offered is None else offered
    bits = answer.get(name, limit)
    # RFC 7692, section 7.1.2: the answer is the same as the offer, or smaller.
    if bits > limit:
        raise _unkept(f"{name}={limit}", f"it answered {bits}; {limit} or less is allowed")
    return bits


def _unkept(asked: str, fault: str) -> ProtocolError:
    return ProtocolError(
        f"The server did not keep to permessage-deflate's {asked} that was offered: {fault}",
        section=_SECTIONS[asked.partition("=")[0]],
    )


def _read_answer(parameters: Sequence[tuple[str, str | None]]) -> dict[str, int]:
    answer: dict[str, int] = {}
    for name, value in parameters:
        # RFC 7692, section 7.1: each of these three fails the connection.
        if name not in _SECTIONS:
            raise ProtocolError(
                f"The server answered with {name[:100]!r}, which permessage-deflate lacks",
                section="RFC 7692, section 7.1",
            )
        if name in answer:
            raise ProtocolError(
                f"The server answered with {name} more than once",
                section="RFC 7692, section 7.1",
            )
        answer[name] = _read_value(name, value)
    return answer


def _read_value(name: str, value: str | None) -> int:
    if name in _FLAGS:
        if value is not None:
            raise _invalid(name, value, "it takes no value")
        return 1
    if value not in _WINDOW_BITS:
        raise _invalid(name, value, "it needs a number from 8 to 15, without leading zeros")
    return _WINDOW_BITS[value]


def _invalid(name: str, value: str | None, rule: str) -> ProtocolError:
    shown = name if value is None else f"{name}={value[:100]!r}"
    return ProtocolError(f"The server answered with {shown}; {rule}", section=_SECTIONS[name])


def _check_range(name: str, value: int | None, low: int, high: int) -> None:
    if value is not None and not low <= value <= high:
        raise ValueError(f"{name} is {value}; it must be from {low} to {high}")


class Deflater:
    """Compress the messages of one direction of one connection (RFC 7692, section 7.2.1).

    A call that fails or is interrupted leaves the direction usable: the next message is then
    compressed without reference to earlier ones, which every receiver understands.

    Args:
        window_bits: 8..15, from the agreed parameters.
        no_context_takeover: compress each message on its own.
        level: -1..9, zlib's compression level; -1 is zlib's default, 0 stores.
        mem_level: 1..9, zlib's memory level; see the table above.

    Raises:
        ValueError: a number is out of its range.
    """

    __slots__ = (
        "_level",
        "_mem_level",
        "_no_context_takeover",
        "_stream",
        "_window_bits",
        "_zlib",
    )

    def __init__(
        self, *, window_bits: int, no_context_takeover: bool, level: int = 6, mem_level: int = 8
    ) -> None:
        _check_range("window_bits", window_bits, 8, _MAX_WINDOW_BITS)
        _check_range("level", level, -1, 9)
        _check_range("mem_level", mem_level, 1, 9)
        # zlib has no raw compressor with 8 bits. Its compressor with 9 bits never refers back
        # further than 2**9 - 262 = 250 bytes, since it keeps the longest match and some more
        # ahead of the window, so a receiver with 2**8 bytes can read what it writes.
        self._window_bits = max(window_bits, 9)
        self._no_context_takeover = no_context_takeover
        self._level = level
        self._mem_level = mem_level
        roomy = window_bits == _MAX_WINDOW_BITS and mem_level >= _ROOMY_MEM_LEVEL
        self._zlib = fast_zlib if roomy else zlib
        self._stream: zlib._Compress | None = None

    def compress(self, payload: bytes | bytearray | memoryview) -> bytes:
        """Return a whole message compressed, without the last four bytes (section 7.2.1).

        The caller must send what is returned, in the order of the calls.

        Raises:
            BufferError: `payload` is a memoryview that is not contiguous.
        """
        if not payload:
            # RFC 7692, section 7.2.3.6. zlib is not asked: it may write nothing at all for a
            # flush that follows a flush.
            return _EMPTY_MESSAGE
        # Until the message is complete the stream is out of place: whatever happens in
        # between, no later message refers to one that never left.
        stream, self._stream = self._stream, None
        if stream is None:
            stream = self._zlib.compressobj(
                self._level, zlib.DEFLATED, -self._window_bits, self._mem_level
            )
        data: bytes = stream.compress(payload) + stream.flush(zlib.Z_SYNC_FLUSH)
        if not self._no_context_takeover:
            self._stream = stream
        return data[: -len(_TRAILER)]

    def forget(self) -> None:
        """Refer to no earlier message in the next one, and let go of the memory for it."""
        self._stream = None


class Inflater:
    """Decompress the messages of one direction of one connection (RFC 7692, section 7.2.2).

    After an error it is of no further use; the connection has to be failed.

    Attributes:
        before_error: what the call that raised had decompressed before the fault, as far as zlib
            tells; the content of a message may be wrong earlier than its compression.

    Args:
        window_bits: 8..15, from the agreed parameters; how much is kept of what has come out. A
            peer that refers further back is not always found out.
        no_context_takeover: each message was compressed on its own.
        role: which end we are; it only names the other one in errors.

    Raises:
        ValueError: `window_bits` is out of its range.
    """

    __slots__ = (
        "_behind",
        "_inside",
        "_no_context_takeover",
        "_peer",
        "_size",
        "_stream",
        "_streams",
        "_window_bits",
        "_zlib",
        "before_error",
    )

    def __init__(
        self, *, window_bits: int, no_context_takeover: bool, role: Role = Role.CLIENT
    ) -> None:
        _check_range("window_bits", window_bits, 8, _MAX_WINDOW_BITS)
        self._window_bits = window_bits
        self._no_context_takeover = no_context_takeover
        self._peer = role.peer
        self._zlib = fast_zlib if window_bits == _MAX_WINDOW_BITS else zlib
        self._stream: zlib._Decompress | None = None
        self._behind = 0
        self.before_error = b""
        self._begin_message()

    def _begin_message(self) -> None:
        self._inside = False
        self._size = 0
        self._streams = 0

    def feed(self, piece: bytes | bytearray | memoryview, limit: int | None) -> bytes:
        """Decompress a piece of a message, cut anywhere.

        Args:
            piece: bytes from the wire.
            limit: how many bytes may still come out of this message, 0 or more; ``None`` is
                no limit. No more than one byte beyond it is ever decompressed.

        Raises:
            ProtocolError: `piece` is not DEFLATE data, or was found to refer back beyond the
                window.
            MessageTooBigError: more than `limit` bytes would come out; its `limit` is that of
                the whole message. Also for more than 1024 final blocks in one message.
        """
        if not piece:
            return b""
        out = self._run(piece, limit)
        if self._inside:
            return out
        rest = memoryview(piece)[len(piece) - self._behind :]
        return self._feed_behind_final([out], rest, limit)

    def _feed_behind_final(self, parts: list[bytes], rest: memoryview, limit: int | None) -> bytes:
        room = None if limit is None else limit - len(parts[0])
        while rest:
            # zlib copies what it leaves behind a final block. Small chunks keep a message of
            # many final blocks from costing the square of its length.
            chunk = rest[:_STREAM_CHUNK]
            try:
                out = self._run(chunk, room)
            except (ProtocolError, MessageTooBigError):
                self.before_error = b"".join(parts) + self.before_error
                raise
            parts.append(out)
            rest = rest[len(chunk) - self._behind :]
            if room is not None:
                room -= len(out)
        return b"".join(parts)

    def finish(self) -> None:
        """End the message; nothing more comes out of it.

        Raises:
            ProtocolError: the message ended in the middle of DEFLATE data.
        """
        # Deviation: a message of no bytes at all counts as empty. RFC 7692, section 7.2.3.6,
        # asks for one zero byte, but zlib writes nothing for a second flush in a row, and a
        # server that does not know this sends just that. Likewise nothing need follow a final
        # block, where section 7.2.3.4 asks for one zero byte.
        if self._inside:
            self._check_boundary()
        if self._no_context_takeover:
            self._stream = None
        self._begin_message()

    def _open_stream(self) -> zlib._Decompress:
        self._streams += 1
        if self._streams > _MAX_STREAMS:
            raise MessageTooBigError(
                f"The {self._peer} sent a message with more than {_MAX_STREAMS} final DEFLATE "
                "blocks",
                limit=_MAX_STREAMS,
            )
        stream: zlib._Decompress = self._zlib.decompressobj(-self._window_bits)
        self._stream = stream
        return stream

    def _run(self, chunk: bytes | bytearray | memoryview, room: int | None) -> bytes:
        stream = self._stream or self._open_stream()
        # zlib takes 0 for "no limit". One byte more than the room tells "full" from "too
        # full"; all input is used up unless that byte comes out.
        most = 0 if room is None else min(room + 1, sys.maxsize)
        try:
            out = stream.decompress(chunk, most)
        except self._zlib.error as exc:
            raise self._not_deflate(exc) from exc
        if room is not None and len(out) > room:
            total = self._size + room
            self.before_error = out[:room]
            raise MessageTooBigError(
                f"The {self._peer} sent a compressed message of more than {total} bytes; "
                f"max_message_size is {total}",
                limit=total,
            )
        self._size += len(out)
        self._behind = 0
        self._inside = not stream.eof
        if self._inside:
            return out
        # RFC 7692, section 7.2.3.4: a block with BFINAL ends zlib's stream but not the message.
        # Deviation: its window ends with it, also where section 7.2.2 would keep it. zlib as
        # the sender starts afresh too, and keeping it would copy all output once more.
        self._stream = None
        self._behind = len(stream.unused_data)
        return out

    def _check_boundary(self) -> None:
        # RFC 7692, section 7.2.1: a message ends with a whole block, but for the four bytes that
        # the sender took away. Otherwise it would be delivered cut short, and the fault show in
        # the next one. zlib does not say where it stands. Where nothing follows, one more block
        # can be the final one, and must end just there. Else it has to be blocks that leave no
        # trace between blocks, and that nearly anywhere else fail, end the stream or come out.
        stream = self._stream
        assert stream is not None
        last = self._no_context_takeover
        try:
            out = stream.decompress(_LAST_BLOCK if last else _EMPTY_BLOCKS, 1)
        except self._zlib.error as exc:
            raise self._cut() from exc
        if out or stream.eof != last or stream.unused_data:
            raise self._cut()

    def _cut(self) -> ProtocolError:
        return ProtocolError(
            f"The {self._peer} sent a compressed message that ends in the middle of a DEFLATE "
            "block",
            section="RFC 7692, section 7.2.1",
            close_code=1007,
        )

    def _not_deflate(self, exc: Exception) -> ProtocolError:
        # The RFCs give no code for this. 1007 is "data not consistent with the type of the
        # message" (RFC 6455, section 7.4.1), and it is what Node's ws and wsproto send.
        reason = str(exc).rpartition(": ")[2]
        window = f" (the agreed window is 2**{self._window_bits} bytes)"
        return ProtocolError(
            f"The {self._peer} sent a compressed message that is not valid DEFLATE data: {reason}"
            + (window if "too far back" in reason else ""),
            section="RFC 7692, section 7.2.2",
            close_code=1007,
        )
