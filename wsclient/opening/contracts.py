"""What aiohttp and aiohttp_socks must look like where they have no public way for what we need.

A method that another release has by another name can be overridden without an error: ours is just
never called. Where that would show an identity to the wrong server, or leave out a check, names
are looked at before anything is sent, once in a process; what is not as it was known is refused.
What costs no more than speed or memory has no contract: it is then done without.
"""

from __future__ import annotations

import functools
import importlib.metadata
import inspect
from collections.abc import Callable
from typing import Any, Final, NamedTuple

import aiohttp

from ..errors import ConnectError, ProxyError

__all__ = ["check_proxying", "check_socks", "own_proxy", "refuse_handler", "refuse_transports"]

_KNOWN: Final = {
    "aiofastnet": "aiofastnet>=1.2,<1.3",
    "aiohttp": "aiohttp>=3.14,<3.15",
    "aiohttp-socks": "aiohttp-socks>=0.11",
}
"""Releases that are known to be as described here, by the name of the distribution."""


class _Method(NamedTuple):
    """A method that a class must have, and call by its name.

    Attributes:
        owner: the class.
        name: of the method.
        parameters: what it must take, by name.
    """

    owner: Any
    name: str
    parameters: frozenset[str]


_PROXYING: Final = (
    _Method(aiohttp.TCPConnector, "_get_ssl_context", frozenset({"req"})),
    _Method(
        aiohttp.TCPConnector,
        "_start_tls_connection",
        frozenset({"underlying_transport", "req", "timeout"}),
    ),
)


@functools.cache
def check_proxying() -> None:
    """Make sure that a proxy and the server behind it each get a TLS context of their own.

    Raises:
        ProxyError: this aiohttp is not known.
    """
    for method in _PROXYING:
        _check(method, "aiohttp", "a proxy might be shown the server's client certificate")


@functools.cache
def check_socks(connector: type[aiohttp.TCPConnector]) -> None:
    """Make sure that TLS through a SOCKS proxy is ours to begin.

    Args:
        connector: the class of aiohttp_socks that ours is derived from.

    Raises:
        ProxyError: this aiohttp or aiohttp_socks is not known.
    """
    asked = "the server's name might not be checked"
    parameters = frozenset({"args", "addr_infos", "req", "timeout", "kwargs"})
    wrap = "_wrap_create_connection"
    _check(_Method(aiohttp.TCPConnector, wrap, parameters), "aiohttp", asked)
    overrides = [each for each in connector.__mro__ if wrap in vars(each)]
    if overrides[0] is aiohttp.TCPConnector:
        raise _unknown("aiohttp-socks", f"{connector.__name__}.{wrap} is not there", asked)
    _check(_PROXYING[1], "aiohttp", asked)


def own_proxy(session: aiohttp.ClientSession) -> Any:
    """Return the proxy that a session has for all its requests; ``None`` for none.

    Raises:
        ProxyError: this aiohttp is not known, so that nobody can tell.
    """
    # No public way tells of it.
    try:
        return vars(session)["_default_proxy"]
    except KeyError:
        raise _unknown(
            "aiohttp",
            "ClientSession._default_proxy is not there",
            "a proxy of the session might be shown the server's client certificate",
        ) from None


def refuse_handler() -> ConnectError:
    """Return the error for a connection whose answers nobody would bound."""
    version = importlib.metadata.version("aiohttp")
    return ConnectError(
        f"aiohttp {version} is not known to wsclient: it makes connections in another way, in "
        "which an answer without end would not be stopped. No request was sent.",
        phase="http",
        hint=f"Install {_KNOWN['aiohttp']}.",
    )


def refuse_transports() -> ConnectError:
    """Return the error for `use_fast_transport` with transports that are not as they were."""
    version = importlib.metadata.version("aiofastnet")
    return ConnectError(
        f"aiofastnet {version} is not known to wsclient: its transports take other arguments. "
        "Nothing was sent.",
        phase="tcp",
        hint=f"Install {_KNOWN['aiofastnet']}, or leave out use_fast_transport=True.",
    )


def _check(method: _Method, library: str, otherwise: str) -> None:
    owner, name, parameters = method
    function = vars(owner).get(name)
    shown = f"{owner.__name__}.{name}"
    if function is None:
        raise _unknown(library, f"{shown} is not there", otherwise)
    if not parameters <= inspect.signature(function).parameters.keys():
        raise _unknown(library, f"{shown} takes other arguments", otherwise)
    if not any(name in _names(each) for each in vars(owner).values() if each is not function):
        raise _unknown(library, f"{shown} is not used", otherwise)


def _names(function: Callable[..., Any] | object) -> tuple[str, ...]:
    """Return the attributes that a function mentions."""
    code = getattr(function, "__code__", None)
    return () if code is None else code.co_names


def _unknown(library: str, what: str, otherwise: str) -> ProxyError:
    version = importlib.metadata.version(library)
    return ProxyError(
        f"{library} {version} is not known to wsclient: {what}, and {otherwise}. "
        "Nothing was sent.",
        hint=f"Install {_KNOWN[library]}.",
    )
