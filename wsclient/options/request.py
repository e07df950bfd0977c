"""`HTTPRequest` with Tornado's names, and what any such request means for connecting."""

from __future__ import annotations

import ipaddress
import ssl
from collections.abc import Mapping
from typing import Any, Final

from aiohttp import DigestAuthMiddleware
from multidict import CIMultiDict
from yarl import URL

from ..tls.config import TLSConfig
from ..urls import check_url, shown_url
from .connect import HeaderPairs, HeadersLike, check_headers
from .connection import check_number, check_seconds
from .credentials import BasicCredentials
from .proxies import check_proxy_url

__all__ = ["HTTPRequest", "request_values"]

# Attribute of Tornado's request, the values that ask for nothing, and the advice.
_REFUSED: Final[tuple[tuple[str, tuple[object, ...], str], ...]] = (
    ("method", (None, "GET"), "a WebSocket is opened with GET"),
    ("body", (None, b"", ""), "the request that opens a WebSocket has no body"),
    ("body_producer", (None,), "the request that opens a WebSocket has no body"),
    ("expect_100_continue", (None, False), "the request has no body"),
    ("if_modified_since", (None,), "the answer that opens a WebSocket is never cached"),
    ("streaming_callback", (None,), "use on_message_callback= for messages"),
    ("header_callback", (None,), "use response_headers of the connection"),
    ("prepare_curl_callback", (None,), "no curl is involved"),
    ("decompress_response", (None, True), "use compression_options= for messages"),
    ("allow_nonstandard_methods", (None, False), "a WebSocket is opened with GET"),
    ("allow_ipv6", (None, True), "give a resolver= or local_addr= that has IPv4 only"),
    ("proxy_auth_mode", (None, "basic"), "proxies are given basic authentication only"),
)
_SSL_OPTIONS: Final = ("certfile", "keyfile", "ca_certs", "cert_reqs")


class HTTPRequest:
    """The request that opens a WebSocket, with the names of Tornado's `HTTPRequest`.

    It may be changed until it is given to `websocket_connect`, which checks it. ``None`` means
    that the argument of `websocket_connect`, or its default, decides.

    Attributes:
        url: ``ws://`` or ``wss://``.
        headers: additional headers; whatever was given is copied into a multidict.
        auth_username: login for basic authentication.
        auth_password: password that belongs to it.
        connect_timeout: seconds; 0 means no limit.
        request_timeout: seconds; 0 means no limit. Connecting has one budget for everything,
            the smaller one of the two that were given.
        follow_redirects: ``False`` follows none.
        max_redirects: how many to follow.
        user_agent: value of the header User-Agent.
        network_interface: IP address to connect from.
        proxy_host: host of an HTTP proxy.
        proxy_port: its port.
        proxy_username: login for it.
        proxy_password: password that belongs to it.
        validate_cert: ``False`` accepts any certificate of the server.
        ca_certs: path of a PEM file with trusted roots, which replace those of certifi.
        client_cert: path of the client's certificate chain.
        client_key: path of its private key.
        ssl_options: a ready context, or a dict with ``certfile``, ``keyfile``, ``ca_certs`` and
            ``cert_reqs``; instead of the four fields above.
    """

    def __init__(
        self,
        url: str | URL,
        *,
        headers: HeadersLike | None = None,
        auth_username: str | None = None,
        auth_password: str | None = None,
        connect_timeout: float | None = None,
        request_timeout: float | None = None,
        follow_redirects: bool | None = None,
        max_redirects: int | None = None,
        user_agent: str | None = None,
        network_interface: str | None = None,
        proxy_host: str | None = None,
        proxy_port: int | None = None,
        proxy_username: str | None = None,
        proxy_password: str | None = None,
        validate_cert: bool | None = None,
        ca_certs: str | None = None,
        client_cert: str | None = None,
        client_key: str | None = None,
        ssl_options: Mapping[str, Any] | ssl.SSLContext | None = None,
    ) -> None:
        """Keep the values.

        Raises:
            TypeError: `headers` is neither a mapping nor pairs of `str`.
            ValueError: a header that cannot be sent.
        """
        self.url = url
        self.headers: CIMultiDict[str] = CIMultiDict(check_headers("headers", headers))
        self.auth_username = auth_username
        self.auth_password = auth_password
        self.connect_timeout = connect_timeout
        self.request_timeout = request_timeout
        self.follow_redirects = follow_redirects
        self.max_redirects = max_redirects
        self.user_agent = user_agent
        self.network_interface = network_interface
        self.proxy_host = proxy_host
        self.proxy_port = proxy_port
        self.proxy_username = proxy_username
        self.proxy_password = proxy_password
        self.validate_cert = validate_cert
        self.ca_certs = ca_certs
        self.client_cert = client_cert
        self.client_key = client_key
        self.ssl_options = ssl_options

    def __repr__(self) -> str:
        """Show the URL without secrets, and nothing else."""
        try:
            url = shown_url(check_url(self.url))
        except (TypeError, ValueError):
            url = "***"
        return f"HTTPRequest({url!r})"


def request_values(request: object) -> dict[str, Any]:
    """Return what a request sets, as keyword arguments of `websocket_connect`.

    Only what is set is in it, so that other arguments may be put on top. `tls` and `ssl`, of
    which one at most is returned, are one field: either argument replaces both. No file is read.

    Args:
        request: an `HTTPRequest`, or any object with Tornado's attribute names; attributes that
            it lacks count as ``None``.

    Raises:
        TLSConfigurationError: a `ValueError`; a path of a file cannot be one.
        TypeError: no request at all, or a field of the wrong type.
        ValueError: a field has a value that cannot be honoured; none is ignored.
    """
    if getattr(request, "url", None) is None:
        raise TypeError(
            f"a request must have a url; {type(request).__name__} has none. Give a str, a "
            "yarl.URL or an HTTPRequest."
        )
    fields = _Fields(request)
    _check_refused(fields)
    return {
        "url": fields.get("url"),
        **_header_values(fields),
        **_auth_values(fields),
        **_timeout_values(fields),
        **_redirect_values(fields),
        **_interface_values(fields),
        **_proxy_values(fields),
        **_tls_values(fields),
    }


class _Fields:
    """The attributes of a request by name; one that is not there is ``None``."""

    def __init__(self, request: object) -> None:
        self._request = request

    def get(self, name: str) -> Any:
        """Return the value of a field."""
        return getattr(self._request, name, None)

    def text(self, name: str) -> str | None:
        """Return the value of a field that holds text; an empty one counts as none."""
        value = self.get(name)
        if value is not None and not isinstance(value, str):
            raise TypeError(f"{name} of the request must be a str, not {type(value).__name__}.")
        return value or None

    def switch(self, name: str) -> bool | None:
        """Return the value of a field that is on, off or ``None``."""
        value = self.get(name)
        if value is None or isinstance(value, bool):
            return value
        raise TypeError(f"{name} of the request must be a bool, not {type(value).__name__}.")


def _check_refused(fields: _Fields) -> None:
    """Refuse what Tornado's requests offer and a WebSocket cannot have."""
    for name, harmless, advice in _REFUSED:
        value = fields.get(name)
        # By identity or within one type: 0 is not False here, and 1 is not True.
        if not any(value is v or (type(value) is type(v) and value == v) for v in harmless):
            raise ValueError(f"{name} of the request cannot be honoured: {advice}.")


def _header_values(fields: _Fields) -> dict[str, Any]:
    """Return headers and User-Agent."""
    values: dict[str, Any] = {}
    headers = _header_pairs(fields.get("headers"))
    # Tornado turns if_modified_since into this header.
    if any(name.lower() == "if-modified-since" for name, _ in headers):
        raise ValueError(
            "If-Modified-Since of the request cannot be honoured: the answer that opens a "
            "WebSocket is never cached."
        )
    if headers:
        values["headers"] = headers
    user_agent = fields.text("user_agent")
    if user_agent is not None:
        values["user_agent"] = user_agent
    return values


def _header_pairs(headers: Any) -> HeaderPairs:
    """Return headers as pairs; Tornado's own type would join repeated ones."""
    if hasattr(headers, "get_list") and hasattr(headers, "get_all"):
        headers = headers.get_all()
    return check_headers("headers", headers)


def _auth_values(fields: _Fields) -> dict[str, Any]:
    """Return basic or digest authentication."""
    login, password = fields.get("auth_username"), fields.get("auth_password")
    mode = fields.get("auth_mode")
    if mode not in (None, "basic", "digest"):
        raise ValueError(
            "auth_mode of the request must be 'basic' or 'digest': give another authentication "
            "as auth=, a client middleware of aiohttp."
        )
    if login is None:
        if password:
            raise ValueError("auth_password of the request needs auth_username.")
        return {}
    credentials = BasicCredentials(login, "" if password is None else password)
    if mode != "digest":
        return {"auth": credentials}
    return {"auth": DigestAuthMiddleware(credentials.login, credentials.password)}


def _timeout_values(fields: _Fields) -> dict[str, Any]:
    """Return the smaller one of the two limits; 0 is Tornado's word for none."""
    limits = [
        check_seconds(name, fields.get(name), endless="write 0 for no limit")
        for name in ("connect_timeout", "request_timeout")
        if fields.get(name) is not None
    ]
    if not limits:
        return {}
    return {"connect_timeout": min((limit for limit in limits if limit), default=None)}


def _redirect_values(fields: _Fields) -> dict[str, Any]:
    """Return how many redirects to follow."""
    limit = fields.get("max_redirects")
    if limit is not None:
        limit = check_number("max_redirects", limit, unit="redirects")
    if fields.switch("follow_redirects") is False:
        return {"max_redirects": 0}
    return {} if limit is None else {"max_redirects": limit}


def _interface_values(fields: _Fields) -> dict[str, Any]:
    """Return the address to connect from."""
    interface = fields.text("network_interface")
    if interface is None:
        return {}
    try:
        ipaddress.ip_address(interface)
    except ValueError:
        raise ValueError(
            "network_interface of the request must be an IP address of this machine: the name of "
            "an interface cannot be honoured."
        ) from None
    return {"local_addr": (interface, 0)}


def _proxy_values(fields: _Fields) -> dict[str, Any]:
    """Return the URL of an HTTP proxy."""
    host, port = fields.text("proxy_host"), fields.get("proxy_port")
    user, password = fields.text("proxy_username"), fields.text("proxy_password")
    if host is None or port is None:
        if host is not None or port is not None:
            raise ValueError("proxy_host and proxy_port of the request need each other.")
        if user is not None or password is not None:
            raise ValueError("proxy_username and proxy_password of the request need proxy_host.")
        return {}
    if password is not None and user is None:
        raise ValueError("proxy_password of the request needs proxy_username.")
    number = check_number("proxy_port", port, unit="(a port)", least=1, most=65535)
    try:
        url = URL.build(scheme="http", user=user, password=password, host=host, port=number)
        return {"proxy": check_proxy_url(url)}
    except ValueError:
        raise ValueError(
            "proxy_host of the request must be a host name or an IP address alone."
        ) from None


def _tls_values(fields: _Fields) -> dict[str, Any]:
    """Return how to do TLS with the server."""
    cafile, certfile = fields.text("ca_certs"), fields.text("client_cert")
    keyfile, verify = fields.text("client_key"), fields.switch("validate_cert")
    options = fields.get("ssl_options")
    if options is not None:
        if cafile or certfile or keyfile or verify is False:
            raise ValueError(
                "ssl_options of the request excludes validate_cert, ca_certs, client_cert and "
                "client_key: put everything into ssl_options."
            )
        if isinstance(options, ssl.SSLContext):
            return {"ssl": options}
        cafile, certfile, keyfile, verify = _read_ssl_options(options)
    if keyfile is not None and certfile is None:
        raise ValueError("The private key of the request needs a client certificate.")
    if certfile is None and cafile is None and verify is not False:
        return {}
    cert = None if certfile is None else (certfile, keyfile)
    return {"tls": TLSConfig(cert=cert, cafile=cafile, verify=verify is not False)}


def _read_ssl_options(
    options: object,
) -> tuple[str | None, str | None, str | None, bool]:
    """Return ca_certs, certfile, keyfile and whether to verify, from a dict of ssl_options."""
    if not isinstance(options, Mapping):
        raise TypeError(
            "ssl_options of the request must be an ssl.SSLContext or a dict, not "
            f"{type(options).__name__}."
        )
    unknown = sorted(str(name) for name in options if name not in _SSL_OPTIONS)
    if unknown:
        raise ValueError(
            f"ssl_options of the request has {', '.join(unknown)}, which cannot be honoured: "
            f"use {', '.join(_SSL_OPTIONS)}, or an ssl.SSLContext."
        )
    required = options.get("cert_reqs")
    if required is not None and not isinstance(required, ssl.VerifyMode):
        raise TypeError("cert_reqs in ssl_options must be an ssl.VerifyMode.")
    return (
        options.get("ca_certs"),
        options.get("certfile"),
        options.get("keyfile"),
        required is not ssl.CERT_NONE,
    )
