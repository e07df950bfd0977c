"""Options of connecting: frozen, and validated where they are made."""

from __future__ import annotations

import ssl as ssl_module
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from http.cookies import Morsel
from types import MappingProxyType
from typing import Any, Final, Literal

from aiohttp import ClientSession
from aiohttp.abc import AbstractResolver
from yarl import URL

from ..errors import InvalidURLError
from ..protocol.handshake import (
    check_header,
    check_not_reserved,
    check_subprotocols,
    check_token,
)
from ..tls.config import TLSConfig
from ..urls import check_url, shown_url
from .connection import check_number, check_seconds
from .credentials import Auth, AuthLike, BasicCredentials, check_auth
from .distribution import default_user_agent
from .proxies import SOCKS_SCHEMES, check_proxy_url
from .transports import check_fast_transport

__all__ = [
    "DEFAULT_USER_AGENT",
    "ConnectOptions",
    "HeaderPairs",
    "HeadersLike",
    "check_headers",
]

HeaderPairs = tuple[tuple[str, str], ...]
"""Header names and values in the order in which they are sent."""

HeadersLike = Mapping[str, str] | Iterable[tuple[str, str]]
"""Headers as callers may give them: a mapping, a multidict, or pairs."""


DEFAULT_USER_AGENT: Final = default_user_agent()
"""What is sent as User-Agent unless the caller says otherwise."""

_BODY_HEADERS: Final = frozenset({"content-length", "expect", "trailer", "transfer-encoding"})
_LONGEST_REDIRECTS: Final = 1000


@dataclass(frozen=True, slots=True, init=False, repr=False, eq=False)
class ConnectOptions:
    """What connecting needs to know.

    Attributes:
        url: where to connect to; login and password are taken out of it and put into `auth`.
        connect_timeout: seconds for everything up to the open connection, more than 0; ``None``
            means no limit.
        subprotocols: what to offer, in order of preference.
        headers: additional headers of the request, in order.
        origin: value of the header Origin; ``None`` sends none.
        user_agent: value of the header User-Agent; ``None`` sends none. A header of that name
            in `headers` takes the place of the default.
        auth: basic credentials or an authenticating middleware; ``None`` sends none. Given
            explicitly it wins over login and password in the URL.
        cookies: names and values of cookies to send.
        proxy: ``True`` asks the environment; ``None`` means a direct connection; or a URL with
            the scheme http, https, socks4, socks5 or socks5h.
        proxy_headers: additional headers for the proxy.
        max_redirects: how many redirects to follow; 0 follows none.
        session: the session of the caller to use, which is never closed here; ``None`` means a
            private one. Resolver, local address, SOCKS and the TLS of a proxy belong to its
            connector, so that they cannot be given together with it.
        local_addr: host and port to connect from, port 0 for any; ``None`` leaves it to the
            system.
        resolver: what resolves host names; ``None`` means aiohttp's default.
        tls: how to do TLS with the server; ``None`` means the defaults, or `ssl`.
        ssl: a ready context instead of `tls`, which is used as it is.
        proxy_tls: how to do TLS with an ``https`` proxy; ``None`` means the defaults. Neither
            `tls` nor `ssl` is ever used for the proxy.
        use_fast_transport: ``True`` insists on the transports of the extra ``fast``, ``False``
            forbids them, ``None`` takes them where they can be used.
    """

    url: URL
    connect_timeout: float | None
    subprotocols: tuple[str, ...]
    headers: HeaderPairs
    origin: str | None
    user_agent: str | None
    auth: Auth | None
    cookies: Mapping[str, str]
    proxy: URL | Literal[True] | None
    proxy_headers: HeaderPairs
    max_redirects: int
    session: ClientSession | None
    local_addr: tuple[str, int] | None
    resolver: AbstractResolver | None
    tls: TLSConfig | None
    ssl: ssl_module.SSLContext | None
    proxy_tls: TLSConfig | None
    use_fast_transport: bool | None

    def __init__(
        self,
        url: str | URL,
        *,
        connect_timeout: float | None = 20.0,
        subprotocols: Iterable[str] | None = None,
        headers: HeadersLike | None = None,
        origin: str | None = None,
        user_agent: str | None = DEFAULT_USER_AGENT,
        auth: AuthLike | None = None,
        cookies: Mapping[str, str] | None = None,
        proxy: str | URL | bool | None = True,
        proxy_headers: HeadersLike | None = None,
        max_redirects: int = 10,
        session: ClientSession | None = None,
        local_addr: tuple[str, int] | None = None,
        resolver: AbstractResolver | None = None,
        tls: TLSConfig | None = None,
        ssl: ssl_module.SSLContext | None = None,
        proxy_tls: TLSConfig | None = None,
        use_fast_transport: bool | None = None,
    ) -> None:
        """Check the values, in themselves and against each other, and keep them.

        Raises:
            InvalidURLError: a `ValueError`; the URL is not one of a WebSocket.
            TypeError: a value of the wrong type.
            ValueError: a value that cannot be used, or two that exclude each other.
        """
        target = check_url(url)
        credentials = _url_credentials(target)
        pairs = check_headers("headers", headers)
        values: dict[str, Any] = {
            "url": target if credentials is None else target.with_user(None),
            "connect_timeout": _check_timeout(connect_timeout),
            "subprotocols": check_subprotocols(subprotocols),
            "headers": pairs,
            "origin": _check_text("Origin", origin),
            "user_agent": _check_user_agent(user_agent, pairs),
            "auth": check_auth(auth) or credentials,
            "cookies": _check_cookies(cookies),
            "proxy": _check_proxy(proxy),
            "proxy_headers": check_headers("proxy_headers", proxy_headers),
            "max_redirects": _check_redirects(max_redirects),
            "session": _check_type("session", session, ClientSession),
            "local_addr": _check_local_addr(local_addr),
            "resolver": _check_type("resolver", resolver, AbstractResolver),
            "tls": _check_type("tls", tls, TLSConfig),
            "ssl": _check_ssl(ssl),
            "proxy_tls": _check_type("proxy_tls", proxy_tls, TLSConfig),
            "use_fast_transport": check_fast_transport(use_fast_transport),
        }
        for name, value in values.items():
            object.__setattr__(self, name, value)
        _check_conflicts(self)
        _check_session(self)

    def __repr__(self) -> str:
        """Show where to and how, but no header's, cookie's or credential's value."""
        proxy = shown_url(self.proxy) if isinstance(self.proxy, URL) else self.proxy
        shown = {
            "url": shown_url(self.url),
            "connect_timeout": self.connect_timeout,
            # Some services take passwords as subprotocols.
            "subprotocols": len(self.subprotocols),
            "headers": [name for name, _ in self.headers],
            "origin": self.origin,
            "user_agent": self.user_agent,
            "auth": None if self.auth is None else "***",
            "cookies": list(self.cookies),
            "proxy": proxy,
            "proxy_headers": [name for name, _ in self.proxy_headers],
            "max_redirects": self.max_redirects,
            "local_addr": self.local_addr,
            "tls": self.tls,
            "proxy_tls": self.proxy_tls,
            "use_fast_transport": self.use_fast_transport,
        }
        text = ", ".join(f"{name}={value!r}" for name, value in shown.items())
        return f"ConnectOptions({text})"


def check_headers(option: str, headers: HeadersLike | None) -> HeaderPairs:
    """Return headers as pairs, in order, repeated ones too.

    Args:
        option: the option's name, for the error's sentence.
        headers: a mapping, a multidict or an iterable of pairs; ``None`` is none.

    Raises:
        TypeError: something else, or a name or value that is no `str`.
        ValueError: a name that is no token, a value with a line break, control character or
            character beyond Latin-1, or a header that is not the caller's to set. No value is
            in the text.
    """
    if headers is None:
        return ()
    pairs: Any = headers.items() if isinstance(headers, Mapping) else headers
    if isinstance(pairs, (str, bytes)) or not isinstance(pairs, Iterable):
        raise TypeError(
            f"{option} must be a mapping or (name, value) pairs, not {type(headers).__name__}."
        )
    checked = []
    for pair in pairs:
        if not isinstance(pair, (tuple, list)) or len(pair) != 2:
            raise TypeError(f"{option} must consist of (name, value) pairs.")
        name, value = pair
        check_header(name, value)
        check_not_reserved(name)
        if name.lower() in _BODY_HEADERS:
            raise ValueError(f"header {name} describes a body, but the request has none.")
        checked.append((str(name), str(value)))
    return tuple(checked)


def _has_header(headers: HeaderPairs, name: str) -> bool:
    """Return whether a header is there, in whatever case."""
    return bool(headers) and any(given.lower() == name for given, _ in headers)


def _check_timeout(connect_timeout: float | None) -> float | None:
    """Return the budget for connecting in seconds."""
    if connect_timeout is None:
        return None
    advice = "write None for no limit"
    seconds = check_seconds("connect_timeout", connect_timeout, endless=advice)
    if seconds == 0:
        raise ValueError(f"connect_timeout must be more than 0 seconds: {advice}.")
    return seconds


def _check_redirects(max_redirects: int) -> int:
    """Return how many redirects to follow."""
    return check_number("max_redirects", max_redirects, unit="redirects", most=_LONGEST_REDIRECTS)


def _check_text(header: str, value: str | None) -> str | None:
    """Return the value of a header that has an option of its own."""
    if value is None:
        return None
    check_header(header, value)
    if not value.strip():
        raise ValueError(f"the value of header {header} is empty: give None to send none.")
    return value


def _check_user_agent(user_agent: str | None, headers: HeaderPairs) -> str | None:
    """Return what to send as User-Agent beside the headers."""
    if not _has_header(headers, "user-agent"):
        ours = user_agent is DEFAULT_USER_AGENT
        return user_agent if ours else _check_text("User-Agent", user_agent)
    if user_agent is None or user_agent == DEFAULT_USER_AGENT:
        return None
    raise ValueError("User-Agent is in headers and in user_agent=: give one of them.")


def _url_credentials(url: URL) -> BasicCredentials | None:
    """Return login and password that stand in the URL."""
    if url.user is None and url.password is None:
        return None
    try:
        return BasicCredentials(url.user or "", url.password or "")
    except ValueError as exc:
        raise InvalidURLError(f"The URL's {exc}") from None


def _check_cookies(cookies: Mapping[str, Any] | None) -> Mapping[str, str]:
    """Return a copy of the cookies that cannot be changed."""
    if cookies is None:
        return MappingProxyType({})
    if not isinstance(cookies, Mapping):
        raise TypeError(
            f"cookies must be a mapping of names to values, not {type(cookies).__name__}."
        )
    checked: dict[str, str] = {}
    for name, value in cookies.items():
        text = value.value if isinstance(value, Morsel) else value
        check_token(name, "the name of a cookie")
        check_header("Cookie", text)
        # RFC 6265, section 4.1.1: it ends the cookie.
        if ";" in text:
            raise ValueError(f"the value of cookie {name} has a ';' in it: write %3B.")
        checked[name] = text
    return MappingProxyType(checked)


def _check_proxy(proxy: str | URL | bool | None) -> URL | Literal[True] | None:
    """Return which proxy to use."""
    if proxy is True or proxy is None:
        return proxy
    if proxy is False:
        raise TypeError("proxy cannot be False: write None for a direct connection.")
    if not isinstance(proxy, (str, URL)):
        raise TypeError(
            "proxy must be a URL, True (ask the environment) or None (direct), not "
            f"{type(proxy).__name__}."
        )
    return check_proxy_url(proxy)


def _check_type(name: str, value: Any, kind: type[Any]) -> Any:
    """Return `value` if it is ``None`` or of the given kind."""
    if value is None or isinstance(value, kind):
        return value
    raise TypeError(
        f"{name} must be an instance of {kind.__name__} or None, not {type(value).__name__}."
    )


def _check_local_addr(local_addr: Any) -> tuple[str, int] | None:
    """Return host and port to connect from."""
    if local_addr is None:
        return None
    if not isinstance(local_addr, (tuple, list)) or len(local_addr) != 2:
        raise TypeError("local_addr must be (host, port), such as ('192.0.2.1', 0), or None.")
    host, port = local_addr
    if not isinstance(host, str):
        raise TypeError(f"local_addr's host must be a str, not {type(host).__name__}.")
    if not host or not host.isprintable() or " " in host:
        raise ValueError("local_addr's host must be an IP address or name of this machine.")
    return host, check_number("local_addr's port", port, unit="(0 is any)", most=65535)


def _check_ssl(context: Any) -> ssl_module.SSLContext | None:
    """Return a ready context."""
    if context is None or isinstance(context, ssl_module.SSLContext):
        return context
    raise TypeError(
        f"ssl must be an ssl.SSLContext or None, not {type(context).__name__}. TLS is used when "
        "the URL begins with wss://; options of it go into tls=TLSConfig(...)."
    )


def _check_conflicts(options: ConnectOptions) -> None:
    """Refuse two values for the same thing."""
    if options.tls is not None and options.ssl is not None:
        raise ValueError("tls= and ssl= exclude each other: put everything into one of them.")
    if options.origin is not None and _has_header(options.headers, "origin"):
        raise ValueError("Origin is in headers and in origin=: give one of them.")
    if options.auth is not None and _has_header(options.headers, "authorization"):
        raise ValueError(
            "Authorization is in headers, and there are credentials in auth= or in the URL: give "
            "one of them."
        )
    if _uses_socks(options) and options.proxy_headers:
        raise ValueError("proxy_headers cannot be sent to a SOCKS proxy: it knows no headers.")


def _check_session(options: ConnectOptions) -> None:
    """Refuse what only a connector of our own could do, together with a caller's session."""
    if options.session is None:
        return
    if options.session.closed:
        raise ValueError("session is closed already: give an open one, or None.")
    for name, given in (
        ("resolver", options.resolver is not None),
        ("local_addr", options.local_addr is not None),
        ("proxy_tls", options.proxy_tls is not None),
        ("a SOCKS proxy", _uses_socks(options)),
        ("use_fast_transport=True", bool(options.use_fast_transport)),
    ):
        if given:
            raise ValueError(
                f"{name} cannot be given together with session=, which has a connector of its "
                "own: set it on the session's connector."
            )


def _uses_socks(options: ConnectOptions) -> bool:
    """Return whether an explicit SOCKS proxy is to be used."""
    return isinstance(options.proxy, URL) and options.proxy.scheme in SOCKS_SCHEMES
