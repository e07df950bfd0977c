"""Runs ``async def`` tests on both event loops and gives every test the servers it asks for."""

from __future__ import annotations

import asyncio
import functools
import gc
import inspect
import socket
import sys
from collections.abc import Iterator
from typing import Any, cast

import pytest

from support.process import PEERS, PeerProcess, Peers
from support.running import LoopFactory, run_checked
from support.unavailable import UnavailableError
from wsclient.testing.certificates import CertificateAuthority, IssuedCertificate

TEST_TIMEOUT = 30.0
"""Seconds that one async test may take."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """Let all tests run on the event loops' own transports, as without the extra ``fast``."""
    parser.addoption("--without-fast", action="store_true", help="as if aiofastnet were missing")


def pytest_configure(config: pytest.Config) -> None:
    """Announce the markers of the bed."""
    if config.getoption("--without-fast"):
        sys.modules["aiofastnet"] = None  # type: ignore[assignment]  # importing it fails then
    config.addinivalue_line(
        "markers", "abilities(*names): run with the peers that have all of these abilities"
    )


def pytest_collection_finish(session: pytest.Session) -> None:
    """Take what exists now out of the garbage collector's sight.

    Every async test collects garbage to find leaks; it need only look at its own.
    """
    if "hypothesis" in sys.modules:
        _begin_hypothesis()
    gc.collect()
    gc.freeze()


def _begin_hypothesis() -> None:
    """Have Hypothesis make its random numbers, who asks the collector what refers to them."""
    from hypothesis import given, settings, strategies

    settings(max_examples=1, database=None)(given(strategies.none())(lambda _: None))()


@pytest.hookimpl(tryfirst=True)
def pytest_pycollect_makeitem(collector: Any, name: str, obj: object) -> None:
    """Give each async test the loop it runs on as a parameter."""
    if collector.funcnamefilter(name) and inspect.iscoroutinefunction(obj):
        pytest.mark.usefixtures("loop_factory")(obj)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Make a test of each peer that has the abilities the test asks for."""
    chosen = list(metafunc.definition.iter_markers("parametrize"))
    if "peer" not in metafunc.fixturenames or any(mark.args[0] == "peer" for mark in chosen):
        return
    needed = {
        name for marker in metafunc.definition.iter_markers("abilities") for name in marker.args
    }
    names = [name for name, abilities in PEERS.items() if needed <= abilities]
    assert names, f"no peer has {needed}"
    metafunc.parametrize("peer", names, indirect=True)


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """Run an async test on its loop, under a time limit and the leak check."""
    if not inspect.iscoroutinefunction(pyfuncitem.obj):
        return None
    wanted = inspect.signature(pyfuncitem.obj).parameters
    arguments = {name: pyfuncitem.funcargs[name] for name in wanted}
    factory = cast(LoopFactory, pyfuncitem.funcargs["loop_factory"])
    run_checked(lambda: pyfuncitem.obj(**arguments), factory, timeout=TEST_TIMEOUT)
    return True


@pytest.fixture(autouse=True)
def _roots_of_certifi(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever roots this machine is told to trust, tests begin with the default ones."""
    for name in ("SSL_CERT_FILE", "SSL_CERT_DIR"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(params=["asyncio", "uvloop"])
def loop_factory(request: pytest.FixtureRequest) -> LoopFactory:
    """The maker of the loop that the test runs on: the stock loop, then uvloop."""
    if request.param == "asyncio":
        return asyncio.new_event_loop
    uvloop = pytest.importorskip("uvloop", reason="uvloop is not installed")
    factory: LoopFactory = uvloop.new_event_loop
    _warm(factory)
    return factory


@functools.cache
def _warm(factory: LoopFactory) -> None:
    """Make one loop in vain: libuv opens a pipe for signals once and keeps it for good."""
    factory().close()


@pytest.fixture(scope="session")
def certificates() -> IssuedCertificate:
    """A server's certificate for localhost, 127.0.0.1 and ::1, of an authority of its own."""
    return CertificateAuthority().server_certificate()


@pytest.fixture(scope="session")
def peers(
    certificates: IssuedCertificate, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Peers]:
    """All peers; each is started when first asked for."""
    running = Peers(certificates.write(tmp_path_factory.mktemp("certificates")))
    yield running
    running.stop()


@pytest.fixture
def peer(request: pytest.FixtureRequest, peers: Peers) -> PeerProcess:
    """A server made with one of the other libraries, in a process of its own."""
    try:
        return peers.get(request.param)
    except UnavailableError as error:
        if error.required:
            raise
        pytest.skip(str(error))


@pytest.fixture
def closed_port() -> Iterator[int]:
    """A port of 127.0.0.1 on which nothing listens."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield bound.getsockname()[1]
