"""A TLS server in threads, which says by an alert why it refuses a client.

Servers on asyncio send no alert when they refuse a client's certificate: they only end TCP. This
one does what OpenSSL does on a blocking socket, as most servers that are not Python do.
"""

from __future__ import annotations

import dataclasses
import inspect
import selectors
import socket
import ssl
import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import Any, Final, Literal, Self, TypeVar, get_args

from cryptography import x509

from ..listening import check_server_context, report_errors
from .stream import TLSStream, echo

__all__ = ["AfterRejection", "TLSConnectionRecord", "ThreadedTLSServer"]

AfterRejection = Literal["drain", "close", "reset"]
"""What a server does with TCP behind the alert; `ThreadedTLSServer` explains it."""

_E = TypeVar("_E", bound=BaseException)

_STOP_TIMEOUT: Final = 5.0
"""Seconds that a handler may take to return after its connection has ended."""


@dataclasses.dataclass(frozen=True)
class TLSConnectionRecord:
    """What has happened to one connection so far. Immutable.

    Attributes:
        number: of the connection, from 0, in the order in which they were accepted.
        established: whether the handshake succeeded on the server's side. Under TLS 1.3 the
            client's side succeeds earlier: before its certificate has been looked at.
        closed: whether the server has closed the connection.
        version: such as ``"TLSv1.3"``; ``None`` without a handshake, as all that follows.
        cipher: name of the cipher suite.
        alpn: protocol agreed by ALPN (RFC 7301).
        session_reused: whether an earlier session was resumed.
        peer_certificate_der: the client's certificate, if it was asked for and showed one.
        handshake_error: why the handshake failed; an `ssl.SSLError`, or another `OSError` if the
            client went away. ``None`` if it did not fail.
        alert_sent: whether the server told the client by an alert that the handshake failed.
        error: what ended the open connection in the handler's hands, such as an alert of the
            client; ``None`` if nothing did.
    """

    number: int
    established: bool = False
    closed: bool = False
    version: str | None = None
    cipher: str | None = None
    alpn: str | None = None
    session_reused: bool = False
    peer_certificate_der: bytes | None = None
    handshake_error: OSError | None = None
    alert_sent: bool = False
    error: OSError | EOFError | None = None

    @property
    def peer_certificate(self) -> x509.Certificate | None:
        """The client's certificate, ``None`` if it showed none.

        Raises:
            ValueError: `cryptography` cannot read it.
        """
        der = self.peer_certificate_der
        return None if der is None else x509.load_der_x509_certificate(der)

    @property
    def reason(self) -> str:
        """OpenSSL's name for why the handshake failed; empty if it has none."""
        return str(getattr(self.handshake_error, "reason", None) or "")

    @property
    def verify_code(self) -> int | None:
        """OpenSSL's code for why the client's certificate was refused; ``None`` if it was not."""
        code = getattr(self.handshake_error, "verify_code", None)
        return code if isinstance(code, int) else None


class _Connection:
    """One accepted connection: its thread, its socket and its record."""

    def __init__(self, number: int, raw: socket.socket) -> None:
        self.record = TLSConnectionRecord(number)
        self.thread: threading.Thread | None = None
        self._raw = raw
        self._lock = threading.Lock()

    def interrupt(self) -> None:
        """End TCP, from another thread: whoever reads or writes there goes on at once."""
        with self._lock:
            try:
                self._raw.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass  # It has ended already.

    def close(self) -> None:
        # Not while another thread interrupts: its number may be another socket's by then.
        with self._lock:
            self._raw.close()


class ThreadedTLSServer:
    """A TLS server on 127.0.0.1 with a thread for each connection.

    ```python
    ca = CertificateAuthority()
    context = ca.server_certificate().server_context(client_ca=ca)
    with ThreadedTLSServer(context) as server:
        with pytest.raises(TLSError):
            await websocket_connect(server.url, ssl=ca.trust_context())
        assert server.wait_for_handshakes()[0].alert_sent
    ```

    It is a plain context manager, for programs with and without an event loop; entering takes no
    time to speak of. Leaving the block ends all connections and waits for the handlers to
    return: a few milliseconds, and five seconds at most.

    Any thread may read its attributes and `connections`.

    Args:
        context: for a server. What it says of versions, certificates and ALPN is what is done.
        handler: called in a thread for each connection whose handshake succeeded. An `OSError`
            or `EOFError` of it goes into the record; any other exception is raised when the
            block is left. ``None`` is `echo`.
        after_rejection: what follows when a handshake has failed and the alert was sent.

            - ``"drain"``: FIN, then read until the client ends, for a second at most. The
              alert is sure to arrive.
            - ``"close"``: close at once, as Envoy does. What the client has sent or will send
              is answered by RST: under TLS 1.3 a client that writes first and then reads may
              never see the alert.
            - ``"reset"``: RST at once, behind the alert.

    Raises:
        ValueError: there is no such `after_rejection`, or the context is for clients.
        TypeError: `context` is no `ssl.SSLContext`, or the handler is a coroutine function.
    """

    def __init__(
        self,
        context: ssl.SSLContext,
        handler: Callable[[TLSStream], None] | None = None,
        *,
        after_rejection: AfterRejection = "drain",
    ) -> None:
        check_server_context(context)
        if inspect.iscoroutinefunction(handler):
            raise TypeError("handler runs in a thread: it must be a plain function")
        if after_rejection not in get_args(AfterRejection):
            known = ", ".join(repr(each) for each in get_args(AfterRejection))
            raise ValueError(f"after_rejection must be one of {known}, not {after_rejection!r}.")
        self._context = context
        self._handler = echo if handler is None else handler
        self._after_rejection = after_rejection
        self._connections: list[_Connection] = []
        self._failures: list[BaseException] = []
        # Guards both lists and all records, and tells of their changes.
        self._changed = threading.Condition()
        self._port = 0
        self._listener: socket.socket | None = None
        self._waker: socket.socket | None = None
        self._acceptor: threading.Thread | None = None

    def __enter__(self) -> Self:
        """Listen on a free port.

        Raises:
            RuntimeError: it has been entered before.
            OSError: there is no free port or no free descriptor.
        """
        if self._listener is not None:
            raise RuntimeError("A ThreadedTLSServer can be entered once only: make another.")
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self._port = self._listener.getsockname()[1]
        self._waker, woken = socket.socketpair()
        self._acceptor = threading.Thread(
            target=self._accept, args=(self._listener, woken), name=f"TLS server {self._port}"
        )
        self._acceptor.start()
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """End all connections; raise what handlers raised, or note it on what the block raised.

        Raises:
            BaseException: the only error of a handler.
            BaseExceptionGroup: there are several.
            RuntimeError: a handler has not returned within five seconds.
        """
        assert self._waker is not None
        assert self._acceptor is not None
        self._waker.close()
        self._acceptor.join()
        hanging = self._stop_connections()
        report_errors(self._failures, exc, "the TLS server")
        if hanging and exc is None:
            raise RuntimeError(
                f"The handlers of {hanging} connections have not returned: they must do so when "
                "their connection has ended."
            )

    @property
    def port(self) -> int:
        """The port of 127.0.0.1.

        Raises:
            RuntimeError: the server has not been entered.
        """
        if self._listener is None:
            raise RuntimeError("The server has no port yet: enter it by 'with'.")
        return self._port

    @property
    def url(self) -> str:
        """The URL, such as ``"wss://127.0.0.1:49152/"``; any path will do.

        Raises:
            RuntimeError: the server has not been entered.
        """
        return f"wss://127.0.0.1:{self.port}/"

    @property
    def connections(self) -> tuple[TLSConnectionRecord, ...]:
        """What has happened to each connection so far; all that did, once the block is left."""
        with self._changed:
            return tuple(each.record for each in self._connections)

    def wait_for_handshakes(
        self, count: int = 1, timeout: float = 5.0
    ) -> tuple[TLSConnectionRecord, ...]:
        """Wait until so many handshakes have succeeded or failed, and return all `connections`.

        A client may know the end of its handshake before the server does. It blocks; in a
        coroutine that must not, call it by `asyncio.to_thread`.

        Args:
            count: how many, since the server was entered.
            timeout: seconds.

        Raises:
            TimeoutError: they did not come in time.
        """
        with self._changed:
            if not self._changed.wait_for(lambda: self._handshakes() >= count, timeout):
                raise TimeoutError(
                    f"{self._handshakes()} of {count} handshakes came to an end in {timeout} s."
                )
        return self.connections

    def _handshakes(self) -> int:
        records = [each.record for each in self._connections]
        return len([1 for each in records if each.established or each.handshake_error])

    def _accept(self, listener: socket.socket, woken: socket.socket) -> None:
        """Accept connections until the waker is closed. Runs in a thread."""
        with listener, woken, selectors.DefaultSelector() as selector:
            selector.register(listener, selectors.EVENT_READ)
            selector.register(woken, selectors.EVENT_READ)
            while all(key.fileobj is listener for key, _ in selector.select()):
                try:
                    raw, _ = listener.accept()
                except ConnectionError:
                    continue  # The client has gone again.
                except OSError as exc:
                    self._fail(exc)
                    return
                self._start(raw)

    def _start(self, raw: socket.socket) -> None:
        with self._changed:
            number = len(self._connections)
            connection = _Connection(number, raw)
            self._connections.append(connection)
        connection.thread = threading.Thread(
            target=self._serve,
            args=(connection, raw),
            name=f"TLS server {self._port}, connection {number}",
            daemon=True,
        )
        connection.thread.start()

    def _serve(self, connection: _Connection, raw: socket.socket) -> None:
        """Serve one connection. Runs in a thread."""
        try:
            stream = TLSStream(raw, self._context)
            if self._handshake(connection, stream):
                self._handle(connection, stream)
                stream.end()
        except BaseException as exc:
            self._fail(exc)
        finally:
            connection.close()
            self._note(connection, closed=True)

    def _handshake(self, connection: _Connection, stream: TLSStream) -> bool:
        """Return whether the handshake succeeded; if not, the client has been told."""
        try:
            stream.handshake()
        except OSError as exc:
            self._note(connection, handshake_error=_bare(exc), alert_sent=stream.alert_sent)
            if self._after_rejection == "drain":
                stream.drain()
            elif self._after_rejection == "reset":
                stream.reset()
            return False
        cipher = stream.tls.cipher()
        self._note(
            connection,
            established=True,
            version=stream.tls.version(),
            cipher=cipher[0] if cipher else None,
            alpn=stream.tls.selected_alpn_protocol(),
            session_reused=bool(stream.tls.session_reused),
            peer_certificate_der=stream.peer_certificate_der,
        )
        return True

    def _handle(self, connection: _Connection, stream: TLSStream) -> None:
        try:
            self._handler(stream)
        except (OSError, EOFError) as exc:
            self._note(connection, error=_bare(exc))
        # It may have asked for it only now.
        self._note(connection, peer_certificate_der=stream.peer_certificate_der)

    def _fail(self, exc: BaseException) -> None:
        with self._changed:
            self._failures.append(exc)

    def _note(self, connection: _Connection, **changes: Any) -> None:
        with self._changed:
            connection.record = dataclasses.replace(connection.record, **changes)
            self._changed.notify_all()

    def _stop_connections(self) -> int:
        """End all connections; return how many handlers do not return nevertheless."""
        deadline = time.monotonic() + _STOP_TIMEOUT
        for each in self._connections:
            each.interrupt()
        for each in self._connections:
            if each.thread is not None:
                each.thread.join(max(0.0, deadline - time.monotonic()))
        threads = [each.thread for each in self._connections if each.thread is not None]
        return sum(thread.is_alive() for thread in threads)


def _bare(exc: _E) -> _E:
    """Return an exception without the frames that it went through, and what they hold."""
    return exc.with_traceback(None)
