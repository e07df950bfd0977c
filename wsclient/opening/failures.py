"""From the exceptions of aiohttp and ssl to ours: the one boundary where they are mapped.

Only types, numbers and `ssl`'s own names decide, never the text of a message.
"""

from __future__ import annotations

import errno
import os
import socket
import ssl
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import aiohttp
from aiohttp.http_exceptions import LineTooLong
from multidict import CIMultiDict, CIMultiDictProxy
from yarl import URL

from ..errors import (
    ConnectError,
    ConnectTimeoutError,
    HandshakeError,
    InvalidURLError,
    ProxyError,
    WebSocketError,
)
from ..protocol.head import HeadTooLongError
from ..tls.explaining.explain import HandshakeFacts, explain_closed, explain_fault, explain_refusal
from ..tls.explaining.hints import known_fault
from ..urls import shown_url
from .proxy_refusal import proxy_refusal

__all__ = ["Way", "forget_outer", "map_failure", "refusal", "without_secrets"]

_STATUS_HINTS = {
    400: "The server did not like the request; the body may say why.",
    401: "Credentials are missing or wrong: pass auth=(user, password), or a token in headers=.",
    404: "Nothing is at this path: check the path of the URL.",
    407: "A proxy wants credentials, and says so in the place of the server: see proxy=.",
    426: "The server wants another protocol or version; see its Upgrade header.",
}

_NETWORK_HINTS = {
    errno.EHOSTUNREACH: (
        "A router or firewall says that nobody can get there: check the address, and whether this "
        "machine may connect to it."
    ),
    errno.ENETUNREACH: "This machine knows no way there: is it online, and is a VPN needed?",
    errno.ETIMEDOUT: "Nothing answers: check host and port; a firewall may drop the packets.",
}
_LONGEST_DATE = 40

# aiohttp's own errors of TLS are ssl errors too, but empty ones. That more has to come is none:
# asyncio was dealing with it when the connection broke.
_NO_FAULTS = (aiohttp.ClientError, ssl.SSLWantReadError, ssl.SSLWantWriteError)


@dataclass(frozen=True)
class Way:
    """The way that a failed request was to take.

    Attributes:
        url: what was to be opened.
        proxy: the proxy on the way, ``None`` without.
        facts: what is known about the latest TLS handshake.
        tunnelled: whether the way through the proxy was open already.
        from_environment: whether the environment has chosen the proxy.
        lent: whether the session is the caller's.
        proxy_credentials: whether the proxy is sent any.
    """

    url: URL
    proxy: URL | None
    facts: HandshakeFacts
    tunnelled: bool
    from_environment: bool = False
    lent: bool = False
    proxy_credentials: bool = False


def map_failure(exc: BaseException, way: Way) -> WebSocketError | None:
    """Return our error for a failed request; ``None`` for what is not ours to map.

    Args:
        exc: what aiohttp raised.
        way: the way that the request was to take.
    """
    if isinstance(exc, WebSocketError):
        return None  # It is ours already, such as that of certificate files.
    url, proxy = way.url, way.proxy
    where = shown_url(url)
    if isinstance(exc, HeadTooLongError):
        return _too_long(exc, where, way)
    if isinstance(exc, aiohttp.ClientHttpProxyError):
        challenges = () if exc.headers is None else exc.headers.getall("Proxy-Authenticate", ())
        return proxy_refusal(proxy, exc.status, challenges, credentials=way.proxy_credentials)
    tls_fault = _tls_fault(exc) or _fault_at_other_address(exc, way)
    if tls_fault is not None:
        return explain_fault(tls_fault, way.facts)
    if any(isinstance(link, ConnectionAbortedError) and not link.errno for link in _chain(exc)):
        # The event loop has a limit of its own for handshakes: 60 seconds.
        return ConnectTimeoutError(f"the TLS handshake with {way.facts.place} took too long.")
    if _ended_over_certificate(exc, way):
        return explain_closed(_is_reset(exc), way.facts)
    if isinstance(exc, aiohttp.ClientProxyConnectionError):
        return ProxyError(
            f"cannot connect to the proxy {_shown(proxy)}: {_os_text(exc)}.", hint=_whence(way)
        )
    if _is_socks_error(exc):
        return _socks_error(exc, proxy)
    if isinstance(exc, aiohttp.ClientConnectorDNSError | socket.gaierror):
        return _dns_error(exc, way)
    if isinstance(exc, aiohttp.InvalidURL):
        return InvalidURLError(f"the URL {where} cannot be requested.")
    if isinstance(exc, TimeoutError):
        return ConnectTimeoutError(f"a time limit of the session ran out connecting to {where}.")
    if isinstance(exc, aiohttp.ClientConnectorError):
        return ConnectError(
            f"cannot connect to {where}: {_os_text(exc)}.", phase="tcp", hint=_tcp_hint(exc)
        )
    if proxy is not None and not way.tunnelled and isinstance(exc, aiohttp.ClientError):
        return ProxyError(
            f"the proxy {_shown(proxy)} did not open a tunnel, nor say why.",
            hint="Is this the port of an HTTP proxy?",
        )
    if isinstance(exc, aiohttp.ServerDisconnectedError | ConnectionError | aiohttp.ClientOSError):
        return _no_answer(where, way)
    if isinstance(exc, aiohttp.ClientResponseError | aiohttp.ClientPayloadError):
        return _invalid_http(exc, where, way)
    if isinstance(exc, aiohttp.ClientError | OSError):
        return ConnectError(f"cannot connect to {where}: {_os_text(exc)}.", phase="tcp")
    return None


def forget_outer(exc: BaseException, outer: BaseException | None) -> None:
    """Cut off what the caller was handling when he connected: it is not about this attempt."""
    for link in tuple(_chain(exc)):
        if outer is not None and link.__context__ is outer:
            link.__context__ = None


def without_secrets(exc: BaseException) -> BaseException:
    """Return an exception of aiohttp that may be chained and logged.

    Some of them show the whole URL, and so the password or the token in it, and hold the
    request with its headers. Of these a copy without is returned, others as they are.
    """
    if not isinstance(exc, aiohttp.ClientResponseError):
        return exc
    info = exc.request_info
    url = info.real_url.with_user(None).with_query(None)
    bare = aiohttp.RequestInfo(url, info.method, CIMultiDictProxy(CIMultiDict()), url)
    copy = type(exc)(bare, (), status=exc.status, message=exc.message, headers=exc.headers)
    copy.__cause__ = exc.__cause__
    return copy.with_traceback(exc.__traceback__)


def _chain(exc: BaseException | None) -> Iterator[BaseException]:
    # Python 3.11 and 3.12.1 hide the ssl error of TLS in TLS behind a TypeError (cpython
    # #113214), so that the context counts as well as the cause.
    seen: set[int] = set()
    while exc is not None and id(exc) not in seen:
        seen.add(id(exc))
        yield exc
        exc = exc.__cause__ or exc.__context__


def _tls_fault(exc: BaseException) -> ssl.SSLError | None:
    for link in _chain(exc):
        if isinstance(link, ssl.SSLError) and not isinstance(link, _NO_FAULTS):
            return link
    return None


def _fault_at_other_address(exc: BaseException, way: Way) -> ssl.SSLError | None:
    # aiohttp goes on to the next address when TLS fails, and tells of the last one alone.
    handshake = way.facts.handshake
    connecting = isinstance(exc, aiohttp.ClientConnectorError | TimeoutError)
    return handshake.fault if connecting and handshake is not None else None


def _shown(proxy: URL | None) -> str:
    return "" if proxy is None else shown_url(proxy)


def _os_text(exc: BaseException) -> str:
    for link in _chain(exc):
        number = getattr(link, "errno", None)
        if isinstance(link, OSError) and isinstance(number, int) and number > 0:
            return os.strerror(number)
    return str(exc) or type(exc).__name__


def _is_socks_error(exc: BaseException) -> bool:
    # An optional dependency: asked by name, so that it need not be imported.
    packages = {type(link).__module__.partition(".")[0] for link in _chain(exc)}
    return bool(packages & {"aiohttp_socks", "python_socks"})


def _whence(way: Way) -> str:
    if not way.from_environment:
        return ""
    return "It comes from the environment: set no_proxy there, or pass proxy=None."


def _dns_error(exc: BaseException, way: Way) -> ConnectError:
    proxy = way.proxy
    host = (way.url if proxy is None else proxy).host
    cause = getattr(exc, "os_error", None) or exc
    text = getattr(cause, "strerror", None) or str(cause)
    if proxy is not None:
        return ProxyError(
            f"the name of the proxy, {host}, cannot be resolved: {text}.", hint=_whence(way)
        )
    return ConnectError(
        f"the host name {host} cannot be resolved: {text}.",
        phase="dns",
        hint="Check the spelling, and the DNS of this machine.",
    )


def _ended_over_certificate(exc: BaseException, way: Way) -> bool:
    """Tell whether the other side ended TCP in the handshake, or behind it over a certificate."""
    if not _ended(exc, way):
        return False
    handshake = way.facts.handshake
    if handshake is None:
        # A context of the caller, whose handshakes nobody watches.
        during = isinstance(exc, aiohttp.ClientConnectorError) and _is_reset(exc)
        at_proxy = isinstance(exc, aiohttp.ClientProxyConnectionError)
        return during and way.url.scheme == "wss" and not at_proxy
    if not handshake.established:
        return True
    if handshake.certificate_request is None:
        return False
    # A ticket does not say that ours was accepted: some servers look at it behind the handshake,
    # and then close in good order. What is known against it decides.
    return not handshake.confirmed or bool(known_fault(way.facts))


def _ended(exc: BaseException, way: Way) -> bool:
    if isinstance(exc, TypeError):
        # What asyncio makes of an end within TLS in TLS; see `_chain`.
        return way.proxy is not None and way.proxy.scheme == "https"
    if any(isinstance(link, ConnectionRefusedError) for link in _chain(exc)):
        return False  # by another address of the same host
    return isinstance(
        exc, aiohttp.ServerDisconnectedError | ConnectionError | aiohttp.ClientOSError
    )


def _is_reset(exc: BaseException) -> bool:
    return any(isinstance(link, ConnectionResetError) for link in _chain(exc))


def _tcp_hint(exc: aiohttp.ClientConnectorError) -> str:
    if any(isinstance(link, ConnectionRefusedError) for link in _chain(exc)):
        return "Nothing listens on that port: check host and port, and that the server runs."
    numbers = {link.errno for link in _chain(exc) if isinstance(link, OSError)}
    return next((hint for number, hint in _NETWORK_HINTS.items() if number in numbers), "")


def _no_answer(where: str, way: Way) -> ConnectError:
    handshake = way.facts.handshake
    if way.url.scheme == "ws":
        hint = "If the server expects TLS on this port, use wss:// instead of ws://."
    elif handshake is not None and handshake.confirmed:
        hint = "The TLS handshake had succeeded: does the service behind it run?"
        if handshake.certificate_request is not None:
            hint += (
                " It had asked for a client certificate, too, and may not take ours, though "
                "nothing is known against it: its log should say."
            )
    else:
        hint = "If the server requires a client certificate, it may have refused ours."
    return ConnectError(
        f"{where} closed the connection without answering the upgrade request.",
        phase="http",
        hint=hint,
    )


def _too_long(exc: HeadTooLongError, where: str, way: Way) -> ConnectError:
    if way.proxy is not None and not way.tunnelled:
        return ProxyError(
            f"the answer of the proxy {_shown(way.proxy)} has {exc.what}, which is the limit.",
            status=exc.status,
            hint="Is this the port of an HTTP proxy?",
        )
    return HandshakeError(
        f"the answer of {where} has {exc.what}, which is the limit.",
        status=exc.status,
        headers={},
        hint="Whoever sends that, the server or a gateway in front of it, has to send less.",
    )


def _invalid_http(exc: BaseException, where: str, way: Way) -> ConnectError:
    for link in _chain(exc):
        if isinstance(link, LineTooLong):
            # Its first argument is the field, or a part of it.
            return HandshakeError(
                f"the answer of {where} has a field that is longer than the session allows, "
                f"{link.args[1]} bytes.",
                status=0,
                headers={},
                hint="Give aiohttp.ClientSession a larger max_field_size=, or leave out session=.",
            )
    hint = "Is this the port of a web server?"
    if way.lent:
        hint += (
            " The session has limits of its own, too: max_headers= of aiohttp.ClientSession says "
            "how many fields an answer may have."
        )
    return ConnectError(f"{where} did not answer with valid HTTP.", phase="http", hint=hint)


def _socks_error(exc: BaseException, proxy: URL | None) -> ProxyError:
    # A proxy that says no gives a number (RFC 1928, section 6).
    said = any(getattr(link, "error_code", None) is not None for link in _chain(exc))
    hint = "" if said else "What answers there may be no SOCKS proxy, or one of another version."
    return ProxyError(f"the SOCKS proxy {_shown(proxy)} failed: {exc}.", hint=hint)


def refusal(
    status: int, headers: Mapping[str, str], body: bytes, facts: HandshakeFacts
) -> ConnectError:
    """Return the error for an answer that does not upgrade.

    Args:
        status: HTTP status.
        headers: response headers, names in lower case.
        body: the start of the response body.
        facts: what is known about the TLS handshake that came before.
    """
    refused = HandshakeError(
        f"{facts.where} answered the upgrade request with status {status}.",
        status=status,
        headers=headers,
        body=body,
        hint=_refusal_hint(status, headers),
    )
    about_tls = explain_refusal(status, headers, body, facts)
    if about_tls is None:
        return refused
    about_tls.__cause__ = refused
    return about_tls


def _refusal_hint(status: int, headers: Mapping[str, str]) -> str:
    if status == 403:
        return (
            "The server forbids it: it may want credentials, or another Origin header "
            "(origin=...)."
        )
    if status in (429, 503) and "retry-after" in headers:
        when = headers["retry-after"]
        if len(when) > _LONGEST_DATE or not when.isprintable():
            when = repr(when[:_LONGEST_DATE])
        return f"The server asks to come back later: Retry-After is {when}."
    if status == 429:
        return "There were too many requests: wait before the next try."
    if status == 200:
        return "The path exists but is no WebSocket: check the path of the URL."
    if 500 <= status <= 599:
        return "The server, or what a gateway has behind it, is not working: try again later."
    return _STATUS_HINTS.get(status, "")
