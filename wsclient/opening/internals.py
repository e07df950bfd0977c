"""What is used of the inside of aiohttp, aiohttp_socks and aiofastnet, and how it has to look.

They have no public way for it. Another release may call these names otherwise, or use them for
something else: a method that we override is then never called, and what it saw to does not
happen. So before a way that needs them is first used, each name is looked for, with its
parameters, and in the functions that have to use it. That is done once in a process.

Where something is not as we know it, safety comes first: a way that would leak an identity, or
lose a bound, is refused. One that only makes connections faster is not taken.
"""

from __future__ import annotations

import functools
import importlib
import importlib.metadata
import inspect
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from types import MappingProxyType
from typing import Any, Final

from ..errors import ConnectError, ProxyError

__all__ = ["INTERNALS", "RELEASES", "Internal", "Use", "fault_of", "refuse_unknown", "refused"]

RELEASES: Final = MappingProxyType(
    {
        "aiofastnet": "aiofastnet>=1.2,<1.3",
        "aiohttp": "aiohttp>=3.14,<3.15",
        "aiohttp-socks": "aiohttp-socks>=0.11,<0.13",
    }
)
"""The releases whose inside is known, as in ``pyproject.toml``."""


class Use(Enum):
    """What names of the inside of others are used for; the value says it in an error."""

    CONNECTION = "keep an answer within its bounds"
    HTTP_PROXY = "keep the client certificate from a proxy"
    SOCKS_PROXY = "check the server's name behind a SOCKS proxy"
    SESSION = "see whether the session has a proxy of its own"
    FAST_TRANSPORT = "use fast transports"


@dataclass(frozen=True, slots=True)
class Internal:
    """One name, and how it has to look.

    Attributes:
        use: what it is used for.
        distribution: the name under which its library is installed.
        owner: module and class, such as ``"aiohttp.connector:TCPConnector"``.
        name: of the attribute or method.
        without: what would happen without it, if nobody looked.
        parameters: of a method, which must be there; ``None`` for what an instance has.
        used_by: functions that have to use it: methods of the class ``user``.
        user: as `owner`; empty when it is the same.
    """

    use: Use
    distribution: str
    owner: str
    name: str
    without: str
    parameters: tuple[str, ...] | None = None
    used_by: tuple[str, ...] = ()
    user: str = ""


_BASE: Final = "aiohttp.connector:BaseConnector"
_TCP: Final = "aiohttp.connector:TCPConnector"
_REQUEST: Final = "aiohttp.client_reqrep:ClientRequest"
_HANDLER: Final = "aiohttp.client_proto:ResponseHandler"
_PLAIN: Final = "aiofastnet.selector_transport:SelectorSocketTransport"
_SECURE: Final = "aiofastnet.ssl_transport:SSLTransport_Socket"
_START_TLS: Final = ("self", "underlying_transport", "req", "timeout", "client_error")
_CREATE: Final = ("self", "args", "addr_infos", "req", "timeout", "client_error", "kwargs")

INTERNALS: Final = (
    # aiohttp's connections.
    Internal(
        Use.CONNECTION,
        "aiohttp",
        _BASE,
        "_factory",
        "an answer may be as long as the server likes",
        used_by=("_create_direct_connection",),
        user=_TCP,
    ),
    Internal(
        Use.CONNECTION,
        "aiohttp",
        _HANDLER,
        "data_received",
        "an answer may be as long as the server likes",
        parameters=("self", "data"),
    ),
    Internal(
        Use.CONNECTION,
        "aiohttp",
        _TCP,
        "_get_ssl_context",
        "an https proxy is shown the client certificate",
        parameters=("self", "req"),
        used_by=("_create_direct_connection",),
    ),
    # Proxies.
    Internal(
        Use.HTTP_PROXY,
        "aiohttp",
        _TCP,
        "_start_tls_connection",
        "TLS begins within a tunnel for ws://",
        parameters=_START_TLS,
        used_by=("_create_proxy_connection",),
    ),
    Internal(
        Use.HTTP_PROXY,
        "aiohttp",
        _REQUEST,
        "is_ssl",
        "a proxy is sent the request itself, and not asked for a tunnel",
        parameters=("self",),
        used_by=("_create_proxy_connection",),
        user=_TCP,
    ),
    Internal(
        Use.SOCKS_PROXY,
        "aiohttp",
        _TCP,
        "_wrap_create_connection",
        "the way leads past the proxy",
        parameters=_CREATE,
        used_by=("_create_direct_connection",),
    ),
    Internal(
        Use.SOCKS_PROXY,
        "aiohttp",
        _TCP,
        "_start_tls_connection",
        "TLS with the server cannot begin",
        parameters=_START_TLS,
    ),
    Internal(
        Use.SOCKS_PROXY,
        "aiohttp-socks",
        "aiohttp_socks:ProxyConnector",
        "_wrap_create_connection",
        "TLS is for the URL's host, whatever server_hostname says",
        parameters=_CREATE,
    ),
    *(
        Internal(
            Use.HTTP_PROXY,
            "aiohttp",
            owner,
            name,
            "behind a proxy it is as without the name",
            used_by=("_start_tls_connection",),
            user=_TCP,
        )
        for owner, name in ((_BASE, "_factory"), (_TCP, "_get_ssl_context"))
    ),
    # A caller's session.
    Internal(
        Use.SESSION,
        "aiohttp",
        "aiohttp.client:ClientSession",
        "_default_proxy",
        "an https proxy of the session is shown the client certificate",
    ),
    # Fast transports.
    Internal(
        Use.FAST_TRANSPORT,
        "aiohttp",
        _BASE,
        "_loop",
        "each connect raises an AttributeError",
        used_by=("_wrap_create_connection", "_start_tls_connection"),
        user=_TCP,
    ),
    Internal(
        Use.FAST_TRANSPORT,
        "aiohttp",
        _TCP,
        "_wrap_create_connection",
        "connections are the loop's own, whoever insisted",
        parameters=_CREATE,
        used_by=("_create_direct_connection",),
    ),
    *(
        Internal(
            Use.FAST_TRANSPORT,
            "aiofastnet",
            owner,
            name,
            "each connect, or the end of each connection, raises a bare error",
            parameters=parameters,
        )
        for owner in (_PLAIN, _SECURE)
        for name, parameters in (
            ("_force_close", ("self", "exc")),
            ("_read_ready", ("self",)),
            ("get_protocol", ("self",)),
            ("get_write_buffer_size", ("self",)),
            ("abort", ("self",)),
        )
    ),
)
"""All names that are used, but for what harms nobody when it goes."""


def refuse_unknown(use: Use) -> None:
    """Refuse a way whose names are not as we know them; before anything is sent.

    Raises:
        ConnectError: something is not there, or not used as it was; a `ProxyError` if it is about
            proxies.
    """
    fault = fault_of(use)
    if fault is not None:
        raise refused(use, *fault)


def refused(use: Use, distribution: str, fault: str) -> ConnectError:
    """Return the error for a way that is refused.

    Args:
        use: what the names are for.
        distribution: whose names they are.
        fault: what is not as we know it.
    """
    try:
        version = importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        version = "of an unknown version"
    message = (
        f"wsclient cannot {use.value} with {distribution} {version}, whose inside is not as it "
        f"was: {fault}."
    )
    hint = f"Nothing was sent. Install {RELEASES[distribution]}."
    if use in (Use.CONNECTION, Use.FAST_TRANSPORT):
        return ConnectError(message, hint=hint)
    return ProxyError(message, hint=hint)


@functools.cache
def fault_of(use: Use) -> tuple[str, str] | None:
    """Tell whose names are not as we know them, and what is the matter; ``None`` if all is well.

    Args:
        use: what they are used for.
    """
    for internal in INTERNALS:
        fault = _fault(internal) if internal.use is use else ""
        if fault:
            return internal.distribution, fault
    if use is Use.FAST_TRANSPORT:
        for owner, call in _CONSTRUCTORS:
            fault = _fault_of_constructor(owner, call)
            if fault:
                return "aiofastnet", fault
    return None


def _fault(internal: Internal) -> str:
    try:
        owner = _find(internal.owner)
        user = _find(internal.user or internal.owner)
    except (ImportError, AttributeError) as exc:
        return str(exc)
    shown = f"{owner.__name__}.{internal.name}"
    if internal.parameters is not None:
        method = getattr(owner, internal.name, None)
        # A class may inherit it from another library, whose method does something else.
        if getattr(method, "__module__", "").partition(".")[0] != _package(internal.owner):
            return f"{shown} is missing"
        if _parameters(method) != internal.parameters:
            return f"{shown} has other parameters"
    for name in internal.used_by:
        if internal.name not in _names_in(getattr(user, name, None)):
            return f"{shown} is not used by {user.__name__}.{name}"
    return ""


def _find(path: str) -> Any:
    module, _, name = path.partition(":")
    return getattr(importlib.import_module(module), name)


def _package(path: str) -> str:
    return path.partition(":")[0].partition(".")[0]


def _parameters(method: Any) -> tuple[str, ...]:
    try:
        return tuple(inspect.signature(method).parameters)
    except (TypeError, ValueError):
        return ()


def _names_in(function: Any) -> tuple[str, ...]:
    """Return the names of attributes that a function asks for; none if it is not in Python."""
    code = getattr(inspect.unwrap(function), "__code__", None) if callable(function) else None
    return () if code is None else tuple(code.co_names)


class _Begun(BaseException):
    """A constructor has taken its arguments, and asks one of them for something."""


class _Nothing:
    """Stands for each object that a constructor is given, and ends it at the first question."""

    def __getattr__(self, name: str) -> Any:
        raise _Begun(name)


_Call = Callable[[Any, Any], object]
_CONSTRUCTORS: Final[tuple[tuple[str, _Call], ...]] = (
    (_PLAIN, lambda kind, it: kind(it, it, it, waiter=it)),
    (_SECURE, lambda kind, it: kind(it, it, it, False, 1.0, 1.0, 1, 1, it, it, it)),
)
"""The calls that make transports: compiled classes do not tell their parameters."""


def _fault_of_constructor(path: str, call: _Call) -> str:
    kind = _find(path)
    try:
        call(kind, _Nothing())
    except _Begun:
        return ""
    except Exception as exc:
        return f"{kind.__name__} is made in another way ({exc})"
    return f"{kind.__name__} is made in another way"
