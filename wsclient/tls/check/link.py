"""One TCP connection with TLS between two buffers, driven by hand.

The transports of asyncio drop what the server said last when TCP fails, and do not say by an
alert why we refuse a server. Here what has arrived is always read, and what OpenSSL has to say is
always sent.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Callable
from typing import Final, Literal, TypeVar

from ..certificates.peer import chain_of
from ..handshake.context import HandshakeContext, HandshakeObject

__all__ = ["Aftermath", "EndedError", "Link"]

_T = TypeVar("_T")

_CHUNK: Final = 65536

_GRACE: Final = 0.1
"""Seconds for the server to change its mind, once everything points to success."""

Aftermath = Literal["ticket", "silence", "data", "eof"]
"""What came behind the handshake: a ticket for the next one, nothing, data, or the end."""


class EndedError(ConnectionError):
    """The server has ended TCP, and all that it sent before has been read.

    Attributes:
        reset: whether it was by RST, not by FIN.
    """

    def __init__(self, *, reset: bool) -> None:
        super().__init__("reset" if reset else "eof")
        self.reset = reset


class Link:
    """The client's end of one connection. One task may use it.

    Every method may be cancelled. Call `end` in the end, and then close the socket.

    Attributes:
        tls: the TLS of the connection.
        chain: the server's certificates in DER, the verified chain if one is verified; empty as
            long as they are not known. They stay known when TLS fails.
    """

    def __init__(
        self, raw: socket.socket, context: HandshakeContext, server_hostname: str
    ) -> None:
        self._raw = raw
        self._loop = asyncio.get_running_loop()
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        self._broken = False
        self.chain: tuple[bytes, ...] = ()
        self.tls: HandshakeObject = context.wrap_bio(
            self._incoming, self._outgoing, server_hostname=server_hostname
        )

    async def handshake(self) -> None:
        """Do the handshake. A server that we refuse is told why.

        Raises:
            EndedError: the server ended TCP.
            ssl.SSLError: the handshake failed.
            OSError: TCP failed.
        """
        await self._run(self._shake)
        await self._flush()

    async def settle(self, patience: float) -> Aftermath:
        """Wait for what the server says behind the handshake.

        Under TLS 1.3 it looks at our certificate only then.

        Args:
            patience: seconds to wait when it says nothing.

        Raises:
            EndedError: the server ended TCP by RST.
            ssl.SSLError: the server sent an alert.
            OSError: TCP failed.
        """
        try:
            async with asyncio.timeout(patience) as limit:
                data = await self._run(lambda: self._read(limit))
        except TimeoutError:
            if not limit.expired():
                raise  # It is TCP's.
            return (
                "ticket" if self.tls.confirmed and self.tls.version() == "TLSv1.3" else "silence"
            )
        except EndedError as exc:
            if exc.reset:
                raise
            return "eof"
        # Nothing is read when the server has sent `close_notify`.
        return "data" if data else "eof"

    def end(self) -> None:
        """Say that nothing more will come, if the handshake has succeeded. TCP is left alone."""
        if not self.tls.established or self._broken:
            return
        try:
            self.tls.unwrap()
        except OSError:
            pass  # The server's answer is not waited for.
        try:
            self._raw.send(self._outgoing.read())
        except OSError:
            pass  # It has gone already.

    def _shake(self) -> None:
        try:
            self.tls.do_handshake()
        finally:
            # With TLS 1.2 the server may refuse us when we have seen its certificates; OpenSSL
            # forgets them then.
            self.chain = self.chain or chain_of(self.tls)

    def _read(self, limit: asyncio.Timeout) -> bytes:
        """Read; once the server is known to be content there is not much more to wait for."""
        try:
            return self.tls.read(_CHUNK)
        except ssl.SSLWantReadError:
            end = self._loop.time() + _GRACE
            if self.tls.confirmed and (limit.when() or end) > end:
                limit.reschedule(end)
            raise

    async def _run(self, operation: Callable[[], _T]) -> _T:
        """Do something in TLS until it needs nothing more from the server."""
        while True:
            try:
                return operation()
            except ssl.SSLWantReadError:
                await self._flush()
                await self._fill()
            except ssl.SSLError:
                # OpenSSL may have written an alert.
                await self._flush()
                raise

    async def _flush(self) -> None:
        data = self._outgoing.read()
        if not data or self._broken:
            return
        try:
            await self._loop.sock_sendall(self._raw, data)
        except (ConnectionResetError, BrokenPipeError):
            # What the server said before is still to be read.
            self._broken = True

    async def _fill(self) -> None:
        try:
            data = await self._loop.sock_recv(self._raw, _CHUNK)
        except ConnectionResetError:
            raise EndedError(reset=True) from None
        if not data:
            raise EndedError(reset=self._broken)
        self._incoming.write(data)
