"""A client, a server, and a router between them that can do what networks do.

::

    client                  router                    server
    192.0.2.1      ------   192.0.2.2
    2001:db8:1::1           198.51.100.2   ------     198.51.100.1, 198.51.100.3
                            2001:db8:1::2, 2001:db8:2::2      2001:db8:2::1

Each is a namespace of its own. The addresses are those for documentation (RFC 5737, RFC 3849).
The two ends learn nothing of what the router does but by the packets that come, or do not.
"""

from __future__ import annotations

import contextlib
import re
from types import TracebackType
from typing import Final, Self

from robustness.network.namespaces import Namespace

__all__ = [
    "BLACK_HOLE",
    "CLIENT",
    "SERVER",
    "SERVER_6",
    "SERVER_TOO",
    "SYN",
    "TO_CLIENT",
    "TO_SERVER",
    "Network",
]

CLIENT: Final = "192.0.2.1"
SERVER: Final = "198.51.100.1"
SERVER_TOO: Final = "198.51.100.3"
SERVER_6: Final = "2001:db8:2::1"

TO_SERVER: Final = 'iifname "client"'
TO_CLIENT: Final = 'iifname "server"'
SYN: Final = "tcp flags & (syn | ack) == syn"
BLACK_HOLE: Final = "drop"

_DEFAULT_ROUTES: Final = {
    "client": ("192.0.2.2", "2001:db8:1::2"),
    "server": ("198.51.100.2", "2001:db8:2::2"),
}

_RTO_MIN: Final = "20ms"
"""TCP's shortest wait for an acknowledgement: the kernel has 200 ms, which makes tests slow."""


class Network:
    """The network. It passes everything until it is told otherwise.

    Use it in ``with``. To send as a client or to serve, enter its part of the network:
    ``with network.client.entered():``.

    Attributes:
        client: where the client is.
        router: where the rules are; its interfaces are called ``client`` and ``server``.
        server: where the server is.
    """

    def __init__(self) -> None:
        self._stack = contextlib.ExitStack()
        self.client: Namespace
        self.router: Namespace
        self.server: Namespace

    def __enter__(self) -> Self:
        with contextlib.ExitStack() as stack:
            self.client = stack.enter_context(Namespace())
            self.router = stack.enter_context(Namespace())
            self.server = stack.enter_context(Namespace())
            self._join()
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._stack.close()

    def _join(self) -> None:
        # Without offloads a packet is what a wire carries, not a pile of 64 KiB.
        wire = "gso_max_segs 1 type veth peer name wire gso_max_segs 1 netns"
        self.router.ip(
            f"link add client {wire} {self.client.path}",
            f"link add server {wire} {self.server.path}",
            "addr add 192.0.2.2/24 dev client",
            "addr add 198.51.100.2/24 dev server",
            "addr add 2001:db8:1::2/64 dev client nodad",
            "addr add 2001:db8:2::2/64 dev server nodad",
            "link set client up",
            "link set server up",
        )
        self.router.set("ipv4/ip_forward", 1)
        self.router.set("ipv6/conf/all/forwarding", 1)
        self.client.ip(
            f"addr add {CLIENT}/24 dev wire",
            "addr add 2001:db8:1::1/64 dev wire nodad",
            "link set wire up",
            *_routes("client"),
        )
        self.server.ip(
            f"addr add {SERVER}/24 dev wire",
            f"addr add {SERVER_TOO}/24 dev wire",
            f"addr add {SERVER_6}/64 dev wire nodad",
            "link set wire up",
            *_routes("server"),
        )

    # What the router does

    def rule(self, *statements: str) -> None:
        """Let the router treat packets by these rules of ``nft``, and by no other.

        Each is counted when it applies: see `hits`.

        Args:
            statements: in their order, such as ``f"{TO_SERVER} {SYN} drop"``. The last word or
                words are what is done.
        """
        rules = "\n".join(_counted(each) for each in statements)
        self.router.nft(
            "flush ruleset\n"
            "table inet faults {\n"
            "counter hits { }\n"
            "chain forward {\ntype filter hook forward priority 0;\n"
            f"{rules}\n"
            "}\n}\n"
        )

    def heal(self) -> None:
        """Let everything pass again."""
        self.router.nft("flush ruleset")

    @property
    def hits(self) -> int:
        """How many packets the latest rules were applied to."""
        text = self.router.nft("list counter inet faults hits")
        found = re.search(r"packets (\d+)", text)
        assert found, text
        return int(found[1])

    # What becomes of the client's own link

    def cable_out(self) -> None:
        """Take the cable out at the other side: the client's interface is up, without carrier."""
        self.router.ip("link set client down")

    def cable_in(self) -> None:
        """Put it in again."""
        self.router.ip("link set client up")

    def interface_down(self) -> None:
        """Switch the client's interface off; its routes go with it."""
        self.client.ip("link set wire down")

    def interface_up(self) -> None:
        """Switch it on again, and do what a network manager does then."""
        self.client.ip("link set wire up", *_routes("client")[:1])

    def move_client(self) -> None:
        """Give the client another address, as another network would."""
        self.client.ip(
            f"addr del {CLIENT}/24 dev wire",
            "addr add 192.0.2.77/24 dev wire",
            *_routes("client")[:1],
        )


def _routes(end: str) -> list[str]:
    over_4, over_6 = _DEFAULT_ROUTES[end]
    return [
        f"route replace default via {over_4} rto_min {_RTO_MIN}",
        f"route replace ::/0 via {over_6} rto_min {_RTO_MIN}",
    ]


def _counted(statement: str) -> str:
    """Count packets right before what is done with them."""
    found = re.search(r"(drop|reject.*)$", statement)
    assert found, f"what shall be done with packets? {statement}"
    return f'{statement[: found.start()]}counter name "hits" {found[0]}'
