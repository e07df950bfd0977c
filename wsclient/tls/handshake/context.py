"""Handshakes that check more than OpenSSL does, and tell what has been seen of them."""

from __future__ import annotations

import asyncio
import contextlib
import copy
import ssl
import threading
import weakref
from collections.abc import Iterator
from contextvars import ContextVar
from typing import Any, Final, NamedTuple, Self

from ..certificates.peer import PeerCertificate, chain_of
from .checks import PeerChecks, PeerRefusedError
from .messages import CertificateRequest, Direction, HandshakeLog, HandshakeMessage
from .sessions import KeptSession, SessionStore

__all__ = [
    "Established",
    "HandshakeContext",
    "HandshakeObject",
    "HandshakeTrace",
    "ensure_checked",
    "note_unseen_handshake",
    "trace_handshakes",
]

_CALLBACK: Final[Any] = vars(ssl.SSLContext.__base__).get("_msg_callback")
"""The private attribute that shows the messages of TLS; ``None`` if this Python has it not.

It is that of the class in C. Python's own, on top of it, makes enums of all numbers, which takes
longer than all the rest of watching.
"""

_SHOWN: Final = frozenset({21, 22})
"""Content types of alerts and of the handshake (RFC 8446, section 5.1)."""

_GOES_ON: Final = (ssl.SSLWantReadError, ssl.SSLWantWriteError)


class HandshakeTrace:
    """The handshakes that were begun inside of `trace_handshakes`.

    Attributes:
        handshakes: in the order in which they were begun; the server's comes after that of an
            https proxy in front of it.
        to_the_end: whether they are watched until the connection ends.
        server_hostname: the name that the server's certificate must have been checked for, if
            somebody else than us sees to it; ``None`` if that is not so.
        unseen: whether the latest one was begun by somebody who asks OpenSSL alone, so that
            it is not among the handshakes.
    """

    def __init__(self, *, to_the_end: bool = False) -> None:
        self.handshakes: list[HandshakeObject] = []
        self.to_the_end = to_the_end
        self.server_hostname: str | None = None
        self.unseen = False

    @property
    def underway(self) -> bool:
        """Whether one was begun, and is not known to have succeeded."""
        last = self.last
        return self.unseen or (last is not None and not last.established)

    @property
    def last(self) -> HandshakeObject | None:
        """The handshake that was begun last, ``None`` if there was none."""
        return self.handshakes[-1] if self.handshakes else None


# Weak: timers of the loop keep their context for a minute after they have been cancelled.
_trace: ContextVar[weakref.ref[HandshakeTrace] | None] = ContextVar(
    "wsclient_handshake_trace", default=None
)


@contextlib.contextmanager
def trace_handshakes(*, to_the_end: bool = False) -> Iterator[HandshakeTrace]:
    """Gather the handshakes of all `HandshakeContext`s that the block begins.

    Those of tasks and callbacks count that the block starts; those of other tasks do not.

    Args:
        to_the_end: watch them until the connection ends, and not only until it is established:
            for the alert that a server sends later, and the tickets. Each record then costs some
            microseconds.
    """
    trace = HandshakeTrace(to_the_end=to_the_end)
    token = _trace.set(weakref.ref(trace))
    try:
        yield trace
    finally:
        _trace.reset(token)


def note_unseen_handshake() -> None:
    """Note that a handshake begins which no `HandshakeContext` knows of, for `HandshakeTrace`."""
    current = _trace.get()
    trace = None if current is None else current()
    if trace is not None:
        trace.unseen = True


class Established(NamedTuple):
    """What a handshake came to. Under TLS 1.2 the next one may have begun when somebody asks."""

    version: str
    cipher: str
    alpn: str | None
    session_reused: bool
    peer_certificate: PeerCertificate | None

    @classmethod
    def of(cls, tls: ssl.SSLObject, chain_der: tuple[bytes, ...] | None = None) -> Established:
        """Return what `tls` tells now.

        Args:
            tls: has done its handshake.
            chain_der: the chain of the peer's certificate, where it is known.
        """
        cipher = tls.cipher()
        return cls(
            tls.version() or "",
            cipher[0] if cipher else "",
            tls.selected_alpn_protocol(),
            bool(tls.session_reused),
            PeerCertificate.of(tls, chain_der),
        )


class HandshakeObject(ssl.SSLObject):
    """The TLS of one connection. `HandshakeContext.wrap_bio` makes it.

    Attributes:
        established: whether the handshake has succeeded, our own checks included.
        result: what it came to then; ``None`` before.
        fault: what it failed with; ``None`` if it did not, or was broken off.
    """

    established = False
    result: Established | None = None
    fault: ssl.SSLError | None = None
    # What wrap_bio sets, as the class cannot be given more arguments.
    _log: HandshakeLog | None = None
    _outgoing: ssl.MemoryBIO | None = None
    _refusal: PeerRefusedError | None = None
    _resumed: KeptSession | None = None
    _kept_as: str | None = None
    _token: object | None = None
    _to_the_end = False
    _wanted: str | None = None
    _chain: tuple[bytes, ...] | None = None

    @property
    def observed(self) -> bool:
        """Whether the messages of the handshake could be watched; else what follows is unknown."""
        return self._log is not None and bool(self._log.messages)

    @property
    def log(self) -> tuple[HandshakeMessage, ...]:
        """The messages so far, 64 at most."""
        return () if self._log is None else tuple(self._log.messages)

    @property
    def alerts(self) -> tuple[tuple[Direction, int], ...]:
        """The alerts among them: who sent it, and its number (RFC 8446, section 6)."""
        return () if self._log is None else tuple(self._log.alerts)

    @property
    def certificate_request(self) -> CertificateRequest | None:
        """What the server said when it asked for a certificate; ``None`` if it did not.

        A server that asks after the handshake (RFC 8446, section 4.6.2) is not seen, unless it is
        watched to the end.
        """
        return None if self._log is None else self._log.certificate_request

    @property
    def certificate_sent(self) -> bool | None:
        """Whether we answered with a certificate; ``None`` if we did not answer."""
        return None if self._log is None else self._log.certificate_sent

    @property
    def server_hello_seen(self) -> bool:
        """Whether the server has answered in TLS at all."""
        return self._log is not None and self._log.server_hello_seen

    @property
    def confirmed(self) -> bool:
        """Whether the server is known to have done the handshake to its end, too.

        It then accepts our certificate, or does without. With TLS 1.2 that is known at once; with
        TLS 1.3 when a ticket has come (RFC 8446, section 4.6.1), which need not happen.
        """
        if not self.established:
            return False
        session = self.session
        return self.version() != "TLSv1.3" or (session is not None and session.has_ticket)

    @property
    def peer_chain(self) -> tuple[bytes, ...]:
        """The chain of the peer's certificate, as `chain_of` has it; also of a resumed session."""
        if self._chain is None:
            if self.version() is None:
                return ()  # There is none yet.
            resumed = self._resumed if self.session_reused else None
            self._chain = chain_of(self) if resumed is None else resumed.chain_der
        return self._chain

    def do_handshake(self) -> None:
        """Go on with the handshake, as `ssl.SSLObject.do_handshake`; then check the peer.

        Under TLS 1.3 our certificate has not been sent when the checks are made, and is not when
        they fail.

        Raises:
            ssl.SSLWantReadError: it needs more from the peer.
            PeerRefusedError: a check of ours failed. Every further call raises it again.
            ssl.SSLError: the handshake failed.
        """
        if self._refusal is not None:
            raise self._refusal
        try:
            super().do_handshake()
        except _GOES_ON:
            raise
        except BaseException as exc:
            self._fail(exc)
            raise
        if not self.established:
            self._establish(self._check())

    def _check(self) -> Established:
        checks = _context_of(self).checks
        try:
            result = Established.of(self, self.peer_chain)
            if self._wanted is not None and not _is_same_name(self._wanted, self.server_hostname):
                raise PeerRefusedError(
                    "not_authorized",
                    f"The session's connector has checked it for {self.server_hostname}, and not "
                    f"for {self._wanted}.",
                    "Leave session= out, or server_hostname=.",
                )
            if checks:
                checks.check(result.peer_certificate)
        except BaseException as exc:
            self._fail(exc)
            # Under TLS 1.3 our certificate still lies there. A loop that sends what is left, for
            # the sake of an alert, would send it as well.
            if self._outgoing is not None and self._log is not None:
                self._outgoing.read()
                self._log.withdraw()
            if isinstance(exc, PeerRefusedError):
                self._refusal = exc
            raise
        return result

    def _establish(self, result: Established) -> None:
        self.established = True
        self.result = result
        self._outgoing = None
        context = _context_of(self)
        if not self._to_the_end:
            context._unwatch(self)
        if self._kept_as is not None:
            context._sessions.enter(self._kept_as, self, self.peer_chain)

    def _fail(self, exc: BaseException) -> None:
        if isinstance(exc, ssl.SSLError):
            # A copy: the frames of the original would hold this object.
            self.fault = copy.copy(exc)
            self.fault.__cause__ = exc.__cause__
        context = _context_of(self)
        context._unwatch(self)
        if self._resumed is not None and self._kept_as is not None:
            # Whatever the reason was, the session shall not be it the next time.
            context._sessions.drop(self._kept_as)

    def __del__(self) -> None:
        # A handshake may just be abandoned, and a connection too.
        if self._token is not None:
            _context_of(self)._unwatch(self)
        if self.established and self._kept_as is not None:
            _context_of(self)._sessions.leave(self._kept_as, self, self.peer_chain)


class HandshakeContext(ssl.SSLContext):
    """A context of a client whose handshakes check the server more closely, and are watched.

    It is an ordinary `ssl.SSLContext` else. Contexts are not changed once they are in use; any
    number of loops and threads may then share one.

    Attributes:
        checks: what the server's certificate must have besides; ``None`` for nothing.
        resume: whether to resume the latest session with a server of the same name. The server
            then takes us for who we were, and its certificate is not verified again; the checks
            are made nevertheless.
        direct: whether its connections may also be made by who asks OpenSSL alone, and not
            this class: see `go_direct`.
    """

    sslobject_class = HandshakeObject

    # aiofastnet would have OpenSSL make the connection without asking us: nothing would be
    # checked then, and the callback for messages would find nobody whom it belongs to.
    _aiofastnet_force_fallback_ssl = True

    checks: PeerChecks | None
    resume: bool
    direct: bool
    _sessions: SessionStore
    _watched: set[object]
    _lock: threading.RLock

    def __new__(cls, protocol: int = ssl.PROTOCOL_TLS_CLIENT) -> Self:
        """Make a context.

        Args:
            protocol: as in `ssl.SSLContext`.
        """
        self = super().__new__(cls, protocol)
        self.checks = None
        self.resume = False
        self.direct = False
        self._sessions = SessionStore()
        self._watched = set()
        # Reentrant, because abandoned handshakes are found by the garbage collector.
        self._lock = threading.RLock()
        return self

    def go_direct(self) -> None:
        """Let aiofastnet have OpenSSL make the connections, whose messages nobody watches then.

        It cannot be taken back. OpenSSL verifies chain, name, dates and revocation as ever; it
        does not offer authentication after the handshake, which `ssl` asks for each connection.

        Raises:
            ValueError: there are checks, sessions to resume, or keys to log, which OpenSSL does
                not know of, or falls over.
        """
        if self.checks or self.resume or self.keylog_filename is not None:
            raise ValueError("the context has checks or settings that OpenSSL does not know")
        self.post_handshake_auth = False
        self.direct = True
        self._aiofastnet_force_fallback_ssl = False

    def wrap_bio(
        self,
        incoming: ssl.MemoryBIO,
        outgoing: ssl.MemoryBIO,
        server_side: bool = False,
        server_hostname: str | bytes | None = None,
        session: ssl.SSLSession | None = None,
    ) -> HandshakeObject:
        """Begin a connection, as `ssl.SSLContext.wrap_bio`.

        Raises:
            ssl.SSLError: OpenSSL cannot.
            ValueError: as `ssl.SSLContext.wrap_bio`.
        """
        host = server_hostname if self.resume and isinstance(server_hostname, str) else None
        kept = self._sessions.take(host) if host is not None and session is None else None
        # A connection takes over from its context whether there is a callback, when it is made,
        # and looks there which one with every record.
        token = self._watch()
        try:
            tls = super().wrap_bio(
                incoming,
                outgoing,
                server_side,
                server_hostname,
                session if kept is None else kept.session,
            )
            assert isinstance(tls, HandshakeObject)
        except BaseException:
            self._forget(token)
            raise
        tls._token, tls._log, tls._outgoing = token, HandshakeLog(), outgoing
        tls._kept_as, tls._resumed = host, kept
        current = _trace.get()
        trace = None if current is None else current()
        if trace is not None:
            tls._to_the_end = trace.to_the_end
            tls._wanted = trace.server_hostname
            trace.handshakes.append(tls)
        return tls

    def wrap_socket(self, *args: Any, **kwargs: Any) -> ssl.SSLSocket:
        """Begin a connection on a blocking socket, as `ssl.SSLContext.wrap_socket`.

        Raises:
            NotImplementedError: there are `checks`, which are not made there.
        """
        if self.checks:
            raise NotImplementedError("pins and other checks are made on an event loop only")
        return super().wrap_socket(*args, **kwargs)

    def _watch(self) -> object:
        """Have OpenSSL show the messages of this context's connections, until `_forget`."""
        token = object()
        if self.direct:
            # `ssl` falls over messages of connections that it has not made.
            return token
        with self._lock:
            if not self._watched:
                self._set_callback(_show)
            self._watched.add(token)
        return token

    def _unwatch(self, tls: HandshakeObject) -> None:
        token, tls._token = tls._token, None
        if token is not None:
            self._forget(token)

    def _forget(self, token: object) -> None:
        with self._lock:
            self._watched.discard(token)
            # Later records of all connections then cost next to nothing.
            if not self._watched:
                self._set_callback(None)

    def _set_callback(self, callback: Any) -> None:
        """Set the private callback, if this Python has it still."""
        if _CALLBACK is not None and not self.direct:
            with contextlib.suppress(Exception):
                _CALLBACK.__set__(self, callback)


def ensure_checked(context: object, transport: asyncio.BaseTransport) -> None:
    """Make sure that the checks of `context` were made, whatever event loop made the connection.

    Call it before anything is sent. There are loops that give OpenSSL the context and no more;
    `HandshakeContext` tells the one that is known to do so not to.

    Args:
        context: with which the connection was made; only a `HandshakeContext` has checks.
        transport: its handshake is over.

    Raises:
        PeerRefusedError: they were not made.
    """
    if not isinstance(context, HandshakeContext) or not context.checks:
        return
    tls = transport.get_extra_info("ssl_object")
    if not isinstance(tls, HandshakeObject) or not tls.established:
        raise PeerRefusedError(
            "not_authorized",
            f"The event loop's TLS ({type(tls).__name__}) has not checked the server's "
            "certificate against pins, SPIFFE ids or authorize_server.",
            "Use the event loop of asyncio or uvloop.",
        )


def _show(
    tls: Any, direction: str, version: int, content_type: int, message_type: int, data: bytes
) -> None:
    """Take note of a message; called by OpenSSL, inside of `ssl`'s methods."""
    if content_type not in _SHOWN:
        return
    # An exception would come out of whatever method is running.
    try:
        if not isinstance(tls, HandshakeObject) or tls._token is None or tls._log is None:
            return
        tls._log.note("sent" if direction == "write" else "received", version, content_type, data)
    except Exception:
        return


# Where Python's own attribute looks for it.
_show.user_function = _show  # type: ignore[attr-defined]  # it is a function


def _is_same_name(wanted: str, name: str | None) -> bool:
    """Tell whether a name is the one that was asked for; `ssl` has it in ASCII."""
    encoded = wanted.encode("idna").decode("ascii")
    return name is not None and encoded.rstrip(".").lower() == name.rstrip(".").lower()


def _context_of(tls: HandshakeObject) -> HandshakeContext:
    context = tls.context
    assert isinstance(context, HandshakeContext)
    return context
