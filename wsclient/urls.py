"""The URLs that a WebSocket client can open, and how they are shown in text."""

from __future__ import annotations

import functools
import ipaddress
import re
from typing import Final

from yarl import URL

from .errors import InvalidURLError

__all__ = ["check_url", "parse_url", "shown_url"]

_SCHEME: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*\Z")
_AUTHORITY: Final = re.compile(r"[^/?#]*")
_LABEL: Final = re.compile(r"[A-Za-z0-9_-]{1,63}\Z")
_ZONE: Final = re.compile(r"(?!25\Z)(?:25)?[A-Za-z0-9._~-]+\Z")
_PORT: Final = re.compile(r"[0-9]{0,5}\Z")
_SUSPECT: Final = re.compile(r"[\x00-\x20\x7F-\x9F\uD800-\uDFFF]")
_LONGEST_PATH: Final = 200  # characters; a server's redirect may have many more
_INSTEAD: Final = {"http": "ws", "https": "wss"}


def check_url(url: str | URL) -> URL:
    """Return `url` parsed, after checking that a WebSocket client can open it.

    Login and password in it are allowed; they are never part of an error's text.

    Args:
        url: ``ws://`` or ``wss://``, a host, and at will port, path and query.

    Raises:
        InvalidURLError: another scheme, no host, an impossible host or port, a fragment, or
            spaces, control characters and lone surrogates anywhere.
        TypeError: `url` is neither a `str` nor a `yarl.URL`.

    RFC 6455, section 3.
    """
    if not isinstance(url, (str, URL)):
        raise TypeError(f"url must be a str or a yarl.URL, not {type(url).__name__}.")
    return _parsed_text(url) if isinstance(url, str) else _parsed(url)


def _parsed(url: str | URL) -> URL:
    try:
        parsed = parse_url(url, what="The URL", example="ws://host:port/path")
        _check_scheme(parsed.scheme)
    except ValueError as exc:
        # The parser's own exception may quote the URL with its password: it is not chained.
        raise InvalidURLError(str(exc)) from None
    # RFC 6455, section 3: "#" never starts a fragment here, not even an empty one.
    if "#" in str(url):
        raise InvalidURLError(
            "The URL has a fragment (#...), which a WebSocket URL cannot have (RFC 6455, "
            "section 3). Remove it, or write %23 for a literal '#'."
        )
    return parsed


# Programs connect to the same few URLs again and again. yarl remembers them, too.
_parsed_text: Final = functools.lru_cache(maxsize=64)(_parsed)


def parse_url(url: str | URL, *, what: str, example: str) -> URL:
    """Return `url` parsed; whatever is wrong is a `ValueError` without a word of the URL's text.

    Args:
        url: an absolute URL with any scheme.
        what: how error sentences begin, such as ``"The URL"``.
        example: what a right one looks like, such as ``"ws://host:port/path"``.

    Raises:
        ValueError: the text is no absolute URL with a usable host and port.
    """
    text = str(url)
    if not text:
        raise ValueError(f"{what} is empty: write it like {example}.")
    _check_characters(text, what)
    scheme, separator, rest = text.partition("://")
    if not separator or not _SCHEME.match(scheme):
        raise ValueError(f"{what} has no scheme: write it like {example}.")
    authority = _AUTHORITY.match(rest)
    _check_authority(authority.group() if authority else "", what, example)
    try:
        parsed = url if isinstance(url, URL) else URL(text)
        host = parsed.raw_host or ""
        # Decoded only when asked for: a label in bad punycode ("xn--") would show much later.
        _ = parsed.host
    except ValueError:
        raise ValueError(f"{what} cannot be parsed: check its host.") from None
    _check_host(host, what)
    return parsed


def shown_url(url: URL) -> str:
    """Return `url` for messages and logs: no login, password and query, nor all of a long path."""
    user = "***@" if url.raw_user is not None or url.raw_password is not None else ""
    query = "?***" if url.raw_query_string else ""
    # A password with a raw "/" in it ends up in the path: such a path is not shown either.
    path = "/***" if "@" in url.raw_path else url.raw_path
    if len(path) > _LONGEST_PATH:
        path = f"{path[:_LONGEST_PATH]}..."
    return f"{url.scheme}://{user}{url.host_port_subcomponent or ''}{path}{query}"


def _check_characters(text: str, what: str) -> None:
    """Refuse characters that no URL can have."""
    if text != text.strip():
        raise ValueError(f"{what} begins or ends with white space: remove it.")
    for character in _SUSPECT.findall(text):
        code = ord(character)
        if character == " ":
            raise ValueError(f"{what} has a space in it: write %20.")
        if code < 0x20 or 0x7F <= code < 0xA0:
            raise ValueError(f"{what} has the control character U+{code:04X} in it: remove it.")
        if 0xD800 <= code < 0xE000:
            raise ValueError(f"{what} has the lone surrogate U+{code:04X} in it: remove it.")


def _check_authority(authority: str, what: str, example: str) -> None:
    """Refuse a missing host, and a port other than 1 to 65535 (RFC 3986, section 3.2)."""
    host_and_port = authority.rpartition("@")[2]
    if host_and_port.startswith("["):
        host, bracket, rest = host_and_port.partition("]")
        if not bracket or rest[:1] not in ("", ":"):
            raise ValueError(f"{what} has a bad host: an IPv6 address is written like [::1].")
        port = rest[1:]
    else:
        host, _, port = host_and_port.partition(":")
    if not host:
        raise ValueError(f"{what} has no host: write it like {example}.")
    if not _PORT.match(port) or not (port == "" or 1 <= int(port) <= 65535):
        raise ValueError(f"{what} has a bad port: it must be a number from 1 to 65535.")


def _check_host(host: str, what: str) -> None:
    """Refuse a host that is neither an address nor a name the DNS could resolve."""
    address, has_zone, zone = host.partition("%")
    try:
        version = ipaddress.ip_address(address).version
    except ValueError:
        labels = host.removesuffix(".").split(".")
        if not all(_LABEL.match(label) for label in labels) or len(host) > 254:
            raise ValueError(
                f"{what} has a bad host: it must be an IP address or a name made of letters, "
                "digits, '-' and '_', in parts of 1 to 63 characters joined by dots."
            ) from None
        return
    # RFC 6874, section 2; what is percent-encoded in a zone would not be decoded.
    if has_zone and not (version == 6 and _ZONE.match(zone)):
        raise ValueError(
            f"{what} has a bad host: '%' may only stand before the zone of an IPv6 address, a "
            "name of letters, digits and '-._~', as in [fe80::1%25eth0]."
        )


def _check_scheme(scheme: str) -> None:
    """Refuse every scheme but ``ws`` and ``wss`` (RFC 6455, section 3)."""
    if scheme in ("ws", "wss"):
        return
    if scheme in _INSTEAD:
        raise ValueError(
            f"The URL begins with {scheme}://, but a WebSocket URL begins with ws:// or wss://: "
            f"write {_INSTEAD[scheme]}:// instead."
        )
    raise ValueError(f"The URL scheme must be ws or wss, not {scheme!r}.")
