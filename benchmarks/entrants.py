"""Who takes part: each client in each of its modes, on each loop."""

from __future__ import annotations

import asyncio
import importlib.util
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import Final, Literal

from benchmarks.clients.contract import Client

__all__ = ["ENTRANTS", "Entrant", "LoopFactory", "LoopName"]

LoopName = Literal["asyncio", "fast", "uvloop"]

LoopFactory = Callable[[], asyncio.AbstractEventLoop]


_LOOPS: Final[dict[LoopName, tuple[str, ...]]] = {
    "asyncio": (),
    "fast": ("aiofastnet", "zlib_ng"),
    "uvloop": ("uvloop",),
}
"""What each loop needs."""


@dataclass(frozen=True)
class Entrant:
    """A client in one of its modes.

    Attributes:
        name: for tables and the command line.
        module: the module of `benchmarks.clients`.
        kind: the class in it.
        needs: packages that must be installed.
        loop: ``asyncio`` is the stock loop, ``fast`` the same with the transports of aiofastnet
            and with zlib-ng.
        flags: attributes to be set on the client.
        environment: variables of its process.
        about: for people.
    """

    name: str
    module: str
    kind: str
    about: str
    needs: tuple[str, ...] = ()
    loop: LoopName = "asyncio"
    flags: tuple[tuple[str, object], ...] = ()
    environment: tuple[tuple[str, str], ...] = ()

    @property
    def ours(self) -> bool:
        """Whether it is wsclient."""
        return self.name.startswith("wsclient")

    @property
    def limit(self) -> bool:
        """Whether it is no WebSocket client, but a limit for them."""
        return self.module == "limits"

    @property
    def missing(self) -> list[str]:
        """The packages that it needs and that are not installed."""
        needs = {
            *self.needs,
            *{"fast": ["aiofastnet", "zlib_ng"], "uvloop": ["uvloop"]}.get(self.loop, []),
        }
        return sorted(name for name in needs if importlib.util.find_spec(name) is None)

    def client_class(self) -> type[Client]:
        """Import the client."""
        module = import_module(f"benchmarks.clients.{self.module}")
        made: type[Client] = getattr(module, self.kind)
        if self.flags:
            made = type(made.__name__, (made,), dict(self.flags))
        return made

    def loop_factory(self) -> LoopFactory:
        """Return what makes the loop."""
        if self.loop == "uvloop":
            import uvloop

            return uvloop.new_event_loop
        # Our own option does it for a connection, and not for the loop.
        if self.loop == "fast" and not self.ours:
            import aiofastnet

            factory: LoopFactory = aiofastnet.loop_factory()
            return factory
        return asyncio.new_event_loop


_PLAIN: Final = (("WSCLIENT_ZLIB", "zlib"),)
"""As if the extra ``fast`` were not installed; its transports are an argument."""

_PURE: Final = (("WSCLIENT_PURE_PYTHON", "1"), *_PLAIN)
_FAST: Final = (("fast", True),)
_ANY: Final = (("fast", None),)
_READ: Final = ("wsclient_read", "ReadingClient")
_CALL: Final = ("wsclient_callback", "CallbackClient")
_PICOWS: Final = ("picows_core", "ListeningClient")
_PICOWS_WS: Final = ("recv_send", "PicowsWebsocketsClient")
_WEBSOCKETS: Final = ("recv_send", "WebsocketsClient")
_AIOHTTP: Final = ("aiohttp_client", "AiohttpClient")

_ALL: Final = (
    Entrant("wsclient", *_READ, "read loop, stock loop", environment=_PLAIN),
    Entrant("wsclient-callback", *_CALL, "callback, stock loop", environment=_PLAIN),
    Entrant("wsclient-fast", *_READ, "read loop, aiofastnet", loop="fast", flags=_FAST),
    Entrant("wsclient-fast-callback", *_CALL, "callback, aiofastnet", loop="fast", flags=_FAST),
    Entrant("wsclient-uvloop", *_READ, "read loop, uvloop", loop="uvloop", flags=_ANY),
    Entrant("wsclient-uvloop-callback", *_CALL, "callback, uvloop", loop="uvloop", flags=_ANY),
    Entrant("wsclient-pure", *_READ, "read loop, nothing compiled", environment=_PURE),
    Entrant(
        "wsclient-private",
        *_READ,
        "without a shared session",
        flags=(("private", True),),
        environment=_PLAIN,
    ),
    Entrant("picows", *_PICOWS, "callback, aiofastnet, its default", needs=("picows",)),
    Entrant(
        "picows-uvloop", *_PICOWS, "callback, aiofastnet on uvloop", ("picows",), loop="uvloop"
    ),
    Entrant("picows-websockets", *_PICOWS_WS, "read loop, aiofastnet, its default", ("picows",)),
    Entrant(
        "picows-websockets-uvloop",
        *_PICOWS_WS,
        "read loop, aiofastnet on uvloop",
        ("picows",),
        loop="uvloop",
    ),
    Entrant("aiohttp", *_AIOHTTP, "read loop, stock loop"),
    Entrant("aiohttp-fast", *_AIOHTTP, "read loop, aiofastnet", loop="fast", flags=_FAST),
    Entrant("aiohttp-uvloop", *_AIOHTTP, "read loop, uvloop", loop="uvloop"),
    Entrant("websockets", *_WEBSOCKETS, "read loop, stock loop", ("websockets",)),
    Entrant(
        "websockets-uvloop", *_WEBSOCKETS, "read loop, uvloop", ("websockets",), loop="uvloop"
    ),
    Entrant("tornado", "tornado_client", "TornadoClient", "read loop, stock loop", ("tornado",)),
    Entrant(
        "websocket-client",
        "websocket_client",
        "BlockingClient",
        "blocking, no loop",
        ("websocket",),
    ),
    Entrant("bare-protocol", "limits", "BareProtocolClient", "limit: asyncio, nothing parsed"),
    Entrant("raw-socket", "limits", "RawSocketClient", "limit: a blocking socket"),
)

ENTRANTS: Final = {entrant.name: entrant for entrant in _ALL}
