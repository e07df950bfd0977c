"""TLS sessions that were kept, so that the next connection to the same server resumes one."""

from __future__ import annotations

import ssl
import threading
import weakref
from collections import OrderedDict
from typing import Final, NamedTuple

__all__ = ["KeptSession", "SessionStore"]

_MOST_SERVERS: Final = 64


class KeptSession(NamedTuple):
    """A session, and the chain that was verified when it began.

    OpenSSL verifies nothing when a session is resumed, and knows the server's certificate alone.
    """

    session: ssl.SSLSession
    chain_der: tuple[bytes, ...]


class _Latest(NamedTuple):
    """The latest connection to a server, which may still be receiving tickets."""

    tls: weakref.ref[ssl.SSLObject]
    chain_der: tuple[bytes, ...]
    thread: int


class SessionStore:
    """The sessions of one context, by the names of the servers. Any thread may use it.

    A server sends its tickets of TLS 1.3 some time after the handshake. So the session is taken
    from the latest connection when it is wanted, or when that connection is no more.
    """

    def __init__(self) -> None:
        # Reentrant, because `leave` is called by the garbage collector, at any point of `take`.
        self._lock = threading.RLock()
        self._latest: OrderedDict[str, _Latest] = OrderedDict()
        self._kept: dict[str, KeptSession] = {}

    def take(self, host: str) -> KeptSession | None:
        """Return a session to resume, ``None`` if there is none.

        Args:
            host: name of the server.
        """
        with self._lock:
            latest = self._latest.get(host)
            if latest is not None and latest.thread == threading.get_ident():
                self._keep(host, latest.tls(), latest.chain_der)
            return self._kept.get(host)

    def enter(self, host: str, tls: ssl.SSLObject, chain_der: tuple[bytes, ...]) -> None:
        """Note that a handshake has succeeded.

        Args:
            host: name of the server.
            tls: its connection, of which only a weak reference is held. Its owner calls `leave`
                when it goes.
            chain_der: the chain that was verified.
        """
        with self._lock:
            self._latest[host] = _Latest(weakref.ref(tls), chain_der, threading.get_ident())
            self._latest.move_to_end(host)
            while len(self._latest) > _MOST_SERVERS:
                oldest, _ = self._latest.popitem(last=False)
                self._kept.pop(oldest, None)

    def leave(self, host: str, tls: ssl.SSLObject, chain_der: tuple[bytes, ...]) -> None:
        """Take the session of a connection that is going; for its owner's ``__del__``."""
        with self._lock:
            if host in self._latest:
                self._keep(host, tls, chain_der)

    def drop(self, host: str) -> None:
        """Forget the session of a server, because a handshake with it failed."""
        with self._lock:
            self._latest.pop(host, None)
            self._kept.pop(host, None)

    def _keep(self, host: str, tls: ssl.SSLObject | None, chain_der: tuple[bytes, ...]) -> None:
        # It is a copy: OpenSSL spoils its own when a connection ends without `close_notify`.
        session = None if tls is None else tls.session
        if session is not None and (session.has_ticket or session.id):
            self._kept[host] = KeptSession(session, chain_der)
