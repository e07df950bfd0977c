"""Names of other libraries' inside: what happens when one of them is not as we know it.

A release of aiohttp that calls a method otherwise is made here of the installed one: the name is
replaced in the code of its functions. The verdict on each name is in `VERDICTS`.
"""

from __future__ import annotations

import ast
import asyncio
import importlib
import importlib.metadata
import importlib.util
import ssl
import sys
import tomllib
from collections.abc import Iterator
from types import CodeType, FunctionType
from typing import Any

import aiohttp
import pytest
from aiohttp.client_proto import ResponseHandler

from behaviour.servers import WAIT, echo, failure
from house.checkout import ROOT, package_modules
from support.proxies import connect_proxy, socks5_proxy
from wsclient import (
    ClientIdentity,
    ConnectError,
    ProxyError,
    TLSConfig,
    websocket_connect,
)
from wsclient.opening.internals import INTERNALS, RELEASES, Internal, Use, fault_of
from wsclient.opening.read_first import hand_over_unread, has_unread
from wsclient.options.transports import fast_transports, suits_fast_transports
from wsclient.testing.certificates import CertificateAuthority
from wsclient.testing.raw import RawConnection, RawServer
from wsclient.wire.wire import Wire

CA = CertificateAuthority()
SERVER = CA.server_certificate()
CLIENT = CA.client_certificate("client")
IDENTITY = ClientIdentity.from_cryptography(CLIENT.private_key, CLIENT.certificate)

AIOHTTP = (
    aiohttp.BaseConnector,
    aiohttp.TCPConnector,
    aiohttp.ClientRequest,
    aiohttp.ClientSession,
    ResponseHandler,
)

needs_extra = pytest.mark.skipif(
    fast_transports() is None, reason="aiofastnet is not installed, or does not work here"
)


@pytest.fixture(autouse=True)
def asked_anew(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Have each test look for the names by itself, and the next ones as well."""
    fault_of.cache_clear()
    yield
    monkeypatch.undo()
    fault_of.cache_clear()


def rename(monkeypatch: pytest.MonkeyPatch, internal: Internal) -> None:
    """Make aiohttp one that calls something otherwise, where it is and where it is used."""
    name = internal.name
    owners = {class_of(internal.owner), class_of(internal.user or internal.owner)}
    if name == "_loop":
        owners.add(aiohttp.ClientSession)  # It asks the connector for it.
    for owner in owners:
        for key, value in list(vars(owner).items()):
            function = value.fget if isinstance(value, property) else value
            if isinstance(function, FunctionType):
                monkeypatch.setattr(function, "__code__", renamed(function.__code__, name))
            if key == name:
                monkeypatch.setattr(owner, new_name(name), value, raising=False)
                monkeypatch.delattr(owner, name)


def class_of(path: str) -> type:
    return next(each for each in AIOHTTP if each.__name__ == path.partition(":")[2])


def new_name(name: str) -> str:
    return f"{name}_otherwise"


def renamed(code: CodeType, name: str) -> CodeType:
    return code.replace(
        co_names=tuple(new_name(each) if each == name else each for each in code.co_names),
        co_consts=tuple(
            renamed(each, name) if isinstance(each, CodeType) else each for each in code.co_consts
        ),
    )


def alter(monkeypatch: pytest.MonkeyPatch, owner: type, name: str) -> None:
    """Give a method parameters that nobody knows."""

    async def other(self: Any, *, unheard_of: object) -> None:
        raise AssertionError("nobody should get here")

    other.__module__ = owner.__module__
    monkeypatch.setattr(owner, name, other)


def of_use(*uses: Use, distribution: str = "aiohttp") -> list[Internal]:
    """Return the names for some uses, those of several for the first of them alone."""
    found: dict[tuple[str, str], Internal] = {}
    for each in INTERNALS:
        if each.distribution == distribution:
            shared = each.name in ("_factory", "_get_ssl_context")
            found.setdefault((each.owner + ("" if shared else str(each.use)), each.name), each)
    return [each for each in found.values() if each.use in uses]


def name_of(internal: Internal) -> str:
    return f"{internal.owner.partition(':')[2]}.{internal.name}"


def check_refusal(error: BaseException, kind: type[ConnectError], distribution: str) -> None:
    assert type(error) is kind, repr(error)
    version = importlib.metadata.version(distribution)
    assert f"{distribution} {version}, whose inside" in str(error)
    assert f"Install {RELEASES[distribution]}" in error.hint


# What could leak an identity, or lose a bound, is refused


@pytest.mark.parametrize("changed", [rename, alter])
@pytest.mark.parametrize("internal", of_use(Use.CONNECTION, Use.HTTP_PROXY), ids=name_of)
async def test_no_https_proxy_is_shown_the_certificate_for_the_server(
    internal: Internal, changed: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    if internal.parameters is None and changed is alter:
        pytest.skip("an attribute of instances has no parameters")
    shown: list[object] = []

    async def serve(wire: RawConnection) -> None:
        await wire.read_request()
        shown.append(wire.writer.get_extra_info("ssl_object").getpeercert())
        await wire.respond("403 Forbidden", {"Connection": "close"})

    asking = SERVER.server_context(client_ca=CA, require=False)
    async with RawServer(serve, tls=asking) as server:
        options: dict[str, Any] = {
            "proxy": f"https://127.0.0.1:{server.port}",
            "tls": TLSConfig(cadata=CA.root_pem, identity=IDENTITY),
            "proxy_tls": TLSConfig(cadata=CA.root_pem),
        }
        await failure("wss://127.0.0.1:9/", **options)
        assert shown in ([None], [{}])
        if changed is rename:
            rename(monkeypatch, internal)
        else:
            alter(monkeypatch, class_of(internal.owner), internal.name)
        fault_of.cache_clear()
        error = await failure("wss://127.0.0.1:9/", **options)
        assert shown in ([None], [{}])
    kind = ConnectError if internal.use is Use.CONNECTION else ProxyError
    check_refusal(error, kind, "aiohttp")
    assert internal.name in str(error)


@pytest.mark.parametrize("internal", of_use(Use.CONNECTION), ids=name_of)
async def test_no_answer_without_bounds(
    internal: Internal, monkeypatch: pytest.MonkeyPatch
) -> None:
    rename(monkeypatch, internal)
    async with RawServer(echo) as server:
        check_refusal(await failure(server.url), ConnectError, "aiohttp")


@pytest.mark.parametrize("internal", of_use(Use.HTTP_PROXY), ids=name_of)
async def test_who_needs_no_proxy_is_not_refused(
    internal: Internal, monkeypatch: pytest.MonkeyPatch
) -> None:
    rename(monkeypatch, internal)
    async with RawServer(echo) as server, connect_proxy() as proxy:
        async with websocket_connect(server.url):
            pass
        check_refusal(await failure(server.url, proxy=proxy.url), ProxyError, "aiohttp")
        assert proxy.requests == []


@pytest.mark.parametrize("name", ["_factory", "_get_ssl_context"])
async def test_no_proxy_if_tls_behind_it_does_without_a_name(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    function = aiohttp.TCPConnector._start_tls_connection
    monkeypatch.setattr(function, "__code__", renamed(function.__code__, name))
    async with RawServer(echo) as server, connect_proxy() as proxy:
        async with websocket_connect(server.url):
            pass
        check_refusal(await failure(server.url, proxy=proxy.url), ProxyError, "aiohttp")
        assert proxy.requests == []


@pytest.mark.parametrize("internal", of_use(Use.SOCKS_PROXY), ids=name_of)
async def test_no_way_past_a_socks_proxy(
    internal: Internal, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("aiohttp_socks")
    rename(monkeypatch, internal)
    async with RawServer(echo) as server, socks5_proxy() as proxy:
        error = await failure(server.url, proxy=proxy.url)
        assert proxy.requests == []
    check_refusal(error, ProxyError, "aiohttp")


@pytest.mark.parametrize("changed", ["gone", "altered"])
async def test_no_socks_proxy_without_the_name(
    changed: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    connector = pytest.importorskip("aiohttp_socks.connector")
    owner = connector._BaseProxyConnector
    if changed == "gone":
        monkeypatch.delattr(owner, "_wrap_create_connection")
    else:
        alter(monkeypatch, owner, "_wrap_create_connection")
    async with RawServer(echo) as server, socks5_proxy() as proxy:
        error = await failure(server.url, proxy=proxy.url)
        assert proxy.requests == []
    check_refusal(error, ProxyError, "aiohttp-socks")


async def test_no_session_whose_proxy_cannot_be_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    trust = TLSConfig(cadata=CA.root_pem)
    async with (
        RawServer(echo, tls=SERVER.server_context()) as server,
        connect_proxy(ssl=SERVER.server_context()) as proxy,
    ):
        rename(monkeypatch, *of_use(Use.SESSION))
        async with aiohttp.ClientSession(proxy=proxy.url) as session:
            error = await failure(server.url, session=session, tls=trust)
        assert proxy.requests == []
    check_refusal(error, ProxyError, "aiohttp")


# What only makes connections faster is not taken


@pytest.fixture
def fast(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """Whether connections have begun on fast transports."""
    found: list[bool] = []
    start = Wire.start

    def spy(wire: Wire, transport: asyncio.Transport) -> None:
        found.append(any("aiofastnet" in kind.__module__ for kind in type(transport).__mro__))
        start(wire, transport)

    monkeypatch.setattr(Wire, "start", spy)
    return found


async def check_quiet_fallback(found: list[bool], distribution: str) -> None:
    async with RawServer(echo) as server:
        async with websocket_connect(server.url) as conn:
            conn.write_message("hello")
            assert await asyncio.wait_for(conn.read_message(), WAIT) == "hello"
        assert found == [False]
        error = await failure(server.url, use_fast_transport=True)
    check_refusal(error, ConnectError, distribution)


@needs_extra
@pytest.mark.parametrize("internal", of_use(Use.FAST_TRANSPORT), ids=name_of)
async def test_an_aiohttp_that_is_not_known(
    internal: Internal, fast: list[bool], monkeypatch: pytest.MonkeyPatch
) -> None:
    rename(monkeypatch, internal)
    await check_quiet_fallback(fast, "aiohttp")


@needs_extra
@pytest.mark.parametrize(
    "internal", of_use(Use.FAST_TRANSPORT, distribution="aiofastnet"), ids=name_of
)
@pytest.mark.parametrize("changed", ["gone", "altered"])
async def test_a_method_of_aiofastnet_that_is_not_known(
    internal: Internal, changed: str, fast: list[bool], monkeypatch: pytest.MonkeyPatch
) -> None:
    module, _, name = internal.owner.partition(":")
    known = getattr(importlib.import_module(module), name)

    class Other(known):  # type: ignore[misc, valid-type]  # known when it runs
        pass

    if changed == "gone":
        setattr(Other, internal.name, None)
    else:
        Other.__module__ = module
        alter(monkeypatch, Other, internal.name)
    monkeypatch.setattr(importlib.import_module(module), name, Other)
    await check_quiet_fallback(fast, "aiofastnet")


@needs_extra
@pytest.mark.parametrize(
    "path",
    [
        "aiofastnet.selector_transport:SelectorSocketTransport",
        "aiofastnet.ssl_transport:SSLTransport_Socket",
    ],
)
@pytest.mark.parametrize("changed", ["module", "class", "parameters"])
async def test_transports_of_aiofastnet_that_are_made_in_another_way(
    path: str, changed: str, fast: list[bool], monkeypatch: pytest.MonkeyPatch
) -> None:
    where, _, name = path.partition(":")
    module = importlib.import_module(where)
    known = getattr(module, name)

    class Other(known):  # type: ignore[misc, valid-type]  # known when it runs
        def __init__(self, loop: Any, *, transport_options: Any) -> None:
            raise AssertionError("nobody should get here")

    if changed == "module":
        monkeypatch.setitem(sys.modules, where, None)
    elif changed == "class":
        monkeypatch.delattr(module, name)
    else:
        monkeypatch.setattr(module, name, Other)
    await check_quiet_fallback(fast, "aiofastnet")


@needs_extra
def test_aiofastnet_asks_whether_it_may_do_tls_by_itself() -> None:
    asked: list[str] = []

    class Context:
        def __getattr__(self, name: str) -> Any:
            asked.append(name)
            raise KeyboardInterrupt

    kind = importlib.import_module("aiofastnet.ssl_transport").SSLTransport_Socket
    with pytest.raises(KeyboardInterrupt):
        kind(None, None, Context(), False, 1.0, 1.0, 1, 1, None)
    assert asked == ["_aiofastnet_force_fallback_ssl"]


def test_a_context_suits_only_if_its_callback_can_be_seen(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    context = ssl.create_default_context()
    assert suits_fast_transports(context)

    def hidden(_: object) -> None:
        raise AttributeError

    monkeypatch.setattr(ssl.SSLContext, "_msg_callback", property(hidden))
    assert not suits_fast_transports(context)


def test_what_is_unread_stays_so_where_the_socket_cannot_be_seen() -> None:
    class Shown:
        """What a transport shows of its socket."""

    assert not has_unread(Shown())
    hand_over_unread(Shown(), asyncio.Protocol())
    assert not has_unread(None)


# All names, and what comes of each

OURS = "is our own"
REFUSED = "is looked for; without it the way is refused"
NOT_TAKEN = "is looked for; without it the fast way is not taken"
HARMLESS = "does no harm when it is gone"
OLD = "is of Pythons that change no more"
TYPE = "is for type checkers alone"

VERDICTS: dict[str, dict[str, str]] = {
    "cli/checking.py": {"_ArgumentGroup": TYPE},
    "connection.py": {"_wire": OURS},
    "opening/fast.py": {
        "_force_close": NOT_TAKEN,
        "_loop": NOT_TAKEN,
        # Passed on as it is; who needs it has it in another line.
        "_start_tls_connection": HARMLESS,
        "_wrap_create_connection": NOT_TAKEN,
    },
    "opening/handler.py": {
        # A hint then does not tell of a full pool.
        "_acquired": HARMLESS,
        # The answer and its parser then live as long as the connection.
        "_connection": HARMLESS,
        "_factory": REFUSED,
        "_parser": HARMLESS,
    },
    # What is unread when writing fails is then lost, as on uvloop.
    "opening/read_first.py": {"_sock": HARMLESS},
    "opening/socks.py": {"_wrap_create_connection": REFUSED},
    "opening/tunnel.py": {
        "_SSLProtocolTransport": OLD,
        "_abort": OLD,
        "_closed": OLD,
        "_force_close": OLD,
        "_get_ssl_context": REFUSED,
        "_set_state": OLD,
        "_ssl_protocol": OLD,
        "_start_tls_connection": REFUSED,
        "_transport": OLD,
    },
    "opening/upgrade.py": {"_default_proxy": REFUSED},
    "options/transports.py": {"_msg_callback": NOT_TAKEN},
    "protocol/deflate.py": {"_Compress": TYPE, "_Decompress": TYPE},
    "testing/certificates/authority.py": {"_signer": OURS},
    "testing/clock/takeover.py": {
        "_callback": REFUSED,
        "_clock_resolution": REFUSED,
        # A limit of the test's own task then runs in virtual time, too.
        "_host_task": HARMLESS,
        "_order": OURS,
        "_scheduled": REFUSED,
        "_selector": REFUSED,
        "_task": HARMLESS,
        "_when": REFUSED,
    },
    "testing/clock/virtual.py": {
        "_call_at": OURS,
        "_own_loop": OURS,
        "_run_in_executor": OURS,
        "_select": OURS,
        "_timers": OURS,
    },
    "testing/memory.py": {
        "_closing": OURS,
        "_drained": OURS,
        "_incoming": OURS,
        "_incoming_size": OURS,
        "_lose": OURS,
        "_name": OURS,
        "_receive": OURS,
    },
    "testing/serving/dialogue.py": {"_steps": OURS},
    # Asked for before Python 3.13 only; without it the chain is not shown.
    "tls/certificates/peer.py": {"_sslobj": HARMLESS},
    "tls/handshake/context.py": {
        # Handshakes are then not watched, and errors say less.
        "_msg_callback": HARMLESS,
        "_kept_as": OURS,
        "_log": OURS,
        "_outgoing": OURS,
        "_resumed": OURS,
        "_sessions": OURS,
        "_to_the_end": OURS,
        "_token": OURS,
        "_unwatch": OURS,
        "_wanted": OURS,
    },
    "tls/identity/identity.py": {"_of": OURS, "_pair": OURS},
    "tls/rotation/reloading.py": {"_call_off": OURS, "_read": OURS},
}
"""What comes of each private name that is asked of another object than ``self``."""


def private_names(source: str) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Attribute):
            own = isinstance(node.value, ast.Name) and node.value.id in ("self", "cls")
            names |= set() if own else {node.attr}
        elif isinstance(node, ast.Call):
            names |= set(names_in_text(node))
    return {name for name in names if name.startswith("_") and not name.startswith("__")}


def names_in_text(call: ast.Call) -> Iterator[str]:
    called = call.func.attr if isinstance(call.func, ast.Attribute) else ""
    called = call.func.id if isinstance(call.func, ast.Name) else called
    if called in {"getattr", "hasattr", "setattr", "delattr", "get", "replace_attribute"}:
        for each in call.args[:2]:
            if isinstance(each, ast.Constant) and isinstance(each.value, str):
                yield each.value


def test_each_private_name_has_a_verdict() -> None:
    found = {}
    for module in package_modules():
        names = private_names(module.source)
        if names:
            found[module.path.partition("wsclient/")[2]] = names
    assert {path: set(names) for path, names in VERDICTS.items()} == found


def test_what_is_said_to_be_looked_for_is() -> None:
    looked_for = {each.name for each in INTERNALS} | {"_msg_callback"}
    said = {
        name
        for path, names in VERDICTS.items()
        if not path.startswith("testing/")
        for name, verdict in names.items()
        if verdict in (REFUSED, NOT_TAKEN)
    }
    assert said <= looked_for


def test_what_is_installed_is_known() -> None:
    uses = [use for use in Use if use is not Use.FAST_TRANSPORT or fast_transports() is not None]
    if importlib.util.find_spec("aiohttp_socks") is None:
        uses.remove(Use.SOCKS_PROXY)
    assert {use: fault_of(use) for use in uses} == dict.fromkeys(uses)


def test_the_releases_are_those_of_the_package() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    wanted = [*project["dependencies"], *extras["fast"], *extras["socks"]]
    assert set(RELEASES.values()) <= set(wanted)
