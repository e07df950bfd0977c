"""Which proxy to use: proxy URLs, the environment's variables, and NO_PROXY."""

from __future__ import annotations

import importlib.util
import ipaddress
import os
import re
from typing import Final
from urllib.request import getproxies, getproxies_environment, proxy_bypass

from yarl import URL

from ..errors import ProxyError
from ..urls import parse_url
from .distribution import install_command

__all__ = ["SOCKS_SCHEMES", "check_proxy_url", "environment_proxy"]

SOCKS_SCHEMES: Final = frozenset({"socks4", "socks5", "socks5h"})
"""Proxy schemes that need the extra ``socks``."""

_PLAIN: Final = ("ws", "http", "all")
_SECURE: Final = ("wss", "https", "all")
_SEPARATORS: Final = re.compile(r"[\s,]+")

_Address = ipaddress.IPv4Address | ipaddress.IPv6Address


def check_proxy_url(proxy: str | URL) -> URL:
    """Return the URL of a proxy, complete with scheme and port.

    Args:
        proxy: ``[scheme://][login:password@]host[:port]``; without a scheme ``http://`` is
            meant. Schemes: http, https, and with the extra ``socks`` also socks4, socks5 (names
            resolved here) and socks5h (names resolved by the proxy), whose port is 1080 unless
            given.

    Raises:
        TypeError: neither a `str` nor a `yarl.URL`.
        ValueError: another scheme, no host, a bad port, a path, query or fragment, or a SOCKS
            proxy while the extra is not installed. No login or password is in its text.
    """
    if not isinstance(proxy, (str, URL)):
        raise TypeError(f"a proxy must be a str or a yarl.URL, not {type(proxy).__name__}.")
    if isinstance(proxy, str) and proxy and "://" not in proxy:
        proxy = f"http://{proxy}"
    url = parse_url(proxy, what="The proxy URL", example="http://host:port")
    if url.scheme not in ("http", "https") and url.scheme not in SOCKS_SCHEMES:
        raise ValueError(
            f"The proxy URL has the scheme {url.scheme!r}: use http, https, socks4, socks5 or "
            "socks5h."
        )
    if url.raw_path not in ("", "/") or url.raw_query_string or "#" in str(proxy):
        raise ValueError(
            "The proxy URL has a path, query or fragment: write only scheme, host and port. "
            "Characters such as '/', '?' and '#' in a password are written %2F, %3F and %23."
        )
    if url.scheme not in SOCKS_SCHEMES:
        return url
    if importlib.util.find_spec("aiohttp_socks") is None:
        raise ValueError(f"A SOCKS proxy needs an extra: {install_command('socks')}")
    return url if url.explicit_port else url.with_port(1080)


def environment_proxy(url: URL) -> URL | None:
    """Return the proxy that the environment asks for, or ``None`` for a direct connection.

    For ``ws`` the variables are ``ws_proxy``, ``http_proxy`` and ``all_proxy``, for ``wss``
    ``wss_proxy``, ``https_proxy`` and ``all_proxy``; the first one set wins, in lower before
    upper case. ``HTTP_PROXY`` is ignored in a CGI program, where the requester controls it.
    Where no variable is set, macOS and Windows ask the system's settings.

    ``no_proxy`` lists exceptions, separated by commas or spaces: ``*``, host names (which stand
    for their subdomains too, with or without a leading dot), ``host:port``, IP addresses and
    networks such as ``10.0.0.0/8``. ``localhost`` is not special: name it if it is meant.

    It does not touch the network.

    Args:
        url: where to connect to; ``https`` counts as ``wss``, and ``http`` as ``ws``.

    Raises:
        ProxyError: the variable that applies holds no usable proxy URL. The text names the
            variable and never shows its value.
    """
    proxies = getproxies()
    for name in _SECURE if url.scheme in ("wss", "https") else _PLAIN:
        value = proxies.get(name)
        if value:
            break
    else:
        return None
    if _is_exempt(url, proxies.get("no", "")):
        return None
    try:
        return check_proxy_url(value.strip())
    except ValueError as exc:
        raise ProxyError(f"{_source(name)} names no usable proxy. {exc}") from exc


def _source(name: str) -> str:
    """Return where the proxy setting for `name` comes from, to begin a sentence with."""
    for variable in (f"{name}_proxy", f"{name}_proxy".upper()):
        if os.environ.get(variable):
            return f"The environment variable {variable}"
    return f"The system's proxy setting for {name}"


def _is_exempt(url: URL, exceptions: str) -> bool:
    """Return whether `url` is to be reached without a proxy."""
    host, port = (url.raw_host or "").lower(), url.port
    if not getproxies_environment():
        # The system's own settings apply, and only the standard library knows how to read them.
        return bool(proxy_bypass(host))
    # A rule may name an internationalised host in either spelling.
    names = {host.removesuffix("."), (url.host or "").lower().removesuffix(".")}
    address = _address(host)
    rules = _SEPARATORS.split(exceptions.lower())
    return any(_matches(rule, names, address, port) for rule in rules if rule)


def _matches(rule: str, names: set[str], address: _Address | None, port: int | None) -> bool:
    """Return whether one entry of NO_PROXY covers the host; one that is no rule never does."""
    if rule == "*":
        return True
    if "/" in rule:
        return address is not None and _in_network(address, rule)
    name, rule_port = _split_port(rule)
    if rule_port and rule_port != str(port):
        return False
    rule_address = _address(name)
    if address is not None or rule_address is not None:
        return address == rule_address
    name = name.removeprefix("*").lstrip(".").removesuffix(".")
    return bool(name) and any(host == name or host.endswith(f".{name}") for host in names)


def _split_port(rule: str) -> tuple[str, str]:
    """Split ``host:port``; the port is empty where there is none."""
    if rule.startswith("["):
        name, _, rest = rule[1:].partition("]")
        return name, rest.removeprefix(":")
    if rule.count(":") == 1:
        name, _, port = rule.partition(":")
        return name, port
    return rule, ""


def _address(host: str) -> _Address | None:
    """Return `host` as an address, without an IPv6 zone; ``None`` for a name."""
    try:
        return ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return None


def _in_network(address: _Address, rule: str) -> bool:
    """Return whether `address` lies in the network `rule`, such as ``10.0.0.0/8``."""
    try:
        return address in ipaddress.ip_network(rule, strict=False)
    except ValueError:
        return False
