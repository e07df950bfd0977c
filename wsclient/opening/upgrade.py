"""The HTTP part of connecting: aiohttp brings the request to the server, and the 101 back."""

from __future__ import annotations

import asyncio
import contextlib
import math
import sys
from typing import Any

import aiohttp
from yarl import URL

from ..connection import WebSocketClientConnection, drop_unused
from ..errors import (
    ClientCertificateRejected,
    ConnectTimeoutError,
    InvalidURLError,
    ProxyError,
    RedirectError,
    ServerCertificateError,
    TLSError,
)
from ..options.connect import ConnectOptions
from ..options.connection import ConnectionOptions
from ..options.credentials import BasicCredentials
from ..options.proxies import SOCKS_SCHEMES, environment_proxy
from ..protocol.handshake import check_response, join_headers, make_key, upgrade_headers
from ..tls.handshake.context import trace_handshakes
from ..urls import check_url, shown_url
from ..wire.shutdown import LoopWatch, watch_loop
from .failures import Way, forget_outer, map_failure, refusal, without_secrets
from .fast import FastConnector, may_be_fast
from .handler import held_places
from .internals import Use, refused
from .security import Security
from .session import (
    HARMLESS_HEADERS,
    BrokenError,
    private_session,
    request_once,
    without_secrets_of_session,
)
from .step import CONNECTING, CONNECTING_BY_SOCKS, RESOLVING, WAITING, Step
from .takeover import take_over

__all__ = ["open_connection"]

_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_MAX_BODY_SIZE = 64 * 1024
_BODY_TIMEOUT = 2.0
_BODY_MARGIN = 0.05
_NO_TIMEOUT = aiohttp.ClientTimeout(total=None, connect=None, sock_read=None, sock_connect=None)
_IN_TLS = "waiting for the TLS handshake"
_TIMEOUT_HINTS = {
    RESOLVING: "The name server of this machine does not answer.",
    CONNECTING: "Nothing answers: check host, port and proxy; a firewall may drop the packets.",
    CONNECTING_BY_SOCKS: (
        "Whether TCP was open has not been seen: nothing may answer there, or what answers may "
        "speak no SOCKS, or the proxy may not reach the server. Check the proxy's host, port and "
        "scheme."
    ),
    _IN_TLS: (
        "TCP is open, but TLS does not come back: is this the port of a TLS server? Networks that "
        "drop large packets look like this, too."
    ),
    WAITING: "The way is open, but the server does not answer the request: it may be overloaded.",
}
_CONNECTS = (CONNECTING, CONNECTING_BY_SOCKS)
_SKIPPED_HEADERS = ("Accept", "Accept-Encoding", "User-Agent")


async def open_connection(
    connect: ConnectOptions, options: ConnectionOptions
) -> WebSocketClientConnection:
    """Open a connection.

    Cancelling it leaves no socket, task or session behind.

    Raises:
        ConnectError: of the class that fits, see `websocket_connect`.
    """
    attempt = _Attempt(connect, options)
    try:
        async with asyncio.timeout(connect.connect_timeout) as budget:
            attempt.deadline = budget.when() or math.inf
            return await attempt.run()
    except TimeoutError as exc:
        if isinstance(exc, ConnectTimeoutError) or not budget.expired():
            raise
        raise ConnectTimeoutError(
            f"no connection to {shown_url(attempt.url)} within connect_timeout, "
            f"{connect.connect_timeout:g} seconds: it ran out while {attempt.present}.",
            hint=attempt.hint,
        ) from exc


class _Attempt:
    """One attempt to connect, over all its redirects."""

    def __init__(self, connect: ConnectOptions, options: ConnectionOptions) -> None:
        self._connect = connect
        self._options = options
        self.url = connect.url
        self._step = Step()
        # For IP addresses too. The session of a caller has its own.
        self._jar = None if connect.session else aiohttp.CookieJar(unsafe=True)
        self.deadline = math.inf
        self._history = [connect.url]
        self._secrets = True
        self._may_be_fast = may_be_fast(connect)
        self._insists = self._may_be_fast and connect.use_fast_transport is True
        self._security = Security(connect, direct=self._insists)
        self._renewed = False
        self._offer = None if options.compression is None else options.compression.offer
        self._cookies: dict[str, str] = dict(connect.cookies)

    @property
    def doing(self) -> str:
        """What it is doing."""
        return self._step.doing

    @doing.setter
    def doing(self, doing: str) -> None:
        self._step.doing = doing

    @property
    def present(self) -> str:
        """What it is doing, in the words of an error."""
        if self.doing in _CONNECTS and self._security.trace.underway:
            return _IN_TLS
        return self.doing

    @property
    def hint(self) -> str:
        """What to do if time runs out just now."""
        hint = _TIMEOUT_HINTS.get(self.present, "")
        held = None if self._connect.session is None else held_places(self._connect.session)
        if self.present != CONNECTING or held is None:
            return hint
        return (
            f"The session's connector holds {held[0]} of at most {held[1]} connections, open "
            "WebSockets among them: if none of them ends, there may be no place for this one. "
            f"Raise limit= of aiohttp.TCPConnector. Else: {hint[0].lower()}{hint[1:]}"
        )

    async def run(self) -> WebSocketClientConnection:
        """Request, follow redirects, and take the transport over."""
        watch = await watch_loop()
        while True:
            proxy = self._proxy()
            connection = None
            try:
                async with await self._session(proxy) as session:
                    connection = await self._hop(session, proxy, watch)
            except TLSError as exc:
                if not await self._is_worth_another_try(exc):
                    raise
                continue
            except BaseException:
                # Cancelled while aiohttp's session ended: nobody would ever have the connection.
                if connection is not None:
                    drop_unused(connection)
                raise
            if connection is not None:
                return connection

    async def _is_worth_another_try(self, exc: TLSError) -> bool:
        if not isinstance(exc, ServerCertificateError) and self._security.watch_next():
            # Nobody has seen why the server went: whoever watches can explain it.
            return True
        if self._renewed or not isinstance(exc, ClientCertificateRejected):
            return False
        # The files may have been replaced while the old certificate was on its way.
        self._renewed = await self._security.has_newer_identity()
        return self._renewed

    async def _hop(
        self, session: aiohttp.ClientSession, proxy: URL | None, watch: LoopWatch
    ) -> WebSocketClientConnection | None:
        """Ask one server; ``None`` after a redirect."""
        key = make_key()
        response = await self._answer(session, proxy, key)
        try:
            if response.status != 101:
                await self._turn_away(response, proxy)
                return None
            connection = self._take_over(response, key, watch)
        except BaseException:
            response.close()
            raise
        if self._connect.session is None and not response.closed:
            # The connector lives on, for this one connection.
            session.detach()
        return connection

    # Request

    async def _answer(
        self, session: aiohttp.ClientSession, proxy: URL | None, key: str
    ) -> aiohttp.ClientResponse:
        """Send the request; raise our errors for what goes wrong."""
        outer = sys.exception()
        try:
            with trace_handshakes() as self._security.trace:
                self._security.insist_on_name()
                return await self._request(session, proxy, key)
        except Exception as exc:
            cause = exc.__cause__ if isinstance(exc, BrokenError) and exc.__cause__ else exc
            forget_outer(cause, outer)
            failure = map_failure(cause, self._way(proxy))
            if failure is None:
                raise
        # Raised out here, so that the original, which may hold secrets, is not its context.
        try:
            raise failure from without_secrets(cause)
        finally:
            del failure, cause, outer

    def _proxy(self) -> URL | None:
        proxy = self._connect.proxy
        if proxy is True:
            proxy = environment_proxy(self.url)
            if proxy is not None and proxy.scheme in SOCKS_SCHEMES and self._connect.session:
                raise ProxyError(
                    f"the environment asks for the SOCKS proxy {shown_url(proxy)}, which session= "
                    "cannot use: give the session a connector for it and pass proxy=None."
                )
        self._check_session_proxy(proxy)
        return proxy

    def _check_session_proxy(self, proxy: URL | None) -> None:
        """Refuse what would show our identity to an https proxy.

        aiohttp's own connector has one context for the proxy and the server behind it.
        """
        session = self._connect.session
        if session is None or not self._security.has_own_context:
            return
        # No public way tells of a session's own proxy.
        if not hasattr(session, "_default_proxy"):
            raise refused(Use.SESSION, "aiohttp", "ClientSession._default_proxy is missing")
        own: Any = session._default_proxy
        proxy = proxy or own
        # aiohttp 3.14 ignores https proxies of the environment, and says so in its log. It need
        # not stay so, and whoever has named one does not expect a direct connection.
        if proxy is None and session.trust_env:
            proxy = environment_proxy(self.url)
        if proxy is not None and URL(proxy).scheme == "https":
            raise ProxyError(
                f"with session=, tls= and ssl= would be used for the https proxy "
                f"{shown_url(URL(proxy))}, too, and show it the server's client certificate.",
                hint="Leave session= out and configure the proxy by proxy_tls=.",
            )

    async def _session(
        self, proxy: URL | None
    ) -> contextlib.AbstractAsyncContextManager[aiohttp.ClientSession]:
        """Lend the caller's session, or one for one request that leaves nothing behind."""
        if self._connect.session is not None:
            return contextlib.nullcontext(self._connect.session)
        proxy_ssl = await self._security.for_proxy(proxy)
        return private_session(
            self._connect, proxy=proxy, proxy_ssl=proxy_ssl, jar=self._jar, step=self._step
        )

    def _way(self, proxy: URL | None) -> Way:
        tunnelled = self.doing == WAITING or self._connect.session is not None
        facts = self._security.facts(self.url, proxy)
        chosen = self._connect.proxy is True
        names = {name.lower() for name, _ in self._connect.proxy_headers or ()}
        return Way(
            self.url,
            proxy,
            facts,
            tunnelled=tunnelled,
            from_environment=chosen,
            lent=self._connect.session is not None,
            proxy_credentials="proxy-authorization" in names or bool(proxy and proxy.user),
        )

    async def _request(
        self, session: aiohttp.ClientSession, proxy: URL | None, key: str
    ) -> aiohttp.ClientResponse:
        connect = self._connect
        kwargs: dict[str, Any] = {}
        if proxy is not None and proxy.scheme not in SOCKS_SCHEMES:
            kwargs["proxy"] = proxy
            if connect.proxy_headers:
                kwargs["proxy_headers"] = list(connect.proxy_headers)
        if self.url.scheme == "wss":
            self.doing = "loading certificates"
            kwargs |= await self._security.for_server()
        if self._may_be_fast and isinstance(session.connector, FastConnector):
            context = kwargs.get("ssl")
            session.connector.go_fast(self.url, proxy, context, insisted=self._insists)
        middlewares = self._middlewares()
        if middlewares:
            kwargs["middlewares"] = middlewares
        by_socks = proxy is not None and proxy.scheme in SOCKS_SCHEMES
        self.doing = CONNECTING_BY_SOCKS if by_socks else CONNECTING
        return await session.request(
            "GET",
            self.url,
            headers=self._headers(key),
            cookies=(self._cookies if self._secrets else None) or None,
            allow_redirects=False,
            raise_for_status=False,
            auto_decompress=False,
            timeout=_NO_TIMEOUT,
            skip_auto_headers=_SKIPPED_HEADERS,
            **kwargs,
        )

    def _middlewares(self) -> tuple[aiohttp.ClientMiddlewareType, ...]:
        auth = self._connect.auth
        middlewares: list[aiohttp.ClientMiddlewareType] = []
        if self._connect.session is None:
            middlewares.append(request_once)
        if not self._secrets:
            # This also keeps the middlewares of a caller's session out, which may add tokens.
            middlewares.insert(0, without_secrets_of_session)
        elif auth is not None and not isinstance(auth, BasicCredentials):
            middlewares.insert(0, auth)
        return tuple(middlewares)

    def _headers(self, key: str) -> list[tuple[str, str]]:
        connect = self._connect
        headers = upgrade_headers(key=key, subprotocols=connect.subprotocols, deflate=self._offer)
        if connect.user_agent is not None:
            headers.append(("User-Agent", connect.user_agent))
        if connect.origin is not None:
            headers.append(("Origin", connect.origin))
        for name, value in connect.headers:
            if self._secrets or name.lower() in HARMLESS_HEADERS:
                headers.append((name, value))
        if self._secrets and isinstance(connect.auth, BasicCredentials):
            headers.append(("Authorization", connect.auth.header_value))
        return headers

    # Answer

    async def _turn_away(self, response: aiohttp.ClientResponse, proxy: URL | None) -> None:
        """Follow a redirect, or raise what the answer means."""
        location = response.headers.get("Location")
        if response.status in _REDIRECTS and location is not None:
            self._redirect(location)
            response.close()
            return
        body = await _read_start(response, self.deadline)
        headers = join_headers(response.headers.items())
        raise refusal(response.status, headers, body, self._security.facts(self.url, proxy))

    def _redirect(self, location: str) -> None:
        try:
            target = _websocket_url(self.url, location)
        except (InvalidURLError, ValueError) as exc:
            raise self._redirect_error(
                "the server redirects to what is no WebSocket URL", "(not a URL)"
            ) from exc
        shown = shown_url(target)
        if self.url.scheme == "wss" and target.scheme == "ws":
            raise self._redirect_error("the server redirects from wss:// to ws://", shown)
        if len(self._history) > self._connect.max_redirects:
            raise self._redirect_error(
                f"more than max_redirects, {self._connect.max_redirects}", shown
            )
        if target.origin() != self.url.origin():
            # Whatever the caller meant for the first origin is not for this one.
            self._secrets = False
            self._security.leave_origin()
        self.url = target
        self._history.append(target)

    def _redirect_error(self, message: str, target: str) -> RedirectError:
        history = tuple(shown_url(url) for url in self._history)
        return RedirectError(message, history=(*history, target))

    def _take_over(
        self, response: aiohttp.ClientResponse, key: str, watch: LoopWatch
    ) -> WebSocketClientConnection:
        agreement = check_response(
            response.headers.items(),
            key=key,
            subprotocols=self._connect.subprotocols,
            deflate=self._offer,
        )
        lent = self._connect.session is not None
        return take_over(
            response, self.url, agreement, self._options, self._security, watch, lent=lent
        )


async def _read_start(response: aiohttp.ClientResponse, deadline: float) -> bytes:
    """Read the start of a body, but neither long nor past the deadline: the status matters."""
    body = bytearray()
    until = min(asyncio.get_running_loop().time() + _BODY_TIMEOUT, deadline - _BODY_MARGIN)
    with contextlib.suppress(TimeoutError, aiohttp.ClientError, OSError):
        async with asyncio.timeout_at(until):
            while len(body) < _MAX_BODY_SIZE:
                chunk = await response.content.read(_MAX_BODY_SIZE - len(body))
                if not chunk:
                    break
                body += chunk
    return bytes(body)


def _websocket_url(base: URL, location: str) -> URL:
    """Return where a Location header leads to, as a WebSocket URL without credentials."""
    try:
        target = base.join(URL(location)).with_fragment(None)
    except IndexError:
        # yarl looks at the first character of a host that is empty, as in "ws://[::1]@".
        raise ValueError("not a URL") from None
    scheme = {"http": "ws", "https": "wss"}.get(target.scheme, target.scheme)
    port = target.explicit_port
    return check_url(target.with_scheme(scheme).with_port(port)).with_user(None)
