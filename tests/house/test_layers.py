"""A module imports only from lower floors: this file holds the floor plan and checks it.

Every import counts: at the top, inside a function, and under ``TYPE_CHECKING`` too, because a
cycle of types is a cycle of understanding. The one exception is a subpackage's ``__init__``,
which may gather names from its own modules.
"""

from __future__ import annotations

import ast
from collections.abc import Collection, Iterator, Mapping

import pytest

from house.checkout import Module, package_modules

PACKAGE = "wsclient"

# The floor of each module; ``name.*`` is a package with all that is in it. A module may import
# from strictly lower numbers, so that modules of one number do not know each other.
FLOORS: dict[str, float] = {
    "interpreter": 0,
    "errors": 0,
    # Floor 1: no open connection yet, or none at all.
    "urls": 1.0,
    "protocol.opcodes": 1.0,
    "protocol.roles": 1.0,
    "protocol.head": 1.05,
    "protocol.foreign": 1.05,
    "protocol.codec_pure": 1.05,
    "protocol.codec": 1.06,
    "protocol.frames": 1.1,
    "protocol.zlibs": 1.05,
    "protocol.deflate": 1.1,
    "protocol.closing": 1.1,
    "protocol.handshake": 1.2,
    "protocol.messages": 1.2,
    "protocol.accepting": 1.25,
    "protocol": 1.3,
    # TLS: files; certificates; the identity; where it comes from; handshakes; contexts; errors.
    "tls.files.der": 1.300,
    "tls.files.stamps": 1.300,
    "tls.files.pem": 1.301,
    "tls.files.keyfile": 1.302,
    "tls.files.misplaced": 1.302,
    "tls.files": 1.303,
    "tls.certificates.chains": 1.310,
    "tls.certificates.spiffe": 1.310,
    "tls.certificates.facts": 1.311,
    "tls.certificates.peer": 1.312,
    "tls.certificates": 1.313,
    "tls.identity.passwords": 1.320,
    "tls.identity.keys": 1.321,
    "tls.identity.loading": 1.322,
    "tls.identity.reading": 1.323,
    "tls.identity.arguments": 1.324,
    "tls.identity.identity": 1.325,
    "tls.identity": 1.326,
    "tls.rotation.last_good": 1.330,
    "tls.rotation.reloading": 1.331,
    "tls.rotation.providers": 1.332,
    "tls.rotation": 1.333,
    "tls.handshake.alerts": 1.340,
    "tls.handshake.checks": 1.340,
    "tls.handshake.sessions": 1.340,
    "tls.handshake.messages": 1.341,
    "tls.handshake.context": 1.342,
    "tls.handshake": 1.343,
    "tls.contexts.trust": 1.350,
    "tls.contexts.sources": 1.351,
    "tls.contexts.settings": 1.351,
    "tls.contexts.cache": 1.352,
    "tls.contexts.preparing": 1.353,
    "tls.contexts": 1.354,
    "tls.config": 1.360,
    "tls.prepare": 1.361,
    "tls.watch": 1.361,
    "tls.info": 1.370,
    "tls.explaining.verify_codes": 1.370,
    "tls.explaining.evidence": 1.370,
    "tls.explaining.hints": 1.371,
    "tls.explaining.explain": 1.372,
    "tls.explaining": 1.373,
    "tls.check.steps": 1.400,
    "tls.check.text": 1.401,
    "tls.check.link": 1.401,
    "tls.check.qualify": 1.401,
    "tls.check.attempt": 1.402,
    "tls.check.report": 1.402,
    "tls.check.findings": 1.403,
    "tls.check.narration": 1.404,
    "tls.check.verdict": 1.404,
    "tls.check.probe": 1.405,
    "tls.check": 1.406,
    "tls": 1.5,
    "options.distribution": 1.59,
    "options.connection": 1.6,
    "options.credentials": 1.6,
    "options.transports": 1.6,
    "options.proxies": 1.7,
    "options.connect": 1.8,
    "options.request": 1.9,
    "options": 1.9,
    # Floor 2: one open connection.
    "keepalive": 2.0,
    "wire.released": 1.99,
    "wire.milestone": 1.99,
    "wire.threads": 1.99,
    "wire.waiting": 1.99,
    "wire.idle": 1.99,
    "wire.awaitables": 2.0,
    "wire.deadline": 2.0,
    "wire.deferred": 2.0,
    "wire.explain": 2.0,
    "wire.inbox": 2.0,
    "wire.payloads": 2.0,
    "wire.sender": 2.0,
    "wire.shutdown": 2.0,
    "wire.callbacks": 2.1,
    "wire.ending": 2.1,
    "wire.receiver": 2.1,
    "wire.control": 2.2,
    "wire.intake": 2.2,
    "wire.wire": 2.3,
    "wire.drain": 2.4,
    "wire": 2.4,
    "connection": 2.5,
    # Floor 3: getting connected.
    "opening.internals": 2.99,
    "opening.step": 2.99,
    "opening.addresses": 3.00,
    "opening.proxy_refusal": 3.00,
    "opening.fast": 3.01,
    "opening.handler": 3.00,
    "opening.read_first": 3.00,
    "opening.tunnel": 3.02,
    "opening.security": 3.01,
    "opening.socks": 3.02,
    "opening.takeover": 3.02,
    "opening.failures": 3.02,
    "opening.session": 3.03,
    "opening.upgrade": 3.1,
    "opening": 3.1,
    "client": 3.2,
    "__init__": 3.9,
    # Floor 4: leaves, which use the package as a user does.
    "cli.server": 4.20,
    "cli.demo": 4.21,
    "cli.checking": 4.21,
    "cli": 4.22,
    "__main__": 4.3,
    # Floor 4, the test kit. What the parts share.
    "testing.changes": 4.00,
    "testing.frames": 4.00,
    "testing.listening": 4.00,
    "testing.memory": 4.00,
    "testing.reset": 4.00,
    # Certificates.
    "testing.certificates.contexts": 4.00,
    "testing.certificates.files": 4.00,
    "testing.certificates.keys": 4.00,
    "testing.certificates.building": 4.01,
    "testing.certificates.issued": 4.01,
    "testing.certificates.volume": 4.01,
    "testing.certificates.issuing": 4.02,
    "testing.certificates.authority": 4.03,
    "testing.certificates": 4.04,
    # The clock.
    "testing.clock.takeover": 4.00,
    "testing.clock": 4.01,
    "testing.clock.virtual": 4.01,
    # Faults.
    "testing.faults.ends": 4.00,
    "testing.faults.kinds": 4.00,
    "testing.faults.rules": 4.01,
    "testing.faults.moments": 4.02,
    "testing.faults.report": 4.02,
    "testing.faults.watch": 4.03,
    "testing.faults.pipe": 4.04,
    "testing.faults.link": 4.05,
    "testing.faults.hub": 4.06,
    "testing.faults.handles": 4.07,
    "testing.faults.proxy": 4.08,
    "testing.faults": 4.09,
    # Servers.
    "testing.serving.requests": 4.00,
    "testing.serving.settings": 4.00,
    "testing.raw": 4.01,
    "testing.serving.connection": 4.01,
    "testing.serving.recorder": 4.01,
    "testing.tls.stream": 4.01,
    "testing.pair": 4.02,
    "testing.serving.accept": 4.02,
    "testing.serving.dialogue": 4.02,
    "testing.serving.served": 4.02,
    "testing.tls": 4.02,
    "testing.tls.server": 4.02,
    "testing.serving.handler": 4.03,
    "testing.serving.ready_made": 4.04,
    "testing.serving.routes": 4.05,
    "testing.serving": 4.06,
    "testing.serving.server": 4.06,
    # On top.
    "testing.recording.session": 4.03,
    "testing.recording": 4.07,
    "testing.recording.proxy": 4.07,
    "testing": 4.10,
    "testing.pytest_plugin": 4.10,
}

NO_IO = "wsclient.protocol"
NOT_IN_PROTOCOL = frozenset({"asyncio", "logging", "socket", "ssl", "time"})


def test_modules_import_only_from_lower_floors() -> None:
    modules = package_modules()
    known = {module.name for module in modules}
    found = [line for module in modules for line in violations(module, known)]
    assert not found, "\n" + "\n".join(found)


def violations(
    module: Module, known: Collection[str], floors: Mapping[str, float] = FLOORS
) -> Iterator[str]:
    """Say where `module` breaks the floor plan, one sentence per import."""
    floor = floor_of(module.name, floors)
    if floor is None:
        yield (
            f"{module.path}: no floor is known for {module.name}. Decide which modules it may"
            " import and who may import it, and give it a line in FLOORS of"
            " tests/house/test_layers.py."
        )
        return
    for target, line in imports(module, known):
        place = f"{module.path}:{line}"
        if is_below(PACKAGE, target):
            yield from wrong_floor(module, floor, target, place, floors)
        elif is_below(NO_IO, module.name) and target.partition(".")[0] in NOT_IN_PROTOCOL:
            yield f"{place}: {NO_IO} does no I/O and has no clock: it may not import {target}"


def wrong_floor(
    module: Module, floor: float, target: str, place: str, floors: Mapping[str, float]
) -> Iterator[str]:
    if module.is_package and module.name != PACKAGE and is_below(module.name, target):
        return
    target_floor = floor_of(target, floors)
    if target_floor is None:
        yield f"{place}: imports {target}, which has no line in FLOORS"
    elif target_floor >= floor:
        yield (
            f"{place}: {module.name} (floor {floor}) imports {target} (floor {target_floor});"
            " only lower floors may be imported"
        )


def floor_of(name: str, floors: Mapping[str, float]) -> float | None:
    """Look up a module: its own line, else that of the nearest package with ``.*``."""
    short = "__init__" if name == PACKAGE else name.removeprefix(PACKAGE + ".")
    if short in floors:
        return floors[short]
    while short:
        if f"{short}.*" in floors:
            return floors[f"{short}.*"]
        short = short.rpartition(".")[0]
    return None


def imports(module: Module, known: Collection[str]) -> Iterator[tuple[str, int]]:
    """Yield every imported module, whole names, with its line; `known` are our own modules."""
    for node in ast.walk(ast.parse(module.source)):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name, node.lineno
        elif isinstance(node, ast.ImportFrom):
            base = import_base(module, node)
            # `from package import module` is about the module, not about the package.
            for target in sorted({whole_name(base, alias.name, known) for alias in node.names}):
                yield target, node.lineno


def whole_name(base: str, name: str, known: Collection[str]) -> str:
    submodule = f"{base}.{name}"
    return submodule if submodule in known else base


def import_base(module: Module, node: ast.ImportFrom) -> str:
    """Resolve the leading dots of ``from ..x import y``."""
    if node.level == 0:
        return node.module or ""
    up = node.level - 1 if module.is_package else node.level
    parts = module.name.split(".")
    parts = parts[: len(parts) - up]
    return ".".join([*parts, node.module] if node.module else parts)


def is_below(package: str, name: str) -> bool:
    return name == package or name.startswith(package + ".")


# The checker, checked.

KNOWN = frozenset(
    "wsclient" if name == "__init__" else f"wsclient.{name.removesuffix('.*')}" for name in FLOORS
)


def check(name: str, source: str, *, is_package: bool = False) -> list[str]:
    return list(violations(Module(name, f"{name}.py", source, is_package), KNOWN))


@pytest.mark.parametrize(
    ("name", "source"),
    [
        pytest.param("wsclient.client", "import wsclient.connection", id="import"),
        pytest.param("wsclient.client", "from wsclient.errors import E", id="from"),
        pytest.param("wsclient.client", "from . import errors", id="relative"),
        pytest.param("wsclient.protocol.frames", "from ..errors import E", id="two dots"),
        pytest.param("wsclient.protocol.messages", "from .frames import F", id="rung below"),
        pytest.param(
            "wsclient.options.connection", "from wsclient.protocol import D", id="package"
        ),
        pytest.param("wsclient.connection", "import asyncio, ssl, time", id="I/O above"),
        pytest.param("wsclient.protocol.frames", "import timeit, struct", id="other stdlib"),
        pytest.param("wsclient.cli", "from wsclient import websocket_connect", id="leaf"),
        pytest.param("wsclient.testing.frames", "import wsclient", id="module in a leaf"),
        pytest.param("wsclient.client", "import wsclientele", id="another package"),
    ],
)
def test_checker_allows(name: str, source: str) -> None:
    assert check(name, source) == []


@pytest.mark.parametrize(
    ("name", "source", "says"),
    [
        pytest.param(
            "wsclient.errors", "import wsclient.options.connection", "floor 1.6", id="upwards"
        ),
        pytest.param(
            "wsclient.wire.inbox", "from wsclient import keepalive", "lower", id="sideways"
        ),
        pytest.param("wsclient.wire.inbox", "from .. import keepalive", "lower", id="relative"),
        pytest.param(
            "wsclient.wire.sender", "from wsclient.wire import inbox", "lower", id="same floor"
        ),
        pytest.param(
            "wsclient.protocol.frames", "from .messages import M", "floor 1.2", id="rung above"
        ),
        pytest.param(
            "wsclient.protocol.frames", "from . import Frame", "floor 1.3", id="own package"
        ),
        pytest.param("wsclient.client", "from wsclient import connect", "floor 3.9", id="top"),
        pytest.param("wsclient.client", "from . import *", "floor 3.9", id="star"),
        pytest.param(
            "wsclient.connection",
            "def f():\n    if True:\n        from wsclient.client import c",
            "connection.py:3",
            id="inside a function",
        ),
        pytest.param(
            "wsclient.connection",
            "if TYPE_CHECKING:\n    from wsclient.client import c",
            "client",
            id="type checking",
        ),
        pytest.param("wsclient.gadgets", "", "line in FLOORS", id="unlisted module"),
        pytest.param("wsclient.protocol.extra", "", "line in FLOORS", id="unlisted in package"),
        pytest.param("wsclient.cli", "import wsclient.gadgets", "no line", id="unlisted target"),
    ],
)
def test_checker_objects(name: str, source: str, says: str) -> None:
    (found,) = check(name, source)
    assert says in found


@pytest.mark.parametrize("module", sorted(NOT_IN_PROTOCOL))
@pytest.mark.parametrize(
    "template", ["import {}", "import {}.sub", "from {} import x", "def f():\n    import {} as y"]
)
def test_checker_keeps_io_out_of_protocol(module: str, template: str) -> None:
    (found,) = check("wsclient.protocol.messages", template.format(module))
    assert "does no I/O" in found


def test_checker_lets_a_subpackage_gather_its_own_names() -> None:
    assert check("wsclient.protocol", "from .messages import M", is_package=True) == []
    assert (
        check("wsclient.protocol", "from wsclient.options.connection import O", is_package=True)
        != []
    )


def test_checker_holds_the_top_level_to_its_floor() -> None:
    assert check("wsclient", "from .client import c", is_package=True) == []
    assert check("wsclient", "from .testing import t", is_package=True) != []
